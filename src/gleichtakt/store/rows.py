"""Small verbs for tables whose rows have an id, belong to an organization and count their versions.

A `Kept` ties a table to the value its rows become. Ids are of version 7, so the order of ids is the order of age, and
a page goes on after the last id it gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Table, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Permanent, Scope
from gleichtakt.store.database import new_id

T = TypeVar("T")

UNIQUE, REFERENCE = "23505", "23503"  # SQLSTATEs of PostgreSQL


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page of rows. next: the id after which the following page begins, None on the last."""

    items: Sequence[T]
    next: UUID | None


def missing(what: str) -> Permanent:
    """Say that there is no such row in this organization."""
    return Permanent("web.not_found", Scope.SERIES, what=what)


def sqlstate(refused: IntegrityError) -> str:
    """Give PostgreSQL's code for a broken rule."""
    return str(getattr(refused.orig, "sqlstate", "") or getattr(refused.orig, "pgcode", "") or "")


def broken_rule(refused: IntegrityError, what: str) -> Conflict | Permanent:
    """Turn a broken uniqueness or reference into what the caller did wrong."""
    if sqlstate(refused) == UNIQUE:
        return Conflict("web.taken", Scope.SERIES, what=what)
    if sqlstate(refused) == REFERENCE:
        return Permanent("web.not_found", Scope.SERIES, what="reference")
    raise refused


@dataclass(frozen=True)
class Kept(Generic[T]):
    """A table and the frozen dataclass its rows become; the fields of the class name the columns that are read."""

    table: Table
    shape: type[T]
    what: str  # the word for one of them in messages

    @cached_property
    def columns(self) -> tuple[ColumnElement[Any], ...]:
        """Give the columns in the order of the fields."""
        return tuple(self.table.c[found.name] for found in fields(self.shape))  # type: ignore[arg-type]

    def value(self, row: Row[Any]) -> T:
        """Make the value of a row of `columns`."""
        return self.shape(*row)  # type: ignore[call-arg]

    def _is(self, organization_id: UUID | None, row_id: UUID) -> ColumnElement[bool]:
        own = self.table.c.id == row_id
        return own if organization_id is None else and_(own, self.table.c.organization_id == organization_id)

    async def find(
        self, connection: AsyncConnection, organization_id: UUID | None, row_id: UUID, *, lock: bool = False
    ) -> T | None:
        """Give one row or None. organization_id None: of any."""
        query = select(*self.columns).where(self._is(organization_id, row_id))
        row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
        return self.value(row) if row else None

    async def get(self, connection: AsyncConnection, organization_id: UUID | None, row_id: UUID, *, lock: bool = False) -> T:
        """Give one row. Raises `web.not_found`."""
        found = await self.find(connection, organization_id, row_id, lock=lock)
        if found is None:
            raise missing(self.what)
        return found

    async def page(
        self,
        connection: AsyncConnection,
        *conditions: ColumnElement[bool],
        after: UUID | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Listing[T]:
        """Give a page of the rows that meet all conditions, by age."""
        row_id = self.table.c.id
        query = select(*self.columns).where(*conditions).limit(limit + 1)
        if after is not None:
            query = query.where(row_id < after if newest_first else row_id > after)
        query = query.order_by(row_id.desc() if newest_first else row_id)
        rows = (await connection.execute(query)).all()
        items = tuple(self.value(row) for row in rows[:limit])
        return Listing(items, items[-1].id if len(rows) > limit else None)  # type: ignore[attr-defined]

    async def add(self, connection: AsyncConnection, values: Mapping[str, Any]) -> T:
        """Insert a row with a new id, or the one in *values*. Raises `web.taken`."""
        query = insert(self.table).values({"id": new_id(), **values}).returning(*self.columns)
        try:
            return self.value((await connection.execute(query)).one())
        except IntegrityError as refused:
            raise broken_rule(refused, self.what) from None

    async def change(
        self,
        connection: AsyncConnection,
        organization_id: UUID | None,
        row_id: UUID,
        values: Mapping[str, Any],
        expect: int | None = None,
    ) -> T:
        """Change a row and count its version; without values it is only read.

        Raises `web.not_found`, `web.etag_stale` when the row is not at version *expect*, `web.taken`.
        """
        if not values:
            found = await self.get(connection, organization_id, row_id)
            if expect is not None and found.version != expect:  # type: ignore[attr-defined]
                raise Conflict("web.etag_stale", Scope.SERIES)
            return found
        counted = dict(values)
        if "version" in self.table.c:
            counted |= {"version": self.table.c.version + 1, "updated_at": func.now()}
        query = update(self.table).where(self._is(organization_id, row_id)).values(counted).returning(*self.columns)
        if expect is not None:
            query = query.where(self.table.c.version == expect)
        try:
            row = (await connection.execute(query)).one_or_none()
        except IntegrityError as refused:
            raise broken_rule(refused, self.what) from None
        if row is not None:
            return self.value(row)
        await self.get(connection, organization_id, row_id)
        raise Conflict("web.etag_stale", Scope.SERIES)

    async def remove(
        self, connection: AsyncConnection, organization_id: UUID | None, row_id: UUID, expect: int | None = None
    ) -> T:
        """Delete a row and give what it was. Raises `web.not_found` and `web.etag_stale`."""
        found = await self.get(connection, organization_id, row_id, lock=True)
        if expect is not None and found.version != expect:  # type: ignore[attr-defined]
            raise Conflict("web.etag_stale", Scope.SERIES)
        await connection.execute(delete(self.table).where(self._is(organization_id, row_id)))
        return found
