"""Sentences that every provider shares."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    "general.cursor_expired": sentence(
        en="The calendar system no longer accepts our reading position.",
        de="Das Kalendersystem nimmt unsere Leseposition nicht mehr an.",
        remedy_en="Nothing to do: the calendar is listed again by itself; nothing is deleted on that ground.",
        remedy_de="Nichts zu tun: Der Kalender wird von selbst neu gelesen; gelöscht wird deswegen nichts.",
    ),
    "general.gone": sentence(
        en="The event no longer exists in the calendar system.",
        de="Der Termin existiert im Kalendersystem nicht mehr.",
        remedy_en="Nothing to do: the next pass compares both sides again.",
        remedy_de="Nichts zu tun: Der nächste Durchlauf vergleicht beide Seiten neu.",
    ),
    "general.stale": sentence(
        en="The event was changed in the calendar system while we were writing.",
        de="Der Termin wurde im Kalendersystem geändert, während wir schrieben.",
        remedy_en="Nothing to do: both changes are merged in the next pass.",
        remedy_de="Nichts zu tun: Beide Änderungen werden im nächsten Durchlauf zusammengeführt.",
    ),
    "general.name_unknown": sentence(
        en="The name {host} is not known on this machine.",
        de="Der Name {host} ist auf diesem Rechner nicht bekannt.",
        remedy_en="Check the spelling and the name server: `getent hosts {host}` has to show an address.",
        remedy_de="Schreibweise und Namensserver prüfen: `getent hosts {host}` muss eine Adresse zeigen.",
    ),
    "general.unreachable": sentence(
        en="{host} cannot be reached.",
        de="{host} ist nicht erreichbar.",
        remedy_en="Check port and firewall: `curl -v {url}` on this machine shows how far it gets; it is tried again by itself.",
        remedy_de="Port und Firewall prüfen: `curl -v {url}` auf diesem Rechner zeigt, wie weit es kommt; wird wiederholt.",
    ),
    "general.timeout": sentence(
        en="{host} did not answer in time.",
        de="{host} hat nicht rechtzeitig geantwortet.",
        remedy_en="It is tried again by itself; if it stays so, look at the load of that server.",
        remedy_de="Der Versuch wird von selbst wiederholt; bleibt es dabei, die Last jenes Servers prüfen.",
    ),
    "general.answer_lost": sentence(
        en="{host} broke the connection before it answered; whether the change arrived is being read back.",
        de="{host} hat die Verbindung vor der Antwort beendet; ob die Änderung ankam, wird zurückgelesen.",
        remedy_en="Nothing to do: the change is looked up before anything is repeated.",
        remedy_de="Nichts zu tun: Die Änderung wird nachgeschlagen, bevor etwas wiederholt wird.",
    ),
    "general.server_error": sentence(
        en="{host} reported an error of its own ({status}).",
        de="{host} meldete einen eigenen Fehler ({status}).",
        remedy_en="It is tried again by itself; if it stays so, look at the log of that server.",
        remedy_de="Der Versuch wird von selbst wiederholt; bleibt es dabei, das Protokoll jenes Servers prüfen.",
    ),
    "general.throttled": sentence(
        en="{host} asked us to slow down until {until}.",
        de="{host} bat uns, bis {until} langsamer zu machen.",
        remedy_en="Nothing to do: work for this account goes on by itself after that.",
        remedy_de="Nichts zu tun: Die Arbeit für dieses Konto geht danach von selbst weiter.",
    ),
    "general.login_refused": sentence(
        en="{host} refused the login.",
        de="{host} hat die Anmeldung abgelehnt.",
        remedy_en="Check user name and password of the connection and save it again; until then nothing is tried.",
        remedy_de="Benutzername und Passwort der Verbindung prüfen und neu speichern; bis dahin gibt es keinen Versuch.",
    ),
    "general.forbidden": sentence(
        en="{host} allows the login but not this action.",
        de="{host} lässt die Anmeldung zu, aber nicht diese Aktion.",
        remedy_en="Give the account the right to read and write this calendar.",
        remedy_de="Dem Konto das Recht geben, diesen Kalender zu lesen und zu schreiben.",
    ),
    "general.tls": sentence(
        en="The certificate of {host} is not trusted: {reason}.",
        de="Dem Zertifikat von {host} wird nicht vertraut: {reason}.",
        remedy_en="Store the issuing CA (PEM) or the SHA-256 pin in the connection;"
        " `openssl s_client -connect {address} -showcerts </dev/null` shows the chain.",
        remedy_de="Die ausstellende CA (PEM) oder den SHA-256-Pin in der Verbindung hinterlegen;"
        " `openssl s_client -connect {address} -showcerts </dev/null` zeigt die Kette.",
    ),
    "general.tls_name": sentence(
        en="The certificate of {host} is made out to another name: {reason}.",
        de="Das Zertifikat von {host} ist auf einen anderen Namen ausgestellt: {reason}.",
        remedy_en="Use the name in the certificate:"
        " `openssl s_client -connect {address} </dev/null | openssl x509 -noout -ext subjectAltName`.",
        remedy_de="Den Namen aus dem Zertifikat verwenden:"
        " `openssl s_client -connect {address} </dev/null | openssl x509 -noout -ext subjectAltName`.",
    ),
    "general.tls_expired": sentence(
        en="The certificate of {host} is not valid today: {reason}.",
        de="Das Zertifikat von {host} gilt heute nicht: {reason}.",
        remedy_en="Renew it on that server and check the clocks;"
        " `openssl s_client -connect {address} </dev/null | openssl x509 -noout -dates` shows its time.",
        remedy_de="Es auf jenem Server erneuern und die Uhren prüfen;"
        " `openssl s_client -connect {address} </dev/null | openssl x509 -noout -dates` zeigt seine Gültigkeit.",
    ),
    "general.tls_ends_soon": sentence(
        en="The certificate of {host} ends on {until}.",
        de="Das Zertifikat von {host} endet am {until}.",
        remedy_en="Renew it on that server before that day; afterwards nothing is synced any more.",
        remedy_de="Es auf jenem Server vor diesem Tag erneuern; danach wird nicht mehr abgeglichen.",
    ),
    "general.tls_old": sentence(
        en="{host} offers no TLS 1.2 or newer.",
        de="{host} bietet kein TLS 1.2 oder neuer an.",
        remedy_en="Enable TLS 1.2 on that server, older versions are not used;"
        " `openssl s_client -connect {address} -tls1_2 </dev/null` shows when it works.",
        remedy_de="TLS 1.2 auf jenem Server einschalten, ältere Versionen werden nicht benutzt;"
        " `openssl s_client -connect {address} -tls1_2 </dev/null` zeigt, wann es gelingt.",
    ),
    "general.no_tls": sentence(
        en="{address} does not speak TLS.",
        de="{address} spricht kein TLS.",
        remedy_en="Use the port for https, or in a trusted network an address with http:// and `allow_insecure`.",
        remedy_de="Den Port für https verwenden, in einem vertrauten Netz auch http:// mit `allow_insecure`.",
    ),
    "general.calendar_missing": sentence(
        en="The linked calendar was not found at {host}.",
        de="Der verknüpfte Kalender wurde bei {host} nicht gefunden.",
        remedy_en="Choose another calendar for the link, or restore it there; nothing is deleted on our side.",
        remedy_de="Einen anderen Kalender verknüpfen oder ihn dort wiederherstellen; bei uns wird nichts gelöscht.",
    ),
    "general.malformed": sentence(
        en="{host} answered with something that cannot be read ({reason}).",
        de="{host} antwortete mit etwas Unlesbarem ({reason}).",
        remedy_en="Check that the address leads to a calendar and not to a login page or a proxy.",
        remedy_de="Prüfen, ob die Adresse zu einem Kalender führt und nicht zu einer Anmeldeseite oder einem Proxy.",
    ),
    "general.too_large": sentence(
        en="The event is larger than {host} accepts.",
        de="Der Termin ist größer, als {host} annimmt.",
        remedy_en="Shorten the description; the event stays listed until then.",
        remedy_de="Die Beschreibung kürzen; bis dahin bleibt der Termin aufgeführt.",
    ),
    "general.rejected": sentence(
        en="{host} does not accept this event ({reason}).",
        de="{host} nimmt diesen Termin nicht an ({reason}).",
        remedy_en="Change the event; it is tried again when it changes.",
        remedy_de="Den Termin ändern; danach wird es erneut versucht.",
    ),
    "general.unreadable": sentence(
        en="One event could not be read: {reason}.",
        de="Ein Termin konnte nicht gelesen werden: {reason}.",
        remedy_en="It is neither copied nor deleted, and read again when it changes; correct it at its source.",
        remedy_de="Er wird weder kopiert noch gelöscht und bei Änderung neu gelesen; an der Quelle berichtigen.",
    ),
    "general.broken_off": sentence(
        en="{host} broke the connection before the answer was complete.",
        de="{host} hat die Verbindung vor dem Ende der Antwort beendet.",
        remedy_en="It is tried again by itself; if it stays so, look at proxies and the load of that server.",
        remedy_de="Der Versuch wird von selbst wiederholt; bleibt es dabei, Proxys und die Last jenes Servers prüfen.",
    ),
    "general.answer_too_large": sentence(
        en="{host} sent more than {most} in one answer.",
        de="{host} schickte mehr als {most} in einer Antwort.",
        remedy_en="Check that the address leads to a calendar; otherwise split the calendar there.",
        remedy_de="Prüfen, ob die Adresse zu einem Kalender führt; sonst den Kalender dort teilen.",
    ),
    "general.storage_full": sentence(
        en="{host} has no room left for this account.",
        de="{host} hat für dieses Konto keinen Platz mehr.",
        remedy_en="Raise the quota or remove old data there; it is tried again by itself.",
        remedy_de="Dort das Kontingent erhöhen oder alte Daten entfernen; der Versuch wird von selbst wiederholt.",
    ),
    "general.unencrypted": sentence(
        en="{host} would be reached without encryption.",
        de="{host} würde unverschlüsselt angesprochen.",
        remedy_en="Use an address with https, or set `allow_insecure` on the connection if the network is trusted.",
        remedy_de="Eine Adresse mit https verwenden oder in einem vertrauten Netz `allow_insecure` in der Verbindung setzen.",
    ),
    "general.redirect_refused": sentence(
        en="{host} sends us on to {target}, which is not approved or not encrypted.",
        de="{host} verweist auf {target}; dieser Host ist nicht freigegeben oder unverschlüsselt.",
        remedy_en="If {target} is right, add it to `approved_hosts` of the connection or enter its address directly.",
        remedy_de="Stimmt {target}, den Namen in `approved_hosts` der Verbindung aufnehmen oder seine Adresse direkt eintragen.",
    ),
    "general.private_address": sentence(
        en="{host} lies inside a private network and is not reached from here.",
        de="{host} liegt in einem privaten Netz und wird nicht angesprochen.",
        remedy_en="If that is meant, add the host or network to `allow_private_hosts` (server) or `private_hosts` (connection).",
        remedy_de="Ist das gewollt: Host oder Netz in `allow_private_hosts` (Server) oder `private_hosts` (Verbindung) nennen.",
    ),
    "general.bad_address": sentence(
        en="The address of {host} cannot be read.",
        de="Die Adresse von {host} ist nicht lesbar.",
        remedy_en="Enter an address such as https://calendar.example.com/dav/.",
        remedy_de="Eine Adresse wie https://calendar.example.com/dav/ eintragen.",
    ),
    "general.bad_trust": sentence(
        en="The stored certificate or pin cannot be read: {reason}.",
        de="Das hinterlegte Zertifikat oder der Pin ist nicht lesbar: {reason}.",
        remedy_en="Store the authority as PEM (-----BEGIN CERTIFICATE-----), the pin as SHA-256 in hex or base64.",
        remedy_de="Die Stelle als PEM (-----BEGIN CERTIFICATE-----) und den Pin als SHA-256 in Hex oder Base64 hinterlegen.",
    ),
}
