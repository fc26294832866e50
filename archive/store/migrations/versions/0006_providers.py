"""Sign-in without a password: providers, tokens, what people try at a page, what is seen of servers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From 0005."""
    op.create_table(
        "provider",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("secret_until", sa.BigInteger(), nullable=True),
        sa.Column("consent_days", sa.Integer(), nullable=True),
        sa.Column("authorize", sa.Text(), nullable=True),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("client_scope", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider")),
        sa.UniqueConstraint("name", name=op.f("uq_provider_name")),
    )
    op.add_column("mailbox", sa.Column("provider", Id, nullable=True))
    op.add_column("mailbox", sa.Column("grant_type", sa.String(length=16), nullable=True))
    op.create_table(
        "consent",
        sa.Column("mailbox", Id, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("refresh", sa.LargeBinary(), nullable=True),
        sa.Column("access", sa.LargeBinary(), nullable=True),
        sa.Column("access_at", sa.BigInteger(), nullable=False),
        sa.Column("access_until", sa.BigInteger(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["mailbox"], ["mailbox.id"], name=op.f("fk_consent_mailbox_mailbox")),
        sa.PrimaryKeyConstraint("mailbox", name=op.f("pk_consent")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "observation",
        sa.Column("mailbox", Id, autoincrement=False, nullable=False),
        sa.Column("certificate_until", sa.BigInteger(), nullable=True),
        sa.Column("quota_used", sa.BigInteger(), nullable=True),
        sa.Column("quota_limit", sa.BigInteger(), nullable=True),
        sa.Column("ahead", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox"], ["mailbox.id"], name=op.f("fk_observation_mailbox_mailbox")),
        sa.PrimaryKeyConstraint("mailbox", name=op.f("pk_observation")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attempt",
        sa.Column("id", Id, nullable=False),
        sa.Column("user", Id, nullable=False),
        sa.Column("mailbox", Id, nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("mark", sa.LargeBinary(length=32), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("outcome_kind", sa.String(length=32), nullable=True),
        sa.Column("outcome_values", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["mailbox"], ["mailbox.id"], name=op.f("fk_attempt_mailbox_mailbox")),
        sa.ForeignKeyConstraint(["user"], ["user.id"], name=op.f("fk_attempt_user_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("mark", name=op.f("uq_attempt_mark")),
    )
    op.create_index(op.f("ix_attempt_state"), "attempt", ["state"], unique=False)
