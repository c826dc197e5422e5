"""From a plan to facts: sentences whose figures PostGIS computed, each with the query that anyone can repeat."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.phrases import (
    CATEGORY_PHRASES,
    GROUP_PHRASES,
    count_of,
    describe_days,
    describe_kind,
    describe_where,
    money,
)
from app.ask.plan import Plan, Where
from app.permits.features import AnyRow, plain
from app.permits.filters import LIMIT_MAX
from app.permits.listing import select_listed
from app.permits.near import NearQuery, find_near, within
from app.permits.register import Register
from app.permits.stats import Group, Total, count_silent, find_total, find_years, rank_groups
from app.permits.words import DEFINITIONS, Category

Value = int | float | str | None
SILENT = {
    "location": (("area",), "no usable point"),
    "zip": (("zip",), "no ZIP"),
    "issued_date": (("issued_from", "issued_to"), "no date of issue"),
    "applied_date": (("applied_from", "applied_to"), "no date of application"),
    "est_project_cost_usd": (("min_value_usd", "max_value_usd"), "no stated cost"),
}
"""By column: the parts of a plan that need it, and what a permit without it lacks."""


@dataclass(frozen=True)
class Fact:
    """One figure in a sentence.

    ``query`` repeats it over HTTP; ``rows`` is the path of the permits it is about; ``label`` is what a ranked group or
    a year is called.
    """

    id: str
    sentence: str
    value: Value
    unit: str
    query: dict[str, Any]
    rows: str
    definition: str | None
    missing: dict[str, dict[str, int]]
    as_of: dict[str, Any]
    label: str | None = None
    is_row: bool = False

    def render(self) -> dict[str, Any]:
        """Give the fact as the ``facts`` event has it."""
        names = ("id", "sentence", "value", "unit", "query", "rows", "definition", "missing", "as_of")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Facts:
    """All facts of one plan, from one snapshot, and what they share: the words of the permits asked about."""

    plan: Plan
    place: str | None
    as_of: dict[str, Any]
    synthetic: bool
    items: tuple[Fact, ...]
    scope: str
    absent_years: tuple[int, ...] = ()
    """The years asked about in which the register has no permit of any kind."""


@dataclass
class Notebook:
    """Collects the facts of a plan and writes under each what is the same for all."""

    plan: Plan
    register: Register
    place: str | None
    facts: list[Fact] = field(default_factory=list)

    def note(
        self,
        sentence: str,
        value: Value,
        unit: str,
        where: Where,
        *,
        query: dict[str, Any] | None = None,
        rows: str | None = None,
        label: str | None = None,
        is_row: bool = False,
    ) -> Fact:
        """Add a fact about the permits of ``where``."""
        cities = self.register.choose_cities(where.city)
        fact = Fact(
            id=f"f{len(self.facts) + 1}",
            sentence=sentence,
            value=value,
            unit=unit,
            query=query or repeat_by_plan(self.plan),
            rows=rows or link_rows(where, self.plan.order),
            definition=define(where),
            missing=self.register.missing(cities, tuple(lacking(where, self.plan))),
            as_of=self.register.as_of(cities),
            label=label,
            is_row=is_row,
        )
        self.facts.append(fact)
        return fact

    def close(self) -> Facts:
        """Give the facts collected."""
        cities = self.register.choose_cities(self.plan.where.city)
        return Facts(
            plan=self.plan,
            place=self.place,
            as_of=self.register.as_of(cities),
            synthetic=any(self.register.cities[name].synthetic for name in cities),
            items=tuple(self.facts),
            scope=describe_where(self.plan.where, self.place),
            absent_years=find_absent_years(self.plan, self.register.years(cities)),
        )


async def gather(session: AsyncSession, register: Register, plan: Plan, *, place: str | None = None) -> Facts:
    """Compute the facts of a plan on the session's snapshot; ``place`` is what the middle of its area is called.

    Raises :class:`UnknownWord` and :class:`NoSuchCity`.
    """
    notebook = Notebook(plan, register, place)
    gatherers: dict[str, Callable[[AsyncSession, Notebook], Any]] = {
        "count": note_count,
        "sum": note_sum,
        "list": note_list,
        "top": note_top,
        "series": note_series,
        "compare": note_comparison,
    }
    await gatherers[plan.kind](session, notebook)
    if plan.kind != "compare":
        await note_silent(session, notebook)
    return notebook.close()


async def note_count(session: AsyncSession, notebook: Notebook) -> Total:
    """Note how many permits there are."""
    where = notebook.plan.where
    total = await find_total(session, notebook.register, where, where.area)
    notebook.note(tell_count(total.permits, where, notebook.place), total.permits, "permits", where)
    return total


async def note_silent(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits would be looked at too if they stated what the plan asks for."""
    where = notebook.plan.where
    for column, (fields, lack) in SILENT.items():
        if not any(getattr(where, name) for name in fields):
            continue
        wider = where.model_copy(update={name: () if name == "zip" else None for name in fields})
        count = await count_silent(session, notebook.register, wider, wider.area, column)
        if count:
            verb = "has" if count == 1 else "have"
            sentence = f"Of the {describe_where(wider, notebook.place)}, {count:,} {verb} {lack} and cannot be counted."
            notebook.note(sentence, count, "permits", wider, rows=link_rows(wider, None))


