"""The command line. Every command imports what it needs when it is given, so that `--help` costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from gleichtakt.commands.telling import command, either, say
from gleichtakt.commands.words import Commands, declared, wrong_use

cli = typer.Typer(
    name="gleichtakt",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=either(
        "Hält die Kalender einer Anwendung mit den Kalendern im Gleichtakt, die Menschen schon benutzen.",
        "Keeps the calendars of an application in two-way step with the calendars people already use.",
    ),
    epilog=either(
        "Ende: 0 erledigt, 1 Probleme gefunden, 2 falscher Aufruf, 130 abgebrochen. Einstellungen stehen in der Umgebung"
        " (GLEICHTAKT_…) oder in gleichtakt.toml; Farbe unterbleibt mit NO_COLOR.",
        "Exit status: 0 done, 1 problems found, 2 wrong use, 130 interrupted. Settings come from the environment"
        " (GLEICHTAKT_…) or gleichtakt.toml; NO_COLOR turns colour off.",
    ),
)

WAIT_SECONDS: Final = 600.0

LINK_HELP: Final = either("Kennung, Ressource, Postfach oder Kalender.", "An id, a resource, a mailbox or a calendar.")

AsJson = Annotated[
    bool, typer.Option("--json", help=either("Das Ergebnis als eine Zeile JSON.", "Print the result as one line of JSON."))
]
DryRun = Annotated[bool, typer.Option("--dry-run", help=either("Nur zeigen, was geschähe.", "Only show what would happen."))]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        help=either("So lange wird auf das Ende gewartet; sonst 600.", "How long to wait for the end; else 600."),
        metavar=either("SEKUNDEN", "SECONDS"),
        show_default=False,
        min=0,
    ),
]


def _version(asked: bool) -> None:
    if asked:
        from gleichtakt import __version__

        say(__version__)
        raise typer.Exit


@cli.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help=either("Version zeigen.", "Show the version.")),
    ] = False,
) -> None:
    """Take what stands before the command."""


@declared(
    cli,
    "Alles in einem Prozess: Webserver und Worker. Die eigene Datenbank läuft mit, wenn GLEICHTAKT_DATABASE_URL keine nennt.",
    "Everything in one process: web server and worker. It runs a database of its own unless GLEICHTAKT_DATABASE_URL names one.",
)
def serve(as_json: AsJson = False) -> None:
    """Run everything."""
    _serve(web=True, worker=True, as_json=as_json)


@declared(cli, "Nur der Webserver.", "The web server alone.")
def web(as_json: AsJson = False) -> None:
    """Run the web server."""
    _serve(web=True, worker=False, as_json=as_json)


@declared(cli, "Nur ein Worker; mehrere teilen sich die Arbeit.", "A worker alone; several share the work.")
def work(as_json: AsJson = False) -> None:
    """Run a worker."""
    _serve(web=False, worker=True, as_json=as_json)


def _serve(*, web: bool, worker: bool, as_json: bool) -> None:
    from gleichtakt.commands import serving

    _end(
        command(
            lambda settings: serving.serve(settings, web=web, worker=worker, as_json=as_json),
            as_json=as_json,
            is_service=True,
        )
    )


@declared(
    cli,
    "Vorführung mit Beispielfirma und CalDAV-Server. Alles liegt in einem eigenen Ordner und endet mit dem Prozess.",
    "Demonstration with an example firm and a CalDAV server. Everything is in a folder of its own and ends with the process.",
)
def demo(
    as_json: AsJson = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help=either("Ordner für alle Daten; sonst ein vorläufiger.", "Folder for all data; else a temporary one."),
        ),
    ] = None,
) -> None:
    """Run the demonstration."""
    from gleichtakt.commands import demo as demonstration

    _end(command(lambda settings: demonstration.demo(settings, folder=folder, as_json=as_json), as_json=as_json))


@declared(cli, "Die Datenbank auf den Stand dieser Version bringen.", "Bring the database to this version.")
def migrate(as_json: AsJson = False) -> None:
    """Upgrade the schema."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.migrate(settings, as_json=as_json), as_json=as_json))


