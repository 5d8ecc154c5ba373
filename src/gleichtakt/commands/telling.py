"""How commands speak: in the language of LANG, to people or as JSON, with 0 for done, 1 for problems, 2 for wrong use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TextIO

from gleichtakt.errors import Language, Throttled, Trouble
from gleichtakt.settings import BadSetting, Settings, load

DONE: Final = 0
PROBLEMS: Final = 1
USAGE: Final = 2


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
    say(f"{trouble.cause(language)} [{trouble.code}]", sys.stderr)
    if remedy := trouble.remedy(language):
        say(f"  → {remedy}", sys.stderr)


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
    except BadSetting as wrong:
        say(f"{either('Einstellung', 'setting')}: {wrong}", sys.stderr)
        return USAGE
    configure(settings, is_service=is_service)
    try:
        return asyncio.run(work(settings))
    except KeyboardInterrupt:
        return 130
    except Faults as faults:
        complain(faults.troubles, as_json=as_json)
    except Trouble as trouble:
        complain((trouble,), as_json=as_json)
    except BaseExceptionGroup as several:
        troubles, rest = several.split(Trouble)
        if rest is not None or troubles is None:
            raise
        complain(_leaves(troubles), as_json=as_json)
    return PROBLEMS


def _leaves(group: BaseExceptionGroup[Trouble]) -> tuple[Trouble, ...]:
    found: list[Trouble] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return tuple(found)
