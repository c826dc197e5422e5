"""Counts, sums, means and medians over permits: in total and by group. The database counts; nothing is sampled.

Where a filter asks for closed words and whole months, figures come from cells (:mod:`app.permits.figures`) and medians
from blocks of them (:mod:`app.permits.medians`), else from the permits themselves; both give the same. Sums over other
days are those of their whole months and of the permits of the rest.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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

from app.permits.areas import Polygon, bind_area, join_area
from app.permits.features import AnySelect
from app.permits.figures import (
    NO_MONTH,
    PLACE_NAMES,
    CellQuery,
    find_months,
    know,
    know_but_days,
    move_to,
    split_days,
)
from app.permits.filters import Area, PermitFilter, bind_filter, join_clauses
from app.permits.medians import (
    PACKINGS,
    Key,
    KeysOf,
    Label,
    MedianName,
    Wanted,
    find_medians,
    round_money,
    select_places,
)
from app.permits.near import within
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
        return round_money(self.value_usd / self.priced) if self.priced else None


@dataclass(frozen=True)
class Group(Total):
    """A total, and what its permits have in common; ``key`` is None where they state nothing.

    A year is its number, a quarter four times the year plus 0 to 3, a month twelve times the year plus 0 to 11.
    """

    key: str | int | None = field(kw_only=True)


@dataclass(frozen=True)
class Asked:
    """Which permits, of the circle, the box and the polygon that are given, and which medians are wanted too.

    ``from_rows`` has rows read though cells would do.
    """

    wanted: PermitFilter
    area: Area | None = None
    bbox: str | None = None
    polygon: Polygon | None = None
    medians: frozenset[MedianName] = frozenset()
    from_rows: bool = False

    @property
    def by_cells(self) -> bool:
        """Whether cells can answer."""
        return self._is_everywhere and know(self.wanted)

    @property
    def _is_everywhere(self) -> bool:
        return self.area is None and self.bbox is None and self.polygon is None and not self.from_rows

    def split(self) -> list["Asked"]:
        """Part it so that cells answer for its whole months, and rows for the rest; medians cannot be put together."""
        if self.by_cells or self.medians or not self._is_everywhere or not know_but_days(self.wanted):
            return [self]
        return [replace(self, wanted=part) for part in split_days(self.wanted)]


def select_figures(asked: Asked, register: Register, grouping: Grouping | None) -> AnySelect:
    """Select the figures of each group, or of all together, by the names of :class:`Group`.

    Raises :class:`UnknownWord` and :class:`NoSuchCity`.
    """
    return (select_from_cells if asked.by_cells else select_from_rows)(asked, register, grouping)


def select_from_rows(asked: Asked, register: Register, grouping: Grouping | None) -> AnySelect:
    """Select the figures of each group, or of all together, by reading permits."""
    figures = [
        func.count().label("permits"),
        func.count(COST).label("priced"),
        func.coalesce(func.sum(COST), 0).label("value_usd"),
        func.count(WAITED).label("timed"),
        *(MEDIANS[name].label(name) for name in sorted(asked.medians)),
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
    values = bind_filter(asked.wanted, register) | bind_area(asked.bbox, asked.polygon)
    names = frozenset(values)
    circle = [within(asked.area)] if asked.area else []
    return statement.where(*join_clauses(names), *join_area(names), *circle).params(values)


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


MEDIANS: dict[MedianName, ColumnElement[Any]] = {
    "value_usd_median": _median(COST),
    "days_to_issue_median": _middle(WAITED),
}


def select_from_cells(asked: Asked, register: Register, grouping: Grouping | None) -> AnySelect:
    """Select the sums of each group, or of all together, from cells."""
    names = frozenset(values := bind_filter(asked.wanted, register))
    return _select_sums(_cells_of(asked, names, grouping), grouping).params(values)


def _cells_of(asked: Asked, names: frozenset[str], grouping: Grouping | None) -> CellQuery:
    months = find_months(asked.wanted)
    assert months is not None
    column = _column_of(grouping) if grouping else None
    return CellQuery(
        names - {"issued_from", "issued_to"},
        months,
        placed=column == "place",
        worded=column == "words",
        monthly=grouping is not None and grouping.by in {"quarter", "month"},
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
    statement = select(*again).select_from(summed)
    if grouping.by in MONTHS_IN:
        return _by(statement, _key_of_month(summed.c.month, grouping.by))
    named = select_keys(grouping).subquery("named")
    return _by(statement.join(named, named.c.label == summed.c[column.name]), named.c.key)


def _sum_up(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Sum a figure of cells: the costs exactly, the others as whole numbers."""
    total = func.coalesce(func.sum(column), 0)
    return (total if column.name == "value_usd" else cast(total, BigInteger)).label(column.name)


