"""A simulated Exchange with everything around its mailboxes: who may sign in, how it behaves, what it recorded.

What the mailboxes hold is `state`; this joins it with sign-in, throttling, notifications, address book and absences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange import versions
from gleichtakt.simulators.exchange.availability import Availability
from gleichtakt.simulators.exchange.directory import Directory
from gleichtakt.simulators.exchange.faults import Fault
from gleichtakt.simulators.exchange.notifications import Notifications, Operation, Routed
from gleichtakt.simulators.exchange.operations import OPERATIONS, Refused
from gleichtakt.simulators.exchange.signin import BINDINGS, METHODS, Account, Door
from gleichtakt.simulators.exchange.soap import MESSAGES, NAMESPACES, TYPES, local
from gleichtakt.simulators.exchange.state import Mailbox, Simulator
from gleichtakt.simulators.exchange.throttling import Throttle
from gleichtakt.simulators.exchange.versions import NEWEST, SEQUENCE, Release
from gleichtakt.simulators.faults import Faults, known

DOMAIN = "firm.example"
MOST_ENTRIES = 100_000
_CHOICES: Mapping[str, tuple[str, ...]] = {"binding": BINDINGS, "version": tuple(versions.RELEASES)}


@dataclass(slots=True)
class Habits:
    """How this server behaves.

    version: which one it is, see `versions.RELEASES`. methods: of signing in, in the order offered. binding: whether
    NTLM over TLS must carry channel bindings. is_ews_on: without, EWS answers 403. busy_in_message: a busy server says
    so in the response message of an answer, not in a fault. backends: servers behind this one, over which mailboxes
    are spread. redirect: address an unauthenticated GET for Autodiscover is sent to. minute: how many seconds a minute
    of a subscription lasts. heartbeat: seconds between signs of life in a stream. keeps_texts: requests and answers
    stay in the ledger word by word.
    """

    version: str = NEWEST
    methods: tuple[str, ...] = ("negotiate", "ntlm")
    binding: str = "allowed"
    is_ews_on: bool = True
    is_autodiscover_on: bool = True
    busy_in_message: bool = False
    backends: int = 1
    redirect: str = ""
    minute: float = 60.0
    heartbeat: float = 45.0
    keeps_texts: bool = True


@dataclass(slots=True)
class Entry:
    """One request as it was answered. connection: number of the TCP connection. codes: response codes other than NoError."""

    at: str
    path: str
    connection: int
    operation: str = ""
    account: str = ""
    mailbox: str = ""
    version: str = ""
    is_impersonated: bool = False
    anchor: str = ""
    backend: int = 0
    user_agent: str = ""
    client_request_id: str = ""
    status: int = 0
    codes: tuple[str, ...] = ()
    request: str = ""
    answer: str = ""


class Exchange:
    """All of it. redirects: address -> where Autodiscover sends a client, `address` or `url` first."""

    def __init__(self, simulator: Simulator | None = None, *, domain: str = DOMAIN, **habits: Any) -> None:
        """Begin with what a simulator holds, and nobody who may sign in."""
        self.simulator = simulator or Simulator()
        self.domain = domain
        self.url = ""
        self.accounts: dict[str, Account] = {}
        self.door = Door(self.accounts, domain, f"ex1.{domain}")
        self.faults: Faults[Fault] = Faults()
        self.throttle = Throttle(self.simulator.clock)
        self.directory, self.availability = Directory(), Availability()
        self.notifications = Notifications(self.simulator.clock, self.throttle, self.header)
        self.simulator.watchers.append(self.notifications.hear)
        self.ledger: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        self.redirects: dict[str, tuple[str, str]] = {}
        self.moves: dict[str, int] = {}
        self.habits = Habits()
        self.behave(habits)
        self.operations: Mapping[str, Operation] = {
            **OPERATIONS,
            **self.directory.operations,
            **self.availability.operations,
            **self.notifications.operations,
        }

    @property
    def release(self) -> Release:
        """Which server it is."""
        return versions.release(self.habits.version)

    def header(self) -> Mapping[str, str]:
        """Give what ServerVersionInfo says in answers."""
        return self.release.header()

    def behave(self, values: Mapping[str, Any]) -> Habits:
        """Change habits. Raises ValueError for one it does not have, or a choice there is not."""
        for name, value in values.items():
            known(name, {one.name for one in fields(Habits)}, "habit")
            if name in _CHOICES:
                known(value, _CHOICES[name], name)
            for method in value if name == "methods" else ():
                known(method, METHODS, "method")
            setattr(self.habits, name, tuple(value) if isinstance(value, list) else value)
        self.door.methods, self.door.binding = self.habits.methods, self.habits.binding
        self.notifications.minute, self.notifications.heartbeat = self.habits.minute, self.habits.heartbeat
        return self.habits

    def add_account(self, username: str, password: str, mailbox: str = "", *, impersonates: tuple[str, ...] = ()) -> Account:
        """Let someone sign in."""
        made = self.accounts[username] = Account(username, password, mailbox, impersonates)
        return made

    def add_person(self, name: str, title: str = "", **more: Any) -> Mailbox:
        """Make a mailbox of this name in the domain, with an account that signs in as its owner."""
        mailbox = self.simulator.add_mailbox(f"{name}@{self.domain}", title, **more)
        self.add_account(name, f"{name}-password", mailbox.address)
        return mailbox

    def backend_of(self, address: str) -> int:
        """Give the number of the server on which a mailbox lives."""
        mailbox = self.simulator.mailboxes.get(address.lower())
        return (mailbox.number + self.moves.get(address.lower(), 0)) % self.habits.backends if mailbox is not None else 0

    def move(self, address: str, *, refusals: int = 0) -> None:
        """Move a mailbox to another database: its subscriptions are gone, and so many requests for it are refused."""
        mailbox = self.simulator.mailbox(address)
        self.moves[address.lower()] = self.moves.get(address.lower(), 0) + 1
        self.notifications.lose(mailbox.address)
        if refusals:
            self.faults.add(Fault("fault", mailbox=mailbox.address, code="ErrorMailboxMoveInProgress", times=refusals))

    def impersonated(self, account: Account, kind: str, name: str) -> str:
        """Give the address of the mailbox an account acts for. Raises Refused."""
        mailbox = self._named(kind, name)
        if not account.may_act_for(mailbox.address):
            raise Refused("ErrorImpersonateUserDenied", "The account does not have permission to impersonate the requested user.")
        return self.simulator.mailbox(mailbox.address).address

    def _named(self, kind: str, name: str) -> Mailbox:
        mailboxes = self.simulator.mailboxes
        ways: Mapping[str, Callable[[Mailbox], str]] = {"PrincipalName": self._principal, "SID": sid_of}
        if kind in ways:
            found = next((one for one in mailboxes.values() if ways[kind](one).lower() == name.lower()), None)
        else:
            found = mailboxes.get(name.lower())
        if found is None:
            text = "The SMTP address has no mailbox associated with it."
            raise Refused("ErrorNonExistentMailbox", text, {"SmtpAddress": name})
        return found

    def _principal(self, mailbox: Mailbox) -> str:
        owner = next((one for one in self.accounts.values() if one.mailbox.lower() == mailbox.address.lower()), None)
        return f"{owner.username}@{self.domain}" if owner is not None else mailbox.address

    def call_of(self, address: str, *, version: str = "", account: str = "", backend: int = 0) -> Routed:
        """Give a call of somebody for the own mailbox."""
        clock = self.simulator.clock
        return Routed(
            self.simulator, address, address, version or self.release.speaks, clock, account=account or address, backend=backend
        )

    def carry_out(self, address: str, operation: str | etree._Element) -> etree._Element:
        """Do something as the owner of a mailbox does, past sign-in, faults and ledger. operation: its element, or XML.

        The prefixes t and m are known in XML.
        """
        element = parsed(operation) if isinstance(operation, str) else operation
        return self.operations[local(element).removesuffix("Request")](self.call_of(address), element)

    def put(self, address: str, item: str | Mapping[str, Any], folder: str = "calendar") -> str:
        """Let the owner of a mailbox make a calendar item and give its id. item: its XML, or its simple properties.

        folder: a distinguished name. Raises Refused.
        """
        written = item if isinstance(item, str) else _item(item)
        made = self.carry_out(
            address,
            f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:SavedItemFolderId><t:DistinguishedFolderId Id="{folder}"/>'
            f"</m:SavedItemFolderId><m:Items>{written}</m:Items></m:CreateItem>",
        )
        found = made.find(".//t:ItemId", NAMESPACES)
        if found is None:
            raise Refused(made.findtext(".//m:ResponseCode", "", NAMESPACES), made.findtext(".//m:MessageText", "", NAMESPACES))
        return found.get("Id", "")


def sid_of(mailbox: Mailbox) -> str:
    """Give the security identifier of a mailbox's owner."""
    return f"S-1-5-21-1004336348-1177238915-682003330-{1000 + mailbox.number}"


def parsed(text: str) -> etree._Element:
    """Read an element in which the prefixes t and m are known. Raises ValueError."""
    try:
        return etree.fromstring(f'<m:call xmlns:t="{TYPES}" xmlns:m="{MESSAGES}">{text}</m:call>')[0]
    except etree.XMLSyntaxError as broken:
        raise ValueError(str(broken)) from None


def _item(values: Mapping[str, Any]) -> str:
    made = etree.Element(f"{{{TYPES}}}CalendarItem", nsmap={"t": TYPES})
    for name in values:
        known(name, SEQUENCE, "property")
    for name in sorted(values, key=SEQUENCE.index):
        value = values[name]
        element = etree.SubElement(made, f"{{{TYPES}}}{name}")
        if name in {"StartTimeZone", "EndTimeZone"}:
            element.set("Id", value)
            continue
        if name == "Body":
            element.set("BodyType", "Text")
        element.text = str(value).lower() if isinstance(value, bool) else str(value)
    return etree.tostring(made, encoding="unicode")
