"""Nights at a portal, from the request to the tables: what is asked for, what is written, and what is left alone.

Every run is a whole one against a server on loopback and a real register. The rows are made up.
"""

import gzip
import itertools
import json
import random
from collections.abc import Generator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.cities.city import City
from app.ingest.rejects import list_rejected
from app.ingest.report import Tick
from app.ingest.sources import files
from app.ingest.sources.url import UrlSource
from tests.conftest import TABLES
from tests.ingest.conftest import REAL, portal_row, report_row, write_csv
from tests.ingest.contents import Connection, empty, read_contents, read_version
from tests.ingest.nights import (
    COMMAND,
    Nights,
    alike,
    counts,
    fill,
    finish,
    number,
    update,
    wait_for,
    write_city,
)
from tests.ingest.portal_server import (
    CUT,
    HALF_JSON,
    HTML_200,
    HTML_502,
    HTML_AS_JSON,
    RESET,
    DataSet,
    Fault,
    File,
    PortalServer,
    instant,
    status_fault,
)

DATASET = "3syk-w9eu"
RESOURCE = f"/resource/{DATASET}.json"
SEED = 20_261_125
ROWS = 23
PAGE_ROWS = 5
COLUMNS = {
    **dict.fromkeys("permit_number permittype permit_class work_class status_current description".split(), "text"),
    **dict.fromkeys("applieddate issue_date statusdate".split(), "calendar_date"),
    **dict.fromkeys("original_address1 original_zip council_district".split(), "text"),
    **dict.fromkeys("latitude longitude".split(), "number"),
    "link": "url",
    **dict.fromkeys("applicant_full_name contractor_phone".split(), "text"),
}
WRONG_COST = {"malformed_est_project_cost_usd": 1}
KEPT = ("permits", "source_rows", "register_words")
DEBUGGING = COMMAND.replace(
    "runpy.run_module",
    """
from app.telemetry import logs
set_up = logs.set_up_logs
logs.set_up_logs = lambda level: set_up("DEBUG")
runpy.run_module""",
)


@pytest.fixture
def server() -> Generator[PortalServer]:
    """A portal with Austin's data set."""
    with PortalServer() as server:
        server.datasets[DATASET] = DataSet(DATASET, dict(COLUMNS))
        fill(server.datasets[DATASET], ROWS)
        yield server


@pytest.fixture
def data(server: PortalServer) -> DataSet:
    """Its data set: rows one a minute from the beginning, in five pages."""
    return server.datasets[DATASET]


@pytest.fixture
def nights(database_url: str, empty_store: Connection, server: PortalServer, tmp_path: Path) -> Nights:
    """Runs of Austin over it, with an overlap of two minutes and keys every seven days."""
    told = {"page_rows": PAGE_ROWS, "overlap_minutes": 2, "keys_every_days": 7}
    city = write_city(tmp_path, "austin", server.url, **told)
    return Nights(database_url, empty_store, server, tmp_path, city)


# A night as most are


def test_the_first_night_loads_every_row(nights: Nights) -> None:
    report = nights.run()
    assert (report.status, counts(report)) == ("published", (ROWS, 0, 0, 0, 0))
    assert nights.pages[0] is None
    assert len(nights.pages) == 6, "five pages, and an empty one that is the end"


def test_the_second_night_asks_for_what_changed_since_the_first(nights: Nights, data: DataSet) -> None:
    nights.run()
    data.add(instant(100), **portal_row(permit_number=number(100)))
    assert counts(nights.run()) == (1, 0, 3, 0, 0)
    assert nights.pages[0] == f":updated_at >= '{instant(ROWS - 1 - 2)}'"
    assert len(nights.pages) == 2
    assert nights.keys == []


def test_the_second_night_writes_what_changed_and_nothing_else(nights: Nights, data: DataSet) -> None:
    nights.run()
    before = {table: nights.read_traces(table) for table in ("permits", "source_rows")}
    update(data.rows[3], 100, status_current="Final")
    assert counts(nights.run()) == (0, 1, 3, 0, 0)
    for table, traces in before.items():
        assert len(traces & nights.read_traces(table)) == ROWS - 1


