"""Near queries: which permits lie within a radius of an origin, nearest first, exact on the spheroid.

A spatial index walks nearest first, but measures in a plane or on a sphere; so it finds candidates, and their distances
on the spheroid prove that no other permit is nearer.
"""

import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

import orjson
from geoalchemy2 import Geography, Geometry
from pydantic import Field
from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    Integer,
    Label,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.util import ClauseAdapter

from app.database import AS_BYTES, SHAPES_MAX, Reader, compile_text
from app.errors import MalformedCursor, RefusedQuery
from app.permits.cursor import CURSOR_MAX_LENGTH, Position, decode, fingerprint
from app.permits.features import FEATURE_COLUMNS, MERCATOR, WGS84, AnyRow, AnySelect
from app.permits.filters import (
    CLAUSES,
    LIMIT_DEFAULT,
    RADIUS_DEFAULT_M,
    Area,
    FormField,
    Latitude,
    Limit,
    Longitude,
    PermitFilter,
    Radius,
    bind_filter,
    join_clauses,
)
from app.permits.register import MARK, Register, refuse_moved
from app.permits.tables import permits

PAGED_MAX = 10_000
EXACT_COUNT_RADIUS_M = 2_000
ROUNDING_M = 0.001
"""Covers the rounding of ST_Distance, which is to 1e-8 m, and of the factors below."""
SPHEROID_LEAST = 0.9944
"""A distance on WGS 84 is at least this much of the sphere's (0.99442, where it is least)."""
EQUATOR_RADIUS_M = 6_378_137.0
ECCENTRICITY_SQUARED = 0.006_694_379_990_14
LATITUDE_DEGREE_LEAST_M = 110_574.0
MERCATOR_LATITUDE_MAX = 84.0
MERCATOR_EDGE_M = math.pi * EQUATOR_RADIUS_M

Walk = Literal["mercator", "bounded", "zip", "district", "sifted", "sphere", "none", "boxed", "measured"]
"""By an index nearest first, the same but so far only or in the asked ZIPs or districts, all matches of the filters
sorted in the plane; by distance: all within the radius, by the index of the sphere or of the plane, and all matches of
the filters, by no index of places."""
Place = Literal["zip", "district"]
PLACES: dict[str, Place] = {"zip": "zip", "district_own": "district"}
"""By the name of a value: of what the store keeps an index of places."""
WALKED_US = 3.0
"""To meet a permit on a walk and try the filters on it: 2.7 to 3.3 us of 2.3 million permits, most of them on disk."""
PLACED_US = 10.0
"""The same on a walk in a ZIP or district, whose index has to shift each permit that it gives."""
SIFTED_US = 2.5
"""To fetch a permit that the filters' indexes found, and to measure it in the plane."""
WALK_LEAST = 10_000
"""So many permits may any walk meet: 30 ms."""
WALK_SLACK = 4
"""How many times more than expected a walk may meet, permits of a kind lie together; never for more than twice
what sifting costs."""
UNBOUNDED = 2**31 - 1


class NearQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits to find, and around where.

    ``lat`` and ``lng`` are WGS 84 degrees (EPSG:4326); ``radius_m`` is metres along the spheroid, its ceiling
    inclusive.
    """

    lat: Latitude = Field(description="latitude of the origin, degrees north")
    lng: Longitude = Field(description="longitude of the origin, degrees east")
    radius_m: Radius = Field(default=RADIUS_DEFAULT_M, description="metres")
    limit: Limit = Field(default=LIMIT_DEFAULT, description="permits a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")
    count: Literal["exact"] | None = Field(default=None, description="exact: adds numberMatched, up to 2,000 m")
    f: FormField = None

    @property
    def area(self) -> Area:
        """The circle asked about."""
        return Area(lat=self.lat, lng=self.lng, radius_m=self.radius_m)


T = TypeVar("T")
Values = Mapping[str, Any]
Name = tuple[str, str]
"""City and source id, by which permits at equal distances are ordered."""


@dataclass(frozen=True)
class Met(Generic[T]):
    """The permits that a walk met, nearest on the spheroid first, with their distances and how far the walk went."""

    rows: Sequence[T]
    distances_m: Sequence[float]
    last_step: float


Fetch = Callable[[Walk, Values], Awaitable[Met[T]]]


@dataclass(frozen=True)
class NearPage(Generic[T]):
    """Permits nearest first, with their distances, and the cursor of the next page if there is one."""

    rows: list[T]
    distances_m: Sequence[float]
    cursor: str | None
    number_matched: int | None
    ended_early: bool
    """Whether more permits follow than near pages give."""


@dataclass(frozen=True)
class Frame:
    """How an index is walked around an origin, and what a step is worth.

    ``least_m`` is the least distance on the spheroid, in metres, of one unit of the walk: a metre of the sphere, or one
    of the Mercator plane, where the origin is at ``x`` and ``y`` and the circle lies within ``reach`` of it each way.
    ``most_m`` is the greatest of such a one there.
    """

    walk: Walk
    least_m: float
    most_m: float = math.inf
    x: float = 0.0
    y: float = 0.0
    reach: float = 0.0


def frame(area: Area) -> Frame:
    """Choose the Mercator plane, which has the quicker index, except near the poles and across the antimeridian."""
    farthest = abs(area.lat) + area.radius_m / LATITUDE_DEGREE_LEAST_M * 1.0001
    if farthest > MERCATOR_LATITUDE_MAX:
        return Frame("sphere", SPHEROID_LEAST)
    least_m = measure_mercator(farthest) * 0.9999
    reach = area.radius_m / least_m + ROUNDING_M
    x = EQUATOR_RADIUS_M * math.radians(area.lng)
    if abs(x) + reach >= MERCATOR_EDGE_M:
        return Frame("sphere", SPHEROID_LEAST)
    y = EQUATOR_RADIUS_M * math.asinh(math.tan(math.radians(area.lat)))
    nearest = math.degrees(math.atan(math.sinh(max(abs(y) - reach, 0) / EQUATOR_RADIUS_M)))
    return Frame("mercator", least_m, measure_mercator_eastwards(nearest) * 1.0001, x=x, y=y, reach=reach)


def measure_mercator(lat: float) -> float:
    """Give what a metre of the Mercator plane is on WGS 84, northwards at a latitude: nowhere nearer the equator less.

    Eastwards it is up to 0.7 % more, for the plane is the sphere's.
    """
    phi = math.radians(lat)
    meridian: float = (1 - ECCENTRICITY_SQUARED) / (1 - ECCENTRICITY_SQUARED * math.sin(phi) ** 2) ** 1.5
    return meridian * math.cos(phi)


def measure_mercator_eastwards(lat: float) -> float:
    """Give the same eastwards: nowhere nearer a pole more."""
    phi = math.radians(lat)
    return math.cos(phi) / math.sqrt(1 - ECCENTRICITY_SQUARED * math.sin(phi) ** 2)


ORIGIN = cast(
    func.ST_SetSRID(func.ST_MakePoint(bindparam("lng", type_=Double), bindparam("lat", type_=Double)), WGS84),
    Geography("POINT", 4326),
)
ORIGIN_MERCATOR = cast(
    func.ST_SetSRID(func.ST_MakePoint(bindparam("x", type_=Double), bindparam("y", type_=Double)), MERCATOR),
    Geometry("POINT", 3857),
)
DISTANCE_M: ColumnElement[float] = func.ST_Distance(permits.c.location, ORIGIN, type_=Double)
IN_BOX: ColumnElement[bool] = permits.c.mercator.op("&&")(
    func.ST_Expand(ORIGIN_MERCATOR, bindparam("reach", type_=Double), type_=Geometry(srid=3857))
)
REACH = bindparam("reach", type_=Double)
X, Y = bindparam("x", type_=Double), bindparam("y", type_=Double)
IN_SQUARE: ColumnElement[bool] = and_(
    func.ST_X(permits.c.mercator, type_=Double).between(X - REACH, X + REACH),
    func.ST_Y(permits.c.mercator, type_=Double).between(Y - REACH, Y + REACH),
)
"""The same box, in words that no index knows: a bitmap of half a million points would cost more than it spares."""
IN_RADIUS: ColumnElement[bool] = bindparam("radius_m", type_=Double) >= DISTANCE_M
WITHIN = func.ST_DWithin(permits.c.location, ORIGIN, bindparam("radius_m", type_=Double))
STEPS: dict[Walk, ColumnElement[float]] = {
    "mercator": permits.c.mercator.op("<->", return_type=Double())(ORIGIN_MERCATOR),
    "bounded": permits.c.mercator.op("<->", return_type=Double())(ORIGIN_MERCATOR),
    "zip": permits.c.mercator.op("<->", return_type=Double())(ORIGIN_MERCATOR),
    "district": permits.c.mercator.op("<->", return_type=Double())(ORIGIN_MERCATOR),
    "sifted": func.ST_Distance(permits.c.mercator, ORIGIN_MERCATOR, type_=Double),
    "sphere": permits.c.location.op("<->", return_type=Double())(ORIGIN),
    "none": DISTANCE_M,
    "boxed": DISTANCE_M,
    "measured": DISTANCE_M,
}
REACHED = tuple_(
    bindparam("after_m", type_=Double), bindparam("after_city", type_=Text), bindparam("after_source_id", type_=Text)
)


UNSELECTIVE = frozenset(
    {"city", "cities", "lat", "lng", "radius_m", "x", "y", "reach"}
    | {"after_m", "after_city", "after_source_id", "nearer", "farther"}
)
"""The names of values that choose no kind of permit."""


def geography_point(area: Area) -> ColumnElement[Any]:
    """Give the middle of a circle as the database sees it."""
    return cast(func.ST_SetSRID(func.ST_MakePoint(area.lng, area.lat), WGS84), Geography("POINT", 4326))


def within(area: Area) -> ColumnElement[bool]:
    """Lie within the circle; by the index."""
    return func.ST_DWithin(permits.c.location, geography_point(area), area.radius_m)


@lru_cache(maxsize=SHAPES_MAX)
def select_candidates(names: frozenset[str], walk: Walk, *, ready: bool = False) -> AnySelect:
    """Select the first ``take`` permits of a walk, each with its distance on the spheroid and its ``step`` in the walk.

    ``names`` are those of the values that :func:`bind_near` gives. ``ready`` selects each permit's feature instead of
    columns. Without a walk the permits come by distance, and the first ones are the nearest.
    """
    columns = (permits.c.feature, permits.c.city, permits.c.source_id) if ready else FEATURE_COLUMNS
    statement = select(*columns, DISTANCE_M.label("distance_m"), STEPS[walk].label("step"))
    if walk == "bounded":
        return _bound_walk(statement, names)
    if walk == "boxed":
        return _search_box(statement, names)
    if walk == "zip" or walk == "district":
        return _walk_places(statement, names, walk)
    places = {"mercator": [IN_BOX], "sifted": [IN_SQUARE], "measured": [IN_SQUARE, IN_RADIUS]}
    statement = statement.where(*places.get(walk, [WITHIN]), *join_clauses(names), *_follow(names, walk))
    by_distance = ("distance_m", permits.c.city, permits.c.source_id)
    order = by_distance if walk in {"none", "measured"} else ("step",)
    return statement.order_by(*order).limit(bindparam("take", type_=Integer))


def _follow(names: frozenset[str], walk: Walk) -> list[ColumnElement[bool]]:
    """Follow the position that is bound, if one is; the plane spares most permits being measured on the spheroid."""
    if "after_m" not in names:
        return []
    follows = tuple_(DISTANCE_M, permits.c.city, permits.c.source_id) > REACHED
    if "nearer" not in names or walk == "none":
        return [follows]
    step = STEPS["sifted"]
    return [step >= bindparam("nearer", type_=Double), or_(step > bindparam("farther", type_=Double), follows)]


def _bound_walk(statement: AnySelect, names: frozenset[str]) -> AnySelect:
    """Walk over the ``most`` nearest permits only, whatever they are, and give those that the filters let through."""
    walk = select(permits, STEPS["bounded"].label("met_at")).where(IN_BOX).order_by("met_at")
    met = walk.limit(bindparam("most", type_=Integer)).subquery("met")
    sought: AnySelect = ClauseAdapter(met).traverse(statement.where(*join_clauses(names), *_follow(names, "bounded")))
    return sought.order_by(met.c.met_at).limit(bindparam("take", type_=Integer))


def _search_box(statement: AnySelect, names: frozenset[str]) -> AnySelect:
    """Look at all permits of the box, which is small, and at no index of the filters, which may know a million."""
    met = select(permits).where(IN_BOX).offset(literal_column("0")).subquery("met")
    sought: AnySelect = ClauseAdapter(met).traverse(
        statement.where(IN_RADIUS, *join_clauses(names), *_follow(names, "boxed"))
    )
    return sought.order_by("distance_m", met.c.city, met.c.source_id).limit(bindparam("take", type_=Integer))


def _walk_places(statement: AnySelect, names: frozenset[str], place: Place) -> AnySelect:
    """Walk the asked ZIPs or districts one by one, each over its ``most`` nearest permits; give the first of all."""
    name = next(name for name, known in PLACES.items() if known == place)
    asked = (
        func.unnest(bindparam(name, type_=ARRAY(Text)))
        .table_valued(Column("asked", Text))
        .render_derived(name="places")
    )
    column, origin = permits.c[place], func.apart(ORIGIN_MERCATOR, asked.c.asked, type_=Geometry(srid=3857))
    shifted = func.apart(permits.c.mercator, column, type_=Geometry(srid=3857))
    in_box = shifted.op("&&")(func.ST_Expand(origin, REACH, type_=Geometry(srid=3857)))
    met_at: Label[float] = shifted.op("<->", return_type=Double())(origin).label("met_at")
    ordered = select(permits, met_at).where(in_box, column == asked.c.asked).order_by(met_at).correlate(asked)
    met = ordered.limit(bindparam("most", type_=Integer)).subquery("met")
    clauses = [ClauseAdapter(met).traverse(clause) for clause in (*join_clauses(names), *_follow(names, "bounded"))]
    taken = select(met).where(*clauses).order_by(met.c.met_at).limit(bindparam("take", type_=Integer)).lateral("taken")
    sought: AnySelect = ClauseAdapter(taken).traverse(statement).select_from(asked.join(taken, true()))
    return sought.order_by(taken.c.met_at).limit(bindparam("take", type_=Integer))


@lru_cache(maxsize=SHAPES_MAX)
def compile_estimate(names: frozenset[str]) -> str:
    """Give the statement that tells what the planner expects: permits in the box, of the filters and in the places."""
    places = [[CLAUSES[name]] for name in PLACES if name in names][:1]
    counted = ([IN_BOX], join_clauses(names), *places)
    expected = [compile_text(select(permits.c.city).where(*where)) for where in counted]
    return "EXPLAIN (FORMAT JSON) " + " UNION ALL ".join(expected)


@lru_cache(maxsize=SHAPES_MAX)
def select_count(names: frozenset[str]) -> Select[int]:
    """Select the number of permits in the circle."""
    return select(func.count()).select_from(permits).where(WITHIN, *join_clauses(names - {"after_m"}))


@lru_cache(maxsize=SHAPES_MAX)
def compile_count(names: frozenset[str]) -> str:
    """Give the text of :func:`select_count` as psycopg takes it."""
    return compile_text(select_count(names))


@lru_cache(maxsize=SHAPES_MAX)
def compile_candidates(names: frozenset[str], walk: Walk) -> str:
    """Give the text of a statement for the mark of the data, as a row of its own, and all of :func:`select_candidates`.

    Each row has a feature without its end, its distance and its step; nearest first, sorted by the store so that they
    are sent at once: one by one, as the walk meets them, each few would wake this process.
    """
    found = select_candidates(names, walk, ready=True).subquery("found")
    ordered = (
        select(found.c.feature, found.c.distance_m, found.c.step)
        .order_by(found.c.distance_m, found.c.city, found.c.source_id)
        .subquery("ordered")
    )
    mark = select(cast(literal_column(MARK), AS_BYTES), null(), null())
    return compile_text(
        union_all(mark, select(cast(ordered.c.feature, AS_BYTES), ordered.c.distance_m, ordered.c.step))
    )


def bind_near(query: NearQuery, register: Register, after: Position | None, framed: Frame) -> dict[str, Any]:
    """Give the values of a near query by the names they are bound to. Raises what :func:`bind_filter` does."""
    values = bind_filter(query, register) | {"lat": query.lat, "lng": query.lng, "radius_m": query.radius_m}
    if framed.walk == "mercator":
        values |= {"x": framed.x, "y": framed.y, "reach": framed.reach}
    if after is not None:
        values |= {"after_m": after.distance_m(), "after_city": after.city, "after_source_id": after.source_id}
        values |= bind_steps(after.distance_m(), framed)
    return values


def bind_steps(after_m: float, framed: Frame) -> dict[str, float]:
    """Give below which step of the Mercator plane all lie nearer than a distance, and above which all lie farther."""
    if framed.walk != "mercator":
        return {}
    return {
        "nearer": (after_m - ROUNDING_M) / framed.most_m,
        "farther": (after_m + ROUNDING_M) / framed.least_m,
    }


@dataclass(frozen=True)
class Search:
    """The ``wanted`` nearest permits of a circle, as they are looked for; ``values`` are bound into the statements."""

    area: Area
    framed: Frame
    values: dict[str, Any]
    wanted: int

    @property
    def is_filtered(self) -> bool:
        """Whether the permits have to meet more than a place and a city."""
        return self.framed.walk == "mercator" and bool(self.values.keys() - UNSELECTIVE)

    @property
    def proof(self) -> Walk:
        """How all within a radius are found; of a box in the plane the planner knows best how few it holds."""
        return "boxed" if self.framed.walk == "mercator" else "none"

    @property
    def place(self) -> Place | None:
        """By which index of places its filters may be walked."""
        return next((place for name, place in PLACES.items() if name in self.values), None)

    @property
    def reads_one_place(self) -> bool:
        """Whether a walk by that index is one alone, which may be bounded: of several one would end before another."""
        first = next((name for name in PLACES if name in self.values), None)
        return first is not None and len(self.values[first]) == 1

    @property
    def has_more_filters(self) -> bool:
        """Whether its filters are more than one, so that a walk by that index may pass many permits."""
        return len(self.values.keys() - UNSELECTIVE) > 1

    @property
    def take(self) -> int:
        """How many candidates mostly prove the nearest: permits share points, and the last one's are all wanted."""
        return self.wanted + self.wanted // 50 + 24

    def find_bound(self, met: Met[Any]) -> float | None:
        """Give within how many metres the wanted permits lie, or None where those that were met hold them already.

        They do where they are all there are, or where the walk has gone so far that what it has not met is farther on
        the spheroid too.
        """
        if len(met.rows) < self.take:
            return None
        bound = min(met.distances_m[self.wanted - 1], self.area.radius_m)
        return None if met.last_step * self.framed.least_m > bound + ROUNDING_M else bound


