"""Counts, sums, means and medians over permits: in total and by group. The database counts; nothing is sampled.

Where a filter asks for closed words and whole months, figures come from cells (:mod:`app.permits.figures`), else from
the permits themselves; both give the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    Numeric,
    and_,
    cast,
    extract,
    func,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

from app.permits.features import AnySelect
from app.permits.figures import NO_MONTH, CellQuery, find_months, know, move_to
from app.permits.filters import Area, PermitFilter, bind_filter, join_clauses
from app.permits.near import geography_point, within
from app.permits.register import Register
from app.permits.tables import SUMS, permits, regions, stats_months, stats_places, stats_words

WordKey = Literal["category", "status", "permit_type", "permit_class", "work_class"]
PlaceKey = Literal["zip", "district", "region"]
TimeKey = Literal["year", "quarter", "month"]
GroupKey = Literal[WordKey, PlaceKey, TimeKey]
MONTHS_IN: dict[TimeKey, int] = {"year": 12, "quarter": 3, "month": 1}
WORDS: dict[str, ColumnElement[Any]] = {
    "status": func.coalesce(permits.c.status_current_mapped, permits.c.status_current),
    "permit_type": func.coalesce(permits.c.permit_type_mapped, permits.c.permit_type),
    "permit_class": func.coalesce(permits.c.permit_class_mapped, permits.c.permit_class),
    "work_class": permits.c.work_class,
    "zip": permits.c.zip,
    "district": permits.c.district,
}
"""By group: what permits of one have in common, the mapped word, or else the city's own."""
COST = permits.c.est_project_cost_usd
WAITED = permits.c.issued_date - permits.c.applied_date
MONTH = func.coalesce(
    12 * extract("year", permits.c.issued_date) + extract("month", permits.c.issued_date) - 1, NO_MONTH
).cast(Integer)


@dataclass(frozen=True)
class Grouping:
    """By what permits are grouped; a region has a ``kind``. Several categories or regions count a permit in each."""

    by: GroupKey
    kind: str | None = None


@dataclass(frozen=True)
class Total:
    """How many permits, how many of them state an estimated cost, and the sum of those costs in US dollars.

    ``timed`` is how many state the days of application and of issue. The medians, of costs in US dollars and of the
    days between, are None where nothing states one or where they were not asked for.
    """

    permits: int
    priced: int
    value_usd: Decimal
    timed: int = 0
    value_usd_median: Decimal | None = None
    days_to_issue_median: float | None = None

    @property
    def value_usd_mean(self) -> Decimal | None:
        """The mean of the stated costs, to the cent."""
        return round(self.value_usd / self.priced, 2) if self.priced else None


@dataclass(frozen=True)
class Group(Total):
    """A total, and what its permits have in common; ``key`` is None where they state nothing.

    A year is its number, a quarter four times the year plus 0 to 3, a month twelve times the year plus 0 to 11.
    """

    key: str | int | None = field(kw_only=True)


@dataclass(frozen=True)
class Asked:
    """Which permits, whether both medians are wanted too, and whether rows are to be read though cells would do."""

    wanted: PermitFilter
    area: Area | None = None
    medians: bool = False
    from_rows: bool = False

    @property
    def by_cells(self) -> bool:
        """Whether cells can answer."""
        return not self.from_rows and self.area is None and know(self.wanted)


def select_figures(asked: Asked, register: Register, grouping: Grouping | None) -> AnySelect:
    """Select the figures of each group, or of all together, with the columns of :class:`Group`.

    Raises :class:`UnknownWord` and :class:`NoSuchCity`.
    """
    if not asked.by_cells:
        return select_from_rows(asked, register, grouping)
    return select_from_cells(asked, register, grouping)


def select_from_rows(asked: Asked, register: Register, grouping: Grouping | None) -> AnySelect:
    """Select figures by reading permits."""
    figures = [
        func.count().label("permits"),
        func.count(COST).label("priced"),
        func.coalesce(func.sum(COST), 0).label("value_usd"),
        func.count(WAITED).label("timed"),
        *([_median(COST).label("value_usd_median")] if asked.medians else []),
        *([_middle(WAITED).label("days_to_issue_median")] if asked.medians else []),
    ]
    statement = _choose(select(*figures).select_from(permits), asked, register)
    if grouping is None:
        return statement
    if grouping.by == "category":
        names = _take_apart(permits.c.categories, "names")
        return _by(statement.outerjoin(names, true()), names.c.one)
    if grouping.by == "region":
        joined = and_(regions.c.region == func.any(permits.c.regions), regions.c.kind == (grouping.kind or ""))
        return _by(statement.outerjoin(regions, joined), regions.c.name)
    return _by(statement, _key_of_month(MONTH, grouping.by) if grouping.by in MONTHS_IN else WORDS[grouping.by])


