"""Plans in one flat form, so that two of them can be laid side by side part by part, gold or the service's."""

import math
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

SIDES = ("where", "versus", "beside")
NESTED = frozenset({"without", "also"})
"""Filters within filters."""
PARTS = ("kind", "measure", "group_by", "region_kind", "period", "order", "limit", "sequence", "since")
PLAIN = {"measure": "permits", "period": "year", "sequence": "any"}
"""What a part says where it is not written."""
NEEDED = {"share": ("versus",), "compare": ("versus",), "joined": ("beside",)}
OWN_MEASURE = {
    "sum": "value_usd",
    "median": "median_value_usd",
    "mean": "mean_value_usd",
    "density": "permits_per_km2",
    "waiting": "days_to_issue",
}
REGION_KIND = "neighborhood"
"""Of the regions that questions name."""
DEFAULT_RADIUS_M = 500.0
WIDENED_M = (500.0, 2_000.0, 10_000.0)
AT_RADIUS_M = 50.0
AT_MOST_M = 75.0
"""What "at" an address may mean as a circle: the lot and what belongs to it."""
ROUNDING_M = 0.5
EARTH_M = 6_371_008.8

Form = dict[str, Any]
"""Part to value: ``where.category`` to a sorted tuple, ``where.area`` to a circle."""


@dataclass(frozen=True)
class Circle:
    """A circle of a plan: WGS 84 degrees and metres."""

    lat: float
    lng: float
    radius_m: float


@dataclass(frozen=True)
class Spot:
    """A place that a question means, give or take ``within_m``; a radius, or how the circle was said."""

    lat: float
    lng: float
    within_m: float = ROUNDING_M
    radius_m: float | None = None
    said: Literal["radius", "at", "around", "anything"] = "around"

    def holds(self, circle: Circle, *, widened: bool) -> bool:
        """Whether a circle is what was meant; ``widened`` where the service may have had to widen it."""
        if self.within_m < math.inf and measure_m(self.lat, self.lng, circle.lat, circle.lng) > self.within_m:
            return False
        match self.said:
            case "radius":
                return abs(circle.radius_m - (self.radius_m or 0)) <= ROUNDING_M
            case "at":
                return circle.radius_m <= AT_MOST_M
            case "anything":
                return True
        return circle.radius_m in (WIDENED_M if widened else (DEFAULT_RADIUS_M,))


def measure_m(lat: float, lng: float, other_lat: float, other_lng: float) -> float:
    """Measure the metres between two points on the sphere."""
    north, east = math.radians(other_lat - lat), math.radians(other_lng - lng)
    shrunk = math.cos(math.radians(lat)) * math.cos(math.radians(other_lat))
    half = math.sin(north / 2) ** 2 + shrunk * math.sin(east / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(half))


def flatten_plan(plan: Mapping[str, Any], *, city: str) -> Form:
    """Give a plan as the service renders it in the flat form; ``city`` is the one asked, and says nothing."""
    form: Form = {part: str(plan[part]) for part in PARTS if plan.get(part) is not None}
    for part, plain in PLAIN.items():
        if form.get(part) == plain or (part == "measure" and form.get("kind") in OWN_MEASURE):
            form.pop(part, None)
    for side in SIDES:
        if plan.get(side) is not None:
            form |= dict(_flatten_side(side, plan[side], city))
    return form


def _flatten_side(side: str, filters: Mapping[str, Any], city: str) -> Iterator[tuple[str, Any]]:
    for field, value in filters.items():
        name = f"{side}.{field}"
        if field in NESTED and value:
            yield from _flatten_side(name, value, city)
        elif field == "area" and value:
            yield name, Circle(value["lat"], value["lng"], value.get("radius_m", DEFAULT_RADIUS_M))
        elif field == "city" and {str(one).lower() for one in value} <= {city}:
            continue
        elif value not in (None, [], ()):
            yield name, _normalize(field, value)


def _normalize(field: str, value: Any) -> Any:  # noqa: ANN401 - whatever a filter holds
    if field in {"min_value_usd", "max_value_usd"}:
        return float(value)
    if isinstance(value, str | int | float | date):
        return str(value)
    words = (str(one).casefold() for one in value)
    return tuple(sorted(word.rsplit("/", 1)[-1] if field == "region" else word for word in words))


def expand_gold(gold: Mapping[str, Any], spots: Mapping[str, Spot]) -> Form:
    """Give a plan as question files write it in the flat form. Raises :class:`KeyError` for a place that is none."""
    form: Form = {part: str(gold[part]) for part in PARTS if part in gold}
    for side in SIDES:
        form |= dict(_expand_side(side, gold.get(side, {}), spots))
    for part, plain in PLAIN.items():
        if form.get(part) == plain:
            del form[part]
    if form.get("kind") == "list" and "order" not in form:
        form["order"] = "nearest" if "where.area" in form else "newest"
    return form


