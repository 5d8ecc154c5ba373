"""Step 1: store what the provider says, page by page, with the reading position in the same transaction.

After this step a crash loses nothing. Content is reduced to what policy lets us hold before it is stored; an object that
cannot be read becomes a row with its reason; only a listing that ended with the provider's own mark turns absence into
«gone», and what is gone is asked for once more by id before anything follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

from gleichtakt.errors import CursorExpired, Gone, Trouble
from gleichtakt.providers.protocol import Cursor, Href, Known, Page, Seen, Unreadable
from gleichtakt.store import calendars, observations, passes, records
from gleichtakt.store.observations import Paired
from gleichtakt.sync import projection
from gleichtakt.sync.plan import Theirs
from gleichtakt.worker.link_pass.context import Pass

FETCH_AT_ONCE = 100
COMPARE_EVERY = timedelta(days=1)
ROLLED = "rolled_on"


async def observe(work: Pass) -> bool:
    """Read what changed since the cursor, or everything; say whether there is anything new to plan."""
    link = work.link
    overdue = link.listed_at is None or work.now - link.listed_at > COMPARE_EVERY
    start_over = link.cursor is None or link.force_listing or link.policy_digest != work.policy_digest or overdue
    if link.listing and link.cursor and not link.force_listing and link.policy_digest in ("", work.policy_digest):
        start_over = False  # a listing under way goes on where it stopped
    try:
        moved = await _read(work, None if start_over else Cursor(link.cursor or ""))
    except CursorExpired as expired:
        work.counts["cursor_expired"] += 1
        async with work.writing() as connection:
            await records.open_problem(connection, link, expired)
        moved = await _read(work, None)
        async with work.writing() as connection:
            await records.close_problems(connection, link, wider=True)
    work.has_news = moved
    return await _look_again(work) or moved


async def _read(work: Pass, since: Cursor | None) -> bool:
    """Store the pages after a cursor. A listing gets a token, so that what it did not meet is known at its end.

    The token stays with the link until the listing is concluded: one that was interrupted, in the middle or between its
    last page and its conclusion, is concluded by the next reading. A listing from the beginning has a token of its own:
    what an earlier attempt met may be gone since.
    """
    link = work.link
    listing = uuid4().hex if since is None else link.listing or ""
    known = await _known(work, everything=since is None or bool(link.facts.get("lists")))
    moved, started = False, since is None
    last: Page | None = None
    async for page in work.provider.changes(work.calendar, since, known=known, window=work.window):
        if page.is_listing:
            listing = listing or uuid4().hex
        changed = bool(page.upserts or page.gone or page.unreadable)
        moved = moved or changed
        if changed or page.unchanged or started or page.next not in (None, link.cursor):
            await _store_page(work, page, listing, since)
        last = page
    work.is_cut = last is None or not last.final
    if work.is_cut:
        return moved  # the provider did not say that this was all: nothing may be concluded from absence
    if listing:
        return await _conclude_listing(work, listing) or moved
    if last is not None and last.next != since:
        moved = await _miss_our_writes(work) or moved
    return moved


async def _known(work: Pass, *, everything: bool) -> Known:
    """Say what need not be fetched again: nothing, where what we hold was reduced under another policy."""
    if work.link.policy_digest != work.policy_digest:
        return Known()

    async def look_up(hrefs: Sequence[Href]) -> dict[str, str]:
        async with work.database.read() as connection:
            return await observations.known_etags(connection, work.link, hrefs)

    if not everything:
        return Known(look_up=look_up)
    async with work.database.read() as connection:
        return Known(await observations.known_etags(connection, work.link))


async def _store_page(work: Pass, page: Page, listing: str, since: Cursor | None) -> None:
    """Store one page and the position after it in one transaction."""
    link = work.link
    gone = await _confirm_gone(work, page.gone)
    rows = await observed_rows(work, page.upserts, listing)
    async with work.writing(lazily=not page.unreadable) as connection:
        await observations.observe(connection, rows)
        await records.close_problems(connection, link, hrefs=[item.href for item in page.upserts])
        await _store_unreadable(work, connection, page.unreadable, listing)
        await observations.mark_gone(connection, link, gone)
        if listing:
            await observations.mark_listed(connection, link, page.unchanged, listing)
        else:
            await observations.mark_met(connection, link, page.unchanged)
        values: dict[str, Any] = {}
        if page.next is not None:
            values["cursor"] = page.next
        if listing:
            values["listing"] = listing
        if page.is_listing and since is not None and not link.listing:
            values["facts"] = {**link.facts, "lists": True}
        if values:
            await passes.save_cursor(connection, link, values)
        if work.run_id is not None and len(page.upserts) > 1:
            await records.progress(connection, work.run_id, {"step": "observe", "read": work.counts["read"] + len(rows)})
    work.counts["read"] += len(page.upserts)
    work.counts["unreadable"] += len(page.unreadable)


async def _store_unreadable(work: Pass, connection: Any, unreadable: Sequence[Unreadable], listing: str) -> None:
    rows = [
        {
            "resource_id": work.link.resource_id,
            "link_id": work.link.id,
            "href": item.href,
            "etag": item.etag,
            "reason_code": item.trouble.code,
            "reason_params": passes.encode(item.trouble.params),
            "listing": listing,
        }
        for item in unreadable
    ]
    await observations.observe_unreadable(connection, rows)
    for item in unreadable:
        await records.open_problem(connection, work.link, item.trouble, href=item.href)
        work.problems.append({"code": item.trouble.code, "href": item.href, "side": "provider"})


async def _confirm_gone(work: Pass, hrefs: Iterable[Href]) -> list[str]:
    """Ask for reported deletions by id: what answers has only left the view, and is stored as it stands."""
    proven: list[str] = []
    waiting = iter(hrefs)
    while chunk := list(islice(waiting, FETCH_AT_ONCE)):
        async with work.database.read() as connection:
            paired = await observations.paired(connection, work.link, chunk)
        proven += [href for href in chunk if href not in paired]
        asked = [href for href in chunk if href in paired]
        proven += await fetch(work, asked)
    return proven


async def fetch(work: Pass, hrefs: Sequence[str]) -> list[str]:
    """Read single objects and store them; give those that do not exist."""
    missing: list[str] = []
    for begin in range(0, len(hrefs), FETCH_AT_ONCE):
        chunk = [Href(href) for href in hrefs[begin : begin + FETCH_AT_ONCE]]
        try:
            found = await work.provider.fetch(work.calendar, chunk)
        except Gone:
            found = ()
        seen = [item for item in found if isinstance(item, Seen)]
        broken = [item for item in found if isinstance(item, Unreadable)]
        rows = await observed_rows(work, seen, work.link.listing or "")
        async with work.writing(lazily=not broken) as connection:
            await observations.observe(connection, rows)
            await records.close_problems(connection, work.link, hrefs=[item.href for item in seen])
            await _store_unreadable(work, connection, broken, work.link.listing or "")
        answered = {item.href for item in found}
        missing += [href for href in chunk if href not in answered]
    return missing


async def _miss_our_writes(work: Pass) -> bool:
    """Ask by id for what we wrote and the changes since do not name.

    What came and went between two readings need not be named at all (RFC 6578 §3.5, seen with Xandikos), so an object
    of ours that somebody deleted before we read again would be missed until the next listing.
    """
    moved = False
    while True:
        async with work.database.read() as connection:
            missed = await observations.not_met(connection, work.link, FETCH_AT_ONCE)
        if not missed:
            return moved
        gone = await fetch(work, missed)
        async with work.writing() as connection:
            await observations.mark_gone(connection, work.link, gone)
            await observations.mark_met(connection, work.link, missed)
        moved = moved or bool(gone)


async def _conclude_listing(work: Pass, listing: str) -> bool:
    """Turn absence from a complete listing into «gone», after asking by id; close the listing."""
    link, moved = work.link, False
    while True:
        async with work.database.read() as connection:
            absent = await observations.unlisted(connection, link, listing, FETCH_AT_ONCE)
        if not absent:
            break
        moved = True
        gone = set(await fetch(work, absent))
        async with work.writing() as connection:
            await observations.mark_gone(connection, link, list(gone))
            await observations.mark_listed(connection, link, [href for href in absent if href not in gone], listing)
    async with work.writing() as connection:
        values = {
            "listing": None,
            "listed_at": work.now,
            "force_listing": False,
            "policy_digest": work.policy_digest,
        }
        await passes.save_cursor(connection, link, values)
    return moved


async def _look_again(work: Pass) -> bool:
    """Once a day, and where a pause is over, read what was unreadable and what has entered the window."""
    link = work.link
    today = work.now.date().isoformat()
    if link.facts.get(ROLLED) == today and not link.has_work:
        return False
    async with work.database.read() as connection:
        hrefs = await observations.to_fetch(connection, link, work.window.start, work.window.end, 1_000)
    if hrefs:
        gone = await fetch(work, hrefs)
        async with work.writing() as connection:
            await observations.mark_gone(connection, link, gone)
    if link.facts.get(ROLLED) != today:
        async with work.writing() as connection:
            await observations.roll(connection, link)
            await passes.save_cursor(connection, link, {"facts": {**link.facts, ROLLED: today}})
        link.facts[ROLLED] = today
    return True


async def observed_rows(work: Pass, seen: Sequence[Seen], listing: str) -> list[dict[str, Any]]:
    """Reduce objects to what policy lets us hold and give their rows."""
    if not seen:
        return []
    async with work.database.read() as connection:
        paired = await observations.paired(connection, work.link, [item.href for item in seen])
    return [observed_row(work, item, paired.get(item.href), listing) for item in seen]


def observed_row(work: Pass, item: Seen, paired: Paired | None, listing: str, *, stale: bool = True) -> dict[str, Any]:
    """Give the row of one object. paired: what it is to us, None while it is new."""
    theirs = inward(work, item, paired)
    start, end = _span(work, item)
    return {
        "resource_id": work.link.resource_id,
        "link_id": work.link.id,
        "href": item.href,
        "etag": item.etag,
        "uid": item.series.uid,
        "starts_at": start,
        "ends_at": end,
        "document": calendars.write_document(theirs.series) if theirs.series else None,
        "reason": theirs.reason,
        "reason_code": "",
        "reason_params": "{}",
        "marker": item.marker,
        "key": item.key,
        "title_digest": work.title_digest(item.series),
        "is_organizer": item.is_organizer,
        "response": item.response,
        "kind": item.kind,
        "stale": stale,
        "listing": listing,
        "modified_at": item.modified_at,
    }


def inward(work: Pass, item: Seen, paired: Paired | None) -> Theirs:
    """Say what we may hold of an object."""
    if item.foreign_marker and paired is None:
        return Theirs(None, "mirror", item.is_organizer)
    return projection.inward(
        item.series,
        own_copy=paired is not None and paired.is_own_copy,
        policy=work.policy,
        limits=work.limits,
        kind=item.kind,
        response=item.response,
        is_organizer=item.is_organizer,
        window=work.window,
        reader=work.reader,
        language=work.language,
        paired=paired is not None,
        relayed=paired is not None and paired.is_relayed,
    )


def _span(work: Pass, item: Seen) -> tuple[datetime | None, datetime | None]:
    try:
        return calendars.span_of(item.series, work.link.time_zone)
    except (Trouble, OverflowError):
        return None, None
