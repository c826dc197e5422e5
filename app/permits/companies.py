"""Figures by contractor company, which sources with a column for companies tell; no person is ever a group."""

from sqlalchemy import ColumnElement, Double, Numeric, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.filters import Area, PermitFilter, bind_filter, join_clauses
from app.permits.near import within
from app.permits.register import Register
from app.permits.stats import COST, WAITED, Group
from app.permits.tables import permits

COMPANY = func.upper(func.regexp_replace(func.btrim(permits.c.contractor_company_name), r"\s+", " ", "g"))
"""One company is written in several cases and with several blanks."""


def _middle(values: ColumnElement[int] | ColumnElement[float]) -> ColumnElement[float]:
    return func.percentile_cont(0.5).within_group(cast(values, Double))


async def find_companies(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None
) -> list[Group]:
    """Find the figures of each company that a permit names."""
    values = bind_filter(wanted, register)
    statement = select(
        COMPANY.label("key"),
        func.count().label("permits"),
        func.count(COST).label("priced"),
        func.coalesce(func.sum(COST), 0).label("value_usd"),
        func.count(WAITED).label("timed"),
        func.round(cast(_middle(COST), Numeric), 2).label("value_usd_median"),
        _middle(WAITED).label("days_to_issue_median"),
    )
    statement = statement.where(*join_clauses(frozenset(values)), *([within(area)] if area else []), COMPANY != "")
    return [Group(**row._mapping) for row in await session.execute(statement.group_by("key").params(values))]
