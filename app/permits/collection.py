"""The register as one collection of features: all of it in the order of its key, or a selection, newest first.

Paging through everything by the key loses nothing, whatever a run changes meanwhile. A selection is the list's: ids go
with the years, so that by the key all permits before 2015 would be read to find the first of 2015.
"""

import math
import re
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, lru_cache
from typing import Annotated, Any
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy import Integer, Select, Text, bindparam, func, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import SHAPES_MAX, Reader, compile_text
from app.errors import NoSuchCity, NoSuchPermit, RemovedPermit, UnknownWord
from app.permits.areas import BoxText, bind_area, join_area
from app.permits.cursor import CURSOR_MAX_LENGTH, NO_CONTROLS, Position, decode, fingerprint
from app.permits.features import COORDINATE_DECIMALS, FEATURE, LAT, LNG, planar, render_end
from app.permits.filters import DAY_LEAST, DAY_MOST, LIMIT_DEFAULT, LIMIT_MAX, PermitFilter, bind_filter, join_clauses
from app.permits.listing import ListQuery, find_listed
from app.permits.numbers import NUMBER, PLAIN
from app.permits.register import MARK, Register, refuse_moved
from app.permits.spans import Span
from app.permits.tables import permits

PAGE_MAX = 10_000
"""Permits a page by the key. The OGC's suite, which counts up to 10,000, goes on for four pages and no further."""
EDGES = {
    "west": (LNG, "SRID=4326;LINESTRING(-180 -90,-180 90)"),
    "south": (LAT, "SRID=4326;LINESTRING(-180 -90,180 -90)"),
    "east": (LNG, "SRID=4326;LINESTRING(180 -90,180 90)"),
    "north": (LAT, "SRID=4326;LINESTRING(-180 90,180 90)"),
}
"""The edges of the world's box: the permit that lies nearest to one is the outermost on that side."""


def _drop_heights(value: object) -> object:
    """Give a box of six numbers without the third and the sixth, its heights: no permit has one."""
    parts = value.split(",") if isinstance(value, str) else []
    if len(parts) != 6:
        return value
    if not all(NUMBER.fullmatch(parts[place]) for place in (2, 5)):
        raise ValueError("must have numbers as heights")
    return ",".join((*parts[:2], *parts[3:5]))


def _normalize_span(value: str | None) -> str | None:
    return None if value is None else str(Span.parse(value))


class CollectionQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits of the collection to give.

    ``bbox`` leaves out permits without a usable point, ``datetime`` those without an issue date. A ``limit`` beyond
    its ceiling means the ceiling, as OGC API - Features wants it.
    """

    bbox: Annotated[BoxText, BeforeValidator(_drop_heights)] = Field(
        default=None, description="west,south,east,north in WGS 84 degrees"
    )
    datetime: Annotated[str | None, Field(max_length=200), AfterValidator(_normalize_span)] = Field(
        default=None, description="an instant, a day or an interval; of the issue date"
    )
    limit: Annotated[int, Field(ge=1), AfterValidator(lambda limit: min(limit, PAGE_MAX)), PLAIN] = Field(
        default=LIMIT_DEFAULT, description=f"permits a page, at most; more than {PAGE_MAX:,} means {PAGE_MAX:,}"
    )
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")

    @property
    def filters(self) -> dict[str, Any]:
        """What the query says besides its page."""
        return self.model_dump(exclude_defaults=True, exclude={"limit", "cursor"})

    @property
    def is_by_key(self) -> bool:
        """Whether the permits come by their key: where at most a city and a box are chosen."""
        return self.filters.keys() <= {"city", "bbox"}

    def without_page(self) -> "CollectionQuery":
        """Give the query without its page: a cursor of the key may be used with another limit."""
        return self.model_copy(update={"limit": LIMIT_DEFAULT, "cursor": None})

    def narrow_days(self) -> Span:
        """Give the days of issue that both ``datetime`` and the service's own filters leave."""
        span = Span.parse(self.datetime) if self.datetime else Span(first=None, last=None)
        return span.narrow(first=self.issued_from, last=self.issued_to)


FeatureRow = tuple[bytes, str, str]
"""A feature without its end, city, and source id."""
READY_COLUMNS = (FEATURE, permits.c.city, permits.c.source_id, literal_column(MARK, Text))


