"""What a city file may say, and how it is read: the source's columns, its words, its box. A city file holds no code.

Whether its maps end in words that the register knows is not checked here: those words stand in ``app.permits.words``.
"""

import re
import tomllib
from collections.abc import Collection
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic import model_validator as model_check

from app.errors import MisconfiguredError, NoSuchCity

CITIES = Path(__file__).parent

PermitField = Literal[
    "permit_number",
    "permit_type",
    "permit_type_mapped",
    "permit_class",
    "permit_class_mapped",
    "work_class",
    "status_current",
    "applied_date",
    "issued_date",
    "completed_date",
    "expires_date",
    "status_date",
    "description",
    "est_project_cost_usd",
    "housing_units",
    "total_sqft",
    "original_address1",
    "original_zip",
    "council_district",
    "jurisdiction",
    "parcel_id",
    "contractor_company_name",
    "contractor_trade",
    "master_permit_number",
    "project_id",
    "link",
]
MappedField = Literal["permit_type", "permit_class", "status_current"]
UsableQuality = Literal["rooftop", "interpolated", "approximate", "multipoint", "unstated"]

# The ways to tell a point, each by the settings that it takes.
PLACE_WAYS = ({"lat", "lng"}, {"wkt"}, {"geojson"}, {"ewkb"}, {"x", "y", "epsg"})
# The one date form that strptime cannot read: "/Date(1189506663000)/", milliseconds of UTC since 1970.
ODATA = "odata"


def _compile(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _compile_with_group(pattern: str) -> str:
    if not re.compile(_compile(pattern)).groups:
        raise ValueError("has no group that would be the day")
    return pattern


def _check_date_form(form: str) -> str:
    day = datetime(2026, 1, 2)  # noqa: DTZ001 - a calendar day, written and read again
    try:
        told = form == ODATA or datetime.strptime(day.strftime(form), form).date() == day.date()  # noqa: DTZ007
    except ValueError:
        told = False
    if not told:
        raise ValueError(f"{form!r} is not a date form that tells year, month and day")
    return form


def _as_column(value: object) -> object:
    return {"columns": value} if isinstance(value, str | list) else value


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Pattern = Annotated[str, AfterValidator(_compile)]
DayPattern = Annotated[str, AfterValidator(_compile_with_group)]
DateForm = Annotated[str, AfterValidator(_check_date_form)]
Columns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class Strict(BaseModel, frozen=True, extra="forbid"):
    """The base of all parts: a name that means nothing is an error, not a comment."""


class Box(Strict, frozen=True):
    """The city with a margin, WGS 84 degrees. A point outside it is a geocoder's mistake."""

    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)

    @model_check(mode="after")
    def _is_a_box(self) -> Self:
        if self.west >= self.east or self.south >= self.north:
            raise ValueError("west must be less than east, and south less than north")
        return self


class Point(Strict, frozen=True):
    """WGS 84 degrees."""

    lat: float = Field(ge=-90, le=90)
    lng: float = Field(ge=-180, le=180)


class Taken(Strict, frozen=True):
    """Where a field comes from: the first of ``columns`` that is filled; with ``join`` all that are, by single blanks.

    ``take`` is a regular expression that the whole value has to match, whose first group that took part is the field; a
    value that does not match gives no field. ``only_with_point`` keeps what a geocoder said of a place only where its
    point is usable. ``at_least`` and ``at_most`` bound a number; beyond them it is no number that a source means.
    """

    columns: Columns
    join: bool = False
    take: Pattern | None = None
    only_with_point: bool = False
    at_least: float = 0
    at_most: float | None = None


class WordMap(Strict, frozen=True):
    """A city's own words to closed ones.

    ``words`` in any case; an empty closed word says: known, and none of them fits. ``prefixes`` are tried where no word
    is equal, in the file's order.
    """

    words: dict[str, str] = {}
    prefixes: dict[str, str] = {}


