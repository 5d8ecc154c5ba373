"""Who is free when, and automatic replies.

Times of GetUserAvailability are wall clock readings in the zone the request brings along; its bias has the sign
reversed, so one hour east of Greenwich is -60.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from gleichtakt.simulators.exchange.calendar import pattern_of, slots_between, span, touches
from gleichtakt.simulators.exchange.operations import Call, Operation, Refused
from gleichtakt.simulators.exchange.rights import right_of
from gleichtakt.simulators.exchange.soap import NAMESPACES, add, fill_error, m, message, t, text_of
from gleichtakt.simulators.exchange.state import Item, Mailbox
from gleichtakt.simulators.exchange.versions import is_newer
from gleichtakt.simulators.exchange.working_hours import write_working_hours
from gleichtakt.simulators.exchange.zones import Zone, known, read_definition, write_duration

MOST_MAILBOXES = 100
LONGEST: Final = timedelta(days=62)
LONGEST_BEFORE: Final = timedelta(days=42)
LONGER_SINCE = "Exchange2013"
DIGITS: Final[Mapping[str, str]] = {
    "Free": "0",
    "Tentative": "1",
    "Busy": "2",
    "OOF": "3",
    "WorkingElsewhere": "4",
    "NoData": "4",
}
VIEWS: Final = ("None", "MergedOnly", "FreeBusy", "FreeBusyMerged", "Detailed", "DetailedMerged")
AUDIENCES: Final = ("None", "Known", "All")


@dataclass(slots=True)
class Absence:
    """Automatic replies of one mailbox. allowed: the furthest audience its organization lets it have."""

    state: str = "Disabled"
    audience: str = "All"
    start: datetime | None = None
    end: datetime | None = None
    internal: str = ""
    external: str = ""
    allowed: str = "All"


@dataclass(slots=True)
class Availability:
    """Free/busy and automatic replies. absences: by address in small letters."""

    absences: dict[str, Absence] = field(default_factory=dict)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Give the operations on them."""
        return {
            "GetUserAvailability": get_user_availability,
            "GetUserOofSettings": self.get_user_oof_settings,
            "SetUserOofSettings": self.set_user_oof_settings,
        }

    def absence(self, address: str) -> Absence:
        """Give the automatic replies of a mailbox."""
        return self.absences.setdefault(address.lower(), Absence())

    def get_user_oof_settings(self, call: Call, request: etree._Element) -> etree._Element:
        """Give them."""
        try:
            held = self.absence(_own_mailbox(call, request).address)
        except Refused as refused:
            return _refused("GetUserOofSettingsResponse", refused)
        made = message("GetUserOofSettingsResponse")
        add(add(made, m("ResponseMessage"), ResponseClass="Success"), m("ResponseCode"), "NoError")
        _write_absence(add(made, t("OofSettings")), held, call.clock.now())
        add(made, m("AllowExternalOof"), held.allowed)
        return made

    def set_user_oof_settings(self, call: Call, request: etree._Element) -> etree._Element:
        """Replace them all."""
        made = message("SetUserOofSettingsResponse")
        try:
            held = self.absence(_own_mailbox(call, request).address)
            new = _read_absence(request, held.allowed)
            if new.state == "Scheduled" and (new.start is None or new.end is None or new.end <= max(new.start, call.clock.now())):
                raise Refused("ErrorInvalidScheduledOofDuration", "The duration is invalid.")
        except Refused as refused:
            return _refused("SetUserOofSettingsResponse", refused)
        self.absences[_own_mailbox(call, request).address.lower()] = new
        add(add(made, m("ResponseMessage"), ResponseClass="Success"), m("ResponseCode"), "NoError")
        return made


def _refused(name: str, refused: Refused) -> etree._Element:
    made = message(name)
    fill_error(add(made, m("ResponseMessage"), ResponseClass="Error"), refused)
    return made


def _own_mailbox(call: Call, request: etree._Element) -> Mailbox:
    found = call.simulator.mailbox(text_of(request, "t:Mailbox/t:Address"))
    if found is not call.home:
        raise Refused("ErrorAccessDenied", "Access is denied. Only the mailbox itself may do this.")
    return found


def _read_absence(request: etree._Element, allowed: str) -> Absence:
    settings = "t:UserOofSettings"
    state, audience = text_of(request, f"{settings}/t:OofState"), text_of(request, f"{settings}/t:ExternalAudience")
    if audience not in AUDIENCES or state not in {"Disabled", "Enabled", "Scheduled"}:
        raise Refused("ErrorInvalidUserOofSettings", "The automatic replies are invalid.")
    replies = [request.find(f"{settings}/t:{name}", NAMESPACES) for name in ("InternalReply", "ExternalReply")]
    if None in replies:
        raise Refused("ErrorInvalidUserOofSettings", "Both replies are required.")
    start, end = (text_of(request, f"{settings}/t:Duration/t:{name}") for name in ("StartTime", "EndTime"))
    internal, external = (
        _as_html(text_of(request, f"{settings}/t:{name}/t:Message")) for name in ("InternalReply", "ExternalReply")
    )
    capped = AUDIENCES[min(AUDIENCES.index(audience), AUDIENCES.index(allowed))]
    return Absence(state, capped, _instant(start), _instant(end), internal, external, allowed)


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def _as_html(text: str) -> str:
    return text if not text or text.lstrip().startswith("<") else f"<html><body><div>{text}</div></body></html>"


