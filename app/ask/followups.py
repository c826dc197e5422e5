"""Follow-ups: "and in 2022?" or "by ZIP" changes of the plan before what it says, and nothing else. Nothing is kept."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from app.ask.grammar import Reading, form_of
from app.ask.plan import (
    FREE_MEASURE,
    MEASURES,
    PARTS,
    ROWS_DEFAULT,
    ROWS_MAX,
    Kind,
    Measure,
    Order,
    Period,
    Plan,
    Where,
)
from app.permits.filters import Area, PermitFilter

ASKING = frozenset(
    {
        "count",
        "total",
        "value_usd",
        "mean",
        "median",
        "share",
        "density",
        "waiting",
        "wait",
        "joined",
        "changed",
        "group",
    }
    | {"series", "period", "ranking", "compare", "than", "change", "nearest", "newest", "largest", "priciest", "top"}
    | {"longest_open", "densest", "slowest", "rows"}
)
"""Words for a kind of answer, as :attr:`Reading.said` names them."""
NAMING = frozenset({"category", "permit_type", "work_class", "subject"})
NARROWING = frozenset({"only", "just", "ones", "those", "them", "these"})
BESIDE = frozenset({"compare", "compared", "versus", "vs", "than"})
_OPENING = re.compile(
    r"(?:(?:ok|okay|so|now|then) ?,? )*(?:and|or|but|only|just|now|then|with|without|excluding)(?![^ ])"
)
_FORMER = re.compile(r"(?<![^ ])(?:rather than|instead of)(?![^ ])")
_POINTING = re.compile(r"(?<![^ ])(?:them|those|these|ones)(?![^ ])")
TWO_SIDED = frozenset(PARTS["versus"] | PARTS["beside"])
PLACES = ("zip", "district", "region")
GROUPS: Mapping[str, tuple[str, ...]] = {
    "the kind of permit": ("category", "permit_type", "work_class"),
    "the class": ("permit_class",),
    "the status": ("status",),
    "the days of issue": ("issued_from", "issued_to"),
    "the days of application": ("applied_from", "applied_to"),
    "the cost": ("min_value_usd", "max_value_usd"),
    "the register": ("city",),
}
"""Fields of a filter that are changed together, by what an answer calls them."""
PART_NAMES: Mapping[str, str] = {
    "kind": "what is asked for",
    "measure": "the measure",
    "group_by": "the groups",
    "period": "the period",
    "order": "the order",
    "limit": "the number of rows",
    "since": "the day since when",
}


class Contested(Exception):  # noqa: N818 - the caller asks back
    """What a follow-up changes is said of the two sides of the plan before in two ways."""


def is_follow_up(question: str, reading: Reading) -> bool:
    """Whether a question needs the one before: it says so, or it does not say which permits it is about."""
    form = form_of(question)
    if not reading.said.isdisjoint({"same", "rows"}) or reading.said == {"everywhere"} or _POINTING.search(form):
        return True
    asks, names = not reading.said.isdisjoint(ASKING), not reading.said.isdisjoint(NAMING)
    if asks or _OPENING.match(form):
        return not (asks and names)
    return not names or (count_said(reading) <= 1 and "subject" not in reading.said)


def count_said(reading: Reading) -> int:
    """Count what a question says of permits: the fields of a filter that go together, and the place."""
    groups = [fields for fields in (*GROUPS.values(), PLACES) if says(reading.where, fields)]
    return len(groups) + (reading.place is not None) + (reading.radius_m is not None)


def says(side: PermitFilter, fields: tuple[str, ...]) -> bool:
    """Whether a filter has a value in one of these fields."""
    return any(getattr(side, name) not in ((), None) for name in fields)


def follow(previous: Plan, question: str, reading: Reading, area: Area | None) -> Plan:
    """Change the plan before by what a follow-up says; ``area`` is the place it names, with its radius.

    Raises :class:`Contested`, and pydantic's error where what comes of it is no plan.
    """
    words = frozenset(_FORMER.sub("", form_of(question)).split(" "))
    kind = choose_kind(previous, reading)
    if kind != previous.kind and previous.kind in TWO_SIDED:
        raise Contested
    since = reading.since
    group_by = reading.group_by if "group" in reading.said or previous.group_by is None else None
    wanted = reading.where
    if kind == previous.kind == "changed" and since is None:
        since = wanted.issued_from or previous.since
        wanted = wanted.model_copy(update={"issued_from": None, "issued_to": None})
    narrows = not words.isdisjoint(NARROWING)
    if "everywhere" in reading.said:
        previous = leave_place(previous)
    sides = change_sides(previous, kind, reading, wanted, area, narrows=narrows)
    if previous.kind not in TWO_SIDED and not words.isdisjoint(BESIDE) and reading.versus is None:
        kind, sides = "compare", {"where": previous.where, "versus": sides["where"]}
    return Plan(
        kind=kind,
        measure=choose_measure(previous, reading, kind),
        **{"beside": previous.beside, "versus": previous.versus, **sides} if kind in TWO_SIDED else sides,
        sequence=(reading.sequence or previous.sequence) if kind == "joined" else None,
        since=since,
        group_by=(group_by or previous.group_by or "category") if kind == "top" else None,
        region_kind=(reading.region_kind if group_by else previous.region_kind) if kind == "top" else None,
        period=(reading.period or keep_period(previous, reading)) if kind == "series" else None,
        order=choose_order(previous, reading, sides["where"]) if kind == "list" else None,
        limit=choose_limit(previous, reading, kind),
    )


def leave_place(previous: Plan) -> Plan:
    """Ask the plan before of the whole city."""
    nowhere = {"area": None, **dict.fromkeys(PLACES, ())}
    sides = {
        name: side.model_copy(update=nowhere)
        for name in ("where", "versus", "beside")
        if (side := getattr(previous, name)) is not None
    }
    order = "newest" if previous.order == "nearest" else previous.order
    return previous.model_copy(update={**sides, "order": order})


def choose_kind(previous: Plan, reading: Reading) -> Kind:
    """Take the kind that is asked for, or keep the one before; a measure alone leaves a ranking or years what it is."""
    if "rows" in reading.said:
        return "list"
    if reading.said.isdisjoint(ASKING) or reading.kind is None:
        return previous.kind
    is_measure = reading.kind in MEASURES or (reading.kind == "list" and "priciest" in reading.said)
    is_cut = reading.kind == "list" and "top" in reading.said
    if previous.kind in FREE_MEASURE and (is_measure or (is_cut and previous.kind == "top")):
        return previous.kind
    return reading.kind


def choose_measure(previous: Plan, reading: Reading, kind: Kind) -> Measure:
    """Take the measure that is said, or keep what was measured before."""
    if kind not in FREE_MEASURE:
        return MEASURES.get(kind, "permits")
    if reading.kind in MEASURES:
        return MEASURES[reading.kind]
    if reading.kind == "list" and "priciest" in reading.said:
        return "value_usd"
    if reading.measure != "permits" or "count" in reading.said:
        return reading.measure
    return previous.measure


def choose_order(previous: Plan, reading: Reading, where: Where) -> Order:
    """Take the order that is said, or keep it, or begin with the nearest where there is a place."""
    is_said = not reading.said.isdisjoint({"nearest", "newest", "largest", "priciest", "longest_open", "top"})
    kept = None if previous.order == "nearest" and where.area is None else previous.order
    return (reading.order if is_said else kept) or ("nearest" if where.area else "newest")


def choose_limit(previous: Plan, reading: Reading, kind: Kind) -> int:
    """Take the number that is said, or keep that of the same kind of answer."""
    kept = previous.limit if previous.kind == kind else ROWS_DEFAULT
    return min(reading.limit or kept, ROWS_MAX)


def keep_period(previous: Plan, reading: Reading) -> Period | None:
    """Keep the period of a series unless years are asked for."""
    return None if "series" in reading.said else previous.period


def change_sides(
    previous: Plan, kind: Kind, reading: Reading, wanted: PermitFilter, area: Area | None, *, narrows: bool
) -> dict[str, Where]:
    """Change each side of the plan before, or make the two that the follow-up asks for out of its one."""
    other = reading.versus or reading.beside
    name = "beside" if kind == "joined" else "versus"
    change = partial(change_side, area=area, radius_m=reading.radius_m, narrows=narrows)
    if previous.kind not in TWO_SIDED:
        sides = {"where": change(previous.where, wanted, without=reading.without)}
        if other is not None and kind in TWO_SIDED:
            left_out = None if reading.is_part_without else reading.without
            sides[name] = change(previous.where, other, without=left_out)
        return sides
    if other is not None:
        raise Contested
    second = previous.versus or previous.beside or previous.where
    held = wanted_of_whole(previous, second, wanted)
    return {
        "where": change(previous.where, wanted, without=reading.without),
        name: change(second, held, without=reading.without),
    }


def wanted_of_whole(previous: Plan, second: Where, wanted: PermitFilter) -> PermitFilter:
    """Give what of a change holds for the second side too: all but what only the part of a share says.

    Raises :class:`Contested` where the two sides of a comparison or of a pair differ in it.
    """
    held: dict[str, Any] = {}
    for fields in (*GROUPS.values(), PLACES):
        if not says(wanted, fields):
            continue
        differs = any(getattr(previous.where, field) != getattr(second, field) for field in fields)
        if differs and (previous.kind != "share" or says(second, fields)):
            raise Contested
        held |= {} if differs else {field: getattr(wanted, field) for field in fields}
    return PermitFilter(**held)


def change_side(
    side: Where,
    wanted: PermitFilter,
    *,
    without: PermitFilter | None,
    area: Area | None,
    radius_m: float | None,
    narrows: bool,
) -> Where:
    """Set what a follow-up says in place of what was said before; all else stays."""
    changed = side.model_dump()
    for name, fields in GROUPS.items():
        if says(wanted, fields):
            kept = fields if not narrows or name != "the kind of permit" else said_fields(wanted, fields)
            changed |= {field: getattr(wanted, field) for field in kept}
    if says(wanted, PLACES) or area is not None:
        changed |= {field: getattr(wanted, field) for field in PLACES} | {"area": area}
    elif radius_m is not None and side.area is not None:
        changed["area"] = side.area.model_dump() | {"radius_m": radius_m}
    if without is not None:
        before = side.without.model_dump(exclude_defaults=True) if side.without else {}
        added = without.model_dump(exclude_defaults=True)
        both = (name for name in before.keys() & added if isinstance(added[name], tuple))
        joined = {name: (*before[name], *added[name]) for name in both}
        changed["without"] = before | added | joined
    return Where.model_validate(changed)


def said_fields(side: PermitFilter, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Give the fields that have a value."""
    return tuple(field for field in fields if says(side, (field,)))


def find_changes(previous: Plan, plan: Plan) -> Iterator[str]:
    """Name what differs between the plan before and the one that came of it."""
    for part, name in PART_NAMES.items():
        if getattr(previous, part) != getattr(plan, part):
            yield name
    sides = (plan.where, plan.versus or plan.beside or plan.where)
    were = (previous.where, previous.versus or previous.beside or previous.where)
    for name, fields in (*GROUPS.items(), ("the place", (*PLACES, "area")), ("what is left out", ("without",))):
        if any(
            getattr(old, field) != getattr(new, field) for old, new in zip(were, sides, strict=True) for field in fields
        ):
            yield name


def try_follow(previous: Plan, question: str, reading: Reading, area: Area | None) -> Plan | None:
    """Change the plan before, or give None where that is contested or comes to no plan."""
    try:
        return follow(previous, question, reading, area)
    except (Contested, ValidationError):
        return None