def test_a_night_tells_the_updated_the_added_and_the_deleted(nights: Nights, data: DataSet) -> None:
    nights.run()
    nights.age_keys(8)
    update(data.rows[3], 100, status_current="Final")
    update(data.rows[4], 101, description="Install a pool", original_zip="78745")
    data.add(instant(102), **portal_row(permit_number=number(100)))
    del data.rows[7]
    report = nights.run()
    assert (report.status, counts(report)) == ("published", (1, 2, 3, 0, 1))
    changes = nights.connection.execute("SELECT source_id, field FROM permit_changes ORDER BY 1, 2").fetchall()
    assert changes == [
        (number(3), "status_current"),
        (number(3), "status_current_mapped"),
        (number(4), "categories"),
        (number(4), "description"),
        (number(4), "original_zip"),
        (number(4), "solar_kw"),
        (number(7), "removed_run"),
    ]


def test_a_night_without_news_is_unchanged_and_leaves_no_dead_row(nights: Nights) -> None:
    nights.run()
    before = {table: nights.read_traces(table) for table in KEPT}
    version = read_version(nights.connection)
    report = nights.run()
    assert (report.status, report.exit_status, counts(report)) == ("unchanged", 0, (0, 0, 3, 0, 0))
    assert {table: nights.read_traces(table) for table in KEPT} == before
    assert read_version(nights.connection) == version


def test_a_night_without_news_succeeded_all_the_same(nights: Nights) -> None:
    nights.run()
    before = nights.connection.execute("SELECT succeeded_at FROM city_states").fetchone()
    nights.run()
    after = nights.connection.execute("SELECT succeeded_at FROM city_states").fetchone()
    assert before is not None
    assert after is not None
    assert after[0] > before[0]


def test_the_nightly_command_reads_the_portal(nights: Nights, data: DataSet) -> None:
    status, report, _ = finish(nights.start("--workers", "1"))
    assert (status, report["status"], report["inserted"]) == (0, "published", ROWS)
    assert report["source"] == f"127.0.0.1 {DATASET}"
    update(data.rows[3], 100, status_current="Final")
    status, report, _ = finish(nights.start("--workers", "1"))
    assert (status, report["read"], report["updated"]) == (0, 4, 1)


# What is gone


def test_a_deletion_is_not_looked_for_before_the_keys_are_due(nights: Nights, data: DataSet) -> None:
    nights.run()
    nights.age_keys(6.9)
    del data.rows[7]
    assert nights.run().removed == 0
    assert nights.keys == []


def test_a_deletion_is_found_when_the_keys_are_due(nights: Nights, data: DataSet) -> None:
    nights.run()
    nights.age_keys(7.1)
    del data.rows[7]
    report = nights.run()
    assert (report.status, report.removed, nights.list_removed()) == ("published", 1, [number(7)])
    assert len(nights.keys) == 6
    assert nights.run().removed == 0
    assert nights.keys == [], "the keys are listed once in seven days"


def test_a_permit_that_a_listing_missed_comes_back_with_the_next(nights: Nights, data: DataSet) -> None:
    before = read_everything_told(nights)
    missed = data.rows.pop(7)
    nights.age_keys(8)
    assert nights.run().removed == 1
    data.rows.insert(7, missed)
    nights.age_keys(8)
    report = nights.run()
    assert (report.status, report.returned, counts(report)) == ("published", 1, (0, 0, 3, 0, 0))
    assert read_everything_told(nights) == before
    changes = nights.connection.execute("SELECT source_id, field, new_value FROM permit_changes WHERE old_value <> ''")
    assert changes.fetchall() == [(number(7), "removed_run", None)]


def read_everything_told(nights: Nights) -> dict[str, Any]:
    """Run, and give what is told of the city."""
    nights.run()
    told = read_contents(nights.connection)
    permits = [{**row, "is_new": None} for (row,) in told["permits"]]
    return {"permits": permits, "words": told["register_words"], "state": told["city_states"]}