@declared(
    cli,
    "Verknüpfungen jetzt abgleichen. Läuft ein Worker, so macht er die Arbeit.",
    "Sync links now. A running worker does the work.",
)
def sync(
    links: Annotated[list[str] | None, typer.Argument(metavar="LINK", show_default=False, help=LINK_HELP)] = None,
    every: Annotated[bool, typer.Option("--all", help=either("Alle Verknüpfungen.", "All links."))] = False,
    dry_run: DryRun = False,
    wait: Wait = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Sync now."""
    from gleichtakt.commands import syncing

    if bool(links) == every:
        wrong_use("Verknüpfungen nennen oder --all angeben.", "Name links or give --all.")
    names = links or []
    _end(command(lambda settings: syncing.sync(settings, names, dry_run=dry_run, seconds=wait, as_json=as_json), as_json=as_json))


@declared(cli, "Zeigen, was ein Abgleich täte. Geändert wird nichts.", "Show what a pass would do. Nothing is changed.")
def plan(
    link: Annotated[str, typer.Argument(metavar="LINK", help=LINK_HELP)], wait: Wait = WAIT_SECONDS, as_json: AsJson = False
) -> None:
    """Plan one link."""
    from gleichtakt.commands import syncing

    _end(command(lambda settings: syncing.plan(settings, link, seconds=wait, as_json=as_json), as_json=as_json))


@declared(
    cli,
    "Zeigen, wie es den Verknüpfungen geht. Was auf einen Menschen wartet, steht mit Ursache und Abhilfe dabei.",
    "Show how the links are. What waits for a person is told with cause and remedy.",
)
def status(
    links: Annotated[list[str] | None, typer.Argument(metavar="LINK", show_default=False, help=LINK_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Tell how things are."""
    from gleichtakt.commands import looking

    _end(command(lambda settings: looking.status(settings, links or [], as_json=as_json), as_json=as_json))


@declared(
    cli,
    "Zurücknehmen, was ein Lauf geschrieben hat. Es gelten dieselben Sicherungen; spätere Änderungen bleiben.",
    "Take back what a run wrote. The same guards hold; later edits stay.",
)
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help=either("Kennung des Laufs.", "Id of the run."))],
    wait: Wait = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Undo a run."""
    from gleichtakt.commands import syncing

    _end(command(lambda settings: syncing.undo(settings, run, seconds=wait, as_json=as_json), as_json=as_json))


@declared(
    cli,
    "Eine Verbindung Schritt für Schritt prüfen. Angeschaut werden Name, Netz, Verschlüsselung,"
    " Anmeldung, Rechte, Änderungen, Uhr und ein Testeintrag, der gleich wieder verschwindet.",
    "Check a connection step by step. It looks at name, network, encryption, sign-in, rights, changes,"
    " clock and a test item that is removed at once.",
)
def doctor(
    connection: Annotated[
        str | None, typer.Argument(metavar="CONNECTION", show_default=False, help=either("Kennung oder Name.", "Its id or name."))
    ] = None,
    provider: Annotated[str, typer.Option("--provider", metavar="NAME", help="caldav, ews, feed, …")] = "",
    server: Annotated[
        str, typer.Option("--server", metavar="URL", help=either("Adresse des Servers.", "Address of the server."))
    ] = "",
    username: Annotated[str, typer.Option("--username", metavar="NAME", help=either("Benutzername.", "User name."))] = "",
    password: Annotated[
        str,
        typer.Option(
            "--password",
            metavar="TEXT",
            envvar="GLEICHTAKT_DOCTOR_PASSWORD",
            help=either("Passwort; besser über die Umgebung.", "Password; better given through the environment."),
            show_default=False,
        ),
    ] = "",
    method: Annotated[
        str,
        typer.Option(
            "--method", metavar="NAME", help=either("Anmeldeverfahren: ntlm, basic, …", "Way to sign in: ntlm, basic, …")
        ),
    ] = "",
    access: Annotated[
        str,
        typer.Option("--access", metavar="WAY", help="own, delegate, impersonation"),
    ] = "own",
    autodiscover_address: Annotated[
        str,
        typer.Option(
            "--autodiscover-address",
            metavar="ADDRESS",
            help=either("Adresse, zu der der Server gesucht wird.", "Address whose server is looked up."),
        ),
    ] = "",
    mailbox: Annotated[str, typer.Option("--mailbox", metavar="NAME", help=either("Postfach.", "Mailbox."))] = "",
    calendar: Annotated[
        str,
        typer.Option("--calendar", metavar="PATH", help=either("Kalender für den Testeintrag.", "Calendar for the test item.")),
    ] = "",
    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file", metavar="FILE", help=either("Eigene Zertifizierungsstelle (PEM).", "Own certificate authority (PEM).")
        ),
    ] = None,
    pin: Annotated[
        str,
        typer.Option(
            "--pin", metavar="HEX", help=either("SHA-256 des Zertifikats, das gilt.", "SHA-256 of the certificate to trust.")
        ),
    ] = "",
    allow_insecure: Annotated[
        bool, typer.Option("--allow-insecure", help=either("Auch ohne TLS.", "Without TLS as well."))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Examine a connection."""
    from gleichtakt.commands import doctoring

    if bool(connection) == bool(provider):
        wrong_use("Eine Verbindung oder --provider und --server angeben.", "Give a connection, or --provider and --server.")
    if access not in ("own", "delegate", "impersonation"):
        wrong_use("--access ist own, delegate oder impersonation.", "--access is own, delegate or impersonation.")
    given = doctoring.Given(
        provider,
        server,
        username,
        password,
        mailbox,
        calendar,
        ca_file,
        pin,
        allow_insecure,
        method=method,
        access=access,
        autodiscover_address=autodiscover_address,
    )
    _end(command(lambda settings: doctoring.doctor(settings, connection or "", given, as_json=as_json), as_json=as_json))


