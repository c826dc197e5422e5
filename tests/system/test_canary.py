"""Nothing about a question is kept or leaked, whatever becomes of it and however talkative an operator makes the box.

A canary, words and numbers that stand nowhere else, goes every way that a caller can send it. Afterwards it is looked
for in all that the service, its database and their libraries wrote, and in all that went over the network.
"""

import asyncio
import json
import math
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from app.backends.embedded import find_weights
from tests.backends.faults import OLLAMA_FAULTS, OPENAI_FAULTS
from tests.backends.servers import (
    DONE,
    MODEL,
    Reply,
    ScriptedServer,
    chat,
    completion,
    delta,
    done,
    event,
    line,
    ollama_routes,
    openai_routes,
    part,
    serving,
)
from tests.conftest import Store
from tests.system.capture import Capture, capture_loopback
from tests.system.own_server import OwnServer, run_own_server
from tests.system.running import Folders, Service, run_service
from tests.system.tokens import Canary, read_below

pytestmark = pytest.mark.system

QUICK = {"connect_s": 0.5, "first_token_s": 0.3, "load_s": 0.3, "gap_s": 0.3, "total_s": 1}
PATIENT = {"first_token_s": 20, "gap_s": 20, "total_s": 60}
STATEMENT_TIMEOUT_S = "0.5"
EVERY_LOG_OF_POSTGRESQL = """
shared_preload_libraries = 'auto_explain,pg_stat_statements'
log_statement = 'all'
log_min_duration_statement = 0
log_duration = on
log_lock_waits = on
deadlock_timeout = 100ms
log_temp_files = 0
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_min_error_statement = error
log_error_verbosity = verbose
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
debug_print_parse = on
debug_print_plan = on
"""
EVERY_LOG_OF_PYTHON = {
    "UNDERVOLT_LOG_LEVEL": "DEBUG",
    "UVICORN_LOG_LEVEL": "trace",
    "OPENAI_LOG": "debug",
    "HTTPX_LOG_LEVEL": "trace",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONWARNINGS": "always",
    "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    "WATCH_TRACES": "1",
    "SSLKEYLOGFILE": "keys-of-connections",
}
"""What an operator may export, or another program's set-up may leave behind."""
SAID = "There are 5 solar permits issued in 2015."
LEAVE_S = 20
OUTSIDE = "hosted.example"
"""A name that nobody has (RFC 2606): clients read more of the environment for what is not of the house."""
SPOKEN = completion(delta(SAID), delta(finish_reason="stop"), DONE)


@dataclass
class Evidence:
    """All that was left of the canary's ways."""

    canary: Canary
    boxes: Mapping[str, ScriptedServer]
    collector: ScriptedServer
    capture: Capture
    folders: Folders
    port: int
    statuses: dict[str, int] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)
    hosted_of_local_only: int = -1
    seen_by: set[str] = field(default_factory=set)
    seen_for: set[tuple[str, bool]] = field(default_factory=set)
    shown: dict[str, str] = field(default_factory=dict)
    database_log: str = ""
    found_in_database_files: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def own_server() -> Generator[OwnServer]:
    """The private cluster as it is shipped, on which an operator has switched on every log that there is."""
    with run_own_server(configuration=EVERY_LOG_OF_POSTGRESQL) as own:
        fill(own)
        yield own


