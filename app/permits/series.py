"""What a caller asks of statistics, and series without gaps: each period between the ends, and which is partial."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import RefusedQuery, UnknownWord
from app.permits.areas import BoxText, Polygon, name_wrong_rings, read_polygon
from app.permits.cursor import NO_CONTROLS
from app.permits.extent import measure_box, measure_circle, measure_polygon, measure_regions, measure_together
from app.permits.figures import number_month
from app.permits.filters import RADIUS_DEFAULT_M, Area, Latitude, Longitude, PermitFilter, Radius
from app.permits.medians import MedianName
from app.permits.register import Register
from app.permits.stats import (
    MONTHS_IN,
    Asked,
    Group,
    Grouping,
    GroupKey,
    Total,
    find_ends,
    find_statistics,
)
from app.permits.words import DISTRICT_KIND, ZIP_KIND, read_district

Measure = Literal[
    "permits",
    "value_usd_sum",
    "value_usd_mean",
    "value_usd_median",
    "days_to_issue_median",
    "permits_per_km2",
]
KINDS: dict[GroupKey | None, str | None] = {"region": None, "zip": ZIP_KIND, "district": DISTRICT_KIND}
"""By groups that are areas: the kind of their polygons; that of a region is the one asked for."""
MEDIANS: tuple[MedianName, ...] = get_args(MedianName)


def _as_sequence(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _in_order(values: tuple[Measure, ...]) -> tuple[Measure, ...]:
    return tuple(sorted(set(values)))


Measures = Annotated[
    tuple[Measure, ...], Field(min_length=1, max_length=10), BeforeValidator(_as_sequence), AfterValidator(_in_order)
]


class StatsQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits to count, by what, and what to measure; with ``lat`` and ``lng``, or ``bbox``, those of an area.

    ``permits_per_km2`` is told where the size is known: of the one area asked for, be it a circle, a box, a polygon or
    regions, and of the groups that are areas themselves and are counted whole.
    """

    group_by: GroupKey | None = Field(default=None, description="one figure for each; without it one for all")
    kind: str | None = Field(
        default=None, min_length=1, max_length=100, pattern=NO_CONTROLS, description="of region, e.g. neighborhood"
    )
    measure: Measures = Field(default=("permits",), description="what to measure; may be repeated")
    bbox: BoxText = Field(default=None, description="west,south,east,north; west beyond east crosses the antimeridian")
    lat: Latitude | None = Field(default=None, description="latitude of a circle's middle, degrees north")
    lng: Longitude | None = Field(default=None, description="longitude of a circle's middle, degrees east")
    radius_m: Radius | None = Field(default=None, description="metres; 500 where lat and lng are given")

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        if (self.lat is None) != (self.lng is None):
            raise ValueError("lat and lng belong together")
        if self.radius_m is not None and self.lat is None:
            raise ValueError("radius_m needs lat and lng")
        if (self.kind is not None) != (self.group_by == "region"):
            raise ValueError("kind belongs to group_by=region, which needs it")
        if "permits_per_km2" in self.measure and len(self.list_areas()) != 1 and self.group_by not in KINDS:
            raise ValueError("permits_per_km2 needs one area, or groups that are areas: region, zip or district")
        return self

    def list_areas(self) -> list[Area | str | Polygon | tuple[str, ...]]:
        """List the areas asked about, all of which a permit must lie in: the circle, the box, the regions."""
        areas = (self.area, self.bbox, self.region)
        return [area for area in areas if area]

    @property
    def area(self) -> Area | None:
        """The circle asked about."""
        if self.lat is None or self.lng is None:
            return None
        return Area(lat=self.lat, lng=self.lng, radius_m=self.radius_m or RADIUS_DEFAULT_M)


class StatsSearch(StatsQuery, frozen=True, extra="forbid"):
    """Which permits to count inside a polygon, by what, and what to measure."""

    polygon: Polygon | None = Field(default=None, description="GeoJSON, counter-clockwise")

    def list_areas(self) -> list[Area | str | Polygon | tuple[str, ...]]:
        """List the areas asked about, the polygon too."""
        return [*super().list_areas(), *([self.polygon] if self.polygon else [])]

    @property
    def notes(self) -> list[str]:
        """What is odd about the polygon, and how it was read."""
        return name_wrong_rings(read_polygon(self.polygon)) if self.polygon else []


@dataclass(frozen=True)
class Statistics:
    """The figures of a query: of all its permits together, and of its groups in order.

    ``km2`` are areas by key, in square kilometres on the spheroid, as far as they are known; that of the area asked for
    has the key None. ``through`` is the last day that the data reach.
    """

    total: Total
    groups: list[Group]
    km2: dict[str | None, float]
    through: date | None


def choose_kind(query: StatsQuery, register: Register, cities: tuple[str, ...]) -> str | None:
    """Give the kind of region asked for. Raises :class:`UnknownWord` for one that is not loaded."""
    if query.kind is None:
        return None
    kinds = register.region_kinds(cities)
    if query.kind.casefold() not in kinds:
        raise UnknownWord("kind", query.kind, kinds)
    return query.kind.casefold()


