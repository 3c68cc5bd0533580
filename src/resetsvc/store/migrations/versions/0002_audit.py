"""The audit trail, and where it ends."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "audit",
        # Given by the writer: the number is part of what is chained.
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),  # JSON, as text: the chain is over its characters
        sa.Column("before", sa.String(64), nullable=False),  # digest of all records before this one
        sa.Column("key", sa.String(12), nullable=False),  # fingerprint of the key of the chain
        sa.Column("chain", sa.String(64), nullable=False),
    )
    migrations = sa.text("event = 'schema_migrated'")
    op.create_index(
        "audit_migrations", "audit", ["seq"], sqlite_where=migrations, postgresql_where=migrations
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),  # always 1
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("key", sa.String(12), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        # Against our own mistakes. Whoever means harm can drop these, and is found out by the chain.
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END"
            )
