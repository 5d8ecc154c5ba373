"""Logging of a process, set once: to standard error, for people or as JSON lines. Never content, names or secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any

import structlog

from gleichtakt.settings import Settings

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Lines:
    """Writes lines to standard error, wherever that leads at the moment."""

    def __init__(self, *_: object) -> None:
        """Take no name."""

    def msg(self, line: str) -> None:
        """Write one line."""
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = exception = log = msg


def _readable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write moments as people and programs read them."""
    return {name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value for name, value in event.items()}


def configure(settings: Settings, *, is_service: bool) -> None:
    """Apply `log_format` and `log_level`; a command that is no service says nothing below a warning unless asked for."""
    level = LEVELS.get(settings.log_level, logging.INFO)
    if not is_service and settings.log_level == "info":
        level = logging.WARNING
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _readable,
    ]
    if settings.log_format == "json":
        # Tracebacks without local variables: those hold titles, people and logins.
        traces = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ending: list[Any] = [
            structlog.processors.ExceptionRenderer(traces),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        plain = structlog.dev.plain_traceback
        ending = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines,
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
