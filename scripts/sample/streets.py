"""Streets laid over the city, and the sites along them.

An address has one point, and house numbers grow along a street.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import fsum, sqrt

from scripts.sample.dice import Dice, Wheel
from scripts.sample.places import (
    DISTRICT_CENTRES,
    EAST,
    FULL,
    NEIGHBOURHOODS,
    NORTH,
    OUTSKIRTS,
    SOUTH,
    STREET_FIRST,
    STREET_SECOND,
    STREET_SUFFIXES,
    THOROUGHFARES,
    WEST,
    ZIP_CENTRES,
    Neighbourhood,
)

# Metres of a degree at 30.3 degrees north on WGS 84; near enough to lay streets with.
METRES_NORTH = 110_860.0
METRES_EAST = 96_180.0

KERB_M = 14.0  # from the middle of the street to the point of a house
NUMBER_M = 3.0  # along a local street, from one house number to the next
NAME_STRIDE = 1571  # shares no divisor with the number of name pairs, so that no pair comes twice

EDGE = 0.005  # degrees that a local street keeps from the edge of the box

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Leg:
    """A straight part of a street, in metres east and north of the box's south-west corner."""

    start: Point
    towards: Point  # of length 1
    length_m: float


@dataclass(frozen=True, slots=True)
class Street:
    """A street: its legs in the order of its house numbers, from ``first`` to ``last``."""

    index: int
    name: str
    area: str
    first: int
    last: int
    legs: tuple[Leg, ...]
    length_m: float
    jurisdiction: str

    def locate(self, number: int) -> Point:
        """Give the latitude and longitude of a house: odd numbers stand to the left, even ones to the right."""
        along_m = (number - self.first) / (self.last - self.first) * self.length_m
        leg = self.legs[0]
        for leg in self.legs:
            if along_m <= leg.length_m:
                break
            along_m -= leg.length_m
        aside_m = -KERB_M if number % 2 else KERB_M
        east_m = leg.start[0] + leg.towards[0] * along_m + leg.towards[1] * aside_m
        north_m = leg.start[1] + leg.towards[1] * along_m - leg.towards[0] * aside_m
        return round(SOUTH + north_m / METRES_NORTH, 8), round(WEST + east_m / METRES_EAST, 8)


@dataclass(frozen=True, slots=True)
class Site:
    """A place that permits are taken out for. All that it holds follows from its street and house number."""

    address: str
    lat: float
    lng: float
    zip_code: str
    district: str
    jurisdiction: str
    parcel: str
    legal: str


