"""Reading a calendar: what changed since a position, everything, or single objects by name.

Each href that is asked for is accounted for: seen, unreadable, gone by its own status, or the reading fails. So a server
that caps its answers in silence costs requests, not events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from gleichtakt.errors import CursorExpired, Permanent, Scope, Transient
from gleichtakt.providers.ahead import read_ahead
from gleichtakt.providers.caldav import oddities, wire
from gleichtakt.providers.caldav.objects import read_object
from gleichtakt.providers.caldav.session import Place, Session, each_member
from gleichtakt.providers.found import Found
from gleichtakt.providers.protocol import CalendarRef, Cursor, Etag, Href, Known, Page, Seen, Unreadable
from gleichtakt.providers.transport import Answer

AT_ONCE = 100  # objects in one multiget; fewer by the option `at_once`
PLAIN = {"Accept-Encoding": "identity"}  # proxies that compress give another etag
ALONE = 3  # so few are read one by one
NOT_GIVEN = "caldav.not_given"
_NO_MULTIGET = frozenset({403, 404, 405, 415, 501})
_ASK_LATER = frozenset({401, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Listed:
    """The members of a calendar with their versions, and the position to go on from."""

    etags: Mapping[Href, Etag]
    position: wire.Position


@dataclass(frozen=True, slots=True)
class Touched:
    """One member a listing or report names; status 404 for a tombstone."""

    href: Href
    status: int
    etag: Etag


class Reader:
    """Reads the calendars of one session."""

    def __init__(self, session: Session) -> None:
        """Read through this session."""
        self.session = session
        self.at_once = min(max(int(session.login.options.get("at_once") or AT_ONCE), 1), AT_ONCE)

    async def changes(self, of: CalendarRef, since: Cursor | None, known: Known) -> AsyncIterator[Page]:
        """Yield what changed, or everything. *known* is not looked at while nothing has changed."""
        place = await self.session.place(of)
        position = wire.read_position(since) if since is not None else wire.Position()
        if position is None:
            raise CursorExpired(detail="not a cursor of ours")
        if position.ctag and since is not None:
            ctag = (await self.session.state(place, wire.POLL)).text(wire.SERVER + "getctag")
            if ctag == position.ctag:
                yield Page(next=since, final=True)
                return
            position = replace(position, ctag=ctag)
        pages = self._increment(place, of, position, known) if position.token else self._listing(place, of, known)
        async for page in pages:
            yield page

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read objects by name, and keep them at hand for updates."""
        place, found = await self.session.place(of), Found()
        wanted = list(dict.fromkeys(hrefs))
        for at in range(0, len(wanted), self.at_once):
            batch = dict.fromkeys(wanted[at : at + self.at_once], Etag(""))
            await self._read(place, of, batch, found, answer=await self._multiget(place, list(batch)), keep=True)
        return (*found.seen, *found.unreadable)

    async def keep(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Keep objects at hand for the updates that follow. What a server does not give is read by the update itself."""
        place, kept = await self.session.place(of), self.session.kept
        wanted = [href for href in dict.fromkeys(hrefs) if (place, href) not in kept]
        for at in range(0, len(wanted), self.at_once):
            answer = await self._multiget(place, wanted[at : at + self.at_once])
            if answer.status != 207:
                return
            with suppress(wire.NotMultistatus):
                reader = wire.MultistatusReader(answer.body)
                whole = [(member.href, member.etag, member.content) for member in reader.members() if member.status < 300]
                for href, etag, data in [] if reader.repaired else whole:
                    if etag and data:
                        kept.put(place, href, etag, data)

    # --- everything

    async def _listing(self, place: Place, of: CalendarRef, known: Known) -> AsyncIterator[Page]:
        state = await self.session.state(place, wire.COLLECTION)
        if wire.CAL + "calendar" not in state.children(wire.DAV + "resourcetype"):
            raise Permanent("caldav.not_a_calendar", Scope.CALENDAR, host=place.host)
        listed = await self._list(place, state)
        etags = listed.etags
        fresh = {href: etag for href, etag in etags.items() if not wire.same_etag(etag, known.etags.get(href, ""))}
        unchanged = tuple(href for href in etags if href not in fresh)
        async for found, is_last in self._in_batches(place, of, fresh):
            yield Page(
                upserts=tuple(found.seen),
                unreadable=tuple(found.unreadable),
                unchanged=unchanged,
                next=listed.position.write() if is_last else None,
                final=is_last,
                is_listing=True,
            )
            unchanged = ()

    async def _list(self, place: Place, state: wire.Member) -> Listed:
        """Name all members, by sync-collection where it works."""
        ctag = state.text(wire.SERVER + "getctag")
        offered = state.children(wire.DAV + "supported-report-set")
        if not offered or wire.DAV + "sync-collection" in offered:
            for depth in ("0", "1"):
                found = await self._list_by_sync(place, wire.Position("", ctag, depth))
                if found is not None:
                    return found
        return await self._list_by_propfind(place, ctag)

    async def _list_by_sync(self, place: Place, position: wire.Position) -> Listed | None:
        """List by sync-collection; None when the server does not really offer it."""
        etags: dict[Href, Etag] = {}
        while True:
            answer = await self._report_changes(place, position)
            if answer.status in oddities.REPORT_REFUSED:
                return None
            touched, token, is_cut = self._touched(place, answer)
            etags |= {member.href: member.etag for member in touched if member.status < 300}
            if not token or (is_cut and token == position.token):
                return None
            position = replace(position, token=token)
            if not is_cut:
                return Listed(etags, position)

    async def _list_by_propfind(self, place: Place, ctag: str) -> Listed:
        answer = await self.session.ask("PROPFIND", place.url, wire.propfind(wire.MEMBERS), "1")
        if answer.status != 207:
            raise self.session.discovery.refused(answer)
        etags, has_self = {}, False
        for member in each_member(wire.MultistatusReader(answer.body), place):
            has_self = has_self or place.is_self(member.href)
            if member.is_event and member.status < 300:
                etags[member.href] = member.etag
        if not has_self and not etags:
            raise Transient("general.malformed", Scope.CALENDAR, host=place.host, reason="a listing without the collection")
        return Listed(etags, wire.Position("", ctag))

    # --- what changed

    async def _increment(self, place: Place, of: CalendarRef, position: wire.Position, known: Known) -> AsyncIterator[Page]:
        is_cut = True
        while is_cut:
            answer = await self._report_changes(place, position)
            if answer.status in oddities.TOKEN_REFUSED:
                raise CursorExpired(detail=f"HTTP {answer.status}")
            touched, token, is_cut = self._touched(place, answer)
            if not token or (is_cut and token == position.token):
                raise CursorExpired(detail="no token to go on from")
            position = replace(position, token=token)
            gone = tuple(one.href for one in touched if one.status in {404, 410})
            standing = {one.href: one.etag for one in touched if one.href not in gone}
            etags = await known.of(list(standing))
            wanted = {href: etag for href, etag in standing.items() if not wire.same_etag(etag, etags.get(href, ""))}
            unchanged = tuple(href for href in standing if href not in wanted)
            async for found, is_last in self._in_batches(place, of, wanted):
                is_final = is_last and not is_cut
                # the ctag was read before the last part: after an earlier one only the token says where we are
                after = position if is_final else replace(position, ctag="")
                yield Page(
                    upserts=tuple(found.seen),
                    gone=(*gone, *found.gone),
                    unreadable=tuple(found.unreadable),
                    unchanged=unchanged,
                    next=after.write() if is_last else None,
                    final=is_final,
                )
                gone = unchanged = ()

    async def _report_changes(self, place: Place, position: wire.Position) -> Answer:
        return await self.session.ask("REPORT", place.url, wire.sync_collection(position.token), position.depth)

    def _touched(self, place: Place, answer: Answer) -> tuple[list[Touched], str, bool]:
        """Give the members an answer names, the token it ends with, and whether the server cut it (507 on the collection)."""
        if answer.status != 207:
            raise self.session.discovery.refused(answer)
        reader, touched, is_cut = wire.MultistatusReader(answer.body), [], False
        for member in each_member(reader, place):
            if place.is_self(member.href):
                is_cut = is_cut or member.status == 507
            elif member.is_event:
                touched.append(Touched(member.href, member.status, member.etag))
        return touched, reader.token, is_cut

    # --- objects

    async def _in_batches(self, place: Place, of: CalendarRef, wanted: Mapping[Href, Etag]) -> AsyncIterator[tuple[Found, bool]]:
        """Read objects a batch at a time, asking for the next while this one is worked on; one empty batch for none."""
        hrefs = list(wanted)
        batches = [hrefs[at : at + self.at_once] for at in range(0, len(hrefs), self.at_once)]
        if not batches:
            yield Found(), True
            return
        async with aclosing(read_ahead(batches, lambda batch: self._multiget(place, batch))) as answers:
            async for batch, answer in answers:
                found = Found()
                await self._read(place, of, {href: wanted[href] for href in batch}, found, answer=answer)
                self._doubt(place, found, len(batch))
                yield found, batch is batches[-1]

    async def _multiget(self, place: Place, hrefs: Sequence[Href]) -> Answer:
        return await self.session.ask("REPORT", place.url, wire.multiget(hrefs))

    async def _read(
        self, place: Place, of: CalendarRef, wanted: Mapping[Href, Etag], found: Found, *, answer: Answer, keep: bool = False
    ) -> None:
        """Account for each href: what an answer passes over, or breaks at, is asked for again, in the end alone."""
        left = await self._sort(place, of, wanted, found, answer, keep=keep)
        if len(left) <= ALONE or answer.status in _NO_MULTIGET:
            for href, etag in left.items():
                await self._read_alone(place, of, href, etag, found, keep=keep)
            return
        hrefs = list(left)
        step = len(hrefs) if len(left) < len(wanted) else (len(hrefs) + 1) // 2
        for at in range(0, len(hrefs), step):
            batch = {href: left[href] for href in hrefs[at : at + step]}
            await self._read(place, of, batch, found, answer=await self._multiget(place, list(batch)), keep=keep)

    async def _sort(
        self, place: Place, of: CalendarRef, wanted: Mapping[Href, Etag], found: Found, answer: Answer, *, keep: bool
    ) -> dict[Href, Etag]:
        """Sort in what a multiget answered, and give what it left open."""
        left = dict(wanted)
        if answer.status != 207:
            if answer.status not in oddities.REPORT_REFUSED:
                raise self.session.discovery.refused(answer)
            return left
        reader = wire.MultistatusReader(answer.body)
        self.session.clock.hear_date(answer.headers.get("Date"))
        try:
            for member in reader.members():
                if member.href not in left:
                    continue
                if member.status in {404, 410}:
                    del left[member.href]
                    found.gone.append(member.href)
                elif member.status < 300 and (data := member.content):
                    etag = member.etag or left.pop(member.href)
                    left.pop(member.href, None)
                    await self._add(place, of, member.href, etag, data, found, keep=keep, repaired=reader.repaired)
        except wire.NotMultistatus:
            return left  # what came before the break counts
        return left

    async def _read_alone(
        self, place: Place, of: CalendarRef, href: Href, etag: Etag, found: Found, *, keep: bool = False
    ) -> None:
        answer = await self.session.transport.send("GET", place.url_of(href), headers=PLAIN)
        if answer.status in {404, 410}:
            found.gone.append(href)
        elif answer.status == 200:
            version = wire.read_etag(answer.headers.get("ETag")) or etag
            self.session.clock.hear_date(answer.headers.get("Date"))
            await self._add(place, of, href, version, answer.body, found, keep=keep)
        elif answer.status in _ASK_LATER:
            raise self.session.discovery.refused(answer)
        else:
            trouble = Transient(NOT_GIVEN, Scope.SERIES, host=place.host, status=str(answer.status))
            found.unreadable.append(Unreadable(href, etag, trouble))

    async def _add(
        self,
        place: Place,
        of: CalendarRef,
        href: Href,
        etag: Etag,
        data: bytes,
        found: Found,
        *,
        keep: bool,
        repaired: bool = False,
    ) -> None:
        if keep:
            self.session.kept.put(place, href, etag, data)
        mine, clock = await self.session.mine(of, data), self.session.clock
        found.add(href, read_object(href, etag, data, mine, repaired=repaired, clock=clock))

    def _doubt(self, place: Place, found: Found, asked: int) -> None:
        """Take a whole batch that was refused object by object for a sick server, not for that many sick objects."""
        refused = [one for one in found.unreadable if one.trouble.code == NOT_GIVEN]
        if asked > ALONE and len(refused) == asked:
            raise Transient("general.server_error", Scope.CALENDAR, host=place.host, status=refused[0].trouble.params["status"])
