"""Two sides: each one's figures, and by how much the larger exceeds the smaller."""

from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.measures import UNITS, capitalize, measure_of, note_count, note_measured
from app.ask.facts.notebook import Notebook, repeat_by_statistics
from app.ask.facts.single import UNSIZED
from app.ask.phrases import MEASURE_PHRASES, count_of, describe_days, describe_kind, write_figure
from app.ask.plan import Plan, Where
from app.permits.series import find_through
from app.permits.sizes import measure_area

Side = tuple[str, int | float]


async def note_comparison(session: AsyncSession, notebook: Notebook) -> None:
    """Note both sides of a comparison, and by how much the larger exceeds the smaller."""
    plan = notebook.plan
    versus = plan.versus or plan.where
    figures = [await note_side(session, notebook, where) for where in (plan.where, versus)]
    sides = [
        (name, figure) for name, figure in zip(name_sides(notebook, versus), figures, strict=True) if figure is not None
    ]
    if len(sides) == len(figures):
        gap = abs(Decimal(str(sides[0][1])) - Decimal(str(sides[1][1])))
        value = int(gap) if gap == gap.to_integral_value() else float(gap)
        notebook.note(tell_difference(plan, sides), value, UNITS[plan.measure], plan.where)
    notebook.remarks.extend(tell_unfinished(notebook, versus))


async def note_side(session: AsyncSession, notebook: Notebook, where: Where) -> int | float | None:
    """Note the figures of one side, and give the one that is compared."""
    total, measure = await note_count(session, notebook, where), notebook.plan.measure
    if measure == "permits":
        return total.permits
    if measure == "permits_per_km2":
        km2 = await measure_area(session, notebook.register, where, where.area)
        density = measure_of(total, measure, km2)
        if density is None:
            notebook.remarks[:] = [UNSIZED]
            return None
        kind = describe_kind(where)
        bounds = notebook.describe(where).removeprefix(kind)
        query = repeat_by_statistics(notebook.plan, where, measure)
        told = f"There are {density:,.12g} {kind} per square kilometre{bounds}."
        notebook.note(told, density, UNITS[measure], where, query=query)
        return density
    if total.permits:
        note_measured(notebook, total, where, measure)
    if measure == "value_usd":
        return measure_of(total, measure)
    return measure_of(total, measure) if total.permits else None


def tell_difference(plan: Plan, sides: list[Side]) -> str:
    """Tell by how much the larger side exceeds the smaller, in numbers and as a share of the smaller."""
    (larger, most), (smaller, least) = sorted(sides, key=lambda side: -side[1])
    if most == least:
        return capitalize(f"{larger} and {smaller} are equal.")
    gap = float(Decimal(str(most)) - Decimal(str(least)))
    told = count_of(int(gap), "permits") if plan.measure == "permits" else write_figure(gap, UNITS[plan.measure])
    share = f", which is {(most - least) / least * 100:,.1f} % more" if least > 0 else ""
    return capitalize(f"{larger} exceeds {smaller} by {told}{share}.")


def name_sides(notebook: Notebook, versus: Where) -> tuple[str, str]:
    """Name the two sides of a comparison by what differs between them: "the number of permits issued in 2014"."""
    sides, measured = (notebook.plan.where, versus), MEASURE_PHRASES[notebook.plan.measure]
    measured = measured.removesuffix(" per square kilometre")
    per = " per square kilometre" if notebook.plan.measure == "permits_per_km2" else ""
    named = [describe_kind(side) for side in sides]
    if named[0] == named[1]:
        named = [
            f"{describe_kind(side)} {describe_days('issued', side.issued_from, side.issued_to)}".strip()
            for side in sides
        ]
    if named[0] == named[1]:
        named = [notebook.describe(side) for side in sides]
    return f"the {measured} of {named[0]}{per}", f"the {measured} of {named[1]}{per}"


def tell_unfinished(notebook: Notebook, versus: Where) -> list[str]:
    """Say of which side the data hold only a part, where that is one alone."""
    through = find_through(notebook.register, notebook.register.choose_cities(notebook.plan.where.city))
    ends = [side.issued_to for side in (notebook.plan.where, versus)]
    late = [end for end in ends if end and through and end > through]
    return (
        [f"One side ends on {late[0]}, the data end on {through}: of it only a part is there."]
        if len(late) == 1
        else []
    )
