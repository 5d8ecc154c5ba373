"""What a reading by name brought: each name that was asked for is in one of its lists."""

from __future__ import annotations

from dataclasses import dataclass, field

from gleichtakt.providers.protocol import Href, Seen, Unreadable


@dataclass(slots=True)
class Found:
    """What was learnt of a list of hrefs. other: exists, but holds no event."""

    seen: list[Seen] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    gone: list[Href] = field(default_factory=list)
    other: list[Href] = field(default_factory=list)

    def add(self, href: Href, one: Seen | Unreadable | None) -> None:
        """Sort one object in."""
        if isinstance(one, Seen):
            self.seen.append(one)
        elif one is not None:
            self.unreadable.append(one)
        else:
            self.other.append(href)
