"""Pages mapped by other processes come back as if they had been mapped here; nobody's death goes unnoticed.

The rows are made up.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest import workers
from app.ingest.order import Order
from app.ingest.report import IngestReport, Tick, ignore
from app.ingest.run import ingest
from app.ingest.sources import documents, files
from app.ingest.sources.base import Demand, Feed
from app.ingest.sources.files import FileSource
from app.ingest.workers import PAGES_BEFORE_WORKERS, Batch, Task, Workshop
from tests.conftest import ROOT
from tests.ingest.conftest import Ingest, portal_row, write_json
from tests.ingest.processes import is_alive, list_workers
from tests.ingest.scripted import Dawdling, ScriptedSource

Connection = psycopg.Connection[Any]
PAGE_ROWS = 10
PATIENCE_S = 30
DEATH_S = 5
# A run of many pages that stops for good once its workers are busy.
STALLING_RUN = """
import sys, time
from app.cities.city import find_city
from app.ingest.order import Order
from app.ingest.run import ingest
from tests.ingest.scripted import ScriptedSource

def stall(tick):
    if tick.rows > 100:
        print("at work", flush=True)
        time.sleep(120)

rows = [{"permit_number": f"2025-{number:06d} EP"} for number in range(500)]
ingest(sys.argv[1], Order(find_city("austin"), [ScriptedSource(rows, page_rows=10)], workers=3), watch=stall)
"""


def make_rows(count: int) -> list[dict[str, str]]:
    """Make rows, every seventh of them with a date that is none."""
    return [
        {
            "permit_number": f"2025-{place:06d} EP",
            "permittype": "EP",
            "status_current": "Active",
            "issue_date": "soon" if place % 7 == 0 else "2025-05-06",
            "description": f"Install solar panels, {place % 12 + 1}.5 kW; call (512) 555-01{place % 100:02d}",
        }
        for place in range(count)
    ]


def map_all(source: ScriptedSource, city: City, *, processes: int, resume: str | None = None) -> list[Batch]:
    """Map a source's pages."""
    with source.open(city, {}, Demand()) as feed:
        return map_feed(feed, city, processes=processes, resume=resume)


def map_feed(feed: Feed, city: City, *, processes: int, resume: str | None = None) -> list[Batch]:
    """Map a feed's pages."""
    with Workshop(Task(city, feed.form, feed.decoder, "scripted"), processes) as workshop:
        return list(workshop.map_pages(feed, resume))


@pytest.fixture
def run(database_url: str, empty_store: Connection, austin: City) -> Callable[..., IngestReport]:
    """Run over a scripted source with three workers."""

    def start(source: ScriptedSource, *, watch: Callable[[Tick], None] = ignore, processes: int = 3) -> IngestReport:
        return ingest(database_url, Order(austin, [source], workers=processes), watch=watch)

    return start


Run = Callable[..., IngestReport]


# What comes back


def test_batches_of_workers_are_those_of_one_process_and_in_its_order(austin: City) -> None:
    here = map_all(ScriptedSource(make_rows(395), page_rows=PAGE_ROWS), austin, processes=1)
    theirs = map_all(ScriptedSource(make_rows(395), page_rows=PAGE_ROWS, decoder=Dawdling()), austin, processes=3)
    assert [batch.resume for batch in theirs] == [str(min(395, row)) for row in range(10, 401, 10)]
    assert theirs == here
    assert sum(sum(batch.reasons.values()) for batch in theirs) == 57


def test_batches_after_a_resume_point_are_those_of_one_process(austin: City) -> None:
    source = ScriptedSource(make_rows(200), page_rows=PAGE_ROWS)
    assert map_all(source, austin, processes=2, resume="70") == map_all(source, austin, processes=1)[7:]


def test_more_workers_than_pages_lose_none(austin: City) -> None:
    source = ScriptedSource(make_rows(45), page_rows=PAGE_ROWS)
    assert map_all(source, austin, processes=8) == map_all(source, austin, processes=1)


