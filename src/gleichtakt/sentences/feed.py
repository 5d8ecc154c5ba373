"""Sentences about calendar feeds."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    "feed.gone": sentence(
        en="There is no calendar file at this address of {host} any more.",
        de="Unter dieser Adresse von {host} liegt keine Kalenderdatei mehr.",
        remedy_en="Ask the publisher for the new address; what was read so far is kept.",
        remedy_de="Beim Anbieter die neue Adresse erfragen; das bisher Gelesene bleibt erhalten.",
    ),
    "feed.truncated": sentence(
        en="The calendar file of {host} broke off before its end.",
        de="Die Kalenderdatei von {host} bricht vor ihrem Ende ab.",
        remedy_en="Nothing to do: the last complete version counts, and it is fetched again by itself.",
        remedy_de="Nichts zu tun: Die letzte vollständige Fassung gilt, und sie wird von selbst neu geholt.",
    ),
    "feed.not_a_calendar": sentence(
        en="{host} sent something that is no calendar, perhaps a sign-in page.",
        de="{host} schickte etwas, das kein Kalender ist, vielleicht eine Anmeldeseite.",
        remedy_en="Open the address in a browser without signing in: it has to give a file that begins with BEGIN:VCALENDAR.",
        remedy_de="Die Adresse ohne Anmeldung im Browser öffnen: Es muss eine Datei kommen, die mit BEGIN:VCALENDAR beginnt.",
    ),
    "feed.too_large": sentence(
        en="The calendar file of {host} is larger than {most}.",
        de="Die Kalenderdatei von {host} ist größer als {most}.",
        remedy_en="Ask for a feed with a shorter period, or raise `max_megabytes` of the connection.",
        remedy_de="Einen Feed mit kürzerem Zeitraum erbitten oder `max_megabytes` der Verbindung erhöhen.",
    ),
    "feed.bomb": sentence(
        en="The calendar file of {host} unpacks to an absurd size and was not read.",
        de="Die Kalenderdatei von {host} entpackt sich auf eine absurde Größe und wurde nicht gelesen.",
        remedy_en="Check whether the address is the right one; if it is, tell its operator.",
        remedy_de="Prüfen, ob die Adresse stimmt; wenn ja, den Betreiber verständigen.",
    ),
    "feed.file_refused": sentence(
        en="Local files are read only below a folder that is allowed for it.",
        de="Lokale Dateien werden nur unterhalb eines dafür erlaubten Ordners gelesen.",
        remedy_en="Set `files_below` of the connection to that folder, or use an address with https.",
        remedy_de="`files_below` der Verbindung auf diesen Ordner setzen oder eine Adresse mit https verwenden.",
    ),
    "feed.read_only": sentence(
        en="A feed can only be read.",
        de="Ein Feed lässt sich nur lesen.",
        remedy_en="Link a calendar that can be written, such as one on a CalDAV server.",
        remedy_de="Einen beschreibbaren Kalender verknüpfen, etwa einen auf einem CalDAV-Server.",
    ),
    "feed.unstable_uids": sentence(
        en="The publisher gives its events new identifiers at each download.",
        de="Der Anbieter vergibt seinen Terminen bei jedem Abruf neue Kennungen.",
        remedy_en="Nothing to do: events are recognised by start, end, title and rule; a moved event counts as a new one.",
        remedy_de="Nichts zu tun: Termine werden an Beginn, Ende, Titel und Regel erkannt; ein verschobener gilt als neuer.",
    ),
    "feed.look_later": sentence(
        en="An event is not found in the feed of {host} at the moment.",
        de="Ein Termin ist im Feed von {host} gerade nicht zu finden.",
        remedy_en="Nothing to do: it is neither copied nor deleted and looked for again with the next download.",
        remedy_de="Nichts zu tun: Er wird weder kopiert noch gelöscht und beim nächsten Abruf wieder gesucht.",
    ),
    "feed.some_unreadable": sentence(
        en="{count} events of {host} could not be read.",
        de="{count} Termine von {host} waren nicht lesbar.",
        remedy_en="They are listed under problems with their reasons; the others are read.",
        remedy_de="Sie stehen mit ihren Gründen unter den Problemen; die übrigen werden gelesen.",
    ),
}
