"""The real Austin files load with every row accounted for, and agree with what was counted in them beforehand.

The figures were counted on the files themselves by whoever collected them; no owner's name or number is ever printed.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest.mapping import Mapper, PermitRow
from app.ingest.run import Report
from app.ingest.sources import open_source
from tests.ingest.conftest import Ingest, real_file

AUTUMN = ("oss_permit_report_2015_51col.csv.gz", "oss_permit_report_2015_43col.csv.gz")
ALL = (
    "oss_permit_report_1984_43col.csv.gz",
    "oss_permit_report_2013-2014_37col.csv.gz",
    "oss_permit_report_2015_37col.csv.gz",
    *AUTUMN,
    "oss_permit_report_2016_43col.csv.gz",
)
CAPTURES = (
    ("soda_3syk-w9eu_10rows_2025-07-23.json.gz", 10),
    ("soda_3syk-w9eu_15rows_2025-07.json.gz", 15),
    ("soda_3syk-w9eu_8rows_2025-08-07.json.gz", 8),
    ("soda_3syk-w9eu_select8_5000rows_2026-05-10.json.gz", 5000),
)
TABLES = (
    "permits",
    "source_rows",
    "rejected_records",
    "permit_changes",
    "ingest_runs",
    "register_words",
    "city_states",
)
KEPT = ("permit_number", "sub_type", "work_type", "permit_location", "work_description", "status")

Connection = psycopg.Connection[Any]


def count(connection: Connection, condition: str = "true") -> int:
    """Count permits."""
    row = connection.execute(f"SELECT count(*) FROM permits WHERE {condition}").fetchone()
    assert row is not None
    return int(row[0])


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Read a file with all its columns, in memory only."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def store_as_text(connection: Connection) -> str:
    """Give every value of every table as one text."""
    texts = (row[0] for table in TABLES for row in connection.execute(f"SELECT t::text FROM {table} t"))
    return "\n".join(texts).lower()


@pytest.fixture
def autumn(ingest: Ingest) -> Report:
    """Load the two small files of late 2015, of 51 and 43 columns."""
    return ingest(*(real_file(name) for name in AUTUMN))


def test_every_row_of_two_real_files_is_accounted_for(autumn: Report, empty_store: Connection) -> None:
    assert (autumn.status, autumn.read, autumn.data_through) == ("published", 11_609 + 2_709, "2015-12-31")
    assert autumn.reasons == {"shifted_columns": 8}
    # 257 and 66 surplus rows of permits that stand more than once, within each file.
    assert autumn.unchanged == 257 + 66
    assert autumn.inserted == count(empty_store) == autumn.read - autumn.unchanged - autumn.rejected


def test_shifted_rows_keep_their_place_and_nothing_else(autumn: Report, empty_store: Connection) -> None:
    rows = empty_store.execute(
        "SELECT source, position, kept_columns FROM rejected_records ORDER BY position"
    ).fetchall()
    assert [position for _, position, _ in rows] == [650, 655, 657, 660, 2323, 9417, 9418, 9419]
    assert {(source, kept) for source, _, kept in rows} == {(AUTUMN[0], None)}
    assert autumn.rejected == 8


def test_default_and_outside_points_are_no_location(autumn: Report, empty_store: Connection) -> None:
    assert autumn.status == "published"
    assert count(empty_store, "location_quality = 'outside'") == 14
    assert count(empty_store, "location_quality = 'default'") == 222
    assert count(empty_store, "location IS NOT NULL AND location_quality IN ('default', 'outside', 'missing')") == 0


def test_real_files_twice_touch_no_row(autumn: Report, ingest: Ingest, empty_store: Connection) -> None:
    versions = "SELECT count(*), min(xmin::text::bigint), max(xmin::text::bigint) FROM permits"
    before = empty_store.execute(versions).fetchone()
    again = ingest(*(real_file(name) for name in AUTUMN))
    assert (again.status, again.unchanged) == ("unchanged", again.read - again.rejected)
    assert empty_store.execute(versions).fetchone() == before
    assert autumn.run != again.run


def test_the_days_of_a_real_file_change_nothing_that_it_told(
    autumn: Report, ingest: Ingest, empty_store: Connection
) -> None:
    before = count(empty_store)
    days = [real_file(f"daily_files/2015-10-{day:02d}.csv.gz") for day in (7, 8, 10, 11, 12, 13)]
    report = ingest(*days)
    assert (report.inserted, report.rejected) == (0, 0)
    assert count(empty_store) == before
    assert autumn.read > report.read == 287 + 217 + 0 + 1 + 208 + 247


def test_no_phone_and_no_owner_of_a_real_row_is_stored(ingest: Ingest, empty_store: Connection) -> None:
    path = real_file(AUTUMN[1])
    ingest(path)
    stored = store_as_text(empty_store)
    rows = list(read_rows(path))
    told = "\n".join(row[column].lower() for row in rows for column in KEPT)
    owners = {row[column].strip().lower() for row in rows for column in ("folder_owner", "property_owner")}
    # A name that the description or the address itself holds cannot be told from other words.
    names = {name for name in owners if len(name) >= 8 and name not in told}
    phones = {row[column].strip() for row in rows for column in ("folder_owner_phone", "property_owner_phone")}
    phones = {phone for phone in phones if len(re.sub(r"\D", "", phone)) >= 10}
    assert len(names) > 1_000
    assert len(phones) > 300
    assert sum(name in stored for name in names) == 0
    assert sum(phone in stored or re.sub(r"\D", "", phone)[-10:] in stored for phone in phones) == 0


def test_no_phone_is_left_in_a_real_description(autumn: Report, empty_store: Connection) -> None:
    assert autumn.notes["masked_contact"] == 31
    assert count(empty_store, r"description ~ '\(?\d{3}\)?[- ]\d{3}[- ]\d{4}'") == 0
    assert count(empty_store, r"description ~ '@[a-z0-9-]+\.(com|net|org|gov)'") == 0


@pytest.mark.parametrize(("name", "rows"), CAPTURES)
def test_captures_of_the_portal_load_whole(ingest: Ingest, empty_store: Connection, name: str, rows: int) -> None:
    report = ingest(real_file(name))
    assert (report.read, report.inserted, report.rejected) == (rows, rows, 0)
    assert count(empty_store, "permit_type_mapped IS NULL OR permit_class_mapped IS NULL") == 0
    assert report.notes == {}


def test_both_link_forms_of_the_portal_are_links(ingest: Ingest, empty_store: Connection) -> None:
    ingest(real_file(CAPTURES[0][0]), real_file(CAPTURES[1][0]))
    assert count(empty_store, "link LIKE 'https://abc.austintexas.gov/%'") == 25


def test_a_capture_of_few_columns_erases_no_place(ingest: Ingest, empty_store: Connection) -> None:
    ingest(real_file(CAPTURES[2][0]))
    located = count(empty_store, "location IS NOT NULL AND description IS NOT NULL")
    assert located == 8
    empty_store.execute("UPDATE permits SET source_id = '2025-122556 BP' WHERE source_id LIKE '%096849%'")
    assert ingest(real_file(CAPTURES[3][0])).updated == 1
    assert count(empty_store, "location IS NOT NULL AND description IS NOT NULL") == located


@pytest.mark.system
def test_the_points_of_all_real_rows_are_as_they_were_counted(austin: City) -> None:
    qualities: Counter[str] = Counter()
    for name in ALL:
        with open_source(austin, real_file(name), name) as source:
            mapper = Mapper(austin, source.form, source.columns)
            parsed = map(mapper.parse, source.records)
            qualities.update(row.location_quality for row in parsed if isinstance(row, PermitRow))
    assert (qualities["missing"], qualities["default"], qualities["outside"]) == (26_697, 1_397 + 222, 80)
    assert qualities.total() == 283_386 - 8


@pytest.mark.system
def test_all_real_rows_load_and_agree_with_what_was_counted(ingest: Ingest, empty_store: Connection) -> None:
    files = [real_file(name) for name in ALL]
    report = ingest(*files)
    assert (report.status, report.read, report.reasons) == ("published", 283_386, {"shifted_columns": 8})
    # 7,038 surplus rows within files, and 202 permits that stand in two files.
    assert report.unchanged == 7_038 + 202
    assert report.inserted == count(empty_store) == 276_138
    assert report.notes == {"implausible_housing_units": 2, "implausible_total_sqft": 32, "masked_contact": 309}
    again = ingest(*files)
    assert (again.status, again.unchanged) == ("unchanged", 283_378)
