"""The merge: the city's permits become what the run staged, set by set, within the caller's transaction.

Rows of one permit collapse first: the newest update wins, else the latest status date, else the row that tells most,
else the smallest hash, whatever order they came in. A row that is older than what the same form told before has no
say. A column that a source does not have keeps its value. Unchanged rows stay untouched.
"""

from typing import Any

from psycopg import sql

from app.ingest.load.staging import COLUMNS, Database, name_tables
from app.permits.tables import LOCATED
from app.permits.words import DISTRICT_NUMBER

# What follows from another column is not told as a change of its own.
DERIVED = frozenset({"house_number", "street", "reported_location"})
Values = dict[str, Any]

LOCATION = sql.SQL("""
    CASE WHEN r.location_quality = ANY ({located})
      THEN ST_SetSRID(ST_MakePoint(r.lng, r.lat), 4326)::geography(POINT, 4326) END
""").format(located=sql.Literal(list(LOCATED)))
REPORTED_LOCATION = sql.SQL("ST_SetSRID(ST_MakePoint(r.lng, r.lat), 4326)::geometry(POINT, 4326)")
PLACED = sql.SQL("regions, zip, district")
MADE = {"location": LOCATION, "reported_location": REPORTED_LOCATION}


def choose_rows(database: Database, run: int, values: Values) -> None:
    """Make the table ``winners``: the place of the one staged row that each permit is told by."""
    database.execute(sql.SQL("ANALYZE {rows}").format(**name_tables(run)))
    statement = """
        CREATE TEMPORARY TABLE winners ON COMMIT DROP AS
        SELECT DISTINCT ON (source_id) source_id, ctid AS place, form, updated_at FROM {rows}
        ORDER BY source_id, updated_at DESC NULLS LAST, status_date DESC NULLS LAST,
          length(replace(carried::bit(64)::text, '0', '')) DESC, row_hash
    """
    database.execute(sql.SQL(statement).format(**name_tables(run)))
    index(database, "winners", "source_id")
    stale = """
        DELETE FROM winners w USING source_rows s
        WHERE s.city = %(city)s AND s.source_id = w.source_id AND s.form = w.form AND s.updated_at > w.updated_at
    """
    database.execute(stale, values)


def index(database: Database, table: str, key: str) -> None:
    """Index a table of this transaction and tell the planner of it.

    Of a city that is new the planner knows no rows, and without the index it compares each row with every other.
    """
    statement = sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(sql.Identifier(table), sql.Identifier(key))
    database.execute(statement)
    database.execute(sql.SQL("ANALYZE {} ({})").format(sql.Identifier(table), sql.Identifier(key)))


def insert_all(database: Database, run: int, values: Values) -> int:
    """Insert every chosen row as a permit, where ``placed`` says it lies: the city has none yet. Give how many.

    Neighbours on the map become neighbours on disk, which makes a near query twice as fast.
    """
    statement = """
        INSERT INTO permits (city, source_id, first_run, changed_run, {names}, {placed})
        SELECT %(city)s, r.source_id, %(run)s, %(run)s, {told}, {place}
        FROM {rows} r JOIN winners w ON w.place = r.ctid LEFT JOIN placed ON placed.source_id = r.source_id
        ORDER BY {point}, r.source_id
    """
    told = sql.SQL(", ").join(map(_make, COLUMNS))
    return database.execute(
        sql.SQL(statement).format(
            names=_names(COLUMNS),
            told=told,
            placed=PLACED,
            place=tell_place("r"),
            point=REPORTED_LOCATION,
            **name_tables(run),
        ),
        values,
    ).rowcount


def tell_place(own: str) -> sql.Composed:
    """Give ``regions``, ``zip`` and ``district`` of a permit, as expressions over the tables ``own`` and ``placed``."""
    told = "coalesce(placed.regions, '{{}}'), coalesce({zip}, placed.zip), coalesce({district}, placed.district)"
    district = read_district(sql.Identifier(own, "council_district"))
    return sql.SQL(told).format(zip=sql.Identifier(own, "original_zip"), district=district)


def read_district(word: sql.Composable) -> sql.Composed:
    """Read a district as ``permits.words`` does."""
    return sql.SQL("coalesce(substring({word} FROM {number}), {word})").format(
        word=word, number=sql.Literal(DISTRICT_NUMBER)
    )


