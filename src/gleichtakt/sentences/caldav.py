"""Sentences about CalDAV servers."""

from gleichtakt.errors import Sentence, sentence

SENTENCES: dict[str, Sentence] = {
    "caldav.not_found": sentence(
        en="No CalDAV service was found at {host}.",
        de="Bei {host} wurde kein CalDAV-Dienst gefunden.",
        remedy_en="Enter the full address of the service, such as https://{host}/dav/ (ask its operator).",
        remedy_de="Die vollständige Adresse des Dienstes eintragen, etwa https://{host}/dav/ (beim Betreiber erfragen).",
    ),
    "caldav.principal_unknown": sentence(
        en="{host} does not show the calendars of this person to our login.",
        de="{host} zeigt unserer Anmeldung die Kalender dieser Person nicht.",
        remedy_en="Share the calendar with our login, or name its path in the link.",
        remedy_de="Den Kalender für unsere Anmeldung freigeben oder seinen Pfad in der Verknüpfung nennen.",
    ),
    "caldav.method_not_offered": sentence(
        en="{host} does not offer the sign-in method «{method}»; it offers {offered}.",
        de="{host} bietet das Anmeldeverfahren «{method}» nicht an, sondern {offered}.",
        remedy_en="Choose one of these methods in the connection.",
        remedy_de="Eines dieser Verfahren in der Verbindung wählen.",
    ),
    "caldav.not_a_calendar": sentence(
        en="The address at {host} leads to a folder that is no calendar.",
        de="Die Adresse bei {host} führt zu einem Ordner, der kein Kalender ist.",
        remedy_en="Choose the calendar from the list again; nothing is deleted on our side.",
        remedy_de="Den Kalender neu aus der Liste wählen; bei uns wird nichts gelöscht.",
    ),
    "caldav.no_calendars": sentence(
        en="This login sees no calendar.",
        de="Diese Anmeldung sieht keinen Kalender.",
        remedy_en="Create a calendar there or share one with this login.",
        remedy_de="Dort einen Kalender anlegen oder einen für diese Anmeldung freigeben.",
    ),
    "caldav.not_given": sentence(
        en="{host} does not hand out one event ({status}).",
        de="{host} gibt einen Termin nicht heraus ({status}).",
        remedy_en="It is neither copied nor deleted and asked for again later; look at the log of that server if it stays so.",
        remedy_de="Er wird weder kopiert noch gelöscht und später neu angefragt; sonst das Protokoll jenes Servers prüfen.",
    ),
    "caldav.several_uids": sentence(
        en="One calendar file holds {count} different events, which CalDAV does not allow.",
        de="Eine Kalenderdatei enthält {count} verschiedene Termine; das erlaubt CalDAV nicht.",
        remedy_en="Save each of these events again in a calendar program; until then they are neither copied nor deleted.",
        remedy_de="Jeden dieser Termine in einem Kalenderprogramm neu speichern; bis dahin wird nichts kopiert oder gelöscht.",
    ),
    "caldav.control_characters": sentence(
        en="The event contained control characters, which were replaced while reading.",
        de="Der Termin enthielt Steuerzeichen, die beim Lesen ersetzt wurden.",
        remedy_en="Nothing to do: it is not written back for that reason.",
        remedy_de="Nichts zu tun: Er wird deswegen nicht zurückgeschrieben.",
    ),
    "caldav.uid_taken": sentence(
        en="{host} refuses the event because its UID is in use there, even with a suffix.",
        de="{host} weist den Termin ab, weil seine UID dort schon vergeben ist, auch mit Zusatz.",
        remedy_en="Look for the same event in another calendar of that person and delete the one that is not needed.",
        remedy_de="In den anderen Kalendern dieser Person nach demselben Termin suchen und den überflüssigen löschen.",
    ),
    "caldav.would_mail": sentence(
        en="{host} would send mails to the attendees, and cannot be told not to.",
        de="{host} würde den Teilnehmenden Mails schicken und lässt sich das nicht ausreden.",
        remedy_en="Change this meeting in the calendar itself, set `attendees: omit`, or allow mails with `notify: all`.",
        remedy_de="Diese Besprechung im Kalender selbst ändern, `attendees: omit` setzen oder Mails mit `notify: all` erlauben.",
    ),
    "caldav.scheduling_refused": sentence(
        en="{host} does not let this login change a meeting that someone else organizes ({reason}).",
        de="{host} lässt diese Anmeldung eine von anderen organisierte Besprechung nicht ändern ({reason}).",
        remedy_en="Ask the organizer to change it; nothing is deleted or created anew.",
        remedy_de="Die organisierende Person um die Änderung bitten; es wird nichts gelöscht oder neu angelegt.",
    ),
    "caldav.too_many_occurrences": sentence(
        en="{host} does not accept a series with so many occurrences.",
        de="{host} nimmt eine Serie mit so vielen Terminen nicht an.",
        remedy_en="Shorten the series; it is tried again when it changes.",
        remedy_de="Die Serie kürzen; danach wird es erneut versucht.",
    ),
    "caldav.too_many_attendees": sentence(
        en="{host} does not accept so many attendees.",
        de="{host} nimmt so viele Teilnehmende nicht an.",
        remedy_en="Invite fewer people or a group; it is tried again when the event changes.",
        remedy_de="Weniger Personen oder eine Gruppe einladen; nach einer Änderung wird es erneut versucht.",
    ),
    "caldav.date_out_of_range": sentence(
        en="{host} does not hold events at that date.",
        de="{host} speichert keine Termine zu diesem Datum.",
        remedy_en="Change the date; the event stays listed until then.",
        remedy_de="Das Datum ändern; bis dahin bleibt der Termin aufgeführt.",
    ),
    "caldav.no_events_here": sentence(
        en="The calendar at {host} takes no events (it is a list of tasks or notes).",
        de="Der Kalender bei {host} nimmt keine Termine an (er ist eine Aufgaben- oder Notizliste).",
        remedy_en="Choose another calendar for the link.",
        remedy_de="Einen anderen Kalender für die Verknüpfung wählen.",
    ),
    "caldav.vanished": sentence(
        en="{host} accepted an event and does not show it.",
        de="{host} hat einen Termin angenommen und zeigt ihn nicht.",
        remedy_en="Nothing to do: it is looked up again before anything is repeated.",
        remedy_de="Nichts zu tun: Er wird nachgeschlagen, bevor etwas wiederholt wird.",
    ),
    "caldav.read_only": sentence(
        en="{host} gives this login the right to read the calendar but not to write it.",
        de="{host} gibt dieser Anmeldung das Recht, den Kalender zu lesen, aber nicht, ihn zu schreiben.",
        remedy_en="Share the calendar with the right to write, or set `direction: inbound` on the link.",
        remedy_de="Den Kalender mit Schreibrecht freigeben oder `direction: inbound` an der Verknüpfung setzen.",
    ),
    "caldav.slow_poll": sentence(
        en="{host} offers neither sync-collection nor getctag: each look at the calendar lists all of it.",
        de="{host} bietet weder sync-collection noch getctag: Jeder Blick in den Kalender listet ihn ganz auf.",
        remedy_en="Choose an interval of five minutes or more for large calendars.",
        remedy_de="Für große Kalender ein Intervall von fünf Minuten oder mehr wählen.",
    ),
    "caldav.clock": sentence(
        en="The clock of {host} differs from ours by {seconds} seconds.",
        de="Die Uhr von {host} weicht um {seconds} Sekunden von unserer ab.",
        remedy_en="Switch on time synchronisation on both machines; changes are found all the same.",
        remedy_de="Auf beiden Maschinen die Zeitsynchronisation einschalten; Änderungen werden trotzdem erkannt.",
    ),
}
