"""What is measured of permits: found in the database, with its unit and in words."""

from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.notebook import WAIT_DEFINITION, Notebook, repeat_by_statistics
from app.ask.phrases import (
    MEASURE_PHRASES,
    count_of,
    describe_kind,
    describe_where,
    money,
    write_figure,
)
from app.ask.plan import Measure, Where
from app.permits.features import plain
from app.permits.medians import MedianName
from app.permits.stats import Asked, Group, Grouping, Total, find_statistics

UNITS: dict[Measure, str] = {
    "permits": "permits",
    "value_usd": "USD",
    "median_value_usd": "USD",
    "mean_value_usd": "USD",
    "days_to_issue": "days",
    "permits_per_km2": "permits_per_km2",
}
MEDIANS: dict[Measure, MedianName] = {
    "median_value_usd": "value_usd_median",
    "days_to_issue": "days_to_issue_median",
}
"""By measure: the median that it is."""
COSTS: frozenset[Measure] = frozenset({"value_usd", "median_value_usd", "mean_value_usd"})
STATED = {
    "USD": "an estimated cost",
    "days": "both the day of application and the day of issue",
}
"""By unit: what a permit must state to be measured."""


async def measure_total(session: AsyncSession, notebook: Notebook, where: Where, measure: Measure) -> Total:
    """Find the figures of all permits of ``where``, with the median where it is measured."""
    total, _ = await find_statistics(session, notebook.register, ask_for(where, measure), None)
    return total


async def measure_groups(
    session: AsyncSession, notebook: Notebook, where: Where, measure: Measure, grouping: Grouping
) -> list[Group]:
    """Find the figures of each group, without the permits that state none."""
    _, groups = await find_statistics(session, notebook.register, ask_for(where, measure), grouping)
    return [group for group in groups if group.key is not None]


def ask_for(where: Where, measure: Measure) -> Asked:
    """Ask for the figures of ``where``, and the median that is measured."""
    medians = frozenset({MEDIANS[measure]} if measure in MEDIANS else ())
    return Asked(where, where.area, medians=medians)


def measure_of(total: Total, measure: Measure, km2: float | None = None) -> int | float | None:
    """Give what a measure says of a total; None where no permit states it, or where the area is not known."""
    match measure:
        case "permits":
            return total.permits
        case "value_usd":
            return plain_number(total.value_usd) or 0
        case "median_value_usd":
            return plain_number(total.value_usd_median)
        case "mean_value_usd":
            return plain_number(total.value_usd_mean)
        case "days_to_issue":
            days = total.days_to_issue_median
            return None if days is None else plain_number(Decimal(str(days)))
        case "permits_per_km2":
            return round(total.permits / km2, 3) if km2 else None


def count_stating(total: Total, measure: Measure) -> int:
    """Give how many permits state what is measured."""
    if measure in COSTS:
        return total.priced
    return total.timed if measure == "days_to_issue" else total.permits


def define_measure(measure: Measure) -> str | None:
    """Say what is counted, where the name does not."""
    return WAIT_DEFINITION if measure == "days_to_issue" else None


async def note_count(session: AsyncSession, notebook: Notebook, where: Where | None = None) -> Total:
    """Note how many permits there are; the total has what the plan measures too."""
    where, plan = where or notebook.plan.where, notebook.plan
    total = await measure_total(session, notebook, where, plan.measure)
    query = repeat_by_statistics(plan, where, "permits")
    told = tell_count(total.permits, where, notebook.name_place(where))
    notebook.note(told, total.permits, "permits", where, query=query)
    return total


def note_measured(notebook: Notebook, total: Total, where: Where, measure: Measure) -> None:
    """Note a figure of permits' costs or waits, and how many of them state any."""
    what, unit, stated = notebook.describe(where), UNITS[measure], count_stating(total, measure)
    query, definition = repeat_by_statistics(notebook.plan, where, measure), define_measure(measure)
    if not stated:
        sentence = f"None of the {what} states {STATED[unit]}."
        notebook.note(sentence, None, unit, where, query=query, definition=definition)
        return
    value = measure_of(total, measure)
    sentence = f"The {MEASURE_PHRASES[measure]} of {what} {'adds up to' if measure == 'value_usd' else 'is'}"
    before = ", which is before the application" if unit == "days" and value is not None and value < 0 else ""
    told = f"{sentence} {write_figure(value, unit)}{before}."
    notebook.note(told, value, unit, where, query=query, definition=definition)
    state = "states" if stated == 1 else "state"
    these = f"{stated:,} of {'this' if total.permits == 1 else 'these'} {count_of(total.permits, 'permits')}"
    notebook.note(f"{these} {state} {STATED[unit]}.", stated, "permits", where, query=query)


def tell_count(number: int, where: Where, place: str | None) -> str:
    """Tell how many permits there are, "no" where there are none."""
    kind = describe_kind(where)
    what = describe_where(where, place).removeprefix(kind)
    counted = count_of(number, kind) if number else f"no {kind}"
    return f"There {'is' if number == 1 else 'are'} {counted}{what}."


def tell_measure(value: int | float | None, measure: Measure, total: Total) -> str:
    """Tell a group's size: "12 permits", "a median estimated cost of $5 over 3 permits"."""
    if measure == "permits":
        return count_of(total.permits, "permits")
    if value is None:
        return f"no stated {MEASURE_PHRASES[measure]}"
    if measure == "value_usd":
        return f"{money(Decimal(str(value)))} of estimated cost"
    if measure == "permits_per_km2":
        return write_figure(value, UNITS[measure])
    over = count_of(count_stating(total, measure), "permits")
    return f"a {MEASURE_PHRASES[measure]} of {write_figure(value, UNITS[measure])} over {over}"


def plain_number(value: Decimal | None) -> int | float | None:
    """Give a decimal as a JSON number."""
    number = plain(value)
    return number if isinstance(number, int | float) else None


def capitalize(sentence: str) -> str:
    """Begin a sentence with a capital and leave the rest as it is."""
    return sentence[:1].upper() + sentence[1:]
