"""How large the areas are that a filter and a circle name, in square kilometres on the spheroid."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.extent import measure_circle, measure_regions, measure_together
from app.permits.filters import Area, PermitFilter
from app.permits.register import Register
from app.permits.words import DISTRICT_KIND, ZIP_KIND, read_district

KINDS = {"zip": ZIP_KIND, "district": DISTRICT_KIND}
"""By fields of a filter that name areas: the kind of their polygons."""


async def measure_area(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None
) -> float | None:
    """Give the size of the one area that is named; None where none is, several overlap, or a polygon is not loaded."""
    named = [name for name in ("zip", "district", "region") if getattr(wanted, name)]
    if area is not None and not named:
        return await measure_circle(session, area)
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


async def measure_each(session: AsyncSession, cities: Sequence[str], kind: str) -> dict[str, float]:
    """Give the size of each region of a kind by its name, a district's by its number."""
    measured = await measure_regions(session, cities, kind)
    return {read_district(name) if kind == DISTRICT_KIND else name: size for name, size in measured.items()}