class City:
    """The streets, and how likely each is to see work on old homes, new homes and businesses."""

    def __init__(self, dice: Dice) -> None:
        self.thoroughfares = [_lay_thoroughfare(index, entry) for index, entry in enumerate(THOROUGHFARES)]
        self.local: dict[str, list[Street]] = {}
        self.blocks: dict[tuple[int, int], tuple[str, str]] = {}
        index = len(self.thoroughfares)
        for area in NEIGHBOURHOODS:
            self.local[area.name] = [_lay_local(dice, area, index + step) for step in range(area.streets)]
            index += area.streets
        self.businesses = Wheel(
            (street, entry[1]) for street, entry in zip(self.thoroughfares, THOROUGHFARES, strict=True)
        )
        self.areas = {
            "homes": Wheel((area.name, area.homes) for area in NEIGHBOURHOODS),
            "growth": Wheel((area.name, area.growth) for area in NEIGHBOURHOODS),
            "commerce": Wheel((area.name, area.commerce) for area in NEIGHBOURHOODS),
        }

    def draw_site(self, dice: Dice, *, where: str) -> Site:
        """Draw a site; ``where`` is ``homes``, ``growth`` or ``commerce``.

        Businesses crowd the ends of thoroughfares that are nearer to the middle of the city.
        """
        if dice.chance(0.6 if where == "commerce" else 0.05):
            street = self.businesses.spin(dice)
            share = dice.roll() * (0.4 + 0.6 * dice.roll())
        else:
            street = dice.pick(self.local[self.areas[where].spin(dice)])
            share = dice.roll()
        number = street.first + 2 * int(share * (street.last - street.first) / 2) + dice.below(2)
        return self.find_site(street, min(number, street.last))

    def find_site(self, street: Street, number: int) -> Site:
        """Give what stands at a house number."""
        lat, lng = street.locate(number)
        zip_code, district = self._find_block(street, number // 100)
        return Site(
            address=f"{number} {street.name}",
            lat=lat,
            lng=lng,
            zip_code=zip_code,
            district=district,
            jurisdiction=street.jurisdiction,
            parcel=f"9{street.index:04d}{number:05d}",
            legal=f"LOT {number % 60 + 1} BLK {'ABCDEFGH'[number // 100 % 8]} {street.area} SEC {street.index % 5 + 1}",
        )

    def _find_block(self, street: Street, block: int) -> tuple[str, str]:
        """Give the ZIP and the council district of a hundred of house numbers: those of its middle."""
        known = self.blocks.get((street.index, block))
        if known is None:
            lat, lng = street.locate(min(max(100 * block + 50, street.first), street.last))
            district = "" if street.jurisdiction == OUTSKIRTS else nearest(DISTRICT_CENTRES, lat, lng)
            known = self.blocks[street.index, block] = nearest(ZIP_CENTRES, lat, lng), district
        return known


def nearest(centres: tuple[tuple[str, float, float], ...], lat: float, lng: float) -> str:
    """Name the nearest of some centres; a degree of longitude is 0.87 of one of latitude here, squared 0.753."""
    best, least = "", 1e9
    for name, centre_lat, centre_lng in centres:
        north, east = lat - centre_lat, lng - centre_lng
        distance = north * north + 0.753 * east * east
        if distance < least:
            best, least = name, distance
    return best


def _lay_thoroughfare(index: int, entry: tuple[str, float, int, int, tuple[Point, ...]]) -> Street:
    name, _, first, last, bends = entry
    corners = [((lng - WEST) * METRES_EAST, (lat - SOUTH) * METRES_NORTH) for lat, lng in bends]
    legs = tuple(_lay_leg(start, end) for start, end in pairwise(corners))
    return Street(index, name, "THOROUGHFARE ADDN", first, last, legs, fsum(leg.length_m for leg in legs), FULL)


def _lay_leg(start: Point, end: Point) -> Leg:
    east, north = end[0] - start[0], end[1] - start[1]
    length_m = sqrt(east * east + north * north)
    return Leg(start, (east / length_m, north / length_m), length_m)


def _lay_local(dice: Dice, area: Neighbourhood, index: int) -> Street:
    """Lay an invented street on its neighbourhood's grid, denser near the middle, inside the box."""
    east, north = area.axis if dice.chance(0.5) else (-area.axis[1], area.axis[0])
    length_m = 240.0 + 60.0 * dice.below(10)
    lat = area.lat + dice.bell() * area.spread_m / METRES_NORTH
    lng = area.lng + dice.bell() * area.spread_m / METRES_EAST
    lat = min(max(lat, SOUTH + EDGE), NORTH - EDGE)
    lng = min(max(lng, WEST + EDGE), EAST - EDGE)
    middle = ((lng - WEST) * METRES_EAST, (lat - SOUTH) * METRES_NORTH)
    start = (middle[0] - east * length_m / 2, middle[1] - north * length_m / 2)
    first = 100 * (1 + dice.below(120))
    last = first + int(length_m / NUMBER_M)
    leg = Leg(start, (east, north), length_m)
    return Street(index, name_street(index), area.name, first, last, (leg,), length_m, area.jurisdiction)


def name_street(index: int) -> str:
    """Invent the name of street number ``index``; no two share a name."""
    pair = index * NAME_STRIDE % (len(STREET_FIRST) * len(STREET_SECOND))
    first, second = STREET_FIRST[pair // len(STREET_SECOND)], STREET_SECOND[pair % len(STREET_SECOND)]
    return f"{first} {second} {STREET_SUFFIXES[pair * 7 % len(STREET_SUFFIXES)]}"
