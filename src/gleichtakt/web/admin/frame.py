"""What every page of the desk shares: its frame with the navigation's counts, the way back after an act, paging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Response
from litestar.exceptions import NotFoundException
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.model.document import read_point
from gleichtakt.store import audit, desk
from gleichtakt.sync.flat import content_of, is_note
from gleichtakt.web.admin import strip
from gleichtakt.web.admin.live import look
from gleichtakt.web.i18n import Words, terms
from gleichtakt.web.login.viewer import Asked, Viewer, database_of, go, page


async def show(request: Asked, viewer: Viewer, connection: AsyncConnection, template: str, **values: Any) -> Response[str]:
    """Answer with a page of the desk."""
    waiting = await desk.waiting(connection, viewer.scope)
    verifying = await desk.verifying(connection)
    beat = await look(connection, viewer.scope)
    helpers: dict[str, Any] = {
        "strips": strip,
        "read_point": partial(read_point, place=""),
        "field_names": partial(field_names, viewer.words),
    }
    return page(viewer, request, template, waiting=waiting, verifying=verifying, beat=beat, **helpers, **values)


def field_names(words: Words, fields: Sequence[str]) -> str:
    """Enumerate fields by the names people know, in the order people read them; each once, the planner's own notes never."""
    known = sorted({content_of(key) for key in fields if not is_note(key)}, key=terms.place_of)
    names = (words.say(terms.FIELDS.get(field, field)) for field in known)
    return words.join(list(dict.fromkeys(names)))


def found(row: Any) -> Any:
    """Give what was looked for, or answer that it is not there (nor in this person's organization)."""
    if row is None:
        raise NotFoundException
    return row


async def record(
    connection: AsyncConnection,
    viewer: Viewer,
    row: Any,
    action: str,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write an act on a row into the trail of its organization; last in the transaction. action: `<table>.<verb>`."""
    of = f"{action.partition('.')[0]}/{row.id}"
    await audit.record(connection, organization_id=row.organization_id, actor=viewer.actor, action=action, of=of, after=after)


def number_of(request: Asked) -> int:
    """Give the page number asked for; the first for anything odd."""
    asked = request.query_params.get("page", "1")
    return min(int(asked), 10_000) if asked.isascii() and asked.isdigit() and int(asked[:6]) > 0 else 1


def uuid_of(text: str) -> UUID:
    """Read an id from a path."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundException from None


__all__ = ["database_of", "found", "go", "number_of", "record", "show", "uuid_of"]
