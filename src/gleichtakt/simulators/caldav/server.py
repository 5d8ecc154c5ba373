"""The simulated server on the network: WebDAV and CalDAV over HTTP, with every fault on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from aiohttp import web
from lxml import etree

from gleichtakt.simulators.caldav import xml
from gleichtakt.simulators.caldav.control import control_of
from gleichtakt.simulators.caldav.faults import Fault
from gleichtakt.simulators.caldav.state import DOMAIN, Folder, Refused, Simulator, Thing, uid_of
from gleichtakt.simulators.control import serving

NONCE = "8f1d5c0a7be24c7f"
USER: web.RequestKey[str] = web.RequestKey("user", str)
FAULTS: web.RequestKey[list[Fault]] = web.RequestKey("faults", list)
_WRITE_RIGHTS = "".join(f"<D:privilege><D:{name}/></D:privilege>" for name in ("read", "write", "write-content", "bind"))
_READ_RIGHTS = "<D:privilege><D:read/></D:privilege>"


def verb_of(request: web.Request, body: bytes) -> str:
    """Name a request as faults know it."""
    method = request.method
    if method == "PUT":
        return "create" if "If-None-Match" in request.headers else "update"
    if method == "DELETE":
        return "delete"
    if method == "GET" or b"calendar-multiget" in body or b"calendar-query" in body:
        return "fetch"
    if b"sync-collection" in body[:200] and method == "REPORT":
        return "list"
    if method == "PROPFIND" and b"getetag" in body:
        return "list"
    return "state" if method == "PROPFIND" and b"getctag" in body else "discover"


class Server:
    """The handlers, bound to one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        """Serve this simulator."""
        self.simulator = simulator
        self.methods: Mapping[str, Callable[[web.Request, str, bytes], Awaitable[web.Response]]] = {
            "OPTIONS": self.options,
            "PROPFIND": self.propfind,
            "REPORT": self.report,
            "GET": self.get,
            "PUT": self.put,
            "DELETE": self.delete,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: sign-in, faults, then what was asked."""
        simulator, body = self.simulator, await request.read()
        path = unquote(request.rel_url.raw_path)
        entry: dict[str, Any] = {
            "at": simulator.clock.now().isoformat(),
            "method": request.method,
            "path": path,
            "verb": verb_of(request, body),
            "depth": request.headers.get("Depth", ""),
            "if_match": request.headers.get("If-Match", ""),
            "body": body.decode("utf-8", "replace"),
            "status": 0,
        }
        simulator.ledger.append(entry)
        refusal = self._sign_in(request)
        if refusal is not None:
            entry["status"] = refusal.status
            return refusal
        struck = simulator.faults.take(entry["verb"], path)
        answer = await self._answer(request, path, body, struck, entry)
        if not answer.prepared:
            answer.headers["Date"] = format_datetime(simulator.clock.now(), usegmt=True)
        entry["status"] = getattr(answer, "status", 0)
        return answer

    async def _answer(
        self, request: web.Request, path: str, body: bytes, struck: list[Fault], entry: dict[str, Any]
    ) -> web.StreamResponse:
        stopping = next((fault for fault in struck if fault.do in {"status", "lost"}), None)
        if stopping is None or stopping.effect:
            answer = await self._carry_out(request, path, body, struck)
        for fault in struck:
            if fault.do == "delay":
                await asyncio.sleep(fault.seconds)
        if stopping is not None:
            if stopping.do == "lost":
                return _break(request)
            return web.Response(status=stopping.status, headers=stopping.headers, text=stopping.body)
        for fault in struck:
            if fault.do == "garbage":
                return web.Response(status=answer.status, text=fault.body, content_type="text/html")
            if fault.do == "spoil" and isinstance(answer.body, bytes):
                answer.body = answer.body.replace(fault.body.encode(), b"\x1a&#x11;\xef\xbf\xbf")
            if fault.do == "cut":
                return await _cut(request, answer, fault.count)
        return answer

    async def _carry_out(self, request: web.Request, path: str, body: bytes, struck: list[Fault]) -> web.Response:
        method = self.methods.get(request.method)
        if method is None:
            return web.Response(status=405)
        request[FAULTS] = struck
        try:
            return await method(request, path, body)
        except Refused as refused:
            text = xml.error(refused.condition, refused.href) if refused.condition else ""
            return web.Response(status=refused.status, text=text, content_type="application/xml")
        except ValueError:
            return web.Response(status=400)

    # --- sign-in

    def _sign_in(self, request: web.Request) -> web.Response | None:
        simulator, kind = self.simulator, self.simulator.habits.sign_in
        given = request.headers.get("Authorization", "")
        accounts = simulator.accounts
        if kind == "none":
            return None
        checks: Mapping[str, Callable[[], str]] = {
            "basic": lambda: _by_basic(given, accounts),
            "digest": lambda: _by_digest(given, accounts, request.method),
            "bearer": lambda: next((user for user, word in accounts.items() if given == f"Bearer {word}"), ""),
        }
        user = checks[kind]()
        if user:
            request[USER] = user
            return None
        if given:
            simulator.refused_logins += 1
        challenges = {"basic": 'Basic realm="sim"', "bearer": 'Bearer realm="sim"'}
        digest = f'Digest realm="sim", nonce="{NONCE}", qop="auth", algorithm=SHA-256'
        return web.Response(status=401, headers={"WWW-Authenticate": challenges.get(kind, digest)})

    # --- where things are

    def _user(self, request: web.Request) -> str:
        return str(request.get(USER, "") or next(iter(self.simulator.accounts), "anyone"))

    def _folder(self, path: str) -> Folder:
        folder = self.simulator.folders.get(path if path.endswith("/") else path + "/")
        if folder is None:
            raise Refused(404)
        return folder

    def _member(self, path: str) -> tuple[Folder, str]:
        parent, _, name = path.rpartition("/")
        folder = self.simulator.folders.get(parent + "/")
        if folder is None or not name:
            raise Refused(409 if name else 405)
        return folder, name

    # --- methods

    async def options(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Say what the server can do."""
        can = "1, 3, access-control, calendar-access" + (", calendar-auto-schedule" if self.simulator.habits.schedules else "")
        return web.Response(headers={"DAV": can, "Allow": "OPTIONS, GET, PUT, DELETE, PROPFIND, REPORT"})

    async def propfind(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Give properties of a principal, a home, a calendar or its members."""
        root = xml.parse(body)
        names, depth = xml.asked(root), request.headers.get("Depth", "0")
        if path.rstrip("/") == "/.well-known/caldav":
            return web.Response(status=301, headers={"Location": "/dav/"})
        if path.rstrip("/") in {"", "/dav"} or path.startswith("/dav/principals/"):
            return self._multi([self._principal(request, path, names)], request)
        folder = self.simulator.folders.get(path if path.endswith("/") else path + "/")
        if folder is None:
            return self._multi(self._homes(request, path, names, depth), request)
        found = [self._collection(folder, names)]
        if depth == "1":
            found += [self._thing(folder, thing, names) for thing in folder.things.values()]
        return self._multi(found, request)

    async def report(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Carry out a report."""
        root = xml.parse(body)
        kind = etree.QName(root).localname if root is not None else ""
        if kind == "principal-property-search" and root is not None:
            return self._search(root, request)
        folder = self._folder(path)
        reports: Mapping[str, Callable[[Folder, etree._Element, web.Request], web.Response]] = {
            "sync-collection": self._sync,
            "calendar-multiget": self._multiget,
            "calendar-query": self._query,
        }
        if root is None or kind not in reports:
            raise Refused(403, "D:supported-report")
        return reports[kind](folder, root, request)

    async def get(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Give one object."""
        if path.startswith("/.well-known/"):
            return web.Response(status=301, headers={"Location": "/dav/"})
        if path.rstrip("/") in {"", "/dav"}:
            return web.Response(text="CalDAV")
        folder, name = self._member(path)
        thing = folder.things.get(name)
        if thing is None:
            raise Refused(404)
        self._strike_items(request, folder.path + name)
        text = _spoilt(thing)
        return web.Response(body=text.encode(), headers={"ETag": self.simulator.etag(thing), "Content-Type": "text/calendar"})

    async def put(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Store one object at a version."""
        simulator = self.simulator
        folder, name = self._member(path)
        if not folder.can_write:
            raise Refused(403, "D:need-privileges")
        old = folder.things.get(name)
        self._check_version(request, old)
        if old is None and simulator.habits.renames:
            name = f"renamed-{len(folder.log)}.ics"
        thing = simulator.put(folder, name, body.decode("utf-8", "replace"))
        tells = simulator.habits.put_etag and (thing.is_as_sent or simulator.habits.always_etag)
        headers = {"ETag": simulator.etag(thing)} if tells else {}
        if simulator.habits.renames:
            headers["Location"] = folder.path + name
        return web.Response(status=204 if old else 201, headers=headers)

    async def delete(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Delete one object at a version."""
        folder, name = self._member(path)
        if name not in folder.things:
            raise Refused(404)
        if not folder.can_write:
            raise Refused(403, "D:need-privileges")
        self._check_version(request, folder.things[name])
        self.simulator.remove(folder, name, replies=request.headers.get("Schedule-Reply", "T") != "F")
        return web.Response(status=204)

    def _check_version(self, request: web.Request, thing: Thing | None) -> None:
        wanted = request.headers.get("If-Match", "")
        if request.headers.get("If-None-Match") == "*" and thing is not None:
            raise Refused(412)
        if wanted and (thing is None or wanted != self.simulator.etag(thing).removeprefix("W/")):
            raise Refused(412)

    def _strike_items(self, request: web.Request, href: str) -> None:
        for fault in request.get(FAULTS, []):
            if fault.do == "item" and fault.path in href:
                raise Refused(fault.status)

    # --- reports

    def _sync(self, folder: Folder, root: etree._Element, request: web.Request) -> web.Response:
        habits = self.simulator.habits
        if not habits.sync:
            raise Refused(403, "D:supported-report")
        if habits.sync_depth and request.headers.get("Depth") != habits.sync_depth:
            raise Refused(400)
        since = folder.since((root.findtext("{DAV:}sync-token") or "").strip())
        names = xml.asked(root)
        changed = sorted((position, name) for name, position in folder.log.items() if position > since)
        if since < 0 or habits.compares:
            changed = [(at, name) for at, name in changed if name in folder.things or 0 <= folder.born.get(name, 0) <= since]
        page = changed[: habits.page] if habits.page else changed
        found = [
            self._thing(folder, folder.things[name], names)
            if name in folder.things
            else xml.Response(folder.path + name, status=404)
            for _, name in page
        ]
        if len(page) < len(changed):
            found.append(xml.Response(folder.path, status=507))
            return self._multi(found, request, folder.token(page[-1][0]))
        return self._multi(found, request, folder.token())

    def _multiget(self, folder: Folder, root: etree._Element, request: web.Request) -> web.Response:
        if not self.simulator.habits.multiget:
            raise Refused(403, "D:supported-report")
        names, found = xml.asked(root), []
        if any(fault.do == "bare" for fault in request.get(FAULTS, [])):
            names = ("D:getetag",)
        for element in root.iterfind("{DAV:}href"):
            path = unquote(urlsplit(element.text or "").path)
            thing = folder.things.get(path.removeprefix(folder.path))
            fault = next((f for f in request.get(FAULTS, []) if f.do == "item" and f.path in path), None)
            if fault is not None:
                found.append(xml.Response(path, status=fault.status))
            elif thing is None:
                found.append(xml.Response(path, status=404))
            else:
                found.append(self._thing(folder, thing, names))
        return self._multi(found, request)

    def _query(self, folder: Folder, root: etree._Element, request: web.Request) -> web.Response:
        wanted = next(root.iter("{urn:ietf:params:xml:ns:caldav}text-match"), None)
        text, names = (wanted.text or "") if wanted is not None else "", xml.asked(root)
        things = [thing for thing in folder.things.values() if text in uid_of(thing.text)]
        return self._multi([self._thing(folder, thing, names) for thing in things], request)

    def _search(self, root: etree._Element, request: web.Request) -> web.Response:
        wanted = (next(root.iter("{DAV:}match")).text or "").lower()
        owners = sorted({folder.owner for folder in self.simulator.folders.values()})
        found = [owner for owner in owners if wanted in f"{owner}@{DOMAIN}"]
        names = ("C:calendar-home-set", "C:calendar-user-address-set")
        return self._multi([self._principal(request, f"/dav/principals/{owner}/", names) for owner in found], request)

    # --- properties

    def _multi(self, responses: list[xml.Response], request: web.Request, token: str = "") -> web.Response:
        for fault in request.get(FAULTS, []):
            if fault.do == "cap":
                responses = responses[: fault.count]
        text = xml.multistatus(responses, token)
        return web.Response(status=207, body=text.encode(), headers={"Content-Type": self.simulator.habits.multistatus_type})

    def _principal(self, request: web.Request, path: str, names: tuple[str, ...]) -> xml.Response:
        user = path.strip("/").split("/")[2] if path.startswith("/dav/principals/") else ""
        given: dict[str, str] = {
            "D:current-user-principal": f"<D:href>/dav/principals/{self._user(request)}/</D:href>",
            "D:resourcetype": "<D:collection/>" + ("<D:principal/>" if user else ""),
        }
        if user:
            given["C:calendar-home-set"] = f"<D:href>/dav/{user}/</D:href>"
            given["C:calendar-user-address-set"] = (
                f"<D:href>mailto:{user}@{DOMAIN}</D:href><D:href>/dav/principals/{user}/</D:href>"
            )
            if self.simulator.habits.schedules:
                given["C:schedule-inbox-URL"] = f"<D:href>/dav/{user}/inbox/</D:href>"
        return xml.Response(path, {name: given.get(name) for name in names})

    def _homes(self, request: web.Request, path: str, names: tuple[str, ...], depth: str) -> list[xml.Response]:
        """Answer for a home with its calendars, or for an inbox."""
        owners = {folder.owner for folder in self.simulator.folders.values()} | set(self.simulator.accounts)
        owner, _, rest = path.removeprefix("/dav/").strip("/").partition("/")
        if owner not in owners or rest not in {"", "inbox"}:
            raise Refused(404)
        home = f"/dav/{owner}/"
        own = [folder for folder in self.simulator.folders.values() if folder.owner == owner]
        given = {
            "D:resourcetype": "<D:collection/>",
            "D:current-user-principal": f"<D:href>/dav/principals/{self._user(request)}/</D:href>",
        }
        if rest and own and self.simulator.habits.tells_default:
            given["C:schedule-default-calendar-URL"] = f"<D:href>{own[0].path}</D:href>"
        here = xml.Response(path, {name: given.get(name) for name in names})
        if depth != "1" or rest:
            return [here]
        inbox = [self._inbox(home, names)] if self.simulator.habits.schedules else []
        return [here, *(self._collection(folder, names) for folder in own), *inbox]

    def _inbox(self, home: str, names: tuple[str, ...]) -> xml.Response:
        given = {"D:resourcetype": "<D:collection/><C:schedule-inbox/>"}
        return xml.Response(home + "inbox/", {name: given.get(name) for name in names})

    def _collection(self, folder: Folder, names: tuple[str, ...]) -> xml.Response:
        habits = self.simulator.habits
        reports = ["calendar-multiget", "calendar-query"]
        offered = "".join(f"<D:supported-report><D:report><C:{name}/></D:report></D:supported-report>" for name in reports)
        if habits.sync:
            offered += "<D:supported-report><D:report><D:sync-collection/></D:report></D:supported-report>"
        given: dict[str, str | None] = {
            "D:resourcetype": "<D:collection/><C:calendar/>",
            "D:displayname": escape(folder.title),
            "C:supported-calendar-component-set": "".join(f'<C:comp name="{name}"/>' for name in folder.components),
            "D:supported-report-set": offered,
            "D:owner": f"<D:href>/dav/principals/{folder.owner}/</D:href>",
            "A:calendar-color": "#3366CCFF",
            "S:getctag": folder.ctag if habits.ctag else None,
            "D:sync-token": folder.token() if habits.sync else None,
        }
        if habits.tells_rights:
            given["D:current-user-privilege-set"] = _WRITE_RIGHTS if folder.can_write else _READ_RIGHTS
        return xml.Response(folder.path, {name: given.get(name) for name in names})

    def _thing(self, folder: Folder, thing: Thing, names: tuple[str, ...]) -> xml.Response:
        component = "vevent" if "BEGIN:VEVENT" in thing.text else "vtodo"
        given: dict[str, Callable[[], str]] = {
            "D:getetag": lambda: escape(self.simulator.etag(thing)),
            "D:getcontenttype": lambda: f"text/calendar; charset=utf-8; component={component}",
            "D:resourcetype": lambda: "",
            "C:calendar-data": lambda: escape(_spoilt(thing), {"\r": "&#13;"}),
        }
        return xml.Response(folder.path + thing.name, {name: given[name]() if name in given else None for name in names})


def _spoilt(thing: Thing) -> str:
    return re.sub(r"(?m)^DTSTART.*$", "DTSTART:never", thing.text) if thing.is_spoilt else thing.text


def _by_basic(given: str, accounts: Mapping[str, str]) -> str:
    kind, _, coded = given.partition(" ")
    if kind.lower() != "basic":
        return ""
    user, _, password = base64.b64decode(coded + "==").decode("utf-8", "replace").partition(":")
    return user if accounts.get(user) == password and user in accounts else ""


def _by_digest(given: str, accounts: Mapping[str, str], method: str) -> str:
    found = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
    user = found.get("username", "")
    if user not in accounts or found.get("nonce") != NONCE:
        return ""

    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    secret, asked = hashed(f"{user}:sim:{accounts[user]}"), hashed(f"{method}:{found.get('uri', '')}")
    middle = f"{found.get('nc', '')}:{found.get('cnonce', '')}:{found.get('qop', '')}"
    return user if hashed(f"{secret}:{NONCE}:{middle}:{asked}") == found.get("response") else ""


def _break(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut(request: web.Request, answer: web.Response, count: int) -> web.StreamResponse:
    body = answer.body if isinstance(answer.body, bytes) else b""
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: count or len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that answers. url: of the server; control: address of its control interface."""

    simulator: Simulator
    url: str
    control: str


@asynccontextmanager
async def start(
    simulator: Simulator | None = None, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Running]:
    """Run a simulator in this event loop until the block ends. Port 0: any free one."""
    held = simulator or Simulator()
    routes = [*control_of(held).routes(), web.route("*", "/{path:.*}", Server(held).handle)]
    async with serving(routes, host=host, port=port, tls=tls) as url:
        yield Running(held, f"{url}/", f"{url}/_sim/")
