"""The figures that statistics are told by: one cell for permits of the same words, place and month of issue.

Cells move by what left them and what came, never by a count from the beginning. Where one moved, months (the cells of
every place together), years, and blocks (the cells of the same words and year in a row) are made anew. Costs and days
are packed, as numbers of 8 and of 4 bytes, so that a median is found without a row for each. Whoever changes a permit's
words, place, dates or cost calls :func:`note_leaving` before and :func:`shift_figures` after.
"""

from psycopg import sql

from app.ingest.load.merge import Values
from app.ingest.load.staging import Database

WORDS = (
    "permit_type",
    "permit_type_mapped",
    "permit_class",
    "permit_class_mapped",
    "work_class",
    "status_current",
    "status_current_mapped",
    "categories",
)
PLACE = ("zip", "district", "regions")
TABLES = ("stats_words", "stats_places", "stats_cells", "stats_months", "stats_years", "stats_blocks")


def _names(columns: tuple[str, ...], table: str = "t") -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, column) for column in columns)


NAMES = {
    "words": sql.SQL(", ").join(map(sql.Identifier, WORDS)),
    "place": sql.SQL(", ").join(map(sql.Identifier, PLACE)),
    "words_told": sql.SQL("ROW({})::text").format(_names(WORDS)),
    "place_told": sql.SQL("ROW({})::text").format(_names(PLACE)),
    "cost": sql.SQL("t.est_project_cost_usd"),
    "waited": sql.SQL("t.issued_date - t.applied_date"),
}
MOVES = """
    SELECT {words}, {place},
      coalesce(12 * extract(year FROM t.issued_date) + extract(month FROM t.issued_date) - 1, 0)::int AS month,
      {sign} * count(*) AS permits, {sign} * count({cost}) AS priced, {sign} * count({waited}) AS timed,
      {sign} * coalesce(sum({cost}), 0) AS value_usd,
      string_agg(float8send({cost}::float8), '') AS values_usd, string_agg(int4send({waited}), '') AS days
    FROM {permits} GROUP BY {words}, {place}, month
"""
"""Each cell that permits leave or come to. Days may be before the application: the source says so."""
TOUCHED = "permits t JOIN restated USING (source_id)"
OF_CITY = sql.SQL(" t.city = %(city)s AND t.removed_run IS NULL")


def _moves(permits: str, sign: int) -> sql.Composed:
    chosen = sql.SQL("(SELECT t.* FROM {} WHERE {}) AS t").format(sql.SQL(permits), OF_CITY)
    return sql.SQL(MOVES).format(permits=chosen, sign=sql.Literal(sign), **NAMES)


def note_all(database: Database, values: Values) -> None:
    """Note every permit of a city that had none as one that came."""
    database.execute(_make("moves", _moves("permits t", 1)), values)
    database.execute('CREATE TEMPORARY TABLE restated (source_id text COLLATE "C") ON COMMIT DROP')


def note_leaving(database: Database, values: Values, touched: str) -> None:
    """Note the cells of permits that are about to change; ``touched`` selects their source ids, new ones included."""
    database.execute(_make("restated", sql.SQL(touched)), values)
    database.execute("ANALYZE restated")
    database.execute(_make("moves", _moves(TOUCHED, -1)), values)


def _make(table: str, select: sql.Composable) -> sql.Composed:
    return sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS ").format(sql.Identifier(table)) + select


def shift_figures(database: Database, values: Values) -> None:
    """Bring the city's cells on by the permits that left them and, as they are now, those that came."""
    database.execute(sql.SQL("INSERT INTO moves ") + _moves(TOUCHED, 1), values)
    is_first = _has_no_words(database, values)
    _name_new(database, values, "words", "stats_words")
    _name_new(database, values, "place", "stats_places")
    # A planner that knows of no rows would compare each move with every word and every place.
    database.execute("ANALYZE moves, stats_words, stats_places")
    if is_first:
        _fill(database, values)
    else:
        _shift(database, values)
    database.execute("ANALYZE shifted")
    for statement in (*MONTHS, *YEARS, *BLOCKS, "DROP TABLE moves, restated, shifted"):
        database.execute(statement)


def _has_no_words(database: Database, values: Values) -> bool:
    row = database.execute("SELECT NOT EXISTS (SELECT FROM stats_words WHERE city = %(city)s)", values).fetchone()
    return bool(row and row[0])


def _fill(database: Database, values: Values) -> None:
    """Take each move for the cell that it is where there was none."""
    database.execute(sql.SQL("INSERT INTO stats_cells ") + _name_cells() + sql.SQL(" ORDER BY 1, 2, 3"), values)
    database.execute(FILLED, values)


def _shift(database: Database, values: Values) -> None:
    database.execute(_make("figure_shifts", _name_cells()), values)
    database.execute("CREATE INDEX ON figure_shifts (words, place, month)")
    database.execute("ANALYZE figure_shifts")
    for statement in (SHIFTED, FORGET, RENEW, "DROP TABLE figure_shifts"):
        database.execute(statement)


def _name_cells() -> sql.Composed:
    return sql.SQL(NAMED).format(**NAMES)


def _name_new(database: Database, values: Values, name: str, table: str) -> None:
    """Give numbers to words, or places, that no permit had before."""
    statement = """
        INSERT INTO {table} (city, {columns}, told)
        SELECT %(city)s, {columns}, {told} FROM moves t GROUP BY {columns}
        ON CONFLICT (city, told) DO NOTHING
    """
    composed = sql.SQL(statement).format(table=sql.Identifier(table), columns=NAMES[name], told=NAMES[f"{name}_told"])
    database.execute(composed, values)


