"""What changed last in a city, found without reading the rest of its register."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.execute("CREATE INDEX ix_permits_changed ON permits (city, changed_run DESC, source_id)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX ix_permits_changed")
