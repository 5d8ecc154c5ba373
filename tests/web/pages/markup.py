"""What a browser would stumble over in a page, found with a parser: nesting, ids, labels, dead controls, raw names."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
ENDS_PARAGRAPH = frozenset(
    {"p", "div", "dl", "ul", "ol", "table", "section", "form", "h1", "h2", "h3", "details", "nav", "fieldset"}
)
INSIDE: dict[str, frozenset[str]] = {
    "li": frozenset({"ul", "ol"}),
    "dt": frozenset({"dl", "div"}),
    "tr": frozenset({"thead", "tbody"}),
    "td": frozenset({"tr"}),
    "th": frozenset({"tr"}),
    "option": frozenset({"select"}),
    "summary": frozenset({"details"}),
}
INTERACTIVE = frozenset({"a", "button", "input", "select", "summary", "label"})
REFERENCES = ("aria-labelledby", "aria-describedby", "aria-controls", "for")
SILENT = frozenset({"script", "style", "title"})

#: Words no reader should meet: ids, Python's and JavaScript's nothings, names of columns, settings and notes.
RAW = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-|\bNone\b|\bundefined\b|\bTrue\b|\bFalse\b|\{\{|%\(|#in\b|#out\b"
    r"|\b(?!\w*@)[a-z]+_[a-z]+(?:_[a-z]+)*\b|\b\d{4}-\d\d-\d\dT\d\d:|\b\d+\.\d{3,} *s\b"
)


class Page(HTMLParser):
    """One page read strictly; `flaws` says what is wrong with it."""

    def __init__(self, source: str) -> None:
        """Read it at once."""
        super().__init__(convert_charrefs=True)
        self.flaws: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self._open: list[tuple[str, list[str], dict[str, str]]] = []
        self._ids: Counter[str] = Counter()
        self._references: list[str] = []
        self._unnamed: list[str] = []
        if not source.lstrip().lower().startswith("<!doctype html>"):
            self.flaws.append("no doctype")
        self.feed(source)
        self.close()
        self._finish()

    def _finish(self) -> None:
        self.flaws += [f"<{tag}> is never closed" for tag, _, _ in self._open]
        self.flaws += [f"id {name} stands {count} times" for name, count in self._ids.items() if count > 1]
        self.flaws += [f"nothing has the id {name}" for name in self._references if name not in self._ids]
        self.flaws += [f"the field {name} has no label" for name in self._unnamed if name not in self._references]
        self.flaws += [f"a reader meets {found[0]!r} in {text!r}" for text in self.words if (found := RAW.search(text))]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, {name: value or "" for name, value in attrs})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        above = [name for name, _, _ in self._open]
        if len(given) != len(attrs):
            self.flaws.append(f"<{tag}> names an attribute twice")
        if tag in ENDS_PARAGRAPH and "p" in above:
            self.flaws.append(f"<{tag}> inside <p>")
        if tag in INSIDE and (not above or above[-1] not in INSIDE[tag]):
            self.flaws.append(f"<{tag}> inside <{above[-1] if above else 'nothing'}>")
        if tag in INTERACTIVE - {"input", "label"} and any(name in ("a", "button") for name in above):
            self.flaws.append(f"<{tag}> inside something else to press")
        if tag == "form" and "form" in above:
            self.flaws.append("a form inside a form")
        self._note(tag, given)
        if tag not in VOID:
            self._open.append((tag, [], given))

    def _note(self, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            self._ids[given["id"]] += 1
        for name in REFERENCES:
            self._references += given.get(name, "").split()
        if any(name == "style" or name.startswith("on") for name in given):
            self.flaws.append(f"<{tag}> carries a style or a script")
        if tag == "a":
            self.links.append(given.get("href", ""))
            if not given.get("href"):
                self.flaws.append("a link leads nowhere")
        if tag == "img" and "alt" not in given:
            self.flaws.append("a picture without words")
        labelled = given.get("aria-label") or any(name == "label" for name, _, _ in self._open)
        hidden = given.get("type") in ("hidden", "submit") or given.get("aria-hidden") == "true"
        if tag in ("input", "select", "textarea") and not labelled and not hidden:
            self._unnamed.append(given.get("id", given.get("name", "?")))
        self.words += [given[name] for name in ("title", "aria-label", "placeholder", "alt") if given.get(name)]

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1][0] != tag:
            self.flaws.append(f"</{tag}> closes nothing that is open")
            return
        _, told, given = self._open.pop()
        if tag in ("a", "button", "summary", "th", "h1", "h2", "title") and not told and not given.get("aria-label"):
            self.flaws.append(f"<{tag}> says nothing")
        if self._open and told:
            self._open[-1][1].append("…")

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self._open:
            self._open[-1][1].append(text)
            if self._open[-1][0] not in SILENT:
                self.words.append(text)
