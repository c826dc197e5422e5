"""The tables of the register, and the extension that its points need."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CREATE = (
    "CREATE EXTENSION IF NOT EXISTS postgis",
    """
    CREATE TABLE ingest_runs (
      run BIGSERIAL NOT NULL,
      city TEXT COLLATE "C" NOT NULL,
      source TEXT NOT NULL,
      status TEXT NOT NULL,
      started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
      finished_at TIMESTAMP WITH TIME ZONE,
      report JSONB,
      CONSTRAINT pk_ingest_runs PRIMARY KEY (run)
    )
    """,
    "CREATE INDEX ix_ingest_runs_city_run ON ingest_runs (city, run)",
    "COMMENT ON COLUMN ingest_runs.source IS 'file name or portal data set; never a path or a key'",
    "COMMENT ON COLUMN ingest_runs.status IS 'running, published, unchanged, failed, refused, error'",
    "COMMENT ON COLUMN ingest_runs.report IS 'the run''s report, as it was printed'",
    """
    CREATE TABLE permits (
      city TEXT COLLATE "C" NOT NULL,
      source_id TEXT COLLATE "C" NOT NULL,
      permit_number TEXT,
      permit_type TEXT,
      permit_type_mapped TEXT,
      permit_class TEXT,
      permit_class_mapped TEXT,
      work_class TEXT,
      status_current TEXT,
      status_current_mapped TEXT,
      applied_date DATE,
      issued_date DATE,
      completed_date DATE,
      expires_date DATE,
      status_date DATE,
      description TEXT,
      est_project_cost_usd NUMERIC,
      housing_units INTEGER,
      total_sqft NUMERIC,
      original_address1 TEXT,
      house_number INTEGER,
      street TEXT,
      original_zip TEXT,
      council_district TEXT,
      jurisdiction TEXT,
      parcel_id TEXT,
      contractor_company_name TEXT,
      contractor_trade TEXT,
      master_permit_number TEXT,
      project_id TEXT,
      link TEXT,
      categories TEXT[] NOT NULL,
      solar_kw DOUBLE PRECISION,
      location geography(POINT,4326),
      reported_location geometry(POINT,4326),
      location_quality TEXT NOT NULL,
      first_run BIGINT NOT NULL,
      changed_run BIGINT NOT NULL,
      removed_run BIGINT,
      CONSTRAINT pk_permits PRIMARY KEY (city, source_id),
      CONSTRAINT ck_permits_location_quality CHECK (location_quality IN ('rooftop', 'interpolated', 'approximate', 'multipoint', 'unstated', 'default', 'outside', 'swapped', 'missing')),
      CONSTRAINT ck_permits_located CHECK ((location IS NULL) = (location_quality IN ('default', 'outside', 'swapped', 'missing')))
    )
    """,
    "CREATE INDEX ix_permits_address ON permits (house_number, street)",
    "CREATE INDEX ix_permits_street ON permits (street, house_number)",
    "CREATE INDEX ix_permits_categories ON permits USING gin (categories)",
    "CREATE INDEX ix_permits_cost ON permits (est_project_cost_usd DESC NULLS LAST, city, source_id)",
    "CREATE INDEX ix_permits_issued ON permits (issued_date DESC NULLS LAST, city, source_id)",
    "CREATE INDEX ix_permits_location ON permits USING gist (location)",
    "CREATE INDEX ix_permits_location_planar ON permits USING gist (CAST(location AS geometry(POINT,4326)))",
    "CREATE INDEX ix_permits_zip_issued ON permits (original_zip, issued_date)",
    "COMMENT ON COLUMN permits.house_number IS 'of original_address1, as permits.addresses reads it'",
    "COMMENT ON COLUMN permits.street IS 'of original_address1, in one canonical form'",
    "COMMENT ON COLUMN permits.location IS 'a usable point, or null'",
    "COMMENT ON COLUMN permits.reported_location IS 'the source''s own pair'",
    "COMMENT ON COLUMN permits.first_run IS 'the run that inserted it'",
    "COMMENT ON COLUMN permits.changed_run IS 'the run that last changed it'",
    "COMMENT ON COLUMN permits.removed_run IS 'the run that found it gone from the source'",
    """
    CREATE TABLE permit_changes (
      change BIGSERIAL NOT NULL,
      city TEXT COLLATE "C" NOT NULL,
      source_id TEXT COLLATE "C" NOT NULL,
      run BIGINT NOT NULL,
      field TEXT NOT NULL,
      old_value TEXT,
      new_value TEXT,
      CONSTRAINT pk_permit_changes PRIMARY KEY (change),
      CONSTRAINT fk_permit_changes_run FOREIGN KEY(run) REFERENCES ingest_runs (run)
    )
    """,
    "CREATE INDEX ix_permit_changes_city_source_id ON permit_changes (city, source_id)",
    "CREATE INDEX ix_permit_changes_run ON permit_changes (run)",
    """
    CREATE TABLE source_rows (
      city TEXT COLLATE "C" NOT NULL,
      source_row_id TEXT COLLATE "C" NOT NULL,
      row_hash BYTEA NOT NULL,
      source_id TEXT COLLATE "C" NOT NULL,
      run BIGINT NOT NULL,
      CONSTRAINT pk_source_rows PRIMARY KEY (city, source_row_id),
      CONSTRAINT fk_source_rows_run FOREIGN KEY(run) REFERENCES ingest_runs (run)
    )
    """,
    "CREATE INDEX ix_source_rows_city_source_id ON source_rows (city, source_id)",
    "COMMENT ON COLUMN source_rows.source_row_id IS 'the portal''s row id, or one made of key and hash'",
    "COMMENT ON COLUMN source_rows.row_hash IS 'of the kept columns only'",
    """
    CREATE TABLE rejected_records (
      run BIGINT NOT NULL,
      source TEXT COLLATE "C" NOT NULL,
      position BIGINT NOT NULL,
      city TEXT COLLATE "C" NOT NULL,
      row_hash BYTEA NOT NULL,
      reason TEXT NOT NULL,
      kept_columns JSONB,
      CONSTRAINT pk_rejected_records PRIMARY KEY (run, source, position),
      CONSTRAINT fk_rejected_records_run FOREIGN KEY(run) REFERENCES ingest_runs (run)
    )
    """,
    "CREATE INDEX ix_rejected_records_city_reason ON rejected_records (city, reason)",
    "COMMENT ON COLUMN rejected_records.source IS 'the file of the run; never a path'",
    "COMMENT ON COLUMN rejected_records.position IS 'the record''s number in its source, from 1'",
    "COMMENT ON COLUMN rejected_records.kept_columns IS 'the columns that the city file allows; null where columns are in doubt'",
    """
    CREATE TABLE regions (
      region BIGSERIAL NOT NULL,
      city TEXT COLLATE "C" NOT NULL,
      kind TEXT NOT NULL,
      name TEXT NOT NULL,
      source TEXT NOT NULL,
      vintage TEXT NOT NULL,
      area geometry(MULTIPOLYGON,4326) NOT NULL,
      CONSTRAINT pk_regions PRIMARY KEY (region)
    )
    """,
    "CREATE INDEX ix_regions_area ON regions USING gist (area)",
    "CREATE UNIQUE INDEX ix_regions_name ON regions (city, kind, name)",
    """
    CREATE TABLE register_words (
      city TEXT COLLATE "C" NOT NULL,
      field TEXT COLLATE "C" NOT NULL,
      word TEXT COLLATE "C" NOT NULL,
      mapped TEXT,
      permits BIGINT NOT NULL,
      CONSTRAINT pk_register_words PRIMARY KEY (city, field, word)
    )
    """,
    "COMMENT ON COLUMN register_words.field IS 'permit_type, permit_class, work_class, status_current or issued_year'",
    "COMMENT ON COLUMN register_words.word IS 'as the city writes it'",
    "COMMENT ON COLUMN register_words.mapped IS 'the closed word it is mapped to, if any'",
    """
    CREATE TABLE city_states (
      city TEXT COLLATE "C" NOT NULL,
      run BIGINT NOT NULL,
      data_through DATE,
      synthetic BOOLEAN DEFAULT false NOT NULL,
      permits BIGINT NOT NULL,
      without_location BIGINT NOT NULL,
      without_category BIGINT NOT NULL,
      without_zip BIGINT NOT NULL,
      without_issued_date BIGINT NOT NULL,
      without_applied_date BIGINT NOT NULL,
      without_value BIGINT NOT NULL,
      CONSTRAINT pk_city_states PRIMARY KEY (city),
      CONSTRAINT fk_city_states_run FOREIGN KEY(run) REFERENCES ingest_runs (run)
    )
    """,
    "COMMENT ON COLUMN city_states.run IS 'the last run that published'",
    "COMMENT ON COLUMN city_states.data_through IS 'the latest issue date in the register, not after the run'",
    "COMMENT ON COLUMN city_states.synthetic IS 'invented data, and said so'",
    """
    CREATE TABLE data_versions (
      one SMALLINT DEFAULT '1' NOT NULL CONSTRAINT ck_data_versions_one_row CHECK (one = 1),
      version BIGINT NOT NULL,
      published_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
      CONSTRAINT pk_data_versions PRIMARY KEY (one)
    )
    """,
    "COMMENT ON COLUMN data_versions.version IS 'one more in every transaction that publishes'",
    "INSERT INTO data_versions (one, version) VALUES (1, 0)",
)

TABLES = (
    "data_versions",
    "city_states",
    "register_words",
    "regions",
    "rejected_records",
    "source_rows",
    "permit_changes",
    "permits",
    "ingest_runs",
)


def upgrade() -> None:
    """Create every table with its indexes."""
    for statement in CREATE:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables; the extension stays, for others may use it."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