def test_a_run_with_workers_fills_the_register_as_one_without(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource(make_rows(300), page_rows=PAGE_ROWS)
    report = run(source)
    assert (report.status, report.read, report.inserted, report.rejected) == ("published", 300, 257, 43)
    places = empty_store.execute("SELECT position FROM rejected_records ORDER BY 1").fetchall()
    assert places == [(place + 1,) for place in range(0, 300, 7)]
    assert run(source, processes=1).status == "unchanged"


@pytest.fixture
def late_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A JSON file in pages of ten, of which only a late one has the column of the council district."""
    monkeypatch.setattr(files, "PAGE_ROWS", PAGE_ROWS)
    monkeypatch.setattr(documents, "FIRST_RECORDS", PAGE_ROWS)
    rows = [portal_row(permit_number=f"2025-{place:06d} EP") for place in range(100)]
    for row in [*rows[:75], *rows[76:]]:
        del row["council_district"]
    return write_json(tmp_path / "rows.json", rows)


def test_a_column_that_comes_late_is_told_from_its_page_on(austin: City, late_column: Path) -> None:
    batches = []
    for processes in (1, 3):
        with FileSource(late_column, "rows.json").open(austin, {}, Demand()) as feed:
            batches.append(map_feed(feed, austin, processes=processes))
    assert batches[0] == batches[1]
    masks = [batch.rows.splitlines()[0].split(b"\t")[-2] for batch in batches[0]]
    assert len(set(masks[:7])) == len(set(masks[7:])) == 1
    assert masks[6] != masks[7]


def test_what_a_late_column_tells_is_written(
    ingest: Ingest, late_column: Path, tmp_path: Path, empty_store: Connection
) -> None:
    rows = [portal_row(permit_number=f"2025-{place:06d} EP", council_district="9") for place in range(100)]
    ingest(write_json(tmp_path / "before.json", rows))
    assert ingest(late_column, workers=3).status == "published"
    query = "SELECT source_id, council_district FROM permits WHERE source_id <= '2025-000075 EP' ORDER BY 1"
    told = empty_store.execute(query).fetchall()
    assert told[:70] == [(f"2025-{place:06d} EP", "9") for place in range(70)], "pages before it did not tell it"
    assert told[75] == ("2025-000075 EP", "5")


# Who works


def test_one_worker_is_this_process(run: Run) -> None:
    seen: set[int] = set()
    source = ScriptedSource(make_rows(100), page_rows=PAGE_ROWS)
    run(source, watch=lambda _: seen.update(list_workers(os.getpid())), processes=1)
    assert seen == set()


def test_few_pages_are_mapped_before_any_worker_would_have_started(run: Run) -> None:
    seen: set[int] = set()
    source = ScriptedSource(make_rows(PAGES_BEFORE_WORKERS * PAGE_ROWS), page_rows=PAGE_ROWS)
    run(source, watch=lambda _: seen.update(list_workers(os.getpid())))
    assert seen == set()


def test_many_pages_are_mapped_by_as_many_workers_as_were_asked_for(run: Run) -> None:
    seen: set[int] = set()
    source = ScriptedSource(make_rows(200), page_rows=PAGE_ROWS)
    run(source, watch=lambda _: seen.update(list_workers(os.getpid())))
    assert len(seen) == 3
    assert list_workers(os.getpid()) == [], "they end with the run"


# Who dies


def kill_one(tick: Tick) -> None:
    """End one worker as the kernel does where memory is short."""
    if tick.rows == 100:
        os.kill(list_workers(os.getpid())[0], signal.SIGKILL)


def test_a_worker_that_dies_ends_the_run_and_the_next_one_goes_on(run: Run, empty_store: Connection) -> None:
    source = ScriptedSource(make_rows(300), page_rows=PAGE_ROWS)
    died = run(source, watch=kill_one)
    assert (died.status, died.exit_status, died.detail) == ("error", 70, "a worker process died")
    assert 100 <= died.read < 300
    assert list_workers(os.getpid()) == []
    assert empty_store.execute("SELECT count(*) FROM permits").fetchone() == (0,)
    report = run(source)
    assert (report.status, report.read, report.inserted, report.resumed) == ("published", 300, 257, died.run)
    assert source.asked == [None, str(died.read)]


@pytest.mark.parametrize("page", [1, 15], ids=["in this process", "in a worker"])
def test_what_is_unforeseen_is_told_by_class_and_place_without_a_value(run: Run, page: int) -> None:
    rows: list[Any] = make_rows(300)
    rows[page * PAGE_ROWS]["description"] = {"Canary": "words"}
    report = run(ScriptedSource(rows, page_rows=PAGE_ROWS))
    assert (report.status, report.exit_status, report.read) == ("error", 70, page * PAGE_ROWS)
    assert report.detail is not None
    assert report.detail.startswith("TypeError at mapping.py:")
    assert "Canary" not in report.detail


def test_a_worker_that_hangs_does_not_keep_the_run(austin: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "END_S", 0.1)
    source = ScriptedSource(make_rows(200), page_rows=PAGE_ROWS)
    with source.open(austin, {}, Demand()) as feed, Workshop(Task(austin, feed.form, feed.decoder, ""), 2) as workshop:
        batches = workshop.map_pages(feed)
        for _ in range(PAGES_BEFORE_WORKERS + 3):
            next(batches)
        (hung, _) = list_workers(os.getpid())
        os.kill(hung, signal.SIGSTOP)
    assert list_workers(os.getpid()) == []


def test_no_worker_outlives_a_run_that_is_killed(database_url: str, empty_store: Connection) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STALLING_RUN, database_url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        left = list_workers(process.pid)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    assert len(left) == 3
    limit = time.monotonic() + DEATH_S
    while any(map(is_alive, left)):
        assert time.monotonic() < limit, "a worker outlived its run"
        time.sleep(0.05)
