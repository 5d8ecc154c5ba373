"""Mailboxes, calendars and objects of the simulator, and what each call does to them. No network here.

Objects are JSON documents (`model.document`); keys nobody here knows survive every edit that does not name them.
A calendar keeps a log of positions, so that «nothing changed» is one comparison, and a listing can be resumed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.faults import Faults
from gleichtakt.simulators.memory.faults import Fault
from gleichtakt.simulators.memory.subscriptions import Subscriptions
from gleichtakt.simulators.memory.variants import EXACT, VARIANTS, Document, Refused, Variant, stored

ACCOUNTS: Mapping[str, str] = {"sync": "sync-password"}  # who may sign in, unless told otherwise
FACTS: Mapping[str, Any] = {"is_organizer": True, "response": "none", "kind": "default", "foreign_marker": ""}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Failure(Exception):
    """A refusal in the words of this system's wire; `client` side turns them into troubles."""

    def __init__(self, word: str, **params: str) -> None:
        """word: login, forbidden, no_calendar, not_found, version, cursor, busy, failure, rejected, too_large."""
        super().__init__(word)
        self.word, self.params = word, params


class Lost(Exception):
    """The connection breaks instead of an answer."""


@dataclass(slots=True)
class Thing:
    """One object as stored. position: where its last change stands in the calendar's log."""

    href: str
    raw: bytes  # its document as JSON
    position: int
    marker: str = ""
    key: str = ""
    is_spoilt: bool = False
    modified_at: str = ""
    facts: dict[str, Any] = field(default_factory=lambda: dict(FACTS))

    @property
    def etag(self) -> str:
        """Give its version."""
        return f"v{self.position}"

    @property
    def document(self) -> Document:
        """Give its content, as a value of one's own."""
        content: Document = _decode(self.raw)
        return content

    def frame(self, *, spoilt: bool = False) -> dict[str, Any]:
        """Give it as it goes over the wire."""
        raw = b'{"start":"\xe2\x80\xa6"}' if spoilt or self.is_spoilt else self.raw
        return {
            "href": self.href,
            "etag": self.etag,
            "document": msgspec.Raw(raw),
            "marker": self.marker,
            "key": self.key,
            "modified_at": self.modified_at,
            **self.facts,
        }


@dataclass(slots=True)
class Folder:
    """One calendar of one mailbox."""

    name: str
    title: str
    variant: Variant
    mailbox: str = ""
    can_write: bool = True
    things: dict[str, Thing] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)  # href -> position of its deletion
    log: list[str] = field(default_factory=list)  # href at position - 1
    keys: dict[str, str] = field(default_factory=dict)  # idempotency key -> href
    uids: Counter[str] = field(default_factory=Counter)
    epoch: int = 1  # cursors of an older epoch are refused
    made: Iterator[int] = field(default_factory=lambda: count(1))

    def record(self, href: str) -> int:
        """Write a change into the log; give its position."""
        self.log.append(href)
        return len(self.log)

    def page(self, cursor: str | None, size: int) -> dict[str, Any]:
        """Give the next page of changes, or of the listing when there is no cursor."""
        position, end_of_listing = self._read(cursor)
        upserts: list[dict[str, Any]] = []
        gone: list[str] = []
        while position < len(self.log) and len(upserts) + len(gone) < size:
            href = self.log[position]
            position += 1
            thing = self.things.get(href)
            if thing is not None and thing.position == position:
                upserts.append(thing.frame())
            elif thing is None and self.dead.get(href) == position and (end_of_listing is None or position > end_of_listing):
                gone.append(href)
        final = position >= len(self.log)
        listing = "" if final or end_of_listing is None else f".{end_of_listing}"
        return {
            "upserts": upserts,
            "gone": gone,
            "next": f"{self.epoch}.{position}{listing}",
            "final": final,
            "listing": end_of_listing is not None,
        }

    def _read(self, cursor: str | None) -> tuple[int, int | None]:
        if cursor is None:
            return 0, len(self.log)
        parts = cursor.split(".")
        if not all(part.isascii() and part.isdecimal() for part in parts) or len(parts) not in (2, 3):
            raise Failure("cursor")
        if int(parts[0]) != self.epoch or int(parts[1]) > len(self.log):
            raise Failure("cursor")
        return int(parts[1]), int(parts[2]) if len(parts) == 3 else None


