"""PermitFilter: which permits are meant, as a query string, a plan and a tile all say it, and its WHERE clauses."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from sqlalchemy import ColumnElement, or_

from app.errors import UnknownWord
from app.permits.register import Register
from app.permits.tables import permits
from app.permits.words import Category

RADIUS_DEFAULT_M = 500.0
RADIUS_MAX_M = 10_000
LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
WORDS_MAX = 20
ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
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
    if value is not None and not date(1800, 1, 1) <= value <= date(2200, 12, 31):
        raise ValueError("must lie between 1800-01-01 and 2200-12-31")
    return value


Word = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Words = Annotated[
    tuple[Word, ...], Field(max_length=WORDS_MAX), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
Zip = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{5}$")]
Zips = Annotated[
    tuple[Zip, ...], Field(max_length=WORDS_MAX), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
Categories = Annotated[
    tuple[Category, ...], Field(max_length=len(Category)), BeforeValidator(_as_sequence), AfterValidator(_drop_repeats)
]
Day = Annotated[date | None, BeforeValidator(_is_iso), AfterValidator(_is_plausible)]
Money = Annotated[Decimal | None, Field(ge=0, le=VALUE_MAX_USD, max_digits=15, decimal_places=2)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class PermitFilter(BaseModel, frozen=True, extra="forbid"):
    """Which permits are meant.

    A field with several values is OR, different fields are AND. Days are inclusive at both ends and are calendar days
    in the city; values are US dollars of ``est_project_cost_usd``. ``status``, ``permit_type`` and ``permit_class``
    take the mapped word or the city's own, in any case.
    """

    city: Words = Field(default=(), description="register, e.g. austin; without it all real ones")
    category: Categories = Field(default=(), description="what the permit is about")
    status: Words = Field(default=(), description="mapped or the city's own word")
    permit_type: Words = Field(default=(), description="mapped or the city's own word")
    permit_class: Words = Field(default=(), description="mapped or the city's own word")
    work_class: Words = Field(default=(), description="the city's own word")
    zip: Zips = Field(default=(), description="five digits, of the permit's own address")
    issued_from: Day = Field(default=None, description="first day of issue")
    issued_to: Day = Field(default=None, description="last day of issue, inclusive")
    applied_from: Day = Field(default=None, description="first day of application")
    applied_to: Day = Field(default=None, description="last day of application, inclusive")
    min_value_usd: Money = Field(default=None, description="least estimated cost, US dollars")
    max_value_usd: Money = Field(default=None, description="greatest estimated cost, US dollars")

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
    radius_m: float = Field(default=RADIUS_DEFAULT_M, gt=0, le=RADIUS_MAX_M, allow_inf_nan=False)


def where_clauses(wanted: PermitFilter, register: Register) -> list[ColumnElement[bool]]:
    """Give the clauses that a permit has to meet; the place is not among them.

    Raises :class:`UnknownWord` for a closed word that the register does not know.
    """
    return list(_clauses(wanted, register))


def _clauses(wanted: PermitFilter, register: Register) -> Iterator[ColumnElement[bool]]:
    columns = permits.c
    cities = register.choose_cities(wanted.city)
    yield columns.city.in_(cities)
    yield columns.removed_run.is_(None)
    if wanted.category:
        yield columns.categories.overlap([str(category) for category in wanted.category])
    for field in ("status", "permit_type", "permit_class", "work_class"):
        if given := getattr(wanted, field):
            yield _word_clause(field, given, cities, register)
    if wanted.zip:
        yield columns.original_zip.in_(wanted.zip)
    for bound, column in (("issued", columns.issued_date), ("applied", columns.applied_date)):
        if (first := getattr(wanted, f"{bound}_from")) is not None:
            yield column >= first
        if (last := getattr(wanted, f"{bound}_to")) is not None:
            yield column <= last
    if wanted.min_value_usd is not None:
        yield columns.est_project_cost_usd >= wanted.min_value_usd
    if wanted.max_value_usd is not None:
        yield columns.est_project_cost_usd <= wanted.max_value_usd


def _word_clause(
    field: str, given: tuple[str, ...], cities: tuple[str, ...], register: Register
) -> ColumnElement[bool]:
    """Meet any of the words, each the mapped one or the city's own; an unknown one is refused with those known."""
    column = "status_current" if field == "status" else field
    own, mapped = set[str](), set[str]()
    for word in given:
        found = register.resolve(column, word, cities)
        if found is None:
            raise UnknownWord(field, word, register.known_words(column, cities))
        own |= found.own
        mapped |= found.mapped
    clauses: list[ColumnElement[bool]] = []
    if own:
        clauses.append(permits.c[column].in_(sorted(own)))
    if mapped:
        clauses.append(permits.c[f"{column}_mapped"].in_(sorted(mapped)))
    return or_(*clauses)
