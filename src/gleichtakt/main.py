"""The command line. Every command imports what it needs when it is given, so that `--help` costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from gleichtakt.commands.telling import USAGE, command, either, say

cli = typer.Typer(
    name="gleichtakt",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=either(
        "Hält die Kalender einer Anwendung mit den Kalendern im Gleichtakt, die Menschen schon benutzen.",
        "Keeps the calendars of an application in two-way step with the calendars people already use.",
    ),
)

WAIT_SECONDS: Final = 600.0

AsJson = Annotated[
    bool, typer.Option("--json", help=either("Ergebnis als JSON, eine Zeile.", "Print the result as one line of JSON."))
]
DryRun = Annotated[bool, typer.Option("--dry-run", help=either("Nur zeigen, was geschähe.", "Only show what would happen."))]
Wait = Annotated[
    float,
    typer.Option("--wait", help=either("Sekunden, die auf das Ende gewartet wird.", "Seconds to wait for the end."), min=0),
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


@cli.command(
    help=either(
        "Webserver und Worker in einem Prozess, mit eigener Datenbank, wenn keine genannt ist.",
        "Web server and worker in one process, with a database of its own unless one is named.",
    )
)
def serve(as_json: AsJson = False) -> None:
    """Run everything."""
    _serve(web=True, worker=True, as_json=as_json)


@cli.command(help=either("Nur der Webserver.", "The web server alone."))
def web(as_json: AsJson = False) -> None:
    """Run the web server."""
    _serve(web=True, worker=False, as_json=as_json)


@cli.command(help=either("Nur ein Worker.", "A worker alone."))
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


@cli.command(
    help=either(
        "Vorführung: eine Beispielfirma mit einem echten CalDAV-Server, in einem eigenen Ordner.",
        "Demonstration: an example firm with a real CalDAV server, in a folder of its own.",
    )
)
def demo(
    as_json: AsJson = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help=either("Ordner für alle Daten; sonst ein vorläufiger.", "Folder for all data; else a temporary one.")
        ),
    ] = None,
) -> None:
    """Run the demonstration."""
    from gleichtakt.commands import demo as demonstration

    _end(command(lambda settings: demonstration.demo(settings, folder=folder, as_json=as_json), as_json=as_json, is_service=True))


@cli.command(help=either("Die Datenbank auf den Stand dieser Version bringen.", "Bring the database to this version."))
def migrate(as_json: AsJson = False) -> None:
    """Upgrade the schema."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.migrate(settings, as_json=as_json), as_json=as_json))


