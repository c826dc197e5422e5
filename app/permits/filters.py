"""PermitFilter: which permits are meant, as a query string, a plan and a tile all say it, and its WHERE clauses."""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Date,
    Numeric,
    Text,
    and_,
    any_,
    bindparam,
    func,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.errors import UnknownWord
from app.permits.numbers import PLAIN
from app.permits.register import Register
from app.permits.search import TEXT_MAX, has_a_word
from app.permits.tables import permits
from app.permits.words import Category, read_district

RADIUS_DEFAULT_M = 500.0
RADIUS_MAX_M = 10_000
LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
WORDS_MAX = 20
DAY_LEAST, DAY_MOST = date(1800, 1, 1), date(2200, 12, 31)
ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""Pydantic alone would take a bare number for seconds since 1970."""
VALUE_MAX_USD = Decimal(10) ** 12


def _drop_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    """Give the values once each and sorted, so that one question has one form."""
    return tuple(sorted(set(values)))


def _as_sequence(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _is_iso(value: object) -> object:
    if isinstance(value, str) and not ISO_DAY.fullmatch(value):
        raise ValueError("must be a date as YYYY-MM-DD")
    return value


def _is_plausible(value: date | None) -> date | None:
    if value is not None and not DAY_LEAST <= value <= DAY_MOST:
        raise ValueError(f"must lie between {DAY_LEAST} and {DAY_MOST}")
    return value


def _drop_zeros(value: Decimal | None) -> Decimal | None:
    """Give an amount in its one form, so that 500.00 and 5e2 are one question."""
    if value is None:
        return None
    return Decimal(int(value)) if value == value.to_integral_value() else value.normalize()


Word = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Words = Annotated[
    tuple[Word, ...], Field(max_length=WORDS_MAX), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
Districts = Annotated[
    tuple[Annotated[Word, AfterValidator(read_district)], ...],
    Field(max_length=WORDS_MAX),
    BeforeValidator(_as_sequence),
    AfterValidator(_drop_repeats),
]
RegionId = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
RegionIds = Annotated[
    tuple[RegionId, ...], Field(max_length=WORDS_MAX), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
SearchText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
    AfterValidator(has_a_word),
]
Zip = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{5}$")]
Zips = Annotated[
    tuple[Zip, ...], Field(max_length=WORDS_MAX), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
Categories = Annotated[
    tuple[Category, ...], Field(max_length=len(Category)), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
Day = Annotated[date | None, BeforeValidator(_is_iso), AfterValidator(_is_plausible)]
Money = Annotated[
    Decimal | None, Field(ge=0, le=VALUE_MAX_USD, max_digits=15, decimal_places=2), PLAIN, AfterValidator(_drop_zeros)
]
Form = Literal["geojson", "csv", "ndjson"]
FormField = Annotated[Form | None, Field(description="geojson, csv or ndjson; unset: as Accept says")]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False), PLAIN]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False), PLAIN]
Radius = Annotated[float, Field(gt=0, le=RADIUS_MAX_M, allow_inf_nan=False), PLAIN]
"""Metres."""
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX), PLAIN]


class PermitFilter(BaseModel, frozen=True, extra="forbid"):
    """Which permits are meant.

    A field with several values is OR, different fields are AND. Days are inclusive at both ends and are calendar days
    in the city; values are US dollars of ``est_project_cost_usd``. ``status``, ``permit_type`` and ``permit_class``
    take the mapped word or the city's own, in any case. ``zip`` and ``district`` are the permit's own, or else those of
    the polygon it lies in; ``region`` is an area that ``/regions`` lists, its border included.
    """

    city: Words = Field(default=(), description="register, e.g. austin; without it all real ones")
    category: Categories = Field(default=(), description="what the permit is about")
    status: Words = Field(default=(), description="mapped or the city's own word")
    permit_type: Words = Field(default=(), description="mapped or the city's own word")
    permit_class: Words = Field(default=(), description="mapped or the city's own word")
    work_class: Words = Field(default=(), description="the city's own word")
    zip: Zips = Field(default=(), description="five digits, of the permit's own address or the area it lies in")
    district: Districts = Field(default=(), description="council district, of the permit or the area it lies in: 9")
    region: RegionIds = Field(default=(), description="an id that /regions gives, or its kind/name: zip/78704")
    issued_from: Day = Field(default=None, description="first day of issue")
    issued_to: Day = Field(default=None, description="last day of issue, inclusive")
    applied_from: Day = Field(default=None, description="first day of application")
    applied_to: Day = Field(default=None, description="last day of application, inclusive")
    min_value_usd: Money = Field(default=None, description="least estimated cost, US dollars")
    max_value_usd: Money = Field(default=None, description="greatest estimated cost, US dollars")
    q: SearchText | None = Field(
        default=None, description='words of description and address, all of them; "a phrase", OR, -without'
    )

    @model_validator(mode="after")
    def _ends_do_not_cross(self) -> Self:
        for low, high in (
            ("issued_from", "issued_to"),
            ("applied_from", "applied_to"),
            ("min_value_usd", "max_value_usd"),
        ):
            first, last = getattr(self, low), getattr(self, high)
            if first is not None and last is not None and first > last:
                raise ValueError(f"{low} lies beyond {high}")
        return self


class Area(BaseModel, frozen=True, extra="forbid"):
    """A circle on the spheroid: WGS 84 degrees and a radius in metres."""

    lat: Latitude
    lng: Longitude
    radius_m: Radius = RADIUS_DEFAULT_M


WITHOUT, ALSO = "without_", "also_"
"""How the names of values begin that say which permits are left out, and what the others must meet besides."""


def make_clauses(prefix: str = "") -> dict[str, ColumnElement[bool]]:
    """Give every clause by the name of the value that is bound in it, which has ``prefix`` before it there."""

    def bound(name: str, type_: Any) -> BindParameter[Any]:  # noqa: ANN401 - a type or a type's class
        return bindparam(f"{prefix}{name}", type_=type_)

    def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column == any_(bound(name, ARRAY(Text)))

    return {
        # By itself, so that an index that begins with the city keeps its order.
        "city": permits.c.city == bound("city", Text),
        "cities": one_of(permits.c.city, "cities"),
        "categories": permits.c.categories.overlap(bound("categories", ARRAY(Text))),
        "status_own": one_of(permits.c.status_current, "status_own"),
        "status_mapped": one_of(permits.c.status_current_mapped, "status_mapped"),
        "permit_type_own": one_of(permits.c.permit_type, "permit_type_own"),
        "permit_type_mapped": one_of(permits.c.permit_type_mapped, "permit_type_mapped"),
        "permit_class_own": one_of(permits.c.permit_class, "permit_class_own"),
        "permit_class_mapped": one_of(permits.c.permit_class_mapped, "permit_class_mapped"),
        "work_class_own": one_of(permits.c.work_class, "work_class_own"),
        "zip": one_of(permits.c.zip, "zip"),
        "district_own": one_of(permits.c.district, "district_own"),
        "regions": permits.c.regions.overlap(bound("regions", ARRAY(BigInteger))),
        "issued_from": permits.c.issued_date >= bound("issued_from", Date),
        "issued_to": permits.c.issued_date <= bound("issued_to", Date),
        "applied_from": permits.c.applied_date >= bound("applied_from", Date),
        "applied_to": permits.c.applied_date <= bound("applied_to", Date),
        "min_value_usd": permits.c.est_project_cost_usd >= bound("min_value_usd", Numeric),
        "max_value_usd": permits.c.est_project_cost_usd <= bound("max_value_usd", Numeric),
        "q": permits.c.search.bool_op("@@")(func.search_query(bound("q", Text))),
    }


CLAUSES = make_clauses()
RELATED_CLAUSES = {prefix: make_clauses(prefix) for prefix in (WITHOUT, ALSO)}
WORD_FIELDS = {
    "status": "status_current",
    "permit_type": "permit_type",
    "permit_class": "permit_class",
    "work_class": "work_class",
    "district": "district",
}
"""By field of a filter: the column whose words it takes."""
AS_GIVEN = ("issued_from", "issued_to", "applied_from", "applied_to", "min_value_usd", "max_value_usd", "q")


def join_clauses(names: frozenset[str], *, with_removed: bool = False) -> list[ColumnElement[bool]]:
    """Give the clauses into which values of these names are bound; a statement of one shape is compiled once.

    Permits that the city withdrew are left out of answers, unless ``with_removed``.
    """
    clauses: list[ColumnElement[bool]] = [] if with_removed else [permits.c.removed_run.is_(None)]
    clauses += _pick(CLAUSES, names)
    for prefix, related in RELATED_CLAUSES.items():
        picked = _pick(related, frozenset(name[len(prefix) :] for name in names if name.startswith(prefix)))
        if prefix == WITHOUT and picked:
            # A permit that does not say what is meant is not known to be, and stays.
            picked = [and_(*picked).is_not(true())]
        clauses += picked
    return clauses


def _pick(known: Mapping[str, ColumnElement[bool]], names: frozenset[str]) -> list[ColumnElement[bool]]:
    """Take the clauses of these names; a city's own words and mapped ones are alternatives."""
    clauses: list[ColumnElement[bool]] = []
    alternatives = {f"{field}_own": f"{field}_mapped" for field in WORD_FIELDS}
    for name, clause in known.items():
        other = alternatives.get(name)
        if name in names and other in names:
            clauses.append(or_(clause, known[other]))
        elif name in names and not (name.endswith("_mapped") and name.replace("_mapped", "_own") in names):
            clauses.append(clause)
    return clauses