def _column_of(grouping: Grouping) -> str:
    if grouping.by in MONTHS_IN:
        return "month"
    return "place" if grouping.by in {"zip", "district", "region"} else "words"


def select_keys(grouping: Grouping) -> AnySelect:
    """Select the keys of all words, or places: ``label`` is the number of either, with a row for each of its keys."""
    by = grouping.by
    if by == "region":
        joined = and_(regions.c.region == func.any(stats_places.c.regions), regions.c.kind == (grouping.kind or ""))
        named = select(stats_places.c.place.label("label"), regions.c.name.label("key"))
        return named.select_from(stats_places.outerjoin(regions, joined))
    if by in {"zip", "district"}:
        return select(stats_places.c.place.label("label"), stats_places.c[by].label("key"))
    if by == "category":
        names = _take_apart(stats_words.c.categories, "names")
        named = select(stats_words.c.words.label("label"), names.c.one.label("key"))
        return named.select_from(stats_words.outerjoin(names, true()))
    return select(stats_words.c.words.label("label"), move_to(stats_words, WORDS[by]).label("key"))


async def add_medians(
    session: AsyncSession,
    register: Register,
    asked: Asked,
    grouping: Grouping | None,
    *,
    total: Total,
    groups: list[Group],
) -> tuple[Total, list[Group]]:
    """Give a total and groups that have their medians too, from blocks."""
    values = bind_filter(asked.wanted, register)
    query = _cells_of(asked, frozenset(values), grouping)
    places = None
    if query.names & PLACE_NAMES:
        places = frozenset(await session.scalars(select_places(query.names).params(values)))
    label, keys_of = await _find_keys(session, grouping)
    for name in sorted(asked.medians):
        found = await find_medians(session, Wanted(query, PACKINGS[name], label, keys_of, places), values)
        total = replace(total, **_tell_median(name, found.total))
        groups = [replace(group, **_tell_median(name, found.groups.get(group.key))) for group in groups]
    return total, groups


def _tell_median(name: MedianName, median: float | None) -> dict[str, Any]:
    of_money = name == "value_usd_median" and median is not None
    return {name: round_money(Decimal(repr(median))) if of_money else median}


async def _find_keys(session: AsyncSession, grouping: Grouping | None) -> tuple[Label, KeysOf]:
    """Find what tells the group of a cell, and the keys that each such label stands for."""
    if grouping is None:
        return "year", lambda _: (None,)
    if grouping.by == "year":
        return "year", lambda year: (year or None,)
    if grouping.by in MONTHS_IN:
        size = MONTHS_IN[grouping.by]
        return "month", lambda month: (None if month == NO_MONTH else month // size,)
    keys: dict[int, list[Key]] = defaultdict(list)
    for number, key in await session.execute(select_keys(grouping)):
        keys[number].append(key)
    return ("place" if _column_of(grouping) == "place" else "words"), lambda number: keys.get(number, ())


async def find_statistics(
    session: AsyncSession, register: Register, asked: Asked, grouping: Grouping | None
) -> tuple[Total, list[Group]]:
    """Find the figures of all permits asked about together, and of each group in which there is one.

    Groups are in the order of their keys, those that state nothing last.
    """
    total = await find_figures(session, register, asked)
    groups = await find_groups(session, register, asked, grouping) if grouping else []
    if asked.by_cells and asked.medians:
        return await add_medians(session, register, asked, grouping, total=total, groups=groups)
    return total, groups


async def find_figures(session: AsyncSession, register: Register, asked: Asked) -> Total:
    """Find the figures of all permits asked about together, without medians where cells give them."""
    rows = [(await session.execute(select_figures(part, register, None))).one() for part in asked.split()]
    return Total(**add_up([dict(row._mapping) for row in rows]))


async def find_groups(session: AsyncSession, register: Register, asked: Asked, grouping: Grouping) -> list[Group]:
    """Find the figures of each group in which there is a permit, without medians where cells give them."""
    rows: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for part in asked.split():
        for row in await session.execute(select_figures(part, register, grouping)):
            rows[row.key].append(dict(row._mapping))
    groups = [Group(**add_up(some)) for some in rows.values()]
    return sorted(groups, key=lambda group: (group.key is None, group.key))


def add_up(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Add the sums of several parts; all else is the same in each, or there is one part."""
    if len(rows) == 1:
        return rows[0]
    return {name: sum(row[name] for row in rows) if name in SUMS else value for name, value in rows[0].items()}


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
