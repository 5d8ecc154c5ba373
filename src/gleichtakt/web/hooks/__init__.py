"""What providers call: secret addresses of ours under which they say that something changed.

Whoever calls is a stranger. What he says is put down and answered at once, without asking the database; whether the
address is known shows when it is put away (see `postbox`), and whoever holds the watch makes of it what it is: a hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import FromPath

from gleichtakt.store.watches import hash_of
from gleichtakt.web.api.context import services
from gleichtakt.web.hooks.postbox import Postbox, Verdict

MAX_BODY: Final = 256 * 1024
MAX_ECHO: Final = 1024  # of a validation token
PLAIN: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

#: Headers that are kept, by provider: those in which one of them says what it has to say.
KEPT: Final[Mapping[str, frozenset[str]]] = {"memory": frozenset({"x-memory-subscription", "x-memory-state"})}

_RESULT = (
    '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
    '<SendNotificationResult xmlns="http://schemas.microsoft.com/exchange/services/2006/messages">'
    "<SubscriptionStatus>{}</SubscriptionStatus></SendNotificationResult></soap:Body></soap:Envelope>"
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a provider wants to hear: that it may go on, or that nobody knows this address."""

    go_on: tuple[int, str, str] = (202, "text/plain", "")
    stop: tuple[int, str, str] = (404, "text/plain", "")


#: By provider, where it is not the ordinary answer. Exchange stops calling only when it is told to in its own words.
ANSWERS: Final[Mapping[str, Answers]] = {
    "ews": Answers((200, "text/xml", _RESULT.format("OK")), (200, "text/xml", _RESULT.format("Unsubscribe")))
}

Anyone = Request[None, None, State]


@post("/hooks/{provider:str}/{token:str}", include_in_schema=False, status_code=202, request_max_body_size=MAX_BODY)
async def hook(request: Anyone, provider: FromPath[str], token: FromPath[str]) -> Response[str]:
    """Put down what a provider says, and answer at once."""
    echo = request.query_params.get("validationToken")
    if echo is not None:
        return _echo(echo)
    wanted = KEPT.get(provider, frozenset())
    headers = {name: value for name, value in request.headers.items() if name.lower() in wanted}
    postbox: Postbox = request.app.state.postbox
    verdict = postbox.drop(services(request).database, hash_of(token), headers, await request.body())
    if verdict is Verdict.FULL:
        return Response("", status_code=429, media_type="text/plain", headers={**PLAIN, "retry-after": "30"})
    answers = ANSWERS.get(provider, Answers())
    status, kind, text = answers.stop if verdict is Verdict.UNKNOWN else answers.go_on
    return Response(text, status_code=status, media_type=kind, headers=PLAIN)


def _echo(token: str) -> Response[str]:
    """Prove that somebody is here by saying what was said, as plain text that no browser takes for a page."""
    if len(token) > MAX_ECHO:
        return Response("", status_code=400, media_type="text/plain", headers=PLAIN)
    return Response(token, status_code=200, media_type="text/plain", headers=PLAIN)


route_handlers: list[Any] = [hook]
