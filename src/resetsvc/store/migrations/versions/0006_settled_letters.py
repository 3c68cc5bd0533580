"""Letters that are over, in a table of their own: the indexes of those in hand hold those of some hours and not of months."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # Nothing is moved here, however much there is: a dispatcher does that in slices, while requests come in.
    op.create_table(
        "settled_letters",
        sa.Column("id", sa.Text(), primary_key=True),  # the columns are those of `letters`
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),  # sent, dropped
        sa.Column("reason", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("locale", sa.Text()),
        sa.Column("client", sa.Text()),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("deadline_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Text()),
        sa.Column("admitted_at", sa.Double()),
        sa.Column("sent_at", sa.Double()),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("relay", sa.Text()),
        sa.Column("reply", sa.Text()),
        sa.Column("link", sa.Text()),
        sa.Column("link_at", sa.Double()),
    )
    op.create_index("settled_letters_finished", "settled_letters", ["finished_at"])