def test_a_permit_that_came_back_can_go_for_good(nights: Nights, data: DataSet) -> None:
    nights.run()
    missed = data.rows.pop(7)
    nights.age_keys(8)
    nights.run()
    data.rows.insert(7, missed)
    nights.age_keys(8)
    nights.run()
    data.rows.remove(missed)
    nights.age_keys(8)
    assert nights.run().removed == 1
    assert nights.list_removed() == [number(7)]


@pytest.mark.parametrize("days", [1, 8], ids=["before the keys are due", "when the keys are due"])
def test_a_full_replace_changes_no_permit(nights: Nights, data: DataSet, days: int) -> None:
    nights.run()
    nights.age_keys(days)
    before = nights.read_traces("permits")
    data.replace_all(instant(100))
    report = nights.run()
    assert (report.status, counts(report)) == ("unchanged", (0, 0, ROWS, 0, 0))
    assert nights.read_traces("permits") == before


@pytest.mark.parametrize("days", [1, 8], ids=["before the keys are due", "when the keys are due"])
def test_a_deletion_after_a_full_replace_is_found(nights: Nights, data: DataSet, days: int) -> None:
    nights.run()
    nights.age_keys(days)
    data.replace_all(instant(100))
    nights.run()
    nights.age_keys(8)
    del data.rows[7]
    assert nights.run().removed == 1
    assert nights.list_removed() == [number(7)]
    rows = nights.connection.execute("SELECT source_row_id FROM source_rows").fetchall()
    assert {row_id for (row_id,) in rows} == {row[":id"] for row in data.rows}


def test_a_deletion_within_a_full_replace_is_found(nights: Nights, data: DataSet) -> None:
    nights.run()
    nights.age_keys(8)
    data.replace_all(instant(100))
    del data.rows[7]
    assert counts(nights.run()) == (0, 0, ROWS - 1, 0, 1)
    assert nights.list_removed() == [number(7)]


def test_full_reads_everything_and_removes_what_is_gone(nights: Nights, data: DataSet) -> None:
    nights.run()
    del data.rows[7]
    report = nights.run(full=True)
    assert (report.status, counts(report)) == ("published", (0, 0, ROWS - 1, 0, 1))
    assert nights.pages[0] is None
    assert nights.keys == []


def test_since_reads_from_the_beginning_of_that_day_in_the_city(nights: Nights, data: DataSet) -> None:
    nights.run()
    data.add("2026-11-03T06:00:00.000Z", **portal_row(permit_number=number(100)))
    data.add("2026-11-03T05:59:59.999Z", **portal_row(permit_number=number(101)))
    assert counts(nights.run(since=date(2026, 11, 3))) == (1, 0, 0, 0, 0)
    assert nights.pages[0] == ":updated_at >= '2026-11-03T06:00:00.000Z'"
    assert counts(nights.run()) == (1, 0, 4, 0, 0), "what lay before that day is read by the next night"


# Dying


def run_untouched(nights: Nights) -> tuple[list[str | None], list[str | None], dict[str, Any]]:
    """Run two nights that nothing interrupts, empty the store, and say what the second asked for and how it ended."""
    before = read_version(nights.connection)
    nights.run()
    change_all(nights)
    assert nights.run().status == "published"
    told = nights.pages, nights.keys, read_contents(nights.connection, before=before)
    data = nights.server.datasets[DATASET]
    data.rows.clear()
    data.made = 0
    fill(data, ROWS)
    empty(nights.connection)
    return told


def change_all(nights: Nights) -> None:
    """Let the city update every row but one, which it deletes, and let the keys be due."""
    data = nights.server.datasets[DATASET]
    for place, row in enumerate(data.rows):
        update(row, 100 + place, status_current="Final", issue_date="soon" if place == 11 else "2026-10-01")
    del data.rows[7]
    nights.age_keys(8)


