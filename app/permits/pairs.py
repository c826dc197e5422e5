"""Addresses that have a permit of one kind and one of another: solar and battery, demolition and then a building."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Subquery, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import visitors

from app.permits.features import AnyRow, AnySelect
from app.permits.filters import Area, PermitFilter, bind_filter, join_clauses
from app.permits.near import within
from app.permits.register import Register
from app.permits.tables import permits

ADDRESS = (permits.c.city, permits.c.house_number, permits.c.street)
HAS_ADDRESS = and_(permits.c.house_number.is_not(None), permits.c.street.is_not(None))
ISSUED = permits.c.issued_date


@dataclass(frozen=True)
class Pairing:
    """Two kinds of permits, each with its circle if it has one; with ``then`` one of the second is issued later."""

    first: PermitFilter
    second: PermitFilter
    first_area: Area | None = None
    second_area: Area | None = None
    then: bool = False


@dataclass(frozen=True)
class Pairs:
    """How many addresses have both kinds, and the first of them by the day of issue of their first permit."""

    addresses: int
    rows: list[AnyRow]


def group_addresses(wanted: PermitFilter, register: Register, area: Area | None, name: str) -> Subquery:
    """Select the addresses that have a permit of a filter, with its earliest and its latest by the day of issue."""
    values = bind_filter(wanted, register)
    clauses = [bind_apart(clause, values) for clause in join_clauses(frozenset(values))]
    chosen = (*clauses, *([within(area)] if area else []), HAS_ADDRESS)
    earliest = (ISSUED.asc().nulls_last(), permits.c.source_id)
    latest = (ISSUED.desc().nulls_last(), permits.c.source_id)
    statement = select(
        *ADDRESS,
        func.min(ISSUED).label("first_issued"),
        func.max(ISSUED).label("last_issued"),
        _first_of(permits.c.source_id, *earliest).label("first_id"),
        _first_of(permits.c.source_id, *latest).label("last_id"),
    )
    return statement.where(*chosen).group_by(*ADDRESS).subquery(name)


def bind_apart(clause: ColumnElement[bool], values: dict[str, Any]) -> ColumnElement[bool]:
    """Bind values under names of their own: in one statement both filters would have the same names for theirs."""

    def replace(element: Any, **_: object) -> Any:  # noqa: ANN401 - SQLAlchemy's own
        if isinstance(element, BindParameter) and element.key in values:
            return bindparam(None, values[element.key], type_=element.type)
        return None

    bound: ColumnElement[bool] = visitors.replacement_traverse(clause, {}, replace)
    return bound


def _first_of(column: ColumnElement[Any], *order: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.array_agg(aggregate_order_by(column, *order))[1]


def select_pairs(pairing: Pairing, register: Register) -> AnySelect:
    """Select the addresses that have both kinds."""
    first = group_addresses(pairing.first, register, pairing.first_area, "firsts")
    second = group_addresses(pairing.second, register, pairing.second_area, "seconds")
    same = and_(*(first.c[column.name] == second.c[column.name] for column in ADDRESS))
    joined = select(
        *(first.c[column.name] for column in ADDRESS),
        first.c.first_issued.label("first_issued"),
        first.c.first_id.label("source_id"),
        (second.c.last_issued if pairing.then else second.c.first_issued).label("second_issued"),
    ).select_from(first.join(second, same))
    return joined.where(second.c.last_issued > first.c.first_issued) if pairing.then else joined


async def find_pairs(session: AsyncSession, register: Register, pairing: Pairing, *, limit: int) -> Pairs:
    """Find the addresses that have both kinds, at most ``limit`` of them with their permits."""
    pairs = select_pairs(pairing, register).cte("pairs")
    order = (pairs.c.first_issued.asc().nulls_last(), pairs.c.city, pairs.c.street, pairs.c.house_number)
    counted = select(pairs, func.count().over().label("addresses"))
    rows = list(await session.execute(counted.order_by(*order).limit(limit)))
    return Pairs(rows[0].addresses if rows else 0, rows)


async def count_unaddressed(session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None) -> int:
    """Count the permits of a filter whose address could not be read."""
    values = bind_filter(wanted, register)
    chosen = (*join_clauses(frozenset(values)), *([within(area)] if area else []), ~HAS_ADDRESS)
    return await session.scalar(select(func.count()).select_from(permits).where(*chosen).params(values)) or 0
