"""How far from the truth places are: addresses of a loaded register, hidden one at a time and then asked for.

``python -m scripts.measure_places --city austin --sample 1000`` draws addresses whose permits agree about their point,
asks for each as if the register had none of its permits, and prints how many were found, asked back, or put on another
street, and the metres to the true point by quality; then the same with the address written amiss. Nothing is changed.
"""

import argparse
import asyncio
import os
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from pyproj import Geod
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.cities.city import find_city
from app.database import make_engine, open_session
from app.permits.features import LAT, LNG
from app.permits.place_texts import parse_place
from app.permits.places import Finder, Found, Known, Place
from app.permits.register import Register, RegisterCache
from app.permits.streets import StreetNames, parse_street, select_streets
from app.permits.tables import permits
from app.settings import read_settings

GEOD = Geod(ellps="WGS84")
SEED = 7
SPREAD_DEGREES = 1e-4
"""Permits of one address that are farther apart than about ten metres tell no true point."""
LETTERS = "ABCDEFGHIJKLMNOPRSTUVWY"
Amiss = Callable[[str, random.Random], str | None]


@dataclass(frozen=True)
class Address:
    """An address of the register with its true point, and on how many house numbers its street has permits."""

    number: int
    street: str
    lat: float
    lng: float
    houses: int


@dataclass(frozen=True)
class HidingFinder(Finder):
    """Finds as the service does in a register that never had permits of one address."""

    hidden: tuple[int, str] = (0, "")

    async def _find_known(
        self, streets: Sequence[str], first: int, last: int, zip_code: str | None = None
    ) -> list[Known]:
        rows = await super()._find_known(streets, first, last, zip_code)
        return [row for row in rows if (row.house_number, row.street) != self.hidden]


@dataclass
class Tally:
    """What became of the addresses that were asked for."""

    asked: int = 0
    back: int = 0
    elsewhere: int = 0
    """Put on another street than the true one, and more than a block from the true point."""
    metres: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, address: Address, found: Found) -> None:
        """Count one answer."""
        self.asked += 1
        place = found.place
        if place is None or place.lat is None or place.lng is None or place.kind != "address":
            self.back += 1
            return
        away_m = GEOD.inv(address.lng, address.lat, place.lng, place.lat)[2]
        self.metres[place.quality].append(away_m)
        self.elsewhere += is_elsewhere(place, address) and away_m > 100

    def show(self, name: str) -> None:
        """Print it."""
        found = [one for metres in self.metres.values() for one in metres]
        share = [100 * count / max(self.asked, 1) for count in (len(found), self.back, self.elsewhere)]
        print(
            f"{name}: {self.asked} asked, {share[0]:.1f} % found, {share[1]:.1f} % asked back, {share[2]:.2f} % wrong"
        )
        for quality, metres in [*sorted(self.metres.items()), ("all", found)]:
            if len(metres) > 1:
                p95 = quantiles(metres, n=20)[-1]
                print(f"  {quality:13}{len(metres):6}  median {median(metres):7.1f} m  p95 {p95:8.1f} m")


def is_elsewhere(place: Place, address: Address) -> bool:
    """Whether a place is on another street."""
    return place.label.partition(" ")[2] != address.street


def drop_kind(street: str, _dice: random.Random) -> str | None:
    """Leave the suffix out."""
    kind = parse_street(street).kind
    return " ".join(word for word in street.split() if word != kind) if kind else None


def drop_directionals(street: str, _dice: random.Random) -> str | None:
    """Leave the directionals out."""
    parts = parse_street(street)
    words = [word for word in street.split() if word not in parts.qualifiers]
    return " ".join(words) if parts.qualifiers and words else None


def change_letter(street: str, dice: random.Random) -> str | None:
    """Write another letter than one of the longest word."""
    word = max(street.split(), key=len)
    if len(word) < 4 or not word.isalpha():
        return None
    at = dice.randrange(len(word))
    letter = dice.choice(LETTERS.replace(word[at], ""))
    return street.replace(word, f"{word[:at]}{letter}{word[at + 1 :]}", 1)


AMISS: dict[str, Amiss] = {
    "as the register writes it": lambda street, _dice: street,
    "suffix left out": drop_kind,
    "directionals left out": drop_directionals,
    "one letter wrong": change_letter,
}


async def draw(session: AsyncSession, city: str, sample: int) -> list[Address]:
    """Draw addresses whose permits agree about their point, each as likely as any other."""
    columns = permits.c
    located = select(
        columns.street, columns.house_number, func.min(LAT).label("lat"), func.min(LNG).label("lng")
    ).where(
        columns.city == city, columns.location.is_not(None), columns.removed_run.is_(None), columns.street.is_not(None)
    )
    spread = func.greatest(func.max(LAT) - func.min(LAT), func.max(LNG) - func.min(LNG))
    agreed = located.group_by(columns.street, columns.house_number).having(spread < SPREAD_DEGREES)
    rows = [tuple(row) for row in await session.execute(agreed.order_by(columns.street, columns.house_number))]
    houses: dict[str, int] = defaultdict(int)
    for street, *_ in rows:
        houses[street] += 1
    drawn = random.Random(SEED).sample(rows, min(sample, len(rows)))
    return [Address(number, street, lat, lng, houses[street]) for street, number, lat, lng in drawn]


async def measure(session: AsyncSession, register: Register, city: str, addresses: Sequence[Address]) -> None:
    """Ask for every address in every way, and print what came of it."""
    streets = list(await session.scalars(select_streets()))
    titles, names = [find_city(city).title], StreetNames(streets)
    for name, amiss in AMISS.items():
        tally, dice = Tally(), random.Random(SEED)
        for address in addresses:
            written = amiss(address.street, dice)
            wanted = parse_place(f"{address.number} {written}", titles) if written else None
            if wanted is not None:
                known = names if address.houses > 1 else StreetNames(one for one in streets if one != address.street)
                finder = HidingFinder(session, register, (city,), known, 5, (address.number, address.street))
                tally.note(address, await finder.find(wanted))
        tally.show(name)


async def run(city: str, sample: int) -> None:
    """Measure on the register of the settings' database."""
    engine = make_engine(read_settings(os.environ))
    try:
        async with open_session(engine) as session:
            register = await RegisterCache().find(session)
            register.choose_cities((city,))
            addresses = await draw(session, city, sample)
            print(f"{city}: {len(addresses)} addresses drawn, each hidden with all of its permits")
            await measure(session, register, city, addresses)
    finally:
        await engine.dispose()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="measure_places", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--city", default="austin", help="a register that is loaded")
    parser.add_argument("--sample", type=int, default=1000, help="how many addresses are drawn")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.city, arguments.sample))
    return 0


if __name__ == "__main__":
    sys.exit(main())
