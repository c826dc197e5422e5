"""Measures the service beside its limits, in one run on one machine.

``python -m scripts.bench [near] [ask] [voice]``: near against its bare SQL, ``/ask`` to its first event, and the first
chunk of a voice through the router against a call of the same server without it. Figures are milliseconds a request,
one caller at a time, each request beside its counterpart; ratios compare medians. The service is started for the
purpose and stopped again.
"""

import argparse
import asyncio
import http
import http.client
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing, contextmanager, suppress
from statistics import median, quantiles
from time import monotonic, perf_counter, sleep
from typing import Any
from urllib.parse import urlencode

import psycopg
from rich.console import Console
from rich.table import Table

from app.database import find_database_url, make_engine, open_session
from app.errors import UndervoltError
from app.permits.near import NearQuery, compile_candidates, start_search
from app.permits.register import Register, find_register
from app.settings import Settings, read_settings
from scripts import bench_voice as voices

RADIUS_M = 1_000
LIMIT = 100
START_S = 30.0
WARM_UP = 20
QUESTIONS = (
    "how many solar permits in 2015?",
    "what are the 5 nearest pool permits?",
    "top 5 permit types by value",
    "permits per year since 2013",
    "compare solar permits in 2014 and 2015",
)
CASES = ("near", "ask", "voice")
Samples = dict[str, list[float]]
Point = tuple[float, float]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", type=check_case, default=list(CASES), help="near, ask, voice")
    parser.add_argument("--requests", type=int, default=500)
    arguments = parser.parse_args()
    if "voice" in arguments.what:
        asyncio.run(bench_voice(arguments.requests))
    if not {"near", "ask"} & set(arguments.what):
        return 0
    try:
        settings = read_settings(os.environ)
        url = find_database_url(settings)
    except UndervoltError as error:
        print(error, file=sys.stderr)
        return 1
    register, points = asyncio.run(draw_points(settings, arguments.requests))
    with serve(url) as port, psycopg.connect(url, autocommit=True) as connection:
        if "near" in arguments.what:
            bench_near(connection, register, port, points)
        if "ask" in arguments.what:
            bench_ask(port, points)
    return 0


def check_case(name: str) -> str:
    """Give the name of a measurement; argparse's own choices refuse a default list before Python 3.12."""
    if name not in CASES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CASES)}")
    return name


async def draw_points(settings: Settings, count: int) -> tuple[Register, list[Point]]:
    """Draw origins among the permits that answer, moved by up to some 300 m, the same ones each time."""
    engine = make_engine(settings)
    async with open_session(engine) as session:
        register = await find_register(session)
        connection = await session.connection()
        rows: Any = await connection.exec_driver_sql(
            "SELECT ST_Y(location::geometry), ST_X(location::geometry) FROM permits"
            " WHERE location IS NOT NULL AND city = ANY(%s) ORDER BY md5(source_id) LIMIT %s",
            (list(register.answering), count + WARM_UP),
        )
        drawn = [(float(row[0]), float(row[1])) for row in rows]
    await engine.dispose()
    chance = random.Random(count)
    return register, [(lat + chance.uniform(-0.003, 0.003), lng + chance.uniform(-0.003, 0.003)) for lat, lng in drawn]


def bench_near(connection: psycopg.Connection[Any], register: Register, port: int, points: Sequence[Point]) -> None:
    """Compare near over HTTP with the very statement it runs, its typed columns fetched, and with the ids alone."""
    connection.execute("SET plan_cache_mode = force_custom_plan")
    connection.execute("SET jit = off")
    connection.execute("SET max_parallel_workers_per_gather = 0")
    client = http.client.HTTPConnection("127.0.0.1", port)
    ids = (
        "SELECT city, source_id FROM permits WHERE ST_DWithin(location, ST_MakePoint(%s, %s)::geography, %s)"
        " ORDER BY location <-> ST_MakePoint(%s, %s)::geography LIMIT %s"
    )

    def ask_service(point: Point) -> None:
        get(
            client,
            "/permits/near?" + urlencode({"lat": point[0], "lng": point[1], "radius_m": RADIUS_M, "limit": LIMIT}),
        )

    def ask_database(point: Point) -> None:
        text, values = bind_candidates(point, register)
        connection.execute(text, values, prepare=True).fetchall()

    def ask_ids(point: Point) -> None:
        lat, lng = point
        connection.execute(ids, [lng, lat, RADIUS_M, lng, lat, LIMIT], prepare=True).fetchall()

    samples = alternate({"service": ask_service, "its bare SQL": ask_database, "ids alone": ask_ids}, points)
    report(
        f"near, limit {LIMIT}, radius {RADIUS_M:,} m, {len(points) - WARM_UP} origins", samples, against="its bare SQL"
    )


