"""Decode the same calendar items with ours, with bare lxml and with exchangelib, side by side, and compare what they read.

Run: ``python -m benchmarks.ews_decode [--runs 7] [--items 500]``. One answer as Exchange gives it: meetings with six guests
and an HTML body of their own, each fifth a weekly series. Ours goes all the way to checked `Series` values (zones,
rules, the text of the bodies); bare lxml takes the text of twenty fields and parses two times; exchangelib makes its own
items. Each round runs all three after each other; the figures are CPU seconds, so that a busy machine does not decide.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.bench import Figure, report
from lxml import etree

TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
FIRST = datetime(2026, 1, 1, 8, tzinfo=UTC)

Row = tuple[str, float, float, str, int]  # id, start, end, title, guests


# --- the answer ---------------------------------------------------------------------------------------------------


def mailbox(number: int) -> str:
    """Write a person."""
    return (
        f"<t:Mailbox><t:Name>Mitarbeiter {number}</t:Name><t:EmailAddress>user{number}@example.org</t:EmailAddress>"
        "<t:RoutingType>SMTP</t:RoutingType><t:MailboxType>Mailbox</t:MailboxType></t:Mailbox>"
    )


def body(number: int) -> str:
    """Write an HTML body of about a kilobyte, no two alike."""
    lines = (f"&lt;p&gt;Guten Tag, Punkt {line} von {number} &amp;amp; mehr.&lt;/p&gt;" for line in range(24))
    return f"&lt;html&gt;&lt;body&gt;{''.join(lines)}&lt;/body&gt;&lt;/html&gt;"


def item(number: int) -> str:
    """Write one item with all that a busy calendar has."""
    start = FIRST + timedelta(hours=number)
    said, until = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, start + timedelta(minutes=45)))
    guests = "".join(
        f"<t:Attendee>{mailbox(guest)}<t:ResponseType>Accept</t:ResponseType>"
        "<t:LastResponseTime>2026-01-01T00:00:00Z</t:LastResponseTime></t:Attendee>"
        for guest in range(1, 7)
    )
    weekly = (
        "<t:Recurrence><t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Monday Thursday</t:DaysOfWeek>"
        "<t:FirstDayOfWeek>Monday</t:FirstDayOfWeek></t:WeeklyRecurrence><t:EndDateRecurrence>"
        f"<t:StartDate>{start:%Y-%m-%d}Z</t:StartDate><t:EndDate>2026-12-31Z</t:EndDate></t:EndDateRecurrence></t:Recurrence>"
    )
    zone = '<t:{} Name="(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna" Id="W. Europe Standard Time"/>'
    return (
        f'<t:Create><t:CalendarItem><t:ItemId Id="AAMkAD{number:0120d}" ChangeKey="DwAAABYAAAB{number:012d}"/>'
        f"<t:ItemClass>IPM.Appointment</t:ItemClass><t:Subject>Besprechung {number} – Entwürfe</t:Subject>"
        f'<t:Sensitivity>Normal</t:Sensitivity><t:Body BodyType="HTML">{body(number)}</t:Body>'
        "<t:Categories><t:String>Projekt</t:String><t:String>Rot</t:String></t:Categories>"
        "<t:ReminderIsSet>true</t:ReminderIsSet><t:ReminderMinutesBeforeStart>15</t:ReminderMinutesBeforeStart>"
        f"<t:LastModifiedTime>{said}</t:LastModifiedTime><t:UID>040000008200E00074C5B7101A82E008{number:080d}</t:UID>"
        f"<t:Start>{said}</t:Start><t:End>{until}</t:End><t:IsAllDayEvent>false</t:IsAllDayEvent>"
        f"<t:LegacyFreeBusyStatus>Busy</t:LegacyFreeBusyStatus><t:Location>Raum {number % 7}</t:Location>"
        "<t:IsMeeting>true</t:IsMeeting><t:IsCancelled>false</t:IsCancelled><t:IsRecurring>false</t:IsRecurring>"
        f"<t:CalendarItemType>{'Single' if number % 5 else 'RecurringMaster'}</t:CalendarItemType>"
        f"<t:MyResponseType>Organizer</t:MyResponseType><t:Organizer>{mailbox(0)}</t:Organizer>"
        f"<t:RequiredAttendees>{guests}</t:RequiredAttendees>{'' if number % 5 else weekly}"
        f"{zone.format('StartTimeZone')}{zone.format('EndTimeZone')}</t:CalendarItem></t:Create>"
    )


def answer(items: int) -> bytes:
    """Write the whole answer, in the one form all three read: as SyncFolderItems gives it."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header>'
        f'<h:ServerVersionInfo MajorVersion="15" MinorVersion="1" MajorBuildNumber="2507" xmlns:h="{TYPES}"/>'
        f'</s:Header><s:Body><m:SyncFolderItemsResponse xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>'
        '<m:SyncFolderItemsResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:SyncState>H4sI'
        f"</m:SyncState><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange><m:Changes>{''.join(map(item, range(items)))}"
        "</m:Changes></m:SyncFolderItemsResponseMessage></m:ResponseMessages></m:SyncFolderItemsResponse></s:Body></s:Envelope>"
    ).encode()


# --- the three ----------------------------------------------------------------------------------------------------


