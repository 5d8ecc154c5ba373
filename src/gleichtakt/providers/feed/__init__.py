"""Calendar feeds: an iCalendar file by address, read only. What the provider is called and what it can.

`client` holds the calls of the protocol, `fetching` brings the file (once for all who read it), `wire` finds out which
event is which between two downloads, `oddities` names the surprises, `NOTES.md` holds limits and sources.
"""

from __future__ import annotations

from typing import ClassVar

from gleichtakt.providers.feed.client import Client
from gleichtakt.providers.protocol import Abilities, Ability


class Feed(Client):
    """One feed."""

    abilities: ClassVar[Abilities] = Abilities(
        can=Ability.READ | Ability.CHEAP_POLL,
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
    )
