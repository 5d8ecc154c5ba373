"""Commands as a shell gives them: words and environment in, what was written and the status out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gleichtakt.main import cli


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one line of JSON it wrote."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Awaitable[Ended]]


def shell(database_url: str, tmp_path: Path) -> Run:
    """Give commands in a known environment."""
    (tmp_path / "none.toml").write_text("")
    environment = {
        "GLEICHTAKT_DATABASE_URL": database_url,
        "GLEICHTAKT_DATA_DIR": str(tmp_path / "data"),
        "GLEICHTAKT_CONFIG": str(tmp_path / "none.toml"),
        "SYNC_PASSWORD": "sync-password",
        "LANG": "en_GB.UTF-8",
        "LC_ALL": "",
    }

    async def give(*words: str, **more: str) -> Ended:
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(words), env={**environment, **more})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return give
