"""What the bench says is what its tools said: their output read, CPU added up, points drawn alike, misses marked.

No figure is judged here. The texts of wrk 4.1.0 and pgbench 15 were recorded by running them.
"""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.bench import near, pgbench, stats, tiles, worst, wrk
from scripts.bench.bench import Bench, Effort
from scripts.bench.cpu import Backends, Meter, find_postmaster, parse_busy, parse_stat, read_processes, sum_family
from scripts.bench.figures import Load, centile, console, take_turns
from scripts.bench.places import Places, Point
from scripts.bench.register import is_still_good, rename_database
from scripts.bench.service import Service, list_words, serve
from tests.conftest import ROOT, Store

# Two connections for two seconds; of 29 answers each took 100 ms, and every ninth 400 ms.
WRK = """\
Running 2s test @ http://127.0.0.1:8765/
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   132.48ms   85.55ms 423.36ms   87.10%
    Req/Sec    14.88      8.80    39.00     75.00%
  29 requests in 2.03s, 1.13KB read
Requests/sec:     14.26
Transfer/sec:     570.22B
undervolt 2034290 29 1160 0
100447 1
100462 1
100497 1
100506 1
100518 1
100534 1
100555 1
100563 1
100571 1
100650 1
100653 1
100662 1
100737 1
100769 1
100863 1
100922 1
100930 1
100945 1
101132 1
101331 1
101386 1
101563 1
101669 1
102112 1
102136 1
102535 1
121845 1
256394 1
278053 1
401700 1
423359 1
"""
FAILED = """\
  Non-2xx or 3xx responses: 57147
Requests/sec:  56847.81
Transfer/sec:      2.17MB
undervolt 1005263 57147 2285880 57147
17 57147
"""
PGBENCH = """\
pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: /tmp/x.sql
scaling factor: 1
query mode: prepared
number of clients: 2
number of threads: 2
maximum number of tries: 1
number of transactions per client: 3
number of transactions actually processed: 6/6
number of failed transactions: 0 (0.000%)
latency average = 1.529 ms
initial connection time = 7.403 ms
tps = 1307.759372 (without initial connection time)
"""
PGBENCH_LOG = """\
0 1 4377 0 1795633027 300366
0 2 94 0 1795633027 300474
0 3 50 0 1795633027 300526
"""
POSTMASTER = "100 (postgres) S 1 27496 27496 0 -1 4194304 23728 11423205 0 75 5 56 88390 17324 20 0 1 0 1004068"
BACKEND = "101 (postgres) S 100 27496 27496 0 -1 4194304 23728 11423205 0 75 40 2 0 0 20 0 1 0 1004068"
ANOTHER = "102 (a) b) c) S 1 27496 27496 0 -1 4194304 23728 11423205 0 75 9 9 9 9 20 0 1 0 1004068"
LITTLE = Effort(seconds=1, rounds=1, executions=1, points=3, requests=3, explain=True)
needs_wrk = pytest.mark.skipif(not wrk.is_installed(), reason="wrk is not installed; `make bench` does that")
needs_pgbench = pytest.mark.skipif(pgbench.find_program() is None, reason="no pgbench beside a PostgreSQL here")


def test_answers_that_wrk_added_for_coordinated_omission_are_left_out() -> None:
    load = wrk.parse(WRK, 2, {"service": 0.5})
    assert (len(load.times_us), load.received, load.seconds) == (29, 1160, 2.03429)
    assert [time for time in load.times_us if time > 121_845] == [401_700, 423_359]


def test_load_that_the_service_did_not_answer_is_refused() -> None:
    with pytest.raises(OSError, match=r"57,147 of 57,147 answers were no success"):
        wrk.parse(FAILED, 2, {})
    with pytest.raises(OSError, match=r"no success"):
        wrk.parse("", 2, {})


def test_transactions_are_counted_without_the_time_to_connect() -> None:
    assert pgbench.read_seconds(PGBENCH) == pytest.approx(6 / 1307.759372)
    assert pgbench.parse_log(PGBENCH_LOG.splitlines()) == [4377, 94, 50]
    with pytest.raises(OSError, match="how many"):
        pgbench.read_seconds("pgbench (15.18)\n")


def test_cpu_of_a_family_is_that_of_its_living_and_its_ended() -> None:
    processes = {process.pid: process for process in map(parse_stat, (POSTMASTER, BACKEND, ANOTHER))}
    assert processes[102].name == "a) b) c"
    assert sum_family(100, processes) == (5 + 56 + 88_390 + 17_324) + (40 + 2)
    assert sum_family(102, processes) == 36
    assert sum_family(999, processes) == 0


def test_waiting_for_a_disk_is_not_being_busy() -> None:
    assert parse_busy("cpu  100 1 20 700 79 0 3 7 50 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n") == (131, 910)


