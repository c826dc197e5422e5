"""The permits of a list, in the order asked for."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.plan import Plan
from app.permits.features import AnyRow
from app.permits.filters import PermitFilter
from app.permits.listing import select_listed
from app.permits.near import NearQuery, find_near, within
from app.permits.open import find_open
from app.permits.register import Register


class NearPlan(NearQuery, frozen=True, extra="forbid"):
    """A near query that leaves permits out."""

    without: PermitFilter | None = None


async def find_rows(session: AsyncSession, register: Register, plan: Plan) -> list[AnyRow]:
    """Find the permits of a list."""
    where = plan.where
    if plan.order == "nearest" and where.area is not None:
        query = NearPlan.model_validate(
            where.model_dump(exclude={"area"}) | where.area.model_dump() | {"limit": plan.limit}
        )
        return (await find_near(session, register, query)).rows
    if plan.order == "longest_open":
        return await find_open(session, register, where, where.area, limit=plan.limit)
    statement = select_listed(where, register, "largest" if plan.order == "largest" else "newest")
    if where.area is not None:
        statement = statement.where(within(where.area))
    return list(await session.execute(statement.limit(plan.limit)))