def _write_absence(made: etree._Element, held: Absence, now: datetime) -> None:
    start = held.start or now.replace(minute=0, second=0, microsecond=0)
    add(made, t("OofState"), held.state)
    add(made, t("ExternalAudience"), held.audience)
    duration = add(made, t("Duration"))
    add(duration, t("StartTime"), f"{start:%Y-%m-%dT%H:%M:%S}Z")
    add(duration, t("EndTime"), f"{held.end or start + timedelta(days=1):%Y-%m-%dT%H:%M:%S}Z")
    add(add(made, t("InternalReply")), t("Message"), held.internal)
    add(add(made, t("ExternalReply")), t("Message"), held.external)


# --- free/busy ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request wants to know. start, end: aware UTC. step: of the merged digits."""

    zone: Zone
    start: datetime
    end: datetime
    step: timedelta
    view: str


def get_user_availability(call: Call, request: etree._Element) -> etree._Element:
    """Give free/busy of each mailbox named, or why not."""
    mailboxes = request.findall("m:MailboxDataArray/t:MailboxData", NAMESPACES)
    if not 1 <= len(mailboxes) <= MOST_MAILBOXES:
        code = "ErrorMailboxDataArrayTooBig" if mailboxes else "ErrorMailboxDataArrayEmpty"
        raise Refused(code, f"Between 1 and {MOST_MAILBOXES} mailboxes are asked for at once.")
    asked = _read(call, request)
    made = message("GetUserAvailabilityResponse")
    found = add(made, m("FreeBusyResponseArray"))
    for one in mailboxes:
        response = add(found, m("FreeBusyResponse"))
        try:
            mailbox = call.simulator.mailbox(text_of(one, "t:Email/t:Address"))
        except Refused as refused:
            missing = Refused("ErrorMailRecipientNotFound", refused.text)
            fill_error(add(response, m("ResponseMessage"), ResponseClass="Error"), missing)
            _write_nothing(add(response, m("FreeBusyView")))
            continue
        add(add(response, m("ResponseMessage"), ResponseClass="Success"), m("ResponseCode"), "NoError")
        _write_view(add(response, m("FreeBusyView")), call, mailbox, asked)
    return made


def _read(call: Call, request: etree._Element) -> _Asked:
    zone = _read_zone(call, request)
    options = request.find("t:FreeBusyViewOptions", NAMESPACES)
    if options is None:
        raise Refused("ErrorInvalidFreeBusyViewType", "No view of free/busy is asked for.")
    times = [datetime.fromisoformat(text_of(options, f"t:TimeWindow/t:{name}")) for name in ("StartTime", "EndTime")]
    start, end = (zone.instant(one) if one.tzinfo is None else one.astimezone(UTC) for one in times)
    if end <= start:
        raise Refused("ErrorInvalidTimeInterval", "The end of the time window is before its start.")
    if end - start > (LONGEST_BEFORE if is_newer(LONGER_SINCE, call.version) else LONGEST):
        raise Refused("ErrorTimeIntervalTooBig", "The time window is too long.")
    minutes = int(text_of(options, "t:MergedFreeBusyIntervalInMinutes") or 30)
    if not 5 <= minutes <= 1440:
        raise Refused("ErrorInvalidMergedFreeBusyInterval", "The interval is between 5 and 1440 minutes.")
    view = text_of(options, "t:RequestedView") or "FreeBusy"
    if view not in VIEWS or view == "None":
        raise Refused("ErrorInvalidFreeBusyViewType", "That view of free/busy is not known.")
    return _Asked(zone, start, end, timedelta(minutes=minutes), view)


def _read_zone(call: Call, request: etree._Element) -> Zone:
    """Read the zone with a bias in minutes; where it is missing, the context of the request says it."""
    element = request.find("t:TimeZone", NAMESPACES)
    if element is None:
        found = known(call.zone) if call.zone else None
        if found is None:
            raise Refused("ErrorTimeZone", "The time zone is required.")
        return found
    bias = int(text_of(element, "t:Bias"))
    definition = etree.Element(t("TimeZoneDefinition"), Id="", Name="")
    periods, group = add(definition, t("Periods")), etree.Element(t("TransitionsGroup"), Id="0")
    changing = text_of(element, "t:DaylightTime/t:Month") not in {"", "0"}
    for name in ("Standard", "Daylight") if changing else ("Standard",):
        part = element.find(f"t:{name}Time", NAMESPACES)
        own = int(text_of(part, "t:Bias") or 0) if part is not None and changing else 0
        add(periods, t("Period"), Bias=write_duration(timedelta(minutes=bias + own)), Name=name, Id=name)
        if part is not None and changing:
            _write_change(group, name, part)
    if not changing:
        add(add(group, t("Transition")), t("To"), "Standard", Kind="Period")
    add(definition, t("TransitionsGroups")).append(group)
    add(add(add(definition, t("Transitions")), t("Transition")), t("To"), "0", Kind="Group")
    return read_definition(definition)


