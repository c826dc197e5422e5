"""What a map asks for on every pan, made once: each permit's feature as it is sent, its words, and the area it lies in."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# row_to_json puts no blanks between members. It is declared stable for the sake of types that print by setting, which of
# these only floating point does; no connection of ours sets it. The body is bound when it is made: a dump is restored
# without a search path.
FEATURE = """
CREATE FUNCTION permit_feature(
  city text, source_id text, permit_number text, permit_type text, permit_type_mapped text, permit_class text,
  permit_class_mapped text, work_class text, status_current text, status_current_mapped text, applied_date date,
  issued_date date, completed_date date, categories text[], solar_kw double precision, battery_kwh double precision,
  description text, original_address1 text, original_zip text, council_district text, zip text, district text,
  est_project_cost_usd numeric, housing_units integer, total_sqft numeric, contractor_company_name text, link text,
  location_quality text, location geography
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN '{"type":"Feature","id":' || to_json($1 || '/' || $2) || ',"geometry":' || coalesce(
      '{"type":"Point","coordinates":[' || trim_scale(round(ST_X($29::geometry)::numeric, 6))
      || ',' || trim_scale(round(ST_Y($29::geometry)::numeric, 6)) || ']}', 'null')
    || ',"properties":' || left((SELECT row_to_json(told)::text FROM (SELECT
    $1 AS city, $2 AS source_id, $3 AS permit_number, $4 AS permit_type, $5 AS permit_type_mapped,
    $6 AS permit_class, $7 AS permit_class_mapped, $8 AS work_class, $9 AS status_current,
    $10 AS status_current_mapped, $11 AS applied_date, $12 AS issued_date, $13 AS completed_date, $14 AS categories,
    $15 AS solar_kw, $16 AS battery_kwh, $17 AS description, $18 AS original_address1, $19 AS original_zip,
    $20 AS council_district, $21 AS zip, $22 AS district, trim_scale($23) AS est_project_cost_usd,
    $24 AS housing_units, trim_scale($25) AS total_sqft, $26 AS contractor_company_name, $27 AS link,
    $28 AS location_quality
  ) AS told), -1)
"""
MADE = """
permit_feature(city, source_id, permit_number, permit_type, permit_type_mapped, permit_class, permit_class_mapped,
  work_class, status_current, status_current_mapped, applied_date, issued_date, completed_date, categories, solar_kw,
  battery_kwh, description, original_address1, original_zip, council_district, zip, district, est_project_cost_usd,
  housing_units, total_sqft, contractor_company_name, link, location_quality, location)
"""
# The projection has no poles.
MERCATOR = "CASE WHEN abs(ST_Y(location::geometry)) <= 85.06 THEN ST_Transform(location::geometry, 3857) END"
# PostgreSQL's parser takes "addition/remodel" for one path and "garage.new" for one host: a tenth of
# Austin's real descriptions have such words. Quotes and a minus before a word are a caller's; a point stays inside a number.
SEARCHABLE = r"""
CREATE FUNCTION searchable(told TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT regexp_replace(told, '[^[:alnum:]".-]|(?<=[[:alnum:]])-|\.(?![0-9])|(?<![0-9])\.', ' ', 'g')
$$
"""
SEARCH = "to_tsvector('english', searchable(coalesce(description, '') || ' ' || coalesce(original_address1, '')))"

UP = (
    "ALTER TABLE permits ADD COLUMN zip TEXT",
    "ALTER TABLE permits ADD COLUMN district TEXT",
    "ALTER TABLE permits ADD COLUMN regions BIGINT[] NOT NULL DEFAULT '{}'",
    "COMMENT ON COLUMN permits.zip IS 'the permit''s own, or else that of the polygon it lies in'",
    "COMMENT ON COLUMN permits.district IS 'the permit''s own, or else that of the polygon it lies in'",
    "COMMENT ON COLUMN permits.regions IS 'the regions it lies in'",
    FEATURE,
    SEARCHABLE,
    # Rewrites the table once: to update every row would take five times as long.
    """
    ALTER TABLE permits
      ALTER COLUMN zip TYPE TEXT USING original_zip, ALTER COLUMN district TYPE TEXT USING council_district
    """,
    # A feature stays in its row: a page of a hundred would else look up a hundred.
    f"""
    ALTER TABLE permits
      ADD COLUMN feature TEXT GENERATED ALWAYS AS ({MADE}) STORED,
      ADD COLUMN mercator geometry(POINT,3857) GENERATED ALWAYS AS ({MERCATOR}) STORED,
      ADD COLUMN search TSVECTOR GENERATED ALWAYS AS ({SEARCH}) STORED
    """,
    "ALTER TABLE permits ALTER COLUMN feature SET STORAGE MAIN",
    "ALTER TABLE permits SET (toast_tuple_target = 8160)",
    "COMMENT ON COLUMN permits.feature IS 'its GeoJSON feature without the last two braces: a distance may follow'",
    "COMMENT ON COLUMN permits.mercator IS 'its point in the plane of map tiles, where directions are alike; null near a pole'",
    "COMMENT ON COLUMN permits.search IS 'the words of description and address'",
    # Neighbours on the map become neighbours on disk.
    "CLUSTER permits USING ix_permits_location_planar",
    "ALTER TABLE permits SET WITHOUT CLUSTER",
    "DROP INDEX ix_permits_zip_issued",
    "CREATE INDEX ix_permits_zip_issued ON permits (zip, issued_date)",
    "CREATE INDEX ix_permits_mercator ON permits USING gist (mercator)",
    "CREATE INDEX ix_permits_regions ON permits USING gin (regions)",
    "CREATE INDEX ix_permits_search ON permits USING gin (search)",
)

DOWN = (
    "DROP INDEX ix_permits_search",
    "DROP INDEX ix_permits_mercator",
    "DROP INDEX ix_permits_regions",
    "DROP INDEX ix_permits_zip_issued",
    "CREATE INDEX ix_permits_zip_issued ON permits (original_zip, issued_date)",
    "ALTER TABLE permits RESET (toast_tuple_target)",
    "ALTER TABLE permits DROP COLUMN search, DROP COLUMN mercator, DROP COLUMN feature",
    "DROP FUNCTION permit_feature",
    "DROP FUNCTION searchable",
    "ALTER TABLE permits DROP COLUMN regions, DROP COLUMN district, DROP COLUMN zip",
)


def upgrade() -> None:
    """Add them; a large register is written anew once, which takes minutes."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take them away again."""
    for statement in DOWN:
        op.execute(statement)
