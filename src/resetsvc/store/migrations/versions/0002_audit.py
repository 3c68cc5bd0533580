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
        sa.Column("event", sa.String(32).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),  # JSON, as text: the chain is over its characters
        # Digest of all records before this one.
        sa.Column("before", sa.String(64).with_variant(sa.Text(), "postgresql"), nullable=False),
        # Fingerprint of the key of the chain.
        sa.Column("key", sa.String(12).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("chain", sa.String(64).with_variant(sa.Text(), "postgresql"), nullable=False),
    )
    migrations = sa.text("event = 'schema_migrated'")
    op.create_index(
        "audit_migrations", "audit", ["seq"], sqlite_where=migrations, postgresql_where=migrations
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),  # always 1
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("chain", sa.String(64).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("key", sa.String(12).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("seal", sa.String(64).with_variant(sa.Text(), "postgresql"), nullable=False),
    )
    # Against our own mistakes. Whoever means harm can drop these, and is found out by the chain.
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit trail is only ever added to'; END $$"
        )
        for change in ("UPDATE", "DELETE", "TRUNCATE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "EXECUTE FUNCTION audit_is_only_added_to()"
            )
