"""The description of the interface for programs: what the framework knows of the handlers, completed by what it cannot.

Tables say what all operations share: headers, the problem document, which tag a path belongs to. Examples come from
`examples`, the settings from `sync.policy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.enums import OpenAPIMediaType
from litestar.openapi.plugins import JsonRenderPlugin

from gleichtakt.errors import Scope
from gleichtakt.sync.policy import SETTINGS, Setting
from gleichtakt.web.api.examples import BODIES
from gleichtakt.web.api.strict import WITHOUT_VERSION
from gleichtakt.web.problems import MEDIA_TYPE

Schema = dict[str, Any]
VERBS = ("get", "post", "put", "patch", "delete")
LICENCE = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}

TAGS: Mapping[str, str] = {
    "organizations": "Customers, firms or departments. Nothing of one is visible to another.",
    "api-keys": "Who may call this interface.",
    "connections": "Logins at calendar systems. Their secrets can be written and never be read.",
    "resources": "People, rooms and equipment of the application.",
    "groups": "Resources that share settings.",
    "events": "The application's own calendar of each resource.",
    "availability": "Who is free when.",
    "feeds": "Published calendars under secret addresses.",
    "links": "A resource's calendar tied to one remote calendar.",
    "settings": "How links work; at four levels, the nearest one counts.",
    "runs": "What was done, what would be done, and taking it back.",
    "holds": "What guards keep back until a person decides.",
    "conflicts": "One field, two edits.",
    "problems": "What could not be done, and what helps.",
    "changes": "What has changed, by cursor.",
    "webhooks": "The same, sent to the application.",
}
#: Last part of a path that names a tag of its own; otherwise the first part does.
TAG_OF_END = {"settings": "settings", "events": "events", "{event_id}": "events", "feeds": "feeds", "{feed_id}": "feeds"}
TAG_OF_END |= {"free-busy": "availability"}

_NO_IDEMPOTENCY = frozenset({"find_times"})  # asks, and changes nothing
_READ_WITH_ETAG = frozenset(
    {"get_organization", "get_connection", "get_resource", "get_group", "get_event"}
    | {"get_settings", "get_group_settings", "get_resource_settings", "get_link_settings"}
)
_ONLY_NEW = frozenset({"create_event", "put_event"})
#: A second way to succeed.
_ALSO = {"create_event": "200", "put_event": "201", "sync_link": "200", "plan_link": "200"}

PARAMETERS: Mapping[str, Schema] = {
    "Organization": {
        "name": "X-Organization",
        "in": "header",
        "description": "Which organization is meant, for keys of every one; also `?organization_id=`. Left out: the oldest.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "Language": {
        "name": "Accept-Language",
        "in": "header",
        "description": "de or en, for the sentences of problems.",
        "schema": {"type": "string"},
        "example": "de",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Chosen by the caller before the first attempt; a repetition acts once and gets the first answer.",
        "schema": {"type": "string", "maxLength": 255},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The etag that was read: the change is refused (412) if the object is not as it was then.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The etag that is known: 304 if it is still that.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "Strict": {
        "name": "Prefer",
        "in": "header",
        "description": "`handling=strict`: refuse unknown fields (422), and changes without If-Match (428).",
        "schema": {"type": "string"},
        "example": "handling=strict",
    },
    "OnlyNew": {
        "name": "If-None-Match",
        "in": "header",
        "description": "`*`: create, and refuse (412) to replace.",
        "schema": {"type": "string"},
        "example": "*",
    },
}

PROBLEM: Schema = {
    "title": "Problem",
    "type": "object",
    "description": "A problem document (RFC 9457): what is wrong and what helps, in the language asked for.",
    "required": ["type", "title", "status", "detail", "code", "kind", "scope", "cause", "remedy"],
    "properties": {
        "type": {"type": "string", "description": "explained under this address, in every language"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "names the sentence; the same in every language"},
        "kind": {"type": "string", "enum": ["transient", "throttled", "auth_required", "permanent", "conflict"]},
        "scope": {"type": "string", "enum": [scope.value for scope in Scope]},
        "cause": {"type": "string"},
        "remedy": {"type": "string", "description": "what to do"},
        "retry_at": {"type": "string", "format": "date-time", "description": "when it may be tried again"},
        "errors": {
            "type": "array",
            "description": "the values that are not accepted",
            "items": {
                "type": "object",
                "required": ["place", "reason"],
                "properties": {
                    "place": {"type": "string", "description": "path in the body, or the parameter's name"},
                    "reason": {"type": "string"},
                },
            },
        },
        "confirm": {"type": "string", "description": "send it back as `confirm` to go on"},
    },
    "examples": [
        {
            "type": "/api/v1/problem-types/web.invalid",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "A value of the request is not accepted: expected a date such as 2026-11-23.",
            "code": "web.invalid",
            "kind": "permanent",
            "scope": "series",
            "cause": "A value of the request is not accepted: expected a date such as 2026-11-23.",
            "remedy": "Correct the value at the place named under `errors`; nothing was changed.",
            "errors": [{"place": "start.date", "reason": "expected a date such as 2026-11-23"}],
        }
    ],
}
_REFUSALS: Mapping[str, str] = {
    "400": "The request cannot be read.",
    "401": "There is no valid API key.",
    "403": "The key lacks the scope, or belongs to another organization.",
    "404": "There is no such object in this organization.",
    "409": "The state of the object forbids it, or another one has that name.",
    "412": "The object is not at the version that was named.",
    "422": "A value is not accepted.",
    "428": "Strict handling was asked for, without naming a version.",
    "default": "Any other problem.",
}
_SETTING_SHAPES: Mapping[str, Schema] = {
    "flag": {"type": "boolean"},
    "number": {"type": "integer"},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "text": {"type": "string"},
    "detail": {"type": "array", "items": {"type": "string"}, "description": "names of fields"},
}


class Description(JsonRenderPlugin):
    """Gives the completed description where the framework would give its own."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Complete what the framework has found out."""
        return msgspec.json.encode(completed(self.render_json(request, openapi_schema)))


