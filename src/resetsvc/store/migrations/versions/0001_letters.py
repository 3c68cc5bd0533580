"""Letters, what became of their attempts, mutes, and the built-in accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),  # reset, notice
        sa.Column("state", sa.String(16), nullable=False),  # queued, sending, sent, dropped, failed, expired
        sa.Column("reason", sa.String(64)),  # why it was dropped, failed or expired
        sa.Column("address", sa.String(320)),  # reset: as asked for; notice: the address on record
        sa.Column("locale", sa.String(35)),
        sa.Column("client", sa.String(64)),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("deadline_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lease_owner", sa.String(32)),
        sa.Column("lease_until", sa.Double()),
        sa.Column("account_id", sa.String(255)),  # once admitted: whose link this is
        sa.Column(
            "credential", sa.String(64)
        ),  # the account's credential at that time: a change kills the link
        sa.Column("admitted_at", sa.Double()),
        sa.Column("sent_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("relay", sa.String(255)),
        sa.Column("reply", sa.String(255)),
        sa.Column("link", sa.String(16)),  # null while it is open; used, revoked, expired
        sa.Column("link_at", sa.Double()),
    )
    op.create_index("letters_id", "letters", ["id"], unique=True)
    # Partial, so that claiming never scans what is finished, however much of it there is.
    queued = sa.text("state = 'queued'")
    op.create_index(
        "letters_due",
        "letters",
        [sa.text("(attempts > 0)"), "due_at"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    op.create_index("letters_address", "letters", ["address"], sqlite_where=queued, postgresql_where=queued)
    op.create_index(
        "letters_deadline", "letters", ["deadline_at"], sqlite_where=queued, postgresql_where=queued
    )
    sending = sa.text("state = 'sending'")
    op.create_index(
        "letters_lease", "letters", ["lease_until"], sqlite_where=sending, postgresql_where=sending
    )
    owned = sa.text("account_id IS NOT NULL")
    op.create_index("letters_account", "letters", ["account_id"], sqlite_where=owned, postgresql_where=owned)
    finished = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "letters_finished", "letters", ["finished_at"], sqlite_where=finished, postgresql_where=finished
    )

    op.create_table(
        "attempts",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("letter_id", sa.String(32), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("relay", sa.String(255), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("code", sa.Integer()),
        sa.Column("reply", sa.String(255), nullable=False),
    )
    op.create_index("attempts_letter", "attempts", ["letter_id"])

    op.create_table(
        "mutes",
        sa.Column("account_id", sa.String(255), primary_key=True),
        sa.Column("until", sa.Double(), nullable=False),
    )

    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("locale", sa.String(35)),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
    )
    op.create_index("accounts_address", "accounts", ["address"], unique=True)
