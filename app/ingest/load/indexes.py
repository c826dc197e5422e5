"""A register without any permit is filled first and indexed then: to build an index costs a third of keeping it.

Only then: to drop an index keeps every reader out until the transaction ends, and there is nothing yet to read.
"""

from collections.abc import Generator
from contextlib import contextmanager

from psycopg import sql

from app.ingest.load.staging import Database

TABLES = ("permits", "source_rows")
BUILD_MEMORY = "256MB"


@contextmanager
def indexed_afterwards(database: Database) -> Generator[None]:
    """Take the indexes of the register's two large tables away and build them again at the end, as they were."""
    database.execute(sql.SQL("SET LOCAL maintenance_work_mem = {}").format(BUILD_MEMORY))
    keys, indexes = _find_keys(database), _find_indexes(database)
    for table, name, _ in keys:
        drop = "ALTER TABLE {} DROP CONSTRAINT {}"
        database.execute(sql.SQL(drop).format(sql.Identifier(table), sql.Identifier(name)))
    for name, _ in indexes:
        database.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    yield
    for table, name, definition in keys:
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(sql.Identifier(table), sql.Identifier(name))
        database.execute(add + sql.SQL(definition))
    for _, definition in indexes:
        database.execute(sql.SQL(definition))


def _find_keys(database: Database) -> list[tuple[str, str, str]]:
    """Give table, name and definition of each primary key."""
    statement = """
        SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'p' AND conrelid = ANY (%s::regclass[])
    """
    return [(table, name, definition) for table, name, definition in database.execute(statement, [list(TABLES)])]


def _find_indexes(database: Database) -> list[tuple[str, str]]:
    """Give name and definition of each index that is no primary key's."""
    statement = """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE NOT indisprimary AND indrelid = ANY (%s::regclass[])
    """
    return [(name, definition) for name, definition in database.execute(statement, [list(TABLES)])]
