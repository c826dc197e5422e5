"""Answers that a caller has already: 304 beside full ones, the same requests with and without their tags."""

from functools import partial
from http import HTTPStatus

from scripts.bench import wrk
from scripts.bench.bench import Bench
from scripts.bench.figures import show_goal, show_loads, skip, take_turns
from scripts.bench.near import CONNECTIONS, near_path

PATHS_MAX = 200
LEAST_RATIO = 5.0
FULL, SAME = "full answers", "304 answers"


def measure(bench: Bench) -> None:
    """Measure both in turns, and print them."""
    if not wrk.is_installed():
        skip("cached", wrk.MISSING)
        return
    paths = [near_path(point) for point in bench.points[:PATHS_MAX]]
    tags = [bench.service.get(path).headers.get("etag", "") for path in paths]
    if not all(tags):
        skip("cached", "the service sends no ETag")
        return
    same = bench.service.ask(paths[0], {"If-None-Match": tags[0]})
    if same.status != HTTPStatus.NOT_MODIFIED:
        skip("cached", f"the service answers its own tag by {same.status}")
        return
    load = partial(
        wrk.run, bench.service.base, paths, bench.meter, connections=CONNECTIONS, seconds=bench.effort.seconds
    )
    loads = take_turns({FULL: load, SAME: partial(load, tags=tags)}, rounds=bench.effort.rounds)
    show_loads(f"near, {len(paths)} addresses asked again and again", loads, against=FULL)
    show_goal("304 beside full answers", loads[SAME].rate / loads[FULL].rate, least=LEAST_RATIO)
