"""A simulated Exchange beside the world: one calendar that is linked, or a firm, and what people do there in Outlook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any
from uuid import UUID

from tests.engine import ACCOUNT, Engine, moment
from tests.ews_world import Person
from tests.scenarios.places import FULL
from tests.simulation.ews_remote import exchange_with_account, tie_exchange

from gleichtakt.model.event import Series
from gleichtakt.model.point import instant
from gleichtakt.simulators.exchange import Exchange, start
from gleichtakt.simulators.exchange.faults import WRITES
from gleichtakt.simulators.exchange.ids import item_id
from gleichtakt.simulators.exchange.state import Item

DOMAIN = "firm.example"
OWNED: dict[str, Any] = {**FULL, "app_writes_foreign": "allow", "guard_update_min": 1000}


@asynccontextmanager
async def linked(world: Engine, **settings: Any) -> AsyncIterator[Person]:
    """Link the resource to a calendar of a simulated Exchange; no mail may go out."""
    async with start(exchange_with_account()) as running:
        made = await tie_exchange(world, running)
        await world.set("resource", world.resource_id, **{**OWNED, **settings})
        yield made.person
        assert not running.exchange.simulator.outbox, "a mail would have gone out"


async def there(person: Person) -> list[Series]:
    """Give what stands in the calendar."""
    return list((await person.read(person.hrefs())).values())


async def titles(person: Person) -> list[str]:
    """Give the titles there, sorted."""
    return sorted(series.event.title for series in await there(person))


def asked(exchange: Exchange, *operations: str) -> int:
    """Count the requests of some operations since the ledger was cleared."""
    return sum(entry.operation in operations for entry in exchange.ledger)


async def writes_nothing(world: Engine, exchange: Exchange, rounds: int = 1) -> None:
    """Make further passes; none of them may write there."""
    exchange.ledger.clear()
    await world.sync(rounds=rounds)
    assert asked(exchange, *WRITES) == 0


# --- a firm ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def firm(world: Engine, *people: str) -> AsyncIterator[tuple[Exchange, UUID]]:
    """Run a simulated firm whose mailboxes one service account opens; give its connection too."""
    made = Exchange(methods=("basic",))
    for name in people:
        made.add_person(name)
    made.add_account(*ACCOUNT, impersonates=(f"*@{DOMAIN}",))
    async with start(made) as running:
        connection_id = await world.login("ews", running.url, ACCOUNT)
        async with world.database.begin() as connection:
            await connection.exec_driver_sql("update connection set access = 'impersonation'")
        yield made, connection_id


def invite(exchange: Exchange, organizer: str, title: str, guests: Sequence[str], day: int = 3) -> None:
    """Let somebody invite people by their addresses, from ten to eleven on a day; Exchange mails them."""
    at, until = (point.wall.isoformat() for point in (moment(day, 10), moment(day, 11)))
    listed = "".join(
        f"<t:Attendee><t:Mailbox><t:EmailAddress>{guest}</t:EmailAddress></t:Mailbox></t:Attendee>" for guest in guests
    )
    exchange.carry_out(
        f"{organizer}@{DOMAIN}",
        f'<m:CreateItem SendMeetingInvitations="SendToAllAndSaveCopy"><m:Items><t:CalendarItem><t:Subject>{title}</t:Subject>'
        f"<t:Start>{at}</t:Start><t:End>{until}</t:End><t:RequiredAttendees>{listed}</t:RequiredAttendees>"
        '<t:StartTimeZone Id="W. Europe Standard Time"/><t:EndTimeZone Id="W. Europe Standard Time"/>'
        "</t:CalendarItem></m:Items></m:CreateItem>",
    )


def only_item(exchange: Exchange, name: str) -> Item:
    """Give the only appointment in somebody's calendar."""
    (item,) = exchange.simulator.mailbox(f"{name}@{DOMAIN}").calendar.items.values()
    return item


def reschedule(exchange: Exchange, name: str, day: int) -> None:
    """Let somebody move the only meeting in the calendar to ten on a day; Exchange mails those invited."""
    changes = "".join(
        f'<t:SetItemField><t:FieldURI FieldURI="calendar:{field}"/><t:CalendarItem>'
        f"<t:{field}>{instant(at, UTC):%Y-%m-%dT%H:%M:%SZ}</t:{field}></t:CalendarItem></t:SetItemField>"
        for field, at in (("Start", moment(day, 10)), ("End", moment(day, 11)))
    )
    exchange.carry_out(
        f"{name}@{DOMAIN}",
        '<m:UpdateItem ConflictResolution="AlwaysOverwrite" SendMeetingInvitationsOrCancellations="SendToAllAndSaveCopy">'
        f'<m:ItemChanges><t:ItemChange><t:ItemId Id="{item_id(only_item(exchange, name))}"/><t:Updates>{changes}</t:Updates>'
        "</t:ItemChange></m:ItemChanges></m:UpdateItem>",
    )


def answer(exchange: Exchange, name: str, said: str) -> None:
    """Let somebody answer the only invitation in the calendar. said: AcceptItem, TentativelyAcceptItem or DeclineItem."""
    exchange.carry_out(
        f"{name}@{DOMAIN}",
        f'<m:CreateItem MessageDisposition="SendAndSaveCopy"><m:Items><t:{said}>'
        f'<t:ReferenceItemId Id="{item_id(only_item(exchange, name))}"/></t:{said}></m:Items></m:CreateItem>',
    )
