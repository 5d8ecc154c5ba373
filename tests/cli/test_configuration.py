"""The configuration file: every fault with its line, a plan that is what happens, and nothing left to do afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gleichtakt.errors import Permanent
from gleichtakt.onboarding.configuration import Change, Faults, apply, export, read
from gleichtakt.store import connections, links, organizations
from gleichtakt.store.connections import secrets_of
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox

BOX = SecretBox(bytes(range(32)))
SECRETS = {"DAV_PASSWORD": "s3cret-Ünicode"}
FULL = """
version: 1
organizations:
  - external_id: muster
    name: Muster GmbH
    time_zone: Europe/Berlin
    settings: {conflict_rule: manual, guard_delete_share: 0.1}
    groups:
      - external_id: sales
        name: Vertrieb
        settings: {direction: inbound}
    connections:
      - external_id: dav
        name: Radicale
        provider: caldav
        url: https://dav.example/
        auth: {method: basic, username: sync, password: "env:DAV_PASSWORD"}
        options: {concurrency: 4}
    resources:
      - external_id: "17"
        name: Anna Arndt
        email: anna@muster.example
        group: sales
        settings: {inbound_detail: [title, location]}
        links:
          - {connection: dav, mailbox: anna, calendar: /anna/work/, settings: {interval_seconds: 30}}
          - {connection: dav, mailbox: anna, calendar: /anna/home/, active: false}
      - {name: Raum Spree, kind: room}
    webhooks:
      - {url: "https://app.example/hook", types: [event.created]}