def _choose(statement: AnySelect, asked: Asked, register: Register) -> AnySelect:
    """Leave the permits that are asked about."""
    values = bind_filter(asked.wanted, register)
    chosen = statement.where(*join_clauses(frozenset(values)), *([within(asked.area)] if asked.area else []))
    return chosen.params(values)


def _by(statement: AnySelect, key: ColumnElement[Any]) -> AnySelect:
    return statement.add_columns(key.label("key")).group_by("key")


def _take_apart(values: ColumnElement[Any], name: str) -> TableValuedAlias:
    """Give an array as rows, its elements as the column ``one``."""
    return func.unnest(values).table_valued("one").render_derived(name=name)


def _key_of_month(month: ColumnElement[int], by: str) -> ColumnElement[int]:
    """Give the number of a month's year, quarter or month; none of no month."""
    return func.nullif(month, NO_MONTH, type_=Integer) // MONTHS_IN[by]  # type: ignore[index, no-any-return]


def _middle(values: ColumnElement[Any]) -> ColumnElement[float]:
    """Give the median, midway between the two middle ones of an even number."""
    return func.percentile_cont(0.5).within_group(cast(values, Double))


def _median(values: ColumnElement[Any]) -> ColumnElement[Decimal]:
    # Floats hold every cent below 10^13 dollars, and midway between two of them is rounded to the cent again.
    return func.round(cast(_middle(values), Numeric), 2)


def select_from_cells(asked: Asked, register: Register, grouping: Grouping | None) -> AnySelect:
    """Select figures from cells: sums, with the medians, where they are wanted, from a second statement beside it."""
    names = frozenset(values := bind_filter(asked.wanted, register))
    sums = _select_sums(_cells_of(asked, names, grouping, sets=False), grouping)
    if not asked.medians:
        return sums.params(values)
    medians = _select_medians(_cells_of(asked, names, grouping, sets=True), grouping)
    return _join_medians(sums, medians, grouping).params(values)


def _cells_of(asked: Asked, names: frozenset[str], grouping: Grouping | None, *, sets: bool) -> CellQuery:
    months = find_months(asked.wanted)
    assert months is not None
    column = _column_of(grouping) if grouping else None
    return CellQuery(
        names - {"issued_from", "issued_to"},
        months,
        placed=column == "place",
        worded=column == "words",
        monthly=grouping is not None and grouping.by in {"quarter", "month"},
        sets=sets,
    )


def _select_sums(query: CellQuery, grouping: Grouping | None) -> AnySelect:
    """Sum by the cell's own column first: of millions of permits that leaves hundreds of sums to be named."""
    cells = query.select()
    figures = [_sum_up(cells.c[name]) for name in SUMS]
    if grouping is None:
        return select(*figures)
    column = cells.c[_column_of(grouping)]
    summed = select(column, *figures).group_by(column).subquery("summed")
    again = [_sum_up(summed.c[name]) for name in SUMS]
    return _name_groups(select(*again).select_from(summed), summed.c[column.name], grouping)


