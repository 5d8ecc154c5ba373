"""FindItem: a folder's masters and single items by condition, or, with a calendar view, its occurrences in a stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from lxml import etree

from gleichtakt.simulators.exchange import calendar, rights
from gleichtakt.simulators.exchange.extended import NUMBERS, extended_of, read_uri
from gleichtakt.simulators.exchange.operations.call import Call, Filler, answer_each, first, whole
from gleichtakt.simulators.exchange.operations.paging import MOST_FOUND, Page, page_of
from gleichtakt.simulators.exchange.operations.restriction import Value, test_of
from gleichtakt.simulators.exchange.operations.shapes import property_name, read_shape, written
from gleichtakt.simulators.exchange.operations.targets import folder_of
from gleichtakt.simulators.exchange.properties import Shape, Uri, View, named, value_of
from gleichtakt.simulators.exchange.reading import read_time
from gleichtakt.simulators.exchange.soap import add, local, m, t
from gleichtakt.simulators.exchange.state import Folder, Item, Refused
from gleichtakt.simulators.exchange.zones import of_context

Cut = tuple[Sequence[tuple[Item, date | None]], dict[str, str]]
LONGEST_VIEW = timedelta(days=2 * 366)


def find_item(call: Call, request: etree._Element) -> etree._Element:
    """Answer each folder with what it holds."""
    shape = read_shape(request.find(m("ItemShape")), is_listing=True)
    view = request.find(m("CalendarView"))
    ids = request.find(m("ParentFolderIds"))
    if request.find(m("QueryString")) is not None:
        raise Refused("ErrorContentIndexingNotEnabled", "Content indexing is not enabled in this store.")

    def find(part: etree._Element) -> Filler:
        folder = folder_of(call, part)
        rights.check(rights.right_of(call.mailbox, folder), "reads")
        if request.get("Traversal") != "Shallow":
            return _found(call, folder, Page().cut([]), shape)
        if view is not None:
            return _found(call, folder, _viewed(call, request, folder, view), shape)
        page = page_of(request, "IndexedPageItemView", "FractionalPageItemView")
        return _found(call, folder, page.cut([(item, None) for item in _listed(call, request, folder)]), shape)

    return answer_each("FindItem", ids if ids is not None else (), find)


def _found(call: Call, folder: Folder, page: Cut, shape: Shape) -> Filler:
    chosen, attributes = page
    right = rights.right_of(call.mailbox, folder)

    def fill(message: etree._Element) -> None:
        holder = add(add(message, m("RootFolder"), **attributes), t("Items"))
        holder.extend(written(call, item, shape, right, slot) for item, slot in chosen)

    return fill


# --- by condition ------------------------------------------------------------------------------------------------


def _listed(call: Call, request: etree._Element, folder: Folder) -> list[Item]:
    """Give the items that pass, the newest first unless an order is asked for."""
    test = test_of(request.find(m("Restriction")))
    right = rights.right_of(call.mailbox, folder)
    views = [
        View(item, None, call.version, of_context(call.zone), right)
        for item in sorted(folder.items.values(), key=lambda item: -item.number)
    ]
    passed = [view for view in views if test(_values(view))]
    order = request.find(m("SortOrder"))
    for wished in reversed(order if order is not None else ()):
        passed.sort(key=partial(_place_in_order, first(wished)), reverse=wished.get("Order") == "Descending")
    return [view.item for view in passed]


def _place_in_order(path: etree._Element, view: View) -> tuple[bool, str]:
    value = _values(view)(path)
    if path.get("PropertyType") in NUMBERS and isinstance(value, str):
        value = f"{int(value):020}"
    return _sortable(value)


def _values(view: View) -> Callable[[etree._Element], Value]:
    def value(path: etree._Element) -> Value:
        if local(path) == "ExtendedFieldURI":
            return _extended(view, read_uri(path))
        if local(path) != "FieldURI":
            return None
        name = property_name(path)
        one = named(view.item.kind, name)
        if one is not None and "S" not in one.where:
            raise Refused("ErrorUnsupportedPathForQuery", "The property can not be used with this type of restriction.")
        return _plain(value_of(view, name)) if one is not None else None

    return value


def _extended(view: View, uri: Uri) -> Value:
    found = extended_of(view, uri)
    if found is None:
        return None
    return found if uri.type.endswith("Array") else found[0]


def _plain(value: object) -> Value:
    if value is None or isinstance(value, (str, bool, datetime, tuple)):
        return value
    return str(getattr(value, "name", value))


def _sortable(value: Value) -> tuple[bool, str]:
    if isinstance(value, datetime):
        return True, f"{value:%Y%m%d%H%M%S}"
    return value is not None, str(value).casefold()


# --- by time -----------------------------------------------------------------------------------------------------


def _viewed(call: Call, request: etree._Element, folder: Folder, view: etree._Element) -> Cut:
    if folder.kind != "CalendarFolder":
        raise Refused("ErrorCalendarFolderIsInvalidForCalendarView", "The folder is invalid for a calendar view.")
    if request.find(m("Restriction")) is not None or request.find(m("SortOrder")) is not None:
        raise Refused("ErrorUnsupportedPathForQuery", "A calendar view takes no restriction and no sort order.")
    start, end = _moment(call, view, "StartDate"), _moment(call, view, "EndDate")
    if end < start:
        raise Refused("ErrorCalendarEndDateIsEarlierThanStartDate", "EndDate is earlier than StartDate")
    if end - start > LONGEST_VIEW:
        raise Refused("ErrorCalendarViewRangeTooBig", "The requested calendar view spans more than two years.")
    found = sorted(_touching(folder, start, end), key=lambda one: calendar.span(*one).start)
    most = min(whole(view.get("MaxEntriesReturned", str(MOST_FOUND)), "MaxEntriesReturned"), MOST_FOUND)
    told = {"TotalItemsInView": str(len(found)), "IncludesLastItemInRange": "true" if len(found) <= most else "false"}
    return found[:most], told


def _moment(call: Call, view: etree._Element, name: str) -> datetime:
    moment = read_time(view.get(name, ""))
    return moment if moment.tzinfo else of_context(call.zone).instant(moment)


def _touching(folder: Folder, start: datetime, end: datetime) -> Iterator[tuple[Item, date | None]]:
    for item in folder.items.values():
        if item.kind != "CalendarItem":
            continue
        if calendar.pattern_of(item) is not None:
            yield from ((item, slot) for slot in calendar.slots_between(item, start, end))
        elif calendar.touches(calendar.span(item), start, end):
            yield item, None
