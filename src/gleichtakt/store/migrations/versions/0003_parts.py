"""Keep series in parts where the other side cannot express them, and how each copy is held."""

from alembic import op

revision = "0003"
down_revision = "0002"

PARTITIONS = 8
STATEMENTS = (
    "ALTER TABLE pairing ADD COLUMN grade TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE pairing ADD COLUMN grade_reason TEXT DEFAULT '' NOT NULL",
    """CREATE TABLE part (
        resource_id UUID NOT NULL,
        id UUID NOT NULL,
        link_id UUID NOT NULL,
        series_id UUID NOT NULL,
        slot TEXT DEFAULT '' NOT NULL,
        href TEXT,
        stored JSONB,
        sent JSONB,
        intent JSONB,
        CONSTRAINT part_pkey PRIMARY KEY (resource_id, id)
    ) PARTITION BY HASH (resource_id)""",
    "CREATE INDEX part_series_ix ON part (resource_id, link_id, series_id)",
    "CREATE UNIQUE INDEX part_href_ix ON part (resource_id, link_id, href) WHERE href IS NOT NULL",
)


def upgrade() -> None:
    """Add the columns of pairings, and the table with its partitions."""
    connection = op.get_bind()
    for statement in STATEMENTS:
        connection.exec_driver_sql(statement)
    for number in range(PARTITIONS):
        connection.exec_driver_sql(
            f"CREATE TABLE part_{number} PARTITION OF part FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
        )