@cli.command(help=either("Verknüpfungen jetzt abgleichen.", "Make a pass over links now."))
def sync(
    links: Annotated[list[str] | None, typer.Argument(metavar="[LINK…]", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help=either("Alle Verknüpfungen.", "All links."))] = False,
    dry_run: DryRun = False,
    wait: Wait = WAIT_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Sync now."""
    from gleichtakt.commands import syncing

    if bool(links) == every:
        say(either("Verknüpfungen nennen oder --all angeben.", "Name links or give --all."))
        raise typer.Exit(USAGE)
    names = links or []
    _end(command(lambda settings: syncing.sync(settings, names, dry_run=dry_run, seconds=wait, as_json=as_json), as_json=as_json))


@cli.command(help=either("Zeigen, was ein Abgleich täte, ohne etwas zu ändern.", "Show what a pass would do, changing nothing."))
def plan(link: Annotated[str, typer.Argument(metavar="LINK")], wait: Wait = WAIT_SECONDS, as_json: AsJson = False) -> None:
    """Plan one link."""
    from gleichtakt.commands import syncing

    _end(command(lambda settings: syncing.plan(settings, link, seconds=wait, as_json=as_json), as_json=as_json))


@cli.command(
    help=either(
        "Eine Verbindung Schritt für Schritt prüfen: Name, Netz, TLS, Anmeldung, Rechte, ein Testeintrag.",
        "Check a connection step by step: name, network, TLS, login, rights, a test item.",
    )
)
def doctor(
    connection: Annotated[str | None, typer.Argument(metavar="[CONNECTION]", show_default=False)] = None,
    provider: Annotated[str, typer.Option("--provider", help="caldav, feed, …")] = "",
    server: Annotated[str, typer.Option("--server", help=either("Adresse des Servers.", "Address of the server."))] = "",
    username: Annotated[str, typer.Option("--username", help=either("Benutzername.", "User name."))] = "",
    password: Annotated[
        str,
        typer.Option(
            "--password",
            envvar="GLEICHTAKT_DOCTOR_PASSWORD",
            help=either("Passwort; besser über die Umgebung.", "Password; better given through the environment."),
            show_default=False,
        ),
    ] = "",
    mailbox: Annotated[str, typer.Option("--mailbox", help=either("Postfach.", "Mailbox."))] = "",
    calendar: Annotated[
        str,
        typer.Option("--calendar", help=either("Kalender für den Testeintrag.", "Calendar for the test item.")),
    ] = "",
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", help=either("Eigene Zertifizierungsstelle (PEM).", "Own certificate authority (PEM).")),
    ] = None,
    allow_insecure: Annotated[
        bool, typer.Option("--allow-insecure", help=either("Auch ohne TLS.", "Without TLS as well."))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Examine a connection."""
    from gleichtakt.commands import doctoring

    if bool(connection) == bool(provider):
        say(either("Eine Verbindung oder --provider und --server angeben.", "Give a connection, or --provider and --server."))
        raise typer.Exit(USAGE)
    given = doctoring.Given(provider, server, username, password, mailbox, calendar, ca_file, allow_insecure)
    _end(command(lambda settings: doctoring.doctor(settings, connection or "", given, as_json=as_json), as_json=as_json))


@cli.command(help=either("Die Konfiguration aus einer YAML-Datei anwenden.", "Apply the configuration from a YAML file."))
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


@cli.command(
    help=either(
        "Die Konfiguration als YAML ausgeben, Geheimnisse nur als Verweise.",
        "Print the configuration as YAML, secrets as references.",
    )
)
def export() -> None:
    """Export the configuration."""
    from gleichtakt.commands import configuring

    _end(command(configuring.export, as_json=False))


@cli.command(
    help=either(
        "Ein nachgestelltes Kalendersystem starten, mit Fehlern auf Bestellung.",
        "Run a simulated calendar system, with faults on demand.",
    )
)
def simulate(
    system: Annotated[str, typer.Argument(metavar="caldav|feed|memory")],
    port: Annotated[int, typer.Option("--port", help=either("0: ein freier.", "0: any free one."), min=0, max=65535)] = 0,
    seed: Annotated[
        Path | None, typer.Option("--seed", help=either("JSON-Datei mit dem Anfangszustand.", "JSON file to begin with."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a simulator."""
    from gleichtakt.commands import simulating

    if system not in simulating.SYSTEMS:
        say(either("Bekannt sind ", "Known are ") + ", ".join(simulating.SYSTEMS))
        raise typer.Exit(USAGE)
    _end(command(lambda _: simulating.simulate(system, port=port, seed=seed, as_json=as_json), as_json=as_json))


@cli.command(
    help=either(
        "Alles in eine Datei sichern; der Server darf weiterlaufen.", "Save everything into a file; the server may run on."
    )
)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
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


@cli.command(
    help=either(
        "Eine Sicherung einspielen; danach wird nur geprüft, bis `confirm` das Schreiben erlaubt.",
        "Restore a backup; afterwards it only verifies until `confirm` allows writing.",
    )
)
def restore(file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: AsJson = False) -> None:
    """Restore."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.restore(settings, file, as_json=as_json), as_json=as_json))


@cli.command(
    help=either("Nach dem Einspielen einer Sicherung das Schreiben wieder erlauben.", "Allow writing again after a restore.")
)
def confirm(as_json: AsJson = False) -> None:
    """End the verification."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.confirm(settings, as_json=as_json), as_json=as_json))


@cli.command(
    "rotate-key", help=either("Alle Geheimnisse mit einem neuen Schlüssel versiegeln.", "Seal all secrets with a new key.")
)
def rotate_key(as_json: AsJson = False) -> None:
    """Rotate the secret key."""
    from gleichtakt.commands import keeping

    _end(command(lambda settings: keeping.rotate_key(settings, as_json=as_json), as_json=as_json))


def _end(status: int) -> None:
    raise typer.Exit(status)


if __name__ == "__main__":
    cli()