class Simulator:
    """Everything one process holds. Calls come in through `answer`; tests and the control interface use the rest."""

    def __init__(self, *, page_size: int = 200, accounts: Mapping[str, str] = ACCOUNTS) -> None:
        """Begin empty; mailboxes and calendars appear when first asked for."""
        self.page_size, self.accounts = page_size, dict(accounts)
        self.folders: dict[tuple[str, str], Folder] = {}
        self.faults: Faults[Fault] = Faults()
        self.outbox: list[dict[str, Any]] = []
        self.ledger: deque[dict[str, Any]] = deque(maxlen=100_000)
        self.calls: Counter[str] = Counter()
        self.refused_logins = 0
        self.under_way: dict[str, Counter[int]] = {}  # mailbox -> client -> calls whose answer is still to go out
        self.overlaps: list[dict[str, Any]] = []  # two clients at work on one mailbox at the same time
        self.clock = Clock()
        self.subscriptions = Subscriptions(self.clock, self.faults)

    # --- for tests and the control interface -----------------------------------------------------------------------

    def folder(self, mailbox: str, calendar: str = "", variant: str | Variant = EXACT) -> Folder:
        """Give a calendar, made in the given variant if it is new."""
        name = calendar or "calendar"
        found = self.folders.get((mailbox, name))
        if found is None:
            kind = VARIANTS[variant] if isinstance(variant, str) else variant
            found = self.folders[mailbox, name] = Folder(name, name.title(), kind, mailbox)
        return found

    def put(self, folder: Folder, document: Document, *, href: str = "", marker: str = "", key: str = "") -> Thing:
        """Store a new object as if someone had made it there."""
        kept = stored(folder.variant, document)
        if folder.variant.unique_uid and folder.uids[kept["uid"]]:
            raise Failure("uid_taken")
        number = next(folder.made)
        if not folder.variant.keeps_uid:
            kept["uid"] = f"{folder.name}-{number}@normalising.example"
        _fits(folder.variant, _encode(kept))
        made = Thing(href or f"{number:06d}.json", b"", 0, marker if folder.variant.keeps_marker else "", key)
        folder.things[made.href] = made
        folder.dead.pop(made.href, None)
        folder.uids[kept["uid"]] += 1
        if key:
            folder.keys[key] = made.href
        self._write(folder, made, kept)
        return made

    def edit(self, folder: Folder, href: str, changes: Mapping[str, Any]) -> Thing:
        """Change top-level keys of an object's document as if someone had done it there."""
        thing = folder.things[href]
        self._write(folder, thing, stored(folder.variant, {**thing.document, **changes}))
        return thing

    def remove(self, folder: Folder, href: str) -> None:
        """Delete an object as if someone had done it there."""
        thing = folder.things.pop(href)
        folder.uids[thing.document["uid"]] -= 1
        if folder.keys.get(thing.key) == href:
            del folder.keys[thing.key]
        folder.dead[href] = folder.record(href)
        self._changed(folder)

    def clone(self, folder: Folder, href: str) -> Thing:
        """Copy an object with all hidden properties, as copy and paste in a client does; it gets its own UID."""
        source = folder.things[href]
        number = next(folder.made)
        copy = {**source.document, "uid": f"copy-{number}@client.example"}
        return self.put(folder, copy, href=f"{number:06d}.json", marker=source.marker)

    def spoil(self, folder: Folder, href: str, *, is_spoilt: bool = True) -> Thing:
        """Make an object unreadable or readable again, as a change of it; its content stays."""
        thing = folder.things[href]
        thing.is_spoilt, thing.position = is_spoilt, folder.record(href)
        self._changed(folder)
        return thing

    def expire_cursors(self, folder: Folder) -> None:
        """Refuse every cursor handed out so far."""
        folder.epoch += 1

    def forget_calls(self) -> None:
        """Start the ledger and its counters anew."""
        self.ledger.clear()
        self.calls.clear()
        self.overlaps.clear()

    def enter(self, client: int, verb: str, mailbox: str) -> None:
        """Note that a client is at work on a mailbox, and whether another one is."""
        here = self.under_way.setdefault(mailbox, Counter())
        others = sorted(other for other in here if other != client)
        if others:
            self.overlaps.append({"mailbox": mailbox, "verb": verb, "client": client, "others": others})
        here[client] += 1

    def leave(self, client: int, mailbox: str) -> None:
        """Note that a call is answered."""
        here = self.under_way.get(mailbox, Counter())
        here[client] -= 1
        if here[client] <= 0:
            del here[client]

    def vanish(self, client: int) -> None:
        """Note that a client is gone, with all it had under way."""
        for here in self.under_way.values():
            here.pop(client, None)
        self.subscriptions.vanish(client)

    def _write(self, folder: Folder, thing: Thing, document: Document) -> None:
        thing.raw, thing.is_spoilt = _fits(folder.variant, _encode(document)), False
        thing.position = folder.record(thing.href)
        thing.modified_at = self.clock.now().isoformat()
        self._changed(folder)

    def _changed(self, folder: Folder) -> None:
        self.subscriptions.changed((folder.mailbox, folder.name))

    # --- for clients -----------------------------------------------------------------------------------------------

    def sign_in(self, username: str, password: str) -> None:
        """Let someone in. Raises Failure."""
        self._strike("hello", "", "", "")
        if self.accounts.get(username) != password:
            self.refused_logins += 1
            raise Failure("login")

    def answer(
        self, verb: str, mailbox: str, calendar: str, args: Mapping[str, Any], variant: str = "", client: int = 0
    ) -> tuple[Any, float]:
        """Carry out one call; give its answer and how many seconds it is held back. Raises Failure or Lost."""
        self.calls[verb] += 1
        entry = {"verb": verb, "mailbox": mailbox, "calendar": calendar, "client": client, **_told(args), "outcome": "ok"}
        self.ledger.append(entry)
        href = str(args.get("href", ""))
        struck = self.faults.take(verb, mailbox, calendar, href) if self.faults.rules else []
        try:
            for fault in struck:
                if not fault.effect:
                    self._break(fault)
            result = getattr(self, f"_{verb}")(
                self.folder(mailbox, calendar, variant or EXACT), mailbox, {**args, "client": client}
            )
            for fault in struck:
                if fault.effect:
                    self._break(fault)
            for fault in struck:
                result = _bend(fault, result)
        except Refused as refused:
            entry["outcome"] = "rejected"
            raise Failure("rejected", reason=str(refused)) from None
        except (Failure, Lost) as failed:
            entry["outcome"] = failed.word if isinstance(failed, Failure) else "lost"
            raise
        return result, sum(fault.seconds for fault in struck if fault.do == "delay")

    def _strike(self, verb: str, mailbox: str, calendar: str, href: str) -> None:
        for fault in self.faults.take(verb, mailbox, calendar, href):
            self._break(fault)

    def _break(self, fault: Fault) -> None:
        if fault.do == "lost":
            raise Lost
        if fault.do == "throttle":
            until = fault.until or self.clock.now() + timedelta(seconds=fault.seconds)
            raise Failure("busy", until=until.isoformat())
        if fault.do in ("failure", "login", "forbidden", "no_calendar", "cursor"):
            raise Failure(fault.do)
        if fault.do == "rejected":
            raise Failure("rejected", reason="not today")

    def _calendars(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {"name": found.name, "title": found.title, "can_write": found.can_write, "owner": owner}
            for (owner, _), found in sorted(self.folders.items())
            if owner == mailbox
        ]

    def _changes(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any]:
        return {**folder.page(args.get("cursor"), self.page_size), "now": self.clock.now().isoformat()}

    def _fetch(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any]:
        found = [folder.things[href].frame() for href in args["hrefs"] if href in folder.things]
        missing = [href for href in args["hrefs"] if href not in folder.things]
        return {"upserts": found, "missing": missing, "now": self.clock.now().isoformat()}

    def _find(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any] | None:
        href = folder.keys.get(args["key"])
        return folder.things[href].frame() if href else None

    def _create(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any]:
        known = folder.keys.get(args["key"])
        if known:
            return folder.things[known].frame()
        self._may_write(folder)
        made = self.put(folder, args["document"], marker=args["marker"], key=args["key"])
        self._mail(folder, mailbox, "create", made.document, args["mail"])
        return made.frame()

    def _update(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any]:
        thing = self._at(folder, args)
        before = thing.document
        after = stored(folder.variant, patched(before, args["patch"]))
        if not folder.variant.keeps_uid:
            after["uid"] = before["uid"]
        self._write(folder, thing, after)
        if args["marker"] and folder.variant.keeps_marker:
            thing.marker = args["marker"]
        self._mail(folder, mailbox, "update", {**after, "attendees": before["attendees"] + after["attendees"]}, args["mail"])
        return thing.frame()

    def _delete(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> None:
        document = self._at(folder, args).document
        self.remove(folder, args["href"])
        self._mail(folder, mailbox, "delete", document, args["mail"])

    def _subscribe(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any]:
        made = self.subscriptions.begin((mailbox, folder.name), args["client"], str(args.get("url", "")))
        return {"subscription": made.id, "seconds": self.subscriptions.seconds, "beat": self.subscriptions.beat_seconds}

    def _renew(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> dict[str, Any]:
        if self.subscriptions.renew(args["subscription"]) is None:
            raise Failure("not_found")
        return {"seconds": self.subscriptions.seconds}

    def _unsubscribe(self, folder: Folder, mailbox: str, args: Mapping[str, Any]) -> None:
        self.subscriptions.end(args["subscription"])

    def _at(self, folder: Folder, args: Mapping[str, Any]) -> Thing:
        self._may_write(folder)
        thing = folder.things.get(args["href"])
        if thing is None:
            raise Failure("not_found")
        if thing.etag != args["expect"]:
            raise Failure("version")
        return thing

    def _may_write(self, folder: Folder) -> None:
        if not folder.can_write:
            raise Failure("forbidden")

    def _mail(self, folder: Folder, mailbox: str, verb: str, document: Document, wish: str) -> None:
        if wish == "none" and folder.variant.silent:
            return
        for email in sorted({person["email"] for person in document["attendees"]}):
            self.outbox.append({"from": mailbox, "to": email, "verb": verb, "uid": document["uid"], "wish": wish})


def _fits(variant: Variant, raw: bytes) -> bytes:
    if variant.max_bytes is not None and len(raw) > variant.max_bytes:
        raise Failure("too_large")
    return raw


def _told(args: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the ledger keeps of a call: names and sizes, for updates the fields that were sent."""
    told = {name: args[name] for name in ("href", "expect", "key", "cursor", "mail") if name in args}
    if "hrefs" in args:
        told["count"] = len(args["hrefs"])
    if "patch" in args:
        told["fields"] = sorted(args["patch"]["set"]) + (["recurrence"] if args["patch"].get("recurrence") else [])
    return told


def _bend(fault: Fault, result: Any) -> Any:
    if fault.do == "cap":
        kept = result["upserts"][: fault.count]
        return {**result, "upserts": kept, "missing": [], "next": None, "final": False}
    if fault.do == "repeat":
        return {**result, "upserts": result["upserts"] * 2, "gone": result["gone"] * 2}
    if fault.do == "withdrawn":
        return {**result, "upserts": [], "gone": [*result["gone"], *(frame["href"] for frame in result["upserts"])]}
    if fault.do == "unreadable":
        spoilt = [{**frame, "document": msgspec.Raw(b'{"start":7}')} for frame in result["upserts"][: fault.count or None]]
        return {**result, "upserts": spoilt + result["upserts"][len(spoilt) :]}
    return msgspec.Raw(b'{"garbage') if fault.do == "garbage" else result


def patched(document: Document, patch: Mapping[str, Any]) -> Document:
    """Apply an update to a document: only what it names changes.

    patch: `set` (fields of the master), and `recurrence` with any of rrule, rdate, exdate, `put` (overrides, whose
    absent keys stay or come from the master) and `drop` (recurrence ids).
    """
    changed = {**document, **patch["set"]}
    wished = patch.get("recurrence")
    if not wished:
        return changed
    old = document.get("recurrence") or {"rrule": None, "rdate": [], "exdate": [], "overrides": []}
    overrides = {_slot(override): override for override in old["overrides"]}
    for recurrence_id in wished.get("drop", ()):
        overrides.pop(_slot({"recurrence_id": recurrence_id}), None)
    for override in wished.get("put", ()):
        overrides[_slot(override)] = {**overrides.get(_slot(override), {}), **override}
    new = {**old, **{name: wished[name] for name in ("rrule", "rdate", "exdate") if name in wished}}
    new["overrides"] = [overrides[slot] for slot in sorted(overrides)]
    changed["recurrence"] = new if any(new.values()) else None
    return changed


def _slot(override: Mapping[str, Any]) -> tuple[str, int, str]:
    point = override["recurrence_id"]
    return point.get("date") or point["date_time"], point.get("fold", 0), str(point.get("time_zone", ""))
