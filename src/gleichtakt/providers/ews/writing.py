"""Writing single items: create, change at a version, delete; nothing is sent to anybody unless asked for.

Exchange knows no write that carries a whole series: the master is written first, then its deleted occurrences and its
exceptions. So a write leaves its key on the master with its last step; what is found without it did not come to its
end. The first step carries the version that the change was made on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from gleichtakt.errors import Ambiguous, AuthRequired, Conflict, Gone, Permanent, Scope, Throttled, Transient
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Point, Zoned
from gleichtakt.providers.ews.calls import groups, refused
from gleichtakt.providers.ews.edits import (
    ALL,
    RECURRENCE,
    Steps,
    begins_anew,
    holds_too_much,
    merged,
    not_held,
    steps,
    with_another_end,
)
from gleichtakt.providers.ews.reading import Reader
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import items, requests, soap
from gleichtakt.providers.ews.wire.drafts import Draft, drop_done, set_done, zone_in
from gleichtakt.providers.ews.wire.folders import read_ids
from gleichtakt.providers.ews.wire.ids import ItemId, Occurrence
from gleichtakt.providers.ews.wire.patterns import index_of
from gleichtakt.providers.protocol import CalendarRef, Etag, Href, IdempotencyKey, Mail, Mark, Stored

EVERYTHING: Final = ALL | {RECURRENCE}
KEYS_REMEMBERED: Final = 10_000
_CROSSING: Final = "ErrorOccurrenceCrossingBoundary"
_ZONE_REFUSED: Final = "ews.zone_refused"
#: What a deletion of an occurrence says that is not there any more: it is done.
_DELETED_BEFORE: Final = frozenset({"ErrorCalendarOccurrenceIsDeletedFromRecurrence", "ErrorItemNotFound"})


class Writer:
    """Writes to the calendars of one session."""

    def __init__(self, session: Session, reader: Reader) -> None:
        """Write through this session; what was written is read back by the reader."""
        self.session, self.reader = session, reader
        self._tried: dict[str, None] = {}  # keys of creates whose first attempt was ours
        self._unknown: set[str] = set()  # zones the server does not know by name

    # --- create

    async def create(self, into: CalendarRef, series: Series, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create; what this key made before is given back, and brought to its end where that was not reached."""
        if key in self._tried and (made := await self.reader.find(into, key, series.uid)) is not None:
            if made.key == key:
                return Stored(made.href, made.etag, made.series, made.series.uid)
            href = made.href
            return await self._named(into, series, lambda draft: self._finish(into, href, series, key, draft, mail))
        self._remember(key)
        return await self._named(into, series, lambda draft: self._make(into, series, key, mark, draft, mail))

    async def _make(self, into: CalendarRef, series: Series, key: IdempotencyKey, mark: Mark, draft: Draft, mail: Mail) -> Stored:
        """Create, and take back what cannot be made whole."""
        rest = steps(replace(series, exdate=(), overrides=()), series)
        element = items.write_item(series, draft, mark=mark.text, key=key, done="" if rest else key)
        body = requests.create_item([element], self.reader.folder_of(into), mail)
        named = read_ids((await self._write("CreateItem", body, into)).element)
        if not named:
            raise await self._lost(into)
        href = Href(named[0].id)
        try:
            with _begun():
                return await (self._finish(into, href, series, key, draft, mail) if rest else self._stored(into, href))
        except Conflict as moved:
            raise Ambiguous(moved.code, moved.scope, **moved.params) from moved
        except Permanent:
            await self._take_back(into, href)
            raise

    async def _take_back(self, of: CalendarRef, href: Href) -> None:
        """Remove what could not be made whole."""
        with _begun(), suppress(Gone):
            await self._write("DeleteItem", requests.delete_item([ItemId(href)], for_good=True), of)

    def _remember(self, key: str) -> None:
        self._tried[key] = None
        while len(self._tried) > KEYS_REMEMBERED:
            del self._tried[next(iter(self._tried))]

    # --- update

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
        """Change what differs in *fields*: in one step where no single occurrence is concerned."""
        if not base.is_recurring and not new.is_recurring:
            at, moved = ItemId(href, expect), mark.text if mark.moves else ""
            return await self._named(
                of, new, lambda draft: self._change_single(of, at, base, new, fields, moved, key, draft, mail)
            )
        item = await self.reader.item(of, href)
        if expect and item.change_key != expect:
            raise Conflict("general.stale", Scope.SERIES)
        wanted = merged(item.series, base, new, fields)
        return await self._named(of, wanted, lambda draft: self._change_series(of, item, wanted, key, draft, mail))

    async def _change_single(
        self,
        of: CalendarRef,
        at: ItemId,
        base: Series,
        new: Series,
        fields: frozenset[str],
        mark: str,
        key: IdempotencyKey,
        draft: Draft,
        mail: Mail,
    ) -> Stored:
        """Write what differs and the key of the write, in one step."""
        changes = (*items.changes(base, new, fields, draft, mark=mark), set_done(key))
        await self._change(of, [requests.Update(at, changes)], mail)
        with _begun():
            return await self._stored(of, Href(at.id))

    async def _change_series(
        self, of: CalendarRef, item: items.Item, wanted: Series, key: IdempotencyKey, draft: Draft, mail: Mail
    ) -> Stored:
        """Write the master, then what is left to do about single occurrences; nothing where they could not all be written."""
        if reason := not_held(item.series, wanted):
            raise Permanent(reason, Scope.SERIES)
        anew = begins_anew(item.series, wanted, draft.version)
        before = replace(item.series, rrule="") if anew else item.series  # so that the pattern is written, same or not
        changes = items.changes(before, wanted, EVERYTHING, draft)
        rest = (
            bool(steps(item.series, wanted))
            or holds_too_much(item.series, wanted)
            or bool(changes and wanted.overrides)  # what of the master they follow, the server decides
            or bool(anew and wanted.exdate)
        )
        end = drop_done() if rest else set_done(key)
        update = requests.Update(ItemId(item.id, item.change_key), (*changes, end))
        await self._change(of, [update], mail)
        href = Href(item.id)
        with _begun():
            return await (self._finish(of, href, wanted, key, draft, mail) if rest else self._stored(of, href))

    async def _finish(self, of: CalendarRef, href: Href, wanted: Series, key: IdempotencyKey, draft: Draft, mail: Mail) -> Stored:
        """Bring the occurrences of a series to what is wanted and leave the key of the write there, as its last step."""
        await self.bring_occurrences(of, href, wanted, draft, mail)
        await self._change(of, [requests.Update(ItemId(href), (set_done(key),))], Mail.NONE, overwrite=True)
        return await self._stored(of, href)

    async def bring_occurrences(self, of: CalendarRef, href: Href, wanted: Series, draft: Draft, mail: Mail) -> None:
        """Bring the single occurrences to what is wanted, whatever became of them when the master was written."""
        there = (await self.reader.item(of, href)).series
        if holds_too_much(there, wanted):
            there = await self._forget_exceptions(of, href, wanted, draft, mail)
        left = steps(there, wanted)
        await self._delete_occurrences(of, href, wanted, left, mail)
        await self._change_occurrences(of, href, wanted, left, draft, mail)

    async def _forget_exceptions(self, of: CalendarRef, href: Href, wanted: Series, draft: Draft, mail: Mail) -> Series:
        """Make a server drop all exceptions that keeps them where the same pattern is written once more."""
        for series in (with_another_end(wanted), wanted):
            changes = items.changes(replace(series, rrule=""), series, frozenset({RECURRENCE}), draft)
            await self._change(of, [requests.Update(ItemId(href), changes)], mail, overwrite=True)
        return (await self.reader.item(of, href)).series

    async def _delete_occurrences(self, of: CalendarRef, href: Href, series: Series, left: Steps, mail: Mail) -> None:
        numbered = [index for slot in left.deleted if (index := index_of(series, slot)) is not None]
        for some in groups(numbered, self.reader.at_once):
            body = requests.delete_item([Occurrence(href, index) for index in some], mail)
            for outcome in await self._send("DeleteItem", body, of):
                if outcome.is_error and outcome.code not in _DELETED_BEFORE:
                    raise await refused(self.session, outcome, of.mailbox, writes=True)

    async def _change_occurrences(
        self, of: CalendarRef, href: Href, series: Series, left: Steps, draft: Draft, mail: Mail
    ) -> None:
        """Change occurrences; one that may not pass its neighbour yet waits until that has moved."""
        waiting = [update for slot, was, now in left.changed if (update := _occurrence(href, series, slot, was, now, draft))]
        while waiting:
            crossing: list[requests.Update] = []
            last: soap.Outcome | None = None
            for some in groups(waiting, self.reader.at_once):
                outcomes = await self._send("UpdateItem", requests.update_item(some, mail, overwrite=True), of)
                for update, outcome in zip(some, outcomes, strict=False):
                    if outcome.code == _CROSSING:
                        crossing.append(update)
                        last = outcome
                    elif outcome.is_error:
                        raise await refused(self.session, outcome, of.mailbox, writes=True)
            if last is not None and len(crossing) == len(waiting):
                raise await refused(self.session, last, of.mailbox, writes=True)
            waiting = crossing

    # --- delete

    async def delete(self, of: CalendarRef, href: Href, expect: Etag, mail: Mail, *, for_good: bool = False) -> None:
        """Delete at a version. DeleteItem itself looks at no version, so it is looked at just before."""
        if expect and await self.reader.version_of(of, href) != expect:
            raise Conflict("general.stale", Scope.SERIES)
        await self._write("DeleteItem", requests.delete_item([ItemId(href, expect)], mail, for_good=for_good), of)

    # --- requests

    async def _named(self, of: CalendarRef, series: Series, write: Callable[[Draft], Awaitable[Stored]]) -> Stored:
        """Write with zones named; where the server does not know one of them, once more with their rules written out."""
        draft = await self._draft(of, series)
        try:
            return await write(draft)
        except Permanent as refused:
            zones = {zone_in(point, draft.zone) for event in _events(series) for point in (event.start, event.end)}
            if refused.code != _ZONE_REFUSED or zones <= draft.defined:
                raise
        self._unknown |= zones
        return await write(replace(draft, defined=frozenset(self._unknown)))

    async def _draft(self, of: CalendarRef, series: Series) -> Draft:
        """Say how to write: in which version, which zones by their rules, and for days in which zone."""
        version, defined = (await self.session.version(of.mailbox)).schema, frozenset(self._unknown)
        if all(isinstance(event.start, Zoned) for event in _events(series)):
            return Draft(version, defined=defined)
        return Draft(version, zone=await self.reader.zones.of(of.mailbox), defined=defined)

    async def _change(
        self, of: CalendarRef, updates: Sequence[requests.Update], mail: Mail, *, overwrite: bool = False
    ) -> soap.Outcome:
        return await self._write("UpdateItem", requests.update_item(updates, mail, overwrite=overwrite), of)

    async def _write(self, operation: str, body: bytes, of: CalendarRef) -> soap.Outcome:
        """Send a write of one item. Raises what it was refused for."""
        outcome = next(iter(await self._send(operation, body, of)), None)
        if outcome is None:
            raise await self._lost(of)
        if outcome.is_error:
            raise await refused(self.session, outcome, of.mailbox, writes=True)
        return outcome

    async def _send(self, operation: str, body: bytes, of: CalendarRef) -> tuple[soap.Outcome, ...]:
        return soap.outcomes(await self.session.call(operation, body, mailbox=of.mailbox, writes=True))

    async def _lost(self, of: CalendarRef) -> Ambiguous:
        return Ambiguous("general.answer_lost", Scope.SERIES, host=(await self.session.endpoint(of.mailbox)).host)

    async def _stored(self, of: CalendarRef, href: Href) -> Stored:
        """Read back what the server made of it: it cuts titles, rounds days and rewrites bodies."""
        item = await self.reader.item(of, href)
        return Stored(href, Etag(item.change_key), item.series, item.series.uid)


@contextmanager
def _begun() -> Iterator[None]:
    """Run what follows the first step of a write: a trouble that passes leaves open what was reached."""
    try:
        yield
    except (Transient, Throttled, AuthRequired) as trouble:
        if isinstance(trouble, Ambiguous):
            raise
        raise Ambiguous(trouble.code, trouble.scope, detail=trouble.detail, **trouble.params) from trouble


def _events(series: Series) -> Iterator[Event]:
    yield series.event
    yield from (override.event for override in series.overrides)


def _occurrence(href: Href, series: Series, slot: Point, was: Event, now: Event, draft: Draft) -> requests.Update | None:
    """Give the update of one occurrence; None where it differs in nothing that can be written."""
    index = index_of(series, slot)
    if index is None:
        raise Permanent("recurrence.detached", Scope.SERIES)
    changes = items.event_changes(was, now, ALL, draft)
    return requests.Update(Occurrence(href, index), changes) if changes else None
