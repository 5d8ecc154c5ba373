"""Which Exchange answers, by the build it tells, and in which version of the schema it is spoken to. Pure.

A server refuses a version newer than itself, so it is asked in the oldest one that has what a calendar needs. The name
of the schema in an answer says little: 2016, 2019 and Subscription Edition give the same one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gleichtakt.providers.ews.wire import names

OLDEST: Final = names.VERSIONS[0]  # every server we speak to understands it
#: From the newest down: how a server that tells no build is asked what it understands.
LADDER: Final = ("Exchange2013_SP1", "Exchange2013", "Exchange2010_SP2", "Exchange2010_SP1", "Exchange2010", OLDEST)

#: First build of each product, what it is called, and the version it is asked in. The last row not above a build counts.
_PRODUCTS: Final[Sequence[tuple[tuple[int, ...], str, str]]] = (
    ((8, 0), "Exchange Server 2007", ""),
    ((8, 1), "Exchange Server 2007 SP1", "Exchange2007_SP1"),
    ((8, 2), "Exchange Server 2007 SP2", "Exchange2007_SP1"),
    ((8, 3), "Exchange Server 2007 SP3", "Exchange2007_SP1"),
    ((14, 0), "Exchange Server 2010", "Exchange2010"),
    ((14, 1), "Exchange Server 2010 SP1", "Exchange2010_SP1"),
    ((14, 2), "Exchange Server 2010 SP2", "Exchange2010_SP2"),
    ((14, 3), "Exchange Server 2010 SP3", "Exchange2010_SP2"),
    ((15, 0), "Exchange Server 2013", "Exchange2013"),
    ((15, 0, 847), "Exchange Server 2013 SP1", "Exchange2013_SP1"),
    ((15, 1), "Exchange Server 2016", "Exchange2013_SP1"),
    ((15, 2), "Exchange Server 2019", "Exchange2013_SP1"),
    ((15, 2, 2562), "Exchange Server Subscription Edition", "Exchange2013_SP1"),
    ((15, 20), "Exchange Online", "Exchange2013_SP1"),
)
_ONLINE: Final = (15, 20)
_NUMBER = re.compile(r"\d{1,6}")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """The build of a server, major number first. told: whether the server named it, or it was only found out by asking."""

    build: tuple[int, ...]
    told: bool = True

    def __str__(self) -> str:
        """Give the build as administrators write it."""
        return ".".join(map(str, self.build))

    @property
    def product(self) -> str:
        """Give the name of the product."""
        return self._row()[1]

    @property
    def schema(self) -> str:
        """Give what `RequestServerVersion` says to this server: one of `names.VERSIONS`."""
        return self._row()[2] or OLDEST

    @property
    def is_too_old(self) -> bool:
        """Say whether it is older than 2007 SP1."""
        return not self._row()[2]

    @property
    def is_online(self) -> bool:
        """Say whether this is Exchange Online."""
        return self.build[:2] >= _ONLINE

    @property
    def shown(self) -> str:
        """Give product and build, for people."""
        return f"{self.product} ({self})" if self.told else f"{self.schema} or newer"

    def knows(self, since: str) -> bool:
        """Say whether the server may be asked for what came with a version of the schema."""
        return names.knows(self.schema, since)

    def _row(self) -> tuple[tuple[int, ...], str, str]:
        return next((row for row in reversed(_PRODUCTS) if row[0] <= self.build), _PRODUCTS[0])


def read(text: str) -> Version | None:
    """Read a build such as ``15.2.2562.17`` (zeros in front allowed); None where there is none."""
    numbers = tuple(int(found) for found in _NUMBER.findall(text)[:4])
    return Version(numbers) if len(numbers) >= 2 else None


def least(schema: str) -> Version:
    """Give the oldest server that understands a version of the schema, for one that tells no build."""
    build = next(row[0] for row in _PRODUCTS if row[2] == schema)
    return Version(build, told=False)
