"""From mapped rows to the register: staging by COPY, then one merge. Everything is done set by set, in SQL."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from app.ingest.mapping import PermitRow, RejectedRecord
from app.permits.tables import LOCATED, permits

Database = Connection[tuple[Any, ...]]

BOOKKEEPING = ("city", "source_id", "first_run", "changed_run", "removed_run")
# What a run may change of a permit, in the table's order. A source's mask has one bit for each.
COLUMNS = tuple(column.name for column in permits.columns if column.name not in BOOKKEEPING)
# What follows from another column is not told as a change of its own.
DERIVED = frozenset({"house_number", "street", "reported_location"})
MAKING = ("permit_type", "permit_class", "work_class", "status_current")

STAGED = PermitRow._fields[:-1]
BATCH_ROWS = 5_000
# From so many changed permits on, the planner's figures are taken anew, and the GIN index is brought in order.
ANALYZE_ROWS = 1_000
VACUUM_ROWS = 10_000
SORT_MEMORY = "128MB"


@dataclass(frozen=True)
class Merged:
    """What a run did to the permits of its city."""

    inserted: int
    updated: int

    @property
    def changed(self) -> int:
        """How many permits are not what they were."""
        return self.inserted + self.updated


def _tables(run: int) -> dict[str, sql.Identifier]:
    return {"rows": sql.Identifier(f"staging_rows_{run}"), "rejects": sql.Identifier(f"staging_rejects_{run}")}


def create_staging(database: Database, run: int) -> None:
    """Create the run's staging tables; they are unlogged, and survive the run's death but not the server's."""
    points = {"location", "reported_location", "location_quality"}
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in COLUMNS if column not in points)
    rows = """
        CREATE UNLOGGED TABLE {rows} AS
        SELECT '' COLLATE "C" AS source_row_id, ''::bytea AS row_hash, '' COLLATE "C" AS updated_at, source_id,
          {columns}, 0::double precision AS lng, 0::double precision AS lat, location_quality, 0::bigint AS carried
        FROM permits WITH NO DATA
    """
    rejects = """
        CREATE UNLOGGED TABLE {rejects} AS
        SELECT source, position, row_hash, reason, kept_columns FROM rejected_records WITH NO DATA
    """
    for statement in (rows, rejects):
        database.execute(sql.SQL(statement).format(columns=columns, **_tables(run)))


def drop_staging(database: Database, run: int) -> None:
    """Drop the run's staging tables, where there are any."""
    database.execute(sql.SQL("DROP TABLE IF EXISTS {rows}, {rejects}").format(**_tables(run)))


def mask_of(carried: Collection[str]) -> int:
    """Give the columns that a source tells as bits, in the order of :data:`COLUMNS`."""
    return sum(1 << place for place, column in enumerate(COLUMNS) if column in carried)


def stage(database: Database, run: int, source: str, carried: int, batch: Iterable[PermitRow | RejectedRecord]) -> None:
    """Write one batch into the run's staging tables, in one transaction."""
    rows, rejects = [], []
    for record in batch:
        if isinstance(record, PermitRow):
            rows.append((*record[:-1], carried))
        else:
            kept = Jsonb(record.kept_columns) if record.kept_columns is not None else None
            rejects.append((source, record.position, record.row_hash, record.reason, kept))
    names = sql.SQL(", ").join(map(sql.Identifier, (*STAGED, "carried")))
    with database.transaction(), database.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {rows} ({names}) FROM STDIN").format(names=names, **_tables(run))) as copy:
            for row in rows:
                copy.write_row(row)
        with cursor.copy(sql.SQL("COPY {rejects} FROM STDIN").format(**_tables(run))) as copy:
            for reject in rejects:
                copy.write_row(reject)


def record_rejects(database: Database, run: int, city: str) -> None:
    """Keep the run's rejected records with their place and reason."""
    statement = """
        INSERT INTO rejected_records (run, source, position, city, row_hash, reason, kept_columns)
        SELECT %(run)s, source, position, %(city)s, row_hash, reason, kept_columns FROM {rejects}
    """
    database.execute(sql.SQL(statement).format(**_tables(run)), {"run": run, "city": city})


