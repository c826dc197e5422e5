"""Permits by area and attributes, paged by key, and one permit by its id."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy import (
    ColumnElement,
    Date,
    Double,
    Integer,
    Numeric,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.util import ClauseAdapter

from app.database import SHAPES_MAX, Reader, compile_text
from app.errors import NoSuchPermit, RemovedPermit
from app.permits.areas import BoxText, Polygon, bind_area, join_area, name_wrong_rings, read_polygon
from app.permits.cursor import CURSOR_MAX_LENGTH, Position, decode, fingerprint
from app.permits.features import FEATURE, FEATURE_COLUMNS, LAT, LNG, WHOLE, AnyRow, AnySelect, planar
from app.permits.filters import (
    LIMIT_DEFAULT,
    FormField,
    Latitude,
    Limit,
    Longitude,
    PermitFilter,
    bind_filter,
    join_clauses,
)
from app.permits.near import DISTANCE_M, ORIGIN, ROUNDING_M, SPHEROID_LEAST, UNSELECTIVE, Course, set_course
from app.permits.register import MARK, Register, refuse_moved
from app.permits.tables import permits

SORT_KEYS = {"newest": permits.c.issued_date, "largest": permits.c.est_project_cost_usd}
TYPES = {"newest": Date, "largest": Numeric}
SPHERE_M: ColumnElement[float] = permits.c.location.op("<->", return_type=Double())(ORIGIN)
ListOrder = Literal["newest", "largest", "nearest"]
Way = Literal["walk", "bounded", "within", "sifted"]
"""To the nearest: by the index, the same but so far only, all within ``reach_m`` of the spheroid, and all matches."""
Part = Literal["stated", "unstated", "whole"]
"""Of an order: the permits that state its value, which come first, those that do not, and all of them."""


class ListQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits to list, and in which order; permits without the order's value come last.

    The order ``nearest`` is around ``lat`` and ``lng``, and leaves out permits without a usable point.
    """

    bbox: BoxText = Field(default=None, description="west,south,east,north; west beyond east crosses the antimeridian")
    order: ListOrder = Field(default="newest", description="by issue date, by estimated cost, or by distance")
    lat: Latitude | None = Field(default=None, description="for the order nearest: degrees north")
    lng: Longitude | None = Field(default=None, description="for the order nearest: degrees east")
    limit: Limit = Field(default=LIMIT_DEFAULT, description="permits a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")
    f: FormField = None

    @model_validator(mode="after")
    def _has_an_origin_where_it_needs_one(self) -> Self:
        given = (self.lat is not None, self.lng is not None)
        if given != (self.order == "nearest",) * 2:
            raise ValueError("lat and lng belong to the order nearest, and it needs both")
        return self


class SearchQuery(ListQuery, frozen=True, extra="forbid"):
    """Which permits to list, inside a polygon."""

    polygon: Polygon | None = Field(default=None, description="GeoJSON, counter-clockwise")

    @property
    def notes(self) -> list[str]:
        """What is odd about the polygon, and how it was read."""
        return name_wrong_rings(read_polygon(self.polygon)) if self.polygon else []


ReadyRow = tuple[bytes, str, str, Any, str]
"""A feature without its end, city, source id, what the order goes by, and the mark of its data."""


@dataclass(frozen=True)
class ListPage:
    """Permits in the order asked for, and the cursor of the next page if there is one."""

    rows: list[ReadyRow]
    cursor: str | None


def select_listed(query: PermitFilter, register: Register, order: Literal["newest", "largest"]) -> AnySelect:
    """Select the permits of a filter with their columns, in an order that is the same twice."""
    key = SORT_KEYS[order]
    values = bind_filter(query, register)
    statement = select(*FEATURE_COLUMNS).where(*join_clauses(frozenset(values))).params(values)
    return statement.order_by(key.desc().nulls_last(), permits.c.city, permits.c.source_id)


@lru_cache(maxsize=SHAPES_MAX)
def compile_listed(names: frozenset[str], order: Literal["newest", "largest"], part: Part) -> str:
    """Give the statement for the first ``take`` permits of a part of an order, after a position where one is bound."""
    key = SORT_KEYS[order]
    statement = select(*_ready_columns(key)).where(*join_clauses(names), *join_area(names))
    if part != "whole":
        statement = statement.where(key.is_not(None) if part == "stated" else key.is_(None))
    if "after_city" in names:
        statement = statement.where(_follow(key if part == "stated" else None, TYPES[order]))
    keyed = [] if part == "unstated" else [key.desc().nulls_last()]
    statement = statement.order_by(*keyed, permits.c.city, permits.c.source_id)
    return compile_text(statement.limit(bindparam("take", type_=Integer)))


