"""A database server that restarts, or crashes, in the middle of a run costs that run and no row.

The server is the test's own, made and removed here; the rows are made up.
"""

from collections.abc import Generator

import psycopg
import pytest

from app.cities.city import City, find_city
from app.ingest.order import Order
from app.ingest.report import IngestReport, Tick
from app.ingest.run import ingest
from tests.ingest.scripted import ScriptedSource
from tests.system.own_server import OwnServer, run_own_server

pytestmark = pytest.mark.system

ROWS = [
    {"permit_number": f"2025-{number:06d} EP", "permittype": "EP", "status_current": "Active"}
    for number in range(1, 1_001)
]


@pytest.fixture(scope="module")
def own_server() -> Generator[OwnServer]:
    """A migrated server to stop and to start."""
    with run_own_server() as own:
        yield own


@pytest.fixture
def austin(own_server: OwnServer) -> City:
    """Austin, in an empty register."""
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        connection.execute("TRUNCATE permits, source_rows, city_states, ingest_runs RESTART IDENTITY CASCADE")
    return find_city("austin")


def run(own_server: OwnServer, city: City, *, stop: str | None = None) -> tuple[IngestReport, ScriptedSource]:
    """Run, and stop the server in the middle where that is asked for."""
    source = ScriptedSource(ROWS, page_rows=100)

    def watch(tick: Tick) -> None:
        if stop and tick.rows == 600:
            own_server.stop(stop)

    return ingest(own_server.url, Order(city, [source], workers=1), watch=watch), source


def test_a_server_that_restarts_is_gone_on_with(own_server: OwnServer, austin: City) -> None:
    broken, _ = run(own_server, austin, stop="fast")
    assert (broken.status, broken.exit_status, broken.read) == ("error", 70, 700)
    own_server.start()
    report, source = run(own_server, austin)
    assert (report.status, report.read, report.inserted) == ("published", 1_000, 1_000)
    assert (report.resumed, source.asked) == (broken.run, ["600"])


def test_a_server_that_crashed_is_loaded_from_the_beginning(own_server: OwnServer, austin: City) -> None:
    broken, _ = run(own_server, austin, stop="immediate")
    assert broken.status == "error"
    own_server.start()
    assert own_server.count(f"staging_rows_{broken.run}") == 0, "a crash empties unlogged tables"
    report, source = run(own_server, austin)
    assert (report.status, report.read, report.inserted) == ("published", 1_000, 1_000)
    assert (report.resumed, source.asked) == (None, [None])
    assert own_server.count("permits") == 1_000
