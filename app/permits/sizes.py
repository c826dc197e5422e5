"""How large the areas are that a filter and a circle name, in square kilometres on the spheroid."""

from collections.abc import Sequence

from sqlalchemy import Double, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.filters import Area, PermitFilter
from app.permits.near import geography_point
from app.permits.register import Register
from app.permits.tables import regions
from app.permits.words import DISTRICT_KIND, ZIP_KIND, read_district

KM2 = 1e6
KINDS = {"zip": ZIP_KIND, "district": DISTRICT_KIND}
"""By fields of a filter that name areas: the kind of their polygons."""


async def measure_area(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None
) -> float | None:
    """Give the size of the one area that is named; None where none is, several overlap, or a polygon is not loaded."""
    named = [name for name in ("zip", "district", "region") if getattr(wanted, name)]
    if area is not None and not named:
        circle = func.ST_Buffer(geography_point(area), area.radius_m, 64)
        return float(await session.scalar(select(func.ST_Area(circle, type_=Double) / KM2)) or 0)
    if area is not None or len(named) != 1:
        return None
    numbers = find_numbers(register, wanted, named[0])
    return await measure_together(session, numbers) if numbers else None


def find_numbers(register: Register, wanted: PermitFilter, field: str) -> list[int]:
    """Find the regions that a field of a filter names; none where one of them is not loaded."""
    cities = register.choose_cities(wanted.city)
    if field == "region":
        return sorted({register.find_region(word, cities).region for word in wanted.region})
    known = {
        read_district(one.name) if field == "district" else one.name: one.region
        for one in register.regions.values()
        if one.kind == KINDS[field] and one.city in cities
    }
    words = getattr(wanted, field)
    return sorted({known[word] for word in words if word in known}) if set(words) <= set(known) else []


async def measure_together(session: AsyncSession, numbers: Sequence[int]) -> float:
    """Give the size of regions together, what lies in several of them counted once."""
    chosen = regions.c.region.in_(numbers)
    if len(numbers) == 1:
        return float(await session.scalar(select(regions.c.area_km2).where(chosen)) or 0)
    united = func.geography(func.ST_Union(regions.c.area))
    return float(await session.scalar(select(func.ST_Area(united, type_=Double) / KM2).where(chosen)) or 0)


async def measure_each(session: AsyncSession, cities: Sequence[str], kind: str) -> dict[str, float]:
    """Give the size of each region of a kind by its name, a district's by its number."""
    found = select(regions.c.name, regions.c.area_km2).where(regions.c.city.in_(cities), regions.c.kind == kind)
    rows = await session.execute(found)
    return {read_district(row.name) if kind == DISTRICT_KIND else row.name: row.area_km2 for row in rows}