def with_us(data: bytes) -> Any:
    """Read items as series."""
    from gleichtakt.providers.ews.wire import items, soap
    from gleichtakt.providers.ews.wire.names import T

    return [items.read_item(found) for found in soap.read(data).iter(T + "CalendarItem")]


def rows_of_ours(found: Any) -> list[Row]:
    """Give what we read in a form to compare."""
    from gleichtakt.model.point import instant

    return [
        (
            one.id,
            instant(one.series.event.start, UTC).timestamp(),
            instant(one.series.event.end, UTC).timestamp(),
            one.series.event.title,
            len(one.series.event.attendees),
        )
        for one in found
    ]


PLAIN = (
    *("Subject", "Sensitivity", "Body", "Location", "LegacyFreeBusyStatus", "UID", "CalendarItemType", "MyResponseType"),
    *("IsAllDayEvent", "IsCancelled", "LastModifiedTime", "ReminderIsSet", "ReminderMinutesBeforeStart"),
)


def q(name: str) -> str:
    """Qualify a name."""
    return f"{{{TYPES}}}{name}"


def with_lxml(data: bytes) -> Any:
    """Pick the fields as text."""
    names = [q(name) for name in PLAIN]
    found = []
    for element in etree.fromstring(data).iter(q("CalendarItem")):
        parts = {each.tag: each for each in element}
        picked: dict[str, Any] = {name: parts[name].text for name in names if name in parts}
        picked["id"], picked["key"] = parts[q("ItemId")].get("Id"), parts[q("ItemId")].get("ChangeKey")
        picked["start"] = datetime.fromisoformat(parts[q("Start")].text or "")
        picked["end"] = datetime.fromisoformat(parts[q("End")].text or "")
        picked["zone"] = parts[q("StartTimeZone")].get("Id")
        picked["guests"] = [
            (each[0].findtext(q("EmailAddress")), each.findtext(q("ResponseType")))
            for each in parts.get(q("RequiredAttendees"), ())
        ]
        picked["categories"] = [each.text for each in parts.get(q("Categories"), ())]
        picked["recurrence"] = parts.get(q("Recurrence")) is not None
        found.append(picked)
    return found


def rows_of_lxml(found: Any) -> list[Row]:
    """Give what bare lxml read in a form to compare."""
    return [(one["id"], one["start"].timestamp(), one["end"].timestamp(), one[q("Subject")], len(one["guests"])) for one in found]


def exchangelib() -> Callable[[bytes], Any]:
    """Make exchangelib's own reader; no request is ever sent."""
    from exchangelib import DELEGATE, Account, Build, Configuration, Version
    from exchangelib import UTC as THEIR_UTC
    from exchangelib.services import SyncFolderItems
    from exchangelib.transport import NOAUTH

    version = Version(Build(15, 1, 2507, 39))
    config = Configuration(service_endpoint="http://127.0.0.1:9/EWS/Exchange.asmx", auth_type=NOAUTH, version=version)
    account = Account("user1@example.org", config=config, autodiscover=False, access_type=DELEGATE, default_timezone=THEIR_UTC)
    return lambda data: [change for change in SyncFolderItems(account=account).parse(data) if not isinstance(change, bool)]


def rows_of_exchangelib(found: Any) -> list[Row]:
    """Give what exchangelib read in a form to compare."""
    items = [change[1] for change in found]
    return [(one.id, one.start.timestamp(), one.end.timestamp(), one.subject, len(one.required_attendees or ())) for one in items]


ROWS: dict[str, Callable[[Any], list[Row]]] = {"ours": rows_of_ours, "lxml": rows_of_lxml, "exchangelib": rows_of_exchangelib}


def timed(work: Callable[[bytes], Any], data: bytes) -> tuple[float, Any]:
    """Give CPU seconds and the result; nobody pays for what another left in memory."""
    gc.collect()
    started = time.process_time()
    result = work(data)
    return time.process_time() - started, result


def main() -> int:
    """Print the ratios of the best rounds; 1 where a goal is missed or the results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--items", type=int, default=500)
    chosen = parser.parse_args()
    data = answer(chosen.items)
    work = {"ours": with_us, "lxml": with_lxml, "exchangelib": exchangelib()}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    read: dict[str, list[Row]] = {}
    for _ in range(chosen.runs + 1):  # the first round warms up
        for name, reader in work.items():
            taken, found = timed(reader, data)
            seconds[name].append(taken)
            read[name] = ROWS[name](found)
    same = read["ours"] == read["lxml"] == read["exchangelib"]
    best = {name: min(taken[1:]) for name, taken in seconds.items()}
    speed = {name: chosen.items / taken for name, taken in best.items()}
    made = "{:.0f} / {:.0f} items/s, results {}"
    verdict = "identical" if same else "DIFFERENT"
    figures = [
        Figure(
            "decode: ours / bare lxml",
            speed["ours"] / speed["lxml"],
            0.6,
            "x",
            least=True,
            more=made.format(speed["ours"], speed["lxml"], verdict),
        ),
        Figure(
            "decode: ours / exchangelib",
            speed["ours"] / speed["exchangelib"],
            5.0,
            "x",
            least=True,
            more=made.format(speed["ours"], speed["exchangelib"], verdict),
        ),
    ]
    return report("ews_decode", figures) or (0 if same else 1)


if __name__ == "__main__":
    sys.exit(main())
