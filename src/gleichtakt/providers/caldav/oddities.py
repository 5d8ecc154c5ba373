"""What surprised us about CalDAV servers, each a named function or table, with where it was seen.

Pure: it looks at answers and texts and says what they mean; `client` acts on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gleichtakt.errors import Conflict, Gone, Permanent, Scope, Transient, Trouble
from gleichtakt.providers.transport import Answer, trouble_of

# --- our own mark -------------------------------------------------------------------------------------------------

MARK: Final = "X-GLEICHTAKT"
KEY: Final = "X-GLEICHTAKT-KEY"

#: Properties by which other products mark what they mirrored; the value is the product's name.
FOREIGN_MARKS: Mapping[bytes, str] = {
    b"X-OGCS": "Outlook Google Calendar Sync",
    b"X-CALDAVSYNCHRONIZER-": "Outlook CalDav Synchronizer",
    b"X-KEEPER-": "keeper.sh",
    b"X-CALENDARSYNC-": "CalendarSync",
    b"X-ONECAL-": "OneCal",
    b"X-RECLAIM-": "Reclaim",
}

_FOLD = re.compile(rb"\r?\n[ \t]")
_LINE = re.compile(rb"(?im)^(X-GLEICHTAKT(?:-KEY)?)(?:;[^:\r\n]*)?:([^\r\n]*)")
_FOREIGN = re.compile(rb"(?im)^(?:" + b"|".join(re.escape(name) for name in FOREIGN_MARKS) + rb")")


def unfold(data: bytes) -> bytes:
    """Join folded lines."""
    return _FOLD.sub(b"", data) if b"\n " in data or b"\n\t" in data else data


def marks_of(data: bytes) -> tuple[str, str, str]:
    """Give our marker, the key of creation, and the name of another product that marked the object; each may be empty."""
    if b"X-" not in data and b"x-" not in data:
        return "", "", ""
    plain = unfold(data)
    found = {name.upper(): value.decode("utf-8", "replace").strip() for name, value in reversed(_LINE.findall(plain))}
    foreign = _FOREIGN.search(plain)
    return (
        found.get(b"X-GLEICHTAKT", ""),
        found.get(b"X-GLEICHTAKT-KEY", ""),
        FOREIGN_MARKS[foreign[0].upper()] if foreign else "",
    )


def with_suffix(uid: str, key: str) -> str:
    """Give the UID for a server that refuses one UID twice; the same for each attempt."""
    return f"{uid}-{key[:12]}"


# --- texts --------------------------------------------------------------------------------------------------------

_CONTROLS = bytes(range(9)) + b"\x0b\x0c" + bytes(range(14, 32)) + b"\x7f"
_NONCHARACTERS = re.compile(rb"\xef\xbf[\xbe\xbf]|\xed[\xa0-\xbf][\x80-\xbf]")


def clean_text(data: bytes) -> bytes:
    """Drop what no server can hand out again in XML: control characters, U+FFFE, U+FFFF, lone surrogates.

    Servers accept them in a PUT and then answer every listing of that calendar with broken XML (jelmer/xandikos#73).
    """
    return _NONCHARACTERS.sub(b"", data.translate(None, _CONTROLS))


# --- scheduling ---------------------------------------------------------------------------------------------------

#: Fields that are no invitee's business: changing them sends nothing.
QUIET_FIELDS = frozenset({"reminders", "categories", "show_as", "sensitivity"})
_PERSON = re.compile(rb"(?im)^ATTENDEE([;:][^\r\n]*)")
_AGENT = re.compile(rb"(?i);SCHEDULE-AGENT=\"?(CLIENT|NONE)\"?(?=[;:])")


def schedules(dav_header: str) -> bool:
    """Say whether a server sends invitations by itself on a PUT or DELETE (RFC 6638 §2)."""
    return "calendar-auto-schedule" in dav_header.lower()


def has_mailed_attendees(data: bytes) -> bool:
    """Say whether an object names attendees whom a scheduling server would write to."""
    return any(not _AGENT.search(person) for person in _PERSON.findall(unfold(data)))


def relies_on_silence(data: bytes, untouched: bytes = b"") -> bool:
    """Say whether an object names new attendees who get no mail only because the server was told so."""
    before = set(_PERSON.findall(unfold(untouched)))
    return any(person not in before and _AGENT.search(person) for person in _PERSON.findall(unfold(data)))


def silenced(data: bytes, *, untouched: bytes = b"", spare: Iterable[str] = ()) -> bytes:
    """Put SCHEDULE-AGENT=CLIENT on each attendee, so that the server leaves the mails to us and we send none.

    untouched: an earlier version of the object; its attendee lines stay as they are. spare: addresses that may get
    mail. CLIENT rather than NONE, because sabre-based servers look for that word only.
    Sources: RFC 6638 §7.1; sabre-io/vobject, ITip/Broker.php.
    """
    kept, spared = set(_PERSON.findall(unfold(untouched))), {address.lower().encode() for address in spare}

    def silence(found: re.Match[bytes]) -> bytes:
        line = found[1]
        address = line.lower().rpartition(b"mailto:")[2].strip()
        if line in kept or _AGENT.search(line) or address in spared:
            return found[0]
        return fold(b"ATTENDEE;SCHEDULE-AGENT=CLIENT" + line)

    return _PERSON.sub(silence, unfold_people(data)) if b"ATTENDEE" in data else data


_FOLDED_PERSON = re.compile(rb"(?im)^ATTENDEE[^\r\n]*(?:\r?\n[ \t][^\r\n]*)+")


def unfold_people(data: bytes) -> bytes:
    """Join the folded lines of attendees only; the rest of the object stays byte for byte."""
    return _FOLDED_PERSON.sub(lambda found: unfold(found[0]), data)


def fold(line: bytes) -> bytes:
    """Fold a line at 75 octets without splitting a character (RFC 5545 §3.1)."""
    parts, most = [], 75
    while len(line) > most:
        cut = most
        while line[cut] & 0xC0 == 0x80:
            cut -= 1
        parts.append(line[:cut])
        line, most = line[cut:], 74
    return b"\r\n ".join([*parts, line])


def kept_silence(data: bytes) -> bool:
    """Say whether a server that was given SCHEDULE-AGENT=CLIENT kept it and sent nothing (it would say so in the status)."""
    people = _PERSON.findall(unfold(data))
    return bool(people) and all(_AGENT.search(person) and b"SCHEDULE-STATUS" not in person.upper() for person in people)


# --- refusals -----------------------------------------------------------------------------------------------------

#: Precondition in the body of a refusal -> what it means. Sources: RFC 4791 §5.3.2.1, RFC 4918 §16, RFC 6638 §3.2.4.
CONDITIONS: Mapping[str, str] = {
    "max-resource-size": "general.too_large",
    "max-instances": "caldav.too_many_occurrences",
    "max-attendees-per-instance": "caldav.too_many_attendees",
    "min-date-time": "caldav.date_out_of_range",
    "max-date-time": "caldav.date_out_of_range",
    "supported-calendar-component": "caldav.no_events_here",
    "supported-calendar-data": "general.rejected",
    "valid-calendar-data": "general.rejected",
    "valid-calendar-object-resource": "general.rejected",
    "calendar-collection-location-ok": "general.rejected",
    "same-organizer-in-all-components": "general.rejected",
    "allowed-organizer-scheduling-object-change": "caldav.scheduling_refused",
    "allowed-attendee-scheduling-object-change": "caldav.scheduling_refused",
    "unique-scheduling-object-resource": "caldav.scheduling_refused",
}


def is_uid_conflict(answer: Answer, conditions: frozenset[str]) -> bool:
    """Say whether a create was refused because the UID is there already. Radicale 409, Xandikos 412, sabre 400 or 403."""
    return answer.status in {400, 403, 409, 412} and "no-uid-conflict" in conditions


def holds_its_own_text(answer: Answer) -> bool:
    """Say whether a server that stored an object in a place of its own is to be asked what it made of it.

    DavMail gives a strong etag although Exchange holds something else (against RFC 4791 §5.3.4), and says where that is.
    """
    return "Location" in answer.headers


def refusal_of(answer: Answer, conditions: frozenset[str], *, creating: bool) -> Trouble:
    """Classify the refusal of a write."""
    for name in sorted(conditions & CONDITIONS.keys()):
        return Permanent(CONDITIONS[name], Scope.SERIES, host=answer.host, reason=name)
    if "quota-not-exceeded" in conditions or "sufficient-disk-space" in conditions:
        return Transient("general.storage_full", Scope.CALENDAR, host=answer.host)
    if answer.status == 403:
        scope = Scope.CALENDAR if creating and "need-privileges" in conditions else Scope.SERIES
        return Permanent("general.forbidden", scope, host=answer.host)
    if answer.status == 412:
        return Conflict("general.stale", Scope.SERIES)
    if answer.status in {404, 410} and not creating:
        return Gone()
    if answer.status in {404, 409, 410}:
        return Permanent("general.calendar_missing", Scope.CALENDAR, host=answer.host)
    return trouble_of(answer, writing=True, scope=Scope.SERIES)


#: Answers to sync-collection with a stored token that mean «list again». RFC 6578 says 403 with valid-sync-token;
#: 400, 409, 410, 412 are seen on others, 418 on Nextcloud after a deletion (python-caldav/caldav#183), 500 on DAViCal.
TOKEN_REFUSED = frozenset({400, 403, 405, 409, 410, 412, 415, 418, 422, 500, 501})

#: Answers that mean a report is not offered here at all.
REPORT_REFUSED = frozenset({400, 403, 404, 405, 409, 412, 415, 422, 500, 501})


def offered_methods(answer: Answer) -> tuple[str, ...]:
    """Give the sign-in methods of a 401, lower case; several may stand in one header."""
    joined = ", ".join(answer.headers.getall("WWW-Authenticate", []))
    return tuple(dict.fromkeys(found.lower() for found in re.findall(r"(?:^|,)\s*([A-Za-z-]+)(?=\s|,|$)(?!\s*=)", joined)))


def attendees_of(data: bytes) -> tuple[str, ...]:
    """Give the addresses of an object's attendees, lower case."""
    found = (line.lower().rpartition(b"mailto:")[2].strip() for line in _PERSON.findall(unfold(data)))
    return tuple(address.decode("utf-8", "replace") for address in found)


@dataclass(frozen=True, slots=True)
class Probe:
    """An object that shows what a server does with it. name: of the resource."""

    name: str
    data: bytes


def scheduling_probe(own: str, uid: str) -> Probe:
    """Give a meeting of ours with one attendee whose domain cannot exist (RFC 2606), marked to be left to us."""
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Gleichtakt//EN",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20200101T000000Z",
        "DTSTART:20991231T120000Z",
        "DTEND:20991231T120000Z",
        "SUMMARY:Gleichtakt",
        "TRANSP:TRANSPARENT",
        f"ORGANIZER:mailto:{own}",
        "ATTENDEE;SCHEDULE-AGENT=CLIENT:mailto:nobody@gleichtakt.invalid",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return Probe(f"{uid}.ics", "\r\n".join(lines).encode())
