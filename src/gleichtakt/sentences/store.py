"""Sentences about the database, its server and what is kept in it."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    "store.database_away": sentence(
        en="The database does not answer at the moment.",
        de="Die Datenbank antwortet im Augenblick nicht.",
        remedy_en="It is tried again by itself; if it stays so, look at the database server and GLEICHTAKT_DATABASE_URL.",
        remedy_de="Der Versuch wird von selbst wiederholt; sonst den Datenbankserver und GLEICHTAKT_DATABASE_URL prüfen.",
    ),
    "store.contended": sentence(
        en="Two changes of the same data met, and one of them gave way.",
        de="Zwei Änderungen derselben Daten trafen aufeinander, und eine hat nachgegeben.",
        remedy_en="Send the request once more; work of the server itself is repeated without asking.",
        remedy_de="Die Anfrage noch einmal senden; Arbeit des Servers selbst wird ohne Nachfrage wiederholt.",
    ),
    "store.database_refused": sentence(
        en="The database server does not let us in: {reason}.",
        de="Der Datenbankserver lässt uns nicht ein: {reason}.",
        remedy_en="Correct user, password and database name in GLEICHTAKT_DATABASE_URL; create the database if it is missing.",
        remedy_de="Benutzer, Passwort und Datenbankname in GLEICHTAKT_DATABASE_URL berichtigen; eine fehlende Datenbank anlegen.",
    ),
    "store.postgres_too_old": sentence(
        en="The database server is PostgreSQL {found}; at least {oldest} is needed.",
        de="Der Datenbankserver ist PostgreSQL {found}; gebraucht wird mindestens {oldest}.",
        remedy_en="Upgrade that server, or leave GLEICHTAKT_DATABASE_URL empty to use the embedded one.",
        remedy_de="Jenen Server aktualisieren, oder GLEICHTAKT_DATABASE_URL leer lassen, um den eingebauten zu benutzen.",
    ),
    "store.no_postgres": sentence(
        en="No PostgreSQL is at hand: its wheel has no files for this platform, and the system has none installed.",
        de="Es ist kein PostgreSQL vorhanden: Für diese Plattform gibt es kein Wheel, und im System ist keines installiert.",
        remedy_en="Install it («apt install postgresql», «dnf install postgresql-server», «apk add postgresql17»), or name a "
        "server in GLEICHTAKT_DATABASE_URL.",
        remedy_de="Eines installieren («apt install postgresql», «dnf install postgresql-server», «apk add postgresql17») oder "
        "in GLEICHTAKT_DATABASE_URL einen Server nennen.",
    ),
    "store.postgres_other_major": sentence(
        en="The data folder was made by PostgreSQL {wanted}; at hand is {have}.",
        de="Der Datenordner wurde von PostgreSQL {wanted} angelegt; vorhanden ist {have}.",
        remedy_en="Install PostgreSQL {wanted} beside it (package postgresql-{wanted}), or restore a backup into a new folder.",
        remedy_de="PostgreSQL {wanted} daneben installieren (Paket postgresql-{wanted}) oder eine Sicherung in einen neuen "
        "Ordner einspielen.",
    ),
    "store.postgres_unreachable": sentence(
        en="The account of the database server may not read its programs in {folder}, and no copy could be made.",
        de="Das Konto des Datenbankservers darf dessen Programme in {folder} nicht lesen, und eine Kopie war nicht möglich.",
        remedy_en="Make /var/cache/gleichtakt writable for root, install outside /root, or run as an ordinary user.",
        remedy_de="/var/cache/gleichtakt für root beschreibbar machen, außerhalb von /root installieren oder als gewöhnlicher "
        "Benutzer starten.",
    ),
    "store.postgres_failed": sentence(
        en="The embedded PostgreSQL does not start: {reason}.",
        de="Das eingebaute PostgreSQL startet nicht: {reason}.",
        remedy_en="See postgres.log in the data folder.",
        remedy_de="postgres.log im Datenordner ansehen.",
    ),
    "store.foreign_folder": sentence(
        en="The database folder {folder} belongs to another account.",
        de="Der Datenbankordner {folder} gehört einem anderen Konto.",
        remedy_en="Run as that account or as root, or choose another GLEICHTAKT_DATA_DIR.",
        remedy_de="Als jenes Konto oder als root starten, oder ein anderes GLEICHTAKT_DATA_DIR wählen.",
    ),
    "store.no_account": sentence(
        en="As root we need an ordinary account for the database server, and there is none of {accounts}.",
        de="Als root brauchen wir ein gewöhnliches Konto für den Datenbankserver, und es gibt keines von {accounts}.",
        remedy_en="Create one («useradd --system gleichtakt»), or run as an ordinary user.",
        remedy_de="Eines anlegen («useradd --system gleichtakt») oder als gewöhnlicher Benutzer starten.",
    ),
    "store.schema_newer": sentence(
        en="The database was upgraded by a newer release (schema {found}; this program knows up to {known}).",
        de="Die Datenbank wurde von einer neueren Version angehoben (Schema {found}; dieses Programm kennt bis {known}).",
        remedy_en="Start the newer release again; going back needs the backup made before the upgrade. Nothing was changed.",
        remedy_de="Die neuere Version wieder starten; zurück geht es nur mit der Sicherung von davor. Geändert wurde nichts.",
    ),
    "store.schema_older": sentence(
        en="The database has schema {found}; this program needs {known}.",
        de="Die Datenbank hat das Schema {found}; dieses Programm braucht {known}.",
        remedy_en="Run «gleichtakt migrate»; a backup before it is a good idea.",
        remedy_de="«gleichtakt migrate» ausführen; eine Sicherung vorher ist eine gute Idee.",
    ),
    "store.cursor_malformed": sentence(
        en="The cursor is not one of ours.",
        de="Der Cursor stammt nicht von uns.",
        remedy_en="Hand back the cursor of the last answer unchanged, or none to begin at the start.",
        remedy_de="Den Cursor der letzten Antwort unverändert zurückgeben, oder keinen, um vorn zu beginnen.",
    ),
    "store.cursor_epoch": sentence(
        en="The cursor is from before a restore of this instance.",
        de="Der Cursor stammt aus der Zeit vor einer Wiederherstellung dieser Instanz.",
        remedy_en="Read all events once, then go on from a new cursor.",
        remedy_de="Alle Termine einmal neu lesen, dann mit einem neuen Cursor fortfahren.",
    ),
    "store.cursor_pruned": sentence(
        en="The cursor is older than the changes we keep.",
        de="Der Cursor ist älter als die Änderungen, die wir aufbewahren.",
        remedy_en="Read all events once, then go on from a new cursor.",
        remedy_de="Alle Termine einmal neu lesen, dann mit einem neuen Cursor fortfahren.",
    ),
    "store.new_epoch": sentence(
        en="The run ended because the database was restored, copied or moved.",
        de="Der Lauf endete, weil die Datenbank wiederhergestellt, kopiert oder verlegt wurde.",
        remedy_en="Look at the plans of the links, then confirm the instance; until then nothing is written outside.",
        remedy_de="Die Pläne der Verknüpfungen ansehen, dann die Instanz bestätigen; bis dahin wird außen nichts geschrieben.",
    ),
    "store.key_missing": sentence(
        en="A stored secret was sealed with a key that is not at hand (key {key}).",
        de="Ein gespeichertes Geheimnis wurde mit einem Schlüssel versiegelt, der nicht vorliegt (Schlüssel {key}).",
        remedy_en="Bring back secret.key or GLEICHTAKT_SECRET_KEY of that time, or enter the login of the connection again.",
        remedy_de="secret.key oder GLEICHTAKT_SECRET_KEY von damals zurückholen, oder die Anmeldung der Verbindung neu eingeben.",
    ),
    "store.secret_tampered": sentence(
        en="A stored secret does not fit its place ({place}).",
        de="Ein gespeichertes Geheimnis passt nicht an seine Stelle ({place}).",
        remedy_en="Someone changed the database by hand: look at the audit trail, then enter the login again.",
        remedy_de="Jemand hat die Datenbank von Hand geändert: das Audit-Protokoll prüfen, dann die Anmeldung neu eingeben.",
    ),
    "store.key_malformed": sentence(
        en="The secret key is not 32 bytes in base64.",
        de="Der geheime Schlüssel besteht nicht aus 32 Byte in base64.",
        remedy_en="Make one with «openssl rand -base64 32», or leave the setting empty to have one made.",
        remedy_de="Mit «openssl rand -base64 32» einen erzeugen, oder die Einstellung leer lassen, dann wird einer angelegt.",
    ),
    "store.backup_unreadable": sentence(
        en="{file} is no backup of ours, or it is damaged ({reason}).",
        de="{file} ist keine Sicherung von uns, oder sie ist beschädigt ({reason}).",
        remedy_en="Choose another file; nothing was changed.",
        remedy_de="Eine andere Datei wählen; geändert wurde nichts.",
    ),
    "store.backup_newer": sentence(
        en="{file} was made by release {program}, which is newer than this one ({ours}).",
        de="{file} wurde mit Version {program} angelegt, die neuer ist als diese ({ours}).",
        remedy_en="Install that release and restore there; nothing was changed.",
        remedy_de="Jene Version installieren und dort einspielen; geändert wurde nichts.",
    ),
    "store.in_use": sentence(
        en="Another process is using the database.",
        de="Ein anderer Prozess benutzt die Datenbank.",
        remedy_en="Stop every «gleichtakt serve», «web» and «work» first; nothing was changed.",
        remedy_de="Zuerst jedes «gleichtakt serve», «web» und «work» beenden; geändert wurde nichts.",
    ),
    "store.no_program": sentence(
        en="{program} of PostgreSQL {major} or newer is needed and not installed.",
        de="{program} von PostgreSQL {major} oder neuer wird gebraucht und ist nicht installiert.",
        remedy_en="Install the package postgresql-client-{major}.",
        remedy_de="Das Paket postgresql-client-{major} installieren.",
    ),
    "store.program_failed": sentence(
        en="{program} failed: {reason}",
        de="{program} ist gescheitert: {reason}",
        remedy_en="Correct the cause and try again; nothing was changed.",
        remedy_de="Die Ursache beheben und es erneut versuchen; geändert wurde nichts.",
    ),
    "store.webhook_off": sentence(
        en="The webhook to {host} was switched off: it could not be reached for a day, or answered that it is gone ({status}).",
        de="Der Webhook zu {host} wurde abgeschaltet: Er war einen Tag lang nicht erreichbar oder ist nicht mehr da ({status}).",
        remedy_en="Correct the receiver and switch the webhook on; it goes on where it stopped, nothing is lost.",
        remedy_de="Den Empfänger in Ordnung bringen und den Webhook einschalten; er macht weiter, wo er stand, ohne Verlust.",
    ),
    "store.smtp_url": sentence(
        en="GLEICHTAKT_SMTP_URL cannot be read.",
        de="GLEICHTAKT_SMTP_URL ist nicht lesbar.",
        remedy_en="Write it as smtp://user:password@host:587?from=address, or smtps://… for port 465.",
        remedy_de="So schreiben: smtp://user:password@host:587?from=adresse, oder smtps://… für Port 465.",
    ),
    "store.mail_malformed": sentence(
        en="The mail has no usable address or subject.",
        de="Die Mail hat keine brauchbare Adresse oder keinen brauchbaren Betreff.",
        remedy_en="Correct the e-mail address of the person; the mail is not tried again.",
        remedy_de="Die E-Mail-Adresse der Person berichtigen; die Mail wird nicht erneut versucht.",
    ),
    "store.mail_refused": sentence(
        en="The mail server {host} does not take the mail ({status}).",
        de="Der Mailserver {host} nimmt die Mail nicht an ({status}).",
        remedy_en="Check the recipient's address and what that server allows us to send.",
        remedy_de="Die Adresse des Empfängers prüfen, und was jener Server uns zu senden erlaubt.",
    ),
    "store.mail_away": sentence(
        en="The mail server {host} cannot be used at the moment ({status}).",
        de="Der Mailserver {host} ist im Augenblick nicht benutzbar ({status}).",
        remedy_en="It is tried again for a day; check GLEICHTAKT_SMTP_URL if it stays so.",
        remedy_de="Der Versuch wird einen Tag lang wiederholt; bleibt es dabei, GLEICHTAKT_SMTP_URL prüfen.",
    ),
}
