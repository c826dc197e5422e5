"""Plans in plain words: what is asked for, and where and when, as readings and fact sentences say it."""

from calendar import month_name
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from app.ask.plan import Plan, Where
from app.permits.words import Category

CATEGORY_PHRASES = {
    Category.SOLAR: "solar",
    Category.BATTERY: "battery storage",
    Category.EV_CHARGER: "EV charger",
    Category.PANEL_UPGRADE: "electrical panel upgrade",
    Category.GENERATOR: "generator",
    Category.HVAC: "heating and cooling",
    Category.WATER_HEATER: "water heater",
    Category.POOL: "swimming pool",
    Category.DEMOLITION: "demolition",
    Category.NEW_CONSTRUCTION: "new construction",
    Category.ADDITION: "addition",
    Category.REMODEL: "remodel",
    Category.ADU: "accessory dwelling",
    Category.ROOF: "roof",
    Category.FOUNDATION: "foundation",
    Category.DECK: "deck and porch",
    Category.IRRIGATION: "irrigation",
    Category.DRIVEWAY: "driveway and sidewalk",
    Category.SIGN: "sign",
    Category.FINISH_OUT: "finish-out",
}
GROUP_PHRASES = {"category": "category", "permit_type": "permit type", "work_class": "work class"}
ORDER_PHRASES = {"nearest": "nearest", "newest": "newest", "largest": "costliest"}


def describe_where(where: Where, place: str | None = None) -> str:
    """Say which permits are meant: "solar permits issued in 2014 within 800 m of 5604 MANOR RD"."""
    return " ".join(part for part in (describe_kind(where), *describe_bounds(where, place)) if part)


def describe_kind(where: Where) -> str:
    """Say the kind of permit: "finaled residential solar permits of work class Wall"."""
    before = [
        join_or(where.permit_class),
        join_or([CATEGORY_PHRASES[one] for one in where.category]),
        join_or(where.permit_type),
    ]
    after = f"of work class {join_or(where.work_class)}" if where.work_class else ""
    status = f"with status {join_or(where.status)}" if where.status else ""
    return " ".join(part for part in (*before, "permits", after, status) if part)


def describe_bounds(where: Where, place: str | None = None) -> list[str]:
    """Say when, where and for how much."""
    return [
        describe_days("issued", where.issued_from, where.issued_to),
        describe_days("applied for", where.applied_from, where.applied_to),
        describe_values(where.min_value_usd, where.max_value_usd),
        f"in ZIP {join_or(where.zip)}" if where.zip else "",
        f"in the register of {join_or([city.capitalize() for city in where.city])}" if where.city else "",
        describe_area(where, place),
    ]


def describe_area(where: Where, place: str | None = None) -> str:
    """Say the circle: "within 800 m of 30.2672, -97.7431"."""
    if where.area is None:
        return ""
    origin = place or f"{where.area.lat:.6g}, {where.area.lng:.7g}"
    return f"within {where.area.radius_m:,.10g} m of {origin}"


def describe_days(verb: str, first: date | None, last: date | None) -> str:
    """Say a period as a person would: a year, a month, or from and to."""
    if first is None and last is None:
        return ""
    if first is None or last is None:
        return f"{verb} since {first}" if first else f"{verb} up to {last}"
    if first == last:
        return f"{verb} on {first}"
    return f"{verb} {describe_period(first, last)}"


def describe_period(first: date, last: date) -> str:
    """Say "in 2014", "in March 2014", "from 2013 to 2015", or the two days."""
    begins_year, ends_year = (first.month, first.day) == (1, 1), (last.month, last.day) == (12, 31)
    if begins_year and ends_year:
        return f"in {first.year}" if first.year == last.year else f"from {first.year} to {last.year}"
    if first.day == 1 and (first.year, first.month) == (last.year, last.month) and (last + timedelta(1)).day == 1:
        return f"in {month_name[first.month]} {first.year}"
    return f"from {first} to {last}"


def describe_values(least: Decimal | None, most: Decimal | None) -> str:
    """Say bounds of estimated cost."""
    if least is not None and most is not None:
        return f"with an estimated cost from {money(least)} to {money(most)}"
    if least is not None:
        return f"with an estimated cost of at least {money(least)}"
    return f"with an estimated cost of at most {money(most)}" if most is not None else ""


def describe_plan(plan: Plan, place: str | None = None) -> str:
    """Say a plan in words, as the ``reading`` of a reply does."""
    what = describe_where(plan.where, place)
    value = " by estimated cost" if plan.measure == "value_usd" else ""
    match plan.kind:
        case "count":
            return f"the number of {what}"
        case "sum":
            return f"the sum of the estimated cost of {what}"
        case "list":
            return f"the {count_or_one(plan.limit)}{ORDER_PHRASES[plan.order or 'newest']} {what}"
        case "top":
            group = GROUP_PHRASES[plan.group_by or "category"]
            return f"the {count_or_one(plan.limit)}largest groups by {group}{value} of {what}"
        case "series":
            return f"by year of issue{value}: {what}"
        case "compare":
            return f"compared{value}: {what}, and {describe_where(plan.versus or plan.where, place)}"


def count_or_one(number: int) -> str:
    """Write a number before a superlative, nothing for one: "the 3 nearest", "the nearest"."""
    return f"{number} " if number > 1 else ""


def join_or(words: Sequence[str]) -> str:
    """Join words by "or"."""
    return " or ".join(words)


def money(value: Decimal | float) -> str:
    """Write US dollars, cents only where there are any."""
    amount = Decimal(value)
    return f"${amount:,.0f}" if amount == amount.to_integral_value() else f"${amount:,.2f}"


def count_of(number: int, kind: str) -> str:
    """Write a number before a kind in the plural, which becomes singular for one: "1 solar permit"."""
    return f"{number:,} {kind.replace('permits', 'permit', 1) if number == 1 else kind}"
