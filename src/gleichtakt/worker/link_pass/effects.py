"""One write at the provider: what is meant, how it is sent, and what is recorded once its outcome is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gleichtakt.errors import Gone
from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import Etag, Href, IdempotencyKey, Seen, Stored
from gleichtakt.store import calendars, observations, pairings, parts, passes, records
from gleichtakt.store.observations import Paired
from gleichtakt.sync.breaker import write_row
from gleichtakt.sync.flat import flatten, has_same_days, take
from gleichtakt.sync.plan import Flat, Side
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.observe import inward, observed_row

VERBS = {"create": "created", "update": "updated", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that is about to be sent, complete enough to be recognised after a crash.

    series: what is sent; before: what stood there when it was planned; agreed: our half of the base to record. origin,
    from_here: what the object is to us, as in `Paired`. part, slot, sent: of a single part of a series (`sync.parts`).
    made_whole: the object takes the place of the parts. has_parts: there are parts beside it, which are to go.
    """

    series_id: UUID
    verb: str  # create | update | delete
    key: str
    uid: str
    href: str = ""
    expect: str = ""
    series: Series | None = None
    before: Series | None = None
    fields: frozenset[str] = frozenset()
    agreed: Mapping[str, Any] | None = None
    origin: str = "app"
    from_here: bool = False
    version: int = 0  # of our series
    plan_id: UUID | None = None
    number: int = 0
    why: str = ""
    ours_deleted: bool = False
    answers: bool = False  # for the loop breaker
    part: UUID | None = None
    slot: str = ""
    sent: Mapping[str, Any] | None = None
    made_whole: bool = False
    has_parts: bool = False

    def document(self) -> dict[str, Any]:
        """Give the form that is stored with the pairing."""
        return {
            "verb": self.verb,
            "key": self.key,
            "uid": self.uid,
            "href": self.href,
            "expect": self.expect,
            "series": series_document(self.series) if self.series else None,
            "before": series_document(self.before) if self.before else None,
            "fields": sorted(self.fields),
            "agreed": self.agreed,
            "origin": self.origin,
            "from_here": self.from_here,
            "version": self.version,
            "plan_id": str(self.plan_id) if self.plan_id else None,
            "number": self.number,
            "why": self.why,
            "ours_deleted": self.ours_deleted,
            "answers": self.answers,
            "part": str(self.part) if self.part else None,
            "slot": self.slot,
            "sent": self.sent,
            "made_whole": self.made_whole,
            "has_parts": self.has_parts,
        }


def read_intent(series_id: UUID, document: Mapping[str, Any]) -> Intent:
    """Read a stored intent."""
    given = dict(document)
    for name in ("series", "before"):
        given[name] = read_series(given[name]) if given[name] else None
    given["fields"] = frozenset(given["fields"])
    for name in ("plan_id", "part"):
        given[name] = UUID(given[name]) if given.get(name) else None
    return Intent(series_id, **given)


@dataclass(frozen=True, slots=True)
class Done:
    """A write whose outcome is known. stored None: the object is gone. read_back: how it was found, after a lost answer."""

    intent: Intent
    stored: Stored | None
    read_back: Seen | None = None


async def perform(work: Pass, intent: Intent) -> Done:
    """Send one write. Raises what the provider raises; the intent stays open then."""
    key, calendar, mark = IdempotencyKey(intent.key), work.calendar, work.mark(intent.series_id, intent.slot)
    if intent.verb == "delete":
        with suppress(Gone):  # it is not there any more, which is what was wanted
            await work.provider.delete(calendar, Href(intent.href), expect=Etag(intent.expect), key=key, mail=work.mail)
        return Done(intent, None)
    if intent.series is None:
        raise ValueError("a create or update without content")
    if intent.verb == "create":
        stored = await work.provider.create(calendar, intent.series, key=key, mark=mark, mail=work.mail)
    else:
        stored = await work.provider.update(
            calendar,
            Href(intent.href),
            expect=Etag(intent.expect),
            base=intent.before or intent.series,
            new=intent.series,
            fields=intent.fields,
            key=key,
            mark=mark,
            mail=work.mail,
        )
    return Done(intent, stored)


async def record(work: Pass, done: Sequence[Done]) -> None:
    """Record writes whose outcome is known: base, observation, journal and plan in one transaction."""
    whole = [item for item in done if item.intent.part is None]
    await _record_parts(work, [item for item in done if item.intent.part is not None])
    await _record_whole(work, whole)
    for item in done:
        work.counts[f"provider.{VERBS[item.intent.verb]}"] += 1


async def _record_parts(work: Pass, done: Sequence[Done]) -> None:
    """Record what became of single parts. What their series agreed on was recorded before, and is in the journal."""
    if not done:
        return
    kept = [item for item in done if item.stored is not None]
    ended = [item.intent for item in done if item.stored is None]
    async with work.writing(lazily=True) as connection:
        await parts.settle(connection, work.link, [_settled_part(work, item) for item in kept])
        await observations.observe(connection, [_observed(work, item) for item in kept])
        await parts.drop(connection, work.link, [intent.part for intent in ended if intent.part])
        await observations.forget_observed(connection, work.link, [intent.href for intent in ended])