def fill(own: OwnServer) -> None:
    """A register of five solar permits near the canary."""
    with psycopg.connect(own.url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        store = Store(connection)
        for number in range(5):
            store.add_permit(
                lat=30.2655,
                lng=-97.7455 + number / 10_000,
                categories=["solar"],
                permit_type="EP",
                permit_type_mapped="Electrical",
                issued_date=date(2015, 3, 1),
                original_address1="1205 HARVEY ST",
                house_number=1205,
                street="HARVEY ST",
                original_zip="78704",
            )
        store.publish()


@pytest.fixture(scope="module")
async def evidence(own_server: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Send the canary every way, end the service and its database, and gather what they left."""
    home = tmp_path_factory.mktemp("service")
    with capture_loopback() as capture:
        async with AsyncExitStack() as stack:
            canary = Canary()
            boxes, entries = await start_boxes(stack, canary)
            collector = await stack.enter_async_context(serving({}))
            settings = {
                **EVERY_LOG_OF_PYTHON,
                "UNDERVOLT_DATABASE_URL": own_server.url,
                "UNDERVOLT_BACKENDS": json.dumps(entries),
                "UNDERVOLT_STATEMENT_TIMEOUT_S": STATEMENT_TIMEOUT_S,
                "UNDERVOLT_ANSWER_TIMEOUT_S": "300",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            }
            async with run_service(home, settings, arguments=["--access-log"]) as service:
                gathered = Evidence(canary, boxes, collector, capture, service.folders, service.port)
                await Ways(service, own_server, gathered).go()
    own_server.stop("fast")
    gathered.database_log = (own_server.cluster.data / "server.log").read_text(errors="replace")
    gathered.found_in_database_files = {
        str(path): found
        for path, data in read_below(own_server.cluster.home)
        if (found := gathered.canary.find_in(data))
    }
    own_server.start()
    return gathered


async def start_boxes(stack: AsyncExitStack, canary: Canary) -> tuple[dict[str, ScriptedServer], list[dict[str, Any]]]:
    """Start a server for every fault of either protocol, then a hosted one and one in the house that speak.

    They come by the names that the service has for them, with their entries in its settings, in their order. What a
    server sends back holds the canary where it can: servers repeat what they were asked, in errors as well.
    """
    told = f"{SAID} It is {canary.word} at {canary.lat}, {canary.lng}."
    speaking = completion(delta(told), delta(finish_reason="stop"), DONE)
    found = json.dumps({"found": [{"words": canary.word, "category": canary.word}]})
    escalated = completion(delta(found), delta(finish_reason="stop"), DONE)
    ollamas = [ollama_routes(fault) for fault in (*OLLAMA_FAULTS.values(), *repeat_in_ollama(canary))]
    hosted = [openai_routes(fault) for fault in (*OPENAI_FAULTS.values(), *repeat_in_openai(canary), speaking)]
    servers: dict[str, ScriptedServer] = {}
    entries: list[dict[str, Any]] = []
    for kind, routes in (
        *(("ollama", routes) for routes in ollamas),
        *(("hosted", routes) for routes in hosted),
        ("ollama", ollama_routes(chat(part(told), done()))),
        ("hosted", openai_routes(escalated)),
    ):
        server = await stack.enter_async_context(serving(routes))
        nth = sum(name.split("-")[0] == kind for name in servers) + 1
        servers[kind if nth == 1 else f"{kind}-{nth}"] = server
        where = {"kind": "ollama", "url": server.url}
        if kind == "hosted":
            where = {"kind": "openai", "url": f"{server.url}/v1"}
        entries.append({**where, "model": MODEL, "plans": True, "deadlines": QUICK})
    entries[-1]["escalate"] = True
    for entry in entries[-3:]:
        entry["deadlines"] = PATIENT
    # Nothing listens there; it is named because a client for TLS reads more of the environment.
    entries += [{"kind": kind, "url": "https://127.0.0.1:9", "model": MODEL} for kind in ("ollama", "openai")]
    return servers, entries


def repeat_in_ollama(canary: Canary) -> list[Reply]:
    """Faults in which an Ollama repeats what it was asked."""
    message = {"error": f"cannot tell {canary.word} at {canary.lat}"}
    return [
        Reply([line(message)], 400, headers={"retry-after": canary.word, "x-question": canary.word}),
        chat(line(message)),
        chat(line({"message": {"content": {canary.word: canary.lat}}})),
        chat(part(SAID), done(canary.word)[:-20]),
    ]


def repeat_in_openai(canary: Canary) -> list[Reply]:
    """Faults in which an OpenAI-compatible server repeats what it was asked."""
    error = {"error": {"message": f"stream_options: {canary.word} at {canary.lat}", "code": canary.word}}
    return [
        Reply([line(error)], 400, headers={"retry-after": canary.word, "x-request-id": canary.word}),
        completion(event(error)),
        completion(delta({canary.word: canary.lat})),  # type: ignore[arg-type]
        completion(f"data: {canary.word} is no JSON\n\n".encode()),
        Reply([], 307, headers={"location": f"http://127.0.0.1:9/{canary.word}"}),
    ]


def count_hosted(boxes: Mapping[str, ScriptedServer]) -> int:
    """Count the connections that the hosted servers got."""
    return sum(server.connections for name, server in boxes.items() if name.startswith("hosted"))


class Ways:
    """The ways that a canary is sent."""

    def __init__(self, service: Service, own: OwnServer, evidence: Evidence) -> None:
        self.service = service
        self.client = service.client
        self.own = own
        self.evidence = evidence
        self.canary = evidence.canary
        self.here = {"lat": self.canary.lat, "lng": self.canary.lng, "radius_m": self.canary.radius_m}

    async def go(self) -> None:
        """Go every way, one after another."""
        await self.ask_through_every_fault()
        await self.ask_in_every_form()
        await self.look_near()
        await self.look_by_area()
        await self.look_by_ogc()
        await self.look_at_tiles()
        await self.follow_changes()
        await self.send_what_is_refused()
        await self.send_what_is_no_http()
        await self.leave_in_the_middle()
        await self.break_the_database()
        await self.stop_the_database()
        await self.look_at_the_service()
        self.look_at_the_database()

    async def send(self, name: str, method: str, path: str, **how: Any) -> httpx.Response:
        """Send one request and keep where it went and its status."""
        reply = await self.client.request(method, path, **how)
        self.evidence.statuses[name] = reply.status_code
        self.evidence.visited.add(f"{method} {reply.request.url.path}")
        return reply

    async def ask(self, name: str, question: str, **more: Any) -> None:
        """Ask, and keep who saw the question."""
        reply = await self.send(name, "POST", "/ask", json={"question": question, **more})
        seen_by = reply.json()["done"]["seen_by"]
        self.evidence.seen_by |= {seen["backend"] for seen in seen_by}
        self.evidence.seen_for |= {(seen["for"], seen["hosted"]) for seen in seen_by}

    async def ask_through_every_fault(self) -> None:
        """Ask twice, so that every server of the list is given the question: the hosted ones only the second time."""
        await self.ask("in the house", self.canary.question, **self.here, local_only=True)
        self.evidence.hosted_of_local_only = count_hosted(self.evidence.boxes)
        await self.ask("anywhere", self.canary.question, **self.here)

    async def ask_in_every_form(self) -> None:
        """Ask for events, without a model, by a point and an address in words, and again for the facts."""
        body = {"question": self.canary.question, **self.here}
        reply = await self.send("events", "POST", "/ask", json=body, headers={"Accept": "text/event-stream"})
        assert "event: done" in reply.text
        await self.ask("no model", self.canary.question, **self.here, narrate=False)
        await self.ask("address", f"How many solar permits within 2 km of {self.canary.address}?")
        point = f"{self.canary.lat}, {self.canary.lng}"
        await self.ask("point", f"How many solar permits within {self.canary.radius_m} m of {point}?")
        await self.ask("planning", f"How many {self.canary.word} boxes since 2014?")
        await self.ask("nearest", f"The three solar permits nearest to {point} by {self.canary.word}")
        plan = {"kind": "count", "where": {"category": ["solar"], "area": self.here}}
        await self.send("facts", "POST", "/facts", json={"plan": plan})
        await self.look_up_places()
        await self.send("unicode", "POST", "/ask", content=json.dumps({"question": f"solar \ud800 {self.canary.word}"}))
        await self.send("zero byte", "POST", "/ask", json={"question": f"solar at 12 \0 {self.canary.street} St"})

    async def look_up_places(self) -> None:
        """Look the canary up as an address, a block, a crossing and a name."""
        street = self.canary.street
        texts = (self.canary.address, f"1200 block of {street} St", f"{street} St and Harvey St", self.canary.word)
        for number, text in enumerate(texts):
            await self.send(f"place {number}", "POST", "/places", json={"text": text})
        await self.send("place of a city", "POST", "/places", json={"text": street, "city": self.canary.word})
        await self.send("long place", "POST", "/places", json={"text": self.canary.word * 20})

    async def look_near(self) -> None:
        """Look near in every way that a map front-end does."""
        page = await self.send("near", "GET", "/permits/near", params={**self.here, "limit": 1})
        following = next(link["href"] for link in page.json()["links"] if link["rel"] == "next")
        await self.send("next page", "GET", following)
        await self.send("stats", "GET", "/permits/stats", params={**self.here, "group_by": "year"})
        await self.send("stats by word", "GET", "/permits/stats", params={"city": self.canary.word})
        await self.send("count", "GET", "/permits/near", params={**self.here, "count": "exact", "zip": "78704"})
        for q in (self.canary.word, f'"{self.canary.word}" -{self.canary.street}'):
            await self.send(f"text {len(q)}", "GET", "/permits/near", params={**self.here, "q": q})
        for number in range(12):  # the driver prepares a statement from the sixth on
            await self.send(f"near {number}", "GET", "/permits/near", params={**self.here, "category": "solar"})

    async def look_by_area(self) -> None:
        """Look in a box, a polygon and a circle around the canary, and take all of it away."""
        lat, lng = self.canary.lat, self.canary.lng
        west, south, east, north = lng - 0.1, lat - 0.1, lng + 0.1, lat + 0.1
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        box = {"bbox": f"{west},{south},{east},{north}"}
        nearest = {**box, "order": "nearest", "lat": lat, "lng": lng}
        await self.send("box", "GET", "/permits", params=nearest)
        polygon = {"type": "Polygon", "coordinates": [ring]}
        await self.send("polygon", "POST", "/permits/search", json={"polygon": polygon})
        await self.send("stats of a box", "GET", "/permits/stats", params={**box, "measure": "permits_per_km2"})
        density = {"polygon": polygon, "q": self.canary.word, "measure": "permits_per_km2"}
        await self.send("stats of a polygon", "POST", "/permits/stats", json=density)
        crossed = {"type": "Polygon", "coordinates": [[ring[0], ring[2], ring[1], ring[3], ring[0]]]}
        await self.send("crossed polygon", "POST", "/permits/search", json={"polygon": crossed})
        await self.send("export", "GET", "/permits/export", params={**self.here, "f": "csv"})

    async def look_by_ogc(self) -> None:
        """Look as a client of OGC API - Features does: by a box around the canary, page by page."""
        for path in ("", "/api", "/conformance", "/collections", "/collections/permits", "/collections/permits/schema"):
            await self.send(f"ogc{path}", "GET", f"/ogc{path}")
        lat, lng = self.canary.lat, self.canary.lng
        box = f"{lng},{lat},{lng + 0.1},{lat + 0.1}"
        around = {"bbox": f"{lng - 0.1},{lat - 0.1},{lng + 0.1},{lat + 0.1}", "limit": 1}
        for name, parameters in (("ogc box", {"bbox": box}), ("ogc items", around)):
            page = await self.send(name, "GET", "/ogc/collections/permits/items", params=parameters)
        await self.send("ogc next", "GET", next(link["href"] for link in page.json()["links"] if link["rel"] == "next"))
        permit = page.json()["features"][0]["id"]
        await self.send("ogc item", "GET", f"/ogc/collections/permits/items/{permit}")
        await self.send("ogc no item", "GET", f"/ogc/collections/permits/items/{self.canary.word}")
        for parameter, value in (("bbox", f"{box},{self.canary.word}"), (self.canary.word, box)):
            await self.send(f"ogc by {parameter}", "GET", "/ogc/collections/permits/items", params={parameter: value})

    async def look_at_tiles(self) -> None:
        """Look at the map: the tile of the point is a place too."""
        await self.send("tilejson", "GET", "/tiles/permits.json", params={"category": "solar"})
        side = 1 << 16
        x = int((self.canary.lng + 180) / 360 * side)
        y = int((0.5 - math.asinh(math.tan(math.radians(self.canary.lat))) / math.tau) * side)
        await self.send("tile", "GET", f"/tiles/permits/16/{x}/{y}.mvt", params={"category": "solar"})
        await self.send("cells", "GET", "/tiles/permits/0/0/0.mvt", params={"issued_from": "2014-01-01"})

    async def follow_changes(self) -> None:
        """Save an area as a feed, in both forms."""
        area = {**self.here, "radius_m": self.canary.radius_m}
        await self.send("changes", "GET", "/permits/changes", params=area)
        await self.send("feed", "GET", "/permits/changes", params={**area, "f": "atom"})

    async def send_what_is_refused(self) -> None:
        """Send what ends in every error that a caller can bring about."""
        word, near = self.canary.word, "/permits/near"
        for parameter in ("lat", "radius_m", "cursor", "category", "issued_from", "status", "city", "zip", word):
            await self.send(f"near by {parameter}", "GET", near, params={**self.here, parameter: f"{word}'\"\\"})
        for parameter in ("district", "region"):
            await self.send(f"list by {parameter}", "GET", "/permits", params={parameter: word})
        for parameter in ("kind", "name", "bbox", "cursor"):
            await self.send(f"regions by {parameter}", "GET", "/regions", params={parameter: word})
        box = f"{self.canary.lng},{self.canary.lat},-97,31"
        await self.send("regions in a box", "GET", "/regions", params={"bbox": box})
        await self.send("region", "GET", f"/regions/austin/zip/{word}")
        await self.send("list by city", "GET", "/permits", params={"city": word})
        await self.send("permit", "GET", f"/permits/austin/{word}")
        await self.send("city", "GET", f"/permits/{word}/{word}")
        await self.send("path", "GET", f"/{word}/{self.canary.lat}")
        await self.send("file", "GET", f"/web/{word}")
        await self.send("docs", "GET", f"/docs?{word}={self.canary.lat}")
        await self.send("method", "PUT", near, params=self.here)
        await self.send("word of a body", "POST", "/ask", json={"question": word, word: word})
        await self.send("type of a body", "POST", "/ask", json={"question": {word: self.canary.lat}, **self.here})
        await self.send("no JSON", "POST", "/ask", content=f'{{"question": "{word}')
        await self.send("form", "POST", "/ask", data={"question": word})
        await self.send("long", "POST", "/ask", json={"question": word * 200})
        await self.send("huge", "POST", "/ask", json={"question": word * 500_000})
        await self.send("city of a body", "POST", "/ask", json={"question": "solar permits", "city": word})
        await self.send("plan", "POST", "/facts", json={"plan": {"kind": word, "where": {"area": self.here}}})
        wide = {"category": ["solar"], "area": self.here | {"radius_m": 1e9, word: word}}
        await self.send("area", "POST", "/facts", json={"plan": {"kind": "count", "where": wide}})
        headers = dict.fromkeys(("origin", "referer", "x-request-id", "user-agent", "cookie", "authorization"), word)
        await self.send("headers", "GET", near, params=self.here, headers=headers)
        preflight = {"origin": f"https://{word}.example", "access-control-request-method": "POST"}
        await self.send("preflight", "OPTIONS", "/ask", headers=preflight)

    async def send_what_is_no_http(self) -> None:
        """Send what the server itself refuses: broken requests, a head without end, an upgrade to another protocol."""
        target = f"/permits/near?lat={self.canary.lat}&lng={self.canary.lng}&q={self.canary.word}"
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"
        )
        for request in (
            f"GET {target} HTTP/9.9\r\n\r\n",
            f"{self.canary.word} {self.canary.lat}\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: x\r\n{self.canary.word}\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: x\r\nLong: {self.canary.word * 10_000}\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n",
            f"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{self.canary.word}",
            f"POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{self.canary.word}",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.service.port)
            writer.write(request.encode())
            with suppress(ConnectionError):
                await writer.drain()
                if "POST" not in request:
                    await reader.read(1)
            writer.close()

    async def leave_in_the_middle(self) -> None:
        """Leave while a model speaks."""
        box, path = list(self.evidence.boxes.values())[-3], "/v1/chat/completions"
        (spoken,) = box.routes[path]
        box.routes[path] = [completion(delta("There "), end="hang")]
        times = len(box.asked(path)) + 1
        body = {"question": self.canary.question, **self.here}
        headers = {"Accept": "text/event-stream"}
        async with asyncio.timeout(LEAVE_S), self.client.stream("POST", "/ask", json=body, headers=headers) as reply:
            await box.wait_until_asked(path, times=times)
            assert reply.is_success
        await asyncio.wait_for(box.client_left.wait(), LEAVE_S)
        box.routes[path] = [spoken]

    async def break_the_database(self) -> None:
        """Look near and ask while the database has lost a column, is locked, and breaks a connection off."""
        async with await psycopg.AsyncConnection.connect(self.own.url, autocommit=True) as other:
            await other.execute("ALTER TABLE permits RENAME COLUMN location TO gone")
            await self.look_and_ask("broken")
            await other.execute("ALTER TABLE permits RENAME COLUMN gone TO location")
            for name, way in (
                ("locked", "pg_sleep(0)"),
                ("ended", "pg_terminate_backend"),
                ("cancelled", "pg_cancel_backend"),
            ):
                async with other.transaction():
                    await other.execute("LOCK TABLE permits IN ACCESS EXCLUSIVE MODE")
                    looking = asyncio.create_task(self.look_and_ask(name))
                    await asyncio.sleep(0.25)
                    self.evidence.shown[f"activity while {name}"] = await self.read_activity(way)
                    await looking

    async def read_activity(self, way: str) -> str:
        """Read what the database shows of statements under way, and end them in that way."""
        async with await psycopg.AsyncConnection.connect(self.own.url, autocommit=True) as third:
            shown = await (
                await third.execute("SELECT * FROM pg_stat_activity WHERE application_name = 'undervolt'")
            ).fetchall()
            if way.endswith("backend"):
                statement = (
                    "SELECT {}(pid) FROM pg_stat_activity WHERE application_name = 'undervolt' AND state = 'active'"
                )
                await third.execute(sql.SQL(statement).format(sql.Identifier(way)))
        return str(shown)

    async def look_and_ask(self, name: str) -> None:
        """Look near and ask, at once."""
        await asyncio.gather(
            self.send(f"near, {name}", "GET", "/permits/near", params=self.here),
            self.send(f"ask, {name}", "POST", "/ask", json={"question": self.canary.question, **self.here}),
        )

    async def stop_the_database(self) -> None:
        """Look near and ask while there is no database, and come back."""
        self.own.stop("immediate")
        await self.look_and_ask("away")
        self.own.start()
        await self.look_and_ask("back")

    async def look_at_the_service(self) -> None:
        """Read what the service tells of itself."""
        for path in ("/metrics", "/health/ready", "/health/live", "/openapi.json"):
            self.evidence.shown[path] = (await self.send(path, "GET", path)).text

    def look_at_the_database(self) -> None:
        """Read every table and every view of statistics."""
        with psycopg.connect(self.own.url) as connection:
            names = connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm')"
                " UNION SELECT unnest('{pg_stat_statements,pg_stat_activity,pg_prepared_statements}'::text[])"
            ).fetchall()
            for (name,) in names:
                rows = connection.execute(f"SELECT relation::text FROM {name} AS relation").fetchall()
                self.evidence.shown[f"table {name}"] = str(rows)


# --- the claims ------------------------------------------------------------------------------------------------------


def test_every_way_was_gone(evidence: Evidence) -> None:
    by_status: dict[int, set[str]] = {}
    for name, status in evidence.statuses.items():
        by_status.setdefault(status, set()).add(name)
    assert set(by_status) == {200, 400, 404, 405, 413, 422, 500, 503}
    assert by_status[500] == {"near, broken", "ask, broken"}
    stopped = {"locked", "ended", "cancelled", "away"}
    assert by_status[503] == {f"{what}, {how}" for what in ("near", "ask") for how in stopped}
    assert by_status[404] == {
        "near by city",
        "list by city",
        "permit",
        "city",
        "path",
        "file",
        "city of a body",
        "ogc no item",
        "region",
        "stats by word",
        "place of a city",
    }
    assert by_status[413] == {"huge"}
    assert len(by_status[422]) == 23
    assert len(by_status[200]) == 62


def test_every_route_of_the_api_was_gone(evidence: Evidence) -> None:
    described = json.loads(evidence.shown["/openapi.json"])["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    patterns = {route: re.compile(re.sub(r"\\{[^}]*\\}", ".+", re.escape(route))) for route in routes}
    assert len(routes) >= 8
    assert {route for route in routes if not any(map(patterns[route].fullmatch, evidence.visited))} == set()


def test_every_backend_was_given_the_question_and_no_other_is_named(evidence: Evidence) -> None:
    given = {name for name, server in evidence.boxes.items() if "word" in find_in_bodies(evidence.canary, server)}
    assert given == evidence.seen_by == set(evidence.boxes)
    assert evidence.seen_for >= {("text", False), ("text", True), ("plan", True), ("escalate", True)}


def test_backend_is_given_the_question_in_the_body_of_a_request_and_nowhere_else(evidence: Evidence) -> None:
    for server in evidence.boxes.values():
        assert server.requests
        for request in server.requests:
            assert not evidence.canary.find_in_text((request.method, request.path, request.headers))
            assert not evidence.canary.find_in_text(request.body) or request.path.endswith(("/chat", "/completions"))


def test_with_local_only_a_hosted_backend_gets_no_connection_in_any_fault_of_the_box(evidence: Evidence) -> None:
    assert evidence.hosted_of_local_only == 0


def test_service_says_nothing_of_it_at_any_level(evidence: Evidence) -> None:
    assert not evidence.canary.find_in_text(evidence.folders.said)
    for said in ("gave no answer: BackendUnavailable", "Invalid HTTP request", "unforeseen: ProgrammingError at"):
        assert said in evidence.folders.said, "the service did log"


def test_no_span_is_made_and_no_collector_is_sent_anything(evidence: Evidence) -> None:
    assert evidence.folders.watched_of("span") == []
    assert evidence.collector.connections == 0


def test_watch_would_see_the_spans_that_the_framework_makes_by_itself(tmp_path: Path) -> None:
    canary, folders = Canary(), Folders(tmp_path)
    code = f"""
import asyncio, fastapi, httpx
async def look():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fastapi.FastAPI()), base_url="http://test") as client:
        await client.get("/near?lat={canary.lat}")
