"""A PostgreSQL server of a test's own, made as `make run` makes the private cluster, and removed again."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scripts.newcomer.cluster import ROLE, Cluster, find_postmaster, make_cluster, start_cluster
from scripts.newcomer.postgres import Server, find_server, name_own_account, name_server_account
from tests.conftest import migrate

PLAIN_ROLE = "plain"
"""A role that may connect where a test creates it, and is no superuser."""


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


@contextmanager
def run_own_server(*, configuration: str = "") -> Generator[OwnServer]:
    """Run a migrated server in a folder that its own user may enter.

    ``configuration`` is added to its ``postgresql.conf``, as an operator would add it.
    """
    account = name_own_account() if os.geteuid() else name_server_account()
    server = find_server(account)
    if server is None:
        pytest.skip("there is no PostgreSQL with PostGIS to start a second time")
    home = Path(tempfile.mkdtemp(prefix="undervolt-own-"))
    home.chmod(0o755)
    cluster = Cluster(home, home / "sockets", account)
    (home / "pg_hba.conf").write_text("local all all peer map=undervolt\n")
    own_name = name_own_account().name
    (home / "pg_ident.conf").write_text("".join(f'undervolt "{own_name}" {role}\n' for role in (ROLE, PLAIN_ROLE)))
    own = OwnServer(cluster, server)
    try:
        make_cluster(cluster, server)
        with (cluster.data / "postgresql.conf").open("a") as file:
            file.write(configuration)
        start_cluster(cluster, server)
        migrate(own.url, "head")
        yield own
    finally:
        own.stop("immediate")
        shutil.rmtree(home)
