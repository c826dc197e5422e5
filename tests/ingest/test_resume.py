"""A run that ends too early, however it ends, is gone on with by the next one, and ends where it would have ended.

The rows are made up.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest.load import staging
from app.ingest.order import Order
from app.ingest.report import IngestReport, Tick
from app.ingest.run import ingest
from app.ingest.sources.base import Demand
from tests.ingest.scripted import ScriptedSource

Connection = psycopg.Connection[Any]
ROWS = [
    {"permit_number": f"2025-{number:06d} EP", "permittype": "EP", "status_current": "Active", "latitude": "30.25"}
    for number in range(1, 8)
]
BAD = {"permit_number": "2025-000099 EP", "permittype": "EP", "status_current": "Active", "issue_date": "soon"}


@pytest.fixture
def run(database_url: str, empty_store: Connection, austin: City) -> Callable[..., IngestReport]:
    """Run over scripted sources."""

    def start(*sources: ScriptedSource, watch: Callable[[Tick], None] = lambda _: None, **order: Any) -> IngestReport:
        return ingest(database_url, Order(austin, sources, workers=1, **order), watch=watch)

    return start


Run = Callable[..., IngestReport]


END_INGESTS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'undervolt ingest'
"""


def read_permits(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT source_id, status_current FROM permits ORDER BY 1").fetchall()


def count(connection: Connection, what: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
    assert row is not None
    return int(row[0])


def test_a_source_that_was_cut_off_is_read_on_from_its_page(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource(ROWS, fails_after=2)
    first = run(source)
    assert (first.status, first.exit_status, first.read, first.detail) == ("failed", 1, 4, "scripted: cut off")
    assert count(empty_store, "permits") == 0
    second = run(source)
    assert (second.status, second.read, second.inserted, second.resumed) == ("published", 7, 7, first.run)
    assert source.asked == [None, "4"]


def test_reports_of_a_run_in_two_parts_add_up(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource([*ROWS[:3], BAD, *ROWS[3:], BAD], fails_after=2)
    run(source)
    report = run(source)
    assert (report.read, report.inserted, report.rejected, report.reasons) == (9, 7, 2, {"malformed_issued_date": 2})
    places = empty_store.execute("SELECT run, position FROM rejected_records ORDER BY position").fetchall()
    assert places == [(report.run, 4), (report.run, 9)]


def test_nothing_is_left_to_go_on_from_once_a_run_has_published(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource(ROWS, fails_after=2)
    run(source)
    run(source)
    assert count(empty_store, "ingest_runs WHERE progress IS NOT NULL") == 0
    assert count(empty_store, "pg_class WHERE relname LIKE 'staging%'") == 0
    assert run(source).resumed is None


def test_a_source_that_changed_since_is_read_anew(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource(ROWS, fails_after=2)
    run(source)
    source.rows, source.fingerprint = [*ROWS[3:], BAD], "another"
    report = run(source)
    assert (report.status, report.read, report.inserted, report.rejected) == ("published", 5, 4, 1)
    assert source.asked[-1] is None


def test_a_source_whose_content_cannot_be_told_apart_is_read_anew(run: Run) -> None:
    source = ScriptedSource(ROWS, fails_after=2, fingerprint="")
    run(source)
    assert run(source).inserted == 7
    assert source.asked == [None, None]


def test_what_another_request_staged_is_not_gone_on_with(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource([BAD, *ROWS], fails_after=2)
    first = run(source)
    report = run(source, demand=Demand(full=True))
    assert (report.resumed, report.read) == (None, 8)
    runs = empty_store.execute("SELECT run FROM rejected_records ORDER BY run").fetchall()
    assert runs == [(first.run,), (report.run,)], "what the first run rejected is kept all the same"


def test_what_another_city_file_staged_is_not_gone_on_with(
    run: Run, database_url: str, austin: City, empty_store: Connection
) -> None:
    source = ScriptedSource(ROWS, fails_after=2)
    run(source)
    other = austin.model_copy(update={"default_points": ()})
    assert ingest(database_url, Order(other, [source])).resumed is None


def test_staging_that_a_crashed_server_emptied_is_filled_anew(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource(ROWS, fails_after=2)
    first = run(source)
    empty_store.execute(f"TRUNCATE staging_rows_{first.run}")
    report = run(source)
    assert (report.resumed, report.inserted) == (None, 7)


def test_a_connection_that_breaks_is_an_error_that_the_next_run_mends(run: Run, empty_store: Connection) -> None:
    def cut(tick: Tick) -> None:
        if tick.rows == 4:
            empty_store.execute(END_INGESTS)

    report = run(ScriptedSource(ROWS), watch=cut)
    assert (report.status, report.exit_status) == ("error", 70)
    assert report.detail is not None
    assert report.detail.startswith("AdminShutdown")
    again = run(ScriptedSource(ROWS))
    assert (again.status, again.inserted, again.resumed) == ("published", 7, report.run)


def test_an_interrupted_run_is_gone_on_with(run: Run) -> None:
    def interrupt(tick: Tick) -> None:
        if tick.rows == 2:
            raise KeyboardInterrupt

    report = run(ScriptedSource(ROWS), watch=interrupt)
    assert (report.status, report.detail) == ("error", "interrupted")
    assert run(ScriptedSource(ROWS)).resumed == report.run


def fill_the_disk(connection: Connection, table: str, operation: str, condition: str = "true") -> None:
    """Have the server answer as it does when its disk is full."""
    connection.execute("""
        CREATE OR REPLACE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$
    """)
    when = f"FOR EACH ROW WHEN ({condition})"
    connection.execute(f"CREATE TRIGGER full_disk BEFORE {operation} ON {table} {when} EXECUTE FUNCTION fill()")


def test_a_disk_that_is_full_while_staging_loses_nothing(run: Run, empty_store: Connection) -> None:
    fill_the_disk(empty_store, "ingest_runs", "UPDATE", "(NEW.progress -> 'tally' ->> 'read')::int > 4")
    try:
        report = run(ScriptedSource(ROWS))
    finally:
        empty_store.execute("DROP TRIGGER full_disk ON ingest_runs")
    assert (report.status, report.exit_status) == ("error", 70)
    assert report.detail is not None
    assert report.detail.startswith("DiskFull")
    again = run(ScriptedSource(ROWS))
    assert (again.read, again.inserted, again.resumed) == (7, 7, report.run)


def test_a_disk_that_is_full_while_publishing_leaves_what_was_there(run: Run, empty_store: Connection) -> None:
    run(ScriptedSource(ROWS[:2]))
    before = read_permits(empty_store)
    fill_the_disk(empty_store, "permits", "INSERT", "NEW.source_id LIKE '%7 EP'")
    source = ScriptedSource(ROWS)
    try:
        report = run(source)
        assert report.status == "error"
        assert read_permits(empty_store) == before
    finally:
        empty_store.execute("DROP TRIGGER full_disk ON permits")
    again = run(source)
    assert (again.status, again.inserted, again.unchanged, again.resumed) == ("published", 5, 2, report.run)
    assert source.asked == [None], "all rows were staged, and none was asked for again"


def test_a_store_that_is_gone_for_good_is_still_a_report(
    run: Run, empty_store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = staging.stage

    def stage(*arguments: Any) -> None:
        empty_store.execute(END_INGESTS)
        original(*arguments)

    monkeypatch.setattr(staging, "stage", stage)
    report = run(ScriptedSource(ROWS))
    assert (report.status, report.read) == ("error", 2)


def test_the_second_source_goes_on_where_the_first_is_done(run: Run) -> None:
    first = ScriptedSource(ROWS[:4], name="first")
    second = ScriptedSource(ROWS[4:], name="second", fails_after=1)
    run(first, second)
    report = run(first, second)
    assert (report.read, report.inserted) == (7, 7)
    assert (first.asked, second.asked) == ([None], [None, "2"])


def test_what_a_source_is_remembered_by_is_kept_with_the_publication(run: Run) -> None:
    source = ScriptedSource(ROWS, fails_after=2)
    run(source)
    assert run(source).status == "published"
    assert source.remembered == {}
    run(source)
    assert source.remembered == {"rows": 7}


def test_an_order_told_twice_has_one_digest_and_another_order_another(austin: City) -> None:
    order = Order(austin, [ScriptedSource(ROWS)])
    assert order.digest == Order(austin, [ScriptedSource([])]).digest
    others = [
        replace(order, retry=True),
        replace(order, demand=Demand(take_drift=True)),
        Order(austin, [ScriptedSource(ROWS, name="another")]),
    ]
    assert len({order.digest, *(other.digest for other in others)}) == 4
