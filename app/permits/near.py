"""Near queries: which permits lie within a radius of an origin, nearest first, exact on the spheroid.

The KNN operator ``<->`` walks the index nearest first but measures on a sphere. On WGS 84 the spheroid's distance is
between 0.99442 and 1.00449 of the sphere's, so the sphere finds candidates and the spheroid proves them.
"""

from dataclasses import dataclass
from typing import Any, Literal

from geoalchemy2 import Geography
from pydantic import Field
from sqlalchemy import ColumnElement, Double, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import RefusedQuery
from app.permits.cursor import CURSOR_MAX_LENGTH, Position, decode, fingerprint
from app.permits.features import FEATURE_COLUMNS, AnyRow, AnySelect
from app.permits.filters import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    RADIUS_DEFAULT_M,
    RADIUS_MAX_M,
    Area,
    Latitude,
    Longitude,
    PermitFilter,
    where_clauses,
)
from app.permits.register import Register
from app.permits.tables import permits

SPHEROID_LEAST = 0.9944
SPHEROID_MOST = 1.0046
ROUNDING_M = 0.001
"""Covers the rounding of ST_Distance, which is to 1e-8 m, and of the factors above."""
PAGED_MAX = 10_000
EXACT_COUNT_RADIUS_M = 2_000


class NearQuery(PermitFilter, frozen=True, extra="forbid"):
    """Which permits to find, and around where.

    ``lat`` and ``lng`` are WGS 84 degrees (EPSG:4326); ``radius_m`` is metres along the spheroid, its ceiling
    inclusive.
    """

    lat: Latitude = Field(description="latitude of the origin, degrees north")
    lng: Longitude = Field(description="longitude of the origin, degrees east")
    radius_m: float = Field(default=RADIUS_DEFAULT_M, gt=0, le=RADIUS_MAX_M, allow_inf_nan=False, description="metres")
    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="permits a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")
    count: Literal["exact"] | None = Field(default=None, description="exact: adds numberMatched, up to 2,000 m")

    @property
    def area(self) -> Area:
        """The circle asked about."""
        return Area(lat=self.lat, lng=self.lng, radius_m=self.radius_m)


@dataclass(frozen=True)
class NearPage:
    """Permits nearest first, each row with ``distance_m``, and the cursor of the next page if there is one."""

    rows: list[AnyRow]
    cursor: str | None
    number_matched: int | None
    ended_early: bool
    """Whether more permits follow than near pages give."""


def geography_point(area: Area) -> ColumnElement[Any]:
    """Give the origin as the database sees it."""
    return cast(func.ST_SetSRID(func.ST_MakePoint(area.lng, area.lat), 4326), Geography("POINT", 4326))


def within(area: Area, *, reach_m: float | None = None) -> ColumnElement[bool]:
    """Lie within the circle, or within ``reach_m`` of its centre; by the index."""
    return func.ST_DWithin(permits.c.location, geography_point(area), area.radius_m if reach_m is None else reach_m)


def select_near(query: NearQuery, register: Register, *, after: Position | None = None) -> AnySelect:
    """Select every permit in the circle, after ``after``, with its distances in metres: spheroid and sphere."""
    origin = geography_point(query.area)
    distance_m = func.ST_Distance(permits.c.location, origin, type_=Double)
    sphere_m: ColumnElement[float] = permits.c.location.op("<->", return_type=Double())(origin)
    statement = select(*FEATURE_COLUMNS, distance_m.label("distance_m"), sphere_m.label("sphere_m"))
    statement = statement.where(within(query.area), *where_clauses(query, register))
    if after is None:
        return statement
    reached = tuple_(cast(after.distance_m(), Double), after.city, after.source_id)
    return statement.where(tuple_(distance_m, permits.c.city, permits.c.source_id) > reached)


async def find_near(session: AsyncSession, register: Register, query: NearQuery) -> NearPage:
    """Find a page of permits, nearest first; equal distances are ordered by city and source id.

    Raises :class:`MalformedCursor`, :class:`UnknownWord`, :class:`NoSuchCity`, and :class:`RefusedQuery` for an exact
    count of too wide a circle.
    """
    if query.count and query.radius_m > EXACT_COUNT_RADIUS_M:
        raise RefusedQuery(f"count=exact is given up to a radius_m of {EXACT_COUNT_RADIUS_M:,}")
    after = decode(query.cursor, query)
    seen = after.seen if after else 0
    page_size = min(query.limit, PAGED_MAX - seen)
    statement = select_near(query, register, after=after)
    rows = await find_nearest(session, statement, query.area, page_size + 1)
    return NearPage(
        rows=rows[:page_size],
        cursor=_next_cursor(query, register, rows, page_size=page_size, seen=seen),
        number_matched=await count_near(session, register, query) if query.count else None,
        ended_early=len(rows) > page_size and seen + page_size >= PAGED_MAX,
    )


async def find_nearest(session: AsyncSession, statement: AnySelect, area: Area, wanted: int) -> list[AnyRow]:
    """Find the ``wanted`` nearest rows of :func:`select_near`'s statement, proved on the spheroid."""
    take = wanted + wanted // 20 + 16
    candidates = list(await session.execute(statement.order_by("sphere_m").limit(take)))
    if not proves_nearest(candidates, take=take, wanted=wanted):
        reach_m = min(area.radius_m, SPHEROID_MOST * candidates[wanted - 1].sphere_m + ROUNDING_M)
        proved = statement.where(within(area, reach_m=reach_m)).order_by(
            "distance_m", permits.c.city, permits.c.source_id
        )
        return list(await session.execute(proved.limit(wanted)))
    return sorted(candidates, key=lambda row: (row.distance_m, row.city, row.source_id))[:wanted]


def proves_nearest(candidates: list[AnyRow], *, take: int, wanted: int) -> bool:
    """Tell whether no row beyond the candidates can be among the ``wanted`` nearest.

    True where the candidates are all there are, or where the last one's sphere distance, shrunk by as much as the
    spheroid can, still lies beyond the last wanted one.
    """
    if len(candidates) < take:
        return True
    last_wanted_m: float = sorted(row.distance_m for row in candidates)[wanted - 1]
    return bool(candidates[-1].sphere_m * SPHEROID_LEAST > last_wanted_m + ROUNDING_M)


async def count_near(session: AsyncSession, register: Register, query: NearQuery) -> int:
    """Count the permits in the circle."""
    counted = select(func.count()).select_from(permits).where(within(query.area), *where_clauses(query, register))
    return await session.scalar(counted) or 0


def _next_cursor(query: NearQuery, register: Register, rows: list[AnyRow], *, page_size: int, seen: int) -> str | None:
    if len(rows) <= page_size or seen + page_size >= PAGED_MAX:
        return None
    last = rows[page_size - 1]
    position = Position(
        of=fingerprint(query),
        data_version=register.data_version,
        key=repr(last.distance_m),
        city=last.city,
        source_id=last.source_id,
        seen=seen + page_size,
    )
    return position.encode()
