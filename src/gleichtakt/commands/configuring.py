"""`apply` and `export`: the whole configuration as one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gleichtakt.commands.opening import opened
from gleichtakt.commands.telling import DONE, either, say, say_json
from gleichtakt.errors import Permanent, Scope
from gleichtakt.onboarding import configuration
from gleichtakt.onboarding.configuration import Change
from gleichtakt.settings import Settings

SIGNS = {"create": "+", "update": "~", "remove": "−", "left": "·"}


async def apply(settings: Settings, file: str, *, dry_run: bool, prune: bool, as_json: bool) -> int:
    """Bring the configuration to what the file says; with *dry_run* only say what that would change."""
    wanted = configuration.read(_text_of(file))
    async with opened(settings) as here:
        changes = await configuration.apply(here.database, here.box, wanted, dry_run=dry_run, prune=prune)
    if as_json:
        say_json({"dry_run": dry_run, "changes": [_told(change) for change in changes]})
        return DONE
    for change in changes:
        say(f"{SIGNS[change.verb]} {change.kind} {change.name}")
        for name, (before, after) in change.fields.items():
            say(f"    {name}: {_shown(before)} → {_shown(after)}")
        if change.note and not dry_run:
            say(f"    {either('Signaturschlüssel (nur jetzt zu sehen)', 'signing secret (shown only now)')}: {change.note}")
    if not any(change.verb != "left" for change in changes):
        say(either("Nichts zu ändern.", "Nothing to change."))
    elif dry_run:
        say(either("Probelauf: geändert wurde nichts.", "Dry run: nothing was changed."))
    return DONE


async def export(settings: Settings) -> int:
    """Write the configuration to standard output."""
    async with opened(settings) as here:
        say((await configuration.export(here.database)).rstrip("\n"))
    return DONE


def _text_of(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as refused:
        reason = getattr(refused, "strerror", None) or "UTF-8?"
        raise Permanent("command.file_unreadable", Scope.ACCOUNT, file=file, reason=reason) from None


def _told(change: Change) -> dict[str, Any]:
    fields = {name: {"before": before, "after": after} for name, (before, after) in change.fields.items()}
    told: dict[str, Any] = {"verb": change.verb, "kind": change.kind, "name": change.name, "fields": fields}
    return {**told, "secret": change.note} if change.note else told


def _shown(value: Any) -> str:
    return "–" if value is None or value == "" else str(value)
