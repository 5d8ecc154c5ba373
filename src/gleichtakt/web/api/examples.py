"""One example for every request body of the interface. Each is sent to the running application by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESOURCE, CONNECTION = "01a1fe81-e218-743c-b382-0b5ffcc2628d", "01a1fe82-0c51-7d6e-9f3a-6b0c1d2e3f40"

MEETING: Mapping[str, Any] = {
    "external_id": "booking-4711",
    "title": "Erstgespräch",
    "location": "Raum 1",
    "start": {"date_time": "2026-11-23T09:00:00", "time_zone": "Europe/Berlin"},
    "end": {"date_time": "2026-11-23T10:00:00", "time_zone": "Europe/Berlin"},
    "show_as": "busy",
    "attendees": [{"email": "kunde@example.org", "name": "Kim Kunde"}],
}
SERIES: Mapping[str, Any] = {
    "title": "Standup",
    "start": {"date_time": "2026-11-23T09:00:00", "time_zone": "Europe/Berlin"},
    "end": {"date_time": "2026-11-23T09:15:00", "time_zone": "Europe/Berlin"},
    "recurrence": {
        "rrule": "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20",
        "exdate": [{"date_time": "2026-12-23T09:00:00", "time_zone": "Europe/Berlin"}],
        "overrides": [
            {
                "recurrence_id": {"date_time": "2026-11-25T09:00:00", "time_zone": "Europe/Berlin"},
                "start": {"date_time": "2026-11-25T11:00:00", "time_zone": "Europe/Berlin"},
            }
        ],
    },
}

#: By operation. Ids stand for such of the caller's own.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "create_organization": {"name": "Muster GmbH", "external_id": "customer-7", "time_zone": "Europe/Berlin", "language": "de"},
    "change_organization": {"name": "Muster AG"},
    "create_key": {"name": "Booking system", "scopes": ["write"]},
    "change_key": {"expires_at": "2030-12-31T23:59:59Z"},
    "create_connection": {
        "provider": "caldav",
        "name": "Company calendar",
        "url": "https://dav.example.org/",
        "auth": {"method": "basic", "username": "sync", "password": "secret"},
    },
    "change_connection": {"auth": {"password": "new secret"}},
    "disconnect_connection": {"confirm": "Company calendar", "copies": "keep", "imported": "delete"},
    "examine_connection": {},
    "create_resource": {"external_id": "person-1", "name": "Anna Beispiel", "email": "anna@example.org", "kind": "person"},
    "change_resource": {"time_zone": "Europe/Vienna"},
    "create_group": {"name": "Consultants", "external_id": "team-1"},
    "change_group": {"name": "Advisers"},
    "create_event": MEETING,
    "put_event": SERIES,
    "create_link": {
        "resource_id": RESOURCE,
        "connection_id": CONNECTION,
        "mailbox": "anna@example.org",
        "settings": {"direction": "two_way", "outbound_detail": "busy"},
    },
    "change_link": {"active": False},
    "disconnect_link": {"copies": "delete", "imported": "keep", "memory": "keep"},
    "change_settings": {"inbound_detail": "busy", "conflict_rule": "app_first"},
    "change_group_settings": {"relay": "none"},
    "change_resource_settings": {"private_events": "busy_private"},
    "change_link_settings": {"direction": "two_way", "outbound_detail": None},
    "resolve_conflict": {"resolution": "ours"},
    "find_times": {
        "from": "2026-11-23T00:00:00Z",
        "to": "2026-11-28T00:00:00Z",
        "duration_minutes": 45,
        "buffer_after_minutes": 15,
        "participants": [{"resource_ids": [RESOURCE], "required": "all"}],
        "working_hours": {
            "time_zone": "Europe/Berlin",
            "hours": [{"days": ["mon", "tue", "wed", "thu", "fri"], "start": "09:00", "end": "17:00"}],
        },
    },
    "create_webhook": {"url": "https://booking.example.org/hooks/calendar", "types": ["event.created", "event.deleted"]},
    "change_webhook": {"renew_secret": True},
    "replay_webhook": {"cursor": None},
    "create_feed": {"name": "Phone", "detail": "busy"},
}