def _sum_up(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Sum a figure of cells: the costs exactly, the others as whole numbers."""
    total = func.coalesce(func.sum(column), 0)
    return (total if column.name == "value_usd" else cast(total, BigInteger)).label(column.name)


def _select_medians(query: CellQuery, grouping: Grouping | None) -> list[AnySelect]:
    """Select the medians of the costs and of the days that cells hold one by one."""
    cells = query.select()
    found: list[AnySelect] = []
    for name, median, sets in (
        ("value_usd_median", _median, cells.c.values_usd),
        ("days_to_issue_median", _middle, cells.c.days),
    ):
        single = _take_apart(sets, "singles")
        statement = select(median(single.c.one).label(name)).select_from(cells).join(single, true())
        if grouping:
            statement = _name_groups(statement, cells.c[_column_of(grouping)], grouping)
        found.append(statement)
    return found


def _column_of(grouping: Grouping) -> str:
    if grouping.by in MONTHS_IN:
        return "month"
    return "place" if grouping.by in {"zip", "district", "region"} else "words"


def _name_groups(statement: AnySelect, column: ColumnElement[Any], grouping: Grouping) -> AnySelect:
    """Group cells by the key that their column stands for."""
    if grouping.by in MONTHS_IN:
        return _by(statement, _key_of_month(column, grouping.by))
    if grouping.by == "region":
        places = statement.join(stats_places, stats_places.c.place == column)
        joined = and_(regions.c.region == func.any(stats_places.c.regions), regions.c.kind == (grouping.kind or ""))
        return _by(places.outerjoin(regions, joined), regions.c.name)
    if grouping.by in {"zip", "district"}:
        places = statement.join(stats_places, stats_places.c.place == column)
        return _by(places, stats_places.c[grouping.by])
    words = statement.join(stats_words, stats_words.c.words == column)
    if grouping.by == "category":
        names = _take_apart(stats_words.c.categories, "names")
        return _by(words.outerjoin(names, true()), names.c.one)
    return _by(words, move_to(stats_words, WORDS[grouping.by]))


def _join_medians(sums: AnySelect, medians: Sequence[AnySelect], grouping: Grouping | None) -> AnySelect:
    parts = [sums.subquery("sums"), *(one.subquery(f"median_{place}") for place, one in enumerate(medians))]
    names = ("value_usd_median", "days_to_issue_median")
    columns = [*parts[0].c, *(part.c[name] for part, name in zip(parts[1:], names, strict=True))]
    joined: Any = parts[0]
    for part in parts[1:]:
        same = parts[0].c.key.is_not_distinct_from(part.c.key) if grouping else true()
        joined = joined.outerjoin(part, same)
    return select(*columns).select_from(joined)


async def find_figures(session: AsyncSession, register: Register, asked: Asked) -> Total:
    """Find the figures of all permits asked about together."""
    row = (await session.execute(select_figures(asked, register, None))).one()
    return Total(**row._mapping)


async def find_groups(session: AsyncSession, register: Register, asked: Asked, grouping: Grouping) -> list[Group]:
    """Find the figures of each group in which there is a permit, by key, those that state nothing last."""
    rows = await session.execute(select_figures(asked, register, grouping))
    groups = [Group(**row._mapping) for row in rows]
    return sorted(groups, key=lambda group: (group.key is None, group.key))


async def find_total(session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None) -> Total:
    """Find the totals of a filter and a circle."""
    return await find_figures(session, register, Asked(wanted, area))


async def count_silent(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None, column: str
) -> int:
    """Count the permits that meet everything said except that they state nothing in ``column``."""
    asked = Asked(wanted, area)
    if column == "est_project_cost_usd":
        total = await find_figures(session, register, asked)
        return total.permits - total.priced
    by: dict[str, GroupKey] = {"issued_date": "year", "zip": "zip", "district": "district"}
    if asked.by_cells and column in by:
        groups = await find_groups(session, register, asked, Grouping(by[column]))
        return next((group.permits for group in groups if group.key is None), 0)
    counted = _choose(select(func.count()).select_from(permits), asked, register)
    return await session.scalar(counted.where(permits.c[column].is_(None))) or 0


async def rank_groups(
    session: AsyncSession,
    register: Register,
    wanted: PermitFilter,
    area: Area | None,
    *,
    by: GroupKey,
    measure: Literal["permits", "value_usd"],
    limit: int,
) -> list[Group]:
    """Rank the largest groups, those that state none left out; ties are ordered by name.

    A permit with several categories counts in each of them; types go by their mapped word, or else the city's own.
    """
    groups = await find_groups(session, register, Asked(wanted, area), Grouping(by))
    stated = [group for group in groups if group.key is not None]
    return sorted(stated, key=lambda group: -getattr(group, measure))[:limit]


async def find_years(session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None) -> list[Group]:
    """Find the totals of each year of issue in which there is a permit, in order."""
    groups = await find_groups(session, register, Asked(wanted, area), Grouping("year"))
    return [group for group in groups if group.key is not None]


async def find_ends(session: AsyncSession, cities: Sequence[str]) -> tuple[int, int] | None:
    """Find the first and the last month of issue of these cities, as cells number them."""
    of_cities = stats_words.c.city.in_(cities)
    ends = select(func.min(stats_months.c.month), func.max(stats_months.c.month)).join(
        stats_words, stats_words.c.words == stats_months.c.words
    )
    first, last = (await session.execute(ends.where(of_cities, stats_months.c.month != NO_MONTH))).one()
    return None if first is None else (first, last)


async def measure_regions(session: AsyncSession, cities: Sequence[str], kind: str) -> dict[str, float]:
    """Give the area in square kilometres, on the spheroid, of each region of a kind."""
    area_km2 = func.ST_Area(func.geography(regions.c.area), type_=Double) / 1e6
    found = select(regions.c.name, func.sum(area_km2).label("km2")).group_by(regions.c.name)
    rows = await session.execute(found.where(regions.c.city.in_(cities), regions.c.kind == kind))
    return {row.name: row.km2 for row in rows}


async def measure_circle(session: AsyncSession, area: Area) -> float:
    """Give the area of a circle in square kilometres, as the spheroid has it."""
    circle = func.ST_Buffer(geography_point(area), area.radius_m, 64)
    return float(await session.scalar(select(func.ST_Area(circle, type_=Double) / 1e6)) or 0)
