"""The permits that a run touched are found by it, newest first."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index them."""
    op.execute("CREATE INDEX ix_permits_changed_run ON permits (changed_run DESC, city, source_id)")


def downgrade() -> None:
    """Drop the index."""
    op.execute("DROP INDEX ix_permits_changed_run")
