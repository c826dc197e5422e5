"""What a register holds, for two of them to be compared: everything but run numbers and instants."""

from typing import Any

import psycopg

from tests.conftest import TABLES

Connection = psycopg.Connection[Any]
Contents = dict[str, list[tuple[Any, ...]]]

# A record that several ended runs rejected says the same each time.
CONTENTS = {
    "permits": """
        SELECT to_jsonb(p) - 'first_run' - 'changed_run' - 'removed_run' || jsonb_build_object(
          'removed', removed_run IS NOT NULL, 'is_new', first_run = changed_run)
        FROM permits p ORDER BY city, source_id
    """,
    "permit_changes": """
        SELECT city, source_id, field, CASE field WHEN 'removed_run' THEN old_value IS NULL ELSE true END,
          CASE field WHEN 'removed_run' THEN '' ELSE concat_ws('>', old_value, new_value) END
        FROM permit_changes ORDER BY 1, 2, 3, 4, 5
    """,
    "source_rows": "SELECT city, source_row_id, row_hash, source_id, form, updated_at FROM source_rows ORDER BY 1, 2",
    "rejected_records": """
        SELECT DISTINCT source, position, city, row_hash, reason, kept_columns::text, row_id
        FROM rejected_records ORDER BY 1, 2
    """,
    "source_states": "SELECT city, source, state - 'keys_at' FROM source_states ORDER BY 1, 2",
    "register_words": "SELECT * FROM register_words ORDER BY 1, 2, 3",
    "city_states": "SELECT to_jsonb(s) - 'run' - 'succeeded_at' FROM city_states s ORDER BY city",
    "permit_cells": "SELECT * FROM permit_cells ORDER BY 1, 2, 3, 4",
    "stats": """
        SELECT w.city, w.told, p.told, month, permits, priced, timed, value_usd,
          (SELECT array_agg(one ORDER BY one) FROM generate_series(1, length(values_usd), 8) nth,
             substring(values_usd FROM nth FOR 8) one),
          (SELECT array_agg(one ORDER BY one) FROM generate_series(1, length(days), 4) nth,
             substring(days FROM nth FOR 4) one)
        FROM stats_cells JOIN stats_words w USING (words) JOIN stats_places p USING (place) ORDER BY 1, 2, 3, 4
    """,
    "data_versions": "SELECT version - %(before)s FROM data_versions",
    "staging": "SELECT relname FROM pg_class WHERE relname LIKE 'staging%%'",
}


def read_version(connection: Connection) -> int:
    """Give the data version."""
    return int((connection.execute("SELECT version FROM data_versions").fetchone() or [0])[0])


def read_contents(connection: Connection, *, before: int = 0) -> Contents:
    """Read every table; the data version counts from ``before``."""
    return {table: connection.execute(query, {"before": before}).fetchall() for table, query in CONTENTS.items()}


def empty(connection: Connection) -> int:
    """Empty the store and give the data version it begins with."""
    connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
    return read_version(connection)
