"""How commands speak: colour for those who see it, lines that fit, commands in one piece, never a trace."""

from __future__ import annotations

import io
import json

import pytest

from gleichtakt.commands.telling import INTERRUPTED, PROBLEMS, command, paint, tell
from gleichtakt.commands.words import help_in_german, wrong_in_german
from gleichtakt.settings import Settings


class Terminal(io.StringIO):
    """A stream that shows colour."""

    def isatty(self) -> bool:
        """Say that somebody is looking."""
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that asks for nothing special."""
    for name in ("NO_COLOR", "TERM", "COLUMNS", "LC_ALL", "LC_MESSAGES", "GLEICHTAKT_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_GB.UTF-8")


def test_colour_goes_to_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paint("fine", "good", Terminal()) == "\x1b[32mfine\x1b[0m"
    assert paint("fine", "good", io.StringIO()) == "fine"
    monkeypatch.setenv("TERM", "dumb")
    assert paint("fine", "good", Terminal()) == "fine"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("fine", "good", Terminal()) == "fine"


def test_a_command_to_be_copied_is_never_broken() -> None:
    words = "`openssl s_client -connect calendar.example.com:443 -showcerts </dev/null | openssl x509 -noout -dates`"
    written = io.StringIO()
    tell(f"The certificate is not valid today, so look at it: {words} shows its time.", written, indent=2, mark="→ ")
    lines = written.getvalue().splitlines()
    assert [line for line in lines if words in line]
    assert all(len(line) <= 80 for line in lines if words not in line)
    assert lines[0].startswith("  → The certificate")
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_bug_is_one_sentence_with_its_place_and_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    async def stumble(_: Settings) -> int:
        return int("no number")

    assert command(stumble, as_json=False) == PROBLEMS
    said = capsys.readouterr().err
    assert "made a mistake of its own: ValueError in" in said
    assert "Traceback" not in said
    assert "no number" not in said  # it may be somebody's title
    assert command(stumble, as_json=True) == PROBLEMS
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "command.bug"


def test_a_bug_among_several_failures_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    async def stumble(_: Settings) -> int:
        raise ExceptionGroup("several", [ExceptionGroup("inner", [KeyError("x")])])

    assert command(stumble, as_json=False) == PROBLEMS
    assert "KeyError" in capsys.readouterr().err


def test_ctrl_c_ends_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    async def wait(_: Settings) -> int:
        raise KeyboardInterrupt

    assert command(wait, as_json=False) == INTERRUPTED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("No such command 'nix'.", "Den Befehl «nix» gibt es nicht."),
        ("No such option: --al", "Die Option --al gibt es nicht."),
        ("No such option: --al (Possible options: --all)", "Die Option --al gibt es nicht; gemeint: --all?"),
        ("Missing argument 'LINK'.", "Es fehlt die Angabe LINK."),
        ("Got unexpected extra argument(s) (a b)", "Das ist zu viel: a b"),
        ("Option '--wait' requires an argument.", "Die Option --wait braucht einen Wert."),
        ("Something new.", "Something new."),
    ],
)
def test_wrong_use_is_told_in_german(english: str, german: str) -> None:
    assert wrong_in_german(english) == german


def test_help_is_german_from_its_first_word() -> None:
    text = "Usage: gleichtakt sync [OPTIONS]\n\nOptions:\n  -h, --help  Show this message and exit.\n"
    assert help_in_german(text) == "Aufruf: gleichtakt sync [OPTIONEN]\n\nOptionen:\n  -h, --help  Diese Hilfe zeigen.\n"
