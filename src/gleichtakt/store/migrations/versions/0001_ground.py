"""Make all tables of the first schema, with the hash partitions of the large ones."""

from alembic import op

from gleichtakt.store.database import new_id
from gleichtakt.store.schema import PARTITIONED, PARTITIONS, instance, metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create tables, indexes and partitions."""
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    for table in PARTITIONED:
        for number in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE {table.name}_{number} PARTITION OF {table.name} "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
            )
    connection.execute(instance.insert().values(id=1, epoch=new_id()))
