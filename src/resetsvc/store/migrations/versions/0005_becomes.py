"""What the credential becomes by a change in another database: by it ours is told from one that the application made."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # NULL: an endpoint chooses it, or the change was begun by a version that did not write it down.
    op.add_column("changes", sa.Column("becomes", sa.Text()))
