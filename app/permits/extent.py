"""How large the areas are that permits are counted in, in square kilometres on the spheroid."""

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Double, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.areas import Polygon, parse_box, read_polygon
from app.permits.filters import Area
from app.permits.near import geography_point
from app.permits.tables import regions

EQUATOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY = math.sqrt(FLATTENING * (2 - FLATTENING))
"""Of WGS 84."""
STEP_DEG = 0.01
STEPS_MAX = 100_000
"""How long a piece of a border is taken for straight in the projection too, and into how many it may be cut."""
KM2 = 1e6


def measure_box(bbox: str) -> float:
    """Give the area of a box between its meridians and parallels, one across the antimeridian too."""
    box = parse_box(bbox)
    width = box.east - box.west + (360 if box.east < box.west else 0)
    corners = _to_equal_area(np.array([[0.0, box.south], [width, box.north]]))
    return float(np.prod(corners[1] - corners[0])) / KM2


def measure_polygon(polygon: Polygon) -> float:
    """Give the area of a polygon whose sides are straight in longitude and latitude, as GeoJSON has them."""
    return measure_shape(read_polygon(polygon))


def measure_shape(geometry: BaseGeometry) -> float:
    """Give the area of a geometry in degrees whose sides are straight in the plane."""
    fine = shapely.segmentize(geometry, max(STEP_DEG, shapely.length(geometry) / STEPS_MAX))
    return float(shapely.area(shapely.transform(fine, _to_equal_area))) / KM2


def _to_equal_area(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project onto Lambert's cylinder, in metres, which keeps areas (Snyder, Map Projections, 1987, equation 3-12)."""
    lng, lat = np.radians(degrees).T
    sine = np.sin(lat)
    bent = sine / (1 - (ECCENTRICITY * sine) ** 2) + np.arctanh(ECCENTRICITY * sine) / ECCENTRICITY
    return EQUATOR_M * np.column_stack((lng, (1 - ECCENTRICITY**2) / 2 * bent))


async def measure_circle(session: AsyncSession, area: Area) -> float:
    """Give the area of a circle, as the spheroid has it."""
    circle = func.ST_Buffer(geography_point(area), area.radius_m, 64)
    return float(await session.scalar(select(func.ST_Area(circle, type_=Double) / KM2)) or 0)


async def measure_together(session: AsyncSession, numbers: Sequence[int]) -> float:
    """Give the area of regions together, what lies in several of them counted once."""
    chosen = regions.c.region.in_(numbers)
    if len(numbers) == 1:
        return float(await session.scalar(select(regions.c.area_km2).where(chosen)) or 0)
    united = func.geography(func.ST_Union(regions.c.area))
    return float(await session.scalar(select(func.ST_Area(united, type_=Double) / KM2).where(chosen)) or 0)


async def measure_regions(session: AsyncSession, cities: Sequence[str], kind: str) -> dict[str, float]:
    """Give the area of each region of a kind by its name; of a name that several cities have, the largest."""
    found = select(regions.c.name, func.max(regions.c.area_km2).label("km2")).group_by(regions.c.name)
    rows = await session.execute(found.where(regions.c.city.in_(cities), regions.c.kind == kind))
    return {row.name: row.km2 for row in rows}
