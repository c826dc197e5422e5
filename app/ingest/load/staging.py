"""A run's staging tables: filled batch by batch, each batch a transaction with its counts and the point to go on from.

The tables are unlogged. They outlive the run that filled them, so that the next one can go on; a server that crashed
has emptied them, which the counts tell.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from app.ingest.mapping import PermitRow, RejectedRecord
from app.ingest.sources.base import Key
from app.permits.tables import permits

Database = Connection[tuple[Any, ...]]

BOOKKEEPING = ("city", "source_id", "first_run", "changed_run", "removed_run")
# What follows from the rest and from the regions.
MADE = ("zip", "district", "regions", "feature", "mercator", "search")
# What a run may change of a permit, in the table's order. A source's mask has one bit for each.
COLUMNS = tuple(column.name for column in permits.columns if column.name not in BOOKKEEPING + MADE)
POINTS = frozenset({"location", "reported_location", "location_quality"})
STAGED = PermitRow._fields[:-1]
REJECTED = ("source", "position", "row_hash", "reason", "kept_columns", "row_id", "source_id")

# COPY's own escapes; a NUL is no text to PostgreSQL. What stands for nothing is a character that no value can hold.
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": None, "\x01": None})
NOTHING = "\x01"
BACKSLASHES_OF_A_HASH = 2


class Staged(NamedTuple):
    """How many rows stand in each of a run's staging tables."""

    rows: int = 0
    rejects: int = 0
    keys: int = 0


def name_tables(run: int) -> dict[str, sql.Identifier]:
    """Name a run's staging tables, for a statement's format."""
    return {table: sql.Identifier(f"staging_{table}_{run}") for table in Staged._fields}


def create_staging(database: Database, run: int) -> None:
    """Create the run's staging tables."""
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in COLUMNS if column not in POINTS)
    rows = """
        CREATE UNLOGGED TABLE {rows} AS
        SELECT '' COLLATE "C" AS source_row_id, ''::bytea AS row_hash, '' COLLATE "C" AS updated_at, source_id,
          {columns}, 0::double precision AS lng, 0::double precision AS lat, location_quality,
          0::bigint AS carried, '' COLLATE "C" AS form
        FROM permits WITH NO DATA
    """
    rejects = """
        CREATE UNLOGGED TABLE {rejects} AS
        SELECT source, position, row_hash, reason, kept_columns, row_id, source_id
        FROM rejected_records WITH NO DATA
    """
    keys = """CREATE UNLOGGED TABLE {keys} (row_id text COLLATE "C", source_id text COLLATE "C" NOT NULL)"""
    drop_staging(database, run)  # of a register whose run numbers began anew
    for statement in (rows, rejects, keys):
        database.execute(sql.SQL(statement).format(columns=columns, **name_tables(run)))


def drop_staging(database: Database, run: int) -> None:
    """Drop the run's staging tables, where there are any."""
    database.execute(sql.SQL("DROP TABLE IF EXISTS {rows}, {rejects}, {keys}").format(**name_tables(run)))


def take_over_staging(database: Database, run: int, *, dead: int) -> None:
    """Make the staging tables of a run that ended too early those of this run."""
    mine, theirs = name_tables(run), name_tables(dead)
    for table in Staged._fields:
        database.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(theirs[table], mine[table]))


def count_staged(database: Database, run: int) -> Staged | None:
    """Count what is staged; nothing where a table is gone."""
    found = database.execute(
        "SELECT count(*) FROM pg_class WHERE oid IN (to_regclass(%s), to_regclass(%s), to_regclass(%s))",
        [f"staging_{table}_{run}" for table in Staged._fields],
    ).fetchone()
    if found is None or found[0] < len(Staged._fields):
        return None
    counts = "SELECT (SELECT count(*) FROM {rows}), (SELECT count(*) FROM {rejects}), (SELECT count(*) FROM {keys})"
    return Staged(*(database.execute(sql.SQL(counts).format(**name_tables(run))).fetchone() or ()))