async def note_sum(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, what they cost together, and how many of them state a cost."""
    where = notebook.plan.where
    total = await note_count(session, notebook)
    if total.permits:
        note_cost(notebook, total, where)


def note_cost(notebook: Notebook, total: Total, where: Where) -> None:
    """Note a sum of costs and how many permits it is of."""
    what = describe_where(where, notebook.place)
    if not total.priced:
        notebook.note(f"None of the {what} states an estimated cost.", None, "USD", where)
        return
    cost = f"The estimated cost of {what} adds up to {money(total.value_usd)}."
    notebook.note(cost, plain_number(total.value_usd), "USD", where)
    state = "states" if total.priced == 1 else "state"
    sentence = f"{total.priced:,} of these {total.permits:,} permits {state} an estimated cost."
    notebook.note(sentence, total.priced, "permits", where)


async def note_list(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, and the first of them, each a fact of its own."""
    await note_count(session, notebook)
    plan = notebook.plan
    for row in await find_rows(session, notebook.register, plan):
        sentence, value, unit = tell_row(row, plan)
        path = f"/permits/{quote(row.city, safe='')}/{quote(row.source_id, safe='')}"
        query = (
            repeat_by_plan(plan)
            if plan.order == "nearest"
            else {"method": "GET", "path": path, "params": {}, "body": None}
        )
        notebook.note(sentence, value, unit, plan.where, query=query, rows=path, is_row=True)


async def find_rows(session: AsyncSession, register: Register, plan: Plan) -> list[AnyRow]:
    """Find the permits of a list."""
    where = plan.where
    if plan.order == "nearest" and where.area is not None:
        query = NearQuery.model_validate(
            where.model_dump(exclude={"area"}) | where.area.model_dump() | {"limit": plan.limit}
        )
        return (await find_near(session, register, query)).rows
    statement = select_listed(where, register, "largest" if plan.order == "largest" else "newest")
    if where.area is not None:
        statement = statement.where(within(where.area))
    return list(await session.execute(statement.limit(plan.limit)))


async def note_top(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, and the largest groups of them in order."""
    total, plan = await note_count(session, notebook), notebook.plan
    if plan.measure == "value_usd" and total.permits:
        note_cost(notebook, total, plan.where)
    by = plan.group_by or "category"
    groups = await rank_groups(
        session, notebook.register, plan.where, plan.where.area, by=by, measure=plan.measure, limit=plan.limit
    )
    for rank, group in enumerate(groups, start=1):
        label = name_group(group.key)
        key = Category(str(group.key)) if by == "category" else str(group.key)
        rows = None if getattr(plan.where, by) else link_rows(plan.where.model_copy(update={by: (key,)}), None)
        sentence = f"Number {rank} by {GROUP_PHRASES[by]} is {label} with {tell_measure(group, plan)}."
        notebook.note(sentence, measure_of(group, plan), unit_of(plan), plan.where, label=label, rows=rows)


async def note_series(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, and how many in each year of issue, years without any included."""
    total, plan = await note_count(session, notebook), notebook.plan
    if plan.measure == "value_usd" and total.permits:
        note_cost(notebook, total, plan.where)
    years = await find_years(session, notebook.register, plan.where, plan.where.area)
    loaded = notebook.register.years(notebook.register.choose_cities(plan.where.city))
    for group in fill_years(years, plan.where, loaded):
        year = int(group.key or 0)
        partial = tell_partial(year, notebook.register, plan.where)
        told = (
            tell_measure(group, plan)
            if plan.measure == "value_usd"
            else count_of(group.permits, describe_kind(plan.where))
        )
        sentence = f"In {year} there {are(group, plan)} {told}{partial}."
        notebook.note(
            sentence,
            measure_of(group, plan),
            unit_of(plan),
            plan.where,
            rows=link_rows(bound_by_year(plan.where, year), None),
            label=str(year),
        )


def bound_by_year(where: Where, year: int) -> Where:
    """Narrow a plan's permits to those issued in one year."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    bounds = {"issued_from": max(first, where.issued_from or first), "issued_to": min(last, where.issued_to or last)}
    return where.model_copy(update=bounds)


async def note_comparison(session: AsyncSession, notebook: Notebook) -> None:
    """Note both sides of a comparison, and by how much the larger exceeds the smaller."""
    plan, sides = notebook.plan, []
    names = name_sides(plan)
    for where in (plan.where, plan.versus or plan.where):
        total = await find_total(session, notebook.register, where, where.area)
        notebook.note(tell_count(total.permits, where, notebook.place), total.permits, "permits", where)
        if plan.measure == "value_usd":
            note_cost(notebook, total, where)
        sides.append(measure_of(total, plan))
    notebook.note(
        tell_difference(plan, names, sides),
        plain_number(Decimal(str(abs(sides[0] - sides[1])))),
        unit_of(plan),
        plan.where,
    )


def tell_count(number: int, where: Where, place: str | None) -> str:
    """Tell how many permits there are, "no" where there are none."""
    kind = describe_kind(where)
    what = describe_where(where, place).removeprefix(kind)
    counted = count_of(number, kind) if number else f"no {kind}"
    return f"There {'is' if number == 1 else 'are'} {counted}{what}."


def tell_row(row: AnyRow, plan: Plan) -> tuple[str, Value, str]:
    """Tell one permit: its number, place, what for, when, and cost; with the value it is ordered by."""
    name, address = row.permit_number or row.source_id, row.original_address1 or "no stated address"
    about = ", ".join(CATEGORY_PHRASES[Category(name)] for name in row.categories) or "no category"
    issued = f"issued {row.issued_date}" if row.issued_date else "not issued"
    cost = (
        f"estimated cost {money(row.est_project_cost_usd)}"
        if row.est_project_cost_usd is not None
        else "no stated cost"
    )
    details = f"{about}; {issued}; {cost}"
    if plan.order == "nearest":
        away = round(row.distance_m, 1)
        return f"Permit {name} is {away:,} m away at {address}: {details}.", away, "m"
    if plan.order == "largest":
        return f"Permit {name} at {address}: {details}.", plain_number(row.est_project_cost_usd), "USD"
    return f"Permit {name} at {address}: {details}.", row.issued_date.isoformat() if row.issued_date else None, "date"


def tell_measure(group: Total, plan: Plan) -> str:
    """Tell a group's size: "12 permits", or the sum of their cost."""
    if plan.measure == "value_usd":
        return f"{money(group.value_usd)} of estimated cost"
    return f"{group.permits:,} permit{'' if group.permits == 1 else 's'}"


def tell_partial(year: int, register: Register, where: Where) -> str:
    """Say that a year is not over in the data, where it is not."""
    through = [register.cities[name].data_through for name in register.choose_cities(where.city)]
    last = max((day for day in through if day), default=None)
    return (
        f", a partial year with data up to {last}"
        if last and last.year == year and (last.month, last.day) != (12, 31)
        else ""
    )


def tell_difference(plan: Plan, names: tuple[str, str], sides: list[int | float]) -> str:
    """Tell by how much the larger side exceeds the smaller, in numbers and as a share of the smaller."""
    (larger, most), (smaller, least) = sorted(zip(names, sides, strict=True), key=lambda side: -side[1])
    if most == least:
        return capitalize(f"{larger} and {smaller} are equal.")
    gap = money(Decimal(str(most - least))) if plan.measure == "value_usd" else count_of(int(most - least), "permits")
    share = f", which is {(most - least) / least * 100:,.1f} % more" if least else ""
    return capitalize(f"{larger} exceeds {smaller} by {gap}{share}.")


def name_sides(plan: Plan) -> tuple[str, str]:
    """Name the two sides of a comparison by what differs between them: "the number of permits issued in 2014"."""
    versus = plan.versus or plan.where
    measured = "number" if plan.measure == "permits" else "estimated cost"
    named = [describe_kind(side) for side in (plan.where, versus)]
    if named[0] == named[1]:
        named = [
            f"{describe_kind(side)} {describe_days('issued', side.issued_from, side.issued_to)}".strip()
            for side in (plan.where, versus)
        ]
    if named[0] == named[1]:
        named = [describe_where(side) for side in (plan.where, versus)]
    return f"the {measured} of {named[0]}", f"the {measured} of {named[1]}"


def fill_years(years: list[Group], where: Where, loaded: frozenset[int]) -> Iterator[Group]:
    """Give every year of the register that is asked about, those without a permit of the kind as zero."""
    found = {group.key: group for group in years}
    for year in sorted(loaded):
        if is_asked(year, where):
            yield found.get(year) or Group(permits=0, priced=0, value_usd=Decimal(0), key=year)


def is_asked(year: int, where: Where) -> bool:
    """Tell whether a year lies within the days of issue asked about."""
    first, last = where.issued_from, where.issued_to
    return (first is None or first.year <= year) and (last is None or year <= last.year)


def find_absent_years(plan: Plan, loaded: frozenset[int]) -> tuple[int, ...]:
    """Give the years asked about, or between the first and last of a series, in which nothing at all is registered."""
    sides = [side for side in (plan.where, plan.versus) if side is not None]
    absent = set[int]()
    for side in sides:
        first = side.issued_from.year if side.issued_from else min(loaded, default=0)
        last = side.issued_to.year if side.issued_to else max(loaded, default=0)
        if side.issued_from or side.issued_to or plan.kind == "series":
            absent |= set(range(first, last + 1)) - loaded
    return tuple(sorted(absent))


def lacking(where: Where, plan: Plan) -> Iterator[str]:
    """Name what permits must state to be found by ``where``."""
    if where.area:
        yield "without_location"
    if where.category or plan.group_by == "category":
        yield "without_category"
    if where.zip:
        yield "without_zip"
    if where.issued_from or where.issued_to or plan.kind == "series":
        yield "without_issued_date"
    if where.applied_from or where.applied_to:
        yield "without_applied_date"
    if where.min_value_usd is not None or where.max_value_usd is not None or plan.measure == "value_usd":
        yield "without_value"


def define(where: Where) -> str | None:
    """Give the definition of the categories meant."""
    return "; ".join(f"{category}: {DEFINITIONS[category]}" for category in where.category) or None


def repeat_by_plan(plan: Plan) -> dict[str, Any]:
    """Give the request that computes a plan's facts again, without words."""
    return {
        "method": "POST",
        "path": "/facts",
        "params": {},
        "body": {"plan": plan.model_dump(mode="json", exclude_defaults=True)},
    }


def link_rows(where: Where, order: str | None) -> str:
    """Give the path and query of the permits that ``where`` means."""
    parameters = where.model_dump(mode="json", exclude={"area"}, exclude_defaults=True)
    if where.area is not None:
        parameters = where.area.model_dump() | parameters | {"limit": LIMIT_MAX}
    elif order == "largest":
        parameters |= {"order": "largest"}
    path = "/permits" if where.area is None else "/permits/near"
    return f"{path}?{urlencode(parameters, doseq=True)}" if parameters else path


def name_group(key: str | int | None) -> str:
    """Name a group: a category by its phrase, anything else by its own word."""
    return CATEGORY_PHRASES[Category(str(key))] if key in set(Category) else str(key)


def are(group: Total, plan: Plan) -> str:
    """Give the verb that fits a measure."""
    return "is" if plan.measure == "value_usd" or group.permits == 1 else "are"


def measure_of(group: Total, plan: Plan) -> int | float:
    """Give the figure that a plan measures."""
    return group.permits if plan.measure == "permits" else plain_number(group.value_usd) or 0


def unit_of(plan: Plan) -> str:
    """Give the unit of :func:`measure_of`."""
    return "permits" if plan.measure == "permits" else "USD"


def capitalize(sentence: str) -> str:
    """Begin a sentence with a capital and leave the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def plain_number(value: Decimal | None) -> int | float | None:
    """Give a decimal as a JSON number."""
    number = plain(value)
    return number if isinstance(number, int | float) else None
