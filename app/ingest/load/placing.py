"""Which regions permits lie in, and the ZIP and district that follow: set by set, within the caller's transaction.

A ZIP or district is the permit's own, or else that of the polygon it lies in. A point on a border that two regions of
one kind share lies in both; of two ZIPs or districts the first by name counts.
"""

from psycopg import sql

from app.ingest.load.merge import LOCATION, Values, index, read_district
from app.ingest.load.staging import Database, name_tables
from app.permits.words import DISTRICT_KIND, ZIP_KIND


def place_staged(database: Database, run: int, values: Values) -> None:
    """Make the table ``placed`` of all chosen rows: the city has no permits yet."""
    statement = """
        CREATE TEMPORARY TABLE points ON COMMIT DROP AS
        SELECT source_id, location::geometry(POINT, 4326) AS point FROM (
          SELECT r.source_id, {location} AS location FROM {rows} r JOIN winners w ON w.place = r.ctid
          WHERE EXISTS (SELECT FROM regions WHERE city = %(city)s)
        ) AS told WHERE location IS NOT NULL
    """
    database.execute(sql.SQL(statement).format(location=LOCATION, **name_tables(run)), values)
    _find_regions(database, values)
    _make_placed(database)


def place_differing(database: Database, values: Values) -> None:
    """Make the table ``placed`` of the permits in ``differing``; only those that are new or moved are looked for."""
    database.execute(
        """
        CREATE TEMPORARY TABLE points ON COMMIT DROP AS
        SELECT d.source_id, d.location::geometry(POINT, 4326) AS point
        FROM differing d LEFT JOIN permits p ON p.city = %(city)s AND p.source_id = d.source_id
        WHERE d.location IS NOT NULL AND (d.is_new OR d.location IS DISTINCT FROM p.location)
        """,
        values,
    )
    _find_regions(database, values)
    database.execute(
        """
        INSERT INTO lying (source_id, region)
        SELECT d.source_id, unnest(p.regions)
        FROM differing d JOIN permits p ON p.city = %(city)s AND p.source_id = d.source_id
        WHERE d.location IS NOT DISTINCT FROM p.location
        """,
        values,
    )
    _make_placed(database)


def _find_regions(database: Database, values: Values, fresh: list[int] | None = None) -> None:
    """Make the table ``lying`` of ``points``: each with each of these regions that covers it, border included."""
    database.execute("CREATE INDEX ON points USING gist (point)")
    database.execute("ANALYZE points")
    # OFFSET 0 keeps the regions outside: PostGIS prepares a polygon once for all points that are looked at in a row.
    database.execute(
        """
        CREATE TEMPORARY TABLE lying ON COMMIT DROP AS
        SELECT inside.source_id, r.region
        FROM regions r CROSS JOIN LATERAL (
          SELECT t.source_id FROM points t WHERE ST_Covers(r.area, t.point) OFFSET 0
        ) AS inside
        WHERE r.city = %(city)s AND (%(fresh)s::bigint[] IS NULL OR r.region = ANY (%(fresh)s::bigint[]))
        """,
        {**values, "fresh": fresh},
    )


def find_anew(database: Database, values: Values, *, fresh: list[int], stale: list[int]) -> None:
    """Make the tables ``touched``, ``lying`` and ``placed`` of the permits that lie, or lay, in a changed region.

    ``fresh`` and ``stale`` are numbers of regions: those with another area, and those whose area is no longer that.
    """
    values = {**values, "stale": stale, "extent": _find_extent(database, fresh)}
    # Taken out first: to look up each region's permits in the table itself would read most of it for each of them.
    points = """
        CREATE TEMPORARY TABLE points ON COMMIT DROP AS
        SELECT source_id, location::geometry(POINT, 4326) AS point FROM permits
        WHERE city = %(city)s AND location::geometry(POINT, 4326) && %(extent)s::geometry
    """
    database.execute(points, values)
    _find_regions(database, values, fresh)
    touched = """
        CREATE TEMPORARY TABLE touched ON COMMIT DROP AS
        SELECT source_id FROM lying
        UNION SELECT source_id FROM permits WHERE city = %(city)s AND regions && %(stale)s::bigint[]
    """
    database.execute(touched, values)
    index(database, "touched", "source_id")
    kept = """
        INSERT INTO lying (source_id, region)
        SELECT source_id, region FROM (
          SELECT p.source_id, unnest(p.regions) AS region
          FROM permits p JOIN touched t USING (source_id) WHERE p.city = %(city)s
        ) AS lay WHERE region <> ALL (%(stale)s::bigint[])
    """
    database.execute(kept, values)
    _make_placed(database)


def _find_extent(database: Database, fresh: list[int]) -> str | None:
    """Give the box around regions as text of a geometry; a value, for the planner to see how much lies in it."""
    statement = "SELECT ST_SetSRID(ST_Extent(area)::geometry, 4326)::text FROM regions WHERE region = ANY (%s)"
    row = database.execute(statement, [fresh]).fetchone()
    return row[0] if row else None


def _make_placed(database: Database) -> None:
    """Make the table ``placed`` of ``lying``: the regions of each permit that lies in any, and what they tell."""
    statement = """
        CREATE TEMPORARY TABLE placed ON COMMIT DROP AS
        SELECT source_id, array_agg(region ORDER BY region) AS regions,
          min(r.name COLLATE "C") FILTER (WHERE r.kind = {zip_kind}) COLLATE "default" AS zip,
          min({district} COLLATE "C") FILTER (WHERE r.kind = {district_kind}) COLLATE "default" AS district
        FROM lying JOIN regions r USING (region) GROUP BY source_id
    """
    composed = sql.SQL(statement).format(
        zip_kind=sql.Literal(ZIP_KIND),
        district_kind=sql.Literal(DISTRICT_KIND),
        district=read_district(sql.SQL("r.name")),
    )
    database.execute(composed)
    index(database, "placed", "source_id")


def count_all(database: Database, values: Values) -> None:
    """Count the permits of each region of a city that had none."""
    _shift_counts(database, values, sql.SQL("SELECT 1 AS sign, unnest(regions) AS region FROM placed"))


def count_differences(database: Database, values: Values, *, with_vanished: bool) -> None:
    """Bring the counts of regions on, before permits change to what ``differing`` and ``placed`` say."""
    vanished = "UNION ALL SELECT source_id FROM vanished" if with_vanished else ""
    shifts = """
        SELECT -1 AS sign, unnest(p.regions) AS region FROM permits p JOIN (
          SELECT source_id FROM differing WHERE NOT is_new {vanished}
        ) AS touched USING (source_id) WHERE p.city = %(city)s AND p.removed_run IS NULL
        UNION ALL SELECT 1, unnest(regions) FROM placed
    """
    _shift_counts(database, values, sql.SQL(shifts).format(vanished=sql.SQL(vanished)))


def _shift_counts(database: Database, values: Values, shifts: sql.Composable) -> None:
    statement = """
        UPDATE regions r SET permits = r.permits + s.permits
        FROM (SELECT region, sum(sign) AS permits FROM ({shifts}) AS t GROUP BY region HAVING sum(sign) <> 0) AS s
        WHERE r.region = s.region
    """
    database.execute(sql.SQL(statement).format(shifts=shifts), values)
