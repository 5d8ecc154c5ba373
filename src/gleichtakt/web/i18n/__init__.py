"""The words of the pages: messages in the reader's language, dates and numbers as it writes them.

English stands in the templates, German in `de/LC_MESSAGES/messages.po`, which is read as it is at start, so that a
fresh clone needs no build step. Moments are aware; a reader's zone turns them into hours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_datetime, format_interval, format_time, format_timedelta
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations

from gleichtakt.errors import LANGUAGES, Language
from gleichtakt.model.point import Day, Floating, Point, Zoned

HERE = Path(__file__).parent
LOCALES: dict[Language, Locale] = {"de": Locale("de", "DE"), "en": Locale("en", "GB")}
NAMES: dict[Language, str] = {"de": "Deutsch", "en": "English"}
SHORT_DAY = {"de": "EEEEEE, d. MMM", "en": "EEE d MMM"}
#: A moment as sentences tell it, see `errors`.
_MOMENT = re.compile(r"(?:(?P<day>\d{4}-\d\d-\d\d) )?(?P<clock>\d\d:\d\d(?::\d\d)?) UTC")
SHORT_DAY_YEAR = {"de": "EEEEEE, d. MMM y", "en": "EEE d MMM y"}


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a message for the catalogue where it stands as a value; it is translated where it is shown."""
    return message


@cache
def translations(language: Language) -> Translations:
    """Give the catalogue of a language; English is its own."""
    path = HERE / language / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return Translations()
    compiled = io.BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def best_language(accepted: str) -> Language:
    """Choose from an Accept-Language header; English for whoever reads neither.

    Weights are honoured, regions are not told apart (RFC 9110 §12.5.4).
    """
    wished: list[tuple[float, int, Language]] = []
    for place, part in enumerate(accepted.split(",")):
        name, _, weight = part.strip().partition(";q=")
        for language in LANGUAGES:
            if name.lower().split("-")[0] == language:
                try:
                    wished.append((-float(weight or 1), place, language))
                except ValueError:
                    continue
    return min(wished)[2] if wished else "en"


def language_of(text: str | None) -> Language | None:
    """Give the language a text names, or None."""
    return next((language for language in LANGUAGES if language == text), None)


@dataclass(frozen=True, slots=True)
class Words:
    """How one reader is spoken to: language and zone. `now` is when the page is made."""

    language: Language
    zone: tzinfo = UTC
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def locale(self) -> Locale:
        """Give the rules by which dates and numbers are written."""
        return LOCALES[self.language]

    def say(self, message: str, **values: object) -> str:
        """Translate a message and fill its `%(name)s` marks."""
        found = translations(self.language).gettext(message)
        return found % values if values else found

    def count(self, one: str, many: str, number: int, **values: object) -> str:
        """Translate a counted message; `%(num)s` is the number as the reader writes it."""
        found = translations(self.language).ngettext(one, many, number)
        return found % {"num": self.number(number), **values}

    # --- numbers ---

    def number(self, value: float) -> str:
        """Write a number with the reader's separators."""
        return format_decimal(value, locale=self.locale)

    def percent(self, share: float) -> str:
        """Write a share of one in percent."""
        return format_percent(share, locale=self.locale)

    def join(self, parts: list[str]) -> str:
        """Write an enumeration: «a, b and c»."""
        return format_list(parts, locale=self.locale)

    # --- moments ---

    def moment(self, moment: datetime) -> str:
        """Write day and time in the reader's zone, seconds and the zone's short name included."""
        zone = format_datetime(moment, "z", tzinfo=self.zone, locale=self.locale)
        return f"{format_datetime(moment, 'medium', tzinfo=self.zone, locale=self.locale)} {zone}"

    def clock(self, moment: datetime) -> str:
        """Write the time of day."""
        return format_time(moment, "short", tzinfo=self.zone, locale=self.locale)

    def clock_of(self, local: datetime) -> str:
        """Write the time of day of a moment that stands in its own zone, such as a calendar's."""
        return format_time(local, "short", tzinfo=local.tzinfo, locale=self.locale)

    def hour(self, hour: int) -> str:
        """Write a full hour for a ruler."""
        return format_time(time(hour), "short", locale=self.locale)

    def day_and_clock(self, moment: datetime) -> str:
        """Write time alone for today, day and time otherwise."""
        local = moment.astimezone(self.zone)
        if local.date() == self.today:
            return self.clock(moment)
        return f"{self.day(local.date())}, {self.clock(moment)}"

    def at_home(self, params: Mapping[str, str]) -> dict[str, str]:
        """Give the parameters of a sentence with their moments, told as «18:30 UTC», as hours of the reader's zone."""
        return {name: _MOMENT.sub(self._at_home, str(value)) for name, value in params.items()}

    def _at_home(self, told: re.Match[str]) -> str:
        """Write one moment. Without a day it is the nearest one with that time; what is none stays as it is."""
        try:
            clock = time.fromisoformat(told["clock"])
            if told["day"]:
                return self.day_and_clock(datetime.combine(date.fromisoformat(told["day"]), clock, UTC))
        except ValueError:
            return told[0]
        near = [datetime.combine(self.now.astimezone(UTC) + timedelta(days=days), clock, UTC) for days in (-1, 0, 1)]
        return self.clock(min(near, key=lambda moment: abs(moment - self.now)))

    def ago(self, moment: datetime) -> str:
        """Write how long ago or until: «2 minutes ago», «in 3 hours»."""
        passed = moment - self.now
        if abs(passed) < timedelta(seconds=1):
            return self.say("just now")
        return format_timedelta(passed, granularity="second", add_direction=True, locale=self.locale)

    def length(self, seconds: float) -> str:
        """Write a length of time in its largest fitting unit, short: «40 s», «3 min»."""
        return format_timedelta(timedelta(seconds=max(0, round(seconds))), threshold=1, format="short", locale=self.locale)

    @property
    def zone_name(self) -> str:
        """Name the zone that the reader's hours are in."""
        return str(getattr(self.zone, "key", "UTC"))

    @property
    def today(self) -> date:
        """Give the date on the reader's wall."""
        return self.now.astimezone(self.zone).date()

    def day(self, day: date) -> str:
        """Write weekday, day and month; the year when it is not this one."""
        form = SHORT_DAY if day.year == self.today.year else SHORT_DAY_YEAR
        return format_date(day, form[self.language], locale=self.locale)

    def weekday(self, day: date) -> str:
        """Write the short name of a weekday."""
        return format_date(day, "EEE", locale=self.locale)

    def days(self, first: date, last: date) -> str:
        """Write a stretch of days, both included."""
        return format_interval(first, last, "yMMMd", locale=self.locale)

    # --- points in a calendar ---

    def point(self, point: Point) -> str:
        """Write a point on its own wall clock; the zone is named when it is not the reader's."""
        if isinstance(point, Day):
            return self.day(point.date)
        written = f"{self.day(point.wall.date())}, {format_time(point.wall, 'short', locale=self.locale)}"
        if isinstance(point, Zoned) and point.tzid != getattr(self.zone, "key", ""):
            name = point.tzid if not point.tzid.startswith("BEGIN:") else self.say("own zone")
            return f"{written} ({name})"
        floating = self.say("floating")
        return f"{written} ({floating})" if isinstance(point, Floating) else written
