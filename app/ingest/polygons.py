"""Region polygons from GeoJSON files: read whole, checked against the city, repaired where that is safe, and named."""

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import shapely
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from app.cities.city import Box, City
from app.errors import UndervoltError
from app.permits.words import ZIP_KIND

BYTES_MAX = 256 * 1024 * 1024
NAME_MAX = 100
GZIP_MAGIC = b"\x1f\x8b"
WGS84_NAMES = re.compile(r"(urn:ogc:def:crs:)?(OGC:(1\.3|1\.3\.0|)?:?CRS84|EPSG:[\d.]*:?4326)", re.IGNORECASE)
POSTAL_CODE = re.compile(r"\d{5}")


class RegionsRefused(UndervoltError):  # noqa: N818 - the file can be read, and not be used
    """Files of regions that are not taken; the message says why, and where it is."""


@dataclass
class Regions:
    """Areas by name, WGS 84, longitude first and valid, and what was done to the files' own."""

    areas: dict[str, MultiPolygon] = field(default_factory=dict)
    features: int = 0
    repaired: list[str] = field(default_factory=list)
    united: list[str] = field(default_factory=list)
    beyond_box: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """One feature: its name, its area, and what was wrong with that."""

    name: str
    area: BaseGeometry
    fault: str | None


def read_regions(paths: Sequence[Path], city: City, *, kind: str, name_property: str) -> Regions:
    """Read files of one kind of region; features of one name, in any case, are one region.

    Raises :class:`RegionsRefused`, and nothing of any file is to be used then.
    """
    parts: dict[str, list[Part]] = {}
    for path in paths:
        for number, feature in enumerate(_read_features(path), start=1):
            part = _read_part(feature, f"{path.name}: feature {number}", name_property)
            parts.setdefault(part.name.casefold(), []).append(part)
    regions = Regions(features=sum(map(len, parts.values())))
    for same in parts.values():
        _add(regions, same, city, kind)
    return regions


def _add(regions: Regions, parts: list[Part], city: City, kind: str) -> None:
    """Unite the parts of a region and add it."""
    name = parts[0].name
    if kind == ZIP_KIND and not POSTAL_CODE.fullmatch(name):
        raise RegionsRefused(f"{name}: a region of the kind {ZIP_KIND} is named by five digits")
    for part in parts:
        _refuse_outside(part, city)
    regions.repaired += [f"{name}: {part.fault}" for part in parts if part.fault]
    if len(parts) > 1:
        regions.united.append(f"{name}: {len(parts)} features")
    area: BaseGeometry = shapely.orient_polygons(shapely.union_all([part.area for part in parts]))
    if not _box_of(city.box).covers(area):
        regions.beyond_box.append(name)
    regions.areas[name] = MultiPolygon(list(_list_polygons(area)))


def _read_features(path: Path) -> list[Any]:
    try:
        document = orjson.loads(_read_bytes(path))
    except orjson.JSONDecodeError as error:
        raise RegionsRefused(f"{path.name}: is no whole JSON document ({str(error).split(':')[0]})") from None
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise RegionsRefused(f"{path.name}: is no GeoJSON FeatureCollection")
    _refuse_other_crs(document.get("crs"), path.name)
    features = document.get("features")
    if not isinstance(features, list) or not features:
        raise RegionsRefused(f"{path.name}: has no features")
    return features


def _read_bytes(path: Path) -> bytes:
    """Read a file, gzipped or not. Raises :class:`RegionsRefused`."""
    try:
        with path.open("rb") as file:
            is_gzipped = file.read(2) == GZIP_MAGIC
        with gzip.open(path) if is_gzipped else path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise RegionsRefused(f"{path.name}: is cut off or damaged") from None
    except OSError:
        raise RegionsRefused(f"{path.name}: cannot be read") from None
    if len(content) > BYTES_MAX:
        raise RegionsRefused(f"{path.name}: is larger than {BYTES_MAX // 1024**2} MB")
    return content


