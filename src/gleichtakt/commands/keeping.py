"""`migrate`, `backup`, `restore`, `confirm` and `rotate-key`: what keeps an installation alive."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from gleichtakt.commands.opening import attended, opened
from gleichtakt.commands.telling import DONE, either, say, say_json, tell
from gleichtakt.settings import Settings
from gleichtakt.store import backup as saving
from gleichtakt.store import instance, secrets
from gleichtakt.store.migrate import known_versions


async def migrate(settings: Settings, *, as_json: bool) -> int:
    """Bring the schema to this version."""
    async with opened(settings, upgrade=True) as here:
        await attended(here)
    if as_json:
        say_json({"schema": known_versions()[0]})
    else:
        say(either(f"Schema {known_versions()[0]}: aktuell.", f"Schema {known_versions()[0]}: up to date."))
    return DONE


async def confirm(settings: Settings, *, as_json: bool) -> int:
    """Let a restored or copied instance write again."""
    async with opened(settings) as here, here.database.begin() as connection:
        found = await instance.confirm(connection)
    if as_json:
        say_json({"mode": found.mode})
    else:
        say(either("Diese Installation schreibt wieder.", "This installation writes again."))
    return DONE


async def rotate_key(settings: Settings, *, as_json: bool) -> int:
    """Make a new key and seal every secret with it."""
    async with opened(settings) as here:
        counts = await secrets.rotate_key(here.database, settings)
    if as_json:
        say_json({"resealed": dict(counts)})
    else:
        number = sum(counts.values())
        say(either(f"Neu versiegelte Geheimnisse: {number}", f"Secrets sealed anew: {number}"))
    return DONE


async def backup(settings: Settings, file: Path, *, with_keys: bool, as_json: bool) -> int:
    """Save the database, with its keys if asked for; the server may run on."""
    manifest = await saving.backup(settings, file, with_keys=with_keys)
    if as_json:
        say_json({"file": str(file), **asdict(manifest)})
        return DONE
    say(either(f"Gesichert: {file}", f"Saved: {file}"))
    if not with_keys:
        kept = str(secrets.key_file(settings)) if not settings.secret_key else "GLEICHTAKT_SECRET_KEY"
        tell(
            either(
                f"Die Schlüssel sind nicht darin; getrennt aufbewahren: {kept}",
                f"The keys are not in it; keep them apart: {kept}",
            )
        )
    return DONE


async def restore(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Bring a backup back; afterwards the installation only verifies."""
    manifest, found = await saving.restore(settings, file)
    if as_json:
        say_json({"mode": found.mode, **asdict(manifest)})
        return DONE
    say(either(f"Eingespielt: Stand vom {manifest.made_at}.", f"Restored: as of {manifest.made_at}."))
    tell(
        either(
            "Es wird nur geprüft und nichts geschrieben. `gleichtakt sync --all --dry-run` zeigt, was geschähe;"
            " `gleichtakt confirm` erlaubt das Schreiben.",
            "It only verifies and writes nothing. `gleichtakt sync --all --dry-run` shows what would happen;"
            " `gleichtakt confirm` allows writing.",
        )
    )
    return DONE
