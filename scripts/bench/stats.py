"""Stats over the whole city: every key and measure from summaries, and what no summary answers within its timeout."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from itertools import product
from statistics import median

from rich.progress import track
from rich.table import Table

from scripts.bench.bench import Bench
from scripts.bench.figures import centile, console, skip, tell_goal, time_calls
from scripts.bench.places import Filter, Places, Point, in_year
from scripts.bench.service import Service, address

PATH = "/permits/stats"
SUMMARY_MOST_MS = 100.0
TIMEOUT_MS = 2_000.0
ROUNDING_MS = 200.0
"""What an answer may take beyond the statement's timeout."""
PER_AREA = "permits_per_km2"
AREAS = {"region", "zip", "district"}
FIRST = 3
OTHER_EXECUTIONS = 2


def measure(bench: Bench) -> None:
    """Measure both kinds of filter, and print a table of each."""
    if not bench.service.offers(PATH):
        skip("stats", f"the service has no {PATH}")
        return
    groups = choose_groups(bench)
    summaries = time_filters(
        bench, groups, choose_summary_filters(bench.places), measured=max(bench.effort.executions // 4, 1)
    )
    show("stats from summaries, the slowest measure: median ms", summaries, most_ms=SUMMARY_MOST_MS)
    others = time_filters(bench, groups, choose_other_filters(bench), measured=OTHER_EXECUTIONS)
    show("stats by other filters, the slowest measure: ms", others, most_ms=TIMEOUT_MS + ROUNDING_MS)


def choose_groups(bench: Bench) -> dict[str, Filter]:
    """Give by key what is said to group by it; regions have a kind, and are left out where none is loaded."""
    groups: dict[str, Filter] = {key: {"group_by": key} for key in bench.service.words(PATH, "group_by")}
    kinds = bench.register.region_kinds(bench.register.answering)
    if "region" in groups and kinds:
        groups["region"] |= {"kind": kinds[0]}
    elif groups.pop("region", None):
        skip("stats by region", "the register has no regions, and the sample generator draws none")
    return {key: group for key, group in groups.items() if answers(bench.service, group)}


def choose_summary_filters(places: Places) -> dict[str, Filter]:
    """Choose closed words and whole months."""
    category, year = places.count("unnest(categories)")[0], places.find_year()
    words = {
        "category": {"category": category},
        "status": {"status": places.count("status_current_mapped")[0]},
        "class": {"permit_class": places.count("permit_class_mapped")[0]},
        "type": {"permit_type": places.count("permit_type_mapped")[0]},
    }
    months = {"issued_from": f"{year - 1}-03-01", "issued_to": f"{year}-08-31"}
    together = {name: word for filter_ in words.values() for name, word in filter_.items()}
    return {"none": {}, **words, "months": months, "all these": {**together, **months}}


def choose_other_filters(bench: Bench) -> dict[str, Filter]:
    """Choose filters that no summary of closed words and months can answer, by name."""
    places, year = bench.places, bench.places.find_year()
    circle = {"lat": str(bench.points[0].lat), "lng": str(bench.points[0].lng), "radius_m": "5000"}
    filters = {
        "text": {"q": places.count_words()[0]},
        "zip": {"zip": str(places.count("original_zip")[0])},
        "value": {"min_value_usd": "5000"},
        "days": {"issued_from": f"{year - 5}-03-02", "issued_to": f"{year}-08-30"},
        "work class": {"work_class": str(places.count("work_class")[0])},
        "circle of 5 km": circle,
        "box of 5 km": {"bbox": box_around(bench.points[0])},
        "category, year": {"category": str(places.count("unnest(categories)")[0]), **in_year(year)} | circle,
    }
    offered = bench.service.parameters(PATH)
    return {name: filter_ for name, filter_ in filters.items() if filter_.keys() <= offered.keys()}


def box_around(point: Point) -> str:
    """Give a box of some five kilometres a side around a point, at the latitude of Austin."""
    west, south, east, north = point.lng - 0.026, point.lat - 0.022, point.lng + 0.026, point.lat + 0.022
    return f"{west:.6f},{south:.6f},{east:.6f},{north:.6f}"


def time_filters(
    bench: Bench, groups: Mapping[str, Filter], filters: Mapping[str, Filter], *, measured: int
) -> dict[str, dict[str, float | str]]:
    """Give for each key and filter the milliseconds of the slowest measure, or what else the service answered."""
    measures = bench.service.words(PATH, "measure") or [""]
    found: dict[str, dict[str, float | str]] = {key: {} for key in groups}
    combinations = list(product(groups.items(), filters.items()))
    for (key, group), (name, filter_) in track(combinations, "stats", console=console, transient=True):
        asked = [
            address(PATH, {**group, **({"measure": word} if word else {}), **filter_})
            for word in measures
            if is_measured(word, key, filter_)
        ]
        found[key][name] = find_slowest([time_path(bench.service, path, measured=measured) for path in asked])
    return found


def is_measured(measure: str, key: str, filter_: Filter) -> bool:
    """Whether a measure can be asked for: one by area wants an area, or groups that are areas."""
    return measure != PER_AREA or key in AREAS or not filter_.keys().isdisjoint({"lat", "bbox"})


def answers(service: Service, group: Filter) -> bool:
    """Whether the service groups so; where it wants more said, that is left out with its word."""
    reply = service.ask(address(PATH, group))
    if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        skip(f"stats by {group['group_by']}", reply.body[:200].decode(errors="replace"))
    return reply.status != HTTPStatus.UNPROCESSABLE_ENTITY


def time_path(service: Service, path: str, *, measured: int) -> float | str:
    """Give the median milliseconds of a question, or the status that it is answered with instead."""
    status = service.ask(path).status
    if status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
        return str(status)
    times = time_calls(partial(service.ask, path), first=FIRST if measured > OTHER_EXECUTIONS else 0, measured=measured)
    return median(times) if status == HTTPStatus.OK else f"503 in {centile(times, 99):.0f}"


def find_slowest(answers: list[float | str]) -> float | str:
    """Give the longest time, or else a word that is no time."""
    words = [answer for answer in answers if isinstance(answer, str)]
    times = [answer for answer in answers if isinstance(answer, float)]
    return words[0] if words else max(times)


def show(title: str, found: Mapping[str, Mapping[str, float | str]], *, most_ms: float) -> None:
    """Print a key a row and a filter a column, and say how many are beyond the bound."""
    if not any(found.values()):
        skip(title, "the service declares no key or no such filter")
        return
    filters = list(next(iter(found.values())))
    table = Table("group_by", *filters, title=title, title_justify="left")
    for key, cells in found.items():
        table.add_row(key, *(mark(cell, most_ms) for cell in cells.values()))
    console.print(table)
    beyond = sum(not is_bounded(cell, most_ms) for cells in found.values() for cell in cells.values())
    tell_goal(not beyond, f"{beyond} beyond {most_ms:g} ms")


def is_bounded(answer: float | str, most_ms: float) -> bool:
    """Whether an answer came in time: a refusal that took its time is in time, another status never."""
    return answer <= most_ms if isinstance(answer, float) else answer.startswith("503")


def mark(answer: float | str, most_ms: float) -> str:
    """Show an answer, marked where it is beyond the bound."""
    told = answer if isinstance(answer, str) else f"{answer:.0f}"
    return told if is_bounded(answer, most_ms) else f"[red]{told} ![/red]"
