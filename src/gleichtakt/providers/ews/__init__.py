"""Exchange Server by its web services (EWS), 2007 SP1 to Subscription Edition.

`client` holds the calls of the protocol; `reading`, `writing` (with `edits`), `directory`, `availability`,
`out_of_office` and `examination` carry them out over one `session`, which signs in (`signin`), finds the server
(`autodiscover`) and says what a refusal means (`faults`); `watching` listens, by `streaming`, `pushing` or
`pulling`; `wire` translates, `oddities` names the surprises, `NOTES.md` holds limits and sources.
"""

from __future__ import annotations

from typing import ClassVar

from gleichtakt.providers.ews.client import Client
from gleichtakt.providers.ews.signin import METHODS
from gleichtakt.providers.protocol import Abilities, Ability, Recurrence


class EWS(Client):
    """A login at an Exchange server."""

    abilities: ClassVar[Abilities] = Abilities(
        can=Ability.READ
        | Ability.WRITE
        | Ability.WATCH
        | Ability.FREE_BUSY
        | Ability.OUT_OF_OFFICE
        | Ability.DIRECTORY
        | Ability.SINGLE_OCCURRENCES
        | Ability.SILENT_ATTENDEES
        | Ability.CHEAP_POLL,
        fields=frozenset(
            {
                "title",
                "description",
                "html",
                "location",
                "show_as",
                "sensitivity",
                "organizer",
                "attendees",
                "categories",
                "reminders",
            }
        ),
        recurrence=Recurrence.EXCHANGE,
        zones=frozenset({"iana", "custom"}),
        first_year=1601,
        last_year=4500,
        max_in_flight=3,
        methods=METHODS,
        marks_end=True,
    )
