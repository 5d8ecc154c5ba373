"""Which room may know which: the rule of the house, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gleichtakt

HOUSE = Path(gleichtakt.__file__).parent
PURE = ("model", "sync")
MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "sync": {"model"},
    "sentences": set(),
    "providers": {"model", "settings"},
    "store": {"model", "sync", "settings"},
    "onboarding": {"model", "sync", "providers", "store", "settings"},
    "worker": {"model", "sync", "providers", "store", "onboarding", "settings"},
    "web": {"model", "sync", "onboarding", "store", "settings"},  # never providers: onboarding connects
    "simulators": {"model"},
    "settings": set(),
    "errors": {"sentences"},
}
NO_IO = {
    "aiohttp",
    "alembic",
    "asyncio",
    "asyncpg",
    "litestar",
    "logging",
    "os",
    "random",
    "secrets",
    "socket",
    "sqlalchemy",
    "ssl",
    "structlog",
    "subprocess",
    "time",
    "urllib",
}


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _files(room: str) -> list[Path]:
    place = HOUSE / room
    return sorted(place.rglob("*.py")) if place.is_dir() else [HOUSE / f"{room}.py"]


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for file in _files(room):
        for name in _imports(file):
            parts = name.split(".")
            if parts[0] == "gleichtakt" and len(parts) > 1 and (HOUSE / parts[1]).exists() | (HOUSE / f"{parts[1]}.py").exists():
                assert parts[1] in MAY_IMPORT[room] | {room, "errors"}, f"{file.relative_to(HOUSE)} imports {name}"


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_do_no_io_and_read_no_clock(room: str) -> None:
    for file in _files(room):
        assert not {name.split(".")[0] for name in _imports(file)} & NO_IO, file
        text = file.read_text(encoding="utf-8")
        for clock in ("datetime.now(", "utcnow(", "date.today("):
            assert clock not in text, f"{file.relative_to(HOUSE)} reads a clock"


def test_every_room_is_named_here() -> None:
    rooms = {found.name for found in HOUSE.iterdir() if found.is_dir() and (found / "__init__.py").exists()}
    assert rooms - {"commands"} <= set(MAY_IMPORT)


def test_nothing_imports_main() -> None:
    for file in HOUSE.rglob("*.py"):
        if file.name != "__main__.py":
            assert "gleichtakt.main" not in set(_imports(file)), file
