"""What a permit is about, by rules over its description, type and class; the meanings are in ``permits.words``."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from app.ingest.category_rules import A_BUILDING, A_NEW_BUILDING, ANY_HINT, ELECTRICAL, MECHANICAL, RULES, TRADES, Rule
from app.ingest.energy import find_battery_kwh, find_solar_kw
from app.permits.words import Category, PermitTypeMapped

# The trades of one project come close together and share its description.
CACHED_TEXTS = 10_000
CACHED_WORDS = 50_000
CACHED_CLASSES = 4096
ORDER = {category: place for place, category in enumerate(Category)}

# Classes of whole buildings, as city and census name them; what stands on a lot beside a building is none.
BUILDING_CLASS = re.compile(
    r"famil|houses|apartment|bldgs?\b|building|stores|office|school|church|hotel|motel|mixed use|dwelling|multi-?fam"
)
NO_BUILDING_CLASS = re.compile(
    r"other than b|retaining|dock|relocat|add(?:itio)?n|remodel|alter|renov|finish|demol|driveway|sidewalk|sign"
)
NEW_WORK = re.compile(r"new|shell")
EXISTING_CLASS = re.compile(r"remodel|alter|renov|addn|addition|convn")
TELLING_TYPES: dict[str | None, Category] = {
    PermitTypeMapped.DEMOLITION: Category.DEMOLITION,
    PermitTypeMapped.POOL_SPA: Category.POOL,
    PermitTypeMapped.ROOF: Category.ROOF,
}
BARE_CLASSES = frozenset({"", "residential", "commercial"})

# What an addition's class also holds, and what shows that floor area is added all the same.
NO_FLOOR_AREA = re.compile(
    r"\bdecks?\b|pool|\bspa\b|mobile home|antenna|fence|generator|telecommunication|pergola|patio cover|carport"
)
FLOOR_AREA = re.compile(r"room|addition|add'?n|floor|story|bath|garage|kitchen|living|master|closet|sq|expan")

# What a new building's class also holds: machines, masts, and work on a building that stands.
NO_BUILDING = re.compile(
    r"\b(?:antenna|generator|gen-?set|telecom|tower|fence|retaining wall|tank\b|kiosk|canopy|solar|transformer"
    r"|equipment|dumpster|trellis|shade|light|loop)"
)
STANDING = re.compile(r"\W*(?:partial demo\w*\W*)?(?:add'?n|addition|rem\b|remod|convert|renov|enclos|shell addn)")


class Subject(NamedTuple):
    """What the rules look at. ``permit_type`` is the mapped word; class and work class are the city's own."""

    description: str
    permit_type: str | None
    permit_class: str
    work_class: str


@lru_cache(CACHED_WORDS)
def _find_hinted(word: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.hint.search(word)) if ANY_HINT.search(word) else ()


@lru_cache(CACHED_TEXTS)
def _find_rules(text: str) -> tuple[Rule, ...]:
    hinted = set(chain.from_iterable(map(_find_hinted, text.split())))
    spaced = f" {text}"
    return tuple(rule for rule in hinted if rule.holds(spaced))


@lru_cache(CACHED_CLASSES)
def _classify(permit_type: str | None, permit_class: str, work_class: str) -> frozenset[Category]:
    """Give the categories that class and type alone tell; the description may yet deny some."""
    return frozenset(_tell_by_class(permit_type, permit_class.strip().lower(), work_class.strip().lower()))


def _tell_by_class(permit_type: str | None, kind: str, work: str) -> Iterator[Category]:
    if permit_type in TELLING_TYPES:
        yield TELLING_TYPES[permit_type]
    if "irrigation" in work:
        yield Category.IRRIGATION
    if "finish out" in kind:
        yield Category.FINISH_OUT
    if permit_type not in TRADES and ("demo" in kind or "demo" in work):
        yield Category.DEMOLITION
    if "secondary apartment" in kind:
        yield Category.ADU
    if NEW_WORK.match(work) and BUILDING_CLASS.search(kind) and not NO_BUILDING_CLASS.search(kind):
        yield Category.NEW_CONSTRUCTION
    if "addition" in work and "other than" not in kind:
        yield Category.ADDITION
    if "remodel" in work and EXISTING_CLASS.search(kind):
        yield Category.REMODEL
    if work == "roof":
        yield Category.ROOF
    if work == "upgrade" and permit_type == ELECTRICAL:
        yield Category.PANEL_UPGRADE
    if permit_type == MECHANICAL and (work == "change out" or (kind not in BARE_CLASSES and "other than" not in kind)):
        yield Category.HVAC


@lru_cache(CACHED_TEXTS)
def categorize(subject: Subject) -> tuple[Category, ...]:
    """Give what the permit is about, in the order of :class:`Category`; nothing where no rule holds."""
    if subject.permit_type == PermitTypeMapped.SIGN or "sign permit" in subject.permit_class.lower():
        return (Category.SIGN,)
    if subject.permit_type == PermitTypeMapped.DRIVEWAY_AND_SIDEWALK:
        return (Category.DRIVEWAY,)
    text = subject.description.lower()
    told = {rule.category for rule in _find_rules(text) if subject.permit_type not in rule.never}
    if _serves_new_building(subject, text):
        told.add(Category.NEW_CONSTRUCTION)
    found = told | _classify(subject.permit_type, subject.permit_class, subject.work_class)
    return tuple(sorted(found.difference(_deny(found, told, text)), key=ORDER.__getitem__))


def _serves_new_building(subject: Subject, text: str) -> bool:
    """Whether new work of a trade is for a new building: "new electric service to new residence"."""
    is_new_trade = subject.permit_type in TRADES and NEW_WORK.match(subject.work_class.strip().lower()) is not None
    return is_new_trade and _names_new_building(text)


@lru_cache(CACHED_TEXTS)
def _names_new_building(text: str) -> bool:
    return "new " in text and A_NEW_BUILDING.search(text) is not None


def _deny(found: set[Category], told: set[Category], text: str) -> Iterator[Category]:
    """Give what a class or a word suggests and the rest of the permit denies."""
    if Category.NEW_CONSTRUCTION in found:
        if Category.IRRIGATION in found or (Category.NEW_CONSTRUCTION not in told and _is_no_new_building(text)):
            yield Category.NEW_CONSTRUCTION
        else:
            yield from (Category.ROOF, Category.DECK, Category.FOUNDATION, Category.REMODEL, Category.ADDITION)
    if Category.ADDITION in found - told and NO_FLOOR_AREA.search(text) and not FLOOR_AREA.search(text):
        yield Category.ADDITION
    if Category.POOL in found:
        yield Category.DECK


@lru_cache(CACHED_TEXTS)
def _is_no_new_building(text: str) -> bool:
    return STANDING.match(text) is not None or (NO_BUILDING.search(text) is not None and not A_BUILDING.search(text))


def find_categories(
    description: str, permit_type_mapped: str | None, permit_class: str, work_class: str
) -> tuple[list[str], float | None, float | None]:
    """Give what a permit is about, and the kW of its photovoltaic system and the kWh of its battery, where told."""
    categories = categorize(Subject(description, permit_type_mapped, permit_class, work_class))
    solar_kw = find_solar_kw(description) if Category.SOLAR in categories else None
    battery_kwh = find_battery_kwh(description) if Category.BATTERY in categories else None
    return [str(category) for category in categories], solar_kw, battery_kwh
