"""The regions that are loaded: listed by city, kind, name and box, each with its outline, its size and its permits."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson
from geoalchemy2 import Geometry
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Text, func, literal_column, null, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import NoSuchRegion, UnknownWord
from app.permits.areas import Box, BoxText, parse_box
from app.permits.cursor import CURSOR_MAX_LENGTH, Position, decode, fingerprint
from app.permits.features import WGS84, AnyRow, AnySelect
from app.permits.filters import LIMIT_DEFAULT, Limit, Words
from app.permits.region_names import RegionName
from app.permits.register import Register
from app.permits.tables import regions

Drawn = Literal["simplified", "true", "none"]
KEY = (regions.c.city, regions.c.kind.collate("C"), regions.c.name.collate("C"))
# RFC 7946 wants outer rings counter-clockwise; seven decimals are a centimetre.
DRAWN: dict[Drawn, ColumnElement[Any]] = {
    "simplified": func.ST_AsGeoJSON(func.ST_ForcePolygonCCW(regions.c.outline), literal_column("5"), type_=Text),
    "true": func.ST_AsGeoJSON(func.ST_ForcePolygonCCW(regions.c.area), literal_column("7"), type_=Text),
    "none": null(),
}
"""Text of GeoJSON: an outline to about 20 metres, the area itself, and nothing."""


class RegionQuery(BaseModel, frozen=True, extra="forbid"):
    """Which regions to list, by city, kind and name. A field with several values is OR, different fields are AND."""

    city: Words = Field(default=(), description="register, e.g. austin; without it all real ones")
    kind: Words = Field(default=(), description="council_district, zip, or another kind that is loaded")
    name: Words = Field(default=(), description="a region's name, in any case")
    bbox: BoxText = Field(default=None, description="west,south,east,north: regions that it touches")
    geometry: Drawn = Field(default="simplified", description="simplified to about 20 m, true, or none")
    limit: Limit = Field(default=LIMIT_DEFAULT, description="regions a page")
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX_LENGTH, description="from a reply's next link")


@dataclass(frozen=True)
class RegionPage:
    """GeoJSON features as text, ordered by city, kind and name, and the cursor of the next page if there is one."""

    features: list[str]
    cursor: str | None


def select_regions(drawn: Drawn) -> AnySelect:
    """Select regions with the geometry asked for."""
    columns = regions.c
    told = (columns.region, columns.source, columns.vintage, columns.area_km2, columns.permits)
    return select(*told, DRAWN[drawn].label("geometry"))


async def find_regions(session: AsyncSession, register: Register, query: RegionQuery) -> RegionPage:
    """Find a page of regions.

    Raises :class:`UnknownWord` for a kind that is not loaded, :class:`NoSuchCity` and :class:`MalformedCursor`.
    """
    after = decode(query.cursor, query)
    statement = select_regions(query.geometry).where(*_clauses(query, register))
    if after is not None:
        statement = statement.where(tuple_(*KEY) > tuple_(after.city, after.key or "", after.source_id))
    rows = list(await session.execute(statement.order_by(*KEY).limit(query.limit + 1)))
    cursor = None
    if len(rows) > query.limit:
        last = register.regions[rows[query.limit - 1].region]
        cursor = _name_position(query, register, last, seen=query.limit + (after.seen if after else 0))
    return RegionPage([render_region(row, register) for row in rows[: query.limit]], cursor)


def _clauses(query: RegionQuery, register: Register) -> list[ColumnElement[bool]]:
    cities = register.choose_cities(query.city)
    clauses = [regions.c.city.in_(cities)]
    if query.kind:
        kinds = register.region_kinds(cities)
        unknown = [kind for kind in query.kind if kind.casefold() not in kinds]
        if unknown:
            raise UnknownWord("kind", unknown[0], kinds)
        clauses.append(regions.c.kind.in_([kind.casefold() for kind in query.kind]))
    if query.name:
        wanted = {name.casefold() for name in query.name}
        named = [place.region for place in register.regions.values() if place.name.casefold() in wanted]
        clauses.append(regions.c.region.in_(named))
    return [*clauses, *([_in_box(parse_box(query.bbox))] if query.bbox else [])]


def _in_box(box: Box) -> ColumnElement[bool]:
    """Touch a box, which may cross the antimeridian."""
    parts = [box] if box.west <= box.east else [box._replace(east=180.0), box._replace(west=-180.0)]
    envelopes = [func.ST_MakeEnvelope(*part, WGS84, type_=Geometry(srid=4326)) for part in parts]
    return or_(*(func.ST_Intersects(regions.c.area, envelope) for envelope in envelopes))


def _name_position(query: RegionQuery, register: Register, last: RegionName, *, seen: int) -> str:
    position = Position(
        of=fingerprint(query),
        data_version=register.data_version,
        key=last.kind,
        city=last.city,
        source_id=last.name,
        seen=seen,
    )
    return position.encode()


async def find_region(session: AsyncSession, register: Register, word: str) -> str:
    """Find one region by its id, with its whole area, as a GeoJSON feature. Raises :class:`NoSuchRegion`."""
    try:
        region = register.find_region(word, tuple(register.cities))
    except UnknownWord:
        raise NoSuchRegion("no region has that id; /regions lists those that are loaded") from None
    statement = select_regions("true").where(regions.c.region == region.region)
    return render_region((await session.execute(statement)).one(), register)


def render_region(row: AnyRow, register: Register) -> str:
    """Make the GeoJSON feature of a region; ``area_km2`` is on the spheroid, ``permits`` are those not removed."""
    place = register.regions[row.region]
    properties = {
        "city": place.city,
        "kind": place.kind,
        "name": place.name,
        "source": row.source,
        "vintage": row.vintage,
        "area_km2": round(row.area_km2, 4),
        "permits": row.permits,
    }
    head = orjson.dumps({"type": "Feature", "id": place.id, "properties": properties}).decode()
    return f'{head[:-1]},"geometry":{row.geometry or "null"}}}'