@pytest.mark.parametrize("answers", [1, 3, 5, 6, 8, 10])
def test_a_night_that_is_cut_off_is_gone_on_with_where_it_died(nights: Nights, answers: int) -> None:
    pages, keys, expected = run_untouched(nights)
    before = read_version(nights.connection)
    nights.run()
    change_all(nights)
    nights.interfere_after(answers, lambda: nights.server.fail(RESET))
    cut = nights.run()
    assert (cut.status, cut.exit_status) == ("failed", 1)
    nights.mend()
    report = nights.run()
    assert (report.status, report.resumed) == ("published", cut.run)
    # The page after the last is asked for again, since only it tells that the rows are at their end.
    assert nights.pages == pages[min(answers, len(pages) - 1) :]
    assert nights.keys == keys[max(0, answers - len(pages)) :]
    assert read_contents(nights.connection, before=before) == expected


@pytest.mark.parametrize("answers", [1, 4, 8])
def test_a_night_that_is_killed_is_gone_on_with_where_it_died(nights: Nights, answers: int) -> None:
    pages, keys, expected = run_untouched(nights)
    before = read_version(nights.connection)
    nights.run()
    change_all(nights)
    kill_after(nights, answers, workers=1)
    report = nights.run_on()
    assert report.status == "published"
    assert report.resumed is not None
    assert nights.pages == pages[min(answers, len(pages) - 1) :]
    assert nights.keys == keys[max(0, answers - len(pages)) :]
    assert read_contents(nights.connection, before=before) == expected


def test_a_night_that_is_killed_beside_its_workers_asks_again_only_for_their_pages(nights: Nights) -> None:
    pages, _, expected = run_untouched(nights)
    before = read_version(nights.connection)
    nights.run()
    change_all(nights)
    kill_after(nights, 5, workers=2)
    assert nights.run_on().status == "published"
    assert nights.pages == pages[3:], "two pages were with the workers"
    assert read_contents(nights.connection, before=before) == expected


def kill_after(nights: Nights, answers: int, *, workers: int) -> None:
    """Start the command and end it as a power cut would while it waits for the answer after so many."""
    nights.interfere_after(answers, lambda: process.kill())
    process = nights.start("--workers", str(workers))
    process.communicate(timeout=60)
    assert process.returncode < 0
    nights.mend()


def test_a_night_that_is_told_to_stop_reports_and_is_gone_on_with(nights: Nights) -> None:
    nights.interfere_after(4, lambda: process.terminate())
    process = nights.start("--workers", "2")
    status, report, _ = finish(process)
    assert (status, report["status"], report["detail"]) == (70, "error", "interrupted")
    nights.mend()
    assert nights.run().resumed == report["run"]


def live_a_day(data: DataSet, chance: random.Random, minutes: float) -> None:
    """Let a city work for a day: update, add and delete rows, and now and then replace them all."""
    for row in chance.sample(data.rows, 4):
        update(row, minutes + chance.random(), status_current=chance.choice(["Final", "Expired", "VOID"]))
    for place in chance.sample(range(200), 3):
        if number(place) not in {row["permit_number"] for row in data.rows}:
            data.add(instant(minutes + 1 + chance.random()), **portal_row(permit_number=number(place)))
    for row in chance.sample(data.rows, chance.randint(0, 2)):
        data.rows.remove(row)
    if chance.random() < 0.1:
        data.replace_all(instant(minutes + 2))


def test_after_any_days_and_deaths_the_register_is_what_the_portal_tells(nights: Nights, data: DataSet) -> None:
    chance = random.Random(SEED)
    days = itertools.count(1440, 1440)
    nights.run()
    for _ in range(30):
        live_a_day(data, chance, minutes=next(days))
        nights.age_keys(chance.choice([1, 8]))
        while chance.random() < 0.5:
            nights.interfere_after(chance.randint(0, 9), lambda: nights.server.fail(RESET))
            counts(nights.run())
            nights.mend()
            live_a_day(data, chance, minutes=next(days))
        assert nights.run().status in {"published", "unchanged"}
    nights.age_keys(8)
    counts(nights.run())
    query = "SELECT source_id, status_current FROM permits WHERE removed_run IS NULL"
    told = {row["permit_number"]: row["status_current"] for row in data.rows}
    assert dict(nights.connection.execute(query).fetchall()) == told
    assert nights.connection.execute("SELECT permits FROM city_states").fetchall() == [(len(told),)]


