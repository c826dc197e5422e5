"""A run publishes at once or not at all, touches only what changed, and its report adds up.

The rows are made up, in the forms of Austin's files.
"""

import itertools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import City, find_city
from app.errors import DatabaseUnavailable
from app.ingest import run as running
from app.ingest.order import Order
from app.ingest.report import IngestReport, Tick
from app.ingest.run import ingest as run_ingest
from app.ingest.sources.files import find_sources
from tests.ingest.conftest import (
    REPORT_43_COLUMNS,
    REPORT_51_COLUMNS,
    Ingest,
    portal_row,
    report_row,
    write_csv,
    write_json,
)
from tests.ingest.scripted import ScriptedSource

Connection = psycopg.Connection[Any]
ReadPermit = Callable[[str], dict[str, Any]]


HEATING = {
    "description": "Heating",
    "permittype": "MP",
    "permit_class": "R- 101 Single Family Houses",
    "work_class": "New",
}


def one(connection: Connection, statement: str) -> Any:
    """Read one value."""
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def assert_adds_up(report: IngestReport) -> None:
    """Every row read is inserted, updated, unchanged or rejected, and each rejected one has a reason."""
    assert report.read == report.inserted + report.updated + report.unchanged + report.rejected
    assert sum(report.reasons.values()) == report.rejected


