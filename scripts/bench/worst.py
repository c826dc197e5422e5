"""The worst cases of near: every radius, limit and filter at several origins, one caller, after twenty executions."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import groupby, product
from operator import attrgetter
from statistics import median
from time import perf_counter

from rich.progress import track
from rich.table import Table

from app.permits.near import NearQuery
from scripts.bench.bench import Bench
from scripts.bench.figures import centile, console, skip, tell_goal, time_calls
from scripts.bench.near import PATH
from scripts.bench.places import Filter, Point
from scripts.bench.service import address
from scripts.bench.statements import explain_own

RADII_M = (500, 2_000, 10_000)
LIMITS = (100, 1_000)
FIRST = 20
"""Executions before any is measured: a prepared statement may turn generic, and did from the eleventh on."""
HOPELESS_MS = 2_000.0
MEDIAN_MOST_MS = 150.0
P99_MOST_MS = 400.0
SHOWN = 10


@dataclass(frozen=True)
class Case:
    """One combination."""

    filter: str
    parameters: Filter
    radius_m: int
    limit: int
    origin: str
    point: Point

    @property
    def query(self) -> dict[str, object]:
        """The whole query."""
        return self.point.parameters(radius_m=self.radius_m, limit=self.limit, **self.parameters)


@dataclass(frozen=True)
class Times:
    """A combination's milliseconds, and whether they stay within the bounds; one that is not answered does not."""

    case: Case
    median_ms: float
    p99_ms: float
    status: int = HTTPStatus.OK

    @property
    def is_bounded(self) -> bool:
        """Whether both figures are within their goals."""
        in_time = self.median_ms <= MEDIAN_MOST_MS and self.p99_ms <= P99_MOST_MS
        return in_time and self.status == HTTPStatus.OK

    def __str__(self) -> str:
        """Show both figures, marked where they are too large."""
        refused = "" if self.status == HTTPStatus.OK else f"{self.status} in "
        told = f"{refused}{self.median_ms:.0f} / {self.p99_ms:.0f}"
        return told if self.is_bounded else f"[red]{told} ![/red]"


def measure(bench: Bench) -> None:
    """Measure every combination, print them filter by filter, and the slowest again."""
    measured: list[Times] = []
    for name, cases in groupby(list_cases(bench), attrgetter("filter")):
        of_filter = [time_case(bench, case) for case in track(list(cases), name, console=console, transient=True)]
        show_matrix(name, of_filter)
        measured += of_filter
    slowest = sorted(measured, key=lambda times: times.median_ms, reverse=True)[:SHOWN]
    show_slowest(slowest)
    beyond = sum(not times.is_bounded for times in measured)
    bounds = f"{MEDIAN_MOST_MS:g} ms median, {P99_MOST_MS:g} ms p99"
    tell_goal(not beyond, f"{beyond} of {len(measured)} combinations are beyond {bounds}")
    if bench.effort.explain:
        explain(bench, slowest[0].case)


def list_cases(bench: Bench) -> Iterator[Case]:
    """List the combinations that the service can be asked."""
    offered = bench.service.parameters(PATH)
    filters = bench.places.choose_filters()
    origins = {
        "random": bench.points[0],
        "another": bench.points[1],
        "densest": bench.places.find_cell(densest=True),
        "emptiest": bench.places.find_cell(densest=False),
    }
    for name, parameters in filters.items():
        unknown = [parameter for parameter in parameters if parameter not in offered]
        if unknown:
            skip(f"worst, {name}", f"near has no {', '.join(unknown)}")
            continue
        for radius_m, limit, (origin, point) in product(RADII_M, LIMITS, origins.items()):
            yield Case(name, parameters, radius_m, limit, origin, point)


def time_case(bench: Bench, case: Case) -> Times:
    """Ask a combination again and again, or only once where that took far too long."""
    path = address(PATH, case.query)
    began = perf_counter()
    status = bench.service.ask(path).status
    once_ms = (perf_counter() - began) * 1000
    if once_ms > HOPELESS_MS:
        return Times(case, once_ms, once_ms, status)
    times = time_calls(partial(bench.service.ask, path), first=FIRST - 1, measured=bench.effort.executions)
    return Times(case, median(times), centile(times, 99), status)


def show_matrix(name: str, measured: list[Times]) -> None:
    """Print a filter's combinations, an origin a column."""
    origins = list(dict.fromkeys(times.case.origin for times in measured))
    title = f"{name}: median / p99 ms"
    table = Table("radius m", "limit", *origins, title=title, title_justify="left")
    rows: dict[tuple[int, int], list[str]] = {}
    for times in measured:
        rows.setdefault((times.case.radius_m, times.case.limit), []).append(str(times))
    for (radius_m, limit), cells in rows.items():
        table.add_row(f"{radius_m:,}", f"{limit:,}", *cells)
    console.print(table)


def show_slowest(slowest: list[Times]) -> None:
    """Print the slowest, the worst first."""
    table = Table("median / p99 ms", "filter", "radius m", "limit", "origin", title="the slowest", title_justify="left")
    for times in slowest:
        case = times.case
        table.add_row(str(times), case.filter, f"{case.radius_m:,}", f"{case.limit:,}", case.origin)
    console.print(table)


def explain(bench: Bench, case: Case) -> None:
    """Print the plan of a combination's statement."""
    query = NearQuery.model_validate(case.query)
    console.print(f"{case.filter}, {case.radius_m:,} m, limit {case.limit:,}, {case.origin}:")
    console.print(explain_own(bench.connection, bench.register, query), markup=False, soft_wrap=True)