def start_search(query: NearQuery, register: Register, after: Position | None, *, wanted: int) -> Search:
    """Prepare to look for the nearest permits after a position. Raises what :func:`bind_filter` does."""
    framed = frame(query.area)
    return Search(query.area, framed, bind_near(query, register, after, framed), wanted)


@dataclass(frozen=True)
class Course:
    """How far a filtered search may walk before all matches are fetched and sorted instead; 0: at once.

    ``most`` None: the walk is short, or the matches are so many, that it need not be bounded. ``place``: by which index
    of places it walks, if by one.
    """

    most: int | None
    place: Place | None = None


def set_course(take: int, *, in_box: float, matching: float, known: int) -> Course:
    """Choose by what the planner expects: permits in the box, and permits that match the filters among all known."""
    expected = min(in_box, take * known / max(matching, 1))
    if matching * SIFTED_US < expected * WALKED_US:
        return Course(0)
    worth = matching * SIFTED_US / WALKED_US
    most = math.ceil(max(min(expected * WALK_SLACK, 2 * worth), WALK_LEAST))
    return Course(None if in_box <= max(most, worth) else most)


def set_placed_course(take: int, place: Place, *, in_box: float, matching: float, in_places: float) -> Course:
    """Choose where the filters name places and the box is large: so many permits are theirs, whatever lies nearer."""
    expected = min(in_box, take * in_places / max(matching, 1))
    if matching * SIFTED_US < expected * PLACED_US:
        return Course(0)
    return Course(math.ceil(max(expected * WALK_SLACK, WALK_LEAST)), place)