def test_cpu_of_what_was_run_meanwhile_is_metered() -> None:
    if not read_processes():
        pytest.skip("no /proc here")
    with Meter({"own": os.getpid()}).reading() as cpu_s:
        subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert 0 < cpu_s["load tool"] <= cpu_s["own"] + 0.1
    assert find_postmaster(os.getpid()) is None


def test_backends_of_other_databases_are_not_metered(database_url: str) -> None:
    other = rename_database(database_url, "postgres")
    with psycopg.connect(other, autocommit=True) as theirs, psycopg.connect(database_url, autocommit=True) as ours:
        postmaster = find_postmaster(ours.info.backend_pid)
        if postmaster is None:
            pytest.skip("the database runs on another machine, or there is no /proc here")
        backends = Backends(postmaster, ours.info.dbname)
        with Meter({}, backends).reading() as cpu_s:
            ours.execute("SELECT count(*) FROM generate_series(1, 2000000)")
        assert theirs.info.backend_pid in backends.strangers
        assert ours.info.backend_pid in backends.ticks
        assert cpu_s["PostgreSQL"] > 0


def test_rounds_of_a_load_add_up() -> None:
    runs = iter([Load(1, [1000, 3000], {"service": 0.5}, 10), Load(3, [2000, 2000], {"service": 1.5}, 30)])
    load = take_turns({"service": lambda: next(runs)}, rounds=2)["service"]
    assert (load.rate, load.median_ms, load.p99_ms, load.cpu_ms("service"), load.received) == (1, 2, 3, 500, 40)
    assert Load(1, [1, 1], {"service": 0.5, "PostgreSQL": 1}).cpu_ms() == 750


def test_centile_of_few_times_is_the_longest() -> None:
    assert centile([3.0, 1.0, 2.0], 99) == 3
    assert centile(range(1, 101), 99) == 99


def test_values_that_vary_become_names_and_others_literals() -> None:
    statement = "SELECT x::text FROM t WHERE x = %(a)s AND y LIKE '%%' AND z IN (%(b)s, %(c)s) AND lat = %(lat)s::FLOAT"
    written = pgbench.bare(statement, {"a": 30.5, "b": "o'clock", "c": 100, "lat": 30.25}, ["lat"])
    expected = "SELECT x::text FROM t WHERE x = 30.5 AND y LIKE '%' AND z IN ('o''clock', 100) AND lat = :lat::FLOAT"
    assert written == expected


@needs_pgbench
def test_pgbench_draws_whole_points_and_all_of_them(
    database_url: str, store_connection: psycopg.Connection[Any]
) -> None:
    store_connection.execute("CREATE TABLE drawn (lat double precision, lng double precision)")
    try:
        script = pgbench.write_script(
            "INSERT INTO drawn VALUES (:lat, :lng)", [{"lat": n, "lng": -n} for n in range(5)]
        )
        load = pgbench.run(database_url, script, Meter({}), clients=2, seconds=1)
        found = store_connection.execute("SELECT lat, lng, count(*) FROM drawn GROUP BY 1, 2 ORDER BY 1").fetchall()
    finally:
        store_connection.execute("DROP TABLE drawn")
    assert [(lat, lng) for lat, lng, _ in found] == [(n, -n) for n in range(5)]
    assert sum(count for *_, count in found) == len(load.times_us)


def test_register_is_made_anew_only_where_it_would_come_out_otherwise() -> None:
    made = {"rows": 100, "seed": 1, "categories": 2, "migrations": {"0001": "a", "0002": "b"}}
    assert is_still_good(made, made)
    assert is_still_good(made, {**made, "migrations": {**made["migrations"], "0003": "c"}})  # type: ignore[dict-item]
    assert not is_still_good(made, {**made, "migrations": {"0001": "a", "0002": "rewritten"}})
    assert not is_still_good(made, {**made, "migrations": {"0001": "a"}})
    assert not is_still_good(made, {**made, "rows": 99})
    assert not is_still_good(made, {**made, "categories": 3})
    assert not is_still_good({}, made)


def test_database_beside_the_services_keeps_its_server() -> None:
    url = "postgresql://undervolt:secret@/undervolt?host=/var/lib/x/sockets&port=5432"
    assert rename_database(url, "b") == "postgresql://undervolt:secret@/b?host=/var/lib/x/sockets&port=5432"


def test_words_of_a_parameter_are_found_wherever_its_schema_has_them() -> None:
    openapi = {"components": {"schemas": {"Key": {"enum": ["zip", "year"], "type": "string"}}}}
    assert list_words({"anyOf": [{"$ref": "#/components/schemas/Key"}, {"type": "null"}]}, openapi) == ["zip", "year"]
    assert list_words({"type": "array", "items": {"const": "zip"}}, openapi) == ["zip"]
    assert list_words({"type": "string"}, openapi) == []


