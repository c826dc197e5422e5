"""The cells of the map: how many permits lie in each square of the grid, level by level, kept as permits change.

What a night changes is counted before and after at the finest level, and each coarser level is summed from the one
below it, so that only the squares that a changed permit leaves or enters are written.
"""

from app.ingest.load.merge import Values
from app.ingest.load.staging import Database
from app.permits.grid import LEVEL_CELLS_MAX, LEVEL_FINEST

ALL = ""
"""Stands for a category where all permits are counted."""


def count_all(database: Database, values: Values) -> None:
    """Make the table ``cell_shifts`` of a city that had no permits: each permit one more."""
    permits = "SELECT 1 AS sign, location, categories FROM permits WHERE city = %(city)s AND removed_run IS NULL"
    _make_shifts(database, values, permits)


def count_differences(database: Database, values: Values, *, with_vanished: bool) -> None:
    """Make the table ``cell_shifts`` before permits change: what they were, each one less, and what they shall be."""
    vanished = "UNION ALL SELECT source_id FROM vanished" if with_vanished else ""
    _make_shifts(
        database,
        values,
        f"""
        SELECT -1 AS sign, location, categories FROM permits JOIN (
          SELECT source_id FROM differing WHERE NOT is_new {vanished}
        ) AS touched USING (source_id) WHERE city = %(city)s AND removed_run IS NULL
        UNION ALL SELECT 1, location, categories FROM differing
        """,  # noqa: S608 - names of tables, and no value
    )


def _make_shifts(database: Database, values: Values, permits: str) -> None:
    halvings = LEVEL_FINEST - LEVEL_CELLS_MAX
    finest = f"""
        SELECT x, y, category, sum(sign) AS permits
        FROM (
          SELECT sign, mercator_x(ST_X(location::geometry)) >> {halvings} AS x,
            mercator_y(ST_Y(location::geometry)) >> {halvings} AS y, categories
          FROM ({permits}) AS t WHERE location IS NOT NULL
        ) AS placed CROSS JOIN LATERAL unnest(array_append(categories, '{ALL}')) AS category
        GROUP BY x, y, category HAVING sum(sign) <> 0
    """  # noqa: S608 - constants, and no value
    coarser = [
        f"""
        level_{level} AS (
          SELECT x >> 1 AS x, y >> 1 AS y, category, sum(permits) AS permits FROM level_{level + 1}
          GROUP BY 1, 2, 3 HAVING sum(permits) <> 0
        )
        """  # noqa: S608
        for level in reversed(range(LEVEL_CELLS_MAX))
    ]
    levels = ", ".join((f"level_{LEVEL_CELLS_MAX} AS ({finest})", *coarser))
    every = " UNION ALL ".join(f"SELECT {level} AS level, * FROM level_{level}" for level in range(LEVEL_CELLS_MAX + 1))  # noqa: S608
    database.execute(f"CREATE TEMPORARY TABLE cell_shifts ON COMMIT DROP AS WITH {levels} {every}", values)
    database.execute("ANALYZE cell_shifts")


# Of what the cells were and what they are more or less: a category that none is left of stays away, an empty cell as 0.
MERGED = f"""
    SELECT level, x, y, category, sum(permits) AS permits FROM (
      SELECT level, x, y, category, permits FROM cell_shifts
      UNION ALL
      SELECT c.level, c.x, c.y, was.category, was.permits
      FROM (SELECT DISTINCT level, x, y FROM cell_shifts) AS touched
      JOIN permit_cells c ON c.city = %(city)s AND (c.level, c.x, c.y) = (touched.level, touched.x, touched.y)
      CROSS JOIN LATERAL (
        SELECT '{ALL}' AS category, c.permits UNION ALL SELECT key, value::integer FROM jsonb_each_text(c.categories)
      ) AS was
    ) AS both_sides GROUP BY level, x, y, category
"""  # noqa: S608 - constants, and no value


def shift_cells(database: Database, values: Values) -> None:
    """Bring the city's cells on by ``cell_shifts``, after its permits changed."""
    known = database.execute("SELECT EXISTS (SELECT FROM permit_cells WHERE city = %(city)s)", values).fetchone()
    told = MERGED if known and known[0] else "SELECT level, x, y, category, permits FROM cell_shifts"
    shifted = f"""
        INSERT INTO permit_cells (city, level, x, y, permits, categories)
        SELECT %(city)s, level, x, y, coalesce(sum(permits) FILTER (WHERE category = '{ALL}'), 0),
          coalesce(jsonb_object_agg(category, permits) FILTER (WHERE category <> '{ALL}' AND permits <> 0), '{{}}')
        FROM ({told}) AS told GROUP BY level, x, y ORDER BY level, x, y
        ON CONFLICT (city, level, x, y) DO UPDATE SET permits = excluded.permits, categories = excluded.categories
    """  # noqa: S608 - constants, and no value
    database.execute(shifted, values)
    emptied = """
        DELETE FROM permit_cells c USING cell_shifts s
        WHERE c.city = %(city)s AND (c.level, c.x, c.y) = (s.level, s.x, s.y) AND c.permits = 0
    """
    database.execute(emptied, values)
