"""Writing single objects: create under a name made of the key, update by patch, delete; all at a version.

An answer that never came is `Ambiguous`, and the caller reads back. No request here makes a server write to anybody,
unless that was asked for: attendees are silenced or the write is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Final

from gleichtakt.errors import Ambiguous, Conflict, Gone, Permanent, Scope, Transient, Trouble
from gleichtakt.model.event import Series
from gleichtakt.providers.caldav import oddities, wire
from gleichtakt.providers.caldav.objects import compose, is_organizer, patched, read_object, series_in
from gleichtakt.providers.caldav.reading import PLAIN
from gleichtakt.providers.caldav.session import Place, Session, each_member
from gleichtakt.providers.protocol import CalendarRef, Etag, Href, IdempotencyKey, Mail, Mark, Seen, Stored, Unreadable
from gleichtakt.providers.transport import Answer, trouble_of

#: Seconds before a write that found the collection locked (423: nothing was done) is sent again. Xandikos locks for each.
LOCKED_PAUSES: Final = (0.02, 0.2, 1.0)


@dataclass(frozen=True, slots=True)
class Held:
    """One resource as the server holds it."""

    etag: Etag
    data: bytes


class Writer:
    """Writes to the calendars of one session."""

    def __init__(self, session: Session) -> None:
        """Write through this session."""
        self.session = session

    # --- create and find

    async def create(self, into: CalendarRef, series: Series, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create; what this key made before is given back, a UID the server refuses gets a suffix."""
        place = await self.session.place(into)
        for uid in (series.uid, oddities.with_suffix(series.uid, key)):
            stored = await self._create(place, into, replace(series, uid=uid), key, mark, mail)
            if stored is not None:
                return stored
        raise Permanent("caldav.uid_taken", Scope.SERIES, host=place.host)

    async def _create(
        self, place: Place, of: CalendarRef, series: Series, key: IdempotencyKey, mark: Mark, mail: Mail
    ) -> Stored | None:
        """Create once; None when the server refuses the UID."""
        href = Href(f"{place.path}{key}.ics")
        data = await self._hushed(place, of, compose(series, key, mark, silent=mail is Mail.NONE), mail)
        answer = await self._put(place, href, data, {"If-None-Match": "*"})
        if answer.status in {200, 201, 204}:
            return await self._stored(place, of, self._landed(place, href, answer), data, answer, series)
        conditions = wire.read_conditions(answer.body)
        if oddities.is_uid_conflict(answer, conditions) or answer.status == 412:
            ours = await self._made_before(place, of, href, key)
            if ours is not None:
                return Stored(ours.href, ours.etag, ours.series, ours.series.uid)
            if oddities.is_uid_conflict(answer, conditions):
                return None
            # Radicale answers 412 to an object that is too large for it, too
            raise Permanent("general.rejected", Scope.SERIES, host=place.host, reason="HTTP 412")
        raise await self._refusal(place, answer, conditions)

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a create with this key made: by its name, or by UID where the server chose another name."""
        place = await self.session.place(of)
        found = await self._made_before(place, of, Href(f"{place.path}{key}.ics"), key)
        return found or await self._find_by_uid(place, of, key, uid)

    async def _made_before(self, place: Place, of: CalendarRef, href: Href, key: str) -> Seen | None:
        held = await self._get(place, href)
        if held is None:
            return None
        found = read_object(href, held.etag, held.data, await self.session.mine(of, held.data), clock=self.session.clock)
        if isinstance(found, Unreadable):
            raise found.trouble
        return found if found is not None and found.key in {"", key} else None

    async def _find_by_uid(self, place: Place, of: CalendarRef, key: str, uid: str) -> Seen | None:
        answer = await self.session.ask("REPORT", place.url, wire.query_by_uid(uid), "1")
        if answer.status != 207:
            if answer.status in oddities.REPORT_REFUSED:
                return None
            raise self.session.discovery.refused(answer)
        for member in each_member(wire.MultistatusReader(answer.body), place):
            data = member.text(wire.CAL + "calendar-data").encode()
            if data and oddities.marks_of(data)[1] == key:
                found = read_object(member.href, member.etag, data, await self.session.mine(of, data), clock=self.session.clock)
                if isinstance(found, Seen):
                    return found
        return None

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
        mark: Mark,
        mail: Mail,
    ) -> Stored:
        """Fetch, patch and put back at the version it was patched from."""
        place = await self.session.place(of)
        held = await self._held_at(place, href, expect)
        await self._refuse_unasked_mail(place, of, held.data, mail, fields)
        data = patched(held.data, base, new, fields, mark, silent=mail is Mail.NONE)
        data = await self._hushed(place, of, data, mail, untouched=held.data)
        answer = await self._put(place, href, data, {"If-Match": held.etag})
        if answer.status == 412 and held.etag.startswith("W/"):
            # servers that compare strongly never accept the weak etag they gave (RFC 9110 §13.1.1)
            answer = await self._put(place, href, data, {"If-Match": held.etag.removeprefix("W/")})
        if answer.status in {200, 201, 204}:
            return await self._stored(place, of, href, data, answer, new)
        if answer.status == 412:
            return await self._settle_stale(place, of, href, held, data)
        raise await self._refusal(place, answer, wire.read_conditions(answer.body), is_new=False)

    async def _held_at(self, place: Place, href: Href, expect: Etag) -> Held:
        """Give the object at the expected version; Conflict when it moved on. The write carries this very version."""
        kept = self.session.kept.take(place, href)
        if kept is not None and wire.same_etag(kept[0], expect):
            return Held(*kept)
        held = await self._get(place, href)
        if held is None:
            raise Gone
        if expect and not wire.same_etag(held.etag, expect):
            raise Conflict("general.stale", Scope.SERIES)
        return held

    async def _settle_stale(self, place: Place, of: CalendarRef, href: Href, held: Held, data: bytes) -> Stored:
        """Tell apart who wrote meanwhile: nobody (the server refuses the object), we (an answer was lost), someone else."""
        now = await self._get(place, href)
        if now is None:
            raise Gone
        if wire.same_etag(now.etag, held.etag):
            raise Permanent("general.rejected", Scope.SERIES, host=place.host, reason="HTTP 412")
        theirs = series_in(now.data)
        if theirs is not None and theirs == series_in(data):
            return Stored(href, now.etag, theirs, theirs.uid)
        raise Conflict("general.stale", Scope.SERIES)

    # --- delete

    async def delete(self, of: CalendarRef, href: Href, expect: Etag, mail: Mail) -> None:
        """Delete at a version, as an attendee without a reply to the organizer."""
        place = await self.session.place(of)
        if mail is Mail.NONE and oddities.schedules(await self.session.announced(place)):
            held = await self._held_at(place, href, expect)
            await self._refuse_unasked_mail(place, of, held.data, mail, None)
        headers: dict[str, str] = {"If-Match": expect} if expect else {}
        if mail is Mail.NONE:
            headers["Schedule-Reply"] = "F"
        answer = await self._delete(place, href, headers)
        if answer.status == 412 and expect.startswith("W/"):
            answer = await self._delete(place, href, {**headers, "If-Match": expect.removeprefix("W/")})
        self.session.kept.take(place, href)
        if answer.status in {200, 202, 204}:
            return
        if answer.status == 412 and await self._get(place, href) is None:
            raise Gone
        raise await self._refusal(place, answer, wire.read_conditions(answer.body), is_new=False)

    # --- mails

    async def _hushed(self, place: Place, of: CalendarRef, data: bytes, mail: Mail, *, untouched: bytes = b"") -> bytes:
        """Give an object that sends only the mails asked for. Raises when the server cannot be kept silent."""
        if mail is Mail.ALL or b"ATTENDEE" not in data:
            return data
        if mail is Mail.EXTERNAL:
            domains = {address.rpartition("@")[2] for address in await self.session.own_addresses(of.mailbox)}
            spare = (address for address in oddities.attendees_of(data) if address.rpartition("@")[2] not in domains)
            data = oddities.silenced(data, untouched=untouched, spare=tuple(spare))
        if oddities.relies_on_silence(data, untouched) and not await self.keeps_silence(place, of):
            raise Permanent("caldav.would_mail", Scope.SERIES, host=place.host)
        return data

    async def _refuse_unasked_mail(
        self, place: Place, of: CalendarRef, data: bytes, mail: Mail, fields: frozenset[str] | None
    ) -> None:
        """Refuse to touch a meeting of ours whose attendees the server would write to. fields None: it is deleted."""
        if mail is not Mail.NONE or not oddities.has_mailed_attendees(data):
            return
        if fields is not None and fields <= oddities.QUIET_FIELDS:
            return
        series = series_in(data)
        if series is None or not oddities.schedules(await self.session.announced(place)):
            return
        if is_organizer(series.event, await self.session.own_addresses(of.mailbox)):
            raise Permanent("caldav.would_mail", Scope.SERIES, host=place.host)

    async def keeps_silence(self, place: Place, of: CalendarRef) -> bool:
        """Say whether attendees can be written without a mail: the server sends none, or leaves them to us when told so.

        Probed once with an attendee whose domain cannot exist (RFC 2606), so that no mail can arrive anywhere.
        """
        if not oddities.schedules(await self.session.announced(place)):
            return True
        told = self.session.login.options.get("schedule_agent", "")
        if told:
            return told == "honoured"
        async with self.session.probing:
            if place.url not in self.session.silences:
                self.session.silences[place.url] = await self._probe_silence(place, of)
        return self.session.silences[place.url]

    async def _probe_silence(self, place: Place, of: CalendarRef) -> bool:
        own = next((found for found in sorted(await self.session.own_addresses(of.mailbox)) if "@" in found), "")
        if not own:  # who has no address at the server organizes nothing there
            return (await self.session.account(of.mailbox)).is_nameless
        probe = oddities.scheduling_probe(own, f"gleichtakt-{hashlib.sha256(place.url.encode()).hexdigest()[:32]}")
        href = Href(f"{place.path}{probe.name}")
        try:
            answer = await self._put(place, href, probe.data, {})
            if answer.status in {200, 201, 204}:
                held = await self._get(place, href)
                return held is not None and oddities.kept_silence(held.data)
            refused = trouble_of(answer, scope=Scope.SERIES)
            if isinstance(refused, Permanent):
                return False
            raise refused
        except Ambiguous as lost:  # of what was asked for, nothing has been sent yet
            raise Transient(lost.code, lost.scope, **lost.params) from lost
        finally:
            await self._remove_probe(place, href)

    async def _remove_probe(self, place: Place, href: Href) -> None:
        """Delete the probe, again where the answer is lost. What is left all the same, the next probe replaces and removes."""
        for _ in range(2):
            with suppress(Trouble):
                answer = await self._delete(place, href, {"Schedule-Reply": "F"})
                if answer.status in {200, 202, 204, 404, 410}:
                    return

    # --- requests

    async def _put(self, place: Place, href: Href, data: bytes, condition: dict[str, str]) -> Answer:
        return await self._send("PUT", place, href, {**wire.CALENDAR_TYPE, **condition}, data)

    async def _delete(self, place: Place, href: Href, headers: dict[str, str]) -> Answer:
        return await self._send("DELETE", place, href, headers, None)

    async def _send(self, verb: str, place: Place, href: Href, headers: dict[str, str], data: bytes | None) -> Answer:
        """Send a write; after «locked» once more, and from then on one at a time in this collection."""
        async with self.session.turns.get(place.url) or nullcontext():
            answer = await self._send_once(verb, place, href, headers, data)
        for pause in LOCKED_PAUSES:
            if answer.status != 423:
                break
            async with self.session.turns.setdefault(place.url, asyncio.Lock()):
                await asyncio.sleep(pause)
                answer = await self._send_once(verb, place, href, headers, data)
        return answer

    async def _send_once(self, verb: str, place: Place, href: Href, headers: dict[str, str], data: bytes | None) -> Answer:
        return await self.session.transport.send(verb, place.url_of(href), headers=headers, body=data, writing=True)

    async def _get(self, place: Place, href: Href) -> Held | None:
        answer = await self.session.transport.send("GET", place.url_of(href), headers=PLAIN)
        if answer.status in {404, 410}:
            return None
        if answer.status != 200:
            raise self.session.discovery.refused(answer)
        return Held(wire.read_etag(answer.headers.get("ETag")), answer.body)

    def _landed(self, place: Place, href: Href, answer: Answer) -> Href:
        """Give the name a server chose for a new object, if it chose one (Google, Oracle)."""
        named = answer.headers.get("Location", "")
        chosen = wire.read_href(named) if named else href
        return chosen if chosen.startswith(place.path) else href

    async def _stored(self, place: Place, of: CalendarRef, href: Href, data: bytes, answer: Answer, sent: Series) -> Stored:
        """Say what is stored: as written when the answer carries a strong etag, else as read back (RFC 4791 §5.3.4).

        What was written may read otherwise than what was meant: iCalendar has no word for the second of two equal hours.
        """
        etag = wire.read_etag(answer.headers.get("ETag"))
        if etag and not etag.startswith("W/") and not oddities.holds_its_own_text(answer):
            written = series_in(data)
            return Stored(href, etag, None if written == sent else written, sent.uid)
        held = await self._get(place, href)
        if held is None:
            raise Transient("caldav.vanished", Scope.SERIES, host=place.host)
        found = read_object(href, held.etag or etag, held.data, await self.session.mine(of, held.data), clock=self.session.clock)
        if isinstance(found, Seen):
            return Stored(href, found.etag, found.series, found.series.uid)
        raise found.trouble if found is not None else Transient("caldav.vanished", Scope.SERIES, host=place.host)

    async def _refusal(self, place: Place, answer: Answer, conditions: frozenset[str], *, is_new: bool = True) -> Trouble:
        """Classify a refused write; a missing collection is told from a missing object by looking."""
        if answer.status == 401:
            return self.session.discovery.refused(answer)
        if is_new and answer.status in {404, 409, 410} and not conditions & oddities.CONDITIONS.keys():
            await self.session.state(place, wire.COLLECTION)
            return Permanent("general.rejected", Scope.SERIES, host=place.host, reason=f"HTTP {answer.status}")
        return oddities.refusal_of(answer, conditions, creating=is_new)
