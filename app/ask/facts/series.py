"""A series: one figure a period of issue, periods without a permit as zero, and the growth between whole periods."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.measures import (
    UNITS,
    capitalize,
    define_measure,
    measure_groups,
    measure_of,
    note_count,
    note_measured,
    tell_measure,
)
from app.ask.facts.nearest import note_nearest
from app.ask.facts.notebook import Notebook, link_rows, repeat_by_statistics
from app.ask.facts.single import UNSIZED
from app.ask.phrases import MEASURE_PHRASES, count_of, describe_kind, write_figure
from app.ask.plan import Period, Where
from app.permits.figures import number_month
from app.permits.series import bound_period, find_through, zero
from app.permits.sizes import measure_area
from app.permits.stats import MONTHS_IN, Group, Grouping, find_ends

PERIODS_MAX = 60
"""More than five years of months are no answer to read; the link under the facts gives all."""


@dataclass(frozen=True)
class Point:
    """One period of a series with its figure; ``partial`` says why it is not whole, and is empty where it is."""

    group: Group
    label: str
    first: date
    last: date
    figure: int | float | None
    partial: str


async def note_series(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, the figure of each period of issue, and how it grew."""
    plan, where = notebook.plan, notebook.plan.where
    total = await note_count(session, notebook)
    if not total.permits:
        await note_nearest(session, notebook, where)
        if not (where.issued_from or where.issued_to):
            return
    elif plan.measure not in ("permits", "permits_per_km2"):
        note_measured(notebook, total, where, plan.measure)
    km2 = await measure_area(session, notebook.register, where, where.area) if "km2" in plan.measure else None
    if plan.measure == "permits_per_km2" and not km2:
        notebook.remarks.append(UNSIZED)
        return
    points = await find_points(session, notebook, km2)
    if len(points) > PERIODS_MAX:
        notebook.remarks.append(f"Told are the last {PERIODS_MAX} of {len(points):,} {plan.period or 'year'}s.")
    for point in points[-PERIODS_MAX:]:
        note_point(notebook, point)
    note_growth(notebook, points)


async def find_points(session: AsyncSession, notebook: Notebook, km2: float | None) -> list[Point]:
    """Find the figure of each period that is asked about and that the register reaches."""
    plan, period = notebook.plan, notebook.plan.period or "year"
    cities = notebook.register.choose_cities(plan.where.city)
    groups = await measure_groups(session, notebook, plan.where, plan.measure, Grouping(period))
    found = {int(group.key or 0): group for group in groups}
    ends = await find_ends(session, cities)
    through = find_through(notebook.register, cities)
    keys = list(list_periods(plan.where, period, notebook.register.years(cities), ends))
    return [make_point(notebook, found.get(key) or zero(key), ends=ends, through=through, km2=km2) for key in keys]


def list_periods(where: Where, period: Period, loaded: frozenset[int], ends: tuple[int, int] | None) -> Iterator[int]:
    """Give every period of the register that is asked about; a year in which nothing at all is registered is said."""
    if ends is None:
        return
    size = MONTHS_IN[period]
    first = max(number_month(where.issued_from), ends[0]) if where.issued_from else ends[0]
    last = min(number_month(where.issued_to), ends[1]) if where.issued_to else ends[1]
    yield from (key for key in range(first // size, last // size + 1) if key * size // 12 in loaded)


def make_point(
    notebook: Notebook, group: Group, *, ends: tuple[int, int] | None, through: date | None, km2: float | None
) -> Point:
    """Make the point of one period; one in which the register begins is no whole one."""
    plan, period = notebook.plan, notebook.plan.period or "year"
    first, last = bound_period(int(group.key or 0), period)
    asked_first, asked_last = plan.where.issued_from, plan.where.issued_to
    partial = ""
    if through is None or last > through:
        partial = f", a partial {period} with data up to {through}"
    elif (asked_first and asked_first > first) or (asked_last and asked_last < last):
        days = f"from {max(first, asked_first or first)} to {min(last, asked_last or last)}"
        partial = f", a partial {period} {days}"
    elif ends and number_month(first) < ends[0]:
        partial = f", a partial {period} with data from {ends[0] // 12}-{ends[0] % 12 + 1:02} on"
    return Point(group, name_label(first, period), first, last, measure_of(group, plan.measure, km2), partial)


def name_label(first: date, period: Period) -> str:
    """Name a period as people do: 2014, Q1 2014, January 2014."""
    match period:
        case "year":
            return f"{first.year}"
        case "quarter":
            return f"Q{first.month // 3 + 1} {first.year}"
        case "month":
            return f"{first:%B} {first.year}"


def note_point(notebook: Notebook, point: Point) -> None:
    """Note the figure of one period."""
    plan, measure = notebook.plan, notebook.plan.measure
    told = (
        count_of(point.group.permits, describe_kind(plan.where))
        if measure == "permits"
        else tell_measure(point.figure, measure, point.group)
    )
    is_one = measure != "permits_per_km2" if measure != "permits" else point.group.permits == 1
    notebook.note(
        f"In {point.label} there {'is' if is_one else 'are'} {told}{point.partial}.",
        point.figure,
        UNITS[measure],
        plan.where,
        query=repeat_by_statistics(plan, plan.where, measure, by=plan.period or "year"),
        rows=link_rows(bound_by(plan.where, point), None),
        has_rows=plan.where.without is None,
        label=point.label,
        definition=define_measure(measure),
    )


def bound_by(where: Where, point: Point) -> Where:
    """Narrow a plan's permits to those issued in one period."""
    first = max(point.first, where.issued_from or point.first)
    last = min(point.last, where.issued_to or point.last)
    return where.model_copy(update={"issued_from": first, "issued_to": last})


def note_growth(notebook: Notebook, points: list[Point]) -> None:
    """Note how the figure changed from the first to the last whole period."""
    whole = [point for point in points if not point.partial and point.figure is not None]
    if len(whole) < 2:
        return
    sentence, percent = tell_growth(notebook, whole[0], whole[-1])
    notebook.note(sentence, percent, "percent", notebook.plan.where)


def tell_growth(notebook: Notebook, first: Point, last: Point) -> tuple[str, float | None]:
    """Tell a growth in figures and, where the first is more than none, as a share of the first."""
    where, measure = notebook.plan.where, notebook.plan.measure
    what = notebook.describe(where.model_copy(update={"issued_from": None, "issued_to": None}))
    named = f"{MEASURE_PHRASES[measure].removesuffix(' per square kilometre')} of {what}"
    named += " per square kilometre" if measure == "permits_per_km2" else ""
    before, after = Decimal(str(first.figure)), Decimal(str(last.figure))
    figures = [write_figure(point.figure, UNITS[measure]) for point in (first, last)]
    if before == after:
        return capitalize(f"the {named} in {first.label} and in {last.label} is the same: {figures[0]}."), 0.0
    percent = round(float((after - before) / before * 100), 1) if before > 0 else None
    share = f", which is {abs(percent):,.1f} % {'more' if percent > 0 else 'less'}" if percent is not None else ""
    verb = "grew" if after > before else "fell"
    sentence = f"From {first.label} to {last.label} the {named} {verb} from {figures[0]} to {figures[1]}{share}."
    return sentence, percent