def _settled_part(work: Pass, item: Done) -> dict[str, Any]:
    """Give the row of a part. After a lost answer what was sent counts: what differs there is their later edit."""
    intent, stored = item.intent, item.stored
    if stored is None or intent.series is None:
        raise ValueError("only what exists can be settled")
    held = flatten(_held(work, item)) if item.read_back is None else flatten(intent.series)
    return {"id": intent.part, "href": stored.href, "stored": passes.encode(held), "sent": passes.encode(intent.sent)}


async def _record_whole(work: Pass, done: Sequence[Done]) -> None:
    if not done:
        return
    link = work.link
    kept = [item for item in done if item.stored is not None]
    async with work.writing(lazily=True) as connection:
        await pairings.hold_still(connection, link, [item.intent.series_id for item in done])
        await pairings.settle(connection, [_settled(work, item) for item in kept])
        await parts.leaving(connection, link, [item.intent.series_id for item in kept if item.intent.has_parts])
        await observations.observe(connection, [_observed(work, item) for item in kept])
        for item in done:
            if item.stored is None:
                await pairings.unpair(connection, link, item.intent.series_id, forget=item.intent.ours_deleted)
        await observations.forget_observed(connection, link, [item.intent.href for item in done if item.stored is None])
        await passes.journal(connection, [journal_entry(work, item.intent, item.stored) for item in done])
        for plan_id in {item.intent.plan_id for item in done if item.intent.plan_id}:
            numbers = [item.intent.number for item in done if item.intent.plan_id == plan_id]
            await records.mark_actions(connection, plan_id, numbers, "done")
        settled = [item.intent.series_id for item in done]
        await records.close_problems(connection, link, series_ids=settled)
        await records.close_conflicts(connection, link, settled, "merged")


def _settled(work: Pass, item: Done) -> dict[str, Any]:
    """Give the pairing row. After a lost answer the base is what was sent: what differs there is their later edit."""
    intent, stored = item.intent, item.stored
    if stored is None or intent.series is None:
        raise ValueError("only what exists can be settled")
    agreed = dict(intent.agreed or {})
    theirs = flatten(_held(work, item))
    if item.read_back is not None:
        theirs = _as_sent(flatten(intent.series), theirs)
    return {
        "resource_id": work.link.resource_id,
        "link_id": work.link.id,
        "series_id": intent.series_id,
        "href": stored.href,
        "remote_uid": stored.uid or intent.series.uid,
        "etag": stored.etag,
        "series_version": intent.version,
        "base_ours": passes.encode(agreed),
        "base_theirs": passes.encode(theirs),
        "made_by_us": intent.verb == "create",
        "wrote": passes.encode([write_row(Side.PROVIDER, work.now.timestamp(), intent.answers)]),
    }


def _as_sent(sent: Flat, there: Flat) -> Flat:
    """Give what was sent, its rule in their words: one that means the same days is nobody's later edit."""
    return take(sent, ["rrule"], there) if "rrule" in sent and has_same_days(sent, there) else sent


def _held(work: Pass, item: Done) -> Series:
    """Give the stored content as far as we may hold it."""
    if item.stored is None or item.intent.series is None:
        raise ValueError("nothing is stored")
    return inward(work, _seen(work, item), _paired(item.intent)).series or item.intent.series


def _paired(intent: Intent) -> Paired:
    return Paired(intent.series_id, intent.origin, intent.from_here)


def _seen(work: Pass, item: Done) -> Seen:
    if item.read_back is not None:
        return item.read_back
    if item.stored is None:
        raise ValueError("nothing is stored")
    return seen_after(work, item.intent, item.stored)


def seen_after(work: Pass, intent: Intent, stored: Stored) -> Seen:
    """Give an object as it stands there after a write."""
    series = stored.series or intent.series
    if series is None:
        raise ValueError("a create or update without content")
    return Seen(stored.href, stored.etag, series, marker=work.mark(intent.series_id, intent.slot).text, key=intent.key)


def _observed(work: Pass, item: Done) -> dict[str, Any]:
    """Give the observed row; what was read back after a lost answer may hold a later edit, and is planned."""
    return observed_row(work, _seen(work, item), _paired(item.intent), observations.WRITTEN, stale=item.read_back is not None)


def journal_entry(work: Pass, intent: Intent, stored: Stored | None) -> dict[str, Any]:
    """Give the journal row of a write at the provider."""
    return {
        "resource_id": work.link.resource_id,
        "organization_id": work.link.organization_id,
        "link_id": work.link.id,
        "run_id": work.run_id,
        "series_id": intent.series_id,
        "href": stored.href if stored else intent.href,
        "verb": "update" if intent.made_whole else intent.verb,
        "fields": passes.encode(sorted(intent.fields)),
        "before": calendars.write_document(intent.before) if intent.before else None,
        "after": calendars.write_document(intent.series) if intent.series and stored else None,
    }
