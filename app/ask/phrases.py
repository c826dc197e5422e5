"""Plans in plain words: what is asked for, and where and when, as readings and fact sentences say it."""

from calendar import month_name
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from app.ask.plan import GroupBy, Measure, Plan, Where
from app.permits.filters import PermitFilter
from app.permits.words import Category

Figure = int | float | str | None

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
GROUP_PHRASES: dict[GroupBy, str] = {
    "category": "category",
    "permit_type": "permit type",
    "permit_class": "permit class",
    "work_class": "work class",
    "status": "status",
    "zip": "ZIP",
    "district": "district",
    "region": "region",
    "company": "company",
}
ORDER_PHRASES = {"nearest": "nearest", "newest": "newest", "largest": "costliest", "longest_open": "longest open"}
MEASURE_PHRASES: dict[Measure, str] = {
    "permits": "number",
    "value_usd": "estimated cost",
    "median_value_usd": "median estimated cost",
    "mean_value_usd": "mean estimated cost",
    "days_to_issue": "median time from application to issue",
    "permits_per_km2": "number per square kilometre",
}
"""What is measured of permits: "the median estimated cost" of them."""


def describe_where(where: Where, place: str | None = None) -> str:
    """Say which permits are meant: "solar permits issued in 2014 within 800 m of 5604 MANOR RD"."""
    return " ".join(part for part in (describe_kind(where), *describe_bounds(where, place)) if part)


def describe_kind(where: PermitFilter) -> str:
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
    return [*describe_filter(where), describe_area(where, place), describe_without(where)]


def describe_filter(where: PermitFilter) -> list[str]:
    """Say when, for how much, and in which areas that have a name."""
    return [
        describe_days("issued", where.issued_from, where.issued_to),
        describe_days("applied for", where.applied_from, where.applied_to),
        describe_values(where.min_value_usd, where.max_value_usd),
        f'with the words "{where.q}"' if where.q else "",
        f"in ZIP {join_or(where.zip)}" if where.zip else "",
        f"in district {join_or(where.district)}" if where.district else "",
        f"in {join_or([describe_region(word) for word in where.region])}" if where.region else "",
        f"in the register of {join_or([city.capitalize() for city in where.city])}" if where.city else "",
    ]


def describe_region(word: str) -> str:
    """Say a region by its kind and name: "neighborhood Zilker" of "austin/neighborhood/Zilker"."""
    *_, kind, name = ("", *word.split("/", 2)) if "/" in word else ("region", word)
    return f"{describe_region_kind(kind)} {name}"


def describe_region_kind(kind: str) -> str:
    """Say the kind of a region in words."""
    return "ZIP" if kind == "zip" else kind.replace("_", " ")


def describe_without(where: Where) -> str:
    """Say which permits are left out: "other than swimming pool permits"."""
    if where.without is None or where.without == PermitFilter():
        return ""
    what = [describe_kind(where.without), *describe_filter(where.without)]
    return f"other than {' '.join(part for part in what if part)}"


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
    value = "" if plan.measure == "permits" else f" by {MEASURE_PHRASES[plan.measure]}"
    match plan.kind:
        case "sum":
            return f"the sum of the estimated cost of {what}"
        case "share":
            return f"the share of {describe_where(plan.versus or plan.where, place)} that are {what}"
        case "list":
            return f"the {count_or_one(plan.limit)}{ORDER_PHRASES[plan.order or 'newest']} {what}"
        case "top":
            return f"the {count_or_one(plan.limit)}largest groups by {describe_group(plan)}{value} of {what}"
        case "series":
            return f"by {plan.period or 'year'} of issue{value}: {what}"
        case "compare":
            return f"compared{value}: {what}, and {describe_where(plan.versus or plan.where, place)}"
        case "joined":
            later = "later " if plan.sequence == "then" else ""
            return f"addresses with {what} and {later}{describe_where(plan.beside or plan.where, place)}"
        case "changed":
            return f"what changed since {plan.since} in {what}"
        case _:
            return f"the {MEASURE_PHRASES[plan.measure]} of {what}"


def describe_group(plan: Plan) -> str:
    """Say by what a plan groups: "ZIP", "permit type", a region by its kind."""
    return describe_region_kind(plan.region_kind) if plan.region_kind else GROUP_PHRASES[plan.group_by or "category"]


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
    return f"{number:,} {one_of(kind) if number == 1 else kind}"


def one_of(kind: str) -> str:
    """Give a kind in the plural as one: "solar permit"."""
    return kind.replace("permits", "permit", 1)


def a_or_an(kind: str) -> str:
    """Write one of a kind with its article: "a solar permit", "an EV charger permit"."""
    one = one_of(kind)
    return f"{'an' if one[:1].lower() in 'aeiou' else 'a'} {one}"


def write_figure(value: Figure, unit: str) -> str:
    """Write a figure with its unit, permits without: "$12,000", "1 day", "59.7 permits per square kilometre"."""
    if value is None:
        return "none stated"
    if unit == "USD":
        return money(Decimal(str(value)))
    number = value if isinstance(value, str) else f"{value:,.12g}"
    match unit:
        case "days":
            return f"{number} day{'' if value == 1 else 's'}"
        case "permits_per_km2":
            return f"{number} permit{'' if value == 1 else 's'} per square kilometre"
        case "percent":
            return f"{float(value):,.1f} %"
        case _:
            return number
