"""What a nightly run needs: a point to resume from, what sources are remembered by, and where permits came from."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = (
    # Both were checked row by row for millions of rows, and a run's number can come from the run alone.
    "ALTER TABLE source_rows DROP CONSTRAINT fk_source_rows_run",
    "ALTER TABLE permit_changes DROP CONSTRAINT fk_permit_changes_run",
    "ALTER TABLE source_rows ADD COLUMN form TEXT COLLATE \"C\" NOT NULL DEFAULT ''",
    "ALTER TABLE source_rows ALTER COLUMN form DROP DEFAULT",
    'ALTER TABLE source_rows ADD COLUMN updated_at TEXT COLLATE "C"',
    "COMMENT ON COLUMN source_rows.form IS 'the form of the city file that read it'",
    "COMMENT ON COLUMN source_rows.updated_at IS 'the source''s own instant or day of this content, as it wrote it'",
    "ALTER TABLE permits ADD COLUMN battery_kwh DOUBLE PRECISION",
    "ALTER TABLE ingest_runs ADD COLUMN request BYTEA",
    "ALTER TABLE ingest_runs ADD COLUMN progress JSONB",
    "COMMENT ON COLUMN ingest_runs.request IS 'hash of what was asked for: a later run that asks for the same may resume'",
    "COMMENT ON COLUMN ingest_runs.progress IS 'what is staged and where to go on; null once the run needs neither'",
    "ALTER TABLE rejected_records ADD COLUMN row_id TEXT",
    'ALTER TABLE rejected_records ADD COLUMN source_id TEXT COLLATE "C"',
    "ALTER TABLE rejected_records ADD COLUMN resolved_run BIGINT",
    "COMMENT ON COLUMN rejected_records.row_id IS 'the portal''s row id, where it has one'",
    "COMMENT ON COLUMN rejected_records.source_id IS 'the key of its permit, where it could be read'",
    "COMMENT ON COLUMN rejected_records.resolved_run IS 'the run that took it after all'",
    """
    CREATE TABLE source_states (
      city TEXT COLLATE "C" NOT NULL,
      source TEXT COLLATE "C" NOT NULL,
      run BIGINT NOT NULL,
      state JSONB NOT NULL,
      CONSTRAINT pk_source_states PRIMARY KEY (city, source),
      CONSTRAINT fk_source_states_run FOREIGN KEY(run) REFERENCES ingest_runs (run)
    )
    """,
    "COMMENT ON COLUMN source_states.run IS 'the last run that read it to its end'",
    "COMMENT ON COLUMN source_states.state IS 'watermark, tags and counts; nothing of a row'",
    # Nothing reads it.
    "ALTER TABLE register_words DROP COLUMN mapped",
    "ALTER TABLE city_states ADD COLUMN categories_version INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE city_states ALTER COLUMN categories_version DROP DEFAULT",
    "COMMENT ON COLUMN city_states.categories_version IS 'of the rules that every permit of the city was read by'",
)

DOWN = (
    "ALTER TABLE city_states DROP COLUMN categories_version",
    "ALTER TABLE register_words ADD COLUMN mapped TEXT",
    "COMMENT ON COLUMN register_words.mapped IS 'the closed word it is mapped to, if any'",
    "DROP TABLE source_states",
    "ALTER TABLE rejected_records DROP COLUMN resolved_run",
    "ALTER TABLE rejected_records DROP COLUMN source_id",
    "ALTER TABLE rejected_records DROP COLUMN row_id",
    "ALTER TABLE ingest_runs DROP COLUMN progress",
    "ALTER TABLE ingest_runs DROP COLUMN request",
    "ALTER TABLE permits DROP COLUMN battery_kwh",
    "ALTER TABLE source_rows DROP COLUMN updated_at",
    "ALTER TABLE source_rows DROP COLUMN form",
    "ALTER TABLE permit_changes ADD CONSTRAINT fk_permit_changes_run FOREIGN KEY (run) REFERENCES ingest_runs (run)",
    "ALTER TABLE source_rows ADD CONSTRAINT fk_source_rows_run FOREIGN KEY (run) REFERENCES ingest_runs (run)",
)


def upgrade() -> None:
    """Add them; what was loaded before is of no known form until it is read again."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take them away again."""
    for statement in DOWN:
        op.execute(statement)
