"""From the text of an address to a point, by the register's own addresses alone."""

from dataclasses import dataclass

from rapidfuzz import fuzz
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.addresses import Address, parse_address, street_core
from app.permits.features import LAT, LNG, AnyRow
from app.permits.tables import permits

SIMILAR = 85
CANDIDATES_MAX = 5


@dataclass(frozen=True)
class Place:
    """A point that an address names. ``quality`` is the location quality of the permits that it was found by."""

    label: str
    lat: float
    lng: float
    quality: str


@dataclass(frozen=True)
class Found:
    """The one place that was meant, or candidates: all that it may be, or the next numbers on its street."""

    place: Place | None = None
    candidates: tuple[str, ...] = ()
    is_ambiguous: bool = False


async def find_address(session: AsyncSession, text: str, cities: tuple[str, ...]) -> Found:
    """Find the point of an address among the permits of ``cities``.

    The house number has to be in the register. The street has to be written as it is there, or, with suffix,
    directionals or a letter or two amiss, to be the only one alike that has this number; otherwise the candidates are
    given.
    """
    wanted = parse_address(text)
    if wanted is None:
        return Found()
    numbered = list(await session.execute(select_numbered(wanted.house_number, cities)))
    exact = [row for row in numbered if row.street == wanted.street]
    if exact:
        return Found(place=choose_point(wanted, exact))
    alike = [row for row in numbered if is_alike(row.street, wanted.street)]
    streets = sorted({row.street for row in alike})
    if len(streets) == 1:
        return Found(place=choose_point(Address(wanted.house_number, streets[0]), alike))
    names = [f"{wanted.house_number} {street}" for street in streets]
    if names:
        return Found(candidates=tuple(names[:CANDIDATES_MAX]), is_ambiguous=True)
    return Found(candidates=await find_neighbours(session, wanted, cities))


def select_numbered(house_number: int, cities: tuple[str, ...]) -> Select[str, str, float, float, int]:
    """Select the points of all permits with a house number, each with how many permits stand on it."""
    columns = permits.c
    return (
        select(columns.street, columns.location_quality, LAT, LNG, func.count().label("permits"))
        .where(columns.house_number == house_number, columns.city.in_(cities))
        .where(columns.location.is_not(None), columns.removed_run.is_(None))
        .group_by(columns.street, columns.location_quality, "lat", "lng")
    )


def choose_point(address: Address, rows: list[AnyRow]) -> Place:
    """Take the point that most permits of an address stand on."""
    best = max(rows, key=lambda row: (row.permits, row.lat, row.lng))
    return Place(str(address), lat=best.lat, lng=best.lng, quality=best.location_quality)


def is_alike(street: str, wanted: str) -> bool:
    """Tell whether two streets differ by no more than suffix, directionals and a letter or two."""
    one, other = street_core(street), street_core(wanted)
    return one == other or (min(len(one), len(other)) > 4 and fuzz.ratio(one, other) >= SIMILAR)


async def find_neighbours(session: AsyncSession, wanted: Address, cities: tuple[str, ...]) -> tuple[str, ...]:
    """Find the nearest house numbers of the register on the same street."""
    columns = permits.c
    gap = func.abs(columns.house_number - wanted.house_number)
    near = (
        select(columns.house_number)
        .where(columns.street == wanted.street, columns.city.in_(cities), columns.location.is_not(None))
        .where(columns.removed_run.is_(None))
        .group_by(columns.house_number)
        .order_by(gap, columns.house_number)
        .limit(CANDIDATES_MAX)
    )
    return tuple(str(Address(number, wanted.street)) for number in await session.scalars(near))
