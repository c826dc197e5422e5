"""Where a record says that it is: five ways of writing a point, read as WGS 84 degrees. Nothing is judged here.

The libraries of geometry weigh, and few cities need them: they are imported where they are used.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from app.cities.city import Places

if TYPE_CHECKING:
    from pyproj import Transformer

WKT = re.compile(r"(?:SRID=4326;)?\s*(?:MULTI)?POINT\s*(?:Z|M|ZM)?\s*(EMPTY|\(.*\))", re.IGNORECASE | re.DOTALL)
WGS84 = 4326
UNSTATED_SRID = 0


class Spot(NamedTuple):
    """A finite pair, and whether it is the first of several that differ."""

    lng: float
    lat: float
    several: bool = False


def is_known_system(epsg: int) -> bool:
    """Whether EPSG has a reference system of that number, from which degrees can be had."""
    from pyproj.exceptions import ProjError

    try:
        _make_transformer(epsg)
    except ProjError:
        return False
    return True


class PointReader:
    """Reads the point of a record as one city form writes it; it can be pickled."""

    def __init__(self, place: Places) -> None:
        self.place = place
        self._parts = place.parts
        self._pair = (place.lat[0], place.lng[0]) if place.lat and place.lng else None

    def read(self, values: Mapping[str, str]) -> Spot | None:
        """Give the record's own point, or nothing where it has none that is finite.

        Raises :class:`ValueError` for what is not written as the form says.
        """
        if self._pair and (north := values.get(self._pair[0])) and (east := values.get(self._pair[1])):
            spot = Spot(float(east), float(north))
            return spot if math.isfinite(spot.lng) and math.isfinite(spot.lat) else None
        parts = [_first_filled(values, columns) for columns in self._parts]
        if not all(parts):
            # Half a pair is none, but what stands there has to be a number all the same.
            self._check_halves(parts)
            return None
        spots = self._parse(parts)
        if not spots or not all(map(math.isfinite, spots[0])):
            return None
        lng, lat = spots[0]
        return Spot(lng, lat, any(spot != spots[0] for spot in spots))

    def _check_halves(self, parts: Iterable[str]) -> None:
        if len(self._parts) > 1:
            for part in filter(None, parts):
                float(part)

    def _parse(self, parts: list[str]) -> list[tuple[float, float]]:
        if self.place.lat:
            lat, lng = parts
            return [(float(lng), float(lat))]
        if self.place.wkt:
            return _parse_wkt(parts[0])
        if self.place.geojson:
            return _parse_geojson(parts[0])
        if self.place.ewkb:
            return _parse_ewkb(parts[0])
        return [_transform(float(parts[0]), float(parts[1]), self.place.epsg or WGS84)]


def _first_filled(values: Mapping[str, str], columns: Iterable[str]) -> str:
    for column in columns:
        if value := values.get(column, "").strip():
            return value
    return ""


def _parse_wkt(text: str) -> list[tuple[float, float]]:
    if (match := WKT.fullmatch(text)) is None:
        raise ValueError("not a point in WKT")
    if match[1].upper() == "EMPTY":
        return []
    return [_as_pair(part.strip(" ()\t\r\n").split()) for part in match[1].split(",")]


def _parse_geojson(text: str) -> list[tuple[float, float]]:
    try:
        told = json.loads(text)
    except RecursionError:
        raise ValueError("not a point in GeoJSON") from None
    match told:
        case None | {"coordinates": []} | {"coordinates": None}:
            return []
        case {"type": "Point", "coordinates": [*pair]}:
            return [_as_pair(pair)]
        case {"type": "MultiPoint", "coordinates": [*pairs]}:
            return [_as_pair(pair) for pair in pairs if isinstance(pair, list)]
    raise ValueError("not a point in GeoJSON")


def _parse_ewkb(text: str) -> list[tuple[float, float]]:
    import shapely

    try:
        told = shapely.from_wkb(text)
    except shapely.errors.ShapelyError:
        raise ValueError("not hex EWKB") from None
    if shapely.get_srid(told) not in {UNSTATED_SRID, WGS84} or told.geom_type not in {"Point", "MultiPoint"}:
        raise ValueError("not a point in WGS 84")
    return [(point.x, point.y) for point in getattr(told, "geoms", [told]) if not point.is_empty]


def _as_pair(numbers: list[Any]) -> tuple[float, float]:
    if len(numbers) < 2:
        raise ValueError("not a pair")
    try:
        return float(numbers[0]), float(numbers[1])
    except TypeError:
        raise ValueError("not a pair of numbers") from None


def _transform(x: float, y: float, epsg: int) -> tuple[float, float]:
    lng, lat = _make_transformer(epsg).transform(x, y)
    return float(lng), float(lat)


@lru_cache
def _make_transformer(epsg: int) -> "Transformer":
    """Make it once a process: to make one takes longer than to transform a thousand points."""
    from pyproj import Transformer

    return Transformer.from_crs(epsg, WGS84, always_xy=True)
