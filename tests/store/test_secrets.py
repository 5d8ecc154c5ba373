"""Sealed secrets and the rotation of their key."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.firm import Firm

from gleichtakt.errors import Permanent
from gleichtakt.settings import Settings
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.secrets import SecretBox, key_file, new_key, open_box, place_of, read_key_file, reseal, rotate_key

PLACE = place_of("connection", "secret", new_id())


def test_what_was_sealed_opens_in_its_place() -> None:
    box = SecretBox(new_key())
    sealed = box.seal(b"Geheim", PLACE)
    assert b"Geheim" not in sealed
    assert box.open(sealed, PLACE) == b"Geheim"
    assert box.seal(b"Geheim", PLACE) != sealed, "equal secrets must not look equal"


def test_a_secret_moved_to_another_row_does_not_open() -> None:
    box = SecretBox(new_key())
    with pytest.raises(Permanent) as refused:
        box.open(box.seal(b"x", PLACE), place_of("connection", "secret", new_id()))
    assert refused.value.code == "store.secret_tampered"


def test_a_changed_bit_does_not_open() -> None:
    box = SecretBox(new_key())
    sealed = bytearray(box.seal(b"x", PLACE))
    sealed[-1] ^= 1
    with pytest.raises(Permanent, match="does not fit"):
        box.open(bytes(sealed), PLACE)


def test_a_missing_key_is_named_and_not_shown() -> None:
    key = new_key()
    with pytest.raises(Permanent) as refused:
        SecretBox(new_key()).open(SecretBox(key).seal(b"x", PLACE), PLACE)
    assert refused.value.params["key"] == SecretBox(key).key_name
    assert key.hex() not in str(refused.value)


def test_a_key_is_made_once_and_readable_for_its_owner_only(data_dir: Path) -> None:
    settings = Settings(data_dir=str(data_dir))
    sealed = open_box(settings).seal(b"x", PLACE)
    assert open_box(settings).open(sealed, PLACE) == b"x"
    assert stat.S_IMODE(key_file(settings).stat().st_mode) == 0o600


@pytest.mark.parametrize("bad", ["", "short", "ä" * 32, base64.b64encode(b"31" * 15).decode()])
def test_a_bad_key_is_refused_with_how_to_make_one(bad: str) -> None:
    with pytest.raises(Permanent) as refused:
        open_box(Settings(secret_key=bad or " "))
    assert "openssl" in refused.value.remedy("de")


async def sealed_firm(database: Database, firm: Firm, box: SecretBox) -> bytes:
    place = place_of("connection", "secret", firm.connection_id)
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE connection SET secret = :secret WHERE id = :id"),
            {"secret": box.seal(b"Passwort", place), "id": firm.connection_id},
        )
    return place


async def stored(database: Database, firm: Firm) -> bytes:
    async with database.read() as connection:
        row = await connection.execute(text("SELECT secret FROM connection WHERE id = :id"), {"id": firm.connection_id})
        return bytes(row.scalar_one())


async def test_rotation_seals_everything_under_a_new_key(database: Database, firm: Firm, data_dir: Path) -> None:
    settings = Settings(data_dir=str(data_dir))
    running = open_box(settings)  # of a process that runs on
    place = await sealed_firm(database, firm, running)
    first = read_key_file(key_file(settings))[0]

    assert (await rotate_key(database, settings))["connection.secret"] == 1
    after = await stored(database, firm)
    assert running.open(after, place) == b"Passwort", "a running process finds the new key by itself"
    with pytest.raises(Permanent):
        SecretBox(first).open(after, place)
    assert SecretBox(*read_key_file(key_file(settings))).is_current(running.seal(b"x", place))

    await rotate_key(database, settings)
    assert first not in read_key_file(key_file(settings)), "nobody needs the first key any more"
    assert running.open(await stored(database, firm), place) == b"Passwort"


async def test_an_interrupted_rotation_goes_on(database: Database, firm: Firm) -> None:
    old, new = new_key(), new_key()
    place = await sealed_firm(database, firm, SecretBox(old))
    both = SecretBox(new, old)
    assert (await reseal(database, both))["connection.secret"] == 1
    assert (await reseal(database, both))["connection.secret"] == 0
    assert SecretBox(new).open(await stored(database, firm), place) == b"Passwort"


async def test_keys_given_by_the_setting_are_rotated_by_putting_the_new_one_first(database: Database, firm: Firm) -> None:
    old, new = (base64.b64encode(new_key()).decode() for _ in range(2))
    await sealed_firm(database, firm, open_box(Settings(secret_key=old)))
    assert (await rotate_key(database, Settings(secret_key=f"{new},{old}")))["connection.secret"] == 1
    place = place_of("connection", "secret", firm.connection_id)
    assert open_box(Settings(secret_key=new)).open(await stored(database, firm), place) == b"Passwort"
