"""Cells: how many permits lie in each square of the Web Mercator grid, level by level, and what they are about."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DEEPEST = 20
# A filtered tile of too many permits is estimated from a sample; an index that holds all that filters ask spares it
# every page of the table.
SAMPLES = (16, 128)
ASKED = (
    "city, source_id, categories, status_current, status_current_mapped, permit_type, permit_type_mapped, permit_class,"
    " permit_class_mapped, work_class, zip, district, regions, issued_date, applied_date, est_project_cost_usd, location"
)

# Plain sums of plain arithmetic, so that the planner can put them in place: no STRICT, which would forbid it.
UP = (
    """
    CREATE FUNCTION mercator_x(lng double precision) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT greatest(0, least(1073741823, floor((lng + 180) / 360 * 1073741824)))::integer
    $$
    """,
    """
    CREATE FUNCTION mercator_y(lat double precision) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT greatest(0, least(1073741823,
        floor((0.5 - asinh(tan(radians(lat))) / (2 * pi())) * 1073741824)))::integer
    $$
    """,
    "COMMENT ON FUNCTION mercator_x IS 'column of the Web Mercator grid at level 30, from the antimeridian eastwards'",
    "COMMENT ON FUNCTION mercator_y IS 'row of the Web Mercator grid at level 30, from the north; beyond 85.0511 its edge'",
    """
    CREATE TABLE permit_cells (
      city TEXT COLLATE "C" NOT NULL,
      level SMALLINT NOT NULL,
      x INTEGER NOT NULL,
      y INTEGER NOT NULL,
      permits INTEGER NOT NULL,
      categories JSONB NOT NULL,
      CONSTRAINT pk_permit_cells PRIMARY KEY (city, level, x, y)
    ) WITH (fillfactor = 90)
    """,
    "COMMENT ON COLUMN permit_cells.level IS 'the Web Mercator grid has 2^level cells a side; a tile is a cell of its zoom'",
    "COMMENT ON COLUMN permit_cells.permits IS 'those with a usable point, and not removed'",
    "COMMENT ON COLUMN permit_cells.categories IS 'category to how many of the permits have it; a permit may have several'",
    # What is loaded already.
    f"""
    CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
    SELECT p.city, {DEEPEST} AS level, mercator_x(ST_X(location::geometry)) >> 30 - {DEEPEST} AS x,
      mercator_y(ST_Y(location::geometry)) >> 30 - {DEEPEST} AS y, category, count(*) AS permits
    FROM permits p CROSS JOIN LATERAL unnest(array_append(categories, '')) AS category
    WHERE location IS NOT NULL AND removed_run IS NULL GROUP BY 1, 2, 3, 4, 5
    """,
    *(
        f"""
        INSERT INTO counted SELECT city, {level}, x >> 1, y >> 1, category, sum(permits) FROM counted
        WHERE level = {level + 1} GROUP BY 1, 2, 3, 4, 5
        """
        for level in reversed(range(DEEPEST))
    ),
    """
    INSERT INTO permit_cells
    SELECT city, level, x, y, sum(permits) FILTER (WHERE category = ''),
      coalesce(jsonb_object_agg(category, permits) FILTER (WHERE category <> ''), '{}')
    FROM counted GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """,
    "DROP TABLE counted",
    *(
        f"""
        CREATE INDEX ix_permits_sampled_{share} ON permits USING gist ((location::geometry(Point,4326)))
        INCLUDE ({ASKED}) WHERE (hashtext(source_id) & {share - 1}) = 0 AND removed_run IS NULL
        """
        for share in SAMPLES
    ),
)

DOWN = (
    *(f"DROP INDEX ix_permits_sampled_{share}" for share in SAMPLES),
    "DROP TABLE permit_cells",
    "DROP FUNCTION mercator_y",
    "DROP FUNCTION mercator_x",
)


def upgrade() -> None:
    """Add them, counted from what is loaded."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take them away again."""
    for statement in DOWN:
        op.execute(statement)
