"""Letters, what became of their attempts, mutes, and the built-in accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# PostgreSQL marks a claimed letter's old row as dead, and the claim's index keeps pointing at it until a vacuum. With the
# defaults (a fifth of the table) that would be every 2 million letters where 10 million are kept, and each claim would
# walk over what the others left. Vacuums here come after 1 % and cost little: they skip pages that nobody changed, and
# the pauses between their steps are off so that one ends before the next is due. Statistics are kept fresh because the
# share of letters that wait changes from nothing to all within a minute.
_VACUUM_OFTEN = """
    ALTER TABLE letters SET (
        autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
    )
"""


def _text(length: int) -> sa.types.TypeEngine[str]:
    """What may be that long. SQLite does not look; PostgreSQL would, and a letter whose outcome it refuses is sent twice."""
    return sa.String(length).with_variant(sa.Text(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("id", _text(44), nullable=False),
        sa.Column("kind", _text(16), nullable=False),  # reset, notice
        sa.Column("state", _text(16), nullable=False),  # queued, sending, sent, dropped, failed, expired
        sa.Column("reason", _text(64)),  # why it was dropped, failed or expired
        sa.Column("address", _text(320)),  # reset: as asked for; notice: the address on record
        sa.Column("locale", _text(35)),
        sa.Column("client", _text(64)),
        sa.Column("message_id", _text(64), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("deadline_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lease_owner", _text(32)),
        sa.Column("lease_until", sa.Double()),
        sa.Column("account_id", _text(255)),  # once admitted: whose link this is
        sa.Column(
            "credential", _text(64)
        ),  # the account's at that time: a change kills the link; null once settled
        sa.Column("admitted_at", sa.Double()),
        sa.Column("sent_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("relay", _text(255)),
        sa.Column("reply", _text(255)),
        sa.Column("link", _text(16)),  # null while it is open; used, revoked, expired
        sa.Column("link_at", sa.Double()),
    )
    op.create_index("letters_id", "letters", ["id"], unique=True)
    # Partial, so that claiming never scans what is finished, however much of it there is.
    queued = sa.text("state = 'queued'")
    # On PostgreSQL a number: see store/dialect.py.
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    tried = "CAST(attempts > 0 AS integer)" if on_postgresql else "(attempts > 0)"
    op.create_index(
        "letters_due",
        "letters",
        [sa.text(tried), "due_at"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    # Conditions that a claim does not meet. By statistics of a time when nothing waited, PostgreSQL takes all indexes of
    # what waits for equally small, and would read one of these from end to end and sort it, for each claim of a few.
    op.create_index(
        "letters_address",
        "letters",
        ["address"],
        sqlite_where=queued,
        postgresql_where=sa.text("state = 'queued' AND address IS NOT NULL"),
    )
    op.create_index(
        "letters_deadline",
        "letters",
        ["deadline_at"],
        sqlite_where=queued,
        postgresql_where=sa.text("state = 'queued' AND deadline_at > 0"),
    )
    sending = sa.text("state = 'sending'")
    op.create_index(
        "letters_lease", "letters", ["lease_until"], sqlite_where=sending, postgresql_where=sending
    )
    # Not of all letters: accounts come in no order, so that each new letter would read and write another page of it.
    unsettled = sa.text("credential IS NOT NULL")
    op.create_index(
        "letters_account", "letters", ["account_id"], sqlite_where=unsettled, postgresql_where=unsettled
    )
    finished = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "letters_finished", "letters", ["finished_at"], sqlite_where=finished, postgresql_where=finished
    )

    op.create_table(
        "attempts",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("letter_id", _text(44), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("relay", _text(255), nullable=False),
        sa.Column("verdict", _text(16), nullable=False),
        sa.Column("code", sa.Integer()),
        sa.Column("reply", _text(255), nullable=False),
    )
    op.create_index("attempts_letter", "attempts", ["letter_id"])

    op.create_table(
        "mutes",
        sa.Column("account_id", _text(255), primary_key=True),
        sa.Column("until", sa.Double(), nullable=False),
    )

    op.create_table(
        "accounts",
        sa.Column("id", _text(32), primary_key=True),
        sa.Column("address", _text(320), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("locale", _text(35)),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
    )
    op.create_index("accounts_address", "accounts", ["address"], unique=True)

    if on_postgresql:
        op.execute(_VACUUM_OFTEN)
