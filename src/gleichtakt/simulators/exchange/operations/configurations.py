"""GetUserConfiguration: the settings programs keep in a mailbox. There are those of the web client, which name the zone."""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from gleichtakt.simulators.exchange.operations.call import Call
from gleichtakt.simulators.exchange.operations.targets import folder_in
from gleichtakt.simulators.exchange.soap import add, error_message, m, responses, success, t
from gleichtakt.simulators.exchange.state import Mailbox, Refused

OPTIONS = "OWA.UserOptions"
_MESSAGE = "GetUserConfigurationResponseMessage"


def _options(mailbox: Mailbox) -> Mapping[str, tuple[str, str]]:
    """Give what the web client keeps: name -> type and value."""
    return {
        "timezone": ("String", mailbox.zone),
        "timeformat": ("String", "HH:mm"),
        "dateformat": ("String", "dd.MM.yyyy"),
        "weekstartday": ("Integer32", "1"),
    }


def get_user_configuration(call: Call, request: etree._Element) -> etree._Element:
    """Answer with the settings of a name in a folder."""
    named = request.find(m("UserConfigurationName"))
    wished = (request.findtext(m("UserConfigurationProperties")) or "").split()
    try:
        folder = folder_in(call, named)
        name = named.get("Name", "") if named is not None else ""
        if name != OPTIONS or folder.distinguished != "root":
            raise Refused("ErrorItemNotFound", "The specified object was not found in the store.")
    except Refused as refused:
        return responses("GetUserConfiguration", error_message(_MESSAGE, refused))

    def fill(message: etree._Element) -> None:
        made = add(message, m("UserConfiguration"))
        add(add(made, t("UserConfigurationName"), None, Name=name), t("DistinguishedFolderId"), None, Id="root")
        if "Dictionary" in wished or "All" in wished:
            _write(add(made, t("Dictionary")), _options(folder.mailbox))

    return responses("GetUserConfiguration", success(_MESSAGE, parts=fill))


def _write(dictionary: etree._Element, options: Mapping[str, tuple[str, str]]) -> None:
    for key, value in options.items():
        entry = add(dictionary, t("DictionaryEntry"))
        for part, (kind, text) in (("DictionaryKey", ("String", key)), ("DictionaryValue", value)):
            typed = add(entry, t(part))
            add(typed, t("Type"), kind)
            add(typed, t("Value"), text)
