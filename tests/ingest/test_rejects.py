"""What was rejected is listed, and after a fix it is taken from its source, and nothing else is.

The rows are made up.
"""

import random
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest.order import Order
from app.ingest.rejects import find_waiting, list_rejected
from app.ingest.report import IngestReport
from app.ingest.run import ingest
from tests.ingest.scripted import ScriptedSource
from tests.ingest.test_summaries import assert_all_is_as_counted_anew, draw_row

Connection = psycopg.Connection[Any]
GOOD = {"permit_number": "2025-000001 EP", "permittype": "EP", "status_current": "Active"}
BAD = {"permit_number": "2025-000002 EP", "permittype": "EP", "status_current": "Active", "issue_date": "5. Mai 2025"}
ROWS = [GOOD, BAD, "wrong_number_of_columns"]


@pytest.fixture
def mended(austin: City) -> City:
    """Austin's file after a fix: a date form more."""
    forms = tuple(form.model_copy(update={"date_forms": (*form.date_forms, "%d. Mai %Y")}) for form in austin.forms)
    return austin.model_copy(update={"forms": forms})


def load(database_url: str, city: City, rows: list[Any], **order: Any) -> IngestReport:
    """Run over one scripted source."""
    return ingest(database_url, Order(city, [ScriptedSource(rows, page_rows=10)], workers=1, **order))