def _make(column: str) -> sql.Composable:
    return MADE.get(column, sql.Identifier("r", column))


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def compare(database: Database, run: int, values: Values) -> None:
    """Make the table ``differing``: the permits that are new or differ, each as it shall be."""
    told = [
        sql.SQL(
            "CASE WHEN p.source_id IS NULL OR r.carried & {bit} <> 0 THEN {new} ELSE p.{name} END AS {name}"
        ).format(bit=1 << place, new=_make(column), name=sql.Identifier(column))
        for place, column in enumerate(COLUMNS)
    ]
    statement = """
        CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
        SELECT w.source_id, p.source_id IS NULL AS is_new, told.*
        FROM winners w
        JOIN {rows} r ON r.ctid = w.place
        LEFT JOIN permits p ON p.city = %(city)s AND p.source_id = w.source_id
        CROSS JOIN LATERAL (SELECT {told}) AS told
        WHERE p.source_id IS NULL OR p.removed_run IS NOT NULL OR ({ours}) IS DISTINCT FROM ({theirs})
    """
    composed = sql.SQL(statement).format(
        told=sql.SQL(", ").join(told), ours=_columns("told"), theirs=_columns("p"), **name_tables(run)
    )
    database.execute(composed, values)
    index(database, "differing", "source_id")


def _columns(table: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, column) for column in COLUMNS)


def _as_text(table: str, column: str) -> sql.Composed:
    """Give a column as the change log writes it."""
    value = sql.Identifier(table, column)
    if column == "location":
        return sql.SQL("ST_AsText({}::geometry)").format(value)
    if column == "categories":
        return sql.SQL("array_to_string({}, ', ')").format(value)
    if column in {"est_project_cost_usd", "total_sqft"}:
        return sql.SQL("trim_scale({})::text").format(value)
    return sql.SQL("{}::text").format(value)


def record_changes(database: Database, values: Values) -> None:
    """Keep one row for each field that changes, and one for a permit that came back."""
    fields: list[sql.Composable] = [
        sql.SQL("({}, {}, {})").format(column, _as_text("p", column), _as_text("d", column))
        for column in COLUMNS
        if column not in DERIVED
    ]
    fields.append(sql.SQL("('removed_run', p.removed_run::text, NULL)"))
    statement = """
        INSERT INTO permit_changes (city, source_id, run, field, old_value, new_value)
        SELECT p.city, p.source_id, %(run)s, told.field, told.old_value, told.new_value
        FROM differing d
        JOIN permits p ON p.city = %(city)s AND p.source_id = d.source_id
        CROSS JOIN LATERAL (VALUES {fields}) AS told (field, old_value, new_value)
        WHERE NOT d.is_new AND told.old_value IS DISTINCT FROM told.new_value
        ORDER BY p.source_id, told.field
    """
    database.execute(sql.SQL(statement).format(fields=sql.SQL(", ").join(fields)), values)


def insert_new(database: Database, values: Values) -> int:
    """Insert the permits that are new, and give how many."""
    statement = """
        INSERT INTO permits (city, source_id, first_run, changed_run, {names}, {placed})
        SELECT %(city)s, d.source_id, %(run)s, %(run)s, {names}, {place}
        FROM differing d LEFT JOIN placed ON placed.source_id = d.source_id WHERE d.is_new ORDER BY d.source_id
    """
    composed = sql.SQL(statement).format(names=_names(COLUMNS), placed=PLACED, place=tell_place("d"))
    return database.execute(composed, values).rowcount


def update_changed(database: Database, values: Values) -> int:
    """Update the permits that differ, and give how many."""
    statement = """
        UPDATE permits p SET {assignments}, changed_run = %(run)s, removed_run = NULL, ({placed}) = ROW ({place})
        FROM differing d LEFT JOIN placed ON placed.source_id = d.source_id
        WHERE p.city = %(city)s AND p.source_id = d.source_id AND NOT d.is_new
    """
    assignments = [sql.SQL("{0} = d.{0}").format(sql.Identifier(column)) for column in COLUMNS]
    composed = sql.SQL(statement).format(
        assignments=sql.SQL(", ").join(assignments), placed=PLACED, place=tell_place("d")
    )
    return database.execute(composed, values).rowcount


