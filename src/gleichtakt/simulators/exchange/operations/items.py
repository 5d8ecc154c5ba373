"""GetItem, CreateItem, UpdateItem, DeleteItem, MoveItem and CopyItem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange import bodies, delivery, icalendar, items, rights
from gleichtakt.simulators.exchange.extended import MIRRORS, read_extended, read_uri
from gleichtakt.simulators.exchange.ids import change_of
from gleichtakt.simulators.exchange.operations.call import Call, Filler, answer_each, first
from gleichtakt.simulators.exchange.operations.shapes import bare, property_name, read_shape, written
from gleichtakt.simulators.exchange.operations.targets import Target, folder_in, target_of
from gleichtakt.simulators.exchange.properties import ATTENDEE_LISTS, Person, Uri, named
from gleichtakt.simulators.exchange.reading import read_value
from gleichtakt.simulators.exchange.soap import add, local, m, t
from gleichtakt.simulators.exchange.state import Folder, Item, Refused

_RESPONSES = {"AcceptItem": "Accept", "TentativelyAcceptItem": "Tentative", "DeclineItem": "Decline"}


def _parts(request: etree._Element, name: str) -> Iterable[etree._Element]:
    found = request.find(m(name))
    return found if found is not None else ()


def _holding(*elements: etree._Element) -> Filler:
    def fill(message: etree._Element) -> None:
        add(message, m("Items")).extend(elements)

    return fill


def get_item(call: Call, request: etree._Element) -> etree._Element:
    """Answer each id with its item."""
    shape = read_shape(request.find(m("ItemShape")))

    def get(part: etree._Element) -> Filler:
        target = target_of(call, part)
        return _holding(written(call, target.item, shape, target.right, target.slot))

    return answer_each("GetItem", _parts(request, "ItemIds"), get, empty="Items")


# --- making ------------------------------------------------------------------------------------------------------


def create_item(call: Call, request: etree._Element) -> etree._Element:
    """Make each item in the folder named, by default where its kind belongs."""

    def create(part: etree._Element) -> Filler:
        return _CREATED.get(local(part), _unknown_kind)(call, request, part)

    return answer_each("CreateItem", _parts(request, "Items"), create, empty="Items")


def _unknown_kind(call: Call, request: etree._Element, part: etree._Element) -> Filler:
    raise Refused("ErrorInvalidOperation", f"This simulator makes no {local(part)}.")


def _into(call: Call, request: etree._Element, default: str) -> Folder:
    named = request.find(m("SavedItemFolderId"))
    folder = folder_in(call, named) if named is not None else call.home.at(default)
    rights.check(rights.right_of(call.mailbox, folder), "creates")
    return folder


def _read_values(part: etree._Element) -> dict[str, Any]:
    values: dict[str, Any] = {}
    extended: dict[Uri, tuple[str, ...]] = {}
    for element in part:
        if local(element) == "ExtendedProperty":
            uri, found = read_extended(element)
            if (mirror := MIRRORS.get(uri.key)) is not None:
                values[mirror.name] = mirror.read(found)
            else:
                extended[uri] = found
        else:
            name, value = read_value(local(part), element)
            values[name] = value
    return values | ({"ExtendedProperty": extended} if extended else {})


def _create_calendar_item(call: Call, request: etree._Element, part: etree._Element) -> Filler:
    wish = request.get("SendMeetingInvitations", "")
    if not wish:
        raise Refused("ErrorSendMeetingInvitationsRequired", "SendMeetingInvitations attribute is required for calendar items.")
    folder = _into(call, request, "calendar")
    if folder.kind != "CalendarFolder":
        raise Refused("ErrorCannotCreateCalendarItemInNonCalendarFolder", "Cannot create a calendar item in this folder.")
    values, occurrences = _with_mime(call, _read_values(part))
    made = items.put(call.simulator, folder, values, doer=call.doer, occurrences=occurrences)
    items.invite(call.simulator, made, wish, doer=call.doer)
    return _holding(bare(call, made))


def _with_mime(call: Call, values: dict[str, Any]) -> tuple[dict[str, Any], items.Occurrences]:
    """Give what values say together with the MIME content among them; they win. Raises Refused."""
    content = values.pop("MimeContent", None)
    if content is None:
        return values, {}
    told = icalendar.read(content, call.doer.zone)
    return {**told.values, **values}, told.occurrences


def _create_message(call: Call, request: etree._Element, part: etree._Element) -> Filler:
    disposition = request.get("MessageDisposition", "")
    if not disposition:
        raise Refused("ErrorMessageDispositionRequired", "MessageDisposition attribute is required for messages.")
    saved = disposition == "SaveOnly"
    sender = Person(call.home.name, call.home.address)
    values = {"Subject": "", "Sensitivity": "Normal", "Sender": sender, "From": sender, "IsRead": True, **_read_values(part)}
    if disposition == "SendOnly":
        made = Item(call.home.at("outbox"), 0, "Message", values, call.clock.now(), call.clock.now())
    else:
        folder = _into(call, request, "drafts" if saved else "sentitems")
        made = items.put(call.simulator, folder, values, kind="Message", doer=call.doer)
    if saved:
        return _holding(bare(call, made))
    for person in values.get("ToRecipients", ()):
        delivery.mail(call.simulator, made, person.address, "message")
        if mailbox := call.simulator.mailboxes.get(person.address.lower()):
            arrived = {**values, "IsRead": False}
            items.put(call.simulator, mailbox.at("inbox"), arrived, kind="Message", doer=call.doer, event="NewMailEvent")
    return _holding()


def _referenced(call: Call, part: etree._Element) -> Target:
    reference = part.find(t("ReferenceItemId"))
    if reference is None:
        raise Refused("ErrorMissingInformationReferenceItemId", "The reference item id is missing.")
    target = target_of(call, reference)
    meant = target.item.values.get("AssociatedCalendarItemId", target.item)
    return Target(meant, None, target.key, target.right)


def _respond(call: Call, request: etree._Element, part: etree._Element) -> Filler:
    response = _RESPONSES[local(part)]
    item = _referenced(call, part).item
    verb = "TentativelyAccept" if response == "Tentative" else response
    if delivery.is_organized_here(item):
        code = f"ErrorCalendarIsOrganizerFor{verb.removesuffix('lyAccept')}"
        raise Refused(code, "The organizer cannot respond to the own meeting.")
    if item.values.get("IsCancelled"):
        raise Refused(f"ErrorCalendarIsCancelledFor{verb.removesuffix('lyAccept')}", "The meeting is cancelled.")
    items.respond(call.simulator, item, response, sends=request.get("MessageDisposition") != "SaveOnly", doer=call.doer)
    return _holding() if response == "Decline" else _holding(bare(call, item))


def _call_off(call: Call, request: etree._Element, part: etree._Element) -> Filler:
    item = _referenced(call, part).item
    if not delivery.is_organized_here(item):
        raise Refused("ErrorCalendarIsNotOrganizer", "Only the organizer can cancel a meeting.")
    items.call_off(call.simulator, item, "SendToAllAndSaveCopy")
    items.remove(call.simulator, item, doer=call.doer, to_bin=True)
    return _holding()


_CREATED: Mapping[str, Callable[[Call, etree._Element, etree._Element], Filler]] = {
    "CalendarItem": _create_calendar_item,
    "Message": _create_message,
    "CancelCalendarItem": _call_off,
} | dict.fromkeys(_RESPONSES, _respond)


# --- changing ----------------------------------------------------------------------------------------------------


def update_item(call: Call, request: etree._Element) -> etree._Element:
    """Carry out the changes of each item, all of them or none."""
    resolution = request.get("ConflictResolution", "AutoResolve")
    wish = request.get("SendMeetingInvitationsOrCancellations", "")

    def update(part: etree._Element) -> Filler:
        target = target_of(call, first(part))
        if target.item.kind == "CalendarItem" and not wish:
            raise Refused(
                "ErrorSendMeetingInvitationsOrCancellationsRequired",
                "SendMeetingInvitationsOrCancellations attribute is required for calendar items.",
            )
        rights.check(target.right, "edits")
        conflicts = _conflicts(target, resolution)
        before = dict(target.item.values)
        changes = _read_changes(target, part.find(t("Updates")))
        if "MimeContent" in changes:
            _overwrite(call, target, changes)
        else:
            items.change(call.simulator, target.item, changes, slot=target.slot, doer=call.doer)
        if target.item.kind == "CalendarItem":
            items.invite(call.simulator, target.item, wish, before, doer=call.doer)
        return _updated(call, target, conflicts)

    return answer_each("UpdateItem", _parts(request, "ItemChanges"), update, empty="Items")


def _overwrite(call: Call, target: Target, changes: dict[str, Any]) -> None:
    if target.slot is not None or target.item.kind != "CalendarItem":
        raise Refused("ErrorInvalidPropertySet", "Set action is invalid for property.", {"FieldURI": "item:MimeContent"})
    values, occurrences = _with_mime(call, changes)
    items.overwrite(call.simulator, target.item, values, occurrences, doer=call.doer)


def _conflicts(target: Target, resolution: str) -> int:
    """Give how many conflicts the server settles by itself. Raises Refused where the client wants none settled."""
    if resolution == "AlwaysOverwrite":
        return 0
    if not target.key:
        raise Refused("ErrorChangeKeyRequiredForWriteOperations", "The change key is required for this operation.")
    if change_of(target.key) == target.item.change:
        return 0
    if resolution == "NeverOverwrite":
        raise Refused(
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the change key passed in the request "
            "does not match the current change key for the item.",
        )
    return 1


def _updated(call: Call, target: Target, conflicts: int) -> Filler:
    def fill(message: etree._Element) -> None:
        add(message, m("Items")).append(bare(call, target.item, target.slot))
        add(add(message, m("ConflictResults")), t("Count"), str(conflicts))

    return fill


def _read_changes(target: Target, updates: etree._Element | None) -> dict[str, Any]:
    if updates is None or not len(updates):
        raise Refused("ErrorSchemaValidation", "The request failed schema validation: Updates is empty.")
    changes: dict[str, Any] = {}
    for update in updates:
        _CHANGES[local(update)](target, update, changes)
    return changes


def _extended_now(target: Target, changes: Mapping[str, Any]) -> dict[Uri, Any]:
    """Give the extended properties as they are after the changes so far; of an occurrence only its own."""
    stored: Mapping[Uri, Any] = (target.item.values.get("ExtendedProperty") or {}) if target.slot is None else {}
    return dict(changes.get("ExtendedProperty", stored))


def _set(target: Target, update: etree._Element, changes: dict[str, Any]) -> None:
    if len(update) != 2 or len(update[1]) != 1:
        raise Refused("ErrorIncorrectUpdatePropertyCount", "Set or append a property takes exactly one property.")
    path, element = update[0], update[1][0]
    if local(path) == "ExtendedFieldURI":
        uri, value = read_extended(_extended_in(element))
        if uri != read_uri(path):
            raise _mismatch()
        if (mirror := MIRRORS.get(uri.key)) is not None:
            changes[mirror.name] = mirror.read(value)
            return
        changes["ExtendedProperty"] = {**_extended_now(target, changes), uri: value}
        return
    if local(path) != "FieldURI" or property_name(path) != local(element):
        raise _mismatch()
    name, value = read_value(target.item.kind, element)
    changes[name] = value


def _extended_in(element: etree._Element) -> etree._Element:
    if local(element) != "ExtendedProperty":
        raise _mismatch()
    return element


def _mismatch() -> Refused:
    return Refused("ErrorUpdatePropertyMismatch", "The property in the item does not match the path of the change.")


def _delete(target: Target, update: etree._Element, changes: dict[str, Any]) -> None:
    path = first(update)
    if local(path) == "ExtendedFieldURI":
        uri, now = read_uri(path), _extended_now(target, changes)
        if (mirror := MIRRORS.get(uri.key)) is not None:
            changes[mirror.name] = None
            return
        changes["ExtendedProperty"] = {**now, uri: None} if target.slot else {k: v for k, v in now.items() if k != uri}
        return
    name = property_name(path)
    one = named(target.item.kind, name)
    if one is None or "w" not in one.where or "n" in one.where:
        raise Refused(
            "ErrorInvalidPropertyDelete",
            "Delete action is not supported for this property.",
            {"FieldURI": path.get("FieldURI", "")},
        )
    changes["StartTimeZone" if name == "MeetingTimeZone" else name] = None


def _append(target: Target, update: etree._Element, changes: dict[str, Any]) -> None:
    fresh: dict[str, Any] = {}
    _set(target, update, fresh)
    ((name, value),) = fresh.items()
    before = changes.get(name, target.item.get(name, target.slot))
    if isinstance(value, bodies.Body):
        before = before.given(value.kind) if before else bodies.Body(value.kind, "")
        changes[name] = bodies.stored(value.kind, before.text + value.text)
    elif name in (*ATTENDEE_LISTS, "ToRecipients"):
        changes[name] = (*(before or ()), *value)
    else:
        raise Refused("ErrorInvalidPropertyAppend", "Append action is not supported for this property.")


_CHANGES = {"SetItemField": _set, "DeleteItemField": _delete, "AppendToItemField": _append}


# --- taking away, moving -----------------------------------------------------------------------------------------


def delete_item(call: Call, request: etree._Element) -> etree._Element:
    """Delete each item, or occurrence. Change keys are not looked at: Exchange does not either."""
    wish, how = request.get("SendMeetingCancellations", ""), request.get("DeleteType", "")

    def delete(part: etree._Element) -> Filler:
        target = target_of(call, part)
        if target.item.kind == "CalendarItem" and not wish:
            raise Refused(
                "ErrorSendMeetingCancellationsRequired", "SendMeetingCancellations attribute is required for calendar items."
            )
        rights.check(target.right, "deletes")
        items.call_off(call.simulator, target.item, wish or "SendToNone", slot=target.slot)
        if target.item.number in target.item.folder.items:  # declining took it away already
            items.remove(call.simulator, target.item, slot=target.slot, doer=call.doer, to_bin=how == "MoveToDeletedItems")
        return lambda message: None

    return answer_each("DeleteItem", _parts(request, "ItemIds"), delete)


def move_item(call: Call, request: etree._Element) -> etree._Element:
    """Move items to a folder."""
    return _to_folder(call, request, "MoveItem", items.move)


def copy_item(call: Call, request: etree._Element) -> etree._Element:
    """Copy items to a folder."""
    return _to_folder(call, request, "CopyItem", items.copy)


def _to_folder(call: Call, request: etree._Element, operation: str, deed: Callable[..., Item]) -> etree._Element:
    def carry(part: etree._Element) -> Filler:
        target = target_of(call, part)
        if target.slot is not None:
            raise Refused("ErrorCalendarCannotMoveOrCopyOccurrence", "An occurrence cannot be moved or copied.")
        rights.check(target.right, "deletes" if operation == "MoveItem" else "reads")
        folder = folder_in(call, request.find(m("ToFolderId")))
        rights.check(rights.right_of(call.mailbox, folder), "creates")
        return _holding(bare(call, deed(call.simulator, target.item, folder, doer=call.doer)))

    return answer_each(operation, _parts(request, "ItemIds"), carry, empty="Items")
