"""Sentences about recurrence: what was repaired while reading, and why a system cannot hold a rule."""

from gleichtakt.errors import Sentence, sentence

_EXPLODED_EN = "Nothing to do: its occurrences are copied as single events for the coming months."
_EXPLODED_DE = "Nichts zu tun: Die Vorkommen der nächsten Monate werden als Einzeltermine kopiert."


def _inexpressible(en: str, de: str) -> Sentence:
    return sentence(
        en=f"The calendar system cannot hold this recurrence: {en}.",
        de=f"Das Kalendersystem kann diese Wiederholung nicht speichern: {de}.",
        remedy_en=_EXPLODED_EN,
        remedy_de=_EXPLODED_DE,
    )


SENTENCES: dict[str, Sentence] = {
    "recurrence.repaired": sentence(
        en="The recurrence rule of this event is malformed and was read as it was most likely meant.",
        de="Die Wiederholungsregel dieses Termins ist fehlerhaft und wurde so gelesen, wie sie wohl gemeint war.",
        remedy_en="Check the dates of the series, and save it again at its source.",
        remedy_de="Die Daten der Serie prüfen und sie an der Quelle neu speichern.",
    ),
    "recurrence.first_only": sentence(
        en="The recurrence rule of this event cannot be understood; only its first occurrence is kept.",
        de="Die Wiederholungsregel dieses Termins ist unverständlich; nur der erste Termin wird geführt.",
        remedy_en="Set the recurrence again at its source.",
        remedy_de="Die Wiederholung an der Quelle neu einstellen.",
    ),
    "recurrence.too_dense": sentence(
        en="The event repeats too often to be copied as single events.",
        de="Der Termin wiederholt sich zu oft, um als Einzeltermine kopiert zu werden.",
        remedy_en="Limit the recurrence (an end date, or fewer times a day); the other events go on.",
        remedy_de="Die Wiederholung begrenzen (Enddatum oder seltener am Tag); die übrigen Termine laufen weiter.",
    ),
    "recurrence.never": _inexpressible("it never takes place", "sie findet nie statt"),
    "recurrence.several_rules": _inexpressible("it has several rules", "sie hat mehrere Regeln"),
    "recurrence.extra_dates": _inexpressible("it has extra dates beside its rule", "sie hat Zusatztermine neben der Regel"),
    "recurrence.hours": _inexpressible("it repeats within a day", "sie wiederholt sich innerhalb eines Tages"),
    "recurrence.interval": _inexpressible("its interval is too long", "ihr Abstand ist zu groß"),
    "recurrence.week_numbers": _inexpressible("it counts weeks of the year", "sie zählt Kalenderwochen"),
    "recurrence.year_days": _inexpressible("it counts days of the year", "sie zählt Tage des Jahres"),
    "recurrence.months": _inexpressible("it names several months", "sie nennt mehrere Monate"),
    "recurrence.month_days": _inexpressible("it names several days of the month", "sie nennt mehrere Tage im Monat"),
    "recurrence.short_months": _inexpressible(
        "it skips months without that day, where the calendar system would take their last day",
        "sie lässt Monate ohne diesen Tag aus, wo das Kalendersystem deren letzten Tag nähme",
    ),
    "recurrence.ordinals": _inexpressible(
        "it names another than the first to fourth or last weekday",
        "sie nennt einen anderen als den ersten bis vierten oder letzten Wochentag",
    ),
    "recurrence.positions": _inexpressible(
        "it picks from an unusual set of days", "sie wählt aus einer ungewöhnlichen Menge von Tagen"
    ),
    "recurrence.daily_limits": _inexpressible("it is daily, but not on all days", "sie ist täglich, aber nicht an allen Tagen"),
    "recurrence.weekly_limits": _inexpressible(
        "it is weekly, but not in all weeks", "sie ist wöchentlich, aber nicht in allen Wochen"
    ),
    "recurrence.order": _inexpressible(
        "its occurrences pass or overlap each other", "ihre Vorkommen überholen oder überschneiden einander"
    ),
    "recurrence.none": _inexpressible("it holds single events only", "es führt nur einzelne Termine"),
    "recurrence.own_zone": _inexpressible("its time zone is one of its own", "ihre Zeitzone ist eine eigene"),
    "recurrence.detached": _inexpressible("only single occurrences are known", "nur einzelne Vorkommen sind bekannt"),
}
