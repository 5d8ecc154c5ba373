"""Pages as a browser and a reader meet them: sound HTML, no raw names, colours that can be read, drawings with words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.web.pages.believable import Desk
from tests.web.pages.conftest import Client, send
from tests.web.pages.markup import Page
from tests.web.pages.test_desk import pages_of

from gleichtakt.web import i18n, templates

CSS = (Path(templates.__file__).parent.parent / "static/gleichtakt.css").read_text()
TEMPLATES = sorted(path.name for path in Path(templates.__file__).parent.glob("*.html"))

READABLE, SEEN = 4.5, 3.0  # WCAG 2.2 AA: text, and what must be seen to understand
PAIRS = [
    *((ink, ground, READABLE) for ink in ("ink", "soft", "faint") for ground in ("paper", "sheet", "sunk")),
    *((f"{side}-ink", ground, READABLE) for side in ("app", "cal") for ground in (f"{side}-wash", "paper", "sheet", "sunk")),
    *((tone, ground, READABLE) for tone in ("warn", "bad") for ground in ("paper", "sheet", f"{tone}-wash")),
    *((ink, f"{tone}-wash", READABLE) for ink in ("ink", "soft") for tone in ("app", "cal", "warn", "bad")),
    *((side, ground, SEEN) for side in ("app", "cal", "focus") for ground in ("paper", "sheet", "sunk")),
    ("main-ink", "app", READABLE),
    ("sheet", "bad", READABLE),
]  # fmt: skip


def colours(light: str) -> dict[str, str]:
    """The colours of one light, as the style sheet names them."""
    start = CSS.index(":root {") if light == "light" else CSS.index(':root[data-theme="dark"] {')
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS[start : CSS.index("}", start)]))


def brightness(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("light", ["light", "dark"])
def test_every_colour_can_be_read_on_its_ground(light: str) -> None:
    known = colours(light)
    faint = []
    for ink, ground, least in PAIRS:
        bright, dark = sorted((brightness(known[ink]), brightness(known[ground])), reverse=True)
        contrast = (bright + 0.05) / (dark + 0.05)
        if contrast < least:
            faint.append((ink, ground, round(contrast, 2)))
    assert faint == []


def test_the_dark_of_the_system_and_the_chosen_dark_are_the_same() -> None:
    start = CSS.index(':root:not([data-theme="light"]) {')
    of_the_system = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS[start : CSS.index("}", start)]))
    assert of_the_system == colours("dark")


@pytest.mark.parametrize("language", ["de", "en"])
async def test_every_page_is_sound_html_without_raw_names(admin: Client, desk: Desk, language: str) -> None:
    await send(admin, "/preferences", language=language, next="/")
    for path in pages_of(desk):
        page = Page((await admin.get(path)).text)
        assert page.flaws == [], path
        assert page.links.count("#main") == 1, path  # whoever uses the keyboard gets past the navigation


@pytest.mark.parametrize("language", i18n.NAMES)
async def test_the_door_and_a_refusal_are_sound_too(stranger: Client, language: str) -> None:
    stranger.cookies.set("gleichtakt_language", language)
    assert Page((await stranger.get("/login")).text).flaws == []
    wrong = await stranger.post("/login", data={"username": "admin", "password": "wrong"})
    assert Page(wrong.text).flaws == []
    elsewhere = {"origin": "https://elsewhere.example"}
    refused = await stranger.post("/login", data={"username": "admin", "password": "wrong"}, headers=elsewhere)
    assert refused.status_code == 403
    assert Page(refused.text).flaws == []


@pytest.mark.parametrize(
    "source",
    [
        "<p><div></div></p>",
        "<b><i></b></i>",
        '<a href="/x"></a>',
        "<input id=q>",
        "<p id=a></p><p id=a></p>",
        "<p>in_step</p>",
        "<p>#in</p>",
        "<p>None</p>",
        '<p onclick="x()">a</p>',
        "<form><form></form></form>",
    ],
)
def test_the_parser_sees_what_is_wrong(source: str) -> None:
    assert Page(f"<!doctype html>{source}").flaws


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("language", i18n.NAMES)
def test_every_template_is_read_in_both_languages(name: str, language: i18n.Language) -> None:
    assert templates.environment(language).get_template(name)
