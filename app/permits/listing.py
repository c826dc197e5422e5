"""Permits by their attributes, paged by key, and one permit by its id."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NoSuchPermit, RemovedPermit
from app.permits.cursor import CURSOR_MAX_LENGTH, Key, Position, decode, fingerprint
from app.permits.features import FEATURE_COLUMNS, LAT, LNG, WHOLE, AnyRow, AnySelect, planar
from app.permits.filters import LIMIT_DEFAULT, LIMIT_MAX, PermitFilter, where_clauses
from app.permits.register import Register
from app.permits.tables import permits

SORT_KEYS = {"newest": permits.c.issued_date, "largest": permits.c.est_project_cost_usd}
ListOrder = Literal["newest", "largest"]


class ListQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits to list, and in which order; permits without the order's value come last."""

    order: ListOrder = Field(default="newest", description="by issue date, or by estimated cost")
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="permits a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")


@dataclass(frozen=True)
class ListPage:
    """Permits in the order asked for, and the cursor of the next page if there is one."""

    rows: list[AnyRow]
    cursor: str | None


def select_listed(query: PermitFilter, register: Register, order: ListOrder) -> AnySelect:
    """Select the permits of a filter in an order that is the same twice."""
    key = SORT_KEYS[order]
    statement = select(*FEATURE_COLUMNS).where(*where_clauses(query, register))
    return statement.order_by(key.desc().nulls_last(), permits.c.city, permits.c.source_id)


async def find_listed(session: AsyncSession, register: Register, query: ListQuery) -> ListPage:
    """Find a page of permits. Raises :class:`MalformedCursor`, :class:`UnknownWord` and :class:`NoSuchCity`."""
    after = decode(query.cursor, query)
    statement = select_listed(query, register, query.order).limit(query.limit + 1)
    if after is not None:
        key = after.day() if query.order == "newest" else after.money()
        statement = statement.where(_beyond(SORT_KEYS[query.order], key, after))
    rows = list(await session.execute(statement))
    return ListPage(rows=rows[: query.limit], cursor=_next_cursor(query, register, rows, after))


def _beyond(column: ColumnElement[Any], key: Key, after: Position) -> ColumnElement[bool]:
    """Follow ``after`` in descending order of ``column`` with nulls last."""
    later_permit = tuple_(permits.c.city, permits.c.source_id) > tuple_(after.city, after.source_id)
    if key is None:
        return and_(column.is_(None), later_permit)
    return or_(column < key, and_(column == key, later_permit), column.is_(None))


def _next_cursor(query: ListQuery, register: Register, rows: list[AnyRow], after: Position | None) -> str | None:
    if len(rows) <= query.limit:
        return None
    last = rows[query.limit - 1]._mapping
    key = last[SORT_KEYS[query.order].name]
    position = Position(
        of=fingerprint(query),
        data_version=register.data_version,
        key=None if key is None else str(key),
        city=last["city"],
        source_id=last["source_id"],
        seen=(after.seen if after else 0) + query.limit,
    )
    return position.encode()


async def find_permit(session: AsyncSession, *, city: str, source_id: str) -> AnyRow:
    """Find one permit with all its columns and the point its source reported.

    Raises :class:`NoSuchPermit`, and :class:`RemovedPermit` where the city withdrew it.
    """
    reported = planar(permits.c.reported_location)
    statement = select(
        *(permits.c[name] for name in WHOLE),
        LNG,
        LAT,
        func.ST_X(reported).label("reported_lng"),
        func.ST_Y(reported).label("reported_lat"),
    ).where(permits.c.city == city, permits.c.source_id == source_id)
    row: AnyRow | None = (await session.execute(statement)).first()
    if row is None:
        raise NoSuchPermit(f"no permit {source_id!r} in the register of {city!r}")
    if row.removed_run is not None:
        raise RemovedPermit(f"the city withdrew permit {source_id!r} from its register")
    return row
