"""What the simulated server holds: accounts, calendars, objects with their history, mails, the record of requests.

It knows calendar objects as text. It looks into them only as far as a server must: UID, organizer, attendees.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gleichtakt.simulators.caldav.faults import Fault
from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.faults import Faults

ACCOUNTS = {"sync": "sync-password"}
DOMAIN = "caldav.example"
_UNFOLD = re.compile(r"\r?\n[ \t]")


class Refused(Exception):
    """A request the server does not carry out. condition: name of the precondition, `C:` or `D:` before it."""

    def __init__(self, status: int, condition: str = "", href: str = "") -> None:
        """Keep what the answer says."""
        super().__init__(condition or str(status))
        self.status, self.condition, self.href = status, condition, href


@dataclass(slots=True)
class Habits:
    """How this server behaves; each a way some real server does.

    sync: offers sync-collection. ctag: gives a getctag. put_etag: answers a PUT with the etag. always_etag: that too
    where it stores something else. weak: gives weak etags and compares strongly. unique_uids: refuses a UID twice in a
    calendar. rewrites: stores texts trimmed. strips: properties it drops. page: cuts a sync answer after so many (507).
    sync_depth: the Depth it wants on sync-collection. schedules: sends invitations; honours_agent: unless
    SCHEDULE-AGENT says otherwise. sign_in: none, basic, digest or bearer. most_bytes: of one object. renames: chooses
    object names itself. tells_rights: answers current-user-privilege-set. tells_default: names a default calendar.
    multiget: offers it. compares: answers sync-collection by comparing two states, so that what came and went in
    between is not named.
    """

    sync: bool = True
    ctag: bool = True
    put_etag: bool = True
    weak: bool = False
    unique_uids: bool = True
    rewrites: bool = False
    strips: tuple[str, ...] = ()
    page: int = 0
    sync_depth: str = ""
    schedules: bool = True
    honours_agent: bool = True
    sign_in: str = "basic"
    most_bytes: int = 20_000_000
    renames: bool = False
    always_etag: bool = False
    tells_rights: bool = True
    tells_default: bool = True
    multiget: bool = True
    compares: bool = False
    multistatus_type: str = "application/xml; charset=utf-8"


@dataclass(slots=True)
class Thing:
    """One calendar object. before: its text before the last write. number: of its version."""

    name: str
    text: str
    number: int
    before: str = ""
    is_spoilt: bool = False
    is_as_sent: bool = True


@dataclass(slots=True)
class Folder:
    """One calendar. path: with slashes around. log: position -> name of the object that changed then."""

    path: str
    owner: str
    title: str
    components: tuple[str, ...] = ("VEVENT",)
    can_write: bool = True
    things: dict[str, Thing] = field(default_factory=dict)
    position: int = 0
    log: dict[str, int] = field(default_factory=dict)
    born: dict[str, int] = field(default_factory=dict)  # name -> position at which it came
    epoch: int = 1

    def touch(self, name: str) -> int:
        """Note a change and give its position."""
        self.position += 1
        if name in self.things:
            self.born.setdefault(name, self.position)
        self.log[name] = self.position
        return self.position

    @property
    def ctag(self) -> str:
        """Give the version of the whole."""
        return f"{self.epoch}-{self.position}"

    def token(self, position: int | None = None) -> str:
        """Give a sync token."""
        return f"http://{DOMAIN}/sync/{self.epoch}/{self.position if position is None else position}"

    def since(self, token: str) -> int:
        """Give the position of a token. Raises Refused for one of another time."""
        if not token:
            return -1
        found = re.fullmatch(rf"http://{re.escape(DOMAIN)}/sync/(\d+)/(\d+)", token)
        if found is None or int(found[1]) != self.epoch or int(found[2]) > self.position:
            raise Refused(403, "D:valid-sync-token")
        return int(found[2])


@dataclass(slots=True)
class Simulator:
    """One server."""

    habits: Habits = field(default_factory=Habits)
    accounts: dict[str, str] = field(default_factory=lambda: dict(ACCOUNTS))
    folders: dict[str, Folder] = field(default_factory=dict)
    faults: Faults[Fault] = field(default_factory=Faults)
    outbox: list[dict[str, str]] = field(default_factory=list)
    ledger: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=20_000))
    refused_logins: int = 0
    clock: Clock = field(default_factory=Clock)
    versions: int = 0

    def add_calendar(self, owner: str, name: str, title: str = "", components: tuple[str, ...] = ("VEVENT",)) -> Folder:
        """Make a calendar, or give the one that is there."""
        path = f"/dav/{owner}/{name}/"
        return self.folders.setdefault(path, Folder(path, owner, title or name, components))

    def etag(self, thing: Thing) -> str:
        """Give the version of an object as the server writes it."""
        bare = f'"{thing.number}-{hashlib.sha256(thing.text.encode("utf-8", "replace")).hexdigest()[:12]}"'
        return "W/" + bare if self.habits.weak else bare

    # --- what someone does

    def put(self, folder: Folder, name: str, text: str, *, mails: bool = True) -> Thing:
        """Store an object. Raises Refused."""
        habits, old = self.habits, folder.things.get(name)
        if len(text.encode("utf-8", "replace")) > habits.most_bytes:
            raise Refused(403, "C:max-resource-size")
        if "BEGIN:VEVENT" not in text and "BEGIN:VTODO" not in text:
            raise Refused(403, "C:valid-calendar-data")
        uid = uid_of(text)
        for other in folder.things.values():
            if habits.unique_uids and other.name != name and uid_of(other.text) == uid:
                raise Refused(409, "C:no-uid-conflict", folder.path + other.name)
        stored = self._stored(text)
        if mails:
            stored = with_status(stored, self._schedule(folder, old.text if old else "", stored))
        self.versions += 1
        thing = Thing(name, stored, self.versions, old.text if old else "", is_as_sent=stored == text)
        folder.things[name] = thing
        folder.touch(name)
        return thing

    def remove(self, folder: Folder, name: str, *, replies: bool = True, mails: bool = True) -> None:
        """Delete an object."""
        thing = folder.things.pop(name)
        folder.touch(name)
        if mails:
            self._schedule(folder, thing.text, "", replies=replies)

    def expire(self, folder: Folder) -> None:
        """Forget all positions given out, as after a restore."""
        folder.epoch += 1

    def _stored(self, text: str) -> str:
        if self.habits.rewrites:
            text = re.sub(r"(?m)^((?:SUMMARY|LOCATION)[:;][^\r\n]*?)[ \t]+(?=\r?$)", r"\1", text)
        for name in self.habits.strips:
            text = re.sub(rf"(?m)^{re.escape(name)}[^\n]*\n(?:[ \t][^\n]*\n)*", "", text)
        return text

    def _schedule(self, folder: Folder, before: str, after: str, *, replies: bool = True) -> set[str]:
        """Send what RFC 6638 §3.2 makes a server send, into the outbox; give to whom requests went."""
        if not self.habits.schedules:
            return set()
        own = f"{folder.owner}@{DOMAIN}"
        old, new = people_of(before, self.habits.honours_agent), people_of(after, self.habits.honours_agent)
        organizer = organizer_of(after) or organizer_of(before)
        if organizer and organizer != own:
            if own in old and not after and replies:
                self._mail("REPLY", organizer, before)
            return set()
        for address in sorted(old - new - {own}):
            self._mail("CANCEL", address, before)
        told = {address for address in new - {own} if address not in old or content_of(before) != content_of(after)}
        for address in sorted(told):
            self._mail("REQUEST", address, after)
        return told

    def _mail(self, method: str, to: str, text: str) -> None:
        self.outbox.append({"method": method, "to": to, "uid": uid_of(text)})


def with_status(text: str, told: set[str]) -> str:
    """Note at each attendee that a message went out (RFC 6638 §3.2.9), as a server does."""
    if not told:
        return text

    def note(found: re.Match[str]) -> str:
        address = found[0].lower().rpartition("mailto:")[2].strip()
        return "ATTENDEE;SCHEDULE-STATUS=1.1" + found[0][len("ATTENDEE") :] if address in told else found[0]

    return re.sub(r"(?m)^ATTENDEE[;:][^\r\n]*", note, _UNFOLD.sub("", text))


def lines_of(text: str) -> list[str]:
    """Give the unfolded lines of an object."""
    return _UNFOLD.sub("", text).splitlines()


def uid_of(text: str) -> str:
    """Give the UID of an object's events."""
    return next((line.partition(":")[2].strip() for line in lines_of(text) if line.startswith(("UID:", "UID;"))), "")


def organizer_of(text: str) -> str:
    """Give who organizes, lower case; empty without attendees."""
    lines = lines_of(text)
    if not any(line.startswith("ATTENDEE") for line in lines):
        return ""
    return next((line.lower().rpartition("mailto:")[2].strip() for line in lines if line.startswith("ORGANIZER")), "")


def people_of(text: str, honours_agent: bool) -> set[str]:
    """Give the attendees this server writes to."""
    people = set()
    for line in lines_of(text):
        if line.startswith("ATTENDEE") and not (honours_agent and re.search(r"SCHEDULE-AGENT=(CLIENT|NONE)", line)):
            people.add(line.lower().rpartition("mailto:")[2].strip())
    return people


def content_of(text: str) -> list[str]:
    """Give what attendees would notice of an object."""
    ignored = ("X-", "DTSTAMP", "LAST-MODIFIED", "CREATED", "SEQUENCE", "CATEGORIES", "BEGIN:VALARM", "TRIGGER", "PRODID")
    return [line for line in lines_of(text) if not line.startswith(ignored)]
