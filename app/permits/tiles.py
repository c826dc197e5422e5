"""Vector tiles: a map's permits as points, or as cells with counts where a tile would hold too many of them.

How many a tile holds is told by the cells that the ingest keeps, never counted on request. Cells by category are kept
too; by any other filter they are gathered from the permits, within a time limit.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Subquery,
    Text,
    any_,
    bindparam,
    cast,
    extract,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.database import SHAPES_MAX, Reader, compile_text
from app.errors import TooSlow
from app.permits.areas import Box
from app.permits.features import WGS84, AnySelect, planar
from app.permits.filters import PermitFilter, bind_filter, join_clauses
from app.permits.grid import LATITUDE_MAX, LEVEL_FINEST, Tile, north_of, west_of
from app.permits.register import MARK, Register, refuse_moved
from app.permits.tables import permit_cells, permits
from app.permits.words import DEFINITIONS

POINTS_MAX = 10_000
"""So many points are some 400 kB packed, and as many as a map can draw without stuttering."""
EXTENT_BITS = 12
"""A tile has 4,096 units a side, which every map library takes for granted."""
TILE_S = 2.0
"""The longest that one tile may take, all its statements together."""
TOO_SLOW = (
    "the tile took too long; zoom in, or narrow it by a period, a ZIP or fewer words; one category alone is quick"
)
BOUNDS_LEVEL = 12
"""Cells of some 8 km, of which a city has a few dozen."""
MARGIN_DEGREES = 1e-6
"""What the index may be asked beyond a tile's edges; which points belong to it, their place in the grid decides."""
ENTRY_BYTES = 500
"""What an entry of the cache takes beside its tile."""
KEPT_FILTERS = {"city", "category"}

POINT_FIELDS = {
    "id": "city and source id of the permit; GET /permits/{id} tells the rest",
    "category": "the first of its categories",
    "categories": "all of its categories, by comma",
    "permit_type_mapped": "its type, in BLDS's words",
    "status_current_mapped": "its status, in BLDS's words",
    "issued_year": "the year it was issued",
}
CELL_FIELDS = {
    "city": "the register that the permits belong to",
    "permits": "how many permits of the query lie in the cell",
    **{
        str(category): f"how many of them have this category, where no filter but city is set: {meaning}"
        for category, meaning in DEFINITIONS.items()
    },
}


@dataclass(frozen=True)
class Counted:
    """How many permits a tile holds at most, and whether that is exact for the filter."""

    permits: int
    exact: bool


def _bound(name: str) -> ColumnElement[int]:
    return bindparam(name, type_=Integer)


def _constant(value: int) -> ColumnElement[int]:
    return literal_column(str(value), Integer)


MARKED = literal_column(f"({MARK})", Text).label("mark")
POINT = planar(permits.c.location)
BOX = func.ST_MakeEnvelope(*(bindparam(name, type_=Double) for name in Box._fields), WGS84, type_=Geometry(srid=4326))
IN_BOX: ColumnElement[bool] = POINT.op("&&")(BOX)
COLUMN: ColumnElement[int] = func.mercator_x(func.ST_X(POINT), type_=Integer)
ROW: ColumnElement[int] = func.mercator_y(func.ST_Y(POINT), type_=Integer)
IN_TILE = (COLUMN.op(">>")(_bound("tile_shift")) == _bound("x"), ROW.op(">>")(_bound("tile_shift")) == _bound("y"))
CITIES = permit_cells.c.city == any_(bindparam("all_cities", type_=ARRAY(Text)))
OF_CATEGORY = cast(permit_cells.c.categories.op("->>")(bindparam("one_category", type_=Text)), Integer)


def bind_tile(tile: Tile) -> dict[str, int | float | list[int]]:
    """Give the values of a tile by the names they are bound to."""
    box = enclose(tile)
    across = tile.cell_level - tile.z
    return {
        **tile._asdict(),
        **box._asdict(),
        "points_most": POINTS_MAX + 1,
        "tile_shift": LEVEL_FINEST - tile.z,
        "unit_shift": LEVEL_FINEST - tile.z - EXTENT_BITS,
        "cell_shift": LEVEL_FINEST - tile.cell_level,
        "cell_level": tile.cell_level,
        "cell_units": 1 << EXTENT_BITS - across,
        "columns": list(range(tile.x << across, (tile.x + 1) << across)),
        "first_column": tile.x << across,
        "first_row": tile.y << across,
        "last_row": ((tile.y + 1) << across) - 1,
    }


def enclose(tile: Tile) -> Box:
    """Give degrees that hold a tile's points; what lies beyond the grid's north and south belongs to its edge."""
    last = tile.side - 1
    return Box(
        west=west_of(tile.x, tile.z) - MARGIN_DEGREES,
        south=-90.0 if tile.y == last else north_of(tile.y + 1, tile.z) - MARGIN_DEGREES,
        east=west_of(tile.x + 1, tile.z) + MARGIN_DEGREES,
        north=90.0 if tile.y == 0 else north_of(tile.y, tile.z) + MARGIN_DEGREES,
    )


