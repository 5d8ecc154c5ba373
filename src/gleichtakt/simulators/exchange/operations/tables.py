"""ConvertId and GetServerTimeZones."""

from __future__ import annotations

from lxml import etree

from gleichtakt.simulators.exchange import zones
from gleichtakt.simulators.exchange.ids import FORMATS, mailbox_of, read_id, written
from gleichtakt.simulators.exchange.operations.call import Call, Filler, answer_each
from gleichtakt.simulators.exchange.soap import add, m, responses, success, t
from gleichtakt.simulators.exchange.state import Refused

_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def convert_id(call: Call, request: etree._Element) -> etree._Element:
    """Answer each id in another format."""
    wished = request.get("DestinationFormat", "")
    sources = request.find(m("SourceIds"))

    def convert(part: etree._Element) -> Filler:
        address = part.get("Mailbox", "")
        if "@" not in address:
            raise Refused("ErrorInvalidSmtpAddress", "The SMTP address format is invalid.")
        if wished not in FORMATS or part.get("Format", "") not in FORMATS:
            raise Refused("ErrorUnsupportedTypeForConversion", "The format is not supported.")
        place = read_id(part.get("Id", ""), part.get("Format", ""))
        owner = mailbox_of(call.simulator, place)
        mailbox = call.simulator.mailbox(address) if owner is None else owner

        def fill(message: etree._Element) -> None:
            made = add(message, m("AlternateId"), None, Format=wished, Id=written(place, wished), Mailbox=mailbox.address)
            made.set(_TYPE, "t:AlternateIdType")

        return fill

    return answer_each("ConvertId", sources if sources is not None else (), convert)


def get_server_time_zones(call: Call, request: etree._Element) -> etree._Element:
    """Answer with the zones asked for, or all; with their rules unless they are not wanted. Unknown ids are passed over."""
    in_full = request.get("ReturnFullTimeZoneData", "true").lower() in ("true", "1")
    ids = request.find(m("Ids"))
    wished = [one.text or "" for one in ids] if ids is not None else list(zones.names())
    found = [zone for windows_id in wished if (zone := zones.known(windows_id)) is not None]
    year = call.clock.now().year

    def fill(message: etree._Element) -> None:
        holder = add(message, m("TimeZoneDefinitions"))
        for zone in found:
            if in_full:
                holder.append(zones.definition(zone, t("TimeZoneDefinition"), year))
            else:
                add(holder, t("TimeZoneDefinition"), None, Id=zone.id, Name=zone.name)

    return responses("GetServerTimeZones", success("GetServerTimeZonesResponseMessage", parts=fill))
