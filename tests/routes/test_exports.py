"""What analysts may rely on: every permit once, in three forms, up to a ceiling that is said, in bounded memory."""

import asyncio
import csv
import io
import json
import random
import re
from datetime import date
from typing import Any

import httpx
import psycopg
import pytest
from geographiclib.geodesic import Geodesic

from app.database import Reader as StoreReader
from app.database import open_session
from app.main import create_app
from app.permits.exports import CSV_COLUMNS, FETCHED, ExportQuery, bind_export, compile_rows
from app.permits.register import find_register
from app.settings import Settings
from tests.conftest import Store, serve


def fill(store: Store, count: int) -> None:
    """Add many permits in one statement."""
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, location, location_quality, first_run, changed_run)"
        " SELECT 'austin', 'x' || lpad(n::text, 6, '0'), '{}', ST_MakePoint(-97.75 + n * 1e-6, 30.25)::geography,"
        " 'unstated', %s, 1 FROM generate_series(1, %s) n",
        [store.find_run("austin"), count],
    )
    store.publish()


async def export(client: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    reply = await client.get("/permits/export", params=asked)
    assert reply.status_code == 200, reply.text
    return reply


async def test_the_three_forms_hold_the_same_permits(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(
        lat=30.25,
        lng=-97.75,
        source_id="b",
        categories=["pool", "solar"],
        description='Café, "7" kW\nsecond line',
        est_project_cost_usd=1234.5,
        issued_date=date(2015, 2, 3),
    )
    store.add_permit(source_id="a")
    store.publish()
    whole = (await export(client)).json()
    lines = [json.loads(line) for line in (await export(client, f="ndjson")).text.splitlines()]
    reply = await export(client, f="csv")
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [feature["properties"]["source_id"] for feature in whole["features"]] == ["a", "b"]
    assert lines == whole["features"]
    assert (whole["numberReturned"], whole["truncated"]) == (2, False)
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert rows[1]["description"] == 'Café, "7" kW\nsecond line'
    assert (rows[1]["categories"], rows[1]["est_project_cost_usd"]) == ("pool;solar", "1234.5")
    assert (rows[1]["lng"], rows[0]["lng"], rows[1]["issued_date"]) == ("-97.75", "", "2015-02-03")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"


async def test_filters_and_areas_choose_as_everywhere(store: Store, client: httpx.AsyncClient) -> None:
    here = store.add_permit(lat=30.25, lng=-97.75, categories=["solar"])
    store.add_permit(lat=30.25, lng=-97.75)
    store.add_permit(lat=30.35, lng=-97.75, categories=["solar"])
    store.publish()
    for area in ({"lat": 30.25, "lng": -97.75, "radius_m": 100}, {"bbox": "-97.76,30.24,-97.74,30.26"}):
        document = (await export(client, category="solar", **area)).json()
        assert [feature["properties"]["source_id"] for feature in document["features"]] == [here]
    assert (await client.get("/permits/export?lat=30&lng=-97")).status_code == 422


@pytest.mark.parametrize("origin", [(30.25, -97.75), (30.25, 179.999), (89.99, 0.0), (-84.5, -97.75)])
async def test_a_circle_holds_the_permits_within_its_radius(
    origin: tuple[float, float], store: Store, client: httpx.AsyncClient
) -> None:
    chance = random.Random(origin[1])
    within = set()
    for _ in range(60):
        ends = Geodesic.WGS84.Direct(*origin, chance.uniform(0, 360), chance.choice([990, 1_010, 1_400]))
        source_id = store.add_permit(lat=ends["lat2"], lng=ends["lon2"])
        within |= {source_id} if ends["s12"] < 1_000 else set()
    store.publish()
    document = (await export(client, lat=origin[0], lng=origin[1], radius_m=1_000)).json()
    assert {feature["properties"]["source_id"] for feature in document["features"]} == within


async def test_the_planner_knows_how_much_a_circle_holds_after_twenty_calls(
    settings: Settings, store: Store, client: httpx.AsyncClient
) -> None:
    fill(store, 20_000)
    store.connection.execute("ANALYZE permits")
    query = ExportQuery(lat=30.25, lng=-97.75, radius_m=200)
    reader = StoreReader(settings)
    await reader.open()
    async with open_session(client._transport.app.state.engine) as session:  # type: ignore[attr-defined]
        values = bind_export(query, await find_register(session)) | {"take": 100_000}
    statement = compile_rows(frozenset(values))
    for _ in range(20):
        await reader.find_all(statement, values)
    plan = "\n".join(line for (line,) in await reader.find_all(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", values))
    await reader.aclose()
    read = re.search(r"Scan (?:using|on) ix_permits_mercator.*?rows=(\d+).*?rows=(\d+)", plan)
    assert read is not None, plan
    expected, met = map(int, read.groups())
    assert met < 2_600, "some 200 m of the 1,900 m that the permits are spread over"
    assert met / 3 < expected < met * 3


async def test_more_than_the_ceiling_is_cut_and_said(settings: Settings, store: Store) -> None:
    fill(store, 7)
    async with serve(settings.model_copy(update={"export_max_rows": 5})) as client:
        reply = await export(client)
        assert (reply.json()["numberReturned"], reply.json()["truncated"]) == (5, True)
        assert (reply.headers["export-truncated"], reply.headers["export-rows"]) == ("?1", "5")
        assert len((await export(client, f="ndjson")).text.splitlines()) == 5
    async with serve(settings.model_copy(update={"export_max_rows": 7})) as client:
        reply = await export(client, f="csv")
        assert (reply.headers["export-truncated"], len(reply.text.splitlines())) == ("?0", 8)


async def test_a_form_is_chosen_by_accept_and_by_f_before_it(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.25, lng=-97.75)
    store.publish()
    for path in ("/permits/export?", "/permits?", "/permits/near?lat=30.25&lng=-97.75&"):
        for accept, query, kind in (
            ("*/*", "", "application/geo+json"),
            ("text/csv", "", "text/csv; charset=utf-8"),
            ("text/csv;q=0.5, application/x-ndjson;q=0.9", "", "application/x-ndjson"),
            ("text/csv", "f=geojson", "application/geo+json"),
            ("image/png", "f=ndjson", "application/x-ndjson"),
        ):
            reply = await client.get(path + query, headers={"Accept": accept})
            assert (reply.status_code, reply.headers["content-type"]) == (200, kind)
            assert "Accept" in reply.headers["vary"]


async def test_pages_have_the_other_forms_too_and_go_on_by_their_link(store: Store, client: httpx.AsyncClient) -> None:
    fill(store, 5)
    reply = await client.get("/permits/near?lat=30.25&lng=-97.75&limit=3&f=csv")
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [row["distance_m"] for row in rows] == ["0.1", "0.2", "0.3"]
    following = await client.get(reply.links["next"]["url"])
    assert len(following.text.splitlines()) == 3
    tags = {(await client.get(f"/permits/near?lat=30.25&lng=-97.75&f={f}")).headers["etag"] for f in ("csv", "ndjson")}
    assert len(tags) == 2


async def test_a_spreadsheet_gets_no_formula(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(description='=HYPERLINK("http://x")', original_address1="-1 MAIN ST", est_project_cost_usd=-5)
    store.publish()
    (row,) = csv.DictReader(io.StringIO((await export(client, f="csv")).text))
    assert row["description"] == '\'=HYPERLINK("http://x")'
    assert (row["original_address1"], row["est_project_cost_usd"]) == ("'-1 MAIN ST", "-5")
    (line,) = (await export(client, f="ndjson")).text.splitlines()
    assert json.loads(line)["properties"]["description"].startswith("=")


class Reader:
    """A caller that takes an export piece by piece, or stops taking it."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self.messages: list[dict[str, Any]] = []
        self.leave = asyncio.Event()
        self.stall_after: int | None = None
        self.stalled = asyncio.Semaphore(0)

    async def receive(self) -> dict[str, Any]:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        if self.stall_after is not None and len(self.messages) > self.stall_after:
            self.stalled.release()
            await asyncio.sleep(30)

    async def ask(self, query: str = "f=ndjson", *, method: str = "GET") -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/permits/export",
            "raw_path": b"/permits/export",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"test")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await self.app(scope, self.receive, self.send)

    @property
    def is_whole(self) -> bool:
        """Whether the last message said that it was the last."""
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1].get("more_body", False)


async def test_it_is_sent_in_pieces_of_some_hundred_permits(settings: Settings, store: Store) -> None:
    fill(store, 4 * FETCHED + 1)
    reader = Reader(settings)
    async with reader.app.router.lifespan_context(reader.app):
        await reader.ask()
    pieces = [message["body"] for message in reader.messages[1:] if message.get("body")]
    assert sum(piece.count(b"\n") for piece in pieces) == 4 * FETCHED + 1
    assert max(piece.count(b"\n") for piece in pieces) <= FETCHED
    assert reader.is_whole


async def test_a_caller_that_leaves_ends_the_query(
    settings: Settings, store: Store, store_connection: psycopg.Connection[Any]
) -> None:
    fill(store, 6 * FETCHED)
    reader = Reader(settings)
    reader.stall_after = 2
    async with reader.app.router.lifespan_context(reader.app):
        asking = asyncio.create_task(reader.ask())
        await reader.stalled.acquire()
        assert count_exports(store_connection) == 1
        reader.leave.set()
        await asyncio.wait_for(asking, 10)
        assert count_exports(store_connection) == 0
        assert reader.app.state.exports.running == 0
    assert not reader.is_whole


async def test_a_reader_that_stalls_is_dropped_when_the_time_is_over(
    settings: Settings, store: Store, store_connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.routes.exports.TOTAL_S", 0.5)
    fill(store, 6 * FETCHED)
    reader = Reader(settings)
    reader.stall_after = 2
    async with reader.app.router.lifespan_context(reader.app):
        await asyncio.wait_for(reader.ask(), 10)
        assert count_exports(store_connection) == 0
    assert not reader.is_whole


async def test_a_store_that_dies_midway_leaves_no_whole_file(
    settings: Settings, store: Store, store_connection: psycopg.Connection[Any]
) -> None:
    fill(store, 6 * FETCHED)
    reader = Reader(settings)
    killed = False

    async def kill(message: Any) -> None:
        nonlocal killed
        reader.messages.append(message)
        if len(reader.messages) > 2 and not killed:
            killed = True
            store_connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'FETCH%%export%%'"
            )

    reader.send = kill  # type: ignore[method-assign]
    async with reader.app.router.lifespan_context(reader.app):
        await reader.ask("f=geojson")
    assert killed
    assert not reader.is_whole


async def test_only_so_many_run_at_once(settings: Settings, store: Store) -> None:
    fill(store, 6 * FETCHED)
    reader = Reader(settings)
    reader.stall_after = 2
    async with reader.app.router.lifespan_context(reader.app):
        running = [asyncio.create_task(reader.ask()) for _ in range(2)]
        await reader.stalled.acquire()
        await reader.stalled.acquire()
        transport = httpx.ASGITransport(app=reader.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            reply = await client.get("/permits/export")
        assert (reply.status_code, reply.json()["type"]) == (503, "/problems/too-busy")
        assert "retry-after" in reply.headers
        reader.leave.set()
        await asyncio.gather(*running)
        assert reader.app.state.exports.running == 0


def count_exports(connection: psycopg.Connection[Any]) -> int:
    """Count the connections whose last statement was an export's, in this database."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%%\"export\"%%'"
        " AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(row[0])
