"""Figures from the cells that every run keeps: exact, and without reading a permit.

A cell is of permits of the same words, place and month of issue; months hold the cells of every place together, years
those of twelve months. Which of them a query needs follows from what it filters and groups by. Medians do not add up:
they are :mod:`app.permits.medians`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Table, bindparam, literal_column, select, union_all
from sqlalchemy.sql import visitors

from app.permits.features import AnySelect
from app.permits.filters import PermitFilter, find_related, join_clauses
from app.permits.tables import SUMS, permits, stats_cells, stats_months, stats_places, stats_words, stats_years

PLACE_NAMES = frozenset({"zip", "district_own", "regions"})
"""The values that tell a place; every other clause of a cell is about its words."""
OF_ROWS_ALONE = ("applied_from", "applied_to", "min_value_usd", "max_value_usd", "q")
"""The parts of a filter that cells do not know."""
NO_MONTH = 0
ALL = 0
"""Of the years: the place that stands for every place together, and the words that stand for all words of a place."""


@dataclass(frozen=True)
class Months:
    """The months of issue asked about, both ends included, as twelve times the year plus 0 to 11; None is no bound."""

    first: int | None
    last: int | None

    @property
    def are_bounded(self) -> bool:
        """Whether permits without a date of issue are left out."""
        return self.first is not None or self.last is not None

    @property
    def are_whole_years(self) -> bool:
        """Whether the ends lie between years."""
        return (self.first is None or self.first % 12 == 0) and (self.last is None or self.last % 12 == 11)

    def clause_of_years(self, year: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """Give the clauses of a year of which a month lies within."""
        first = None if self.first is None else self.first // 12
        return Months(first, None if self.last is None else self.last // 12).clause(year)

    def clause(self, month: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """Give the clauses of a month that lies within."""
        if not self.are_bounded:
            return []
        low = month > NO_MONTH if self.first is None else month >= bindparam(None, self.first, Integer)
        return [low] if self.last is None else [low, month <= bindparam(None, self.last, Integer)]

    def split(self) -> tuple["Months | None", list["Months"]]:
        """Give the whole years within, as their months, and the months that are left over before and behind them."""
        first = None if self.first is None else -(-self.first // 12)
        last = None if self.last is None else (self.last + 1) // 12 - 1
        if first is not None and last is not None and first > last:
            return None, [self]
        before = [Months(self.first, 12 * first - 1)] if first is not None and self.first != 12 * first else []
        behind = [Months(12 * last + 12, self.last)] if last is not None and self.last != 12 * last + 11 else []
        years = Months(None if first is None else 12 * first, None if last is None else 12 * last + 11)
        return years, before + behind


def number_month(day: date) -> int:
    """Give the number of a day's month."""
    return 12 * day.year + day.month - 1


def find_months(wanted: PermitFilter) -> Months | None:
    """Give the months of issue that a filter asks for, or None where its ends lie inside of months."""
    first, last = wanted.issued_from, wanted.issued_to
    if (first is not None and first.day != 1) or (last is not None and (last + timedelta(days=1)).day != 1):
        return None
    return Months(None if first is None else number_month(first), None if last is None else number_month(last))


def know(wanted: PermitFilter) -> bool:
    """Tell whether cells can answer for a filter."""
    return know_but_days(wanted) and find_months(wanted) is not None


def know_but_days(wanted: PermitFilter) -> bool:
    """Tell whether cells could answer for a filter if its days of issue were whole months."""
    return not find_related(wanted) and all(getattr(wanted, name) is None for name in OF_ROWS_ALONE)


def split_days(wanted: PermitFilter) -> list[PermitFilter]:
    """Part a filter at the ends of its first and its last month of issue, where it begins or ends inside of one."""
    first, last = wanted.issued_from, wanted.issued_to
    starts = [first]
    if first is not None and first.day != 1:
        starts.append((first.replace(day=1) + timedelta(days=32)).replace(day=1))
    if last is not None and (last + timedelta(days=1)).day != 1:
        starts.append(last.replace(day=1))
    starts = [start for start in dict.fromkeys(starts) if start is None or last is None or start <= last]
    starts = [start for start in starts if first is None or start is None or start >= first]
    ends = [*(start - timedelta(days=1) for start in starts[1:] if start is not None), last]
    days = zip(starts, ends, strict=True)
    return [wanted.model_copy(update={"issued_from": start, "issued_to": end}) for start, end in days]


def move_to(table: Table, clause: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give an expression about permits as one about the columns of the same names of another table."""

    def replace(element: Any, **_: object) -> Any:  # noqa: ANN401 - SQLAlchemy's own
        return table.c[element.name] if getattr(element, "table", None) is permits else None

    moved: ColumnElement[Any] = visitors.replacement_traverse(clause, {}, replace)
    return moved


@dataclass(frozen=True)
class CellQuery:
    """Which cells: ``names`` are those of the values that are bound.

    ``placed`` and ``worded`` are whether the group is one of places or of words; ``monthly`` whether it needs months,
    which years do not tell.
    """

    names: frozenset[str]
    months: Months
    placed: bool = False
    worded: bool = False
    monthly: bool = False

    @property
    def needs_place(self) -> bool:
        """Whether the cells of every place together are not enough."""
        return self.placed or bool(self.names & PLACE_NAMES)

    def select(self) -> FromClause:
        """Select the cells, each with ``words``, ``month``, ``place`` where it is needed, and its figures."""
        single = stats_cells if self.needs_place else stats_months
        years, months = (None, [self.months]) if self.monthly else self.months.split()
        parts = [self._select_part(single, some) for some in months]
        parts += [self._select_part(stats_years, years)] if years else []
        return parts[0].subquery("cells") if len(parts) == 1 else union_all(*parts).subquery("cells")

    def _select_part(self, table: Table, months: Months) -> AnySelect:
        month = table.c.year * 12 if table is stats_years else table.c.month
        place = [table.c.place] if self.needs_place else []
        figures = [table.c[name] for name in SUMS]
        chosen = select(table.c.words, month.label("month"), *place, *figures)
        return chosen.where(*months.clause(month), *self._clauses(table))

    def _clauses(self, table: Table) -> Iterator[ColumnElement[bool]]:
        places, words, of_city = self.names & PLACE_NAMES, self.names - PLACE_NAMES, self.names & {"city", "cities"}
        if self.needs_place:
            yield table.c.place.in_(select(stats_places.c.place).where(*move_clauses(stats_places, places | of_city)))
        elif table is stats_years:
            yield table.c.place == literal_column(str(ALL))
        if words - of_city or not self.needs_place:
            yield table.c.words.in_(select(stats_words.c.words).where(*move_clauses(stats_words, words)))
        elif table is stats_years:
            every: ColumnElement[int] = literal_column(str(ALL))
            yield table.c.words != every if self.worded else table.c.words == every


def move_clauses(table: Table, names: frozenset[str]) -> list[ColumnElement[bool]]:
    """Give the clauses of these names, about permits that are not removed, as those of another table."""
    return [move_to(table, clause) for clause in join_clauses(names, with_removed=True)]
