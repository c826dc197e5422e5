"""Measures a city's first load and a week's delta beside their floors, in one run on one machine.

``python -m scripts.bench_ingest [--rows N] [--delta N]`` makes synthetic rows in the shape of Austin's portal (68
columns) and loads them into a scratch database. The floor of the load is the COPY of the same bytes into an unlogged
table of text, and the building of the same indexes on the typed table; that of the delta is one upsert of as many
typed rows. Memory is the largest process of the load. Ratios are of this run alone.
"""

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from app.database import find_database_url
from app.errors import UndervoltError
from app.ingest.load.staging import COLUMNS
from app.settings import read_settings
from scripts.make_sample import SEED, make_rows
from scripts.sample.dirt import Row

CITY = "austin"
ROWS = 2_340_000
DELTA = 8_000
NEW_SHARE = 0.15  # of a week's rows at Austin: 1,342 new beside 7,260 updated permits

# The portal's fields in the order of its export.
FIELDS = """
permittype permit_type_desc permit_number permit_class_mapped permit_class work_class condominium permit_location
description tcad_id legal_description applieddate issue_date day_issued calendar_year_issued fiscal_year_issued
issued_in_last_30_days issue_method status_current statusdate expiresdate completed_date total_existing_bldg_sqft
remodel_repair_sqft total_new_add_sqft total_valuation_remodel total_job_valuation number_of_floors housing_units
building_valuation building_valuation_remodel electrical_valuation electrical_valuation_remodel mechanical_valuation
mechanical_valuation_remodel plumbing_valuation plumbing_valuation_remodel medgas_valuation medgas_valuation_remodel
original_address1 original_city original_state original_zip council_district jurisdiction link project_id
masterpermitnum latitude longitude location contractor_trade contractor_company_name contractor_full_name
contractor_phone contractor_address1 contractor_address2 contractor_city contractor_zip applicant_full_name
applicant_org applicant_phone applicant_address1 applicant_address2 applicant_city applicantzip
certificate_of_occupancy total_lot_sq_ft
""".split()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="bench_ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--delta", type=int, default=DELTA)
    given = parser.parse_args()
    try:
        url = find_database_url(read_settings(os.environ))
    except UndervoltError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="undervolt-bench-") as folder:
        files = make_files(Path(folder), rows=given.rows, delta=given.delta)
        measure(url, *files)
    return 0


def make_files(folder: Path, *, rows: int, delta: int) -> tuple[Path, Path]:
    """Write the whole register and, as a later day's file, the rows that a week changes and adds."""
    whole, later = folder / "register.csv", folder / "delta.csv"
    new = int(delta * NEW_SHARE)
    chosen = set(random.Random(SEED).sample(range(rows), delta - new))
    changed: list[dict[str, str]] = []

    def watch(rows_made: Iterable[Row]) -> Iterator[dict[str, str]]:
        for number, row in enumerate(map(widen, rows_made)):
            if number in chosen:
                changed.append(row)
            yield row

    count = write(whole, watch(make_rows(rows=rows, seed=SEED)))
    added = ({**widen(row), "permit_number": f"9{row['permit_number'][1:]}"} for row in make_rows(rows=new, seed=SEED))
    write(later, [*map(change, changed), *added])
    print(f"{count:,} synthetic rows of {len(FIELDS)} columns, {whole.stat().st_size / 1e6:,.0f} MB", file=sys.stderr)
    return whole, later


def widen(row: Row) -> dict[str, str]:
    """Give a row of the sample all the columns of the portal."""
    year = row["issue_date"][:4]
    place = f"({row['latitude']}, {row['longitude']})" if row["latitude"] else ""
    told = {
        "condominium": "No",
        "calendar_year_issued": year,
        "fiscal_year_issued": year,
        "issued_in_last_30_days": "No",
        "issue_method": "Permit Center",
        "location": place,
        "contractor_city": "AUSTIN",
        "certificate_of_occupancy": "No",
    }
    return {field: row.get(field) or told.get(field, "") for field in FIELDS}


def change(row: dict[str, str]) -> dict[str, str]:
    """Give a row as a later day tells it."""
    final = row["status_current"] != "Final"
    return {**row, "status_current": "Final" if final else "Expired", "statusdate": "2026-11-20T00:00:00.000"}


