"""The background jobs: mails go out or come again, chores run once a day, one bug does not stop the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.firm import Firm
from tests.waiting import eventually

from gleichtakt.errors import Permanent
from gleichtakt.settings import Settings
from gleichtakt.store import chores, instance, outbox
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox, new_key
from gleichtakt.worker import jobs
from gleichtakt.worker.jobs import Shop, do_chores, do_outbox, next_at
from gleichtakt.worker.send_mail import mail_of, server_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class MailServer:
    """As much of a mail server as a sender sees. answers: to RCPT, in turn; 250 after the last."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one conversation."""
        writer.write(b"220 ready\r\n")
        replies = {b"EHLO": b"250 mail.example\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"RCPT" and self.answers:
                writer.write(self.answers.pop(0))
            else:
                writer.write(replies.get(verb, b"250 ok\r\n"))
            if verb == b"DATA":
                content = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
                writer.write(b"250 taken\r\n")
            await writer.drain()
        writer.close()


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """A running mail server on loopback."""
    made = MailServer()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.fixture
def shop(database: Database, mail_server: MailServer, tmp_path: Path) -> Shop:
    """A process's jobs with a mail server."""
    url = f"smtp://127.0.0.1:{mail_server.port}?from=kalender@firma.example"
    return Shop(database, Settings(data_dir=str(tmp_path / "data"), smtp_url=url), SecretBox(new_key()))


async def put_mail(database: Database, to: str = "anna@firma.example", subject: str = "Grüße") -> None:
    """Ask for a mail."""
    async with database.begin() as connection:
        await outbox.put_mail(connection, to, subject, "Guten Tag,\nschöne Grüße")


async def waiting(database: Database) -> int:
    """Count the jobs in the outbox."""
    async with database.read() as connection:
        found: int = (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one()
    return found


async def test_a_mail_goes_out_once_with_its_words_intact(database: Database, shop: Shop, mail_server: MailServer) -> None:
    await put_mail(database)
    assert await do_outbox(shop) == 1
    (mail,) = mail_server.mails
    assert (mail["To"], mail["Subject"]) == ("anna@firma.example", "Grüße")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content() == "Guten Tag,\nschöne Grüße\n"
    assert await waiting(database) == 0


async def test_a_mail_that_cannot_go_now_comes_again_under_the_same_id(
    database: Database, shop: Shop, mail_server: MailServer
) -> None:
    mail_server.answers = [b"451 later\r\n"]
    await put_mail(database)
    await do_outbox(shop)
    assert mail_server.mails == []
    async with database.begin() as connection:
        row = (await connection.execute(text("SELECT run_at > now(), error_code, attempt FROM outbox"))).one()
        assert tuple(row) == (True, "store.mail_away", 1)
        await connection.execute(text("UPDATE outbox SET run_at = now()"))
    await do_outbox(shop)
    assert [mail["Subject"] for mail in mail_server.mails] == ["Grüße"]


async def test_the_doctor_looks_when_a_page_asks_and_leaves_a_report(database: Database, shop: Shop, firm: Firm) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE connection SET url = 'memory://127.0.0.1:1'"))
        await outbox.put(connection, outbox.DOCTOR, {"connection_id": str(firm.connection_id)})
    assert await do_outbox(shop) == 1
    async with database.read() as connection:
        report = (await connection.execute(text("SELECT doctor FROM connection WHERE doctor_at IS NOT NULL"))).scalar_one()
    assert [(check["name"], check["code"]) for check in report["checks"]] == [("login", "general.unreachable")]
    assert await waiting(database) == 0


async def test_a_mail_that_is_refused_for_good_is_not_tried_again(
    database: Database, shop: Shop, mail_server: MailServer
) -> None:
    mail_server.answers = [b"550 no such user\r\n"]
    await put_mail(database)
    await do_outbox(shop)
    assert await waiting(database) == 0


@pytest.mark.parametrize("to", ["", "no address", "a@b.example\r\nBcc: all@firma.example"])
async def test_what_cannot_be_an_address_is_refused(database: Database, shop: Shop, mail_server: MailServer, to: str) -> None:
    await put_mail(database, to)
    await do_outbox(shop)
    assert (mail_server.mails, await waiting(database)) == ([], 0)


def test_a_line_break_in_a_subject_is_refused() -> None:
    server = server_of(Settings(smtp_url="smtp://host"))
    assert server
    args: Mapping[str, str] = {"to": "a@b.example", "subject": "x\r\nBcc: all@b.example", "text": ""}
    with pytest.raises(Permanent):
        mail_of(server, args, "1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://host", ("host", 587, None, False, "gleichtakt@host")),
        ("smtps://anna%40firma.example:p%3Aw@host", ("host", 465, "p:w", True, "anna@firma.example")),
        ("smtp://user:pw@host:25?from=kalender@firma.example", ("host", 25, "pw", False, "kalender@firma.example")),
    ],
)
def test_the_mail_server_is_read_from_its_address(url: str, expected: tuple[object, ...]) -> None:
    server = server_of(Settings(smtp_url=url))
    assert server
    assert (server.host, server.port, server.password, server.is_tls, server.sender) == expected


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(Permanent):
        server_of(Settings(smtp_url="http://host"))


