"""From an address or a domain to the calendars: SRV and well-known, principal, homes, collections.

Each step may lead to another host; it is followed only encrypted, and within the same house or to an approved host.
Sources: RFC 6764 (discovery), RFC 5397 (current principal), RFC 4791 §6.2 (home), RFC 6638 §2.4 (own addresses).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from gleichtakt.errors import AuthRequired, Permanent, Scope, Transient, Trouble
from gleichtakt.providers import dns
from gleichtakt.providers.caldav import oddities, wire
from gleichtakt.providers.protocol import Calendar, CalendarRef, Login
from gleichtakt.providers.transport import Answer, Transport, may_follow, origin_of, revealed, trouble_of

WELL_KNOWN = "/.well-known/caldav"
_WRITES = frozenset(wire.DAV + name for name in ("all", "write", "write-content", "bind"))
_NOT_CALENDARS = frozenset(
    {wire.CAL + "schedule-inbox", wire.CAL + "schedule-outbox", wire.SERVER + "subscribed", wire.SERVER + "dropbox-home"}
)


@dataclass(frozen=True, slots=True)
class Account:
    """What a sign-in leads to. addresses: by which others invite this person, lower case without `mailto:`.

    is_nameless: the server says that it knows no address of this person. single: the given address was a calendar itself.
    homes, inbox, proxies: URLs.
    """

    homes: tuple[str, ...] = ()
    addresses: frozenset[str] = frozenset()
    is_nameless: bool = False
    inbox: str = ""
    proxies: tuple[str, ...] = ()
    single: str = ""
    principal: str = ""
    start: str = ""


def start_url(login: Login, mailbox: str = "") -> str:
    """Give the address to begin with: `{mailbox}` and `{user}` filled in, `caldav(s)://` as http(s); a bare domain stays."""
    url = login.url.strip() or login.autodiscover_address.strip()
    for mark, value in (("{mailbox}", mailbox), ("{user}", mailbox.partition("@")[0])):
        url = url.replace(mark, quote(value, safe="@"))
    for scheme, real in (("caldavs://", "https://"), ("caldav://", "http://")):
        url = real + url.removeprefix(scheme) if url.startswith(scheme) else url
    return url


def addresses_of(member: wire.Member) -> frozenset[str]:
    """Give the mail addresses of a principal."""
    found = (href.strip() for href in member.hrefs(wire.CAL + "calendar-user-address-set"))
    return frozenset(unquote(href[7:]).lower() for href in found if href.lower().startswith("mailto:"))


def is_calendar(member: wire.Member) -> bool:
    """Say whether a collection is a calendar that holds events."""
    kinds = member.children(wire.DAV + "resourcetype")
    if wire.CAL + "calendar" not in kinds or kinds & _NOT_CALENDARS:
        return False
    held = member.props.get(wire.CAL + "supported-calendar-component-set")
    names = () if held is None else tuple(each.get("name", "").upper() for each in held.iter(wire.CAL + "comp"))
    return not names or "VEVENT" in names


def may_write(member: wire.Member) -> bool:
    """Say whether the rights a server tells allow writing; a server that tells none is believed to allow it."""
    rights = member.children(wire.DAV + "current-user-privilege-set")
    return not rights or bool(rights & _WRITES)


def _name(member: wire.Member) -> str:
    return member.text(wire.DAV + "displayname") or unquote(member.href.rstrip("/").rpartition("/")[2])


@dataclass(slots=True)
class Discovery:
    """Finds accounts and calendars for one login."""

    login: Login
    transport: Transport
    name_servers: tuple[tuple[str, int], ...] | None = None

    async def account(self, mailbox: str = "") -> Account:
        """Find the principal and its homes. Raises the first thing that went wrong when no way leads there."""
        first: Trouble | None = None
        async for url in self.candidates(mailbox):
            try:
                found = await self._account_at(url)
            except AuthRequired:
                raise
            except (Transient, Permanent) as trouble:
                first = first or trouble
                continue
            if found is not None:
                return found
        raise first or Permanent("caldav.not_found", Scope.ACCOUNT, host=origin_of(start_url(self.login))[1] or self.login.url)

    async def calendars(self, account: Account, mailbox: str) -> tuple[Calendar, ...]:
        """List the calendars below an account's homes; the first listed is the default one if the server names none."""
        found = [] if account.homes else [await self._propfind(account.single, wire.CALENDARS)]
        for home in account.homes:
            found.append(await self._propfind(home, wire.CALENDARS, depth="1"))
        members = [(answer, member) for answer, members in found for member in members if is_calendar(member)]
        default = await self._default(account)
        named = {self._ref(answer, member): member for answer, member in members}
        first = default if default in named else next(iter(named), "")
        return tuple(
            Calendar(
                CalendarRef(mailbox, ref),
                _name(member),
                may_write(member),
                is_default=ref == first,
                owner=next(iter(member.hrefs(wire.DAV + "owner")), ""),
                colour=member.text(wire.APPLE + "calendar-color")[:7],
            )
            for ref, member in named.items()
        )

    async def account_of(self, mailbox: str, own: Account) -> Account:
        """Find the homes of another mailbox that this login may see: by search, then among the shared ones."""
        wanted = mailbox.lower()
        if not wanted or wanted in own.addresses or self.login.access == "own":
            return own
        for url in (own.principal, own.start):
            answer = await self.transport.send(
                "REPORT", url, headers={"Depth": "0", **wire.XML_TYPE}, body=wire.principal_search(wanted)
            )
            if answer.status != 207:
                continue
            for member in _members(answer):
                if wanted in addresses_of(member) and (homes := member.hrefs(wire.CAL + "calendar-home-set")):
                    return Account(self._join(answer.url, homes), addresses_of(member))
        for principal in own.proxies:
            shared = await self._principal(principal)
            if wanted in shared.addresses:
                return shared
        raise Permanent("caldav.principal_unknown", Scope.CALENDAR, host=origin_of(own.start)[1])

    # --- the way there

    async def candidates(self, mailbox: str) -> AsyncIterator[str]:
        """Yield the addresses at which the service may be, the likeliest first."""
        url = start_url(self.login, mailbox)
        if "://" in url:
            parts = urlsplit(url)
            if parts.path not in {"", "/"}:
                yield url
            yield f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}"
            yield f"{parts.scheme}://{parts.netloc}/"
            return
        domain = url.rpartition("@")[2].strip("/")
        async for found in self._by_srv(domain):
            yield found
        yield f"https://{domain}{WELL_KNOWN}"
        yield f"https://{domain}/"

    async def _by_srv(self, domain: str) -> AsyncIterator[str]:
        bare = domain.partition(":")[0].partition("/")[0]
        for service in await dns.find_service(f"_caldavs._tcp.{bare}", servers=self.name_servers):
            port = "" if service.port == 443 else f":{service.port}"
            self.permit(f"https://{bare}", f"https://{service.target}{port}")
            texts = await dns.find_texts(f"_caldavs._tcp.{bare}", servers=self.name_servers)
            path = next((text[5:] for text in texts if text.startswith("path=")), WELL_KNOWN)
            yield f"https://{service.target}{port}{path}"

    async def _account_at(self, url: str) -> Account | None:
        answer = await self._ask(url, wire.PRINCIPAL)
        if answer.status in {401, 429, 503}:
            raise self.refused(answer)
        if answer.status != 207:
            if not url.endswith(WELL_KNOWN):
                raise self.refused(answer)
            # some servers redirect only GET; where it ends is asked again with PROPFIND
            landed = await self.transport.send("GET", url)
            if landed.url == url or landed.status in {404, 405}:
                return None
            answer = await self._ask(landed.url, wire.PRINCIPAL)
            if answer.status != 207:
                raise self.refused(answer)
        return await self._account_from(answer)

    async def _account_from(self, answer: Answer) -> Account | None:
        members = _members(answer)
        if not members:
            return None
        here = members[0]
        if here.hrefs(wire.CAL + "calendar-home-set"):
            return await self._principal(answer.url)
        if "{" in self.login.url:  # the address was made for this mailbox; who signed in does not matter
            return Account((answer.url,), principal=answer.url, start=answer.url)
        if wire.CAL + "calendar" in here.children(wire.DAV + "resourcetype"):
            return Account(single=answer.url, principal=answer.url, start=answer.url)
        for name in ("current-user-principal", "principal-URL"):
            for href in here.hrefs(wire.DAV + name):
                found = await self._principal(self._join(answer.url, (href,))[0], start=answer.url)
                if found.homes:
                    return found
        return None

    async def _principal(self, url: str, start: str = "") -> Account:
        answer, members = await self._propfind(url, wire.HOME)
        here = members[0] if members else wire.Member(wire.read_href(url), 200)
        proxies = [*here.hrefs(wire.SERVER + "calendar-proxy-write-for"), *here.hrefs(wire.SERVER + "calendar-proxy-read-for")]
        return Account(
            self._join(answer.url, here.hrefs(wire.CAL + "calendar-home-set")),
            addresses_of(here),
            is_nameless=wire.CAL + "calendar-user-address-set" in here.props and not addresses_of(here),
            inbox=next(iter(self._join(answer.url, here.hrefs(wire.CAL + "schedule-inbox-URL"))), ""),
            proxies=self._join(answer.url, proxies),
            principal=answer.url,
            start=start or answer.url,
        )

    async def _default(self, account: Account) -> str:
        if not account.inbox:
            return ""
        answer = await self._ask(account.inbox, wire.INBOX)
        for member in _members(answer) if answer.status == 207 else ():
            for href in member.hrefs(wire.CAL + "schedule-default-calendar-URL"):
                return self._ref(answer, wire.Member(wire.read_href(href), 200, url=href))
        return ""

    def _ref(self, answer: Answer, member: wire.Member) -> str:
        """Name a calendar by its path; with its host where that is not the one the login names."""
        url = urljoin(answer.url, member.url)
        start = start_url(self.login)
        at_home = "://" not in start or origin_of(url) == origin_of(start)
        return str(member.href) if at_home and "://" in start else _origin_text(url) + member.href

    # --- asking

    async def _ask(self, url: str, names: tuple[str, ...], depth: str = "0") -> Answer:
        headers = {"Depth": depth, **wire.XML_TYPE}
        return await self.transport.send("PROPFIND", url, headers=headers, body=wire.propfind(names))

    async def _propfind(self, url: str, names: tuple[str, ...], depth: str = "0") -> tuple[Answer, tuple[wire.Member, ...]]:
        answer = await self._ask(url, names, depth)
        if answer.status != 207:
            raise self.refused(answer)
        return answer, _members(answer)

    def _join(self, base: str, hrefs: Iterable[str]) -> tuple[str, ...]:
        joined = tuple(dict.fromkeys(urljoin(base, href) for href in hrefs))
        for url in joined:
            self.permit(base, url)
        return joined

    def permit(self, base: str, url: str) -> None:
        """Raise unless credentials may travel from *base* to *url*."""
        login = self.login
        approved = login.options.get("approved_hosts", "").split(",")
        start = start_url(login)
        beginning = start if "://" in start else base
        allowed = origin_of(url) == origin_of(base) or may_follow(
            beginning, url, approved=approved, allow_insecure=login.allow_insecure
        )
        if not allowed:
            raise Permanent("general.redirect_refused", Scope.ACCOUNT, host=origin_of(base)[1], target=origin_of(url)[1])

    def refused(self, answer: Answer) -> Trouble:
        """Classify an answer to a question, and say so when the sign-in method is not the one the server wants."""
        if answer.status == 401:
            offered = oddities.offered_methods(answer)
            ours = revealed(self.login.auth.get("method")) or ("basic" if self.login.auth.get("username") else "none")
            if offered and ours not in {"none", *offered}:
                return AuthRequired(
                    "caldav.method_not_offered", Scope.ACCOUNT, host=answer.host, method=ours, offered=", ".join(offered)
                )
        return trouble_of(answer)


def _origin_text(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _members(answer: Answer) -> tuple[wire.Member, ...]:
    try:
        return wire.read_multistatus(answer.body).members
    except wire.NotMultistatus as broken:
        raise Transient("general.malformed", Scope.ACCOUNT, host=answer.host, reason=str(broken)) from None
