"""The lossless tree of a calendar object: components with their lines, unknown ones included.

`parse` and `Component.write` give back what came, byte for byte in each untouched line; line ends become CRLF. The
scanner under both reads a text component by component, so that a large feed is never held as a tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gleichtakt.model.ics.lines import DEFAULT_LIMITS, Limits, Line, read_lines, refuse, write_line

#: What may stand in a VCALENDAR; seen without one, a VCALENDAR around it is assumed.
BARE = frozenset({"VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY"})


@dataclass(slots=True, eq=False)
class Component:
    """One BEGIN…END with what stands between. number: its first line. is_closed: whether its own END was found."""

    name: str
    lines: list[Line] = field(default_factory=list)
    children: list[Component] = field(default_factory=list)
    number: int = 0
    is_closed: bool = True

    def first(self, name: str) -> Line | None:
        """Give the first line of a name."""
        return next((line for line in self.lines if line.name == name), None)

    def all(self, name: str) -> list[Line]:
        """Give the lines of a name, in order."""
        return [line for line in self.lines if line.name == name]

    def value(self, name: str) -> str:
        """Give the raw value of the first line of a name, or nothing."""
        line = self.first(name)
        return line.value if line else ""

    def named(self, name: str) -> list[Component]:
        """Give the children of a name."""
        return [child for child in self.children if child.name == name]

    def copy(self) -> Component:
        """Give a copy that can be changed without changing this one. Lines are values and shared."""
        children = [child.copy() for child in self.children]
        return Component(self.name, list(self.lines), children, self.number, self.is_closed)

    def write(self) -> bytes:
        """Give the text: untouched lines as they came, others folded at 75 octets, CRLF line ends."""
        return b"\r\n".join(self._written()) + b"\r\n"

    def _written(self) -> Iterator[bytes]:
        yield f"BEGIN:{self.name}".encode()
        for line in self.lines:
            yield write_line(line)
        for child in self.children:
            yield from child._written()
        yield f"END:{self.name}".encode()


class Scanner:
    """Reads a text and gives each calendar's parts as they are complete.

    After `children` is exhausted: roots (the calendars, without those children), warnings (what was wrong and read all
    the same). `children` raises Permanent (CALENDAR) where the text is no calendar, cut off, or beyond the limits.
    """

    def __init__(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        """Nothing is read yet."""
        self.roots: list[Component] = []
        self.warnings: dict[str, int] = {}
        self._data, self._limits = data, limits
        self._stack: list[Component] = []
        self._is_assumed = False

    def children(self) -> Iterator[tuple[Component, Component]]:
        """Yield each part of each calendar with that calendar, whose own lines so far are known."""
        stack = self._stack
        last = 0
        for line in read_lines(self._data, self._limits):
            last = line.number
            name = line.name
            if name == "BEGIN":
                yield from self._begin(line)
            elif name == "END":
                yield from self._end(line)
            elif stack:
                stack[-1].lines.append(line)
            else:
                self._warn("text_outside", line.number)
        if self._is_assumed and len(stack) == 1:
            stack.pop()
        if stack:
            raise refuse("truncated", last)
        if not self.roots:
            raise refuse("not_calendar", 1)

    def _begin(self, line: Line) -> Iterator[tuple[Component, Component]]:
        stack, name = self._stack, line.value.strip().upper()
        if not stack and name in BARE:
            stack.append(Component("VCALENDAR", number=line.number))
            self.roots.append(stack[0])
            self._is_assumed = True
            self._warn("no_calendar_around", line.number)
        if stack and name == "VCALENDAR":
            if not (self._is_assumed and len(stack) == 1):
                raise refuse("nested_calendar", line.number)
            stack.pop()
            self._is_assumed = False
        if len(stack) > 1 and name == stack[1].name and name in BARE:  # an event inside an event: the first one lost its end
            yield self._close_child()
        if len(stack) >= self._limits.depth:
            raise refuse("too_deep", line.number, limit=str(self._limits.depth))
        component = Component(name, number=line.number)
        if not stack:
            if name == "VCALENDAR":
                self.roots.append(component)
            else:
                self._warn("text_outside", line.number)
        elif len(stack) > 1:
            stack[-1].children.append(component)
        stack.append(component)

    def _close_child(self) -> tuple[Component, Component]:
        child = self._stack[1]
        for component in self._stack[1:]:
            component.is_closed = False
        del self._stack[1:]
        return self._stack[0], child

    def _end(self, line: Line) -> Iterator[tuple[Component, Component]]:
        stack, name = self._stack, line.value.strip().upper()
        if not any(component.name == name for component in stack):
            self._warn("stray_end", line.number)
            return
        if stack[0].name == name and len(stack) > 1:
            yield self._close_child()
        while stack[-1].name != name:
            stack.pop().is_closed = False
        closed = stack.pop()
        if len(stack) == 1 and closed.name != stack[0].name:
            yield stack[0], closed

    def _warn(self, code: str, number: int) -> None:
        self.warnings.setdefault(f"ics.{code}", number)


def parse(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Component:
    """Read a text as one tree; several calendars in it become one. Raises Permanent (CALENDAR) as `Scanner` does."""
    scanner = Scanner(data, limits)
    children = [child for root, child in scanner.children() if root.name == "VCALENDAR"]
    root = scanner.roots[0]
    root.children = children
    return root
