"""What a caller asks of statistics, and series without gaps: each period between the ends, and which is partial."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import RefusedQuery, UnknownWord
from app.permits.cursor import NO_CONTROLS
from app.permits.figures import number_month
from app.permits.filters import RADIUS_DEFAULT_M, RADIUS_MAX_M, Area, Latitude, Longitude, PermitFilter
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
    measure_circle,
    measure_regions,
)

Measure = Literal[
    "permits",
    "value_usd_sum",
    "value_usd_mean",
    "value_usd_median",
    "days_to_issue_median",
    "permits_per_km2",
]
MEDIANS: tuple[MedianName, ...] = get_args(MedianName)


def _as_sequence(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _in_order(values: tuple[Measure, ...]) -> tuple[Measure, ...]:
    return tuple(sorted(set(values)))


Measures = Annotated[
    tuple[Measure, ...], Field(min_length=1, max_length=10), BeforeValidator(_as_sequence), AfterValidator(_in_order)
]


class StatsQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits to count, by what, and what to measure; with ``lat`` and ``lng`` those of a circle."""

    group_by: GroupKey | None = Field(default=None, description="one figure for each; without it one for all")
    kind: str | None = Field(
        default=None, min_length=1, max_length=100, pattern=NO_CONTROLS, description="of region, e.g. neighborhood"
    )
    measure: Measures = Field(default=("permits",), description="what to measure; may be repeated")
    lat: Latitude | None = Field(default=None, description="latitude of a circle's middle, degrees north")
    lng: Longitude | None = Field(default=None, description="longitude of a circle's middle, degrees east")
    radius_m: float | None = Field(
        default=None, gt=0, le=RADIUS_MAX_M, allow_inf_nan=False, description="metres; 500 where lat and lng are given"
    )

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        if (self.lat is None) != (self.lng is None):
            raise ValueError("lat and lng belong together")
        if self.radius_m is not None and self.lat is None:
            raise ValueError("radius_m needs lat and lng")
        if (self.kind is not None) != (self.group_by == "region"):
            raise ValueError("kind belongs to group_by=region, which needs it")
        if "permits_per_km2" in self.measure and self.lat is None and self.group_by != "region":
            raise ValueError("permits_per_km2 needs an area: a circle or group_by=region")
        return self

    @property
    def area(self) -> Area | None:
        """The circle asked about."""
        if self.lat is None or self.lng is None:
            return None
        return Area(lat=self.lat, lng=self.lng, radius_m=self.radius_m or RADIUS_DEFAULT_M)


@dataclass(frozen=True)
class Statistics:
    """The figures of a query: of all its permits together, and of its groups in order.

    ``km2`` are areas by key, in square kilometres on the spheroid; that of a circle has the key None. ``through`` is
    the last day that the data reach.
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
    asked = Asked(query, query.area, medians=frozenset(name for name in MEDIANS if name in query.measure))
    kind = choose_kind(query, register, cities)
    grouping = Grouping(query.group_by, kind) if query.group_by else None
    total, groups = await find_statistics(session, register, asked, grouping)
    km2: dict[str | None, float] = {}
    if query.group_by == "region":
        km2.update(await measure_regions(session, cities, kind or ""))
        groups = fill_named(groups, sorted(filter(None, km2)))
    elif query.area is not None:
        km2 = {None: await measure_circle(session, query.area)}
    if query.group_by in MONTHS_IN:
        groups = fill_series(groups, query, await find_ends(session, cities))
    return Statistics(total, groups, km2, find_through(register, cities))


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
