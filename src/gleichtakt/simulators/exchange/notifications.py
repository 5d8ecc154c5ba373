"""Subscriptions and the three ways in which their events reach a client: streaming, pull and push.

Events are hints, and a subscription is not safe: it lapses when nobody asks for its events, it is gone when its mailbox
moves, and events that were written into a breaking stream are not written again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
from lxml import etree

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.exchange import ids
from gleichtakt.simulators.exchange.operations import Call, Refused
from gleichtakt.simulators.exchange.operations.targets import folder_of
from gleichtakt.simulators.exchange.soap import (
    CONTENT_TYPE,
    MESSAGES,
    NAMESPACES,
    add,
    envelope,
    error_message,
    fill_error,
    local,
    m,
    message,
    responses,
    success,
    t,
    text_of,
    written,
)
from gleichtakt.simulators.exchange.state import Event
from gleichtakt.simulators.exchange.throttling import Throttle

MOST_IN_STREAM: Final = 200
MOST_IN_ANSWER: Final = 50
STREAM_MINUTES: Final = range(1, 31)
OTHER_MINUTES: Final = range(1, 1441)
LAPSES: Final = timedelta(minutes=30)  # of a streaming subscription nobody listens to
PUSH_PATIENCE: Final = aiohttp.ClientTimeout(total=30)
_WAYS: Final[Mapping[str, str]] = {
    "StreamingSubscriptionRequest": "streaming",
    "PullSubscriptionRequest": "pull",
    "PushSubscriptionRequest": "push",
}


@dataclass(frozen=True, slots=True)
class Routed(Call):
    """A call with what notifications look at besides. account: name of who signed in. backend: number of the server reached."""

    account: str = ""
    backend: int = 0


Operation = Callable[[Routed, etree._Element], etree._Element]


@dataclass(slots=True, eq=False)
class Listener:
    """Somebody who waits for events. lost: ids of subscriptions that went away meanwhile. is_cut: the line breaks."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    lost: list[str] = field(default_factory=list)
    is_over: bool = False
    is_cut: bool = False


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscription. folders: ids, or None for all. minutes: of its timeout, or between two signs of life.

    pending: events by number that are not confirmed yet. number: of the newest. confirmed: everything up to it is done.
    """

    id: str
    account: str
    mailbox: str
    way: str
    kinds: frozenset[str]
    folders: frozenset[str] | None
    backend: int
    minutes: int
    url: str
    touched: datetime
    pending: list[tuple[int, Event]] = field(default_factory=list)
    number: int = 0
    confirmed: int = 0
    listener: Listener | None = None

    def wants(self, event: Event) -> bool:
        """Say whether an event is one it asked for."""
        return event.kind in self.kinds and (self.folders is None or event.folder in self.folders)

    def hear(self, event: Event) -> None:
        """Take an event."""
        self.number += 1
        self.pending.append((self.number, event))
        if self.listener is not None:
            self.listener.wake.set()

    def watermark(self, number: int) -> str:
        """Write the place of an event among the others."""
        return base64.b64encode(f"{self.id[:8]}/{number}".encode()).decode()

    def number_at(self, watermark: str) -> int:
        """Read such a place. Raises Refused."""
        try:
            head, _, number = base64.b64decode(watermark, validate=True).decode().rpartition("/")
            if head == self.id[:8] and self.confirmed <= int(number) <= self.number:
                return int(number)
        except (binascii.Error, ValueError):
            pass
        raise Refused("ErrorInvalidWatermark", "The watermark used for creating this subscription was not found.")


@dataclass(slots=True)
class Notifications:
    """All subscriptions, by id. minute: how many seconds one lasts. heartbeat: seconds between signs of life in a stream."""

    clock: Clock
    throttle: Throttle
    header: Callable[[], Mapping[str, str]]
    minute: float = 60.0
    heartbeat: float = 45.0
    held: dict[str, Subscription] = field(default_factory=dict)
    by_mailbox: dict[str, list[Subscription]] = field(default_factory=dict)
    _pushing: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Give the operations that answer at once."""
        return {"Subscribe": self.subscribe, "Unsubscribe": self.unsubscribe, "GetEvents": self.get_events}

    def hear(self, event: Event) -> None:
        """Take a change and note it for everyone who asked."""
        for subscription in self.by_mailbox.get(event.mailbox.lower(), ()):
            if subscription.wants(event):
                subscription.hear(event)

    def lose(self, mailbox: str = "") -> int:
        """Forget the subscriptions on a mailbox, or all; give how many."""
        found = [one for one in self.held.values() if mailbox.lower() in ("", one.mailbox.lower())]
        for one in found:
            self._remove(one)
        return len(found)

    def interrupt(self, *, cut: bool) -> int:
        """End every open stream, with or without saying so; give how many."""
        listeners = {one.listener for one in self.held.values() if one.listener is not None and one.way == "streaming"}
        for listener in listeners:
            listener.is_over, listener.is_cut = True, cut
            listener.wake.set()
        return len(listeners)

    async def close(self) -> None:
        """Stop everything that still runs."""
        self.lose()
        for task in list(self._pushing.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- subscribing

    def subscribe(self, call: Routed, request: etree._Element) -> etree._Element:
        """Make a subscription."""
        try:
            made = self._made(call, request[0])
        except Refused as refused:
            return responses("Subscribe", error_message("SubscribeResponseMessage", refused))
        self.held[made.id] = made
        self.by_mailbox.setdefault(made.mailbox.lower(), []).append(made)
        if made.way == "push":
            made.listener = Listener()
            self._pushing[made.id] = asyncio.get_running_loop().create_task(self._push(made, made.listener))

        def parts(element: etree._Element) -> None:
            add(element, m("SubscriptionId"), made.id)
            if made.way != "streaming":
                add(element, m("Watermark"), made.watermark(0))

        return responses("Subscribe", success("SubscribeResponseMessage", parts=parts))

    def _made(self, call: Routed, asked: etree._Element) -> Subscription:
        way = _WAYS[local(asked)]
        own = sum(one.account == call.account for one in self.held.values())
        if own >= self.throttle.policy.subscriptions:
            raise Refused("ErrorExceededSubscriptionCount", "You have exceeded the available subscriptions for your account.")
        if text_of(asked, "t:Watermark"):
            raise Refused("ErrorInvalidWatermark", "The watermark used for creating this subscription was not found.")
        folders = [folder_of(call, one) for one in asked.iterfind("t:FolderIds/*", NAMESPACES)]
        is_whole = asked.get("SubscribeToAllFolders") in ("true", "1")
        if is_whole == bool(folders):
            raise Refused("ErrorInvalidSubscriptionRequest", "Name folders, or subscribe to all of them.")
        mailboxes = {one.mailbox.address for one in folders} or {call.home.address}
        if len(mailboxes) > 1:
            raise Refused("ErrorInvalidSubscriptionRequest", "A subscription is about one mailbox.")
        minutes = text_of(asked, "t:Timeout") or text_of(asked, "t:StatusFrequency")
        if minutes and int(minutes) not in OTHER_MINUTES:
            raise Refused("ErrorInvalidSubscriptionRequest", "Between 1 and 1440 minutes are allowed.")
        url = text_of(asked, "t:URL")
        if way == "push" and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise Refused("ErrorInvalidPushSubscriptionUrl", "The URL of the push subscription is invalid.")
        return Subscription(
            id=base64.b64encode(uuid4().bytes + b"ex%d" % call.backend).decode(),
            account=call.account,
            mailbox=mailboxes.pop(),
            way=way,
            kinds=frozenset((one.text or "").strip() for one in asked.iterfind("t:EventTypes/t:EventType", NAMESPACES)),
            folders=None if is_whole else frozenset(ids.folder_id(one) for one in folders),
            backend=call.backend,
            minutes=int(minutes or 0),
            url=url,
            touched=self.clock.now(),
        )

    def unsubscribe(self, call: Routed, request: etree._Element) -> etree._Element:
        """End a subscription."""
        try:
            self._remove(self._usable(call, text_of(request, "m:SubscriptionId")))
        except Refused as refused:
            return responses("Unsubscribe", error_message("UnsubscribeResponseMessage", refused))
        return responses("Unsubscribe", success("UnsubscribeResponseMessage"))

    def _usable(self, call: Routed, name: str) -> Subscription:
        """Give a subscription of the caller's on the server reached. Raises Refused."""
        found = self.held.get(name)
        if found is None or found.backend != call.backend:
            raise Refused("ErrorSubscriptionNotFound", "The specified subscription was not found.")
        if found.account != call.account:
            raise Refused("ErrorSubscriptionAccessDenied", "You aren't the owner of the subscription.")
        lapses = timedelta(minutes=found.minutes) if found.way == "pull" else LAPSES
        if found.listener is None and self.clock.now() - found.touched > lapses:
            self._remove(found)
            raise Refused("ErrorExpiredSubscription", "The specified subscription has expired.")
        return found

    def _remove(self, subscription: Subscription) -> None:
        self.held.pop(subscription.id, None)
        self.by_mailbox[subscription.mailbox.lower()].remove(subscription)
        if subscription.listener is not None:
            subscription.listener.lost.append(subscription.id)
            subscription.listener.wake.set()

    # --- pull

    def get_events(self, call: Routed, request: etree._Element) -> etree._Element:
        """Give the events after a watermark."""
        try:
            subscription = self._usable(call, text_of(request, "m:SubscriptionId"))
            if subscription.way != "pull":
                raise Refused("ErrorInvalidPullSubscriptionId", "That is no pull subscription.")
            number = subscription.number_at(text_of(request, "m:Watermark"))
        except Refused as refused:
            return responses("GetEvents", error_message("GetEventsResponseMessage", refused))
        subscription.touched = self.clock.now()
        return responses(
            "GetEvents", success("GetEventsResponseMessage", parts=lambda made: _write_since(made, subscription, number))
        )

    # --- streaming

    async def stream(self, call: Routed, request: etree._Element) -> AsyncGenerator[etree._Element, None]:
        """Yield one answer after the other until the time is over. Raises ConnectionResetError where the line is cut."""
        names = [(one.text or "").strip() for one in request.iterfind("m:SubscriptionIds/t:SubscriptionId", NAMESPACES)]
        minutes = int(text_of(request, "m:ConnectionTimeout") or 0)
        if minutes not in STREAM_MINUTES or not 1 <= len(names) <= MOST_IN_STREAM:
            raise Refused("ErrorInvalidRequest", "Between 1 and 30 minutes and up to 200 subscriptions are allowed.")
        bad = [name for name in names if not self._is_streamable(call, name)]
        if bad:
            yield _broken_off(bad)
            return
        listener, found = Listener(), [self.held[name] for name in names]
        for one in found:
            if one.listener is not None:
                one.listener.is_over = True
                one.listener.wake.set()
            one.listener = listener
        if any(one.pending for one in found):
            listener.wake.set()
        try:
            async for answer in self._listen(listener, found, minutes):
                yield answer
        finally:
            for one in found:
                one.touched = self.clock.now()
                if one.listener is listener:
                    one.listener = None

    def _is_streamable(self, call: Routed, name: str) -> bool:
        try:
            return self._usable(call, name).way == "streaming"
        except Refused:
            return False

    async def _listen(self, listener: Listener, found: list[Subscription], minutes: int) -> AsyncIterator[etree._Element]:
        yield _status("OK")
        loop = asyncio.get_running_loop()
        until = loop.time() + minutes * self.minute
        while not listener.is_over:
            try:
                async with asyncio.timeout_at(min(until, loop.time() + self.heartbeat)):
                    await listener.wake.wait()
            except TimeoutError:
                if loop.time() >= until:
                    break
                yield _status("OK")
                continue
            listener.wake.clear()
            if listener.lost:
                yield _broken_off(listener.lost)
                return
            told = [one for one in found if one.pending]
            if told and not listener.is_over:
                yield _told(told)
        if listener.is_cut:
            raise ConnectionResetError
        yield _status("Closed")

    # --- push

    async def _push(self, subscription: Subscription, listener: Listener) -> None:
        """Send events to the client's address as they come, and a sign of life in between."""
        try:
            async with aiohttp.ClientSession(timeout=PUSH_PATIENCE) as session:
                while subscription.id in self.held and await self._deliver(session, subscription):
                    if not subscription.pending:
                        with suppress(TimeoutError):
                            async with asyncio.timeout(subscription.minutes * self.minute):
                                await listener.wake.wait()
                    listener.wake.clear()
        finally:
            self._pushing.pop(subscription.id, None)
            if subscription.id in self.held:
                self._remove(subscription)

    async def _deliver(self, session: aiohttp.ClientSession, subscription: Subscription) -> bool:
        """Send what there is, again and again for one period; give whether the client wants more."""
        pause, waited = self.minute / 2, 0.0
        sent = subscription.number
        made = message("SendNotification")
        notified = success(
            "SendNotificationResponseMessage", parts=lambda one: _write_since(one, subscription, subscription.confirmed)
        )
        add(made, m("ResponseMessages")).append(notified)
        data = envelope(written(made), self.header())
        while True:
            status = await _posted(session, subscription.url, data)
            if status:
                subscription.confirmed = min(sent, subscription.confirmed + MOST_IN_ANSWER)
                subscription.pending = [one for one in subscription.pending if one[0] > subscription.confirmed]
                return status == "OK"
            if waited + pause > subscription.minutes * self.minute:
                return False
            await asyncio.sleep(pause)
            waited, pause = waited + pause, pause * 2


async def _posted(session: aiohttp.ClientSession, url: str, data: bytes) -> str:
    """Give the status a client answers with; empty where it gives none."""
    try:
        async with session.post(url, data=data, headers={"Content-Type": CONTENT_TYPE}) as answer:
            if answer.status != 200:
                return ""
            root = etree.fromstring(await answer.read(), etree.XMLParser(resolve_entities=False, no_network=True))
            status = root.findtext(f".//{{{MESSAGES}}}SubscriptionStatus") or ""
            return status if status in ("OK", "Unsubscribe") else ""
    except (aiohttp.ClientError, TimeoutError, etree.XMLSyntaxError):
        return ""


# --- writing -----------------------------------------------------------------------------------------------------


def _streamed(made: etree._Element) -> etree._Element:
    return responses("GetStreamingEvents", made)


def _status(status: str) -> etree._Element:
    return _streamed(
        success("GetStreamingEventsResponseMessage", parts=lambda made: _write_status(made, status)),
    )


def _write_status(made: etree._Element, status: str) -> None:
    add(made, m("ConnectionStatus"), status)


def _broken_off(names: Iterable[str]) -> etree._Element:
    made = message("GetStreamingEventsResponseMessage", ResponseClass="Error")
    fill_error(made, Refused("ErrorInvalidSubscription", "You aren't the owner of the subscription or it no longer exists."))
    listed = add(made, m("ErrorSubscriptionIds"))
    for name in names:
        add(listed, t("SubscriptionId"), name)
    _write_status(made, "Closed")
    return _streamed(made)


def _told(subscriptions: Iterable[Subscription]) -> etree._Element:
    def parts(made: etree._Element) -> None:
        listed = add(made, m("Notifications"))
        for one in subscriptions:
            notification = add(listed, t("Notification"))
            add(notification, t("SubscriptionId"), one.id)
            for _, event in one.pending:
                _write_event(notification, event)
            one.pending.clear()

    return _streamed(success("GetStreamingEventsResponseMessage", parts=parts))


def _write_since(made: etree._Element, subscription: Subscription, number: int) -> None:
    """Write the events after a place; those before it are confirmed by asking so."""
    subscription.confirmed = number
    subscription.pending = [one for one in subscription.pending if one[0] > number]
    told = subscription.pending[:MOST_IN_ANSWER]
    notification = add(made, m("Notification"))
    add(notification, t("SubscriptionId"), subscription.id)
    add(notification, t("PreviousWatermark"), subscription.watermark(number))
    add(notification, t("MoreEvents"), str(len(told) < len(subscription.pending)).lower())
    for place, event in told:
        _write_event(notification, event, subscription.watermark(place))
    if not told:
        add(add(notification, t("StatusEvent")), t("Watermark"), subscription.watermark(number))


def _write_event(notification: etree._Element, event: Event, watermark: str = "") -> None:
    made = add(notification, t(event.kind))
    if watermark:
        add(made, t("Watermark"), watermark)
    add(made, t("TimeStamp"), f"{event.at:%Y-%m-%dT%H:%M:%S}Z")
    if event.item:
        add(made, t("ItemId"), Id=event.item, ChangeKey=event.change_key)
        add(made, t("ParentFolderId"), Id=event.folder, ChangeKey="AQAAAA==")
    else:
        add(made, t("FolderId"), Id=event.folder, ChangeKey=event.change_key)
        add(made, t("ParentFolderId"), Id=event.folder, ChangeKey="AQAAAA==")
    if event.old_item or event.old_folder:
        add(made, t("OldItemId" if event.old_item else "OldFolderId"), Id=event.old_item or event.old_folder)
        add(made, t("OldParentFolderId"), Id=event.old_folder)
