"""What sync asks of a calendar system, whoever made it.

A provider is one login at one system. It raises only `errors.Trouble`, knows nothing of our database, and keeps no
state that must survive: cursors and etags are handed back to us. What is not in `can` is never called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Flag, StrEnum, auto
from typing import ClassVar, NewType, Protocol

from gleichtakt.errors import Trouble
from gleichtakt.model.event import Series
from gleichtakt.model.freebusy import Busy
from gleichtakt.model.point import Timespan

Href = NewType("Href", str)  # the provider's own name of one object, compared byte by byte
Etag = NewType("Etag", str)  # opaque version; empty where the system has none
Cursor = NewType("Cursor", str)  # opaque reading position
IdempotencyKey = NewType("IdempotencyKey", str)  # 32 characters 0-9a-f, chosen before the first attempt


class Ability(Flag):
    """What a provider can be asked to do."""

    READ = auto()
    WRITE = auto()
    WATCH = auto()
    FREE_BUSY = auto()
    OUT_OF_OFFICE = auto()
    DIRECTORY = auto()
    SINGLE_OCCURRENCES = auto()  # edits of one occurrence travel alone
    SILENT_ATTENDEES = auto()  # attendees can be written without a mail going out
    CHEAP_POLL = auto()  # «nothing changed» costs one small request


class Mail(StrEnum):
    """Whom the provider may notify about a write."""

    NONE = "none"
    EXTERNAL = "external_only"
    ALL = "all"


class Recurrence(StrEnum):
    """Which rules a provider stores natively."""

    RFC5545 = "rfc5545"
    EXCHANGE = "exchange"  # Exchange and Graph patterns
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a provider can do and what survives a round trip there. Data, never `if provider == …`."""

    can: Ability
    fields: frozenset[str]  # names of `Event` fields it stores, besides start, end and recurrence
    recurrence: Recurrence = Recurrence.RFC5545
    show_as: frozenset[str] = frozenset({"free", "tentative", "busy", "oof", "working_elsewhere"})
    sensitivity: frozenset[str] = frozenset({"normal", "personal", "private", "confidential"})
    zones: frozenset[str] = frozenset({"iana", "custom", "floating"})
    caller_uid: bool = True  # keeps the UID we choose
    max_bytes: int | None = None
    first_year: int = 1
    last_year: int = 9999
    max_in_flight: int = 1  # parallel requests one mailbox bears
    methods: tuple[str, ...] = ("basic", "digest", "bearer", "none")  # of signing in, the usual one first
    marks_end: bool = False  # a write takes several requests; the last one leaves its key, so `Seen.key` tells that it is through


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach and sign in to a system: a connection row with its secret unsealed, for the life of a provider.

    auth: `method` and what belongs to it (username, password, tenant_id …); its secrets print as •••.
    """

    provider: str
    url: str
    auth: Mapping[str, str | Secret] = field(default_factory=dict)
    access: str = "own"  # own | delegate | impersonation
    autodiscover_address: str = ""
    ca_pem: str = ""
    pin_sha256: str = ""
    allow_insecure: bool = False
    options: Mapping[str, str] = field(default_factory=dict)  # proxy, concurrency, private_hosts …


class Secret:
    """A value that prints as ••• and leaves only through `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap a secret."""
        self._value = value

    def reveal(self) -> str:
        """Give the value, at the point of use only."""
        return self._value

    def __repr__(self) -> str:
        """Hide it."""
        return "•••"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A calendar as the directory of a system names it."""

    ref: CalendarRef
    name: str
    can_write: bool
    is_default: bool = False
    owner: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class CalendarRef:
    """Which calendar of which mailbox. calendar: the system's own name of it; empty for the mailbox's default one."""

    mailbox: str
    calendar: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One object as the provider holds it now.

    series: what we understood. marker: our own mark on it, if any (see `Mark`). key: the idempotency key it was
    created with, where the provider keeps it. is_organizer: whether this mailbox organizes it (true without attendees).
    """

    href: Href
    etag: Etag
    series: Series
    marker: str = ""
    key: str = ""
    is_organizer: bool = True
    response: str = "none"  # own answer: none | accepted | tentative | declined | organizer
    kind: str = "default"  # default, or a system's special type: focus_time, out_of_office, birthday …
    foreign_marker: str = ""  # which other product's mirror made it, if one is recognised
    modified_at: datetime | None = None  # aware UTC, as near to our clock as theirs can be read; only for the rule `newest`


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One object that could not be understood: neither a deletion nor a reason to stop."""

    href: Href
    etag: Etag
    trouble: Trouble
    raw: bytes = b""  # never stored, only offered for download while fetched live


@dataclass(frozen=True, slots=True)
class Page:
    """One page of changes.

    next: cursor from which reading goes on after this page; saved in the transaction that saves the page; None when a
    page cannot be resumed from (the listing then starts again). final: the provider's own end mark. is_listing: the
    pages since the first describe the whole calendar, so after `final` absence means gone; else only changes.
    """

    upserts: tuple[Seen, ...] = ()
    gone: tuple[Href, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    unchanged: tuple[Href, ...] = ()  # named, and still there with the etag we know: content not fetched
    next: Cursor | None = None
    final: bool = False
    is_listing: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What the other side holds after a write, read back where it does not store byte for byte.

    series None: stored exactly as sent.
    """

    href: Href
    etag: Etag
    series: Series | None = None
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What we already know of a calendar, so that a listing, or a report of our own writes, need not fetch it again.

    etags: by href, of everything or of nothing; look_up: gives them for single objects where `etags` was not loaded.
    """

    etags: Mapping[str, str] = field(default_factory=dict)
    look_up: Callable[[Sequence[Href]], Awaitable[Mapping[str, str]]] | None = None

    async def of(self, hrefs: Sequence[Href]) -> Mapping[str, str]:
        """Give href and etag of those of these objects that we know."""
        if self.etags or self.look_up is None or not hrefs:
            return self.etags
        return await self.look_up(hrefs)


@dataclass(frozen=True, slots=True)
class Mark:
    """Our mark on a copy: `<instance>/<link>/<series>`; proves nothing alone, only together with the pairing's href.

    moves: it names a part by its slot (`…/<slot>`), which moves with its series, so an update brings it along.
    """

    text: str
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str  # dns, tcp, tls, discovery, login, calendars, rights, test_item, clock …
    state: str  # pass | warn | fail | skip
    code: str = ""  # sentence, when not passed
    params: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)  # what was measured: address, version, milliseconds


@dataclass(frozen=True, slots=True)
class Entry:
    """A mailbox as the directory of a system names it. kind: person | room | group | contact. listed_in: its room list."""

    mailbox: str
    name: str = ""
    kind: str = "person"
    listed_in: str = ""


@dataclass(frozen=True, slots=True)
class OutOfOffice:
    """The automatic replies of a mailbox.

    state: disabled | enabled | scheduled. span: the schedule, kept where it does not count. audience: who outside gets
    `external`: none | known | all. internal, external: the replies as they stand there, markup included.
    """

    state: str = "disabled"
    span: Timespan | None = None
    audience: str = "none"
    internal: str = ""
    external: str = ""


class Notice(StrEnum):
    """How we learn that something changed in a calendar."""

    STREAMING = "streaming"  # the system says so over a connection that we hold open
    PUSH = "push"  # it calls an address of ours
    PULL = "pull"  # it keeps a list of what changed, and we ask for that
    POLLING = "polling"  # it does not say: we look ourselves


@dataclass(frozen=True, slots=True)
class Hint:
    """What a watch has to say. Only ever a reason to look: it may come twice, late, or for nothing.

    changed: something may have happened there. watched: told of from now on, by `how`; what happened before, nobody
    tells. lost: not told of any more, because of `why`; the watch goes on trying by itself.
    """

    changed: frozenset[CalendarRef] = frozenset()
    watched: frozenset[CalendarRef] = frozenset()
    lost: frozenset[CalendarRef] = frozenset()
    how: Notice = Notice.STREAMING
    why: Trouble | None = None


class Wanted:
    """The calendars that a watch is to tell of; they come and go while it runs."""

    def __init__(self, refs: Collection[CalendarRef] = ()) -> None:
        """Begin with these."""
        self.refs = frozenset(refs)
        self._doubted: frozenset[CalendarRef] = frozenset()
        self._moved = asyncio.Event()

    def become(self, refs: Collection[CalendarRef], doubted: Collection[CalendarRef] = ()) -> None:
        """Want these from now on. doubted: those of which nothing was told although something happened."""
        wanted, doubts = frozenset(refs), frozenset(doubted) & frozenset(refs)
        if wanted != self.refs or doubts:
            self.refs, self._doubted = wanted, self._doubted & wanted | doubts
            self._moved.set()

    def doubted(self) -> frozenset[CalendarRef]:
        """Give what is to be asked for anew, once."""
        doubts, self._doubted = self._doubted, frozenset()
        return doubts

    async def moved(self) -> None:
        """Wait until others are wanted than when last waited for."""
        await self._moved.wait()
        self._moved.clear()


@dataclass(frozen=True, slots=True)
class Letter:
    """What a system called in to say about a calendar. Anybody may have written it who knows the address."""

    of: CalendarRef
    headers: Mapping[str, str]
    body: bytes


class Letterbox(Protocol):
    """Where systems that push can reach us."""

    async def address(self, of: CalendarRef) -> str:
        """Give a new secret address for one calendar; the one before it is no longer known."""
        ...

    async def forget(self, of: CalendarRef) -> None:
        """Let the address of a calendar be unknown from now on."""

    async def letter(self) -> Letter:
        """Wait for the next letter."""
        ...


class Provider(Protocol):
    """One login at one calendar system. What is not in `abilities.can` is never called and need not be there."""

    name: ClassVar[str]
    abilities: ClassVar[Abilities]

    @classmethod
    def connect(cls, login: Login) -> Provider:
        """Make a provider for a login. Talks to nobody yet: the first call does, and raises what is wrong."""
        ...

    async def close(self) -> None:
        """Let go of connections."""

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars this login sees for *mailbox*, shared ones included, with rights."""

    def changes(self, of: CalendarRef, since: Cursor | None, *, known: Known, window: Timespan) -> AsyncIterator[Page]:
        """Yield what changed since a cursor, or everything without one; stop after the page that is `final`.

        Raises `CursorExpired` when the cursor is refused: the caller starts again without it. window: a hint for
        systems that can only list a stretch of time; a page may hold more.
        """

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read single objects; what is missing from the answer does not exist (404), anything else raises."""

    async def create(self, into: CalendarRef, series: Series, *, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create. Repeating with the same key never makes a second object: what exists is given back as stored."""

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a `create` with this key made, if anything."""

    async def update(
        self,
        of: CalendarRef,
        href: Href,
        *,
        expect: Etag,
        base: Series,
        new: Series,
        fields: frozenset[str],
        key: IdempotencyKey,
        mark: Mark,
        mail: Mail,
    ) -> Stored:
        """Change what differs between *base* and *new* in *fields*; the rest of the object stays as it is there.

        fields: event field names, and `recurrence` for rule, dates and overrides. Raises `Conflict` when the
        object is no longer at *expect*, `Gone` when it does not exist.
        """

    async def prepare(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Read at once what updates of these objects, which follow now, need to know; a hint, nothing depends on it."""

    async def delete(self, of: CalendarRef, href: Href, *, expect: Etag, key: IdempotencyKey, mail: Mail) -> None:
        """Delete at a version. Raises `Conflict` when it moved on; `Gone` when it is not there (a success to most)."""

    async def free_busy(self, mailboxes: Sequence[str], window: Timespan) -> Mapping[str, tuple[Busy, ...] | Trouble]:
        """Give the busy stretches of people within a window, without content; for each it cannot be told of, why."""

    async def out_of_office(self, mailbox: str) -> OutOfOffice:
        """Read the automatic replies of a mailbox."""

    async def set_out_of_office(self, mailbox: str, base: OutOfOffice, new: OutOfOffice) -> OutOfOffice:
        """Change what differs between *base* and *new*; the rest stays as it is there now. Gives what then stands there."""

    async def look_up(self, text: str) -> tuple[Entry, ...]:
        """Find people in the directory by address or the beginning of a name."""

    async def rooms(self) -> tuple[Entry, ...]:
        """Give the rooms the directory lists."""

    def watch(self, wanted: Wanted, letterbox: Letterbox | None) -> AsyncIterator[Hint]:
        """Tell what changes, until closed. One calendar that cannot be watched never ends it for the others.

        Chooses by what works and by the option `notify` of the login. letterbox: None where nobody can reach us. Raises
        what concerns the whole login; everything is lost then, and the caller tries again. Only with the ability WATCH.
        """
        ...

    async def examine(self, of: CalendarRef | None) -> AsyncIterator[Check]:
        """Run the doctor's checks, cheapest first, each on its own; writes and removes one marked item at the end."""
        yield Check("", "skip")
