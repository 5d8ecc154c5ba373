"""The protocol's own words: namespaces, versions, and tables between their enumerations and ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from gleichtakt.model.event import Response, Sensitivity, ShowAs

TYPES: Final = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES: Final = "http://schemas.microsoft.com/exchange/services/2006/messages"
ERRORS: Final = "http://schemas.microsoft.com/exchange/services/2006/errors"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12: Final = "http://www.w3.org/2003/05/soap-envelope"  # some other products answer in it

T: Final = f"{{{TYPES}}}"
M: Final = f"{{{MESSAGES}}}"
S: Final = f"{{{SOAP}}}"

#: What `RequestServerVersion` may say, oldest first. The schema names more; none of those adds a thing for calendars.
VERSIONS: Final = (
    "Exchange2007_SP1",
    "Exchange2010",
    "Exchange2010_SP1",
    "Exchange2010_SP2",
    "Exchange2013",
    "Exchange2013_SP1",
    "Exchange2016",
)


@cache
def knows(version: str, since: str) -> bool:
    """Say whether a request in *version* may use what came with *since*; both are among `VERSIONS`."""
    return VERSIONS.index(version) >= VERSIONS.index(since)


def local_name(tag: object) -> str:
    """Give the name of an element without its namespace."""
    return str(tag).rpartition("}")[2]


#: A status nobody knows keeps the time taken.
SHOW_AS: Final[Mapping[str, ShowAs]] = {
    "Free": ShowAs.FREE,
    "Tentative": ShowAs.TENTATIVE,
    "Busy": ShowAs.BUSY,
    "OOF": ShowAs.OOF,
    "WorkingElsewhere": ShowAs.WORKING_ELSEWHERE,
}
FREE_BUSY_STATUS: Final[Mapping[ShowAs, str]] = {ours: theirs for theirs, ours in SHOW_AS.items()}

SENSITIVITY: Final[Mapping[str, Sensitivity]] = {
    "Normal": Sensitivity.NORMAL,
    "Personal": Sensitivity.PERSONAL,
    "Private": Sensitivity.PRIVATE,
    "Confidential": Sensitivity.CONFIDENTIAL,
}
SENSITIVITY_CHOICE: Final[Mapping[Sensitivity, str]] = {ours: theirs for theirs, ours in SENSITIVITY.items()}

RESPONSE: Final[Mapping[str, Response]] = {
    "Unknown": Response.NONE,
    "NoResponseReceived": Response.NONE,
    "Organizer": Response.ORGANIZER,
    "Tentative": Response.TENTATIVE,
    "Accept": Response.ACCEPTED,
    "Decline": Response.DECLINED,
}

#: Monday is 0, as `date.weekday` counts.
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
