"""CalDAV servers: what the provider is called and what it can. Calendars are named by their paths, objects by theirs.

`client` holds the calls of the protocol; `discovery`, `reading`, `writing` and `examination` carry them out over one
`session`; `wire` and `objects` translate, `oddities` names the surprises, `NOTES.md` holds limits and sources.
"""

from __future__ import annotations

from typing import ClassVar

from gleichtakt.providers.caldav.client import Client
from gleichtakt.providers.protocol import Abilities, Ability


class CalDAV(Client):
    """A login at a CalDAV server."""

    abilities: ClassVar[Abilities] = Abilities(
        can=Ability.READ | Ability.WRITE | Ability.SILENT_ATTENDEES | Ability.CHEAP_POLL,
        fields=frozenset(
            {
                "title",
                "description",
                "html",
                "location",
                "status",
                "show_as",
                "sensitivity",
                "organizer",
                "attendees",
                "categories",
                "reminders",
                "conference_url",
                "url",
            }
        ),
        sensitivity=frozenset({"normal", "private", "confidential"}),
        max_in_flight=4,
    )