@declared(cli, "Die Konfiguration aus einer YAML-Datei anwenden.", "Apply the configuration from a YAML file.")
def apply(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help=either("YAML-Datei, - für Standardeingabe.", "YAML file, - for standard input."))
    ],
    dry_run: DryRun = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help=either("Auch entfernen, was die Datei nicht nennt.", "Also remove what the file does not name.")
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Apply a configuration."""
    from gleichtakt.commands import configuring

    _end(
        command(
            lambda settings: configuring.apply(settings, file, dry_run=dry_run, prune=prune, as_json=as_json), as_json=as_json
        )
    )


@declared(
    cli,
    "Die Konfiguration als YAML ausgeben. Geheimnisse erscheinen nur als Verweise.",
    "Print the configuration as YAML. Secrets appear as references only.",
)
def export() -> None:
    """Export the configuration."""
    from gleichtakt.commands import configuring

    _end(command(configuring.export, as_json=False))


@declared(
    cli,
    "Ein nachgestelltes Kalendersystem starten. Fehler lassen sich unter /_sim/ bestellen.",
    "Run a simulated calendar system. Faults are ordered under /_sim/.",
)
def simulate(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="caldav, ews, feed, memory")],
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            help=either("Sonst irgendein freier.", "Else any free one."),
            show_default=False,
            min=0,
            max=65535,
        ),
    ] = 0,
    seed: Annotated[
        Path | None,
        typer.Option("--seed", metavar="FILE", help=either("JSON-Datei mit dem Anfangszustand.", "JSON file to begin with.")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a simulator."""
    from gleichtakt.commands import simulating

    if system not in simulating.SYSTEMS:
        known = ", ".join(simulating.SYSTEMS)
        wrong_use(
            f"Ein System «{system}» gibt es nicht. Bekannt sind {known}.", f"No system is called «{system}». Known are {known}."
        )
    _end(command(lambda _: simulating.simulate(system, port=port, seed=seed, as_json=as_json), as_json=as_json))


@declared(
    cli, "Alles in eine Datei sichern. Der Server darf weiterlaufen.", "Save everything into a file. The server may run on."
)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=either("Datei der Sicherung.", "File of the backup."))],
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys",
            help=either(
                "Auch die Schlüssel: wer die Datei hat, hat alle Passwörter.", "The keys too: who has the file has all passwords."
            ),
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back up."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.backup(settings, file, with_keys=with_keys, as_json=as_json), as_json=as_json))


@declared(
    cli,
    "Eine Sicherung einspielen. Danach wird nur geprüft, bis `gleichtakt confirm` das Schreiben erlaubt.",
    "Restore a backup. Afterwards it only verifies until `gleichtakt confirm` allows writing.",
)
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=either("Datei der Sicherung.", "File of the backup."))],
    as_json: AsJson = False,
) -> None:
    """Restore."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.restore(settings, file, as_json=as_json), as_json=as_json))


@declared(cli, "Nach dem Einspielen das Schreiben wieder erlauben.", "Allow writing again after a restore.")
def confirm(as_json: AsJson = False) -> None:
    """End the verification."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.confirm(settings, as_json=as_json), as_json=as_json))


@declared(cli, "Alle Geheimnisse mit einem neuen Schlüssel versiegeln.", "Seal all secrets with a new key.", "rotate-key")
def rotate_key(as_json: AsJson = False) -> None:
    """Rotate the secret key."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.rotate_key(settings, as_json=as_json), as_json=as_json))


def _end(status: int) -> None:
    raise typer.Exit(status)


if __name__ == "__main__":
    cli(prog_name="gleichtakt")
