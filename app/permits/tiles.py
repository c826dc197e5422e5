"""Vector tiles: a map's permits as points, or as cells with counts where a tile would hold too many of them.

How many a tile holds is told by the cells that the ingest keeps, never counted on request. Cells by category are kept
too; by any other filter they are counted from the permits where only so many have to be read, and else estimated from
a sample, which is said: no tile reads more than that, however many permits there are.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from geoalchemy2 import Geometry
from sqlalchemy import (
    CTE,
    ColumnElement,
    Double,
    FromClause,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.database import SHAPES_MAX, Reader, compile_text
from app.errors import TooSlow
from app.permits.areas import Box
from app.permits.cursor import fingerprint
from app.permits.features import WGS84, AnySelect, planar
from app.permits.filters import PermitFilter, bind_filter, join_clauses
from app.permits.grid import LATITUDE_MAX, LEVEL_FINEST, Tile, north_of, west_of
from app.permits.register import MARK, Register, refuse_moved
from app.permits.tables import SAMPLE_SHARES, is_sampled, permit_cells, permits
from app.permits.words import DEFINITIONS

POINTS_MAX = 10_000
"""So many points are some 400 kB packed, and as many as a map can draw without stuttering."""
EXTENT_BITS = 12
"""A tile has 4,096 units a side, which every map library takes for granted."""
READ_MAX = 40_000
"""So many permits of its own a tile may read: 120 ms."""
MATCHES_MAX = 12_000
"""So many that the filters find wherever they lie: each is on a page of its own, 240 ms where none is at hand."""
MATCHES_COST_MAX = 100_000
"""What the planner may reckon for these; to read 2.3 million one by one, for what no index knows, it does 600,000."""
SAMPLED_MAX = 80_000
"""So many of a sample, all of which an index holds: 180 ms."""
SAMPLED_BY_TEXT_MAX = 13_000
"""The same where a text is sought, which no index of a sample holds, so that each permit lies on a page of its own."""
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
Way = Literal["tile", "filter"]
"""What a tile reads: the permits that lie in it, or those that its filters find."""

POINT_COLUMNS = (
    "city",
    "source_id",
    "categories",
    "permit_type_mapped",
    "status_current_mapped",
    "issued_date",
)
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
    "estimated": (
        "true where that is an estimate: of how many permits the cell holds, the share that meets the filters among"
        f" one in {' or '.join(map(str, SAMPLE_SHARES))}; such cells are coarser, 16 a side. Absent where it is exact"
    ),
    **{
        str(category): f"how many of them have this category, where no filter but city is set: {meaning}"
        for category, meaning in DEFINITIONS.items()
    },
}


@dataclass(frozen=True)
class Counted:
    """How many permits a tile holds, how many of them meet the filter at most, and whether that is exact."""

    held: int
    matching: int
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
CITIES = permit_cells.c.city == any_(bindparam("all_cities", type_=ARRAY(Text)))
OF_CATEGORY = cast(permit_cells.c.categories.op("->>")(bindparam("one_category", type_=Text)), Integer)


def bind_tile(tile: Tile) -> dict[str, int | float | list[int]]:
    """Give the values of a tile by the names they are bound to."""
    return {
        **tile._asdict(),
        **enclose(tile)._asdict(),
        **bind_cells(tile, tile.cell_level),
        "points_most": POINTS_MAX,
        "tile_shift": LEVEL_FINEST - tile.z,
        "unit_shift": LEVEL_FINEST - tile.z - EXTENT_BITS,
    }


def bind_cells(tile: Tile, level: int) -> dict[str, int | float | list[int]]:
    """Give the values of a tile's cells of a level by the names they are bound to."""
    across = level - tile.z
    return {
        "cell_shift": LEVEL_FINEST - level,
        "cell_level": level,
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
def select_layer(names: frozenset[str], way: Way) -> AnySelect:
    """Select the layer of a tile's permits, and how many were read: points, or cells where they are too many for that.

    The layer is null where more than ``read_most`` would have to be read: then no more than one beyond are.
    """
    columns = [permits.c[name] for name in POINT_COLUMNS]
    chosen = _read_tile(columns, names) if way == "tile" else select(*columns).where(*join_clauses(names))
    read = _place(chosen).limit(_bound("read_most") + _constant(1)).cte("read")
    met = _lie_in_tile(read).where(*([read.c.matches] if "matches" in read.c else [])).cte("met")
    whole, held = (select(func.count().label("permits")).select_from(one).subquery() for one in (read, met))
    few = held.c.permits <= _bound("points_most")
    layer = case((few, _pack_points(met)), else_=_pack_cells(met))
    readable = case((whole.c.permits <= _bound("read_most"), select(layer).select_from(held).scalar_subquery()))
    return select(readable, whole.c.permits, MARKED)


def _read_tile(columns: Sequence[ColumnElement[Any]], names: frozenset[str]) -> AnySelect:
    """Read every permit of the tile, and tell which ``matches``: a bitmap of what filters find anywhere costs more."""
    of_city = names & {"city", "cities"}
    filters = join_clauses(names - of_city, with_removed=True)
    matches = [and_(*filters).label("matches")] if filters else []
    return select(*columns, *matches).where(IN_BOX, *join_clauses(of_city))


def _place(statement: AnySelect) -> AnySelect:
    """Add ``x`` and ``y`` of the finest grid."""
    return statement.add_columns(COLUMN.label("x"), ROW.label("y"))


def _lie_in_tile(placed: FromClause) -> AnySelect:
    x, y = (placed.c[name].op(">>")(_bound("tile_shift")) for name in ("x", "y"))
    return select(placed).where(x == _bound("x"), y == _bound("y"))


def _pack_points(met: CTE) -> ColumnElement[bytes]:
    columns = met.c
    place = func.ST_MakePoint(*(_in_units(columns[name], name) for name in ("x", "y")))
    points = select(
        place.label("geom"),
        (columns.city + literal_column("'/'", Text) + columns.source_id).label("id"),
        columns.categories.op("[")(literal_column("1]", Text)).label("category"),
        func.nullif(func.array_to_string(columns.categories, literal_column("','")), literal_column("''")).label(
            "categories"
        ),
        columns.permit_type_mapped,
        columns.status_current_mapped,
        cast(extract("year", columns.issued_date), Integer).label("issued_year"),
    ).subquery("point")
    return select(_layer(points, "permits")).select_from(points).scalar_subquery()


def _in_units(of: ColumnElement[int], tile: str) -> ColumnElement[int]:
    return of.op(">>")(_bound("unit_shift")) - _bound(tile) * _constant(1 << EXTENT_BITS)


def _pack_cells(met: CTE) -> ColumnElement[bytes]:
    counted = _count_cells(met, func.count().label("permits")).subquery("counted")
    columns = counted.c
    cells = select(_middle(columns.x, columns.y), columns.city, columns.permits).subquery("cell")
    return select(_layer(cells, "cells")).select_from(cells).scalar_subquery()


def _count_cells(placed: FromClause, *counts: ColumnElement[int]) -> AnySelect:
    """Select ``x``, ``y`` and city of the cells that hold permits, with their counts."""
    x, y = (placed.c[name].op(">>")(_bound("cell_shift")).label(name) for name in ("x", "y"))
    return select(x, y, placed.c.city, *counts).group_by(literal_column("1"), literal_column("2"), placed.c.city)


@cache
def select_kept_cells(*, of_category: bool) -> AnySelect:
    """Select the layer of a tile's cells as they are kept: all counts, or that of one category."""
    kept = permit_cells.c
    counts = (OF_CATEGORY.label("permits"),) if of_category else (kept.permits, kept.categories)
    holds = (OF_CATEGORY.is_not(None),) if of_category else ()
    here = _keep_cells().with_only_columns(_middle(kept.x, kept.y), kept.city, *counts)
    cells = here.where(*holds).subquery("cell")
    return select(_layer(cells, "cells"), MARKED).select_from(cells)


@lru_cache(maxsize=SHAPES_MAX)
def select_sampled_cells(names: frozenset[str], share: int) -> AnySelect:
    """Select the layer of a tile's cells, estimated from one in ``share`` of its permits.

    A cell has as many as it is kept to hold, times the share that meets the filter among its sampled ones. One of which
    none is sampled is left out.
    """
    of_city = names & {"city", "cities"}
    matches = and_(*join_clauses(names - of_city, with_removed=True)).label("matches")
    one_in_share = select(permits.c.city, matches).where(IN_BOX, is_sampled(share), *join_clauses(of_city))
    # Without the end of the plan that the offset makes, each would be placed twice.
    placed = _place(one_in_share).offset(_constant(0)).subquery("placed")
    chosen = _lie_in_tile(placed).subquery("chosen")
    matching = func.count().filter(chosen.c.matches).label("matching")
    sampled = _count_cells(chosen, func.count().label("sampled"), matching).subquery("sampled")
    kept, found = _keep_cells().subquery("kept"), sampled.c
    same = and_(kept.c.city == found.city, kept.c.x == found.x, kept.c.y == found.y)
    estimate = cast(func.round(cast(kept.c.permits, Double) * found.matching / found.sampled), Integer).label("permits")
    told = select(found.x, found.y, found.city, estimate).select_from(sampled.join(kept, same)).subquery("told")
    middle = _middle(told.c.x, told.c.y)
    some = told.c.permits > _constant(0)
    cells = select(middle, told.c.city, told.c.permits, true().label("estimated")).where(some).subquery("cell")
    return select(_layer(cells, "cells"), MARKED).select_from(cells)


def _keep_cells() -> AnySelect:
    """Select the cells of a tile as they are kept."""
    kept = permit_cells.c
    return select(permit_cells).where(
        CITIES,
        kept.level == _bound("cell_level"),
        kept.x == any_(bindparam("columns", type_=ARRAY(Integer))),
        kept.y.between(_bound("first_row"), _bound("last_row")),
    )


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
def compile_layer(names: frozenset[str], way: Way) -> str:
    """Give the text of :func:`select_layer` as psycopg takes it."""
    return compile_text(select_layer(names, way))


@cache
def compile_kept_cells(*, of_category: bool) -> str:
    """Give the text of :func:`select_kept_cells` as psycopg takes it."""
    return compile_text(select_kept_cells(of_category=of_category))


@lru_cache(maxsize=SHAPES_MAX)
def compile_sampled_cells(names: frozenset[str], share: int) -> str:
    """Give the text of :func:`select_sampled_cells` as psycopg takes it."""
    return compile_text(select_sampled_cells(names, share))


@lru_cache(maxsize=SHAPES_MAX)
def compile_expected(names: frozenset[str]) -> str:
    """Give the statement that tells how many permits the planner expects to meet a filter."""
    return f"EXPLAIN (FORMAT JSON) {compile_text(select(permits.c.city).where(*join_clauses(names)))}"


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
        key = (tile, register.choose_cities(wanted.city), fingerprint(wanted.model_copy(update={"city": ()})))
        if (kept := self._kept.find(register.data_version, key)) is not None:
            return kept
        try:
            async with asyncio.timeout(TILE_S):
                made = await make_tile(self._reader, register, tile, wanted)
        except (TimeoutError, TooSlow) as error:
            raise TooSlow(TOO_SLOW) from error
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
    if not counted.matching:
        return b""
    if not (counted.exact and counted.matching > POINTS_MAX):
        layer = await find_layer(reader, register, names, counted, values)
        if layer is not None:
            return layer
    if counted.exact:
        return await find_cells(reader, register, compile_kept_cells(of_category=bool(wanted.category)), values)
    share = choose_share(counted.held, by_text=wanted.q is not None)
    sampled = values | bind_cells(tile, tile.sampled_level)
    return await find_cells(reader, register, compile_sampled_cells(names, share), sampled)


async def find_layer(
    reader: Reader, register: Register, names: frozenset[str], counted: Counted, values: Mapping[str, Any]
) -> bytes | None:
    """Find a tile's permits themselves, or None where too many would have to be read for it."""
    chosen = await choose_way(reader, names, counted, values)
    if chosen is None:
        return None
    way, most = chosen
    layer, read, mark = await reader.find_one(compile_layer(names, way), {**values, "read_most": most})
    await refuse_moved(reader, register, mark)
    return bytes(layer or b"") if read <= most else None


async def choose_way(
    reader: Reader, names: frozenset[str], counted: Counted, values: Mapping[str, Any]
) -> tuple[Way, int] | None:
    """Choose what to read, and how many at most; None where it is too much either way."""
    if counted.held <= READ_MAX:
        return "tile", READ_MAX
    (explained,) = await reader.find_one(compile_expected(names), values)
    plan = explained[0]["Plan"]
    is_short = plan["Plan Rows"] <= MATCHES_MAX and plan["Total Cost"] <= MATCHES_COST_MAX
    return ("filter", MATCHES_MAX) if is_short else None


async def find_cells(reader: Reader, register: Register, statement: str, values: Mapping[str, Any]) -> bytes:
    """Find a layer of cells on the register's own data."""
    cells, mark = await reader.find_one(statement, values)
    await refuse_moved(reader, register, mark)
    return bytes(cells)


def choose_share(held: int, *, by_text: bool) -> int:
    """Choose of how many permits of a tile one is sampled: as few as may be read."""
    most = SAMPLED_BY_TEXT_MAX if by_text else SAMPLED_MAX
    return next((share for share in SAMPLE_SHARES if held <= most * share), SAMPLE_SHARES[-1])


async def count_permits(reader: Reader, register: Register, wanted: PermitFilter, values: Mapping[str, Any]) -> Counted:
    """Tell from the cells how many permits a tile holds, and how many of a filter at most."""
    everything, of_category, mark = await reader.find_one(compile_counted(), values)
    await refuse_moved(reader, register, mark)
    matching = of_category if len(wanted.category) == 1 else everything
    return Counted(everything, matching, exact=is_kept(wanted))


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
