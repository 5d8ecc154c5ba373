"""Help and wrong use in the reader's language: what typer says in English only, said in German as well.

A command is declared with both texts; its first sentence is what the list of commands shows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from gleichtakt.commands.telling import USAGE, either, language_here, paint, say

#: Pieces of help in the order in which they are replaced.
_HELP: Final = (
    (r"^Usage: ", "Aufruf: "),
    (r"\[OPTIONS\]", "[OPTIONEN]"),
    (r"COMMAND \[ARGS\]\.\.\.", "BEFEHL …"),
    (r"^Options:$", "Optionen:"),
    (r"^Arguments:$", "Angaben:"),
    (r"^Commands:$", "Befehle:"),
    (r"Show this message and exit\.", "Diese Hilfe zeigen."),
    (r"\[default: ", "[Vorgabe: "),
    (r"\[env var: ", "[Umgebung: "),
    (r"\[env var:(?=\n)", "[Umgebung:"),
    (r"\[required\]", "[nötig]"),
)
_WRONG: Final = (
    (r"No such command '(.+)'\.", r"Den Befehl «\1» gibt es nicht."),
    (r"No such option: (\S+?)\.?", r"Die Option \1 gibt es nicht."),
    (
        r"No such option: (\S+?)\.? \(?(?:Did you mean|Possible options:) (.+?)\??\)?",
        r"Die Option \1 gibt es nicht; gemeint: \2?",
    ),
    (r"Missing argument '(.+)'\.", r"Es fehlt die Angabe \1."),
    (r"Missing command\.", "Es fehlt der Befehl."),
    (r"Got unexpected extra arguments? ?(?:\(s\) )?\((.+)\)", r"Das ist zu viel: \1"),
    (r"Option '(.+)' requires an argument\.", r"Die Option \1 braucht einen Wert."),
    (r"Option '(.+)' does not take a value\.", r"Die Option \1 nimmt keinen Wert."),
    (r"Invalid value for '(.+?)': (.+)", r"Ungültiger Wert für \1: \2"),
)


def help_in_german(text: str) -> str:
    """Replace the fixed words of a help text."""
    for pattern, german in _HELP:
        text = re.sub(pattern, german, text, flags=re.MULTILINE)
    return text


def wrong_in_german(message: str) -> str:
    """Say in German what was wrong; a message that is not known stays as it is."""
    for pattern, german in _WRONG:
        if re.fullmatch(pattern, message):
            return re.sub(f"{pattern}\\Z", german, message)
    return message


def spoken(text: str) -> str:
    """Give a help text in the reader's language, without the types that its placeholders say already."""
    bare = re.sub(r"^(  \[?[A-Z]+\]?) <[^>\n]+>", r"\1", text, flags=re.MULTILINE)
    bare = re.sub(r"\{([A-Z]+)\}", r"\1", bare).replace("[LINK]...", "[LINK …]")
    return help_in_german(bare) if language_here() == "de" else bare


class Command(TyperCommand):
    """A command whose help speaks the reader's language."""

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]  # the public name of its context
        """Give the help."""
        return spoken(super().get_help(ctx))


class Commands(TyperGroup):
    """All commands: their help, and wrong use told in one line with the command that explains more."""

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """Give the help."""
        return spoken(super().get_help(ctx))

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command to its end and leave with its status: 2 for wrong use, 130 for Ctrl-C."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a terminal that cannot show a letter gets a question mark
        try:
            status = super().main(args=args, prog_name=prog_name, **{**extra, "standalone_mode": False})
        except TyperException as wrong:
            _explain(wrong)
            status = USAGE
        except (typer.Abort, KeyboardInterrupt):
            status = 130
        sys.exit(status)


def _explain(wrong: TyperException) -> None:
    message = wrong.format_message()
    context = getattr(wrong, "ctx", None)
    if type(wrong).__name__ == "NoArgsIsHelpError":  # its message is the help itself
        say(message, sys.stderr)
        return
    say(paint(wrong_in_german(message) if language_here() == "de" else message, "bad", sys.stderr), sys.stderr)
    if context is not None:
        say(f"  → {context.command_path} --help", sys.stderr)


def wrong_use(de: str, en: str) -> None:
    """Say what is wrong with the words that were given, and leave with the status for that."""
    say(paint(either(de, en), "bad", sys.stderr), sys.stderr)
    raise typer.Exit(USAGE)


def declared(cli: typer.Typer, de: str, en: str, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a command with its help in both languages; the first sentence is its line in the list."""
    return cli.command(name, cls=Command, help=either(de, en))
