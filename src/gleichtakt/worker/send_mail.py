"""Sends mails of our own: alerts and invitations. Never on behalf of a calendar; those mails are the providers' affair.

Without a mail server the job ends with a line in the log. A mail keeps its Message-ID over all tries, so that a second
copy after a lost answer is recognised by mail programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import structlog

from gleichtakt.errors import Permanent, Scope, Transient
from gleichtakt.settings import Settings

log = structlog.get_logger(__name__)

PORTS: Final = {"smtp": 587, "smtps": 465}
SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server. `smtp` is encrypted by STARTTLS where offered, and always where a password travels."""

    host: str
    port: int
    username: str | None
    password: str | None
    is_tls: bool
    sender: str


def server_of(settings: Settings) -> Server | None:
    """Read `smtp_url`: smtp(s)://user:password@host:port?from=address. None where no mail is to be sent."""
    if not settings.smtp_url:
        return None
    parts = urlsplit(settings.smtp_url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise Permanent("store.smtp_url", Scope.ACCOUNT)
    user = unquote(parts.username) if parts.username else None
    sender = parse_qs(parts.query).get("from", [""])[0] or (user if user and "@" in user else f"gleichtakt@{parts.hostname}")
    password = unquote(parts.password) if parts.password else None
    return Server(parts.hostname, parts.port or PORTS[parts.scheme], user, password, parts.scheme == "smtps", sender)


def mail_of(server: Server, args: Mapping[str, Any], message_id: str) -> EmailMessage:
    """Make the mail. args: to, subject, text, perhaps html. Raises Permanent for what cannot be a mail."""
    mail = EmailMessage()
    try:
        mail["From"] = Address("Gleichtakt", addr_spec=server.sender)
        mail["To"] = Address(addr_spec=args["to"])
        mail["Subject"] = args["subject"]
    except (ValueError, IndexError) as wrong:  # line breaks in a header, no address
        raise Permanent("store.mail_malformed", Scope.ACCOUNT) from wrong
    mail["Message-ID"] = f"<{message_id}@{server.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(args["text"])
    if args.get("html"):
        mail.add_alternative(args["html"], subtype="html")
    return mail


async def send_mail(settings: Settings, args: Mapping[str, Any], message_id: str) -> None:
    """Send one mail. Raises Transient for what may work later, Permanent for what the server will never take."""
    server = server_of(settings)
    if server is None:
        log.warning("mail_not_sent", reason="no mail server is set", message=message_id)
        return
    mail = mail_of(server, args, message_id)
    try:
        await aiosmtplib.send(
            mail,
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.is_tls,
            start_tls=None if server.is_tls or server.password is None else True,
            timeout=SECONDS,
        )
    except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException) as refused:
        code = _code(refused)
        if 500 <= code < 600 and not isinstance(refused, aiosmtplib.SMTPAuthenticationError):
            raise Permanent("store.mail_refused", Scope.ACCOUNT, host=server.host, status=str(code)) from refused
        raise Transient("store.mail_away", Scope.ACCOUNT, host=server.host, status=str(code)) from refused
    except (aiosmtplib.SMTPException, OSError) as away:
        raise Transient("store.mail_away", Scope.ACCOUNT, host=server.host, status=type(away).__name__) from away


def _code(refused: aiosmtplib.SMTPException) -> int:
    """Give the server's answer code; of several recipients' the first."""
    if isinstance(refused, aiosmtplib.SMTPRecipientsRefused):
        return max((each.code for each in refused.recipients), default=550)
    return refused.code if isinstance(refused, aiosmtplib.SMTPResponseException) else 0
