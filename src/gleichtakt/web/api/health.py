"""What machines ask about the server itself: alive, ready, figures; and what a problem type means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gleichtakt import __version__
from gleichtakt.errors import LANGUAGES, Trouble, sentences
from gleichtakt.model.zones import tzdata_version
from gleichtakt.store import figures, instance, migrate
from gleichtakt.store.rows import missing
from gleichtakt.web.api.context import services

Anyone = Request[None, None, State]


class Alive(msgspec.Struct):
    """The process answers."""

    status: str
    version: str


class Ready(msgspec.Struct):
    """Whether requests can be served. mode: live, or verify after a restore or copy: nothing is written outside then."""

    status: str
    version: str
    database: bool
    schema: bool
    mode: str
    tzdata: str


@get("/healthz", include_in_schema=False)
async def healthz() -> Alive:
    """Say that the process answers."""
    return Alive("ok", __version__)


@get("/readyz", include_in_schema=False)
async def readyz(request: Anyone) -> Response[Ready]:
    """Say whether requests can be served: the database answers and has the schema of this program."""
    database = services(request).database
    reached, schema, mode = False, False, ""
    try:
        async with database.read() as connection:
            mode = (await instance.current(connection)).mode
        reached = True
        await migrate.check(database)
        schema = True
    except Trouble:
        pass  # the answer says what is missing
    ready = Ready("ok" if schema else "unavailable", __version__, reached, schema, mode, tzdata_version())
    return Response(ready, status_code=200 if schema else 503, headers={"cache-control": "no-store"})


@get("/metrics", include_in_schema=False)
async def metrics(request: Anyone) -> Response[bytes]:
    """Give figures in the Prometheus text format."""
    async with services(request).database.read() as connection:
        found = await figures.read(connection)
    registry = CollectorRegistry()
    registry.register(_Collected(found, request.app.state.answered, request.app.state.postbox.rejected))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Collected:
    """Figures read before, in the form the library writes."""

    def __init__(self, found: list[figures.Figure], answered: Counter[tuple[str, int]], rejected: Counter[str]) -> None:
        self._found, self._answered, self._rejected = found, answered, rejected

    def collect(self) -> Iterator[Metric]:
        for figure in self._found:
            gauge = GaugeMetricFamily(figure.name, figure.tells, labels=[figure.label] if figure.label else None)
            for value, number in figure.values:
                gauge.add_metric([value] if figure.label else [], number)
            yield gauge
        answers = CounterMetricFamily("gleichtakt_http_answers", "Answers given", labels=["method", "status"])
        for (method, status), number in sorted(self._answered.items()):
            answers.add_metric([method, str(status)], number)
        yield answers
        letters = CounterMetricFamily("gleichtakt_hooks_rejected", "Calls of providers that were not kept", labels=["reason"])
        for reason, number in sorted(self._rejected.items()):
            letters.add_metric([reason], number)
        yield letters


class Counting:
    """Counts answers by method and status. Never by path: a published address carries its secret there."""

    def __init__(self, app: ASGIApp, answered: Counter[tuple[str, int]]) -> None:
        """Wrap an application."""
        self._app, self._answered = app, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count its answer."""
        method = str(scope.get("method", ""))

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered[method, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


class ProblemType(msgspec.Struct):
    """What a kind of problem means, in every language."""

    code: str
    cause: dict[str, str]
    remedy: dict[str, str]


@get("/api/v1/problem-types/{code:str}", include_in_schema=False)
async def problem_type(code: FromPath[str]) -> ProblemType:
    """Explain a problem type; `{name}` stands for what is filled in when it happens."""
    sentence = sentences().get(code)
    if sentence is None:
        raise missing("problem type")
    return ProblemType(
        code,
        {language: sentence.cause[language] for language in LANGUAGES},
        {language: sentence.remedy[language] for language in LANGUAGES},
    )


route_handlers: list[Any] = [healthz, readyz, metrics, problem_type]
