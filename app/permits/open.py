"""Permits that are open, longest first: applied for or issued, and neither done, nor given up, nor expired."""

from sqlalchemy import Date, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.features import FEATURE_COLUMNS, AnyRow, AnySelect
from app.permits.filters import Area, PermitFilter, bind_filter, join_clauses
from app.permits.near import within
from app.permits.register import Register
from app.permits.tables import permits
from app.permits.words import StatusMapped

OPEN = (
    StatusMapped.APPLICATION_ACCEPTED,
    StatusMapped.IN_REVIEW,
    StatusMapped.PERMIT_ISSUED,
    StatusMapped.INSPECTION_PHASE,
)
"""A status that the city's words are not mapped to does not say whether a permit is open."""
OPEN_SINCE = func.least(permits.c.applied_date, permits.c.issued_date, type_=Date)
"""The earlier of the two days, or the one that is stated."""


def select_open(wanted: PermitFilter, register: Register, area: Area | None) -> AnySelect:
    """Select the open permits of a filter and a circle with their columns and ``open_since``, the oldest first."""
    values = bind_filter(wanted, register)
    statement = select(*FEATURE_COLUMNS, OPEN_SINCE.label("open_since")).where(*join_clauses(frozenset(values)))
    statement = statement.where(permits.c.status_current_mapped.in_([str(status) for status in OPEN]))
    statement = statement.where(permits.c.completed_date.is_(None), OPEN_SINCE.is_not(None))
    if area is not None:
        statement = statement.where(within(area))
    return statement.order_by("open_since", permits.c.city, permits.c.source_id).params(values)


async def find_open(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None, *, limit: int
) -> list[AnyRow]:
    """Find the permits that have been open for longest."""
    return list(await session.execute(select_open(wanted, register, area).limit(limit)))
