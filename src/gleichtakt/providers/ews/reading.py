"""Reading a calendar: what changed since a position, everything, or single items by id.

The server names what changed and at which version; the items are read afterwards, a few at a time, and series with all
their exceptions. Each id that is asked for is accounted for: seen, unreadable, gone by the server's own word, or the
reading fails. What is no appointment in a calendar folder (a task, a mail) is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog
from lxml import etree

from gleichtakt.errors import Conflict, CursorExpired, Gone, Permanent, Scope, Transient, Trouble
from gleichtakt.providers.ahead import read_ahead
from gleichtakt.providers.ews.availability import Zones
from gleichtakt.providers.ews.calls import ask, groups, malformed, refused, together
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import items, requests, soap
from gleichtakt.providers.ews.wire.elements import child, children, said
from gleichtakt.providers.ews.wire.folders import Changes, read_changes, read_found
from gleichtakt.providers.ews.wire.ids import Distinguished, FolderId, FolderRef, ItemId, read_item_id
from gleichtakt.providers.ews.wire.marks import KEY
from gleichtakt.providers.found import Found
from gleichtakt.providers.protocol import CalendarRef, Cursor, Etag, Href, IdempotencyKey, Known, Page, Seen, Unreadable

log = structlog.get_logger(__name__)

Element = soap.Element
Told = tuple[ItemId, soap.Outcome]

AT_ONCE: Final = 10  # items in one request: Microsoft's advice for sync; other numbers by the option `at_once`
A_PAGE: Final = 100  # items read for one page of ours
ALONE: Final = 3  # so few refused items may be sick by themselves
NOT_GIVEN: Final = "ews.not_done"
CALENDAR_ITEM: Final = "CalendarItem"
ZONES_SINCE: Final = "Exchange2010"
_LISTING, _CHANGES = "l:", "c:"
_NOT_DONE: Final = "ErrorBatchProcessingStopped"
#: Troubles of a request for many items that one for fewer may not meet.
_CUT_IN_HALF: Final = frozenset({"ews.too_slow", "general.answer_too_large"})


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading stands. state: the server's own, opaque; empty at the beginning of a listing."""

    state: str = ""
    is_listing: bool = True

    def write(self) -> Cursor:
        """Give it as a cursor."""
        return Cursor((_LISTING if self.is_listing else _CHANGES) + self.state)


def read_position(cursor: Cursor) -> Position:
    """Read a cursor of ours. Raises CursorExpired for any other."""
    for prefix in (_LISTING, _CHANGES):
        if cursor.startswith(prefix) and len(cursor) > len(prefix):
            return Position(cursor.removeprefix(prefix), prefix == _LISTING)
    raise CursorExpired(detail="not a cursor of ours")


