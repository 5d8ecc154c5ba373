"""Settings at four levels: the nearest one counts, every value tells where it comes from, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.api.conftest import Caller
from tests.web.api.world import Ids, make_world

from gleichtakt.store.database import Database
from gleichtakt.sync.policy import SETTINGS


@pytest.fixture
async def ids(api: Caller, database: Database) -> Ids:
    """One object of every kind in the organization of the test."""
    return await make_world(api, database)


def levels(ids: Ids) -> dict[str, str]:
    """Give the address of each level, far to near."""
    return {
        "global": "/settings",
        "group": f"/groups/{ids['group_id']}/settings",
        "resource": f"/resources/{ids['resource_id']}/settings",
        "link": f"/links/{ids['link_id']}/settings",
    }


async def test_without_a_word_the_defaults_count_everywhere(api: Caller, ids: Ids) -> None:
    for path in levels(ids).values():
        found = await api.read(path)
        assert set(found) == set(SETTINGS)
        assert {one["origin"] for one in found.values()} <= {"default", "provider ability"}


async def test_the_nearest_level_that_says_something_counts(api: Caller, ids: Ids) -> None:
    at = levels(ids)
    values = {"global": 60, "group": 120, "resource": 180, "link": 240}
    for level, value in values.items():
        assert (await api("PATCH", at[level], {"interval_seconds": value})).status_code == 200
        assert (await api.read(at["link"]))["interval_seconds"] == {"value": value, "origin": level}
    assert (await api.read(at["group"]))["interval_seconds"] == {"value": 120, "origin": "group"}
    for level, left in (("link", "resource"), ("resource", "group"), ("group", "global")):
        await api("PATCH", at[level], {"interval_seconds": None})
        assert (await api.read(at["link"]))["interval_seconds"] == {"value": values[left], "origin": left}
    await api("PATCH", f"/resources/{ids['resource_id']}", {"group_id": None})
    await api("PATCH", at["group"], {"interval_seconds": 300})
    assert (await api.read(at["link"]))["interval_seconds"]["origin"] == "global"  # no longer in that group


async def test_the_group_that_goes_takes_its_word_along(api: Caller, ids: Ids) -> None:
    at = levels(ids)
    await api("PATCH", at["group"], {"interval_seconds": 300})
    assert (await api("DELETE", f"/groups/{ids['group_id']}")).status_code == 204
    assert (await api.read(at["link"]))["interval_seconds"]["origin"] == "default"
    assert (await api.read(f"/resources/{ids['resource_id']}"))["group_id"] is None


@pytest.mark.parametrize(
    ("level", "values", "code", "place"),
    [
        ("global", {"colour": "red"}, "web.setting_unknown", "colour"),
        ("link", {"direction": "sideways"}, "web.setting_value", "direction"),
        ("link", {"guard_delete_share": 2}, "web.setting_value", "guard_delete_share"),
        ("resource", {"interval_seconds": "soon"}, "web.setting_value", "interval_seconds"),
        ("group", {"inbound_enabled": False}, "web.setting_level", "inbound_enabled"),
        ("global", {"busy_title": "two\nlines"}, "web.setting_value", "busy_title"),
        ("global", {"busy_title": "nul\0"}, "web.setting_value", "busy_title"),
    ],
)
async def test_nonsense_is_refused_whole_with_its_place(
    api: Caller, ids: Ids, level: str, values: dict[str, Any], code: str, place: str
) -> None:
    path = levels(ids)[level]
    for language in ("de", "en"):
        refused = await api.refused("PATCH", path, {"relay": "full", **values}, accept_language=language)
        assert (refused.status, refused.code, refused.place) == (422, code, place)
    assert (await api.read(path))["relay"]["origin"] == "default"


async def test_a_link_cannot_be_asked_for_what_its_provider_cannot_do(api: Caller, anna: dict[str, Any]) -> None:
    feed = await api.made("/connections", provider="feed", url="https://calendars.example.org/public.ics")
    link = await api.made("/links", resource_id=anna["id"], connection_id=feed["id"])
    path = f"/links/{link['id']}/settings"
    assert (await api.read(path))["direction"] == {"value": "inbound", "origin": "provider ability"}
    refused = await api.refused("PATCH", path, {"direction": "two_way"})
    assert (refused.status, refused.code, refused.place) == (422, "web.setting_ability", "direction")
    taken = {"resource_id": anna["id"], "connection_id": feed["id"], "mailbox": "x", "settings": {"direction": "outbound"}}
    assert (await api.refused("POST", "/links", taken)).code == "web.setting_ability"
    assert len(await api.items(f"/links?resource_id={anna['id']}")) == 1  # nothing was made


async def test_two_who_change_settings_at_once_hear_of_each_other(api: Caller, ids: Ids) -> None:
    for path in levels(ids).values():
        read = await api("GET", path)
        tag = read.headers["etag"]
        assert (await api("GET", path, if_none_match=tag)).status_code == 304
        assert (await api("PATCH", path, {"relay": "none"}, if_match=tag)).status_code == 200
        assert (await api.refused("PATCH", path, {"relay": "full"}, if_match=tag)).status == 412
        await api("PATCH", path, {"relay": None})
