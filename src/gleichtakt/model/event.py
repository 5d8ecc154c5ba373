"""Events and series: what is stored, compared and sent.

A `Series` is a master with its overrides; a single event is a series without a rule. Values are immutable; an edit
makes a new value. Text is plain; `html` is the provider's own body, kept untouched while nobody edits the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gleichtakt.model.point import Day, Point


class ShowAs(StrEnum):
    """What the event does to a person's time, after Exchange's five states."""

    FREE = "free"
    TENTATIVE = "tentative"
    BUSY = "busy"
    OOF = "oof"
    WORKING_ELSEWHERE = "working_elsewhere"


class Sensitivity(StrEnum):
    """Who may see it. iCalendar knows three of the four."""

    NORMAL = "normal"
    PERSONAL = "personal"
    PRIVATE = "private"
    CONFIDENTIAL = "confidential"


class Status(StrEnum):
    """Whether it takes place."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


class Response(StrEnum):
    """What an attendee answered."""

    NONE = "none"
    ACCEPTED = "accepted"
    TENTATIVE = "tentative"
    DECLINED = "declined"
    ORGANIZER = "organizer"


@dataclass(frozen=True, slots=True)
class Person:
    """An organizer. email: without `mailto:`, as written; compared without case."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attendee:
    """One invited person, room or thing."""

    email: str
    name: str = ""
    response: Response = Response.NONE
    role: str = "required"  # required | optional | resource | chair


@dataclass(frozen=True, slots=True)
class Reminder:
    """Minutes before the start."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Event:
    """The content of one master or one override. `end` is exclusive and of the same kind as `start`."""

    start: Point
    end: Point
    title: str = ""
    description: str = ""
    html: str = ""  # the provider's body, only while `description` is its unedited text
    location: str = ""
    status: Status = Status.CONFIRMED
    show_as: ShowAs = ShowAs.BUSY
    sensitivity: Sensitivity = Sensitivity.NORMAL
    organizer: Person | None = None
    attendees: tuple[Attendee, ...] = ()
    categories: tuple[str, ...] = ()
    reminders: tuple[Reminder, ...] = ()
    conference_url: str = ""
    url: str = ""

    @property
    def is_all_day(self) -> bool:
        """Say whether it lasts whole days without hours."""
        return isinstance(self.start, Day)


@dataclass(frozen=True, slots=True)
class Override:
    """One occurrence that differs. recurrence_id: its original start, in the master's kind and zone."""

    recurrence_id: Point
    event: Event


@dataclass(frozen=True, slots=True)
class Series:
    """A master with its overrides; without `rrule` and `rdate` a single event.

    rrule: the text after ``RRULE:`` in canonical order and upper case, or empty; several rules stand on lines of their
    own. rdate, exdate: points of the master's kind, sorted. overrides: sorted by recurrence_id. A series whose
    `is_detached` is true has overrides only (an invitation to single occurrences); its `event` is the first of them.
    """

    uid: str
    event: Event
    rrule: str = ""
    rdate: tuple[Point, ...] = ()
    exdate: tuple[Point, ...] = ()
    overrides: tuple[Override, ...] = ()
    is_detached: bool = False
    warnings: tuple[str, ...] = field(default=(), compare=False)  # what reading repaired, as sentence codes

    @property
    def is_recurring(self) -> bool:
        """Say whether it has more than its one occurrence by rule or list."""
        return bool(self.rrule or self.rdate)