async def find_candidates(search: Search, course: Course, fetch: Fetch[T]) -> tuple[Met[T], Walk]:
    """Find the first permits by the way that reads the fewest, and tell how to prove them if they do not themselves."""
    values = search.values | {"take": search.take}
    if course.most is None:
        return await fetch(search.framed.walk, values), search.proof
    if course.most:
        met = await fetch("bounded", values | {"most": course.most})
        if len(met.rows) == search.take:
            return met, search.proof
    # A longer list is cheap here, and mostly its own proof: to measure every match on the spheroid takes twice as long.
    return await fetch("sifted", values | {"take": search.take + search.wanted // 8 + 40}), "measured"


async def find_placed(search: Search, course: Course, fetch: Fetch[T]) -> Met[T] | None:
    """Find the first permits of the asked places, as many as prove themselves; None where a walk met its ``most``."""
    if course.place is None:
        return None
    most = course.most if search.reads_one_place and search.has_more_filters else UNBOUNDED
    take = search.take
    while True:
        met = await fetch(course.place, search.values | {"take": take, "most": most})
        if len(met.rows) < take:
            return met if most == UNBOUNDED else None
        if search.find_bound(met) is None:
            return met
        take *= 2


async def find_proven(search: Search, course: Course, fetch: Fetch[T]) -> Met[T]:
    """Find the first permits, and by distance those within reach of them where they do not prove themselves."""
    met, proof = await find_candidates(search, course, fetch)
    bound = search.find_bound(met)
    if bound is None:
        return met
    reach_m = min(search.area.radius_m, bound + ROUNDING_M)
    box = {"reach": reach_m / search.framed.least_m + ROUNDING_M} if "reach" in search.values else {}
    return await fetch(proof, search.values | box | {"take": search.wanted, "radius_m": reach_m})


async def find_nearest(search: Search, course: Course, fetch: Fetch[T]) -> Met[T]:
    """Find the wanted permits, nearest first; equal distances are ordered by city and source id."""
    met = await find_placed(search, course, fetch)
    if met is None:
        met = await find_proven(search, Course(0) if course.place else course, fetch)
    inside = min(bisect_right(met.distances_m, search.area.radius_m), search.wanted)
    return Met(met.rows[:inside], met.distances_m[:inside], met.last_step)


def read_course(search: Search, register: Register, plan: Any, *, seen: int) -> Course:  # noqa: ANN401 - JSON
    """Read the planner's figures, of :func:`compile_estimate`, and choose; what was seen is met again."""
    in_box, matching, *in_places = (part["Plan Rows"] for part in plan[0]["Plan"]["Plans"])
    if search.place and in_box > WALK_LEAST:
        take = search.take + seen
        return set_placed_course(take, search.place, in_box=in_box, matching=matching, in_places=in_places[0])
    known = sum(state.permits for state in register.cities.values())
    return set_course(search.take + seen, in_box=in_box, matching=matching, known=known)


async def find_near(session: AsyncSession, register: Register, query: NearQuery) -> NearPage[AnyRow]:
    """Find a page of permits with their columns, nearest first, on the session's snapshot.

    Raises :class:`MalformedCursor`, :class:`UnknownWord`, :class:`NoSuchCity`, and :class:`RefusedQuery` for an exact
    count of too wide a circle.
    """

    async def fetch(walk: Walk, values: Values) -> Met[AnyRow]:
        return await fetch_rows(session, names, walk, values)

    turn = open_turn(query)
    search = start_search(query, register, turn.after, wanted=turn.size + 1)
    names = frozenset(search.values)
    course = Course(None)
    if search.is_filtered:
        connection = await session.connection()
        plan = (await connection.exec_driver_sql(compile_estimate(names), search.values)).scalar_one()
        course = read_course(search, register, plan, seen=turn.seen)
    met = await find_nearest(search, course, fetch)
    counted = await session.scalar(select_count(names), search.values) if query.count else None
    return turn.close(met, counted, query, register, attrgetter("city", "source_id"))


async def fetch_rows(session: AsyncSession, names: frozenset[str], walk: Walk, values: Values) -> Met[AnyRow]:
    """Fetch what a walk meets, with its columns."""
    found = (await session.execute(select_candidates(names, walk), values)).all()
    rows = sorted(found, key=attrgetter("distance_m", "city", "source_id"))
    last_step = max((row.step for row in rows), default=0.0)
    return Met(rows, [row.distance_m for row in rows], last_step)


async def find_near_features(reader: Reader, register: Register, query: NearQuery) -> NearPage[bytes]:
    """Find the same page as features ready to be sent, each statement on the store's present snapshot.

    Raises what :func:`find_near` does, and :class:`Moved` where the store is no longer as the register has it.
    """
    mark: bytes | None = None

    async def fetch(walk: Walk, values: Values) -> Met[bytes]:
        nonlocal mark
        settled = walk == "mercator" and not search.is_filtered
        (mark, *_), *rows = await reader.find_all(compile_candidates(names, walk), values, settled=settled)
        if not rows:
            return Met((), (), 0.0)
        features, distances_m, steps = zip(*rows, strict=True)
        return Met(features, distances_m, max(steps))

    turn = open_turn(query)
    search = start_search(query, register, turn.after, wanted=turn.size + 1)
    names = frozenset(search.values)
    course = Course(None)
    if search.is_filtered:
        (plan,) = await reader.find_one(compile_estimate(names), search.values)
        course = read_course(search, register, plan, seen=turn.seen)
    met = await find_nearest(search, course, fetch)
    counted = (await reader.find_one(compile_count(names), search.values))[0] if query.count else None
    await refuse_moved(reader, register, mark.decode() if mark and counted is None else None)
    return turn.close(met, counted, query, register, read_name)


def read_name(feature: bytes) -> Name:
    """Read which permit a feature without its end is of."""
    properties = orjson.loads(feature + b"}}")["properties"]
    return properties["city"], properties["source_id"]


@dataclass(frozen=True)
class Turn:
    """A page of a sequence: after which position it begins, how many permits it gives and how many came before."""

    after: Position | None
    size: int
    seen: int

    def close(
        self, met: Met[T], counted: int | None, query: NearQuery, register: Register, name: Callable[[T], Name]
    ) -> NearPage[T]:
        """Make the page of what was found: the permits of the page, and the one behind them if there is one."""
        more = len(met.rows) > self.size
        ended = more and self.seen + self.size >= PAGED_MAX
        cursor = None
        if more and not ended:
            city, source_id = name(met.rows[self.size - 1])
            position = Position(
                of=fingerprint(query),
                data_version=register.data_version,
                key=repr(met.distances_m[self.size - 1]),
                city=city,
                source_id=source_id,
                seen=self.seen + self.size,
            )
            cursor = position.encode()
        rows, distances_m = list(met.rows[: self.size]), met.distances_m[: self.size]
        return NearPage(rows, distances_m, cursor=cursor, number_matched=counted, ended_early=ended)


def open_turn(query: NearQuery) -> Turn:
    """Read where a page begins. Raises :class:`MalformedCursor`, and :class:`RefusedQuery` for too wide a count."""
    if query.count and query.radius_m > EXACT_COUNT_RADIUS_M:
        raise RefusedQuery(f"count=exact is given up to a radius_m of {EXACT_COUNT_RADIUS_M:,}")
    after = decode(query.cursor, query)
    seen = after.seen if after else 0
    if seen >= PAGED_MAX:
        raise MalformedCursor("the cursor is damaged")
    return Turn(after, size=min(query.limit, PAGED_MAX - seen), seen=seen)
