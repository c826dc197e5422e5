"""A permit as callers see it: which columns a query selects, and the GeoJSON feature made of a row."""

from decimal import Decimal
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import ColumnElement, Double, Label, Row, Select, cast, func, literal_column

from app.database import AS_BYTES
from app.permits.register import Register
from app.permits.tables import SHORT, permits

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]

COORDINATE_DECIMALS = 6
WGS84: ColumnElement[int] = literal_column("4326")
"""The reference system's number, in the statement itself and no value of it."""
MERCATOR: ColumnElement[int] = literal_column("3857")
UNTOLD = {"location", "reported_location", "regions", "feature", "mercator", "search"}
WHOLE = tuple(format(column.name) for column in permits.c if column.name not in UNTOLD)
"""The properties of a permit by itself, as plain strings: SQLAlchemy's quoted names are no JSON keys."""


def planar(point: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give a geography as longitude and latitude in the plane."""
    return cast(point, Geometry("POINT", 4326))


LNG = func.ST_X(planar(permits.c.location), type_=Double).label("lng")
LAT = func.ST_Y(planar(permits.c.location), type_=Double).label("lat")
FEATURE_COLUMNS: tuple[Label[Any] | ColumnElement[Any], ...] = (*(permits.c[name] for name in SHORT), LNG, LAT)


def render_feature(row: AnyRow, register: Register, names: tuple[str, ...] = SHORT) -> dict[str, Any]:
    """Make the GeoJSON feature (RFC 7946) of a row; ``distance_m`` stands in it where the row has one.

    Coordinates have 6 decimals, longitude first; a permit without a usable point has a null geometry.
    """
    values = row._mapping
    properties = {name: plain(values[name]) for name in names}
    if "distance_m" in values:
        properties["distance_m"] = round(values["distance_m"], 1)
    if register.cities[values["city"]].synthetic:
        properties["synthetic"] = True
    return {
        "type": "Feature",
        "id": f"{values['city']}/{values['source_id']}",
        "geometry": render_point(values["lng"], values["lat"]),
        "properties": properties,
    }


FEATURE = cast(permits.c.feature, AS_BYTES).label("feature")
"""A permit's feature as the bytes that are sent, without its end; by a reader."""


def render_end(register: Register, city: str) -> bytes:
    """Give the end of a feature from the store, which it has without: a property may stand before it."""
    return b',"synthetic":true}}' if register.cities[city].synthetic else b"}}"


def render_point(lng: float | None, lat: float | None) -> dict[str, Any] | None:
    """Make a GeoJSON point, or nothing of nothing."""
    if lng is None or lat is None:
        return None
    return {"type": "Point", "coordinates": [round(lng, COORDINATE_DECIMALS), round(lat, COORDINATE_DECIMALS)]}


def plain(value: object) -> object:
    """Give a database value as JSON has it: a decimal as the number it is, whole where it is whole."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
