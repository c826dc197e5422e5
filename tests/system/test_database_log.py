"""A database server of the operator's own, whose slow-query log is on, names no value either, or the operator is told.

The private cluster's own log is looked at by the canary.
"""

from collections.abc import Generator

import psycopg
import pytest

from app.settings import Settings
from scripts.newcomer import cluster
from tests.conftest import Store, serve
from tests.system.own_server import PLAIN_ROLE, OwnServer, run_own_server
from tests.system.tokens import Canary

pytestmark = pytest.mark.system

SLOW_QUERY_LOG = """
shared_preload_libraries = 'auto_explain'
log_min_duration_statement = 0
auto_explain.log_min_duration = 0
debug_print_plan = on
"""
SHIPPED_FOR_SILENCE = ("log_", "auto_explain.")
WARNING = "the database's log holds what callers ask about"


@pytest.fixture(scope="module")
def server() -> Generator[OwnServer]:
    """A server with PostgreSQL's own defaults and a slow-query log, and a role on it that may only read."""
    shipped = cluster.choose_options

    def choose_options(of: cluster.Cluster) -> dict[str, str]:
        return {name: value for name, value in shipped(of).items() if not name.startswith(SHIPPED_FOR_SILENCE)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "choose_options", choose_options)
        with run_own_server(configuration=SLOW_QUERY_LOG) as own:
            with psycopg.connect(own.url, autocommit=True) as connection:
                store = Store(connection)
                store.add_permit(lat=30.2655, lng=-97.7455, categories=["solar"])
                store.publish()
                connection.execute(f"CREATE ROLE {PLAIN_ROLE} LOGIN")
                connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {PLAIN_ROLE}")
            yield own


async def ask_near(server: OwnServer, role: str, *, statement_timeout_s: float = 10) -> tuple[int, set[str], str]:
    """Look near as this role; give the status, which tokens the server's log then has, and the new part of it."""
    canary = Canary()
    url = server.url.replace(f"{cluster.ROLE}@", f"{role}@")
    settings = Settings.model_validate(
        {"database_url": url, "backends": "[]", "statement_timeout_s": statement_timeout_s}
    )
    log = server.cluster.data / "server.log"
    begun = log.stat().st_size
    where = {"lat": canary.lat, "lng": canary.lng, "radius_m": canary.radius_m}
    async with serve(settings) as client:
        reply = await client.get("/permits/near", params=where)
    written = log.read_bytes()[begun:]
    return reply.status_code, canary.find_in(written), written.decode()


async def test_superuser_has_the_server_leave_values_out(server: OwnServer, caplog: pytest.LogCaptureFixture) -> None:
    status, found, written = await ask_near(server, cluster.ROLE)
    assert (status, found) == (200, set())
    assert "ORDER BY found.distance_m" in written, "the server did log"
    assert WARNING not in caplog.text


async def test_error_is_logged_without_values_whoever_asks(server: OwnServer) -> None:
    with psycopg.connect(server.url) as locking:
        locking.execute("LOCK TABLE permits IN ACCESS EXCLUSIVE MODE")
        status, found, written = await ask_near(server, cluster.ROLE, statement_timeout_s=0.3)
    assert (status, found) == (503, set())
    assert "STATEMENT:  SELECT" in written, "the server did log"


async def test_plain_role_is_told_what_the_log_holds_and_what_ends_that(
    server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    status, found, _ = await ask_near(server, PLAIN_ROLE)
    assert (status, found) == (200, {"lat", "lng"})
    assert caplog.text.count(WARNING) == 1
    caplog.clear()
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name, value in (("log_parameter_max_length", 0), ("auto_explain.log_min_duration", -1)):
            connection.execute(f"ALTER ROLE {PLAIN_ROLE} SET {name} = {value}")
    status, found, written = await ask_near(server, PLAIN_ROLE)
    assert (status, found) == (200, set())
    assert "ORDER BY found.distance_m" in written, "the server did log"
    assert WARNING not in caplog.text