def merge(database: Database, run: int, city: str) -> Merged:
    """Bring the city's permits to what the run staged, within the caller's transaction; unchanged rows stay untouched.

    Rows of one permit collapse first: the newest update wins, else the latest status date, else the row that tells
    most, else the smallest hash, whatever order they came in. A column that a source does not have keeps its value.
    """
    values = {"run": run, "city": city}
    database.execute(sql.SQL("SET LOCAL work_mem = {}").format(SORT_MEMORY))
    _collapse(database, run)
    _compare(database, values)
    _record_changes(database, values)
    updated = _update_changed(database, values)
    inserted = _insert_new(database, values)
    _keep_source_rows(database, run, values)
    return Merged(inserted=inserted, updated=updated)


def _collapse(database: Database, run: int) -> None:
    statement = """
        CREATE TEMPORARY TABLE chosen ON COMMIT DROP AS
        SELECT DISTINCT ON (source_id) *,
          CASE WHEN location_quality = ANY ({located})
            THEN ST_SetSRID(ST_MakePoint(lng, lat), 4326)::geography(POINT, 4326) END AS location,
          ST_SetSRID(ST_MakePoint(lng, lat), 4326)::geometry(POINT, 4326) AS reported_location
        FROM {rows}
        ORDER BY source_id, updated_at DESC NULLS LAST, status_date DESC NULLS LAST,
          length(replace(carried::bit(64)::text, '0', '')) DESC, row_hash
    """
    database.execute(sql.SQL(statement).format(located=sql.Literal(list(LOCATED)), **_tables(run)))
    _index(database, "chosen", "source_id")


def _index(database: Database, table: str, key: str) -> None:
    """Index a table of this transaction and tell the planner of it.

    Of a city that is new the planner knows no rows, and without the index it compares each row with every other.
    """
    statement = sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(sql.Identifier(table), sql.Identifier(key))
    database.execute(statement)
    database.execute(sql.SQL("ANALYZE {} ({})").format(sql.Identifier(table), sql.Identifier(key)))


def _compare(database: Database, values: dict[str, Any]) -> None:
    """Find the permits that are new or differ, each as it shall be."""
    told = [
        sql.SQL(
            "CASE WHEN p.source_id IS NULL OR c.carried & {bit} <> 0 THEN c.{name} ELSE p.{name} END AS {name}"
        ).format(bit=1 << place, name=sql.Identifier(column))
        for place, column in enumerate(COLUMNS)
    ]
    statement = """
        CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
        SELECT c.source_id, p.source_id IS NULL AS is_new, told.*
        FROM chosen c
        LEFT JOIN permits p ON p.city = %(city)s AND p.source_id = c.source_id
        CROSS JOIN LATERAL (SELECT {told}) AS told
        WHERE p.source_id IS NULL OR p.removed_run IS NOT NULL OR ({ours}) IS DISTINCT FROM ({theirs})
    """
    database.execute(
        sql.SQL(statement).format(told=sql.SQL(", ").join(told), ours=_columns("told"), theirs=_columns("p")), values
    )
    _index(database, "differing", "source_id")


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


