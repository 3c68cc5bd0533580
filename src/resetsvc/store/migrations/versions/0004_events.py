"""Events that the application is told of: kept until it has taken them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),  # JSON, as it is posted
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("deadline_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
    )
    waiting = sa.text("NOT failed")
    op.create_index("events_due", "events", ["due_at"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("events_deadline", "events", ["deadline_at"])
