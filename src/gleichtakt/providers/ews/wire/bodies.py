"""Bodies: the text a person reads in an HTML body, so that both can be held beside each other. Pure.

The provider's HTML is kept and written back untouched while nobody edits the text. Bodies are most of what a calendar
weighs, so they are cut at their tags instead of parsed; that takes time in proportion to the length, whatever a
stranger wrote into an invitation.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import Final

#: What a tag does to the lines of a text. Plain numbers, because every tag of every body is asked.
_NO_TAG: Final = 0  # a bare «less than»
_INLINE: Final = 1
_BLOCK: Final = 2
_BREAK: Final = 3
_ENTRY: Final = 4

#: What is never shown, by how it begins and ends.
_UNSHOWN: Final = re.compile(r"<(?:(head|style|script|title)\b|!--|!\[|\?)", re.IGNORECASE)
_ENDS_OF: Final = {"<!--": "-->", "<![": "]>", "<?": ">"}

_NAME: Final = re.compile(r"/?([a-zA-Z][a-zA-Z0-9:]*)|!")
_BLOCKS: Final = frozenset(
    (
        *("address", "article", "blockquote", "body", "div", "dl", "dt", "dd", "footer", "form", "h1", "h2", "h3", "h4", "h5"),
        *("h6", "header", "hr", "html", "ol", "p", "pre", "section", "table", "tbody", "tr", "ul"),
    )
)


def text_of_html(body: str) -> str:
    """Give the text of an HTML body: a line per paragraph or line break, list entries with a dash, no blank lines at the ends.

    Tags of blocks that follow each other make one line break, with a line break before them as well.
    """
    first, *chunks = " ".join(_shown(body).split()).split("<")
    found, before = [first], _INLINE if first.strip() else _BLOCK
    for chunk in chunks:
        inside, end, shown = chunk.partition(">")
        tag = _tag(inside) if end else _NO_TAG
        if tag > _INLINE:
            if tag == _BREAK or before == _INLINE:
                found.append("\n")
            if tag == _ENTRY:
                found.append("- ")
            before = tag
        elif not tag:
            shown = f"<{chunk}"
        if shown:
            found.append(shown)
            if shown != " ":
                before = _INLINE
    return _tidied(_unescaped("".join(found)))


@lru_cache(maxsize=512)
def _tag(inside: str) -> int:
    """Say what a tag does, by what stands between its brackets."""
    found = _NAME.match(inside)
    if not found:
        return _NO_TAG
    name = (found[1] or "").lower()
    if name == "li":
        return _BLOCK if inside.startswith("/") else _ENTRY
    return _BREAK if name == "br" else _BLOCK if name in _BLOCKS else _INLINE


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    text = text.replace("&nbsp;", " ")
    if text.count("&") == text.count("&amp;"):  # mostly; looking up each one by name takes ten times as long
        return text.replace("&amp;", "&")
    return html.unescape(text).replace("\xa0", " ")


def _tidied(text: str) -> str:
    """Put one blank for several, and none around line breaks."""
    while "  " in text:
        text = text.replace("  ", " ")
    if " \n" in text or "\n " in text:
        text = text.replace(" \n", "\n").replace("\n ", "\n")
    return text.strip(" \n")


def _shown(body: str) -> str:
    """Leave out comments, styles, scripts and the head; one without an end is left to the tags."""
    found = _UNSHOWN.search(body)
    if not found:
        return body
    parts, at, lower, endless = [], 0, body.lower(), set[str]()
    while found is not None:
        end = f"</{found[1].lower()}" if found[1] else _ENDS_OF[found[0]]
        close = -1 if end in endless else lower.find(end, found.end())
        stop = lower.find(">", close) if close >= 0 and found[1] else close + len(end) - 1
        if close < 0 or stop < 0:
            endless.add(end)
            stop = found.end() - 1
            parts.append(body[at : found.end()])
        else:
            parts.append(body[at : found.start()])
        at = stop + 1
        found = _UNSHOWN.search(body, at)
    return "".join((*parts, body[at:]))


def plain(body: str) -> str:
    """Give a text body in our form: line feeds only, nothing blank at the end."""
    if "\r" in body:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
    return body.rstrip()
