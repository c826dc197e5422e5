"""Permits in bulk, streamed from one snapshot, and the other forms of their features: CSV and NDJSON."""

import csv
import io
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import orjson
import psycopg
from psycopg import AsyncConnection, IsolationLevel
from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, Integer, bindparam, func, select

from app.database import (
    SHAPES_MAX,
    TOO_SLOW,
    UNAVAILABLE,
    compile_text,
    connection_arguments,
    find_read_url,
    set_up,
)
from app.errors import DatabaseUnavailable, TooSlow
from app.permits.areas import BoxText, bind_area, join_area
from app.permits.features import FEATURE
from app.permits.filters import Area, FormField, Latitude, Longitude, PermitFilter, Radius, bind_filter, join_clauses
from app.permits.near import IN_BOX, IN_RADIUS, WITHIN, frame
from app.permits.register import SELECT_MARK, Moved, Register
from app.permits.tables import SHORT, permits
from app.settings import Settings

FETCHED = 500
"""Permits in memory at a time."""
STATEMENT_S = 30
TOTAL_S = 600
"""The longest an export may take, however slowly it is read."""
CSV_COLUMNS = (*SHORT, "lng", "lat")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class AreaFilter(PermitFilter, frozen=True, extra="forbid"):
    """Which permits are meant, by filters, a box, a circle, or all of these."""

    bbox: BoxText = Field(default=None, description="west,south,east,north; west beyond east crosses the antimeridian")
    lat: Latitude | None = Field(default=None, description="latitude of a circle's middle, degrees north")
    lng: Longitude | None = Field(default=None, description="longitude of a circle's middle, degrees east")
    radius_m: Radius | None = Field(default=None, description="the circle's radius in metres")

    @model_validator(mode="after")
    def _has_a_whole_circle_or_none(self) -> Self:
        if len({value is None for value in (self.lat, self.lng, self.radius_m)}) > 1:
            raise ValueError("lat, lng and radius_m say a circle together")
        return self


class ExportQuery(AreaFilter, frozen=True, extra="forbid"):
    """Which permits to export, and in which form."""

    f: FormField = None


@dataclass(frozen=True)
class Export:
    """An export that has begun: how many permits it will give, whether there are more, and the permits by batches."""

    number_returned: int
    truncated: bool
    batches: AsyncGenerator[list[tuple[bytes, str]]]
    """Each permit's feature without its end, and its city; ordered by city and source id."""


@asynccontextmanager
async def open_export(
    settings: Settings, register: Register, query: ExportQuery, *, rows_max: int
) -> AsyncGenerator[Export]:
    """Open an export on a connection and a snapshot of its own.

    Raises :class:`Moved` where that snapshot is no longer the register's, :class:`UnknownWord`, :class:`NoSuchCity`,
    :class:`TooSlow` and :class:`DatabaseUnavailable`.
    """
    values = bind_export(query, register)
    names = frozenset(values)
    try:
        async with await connect(settings) as connection, connection.transaction():
            mark, counted = await _begin(connection, names, values | {"take": rows_max + 1})
            if mark != register.mark:
                raise Moved
            batches = _fetch(connection, names, values | {"take": rows_max})
            yield Export(min(counted, rows_max), counted > rows_max, batches)
    except psycopg.errors.QueryCanceled as error:
        raise TooSlow(TOO_SLOW) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(UNAVAILABLE) from error


async def connect(settings: Settings) -> AsyncConnection[tuple[Any, ...]]:
    """Open a connection whose statements may take longer than a page's."""
    arguments = connection_arguments(settings)
    arguments["options"] += f" -c statement_timeout={STATEMENT_S * 1000} -c cursor_tuple_fraction=1"
    connection = await AsyncConnection.connect(find_read_url(settings), **arguments)
    await set_up(connection)
    await connection.commit()
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    return connection


async def _begin(connection: AsyncConnection[Any], names: frozenset[str], values: dict[str, Any]) -> tuple[str, int]:
    mark = await (await connection.execute(SELECT_MARK)).fetchone()
    counted = await (await connection.execute(_compile_count(names), values)).fetchone()
    if mark is None or counted is None:
        raise LookupError("a statement that gives one row gave none")
    return mark[0], counted[0]


async def _fetch(
    connection: AsyncConnection[Any], names: frozenset[str], values: dict[str, Any]
) -> AsyncGenerator[list[tuple[bytes, str]]]:
    async with connection.cursor("export", binary=True) as cursor:
        await cursor.execute(compile_rows(names), values)
        while rows := await cursor.fetchmany(FETCHED):
            yield rows


def bind_export(query: AreaFilter, register: Register) -> dict[str, Any]:
    """Give the values of filters and area by the names they are bound to."""
    return bind_filter(query, register) | bind_area(query.bbox) | bind_circle(query)


def bind_circle(query: AreaFilter) -> dict[str, float]:
    """Give a circle, and the box around it in the Mercator plane, except near the poles and across the antimeridian.

    Of a circle by itself the planner expects the same few permits whatever its radius, and fetches half a million of
    10 km where the newest changes are a few steps away.
    """
    if query.lat is None or query.lng is None or query.radius_m is None:
        return {}
    circle = {"lat": query.lat, "lng": query.lng, "radius_m": query.radius_m}
    framed = frame(Area.model_validate(circle))
    return circle | ({"x": framed.x, "y": framed.y, "reach": framed.reach} if framed.walk == "mercator" else {})


def join_circle(names: frozenset[str]) -> list[ColumnElement[bool]]:
    """Give the clauses into which the values of :func:`bind_circle` are bound."""
    if "reach" in names:
        return [IN_BOX, IN_RADIUS]
    return [WITHIN] if "radius_m" in names else []


def _join(names: frozenset[str]) -> list[ColumnElement[bool]]:
    return [*join_clauses(names), *join_area(names), *join_circle(names)]


@lru_cache(maxsize=SHAPES_MAX)
def _compile_count(names: frozenset[str]) -> str:
    found = select(permits.c.city).where(*_join(names)).limit(bindparam("take", type_=Integer)).subquery()
    return compile_text(select(func.count()).select_from(found))


@lru_cache(maxsize=SHAPES_MAX)
def compile_rows(names: frozenset[str]) -> str:
    """Give the statement for the first ``take`` permits of an export, by city and source id."""
    statement = select(FEATURE, permits.c.city).where(*_join(names))
    statement = statement.order_by(permits.c.city, permits.c.source_id)
    return compile_text(statement.limit(bindparam("take", type_=Integer)))


def render_ndjson(features: Iterable[bytes]) -> bytes:
    """Give features one a line."""
    return b"".join(feature + b"\n" for feature in features)


def render_csv(features: Iterable[bytes], columns: Sequence[str] = CSV_COLUMNS, *, header: bool = True) -> bytes:
    """Give features as CSV (RFC 4180): categories joined by ``;``, nothing for null.

    A text that a spreadsheet would run as a formula begins with an apostrophe here, and nowhere else.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(columns)
    for feature in features:
        document = orjson.loads(feature)
        lng, lat = (document["geometry"] or {"coordinates": (None, None)})["coordinates"]
        values = document["properties"] | {"lng": lng, "lat": lat}
        writer.writerow([_render_cell(values.get(column)) for column in columns])
    return text.getvalue().encode()


def _render_cell(value: object) -> object:
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