@dataclass(frozen=True)
class CollectionPage:
    """Permits, the cursor of the next page if there is one, and how many there are if that is known."""

    rows: list[FeatureRow]
    cursor: str | None
    number_matched: int | None = None


@lru_cache(maxsize=SHAPES_MAX)
def compile_collected(names: frozenset[str]) -> str:
    """Give the statement for the first ``take`` permits by their key, after a position where one is bound."""
    statement = select(*READY_COLUMNS).where(*join_clauses(names), *join_area(names))
    if "after_city" in names:
        after = tuple_(bindparam("after_city", type_=Text), bindparam("after_source_id", type_=Text))
        statement = statement.where(tuple_(permits.c.city, permits.c.source_id) > after)
    statement = statement.order_by(permits.c.city, permits.c.source_id)
    return compile_text(statement.limit(bindparam("take", type_=Integer)))


def bind_collection(query: CollectionQuery, register: Register, after: Position | None) -> dict[str, Any]:
    """Give the values of a page by the key by the names they are bound to. Raises what :func:`bind_filter` does."""
    values = bind_filter(query, register) | bind_area(query.bbox) | {"take": query.limit + 1}
    return values | ({"after_city": after.city, "after_source_id": after.source_id} if after else {})


async def find_collected(reader: Reader, register: Register, query: CollectionQuery) -> CollectionPage:
    """Find a page of the collection, as features ready to be sent.

    Raises :class:`MalformedCursor`, :class:`UnknownWord`, for a city too, and :class:`Moved` where the store is no
    longer as the register has it.
    """
    cities = choose_cities(query, register)
    page = await (_find_by_key if query.is_by_key else _find_newest)(reader, register, query)
    if query.cursor is None and page.cursor is None:
        return replace(page, number_matched=len(page.rows))
    known = query.filters.keys() <= {"city"}
    return replace(page, number_matched=sum(register.cities[city].permits for city in cities) if known else None)


async def _find_by_key(reader: Reader, register: Register, query: CollectionQuery) -> CollectionPage:
    after = decode(query.cursor, query.without_page())
    values = bind_collection(query, register, after)
    rows = await reader.find_all(compile_collected(frozenset(values)), values)
    await refuse_moved(reader, register, rows[-1][3] if rows else None)
    found: list[FeatureRow] = [row[:3] for row in rows[: query.limit]]
    return CollectionPage(found, _next_cursor(query, register, found, after) if len(rows) > query.limit else None)


async def _find_newest(reader: Reader, register: Register, query: CollectionQuery) -> CollectionPage:
    days = query.narrow_days()
    if days.first or days.last:
        days = days.narrow(first=DAY_LEAST, last=DAY_MOST)
    if days.first and days.last and days.first > days.last:
        return CollectionPage(rows=[], cursor=None)
    told = query.model_dump(exclude_defaults=True, exclude={"datetime"})
    told |= {"issued_from": days.first, "issued_to": days.last, "limit": min(query.limit, LIMIT_MAX)}
    listed = ListQuery.model_validate(told)
    page = await find_listed(reader, register, listed)
    return CollectionPage(rows=[row[:3] for row in page.rows], cursor=page.cursor)


def _next_cursor(query: CollectionQuery, register: Register, found: list[FeatureRow], after: Position | None) -> str:
    _, city, source_id = found[-1]
    position = Position(
        of=fingerprint(query.without_page()),
        data_version=register.data_version,
        key=None,
        city=city,
        source_id=source_id,
        seen=(after.seen if after else 0) + len(found),
    )
    return position.encode()


def choose_cities(query: CollectionQuery, register: Register) -> tuple[str, ...]:
    """Give the cities that are meant. Raises :class:`UnknownWord` for one that is not loaded."""
    try:
        return register.choose_cities(query.city)
    except NoSuchCity as error:
        unknown = next(name for name in query.city if name.lower() not in register.cities)
        raise UnknownWord("city", unknown, sorted(register.cities)) from error


@cache
def compile_one() -> str:
    """Give the statement for one permit by its key, with the run that found it gone."""
    key = (permits.c.city == bindparam("city", type_=Text), permits.c.source_id == bindparam("source_id", type_=Text))
    return compile_text(select(*READY_COLUMNS, permits.c.removed_run).where(*key))


