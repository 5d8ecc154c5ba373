"""The tables, and what each is for. Every row belongs to an organization.

Ids are UUIDs of version 7, made by us, so that they sort by age. Times are aware UTC. `document` columns hold the JSON
of `model.document`, already reduced to what policy allows. Tables that grow with calendars are partitioned by hash of
`resource_id`, which therefore stands first in their keys. `schema_version` is Alembic's; see `migrations`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.sql.schema import SchemaItem

PARTITIONS = 8

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _id() -> Column[object]:
    return Column("id", UUID(as_uuid=True), primary_key=True)


def _to(name: str, target: str, *, null: bool = False, cascade: bool = True, key: bool = False) -> Column[object]:
    rule = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else "SET NULL")
    return Column(name, UUID(as_uuid=True), rule, nullable=null, primary_key=key)


def _uuid(name: str, *, null: bool = False, key: bool = False) -> Column[object]:
    return Column(name, UUID(as_uuid=True), nullable=null, primary_key=key)


def _text(name: str, default: str | None = "", *, null: bool = False, key: bool = False) -> Column[object]:
    return Column(name, Text, nullable=null, primary_key=key, server_default=None if null else default)


def _time(name: str, *, now: bool = False, null: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=null and not now, server_default=func.now() if now else None)


def _json(name: str, default: str | None = "{}") -> Column[object]:
    return Column(name, JSONB, nullable=default is None, server_default=default)


def _bool(name: str, *, default: bool) -> Column[object]:
    return Column(name, Boolean, nullable=False, server_default=text(str(default).lower()))


def _int(name: str, default: int | None = 0, *, big: bool = False) -> Column[object]:
    kind = BigInteger if big else Integer
    return Column(name, kind, nullable=default is None, server_default=None if default is None else text(str(default)))


def _partitioned(name: str, *items: SchemaItem) -> Table:
    return Table(name, metadata, *items, postgresql_partition_by="HASH (resource_id)")


# --- who ---------------------------------------------------------------------------------------------------------

#: One row: which installation this database is. A restored or cloned database gets a new epoch and starts in `verify`.
instance = Table(
    "instance",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    _uuid("epoch"),
    _text("mode", "live"),  # live | verify (dry run until an operator confirms)
    _text("reason"),  # why it is being verified: restored | copied | moved | rolled_back
    _text("database_id"),  # of the PostgreSQL database it was bound to; empty: not yet bound
    _text("host"),  # of the data folder, where the database lives in it
    _int("beat", 0, big=True),  # counts heartbeats; never goes back unless the database does
    _time("heartbeat_at"),
    _int("pruned_xid", 0, big=True),  # the change feed is complete after this position only
    _int("pruned_id", 0, big=True),
    _text("zone_release"),  # of the time zone rules by which instants were computed; empty: nothing was yet
    _time("created_at", now=True),
)

organization = Table(
    "organization",
    metadata,
    _id(),
    _text("name"),
    _text("external_id", null=True),
    _text("time_zone", "Europe/Berlin"),
    _text("language", "de"),
    _int("version", 1, big=True),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    UniqueConstraint("external_id"),
)

#: One login at one provider. `auth` holds what may be shown, `secret` the sealed rest.
connection = Table(
    "connection",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _text("provider"),
    _text("name"),
    _text("external_id", null=True),
    _text("url"),
    _text("autodiscover_address"),
    _text("auth_method", "none"),
    _json("auth"),
    Column("secret", LargeBinary, nullable=True),
    _text("access", "own"),
    _json("tls"),  # ca_pem, pin_sha256
    _bool("allow_insecure", default=False),
    _json("options"),
    _text("state", "new"),  # new | online | degraded | offline | auth_required | paused
    _text("state_code"),
    _json("state_params"),
    _time("state_since"),
    _time("paused_until"),  # the provider asked the whole account to wait, or refused the login
    _json("refusals", "[]"),  # times of refused logins of late, for the credential breaker
    _text("server_version"),
    _json("doctor", None),
    _time("doctor_at"),
    _int("version", 1, big=True),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    Index("connection_organization_id_ix", "organization_id"),
    UniqueConstraint("organization_id", "external_id"),
)

resource_group = Table(
    "resource_group",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _text("name"),
    _text("external_id", null=True),
    _int("version", 1, big=True),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    UniqueConstraint("organization_id", "external_id"),
)

resource = Table(
    "resource",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("group_id", "resource_group", null=True, cascade=False),
    _text("external_id", null=True),
    _text("kind", "person"),  # person | room | equipment
    _text("name"),
    _text("email"),
    _text("time_zone", "Europe/Berlin"),
    _text("language", "de"),
    _time("login_at"),
    _int("version", 1, big=True),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    UniqueConstraint("organization_id", "external_id"),
    Index("resource_group_id_ix", "group_id"),
)

# --- work --------------------------------------------------------------------------------------------------------

#: All work for one mailbox at one connection, one at a time. Claimed with SKIP LOCKED; every write of a pass carries
#: `owner` and `fence`, so that a worker that lost its lease cannot write late. `wake` counts reasons to run.
lane = Table(
    "lane",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("connection_id", "connection"),
    _text("mailbox"),
    _time("due"),  # null: nothing to do
    _text("owner", null=True),
    _time("lease_until"),
    _int("fence", 0, big=True),
    _int("wake", 0, big=True),
    _int("attempt"),
    _time("paused_until"),
    _time("last_served_at"),
    UniqueConstraint("connection_id", "mailbox"),
    Index("lane_due_ix", "due", postgresql_where=text("owner IS NULL AND due IS NOT NULL")),
    Index("lane_turn_ix", "organization_id", "due", postgresql_where=text("owner IS NULL AND due IS NOT NULL")),
    Index("lane_lease_until_ix", "lease_until", postgresql_where=text("owner IS NOT NULL")),
    postgresql_with={"fillfactor": "70"},
)

#: A resource's calendar tied to one remote calendar.
link = Table(
    "link",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("resource_id", "resource"),
    _to("connection_id", "connection"),
    _to("lane_id", "lane"),
    _text("mailbox"),
    _text("calendar"),
    _text("calendar_name"),
    _bool("active", default=True),
    # new | listing | in_step | degraded | delayed | paused | verify | error | auth_required | disconnected
    _text("state", "new"),
    _text("cursor", null=True),
    _text("policy_digest"),  # of the policy under which `observed` was projected
    _text("listing", null=True),  # token of a listing under way; rows not seen under it are gone at its end
    _time("listed_at"),  # end of the last complete listing
    _bool("first_run_done", default=False),
    _bool("force_listing", default=False),
    _time("due"),  # next run; the lane's due is the earliest of its links
    _time("last_attempt"),
    _time("last_success"),
    _time("failing_since"),
    _text("error_code"),
    _json("error_params"),
    _json("facts"),  # what the provider told: ctag kind, unstable UIDs …
    _text("remote_account"),  # whose calendar it turned out to be; a change is a different calendar
    _text("notified_by", "polling"),  # how we learn of changes there: streaming | push | pull | polling
    _time("notified_since"),
    _int("calls", 0, big=True),  # counts reasons to look, other than time
    _int("heard", 0, big=True),  # how many of them the last pass that worked knew of when it began
    _int("version", 1, big=True),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    UniqueConstraint("connection_id", "mailbox", "calendar"),
    Index("link_resource_id_ix", "resource_id"),
    Index("link_lane_id_ix", "lane_id"),
    Index("link_organization_id_ix", "organization_id"),
)

#: Who holds the watch of a connection: one worker, on a lease. `fence` as in `lane`.
watch = Table(
    "watch",
    metadata,
    _to("connection_id", "connection", key=True),
    _to("organization_id", "organization"),
    _text("owner", null=True),
    _time("lease_until"),
    _int("fence", 0, big=True),
    _time("due", now=True),  # not held before that
    _int("attempt"),  # failures in a row
    _time("since"),  # held without a break; null while nobody does
    _text("error_code"),  # why it ended the last time
    _json("error_params"),
)

#: The workers that can hold watches, so that each takes its share.
watcher = Table("watcher", metadata, _text("owner", None, key=True), _time("beat_at", now=True))

#: A secret address under which a provider calls in about one calendar; known by the SHA-256 of its 256 random bits.
hook = Table(
    "hook",
    metadata,
    _text("token_hash", None, key=True),
    _to("connection_id", "connection"),
    _text("mailbox"),
    _text("calendar"),
    _time("created_at", now=True),
    Index("hook_connection_id_ix", "connection_id"),
)

#: What was said there, until whoever holds the watch has read it.
letter = Table(
    "letter",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("token_hash", Text, ForeignKey("hook.token_hash", ondelete="CASCADE"), nullable=False),
    _json("headers"),
    Column("body", LargeBinary, nullable=False),
    _time("arrived_at", now=True),
    Index("letter_token_hash_ix", "token_hash"),
)

#: Whether a mailbox of a person answers by itself while they are away. Without the texts of the replies: nothing uses them.
#: Two calendars in one mailbox are one row; with the last link of the mailbox, or the person, it goes.
out_of_office = Table(
    "out_of_office",
    metadata,
    _to("resource_id", "resource", key=True),
    _to("lane_id", "lane", key=True),
    _to("organization_id", "organization"),
    _text("state", "unknown"),  # unknown (never read) | disabled | enabled | scheduled
    _time("starts_at"),  # of the schedule, where that is what counts
    _time("ends_at"),
    _text("audience"),  # who outside is answered: none | known | all
    _time("read_at"),
    _time("changed_at"),  # a reading differed from the one before
    _text("error_code"),  # why it could not be read the last time
    _json("error_params"),
    _time("due", now=True),
    Index("out_of_office_due_ix", "due"),
    Index("out_of_office_lane_id_ix", "lane_id"),
    Index("out_of_office_organization_id_ix", "organization_id"),
)

# --- calendars ---------------------------------------------------------------------------------------------------

#: Ours. `version` counts every change and is its etag; a tombstone keeps its row (`deleted_at`) for 90 days.
series = _partitioned(
    "series",
    _uuid("resource_id", key=True),
    _uuid("id", key=True),
    _uuid("organization_id"),
    _text("uid"),
    _text("external_id", null=True),
    _text("origin", "app"),  # app | provider, for ever
    _uuid("origin_link_id", null=True),
    _int("version", 1, big=True),
    _text("document"),  # model.document.series_document as JSON text
    _time("starts_at", null=False),  # earliest instant of any occurrence
    _time("ends_at"),  # latest instant; null for an endless series
    _bool("is_recurring", default=False),
    _time("created_at", now=True),
    _time("updated_at", now=True),
    _time("deleted_at"),
    Index("series_resource_id_starts_at_ix", "resource_id", "starts_at", "id"),  # in the order in which pages go on
    Index("series_resource_id_uid_ix", "resource_id", "uid"),
    Index(
        "series_resource_id_external_id_ix",
        "resource_id",
        "external_id",
        unique=True,
        postgresql_where=text("external_id IS NOT NULL AND deleted_at IS NULL"),
    ),
)

#: The expanded rolling window, for free/busy, presence and double-booking checks. Without content.
occurrence = _partitioned(
    "occurrence",
    _uuid("resource_id"),
    _uuid("series_id"),
    _text("slot"),  # original start on the master's wall clock; empty for a single event
    _time("starts_at", null=False),
    _time("ends_at", null=False),
    _text("show_as", "busy"),
    _text("status", "confirmed"),
    _bool("is_all_day", default=False),
    _bool("is_private", default=False),
    Index("occurrence_resource_id_starts_at_ix", "resource_id", "starts_at"),
    Index("occurrence_resource_id_series_id_ix", "resource_id", "series_id"),
)

#: Theirs, as last seen. `document` is the content policy lets us hold, or null with the `reason`.
observed = _partitioned(
    "observed",
    _uuid("resource_id", key=True),
    _uuid("link_id", key=True),
    _text("href", key=True),
    _text("etag"),
    _text("uid"),
    _time("starts_at"),
    _time("ends_at"),
    _text("document", null=True),
    _text("reason"),  # outside | filtered | private | unreadable | mirror | mark; empty when mirrored
    _text("reason_code"),
    _json("reason_params"),
    _text("marker"),
    _text("key"),
    _text("title_digest"),  # keyed digest of the title, for matching in a first run only
    _bool("is_organizer", default=True),
    _text("response", "none"),
    _text("kind", "default"),
    _bool("stale", default=True),  # not yet planned in this version
    _bool("gone", default=False),  # proven absent, not yet planned
    _text("listing"),  # token of the last listing it was seen in; `written` while no reading has met our write of it
    _int("attempt"),
    _time("retry_at"),
    _time("seen_at", now=True),
    _time("modified_at"),  # by their word, on our clock; null where they do not say
    Index("observed_stale_ix", "resource_id", "link_id", postgresql_where=text("stale")),
    Index("observed_unreadable_ix", "resource_id", "link_id", postgresql_where=text("reason = 'unreadable'")),
    Index("observed_written_ix", "resource_id", "link_id", postgresql_where=text("listing = 'written'")),
    Index("observed_uid_ix", "resource_id", "link_id", "uid"),
)

#: link × series ↔ href. A row without href: ours has no copy there yet, or may have none. A copy in parts is named
#: `parts:<series>` here; its objects are rows of `part`.
#: base_*: flat projection of each side when both last agreed; `theirs` null means the same as ours.
pairing = _partitioned(
    "pairing",
    _uuid("resource_id", key=True),
    _uuid("link_id", key=True),
    _uuid("series_id", key=True),
    _text("href", null=True),
    _text("remote_uid"),
    _text("etag"),  # theirs, of the version in the base
    _int("series_version", 0, big=True),  # ours, of the version in the base
    _json("base_ours", None),
    _json("base_theirs", None),
    _bool("made_by_us", default=False),  # we created the remote copy: the only ones we delete unasked
    _bool("stale", default=True),
    _json("intent", None),  # open write: verb, key, sent, expect, fields, run_id, action, at
    _text("state", "open"),  # open | linked | parked | conflict | unlinked
    _uuid("hold_id", null=True),
    _text("verdict"),  # a person's decision for the next plan: restore | accept | ours | theirs | <hold action digest>
    _int("attempt"),
    _time("retry_at"),
    _text("problem_code"),
    _text("grade"),  # how the other side holds ours: exact | exploded | refused; empty where it was not asked
    _text("grade_reason"),  # code of why it is not exact
    _json("writes", "[]"),  # our last writes for the loop breaker: side, time, whether it answered a movement there
    Index("pairing_href_ix", "resource_id", "link_id", "href", unique=True, postgresql_where=text("href IS NOT NULL")),
    Index("pairing_stale_ix", "resource_id", "link_id", postgresql_where=text("stale")),
    Index("pairing_intent_ix", "resource_id", "link_id", postgresql_where=text("intent IS NOT NULL")),
    Index("pairing_series_ix", "resource_id", "series_id"),
)

#: One single event there that stands for an occurrence of a series of ours (see `sync.parts`), paired on its own.
part = _partitioned(
    "part",
    _uuid("resource_id", key=True),
    _uuid("id", key=True),
    _uuid("link_id"),
    _uuid("series_id"),
    _text("slot"),  # original start on the master's wall clock; empty: an object that gives way to the parts
    _text("href", null=True),  # null while it is being made
    _json("stored", None),  # flat content there when both sides last agreed
    _json("sent", None),  # flat content we last wanted there; null means the same as stored
    _json("intent", None),  # open write; the pairing says then that its parts are being written
    Index("part_series_ix", "resource_id", "link_id", "series_id"),
    Index("part_href_ix", "resource_id", "link_id", "href", unique=True, postgresql_where=text("href IS NOT NULL")),
)

#: Identity columns of partitioned tables need PostgreSQL 17.
journal_id = Sequence("journal_id_seq", data_type=BigInteger, metadata=metadata)

#: Every write on either side with before and after, for undo and «why».
journal = _partitioned(
    "journal",
    _uuid("resource_id", key=True),
    Column("id", BigInteger, journal_id, server_default=journal_id.next_value(), primary_key=True),
    _uuid("organization_id"),
    _uuid("link_id", null=True),
    _uuid("run_id", null=True),
    _uuid("series_id", null=True),
    _text("href", null=True),
    _text("side"),  # app | provider
    _text("verb"),  # create | update | delete | link | unlink
    _text("actor"),  # sync, api:<key id>, account:<id>
    _json("fields", "[]"),
    _text("before", null=True),
    _text("after", null=True),
    _text("loser", null=True),  # the version that lost a conflict
    _time("at", now=True),
    Index("journal_run_id_ix", "run_id"),
    Index("journal_series_ix", "resource_id", "series_id"),
)

# --- what happened and what waits --------------------------------------------------------------------------------

run = Table(
    "run",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("link_id", "link", null=True),
    _uuid("connection_id", null=True),
    _text("kind", "sync"),  # sync | plan | undo | match | doctor
    _text("state", "queued"),  # queued | running | done | partial | failed
    _text("asked_by"),
    _json("counts"),  # {"app": {"created", "updated", "deleted"}, "provider": {…}, "read": …}
    _int("held"),
    _int("conflicts"),
    _json("problems", "[]"),
    _json("progress"),
    _uuid("undo_of", null=True),
    _text("error_code"),
    _json("error_params"),
    _time("asked_at", now=True),
    _time("started_at"),
    _time("finished_at"),
    Index("run_link_id_asked_at_ix", "link_id", "asked_at"),
    Index("run_organization_id_asked_at_ix", "organization_id", "asked_at"),
    Index("run_open_ix", "link_id", postgresql_where=text("state IN ('queued', 'running')")),
)

#: What a run means to do, as rows, so that its size does not matter. A dry run ends here.
plan = Table(
    "plan",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("link_id", "link"),
    _uuid("run_id", null=True),
    _text("kind", "run"),  # run | dry | undo
    _json("counts"),
    _int("mails"),
    _time("created_at", now=True),
    Index("plan_link_id_ix", "link_id"),
    Index("plan_run_id_ix", "run_id"),
)

plan_action = Table(
    "plan_action",
    metadata,
    _to("plan_id", "plan", key=True),
    Column("number", Integer, primary_key=True),
    _uuid("resource_id"),
    _uuid("link_id"),
    _uuid("series_id", null=True),
    _text("href", null=True),
    _text("side"),
    _text("verb"),
    _text("uid"),
    _text("title"),  # as policy lets the operator see it
    _json("fields", "[]"),
    _text("why"),
    _json("action"),  # what settling needs: see sync.plan
    _text("digest"),
    _text("state", "planned"),  # planned | held | done | failed | skipped
    _text("error_code"),
    _int("mails"),
)

problem = Table(
    "problem",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _uuid("resource_id", null=True),
    _to("link_id", "link", null=True),
    _to("connection_id", "connection", null=True),
    _uuid("series_id", null=True),
    _text("href", null=True),
    _text("side"),
    _text("code"),
    _json("params"),
    _text("kind"),
    _text("scope"),
    _text("state", "open"),  # open | resolved | ignored
    _int("count", 1),
    _time("event_start"),
    _time("first_at", now=True),
    _time("last_at", now=True),
    _time("next_try_at"),
    _text("key"),  # what makes it the same problem again
    Index("problem_open_key_ix", "organization_id", "key", unique=True, postgresql_where=text("state = 'open'")),
    Index("problem_organization_id_last_at_ix", "organization_id", "last_at"),
)

hold = Table(
    "hold",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("link_id", "link"),
    _uuid("resource_id"),
    _uuid("run_id", null=True),
    _text("kind"),  # mass_delete | mass_update | side_empty | remote_delete | ambiguous_match | mails | on_disable
    _json("params"),
    _text("state", "open"),  # open | approved | rejected | resolved
    _int("count"),
    _time("created_at", now=True),
    _time("decided_at"),
    _text("decided_by"),
    Index("hold_organization_id_created_at_ix", "organization_id", "created_at"),
    Index("hold_link_open_ix", "link_id", postgresql_where=text("state = 'open'")),
)

#: What a hold keeps back; an approval lifts the guard for exactly these (`digest`).
hold_action = Table(
    "hold_action",
    metadata,
    _to("hold_id", "hold", key=True),
    Column("number", Integer, primary_key=True),
    _uuid("resource_id"),
    _uuid("link_id"),
    _uuid("series_id", null=True),
    _text("href", null=True),
    _text("side"),
    _text("verb"),
    _text("uid"),
    _text("title"),
    _text("why"),
    _text("digest"),
    _time("event_start"),
    Index("hold_action_series_ix", "link_id", "series_id"),
)

conflict = Table(
    "conflict",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("link_id", "link"),
    _uuid("resource_id"),
    _uuid("series_id"),
    _text("href", null=True),
    _json("fields", "[]"),
    _json("base", None),
    _json("ours", None),  # null: deleted
    _json("theirs", None),
    _text("state", "open"),  # open | resolved
    _text("resolution"),  # ours | theirs | merged | app_first | provider_first | newest
    _time("created_at", now=True),
    _time("decided_at"),
    _text("decided_by"),
    Index("conflict_organization_id_created_at_ix", "organization_id", "created_at"),
    Index("conflict_open_ix", "link_id", "series_id", postgresql_where=text("state = 'open'")),
)

# --- telling others ----------------------------------------------------------------------------------------------

#: Cursor feed. Readers order by (xid, id) and stop below the oldest open transaction, so late commits are not lost.
change = Table(
    "change",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _uuid("organization_id"),
    _text("type"),  # event.created | event.updated | event.deleted | link.state | absence.changed | hold.opened …
    _uuid("resource_id", null=True),
    _uuid("object_id", null=True),
    Column("xid", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text::bigint)")),
    _time("occurred_at", now=True),
    Index("change_feed_ix", "organization_id", "xid", "id"),
    Index("change_order_ix", "xid", "id"),
)

webhook = Table(
    "webhook",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _text("url"),
    _json("types", "[]"),  # empty: all
    _bool("active", default=True),
    Column("secret", LargeBinary, nullable=True),
    Column("previous_secret", LargeBinary, nullable=True),
    _int("cursor_xid", 0, big=True),
    _int("cursor_id", 0, big=True),
    _time("failing_since"),
    _int("attempt"),
    _time("retry_at"),
    _text("last_status"),
    _text("owner", null=True),  # delivers at the moment, on a lease: one at a time keeps the order
    _time("lease_until"),
    _int("version", 1, big=True),
    _time("created_at", now=True),
    _time("updated_at", now=True),
)

#: Small jobs that are no pass over a lane: mails, webhook tests, exports. Claimed like lanes.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _uuid("organization_id", null=True),
    _text("kind"),
    _text("key", null=True),  # at most one waiting row per key
    _json("args"),
    _time("run_at", now=True),
    _int("attempt"),
    _text("owner", null=True),
    _time("lease_until"),
    _text("error_code"),
    Index("outbox_run_at_ix", "run_at", postgresql_where=text("owner IS NULL")),
    Index("outbox_key_ix", "key", unique=True, postgresql_where=text("key IS NOT NULL AND owner IS NULL")),
)

#: What is done now and then by one process of all: retention, the nightly roll of the window.
chore = Table(
    "chore",
    metadata,
    _text("name", key=True),
    _time("due", now=True),
    _time("done_at"),
    _text("owner", null=True),
    _time("lease_until"),
)

# --- settings, people, audit -------------------------------------------------------------------------------------

setting = Table(
    "setting",
    metadata,
    _to("organization_id", "organization"),
    _text("level", key=True),  # global | group | resource | link
    _uuid("object_id", key=True),  # organization, group, resource or link
    _text("name", key=True),
    Column("value", JSONB, nullable=False),
    _time("updated_at", now=True),
    _text("updated_by"),
)

account = Table(
    "account",
    metadata,
    _id(),
    _to("organization_id", "organization", null=True),  # null: of every organization
    _text("username"),
    _text("password_hash"),
    _text("role", "viewer"),  # admin | operator | dpo | viewer
    _text("language", "de"),
    _bool("active", default=True),
    _time("created_at", now=True),
    _time("last_login_at"),
    UniqueConstraint("username"),
)

session = Table(
    "session",
    metadata,
    _text("token_hash", key=True),
    _to("account_id", "account"),
    _text("csrf"),
    _time("created_at", now=True),
    _time("expires_at", null=False),
)

api_key = Table(
    "api_key",
    metadata,
    _id(),
    _to("organization_id", "organization", null=True),  # null: of every organization
    _text("name"),
    _text("prefix"),
    _text("key_hash"),  # SHA-256 of 256 random bits
    _json("scopes", "[]"),  # read | write | admin
    _time("created_at", now=True),
    _time("last_used_at"),
    _time("expires_at"),
    _time("revoked_at"),
    UniqueConstraint("key_hash"),
)

#: Tamper-evident: each row carries a hash over itself and its predecessor.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _uuid("organization_id", null=True),
    _text("actor"),
    _text("action"),
    _text("object"),
    _json("before", None),
    _json("after", None),
    _time("at", now=True),
    _text("hash"),
    Index("audit_organization_id_at_ix", "organization_id", "at"),
)

#: A published calendar: whoever holds the address reads it, in the detail it was made for, until it is revoked.
feed_token = Table(
    "feed_token",
    metadata,
    _id(),
    _to("organization_id", "organization"),
    _to("resource_id", "resource"),
    _text("name"),
    _text("detail", "busy"),  # busy | title_time | full
    _text("token_hash"),  # SHA-256 of 256 random bits; the address itself is shown once
    _time("created_at", now=True),
    _time("revoked_at"),
    UniqueConstraint("token_hash"),
    Index("feed_token_resource_id_ix", "resource_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    _uuid("organization_id", key=True),
    _text("key", key=True),
    _text("request_digest"),
    _int("status", None),
    _json("headers"),
    Column("body", LargeBinary, nullable=True),
    _time("created_at", now=True),
)

PARTITIONED = (series, occurrence, observed, pairing, part, journal)
