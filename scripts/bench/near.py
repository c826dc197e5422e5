"""Near under load beside its limits: pgbench with the same random points, for typed columns and as the service asks.

Typed columns come by the geography's index, nearest first and exact but for the sphere, and by the service's own walk.
"""

from functools import partial

from app.permits.near import NearQuery
from scripts.bench import pgbench, wrk
from scripts.bench.bench import Bench
from scripts.bench.figures import Load, console, show_goal, show_loads, skip, take_turns
from scripts.bench.places import Point
from scripts.bench.service import address
from scripts.bench.statements import write_own, write_typed

PATH = "/permits/near"
RADIUS_M = 1_000
LIMIT = 100
CONNECTIONS = 16
LEAST_RATIO = 0.70
AIMED_RATIO = 0.85
MOST_SPREAD = 4.0
TYPED_PLANS = "auto"
"""PostgreSQL keeps a generic plan for this statement: the faster one, so the stricter limit."""
TYPED, WALKED, OWN = "typed columns", "typed columns, its walk", "its own statement"
ONE = "service, 1 connection"
SERVICE = f"service, {CONNECTIONS} connections"


def measure(bench: Bench) -> None:
    """Measure the service and the statements in turns, and print them."""
    if not wrk.is_installed():
        skip("near", wrk.MISSING)
        return
    load = partial(
        wrk.run,
        bench.service.base,
        [near_path(point) for point in bench.points],
        bench.meter,
        seconds=bench.effort.seconds,
    )
    queries = [NearQuery(lat=point.lat, lng=point.lng, radius_m=RADIUS_M, limit=LIMIT) for point in bench.points]
    typed = partial(run_script, bench, write_typed(bench.register, queries), plans=TYPED_PLANS)
    cases = {
        TYPED: typed,
        SERVICE: partial(load, connections=CONNECTIONS),
        WALKED: partial(run_script, bench, write_own(bench.register, queries, ready=False)),
        OWN: partial(run_script, bench, write_own(bench.register, queries)),
        ONE: partial(load, connections=1),
        f"{TYPED}, 1 client": partial(typed, clients=1),
    }
    load(connections=CONNECTIONS, seconds=1)
    loads = take_turns(cases, rounds=bench.effort.rounds)
    show_loads(f"near, limit {LIMIT}, radius {RADIUS_M:,} m, {len(queries):,} random points", loads, against=TYPED)
    tell_goals(loads)


def near_path(point: Point) -> str:
    """Give the path that is asked for a point."""
    return address(PATH, point.parameters(radius_m=RADIUS_M, limit=LIMIT))


def run_script(bench: Bench, script: str, *, plans: str = "force_custom_plan", clients: int = CONNECTIONS) -> Load:
    """Run a script of pgbench's for as long as the service is loaded."""
    return pgbench.run(bench.url, script, bench.meter, clients=clients, seconds=bench.effort.seconds, plans=plans)


def tell_goals(loads: dict[str, Load]) -> None:
    """Say which goals are reached."""
    service = loads[SERVICE]
    size = service.received / len(service.times_us)
    ratio = service.rate / loads[TYPED].rate
    show_goal(f"throughput beside {TYPED} (aim {AIMED_RATIO})", ratio, least=LEAST_RATIO)
    show_goal("p99 beside the median at 16 connections", service.p99_ms / service.median_ms, most=MOST_SPREAD)
    thrift = loads[TYPED].cpu_ms() / service.cpu_ms()
    console.print(f"by CPU: {thrift:.2f} of {TYPED}; beside its own statement: {service.rate / loads[OWN].rate:.2f}")
    console.print(f"{size:,.0f} bytes an answer")
