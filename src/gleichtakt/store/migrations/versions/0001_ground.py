"""Make all tables of the first schema, with the hash partitions of the large ones.

The statements stand beside this file as they were then: what the program's schema became since is the work of the
migrations that follow.
"""

from pathlib import Path

from alembic import op
from sqlalchemy import text

from gleichtakt.store.database import new_id

revision = "0001"
down_revision = None

STATEMENTS = Path(__file__).with_suffix(".sql")
PARTITIONED = ("series", "occurrence", "observed", "pairing", "journal")
PARTITIONS = 8


def upgrade() -> None:
    """Create tables, indexes and partitions, and the row that names the installation."""
    connection = op.get_bind()
    for statement in STATEMENTS.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    for table in PARTITIONED:
        for number in range(PARTITIONS):
            connection.exec_driver_sql(
                f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
            )
    connection.execute(text("INSERT INTO instance (id, epoch) VALUES (1, :epoch)"), {"epoch": new_id()})