def find_related(wanted: PermitFilter) -> dict[str, PermitFilter]:
    """Give the filters that a plan has beside its own, which no query string can say, by the prefix of their values."""
    related = {WITHOUT: getattr(wanted, "without", None), ALSO: getattr(wanted, "also", None)}
    return {prefix: one for prefix, one in related.items() if one is not None}


def bind_filter(wanted: PermitFilter, register: Register) -> dict[str, Any]:
    """Give the values of a filter by the names of the clauses that they are bound in.

    Raises :class:`UnknownWord` for a closed word that the register does not know, and :class:`NoSuchCity`.
    """
    cities = register.choose_cities(wanted.city)
    values = _bind_cities(cities) | _bind_others(wanted, cities, register)
    for prefix, related in find_related(wanted).items():
        bound = _bind_others(related, cities, register)
        if related.city:
            bound |= _bind_cities(register.choose_cities(related.city))
        values |= {f"{prefix}{name}": value for name, value in bound.items()}
    return values


def _bind_cities(cities: tuple[str, ...]) -> dict[str, Any]:
    return {"city": cities[0]} if len(cities) == 1 else {"cities": list(cities)}


def _bind_others(wanted: PermitFilter, cities: tuple[str, ...], register: Register) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if wanted.category:
        values["categories"] = [str(category) for category in wanted.category]
    for field in WORD_FIELDS:
        if given := getattr(wanted, field):
            values |= _bind_words(field, given, cities, register)
    if wanted.zip:
        values["zip"] = list(wanted.zip)
    if wanted.region:
        values["regions"] = sorted({register.find_region(word, cities).region for word in wanted.region})
    return values | {name: value for name in AS_GIVEN if (value := getattr(wanted, name)) is not None}


def _bind_words(field: str, given: tuple[str, ...], cities: tuple[str, ...], register: Register) -> dict[str, Any]:
    """Give the city's own words and the mapped ones that are meant; an unknown one is refused with those known."""
    column = WORD_FIELDS[field]
    own, mapped = set[str](), set[str]()
    for word in given:
        found = register.resolve(column, word, cities)
        if found is None:
            raise UnknownWord(field, word, register.known_words(column, cities))
        own |= found.own
        mapped |= found.mapped
    named = {f"{field}_own": sorted(own), f"{field}_mapped": sorted(mapped)}
    return {name: words for name, words in named.items() if words}
