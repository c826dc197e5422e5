"""A ranking: the largest groups in order, by any measure."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.measures import (
    UNITS,
    define_measure,
    measure_groups,
    measure_of,
    note_count,
    note_measured,
    tell_measure,
)
from app.ask.facts.nearest import note_nearest
from app.ask.facts.notebook import Notebook, define, link_rows, repeat_by_statistics
from app.ask.facts.single import UNSIZED
from app.ask.phrases import CATEGORY_PHRASES, count_of, describe_group, join_or
from app.ask.plan import Plan
from app.cities.city import find_city
from app.permits.companies import find_companies
from app.permits.sizes import KINDS, measure_area, measure_each
from app.permits.stats import Group, Grouping
from app.permits.words import DEFINITIONS, Category

NO_COMPANIES = (
    "The register of {cities} has no column for companies, and the names of persons are never told."
    " Permits can be ranked by category, type, class, status, ZIP, district or region."
)
OF_A_CITY = "A {by} belongs to a city; ask for one of these cities: {cities}."
NO_KIND = "No regions of the kind {kind} are loaded; loaded are: {kinds}."


async def note_top(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, and the largest groups of them in order."""
    plan = notebook.plan
    if (refusal := refuse_ranking(notebook)) is not None:
        notebook.decline(refusal)
        return
    groups = await find_ranked(session, notebook)
    total = await note_count(session, notebook)
    if plan.group_by == "company" and total.permits and not groups:
        notebook.facts.clear()
        notebook.decline(NO_COMPANIES.format(cities=name_cities(notebook)))
        return
    if not total.permits:
        await note_nearest(session, notebook, plan.where)
        return
    if plan.measure not in ("permits", "permits_per_km2"):
        note_measured(notebook, total, plan.where, plan.measure)
    km2 = await measure_sizes(session, notebook) if plan.measure == "permits_per_km2" else {}
    if plan.measure == "permits_per_km2" and not km2:
        notebook.remarks.append(UNSIZED)
        return
    if plan.group_by == "company":
        named = sum(group.permits for group in groups)
        told = f"{named:,} of these {count_of(total.permits, 'permits')} {'names' if named == 1 else 'name'} a company."
        notebook.note(told, named, "permits", plan.where, has_rows=False)
    note_groups(notebook, groups, km2)


def refuse_ranking(notebook: Notebook) -> str | None:
    """Say why a ranking cannot be made of what is loaded, if it cannot."""
    plan, register = notebook.plan, notebook.register
    cities = register.choose_cities(plan.where.city)
    if plan.group_by == "company" and not any(map(tells_companies, cities)):
        return NO_COMPANIES.format(cities=name_cities(notebook))
    if plan.group_by in ("district", "region") and len(cities) > 1:
        return OF_A_CITY.format(by=describe_group(plan), cities=name_cities(notebook))
    kinds = register.region_kinds(cities)
    if plan.region_kind and plan.region_kind.casefold() not in kinds:
        return NO_KIND.format(kind=plan.region_kind, kinds=join_or(kinds) or "none")
    return None


def tells_companies(city: str) -> bool:
    """Tell whether any form of a city's source has a column for companies."""
    return any("contractor_company_name" in form.columns for form in find_city(city).forms)


def name_cities(notebook: Notebook) -> str:
    """Name the cities that a plan is about."""
    return join_or([find_city(city).title for city in notebook.register.choose_cities(notebook.plan.where.city)])


async def find_ranked(session: AsyncSession, notebook: Notebook) -> list[Group]:
    """Find the groups of a ranking, those that state no key left out."""
    plan = notebook.plan
    if plan.group_by == "company":
        return await find_companies(session, notebook.register, plan.where, plan.where.area)
    kind = plan.region_kind.casefold() if plan.region_kind else None
    return await measure_groups(
        session, notebook, plan.where, plan.measure, Grouping(plan.group_by or "category", kind)
    )


async def measure_sizes(session: AsyncSession, notebook: Notebook) -> Mapping[str | None, float]:
    """Give the sizes of groups that are areas, counted whole; with the key None that of the area they all lie in."""
    plan, register = notebook.plan, notebook.register
    where, by = plan.where, plan.group_by or "category"
    kind = plan.region_kind.casefold() if plan.region_kind else KINDS.get(by)
    if kind is None:
        size = await measure_area(session, register, where, where.area)
        return {None: size} if size else {}
    cut = [name for name in ("zip", "district", "region") if name != by and getattr(where, name)]
    if where.area is not None or cut:
        return {}
    sizes: dict[str | None, float] = {}
    sizes.update(await measure_each(session, register.choose_cities(where.city), kind))
    return sizes


def note_groups(notebook: Notebook, groups: list[Group], km2: Mapping[str | None, float]) -> None:
    """Note the largest groups in order; ties are ordered by name, and those without a figure are left out."""
    plan = notebook.plan
    sized = [
        (figure, group)
        for group in groups
        if (figure := measure_of(group, plan.measure, km2.get(str(group.key)) or km2.get(None))) is not None
    ]
    ranked = sorted(sized, key=lambda one: (-one[0], str(one[1].key)))
    for rank, (figure, group) in enumerate(ranked[: plan.limit], start=1):
        note_group(notebook, rank, figure, group)


def note_group(notebook: Notebook, rank: int, figure: int | float, group: Group) -> None:
    """Note one group of a ranking."""
    plan, by, label = notebook.plan, notebook.plan.group_by or "category", name_group(group)
    told = tell_measure(figure, plan.measure, group)
    link, has_rows = link_group(plan, str(group.key))
    is_category = by == "category"
    definition = f"{group.key}: {DEFINITIONS[Category(str(group.key))]}" if is_category else define(plan.where)
    statistics = None if by == "company" else repeat_by_statistics(
        plan, plan.where, plan.measure, by=by, kind=plan.region_kind
    )  # fmt: skip
    notebook.note(
        f"Number {rank} by {describe_group(plan)} is {label} with {told}.",
        figure,
        UNITS[plan.measure],
        plan.where,
        query=statistics,
        label=label,
        rows=link,
        has_rows=has_rows,
        definition=definition or define_measure(plan.measure),
    )


def link_group(plan: Plan, key: str) -> tuple[str | None, bool]:
    """Give the path of a group's permits, and whether there is one: no filter takes a company, or a key twice."""
    by = plan.group_by or "category"
    if by == "company" or getattr(plan.where, by):
        return None, False
    word = f"{plan.region_kind}/{key}" if by == "region" else key
    words = (Category(key),) if by == "category" else (word,)
    return link_rows(plan.where.model_copy(update={by: words}), None), True


def name_group(group: Group) -> str:
    """Name a group: a category by its phrase, anything else by its own word."""
    return CATEGORY_PHRASES[Category(str(group.key))] if group.key in set(Category) else str(group.key)