async def find_one(reader: Reader, register: Register, *, city: str, source_id: str) -> FeatureRow:
    """Find one permit of the collection.

    Raises :class:`NoSuchPermit`, :class:`RemovedPermit` where the city withdrew it, and :class:`Moved`.
    """
    rows = await reader.find_all(compile_one(), {"city": city, "source_id": source_id})
    if city not in register.cities or not rows:
        await refuse_moved(reader, register)
        raise NoSuchPermit("no permit has that id")
    feature, city, source_id, mark, removed_run = rows[0]
    await refuse_moved(reader, register, mark)
    if removed_run is not None:
        raise RemovedPermit(f"the city withdrew permit {source_id!r} from its register")
    return feature, city, source_id


# --- the id of a feature ---------------------------------------------------------------------------------------------


def render_feature_id(*, city: str, source_id: str) -> str:
    """Give the id of a permit's feature: city, dot and source id, with ``~20`` for a blank and so on.

    It consists of what RFC 3986 calls unreserved, so that it is the same whether a client percent-encodes it or puts
    it into a path as it stands: GDAL and the OGC's test suite do the latter, QGIS does the former.
    """
    return f"{city}.{quote(source_id, safe='').replace('~', '%7E').replace('%', '~')}"


def parse_feature_id(text: str) -> tuple[str, str]:
    """Read city and source id. Raises :class:`NoSuchPermit` for what is the id of none."""
    city, _, rest = text.partition(".")
    try:
        source_id = unquote(rest.replace("~", "%"), errors="strict")
    except UnicodeDecodeError:
        raise NoSuchPermit("no permit has that id") from None
    if render_feature_id(city=city, source_id=source_id) != text or not re.fullmatch(NO_CONTROLS, source_id):
        raise NoSuchPermit("no permit has that id")
    return city, source_id


def render_feature_bytes(row: FeatureRow, register: Register) -> bytes:
    """Give the GeoJSON of a row, whose own id is the one that the rest of the service knows, with the collection's.

    A quote inside a JSON string is escaped, so that the first geometry behind a comma is the member.
    """
    feature, city, source_id = row
    feature_id = render_feature_id(city=city, source_id=source_id).encode()
    rest = feature[feature.index(b',"geometry":') :]
    return b'{"type":"Feature","id":"%b"%b%b' % (feature_id, rest, render_end(register, city))


# --- the extent ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extent:
    """What the collection reaches over: degrees rounded outwards as features show them, and days of issue.

    The box is missing where no permit has a usable point, the days where none has an issue date.
    """

    box: tuple[float, float, float, float] | None
    days: tuple[date, date] | None


def select_extent(cities: tuple[str, ...]) -> Select[Any]:
    """Select the outermost coordinates and days of the cities' permits, each by its index: 2 ms for 2.3 million."""
    shown = permits.c.city.in_(cities), permits.c.removed_run.is_(None)
    point, issued = planar(permits.c.location), permits.c.issued_date
    edges = [
        select(coordinate)
        .where(*shown, permits.c.location.is_not(None))
        .order_by(point.op("<->")(func.ST_GeomFromEWKT(line)))
        .limit(1)
        .scalar_subquery()
        .label(side)
        for side, (coordinate, line) in EDGES.items()
    ]
    # The index has them newest first and those without last; only its exact order, or its reverse, is read from it.
    dated = select(issued).where(*shown, issued.is_not(None)).limit(1)
    first = dated.order_by(issued.asc().nulls_first()).scalar_subquery().label("first")
    last = dated.order_by(issued.desc().nulls_last()).scalar_subquery().label("last")
    return select(*edges, first, last)


async def find_extent(session: AsyncSession, register: Register) -> Extent:
    """Find the extent of what answers where no city is named."""
    row = (await session.execute(select_extent(register.answering))).one()
    scale = 10**COORDINATE_DECIMALS
    box = None
    if row.west is not None:
        west, south = (math.floor(edge * scale) / scale for edge in (row.west, row.south))
        east, north = (math.ceil(edge * scale) / scale for edge in (row.east, row.north))
        box = west, south, east, north
    return Extent(box=box, days=None if row.first is None else (row.first, row.last))
