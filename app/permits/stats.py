"""Counts and sums over permits: in total, by group, and by year of issue. The database counts; nothing is sampled."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, Select, extract, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.features import AnySelect
from app.permits.filters import Area, PermitFilter, where_clauses
from app.permits.near import within
from app.permits.register import Register
from app.permits.tables import permits

GroupKey = Literal["category", "permit_type", "work_class"]
YEAR = extract("year", permits.c.issued_date).cast(Integer)
PRICED = func.count(permits.c.est_project_cost_usd).label("priced")
COST = func.coalesce(func.sum(permits.c.est_project_cost_usd), 0).label("value_usd")
PERMITS = func.count().label("permits")


@dataclass(frozen=True)
class Total:
    """How many permits, how many of them state an estimated cost, and the sum of those costs in US dollars."""

    permits: int
    priced: int
    value_usd: Decimal


@dataclass(frozen=True)
class Group(Total):
    """A total, and what its permits have in common; ``key`` is None where they state nothing."""

    key: str | int | None


def clauses(wanted: PermitFilter, area: Area | None, register: Register) -> list[ColumnElement[bool]]:
    """Give the clauses of a filter and a circle."""
    return [*where_clauses(wanted, register), *([within(area)] if area else [])]


def select_total(wanted: PermitFilter, area: Area | None, register: Register) -> Select[int, int, Decimal]:
    """Select the number of permits, of those with a cost, and the sum of costs."""
    return select(PERMITS, PRICED, COST).select_from(permits).where(*clauses(wanted, area, register))


def select_groups(wanted: PermitFilter, area: Area | None, register: Register, key: ColumnElement[Any]) -> AnySelect:
    """Select the totals of each value of ``key``."""
    return select(key.label("key"), PERMITS, PRICED, COST).where(*clauses(wanted, area, register)).group_by("key")


async def find_total(session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None) -> Total:
    """Find the totals of a filter and a circle."""
    return Total(*(await session.execute(select_total(wanted, area, register))).one())


async def count_silent(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None, column: str
) -> int:
    """Count the permits that meet everything said except that they state nothing in ``column``."""
    stated = permits.c[column].is_(None)
    counted = select(func.count()).select_from(permits).where(*clauses(wanted, area, register), stated)
    return await session.scalar(counted) or 0


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
    key = _group_key(by)
    statement = select_groups(wanted, area, register, key)
    if by != "category":
        statement = statement.where(key.is_not(None))
    measured = PERMITS if measure == "permits" else COST
    rows = await session.execute(statement.order_by(measured.desc(), "key").limit(limit))
    return [Group(key=row.key, permits=row.permits, priced=row.priced, value_usd=row.value_usd) for row in rows]


async def find_years(session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None) -> list[Group]:
    """Find the totals of each year of issue in which there is a permit, in order."""
    statement = select_groups(wanted, area, register, YEAR).where(permits.c.issued_date.is_not(None))
    rows = await session.execute(statement.order_by("key"))
    return [Group(key=row.key, permits=row.permits, priced=row.priced, value_usd=row.value_usd) for row in rows]


def _group_key(by: GroupKey) -> ColumnElement[Any]:
    columns = permits.c
    if by == "category":
        return func.unnest(columns.categories)
    if by == "permit_type":
        return func.coalesce(columns.permit_type_mapped, columns.permit_type)
    return columns.work_class
