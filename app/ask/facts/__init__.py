"""From a plan to facts: sentences whose figures PostGIS computed, each with the query that anyone can repeat."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.changed import note_changed
from app.ask.facts.comparing import note_comparison
from app.ask.facts.fact import Fact, Facts
from app.ask.facts.joined import note_joined
from app.ask.facts.lists import note_list
from app.ask.facts.measures import UNITS
from app.ask.facts.notebook import Notebook
from app.ask.facts.rankings import note_top
from app.ask.facts.rows import find_rows
from app.ask.facts.series import note_series
from app.ask.facts.single import note_density, note_figure, note_share, note_silent
from app.ask.plan import Kind, Plan
from app.permits.register import Register

__all__ = ["UNITS", "Fact", "Facts", "find_rows", "gather"]

GATHERERS: dict[Kind, Callable[[AsyncSession, Notebook], Awaitable[None]]] = {
    "count": note_figure,
    "sum": note_figure,
    "median": note_figure,
    "mean": note_figure,
    "waiting": note_figure,
    "density": note_density,
    "share": note_share,
    "list": note_list,
    "top": note_top,
    "series": note_series,
    "compare": note_comparison,
    "joined": note_joined,
    "changed": note_changed,
}
OF_ONE_SIDE = frozenset({"count", "sum", "median", "mean", "waiting", "density", "list", "top", "series"})
"""Kinds whose permits are those of one filter, so that it can be said which it could not find."""


async def gather(session: AsyncSession, register: Register, plan: Plan, *, place: str | None = None) -> Facts:
    """Compute the facts of a plan on the session's snapshot; ``place`` is what the middle of its area is called.

    Raises :class:`UnknownWord` and :class:`NoSuchCity`.
    """
    notebook = Notebook(plan, register, place)
    await GATHERERS[plan.kind](session, notebook)
    if plan.kind in OF_ONE_SIDE and not notebook.is_declined:
        await note_silent(session, notebook)
    return notebook.close(find_absent_years(plan, register.years(register.choose_cities(plan.where.city))))


def find_absent_years(plan: Plan, loaded: frozenset[int]) -> tuple[int, ...]:
    """Give the years asked about, or between the first and last of a series, in which nothing at all is registered."""
    sides = [side for side in (plan.where, plan.versus, plan.beside) if side is not None]
    absent = set[int]()
    for side in sides:
        first = side.issued_from.year if side.issued_from else min(loaded, default=0)
        last = side.issued_to.year if side.issued_to else max(loaded, default=0)
        if side.issued_from or side.issued_to or plan.kind == "series":
            absent |= set(range(first, last + 1)) - loaded
    return tuple(sorted(absent))
