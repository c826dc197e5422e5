"""When a run of each city last succeeded, one without news included."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the instant, and take that of a city loaded before from its runs."""
    op.execute("ALTER TABLE city_states ADD COLUMN succeeded_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL")
    op.execute("COMMENT ON COLUMN city_states.succeeded_at IS 'when a run last ended published or unchanged'")
    op.execute(
        """
        UPDATE city_states s SET succeeded_at = r.finished_at
        FROM (
          SELECT city, max(finished_at) AS finished_at FROM ingest_runs
          WHERE status IN ('published', 'unchanged') GROUP BY city
        ) r
        WHERE r.city = s.city AND r.finished_at IS NOT NULL
        """
    )


def downgrade() -> None:
    """Forget the instant; the runs keep their own."""
    op.execute("ALTER TABLE city_states DROP COLUMN succeeded_at")