async def gather_statistics(session: AsyncSession, register: Register, query: StatsQuery) -> Statistics:
    """Compute the statistics of a query on the session's snapshot.

    Raises :class:`UnknownWord`, :class:`NoSuchCity`, and :class:`RefusedQuery` where groups of several cities would
    have the same names.
    """
    cities = register.choose_cities(query.city)
    if query.group_by in {"district", "region"} and len(cities) > 1:
        raise RefusedQuery(f"a {query.group_by} belongs to a city; name one of {', '.join(cities)}")
    medians = frozenset(name for name in MEDIANS if name in query.measure)
    polygon = query.polygon if isinstance(query, StatsSearch) else None
    asked = Asked(query, query.area, query.bbox, polygon, medians)
    kind = choose_kind(query, register, cities)
    grouping = Grouping(query.group_by, kind) if query.group_by else None
    total, groups = await find_statistics(session, register, asked, grouping)
    if query.group_by == "region":
        groups = fill_named(groups, sorted({name for name, _ in list_regions(register, cities, kind or "")}))
    if query.group_by in MONTHS_IN:
        groups = fill_series(groups, query, await find_ends(session, cities))
    km2 = await measure_areas(session, register, query, kind) if "permits_per_km2" in query.measure else {}
    return Statistics(total, groups, km2, find_through(register, cities))


def list_regions(register: Register, cities: Iterable[str], kind: str) -> list[tuple[str, int]]:
    """List the names and the numbers of the regions of a kind."""
    known = register.regions.values()
    return [(region.name, region.region) for region in known if region.kind == kind and region.city in cities]


async def measure_areas(
    session: AsyncSession, register: Register, query: StatsQuery, kind: str | None
) -> dict[str | None, float]:
    """Measure the one area that is asked for, by the key None, and those of groups that are areas, by their keys."""
    cities = register.choose_cities(query.city)
    numbers = sorted({register.find_region(word, cities).region for word in query.region})
    areas = query.list_areas()
    km2: dict[str | None, float] = {}
    if len(areas) == 1:
        km2[None] = await measure_area(session, areas[0], numbers)
    if query.group_by in KINDS and not [area for area in areas if area != query.region]:
        kept = {name for name, number in list_regions(register, cities, kind or "") if number in numbers}
        measured = await measure_regions(session, cities, KINDS[query.group_by] or kind or "")
        km2 |= {
            read_district(name) if query.group_by == "district" else name: size
            for name, size in measured.items()
            # Of a group that a region's border cuts, what was counted is not all of it.
            if not numbers or (query.group_by == "region" and name in kept)
        }
    return km2


async def measure_area(
    session: AsyncSession, area: Area | str | Polygon | tuple[str, ...], numbers: Sequence[int]
) -> float:
    """Give the size of a circle, a box, a polygon, or the regions of these numbers."""
    if isinstance(area, Area):
        return await measure_circle(session, area)
    if isinstance(area, Polygon):
        return measure_polygon(area)
    return measure_box(area) if isinstance(area, str) else await measure_together(session, numbers)


def fill_named(groups: list[Group], names: Iterable[str]) -> list[Group]:
    """Give every name in order, those without a permit as zero, then what states none."""
    found = {group.key: group for group in groups}
    filled = [found.get(name) or zero(name) for name in names]
    return filled + [group for group in groups if group.key is None]


def zero(key: str | int) -> Group:
    """Give the group in which there is no permit."""
    return Group(permits=0, priced=0, value_usd=Decimal(0), key=key)


def fill_series(groups: list[Group], query: StatsQuery, ends: tuple[int, int] | None) -> list[Group]:
    """Give every period between the ends asked for, or else the register's, and permits without a date of issue last.

    ``ends`` are the register's first and last month of issue.
    """
    size = MONTHS_IN[query.group_by]  # type: ignore[index]
    first = number_month(query.issued_from) if query.issued_from else ends[0] if ends else None
    last = number_month(query.issued_to) if query.issued_to else ends[1] if ends else None
    found = {group.key: group for group in groups}
    filled = []
    if first is not None and last is not None:
        filled = [found.get(key) or zero(key) for key in range(first // size, last // size + 1)]
    return filled + [group for group in groups if group.key is None]


def bound_period(key: int, by: str) -> tuple[date, date]:
    """Give the first and the last day of a year, a quarter or a month."""
    size = MONTHS_IN[by]  # type: ignore[index]
    first, following = key * size, (key + 1) * size
    return (
        date(first // 12, first % 12 + 1, 1),
        date(following // 12, following % 12 + 1, 1) - timedelta(days=1),
    )


def name_period(key: int, by: str) -> str:
    """Name a period as ISO 8601 does, a quarter by its number: 2014, 2014-Q1, 2014-01."""
    first, _ = bound_period(key, by)
    names = {"year": f"{first:%Y}", "quarter": f"{first:%Y}-Q{first.month // 3 + 1}", "month": f"{first:%Y-%m}"}
    return names[by]


def is_partial(period: tuple[date, date], query: PermitFilter, through: date | None) -> bool:
    """Tell whether the data, or the days asked for, hold only a part of a period."""
    first, last = period
    return (
        (through is None or last > through)
        or (query.issued_from is not None and query.issued_from > first)
        or (query.issued_to is not None and query.issued_to < last)
    )


def find_through(register: Register, cities: Iterable[str]) -> date | None:
    """Give the last day to which the data of every city reach."""
    through = [register.cities[name].data_through for name in cities]
    return min((day for day in through if day is not None), default=None)
