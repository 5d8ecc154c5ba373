"""Keep whether a mailbox answers by itself while its owner is away, and until when."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """CREATE TABLE out_of_office (
        resource_id UUID NOT NULL,
        lane_id UUID NOT NULL,
        organization_id UUID NOT NULL,
        state TEXT DEFAULT 'unknown' NOT NULL,
        starts_at TIMESTAMP WITH TIME ZONE,
        ends_at TIMESTAMP WITH TIME ZONE,
        audience TEXT DEFAULT '' NOT NULL,
        read_at TIMESTAMP WITH TIME ZONE,
        changed_at TIMESTAMP WITH TIME ZONE,
        error_code TEXT DEFAULT '' NOT NULL,
        error_params JSONB DEFAULT '{}' NOT NULL,
        due TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT out_of_office_pkey PRIMARY KEY (resource_id, lane_id),
        CONSTRAINT out_of_office_resource_id_fkey FOREIGN KEY (resource_id) REFERENCES resource (id) ON DELETE CASCADE,
        CONSTRAINT out_of_office_lane_id_fkey FOREIGN KEY (lane_id) REFERENCES lane (id) ON DELETE CASCADE,
        CONSTRAINT out_of_office_organization_id_fkey FOREIGN KEY (organization_id)
            REFERENCES organization (id) ON DELETE CASCADE
    )""",
    "CREATE INDEX out_of_office_due_ix ON out_of_office (due)",
    "CREATE INDEX out_of_office_lane_id_ix ON out_of_office (lane_id)",
    "CREATE INDEX out_of_office_organization_id_ix ON out_of_office (organization_id)",
)


def upgrade() -> None:
    """Add the table."""
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
