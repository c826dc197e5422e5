"""New categories for permits that are loaded: after the rules changed, and without their source.

Every permit of a city is read again by the rules of ``ingest.categories``; only those that they now tell otherwise are
written, with a change for each field, in one transaction under the city's lock.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from app.cities.city import City
from app.ingest.categories import find_categories
from app.ingest.load import cells, merge, placing, summaries
from app.ingest.load.merge import Values
from app.ingest.load.publishing import Merged, hold_publication, tidy
from app.ingest.load.staging import COLUMNS, Database
from app.ingest.report import IngestReport, Tick, Watch, ignore
from app.ingest.run import connect, hold_lock
from app.permits.words import CATEGORIES_VERSION

FETCHED_ROWS = 5_000
TOLD = ("categories", "solar_kw", "battery_kwh")
SOURCE = f"categories, version {CATEGORIES_VERSION}"


def recategorize(database_url: str, city: City, *, watch: Watch = ignore) -> IngestReport:
    """Bring the categories of a city's permits to the present rules.

    Raises :class:`DatabaseUnavailable` where PostGIS cannot be reached.
    """
    began = time.monotonic()
    with connect(database_url) as database, hold_lock(database, city.name) as held:
        if not held:
            return IngestReport("locked", None, city.name, SOURCE)
        with database.transaction():
            run = _begin(database, city)
            values: Values = {"run": run, "city": city.name}
            read = _collect(database, values, watch)
            hold_publication(database)
            merged = _apply(database, values, city)
            report = IngestReport(
                status="published" if merged.changed else "unchanged",
                run=run,
                city=city.name,
                source=SOURCE,
                read=read,
                updated=merged.updated,
                unchanged=read - merged.updated,
                seconds=round(time.monotonic() - began, 3),
            )
            _finish(database, run, report)
        tidy(database, merged)
        return report


def _begin(database: Database, city: City) -> int:
    statement = "INSERT INTO ingest_runs (city, source, status) VALUES (%s, %s, 'running') RETURNING run"
    return int((database.execute(statement, [city.name, SOURCE]).fetchone() or [0])[0])


def _collect(database: Database, values: Values, watch: Watch) -> int:
    """Make the table ``recategorized``: the permits that the rules tell otherwise, and how. Give how many were read."""
    create = """
        CREATE TEMPORARY TABLE recategorized ON COMMIT DROP AS
        SELECT source_id, categories, solar_kw, battery_kwh FROM permits WITH NO DATA
    """
    database.execute(create)
    read = 0
    for rows in _fetch(database, values):
        with database.cursor() as cursor, cursor.copy("COPY recategorized FROM STDIN") as copy:
            for source_id, *subject, was in rows:
                told = find_categories(*subject)
                if told != was:
                    copy.write_row((source_id, *told))
        read += len(rows)
        watch(Tick(SOURCE, read))
    return read


def _fetch(database: Database, values: Values) -> Iterator[list[tuple[Any, ...]]]:
    """Give all permits of the city, by what the rules look at, with what they said before, some thousands at a time."""
    statement = """
        SELECT source_id, coalesce(description, ''), permit_type_mapped, coalesce(permit_class, ''),
          coalesce(work_class, ''), categories, solar_kw, battery_kwh
        FROM permits WHERE city = %(city)s AND removed_run IS NULL
    """
    with database.cursor(name="recategorized") as cursor:
        cursor.execute(statement, values)
        while rows := cursor.fetchmany(FETCHED_ROWS):
            yield [(*row[:5], (row[5], row[6], row[7])) for row in rows]


def _apply(database: Database, values: Values, city: City) -> Merged:
    merge.index(database, "recategorized", "source_id")
    columns = sql.SQL(", ").join(sql.Identifier("r" if column in TOLD else "p", column) for column in COLUMNS)
    differing = """
        CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
        SELECT p.source_id, false AS is_new, {columns}
        FROM recategorized r JOIN permits p ON p.city = %(city)s AND p.source_id = r.source_id
    """
    database.execute(sql.SQL(differing).format(columns=columns), values)
    merge.index(database, "differing", "source_id")
    placing.place_differing(database, values)
    summaries.count_differences(database, values, with_vanished=False)
    cells.count_differences(database, values, with_vanished=False)
    merge.record_changes(database, values)
    merged = Merged(updated=merge.update_changed(database, values))
    if merged.changed:
        summaries.shift_summaries(database, values, time_zone=city.time_zone, synthetic=city.synthetic)
        cells.shift_cells(database, values)
    if _tell_version(database, values) and not merged.changed:
        summaries.count_version(database)
    return merged


def _tell_version(database: Database, values: Values) -> bool:
    """Say by which version of the rules the city's permits are told, and whether that is another than it was."""
    version = """
        UPDATE city_states SET categories_version = %(version)s
        WHERE city = %(city)s AND categories_version <> %(version)s
    """
    return database.execute(version, {**values, "version": CATEGORIES_VERSION}).rowcount > 0


def _finish(database: Database, run: int, report: IngestReport) -> None:
    statement = "UPDATE ingest_runs SET status = %s, finished_at = clock_timestamp(), report = %s WHERE run = %s"
    database.execute(statement, [report.status, Jsonb(asdict(report)), run])