asyncio.run(look())
"""
    environment = folders.make() | EVERY_LOG_OF_PYTHON
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, cwd=tmp_path)
    assert canary.find_in_text(folders.watched_of("span")) == {"lat"}


def test_no_file_is_written(evidence: Evidence) -> None:
    assert evidence.folders.watched_of("open") == [["/dev/null"]]
    # The ollama package makes a client of its own as it is imported, and with it this file, empty but for its title.
    [keys] = evidence.folders.left_behind
    assert keys.read_text().startswith("# TLS secrets log file")
    assert keys.read_text().count("\n") == 1


def test_metrics_readiness_and_the_description_hold_nothing_of_it(evidence: Evidence) -> None:
    pages = {name: text for name, text in evidence.shown.items() if name.startswith("/")}
    assert "undervolt_data_version" in pages["/metrics"]
    assert {name for name, text in pages.items() if evidence.canary.find_in_text(text)} == set()


def test_no_table_and_no_statistic_of_the_database_holds_anything_of_it(evidence: Evidence) -> None:
    shown = {name: text for name, text in evidence.shown.items() if name.startswith("table")}
    assert "1205 HARVEY ST" in shown["table permits"]
    assert "st_dwithin" in shown["table pg_stat_statements"].lower()
    assert {name for name, text in shown.items() if evidence.canary.find_in_text(text)} == set()


def test_statement_under_way_is_shown_without_its_values(evidence: Evidence) -> None:
    shown = {name: text for name, text in evidence.shown.items() if name.startswith("activity")}
    assert len(shown) == 3
    assert all("SELECT" in text for text in shown.values())
    assert {name for name, text in shown.items() if evidence.canary.find_in_text(text)} == set()


def test_slow_query_log_of_the_private_cluster_names_no_value(evidence: Evidence) -> None:
    assert not evidence.canary.find_in_text(evidence.database_log)
    for said in (r"ST_DWithin(", "still waiting for", "canceling statement due to statement timeout", "duration: "):
        assert said in evidence.database_log, "the server did log"


def test_no_file_of_the_database_holds_anything_of_it(evidence: Evidence) -> None:
    assert evidence.found_in_database_files == {}


def test_it_goes_over_the_network_between_caller_service_and_named_backends_alone(evidence: Evidence) -> None:
    if not evidence.capture.works:
        pytest.skip("only root on Linux may capture what is sent")
    boxes = {server.port for server in evidence.boxes.values()}
    found = {ports for ports, data in evidence.capture.streams.items() if evidence.canary.find_in(bytes(data))}
    assert {receiver for _, receiver in found} >= boxes, "the capture sees what is sent"
    assert [ports for ports in found if evidence.port not in ports and not boxes & {*ports}] == []


def test_service_connects_to_nothing_but_its_backends(evidence: Evidence) -> None:
    listed = {server.port for server in evidence.boxes.values()} | {9}
    assert {(host, port) for ((host, port),) in evidence.folders.watched_of("socket.connect")} == {
        ("127.0.0.1", port) for port in listed
    }
    assert evidence.folders.watched_of("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto") == []


# --- in settings of their own ----------------------------------------------------------------------------------------


async def test_with_local_only_as_a_setting_no_hosted_backend_gets_a_connection(
    own_server: OwnServer, tmp_path: Path
) -> None:
    canary = Canary()
    async with AsyncExitStack() as stack:
        boxes, entries = await start_boxes(stack, canary)
        settings = {
            "UNDERVOLT_DATABASE_URL": own_server.url,
            "UNDERVOLT_BACKENDS": json.dumps(entries),
            "UNDERVOLT_LOCAL_ONLY": "true",
        }
        service = await stack.enter_async_context(run_service(tmp_path, settings))
        first = await service.ask(canary.question)
        second = await service.ask(canary.question, local_only=False)
        await service.ask(f"How many {canary.word} boxes since 2014?", local_only=False)
        ready = (await service.client.get("/health/ready")).json()
        assert count_hosted(boxes) == 0
    assert len(first["done"]["seen_by"]) == sum(name.startswith("ollama") for name in boxes)
    assert not any(seen["hosted"] for seen in first["done"]["seen_by"] + second["done"]["seen_by"])
    assert second["done"]["model"] == MODEL
    assert (ready["backends"]["hosted_on"], ready["backends"]["local_only"]) == (False, True)


async def test_keys_of_encrypted_connections_are_not_written(own_server: OwnServer, tmp_path: Path) -> None:
    """``SSLKEYLOGFILE`` has Python's ssl write them, and with them a recording of the traffic can be read."""
    certificate, context = make_certificate(tmp_path)
    canary, hosted, box = Canary(), ScriptedServer(openai_routes(SPOKEN)), ScriptedServer(ollama_routes())
    async with AsyncExitStack() as stack:
        for server in (hosted, box):
            listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=context)
            server.port = listener.sockets[0].getsockname()[1]
            stack.push_async_callback(server.stop)
            stack.callback(listener.close)
        entries = [
            {"kind": "ollama", "url": f"https://127.0.0.1:{box.port}", "model": MODEL},
            {"kind": "openai", "url": f"https://{OUTSIDE}:{hosted.port}/v1", "model": MODEL},
        ]
        settings = {
            "UNDERVOLT_DATABASE_URL": own_server.url,
            "UNDERVOLT_BACKENDS": json.dumps(entries),
            "SSL_CERT_FILE": str(certificate),
            "WATCH_NAME": OUTSIDE,
            "SSLKEYLOGFILE": "keys-of-connections",
        }
        (home := tmp_path / "service").mkdir()
        async with run_service(home, settings) as service:
            reply = await service.ask(canary.question)
        assert reply["done"]["backend"] == "hosted"
        assert find_in_bodies(canary, hosted) == {"word"}
        assert [line for path in service.folders.left_behind for line in read_secrets(path)] == []
        reading = (
            f"import httpx, ssl; httpx.get('https://{OUTSIDE}:{hosted.port}', verify=ssl.create_default_context())"
        )
        environment = service.folders.environment | settings
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", reading, env=environment, cwd=tmp_path)
        assert await process.wait() == 0
        assert read_secrets(tmp_path / "keys-of-connections"), "another program's connection to it is written down"


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for a name outside, and what a server with it needs."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", f"/CN={OUTSIDE}", "-addext", f"subjectAltName=DNS:{OUTSIDE}", "-days", "1")
    made = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate)
    subprocess.run(["openssl", "req", "-x509", *made, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def read_secrets(path: Path) -> list[str]:
    """Read the secrets in a file of keys, which begins with a comment."""
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.skipif(find_weights(None) is None, reason="the embedded model is not installed: make test-system does it")
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells which files a process holds")
async def test_embedded_model_leaves_nothing_and_tells_nobody(own_server: OwnServer, tmp_path: Path) -> None:
    canary = Canary()
    deadlines = {"first_token_s": 60, "load_s": 60, "gap_s": 30, "total_s": 90}
    settings = {
        **{name: value for name, value in EVERY_LOG_OF_PYTHON.items() if name != "SSLKEYLOGFILE"},
        "UNDERVOLT_DATABASE_URL": own_server.url,
        "UNDERVOLT_BACKENDS": json.dumps([{"kind": "embedded", "deadlines": deadlines}]),
        "UNDERVOLT_ANSWER_TIMEOUT_S": "120",
    }
    with capture_loopback() as capture:
        async with run_service(tmp_path, settings) as service:
            reply = await service.ask(canary.question, lat=canary.lat, lng=canary.lng, radius_m=canary.radius_m)
            family = list_family(service.pid)
            limits = [read_limits(pid) for pid in family]
            held = {path for pid in family for path in list_files_held(pid)}
    assert len(family) == 2, "the service and the model's process"
    assert all(re.search(r"^Max core file size +0 ", text, re.MULTILINE) for text in limits)
    assert [seen["backend"] for seen in reply["done"]["seen_by"]] == ["embedded"]
    assert not canary.find_in_text(service.folders.said)
    assert service.folders.left_behind == []
    assert {path.name for path in held} == {"stdout", "stderr", "watched"}
    [(host, port)] = {tuple(address) for [address] in service.folders.watched_of("socket.connect")}
    assert host == "127.0.0.1"
    found = {ports for ports, data in capture.streams.items() if canary.find_in(bytes(data))}
    assert any(receiver == port for _, receiver in found) or not capture.works, "the capture sees what is sent"
    assert [ports for ports in found if service.port not in ports and port not in ports] == []


def list_family(pid: int) -> list[int]:
    """List a process and those that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in list_family(int(child)))]


def read_limits(pid: int) -> str:
    """Read what a process may use at most."""
    return Path(f"/proc/{pid}/limits").read_text()


def list_files_held(pid: int) -> set[Path]:
    """List the files that a process holds open for writing."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        flags = int(re.search(r"flags:\s*(\d+)", Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text())[1], 8)  # type: ignore[index]
        path = entry.readlink()
        if flags & (os.O_WRONLY | os.O_RDWR) and path.is_file():
            held.add(path)
    return held


def find_in_bodies(canary: Canary, server: ScriptedServer) -> set[str]:
    """Name the tokens that a server was given in the bodies of its requests."""
    return set().union(*(canary.find_in_text(request.body) for request in server.requests))