def test_a_rejected_record_is_listed_with_place_reason_and_allowed_columns(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    report = load(database_url, austin, ROWS)
    told = [(one.source, one.position, one.run, one.reason) for one in list_rejected(empty_store, "austin")]
    assert told == [
        ("scripted", 2, report.run, "malformed_issued_date"),
        ("scripted", 3, report.run, "wrong_number_of_columns"),
    ]
    kept = [one.kept_columns for one in list_rejected(empty_store, "austin")]
    assert kept[0] is not None
    assert kept[0]["permit_number"] == "2025-000002 EP"
    assert kept[1] is None, "where the columns are in doubt nothing is kept"


def test_what_every_night_rejects_is_listed_once(database_url: str, empty_store: Connection, austin: City) -> None:
    load(database_url, austin, ROWS)
    newest = load(database_url, austin, ROWS)
    assert {one.run for one in list_rejected(empty_store, "austin")} == {newest.run}
    assert len(list(list_rejected(empty_store, "austin"))) == 2


def test_a_retry_takes_what_a_fix_makes_usable_and_nothing_else(
    database_url: str, empty_store: Connection, austin: City, mended: City
) -> None:
    load(database_url, austin, ROWS)
    report = load(database_url, mended, [{**GOOD, "status_current": "Final"}, *ROWS[1:]], retry=True)
    assert (report.status, report.read, report.inserted, report.rejected) == ("published", 2, 1, 1)
    permits = empty_store.execute("SELECT source_id, status_current FROM permits ORDER BY 1").fetchall()
    assert permits == [("2025-000001 EP", "Active"), ("2025-000002 EP", "Active")]
    assert [one.reason for one in list_rejected(empty_store, "austin")] == ["wrong_number_of_columns"]


def test_a_retry_after_everything_is_taken_reads_nothing(
    database_url: str, empty_store: Connection, austin: City, mended: City
) -> None:
    load(database_url, austin, ROWS[:2])
    load(database_url, mended, ROWS[:2], retry=True)
    report = load(database_url, mended, ROWS[:2], retry=True)
    assert (report.status, report.read) == ("unchanged", 0)
    assert report.detail == "no rejected record waits to be taken"
    assert find_waiting(empty_store, "austin").rows == ()


def test_an_ordinary_run_settles_what_it_takes_too(
    database_url: str, empty_store: Connection, austin: City, mended: City
) -> None:
    load(database_url, austin, ROWS[:2])
    report = load(database_url, mended, ROWS[:2])
    assert report.rejected == 0
    assert list(list_rejected(empty_store, "austin")) == []
    resolved = empty_store.execute("SELECT resolved_run FROM rejected_records").fetchall()
    assert resolved == [(report.run,)]


def test_a_record_that_moved_in_its_file_is_known_by_its_content(
    database_url: str, empty_store: Connection, austin: City, mended: City
) -> None:
    load(database_url, austin, ROWS[:2])
    report = load(database_url, mended, [GOOD, GOOD, GOOD, GOOD, BAD], retry=True)
    assert report.inserted == 1


def test_rows_of_a_portal_are_wanted_by_their_ids(database_url: str, empty_store: Connection, austin: City) -> None:
    load(database_url, austin, [GOOD | {":id": "row-1"}, BAD | {":id": "row-2"}])
    assert find_waiting(empty_store, "austin").of("scripted").row_ids == frozenset({"row-2"})


def load_named(database_url: str, city: City, name: str, rows: list[Any], **order: Any) -> IngestReport:
    """Run over one scripted source of this name."""
    return ingest(database_url, Order(city, [ScriptedSource(rows, name=name, page_rows=10)], workers=1, **order))


def list_sources(connection: Connection) -> list[tuple[str, int]]:
    """Name source and place of what waits."""
    return [(one.source, one.position) for one in list_rejected(connection, "austin")]


def test_a_retry_of_one_source_leaves_what_waits_of_another(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    other = BAD | {"permit_number": "2025-000003 EP"}
    load_named(database_url, austin, "k.csv", [GOOD, BAD])
    load_named(database_url, austin, "l.csv", [GOOD, other, "shifted_columns"])
    corrected = other | {"issue_date": "2025-05-05"}
    report = load_named(database_url, austin, "l.csv", [GOOD, corrected, "shifted_columns"], retry=True)
    assert (report.read, report.inserted, report.rejected) == (2, 1, 1)
    assert list_sources(empty_store) == [("k.csv", 2), ("l.csv", 3)]


def test_a_source_that_holds_nothing_that_waits_settles_nothing(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    load_named(database_url, austin, "k.csv", ROWS)
    report = load_named(database_url, austin, "m.csv", [GOOD], retry=True)
    assert (report.status, report.read) == ("unchanged", 0)
    assert report.detail == "2 rejected records wait, of k.csv (2); none of them is in what was read"
    assert list_sources(empty_store) == [("k.csv", 2), ("k.csv", 3)]


def test_a_corrected_copy_under_another_name_is_taken_by_its_permits_key(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    load_named(database_url, austin, "k.csv", [GOOD, BAD])
    corrected = BAD | {"issue_date": "2025-05-05"}
    report = load_named(database_url, austin, "k_fixed.csv", [GOOD, GOOD, corrected], retry=True)
    assert (report.read, report.inserted) == (1, 1)
    assert list_sources(empty_store) == []


def test_another_permit_in_the_place_of_a_rejected_one_settles_nothing(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    load_named(database_url, austin, "k.csv", [GOOD, BAD])
    report = load_named(database_url, austin, "k.csv", [GOOD, GOOD], retry=True)
    assert report.read == 0
    assert list_sources(empty_store) == [("k.csv", 2)]


def test_a_row_whose_key_could_not_be_read_is_taken_by_its_place(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    load_named(database_url, austin, "k.csv", [GOOD, "shifted_columns"])
    corrected = GOOD | {"permit_number": "2025-000009 EP"}
    report = load_named(database_url, austin, "k.csv", [GOOD, corrected], retry=True)
    assert (report.read, report.inserted) == (1, 1)
    assert list_sources(empty_store) == []


def test_after_a_retry_what_is_kept_beside_the_permits_is_what_counting_anew_gives(
    database_url: str, empty_store: Connection, austin: City, mended: City
) -> None:
    chance = random.Random(20_261_127)
    for _ in range(4):
        rows = [draw_row(chance, number) for number in chance.sample(range(1, 60), 40)]
        rows = [row | {"issue_date": "5. Mai 2025"} if chance.random() < 0.1 else row for row in rows]
        rejected = load(database_url, austin, rows, max_rejected=40).rejected
        assert load(database_url, mended, rows, retry=True).read == rejected > 0
        assert_all_is_as_counted_anew(empty_store)
