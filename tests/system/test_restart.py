"""A database server that restarts, or crashes, in the middle of a run costs that run and no row.

The server is the test's own, made and removed here; the rows are made up.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from app.cities.city import City, find_city
from app.ingest.order import Order
from app.ingest.report import IngestReport, Tick
from app.ingest.run import ingest
from scripts.newcomer.cluster import Cluster, find_postmaster, make_cluster, start_cluster
from scripts.newcomer.postgres import Server, find_server, name_own_account, name_server_account
from tests.conftest import migrate
from tests.ingest.scripted import ScriptedSource

pytestmark = pytest.mark.system

ROWS = [
    {"permit_number": f"2025-{number:06d} EP", "permittype": "EP", "status_current": "Active"}
    for number in range(1, 1_001)
]


class OwnServer:
    """A server of the test's own."""

    def __init__(self, cluster: Cluster, server: Server) -> None:
        self.cluster = cluster
        self.server = server
        self.url = cluster.url("postgres")

    def stop(self, how: str) -> None:
        """Stop it: ``fast`` is a restart for maintenance, ``immediate`` a crash."""
        stop = (self.server.programs / "pg_ctl", "stop", "-D", self.cluster.data, "-m", how, "-w", "-s")
        self.cluster.account.run(stop)
        assert find_postmaster(self.cluster) is None

    def start(self) -> None:
        """Start it again; a crash is recovered from."""
        start_cluster(self.cluster, self.server)

    def count(self, what: str) -> int:
        """Count rows."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def own_server() -> Generator[OwnServer]:
    """A migrated server in a folder that its own user may enter."""
    account = name_own_account() if os.geteuid() else name_server_account()
    server = find_server(account)
    if server is None:
        pytest.skip("there is no PostgreSQL with PostGIS to start a second time")
    home = Path(tempfile.mkdtemp(prefix="undervolt-restart-"))
    home.chmod(0o755)
    cluster = Cluster(home, home / "sockets", account)
    (home / "pg_hba.conf").write_text("local all all peer map=undervolt\n")
    (home / "pg_ident.conf").write_text(f'undervolt "{name_own_account().name}" undervolt\n')
    own = OwnServer(cluster, server)
    try:
        make_cluster(cluster, server)
        start_cluster(cluster, server)
        migrate(own.url, "head")
        yield own
    finally:
        own.stop("immediate")
        shutil.rmtree(home)


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
