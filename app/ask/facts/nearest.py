"""Where nothing was found: what was looked for, and the nearest that is there, in space or in time."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.measures import measure_total, tell_count
from app.ask.facts.notebook import Notebook, repeat_by_statistics
from app.ask.facts.rows import find_rows
from app.ask.plan import Plan, Where
from app.permits.filters import RADIUS_MAX_M
from app.permits.stats import Asked, Group, Grouping, find_groups

WIDER_M = (1_000.0, 2_000.0, 5_000.0, float(RADIUS_MAX_M))


async def note_nearest(session: AsyncSession, notebook: Notebook, where: Where) -> None:
    """Note the next wider circle in which there are permits, or else the nearest year of issue."""
    if where.area is not None and await note_wider(session, notebook, where):
        return
    if where.issued_from or where.issued_to:
        await note_nearest_year(session, notebook, where)


async def note_wider(session: AsyncSession, notebook: Notebook, where: Where) -> bool:
    """Note how far the nearest permit is, and how many lie within the next round radius; False where none does."""
    if where.area is None or where.area.radius_m >= RADIUS_MAX_M:
        return False
    widest = widen(where, RADIUS_MAX_M)
    rows = await find_rows(session, notebook.register, Plan(kind="list", where=widest, order="nearest", limit=1))
    if not rows:
        told = tell_count(0, widest, notebook.name_place(widest))
        notebook.note(told, 0, "permits", widest, query=repeat_by_statistics(notebook.plan, widest, "permits"))
        return False
    away = round(rows[0].distance_m, 1)
    kind = notebook.describe(where.model_copy(update={"area": None}))
    notebook.note(f"Of the {kind}, the nearest is {away:,.10g} m away.", away, "m", widest)
    wider = widen(where, next(step for step in WIDER_M if step > where.area.radius_m and step >= rows[0].distance_m))
    count = (await measure_total(session, notebook, wider, "permits")).permits
    told = tell_count(count, wider, notebook.name_place(wider))
    notebook.note(told, count, "permits", wider, query=repeat_by_statistics(notebook.plan, wider, "permits"))
    return True


def widen(where: Where, radius_m: float) -> Where:
    """Give the permits of a wider circle."""
    assert where.area is not None
    return where.model_copy(update={"area": where.area.model_copy(update={"radius_m": radius_m})})


async def note_nearest_year(session: AsyncSession, notebook: Notebook, where: Where) -> None:
    """Note how many permits there are in the year of issue that is nearest to the days asked about."""
    ever = where.model_copy(update={"issued_from": None, "issued_to": None})
    found = await find_groups(session, notebook.register, Asked(ever, ever.area), Grouping("year"))
    years = [group for group in found if group.key is not None]
    if not years:
        told = tell_count(0, ever, notebook.name_place(ever))
        notebook.note(told, 0, "permits", ever, query=repeat_by_statistics(notebook.plan, ever, "permits"))
        return
    nearest = min(years, key=lambda group: (count_years_off(group, where), group.key))
    year = int(nearest.key or 0)
    then = Where.model_validate(ever.model_dump() | {"issued_from": f"{year}-01-01", "issued_to": f"{year}-12-31"})
    told = tell_count(nearest.permits, then, notebook.name_place(then))
    notebook.note(told, nearest.permits, "permits", then, query=repeat_by_statistics(notebook.plan, then, "permits"))


def count_years_off(group: Group, where: Where) -> int:
    """Give by how many years a group lies off the days asked about."""
    year = int(group.key or 0)
    before = where.issued_from.year - year if where.issued_from else 0
    after = year - where.issued_to.year if where.issued_to else 0
    return max(before, after, 0)
