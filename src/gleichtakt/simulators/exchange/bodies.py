"""Bodies as Exchange keeps and gives them: text and HTML made from each other, HTML rewritten on the way in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape, unescape

_META = '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
_BREAKS = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_ACTIVE = re.compile(r"<script\b.*?</script\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


@dataclass(frozen=True, slots=True)
class Body:
    """kind: HTML or Text."""

    kind: str
    text: str

    def given(self, wished: str) -> Body:
        """Give it in the form a client asks for: HTML, Text or Best."""
        if wished in ("Best", self.kind):
            return self
        return Body("Text", as_text(self.text)) if wished == "Text" else Body("HTML", as_html(self.text))


def stored(kind: str, text: str) -> Body:
    """Give a body as the server keeps it: line ends of text are CRLF, HTML gets a head and loses its scripts."""
    if kind == "Text":
        return Body(kind, re.sub(r"\r\n|\r|\n", "\r\n", text))
    clean = _ACTIVE.sub("", text)
    if "<html" not in clean.lower():
        return Body(kind, f"<html><head>\r\n{_META}</head><body>{clean}</body></html>")
    if _META in clean:
        return Body(kind, clean)
    if "<head" in clean.lower():
        return Body(kind, re.sub(r"(<head[^>]*>)", rf"\1\r\n{_META}", clean, count=1, flags=re.IGNORECASE))
    return Body(kind, re.sub(r"(<html[^>]*>)", rf"\1<head>\r\n{_META}</head>", clean, count=1, flags=re.IGNORECASE))


def as_text(html: str) -> str:
    """Give what a reader of HTML sees, roughly."""
    flat = re.sub(r"\s+", " ", _UNSEEN.sub("", html))
    lines = (line.strip() for line in unescape(_TAG.sub("", _BREAKS.sub("\n", flat))).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n").replace("\n", "\r\n")


def as_html(text: str) -> str:
    """Give text in the dress the server puts on it."""
    lines = escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>\r\n")
    return (
        f'<html><head>\r\n{_META}\r\n<meta name="Generator" content="Microsoft Exchange Server">\r\n'
        "<!-- converted from text -->\r\n</head>\r\n"
        f'<body>\r\n<font size="2"><span style="font-size:11pt;"><div class="PlainText">{lines}</div></span></font>\r\n'
        "</body>\r\n</html>\r\n"
    )
