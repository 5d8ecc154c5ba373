"""The description of the interface for people: one page without anything from elsewhere, read from openapi.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import MediaType, Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

PAGE = Path(__file__).with_name("viewer.html")


class Viewer(OpenAPIRenderPlugin):
    """Shows the description as a page."""

    def __init__(self) -> None:
        """Serve it where the description has its place."""
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, _request: Request[Any, Any, Any], _openapi_schema: dict[str, Any]) -> bytes:
        """Give the page; it fetches the description itself."""
        return PAGE.read_bytes()
