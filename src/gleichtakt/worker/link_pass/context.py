"""What every step of a pass shares: the link, its policy, the provider, the lease and the counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Language
from gleichtakt.model.event import Series
from gleichtakt.model.point import Timespan
from gleichtakt.model.zones import zone_of
from gleichtakt.providers.protocol import CalendarRef, Mail, Mark, Provider
from gleichtakt.store import lanes
from gleichtakt.store.calendars import Home
from gleichtakt.store.database import Database
from gleichtakt.store.passes import LinkRow
from gleichtakt.sync.matching import level_title
from gleichtakt.sync.policy import Limits, Policy, policy_digest


class LeaseLost(Exception):
    """Another worker has taken the lane over: stop at once and write nothing more."""


@dataclass(slots=True)
class Pass:
    """One pass under way. `now` is read once, so that every decision of a pass sees the same time."""

    database: Database
    claim: lanes.Claim
    link: LinkRow
    policy: Policy
    limits: Limits
    provider: Provider
    epoch: str
    now: datetime
    has_news: bool = False  # the calendar system reported something that had happened there
    is_cut: bool = False  # the calendar system ended before its end mark: what it did not name may still be there
    dry: bool = False  # plan and stop: asked for, or the instance is being verified
    run_id: UUID | None = None
    counts: Counter[str] = field(default_factory=Counter)  # "app.created", "provider.deleted", "read", "unreadable" …
    problems: list[dict[str, Any]] = field(default_factory=list)
    held: int = 0
    conflicts: int = 0
    postponed: int = 0
    plan_id: UUID | None = None
    origins: dict[UUID, Policy] = field(default_factory=dict)  # policies of other links of the resource

    @property
    def calendar(self) -> CalendarRef:
        """Say which calendar the provider is asked about."""
        return CalendarRef(self.link.mailbox, self.link.calendar)

    @property
    def home(self) -> Home:
        """Say which resource our side belongs to."""
        return Home(self.link.resource_id, self.link.organization_id, self.link.time_zone)

    @property
    def reader(self) -> tzinfo:
        """Give the zone that gives all-day and floating events their hours."""
        return zone_of(self.link.time_zone)

    @property
    def language(self) -> Language:
        """Give the language of the titles we write into the other calendar."""
        return "en" if self.link.language == "en" else "de"

    @property
    def window(self) -> Timespan:
        """Give the stretch of time this link mirrors."""
        return self.policy.window(self.now)

    @property
    def mail(self) -> Mail:
        """Say whom the provider may notify; nobody while a first run is under way."""
        return Mail(self.policy.notify) if self.link.first_run_done else Mail.NONE

    @property
    def policy_digest(self) -> str:
        """Name the policy under which remote content is projected."""
        return policy_digest(self.policy)

    def mark(self, series_id: UUID, slot: str = "") -> Mark:
        """Give our mark for a copy of a series on this link, or for the part of it that stands for a slot."""
        return Mark(f"{self.epoch}/{self.link.id}/{series_id}" + (f"/{slot}" if slot else ""), moves=bool(slot))

    def title_digest(self, series: Series) -> str:
        """Give a keyed digest of a title, by which look-alikes are found although policy may hide the title itself."""
        plain = level_title(series.event.title)
        return hashlib.blake2b(plain.encode(), key=self.epoch.encode()[:64], digest_size=16).hexdigest()

    @asynccontextmanager
    async def writing(self, *, lazily: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that fails when the lease is lost; every write of a pass goes through here.

        lazily: a crash of the database may take it back, with all that came after it. Not for intents, which must be
        safe before their effect, nor for what others may have read in the change feed.
        """
        async with self.database.begin() as connection:
            if not await lanes.holds_lease(connection, self.claim, lazily=lazily):
                raise LeaseLost
            yield connection

    def totals(self) -> Mapping[str, Any]:
        """Give the counts in the form of the interface."""
        sides = {
            side: {verb: self.counts[f"{side}.{verb}"] for verb in ("created", "updated", "deleted")}
            for side in ("app", "provider")
        }
        rest = {name: count for name, count in sorted(self.counts.items()) if "." not in name}
        return {**sides, **rest}


def utc_now() -> datetime:
    """Read the clock; the only place of a pass that does."""
    return datetime.now(UTC)


def marked_series(marker: str) -> UUID | None:
    """Read the series out of our mark; None for anything else."""
    try:
        return UUID(marker.rsplit("/", 1)[1]) if marker.count("/") == 2 else None
    except ValueError:
        return None


def marked_part(marker: str) -> tuple[UUID, str] | None:
    """Read series and slot out of our mark on a part; None for anything else."""
    whole, _, slot = marker.rpartition("/")
    series_id = marked_series(whole) if slot else None
    return (series_id, slot) if series_id is not None else None