class Reader:
    """Reads the calendars of one session."""

    def __init__(self, session: Session) -> None:
        """Read through this session."""
        self.session, self.zones = session, Zones(session)
        self.at_once = _number(session, "at_once", AT_ONCE, A_PAGE)
        self.most = _number(session, "changes_at_once", requests.MOST_CHANGES, requests.MOST_CHANGES)

    def folder_of(self, of: CalendarRef) -> FolderRef:
        """Give the folder a reference means. A delegate names the owner of a default calendar; who impersonates is the owner."""
        if of.calendar:
            return FolderId(of.calendar)
        return Distinguished("calendar", of.mailbox if self.session.login.access == "delegate" else "")

    # --- what changed, or everything

    async def changes(self, of: CalendarRef, since: Cursor | None, known: Known) -> AsyncIterator[Page]:
        """Yield what changed, or everything. *known* is not looked at while nothing has changed."""
        position, is_last = Position() if since is None else read_position(since), False
        while not is_last:
            told = await self._told(of, position)
            is_last = told.is_last
            after = Position(told.state, is_listing=position.is_listing and not is_last)
            async for page in self._pages(of, told, known, after, is_listing=position.is_listing):
                yield page
            position = after

    async def _told(self, of: CalendarRef, position: Position) -> Changes:
        """Ask what changed. Where everything is listed series are told apart: some servers keep silent about exceptions."""
        body = requests.sync_folder_items(self.folder_of(of), position.state, self.most, with_type=position.is_listing)
        try:
            told = read_changes(await ask(self.session, "SyncFolderItems", body, of.mailbox))
        except CursorExpired as expired:
            if position.state:
                raise
            host = (await self.session.endpoint(of.mailbox)).host  # without a position, it is the folder that is missing
            raise Permanent("general.calendar_missing", Scope.CALENDAR, detail=expired.detail, host=host) from expired
        if not told.state or (not told.is_last and told.state == position.state):
            raise await malformed(self.session, of.mailbox, "a reading that gets no further")
        if told.others:
            log.debug("no_appointments", count=told.others)
        return told

    async def _pages(
        self, of: CalendarRef, told: Changes, known: Known, after: Position, *, is_listing: bool
    ) -> AsyncIterator[Page]:
        """Yield one answer of the server as pages; the position moves with the last of them."""
        standing = {Href(each.id): Etag(each.change_key) for each in told.changed}
        etags = await known.of(list(standing))
        again = told.masters if is_listing else frozenset[str]()
        wanted = {href: etag for href, etag in standing.items() if not etag or etags.get(href) != etag or href in again}
        unchanged = tuple(href for href in standing if href not in wanted)
        gone = tuple(Href(name) for name in told.gone)
        async for found, is_last in self._ahead(of, wanted):
            yield Page(
                upserts=tuple(found.seen),
                gone=(*gone, *found.gone),
                unreadable=tuple(found.unreadable),
                unchanged=unchanged,
                next=after.write() if is_last else None,
                final=is_last and told.is_last,
                is_listing=is_listing,
            )
            gone = unchanged = ()

    async def _ahead(self, of: CalendarRef, wanted: Mapping[Href, Etag]) -> AsyncIterator[tuple[Found, bool]]:
        """Read items a page at a time, asking for the next while this one is worked on; one empty page for none."""
        pages = [dict(page) for page in groups(list(wanted.items()), A_PAGE)]
        if not pages:
            yield Found(), True
            return
        async with aclosing(read_ahead(pages, lambda page: self.read(of, page))) as answers:
            async for page, found in answers:
                _doubt(found, len(page))
                yield found, page is pages[-1]

    # --- single items

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read items by id; what does not exist is left out."""
        found = await self.read(of, dict.fromkeys(hrefs, Etag("")))
        return (*found.seen, *found.unreadable)

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a create with this key made. Of several (a person copied it) the one with the UID, then the oldest."""
        times = requests.shape_of(["item:DateTimeCreated", "item:LastModifiedTime"])
        body = requests.find_item(self.folder_of(of), requests.Paged(), where=requests.Holds(KEY, key), shape=times)
        listed = read_found(await ask(self.session, "FindItem", body, of.mailbox))
        oldest = sorted(listed.items, key=lambda each: (said(each, "DateTimeCreated"), said(each, "LastModifiedTime")))
        named = [item for each in oldest if (item := read_item_id(child(each, "ItemId"))) is not None]
        found = await self.read(of, {Href(each.id): Etag(each.change_key) for each in named})
        for broken in found.unreadable:
            raise broken.trouble
        age = {each.id: place for place, each in enumerate(named)}
        return min(found.seen, key=lambda one: (one.series.uid != uid, age[one.href]), default=None)

    async def item(self, of: CalendarRef, href: Href) -> items.Item:
        """Read one item with all its exceptions. Raises Gone, or why it cannot be read."""
        ((_, outcome),) = await self._get(of, [ItemId(href)], await self.shape(of))
        event = _event_in(outcome)
        if event is None:
            raise await self._unread(of, outcome) if outcome.is_error else Gone()
        exceptions = await self._exceptions(of, [event])
        item = items.read_item(event, exceptions=exceptions, zone=await self._zone(of))
        if item.missing:
            raise Transient(NOT_GIVEN, Scope.SERIES, host=(await self.session.endpoint(of.mailbox)).host)
        return item

    async def version_of(self, of: CalendarRef, href: Href) -> str:
        """Give the change key an item is at now. Raises Gone."""
        ((_, outcome),) = await self._get(of, [ItemId(href)], requests.ID_ONLY)
        if outcome.is_error:
            raise await self._unread(of, outcome)
        named = read_item_id(child(_event_in(outcome), "ItemId"))
        return named.change_key if named else ""

    async def _unread(self, of: CalendarRef, outcome: soap.Outcome) -> Trouble:
        """Say why one item is not read, and that it may be another time: what is to be written to it is not what is refused."""
        trouble = await refused(self.session, outcome, of.mailbox)
        if isinstance(trouble, Permanent) and trouble.scope is Scope.SERIES:
            return Transient(trouble.code, trouble.scope, detail=trouble.detail, **trouble.params)
        return trouble

    async def shape(self, of: CalendarRef) -> str:
        """Give the shape in which items are asked for."""
        return requests.item_shape((await self.session.version(of.mailbox)).schema)

    async def _zone(self, of: CalendarRef) -> str:
        """Give the zone of items that tell none: before 2010 single ones do not, and are read as their owner would."""
        if (await self.session.version(of.mailbox)).knows(ZONES_SINCE):
            return self.zones.usual
        return await self.zones.of(of.mailbox)

    async def read(self, of: CalendarRef, wanted: Mapping[Href, Etag]) -> Found:
        """Read items, and the exceptions that series among them name; a series that changes meanwhile is read once more."""
        found, given = Found(), await self._given(of, list(wanted))
        moving: dict[Href, Etag] = {}
        events = {href: event for href, outcome in given.items() if (event := _event_in(outcome)) is not None}
        exceptions = await self._exceptions(of, events.values())
        zone = await self._zone(of) if events else ""
        for href, outcome in given.items():
            if href not in events:
                await self._miss(of, href, wanted[href], outcome, found)
            elif not self._add(href, wanted[href], events[href], exceptions, zone, found):
                moving[href] = wanted[href]
        for href, etag in moving.items():
            await self._read_again(of, href, etag, found)
        return found

    async def _read_again(self, of: CalendarRef, href: Href, etag: Etag, found: Found) -> None:
        """Read a series alone whose exceptions did not fit to it: somebody was changing it."""
        try:
            found.seen.append(self._seen(await self.item(of, href)))
        except Gone:
            found.gone.append(href)
        except Trouble as broken:
            if broken.scope is not Scope.SERIES:
                raise
            found.unreadable.append(Unreadable(href, etag, broken))

    def _add(self, href: Href, etag: Etag, element: Element, exceptions: Mapping[str, Element], zone: str, found: Found) -> bool:
        """Sort an event in; say whether all its exceptions were there."""
        try:
            item = items.read_item(element, exceptions=exceptions, zone=zone)
        except Permanent as broken:
            found.unreadable.append(Unreadable(href, etag or _version_in(element), broken, etree.tostring(element)))
            return True
        if item.missing:
            return False
        found.seen.append(self._seen(item))
        return True

    def _seen(self, item: items.Item) -> Seen:
        return Seen(
            Href(item.id),
            Etag(item.change_key),
            item.series,
            marker=item.marker,
            key=item.done,
            is_organizer=item.is_organizer,
            response=item.response,
            foreign_marker=item.foreign_marker,
            modified_at=self.session.clock.ours(item.modified_at) if item.modified_at else None,
        )

    async def _miss(self, of: CalendarRef, href: Href, etag: Etag, outcome: soap.Outcome, found: Found) -> None:
        """Sort in what was not given: gone, no appointment, or refused. Raises what concerns more than this item."""
        if not outcome.is_error:
            found.other.append(href)
            return
        trouble = await refused(self.session, outcome, of.mailbox)
        if isinstance(trouble, Gone):
            found.gone.append(href)
        elif trouble.scope is not Scope.SERIES:
            raise trouble
        else:
            found.unreadable.append(Unreadable(href, etag, trouble))

    # --- requests

    async def _given(self, of: CalendarRef, hrefs: Sequence[Href]) -> dict[Href, soap.Outcome]:
        """Ask for items, some at once; the answer accounts for each."""
        if not hrefs:
            return {}
        shape = await self.shape(of)
        batches = groups([ItemId(href) for href in dict.fromkeys(hrefs)], self.at_once)
        answers = await together(self._get(of, batch, shape) for batch in batches)
        return {Href(named.id): outcome for answer in answers for named, outcome in answer}

    async def _exceptions(self, of: CalendarRef, masters: Iterable[Element]) -> dict[str, Element]:
        """Read the exceptions that series name, by id."""
        named = [Href(each.id) for element in masters for each in items.exception_ids(element)]
        given = await self._given(of, named)
        found: dict[str, Element] = {}
        for href, outcome in given.items():
            event = _event_in(outcome)
            if event is not None:
                found[href] = event
            elif outcome.is_error and not isinstance(trouble := await refused(self.session, outcome, of.mailbox), Conflict):
                _raise_wider(trouble)
        return found

    async def _get(self, of: CalendarRef, ids: Sequence[ItemId], shape: str) -> list[Told]:
        """Ask for items in one request; what the server passes over, or is too slow for, is asked for in smaller ones."""
        try:
            answer = await self.session.call("GetItem", requests.get_item(ids, shape), mailbox=of.mailbox)
        except Transient as trouble:
            if trouble.code not in _CUT_IN_HALF or len(ids) == 1:
                raise
            halves = groups(ids, (len(ids) + 1) // 2)
            return [told for half in halves for told in await self._get(of, half, shape)]
        told = list(zip(ids, soap.outcomes(answer), strict=False))
        done = [each for each in told if each[1].code != _NOT_DONE]
        left = [*(named for named, outcome in told if outcome.code == _NOT_DONE), *ids[len(told) :]]
        if not left:
            return done
        if not done and len(ids) == 1:
            if told:
                return told
            raise await malformed(self.session, of.mailbox, "GetItem without an answer")
        size = len(left) if done else 1
        for some in groups(left, size):
            done += await self._get(of, some, shape)
        return done


def _number(session: Session, option: str, usual: int, most: int) -> int:
    """Read an option of the connection, within 1 and *most*."""
    asked = session.login.options.get(option, "").strip()
    return min(max(int(asked), 1), most) if asked.isdigit() else usual


def _raise_wider(trouble: Trouble) -> None:
    """Raise what concerns more than one exception; a single one that cannot be read makes its series incomplete."""
    if trouble.scope is not Scope.SERIES:
        raise trouble


def _event_in(outcome: soap.Outcome) -> Element | None:
    """Give the event in a part of an answer; None where that was refused or holds something else."""
    return None if outcome.is_error else next(children(child(outcome.element, "Items"), CALENDAR_ITEM), None)


def _version_in(element: Element) -> Etag:
    named = read_item_id(child(element, "ItemId"))
    return Etag(named.change_key if named else "")


def _doubt(found: Found, asked: int) -> None:
    """Take a whole page that was refused item by item for a sick server, not for that many sick items."""
    refusals = [one.trouble for one in found.unreadable if isinstance(one.trouble, Transient)]
    if asked > ALONE and len(refusals) == asked:
        first = refusals[0]
        raise Transient(first.code, Scope.CALENDAR, detail=first.detail, **first.params)