async def test_without_a_mail_server_the_job_ends(database: Database, tmp_path: Path) -> None:
    await put_mail(database)
    await do_outbox(Shop(database, Settings(data_dir=str(tmp_path)), SecretBox(new_key())))
    assert await waiting(database) == 0


async def test_ops_07_a_clone_sends_no_mail(database: Database, shop: Shop, mail_server: MailServer) -> None:
    async with database.begin() as connection:
        await instance.new_epoch(connection, "copied")
    await put_mail(database)
    assert await do_outbox(shop) == 0
    assert mail_server.mails == []


# --- chores -------------------------------------------------------------------------------------------------------


async def test_a_chore_runs_once_a_day_in_one_process(database: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[datetime | None] = []

    async def chore(_database: Database, _now: datetime, done_at: datetime | None) -> None:
        ran.append(done_at)

    now = datetime.now(UTC)
    monkeypatch.setattr(jobs, "CHORES", {"sweep": (2, chore)})
    other = Shop(database, shop.settings, shop.box)
    assert sum(await asyncio.gather(do_chores(shop, now), do_chores(other, now))) == 1
    assert await do_chores(shop, now) == 0
    async with database.begin() as connection:
        await connection.execute(text("UPDATE chore SET due = now()"))
    assert await do_chores(other, now) == 1
    assert ran == [None, now]


async def test_a_chore_that_failed_is_repeated_from_where_it_stood(
    database: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def chore(_database: Database, _now: datetime, _done_at: datetime | None) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(jobs, "CHORES", {"sweep": (2, chore)})
    now = datetime.now(UTC)
    with pytest.raises(ZeroDivisionError):
        await do_chores(shop, now)
    async with database.begin() as connection:
        row = (await connection.execute(text("SELECT owner, done_at, due FROM chore"))).one()
        assert (row.owner, row.done_at) == (None, None)
        assert row.due > now
        await connection.execute(text("UPDATE chore SET due = now()"))
        assert await chores.claim(connection, "sweep", "another", 60)


async def test_a_chore_of_a_killed_process_goes_to_another(database: Database) -> None:
    async with database.begin() as connection:
        assert await chores.claim(connection, "sweep", "killed", 0)
    async with database.begin() as connection:
        taken = await chores.claim(connection, "sweep", "another", 60)
        assert taken
        lost = chores.Chore("sweep", "killed", None)
        assert not await chores.finish(connection, lost, NOW, done_at=NOW)


@pytest.mark.parametrize(("hour", "expected"), [(2, "2026-11-22T02"), (12, "2026-11-22T12"), (13, "2026-11-21T13")])
def test_the_next_hour_of_the_day(hour: int, expected: str) -> None:
    assert next_at(hour, NOW).isoformat().startswith(expected)


async def test_jobs_are_served_while_the_process_runs_and_its_heart_beats(
    database: Database, shop: Shop, mail_server: MailServer
) -> None:
    found = await instance.attend(database, shop.settings.data_path, embedded=False)
    serving = asyncio.create_task(jobs.serve_jobs(shop, found))
    await put_mail(database)

    async def is_sent() -> bool:
        return bool(mail_server.mails)

    async def has_beaten() -> bool:
        async with database.read() as connection:
            return (await instance.current(connection)).beat > found.beat

    await eventually(is_sent)
    await eventually(has_beaten)
    serving.cancel()
    with pytest.raises((asyncio.CancelledError, ExceptionGroup)):
        await serving


async def test_a_bug_in_one_job_does_not_stop_the_others(
    database: Database, shop: Shop, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bug(_shop: Shop, _job: outbox.Job) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(jobs.HANDLERS, "bug", bug)
    async with database.begin() as connection:
        await outbox.put(connection, "bug", {})
    serving = asyncio.create_task(jobs.serve_jobs(shop))
    await put_mail(database)

    async def is_sent() -> bool:
        return bool(mail_server.mails)

    await eventually(is_sent)
    assert not serving.done()
    serving.cancel()
    with pytest.raises((asyncio.CancelledError, ExceptionGroup)):
        await serving
    assert await waiting(database) == 1, "it comes back when its lease ends"


async def test_a_job_that_keeps_killing_its_worker_is_given_up(database: Database, shop: Shop) -> None:
    await put_mail(database)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE outbox SET attempt = :most"), {"most": jobs.MOST_ATTEMPTS + 1})
    await do_outbox(shop)
    assert await waiting(database) == 0