@get("/api/v1/openapi.json", include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Describe the interface. Made at the first question and kept, because the handlers do not change."""
    kept = request.app.state
    if "description" not in kept:
        kept.description = Description().render(request, request.app.openapi_schema.to_schema())
    return Response(kept.description, media_type=OpenAPIMediaType.OPENAPI_JSON)


def completed(found: bytes) -> Schema:
    """Complete a description. found: as JSON."""
    named = re.sub(rb"Page_gleichtakt\.web\.api\.\w+\.(\w+?)View_", rb"\1Page", found)
    document: Schema = msgspec.json.decode(named)
    document["info"]["license"] = LICENCE
    document["tags"] = [{"name": name, "description": tells} for name, tells in TAGS.items()]
    parts = document["components"]
    parts["parameters"] = dict(PARAMETERS)
    parts["responses"] = {f"Problem{status.title()}": _problem(tells) for status, tells in _REFUSALS.items()}
    parts["schemas"] |= {"Problem": PROBLEM, "SettingValues": _setting_values()}
    parts["securitySchemes"]["bearer"]["description"] = "An API key: «Authorization: Bearer gt_…»."
    told = _docstrings()
    for name, shape in parts["schemas"].items():
        _tell(shape, told.get(name) or (told["Page"] if name.endswith("Page") else ""))
    for path, verb, operation in operations(document):
        _complete(path, verb, operation)
    return document


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Give path, verb and description of every operation."""
    for path, item in document["paths"].items():
        for verb in VERBS:
            if verb in item:
                yield path, verb, item[verb]


def tag_of(path: str) -> str:
    """Say which tag a path belongs to."""
    parts = path.removeprefix("/api/v1/").split("/")
    return TAG_OF_END.get(parts[-1], parts[0])


def _problem(tells: str) -> Schema:
    return {"description": tells, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _complete(path: str, verb: str, operation: Schema) -> None:
    name = operation["operationId"]
    operation["tags"] = [tag_of(path)]
    operation["summary"] = operation["description"].partition(".")[0].partition(";")[0]
    kept = [one for one in operation.get("parameters", []) if one["in"] != "header"]
    operation["parameters"] = [*kept, *({"$ref": f"#/components/parameters/{one}"} for one in _headers(path, verb, name))]
    responses = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    if name in _ALSO:
        responses[_ALSO[name]] = next(iter(responses.values()))
    for status, answer in responses.items():
        _describe_answer(name, verb, status, answer)
    if name in _READ_WITH_ETAG:
        responses["304"] = {"description": "It is still as the caller knows it."}
    for status in _refusals(path, verb, name):
        responses[status] = {"$ref": f"#/components/responses/Problem{status.title()}"}
    operation["responses"] = responses
    _complete_body(name, operation)


def _headers(path: str, verb: str, name: str) -> Iterator[str]:
    if "{organization_id}" not in path:
        yield "Organization"
    yield "Language"
    if verb != "get" and name not in _NO_IDEMPOTENCY:
        yield "IdempotencyKey"
        yield "Strict"
    if _counts_versions(verb, name):
        yield "IfMatch"
    if name in _READ_WITH_ETAG:
        yield "IfNoneMatch"
    if name in _ONLY_NEW:
        yield "OnlyNew"


def _counts_versions(verb: str, name: str) -> bool:
    return verb in ("put", "patch", "delete") and name not in WITHOUT_VERSION


def _refusals(path: str, verb: str, name: str) -> Iterator[str]:
    yield from ("400", "401", "403")
    if "{" in path or verb == "post":
        yield "404"
    if verb != "get":
        yield "409"
    if _counts_versions(verb, name) or name in _ONLY_NEW:
        yield "412"
    if _counts_versions(verb, name):
        yield "428"
    yield from ("422", "default")


def _describe_answer(name: str, verb: str, status: str, answer: Schema) -> None:
    text = {"type": "string"}
    headers = dict(answer.get("headers") or {})
    if name in _READ_WITH_ETAG or (_counts_versions(verb, name) and status != "204"):
        headers["ETag"] = {"description": "names this version; for If-Match and If-None-Match", "schema": text}
    if status in ("201", "202"):
        headers["Location"] = {"description": "where the object is, if it has an address", "schema": text}
    if headers:
        answer["headers"] = headers


def _complete_body(name: str, operation: Schema) -> None:
    body = operation.get("requestBody")
    if body is None:
        return
    content = body["content"]["application/json"]
    content["examples"] = {"example": {"value": BODIES[name]}}
    if name.endswith("settings"):
        content["schema"] = {"$ref": "#/components/schemas/SettingValues"}


# --- shapes ------------------------------------------------------------------------------------------------------


def _tell(shape: Schema, tells: str) -> None:
    """Say what a body is, where the framework does not read it from our classes."""
    if tells:
        shape.setdefault("description", tells)


def _docstrings() -> Mapping[str, str]:
    found: dict[str, str] = {}
    waiting = list(msgspec.Struct.__subclasses__())
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one.__module__.startswith("gleichtakt.web.api."):
            found[one.__name__] = re.sub(r"\s+", " ", one.__doc__ or "").strip()
    return found


def _setting_values() -> Schema:
    properties = {name: _setting_shape(setting) for name, setting in SETTINGS.items()}
    return {
        "title": "SettingValues",
        "type": "object",
        "description": "Settings to change; what is left out stays, null clears a value.",
        "properties": properties,
        "additionalProperties": False,
    }


def _setting_shape(setting: Setting) -> Schema:
    shapes: list[Schema] = [{"type": "string", "enum": list(setting.choices)}] if setting.choices else []
    if setting.kind in _SETTING_SHAPES:
        shapes.append(_SETTING_SHAPES[setting.kind])
    described = {"description": f"{setting.help['en']} Default: {setting.default!r}."}
    return {"oneOf": [*shapes, {"type": "null"}], **described} if shapes else described
