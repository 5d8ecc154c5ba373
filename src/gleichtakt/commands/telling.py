"""How commands speak: in the language of LANG, to people or as JSON, with 0 for done, 1 for problems, 2 for wrong use.

Colour goes to terminals only, and not where NO_COLOR asks for none (no-color.org). Lines are broken to the terminal's width;
what stands in backticks is a command to be copied and stays in one piece.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TextIO

from gleichtakt.errors import Language, Permanent, Scope, Throttled, Trouble
from gleichtakt.settings import Settings, load

DONE: Final = 0
PROBLEMS: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

WIDTH, MOST_WIDTH = 80, 100
STYLES: Final[Mapping[str, str]] = {"good": "32", "warn": "33", "bad": "31", "bold": "1", "faint": "2"}
SOLID, DASH = "\ue000", "\ue001"  # private letters that stand for a blank and a dash inside a command


def language_here(environment: Mapping[str, str] = os.environ) -> Language:
    """Give the language of whoever runs the command."""
    named = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "de" if named.lower().startswith("de") else "en"


def say(text: str, stream: TextIO | None = None) -> None:
    """Write one line at once; a reader that has gone away is no fault of ours."""
    to = stream or sys.stdout
    try:
        to.write(text + "\n")
        to.flush()
    except BrokenPipeError:
        os._exit(DONE)


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Give a text in a style (`good`, `warn`, `bad`, `bold`, `faint`) where the stream shows colour."""
    to = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not to.isatty():
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def tell(text: str, stream: TextIO | None = None, *, indent: int = 0, mark: str = "", style: str = "") -> None:
    """Write a text of several words, broken at blanks and indented. mark: stands before its first line."""
    width = min(max(shutil.get_terminal_size((WIDTH, 24)).columns, 40), MOST_WIDTH)
    solid = re.sub(r"`[^`]+`", lambda found: found[0].replace(" ", SOLID).replace("-", DASH), text)
    before = " " * indent
    lines = textwrap.wrap(
        solid,
        width,
        initial_indent=before + mark,
        subsequent_indent=before + " " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        plain = line.replace(SOLID, " ").replace(DASH, "-")
        say(paint(plain, style, stream) if style else plain, stream)


def progress(text: str) -> None:
    """Say what is being done, where somebody may be waiting: on standard error, if that is a terminal."""
    if sys.stderr.isatty():
        say(paint(f"… {text}", "faint", sys.stderr), sys.stderr)


def say_json(value: Any) -> None:
    """Write a result as one line of JSON."""
    say(json.dumps(value, ensure_ascii=False, default=str))


def either(de: str, en: str) -> str:
    """Give the text in the language of LANG."""
    return de if language_here() == "de" else en


def told(trouble: Trouble) -> dict[str, Any]:
    """Give a trouble as JSON."""
    language = language_here()
    written: dict[str, Any] = {
        "kind": trouble.kind,
        "code": trouble.code,
        "scope": trouble.scope.value,
        "cause": trouble.cause(language),
        "remedy": trouble.remedy(language),
    }
    if isinstance(trouble, Throttled):
        written["retry_at"] = trouble.until.isoformat()
    return written


def explain(trouble: Trouble) -> None:
    """Write what happened and what helps, for a person."""
    language = language_here()
    tell(f"{trouble.cause(language)} [{trouble.code}]", sys.stderr, style="bad")
    if remedy := trouble.remedy(language):
        tell(remedy, sys.stderr, indent=2, mark="→ ")


def complain(troubles: tuple[Trouble, ...], *, as_json: bool) -> None:
    """Write every trouble, to a person or as JSON."""
    if as_json:
        say_json({"problems": [told(trouble) for trouble in troubles]})
        return
    for trouble in troubles:
        explain(trouble)


def command(work: Callable[[Settings], Coroutine[Any, Any, int]], *, as_json: bool, is_service: bool = False) -> int:
    """Run a command to its end; give its exit status. A trouble is told, a bug is not hidden.

    is_service: it logs what it does; other commands only log warnings.
    """
    import asyncio

    from gleichtakt.commands.logs import configure
    from gleichtakt.onboarding.configuration.document import Faults

    try:
        settings = load(os.environ)
    except Permanent as wrong:
        complain((wrong,), as_json=as_json)
        return USAGE
    configure(settings, is_service=is_service)
    try:
        return asyncio.run(work(settings))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Faults as faults:
        complain(faults.troubles, as_json=as_json)
    except Exception as failed:
        troubles = _troubles(failed) or _refusal(failed) or (_bug(failed, is_service=is_service),)
        complain(troubles, as_json=as_json)
    return PROBLEMS


def _troubles(failed: Exception) -> tuple[Trouble, ...]:
    """Give the troubles a failure consists of; none if there is anything else in it."""
    if not isinstance(failed, ExceptionGroup):
        return (failed,) if isinstance(failed, Trouble) else ()
    troubles, rest = failed.split(Trouble)
    return _leaves(troubles) if rest is None and troubles is not None else ()


def _refusal(failed: Exception) -> tuple[Trouble, ...]:
    """Give the sentence for a file or folder that the system refuses."""
    if not isinstance(failed, OSError) or not isinstance(failed.filename, (str, bytes)) or not failed.strerror:
        return ()
    return (Permanent("command.file_refused", Scope.ACCOUNT, file=os.fsdecode(failed.filename), reason=failed.strerror),)


def _bug(failed: Exception, *, is_service: bool) -> Trouble:
    """Turn what should not have happened into a sentence. The trace goes to the log: of a service, or with `debug`."""
    import structlog

    log = structlog.get_logger(__name__)
    (log.error if is_service else log.debug)("bug", exc_info=failed)
    inner: BaseException = failed
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    frames = traceback.extract_tb(inner.__traceback__)
    ours = [frame for frame in frames if "/gleichtakt/" in frame.filename] or list(frames)
    place = f"{ours[-1].filename.rpartition('/gleichtakt/')[2]}:{ours[-1].lineno}" if ours else "–"
    return Permanent("command.bug", Scope.ACCOUNT, error=type(inner).__name__, place=place)


def _leaves(group: BaseExceptionGroup[Trouble]) -> tuple[Trouble, ...]:
    found: list[Trouble] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return tuple(found)
