"""What each code of Exchange means: which kind of trouble, how much of the work it stops, and the sentence for it. Pure.

The text that comes with a code is translated by the server and may name people, so it is never matched, shown or
logged. A code that is not listed is judged by its name; servers add new ones.
Sources: ResponseCodeType in the published schema; «Handling synchronization-related errors», «Handling
notification-related errors» and «EWS throttling» in Microsoft's documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from gleichtakt.errors import (
    Ambiguous,
    AuthRequired,
    Conflict,
    CursorExpired,
    Gone,
    Permanent,
    Scope,
    Throttled,
    Transient,
    Trouble,
)

PAUSE_LEAST, PAUSE_MOST, PAUSE_UNTOLD = timedelta(milliseconds=50), timedelta(minutes=10), timedelta(seconds=30)
BACK_OFF: Final = "BackOffMilliseconds"
_WIDTH: Final = (Scope.SERIES, Scope.CALENDAR, Scope.ACCOUNT)


class Meaning(NamedTuple):
    """What a code means. scope: at least how much stops; a throttled one stops its budget, whatever it says here."""

    kind: type[Trouble]
    scope: Scope
    sentence: str


_GONE = Meaning(Gone, Scope.SERIES, "general.gone")
_STALE = Meaning(Conflict, Scope.SERIES, "general.stale")
_CURSOR = Meaning(CursorExpired, Scope.CALENDAR, "general.cursor_expired")
_REJECTED = Meaning(Permanent, Scope.SERIES, "general.rejected")
_TOO_LARGE = Meaning(Permanent, Scope.SERIES, "general.too_large")
_FULL = Meaning(Transient, Scope.CALENDAR, "general.storage_full")
_MISSING = Meaning(Permanent, Scope.CALENDAR, "general.calendar_missing")
_BUSY = Meaning(Throttled, Scope.CALENDAR, "general.throttled")
_NO_MAILBOX = Meaning(Permanent, Scope.CALENDAR, "ews.mailbox_unknown")
_DISABLED = Meaning(Permanent, Scope.CALENDAR, "ews.mailbox_disabled")
_NOT_IMPERSONATED = Meaning(Permanent, Scope.CALENDAR, "ews.impersonation_denied")
_DENIED = Meaning(Permanent, Scope.SERIES, "ews.access_denied")
_AWAY = Meaning(Transient, Scope.CALENDAR, "ews.mailbox_away")
_MOVING = Meaning(Transient, Scope.CALENDAR, "ews.mailbox_moving")
_INTERNAL = Meaning(Transient, Scope.SERIES, "ews.internal_error")
_SLOW = Meaning(Transient, Scope.SERIES, "ews.too_slow")
_OTHER_VERSION = Meaning(Transient, Scope.CALENDAR, "ews.other_version")
_ID = Meaning(Conflict, Scope.SERIES, "ews.id_refused")
_OCCURRENCE = Meaning(Conflict, Scope.SERIES, "ews.occurrence_gone")
_RULE = Meaning(Permanent, Scope.SERIES, "ews.rule_refused")
_ZONE = Meaning(Permanent, Scope.SERIES, "ews.zone_refused")
_TIMES = Meaning(Permanent, Scope.SERIES, "ews.times_refused")
_RANGE = Meaning(Permanent, Scope.CALENDAR, "ews.range_too_big")
_CORRUPT = Meaning(Permanent, Scope.SERIES, "ews.item_corrupt")
_WATCH = Meaning(Conflict, Scope.CALENDAR, "ews.subscription_lost")
_PASSWORD = Meaning(AuthRequired, Scope.ACCOUNT, "ews.password_expired")
_UNKNOWN = Meaning(Transient, Scope.SERIES, "ews.code_unknown")

KINDS: Final[Mapping[str, Meaning]] = {
    # the server has too much to do
    "ErrorServerBusy": _BUSY,
    "ErrorInsufficientResources": _BUSY,
    "ErrorNotEnoughMemory": _BUSY,
    "ErrorTooManyObjectsOpened": _BUSY,
    "ErrorExceededFindCountLimit": _BUSY,
    "ErrorExceededConnectionCount": Meaning(Throttled, Scope.CALENDAR, "ews.too_many_connections"),
    "ErrorTimeoutExpired": _SLOW,
    "ErrorBatchProcessingStopped": Meaning(Transient, Scope.SERIES, "ews.not_done"),
    "ErrorInternalServerError": _INTERNAL,
    "ErrorInternalServerTransientError": _INTERNAL,
    "ErrorRequestAborted": _INTERNAL,
    "ErrorClientDisconnected": _INTERNAL,
    "ErrorMailboxStoreUnavailable": _AWAY,
    "ErrorConnectionFailed": _AWAY,
    "ErrorMailboxLogonFailed": _AWAY,
    "ErrorMailboxFailover": _AWAY,
    "ErrorADUnavailable": _AWAY,
    "ErrorADOperation": _AWAY,
    "ErrorServiceUnavailable": _AWAY,
    "ErrorMailboxMoveInProgress": _MOVING,
    "ErrorWrongServerVersion": _MOVING,
    "ErrorCrossSiteRequest": _MOVING,
    # who we are, whom we act for, what we may
    "ErrorPasswordExpired": _PASSWORD,
    "ErrorPasswordChangeRequired": _PASSWORD,
    "ErrorImpersonateUserDenied": _NOT_IMPERSONATED,
    "ErrorImpersonationDenied": _NOT_IMPERSONATED,
    "ErrorImpersonationFailed": _NOT_IMPERSONATED,
    "ErrorNonExistentMailbox": _NO_MAILBOX,
    "ErrorMissingEmailAddress": _NO_MAILBOX,
    "ErrorInvalidSmtpAddress": _NO_MAILBOX,
    "ErrorInvalidMailbox": _NO_MAILBOX,
    "ErrorCannotFindUser": _NO_MAILBOX,
    "ErrorInvalidUserPrincipalName": _NO_MAILBOX,
    "ErrorMailRecipientNotFound": Meaning(Permanent, Scope.SERIES, "ews.mailbox_unknown"),
    "ErrorNonPrimarySmtpAddress": Meaning(Permanent, Scope.CALENDAR, "ews.address_not_primary"),
    "ErrorAccountDisabled": _DISABLED,
    "ErrorInvalidLicense": _DISABLED,
    "ErrorOrganizationAccessBlocked": _DISABLED,
    "ErrorAccessDenied": _DENIED,
    "ErrorCreateItemAccessDenied": _DENIED,
    "ErrorSubscriptionAccessDenied": _DENIED,
    "ErrorNoFreeBusyAccess": _DENIED,
    "ErrorNotDelegate": _DENIED,
    "ErrorDelegateNoUser": _DENIED,
    # where we read
    "ErrorInvalidSyncStateData": _CURSOR,
    "ErrorSyncFolderNotFound": _CURSOR,
    "ErrorFolderNotFound": _MISSING,
    "ErrorParentFolderNotFound": _MISSING,
    "ErrorInvalidFolderId": _MISSING,
    "ErrorNoCalendar": _MISSING,
    "ErrorCannotCreateCalendarItemInNonCalendarFolder": _MISSING,
    "ErrorCalendarFolderIsInvalidForCalendarView": _MISSING,
    "ErrorCalendarViewRangeTooBig": _RANGE,
    "ErrorTimeIntervalTooBig": _RANGE,
    "ErrorInvalidServerVersion": _OTHER_VERSION,
    "ErrorIncorrectSchemaVersion": _OTHER_VERSION,
    "ErrorInvalidSchemaVersionForMailboxVersion": _OTHER_VERSION,
    "ErrorNameResolutionNoResults": Meaning(Permanent, Scope.SERIES, "ews.name_unknown"),
    "ErrorNameResolutionNoMailbox": Meaning(Permanent, Scope.SERIES, "ews.name_unknown"),
    "ErrorNameResolutionMultipleResults": Meaning(Permanent, Scope.SERIES, "ews.name_ambiguous"),
    # one event
    "ErrorItemNotFound": _GONE,
    "ErrorCalendarCannotUpdateDeletedItem": _GONE,
    "ErrorIrresolvableConflict": _STALE,
    "ErrorStaleObject": _STALE,
    "ErrorChangeKeyRequired": _STALE,
    "ErrorChangeKeyRequiredForWriteOperations": _STALE,
    "ErrorInvalidChangeKey": _STALE,
    "ErrorInvalidId": _ID,
    "ErrorInvalidIdEmpty": _ID,
    "ErrorInvalidIdMalformed": _ID,
    "ErrorInvalidIdMalformedEwsLegacyIdFormat": _ID,
    "ErrorInvalidIdXml": _ID,
    "ErrorCalendarOccurrenceIsDeletedFromRecurrence": _OCCURRENCE,
    "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange": _OCCURRENCE,
    "ErrorOccurrenceCrossingBoundary": Meaning(Permanent, Scope.SERIES, "ews.crossing"),
    "ErrorCalendarInvalidRecurrence": _RULE,
    "ErrorUnsupportedRecurrence": _RULE,
    "ErrorRecurrenceHasNoOccurrence": _RULE,
    "ErrorRecurrenceEndDateTooBig": _RULE,
    "ErrorOccurrenceTimeSpanTooBig": _RULE,
    "ErrorCalendarInvalidDayForTimeChangePattern": _RULE,
    "ErrorCalendarInvalidDayForWeeklyRecurrence": _RULE,
    "ErrorTimeZone": _ZONE,
    "ErrorCalendarInvalidTimeZone": _ZONE,
    "ErrorCalendarEndDateIsEarlierThanStartDate": _TIMES,
    "ErrorCalendarDurationIsTooLong": _TIMES,
    "ErrorCalendarOutOfRange": _TIMES,
    "ErrorCalendarIsNotOrganizer": Meaning(Permanent, Scope.SERIES, "ews.not_organizer"),
    "ErrorItemCorrupt": _CORRUPT,
    "ErrorCorruptData": _CORRUPT,
    "ErrorContentConversionFailed": _CORRUPT,
    "ErrorMessageSizeExceeded": _TOO_LARGE,
    "ErrorDataSizeLimitExceeded": _TOO_LARGE,
    "ErrorRequestStreamTooBig": _TOO_LARGE,
    "ErrorQuotaExceeded": _FULL,
    "ErrorMessagePerFolderCountReceiveQuotaExceeded": _FULL,
    "ErrorSchemaValidation": _REJECTED,
    "ErrorInvalidRequest": _REJECTED,
    "ErrorInvalidOperation": _REJECTED,
    # notifications
    "ErrorInvalidSubscription": _WATCH,
    "ErrorSubscriptionNotFound": _WATCH,
    "ErrorSubscriptionUnsubscribed": _WATCH,
    "ErrorExpiredSubscription": _WATCH,
    "ErrorInvalidPullSubscriptionId": _WATCH,
    "ErrorInvalidWatermark": _WATCH,
    "ErrorMissedNotificationEvents": _WATCH,
    "ErrorReadEventsFailed": _WATCH,
    "ErrorEventNotFound": _WATCH,
    "ErrorNewEventStreamConnectionOpened": _WATCH,
    "ErrorExceededSubscriptionCount": Meaning(Transient, Scope.CALENDAR, "ews.too_many_subscriptions"),
    "ErrorInvalidPushSubscriptionUrl": Meaning(Permanent, Scope.CALENDAR, "ews.push_url"),
    # of SOAP, where Exchange gave no code of its own
    "Client": _REJECTED,
    "Sender": _REJECTED,
}

#: Parts of a name -> what an unlisted code of that name means; the first that fits.
_BY_NAME: Final = (
    (re.compile(r"Timeout|TimedOut"), _SLOW),
    (re.compile(r"Transient|Unavailable|Busy|InProgress|Aborted|Disconnected|RequestFailed|^Server|^Receiver"), _INTERNAL),
    (re.compile(r"Proxy|DestinationCAS|RespondingCAS|ServiceDiscovery"), _AWAY),
    (re.compile(r"Denied|NotAllowed|NotAuthorized|Unauthorized|Blocked|ByPolicy"), _DENIED),
    (re.compile(r"Quota"), _FULL),
    (re.compile(r"TooLarge|SizeExceeded|SizeLimit"), _TOO_LARGE),
    (
        re.compile(r"Invalid|Unsupported|NotSupported|Cannot|Missing|Required|TooBig|TooLong|Validation|Malformed|OutOfRange"),
        _REJECTED,
    ),
)
#: Transient codes that are said before anything was done, so that a write which meets them has certainly not happened.
_BEFORE_EFFECT: Final = frozenset(
    {
        "ErrorBatchProcessingStopped",
        "ErrorMailboxMoveInProgress",
        "ErrorWrongServerVersion",
        "ErrorCrossSiteRequest",
        "ErrorInvalidServerVersion",
        "ErrorIncorrectSchemaVersion",
        "ErrorInvalidSchemaVersionForMailboxVersion",
        "ErrorExceededSubscriptionCount",
        "ErrorQuotaExceeded",
        "ErrorMessagePerFolderCountReceiveQuotaExceeded",
    }
)
#: After these the mailbox may be found on another server.
MOVED: Final = frozenset({"ErrorMailboxMoveInProgress", "ErrorWrongServerVersion", "ErrorCrossSiteRequest"})
#: After these fewer requests at once are the remedy.
CROWDED: Final = frozenset({"ErrorExceededConnectionCount"})
#: The server understood the envelope and not the version in it.
VERSION_REFUSED: Final = frozenset({"ErrorInvalidServerVersion", "ErrorIncorrectSchemaVersion"})


def meaning(code: str) -> Meaning:
    """Say what a code means; one that is not listed is judged by its name, and retried where the name says nothing."""
    if code in KINDS:
        return KINDS[code]
    return next((found for pattern, found in _BY_NAME if pattern.search(code)), _UNKNOWN)


def pause(params: Mapping[str, str]) -> timedelta | None:
    """Give how long the server asks us to wait, within sensible bounds; None where it does not ask."""
    told = params.get(BACK_OFF, "").strip().partition(".")[0]
    if not told.isdigit():
        return None
    return min(max(timedelta(milliseconds=int(told[:12])), PAUSE_LEAST), PAUSE_MOST)


def trouble(
    code: str,
    params: Mapping[str, str] | None = None,
    *,
    host: str,
    now: datetime,
    writes: bool = False,
    least: Scope = Scope.SERIES,
    budget: Scope = Scope.ACCOUNT,
    detail: str = "",
) -> Trouble:
    """Classify a code.

    params: of the fault or the response message. writes: whether the call could have had an effect; a transient
    trouble is then `Ambiguous`, unless the code is one that is said before anything was done. least: how much stops at
    least, for a code that met a whole call. budget: what rests after «slow down»: the mailbox (CALENDAR) or the account.
    """
    kind, scope, sentence = meaning(code)
    wait = pause(params or {})
    said = f"{code} {detail}".strip()
    if wait is not None or kind is Throttled:
        return throttled(now + (wait or PAUSE_UNTOLD), budget, host, sentence if kind is Throttled else _BUSY.sentence, said)
    if kind is Gone or kind is CursorExpired:
        return kind(sentence, detail=said, host=host)
    if kind is Transient and writes and code not in _BEFORE_EFFECT:
        kind = Ambiguous
    return kind(sentence, max(scope, least, key=_WIDTH.index), detail=said, host=host, reason=code)


def throttled(until: datetime, scope: Scope, host: str, sentence: str = _BUSY.sentence, detail: str = "") -> Throttled:
    """Give the trouble of a budget that rests until then."""
    found = Throttled(sentence, scope, until=until, host=host, detail=detail)
    found.params["until"] = f"{until:%H:%M:%S} UTC"
    return found
