"""Each process setting once: name, type, default, help. From the environment, else `gleichtakt.toml`, else default.

What a link may do is not here but in `sync.policy`: those settings live in the database, at four levels.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gleichtakt.errors import Permanent, Scope

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


#: What a setting may be, as it is told where it is something else; each with the test for it.
_WANTED: Mapping[str, tuple[str, Callable[[Settings], bool]]] = {
    "listen": ("host:port (127.0.0.1:8080)", lambda given: _is_address(given.listen)),
    "log_format": ("console | json", lambda given: given.log_format in ("console", "json")),
    "log_level": ("debug | info | warning | error", lambda given: given.log_level in ("debug", "info", "warning", "error")),
    "worker_slots": ("1 … 1000", lambda given: 1 <= given.worker_slots <= 1000),
    "lease_seconds": (f"1 … {LONGEST_LEASE}", lambda given: 1 <= given.lease_seconds <= LONGEST_LEASE),
}


def _is_address(listen: str) -> bool:
    port = listen.rpartition(":")[2]
    return ":" in listen and port.isascii() and port.isdigit() and int(port) < 65536


def load(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Join environment over file over defaults. An empty value counts as absent; an unknown key in the file is refused.

    Raises Permanent `command.setting_…` for a file or a value that cannot be read.
    """
    named = environment.get("GLEICHTAKT_CONFIG")
    written = _read(file or Path(named or "gleichtakt.toml"), must_exist=bool(file or named))
    known = {found.name: found for found in fields(Settings)}
    values = {name: value for name, value in written.items() if value != ""}
    values |= {name: environment[f"GLEICHTAKT_{name.upper()}"] for name in known if environment.get(f"GLEICHTAKT_{name.upper()}")}
    for name, value in values.items():
        try:
            values[name] = int(value) if isinstance(known[name].default, int) else str(value)
        except (ValueError, TypeError):
            raise _wrong(name) from None
    settings = Settings(**values)
    for name, (_, is_fine) in _WANTED.items():
        if not is_fine(settings):
            raise _wrong(name)
    return settings


def _read(path: Path, *, must_exist: bool) -> dict[str, Any]:
    """Read the file, if there is one; every key in it has to be a setting."""
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not must_exist:
            return {}
        raise Permanent("command.file_unreadable", Scope.ACCOUNT, file=str(path), reason="GLEICHTAKT_CONFIG") from None
    except OSError as refused:
        raise Permanent("command.file_unreadable", Scope.ACCOUNT, file=str(path), reason=str(refused.strerror)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise Permanent("command.setting_file", Scope.ACCOUNT, file=path.name, reason=str(broken)) from None
    known = {found.name for found in fields(Settings)}
    for name in written:
        if name not in known:
            raise Permanent("command.setting_unknown", Scope.ACCOUNT, file=path.name, name=name, known=", ".join(sorted(known)))
    return written


def _wrong(name: str) -> Permanent:
    wanted = _WANTED[name][0] if name in _WANTED else "text"
    return Permanent("command.setting_value", Scope.ACCOUNT, name=name, variable=f"GLEICHTAKT_{name.upper()}", wanted=wanted)
