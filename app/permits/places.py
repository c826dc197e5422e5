"""From the text of a place to a point or an area, by the register's own addresses and the regions that are loaded.

A house number is where its permits are, else between its neighbours on its side of the street, else at the nearest of
them. What may be more than one place is given as candidates, never chosen from.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Literal, NamedTuple

import shapely
from sqlalchemy import Integer, Select, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.cities.city import find_city
from app.permits.addresses import Address
from app.permits.features import LAT, LNG
from app.permits.place_texts import (
    BLOCK,
    AddressText,
    CrossingText,
    DistrictText,
    NameText,
    PlaceText,
    SpanText,
    ZipText,
    parse_place,
)
from app.permits.region_names import RegionName
from app.permits.register import Register
from app.permits.streets import STREETS_MAX, Fit, Street, StreetNames
from app.permits.tables import permits
from app.permits.words import ZIP_KIND

Kind = Literal["address", "block", "range", "street", "intersection", "region", "zip", "district"]
Quality = Literal["exact", "interpolated", "nearest", "block", "street", "intersection", "region"]

CANDIDATES_MAX = 5
REACH = 100
"""How many house numbers away a known one still tells where another stands: a block."""
ACROSS = 20
"""The same for one on the other side of the street."""
PER_NUMBER_M = 15.0
"""Two numbers that are farther apart than that for each number between them are not both where they stand."""
SAME_M = 250.0
"""Places of one text that are closer together than that are one: the carriageways of a highway, two names of a road."""
MEETING_M = 150.0
"""Streets whose permits come no nearer than that do not meet, as far as the register knows."""
CORNER_M = 30.0
M_PER_DEGREE = 111_195.0

Point = tuple[float, float]
"""Latitude and longitude in degrees."""


class Known(NamedTuple):
    """A point of a house number that the register has, and how many permits stand on it."""

    city: str
    street: str
    house_number: int
    location_quality: str
    lat: float
    lng: float
    permits: int

    @property
    def point(self) -> Point:
        """Where it is."""
        return self.lat, self.lng

    @property
    def label(self) -> str:
        """Its address."""
        return f"{self.house_number} {self.street}"


@dataclass(frozen=True)
class Place:
    """What a text may mean. A region, a ZIP and a district are areas: they have filters and no point.

    ``within_m`` is how far what is meant may reach, or be, from the point, as far as the register tells; ``known_by``
    are the addresses that a point without permits of its own was found by.
    """

    label: str
    kind: Kind
    quality: Quality
    city: str
    lat: float | None = None
    lng: float | None = None
    within_m: float | None = None
    known_by: tuple[str, ...] = ()
    location_quality: str | None = None
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_corrected: bool = False

    def render(self) -> dict[str, Any]:
        """Give it as replies have it: degrees with six decimals, metres with one."""
        rounded = {name: value and round(value, 6) for name, value in (("lat", self.lat), ("lng", self.lng))}
        within_m = None if self.within_m is None else round(self.within_m, 1)
        return asdict(self) | rounded | {"within_m": within_m}


@dataclass(frozen=True)
class Found:
    """All that a text may mean, or none; ``suggestions`` are texts that would be found where it was not."""

    places: tuple[Place, ...] = ()
    suggestions: tuple[str, ...] = ()

    @property
    def place(self) -> Place | None:
        """The one place that was meant."""
        return self.places[0] if len(self.places) == 1 else None

    @property
    def candidates(self) -> tuple[str, ...]:
        """What the text may have meant, in words that are found."""
        return tuple(place.label for place in self.places) if len(self.places) > 1 else self.suggestions


async def find_places(
    session: AsyncSession, register: Register, text: str, cities: tuple[str, ...], *, limit: int = CANDIDATES_MAX
) -> Found:
    """Find what a text means in ``cities``: one place, up to ``limit`` candidates, or suggestions."""
    named = _find_named(register, text, cities)
    if named:
        return Found(named[:limit])
    wanted = parse_place(text, [find_city(city).title for city in cities])
    if wanted is None:
        return Found()
    finder = Finder(session, register, cities, await register.streets.find(session), limit)
    return await finder.find(wanted)


def _find_named(register: Register, text: str, cities: tuple[str, ...]) -> tuple[Place, ...]:
    """Find regions of exactly this name or id."""
    by_id = [region for region in register.region_words.get(text.strip().casefold(), ()) if region.city in cities]
    return tuple(map(_place_region, by_id or register.region_names.find(text, cities)))


def _place_region(region: RegionName) -> Place:
    return Place(region.label, "region", "region", region.city, filters={"region": (region.id,)})


@dataclass(frozen=True)
class Finder:
    """Looks places up in some cities of one snapshot."""

    session: AsyncSession
    register: Register
    cities: tuple[str, ...]
    streets: StreetNames
    limit: int

    async def find(self, wanted: PlaceText) -> Found:
        """Find what was read from a text."""
        match wanted.what:
            case ZipText(zip=zip_code):
                return await self._find_zip(zip_code)
            case DistrictText(district=district):
                return self._find_district(district)
            case AddressText(address=address):
                return await self._find_address(address, wanted.zip)
            case SpanText():
                return await self._find_span(wanted.what)
            case CrossingText():
                return await self._find_crossing(wanted.what)
            case NameText(name=name):
                return await self._find_name(name)

    async def _find_zip(self, zip_code: str) -> Found:
        is_region = any(one.kind == ZIP_KIND and one.name == zip_code for one in self.register.regions.values())
        columns = permits.c
        has_permit = exists().where(columns.zip == zip_code, columns.city.in_(self.cities))
        if not is_region and not (await self.session.execute(select(has_permit))).scalar():
            return Found()
        return Found((Place(zip_code, "zip", "region", self.cities[0], filters={"zip": (zip_code,)}),))

    def _find_district(self, district: str) -> Found:
        known = self.register.own_words("district", self.cities)
        if district not in known:
            return Found(suggestions=tuple(f"district {one}" for one in sorted(known)[: self.limit]))
        city = next(one for one in self.cities if district in self.register.own_words("district", (one,)))
        filters = {"district": (district,)}
        return Found((Place(f"district {district}", "district", "region", city, filters=filters),))

    async def _find_address(self, wanted: Address, zip_code: str | None) -> Found:
        """Find a house number on the streets that fit best, or offer the nearest numbers and streets alike."""
        fitting = self.streets.find(wanted.street)[:STREETS_MAX]
        number = wanted.house_number
        rows = await self._find_known([street.text for _, street in fitting], number - REACH, number + REACH, zip_code)
        fit_of = {street.text: fit for fit, street in fitting}
        sided = _find_sided([street for fit, street in fitting if fit is Fit.FULLER])
        guessed: list[tuple[Fit, Place]] = []
        for (city, street), known in _by_street(rows):
            place = locate(number, city, street, known)
            if place is not None:
                is_doubtful = street in sided and place.quality == "nearest"
                guessed.append((Fit.OTHER if is_doubtful else fit_of[street], place))
        return _choose(guessed, self.limit) or await self._suggest_address(wanted, list(fit_of))

    async def _suggest_address(self, wanted: Address, streets: list[str]) -> Found:
        columns = permits.c
        gap = func.abs(columns.house_number - wanted.house_number)
        near = (
            select(columns.house_number, columns.street)
            .where(columns.street.in_(streets), columns.city.in_(self.cities), columns.location.is_not(None))
            .where(columns.removed_run.is_(None))
            .group_by(columns.house_number, columns.street)
            .order_by(gap, columns.house_number, columns.street)
            .limit(self.limit)
        )
        labels = [f"{row.house_number} {row.street}" for row in await self.session.execute(near)]
        if not labels:
            alike = self.streets.suggest(wanted.street, self.limit)
            rows = await self._find_known(alike, wanted.house_number, wanted.house_number)
            labels = sorted({row.label for row in rows})[: self.limit]
        return Found(suggestions=tuple(labels))

    async def _find_span(self, wanted: SpanText) -> Found:
        """Find the houses of a block or a range: their middle, and how far the farthest is from it."""
        fitting = [pair for pair in self.streets.find(wanted.street) if pair[0] != Fit.OTHER][:STREETS_MAX]
        fit_of = {street.text: fit for fit, street in fitting}
        rows = await self._find_known(list(fit_of), wanted.first, wanted.last)
        spans = [
            (fit_of[street], _place_span(wanted, city, street, known)) for (city, street), known in _by_street(rows)
        ]
        if found := _choose(spans, self.limit):
            return found
        blocks = await list_blocks(self.session, tuple(fit_of), self.cities, near=wanted.first)
        return Found(suggestions=blocks[: self.limit])

    async def _find_crossing(self, wanted: CrossingText) -> Found:
        """Find where the permits of two streets come nearest to each other."""
        sides = [
            [street.text for fit, street in self.streets.find(one) if fit != Fit.OTHER][:STREETS_MAX]
            for one in (wanted.one, wanted.other)
        ]
        if not all(sides):
            alike = [street for one in (wanted.one, wanted.other) for street in self.streets.suggest(one, 2)]
            return Found(suggestions=tuple(alike[: self.limit]))
        ones, others = [dict(_by_street(await self._find_along(side))) for side in sides]
        met = [
            place
            for (city, street), known in ones.items()
            for (other_city, other), known_there in others.items()
            if city == other_city and street != other
            if (place := _place_crossing(known, known_there)) is not None
        ]
        met.sort(key=lambda place: place.within_m or 0)
        return Found(_keep_apart(met)[: self.limit])

    async def _find_name(self, name: str) -> Found:
        """Find a region of this name, or else a street, or else what is written almost so."""
        if exact := self.register.region_names.find(name, self.cities):
            return Found(tuple(map(_place_region, exact))[: self.limit])
        fitting = self.streets.find(name)
        streets = [street.text for fit, street in fitting if fit in {Fit.SAME, Fit.FULLER}][:STREETS_MAX]
        regions: list[Place] = []
        if not streets:
            alike = self.register.region_names.find_alike(name, self.cities)
            regions = [replace(_place_region(region), is_corrected=True) for region in alike]
            streets = [street.text for fit, street in fitting if fit == Fit.ALIKE][:STREETS_MAX]
        along = await self._find_along(streets)
        places = [_place_street(city, street, known) for (city, street), known in _by_street(along)]
        found = tuple([*regions, *places][: self.limit])
        regions_alike = self.register.region_names.suggest(name, self.cities, self.limit)
        return Found(found) if found else Found(suggestions=tuple(regions_alike))

    async def _find_known(
        self, streets: Sequence[str], first: int, last: int, zip_code: str | None = None
    ) -> list[Known]:
        """Find the points of house numbers from ``first`` to ``last``; in a ZIP alone where it has any of them."""
        rows = [Known(*row) for row in await self.session.execute(select_known(streets, first, last, self.cities))]
        if zip_code is None or not rows:
            return rows
        inside = select_known(streets, first, last, self.cities).where(permits.c.zip == zip_code)
        return [Known(*row) for row in await self.session.execute(inside)] or rows

    async def _find_along(self, streets: Sequence[str]) -> list[Known]:
        return [Known(*row) for row in await self.session.execute(select_along(streets, self.cities))]


async def list_blocks(
    session: AsyncSession, streets: Sequence[str], cities: tuple[str, ...], *, near: int | None = None
) -> tuple[str, ...]:
    """List a few hundred blocks that have permits, the nearest to a number first, else those with the most houses."""
    counts: dict[tuple[int, str], int] = {}
    for row in await session.execute(select_along(streets, cities)):
        block = row.house_number // BLOCK * BLOCK, row.street
        counts[block] = counts.get(block, 0) + 1
    ordered = sorted(counts, key=lambda one: (abs(one[0] - near) if near is not None else -counts[one], one))
    return tuple(f"{first} block of {street}" for first, street in ordered[:CANDIDATES_MAX])


def select_known(
    streets: Sequence[str], first: int, last: int, cities: tuple[str, ...]
) -> Select[str, str, int, str, float, float, int]:
    """Select the points of house numbers from ``first`` to ``last``, each with how many permits stand on it."""
    columns = permits.c
    return (
        select(
            columns.city,
            columns.street,
            columns.house_number,
            columns.location_quality,
            LAT,
            LNG,
            func.count().label("permits"),
        )
        .where(columns.street.in_(streets), columns.house_number.between(first, last), columns.city.in_(cities))
        .where(columns.location.is_not(None), columns.removed_run.is_(None))
        .group_by(columns.city, columns.street, columns.house_number, columns.location_quality, "lat", "lng")
        .order_by(columns.city, columns.street, columns.house_number, "lat", "lng")
    )


def select_along(streets: Sequence[str], cities: tuple[str, ...]) -> Select[str, str, int, str, float, float, int]:
    """Select one point of every house number of some streets, in their order."""
    columns = permits.c
    key = (columns.city, columns.street, columns.house_number)
    return (
        select(*key, columns.location_quality, LAT, LNG, literal_column("1", Integer).label("permits"))
        .ext(distinct_on(*key))
        .where(columns.street.in_(streets), columns.city.in_(cities), columns.house_number.is_not(None))
        .where(columns.location.is_not(None), columns.removed_run.is_(None))
        .order_by(*key, columns.source_id)
    )


def _find_sided(streets: Sequence[Street]) -> frozenset[str]:
    """Give those of which another differs by its directional alone: a number on neither may be on either."""
    return frozenset(
        street.text
        for street in streets
        if any(other.kind == street.kind and other.qualifiers != street.qualifiers for other in streets)
    )


def _by_street(rows: Iterable[Known]) -> list[tuple[tuple[str, str], list[Known]]]:
    return [(key, list(known)) for key, known in groupby(rows, key=lambda row: (row.city, row.street))]


def locate(number: int, city: str, street: str, known: Sequence[Known]) -> Place | None:
    """Locate a house number among known ones of its street; None where none of them tells where it is."""
    points = {house: _choose_point(list(rows)) for house, rows in groupby(known, key=lambda row: row.house_number)}
    address = Place(f"{number} {street}", "address", "exact", city)
    if number in points:
        return _at(address, points[number].point, 0.0, location_quality=points[number].location_quality)
    side = [house for house in points if house % 2 == number % 2]
    below = max((one for one in side if one < number), default=None)
    above = min((one for one in side if one > number), default=None)
    if below is not None and above is not None and _are_plausible(points[below], points[above]):
        return _interpolate(address, number, points[below], points[above])
    across = [house for house in points if abs(house - number) <= ACROSS]
    nearest = min(side or across, key=lambda house: (abs(house - number), house), default=None)
    if nearest is None:
        return None
    by = points[nearest]
    return _at(replace(address, quality="nearest"), by.point, None, known_by=(by.label,))


def _choose_point(rows: list[Known]) -> Known:
    """Take the point that most permits of an address stand on."""
    return max(rows, key=lambda row: (row.permits, row.lat, row.lng))


def _are_plausible(one: Known, other: Known) -> bool:
    return (
        metres_between(one.point, other.point) <= PER_NUMBER_M * abs(one.house_number - other.house_number) + CORNER_M
    )


def _interpolate(address: Place, number: int, below: Known, above: Known) -> Place:
    part = (number - below.house_number) / (above.house_number - below.house_number)
    point = below.lat + part * (above.lat - below.lat), below.lng + part * (above.lng - below.lng)
    within_m = max(metres_between(point, known.point) for known in (below, above))
    return _at(replace(address, quality="interpolated"), point, within_m, known_by=(below.label, above.label))


def _at(place: Place, point: Point, within_m: float | None, **more: Any) -> Place:  # noqa: ANN401
    return replace(place, lat=point[0], lng=point[1], within_m=within_m, **more)


def _choose(guessed: list[tuple[Fit, Place]], limit: int) -> Found | None:
    """Take the place on the street that fits best; several that are apart are candidates, and so is a doubtful one.

    A number that nobody knows is guessed on a street that may be another only where its neighbours stand about it.
    """
    for fit in Fit:
        places = [place for of, place in guessed if of == fit]
        if fit is Fit.OTHER:
            places = [place for place in places if place.quality not in {"interpolated", "nearest"}]
        if fit is Fit.ALIKE:
            places = [replace(place, is_corrected=True) for place in places if place.quality != "nearest"]
        if places:
            places.sort(key=lambda place: (place.quality != "exact", place.label))
            return Found(_keep_apart(places)[:limit])
    doubtful = tuple(dict.fromkeys(label for _, place in guessed for label in place.known_by))
    return Found(suggestions=doubtful[:limit]) if doubtful else None


def _keep_apart(places: Sequence[Place]) -> tuple[Place, ...]:
    """Keep the first of all places that are one, as near as they are."""
    kept: list[Place] = []
    for place in places:
        if all(
            place.city != other.city or metres_between(_point_of(place), _point_of(other)) > SAME_M for other in kept
        ):
            kept.append(place)
    return tuple(kept)


def _point_of(place: Place) -> Point:
    return place.lat or 0.0, place.lng or 0.0


def _place_span(wanted: SpanText, city: str, street: str, known: Sequence[Known]) -> Place:
    name = f"{wanted.first} block of {street}" if wanted.is_block else f"{wanted.first} to {wanted.last} {street}"
    points = [_choose_point(list(rows)).point for _, rows in groupby(known, key=lambda row: row.house_number)]
    middle, within_m = _gather_middle(points)
    return _at(Place(name, "block" if wanted.is_block else "range", "block", city), middle, within_m)


def _place_street(city: str, street: str, known: Sequence[Known]) -> Place:
    """Place a street at the house that is nearest to its middle."""
    middle, _ = _gather_middle([row.point for row in known])
    house = min((row.point for row in known), key=lambda point: metres_between(point, middle))
    within_m = max(metres_between(house, row.point) for row in known)
    return _at(Place(street, "street", "street", city), house, within_m)


def _gather_middle(points: Sequence[Point]) -> tuple[Point, float]:
    """Give the middle of points and how far the farthest is; a point that is far from most of them does not count."""
    medians = sorted(lat for lat, _ in points)[len(points) // 2], sorted(lng for _, lng in points)[len(points) // 2]
    away = sorted(metres_between(point, medians) for point in points)
    kept = [point for point in points if metres_between(point, medians) <= 4 * away[len(away) // 2] + SAME_M]
    middle = math.fsum(lat for lat, _ in kept) / len(kept), math.fsum(lng for _, lng in kept) / len(kept)
    return middle, max(metres_between(middle, point) for point in kept)


def _place_crossing(ones: Sequence[Known], others: Sequence[Known]) -> Place | None:
    """Place a crossing half way between the two houses of both streets that are nearest to each other."""
    scale = math.cos(math.radians(ones[0].lat))
    here, there = (shapely.points([(row.lng * scale, row.lat) for row in rows]) for rows in (ones, others))
    (pairs, degrees) = shapely.STRtree(there).query_nearest(here, return_distance=True, all_matches=False)
    nearest = int(degrees.argmin())
    one, other = ones[int(pairs[0][nearest])], others[int(pairs[1][nearest])]
    apart_m = metres_between(one.point, other.point)
    if apart_m > MEETING_M:
        return None
    label = f"{one.street} and {other.street}"
    middle = (one.lat + other.lat) / 2, (one.lng + other.lng) / 2
    place = Place(label, "intersection", "intersection", one.city, known_by=(one.label, other.label))
    return _at(place, middle, max(apart_m / 2, CORNER_M))


def metres_between(one: Point, other: Point) -> float:
    """Give the metres between two points of one city, on a sphere: good to half a percent, for comparing alone."""
    north = one[0] - other[0]
    east = (one[1] - other[1]) * math.cos(math.radians((one[0] + other[0]) / 2))
    return M_PER_DEGREE * math.hypot(north, east)
