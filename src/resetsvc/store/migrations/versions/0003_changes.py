"""Changes of passwords that were begun in another database: what a crash left open is found here."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("letter_id", sa.Text(), primary_key=True),
        sa.Column("account_id", sa.Text(), nullable=False, unique=True),  # one at a time
        sa.Column("credential", sa.Text(), nullable=False),  # as it was before
        sa.Column("client", sa.Text(), nullable=False),
        # When whoever finds it may look into it: until then its process is believed to be alive.
        sa.Column("look_at", sa.Double(), nullable=False),
    )
    op.create_index("changes_look_at", "changes", ["look_at"])
