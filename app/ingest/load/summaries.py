"""What is kept of a city beside its permits: words, years, state and figures. They change only where permits did."""

from psycopg import sql

from app.ingest.load import figures, merge
from app.ingest.load.merge import Values
from app.ingest.load.staging import Database
from app.permits.words import CATEGORIES_VERSION

VANISHED = "SELECT source_id FROM vanished"
WORDS = ("permit_type", "permit_class", "work_class", "status_current", "district")
# Each counts the permits that lack something, given a permit as t.
LACKING = {
    "without_location": "t.location IS NULL",
    "without_category": "cardinality(t.categories) = 0",
    "without_zip": "t.zip IS NULL",
    "without_issued_date": "t.issued_date IS NULL",
    "without_applied_date": "t.applied_date IS NULL",
    "without_value": "t.est_project_cost_usd IS NULL",
}


def count_all(database: Database, values: Values) -> None:
    """Make the table ``shifts`` of a city that had no permits: one row a permit, each one more."""
    permits = "SELECT 1 AS sign, p.* FROM permits p WHERE city = %(city)s AND removed_run IS NULL"
    _make_shifts(database, values, sql.SQL(permits))
    figures.note_all(database, values)


def count_differences(database: Database, values: Values, *, with_vanished: bool) -> None:
    """Make the table ``shifts`` before permits change: what they were, each one less, and what they shall be.

    What they shall be stands in ``differing`` and ``placed``.
    """
    told = ", ".join(word for word in WORDS if word != "district")
    columns = f"location, categories, issued_date, applied_date, est_project_cost_usd, {told}"
    vanished = f"UNION ALL {VANISHED}" if with_vanished else ""
    shifts = """
        SELECT -1 AS sign, {columns}, {placed} FROM permits JOIN (
          SELECT source_id FROM differing WHERE NOT is_new {vanished}
        ) AS touched USING (source_id) WHERE city = %(city)s AND removed_run IS NULL
        UNION ALL SELECT 1, {columns}, {place} FROM differing d LEFT JOIN placed USING (source_id)
    """
    composed = sql.SQL(shifts).format(
        columns=sql.SQL(columns), placed=merge.PLACED, place=merge.tell_place("d"), vanished=sql.SQL(vanished)
    )
    _make_shifts(database, values, composed)
    touched = "SELECT source_id FROM differing"
    figures.note_leaving(database, values, f"{touched} UNION {VANISHED}" if with_vanished else touched)


def _make_shifts(database: Database, values: Values, permits: sql.Composable) -> None:
    lacking = ", ".join(f"({test})::int AS {name}" for name, test in LACKING.items())
    words = ", ".join(f"t.{word}" for word in WORDS)
    years = "extract(year FROM t.issued_date)::text AS issued_year"
    grouped = ", ".join(str(place) for place in range(2, 2 + len(WORDS) + 1 + len(LACKING)))
    statement = """
        CREATE TEMPORARY TABLE shifts ON COMMIT DROP AS
        SELECT sum(sign) AS permits, {told} FROM ({permits}) AS t GROUP BY {grouped}
    """
    told = sql.SQL(f"{words}, {years}, {lacking}")
    database.execute(sql.SQL(statement).format(told=told, permits=permits, grouped=sql.SQL(grouped)), values)


def shift_summaries(database: Database, values: Values, *, time_zone: str, synthetic: bool) -> None:
    """Bring the city's words and state on by ``shifts``, after its permits changed, and count the data version on."""
    _shift_words(database, values)
    figures.shift_figures(database, values)
    _shift_state(database, {**values, "time_zone": time_zone, "synthetic": synthetic})
    count_version(database)


def count_version(database: Database) -> None:
    """Count the data version on, by which all who hold the register in memory notice that it is another."""
    database.execute("UPDATE data_versions SET version = version + 1, published_at = now()")


def learn_all_words(database: Database, values: Values) -> None:
    """Note the words of a city that had no permits, for searches with words that are misspelt."""
    database.execute(
        """
        INSERT INTO search_words (word)
        SELECT word FROM ts_stat(format('SELECT search FROM permits WHERE city = %%L', %(city)s::text))
        WHERE word ~ '^[[:alpha:]]{3,}$' ON CONFLICT DO NOTHING
        """,
        values,
    )


def learn_new_words(database: Database, values: Values) -> None:
    """Note the words of the permits that ``differing`` has, once they are merged; words that went away stay."""
    database.execute(
        """
        INSERT INTO search_words (word)
        SELECT DISTINCT word FROM permits JOIN differing USING (source_id)
        CROSS JOIN LATERAL unnest(tsvector_to_array(search)) AS word
        WHERE city = %(city)s AND word ~ '^[[:alpha:]]{3,}$' ON CONFLICT DO NOTHING
        """,
        values,
    )


def _shift_words(database: Database, values: Values) -> None:
    told = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(field), sql.Identifier(field)) for field in (*WORDS, "issued_year")
    )
    statement = """
        INSERT INTO register_words AS known (city, field, word, permits)
        SELECT %(city)s, told.field, told.word, sum(permits)
        FROM shifts CROSS JOIN LATERAL (VALUES {told}) AS told (field, word)
        WHERE told.word IS NOT NULL GROUP BY told.field, told.word HAVING sum(permits) <> 0
        ON CONFLICT (city, field, word) DO UPDATE SET permits = known.permits + excluded.permits
    """
    database.execute(sql.SQL(statement).format(told=told), values)
    database.execute("DELETE FROM register_words WHERE city = %(city)s AND permits = 0", values)


def _shift_state(database: Database, values: Values) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, LACKING))
    sums = sql.SQL(", ").join(
        sql.SQL("coalesce(sum(permits) FILTER (WHERE {} = 1), 0)").format(sql.Identifier(name)) for name in LACKING
    )
    shifted = sql.SQL(", ").join(
        sql.SQL("{0} = known.{0} + excluded.{0}").format(sql.Identifier(name)) for name in ("permits", *LACKING)
    )
    statement = """
        INSERT INTO city_states AS known (city, run, data_through, synthetic, categories_version, permits, {names})
        SELECT %(city)s, %(run)s, (
            SELECT max(issued_date) FROM permits
            WHERE city = %(city)s AND removed_run IS NULL
              AND issued_date <= (now() AT TIME ZONE %(time_zone)s)::date
          ), %(synthetic)s, %(categories_version)s, coalesce(sum(permits), 0), {sums}
        FROM shifts
        ON CONFLICT (city) DO UPDATE SET run = excluded.run, data_through = excluded.data_through,
          synthetic = excluded.synthetic, {shifted}
    """
    values = {**values, "categories_version": CATEGORIES_VERSION}
    database.execute(sql.SQL(statement).format(names=names, sums=sums, shifted=shifted), values)