def _ready_columns(key: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
    return (FEATURE, permits.c.city, permits.c.source_id, key.label("key"), literal_column(MARK, Text))


def _follow(key: ColumnElement[Any] | None, key_type: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a type's class
    """Follow the position that is bound; an index finds the day or the cost and skips what was given of it."""
    after = tuple_(bindparam("after_city", type_=Text), bindparam("after_source_id", type_=Text))
    later_permit = tuple_(permits.c.city, permits.c.source_id) > after
    if key is None:
        return later_permit
    reached = bindparam("after_key", type_=key_type)
    return and_(key <= reached, or_(key < reached, later_permit))


@lru_cache(maxsize=SHAPES_MAX)
def compile_nearest(names: frozenset[str], way: Way) -> str:
    """Give the statement for the ``take`` nearest permits, with their distance on the sphere as the last column."""
    statement = select(*_ready_columns(DISTANCE_M), SPHERE_M.label("sphere_m")).where(*_choose_nearest(names))
    if way == "bounded":
        statement = _bound_walk(statement)
    elif way == "walk":
        statement = statement.order_by("sphere_m")
    else:
        within = func.ST_DWithin(permits.c.location, ORIGIN, bindparam("reach_m", type_=Double))
        statement = statement.where(*([within] if way == "within" else []))
        statement = statement.order_by("key", permits.c.city, permits.c.source_id)
    return compile_text(statement.limit(bindparam("take", type_=Integer)))


def _choose_nearest(names: frozenset[str]) -> list[ColumnElement[bool]]:
    """Leave the permits with a usable point that are meant, and those that follow the position that is bound."""
    # That it has a point is said so that no index knows it: a bitmap of all that have costs 400 ms of 2.3 million.
    clauses = [*join_clauses(names), *join_area(names), func.ST_X(planar(permits.c.location)).is_not(None)]
    if "after_city" in names:
        after = (bindparam("after_key", type_=Double), bindparam("after_city", type_=Text))
        reached = tuple_(*after, bindparam("after_source_id", type_=Text))
        clauses.append(tuple_(DISTANCE_M, permits.c.city, permits.c.source_id) > reached)
    return clauses


def _bound_walk(statement: AnySelect) -> AnySelect:
    """Walk over the ``most`` nearest permits only, whatever they are, and give those that are meant."""
    walk = select(permits, SPHERE_M.label("met_at")).where(permits.c.location.is_not(None)).order_by("met_at")
    met = walk.limit(bindparam("most", type_=Integer)).subquery("met")
    sought: AnySelect = ClauseAdapter(met).traverse(statement)
    return sought.order_by(met.c.met_at)


@lru_cache(maxsize=SHAPES_MAX)
def compile_expected(names: frozenset[str]) -> str:
    """Give the statement that tells how many permits the planner expects a filter and an area to find."""
    found = select(permits.c.city).where(*join_clauses(names), *join_area(names))
    return f"EXPLAIN (FORMAT JSON) {compile_text(found)}"


async def find_listed(reader: Reader, register: Register, query: ListQuery) -> ListPage:
    """Find a page of permits as features ready to be sent, each statement on the store's present snapshot.

    Raises :class:`MalformedCursor`, :class:`UnknownWord` and :class:`NoSuchCity`, and :class:`Moved` where the store is
    no longer as the register has it.
    """
    after = decode(query.cursor, query)
    polygon = query.polygon if isinstance(query, SearchQuery) else None
    values = bind_filter(query, register) | bind_area(query.bbox, polygon)
    values["take"] = query.limit + 1
    if after is not None:
        values |= {"after_city": after.city, "after_source_id": after.source_id}
    if query.order == "nearest":
        rows = await _find_nearest(reader, register, query, values, after)
    else:
        rows = await _find_sorted(reader, query, values, after)
    # A last page may be of two statements, of which the second found nothing.
    await refuse_moved(reader, register, rows[-1][4] if len(rows) > query.limit else None)
    return ListPage(rows[: query.limit], _next_cursor(query, register, rows, after))


async def _find_sorted(
    reader: Reader, query: ListQuery, values: Mapping[str, Any], after: Position | None
) -> list[ReadyRow]:
    """Find the permits that follow: those that state the order's value, then those that do not."""
    names = frozenset(values)
    order: Literal["newest", "largest"] = "newest" if query.order == "newest" else "largest"
    if after is None:
        return await reader.find_all(compile_listed(names, order, "whole"), values)
    key = after.day() if order == "newest" else after.money()
    if key is None:
        return await reader.find_all(compile_listed(names, order, "unstated"), values)
    rows = await reader.find_all(compile_listed(names, order, "stated"), {**values, "after_key": key})
    if (missing := values["take"] - len(rows)) > 0:
        unstated = compile_listed(names - {"after_city"}, order, "unstated")
        rows += await reader.find_all(unstated, {**values, "take": missing})
    return rows


async def _find_nearest(
    reader: Reader, register: Register, query: ListQuery, values: Mapping[str, Any], after: Position | None
) -> list[ReadyRow]:
    """Find the nearest permits that follow: by a walk on the sphere that the spheroid proves, or among all matches."""
    wanted: int = values["take"]
    values = {**values, "lat": query.lat, "lng": query.lng, "take": wanted + wanted // 20 + 16}
    if after is not None:
        values["after_key"] = after.distance_m()
    names = frozenset(values)
    course = await _set_course(reader, register, values, seen=after.seen if after else 0)
    rows = await _walk(reader, names, values, course)
    if rows is None:
        rows = await reader.find_all(compile_nearest(names, "sifted"), {**values, "take": wanted})
        return [row[:5] for row in rows]
    ordered = sorted(rows, key=lambda row: (row[3], row[1], row[2]))
    if len(rows) == values["take"] and rows[-1][5] * SPHEROID_LEAST <= ordered[wanted - 1][3] + ROUNDING_M:
        proved = {**values, "take": wanted, "reach_m": ordered[wanted - 1][3] + ROUNDING_M}
        ordered = await reader.find_all(compile_nearest(names, "within"), proved)
    return [row[:5] for row in ordered[:wanted]]


async def _set_course(reader: Reader, register: Register, values: Mapping[str, Any], *, seen: int) -> Course:
    """Choose how far to walk by what the planner expects; the permits that were seen are met again."""
    names = frozenset(values)
    if not names - UNSELECTIVE - {"take", "after_key"}:
        return Course(None)
    (plan,) = await reader.find_one(compile_expected(names), values)
    known = sum(state.permits for state in register.cities.values())
    return set_course(values["take"] + seen, in_box=known, matching=plan[0]["Plan"]["Plan Rows"], known=known)


async def _walk(reader: Reader, names: frozenset[str], values: Mapping[str, Any], course: Course) -> list[Any] | None:
    """Give the first permits of a walk, or None where it met its end before it found them."""
    if course.most is None:
        return await reader.find_all(compile_nearest(names, "walk"), values)
    if course.most == 0:
        return None
    rows = await reader.find_all(compile_nearest(names, "bounded"), {**values, "most": course.most})
    return rows if len(rows) == values["take"] else None


def _next_cursor(query: ListQuery, register: Register, rows: list[ReadyRow], after: Position | None) -> str | None:
    if len(rows) <= query.limit:
        return None
    _, city, source_id, key, _ = rows[query.limit - 1]
    position = Position(
        of=fingerprint(query),
        data_version=register.data_version,
        key=None if key is None else repr(key) if isinstance(key, float) else str(key),
        city=city,
        source_id=source_id,
        seen=(after.seen if after else 0) + query.limit,
    )
    return position.encode()


async def find_permit(session: AsyncSession, *, city: str, source_id: str) -> AnyRow:
    """Find one permit with all its columns and the point its source reported.

    Raises :class:`NoSuchPermit`, and :class:`RemovedPermit` where the city withdrew it.
    """
    reported = planar(permits.c.reported_location)
    statement = select(
        *(permits.c[name] for name in WHOLE),
        LNG,
        LAT,
        func.ST_X(reported).label("reported_lng"),
        func.ST_Y(reported).label("reported_lat"),
        permits.c.regions,
    ).where(permits.c.city == city, permits.c.source_id == source_id)
    row: AnyRow | None = (await session.execute(statement)).first()
    if row is None:
        raise NoSuchPermit(f"no permit {source_id!r} in the register of {city!r}")
    if row.removed_run is not None:
        raise RemovedPermit(f"the city withdrew permit {source_id!r} from its register")
    return row
