"""Sentences of the command line."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    "command.address_taken": sentence(
        en="Something else is listening on {address} already.",
        de="Auf {address} lauscht schon etwas anderes.",
        remedy_en="Stop the other process, or choose another address with GLEICHTAKT_LISTEN=host:port.",
        remedy_de="Den anderen Prozess beenden oder mit GLEICHTAKT_LISTEN=Host:Port eine andere Adresse wählen.",
    ),
    "command.address_refused": sentence(
        en="The address {address} cannot be listened on: {reason}.",
        de="Auf der Adresse {address} kann nicht gelauscht werden: {reason}.",
        remedy_en="Choose an address of this machine with GLEICHTAKT_LISTEN; ports below 1024 need a right of their own.",
        remedy_de="Mit GLEICHTAKT_LISTEN eine Adresse dieses Rechners wählen; Ports unter 1024 brauchen ein eigenes Recht.",
    ),
    "command.no_such_link": sentence(
        en="No link is called «{name}».",
        de="Keine Verknüpfung heißt «{name}».",
        remedy_en="Give its id or the beginning of it, the resource's name, the mailbox or the calendar; `--all` takes all.",
        remedy_de="Kennung oder deren Anfang, Namen der Ressource, Postfach oder Kalender angeben; `--all` nimmt alle.",
    ),
    "command.several_links": sentence(
        en="«{name}» means {number} links.",
        de="«{name}» meint {number} Verknüpfungen.",
        remedy_en="Give the id of one, or use `gleichtakt sync {name} --dry-run` to see the plans of all.",
        remedy_de="Die Kennung einer einzigen angeben, oder mit `gleichtakt sync {name} --dry-run` die Pläne aller ansehen.",
    ),
    "command.file_unreadable": sentence(
        en="The file {file} cannot be read: {reason}.",
        de="Die Datei {file} ist nicht lesbar: {reason}.",
        remedy_en="Check path and rights; `-` reads standard input.",
        remedy_de="Pfad und Rechte prüfen; `-` liest die Standardeingabe.",
    ),
    "command.file_refused": sentence(
        en="The system refuses {file}: {reason}.",
        de="Das System verweigert {file}: {reason}.",
        remedy_en="Check path, owner and rights; GLEICHTAKT_DATA_DIR names the folder for all data.",
        remedy_de="Pfad, Besitzer und Rechte prüfen; GLEICHTAKT_DATA_DIR nennt den Ordner für alle Daten.",
    ),
    "command.setting_file": sentence(
        en="The settings in {file} are no valid TOML: {reason}.",
        de="Die Einstellungen in {file} sind kein gültiges TOML: {reason}.",
        remedy_en='Write one setting per line, such as listen = "127.0.0.1:8080".',
        remedy_de='Eine Einstellung je Zeile schreiben, etwa listen = "127.0.0.1:8080".',
    ),
    "command.setting_unknown": sentence(
        en="{file} sets «{name}», which is no setting.",
        de="{file} setzt «{name}»; diese Einstellung gibt es nicht.",
        remedy_en="Known are {known}.",
        remedy_de="Bekannt sind {known}.",
    ),
    "command.setting_value": sentence(
        en="The setting {name} ({variable}) has a value it cannot take.",
        de="Die Einstellung {name} ({variable}) hat einen unzulässigen Wert.",
        remedy_en="It takes: {wanted}",
        remedy_de="Zulässig ist: {wanted}",
    ),
    "command.no_such_connection": sentence(
        en="No connection is called «{name}».",
        de="Keine Verbindung heißt «{name}».",
        remedy_en="Give its id or name, or describe one with --provider and --server.",
        remedy_de="Kennung oder Namen angeben, oder eine mit --provider und --server beschreiben.",
    ),
    "command.no_such_provider": sentence(
        en="No provider is called «{name}».",
        de="Keine Anbindung heißt «{name}».",
        remedy_en="Known are {known}.",
        remedy_de="Bekannt sind {known}.",
    ),
    "command.no_such_method": sentence(
        en="This calendar system knows no sign-in method «{name}».",
        de="Dieses Kalendersystem kennt kein Anmeldeverfahren «{name}».",
        remedy_en="Known are {known}.",
        remedy_de="Bekannt sind {known}.",
    ),
    "command.no_server": sentence(
        en="No CalDAV server is installed for the demo.",
        de="Für die Vorführung ist kein CalDAV-Server eingerichtet.",
        remedy_en="Run scripts/setup, or set GLEICHTAKT_SERVERS_DIR to an environment that has Radicale.",
        remedy_de="scripts/setup ausführen, oder GLEICHTAKT_SERVERS_DIR auf eine Umgebung mit Radicale setzen.",
    ),
    "command.server_silent": sentence(
        en="{name}, a server of the demo, did not start: {reason}.",
        de="{name}, ein Server der Vorführung, ist nicht gestartet: {reason}.",
        remedy_en="Look at its log in the data folder; run scripts/setup again.",
        remedy_de="Sein Protokoll im Datenordner ansehen; scripts/setup erneut ausführen.",
    ),
    "command.no_such_run": sentence(
        en="No run has the id «{name}».",
        de="Kein Lauf hat die Kennung «{name}».",
        remedy_en="`gleichtakt sync --all --json` names runs by their ids, as do the pages under Runs.",
        remedy_de="`gleichtakt sync --all --json` nennt die Kennungen der Läufe, ebenso die Seiten unter «Läufe».",
    ),
    "command.bug": sentence(
        en="Gleichtakt made a mistake of its own: {error} in {place}.",
        de="Gleichtakt hat selbst einen Fehler gemacht: {error} in {place}.",
        remedy_en="Please report it with the log: the same command with GLEICHTAKT_LOG_LEVEL=debug shows all of it.",
        remedy_de="Bitte mit dem Protokoll melden: Derselbe Befehl mit GLEICHTAKT_LOG_LEVEL=debug zeigt alles.",
    ),
}