def _refuse_other_crs(crs: object, place: str) -> None:
    """Refuse a named reference system but WGS 84; the specification of 2008 had such a member, today's has none."""
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = str(properties.get("name")) if isinstance(properties, dict) else "one that has no name"
    if not WGS84_NAMES.fullmatch(name):
        raise RegionsRefused(f"{place}: its reference system is {name[:100]}; {CONVERT}")


CONVERT = "regions are WGS 84, longitude first (ogr2ogr -t_srs EPSG:4326 makes them so)"


def _read_part(feature: object, place: str, name_property: str) -> Part:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise RegionsRefused(f"{place}: is no GeoJSON feature")
    name = _read_name(feature.get("properties"), place, name_property)
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict):
        raise RegionsRefused(f"{place} ({name}): has no geometry")
    if geometry.get("type") not in {"Polygon", "MultiPolygon"}:
        told = str(geometry.get("type"))[:40]
        raise RegionsRefused(f"{place} ({name}): is a {told}, and a region is a Polygon or MultiPolygon")
    return Part(name, *_read_area(geometry, f"{place} ({name})"))


def _read_name(properties: object, place: str, name_property: str) -> str:
    told = properties if isinstance(properties, dict) else {}
    if name_property not in told:
        known = ", ".join(map(str, list(told)[:20])) or "none"
        raise RegionsRefused(f"{place}: has no property {name_property!r}; it has: {known}")
    value = told[name_property]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_name = isinstance(value, str | int) and not isinstance(value, bool)
    name = " ".join(str(value).split()) if is_name else ""
    if not name:
        raise RegionsRefused(f"{place}: its {name_property} is empty or no name")
    if len(name) > NAME_MAX or not name.isprintable():
        raise RegionsRefused(f"{place}: its {name_property} has more than {NAME_MAX} letters, or unprintable ones")
    return name


def _read_area(geometry: dict[str, Any], place: str) -> tuple[BaseGeometry, str | None]:
    """Give a polygon's area, repaired where its rings are invalid, and what was wrong with it."""
    try:
        area = shapely.force_2d(shape(geometry))
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, shapely.errors.ShapelyError):
        raise RegionsRefused(f"{place}: its coordinates are no rings of four positions or more") from None
    if area.is_empty:
        raise RegionsRefused(f"{place}: its geometry is empty")
    west, south, east, north = area.bounds
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        x, y = shapely.get_coordinates(area)[0]
        raise RegionsRefused(f"{place}: {x:.10g}, {y:.10g} is no longitude and latitude in degrees; {CONVERT}")
    if area.is_valid:
        return area, None
    fault = explain_validity(area)
    polygons = list(_list_polygons(shapely.make_valid(area, method="structure", keep_collapsed=False)))
    if not polygons:
        raise RegionsRefused(f"{place}: encloses no area ({fault})")
    return shapely.union_all(polygons), fault


def _list_polygons(geometry: BaseGeometry) -> Iterator[Polygon]:
    """List the polygons of what a repair or a union made: lines and points enclose nothing."""
    if isinstance(geometry, Polygon) and not geometry.is_empty:
        yield geometry
    for part in getattr(geometry, "geoms", ()):
        yield from _list_polygons(part)


def _refuse_outside(part: Part, city: City) -> None:
    """Refuse an area that lies wholly outside the city's box; one that reaches beyond it may be a county's ZIP."""
    box = _box_of(city.box)
    if box.intersects(part.area):
        return
    x, y = shapely.get_coordinates(part.area)[0]
    swapped = shapely.transform(part.area, lambda pairs: pairs[:, ::-1])
    why = "longitude and latitude are swapped" if box.intersects(swapped) else f"the box of {city.name} is elsewhere"
    raise RegionsRefused(f"{part.name}: lies outside the city, at {x:.10g}, {y:.10g}; {why}")


def _box_of(box: Box) -> BaseGeometry:
    return shapely.box(box.west, box.south, box.east, box.north)