def _record_changes(database: Database, values: dict[str, Any]) -> None:
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
        WHERE told.old_value IS DISTINCT FROM told.new_value
        ORDER BY p.source_id, told.field
    """
    database.execute(sql.SQL(statement).format(fields=sql.SQL(", ").join(fields)), values)


def _insert_new(database: Database, values: dict[str, Any]) -> int:
    statement = """
        INSERT INTO permits (city, source_id, first_run, changed_run, {names})
        SELECT %(city)s, source_id, %(run)s, %(run)s, {names} FROM differing WHERE is_new ORDER BY source_id
    """
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    return database.execute(sql.SQL(statement).format(names=names), values).rowcount


def _update_changed(database: Database, values: dict[str, Any]) -> int:
    statement = """
        UPDATE permits p SET {assignments}, changed_run = %(run)s, removed_run = NULL
        FROM differing d
        WHERE p.city = %(city)s AND p.source_id = d.source_id AND NOT d.is_new
    """
    assignments = [sql.SQL("{0} = d.{0}").format(sql.Identifier(column)) for column in COLUMNS]
    return database.execute(sql.SQL(statement).format(assignments=sql.SQL(", ").join(assignments)), values).rowcount


def _keep_source_rows(database: Database, run: int, values: dict[str, Any]) -> None:
    """Keep which source rows made which permit. A row without an id of its own lasts as long as its permit has it."""
    newest = """
        CREATE TEMPORARY TABLE newest ON COMMIT DROP AS
        SELECT DISTINCT ON (source_row_id) source_row_id, row_hash, source_id FROM {rows}
        ORDER BY source_row_id, updated_at DESC NULLS LAST, row_hash
    """
    database.execute(sql.SQL(newest).format(**_tables(run)))
    _index(database, "newest", "source_row_id")
    superseded = """
        DELETE FROM source_rows s
        WHERE s.city = %(city)s AND s.source_row_id LIKE '%%#%%'
          AND EXISTS (SELECT FROM chosen c WHERE c.source_id = s.source_id)
          AND NOT EXISTS (SELECT FROM newest n WHERE n.source_row_id = s.source_row_id)
    """
    database.execute(superseded, values)
    changed = """
        UPDATE source_rows s SET row_hash = n.row_hash, source_id = n.source_id, run = %(run)s
        FROM newest n
        WHERE s.city = %(city)s AND s.source_row_id = n.source_row_id
          AND (s.row_hash, s.source_id) IS DISTINCT FROM (n.row_hash, n.source_id)
    """
    database.execute(changed, values)
    # Found first and inserted then: a join with the table that is being filled would read all that was just written.
    unknown = """
        CREATE TEMPORARY TABLE unknown ON COMMIT DROP AS
        SELECT n.* FROM newest n
        LEFT JOIN source_rows s ON s.city = %(city)s AND s.source_row_id = n.source_row_id
        WHERE s.source_row_id IS NULL
    """
    database.execute(unknown, values)
    added = """
        INSERT INTO source_rows (city, source_row_id, row_hash, source_id, run)
        SELECT %(city)s, source_row_id, row_hash, source_id, %(run)s FROM unknown ORDER BY source_row_id
    """
    database.execute(added, values)


def summarize(database: Database, run: int, city: str, *, time_zone: str, synthetic: bool) -> None:
    """Bring the city's words and state up to date and count the data version on, within the caller's transaction."""
    values = {"run": run, "city": city, "time_zone": time_zone, "synthetic": synthetic}
    database.execute("DELETE FROM register_words WHERE city = %(city)s", values)
    for field in MAKING:
        mapped = sql.NULL if field == "work_class" else sql.SQL("min({})").format(sql.Identifier(f"{field}_mapped"))
        statement = """
            INSERT INTO register_words (city, field, word, mapped, permits)
            SELECT city, {name}, {field}, {mapped}, count(*) FROM permits
            WHERE city = %(city)s AND removed_run IS NULL AND {field} IS NOT NULL GROUP BY city, {field}
        """
        composed = sql.SQL(statement).format(name=field, field=sql.Identifier(field), mapped=mapped)
        database.execute(composed, values)
    _list_years(database, values)
    _describe_city(database, values)
    database.execute("UPDATE data_versions SET version = version + 1, published_at = now()")


def _list_years(database: Database, values: dict[str, Any]) -> None:
    """Keep the years of issue that the register holds: a year without data is not one without permits."""
    statement = """
        INSERT INTO register_words (city, field, word, permits)
        SELECT city, 'issued_year', extract(year FROM issued_date)::text, count(*) FROM permits
        WHERE city = %(city)s AND removed_run IS NULL AND issued_date IS NOT NULL GROUP BY 1, 3
    """
    database.execute(statement, values)


def _describe_city(database: Database, values: dict[str, Any]) -> None:
    database.execute("DELETE FROM city_states WHERE city = %(city)s", values)
    statement = """
        INSERT INTO city_states (
          city, run, data_through, synthetic, permits, without_location, without_category, without_zip,
          without_issued_date, without_applied_date, without_value
        )
        SELECT %(city)s, %(run)s,
          max(issued_date) FILTER (WHERE issued_date <= (now() AT TIME ZONE %(time_zone)s)::date), %(synthetic)s,
          count(*), count(*) - count(location), count(*) FILTER (WHERE cardinality(categories) = 0),
          count(*) - count(original_zip), count(*) - count(issued_date), count(*) - count(applied_date),
          count(*) - count(est_project_cost_usd)
        FROM permits WHERE city = %(city)s AND removed_run IS NULL
    """
    database.execute(statement, values)


def tidy(database: Database, merged: Merged) -> None:
    """After a large run, give the planner its figures and the indexes their order, outside any transaction."""
    if merged.changed >= ANALYZE_ROWS:
        how = "VACUUM (ANALYZE)" if merged.changed >= VACUUM_ROWS else "ANALYZE"
        for table in ("permits", "source_rows"):
            database.execute(sql.SQL(f"{how} {{}}").format(sql.Identifier(table)))