def _expand_side(side: str, filters: Mapping[str, Any], spots: Mapping[str, Spot]) -> Iterator[tuple[str, Any]]:
    for field, value in filters.items():
        name = f"{side}.{field}"
        if field in NESTED:
            yield from _expand_side(name, value, spots)
        elif field == "place":
            yield f"{side}.area", find_spot(filters, spots)
        elif field in {"issued", "applied"}:
            first, last = read_days(value)
            yield from ((f"{name}_{end}", str(day)) for end, day in (("from", first), ("to", last)) if day)
        elif field not in {"radius_m", "at"}:
            yield name, _normalize(field, (value,) if isinstance(value, str) else value)


def write_plan(form: Form) -> dict[str, Any]:
    """Give a plan in flat form, its places as circles, as a caller of ``/facts`` writes it."""
    plan: dict[str, Any] = {"kind": form["kind"]}
    if form["kind"] in OWN_MEASURE:
        plan["measure"] = OWN_MEASURE[form["kind"]]
    for part, value in form.items():
        *path, name = part.split(".")
        inside = plan
        for step in path:
            inside = inside.setdefault(step, {})
        inside[name] = _write(name, value)
    return {**{side: {} for side in NEEDED.get(form["kind"], ()) if side not in plan}, **plan}


def _write(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a plan holds
    if isinstance(value, Circle):
        return {"lat": value.lat, "lng": value.lng, "radius_m": value.radius_m}
    return [f"{REGION_KIND}/{one}" for one in value] if name == "region" else value


def find_spot(filters: Mapping[str, Any], spots: Mapping[str, Spot]) -> Spot:
    """Give the place that filters of a question file mean."""
    place = filters["place"]
    if place == "any":
        return Spot(0, 0, math.inf, said="anything")
    spot = spots[place] if isinstance(place, str) else Spot(float(place[0]), float(place[1]))
    if "radius_m" in filters:
        return Spot(spot.lat, spot.lng, spot.within_m, float(filters["radius_m"]), "radius")
    return Spot(spot.lat, spot.lng, spot.within_m, said="at" if filters.get("at") else spot.said)


def read_days(text: str) -> tuple[date | None, date | None]:
    """Read "2014", "2014-03", "2014-03-05", or two of them with dots between, as the first and the last day."""
    first, dots, last = text.partition("..")
    return _day(first, last=False), _day(last if dots else first, last=True)


def _day(text: str, *, last: bool) -> date | None:
    if not text:
        return None
    year, month, day = [*map(int, text.split("-")), 0, 0][:3]
    month = month or (12 if last else 1)
    return date(year, month, day or (monthrange(year, month)[1] if last else 1))


def turn(form: Form) -> Form:
    """Give a comparison, or a pair at one address, with its sides exchanged."""
    other = "beside" if form["kind"] == "joined" else "versus"
    names = {"where": other, other: "where"}
    return {_rename(part, names): value for part, value in form.items()}


def _rename(part: str, names: Mapping[str, str]) -> str:
    side, dot, rest = part.partition(".")
    return f"{names.get(side, side)}{dot}{rest}"


def find_differences(gold: Form, plan: Form) -> tuple[str, ...]:
    """Name the parts in which a plan is not what gold says, the sides of a comparison in either order."""
    straight = _differ(gold, plan)
    may_turn = gold.get("kind") in {"compare", "joined"} and "sequence" not in gold
    if not straight or not may_turn or plan.get("kind") != gold.get("kind"):
        return straight
    return min(straight, _differ(turn(gold), plan), key=len)


def _differ(gold: Form, plan: Form) -> tuple[str, ...]:
    parts = [part for part in sorted({*gold, *plan}) if part != "limit" or part in gold]
    return tuple(part for part in parts if not _agree(part, gold, plan))


def _agree(part: str, gold: Form, plan: Form) -> bool:
    meant, given = gold.get(part), plan.get(part)
    if isinstance(meant, Spot) and isinstance(given, Circle):
        return meant.holds(given, widened=gold.get("order") == "nearest")
    if part == "limit":
        return str(given or 5) == str(meant)
    return bool(meant == given)


def settle(gold: Form) -> Form:
    """Give a gold plan with a circle for each of its places, as wide as the service would make it by itself."""
    return {part: draw_circle(value) if isinstance(value, Spot) else value for part, value in gold.items()}


def draw_circle(spot: Spot) -> Circle:
    """Give the circle that a place stands for."""
    default_m = AT_RADIUS_M if spot.said == "at" else DEFAULT_RADIUS_M
    return Circle(spot.lat, spot.lng, spot.radius_m or default_m)
