"""Sentences about iCalendar text: why a file or an event is not read, and what was read with a repair."""

from gleichtakt.errors import Sentence, sentence

_SOURCE_EN = "Correct it at its source; it is neither copied nor deleted and read again when it changes."
_SOURCE_DE = "An der Quelle berichtigen; bis dahin wird nichts kopiert oder gelöscht, und bei Änderung neu gelesen."
_FETCH_EN = "Nothing to do: what was read before stays, and the file is fetched again by itself."
_FETCH_DE = "Nichts zu tun: Der letzte Stand bleibt, und die Datei wird von selbst neu geholt."
_NOTE_EN = "Nothing to do; if it is not what is meant, correct it at its source."
_NOTE_DE = "Nichts zu tun; ist es anders gemeint, an der Quelle berichtigen."

SENTENCES: dict[str, Sentence] = {
    # --- the file as a whole
    "ics.not_calendar": sentence(
        en="This is no iCalendar file: no calendar begins in it (line {line}).",
        de="Das ist keine iCalendar-Datei: Es beginnt kein Kalender darin (Zeile {line}).",
        remedy_en="Check that the address leads to a calendar and not to a web page or a login.",
        remedy_de="Prüfen, ob die Adresse zu einem Kalender führt und nicht zu einer Webseite oder Anmeldung.",
    ),
    "ics.truncated": sentence(
        en="The calendar file is cut off: it stops in line {line} before END:VCALENDAR.",
        de="Die Kalenderdatei ist abgeschnitten: Sie hört in Zeile {line} vor END:VCALENDAR auf.",
        remedy_en=_FETCH_EN,
        remedy_de=_FETCH_DE,
    ),
    "ics.nested_calendar": sentence(
        en="In line {line} a calendar begins inside a calendar.",
        de="In Zeile {line} beginnt ein Kalender innerhalb eines Kalenders.",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    "ics.too_large": sentence(
        en="The calendar file has {found} bytes; {limit} are allowed.",
        de="Die Kalenderdatei hat {found} Bytes; {limit} sind erlaubt.",
        remedy_en="Ask the publisher for a shorter stretch of time, or raise the limit.",
        remedy_de="Den Anbieter um einen kürzeren Zeitraum bitten oder die Grenze erhöhen.",
    ),
    "ics.line_too_long": sentence(
        en="The line that begins in line {line} is longer than {limit} bytes.",
        de="Die Zeile, die in Zeile {line} beginnt, ist länger als {limit} Bytes.",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    "ics.too_deep": sentence(
        en="In line {line} components are nested deeper than {limit} levels.",
        de="In Zeile {line} sind Bestandteile tiefer als {limit} Stufen verschachtelt.",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    # --- one event
    "ics.unclosed": sentence(
        en="The event that begins in line {line} has no end (END:VEVENT is missing).",
        de="Der Termin, der in Zeile {line} beginnt, hat kein Ende (END:VEVENT fehlt).",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    "ics.no_start": sentence(
        en="The event that begins in line {line} has no start (DTSTART is missing).",
        de="Der Termin, der in Zeile {line} beginnt, hat keinen Anfang (DTSTART fehlt).",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    "ics.bad_start": sentence(
        en="The start in line {line} is no date or time.",
        de="Der Anfang in Zeile {line} ist weder Datum noch Uhrzeit.",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    "ics.bad_recurrence_id": sentence(
        en="The changed occurrence in line {line} does not say which one it is (RECURRENCE-ID is no date).",
        de="Das geänderte Vorkommen in Zeile {line} sagt nicht, welches es ist (RECURRENCE-ID ist kein Datum).",
        remedy_en=_SOURCE_EN,
        remedy_de=_SOURCE_DE,
    ),
    "ics.too_many_attendees": sentence(
        en="The event has more attendees than can be read (line {line}).",
        de="Der Termin hat mehr Teilnehmer, als gelesen werden können (Zeile {line}).",
        remedy_en="Invite a group address instead of its members.",
        remedy_de="Eine Gruppenadresse statt ihrer Mitglieder einladen.",
    ),
    "ics.other_calendar": sentence(
        en="The rule of the event in line {line} counts in a calendar other than the Gregorian one (RSCALE).",
        de="Die Regel des Termins in Zeile {line} zählt in einem anderen als dem gregorianischen Kalender (RSCALE).",
        remedy_en="Write the event with a Gregorian rule or as single dates.",
        remedy_de="Den Termin mit gregorianischer Regel oder als einzelne Tage schreiben.",
    ),
    "ics.this_and_future": sentence(
        en="The change of this and all following occurrences in line {line} cannot be followed.",
        de="Die Änderung dieses und aller folgenden Vorkommen in Zeile {line} lässt sich nicht nachvollziehen.",
        remedy_en="End the series there and begin a new one.",
        remedy_de="Die Serie dort beenden und eine neue beginnen.",
    ),
    "ics.too_dense": sentence(
        en="The event repeats too often to be worked with.",
        de="Der Termin wiederholt sich zu oft, um damit zu arbeiten.",
        remedy_en="Give the rule an end, or let it repeat less often; the other events are not affected.",
        remedy_de="Der Regel ein Ende geben oder sie seltener wiederholen lassen; die übrigen Termine sind nicht betroffen.",
    ),
    "ics.series_missing": sentence(
        en="The calendar object does not hold the event any more.",
        de="Das Kalenderobjekt enthält den Termin nicht mehr.",
        remedy_en="Nothing to do: the next pass compares both sides again.",
        remedy_de="Nichts zu tun: Der nächste Durchlauf vergleicht beide Seiten neu.",
    ),
    # --- read all the same
    "ics.text_outside": sentence(
        en="There is text before or after the calendar; it was passed over.",
        de="Vor oder nach dem Kalender steht weiterer Text; er wurde übergangen.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.no_calendar_around": sentence(
        en="The events stand without a calendar around them.",
        de="Die Termine stehen ohne einen Kalender um sie herum.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.stray_end": sentence(
        en="A component ends that never began; the line was passed over.",
        de="Ein Bestandteil endet, der nie begann; die Zeile wurde übergangen.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.line_ignored": sentence(
        en="A line has no name or no value; it was passed over.",
        de="Eine Zeile hat keinen Namen oder keinen Wert; sie wurde übergangen.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.date_ignored": sentence(
        en="One of the listed dates is no date; it was passed over.",
        de="Eines der aufgezählten Daten ist keines; es wurde übergangen.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.end_ignored": sentence(
        en="The end of the event is not readable; it is taken to end as it begins.",
        de="Das Ende des Termins ist unlesbar; er gilt als im Anfang beendet.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.end_before_start": sentence(
        en="The event ends before it begins; it is taken to end as it begins, or to last one day.",
        de="Der Termin endet vor seinem Anfang; er gilt als im Anfang beendet oder als eintägig.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.no_uid": sentence(
        en="The event has no UID; it is known by its content.",
        de="Der Termin hat keine UID; er wird an seinem Inhalt erkannt.",
        remedy_en="A change of its time or title makes it a new event; let its source write a UID.",
        remedy_de="Ändern sich Zeit oder Titel, gilt er als neuer Termin; die Quelle sollte eine UID schreiben.",
    ),
    "ics.duplicate_uid": sentence(
        en="The event stands in the file more than once; the newest counts.",
        de="Der Termin steht mehrfach in der Datei; der neueste zählt.",
        remedy_en=_NOTE_EN,
        remedy_de=_NOTE_DE,
    ),
    "ics.override_unmatched": sentence(
        en="A changed occurrence belongs to no date of its series; it is shown in addition.",
        de="Ein geändertes Vorkommen gehört zu keinem Datum seiner Serie; es wird zusätzlich gezeigt.",
        remedy_en="Look at the series at its source and delete the occurrence if it is left over.",
        remedy_de="Die Serie an der Quelle ansehen und das Vorkommen löschen, falls es übrig geblieben ist.",
    ),
    "ics.zone_guessed": sentence(
        en="The time zone of the event is unknown; the calendar's own is used.",
        de="Die Zeitzone des Termins ist unbekannt; es gilt die des Kalenders.",
        remedy_en="Check the hour; set a time zone with a known name at the source.",
        remedy_de="Die Uhrzeit prüfen; an der Quelle eine Zeitzone mit bekanntem Namen setzen.",
    ),
    "ics.zone_unknown": sentence(
        en="The time zone of the event is unknown, and the calendar has none; its hours count where the reader is.",
        de="Die Zeitzone des Termins ist unbekannt, und der Kalender hat keine; die Uhrzeit gilt am Ort des Lesers.",
        remedy_en="Check the hour; set a time zone with a known name at the source.",
        remedy_de="Die Uhrzeit prüfen; an der Quelle eine Zeitzone mit bekanntem Namen setzen.",
    ),
}
