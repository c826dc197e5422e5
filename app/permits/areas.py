"""Areas in the plane of longitude and latitude (RFC 7946): boxes, antimeridian included, and polygons."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import shapely
from geoalchemy2 import Geometry
from pydantic import AfterValidator, BaseModel, Field, model_validator
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity
from sqlalchemy import ColumnElement, Double, Text, bindparam, cast, func, or_

from app.permits.features import WGS84, planar
from app.permits.numbers import NUMBER
from app.permits.tables import permits

VERTICES_MAX = 10_000
BBOX_LENGTH = 4


class Box(NamedTuple):
    """Degrees; one whose west lies east of its east crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float


def parse_box(text: str) -> Box:
    """Read ``west,south,east,north``. Raises :class:`ValueError` with what is wrong."""
    parts = text.split(",")
    if len(parts) != BBOX_LENGTH or not all(map(NUMBER.fullmatch, parts)):
        raise ValueError("must be four numbers: west,south,east,north")
    box = Box(*(float(part) + 0.0 for part in parts))
    if not (abs(box.west) <= 180 and abs(box.east) <= 180):
        raise ValueError("west and east must lie between -180 and 180")
    if not -90 <= box.south <= box.north <= 90:
        raise ValueError("south and north must lie between -90 and 90, south first")
    return box


def _normalize_box(text: str | None) -> str | None:
    return None if text is None else ",".join(f"{number!r}" for number in parse_box(text))


BoxText = Annotated[str | None, Field(max_length=200), AfterValidator(_normalize_box)]


class Polygon(BaseModel, frozen=True, extra="forbid"):
    """A GeoJSON Polygon or MultiPolygon, longitude first, in degrees of WGS 84; its border belongs to it."""

    type: str = Field(pattern="^(Polygon|MultiPolygon)$", description="Polygon or MultiPolygon")
    bbox: list[Any] | None = Field(default=None, exclude=True, description="taken, as any GeoJSON may have one; unused")
    coordinates: list[Any] = Field(description=f"rings of positions, up to {VERTICES_MAX:,} in all")

    @model_validator(mode="after")
    def _is_an_area(self) -> "Polygon":
        read_polygon(self)
        return self


def read_polygon(polygon: Polygon) -> BaseGeometry:
    """Give a polygon's geometry. Raises :class:`ValueError` with what is wrong and where."""
    rings = list(_list_rings(polygon))
    if sum(map(len, rings)) > VERTICES_MAX:
        raise ValueError(f"has more than {VERTICES_MAX:,} vertices; simplify it")
    for ring in rings:
        _check_ring(ring)
    geometry = shape({"type": polygon.type, "coordinates": _flatten(polygon.coordinates)})
    if geometry.is_empty:
        raise ValueError("has no ring")
    if not geometry.is_valid:
        raise ValueError(f"is not valid: {explain_validity(geometry)}")
    return geometry


def _list_rings(polygon: Polygon) -> Iterator[list[Any]]:
    parts = [polygon.coordinates] if polygon.type == "Polygon" else polygon.coordinates
    for part in parts:
        if not isinstance(part, list) or not all(isinstance(ring, list) for ring in part):
            raise ValueError("must have rings, each a list of [longitude, latitude]")
        if not part:
            raise ValueError("has no ring, or a part without one")
        yield from part


def _flatten(coordinates: list[Any]) -> list[Any]:
    """Leave out heights, which positions may have: an area lies in the plane."""
    if coordinates and not isinstance(coordinates[0], list):
        return coordinates[:2]
    return [_flatten(part) for part in coordinates]


def _check_ring(ring: list[Any]) -> None:
    for position in ring:
        if not (isinstance(position, list) and len(position) in {2, 3} and all(map(_is_number, position))):
            raise ValueError("each position must be [longitude, latitude], as numbers")
        if not (abs(position[0]) <= 180 and abs(position[1]) <= 90):
            raise ValueError("a position lies outside -180 to 180 and -90 to 90: longitude comes first, in degrees")
    if len(ring) < 4:
        raise ValueError("a ring must have four positions or more, the last like the first")
    if ring[0] != ring[-1]:
        raise ValueError("a ring must be closed: its last position like its first")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def name_wrong_rings(geometry: BaseGeometry) -> list[str]:
    """Say which rings turn the wrong way (RFC 7946, section 3.1.6); they are read by what they enclose all the same."""
    parts = list(getattr(geometry, "geoms", [geometry]))
    outer = sum(not part.exterior.is_ccw for part in parts)
    inner = sum(hole.is_ccw for part in parts for hole in part.interiors)
    notes = []
    if outer:
        notes.append(
            f"{outer} outer ring(s) turn clockwise where GeoJSON wants counter-clockwise; what they enclose is meant"
        )
    if inner:
        notes.append(
            f"{inner} hole(s) turn counter-clockwise where GeoJSON wants clockwise; they are holes all the same"
        )
    return notes


POINT = planar(permits.c.location)


def _in_box(prefix: str) -> ColumnElement[bool]:
    west, south, east, north = (bindparam(f"{prefix}_{name}", type_=Double) for name in Box._fields)
    # ST_MakeEnvelope makes a polygon of a line or a point too, and nothing lies in one without an area.
    corners = func.ST_SetSRID(func.ST_MakeLine(func.ST_MakePoint(west, south), func.ST_MakePoint(east, north)), WGS84)
    # && alone rounds to single precision, which is a metre at Austin's longitude.
    return func.ST_Intersects(POINT, func.ST_Envelope(corners, type_=Geometry(srid=4326)))


AREA_CLAUSES: dict[str, ColumnElement[bool]] = {
    "box_west": _in_box("box"),
    "east_of_antimeridian_west": or_(_in_box("west_of_antimeridian"), _in_box("east_of_antimeridian")),
    "polygon": func.ST_Covers(cast(bindparam("polygon", type_=Text), Geometry(srid=4326)), POINT),
}
"""Every clause by the name of one of the values that are bound in it."""


def bind_area(bbox: str | None, polygon: Polygon | None = None) -> dict[str, Any]:
    """Give the values of an area by the names they are bound to."""
    values: dict[str, Any] = {}
    if bbox is not None:
        box = parse_box(bbox)
        if box.west <= box.east:
            values |= _bind_box("box", box)
        else:
            values |= _bind_box("west_of_antimeridian", box._replace(east=180.0))
            values |= _bind_box("east_of_antimeridian", box._replace(west=-180.0))
    if polygon is not None:
        values["polygon"] = shapely.to_wkb(shapely.set_srid(read_polygon(polygon), 4326), hex=True, include_srid=True)
    return values


def _bind_box(prefix: str, box: Box) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in box._asdict().items()}


def join_area(names: frozenset[str]) -> list[ColumnElement[bool]]:
    """Give the clauses into which values of these names are bound."""
    return [clause for name, clause in AREA_CLAUSES.items() if name in names]