def test_tile_of_a_point_is_the_one_that_postgis_says_holds_it(store_connection: psycopg.Connection[Any]) -> None:
    point = Point(lat=30.2747, lng=-97.7404)
    held = "SELECT ST_Contains(ST_TileEnvelope(%s, %s, %s), ST_Transform(ST_SetSRID(ST_MakePoint(%s, %s), 4326), 3857))"
    for zoom in (10, 12, 14, 16):
        tile = tiles.find_tile(point, zoom)
        assert store_connection.execute(held, [*tile, point.lng, point.lat]).fetchone() == (True,)
    around = tiles.list_around(tiles.Tile(3, 4, 4))
    assert around[0] == (3, 4, 4)
    assert len(set(around)) == 9


@pytest.mark.parametrize(("answer", "bounded"), [(99.9, True), (100.1, False), ("503 in 2000", True), ("422", False)])
def test_stats_that_are_refused_in_time_are_in_time(answer: float | str, bounded: bool) -> None:
    assert stats.is_bounded(answer, 100) is bounded
    assert ("!" in stats.mark(answer, 100)) is not bounded


def test_combination_beyond_a_bound_is_marked() -> None:
    case = worst.Case("none", {}, 500, 100, "densest", Point(lat=30, lng=-97))
    assert "!" not in str(worst.Times(case, 150, 400))
    assert "!" in str(worst.Times(case, 151, 160))
    assert "!" in str(worst.Times(case, 20, 401))
    assert "503 in 20 / 20 !" in str(worst.Times(case, 20, 20, status=503))


@pytest.fixture
def filled(store: Store) -> Store:
    """A register in which the densest cell, the rarest status and the words of descriptions are known."""
    for number in range(12):
        store.add_permit(
            lat=30.2652 + number / 10_000,
            lng=-97.7449,
            categories=["roof"] if number else ["solar"],
            issued_date=f"{2014 + number % 2}-05-06",
            status_current="Final" if number else "Aborted",
            status_current_mapped="Permit Finaled",
            permit_class_mapped="Residential",
            permit_type_mapped="Building",
            work_class="New",
            original_zip="78704",
            description="shingles replaced" if number else "panels",
        )
    store.add_permit(lat=30.4, lng=-97.6, categories=["roof"], issued_date="2015-05-06", description="shingles")
    store.publish()
    return store


def test_places_are_the_registers_own(filled: Store) -> None:
    places = Places(filled.connection, ("austin",))
    assert places.find_cell(densest=True) == Point(lat=30.265, lng=-97.745)
    assert places.find_cell(densest=False) == Point(lat=30.405, lng=-97.595)
    assert places.draw_points(5) == places.draw_points(5)
    chosen = places.choose_filters()
    assert chosen["none"] == {}
    assert {"status": "Aborted"} in chosen.values()
    assert {"category": "solar", "issued_from": "2014-01-01", "issued_to": "2014-12-31"} in chosen.values()


@pytest.fixture(scope="module")
def service(database_url: str) -> Generator[Service]:
    """The service as the bench starts it."""
    with serve(database_url) as running:
        yield running


@pytest.fixture
def bench(filled: Store, service: Service, database_url: str) -> Generator[Bench]:
    """All that a measurement is given, and little effort."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Bench(database_url, service, connection, LITTLE)


@needs_wrk
@needs_pgbench
def test_near_is_measured_beside_both_statements_with_the_cpu_of_each(bench: Bench) -> None:
    with console.capture() as shown:
        near.measure(bench)
    table = shown.get()
    for case in (near.TYPED, near.SERVICE, near.WALKED, near.OWN, near.ONE):
        assert case in table
    assert len(re.findall(r"goal (?:reached|missed)", table)) == 2
    assert "load tool" in table


@pytest.mark.parametrize("case", [worst.measure, stats.measure, tiles.measure])
def test_what_one_caller_asks_is_measured_or_left_out_with_a_reason(
    bench: Bench, case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worst, "FIRST", 1)
    with console.capture() as shown:
        case(bench)
    assert re.search(r"goal (reached|missed)|left out, ", shown.get())


def test_sentence_is_said_where_wrk_may_not_be_installed(tmp_path: Path) -> None:
    (tmp_path / "sed").symlink_to("/bin/sed")
    command = ["/bin/sh", str(ROOT / "scripts/install_packages.sh"), "wrk"]
    refused = subprocess.run(command, env={"PATH": str(tmp_path)}, text=True, capture_output=True, timeout=60)
    assert refused.returncode == 69
    assert "apt-get install -y wrk" in refused.stderr
    assert "PostgreSQL" not in refused.stderr