NAMED = """
    SELECT w.words, p.place, t.month, t.permits, t.priced, t.timed, t.value_usd, t.values_usd, t.days
    FROM moves t
    JOIN stats_words w ON w.city = %(city)s AND w.told = {words_told}
    JOIN stats_places p ON p.city = %(city)s AND p.told = {place_told}
"""
FILLED = """
    CREATE TEMPORARY TABLE shifted ON COMMIT DROP AS
    SELECT words, place, month FROM stats_cells JOIN stats_words USING (words) WHERE city = %(city)s
"""
# What a cell holds is taken apart and put together again where something moves: values that left cancel equal ones.
SHIFTED = """
    CREATE TEMPORARY TABLE shifted ON COMMIT DROP AS
    WITH parts AS (
      SELECT c.*, 1 AS sign FROM stats_cells c JOIN (SELECT DISTINCT words, place, month FROM figure_shifts) AS s
        USING (words, place, month)
      UNION ALL SELECT *, sign(permits)::int FROM figure_shifts
    ), costs AS (
      SELECT words, place, month, string_agg(cost, '') AS values_usd FROM (
        SELECT words, place, month, substring(values_usd FROM nth FOR 8) AS cost, sum(sign) AS times
        FROM parts CROSS JOIN generate_series(1, length(values_usd), 8) AS nth GROUP BY words, place, month, cost
      ) AS counted CROSS JOIN generate_series(1, times) GROUP BY words, place, month
    ), waits AS (
      SELECT words, place, month, string_agg(waited, '') AS days FROM (
        SELECT words, place, month, substring(days FROM nth FOR 4) AS waited, sum(sign) AS times
        FROM parts CROSS JOIN generate_series(1, length(days), 4) AS nth GROUP BY words, place, month, waited
      ) AS counted CROSS JOIN generate_series(1, times) GROUP BY words, place, month
    )
    SELECT words, place, month, permits, priced, timed, value_usd, values_usd, days FROM (
      SELECT words, place, month, sum(permits) AS permits, sum(priced) AS priced, sum(timed) AS timed,
        sum(value_usd) AS value_usd
      FROM parts GROUP BY words, place, month
    ) AS sums LEFT JOIN costs USING (words, place, month) LEFT JOIN waits USING (words, place, month)
"""
FORGET = "DELETE FROM stats_cells c USING shifted s WHERE (c.words, c.place, c.month) = (s.words, s.place, s.month)"
RENEW = "INSERT INTO stats_cells SELECT * FROM shifted WHERE permits <> 0 ORDER BY words, place, month"
MONTHS = (
    """
    DELETE FROM stats_months m USING (SELECT DISTINCT words, month FROM shifted) AS s
    WHERE (m.words, m.month) = (s.words, s.month)
    """,
    """
    INSERT INTO stats_months
    SELECT words, month, sum(permits), sum(priced), sum(timed), sum(value_usd)
    FROM stats_cells c JOIN (SELECT DISTINCT words, month FROM shifted) AS s USING (words, month)
    GROUP BY words, month ORDER BY words, month
    """,
)
YEARS = (
    """
    CREATE TEMPORARY TABLE years ON COMMIT DROP AS
    SELECT DISTINCT words, place, month / 12 AS year FROM shifted
    UNION SELECT DISTINCT words, 0, month / 12 FROM shifted
    UNION SELECT DISTINCT 0, place, month / 12 FROM shifted
    """,
    "ANALYZE years",
    "DELETE FROM stats_years y USING years s WHERE (y.words, y.place, y.year) = (s.words, s.place, s.year)",
    """
    INSERT INTO stats_years
    SELECT c.words, c.place, s.year, sum(permits), sum(priced), sum(timed), sum(value_usd)
    FROM years s JOIN stats_cells c ON (c.words, c.place) = (s.words, s.place)
      AND c.month BETWEEN 12 * s.year AND 12 * s.year + 11
    GROUP BY c.words, c.place, s.year ORDER BY c.words, c.place, s.year
    """,
    """
    INSERT INTO stats_years
    SELECT words, 0, year, sum(permits), sum(priced), sum(timed), sum(value_usd)
    FROM stats_years y JOIN years s USING (words, year)
    WHERE s.place = 0 AND y.place <> 0 GROUP BY words, year
    """,
    """
    INSERT INTO stats_years
    SELECT 0, place, year, sum(permits), sum(priced), sum(timed), sum(value_usd)
    FROM stats_years y JOIN years s USING (place, year)
    WHERE s.words = 0 AND y.words <> 0 AND place <> 0 GROUP BY place, year
    """,
    "DROP TABLE years",
)
"""Each cell's, those of every place together (place 0), and those of all words of a place (words 0)."""
BLOCKS = (
    """
    DELETE FROM stats_blocks b USING (SELECT DISTINCT words, month / 12 AS year FROM shifted) AS s
    WHERE (b.words, b.year) = (s.words, s.year)
    """,
    """
    INSERT INTO stats_blocks
    SELECT words, year, string_agg(int4send(place), ''), string_agg(int2send(month::int2), ''),
      string_agg(int4send(priced), ''), string_agg(int4send(timed), ''), string_agg(values_usd, ''),
      string_agg(days, '')
    FROM stats_cells JOIN (SELECT DISTINCT words, month / 12 AS year FROM shifted) AS s USING (words)
    WHERE month / 12 = year GROUP BY words, year ORDER BY words, year
    """,
)
"""Cells in one order for all columns of a block: aggregates of one group are given its rows in the same order."""