# A portal that is not what it was


def test_a_column_that_vanished_refuses_the_night(nights: Nights, data: DataSet) -> None:
    nights.run()
    before = read_contents(nights.connection), nights.read_traces("permits")
    del data.columns["original_zip"]
    update(data.rows[3], 100, status_current="Final")
    report = nights.run()
    assert (report.status, report.exit_status, report.read) == ("refused", 2, 0)
    assert report.detail is not None
    assert "original_zip is not there" in report.detail
    assert nights.pages == []
    assert (read_contents(nights.connection), nights.read_traces("permits")) == before


def test_a_column_of_another_type_refuses_the_nightly_command(nights: Nights, data: DataSet) -> None:
    nights.run()
    before = read_contents(nights.connection)
    data.columns["latitude"] = "text"
    update(data.rows[3], 100, latitude="30.5")
    status, report, told = finish(nights.start("--workers", "1"))
    assert (status, report["status"]) == (2, "refused")
    assert "latitude was number and is text" in told
    assert read_contents(nights.connection) == before


def test_drift_that_is_accepted_keeps_what_the_vanished_column_told(nights: Nights, data: DataSet) -> None:
    nights.run()
    del data.columns["original_zip"]
    update(data.rows[3], 100, status_current="Final")
    report = nights.run(take_drift=True)
    assert (report.status, report.updated) == ("published", 1)
    zips = nights.connection.execute("SELECT DISTINCT original_zip FROM permits").fetchall()
    assert zips == [("78704",)]


def test_drift_that_is_accepted_once_is_no_drift_any_more(nights: Nights, data: DataSet) -> None:
    nights.run()
    del data.columns["original_zip"]
    data.columns["latitude"] = "text"
    nights.run(take_drift=True)
    known = nights.read_state()["columns"]
    assert "original_zip" not in known
    assert known["latitude"] == "text"
    assert nights.run().status == "unchanged"


def test_a_data_set_that_shrank_refuses_the_night(nights: Nights, data: DataSet) -> None:
    nights.run()
    before = read_contents(nights.connection)
    del data.rows[:8]
    report = nights.run(full=True)
    assert (report.status, report.exit_status) == ("refused", 2)
    assert nights.pages == []
    assert read_contents(nights.connection) == before


def test_shrinkage_that_is_accepted_is_read_and_remembered(nights: Nights, data: DataSet) -> None:
    nights.run()
    del data.rows[:8]
    assert nights.run(full=True, take_shrinkage=True).removed == 8
    assert nights.read_state()["rows"] == ROWS - 8
    assert nights.run().status == "unchanged"


# Rows that cannot be used


@pytest.fixture
def spoilt(data: DataSet) -> list[str]:
    """The ids of two rows whose date is none."""
    rows = data.rows[4], data.rows[15]
    for row in rows:
        row["issue_date"] = "5. Mai 2026"
    return [row[":id"] for row in rows]


@pytest.fixture
def mended(nights: Nights) -> City:
    """Austin's file after a fix: a date form more."""
    forms = [form.model_copy(update={"date_forms": (*form.date_forms, "%d. Mai %Y")}) for form in nights.city.forms]
    return nights.city.model_copy(update={"forms": tuple(forms)})


def test_a_rejected_row_is_listed_by_its_id(nights: Nights, spoilt: list[str]) -> None:
    report = nights.run()
    assert (counts(report), report.reasons) == ((ROWS - 2, 0, 0, 2, 0), {"malformed_issued_date": 2})
    listed = [(one.position, one.row_id, one.reason) for one in list_rejected(nights.connection, "austin")]
    assert listed == [(5, spoilt[0], "malformed_issued_date"), (16, spoilt[1], "malformed_issued_date")]