def keep_source_rows(database: Database, run: int, values: Values) -> None:
    """Keep which source rows made which permit. A row without an id of its own lasts as long as its permit has it.

    A snapshot that tells such a row again is the later witness of it, so that one read late has no say.
    """
    newest = """
        CREATE TEMPORARY TABLE newest ON COMMIT DROP AS
        SELECT DISTINCT ON (r.source_row_id) r.source_row_id, r.row_hash, r.source_id, r.form, r.updated_at
        FROM {rows} r JOIN winners w ON w.source_id = r.source_id
        ORDER BY r.source_row_id, r.updated_at DESC NULLS LAST, r.row_hash
    """
    database.execute(sql.SQL(newest).format(**name_tables(run)))
    index(database, "newest", "source_row_id")
    _forget_superseded(database, values)
    _renew_changed(database, values)
    _add_unknown(database, values)


def _forget_superseded(database: Database, values: Values) -> None:
    superseded = """
        DELETE FROM source_rows s USING winners w
        WHERE s.city = %(city)s AND s.source_id = w.source_id AND s.source_row_id LIKE '%%#%%'
          AND s.form IN (w.form, '')
          AND NOT EXISTS (SELECT FROM newest n WHERE n.source_row_id = s.source_row_id)
    """
    database.execute(superseded, values)


def _renew_changed(database: Database, values: Values) -> None:
    changed = """
        UPDATE source_rows s
        SET row_hash = n.row_hash, source_id = n.source_id, form = n.form, updated_at = n.updated_at, run = %(run)s
        FROM newest n
        WHERE s.city = %(city)s AND s.source_row_id = n.source_row_id
          AND ((s.row_hash, s.source_id, s.form) IS DISTINCT FROM (n.row_hash, n.source_id, n.form)
            OR s.source_row_id LIKE '%%#%%' AND n.updated_at > coalesce(s.updated_at, ''))
    """
    database.execute(changed, values)


def _add_unknown(database: Database, values: Values) -> None:
    # Found first and inserted then: a join with the table that is being filled would read all that was just written.
    unknown = """
        CREATE TEMPORARY TABLE unknown ON COMMIT DROP AS
        SELECT n.* FROM newest n
        LEFT JOIN source_rows s ON s.city = %(city)s AND s.source_row_id = n.source_row_id
        WHERE s.source_row_id IS NULL
    """
    database.execute(unknown, values)
    added = """
        INSERT INTO source_rows (city, source_row_id, row_hash, source_id, form, updated_at, run)
        SELECT %(city)s, source_row_id, row_hash, source_id, form, updated_at, %(run)s
        FROM unknown ORDER BY source_row_id
    """
    database.execute(added, values)


def keep_all_source_rows(database: Database, run: int, values: Values) -> None:
    """Keep the source rows of a city that had none."""
    statement = """
        INSERT INTO source_rows (city, source_row_id, row_hash, source_id, form, updated_at, run)
        SELECT DISTINCT ON (source_row_id)
          %(city)s, source_row_id, row_hash, source_id, form, updated_at, %(run)s::bigint
        FROM {rows} ORDER BY source_row_id, updated_at DESC NULLS LAST, row_hash
    """
    database.execute(sql.SQL(statement).format(**name_tables(run)), values)


def settle_rejects(database: Database, run: int, values: Values) -> None:
    """Mark records that were rejected before and are taken now: by content, the portal's row id, or their permit."""
    waiting = "SELECT EXISTS (SELECT FROM rejected_records WHERE city = %(city)s AND resolved_run IS NULL)"
    if not (database.execute(waiting, values).fetchone() or (False,))[0]:
        return
    # One after the other: joined by the one or the other, every record would be compared with every row.
    for same in ("j.row_hash = r.row_hash", "j.row_id = r.source_row_id", "j.source_id = r.source_id"):
        statement = """
            UPDATE rejected_records j SET resolved_run = %(run)s FROM {rows} r
            WHERE j.city = %(city)s AND j.resolved_run IS NULL AND j.run <> %(run)s AND {same}
        """
        database.execute(sql.SQL(statement).format(same=sql.SQL(same), **name_tables(run)), values)