def read_versions(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Give the row versions of what readers see."""
    tables = ("permits", "source_rows", "register_words", "data_versions")
    return {
        table: sorted(connection.execute(f"SELECT ctid::text, xmin::text, xmax::text FROM {table}").fetchall())
        for table in tables
    }


def test_a_first_run_publishes_what_it_read(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    before = one(empty_store, "SELECT version FROM data_versions")
    rows = [report_row(permit_number=f"2015-00000{number} EP") for number in range(3)]
    report = ingest(write_csv(tmp_path / "a.csv.gz", rows))
    assert (report.status, report.read, report.inserted, report.exit_status) == ("published", 3, 3, 0)
    assert (report.source, report.data_through) == ("a.csv.gz", "2015-02-03")
    assert_adds_up(report)
    assert one(empty_store, "SELECT count(*) FROM permits") == 3
    assert one(empty_store, "SELECT version FROM data_versions") == before + 1


def test_the_report_is_kept_with_the_run(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    report = ingest(write_csv(tmp_path / "a.csv", [report_row()]))
    row = empty_store.execute("SELECT status, report -> 'inserted', report -> 'run' FROM ingest_runs").fetchone()
    assert row == ("published", 1, report.run)
    assert one(empty_store, "SELECT finished_at IS NOT NULL FROM ingest_runs")


def test_the_points_of_a_permit_are_its_own(ingest: Ingest, tmp_path: Path, read_permit: ReadPermit) -> None:
    rows = [
        report_row(),
        report_row(permit_number="2015-000002 EP", lat="-97.75", lng="30.25"),
        report_row(permit_number="2015-000003 EP", lat="0", lng="0"),
        report_row(permit_number="2015-000004 EP", lat="", lng=""),
    ]
    ingest(write_csv(tmp_path / "a.csv", rows))
    points = [read_permit(f"2015-00000{number} EP") for number in (1, 2, 3, 4)]
    assert [(row["location"], row["reported_location"], row["location_quality"]) for row in points] == [
        ("POINT(-97.75 30.25)", "POINT(-97.75 30.25)", "unstated"),
        (None, "POINT(30.25 -97.75)", "swapped"),
        (None, "POINT(0 0)", "outside"),
        (None, None, "missing"),
    ]


def test_the_same_file_twice_touches_no_row(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    rows = [report_row(permit_number=f"2015-{number:06d} EP", lat=f"30.2{number}") for number in range(50)]
    path = write_csv(tmp_path / "a.csv", [*rows, report_row(date_issued="soon")])
    ingest(path)
    before = read_versions(empty_store)
    report = ingest(path)
    assert (report.status, report.unchanged, report.rejected) == ("unchanged", 50, 1)
    assert_adds_up(report)
    assert read_versions(empty_store) == before


def test_owners_that_fan_out_are_one_permit_in_any_order(
    ingest: Ingest, tmp_path: Path, empty_store: Connection
) -> None:
    fan = [
        report_row(property_owner="Imaginary One"),
        report_row(property_owner="Imaginary Two"),
        report_row(property_owner="Imaginary Three", status="Active"),
        report_row(property_owner="Imaginary Four", date_issued="02/04/2015"),
    ]
    chosen = set()
    for number, rows in enumerate(itertools.permutations(fan)):
        empty_store.execute("TRUNCATE permits, source_rows CASCADE")
        report = ingest(write_csv(tmp_path / f"{number}.csv", rows))
        assert (report.inserted, report.unchanged) == (1, 3)
        chosen.add(empty_store.execute("SELECT status_current, issued_date FROM permits").fetchone())
    assert len(chosen) == 1


def test_every_source_row_of_a_permit_is_remembered(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    rows = [report_row(), report_row(property_owner="Imaginary Two"), report_row(status="Active")]
    ingest(write_csv(tmp_path / "a.csv", rows))
    assert one(empty_store, "SELECT count(*) FROM source_rows WHERE source_id = '2015-000001 EP'") == 2


@pytest.mark.parametrize("days", list(itertools.permutations([20, 22, 24])))
def test_a_day_that_is_read_late_undoes_no_later_day(
    ingest: Ingest, tmp_path: Path, read_permit: ReadPermit, days: tuple[int, ...]
) -> None:
    status = {20: "Active", 22: "On Hold", 24: "Active"}
    for day in days:
        ingest(write_csv(tmp_path / f"2015-10-{day}.csv", [report_row(status=status[day])]))
    assert read_permit("2015-000001 EP")["status_current"] == "Active"


def test_the_latest_status_date_wins_whatever_the_order(
    ingest: Ingest, tmp_path: Path, read_permit: ReadPermit
) -> None:
    rows = [
        portal_row(status_current="Active", statusdate="2025-07-21T00:00:00.000"),
        portal_row(status_current="Final", statusdate="2025-08-01T00:00:00.000"),
        portal_row(status_current="Pending", statusdate=None),
    ]
    random.Random(4).shuffle(rows)
    ingest(write_json(tmp_path / "a.json", rows))
    assert read_permit("2025-000001 EP")["status_current"] == "Final"


def test_the_newest_update_wins_over_the_status_date(ingest: Ingest, tmp_path: Path, read_permit: ReadPermit) -> None:
    newer = {":id": "row-2", ":updated_at": "2025-09-02T00:00:00.000Z", "statusdate": "2025-01-01T00:00:00.000"}
    older = {":id": "row-1", ":updated_at": "2025-09-01T00:00:00.000Z"}
    ingest(write_json(tmp_path / "a.json", [portal_row(status_current="Expired", **newer), portal_row(**older)]))
    assert read_permit("2025-000001 EP")["status_current"] == "Expired"


def test_a_change_is_told_field_by_field(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    ingest(write_csv(tmp_path / "a.csv", [report_row(status="Active"), report_row(permit_number="2015-000002 EP")]))
    report = ingest(write_csv(tmp_path / "b.csv", [report_row(lat="30.26", total_job_valuation="21500.5")]))
    assert (report.status, report.updated, report.unchanged) == ("published", 1, 0)
    changes = empty_store.execute(
        "SELECT source_id, run, field, old_value, new_value FROM permit_changes ORDER BY field"
    ).fetchall()
    assert changes == [
        ("2015-000001 EP", report.run, "location", "POINT(-97.75 30.25)", "POINT(-97.75 30.26)"),
        ("2015-000001 EP", report.run, "status_current", "Active", "Final"),
        ("2015-000001 EP", report.run, "status_current_mapped", "Permit Issued", "Permit Finaled"),
    ]


def test_a_changed_permit_keeps_its_first_run_and_names_the_last(
    ingest: Ingest, tmp_path: Path, empty_store: Connection
) -> None:
    first = ingest(write_csv(tmp_path / "a.csv", [report_row(), report_row(permit_number="2015-000002 EP")]))
    second = ingest(write_csv(tmp_path / "a.csv", [report_row(status="VOID")]))
    runs = empty_store.execute("SELECT first_run, changed_run FROM permits ORDER BY source_id").fetchall()
    assert runs == [(first.run, second.run), (first.run, first.run)]


def test_a_source_without_a_column_erases_nothing(ingest: Ingest, tmp_path: Path, read_permit: ReadPermit) -> None:
    ingest(write_json(tmp_path / "whole.json", [portal_row()]))
    row = {
        "permit_number": "2025-000001 EP",
        "permittype": "EP",
        "permit_class_mapped": "Residential",
        "status_current": "Final",
        "original_zip": "78705",
    }
    report = ingest(write_json(tmp_path / "few.json", [row]))
    permit = read_permit("2025-000001 EP")
    assert report.updated == 1
    assert (permit["status_current"], permit["status_current_mapped"]) == ("Final", "Permit Finaled")
    assert permit["original_zip"] == "78705"
    assert (permit["description"], permit["categories"], permit["solar_kw"]) == (
        "Install 8.28 kW rooftop solar system",
        ["solar"],
        8.28,
    )
    assert (permit["location"], permit["location_quality"]) == ("POINT(-97.75 30.25)", "unstated")
    assert (permit["permit_class"], permit["house_number"]) == ("Residential", 100)


def test_a_source_that_lacks_a_ground_of_categories_does_not_tell_them_anew(
    ingest: Ingest, tmp_path: Path, read_permit: ReadPermit
) -> None:
    row = portal_row(
        description="Heating", permittype="MP", permit_class="R- 101 Single Family Houses", work_class="New"
    )
    ingest(write_json(tmp_path / "whole.json", [row]))
    before = read_permit("2025-000001 EP")["categories"]
    assert "new_construction" in before
    without = {name: value for name, value in row.items() if name != "permit_class"}
    report = ingest(write_json(tmp_path / "few.json", [without]))
    assert (report.status, read_permit("2025-000001 EP")["categories"]) == ("unchanged", before)


def test_what_a_source_tells_anew_and_what_another_told_make_the_categories(
    ingest: Ingest, tmp_path: Path, read_permit: ReadPermit
) -> None:
    row = portal_row(
        description="Heating", permittype="MP", permit_class="R- 101 Single Family Houses", work_class="New"
    )
    ingest(write_json(tmp_path / "whole.json", [row]))
    few = {name: value for name, value in row.items() if name != "permit_class"}
    report = ingest(write_json(tmp_path / "few.json", [few | {"description": "Heating, 200A panel upgrade"}]))
    told = read_permit("2025-000001 EP")
    assert report.updated == 1
    assert "new_construction" in told["categories"], "by the class that the other source told"
    whole = ingest(write_json(tmp_path / "again.json", [row | {"description": "Heating, 200A panel upgrade"}]))
    assert whole.status == "unchanged", "as if one source had told all of it"


def test_a_source_with_an_empty_column_empties_it(ingest: Ingest, tmp_path: Path, read_permit: ReadPermit) -> None:
    ingest(write_json(tmp_path / "a.json", [portal_row()]))
    ingest(write_json(tmp_path / "b.json", [portal_row(latitude=None, longitude=None, original_zip=None)]))
    permit = read_permit("2025-000001 EP")
    assert (permit["location"], permit["location_quality"], permit["original_zip"]) == (None, "missing", None)


def test_the_report_and_the_portal_meet_in_one_permit(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    ingest(write_csv(tmp_path / "a.csv", [report_row()]))
    ingest(write_json(tmp_path / "b.json", [portal_row(permit_number="2015-000001 EP")]))
    assert one(empty_store, "SELECT count(*) FROM permits") == 1
    assert one(empty_store, "SELECT applied_date FROM permits") == date(2025, 3, 31)
    forms = empty_store.execute("SELECT form FROM source_rows ORDER BY form").fetchall()
    assert forms == [("permit report",), ("portal",)]


def test_several_files_are_one_run(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    (tmp_path / "other").mkdir()
    paths = [
        write_csv(tmp_path / "a.csv", [report_row()]),
        write_csv(tmp_path / "b.csv", [report_row(permit_number="2015-000002 EP")], REPORT_43_COLUMNS),
        write_csv(tmp_path / "other" / "a.csv", [report_row(date_issued="soon")], REPORT_51_COLUMNS),
    ]
    report = ingest(*paths)
    assert (report.source, report.read, report.inserted) == ("a.csv, b.csv, a.csv (2)", 3, 2)
    assert_adds_up(report)
    assert one(empty_store, "SELECT source FROM rejected_records") == "a.csv (2)"


def test_a_rejected_row_is_kept_with_place_and_reason(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    shifted = report_row(status=" a text.", folder_owner="Final")
    path = write_csv(tmp_path / "a.csv", [report_row(), report_row(date_issued="soon"), shifted])
    report = ingest(path)
    assert report.reasons == {"malformed_issued_date": 1, "shifted_columns": 1}
    kept = empty_store.execute(
        "SELECT position, city, source, reason, kept_columns ->> 'date_issued' FROM rejected_records ORDER BY position"
    ).fetchall()
    assert kept == [
        (2, "austin", "a.csv", "malformed_issued_date", "soon"),
        (3, "austin", "a.csv", "shifted_columns", None),
    ]
    assert one(empty_store, "SELECT kept_columns IS NULL FROM rejected_records WHERE position = 3")


def test_nothing_personal_reaches_any_table(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    rows = [report_row(), report_row(permit_number="2015-000002 EP", date_issued="soon")]
    ingest(write_csv(tmp_path / "a.csv", rows), write_json(tmp_path / "b.json", [portal_row()]))
    for table in ("permits", "source_rows", "rejected_records", "permit_changes", "ingest_runs", "register_words"):
        stored = str(empty_store.execute(f"SELECT t::text FROM {table} t").fetchall())
        for personal in ("Imaginary", "Volta Invented", "555-0100", "5125550100", "78799"):
            assert personal not in stored, table


def test_the_words_and_the_state_of_the_city_follow(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    rows = [
        report_row(),
        report_row(permit_number="2015-000002 EP", status="Levitating", lat="", lng="", total_job_valuation=""),
        report_row(permit_number="2015-000003 EP", work_description="unheard of", date_issued=""),
        report_row(permit_number="2015-000004 EP", date_issued="01/01/2199"),
    ]
    report = ingest(write_csv(tmp_path / "a.csv", rows))
    words = empty_store.execute(
        "SELECT word, permits FROM register_words WHERE field = 'status_current' ORDER BY word"
    ).fetchall()
    assert words == [("Final", 3), ("Levitating", 1)]
    assert report.notes == {"unknown_status_current": 1}
    state = empty_store.execute(
        "SELECT run, data_through, synthetic, permits, without_location, without_category, without_zip,"
        " without_issued_date, without_value FROM city_states WHERE city = 'austin'"
    ).fetchone()
    assert state == (report.run, date(2015, 2, 3), False, 4, 1, 1, 4, 1, 1)


def test_a_city_that_is_synthetic_is_said_to_be(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    ingest(write_json(tmp_path / "a.json", [portal_row()]), city=find_city("sample"))
    assert empty_store.execute("SELECT city, synthetic FROM city_states").fetchall() == [("sample", True)]


def test_a_permit_that_comes_back_is_no_longer_removed(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    ingest(path)
    empty_store.execute("UPDATE permits SET removed_run = first_run")
    assert ingest(path).updated == 1
    assert one(empty_store, "SELECT removed_run FROM permits") is None
    assert one(empty_store, "SELECT field FROM permit_changes") == "removed_run"


def test_one_city_leaves_the_other_alone(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    path = write_json(tmp_path / "a.json", [portal_row()])
    ingest(path)
    before = empty_store.execute("SELECT xmin::text FROM permits").fetchall()
    ingest(path, city=find_city("sample"))
    assert empty_store.execute("SELECT xmin::text FROM permits WHERE city = 'austin'").fetchall() == before


def test_a_header_alone_changes_nothing(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    report = ingest(write_csv(tmp_path / "a.csv", []))
    assert (report.status, report.read, report.exit_status) == ("unchanged", 0, 0)
    assert one(empty_store, "SELECT count(*) FROM city_states") == 0


def test_too_many_rejected_rows_refuse_the_run(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row(), report_row(date_issued="soon"), report_row(permit_number="")])
    report = ingest(path, max_rejected=1)
    assert (report.status, report.exit_status, report.rejected, report.inserted) == ("refused", 2, 2, 0)
    assert_adds_up(report)
    assert one(empty_store, "SELECT count(*) FROM permits") == 0
    assert one(empty_store, "SELECT count(*) FROM rejected_records") == 2
    assert ingest(path, max_rejected=2).status == "published"


def test_a_tenth_of_many_rows_may_be_rejected_unless_said_otherwise(ingest: Ingest, tmp_path: Path) -> None:
    good = [report_row(permit_number=f"2015-{number:06d} EP") for number in range(1_100)]
    bad = [report_row(date_issued="soon")] * 150
    assert ingest(write_csv(tmp_path / "a.csv", [*good, *bad[:120]])).status == "published"
    assert ingest(write_csv(tmp_path / "b.csv", [*good, *bad])).status == "refused"


@pytest.mark.parametrize("content", [b"", b"not,a,known\n1,2,3\n", None], ids=["empty", "unknown form", "missing"])
def test_a_source_that_fails_publishes_nothing(
    ingest: Ingest, tmp_path: Path, empty_store: Connection, content: bytes | None
) -> None:
    good = write_csv(tmp_path / "good.csv", [report_row()])
    bad = tmp_path / "bad.csv"
    if content is not None:
        bad.write_bytes(content)
    report = ingest(good, bad)
    assert (report.status, report.exit_status, report.read, report.inserted) == ("failed", 1, 1, 0)
    assert report.detail is not None
    assert report.detail.startswith("bad.csv: ")
    assert_adds_up(report)
    assert one(empty_store, "SELECT count(*) FROM permits") == 0
    assert one(empty_store, "SELECT status FROM ingest_runs") == "failed"


def test_a_file_cut_off_in_the_middle_publishes_nothing(
    ingest: Ingest, tmp_path: Path, empty_store: Connection
) -> None:
    rows = [report_row(permit_number=f"2015-{number:06d} EP") for number in range(20_000)]
    path = write_csv(tmp_path / "a.csv.gz", rows)
    path.write_bytes(path.read_bytes()[:-5_000])
    report = ingest(path)
    assert report.status == "failed"
    assert one(empty_store, "SELECT count(*) FROM permits") == 0


def test_no_staging_table_is_left_however_a_run_ends(ingest: Ingest, tmp_path: Path, empty_store: Connection) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row(), report_row(date_issued="soon")])
    ingest(path)
    ingest(path, max_rejected=0)
    ingest(tmp_path / "gone.csv")
    assert one(empty_store, "SELECT count(*) FROM pg_class WHERE relname LIKE 'staging%'") == 0


def test_the_unforeseen_is_a_report_that_tells_no_values(
    ingest: Ingest, tmp_path: Path, empty_store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("100 MADE UP ST")

    monkeypatch.setattr(running, "publish", fail)
    report = ingest(write_csv(tmp_path / "a.csv", [report_row()]))
    assert (report.status, report.exit_status) == ("error", 70)
    assert report.detail is not None
    assert report.detail.startswith("RuntimeError at ")
    assert "MADE UP" not in str(empty_store.execute("SELECT t::text FROM ingest_runs t").fetchall())
    assert one(empty_store, "SELECT status FROM ingest_runs") == "error"


def test_a_store_without_tables_is_an_error_that_is_reported(
    database_url: str, ingest: Ingest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=pg_catalog")
    report = ingest(write_csv(tmp_path / "a.csv", [report_row()]))
    assert (report.status, report.run, report.exit_status) == ("error", None, 70)


def test_a_run_finds_its_citys_lock_taken(database_url: str, ingest: Ingest, tmp_path: Path, austin: City) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    with running.connect(database_url) as other, running.hold_lock(other, austin.name) as is_held:
        assert is_held
        report = ingest(path)
        assert (report.status, report.run, report.exit_status) == ("locked", None, 75)
        assert ingest(path, city=find_city("sample")).status != "locked"
        other.execute("SELECT pg_advisory_unlock_all()")
    assert ingest(path).status == "published"


def test_the_lock_is_given_back_before_the_connection_ends(database_url: str) -> None:
    with running.connect(database_url) as one, running.connect(database_url) as another:
        with running.hold_lock(one, "austin") as is_held, running.hold_lock(another, "austin") as is_held_too:
            assert (is_held, is_held_too) == (True, False)
        with running.hold_lock(another, "austin") as is_held:
            assert is_held


def test_a_store_that_does_not_answer_is_said_to_be_away(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    with pytest.raises(DatabaseUnavailable, match="the permit store does not answer"):
        run_ingest("postgresql://nobody@127.0.0.1:1/nothing", Order(austin, find_sources([path])))


def test_a_watcher_is_told_how_far_the_run_is(ingest: Ingest, tmp_path: Path) -> None:
    rows = [report_row(permit_number=f"2015-{number:06d} EP") for number in range(6_000)]
    ticks: list[Tick] = []
    ingest(write_csv(tmp_path / "a.csv", rows), watch=ticks.append)
    assert [(tick.source, tick.rows) for tick in ticks] == [("a.csv", 5_000), ("a.csv", 6_000), ("publishing", 6_000)]
    assert ticks[1].done == ticks[1].total == (tmp_path / "a.csv").stat().st_size


def test_two_cities_that_fill_an_empty_register_at_once_both_publish(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    def load(city: City) -> IngestReport:
        row = {"permit_number": "2025-000001 EP", "permittype": "EP", "status_current": "Active"}
        source = ScriptedSource([row], form=city.forms[-1].name)
        return run_ingest(database_url, Order(city, [source], workers=1))

    for _ in range(5):
        empty_store.execute("TRUNCATE permits, source_rows, city_states")
        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(load, [austin, find_city("sample")]))
        assert [(report.status, report.inserted) for report in reports] == [("published", 1)] * 2, reports


def test_an_empty_register_has_its_indexes_again_once_it_is_filled(
    ingest: Ingest, tmp_path: Path, empty_store: Connection
) -> None:
    statement = "SELECT indexdef FROM pg_indexes WHERE tablename IN ('permits', 'source_rows') ORDER BY indexname"
    before = empty_store.execute(statement).fetchall()
    ingest(write_csv(tmp_path / "a.csv", [report_row()]))
    assert empty_store.execute(statement).fetchall() == before