def test_after_a_fix_the_rejected_rows_alone_are_asked_for(nights: Nights, spoilt: list[str], mended: City) -> None:
    nights.run()
    report = nights.run(city=mended, retry=True)
    assert (report.status, counts(report)) == ("published", (2, 0, 0, 0, 0))
    assert nights.pages == [f":id in ({', '.join(repr(row_id) for row_id in sorted(spoilt))})"]
    assert list(list_rejected(nights.connection, "austin")) == []


def test_a_retry_leaves_what_is_remembered_of_the_portal(
    nights: Nights, spoilt: list[str], mended: City, data: DataSet
) -> None:
    nights.run()
    before = nights.read_state()
    data.add(instant(100), **portal_row(permit_number=number(100)))
    nights.run(city=mended, retry=True)
    assert nights.read_state() == before
    assert nights.run(city=mended).inserted == 1, "what changed meanwhile is still to be read"


def test_a_row_that_the_city_mended_is_settled_by_the_night_that_takes_it(
    nights: Nights, spoilt: list[str], data: DataSet
) -> None:
    nights.run()
    update(data.rows[4], 100, issue_date="2026-05-05")
    assert counts(nights.run()) == (1, 0, 3, 0, 0)
    assert [one.row_id for one in list_rejected(nights.connection, "austin")] == spoilt[1:]


def test_a_retry_with_nothing_left_to_take_asks_for_no_row(nights: Nights) -> None:
    nights.run()
    report = nights.run(retry=True)
    assert (report.status, report.read, nights.pages) == ("unchanged", 0, [])


# A bad line


def test_a_night_over_a_bad_line_ends_as_over_a_good_one(nights: Nights, data: DataSet, spoilt: list[str]) -> None:
    before = read_version(nights.connection)
    expected = nights.run(), read_contents(nights.connection, before=before)
    before = empty(nights.connection)
    throttled, away = status_fault(429, Retry_After="7"), status_fault(503)
    nights.server.fail(HTML_502, None, at="/api/views")
    nights.server.fail(
        throttled, None, HTML_200, HTML_AS_JSON, None, HALF_JSON, away, None, CUT, RESET, None, at=RESOURCE
    )
    report = nights.run()
    assert alike(report) == alike(expected[0])
    assert read_contents(nights.connection, before=before) == expected[1]
    assert len(nights.naps.taken) == 8
    assert nights.naps.taken[1] >= 7, "it waited as long as it was told to"


# What nobody else is to read


def read_everything(connection: Connection) -> str:
    """Give all tables as text."""
    rows = [connection.execute(f"SELECT to_jsonb(t)::text FROM {table} t").fetchall() for table in TABLES.split(", ")]
    return json.dumps(rows)


def test_the_app_token_reaches_the_portal_and_is_written_nowhere(nights: Nights, spoilt: list[str]) -> None:
    nights.server.token = "Canary-token"
    nights.server.fail(HTML_502, at=RESOURCE)
    process = nights.start(program=DEBUGGING, environment={"SOCRATA_APP_TOKEN": "Canary-token"})
    status, _, told = finish(process)
    assert status == 0
    assert {request.headers.get("x-app-token") for request in nights.server.requests} == {"Canary-token"}
    assert "asked again" in told, "the log is there to be searched"
    assert "Canary" not in told + read_everything(nights.connection)


def test_a_token_that_is_refused_is_not_told_either(nights: Nights) -> None:
    nights.server.token = "another"
    status, report, told = finish(nights.start(program=DEBUGGING, environment={"SOCRATA_APP_TOKEN": "Canary-token"}))
    assert (status, report["status"]) == (1, "failed")
    assert "the app token was refused" in told
    assert "Canary" not in told + read_everything(nights.connection)