@cache
def select_counted() -> AnySelect:
    """Select how many permits lie in a tile, and how many of them have one category."""
    cells = permit_cells.c
    here = (CITIES, cells.level == _bound("z"), cells.x == _bound("x"), cells.y == _bound("y"))
    sums = (func.coalesce(func.sum(counted), _constant(0)) for counted in (cells.permits, OF_CATEGORY))
    return select(*sums, MARKED).where(*here)


@lru_cache(maxsize=SHAPES_MAX)
def select_points(names: frozenset[str]) -> AnySelect:
    """Select the layer of a tile's points, up to one more than it may hold, and their number."""
    columns = permits.c
    place = func.ST_MakePoint(*(_in_units(of, tile) for of, tile in ((COLUMN, "x"), (ROW, "y"))))
    points = (
        select(
            place.label("geom"),
            (columns.city + literal_column("'/'", Text) + columns.source_id).label("id"),
            columns.categories.op("[")(literal_column("1]", Text)).label("category"),
            func.nullif(func.array_to_string(columns.categories, literal_column("','")), literal_column("''")).label(
                "categories"
            ),
            columns.permit_type_mapped,
            columns.status_current_mapped,
            cast(extract("year", columns.issued_date), Integer).label("issued_year"),
        )
        .where(IN_BOX, *IN_TILE, *join_clauses(names))
        .limit(_bound("points_most"))
        .subquery("point")
    )
    return select(_layer(points, "permits"), func.count(), MARKED).select_from(points)


def _in_units(of: ColumnElement[int], tile: str) -> ColumnElement[int]:
    return of.op(">>")(_bound("unit_shift")) - _bound(tile) * _constant(1 << EXTENT_BITS)


@cache
def select_kept_cells(*, of_category: bool) -> AnySelect:
    """Select the layer of a tile's cells as they are kept: all counts, or that of one category."""
    kept = permit_cells.c
    counts = (OF_CATEGORY.label("permits"),) if of_category else (kept.permits, kept.categories)
    here = (
        CITIES,
        kept.level == _bound("cell_level"),
        kept.x == any_(bindparam("columns", type_=ARRAY(Integer))),
        kept.y.between(_bound("first_row"), _bound("last_row")),
    )
    holds = (OF_CATEGORY.is_not(None),) if of_category else ()
    cells = select(_middle(kept.x, kept.y), kept.city, *counts).where(*here, *holds).subquery("cell")
    return select(_layer(cells, "cells"), MARKED).select_from(cells)


@lru_cache(maxsize=SHAPES_MAX)
def select_gathered_cells(names: frozenset[str]) -> AnySelect:
    """Select the layer of a tile's cells, counted from the permits of a filter."""
    column, row = (of.op(">>")(_bound("cell_shift")) for of in (COLUMN, ROW))
    counted = (
        select(column.label("x"), row.label("y"), permits.c.city, func.count().label("permits"))
        .where(IN_BOX, *IN_TILE, *join_clauses(names))
        .group_by("x", "y", permits.c.city)
        .subquery("counted")
    )
    columns = counted.c
    cells = select(_middle(columns.x, columns.y), columns.city, columns.permits).subquery("cell")
    return select(_layer(cells, "cells"), MARKED).select_from(cells)


def _middle(x: ColumnElement[int], y: ColumnElement[int]) -> ColumnElement[Any]:
    """Give the middle of a cell in the tile's units."""
    size = _bound("cell_units")
    half = size.op("/")(_constant(2))
    return func.ST_MakePoint((x - _bound("first_column")) * size + half, (y - _bound("first_row")) * size + half).label(
        "geom"
    )


def _layer(rows: Subquery, name: str) -> ColumnElement[bytes]:
    """Pack rows as a layer; what is JSON in them becomes an attribute for each of its members."""
    extent = _constant(1 << EXTENT_BITS)
    packed: ColumnElement[bytes] = func.ST_AsMVT(
        literal_column(str(rows.name)), literal_column(f"'{name}'"), extent, literal_column("'geom'")
    )
    return packed


@cache
def select_bounds() -> Select[int, int, int, int, str]:
    """Select the first and last columns and rows of the cells that hold a permit."""
    cells = permit_cells.c
    ends = (func.min(cells.x), func.min(cells.y), func.max(cells.x), func.max(cells.y))
    return select(*ends, MARKED).where(CITIES, cells.level == _constant(BOUNDS_LEVEL))


@lru_cache(maxsize=SHAPES_MAX)
def compile_points(names: frozenset[str]) -> str:
    """Give the text of :func:`select_points` as psycopg takes it."""
    return compile_text(select_points(names))


@cache
def compile_kept_cells(*, of_category: bool) -> str:
    """Give the text of :func:`select_kept_cells` as psycopg takes it."""
    return compile_text(select_kept_cells(of_category=of_category))


