"""A run that is killed leaves readers with what they had, and the next run clears up after it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import ROOT
from tests.ingest.conftest import Ingest, report_row, write_csv

PATIENCE_S = 30
# Staging waits after its first batch until somebody ends it.
STALLING_RUN = """
import sys, time
from pathlib import Path
from app.cities.city import find_city
from app.ingest.order import Order
from app.ingest.run import ingest
from app.ingest.sources.files import find_sources

def stall(tick):
    print("staged", flush=True)
    time.sleep(120)

ingest(sys.argv[1], Order(find_city("austin"), find_sources([Path(sys.argv[2])])), watch=stall)
"""
RUN = STALLING_RUN.replace("time.sleep(120)", "pass")

Connection = psycopg.Connection[Any]


def start(program: str, database_url: str, path: Path) -> subprocess.Popen[str]:
    """Start a run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", program, database_url, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End it as a power cut would."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait, within bounds."""
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit, "it did not come about in time"
        time.sleep(0.05)


def read_state(connection: Connection) -> list[tuple[Any, ...]]:
    """Read what readers see."""
    permits = connection.execute("SELECT source_id, status_current, xmin::text FROM permits ORDER BY 1").fetchall()
    return [*permits, *connection.execute("SELECT version FROM data_versions").fetchall()]


def load_then_kill_at(
    stage: Callable[[subprocess.Popen[str]], None],
    program: str,
    *,
    database_url: str,
    ingest: Ingest,
    connection: Connection,
    folder: Path,
) -> Path:
    """Load one permit, kill a run that would change it and add another, and check that nothing happened."""
    ingest(write_csv(folder / "before.csv", [report_row(status="Active")]))
    before = read_state(connection)
    path = write_csv(folder / "after.csv", [report_row(), report_row(permit_number="2015-000002 EP")])
    process = start(program, database_url, path)
    try:
        stage(process)
    finally:
        kill(process)
    assert read_state(connection) == before
    return path


def assert_next_run_clears_up(ingest: Ingest, connection: Connection, path: Path) -> None:
    """The next run waits for nobody, publishes everything, and nothing of the dead one is left but its row."""
    reports = []

    def is_over() -> bool:
        reports.append(ingest(path))
        return reports[-1].status != "locked"

    wait_until(is_over)
    assert (reports[-1].status, reports[-1].inserted, reports[-1].updated) == ("published", 1, 1)
    assert connection.execute("SELECT status FROM ingest_runs ORDER BY run").fetchall() == [
        ("published",),
        ("failed",),
        ("published",),
    ]
    assert connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'staging%'").fetchall() == []


def test_a_run_killed_while_staging_leaves_the_old_state(
    database_url: str, ingest: Ingest, empty_store: Connection, tmp_path: Path
) -> None:
    def wait_for_batch(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"

    path = load_then_kill_at(
        wait_for_batch,
        STALLING_RUN,
        database_url=database_url,
        ingest=ingest,
        connection=empty_store,
        folder=tmp_path,
    )
    assert_next_run_clears_up(ingest, empty_store, path)


def test_a_run_killed_while_publishing_leaves_the_old_state(
    database_url: str, ingest: Ingest, empty_store: Connection, tmp_path: Path
) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'undervolt ingest' AND wait_event_type = 'Lock'"
    )

    with psycopg.connect(database_url) as reader:

        def hold_the_data_version(_process: subprocess.Popen[str]) -> None:
            reader.execute("SELECT version FROM data_versions FOR UPDATE")
            wait_until(lambda: (empty_store.execute(waiting).fetchone() or (0,))[0] == 1)

        path = load_then_kill_at(
            hold_the_data_version,
            RUN,
            database_url=database_url,
            ingest=ingest,
            connection=empty_store,
            folder=tmp_path,
        )
    assert_next_run_clears_up(ingest, empty_store, path)