def test_no_log_line_holds_what_a_portal_was_asked(nights: Nights) -> None:
    nights.server.fail(HTML_502, at=RESOURCE)
    _, _, told = finish(nights.start(program=DEBUGGING))
    assert "asked again" in told
    assert not [word for word in ("select", "resource", ":updated_at", "http://", "MADE UP") if word in told]


def test_no_log_line_holds_the_query_of_a_url(nights: Nights, file: File) -> None:
    nights.server.fail(HTML_502, at="/files/")
    url = f"{nights.server.url}/files/report.csv?key=Canary-key"
    status, report, told = finish(nights.start("--url", url, "--workers", "1", program=DEBUGGING))
    assert (status, report["source"], report["inserted"]) == (0, "127.0.0.1 report.csv", 300)
    assert nights.server.requests[0].query == {"key": "Canary-key"}
    assert "Canary" not in told + read_everything(nights.connection)


def test_no_person_gets_into_any_table(nights: Nights) -> None:
    nights.run()
    everything = read_everything(nights.connection)
    assert "Install 8.28 kW" in everything
    assert "Imaginary Applicant" not in everything
    assert "5125550100" not in everything


# A file behind a URL


@pytest.fixture
def file(server: PortalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    """A report of 300 rows, read in pages of 50."""
    monkeypatch.setattr(files, "PAGE_ROWS", 50)
    server.files["report.csv"] = File(make_report(tmp_path, 300))
    return server.files["report.csv"]


def make_report(folder: Path, rows: int, **values: str) -> bytes:
    """Write a report as its server has it."""
    made = [report_row(permit_number=f"2015-{place:06d} EP", **values) for place in range(rows)]
    return write_csv(folder / "report.csv", made).read_bytes()


@pytest.fixture
def url_source(nights: Nights) -> UrlSource:
    """The report, as a source."""
    return UrlSource(f"{nights.server.url}/files/report.csv", nights.patience)


def test_a_file_that_its_server_calls_unchanged_is_not_read(nights: Nights, file: File, url_source: UrlSource) -> None:
    assert nights.run(url_source).inserted == 300
    before = {table: nights.read_traces(table) for table in KEPT}
    report = nights.run(url_source)
    assert (report.status, report.exit_status, report.read) == ("unchanged", 0, 0)
    assert nights.server.requests[0].headers["if-none-match"] == '"one"'
    assert {table: nights.read_traces(table) for table in KEPT} == before


def test_full_reads_a_file_that_is_unchanged(nights: Nights, file: File, url_source: UrlSource) -> None:
    nights.run(url_source)
    assert counts(nights.run(url_source, full=True)) == (0, 0, 300, 0, 0)


def test_a_file_that_changed_is_read(nights: Nights, file: File, url_source: UrlSource, tmp_path: Path) -> None:
    nights.run(url_source)
    file.body, file.etag = make_report(tmp_path, 300, status="VOID"), '"two"'
    assert counts(nights.run(url_source)) == (0, 300, 0, 0, 0)


def test_a_download_that_is_cut_goes_on_within_the_night(nights: Nights, file: File, url_source: UrlSource) -> None:
    nights.server.fail(Fault(cut=20_000), at="/files/")
    assert counts(nights.run(url_source)) == (300, 0, 0, 0, 0)
    assert [request.headers.get("range") for request in nights.server.requests] == [None, "bytes=20000-"]


def stop_at(rows: int) -> Any:
    """Give a watch that interrupts a run once so many rows are staged."""

    def stop(tick: Tick) -> None:
        if tick.rows == rows:
            raise KeyboardInterrupt

    return stop


def test_a_file_that_is_the_same_after_an_interruption_is_gone_on_with(
    nights: Nights, file: File, url_source: UrlSource
) -> None:
    died = nights.run(url_source, watch=stop_at(150))
    staged: list[int] = []
    report = nights.run(url_source, watch=lambda tick: staged.append(tick.rows))
    assert (report.status, report.resumed, counts(report)) == ("published", died.run, (300, 0, 0, 0, 0))
    assert staged[0] == 200, "the first 150 rows were staged already"


def test_a_file_that_changed_after_an_interruption_is_read_anew(
    nights: Nights, file: File, url_source: UrlSource, tmp_path: Path
) -> None:
    nights.run(url_source, watch=stop_at(150))
    file.body, file.etag = make_report(tmp_path, 200, status="VOID"), '"two"'
    report = nights.run(url_source)
    assert (report.resumed, counts(report)) == (None, (200, 0, 0, 0, 0))


def test_a_file_that_is_as_published_again_leaves_nothing_of_the_one_between(
    nights: Nights, file: File, url_source: UrlSource, tmp_path: Path
) -> None:
    nights.run(url_source)
    body, before = file.body, read_contents(nights.connection)
    file.body, file.etag = make_report(tmp_path, 300, status="VOID"), '"two"'
    nights.run(url_source, watch=stop_at(150))
    file.body, file.etag = body, '"one"'
    report = nights.run(url_source)
    assert (report.status, report.read) == ("unchanged", 0)
    assert read_contents(nights.connection) == before


def test_a_process_that_dies_over_a_file_is_gone_on_with(
    nights: Nights, server: PortalServer, url_source: UrlSource, tmp_path: Path
) -> None:
    server.files["report.csv"] = File(make_report(tmp_path, 12_000))
    server.fail(Fault(pause_s=0.5), at="/files/")
    process = nights.start("--url", f"{server.url}/files/report.csv", "--workers", "1")
    try:
        wait_for(lambda: find_staged(nights.connection))
    finally:
        process.kill()
        process.communicate()
    staged: list[int] = []
    report = wait_for(lambda: run_unlocked(nights, url_source, staged))
    assert (report.status, counts(report)) == ("published", (12_000, 0, 0, 0, 0))
    assert report.resumed is not None
    assert staged[0] == 10_000, "the first page was staged already"


def find_staged(connection: Connection) -> int | None:
    """Give how many rows a run that is under way has staged, once there are any."""
    row = connection.execute("SELECT (progress #>> '{tally,read}')::int FROM ingest_runs").fetchone()
    return (row[0] or None) if row else None


def run_unlocked(nights: Nights, source: UrlSource, staged: list[int]) -> Any:
    """Run, unless a run that was killed still holds the lock."""
    report = nights.run(source, watch=lambda tick: staged.append(tick.rows))
    return None if report.status == "locked" else report


# A real portal's rows


def test_san_franciscos_captured_rows_are_loaded_and_updated(
    database_url: str, empty_store: Connection, server: PortalServer, tmp_path: Path
) -> None:
    path = REAL.parent / "san_francisco/soda_i98e-djp9_system_fields.json.gz"
    if not path.is_file():
        pytest.skip("the real capture is not on this machine")
    rows = json.loads(gzip.decompress(path.read_bytes()))
    # Those who captured them made the second row's cost "unknown", and made up the last but one and the last, which
    # is the first one touched.
    touched, real = rows[25], rows[:24]
    columns = {name: "text" for row in real for name in row if not name.startswith(":")}
    data = server.datasets["i98e-djp9"] = DataSet("i98e-djp9", columns)
    for row in real:
        data.put(row)
    city = write_city(tmp_path, "san_francisco", server.url, page_rows=10)
    nights = Nights(database_url, empty_store, server, tmp_path, city)
    report = nights.run()
    assert (report.status, counts(report), report.reasons) == ("published", (23, 0, 0, 1, 0), WRONG_COST)
    before = nights.read_traces("permits")
    data.rows[0].update(touched)
    assert nights.run().status == "unchanged"
    assert nights.read_traces("permits") == before, "the city touched the row, and told nothing new"
    data.rows[0].update({"status": "revoked", ":updated_at": "2026-07-30T12:00:00.000Z"})
    assert nights.run().updated == 1
    query = "SELECT status_current, status_current_mapped FROM permits WHERE source_id = %s"
    assert empty_store.execute(query, [touched["record_id"]]).fetchall() == [("revoked", "Permit Cancelled")]
