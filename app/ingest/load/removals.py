"""Permits that the city no longer tells: kept, marked with the run that missed them, and left out of answers.

A permit is gone when no source row of any form tells it any more. What a source tells now is its whole content, where
the run read all of it, or the listing of its own keys.
"""

from psycopg import sql

from app.ingest.load.merge import Values, index
from app.ingest.load.staging import COLUMNS, Database, name_tables


def find_vanished(database: Database, run: int, values: Values, forms: list[str]) -> int:
    """Make the table ``vanished``: the permits to be marked removed. Give how many.

    ``forms`` are those whose keys the run knows all of, as rows or as a listing.
    """
    told = """
        CREATE TEMPORARY TABLE told ON COMMIT DROP AS
        SELECT source_row_id AS row_id, source_id FROM {rows} WHERE form = ANY (%(forms)s)
        UNION SELECT row_id, source_id FROM {keys}
        UNION SELECT NULL, source_id FROM {rejects} WHERE source_id IS NOT NULL
    """
    values = {**values, "forms": forms}
    database.execute(sql.SQL(told).format(**name_tables(run)), values)
    database.execute("CREATE INDEX ON told (source_id, row_id)")
    database.execute("ANALYZE told")
    gone = """
        CREATE TEMPORARY TABLE gone ON COMMIT DROP AS
        SELECT s.source_id, s.source_row_id FROM source_rows s
        WHERE s.city = %(city)s AND s.form = ANY (%(forms)s)
          AND NOT EXISTS (SELECT FROM told t WHERE t.source_id = s.source_id)
    """
    database.execute(gone, values)
    vanished = """
        CREATE TEMPORARY TABLE vanished ON COMMIT DROP AS
        SELECT p.source_id FROM permits p
        WHERE p.city = %(city)s AND p.removed_run IS NULL
          AND p.source_id IN (SELECT source_id FROM gone)
          AND NOT EXISTS (
            SELECT FROM source_rows s
            WHERE s.city = %(city)s AND s.source_id = p.source_id AND s.form <> ALL (%(forms)s)
          )
    """
    found = database.execute(vanished, values).rowcount
    index(database, "vanished", "source_id")
    return found


def take_back(database: Database, run: int, values: Values) -> int:
    """Add to ``differing`` the removed permits whose keys are listed again though no row tells them. Give how many.

    A listing may have missed them; their rows are what they were, so that no later night reads them. ``form`` is that
    of the listing.
    """
    returned = """
        CREATE TEMPORARY TABLE returned ON COMMIT DROP AS
        SELECT p.source_id FROM permits p
        WHERE p.city = %(city)s AND p.removed_run IS NOT NULL
          AND p.source_id IN (SELECT source_id FROM {keys})
          AND NOT EXISTS (SELECT FROM differing d WHERE d.source_id = p.source_id)
    """
    if not (found := database.execute(sql.SQL(returned).format(**name_tables(run)), values).rowcount):
        return 0
    differing = """
        INSERT INTO differing (source_id, is_new, {columns})
        SELECT source_id, false, {columns} FROM permits JOIN returned USING (source_id) WHERE city = %(city)s
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    database.execute(sql.SQL(differing).format(columns=columns), values)
    source_rows = """
        INSERT INTO source_rows (city, source_row_id, row_hash, source_id, form, run)
        SELECT %(city)s, row_id, '', source_id, %(form)s, %(run)s FROM {keys} JOIN returned USING (source_id)
        WHERE row_id <> '' ON CONFLICT DO NOTHING
    """
    database.execute(sql.SQL(source_rows).format(**name_tables(run)), values)
    return found


def count_told(database: Database, values: Values, forms: list[str]) -> int:
    """Count the permits that these forms told before."""
    statement = "SELECT count(DISTINCT source_id) FROM source_rows WHERE city = %(city)s AND form = ANY (%(forms)s)"
    row = database.execute(statement, {**values, "forms": forms}).fetchone()
    return int(row[0]) if row else 0


def mark_removed(database: Database, values: Values) -> None:
    """Mark the vanished permits, tell it as a change, and forget the source rows that are gone."""
    change = """
        INSERT INTO permit_changes (city, source_id, run, field, old_value, new_value)
        SELECT %(city)s, source_id, %(run)s, 'removed_run', NULL, %(run)s::text FROM vanished ORDER BY source_id
    """
    database.execute(change, values)
    mark = """
        UPDATE permits p SET removed_run = %(run)s, changed_run = %(run)s FROM vanished v
        WHERE p.city = %(city)s AND p.source_id = v.source_id
    """
    database.execute(mark, values)
    forget = """
        DELETE FROM source_rows s USING gone g
        WHERE s.city = %(city)s AND s.source_row_id = g.source_row_id AND s.source_id = g.source_id
    """
    database.execute(forget, values)


def forget_old_ids(database: Database, values: Values, forms: list[str]) -> None:
    """Forget source rows under ids that the source no longer has, where their permit is told under another id.

    A portal that replaces its whole data set gives every row a new id.
    """
    statement = """
        DELETE FROM source_rows s
        WHERE s.city = %(city)s AND s.form = ANY (%(forms)s)
          AND NOT EXISTS (
            SELECT FROM told t WHERE t.source_id = s.source_id AND coalesce(t.row_id, s.source_row_id) = s.source_row_id
          )
          AND EXISTS (
            SELECT FROM source_rows o JOIN told t ON t.source_id = o.source_id AND t.row_id = o.source_row_id
            WHERE o.city = s.city AND o.source_id = s.source_id
          )
    """
    database.execute(statement, {**values, "forms": forms})