class Places(Strict, frozen=True):
    """Which columns hold a point, in which of five ways, and how good the source says it is.

    ``lat`` and ``lng`` are degrees; ``wkt`` is POINT or MULTIPOINT, ``geojson`` the same as JSON, ``ewkb`` either one
    in hex digits; ``x`` and ``y`` are coordinates of the reference system ``epsg``. All but the last are WGS 84. Of
    several points the first one counts.
    """

    lat: Columns | None = None
    lng: Columns | None = None
    wkt: Columns | None = None
    geojson: Columns | None = None
    ewkb: Columns | None = None
    x: Columns | None = None
    y: Columns | None = None
    epsg: int | None = None
    accuracy: str | None = None
    qualities: dict[str, UsableQuality] = {}

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The columns of each part that a point is made of; without one of the parts there is none."""
        ways = (self.lat, self.lng, self.wkt, self.geojson, self.ewkb, self.x, self.y)
        return tuple(columns for columns in ways if columns)

    @model_check(mode="after")
    def _says_one_way(self) -> Self:
        told = {name for way in PLACE_WAYS for name in way if getattr(self, name) is not None}
        if told not in PLACE_WAYS:
            raise ValueError("a place is one of lat and lng, wkt, geojson, ewkb, or x, y and epsg")
        return self


class Form(Strict, frozen=True):
    """One shape in which the city's records come, told by the columns that it ``needs``.

    ``titles`` are other spellings of a column's name; a name with dots is that of a nested member. ``source_id`` joined
    by blanks is the permit's key, or, written as ``{ hash = [...] }`` where the source counts nothing, a hash of these
    columns (``hashed``); ``shape`` is what each key looks like. ``row_id`` and ``updated`` are the portal's own row id
    and instant, where it has them; ``as_of`` finds the day of a snapshot in its file's name. ``blank`` are words that
    mean nothing stated. A field that ``columns`` leave out is one that this form does not tell: what another form told
    of it stays. Every column that is not named is never read. ``witness`` is a column of closed words: a record in
    which one of them stands beside it, and none in it, has its columns shifted. ``rejects_keep`` are the columns that
    a rejected record may keep.
    """

    name: str
    needs: tuple[str, ...] = Field(min_length=1)
    titles: dict[str, str] = {}
    source_id: Columns
    hashed: bool = False
    shape: Pattern = r".+"
    row_id: str | None = None
    updated: str | None = None
    as_of: DayPattern | None = None
    blank: tuple[str, ...] = ()
    date_forms: tuple[DateForm, ...] = Field(min_length=1)
    columns: dict[PermitField, Annotated[Taken, BeforeValidator(_as_column)]]
    place: Places | None = None
    witness: str | None = None
    unescape: dict[str, str] = {}
    rejects_keep: tuple[str, ...] = ()

    @property
    def read_columns(self) -> frozenset[str]:
        """Every column that is read; all others are dropped by the reader."""
        named = [column for taken in self.columns.values() for column in taken.columns]
        place = [*(column for part in self.place.parts for column in part), self.place.accuracy] if self.place else []
        return frozenset(filter(None, [*named, *self.source_id, *place, self.row_id, self.updated]))

    @model_check(mode="before")
    @classmethod
    def _takes_a_hash_for_a_key(cls, told: object) -> object:
        match told:
            case {"source_id": {"hash": columns, **others}, **rest} if not others:
                return {**rest, "source_id": columns, "hashed": True}
        return told

    def find_lacking(self, columns: Collection[str]) -> list[str]:
        """Find what a file with these columns, under these or other titles, lacks of the columns that are needed."""
        there = {self.titles.get(column, column) for column in columns}
        return [column for column in self.needs if column not in there]

    @model_check(mode="after")
    def _keeps_only_what_is_read(self) -> Self:
        if stray := sorted({*self.rejects_keep, *filter(None, [self.witness])} - self.read_columns):
            raise ValueError(f"{stray[0]} is not among the columns that are read")
        return self


class Portal(Strict, frozen=True):
    """The city's open-data portal: a Socrata data set whose records come in the form named ``form``.

    ``key`` is the column by which the city itself counts its records, for finding deletions every ``keys_every_days``.
    ``token_env`` names the environment variable of the app token, which is optional.
    """

    kind: Literal["socrata"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@]+$")]
    dataset: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{4}-[a-z0-9]{4}$")]
    form: str
    key: Columns
    page_rows: int = Field(default=10_000, ge=1, le=50_000)
    overlap_minutes: int = Field(default=60, ge=0)
    keys_every_days: float = Field(default=7, gt=0)
    token_env: str | None = "SOCRATA_APP_TOKEN"  # noqa: S105 - a variable's name


def _check_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"no time zone is called {name!r}; America/Chicago is one")
    return name


class City(Strict, frozen=True):
    """One city file. ``personal`` are patterns of columns, in any case, that no form may ever read.

    ``over`` is the city that made-up permits lie over: a question may name it where its own register is not loaded.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    title: str
    time_zone: Annotated[str, AfterValidator(_check_zone)]
    synthetic: bool = False
    over: str | None = None
    box: Box
    default_points: tuple[Point, ...] = ()
    personal: tuple[str, ...] = ()
    maps: dict[MappedField, WordMap] = {}
    forms: tuple[Form, ...] = Field(min_length=1)
    portal: Portal | None = None

    def choose_form(self, columns: Collection[str]) -> Form | None:
        """Give the first form whose needed columns are all there, under its own names or other titles."""
        for form in self.forms:
            if not form.find_lacking(columns):
                return form
        return None

    def is_personal(self, column: str) -> bool:
        """Whether a column is one of those that are never read."""
        return any(fnmatchcase(column.casefold(), pattern.casefold()) for pattern in self.personal)

    @model_check(mode="after")
    def _reads_no_person(self) -> Self:
        for form in self.forms:
            titles = {title for title, column in form.titles.items() if column in form.read_columns}
            if stray := sorted(filter(self.is_personal, form.read_columns | titles)):
                raise ValueError(f"the form {form.name!r} reads {stray[0]}, which is personal")
        return self

    @model_check(mode="after")
    def _asks_the_portal_for_a_form(self) -> Self:
        if self.portal is None:
            return self
        form = next((form for form in self.forms if form.name == self.portal.form), None)
        if form is None:
            raise ValueError(f"portal.form: no form is called {self.portal.form!r}")
        if stray := [column for column in self.portal.key if column not in form.read_columns]:
            raise ValueError(f"portal.key: {stray[0]} is not among the columns that the form {form.name!r} reads")
        return self


def list_cities() -> list[str]:
    """Name the cities that have a file."""
    return sorted(path.stem for path in CITIES.glob("*.toml"))


@cache
def find_city(name: str) -> City:
    """Read the file of a city that is shipped. Raises :class:`NoSuchCity` where there is none."""
    if name not in list_cities():
        raise NoSuchCity(f"no city file is called {name!r}; there are: {', '.join(list_cities())}")
    return read_city(CITIES / f"{name}.toml")


def read_city(path: Path) -> City:
    """Read a city file.

    Raises :class:`MisconfiguredError` with a sentence that names the file, the place in it and the fault.
    """
    try:
        city = City.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        raise MisconfiguredError(f"{path.name}: cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise MisconfiguredError(f"{path.name}: {error}") from None
    except ValidationError as error:
        raise MisconfiguredError(f"{path.name}: {_name_first_fault(error)}") from None
    if city.name != path.stem:
        raise MisconfiguredError(f"{path.name}: name must be {path.stem!r}, as the file is called")
    return city


def _name_first_fault(error: ValidationError) -> str:
    fault = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part + 1 if isinstance(part, int) else part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{place}: no such key is known here"
    return f"{place}: {fault['msg'].removeprefix('Value error, ')}"
