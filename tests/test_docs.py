"""The documents tell the truth: every setting, command, ability and link in them is the one of the program."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

import gleichtakt
from gleichtakt.errors import AREAS, LANGUAGES, sentences
from gleichtakt.main import cli
from gleichtakt.providers.protocol import Ability
from gleichtakt.providers.registry import abilities_of, provider_names
from gleichtakt.settings import HELP, Settings
from gleichtakt.sync.plan import HoldKind
from gleichtakt.sync.policy import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
HOUSE = Path(gleichtakt.__file__).parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CONFIGURATION = ROOT / "docs" / "operations" / "configuration.md"
CODE = re.compile(rf"(?:{'|'.join(AREAS)})\.[a-z0-9_]*[a-z0-9]\Z")


def table(document: Path, mark: str) -> str:
    """Give the table between two marks of a document."""
    text = document.read_text(encoding="utf-8")
    return text.partition(f"<!-- {mark} -->\n")[2].partition("\n<!-- end -->")[0]


def shown(value: Any) -> str:
    """Give a default as it is written in a document."""
    if isinstance(value, Mapping):
        return f"`{json.dumps({key: found for key, found in value.items() if isinstance(found, str)})}`" if value else "none"
    return f"`{json.dumps(value)}`" if isinstance(value, bool) else f"`{value}`" if value != "" else "empty"


def process_settings() -> str:
    """Give the table of the settings of a process."""
    rows = [
        f"| `{one.name}` | `GLEICHTAKT_{one.name.upper()}` | {shown(one.default)} | {HELP[one.name]} |"
        for one in fields(Settings)
    ]
    return "\n".join(["| setting | environment | default | |", "|---|---|---|---|", *rows])


def link_settings() -> str:
    """Give the table of the settings of links."""
    rows = []
    for one in SETTINGS.values():
        takes = " · ".join(one.choices) if one.choices else one.kind
        where = "" if len(one.levels) > 1 else f" ({one.levels[0]} only)"
        rows.append(f"| `{one.name}` | {takes} | {shown(one.default)} | {one.help['en']}{where} |")
    return "\n".join(["| setting | takes | default | |", "|---|---|---|---|", *rows])


@pytest.mark.parametrize(("mark", "wanted"), [("process settings", process_settings()), ("link settings", link_settings())])
def test_every_setting_is_described_as_the_program_has_it(mark: str, wanted: str) -> None:
    assert table(CONFIGURATION, mark) == wanted


def test_every_setting_has_a_help() -> None:
    assert set(HELP) == {one.name for one in fields(Settings)}


def commands() -> dict[str, set[str]]:
    """Give each command with its options."""
    group: Any = typer.main.get_command(cli)
    return {name: {option for one in command.params for option in one.opts} for name, command in group.commands.items()}


def spoken_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands a document gives: the word after `gleichtakt`, and the options behind it."""
    code = [*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
    for found in re.finditer(r"(?<![/\w.@-])(?:\S*/bin/)?gleichtakt ([a-z][a-z-]*)([^\n#|&`]*)", "\n".join(code)):
        yield found[1], re.findall(r"(?<!\S)--[a-z-]+", found[2])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_exists(document: Path) -> None:
    known = commands()
    for name, options in spoken_of(document.read_text(encoding="utf-8")):
        assert name in known, f"gleichtakt {name}"
        assert set(options) <= known[name] | {"--help"}, f"gleichtakt {name} {options}"


def test_every_command_is_told_somewhere() -> None:
    told = {name for document in DOCUMENTS for name, _ in spoken_of(document.read_text(encoding="utf-8"))}
    assert set(commands()) <= told | {"simulate"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), target


def texts(file: Path) -> Iterator[str]:
    """Yield the texts in a source file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def literals(file: Path) -> Iterator[str]:
    """Yield the texts in a source file that look like codes of sentences."""
    yield from filter(CODE.match, texts(file))


def sources() -> list[Path]:
    """Give the source files that raise or show sentences."""
    return [file for file in sorted(HOUSE.rglob("*.py")) if file.parent.name != "sentences"]


#: Texts of that form that are something else.
NO_SENTENCES = frozenset({"caldav.example", "feed.create", "feed.revoke", "recurrence.rrule"})
#: Why an event is not mirrored: the reasons are words of the database.
REASONS = "sync.reason_"


def test_every_code_that_is_used_has_its_sentence() -> None:
    used = {code for file in sources() for code in literals(file)}
    assert used - set(sentences()) == NO_SENTENCES


def test_every_sentence_is_used() -> None:
    """A code may be put together from its area and a word, as in `f"recurrence.{refused}"`."""
    words = {text for file in sources() for text in texts(file)}
    kinds = {f"sync.hold_{kind.value}" for kind in HoldKind}
    written = " ".join(words)
    for code in set(sentences()) - kinds:
        word = code.partition(".")[2]
        assert word in words or code in written or code.startswith(REASONS), code


def test_every_sentence_speaks_both_languages_and_names_the_same_things() -> None:
    for code, found in sentences().items():
        for side in (found.cause, found.remedy):
            assert set(side) == set(LANGUAGES), code
            marks = [set(re.findall(r"\{(\w+)\}", side[language])) for language in LANGUAGES]
            assert marks[0] == marks[1], code


def test_the_table_of_providers_agrees_with_their_abilities() -> None:
    rows = [
        line.strip("|").split("|") for line in (ROOT / "docs/providers/README.md").read_text().splitlines() if line[:1] == "|"
    ]
    told = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if len(row) == len(provider_names()) + 1}
    names = [re.sub(r"\[(\w+)\].*", r"\1", cell).lower() for cell in told[""]]
    assert sorted(names) == sorted(provider_names())
    for place, name in enumerate(names):
        held = abilities_of(name)
        assert told["directions"][place] == ("both" if Ability.WRITE in held.can else "inbound")
        assert told["parallel requests per mailbox"][place] == str(held.max_in_flight)
        levels = {"all four"} if len(held.sensitivity) == 4 else set(held.sensitivity)
        assert set(told["`sensitivity`"][place].split(", ")) == levels
        assert (told["recurrence"][place] == "all of RFC 5545") == (held.recurrence.value == "rfc5545")
        assert told["keeps our UID"][place].startswith("yes" if Ability.WRITE in held.can and held.caller_uid else "–")