def write(path: Path, rows: Iterable[dict[str, str]]) -> int:
    """Write rows as CSV and give how many."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(FIELDS)
        count = 0
        for count, row in enumerate(rows, start=1):  # noqa: B007 - counted, and used behind the loop
            writer.writerow(row.values())
    return count


def measure(url: str, whole: Path, later: Path) -> None:
    """Measure on a scratch database, and drop it."""
    name = f"undervolt_bench_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            base, _, options = url.partition("?")
            scratch = base.rsplit("/", 1)[0] + f"/{name}" + (f"?{options}" if options else "")
            compare(scratch, whole, later)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def compare(url: str, whole: Path, later: Path) -> None:
    """Load, and measure each floor beside it."""
    environment = os.environ | {"UNDERVOLT_DATABASE_URL": url}
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"], env=environment, check=True, capture_output=True
    )
    with psycopg.connect(url, autocommit=True) as connection:
        copied_s = time_copy(connection, whole)
        load = ingest(environment, whole)
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        indexed_s = time_indexes(connection)
        upserted_s = time_upsert(connection, int(DELTA))
        delta = ingest(environment, later)
    floor_s = copied_s + indexed_s
    show(
        f"first load, {load['read']:,} rows",
        ("COPY into unlogged text", copied_s, load["read"]),
        ("the same indexes, typed table", indexed_s, load["read"]),
        ("floor: both", floor_s, load["read"]),
        ("ingest", load["seconds"], load["read"]),
        floor_s=floor_s,
    )
    print(f"largest process of the load: {peak_mb:,.0f} MB")
    show(
        f"delta, {delta['read']:,} rows: {delta['inserted']:,} new, {delta['updated']:,} changed",
        ("bare upsert", upserted_s, DELTA),
        ("ingest", delta["seconds"], delta["read"]),
        floor_s=upserted_s,
    )


def time_copy(connection: psycopg.Connection[Any], path: Path) -> float:
    """Copy the file into an unlogged table of text and give the seconds."""
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(field)) for field in FIELDS)
    connection.execute(sql.SQL("CREATE UNLOGGED TABLE floor_lines ({})").format(columns))
    began = perf_counter()
    statement = "COPY floor_lines FROM STDIN WITH (FORMAT csv, HEADER)"
    with path.open("rb") as lines, connection.cursor() as cursor, cursor.copy(statement) as copy:
        while block := lines.read(1 << 20):
            copy.write(block)
    seconds = perf_counter() - began
    connection.execute("DROP TABLE floor_lines")
    return seconds


def time_indexes(connection: psycopg.Connection[Any]) -> float:
    """Build the permits' indexes on an unlogged copy of them and give the seconds."""
    connection.execute("CREATE UNLOGGED TABLE floor_permits AS SELECT * FROM permits")
    found = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'permits'").fetchall()
    began = perf_counter()
    for (definition,) in found:
        connection.execute(
            definition.replace(" ON public.permits ", " ON floor_permits ").replace(" INDEX ", " INDEX floor_", 1)
        )
    seconds = perf_counter() - began
    connection.execute("DROP TABLE floor_permits")
    return seconds


def time_upsert(connection: psycopg.Connection[Any], count: int) -> float:
    """Upsert typed rows, most of them changed and some new, in one statement, and give the seconds."""
    names = sql.SQL(", ").join(map(sql.Identifier, ("city", "source_id", *COLUMNS, "first_run", "changed_run")))
    prepare = """
        CREATE TEMPORARY TABLE floor_delta AS SELECT {names} FROM permits ORDER BY md5(source_id) LIMIT {count};
        UPDATE floor_delta SET status_current = 'Floor', status_date = '2026-11-19';
        UPDATE floor_delta SET source_id = 'floor ' || source_id
        WHERE source_id IN (SELECT source_id FROM floor_delta LIMIT {new});
        ANALYZE floor_delta
    """
    new = sql.Literal(int(count * NEW_SHARE))
    connection.execute(sql.SQL(prepare).format(names=names, count=sql.Literal(count), new=new))
    assignments = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in COLUMNS)
    upsert = """
        INSERT INTO permits ({names}) SELECT {names} FROM floor_delta
        ON CONFLICT (city, source_id) DO UPDATE SET {assignments}
    """
    began = perf_counter()
    connection.execute(sql.SQL(upsert).format(names=names, assignments=assignments))
    return perf_counter() - began


def ingest(environment: dict[str, str], path: Path) -> dict[str, Any]:
    """Ingest a file as an operator would, and give the run's report."""
    command = [sys.executable, "-m", "scripts.ingest", "--city", CITY, "--file", str(path)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def show(title: str, *lines: tuple[str, float, int], floor_s: float) -> None:
    """Print seconds, rows a second, and the ratio to the floor."""
    table = Table("", "seconds", "rows/s", "times floor", title=title)
    for name, seconds, rows in lines:
        table.add_row(name, f"{seconds:.1f}", f"{rows / seconds:,.0f}", f"{seconds / floor_s:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(main())