def bind_candidates(point: Point, register: Register) -> tuple[str, dict[str, Any]]:
    """Give the statement that the service runs for a page at a point, and its values."""
    query = NearQuery(lat=point[0], lng=point[1], radius_m=RADIUS_M, limit=LIMIT)
    search = start_search(query, register, None, wanted=LIMIT + 1)
    statement = compile_candidates(frozenset(search.values), search.framed.walk)
    return statement, search.values | {"take": search.take}


def bench_ask(port: int, points: Sequence[Point]) -> None:
    """Measure a question to the first byte of its first event and to the end of its answer event, no model asked."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    firsts: list[float] = []
    answers: list[float] = []
    for number, (lat, lng) in enumerate(points):
        body = {"question": QUESTIONS[number % len(QUESTIONS)], "lat": lat, "lng": lng, "narrate": False}
        began = perf_counter()
        client.request(
            "POST", "/ask", json.dumps(body), {"Content-Type": "application/json", "Accept": "text/event-stream"}
        )
        reply = client.getresponse()
        check_status(reply)
        line = reply.readline()
        firsts.append(perf_counter() - began)
        while line and line != b"event: answer\n":
            line = reply.readline()
        answers.append(perf_counter() - began)
        reply.read()
    report("ask, five kinds of question", {"first event": firsts[WARM_UP:], "answer": answers[WARM_UP:]}, against=None)


async def bench_voice(requests: int) -> None:
    """Compare the first chunk of a voice with that of a call without the router."""
    async with aclosing(voices.measure(requests + WARM_UP)) as measured:
        async for name, samples in measured:
            kept = {case: times[WARM_UP:] for case, times in samples.items()}
            report(f"first chunk of a voice, {name}", kept, against="direct")


def alternate(cases: dict[str, Callable[[Point], None]], points: Sequence[Point]) -> Samples:
    """Run every case for every point in turn, so that a noisy second hits all alike; the first points are warm-up."""
    samples: Samples = {name: [] for name in cases}
    for point in points:
        for name, run in cases.items():
            began = perf_counter()
            run(point)
            samples[name].append(perf_counter() - began)
    return {name: times[WARM_UP:] for name, times in samples.items()}


def report(title: str, samples: Samples, *, against: str | None) -> None:
    """Print median and 99th percentile, and the ratio to one of the samples."""
    table = Table("", "median ms", "p99 ms", *(["times " + against] if against else []), title=title)
    for name, times in samples.items():
        centiles = quantiles(times, n=100)
        ratio = [f"{median(times) / median(samples[against]):.2f}"] if against else []
        table.add_row(name, f"{median(times) * 1000:.2f}", f"{centiles[98] * 1000:.2f}", *ratio)
    Console(width=100).print(table)


def get(client: http.client.HTTPConnection, path: str) -> bytes:
    """Fetch a path and give the body. Raises :class:`OSError` for anything but a good reply."""
    client.request("GET", path)
    reply = client.getresponse()
    check_status(reply)
    return reply.read()


def check_status(reply: http.client.HTTPResponse) -> None:
    """Refuse to measure a failure."""
    if reply.status != http.HTTPStatus.OK:
        raise OSError(f"the service answered {reply.status}")


@contextmanager
def serve(url: str) -> Generator[int]:
    """Run the service on a free port, without models, and give the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = os.environ | {
        "UNDERVOLT_DATABASE_URL": url,
        "UNDERVOLT_BACKENDS": "[]",
        "UNDERVOLT_LOG_LEVEL": "WARNING",
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "app.main:create_app_from_environment",
        "--port",
        str(port),
    ]
    service = subprocess.Popen([*command, "--no-access-log", "--log-level", "warning"], env=environment)
    try:
        wait_until_ready(port)
        yield port
    finally:
        service.terminate()
        service.wait(timeout=START_S)


def wait_until_ready(port: int) -> None:
    """Wait until the service answers. Raises :class:`TimeoutError`."""
    end = monotonic() + START_S
    while monotonic() < end:
        with suppress(OSError):
            get(http.client.HTTPConnection("127.0.0.1", port), "/health/ready")
            return
        sleep(0.2)
    raise TimeoutError("the service did not start")


if __name__ == "__main__":
    sys.exit(main())