def _write_change(group: etree._Element, name: str, part: etree._Element) -> None:
    hours, minutes, seconds = (int(float(one)) for one in text_of(part, "t:Time").split(":"))
    change = add(group, t("RecurringDayTransition"))
    add(change, t("To"), name, Kind="Period")
    add(change, t("TimeOffset"), write_duration(timedelta(hours=hours, minutes=minutes, seconds=seconds)))
    add(change, t("Month"), text_of(part, "t:Month"))
    add(change, t("DayOfWeek"), text_of(part, "t:DayOfWeek"))
    order = int(text_of(part, "t:DayOrder"))
    add(change, t("Occurrence"), str(order if order < 5 else -1))


@dataclass(frozen=True, slots=True)
class _Busy:
    """One stretch of time in a calendar."""

    start: datetime
    end: datetime
    kind: str
    subject: str
    location: str
    sensitivity: str
    is_meeting: bool
    is_recurring: bool
    is_exception: bool
    is_reminder_set: bool


def _busy(mailbox: Mailbox, start: datetime, end: datetime) -> list[_Busy]:
    found = [one for item in mailbox.calendar.items.values() if item.kind == "CalendarItem" for one in _of(item, start, end)]
    return sorted(found, key=lambda one: (one.start, one.end, one.subject))


def _of(item: Item, start: datetime, end: datetime) -> Iterator[_Busy]:
    is_series = pattern_of(item) is not None
    for slot in slots_between(item, start, end) if is_series else (None,):
        when = span(item, slot)
        if not is_series and not touches(when, start, end):
            continue
        yield _Busy(
            when.start,
            when.end,
            str(item.get("LegacyFreeBusyStatus", slot) or "Busy"),
            str(item.get("Subject", slot) or ""),
            str(item.get("Location", slot) or ""),
            str(item.get("Sensitivity", slot) or "Normal"),
            bool(item.get("RequiredAttendees") or item.get("OptionalAttendees")),
            is_series,
            slot in item.overrides,
            bool(item.get("ReminderIsSet", slot)),
        )


def _write_nothing(view: etree._Element) -> None:
    add(view, t("FreeBusyViewType"), "None")


def _write_view(view: etree._Element, call: Call, mailbox: Mailbox, asked: _Asked) -> None:
    right = right_of(call.mailbox, mailbox.calendar)
    kind = asked.view if right.reads else asked.view.replace("Detailed", "FreeBusy")
    found = _busy(mailbox, asked.start, asked.end)
    add(view, t("FreeBusyViewType"), kind)
    if "Merged" in kind:
        add(view, t("MergedFreeBusy"), _merged(found, asked))
    if kind != "MergedOnly":
        events = add(view, t("CalendarEventArray"))
        for one in found:
            event = _write_event(events, one, asked.zone)
            if kind.startswith("Detailed"):
                _write_details(event, one, hides=one.sensitivity == "Private" and not right.sees_private)
    write_working_hours(view, mailbox.zone, call.clock.now().year)


def _merged(found: list[_Busy], asked: _Asked) -> str:
    steps = -(-(asked.end - asked.start) // asked.step)
    digits = ["0"] * steps
    for one in found:
        first = max(0, (one.start - asked.start) // asked.step)
        last = min(steps, -(-(one.end - asked.start) // asked.step))
        for place in range(first, last):
            digits[place] = max(digits[place], DIGITS[one.kind], key=_rank)
    return "".join(digits)


def _rank(digit: str) -> int:
    """Order what shows where several things are at once: out of office, busy, tentative, elsewhere, free."""
    return "04123".index(digit)


def _write_event(events: etree._Element, one: _Busy, zone: Zone) -> etree._Element:
    made = add(events, t("CalendarEvent"))
    add(made, t("StartTime"), f"{zone.local(one.start):%Y-%m-%dT%H:%M:%S}")
    add(made, t("EndTime"), f"{zone.local(one.end):%Y-%m-%dT%H:%M:%S}")
    add(made, t("BusyType"), one.kind)
    return made


def _write_details(event: etree._Element, one: _Busy, *, hides: bool) -> None:
    details = add(event, t("CalendarEventDetails"))
    if not hides:
        add(details, t("Subject"), one.subject)
        add(details, t("Location"), one.location)
    claims = (one.is_meeting, one.is_recurring, one.is_exception, one.is_reminder_set, one.sensitivity == "Private")
    for name, claim in zip(("IsMeeting", "IsRecurring", "IsException", "IsReminderSet", "IsPrivate"), claims, strict=True):
        add(details, t(name), str(claim).lower())