def mask_of(carried: Collection[str]) -> int:
    """Give the columns that a source tells as bits, in the order of :data:`COLUMNS`."""
    return sum(1 << place for place, column in enumerate(COLUMNS) if column in carried)


def format_row(row: PermitRow, end: str) -> str:
    """Write a row as COPY takes it into the staging table; ``end`` is that of its feed, as :func:`format_end` makes it.

    The mapper has cleaned its values: of COPY's own characters only a backslash can be among them.
    """
    values = row[:-1]
    line = "\t".join([value if type(value) is str else FORMATS[type(value)](value) for value in values])
    if line.count("\\") != BACKSLASHES_OF_A_HASH:
        line = "\t".join(map(_format_value, values))
    return line + end


def format_end(*, carried: int, form: str) -> str:
    """Write what is the same for all rows of a feed."""
    return f"\t{carried}\t{_escape(form)}\n"


def format_reject(reject: RejectedRecord, source: str) -> str:
    """Write a rejected record as COPY takes it into the staging table."""
    kept = None if reject.kept_columns is None else orjson.dumps(reject.kept_columns).decode()
    values = (source, reject.position, reject.row_hash, reject.reason, kept, reject.row_id, reject.source_id)
    return "\t".join(map(_format_value, values)) + "\n"


def _format_value(value: object) -> str:
    return _escape(value) if type(value) is str else FORMATS[type(value)](value)


FORMATS: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: NOTHING,
    bytes: lambda value: f"\\\\x{value.hex()}",
    list: lambda words: f"{{{','.join(words)}}}",  # categories: plain words
    date: date.isoformat,
    int: str,
    float: repr,
    Decimal: str,
}


def _escape(text: str) -> str:
    return text.translate(ESCAPES)


def stage(database: Database, run: int, rows: bytes, rejects: bytes, progress: Mapping[str, Any]) -> None:
    """Write one batch and how far the run is, in one transaction."""
    with database.transaction():
        # A crash of the server empties the tables anyway, so there is nothing to wait for.
        database.execute("SET LOCAL synchronous_commit = off")
        _copy(database, run, "rows", (*STAGED, "carried", "form"), rows)
        _copy(database, run, "rejects", REJECTED, rejects)
        keep_progress(database, run, progress)


def stage_keys(database: Database, run: int, keys: Sequence[Key], progress: Mapping[str, Any]) -> None:
    """Write one batch of the source's own keys and how far the run is, in one transaction."""
    lines = "".join(f"{_escape(key.row_id)}\t{_escape(key.source_id)}\n" for key in keys)
    with database.transaction():
        _copy(database, run, "keys", Key._fields, lines.encode("utf-8", "replace"))
        keep_progress(database, run, progress)


def _copy(database: Database, run: int, table: str, columns: Sequence[str], lines: bytes) -> None:
    if not lines:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (NULL {})").format(name_tables(run)[table], names, NOTHING)
    with database.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(lines)


def keep_progress(database: Database, run: int, progress: Mapping[str, Any] | None) -> None:
    """Say in the register how far the run is; nothing once there is nothing to go on from."""
    content = None if progress is None else Jsonb(progress)
    database.execute("UPDATE ingest_runs SET progress = %s WHERE run = %s", [content, run])


def keep_rejects(database: Database, run: int, city: str) -> None:
    """Keep the run's rejected records with their place and reason."""
    statement = """
        INSERT INTO rejected_records (run, source, position, city, row_hash, reason, kept_columns, row_id, source_id)
        SELECT %(run)s, source, position, %(city)s, row_hash, reason, kept_columns, row_id, source_id FROM {rejects}
    """
    database.execute(sql.SQL(statement).format(**name_tables(run)), {"run": run, "city": city})


def has_rejects_without_key(database: Database, run: int) -> bool:
    """Whether a staged rejected record might be any permit's."""
    statement = "SELECT EXISTS (SELECT FROM {rejects} WHERE source_id IS NULL)"
    row = database.execute(sql.SQL(statement).format(**name_tables(run))).fetchone()
    return bool(row and row[0])
