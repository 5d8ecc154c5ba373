"""Bodies: the text a person reads in an HTML body, so that both can be held beside each other. Pure.

The provider's HTML is kept and written back untouched while nobody edits the text. Bodies are most of what a calendar
weighs, so they are read by a few patterns instead of a parser; each takes time in proportion to the length, whatever
a stranger wrote into an invitation.
"""

from __future__ import annotations

import html
import re
from typing import Final

#: What is never shown, by how it begins and ends.
_UNSHOWN: Final = re.compile(r"<(?:(head|style|script|title)\b|!--|!\[|\?)", re.IGNORECASE)
_ENDS_OF: Final = {"<!--": "-->", "<![": "]>", "<?": ">"}

_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")
_BLOCKS: Final = "p|div|tr|ul|ol|table|tbody|h[1-6]|blockquote|pre|hr|body|html|section|article"
_BREAK: Final = re.compile(rf"(?: ?<br\b[^<>]*>)?(?: ?</?(?:{_BLOCKS})\b[^<>]*> ?)+| ?<br\b[^<>]*> ?", re.IGNORECASE)
_ENTRY: Final = re.compile(r" ?<li\b[^<>]*> ?", re.IGNORECASE)
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]*>|<![^<>]*>")
_LINE_ENDS: Final = re.compile(r" *\n *")


def text_of_html(body: str) -> str:
    """Give the text of an HTML body: a line per paragraph or line break, list entries with a dash, no blank lines at the ends."""
    shown = _BLANKS.sub(" ", _shown(body))
    if "<li" in shown or "<LI" in shown:
        shown = _ENTRY.sub("\n- ", shown)
    shown = _TAG.sub("", _BREAK.sub("\n", shown))
    if "&" in shown:
        shown = html.unescape(shown).replace("\xa0", " ")
    return _LINE_ENDS.sub("\n", shown).strip(" \n")


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