"""


def verbs(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    """Give the plan without its details."""
    return [(change.verb, change.kind, change.name) for change in changes]


async def applied(database: Database, text: str, **options: Any) -> tuple[Change, ...]:
    """Apply a configuration text."""
    return await apply(database, BOX, read(text), environment=SECRETS, **options)


@pytest.mark.parametrize(
    ("text", "line", "place", "code"),
    [
        ("", 1, "–", "onboarding.config_empty"),
        ("version: 1\norganizations:\n  - name: [", 3, "–", "onboarding.config_syntax"),
        ("version: 1\n\torganizations: 3", 2, "–", "onboarding.config_syntax"),
        ("version: 2", 1, "version", "onboarding.config_value"),
        ("organizations: []", 1, "version", "onboarding.config_missing"),
        ("version: 1\norganisations: []", 2, "organisations", "onboarding.config_unknown_key"),
        ("version: 1\norganizations: {}", 2, "organizations", "onboarding.config_value"),
        ("version: 1\norganizations:\n - name: A\n - name: A", 4, "organizations[1]", "onboarding.config_twice"),
        ("version: 1\norganizations:\n - name: A\n   name: B", 4, "organizations[0].name", "onboarding.config_twice"),
        (
            "version: 1\norganizations:\n - name: A\n   time_zone: Mars/Base",
            4,
            "organizations[0].time_zone",
            "onboarding.config_value",
        ),
        (
            "version: 1\norganizations:\n - name: A\n   settings:\n     direction: sideways",
            5,
            "organizations[0].settings.direction",
            "onboarding.config_value",
        ),
        (
            "version: 1\norganizations:\n - name: A\n   groups:\n   - name: B\n     settings: {outbound_enabled: false}",
            6,
            "organizations[0].groups[0].settings.outbound_enabled",
            "onboarding.config_value",
        ),
        (
            "version: 1\norganizations:\n - name: A\n   connections:\n   - {name: c, provider: fax}",
            5,
            "organizations[0].connections[0].provider",
            "onboarding.config_value",
        ),
        (
            "version: 1\norganizations:\n - name: A\n   connections:\n   - name: c\n     provider: caldav\n"
            "     auth: {password: plain}",
            7,
            "organizations[0].connections[0].auth",
            "onboarding.config_value",
        ),
        (
            "version: 1\norganizations:\n - name: A\n   groups: []\n   resources:\n   - {name: r, group: gone}",
            6,
            "organizations[0].resources[0].group",
            "onboarding.config_reference",
        ),
        (
            "version: 1\norganizations:\n - name: A\n   resources:\n   - name: r\n     links:\n     - {connection: c}\n"
            "     - {connection: c}",
            8,
            "organizations[0].resources[0].links[1]",
            "onboarding.config_twice",
        ),
    ],
)
def test_a_fault_names_its_line_and_place(text: str, line: int, place: str, code: str) -> None:
    with pytest.raises(Faults) as raised:
        read(text)
    (trouble, *_) = raised.value.troubles
    assert (trouble.code, int(trouble.params["line"]), trouble.params["place"]) == (code, line, place)
    assert str(line) in trouble.cause("de") or code == "onboarding.config_empty"
    assert trouble.remedy("de") and trouble.remedy("en")


def test_all_faults_of_a_file_are_told_at_once() -> None:
    with pytest.raises(Faults) as raised:
        read("version: 1\norganizations:\n - nmae: A\n   settings: {interval_seconds: 1}\n   webhooks: [{url: ftp://x}]")
    assert [int(trouble.params["line"]) for trouble in raised.value.troubles] == [3, 3, 4, 5]


def test_a_secret_in_clear_is_refused_without_being_repeated() -> None:
    with pytest.raises(Faults) as raised:
        read(FULL.replace("env:DAV_PASSWORD", "hunter2"))
    assert "hunter2" not in str(raised.value)


async def test_everything_is_made_and_a_second_time_nothing_changes(database: Database) -> None:
    made = await applied(database, FULL)
    assert verbs(made) == [
        ("create", "organization", "muster"),
        ("update", "organization", "muster"),
        ("create", "group", "sales"),
        ("update", "group", "sales"),
        ("create", "connection", "dav"),
        ("create", "resource", "17"),
        ("update", "resource", "17"),
        ("create", "link", "17: dav anna /anna/work/"),
        ("update", "link", "17: dav anna /anna/work/"),
        ("create", "link", "17: dav anna /anna/home/"),
        ("create", "resource", "Raum Spree"),
        ("create", "webhook", "https://app.example/hook"),
    ]
    assert made[-1].note.startswith("whsec_")
    assert await applied(database, FULL) == ()
    async with database.read() as connection:
        (login,) = (await connections.connections.page(connection)).items
        assert await secrets_of(connection, BOX, login.id) == {"password": SECRETS["DAV_PASSWORD"]}
        assert sorted(link.active for link in (await links.links.page(connection)).items) == [False, True]


async def test_a_dry_run_tells_what_would_happen_and_does_nothing(database: Database) -> None:
    told = await applied(database, FULL, dry_run=True)
    async with database.read() as connection:
        assert (await organizations.organizations.page(connection)).items == ()
    assert verbs(await applied(database, FULL)) == verbs(told)


async def test_what_is_exported_leaves_nothing_to_apply(database: Database) -> None:
    await applied(database, FULL)
    text = await export(database)
    assert SECRETS["DAV_PASSWORD"] not in text
    assert "env:DAV_PASSWORD" in text
    assert await apply(database, BOX, read(text), environment={}, prune=True) == ()
    assert yaml.safe_load(text)["organizations"][0]["resources"][0]["links"][0]["settings"] == {"interval_seconds": 30}


async def test_an_export_makes_the_same_again_under_another_name(database: Database) -> None:
    await applied(database, FULL)
    twin = (await export(database)).replace("muster", "zwilling").replace("Muster", "Zwilling")
    await applied(database, twin)
    assert (await export(database)).count("calendar: /anna/work/") == 2


async def test_a_change_tells_both_values_and_masks_secrets(database: Database) -> None:
    await applied(database, FULL)
    text = FULL.replace("conflict_rule: manual", "conflict_rule: newest").replace("Anna Arndt", "Anna Berg")
    changed = await apply(database, BOX, read(text), environment={"DAV_PASSWORD": "other"})
    assert [(change.kind, dict(change.fields)) for change in changed] == [
        ("organization", {"settings.conflict_rule": ("manual", "newest")}),
        ("connection", {"auth.password": ("•••", "•••")}),
        ("resource", {"name": ("Anna Arndt", "Anna Berg")}),
    ]


async def test_settings_a_file_names_no_more_fall_back(database: Database) -> None:
    await applied(database, FULL)
    changed = await applied(database, FULL.replace(", guard_delete_share: 0.1", ""))
    assert [dict(change.fields) for change in changed] == [{"settings.guard_delete_share": (0.1, None)}]
    assert await applied(database, FULL.replace("    settings: {conflict_rule: manual, guard_delete_share: 0.1}\n", "")) == ()


async def test_what_the_file_does_not_name_is_left_until_pruning_is_asked_for(database: Database) -> None:
    await applied(database, FULL)
    start = FULL.index("          - {connection: dav, mailbox: anna, calendar: /anna/home/")
    smaller = FULL[:start] + "    webhooks: []\n"
    assert verbs(await applied(database, smaller)) == [
        ("left", "link", "dav anna /anna/home/"),
        ("left", "webhook", "https://app.example/hook"),
        ("left", "resource", "Raum Spree"),
    ]
    pruned = await applied(database, smaller, prune=True)
    assert {change.verb for change in pruned} == {"remove"}
    assert await applied(database, smaller, prune=True) == ()


async def test_the_organization_of_the_first_start_is_taken_over_while_it_is_empty(database: Database) -> None:
    async with database.begin() as connection:
        await organizations.organizations.add(connection, {"name": "Meine Organisation"})
    assert verbs(await applied(database, FULL))[0] == ("update", "organization", "muster")
    assert ("create", "organization", "Zweite") in verbs(await applied(database, "version: 1\norganizations: [{name: Zweite}]"))


async def test_a_reference_that_leads_nowhere_stops_everything(database: Database) -> None:
    with pytest.raises(Faults) as raised:
        await apply(database, BOX, read(FULL), environment={})
    assert [trouble.code for trouble in raised.value.troubles] == ["onboarding.config_secret"]
    async with database.read() as connection:
        assert (await organizations.organizations.page(connection)).items == ()


async def test_a_secret_is_read_from_a_file(database: Database, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-file\n")
    await applied(database, FULL.replace("env:DAV_PASSWORD", f"file:{tmp_path / 'password'}"))
    async with database.read() as connection:
        (login,) = (await connections.connections.page(connection)).items
        assert await secrets_of(connection, BOX, login.id) == {"password": "from-file"}


async def test_a_calendar_linked_to_someone_else_is_not_taken_away(database: Database) -> None:
    await applied(database, FULL)
    text = FULL.replace("/anna/home/, active: false", "/anna/other/").replace(
        "- {name: Raum Spree, kind: room}",
        "- {name: Raum Spree, kind: room, links: [{connection: dav, mailbox: anna, calendar: /anna/home/}]}",
    )
    with pytest.raises(Faults) as raised:
        await applied(database, text)
    assert [trouble.code for trouble in raised.value.troubles] == ["onboarding.config_calendar_taken"]


async def test_changes_are_in_the_audit_trail(database: Database) -> None:
    from gleichtakt.store import audit

    await applied(database, FULL)
    async with database.begin() as connection:
        (organization,) = (await organizations.organizations.page(connection)).items
        entries = await audit.entries(connection, organization.id)
        assert await audit.first_break(connection, organization.id) is None
    assert {entry.actor for entry in entries} == {"command"}
    assert "connection.create" in {entry.action for entry in entries}
    assert not any(SECRETS["DAV_PASSWORD"] in str(entry.after) for entry in entries)


def test_faults_are_permanent_troubles() -> None:
    with pytest.raises(Faults) as raised:
        read("version: one")
    assert all(isinstance(trouble, Permanent) for trouble in raised.value.troubles)
