"""Keep who watches a connection, how a link is notified, and what providers have called in to say."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE link ADD COLUMN notified_by TEXT DEFAULT 'polling' NOT NULL",
    "ALTER TABLE link ADD COLUMN notified_since TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE link ADD COLUMN calls BIGINT DEFAULT 0 NOT NULL",
    "ALTER TABLE link ADD COLUMN heard BIGINT DEFAULT 0 NOT NULL",
    """CREATE TABLE watch (
        connection_id UUID NOT NULL,
        organization_id UUID NOT NULL,
        owner TEXT,
        lease_until TIMESTAMP WITH TIME ZONE,
        fence BIGINT DEFAULT 0 NOT NULL,
        due TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        attempt INTEGER DEFAULT 0 NOT NULL,
        since TIMESTAMP WITH TIME ZONE,
        error_code TEXT DEFAULT '' NOT NULL,
        error_params JSONB DEFAULT '{}' NOT NULL,
        CONSTRAINT watch_pkey PRIMARY KEY (connection_id),
        CONSTRAINT watch_connection_id_fkey FOREIGN KEY (connection_id) REFERENCES connection (id) ON DELETE CASCADE,
        CONSTRAINT watch_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization (id) ON DELETE CASCADE
    )""",
    """CREATE TABLE watcher (
        owner TEXT NOT NULL,
        beat_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT watcher_pkey PRIMARY KEY (owner)
    )""",
    """CREATE TABLE hook (
        token_hash TEXT NOT NULL,
        connection_id UUID NOT NULL,
        mailbox TEXT DEFAULT '' NOT NULL,
        calendar TEXT DEFAULT '' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT hook_pkey PRIMARY KEY (token_hash),
        CONSTRAINT hook_connection_id_fkey FOREIGN KEY (connection_id) REFERENCES connection (id) ON DELETE CASCADE
    )""",
    "CREATE INDEX hook_connection_id_ix ON hook (connection_id)",
    """CREATE TABLE letter (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        token_hash TEXT NOT NULL,
        headers JSONB DEFAULT '{}' NOT NULL,
        body BYTEA NOT NULL,
        arrived_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT letter_pkey PRIMARY KEY (id),
        CONSTRAINT letter_token_hash_fkey FOREIGN KEY (token_hash) REFERENCES hook (token_hash) ON DELETE CASCADE
    )""",
    "CREATE INDEX letter_token_hash_ix ON letter (token_hash)",
)


def upgrade() -> None:
    """Add the columns of links, and the tables."""
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
