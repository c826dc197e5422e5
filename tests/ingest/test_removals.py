"""A permit that the city no longer tells is kept, marked, and left out; what cannot be read is not taken for gone.

The rows are made up.
"""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest.order import Order
from app.ingest.report import IngestReport
from app.ingest.run import ingest
from app.ingest.sources.base import Demand
from tests.ingest.scripted import ScriptedSource

Connection = psycopg.Connection[Any]
Run = Callable[..., IngestReport]


def row(number: int, **values: str) -> dict[str, str]:
    """A row of the portal, with a row id of its own."""
    told = {"permit_number": f"2025-{number:06d} EP", "permittype": "EP", "status_current": "Active"}
    return told | {":id": f"row-{number}", ":updated_at": "2025-09-01T00:00:00.000Z"} | values


ROWS = [row(number) for number in range(1, 6)]


@pytest.fixture
def run(database_url: str, empty_store: Connection, austin: City) -> Run:
    """Run over a scripted source."""

    def start(rows: list[Any], *, whole: bool = True, **options: Any) -> IngestReport:
        order = {name: options.pop(name) for name in ("demand", "max_rejected") if name in options}
        source = ScriptedSource(rows, whole=whole, page_rows=100, **options)
        return ingest(database_url, Order(austin, [source], workers=1, **order))

    return start


def removed(connection: Connection) -> list[str]:
    """Name the permits that are marked removed."""
    rows = connection.execute("SELECT source_id FROM permits WHERE removed_run IS NOT NULL ORDER BY 1").fetchall()
    return [source_id for (source_id,) in rows]


def test_a_permit_that_a_whole_source_lacks_is_marked_removed(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    report = run(ROWS[1:])
    assert (report.status, report.removed, report.unchanged, report.read) == ("published", 1, 4, 4)
    assert removed(empty_store) == ["2025-000001 EP"]
    changes = empty_store.execute("SELECT source_id, run, field, old_value, new_value FROM permit_changes").fetchall()
    assert changes == [("2025-000001 EP", report.run, "removed_run", None, str(report.run))]


def test_the_city_counts_without_the_removed(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    run(ROWS[1:])
    assert empty_store.execute("SELECT permits, without_location FROM city_states").fetchall() == [(4, 4)]
    words = empty_store.execute("SELECT permits FROM register_words WHERE field = 'permit_type'").fetchall()
    assert words == [(4,)]


def test_a_source_that_tells_a_part_removes_nothing(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    assert run(ROWS[1:], whole=False).removed == 0
    assert removed(empty_store) == []


def test_full_says_that_the_source_is_whole(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    assert run(ROWS[1:], whole=False, demand=Demand(full=True)).removed == 1


def test_a_listing_of_keys_tells_what_is_gone(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    keys = [(told[":id"], told["permit_number"]) for told in ROWS[2:]]
    report = run([row(2, status_current="Final")], whole=False, keys=keys)
    assert (report.removed, report.updated) == (1, 1), "a row that came while the keys were listed is not gone"
    assert removed(empty_store) == ["2025-000001 EP"]


def test_removed_once_is_not_removed_again(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    run(ROWS[1:])
    assert run(ROWS[1:]).status == "unchanged"


def test_a_removed_permit_comes_back(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    run(ROWS[1:])
    report = run(ROWS)
    assert (report.updated, removed(empty_store)) == (1, [])
    assert empty_store.execute("SELECT permits FROM city_states").fetchall() == [(5,)]


def test_a_permit_that_another_form_tells_too_is_not_gone(run: Run, empty_store: Connection) -> None:
    told = {"permit_number": "2025-000001 EP", "status": "Final", "date_issued": "02/03/2025"}
    run(ROWS)
    run([told], form="permit report", whole=False)
    assert run(ROWS[1:]).removed == 0
    assert removed(empty_store) == []


def test_too_many_gone_refuse_the_run_unless_that_is_meant(run: Run, empty_store: Connection) -> None:
    many = [row(number) for number in range(1, 1_201)]
    run(many)
    report = run(many[:900])
    assert (report.status, report.exit_status, report.removed) == ("refused", 2, 0)
    assert report.detail is not None
    assert "300 of 1,200 permits" in report.detail
    assert removed(empty_store) == []
    assert run(many[:900], demand=Demand(take_shrinkage=True)).removed == 300


def test_a_permit_whose_row_cannot_be_used_today_is_not_gone(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    report = run([row(1, issue_date="soon"), *ROWS[2:]])
    assert (report.rejected, report.removed) == (1, 1)
    assert removed(empty_store) == ["2025-000002 EP"]


def test_a_row_that_cannot_be_read_at_all_might_be_any_permit(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    report = run(["wrong_number_of_columns", *ROWS[2:]])
    assert (report.rejected, report.removed) == (1, 0)
    assert removed(empty_store) == []


def test_a_portal_that_gives_every_row_a_new_id_changes_nothing(run: Run, empty_store: Connection) -> None:
    run(ROWS)
    replaced = [{**told, ":id": f"new-{told[':id']}", ":updated_at": "2025-10-01T00:00:00.000Z"} for told in ROWS]
    report = run(replaced)
    assert (report.status, report.removed) == ("unchanged", 0)
    ids = empty_store.execute("SELECT source_row_id FROM source_rows ORDER BY 1").fetchall()
    assert ids == [(f"new-row-{number}",) for number in range(1, 6)]
    assert run(replaced[1:]).removed == 1


def test_an_older_row_of_the_same_form_has_no_say(run: Run, empty_store: Connection) -> None:
    run([row(1, status_current="Final", **{":updated_at": "2025-09-02T00:00:00.000Z"})], whole=False)
    report = run([row(1, **{":updated_at": "2025-09-01T00:00:00.000Z"})], whole=False)
    assert (report.status, report.unchanged) == ("unchanged", 1)
    newer = run([row(1, **{":updated_at": "2025-09-03T00:00:00.000Z"})], whole=False)
    assert newer.updated == 1
