"""Notifications: what a subscription is told, by stream, by pull and by push. Pure.

Events are hints that something changed, no more; several come for one action. Some servers leave out watermarks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gleichtakt.providers.ews.wire.elements import child, children, flag, inside, said
from gleichtakt.providers.ews.wire.names import local_name
from gleichtakt.providers.ews.wire.soap import Element


@dataclass(frozen=True, slots=True)
class Subscription:
    """A new subscription, and where pull and push begin; streaming has no watermark."""

    id: str
    watermark: str = ""


def read_subscription(message: Element) -> Subscription:
    """Read one message of Subscribe."""
    return Subscription(said(message, "SubscriptionId"), said(message, "Watermark"))


@dataclass(frozen=True, slots=True)
class Notification:
    """What one subscription was told. events: names of the kinds, without signs of life; folders: where it happened.

    watermark: the last one told; empty where none was. more: ask again at once.
    """

    subscription: str
    events: tuple[str, ...] = ()
    folders: frozenset[str] = frozenset()
    watermark: str = ""
    more: bool = False

    @property
    def is_alive(self) -> bool:
        """Say whether it is only a sign of life."""
        return not self.events


@dataclass(frozen=True, slots=True)
class Told:
    """One envelope of a stream, one answer to GetEvents, or one call of a push. closed: the server ends this connection.

    lost: subscriptions the server does not know; they must go before the others are told again.
    """

    notifications: tuple[Notification, ...] = ()
    closed: bool = False
    lost: tuple[str, ...] = ()


def read_told(message: Element) -> Told:
    """Read one message of GetStreamingEvents, GetEvents or SendNotification."""
    notifications = tuple(_notification(each) for each in inside(message, "Notification"))
    closed = said(message, "ConnectionStatus") == "Closed"
    lost = tuple(said(each) for each in children(child(message, "ErrorSubscriptionIds"), "SubscriptionId"))
    return Told(notifications, closed, lost)


def _notification(element: Element) -> Notification:
    events, folders, watermark = [], set(), ""
    for each in children(element):
        name = local_name(each.tag)
        if not name.endswith("Event"):
            continue
        watermark = said(each, "Watermark") or watermark
        if name != "StatusEvent":
            events.append(name)
            folders |= set(_folders(each))
    return Notification(
        said(element, "SubscriptionId"),
        tuple(events),
        frozenset(folders),
        watermark or said(element, "PreviousWatermark"),
        flag(element, "MoreEvents"),
    )


def _folders(event: Element) -> Iterator[str]:
    for name in ("ParentFolderId", "OldParentFolderId", "FolderId"):
        found = child(event, name)
        if found is not None and (told := found.get("Id")):
            yield told
