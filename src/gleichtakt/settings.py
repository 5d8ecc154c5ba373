"""Each process setting once: name, type, default, help. From the environment, else `gleichtakt.toml`, else default.

What a link may do is not here but in `sync.policy`: those settings live in the database, at four levels.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

LONGEST_LEASE = 120  # a mailbox of a worker that died waits no longer than that

HELP: Mapping[str, str] = {
    "database_url": "PostgreSQL 15 or newer, e.g. postgresql://user:password@host/name; empty: an embedded one is run",
    "data_dir": "folder for the embedded database, the secret key and the first password; kept readable for its owner",
    "secret_key": "key that seals stored secrets (32 bytes, base64); empty: made once and kept in the data folder",
    "public_url": "address under which people and providers reach the server; empty: taken from `listen`",
    "listen": "host:port of the web server",
    "smtp_url": "mail server for alerts and invitations, e.g. smtp://user:password@host:587; empty: no mail is sent",
    "admin_password": "password of the account `admin` at first start; empty: one is made and printed once",
    "api_key": "an API key to accept from the first start on; empty: one is made and printed once",
    "log_format": "`console` or `json`",
    "log_level": "`debug`, `info`, `warning` or `error`",
    "worker_slots": "how many mailboxes one worker process serves at the same time",
    "lease_seconds": "how long a mailbox stays with a worker that has died or hangs, 1 to 120; renewed four times in that time",
    "allow_private_hosts": "comma-separated hosts or networks that feeds and webhooks may reach although they are private",
}


def default_data_dir() -> Path:
    """Give the folder for state: the system's for root, the user's own otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/gleichtakt")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gleichtakt"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process."""

    database_url: str = ""
    data_dir: str = ""
    secret_key: str = ""
    public_url: str = ""
    listen: str = "127.0.0.1:8080"
    smtp_url: str = ""
    admin_password: str = ""
    api_key: str = ""
    log_format: str = "console"
    log_level: str = "info"
    worker_slots: int = 16
    lease_seconds: int = 60
    allow_private_hosts: str = ""

    @property
    def data_path(self) -> Path:
        """Give the data folder as an absolute path."""
        return (Path(self.data_dir) if self.data_dir else default_data_dir()).absolute()

    @property
    def address(self) -> tuple[str, int]:
        """Give host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    def __repr__(self) -> str:
        """Hide what is secret."""
        return f"Settings(data_dir={self.data_path}, listen={self.listen})"


class BadSetting(ValueError):
    """A setting that cannot be read; names the setting and what it takes."""


def load(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Join environment over file over defaults. An empty value counts as absent; an unknown key in the file is refused."""
    path = file or Path(environment.get("GLEICHTAKT_CONFIG") or "gleichtakt.toml")
    written: dict[str, Any] = {}
    if path.is_file():
        try:
            written = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
            raise BadSetting(f"{path.name}: {broken}") from None
    known = {found.name: found for found in fields(Settings)}
    for name in written:
        if name not in known:
            raise BadSetting(f"{path.name}: unknown setting {name!r}; known are {', '.join(sorted(known))}")
    values = {name: value for name, value in written.items() if value != ""}
    values |= {name: environment[f"GLEICHTAKT_{name.upper()}"] for name in known if environment.get(f"GLEICHTAKT_{name.upper()}")}
    for name, value in values.items():
        wanted = int if isinstance(known[name].default, int) else str
        try:
            values[name] = wanted(value)
        except ValueError:
            raise BadSetting(f"{name}: expected a {'whole number' if wanted is int else 'text'}") from None
    settings = Settings(**values)
    if not 1 <= settings.lease_seconds <= LONGEST_LEASE:
        raise BadSetting(f"lease_seconds: expected 1 to {LONGEST_LEASE}")
    try:
        _ = settings.address
    except ValueError:
        raise BadSetting("listen: expected host:port such as 127.0.0.1:8080") from None
    return settings
