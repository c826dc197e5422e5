"""One figure: a count, a sum, a median, a mean, a wait, a density, a share, and what could not be counted."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.measures import measure_total, note_count, note_measured, tell_count
from app.ask.facts.nearest import note_nearest
from app.ask.facts.notebook import Notebook, link_rows, repeat_by_statistics
from app.ask.phrases import describe_kind, describe_where, one_of
from app.ask.plan import Where
from app.permits.filters import PermitFilter
from app.permits.sizes import measure_area
from app.permits.stats import count_silent

SILENT = {
    "location": (("area", "region"), "no usable point"),
    "zip": (("zip",), "no ZIP"),
    "district": (("district",), "no district"),
    "issued_date": (("issued_from", "issued_to"), "no date of issue"),
    "applied_date": (("applied_from", "applied_to"), "no date of application"),
    "est_project_cost_usd": (("min_value_usd", "max_value_usd"), "no stated cost"),
}
"""By column: the parts of a plan that need it, and what a permit without it lacks."""
COUNTED = {
    "location": "without_location",
    "zip": "without_zip",
    "issued_date": "without_issued_date",
    "applied_date": "without_applied_date",
    "est_project_cost_usd": "without_value",
}
"""By column: what every run counts of a whole city, so that no permit need be read for it."""
UNSIZED = (
    "Permits per square kilometre can be told of one area whose size is known:"
    " a circle, or a region, a ZIP or a district whose border is loaded."
)


class Both(Where, frozen=True, extra="forbid"):
    """Permits of one filter that meet another one too."""

    also: PermitFilter | None = None


async def note_figure(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, and what the plan measures of them."""
    where, measure = notebook.plan.where, notebook.plan.measure
    total = await note_count(session, notebook)
    if not total.permits:
        await note_nearest(session, notebook, where)
    elif measure != "permits":
        note_measured(notebook, total, where, measure)


async def note_density(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, on what area, and how many a square kilometre."""
    plan, where = notebook.plan, notebook.plan.where
    km2 = await measure_area(session, notebook.register, where, where.area)
    total = await note_count(session, notebook)
    if not km2:
        notebook.remarks.append(UNSIZED)
        return
    size = round(km2, 6)
    query = repeat_by_statistics(plan, where, "permits_per_km2")
    notebook.note(f"The area asked about measures {size:,.10g} square kilometres.", size, "km2", where, query=query)
    density = round(total.permits / km2, 3)
    kind = describe_kind(where)
    bounds = notebook.describe(where).removeprefix(kind)
    told = f"{density:,.12g} {one_of(kind) if density == 1 else kind} per square kilometre{bounds}"
    verb = "is" if density == 1 else "are"
    notebook.note(f"There {verb} {told}.", density, "permits_per_km2", where, query=query)
    if not total.permits:
        await note_nearest(session, notebook, where)


async def note_share(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are of the whole, and which share of them the part is."""
    plan = notebook.plan
    where, whole = plan.where, plan.versus or plan.where
    part = narrow(where, whole)
    of = (await measure_total(session, notebook, whole, "permits")).permits
    told = tell_count(of, whole, notebook.name_place(whole))
    notebook.note(told, of, "permits", whole, query=repeat_by_statistics(plan, whole, "permits"))
    if not of:
        await note_nearest(session, notebook, whole)
        return
    count = (await measure_total(session, notebook, part, "permits")).permits
    share, percent = tell_share(where, whole), round(count / of * 100, 1)
    named = f"{count:,} {'is' if count == 1 else 'are'} {'of the ' if count == 1 else ''}{share}"
    sentence = f"Of the {of:,} {notebook.describe(whole)}, {named}, a share of {percent:,.1f} %."
    is_plain = not isinstance(part, Both)
    notebook.note(
        sentence, percent, "percent", Where.model_validate(part.model_dump(exclude={"also"})), has_rows=is_plain
    )


def narrow(where: Where, whole: Where) -> Where:
    """Give the permits of ``where`` that are among ``whole``: the same where it says all that the whole does."""
    names = set(Where.model_fields)
    if all(getattr(whole, name) in (getattr(where, name), Where.model_fields[name].default) for name in names):
        return where
    area = where.area or whole.area
    without = where.without or whole.without
    return Both.model_validate(
        where.model_dump() | {"area": area, "without": without, "also": whole.model_dump(exclude={"area", "without"})}
    )


def tell_share(where: Where, whole: Where) -> str:
    """Name a part of permits by what it says beyond the whole."""
    same = {name: Where.model_fields[name].default for name in Where.model_fields
            if getattr(where, name) == getattr(whole, name)}  # fmt: skip
    return describe_where(where.model_copy(update=same))


async def note_silent(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits would be looked at too if they stated what the plan asks for."""
    where = notebook.plan.where
    for column, (fields, lack) in SILENT.items():
        if not any(getattr(where, name) for name in fields):
            continue
        wider = where.model_copy(update={name: Where.model_fields[name].default for name in fields})
        count = await find_silent(session, notebook, wider, column)
        if count:
            verb = "has" if count == 1 else "have"
            sentence = f"Of the {notebook.describe(wider)}, {count:,} {verb} {lack} and cannot be counted."
            notebook.note(sentence, count, "permits", wider, rows=link_rows(wider, None))


async def find_silent(session: AsyncSession, notebook: Notebook, wider: Where, column: str) -> int:
    """Find how many permits state nothing in a column."""
    register = notebook.register
    if wider == Where(city=wider.city) and column in COUNTED:
        return sum(getattr(register.cities[name], COUNTED[column]) for name in register.choose_cities(wider.city))
    return await count_silent(session, register, wider, wider.area, column)