@lru_cache(maxsize=SHAPES_MAX)
def compile_gathered_cells(names: frozenset[str]) -> str:
    """Give the text of :func:`select_gathered_cells` as psycopg takes it."""
    return compile_text(select_gathered_cells(names))


@cache
def compile_counted() -> str:
    """Give the text of :func:`select_counted` as psycopg takes it."""
    return compile_text(select_counted())


@cache
def compile_bounds() -> str:
    """Give the text of :func:`select_bounds` as psycopg takes it."""
    return compile_text(select_bounds())


class TileMaker:
    """Makes tiles, and keeps those that many callers ask for until the data move, up to so many bytes."""

    def __init__(self, reader: Reader, *, keep_bytes: int) -> None:
        self._reader = reader
        self._kept = KeptTiles(keep_bytes)

    async def find(self, register: Register, tile: Tile, wanted: PermitFilter) -> bytes:
        """Give a tile; one without a permit has no bytes.

        Raises :class:`TooSlow` with how to narrow it, :class:`Moved` where the store is no longer as the register has
        it, and what :func:`bind_filter` does.
        """
        key = (tile, register.choose_cities(wanted.city), wanted.category) if is_kept(wanted) else None
        if key is not None and (kept := self._kept.find(register.data_version, key)) is not None:
            return kept
        try:
            async with asyncio.timeout(TILE_S):
                made = await make_tile(self._reader, register, tile, wanted)
        except (TimeoutError, TooSlow) as error:
            raise TooSlow(TOO_SLOW) from error
        if key is not None:
            self._kept.keep(register.data_version, key, made)
        return made


class KeptTiles:
    """The tiles of the newest data version that were asked for last."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._version = 0
        self._tiles: OrderedDict[object, bytes] = OrderedDict()
        self.size_bytes = 0

    def find(self, version: int, key: object) -> bytes | None:
        """Give a tile of this data version, or None."""
        if version != self._version or key not in self._tiles:
            return None
        self._tiles.move_to_end(key)
        return self._tiles[key]

    def keep(self, version: int, key: object, tile: bytes) -> None:
        """Keep a tile, and forget those of an older version, and the ones that were longest unasked for."""
        if version > self._version:
            self._tiles.clear()
            self._version, self.size_bytes = version, 0
        if version < self._version or key in self._tiles:
            return
        self._tiles[key] = tile
        self.size_bytes += len(tile) + ENTRY_BYTES
        while self.size_bytes > self._limit_bytes:
            _, forgotten = self._tiles.popitem(last=False)
            self.size_bytes -= len(forgotten) + ENTRY_BYTES


def is_kept(wanted: PermitFilter) -> bool:
    """Tell whether the cells know how many permits a filter finds: by city, and by one category."""
    return wanted.model_dump(exclude_defaults=True).keys() <= KEPT_FILTERS and len(wanted.category) <= 1


async def make_tile(reader: Reader, register: Register, tile: Tile, wanted: PermitFilter) -> bytes:
    """Make a tile anew: its points, or its cells where they are too many."""
    filtered = bind_filter(wanted, register)
    names = frozenset(filtered)
    values: dict[str, Any] = bind_tile(tile) | filtered
    values["all_cities"] = list(register.choose_cities(wanted.city))
    values["one_category"] = str(wanted.category[0]) if len(wanted.category) == 1 else None
    counted = await count_permits(reader, register, wanted, values)
    if not counted.permits:
        return b""
    if not (counted.exact and counted.permits > POINTS_MAX):
        points, found, mark = await reader.find_one(compile_points(names), values)
        await refuse_moved(reader, register, mark)
        if found <= POINTS_MAX:
            return bytes(points)
    if counted.exact:
        statement = compile_kept_cells(of_category=bool(wanted.category))
    else:
        statement = compile_gathered_cells(names)
    cells, mark = await reader.find_one(statement, values)
    await refuse_moved(reader, register, mark)
    return bytes(cells)


async def count_permits(reader: Reader, register: Register, wanted: PermitFilter, values: Mapping[str, Any]) -> Counted:
    """Tell from the cells how many permits of a filter a tile holds at most."""
    everything, of_category, mark = await reader.find_one(compile_counted(), values)
    await refuse_moved(reader, register, mark)
    return Counted(of_category if len(wanted.category) == 1 else everything, exact=is_kept(wanted))


async def find_bounds(reader: Reader, register: Register, cities: tuple[str, ...]) -> Box:
    """Give the box that holds every permit of some cities, to a few kilometres; the whole grid where there is none.

    Raises :class:`Moved` where the store is no longer as the register has it.
    """
    found = await reader.find_one(compile_bounds(), {"all_cities": list(cities)})
    west, north, east, south, mark = found
    await refuse_moved(reader, register, mark)
    if west is None:
        return Box(-180.0, -LATITUDE_MAX, 180.0, LATITUDE_MAX)
    level = BOUNDS_LEVEL
    return Box(west_of(west, level), north_of(south + 1, level), west_of(east + 1, level), north_of(north, level))
