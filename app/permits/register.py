"""What is loaded: the cities, their words and regions, how far their data reach, and what is missing in them.

Read whole when a run has succeeded and kept in memory; nothing here is counted per request.
"""

import asyncio
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from time import monotonic
from typing import Any

from rapidfuzz import fuzz, process
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.database import Reader, open_session
from app.errors import NoSuchCity, UndervoltError, UnknownWord
from app.permits.region_names import RegionName, RegionNames
from app.permits.streets import StreetsKept
from app.permits.tables import city_states, data_versions, regions, register_words
from app.permits.words import PermitClassMapped, PermitTypeMapped, StatusMapped

CLOSED_WORDS = {
    "status_current": tuple(StatusMapped),
    "permit_type": tuple(PermitTypeMapped),
    "permit_class": tuple(PermitClassMapped),
    "work_class": (),
    "district": (),
}
ALIKE_MAX = 3
ALIKE_SCORE = 70
WEIGHED_MAX = 200
"""To weigh how alike two ids are takes 10 us, with everybody waiting; to tell how many letters they share, 0.2 us."""

LOOKED_FOR = ("without_location", "without_category")
"""What a query near a point looks for in a permit."""


@dataclass(frozen=True)
class CityState:
    """How one city's register stands after its last published run. Counts are of permits not removed.

    ``succeeded_at`` is when a run last ended well, one that had nothing to publish included.
    """

    city: str
    run: int
    data_through: date | None
    synthetic: bool
    permits: int
    without_location: int
    without_category: int
    without_zip: int
    without_issued_date: int
    without_applied_date: int
    without_value: int
    succeeded_at: datetime
    categories_version: int


@dataclass(frozen=True)
class Resolved:
    """What a filter's word stands for: the city's own words, or mapped ones."""

    own: frozenset[str] = frozenset()
    mapped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Register:
    """One data version, and what holds for all of it; ``mark`` moves with every run that succeeds."""

    mark: str
    data_version: int
    published_at: datetime
    cities: dict[str, CityState]
    words: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """City and field to the city's own words."""
    regions: dict[int, RegionName] = field(default_factory=dict)
    region_words: dict[str, tuple[RegionName, ...]] = field(default_factory=dict)
    """By id and by kind and name, in lower case."""
    streets: StreetsKept = field(default_factory=StreetsKept, compare=False)

    @property
    def answering(self) -> tuple[str, ...]:
        """The cities that answer unless one is named: the real ones, and the synthetic one only while there is none."""
        real = tuple(sorted(name for name, state in self.cities.items() if not state.synthetic))
        return real or tuple(sorted(self.cities))

    def choose_cities(self, named: tuple[str, ...]) -> tuple[str, ...]:
        """Give the cities a query is about. Raises :class:`NoSuchCity` for one that is not loaded."""
        for name in named:
            if name.lower() not in self.cities:
                loaded = ", ".join(sorted(self.cities)) or "none"
                raise NoSuchCity(f"no register of {name!r} is loaded; loaded are: {loaded}")
        return tuple(sorted({name.lower() for name in named})) or self.answering

    def resolve(self, column: str, word: str, cities: tuple[str, ...]) -> Resolved | None:
        """Find what ``word`` stands for in ``column``, in any case; the mapped words win over a city's own."""
        wanted = word.casefold()
        mapped = frozenset(closed.value for closed in CLOSED_WORDS[column] if closed.value.casefold() == wanted)
        if mapped:
            return Resolved(mapped=mapped)
        own = frozenset(
            own for city in cities for own in self.words.get((city, column), ()) if own.casefold() == wanted
        )
        return Resolved(own=own) if own else None

    def known_words(self, column: str, cities: tuple[str, ...]) -> list[str]:
        """List the words that ``column`` can be asked for, the mapped ones first."""
        closed = [word.value for word in CLOSED_WORDS[column]]
        return closed + sorted(self.own_words(column, cities) - set(closed))

    def own_words(self, column: str, cities: tuple[str, ...]) -> frozenset[str]:
        """Give the words that the cities themselves use in ``column``."""
        return frozenset(word for city in cities for word in self.words.get((city, column), ()))

    def find_region(self, word: str, cities: tuple[str, ...]) -> RegionName:
        """Find the region of ``cities`` that an id, or its kind and name, stands for, in any case.

        Raises :class:`UnknownWord` with those that are written alike, or that it may be.
        """
        found = [region for region in self.region_words.get(word.casefold(), ()) if region.city in cities]
        if len(found) == 1:
            return found[0]
        raise UnknownWord("region", word, [region.id for region in found] or self._suggest_regions(word, cities))

    def _suggest_regions(self, word: str, cities: tuple[str, ...]) -> list[str]:
        ids = [region.id for region in self.regions.values() if region.city in cities]
        if len(ids) > WEIGHED_MAX:
            ids = [found for found, *_ in process.extract(word, ids, scorer=fuzz.ratio, limit=WEIGHED_MAX)]
        alike = process.extract(word, ids, scorer=fuzz.WRatio, limit=ALIKE_MAX, score_cutoff=ALIKE_SCORE)
        listed = ["those that /regions lists, by their id or by kind/name"] if ids else []
        return [found for found, *_ in alike] + listed

    def region_kinds(self, cities: tuple[str, ...]) -> list[str]:
        """List the kinds of the regions of ``cities``."""
        return sorted({region.kind for region in self.regions.values() if region.city in cities})

    def years(self, cities: tuple[str, ...]) -> frozenset[int]:
        """Give the years of issue in which the register has a permit at all."""
        return frozenset(map(int, self.own_words("issued_year", cities)))

    def as_of(self, cities: tuple[str, ...]) -> dict[str, Any]:
        """Say which data an answer stands on."""
        return {"data_version": self.data_version, "cities": {name: self._stands[name] for name in cities}}

    def missing(self, cities: tuple[str, ...], counts: tuple[str, ...] = LOOKED_FOR) -> dict[str, dict[str, int]]:
        """Say how many permits of each city lack what a query looks for, so that it cannot find them."""
        return {name: {count: getattr(self.cities[name], count) for count in counts} for name in cities}

    def find_stale(self, *, now: datetime, after: timedelta) -> dict[str, timedelta]:
        """Give the real cities whose last success is longer ago than ``after``, each with how long ago it is."""
        ages = {name: now - state.succeeded_at for name, state in sorted(self.cities.items()) if not state.synthetic}
        return {name: age for name, age in ages.items() if age > after}

    @cached_property
    def region_names(self) -> RegionNames:
        """The regions as people name them."""
        return RegionNames(self.regions.values())

    @cached_property
    def _stands(self) -> dict[str, dict[str, Any]]:
        return {name: self._stand(state) for name, state in self.cities.items()}

    @staticmethod
    def _stand(state: CityState) -> dict[str, Any]:
        through = state.data_through.isoformat() if state.data_through else None
        succeeded = state.succeeded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        stand: dict[str, Any] = {"run": state.run, "data_through": through, "succeeded_at": succeeded}
        return stand | {"synthetic": True} if state.synthetic else stand


# Each city's instant rather than the newest of all: two runs that end at once may commit in the other order.
MARK = (
    "(SELECT version::text FROM data_versions) || coalesce((SELECT string_agg("
    "';' || city || ',' || extract(epoch FROM succeeded_at), '' ORDER BY city) FROM city_states), '')"
)
"""What moves with every run that succeeds: the data version where it published, its city's instant in any case."""
SELECT_MARK = f"SELECT {MARK}"
RECENT_S = 1.0
"""How old what is known of the store may be where only a reply's tag is asked about."""


class Moved(UndervoltError):  # noqa: N818 - a run has published meanwhile, which is no fault
    """A reply's rows are of another data version than the register it began with."""


class RegisterCache:
    """The register as this process last saw it."""

    def __init__(self) -> None:
        self._register: Register | None = None
        self._recent: Register | None = None
        self._recent_at = -math.inf
        self._asking = asyncio.Lock()

    async def find(self, session: AsyncSession) -> Register:
        """Give the register of the session's own snapshot, read again only where a run has succeeded meanwhile."""
        mark = await find_mark(session)
        known = self._register  # another task may replace it meanwhile
        if known is None or known.mark != mark:
            known = self._register = await find_register(session)
        return known

    async def find_recent(self, reader: Reader, engine: AsyncEngine, *, within_s: float = RECENT_S) -> Register:
        """Give a register that was the newest one at most ``within_s`` seconds ago, mostly without asking the store."""
        wanted_at = monotonic() - within_s
        if self._recent is not None and self._recent_at >= wanted_at:
            return self._recent
        async with self._asking:
            if self._recent is None or self._recent_at < wanted_at:
                asked_at = monotonic()
                (mark,) = await reader.find_one(SELECT_MARK)
                if self._recent is None or self._recent.mark != mark:
                    async with open_session(engine) as session:
                        self._recent = await self.find(session)
                self._recent_at = asked_at
            return self._recent


async def refuse_moved(reader: Reader, register: Register, mark: str | None = None) -> None:
    """Raise :class:`Moved` where the store is no longer as a register has it that was found before.

    ``mark`` is what the last rows told of their data; without it the store is asked. A mark never comes back, so that
    the same one before and after holds for all that was read between.
    """
    if mark is None:
        (mark,) = await reader.find_one(SELECT_MARK)
    if mark != register.mark:
        raise Moved


async def find_mark(session: AsyncSession) -> str:
    """Give the mark of the session's snapshot."""
    mark: str = (await session.execute(text(SELECT_MARK))).scalar_one()
    return mark


async def find_register(session: AsyncSession) -> Register:
    """Read the data version, the cities and their words from the session's snapshot."""
    mark = await find_mark(session)
    stand = (await session.execute(select(data_versions.c.version, data_versions.c.published_at))).one()
    states = [CityState(**row._mapping) for row in await session.execute(select(city_states))]
    found: dict[tuple[str, str], set[str]] = {}
    columns = register_words.c
    for city, name, word in await session.execute(select(columns.city, columns.field, columns.word)):
        found.setdefault((city, name), set()).add(word)
    places = await find_region_names(session)
    return Register(
        mark=mark,
        data_version=stand.version,
        published_at=stand.published_at,
        cities={state.city: state for state in states if state.permits},
        words={key: frozenset(words) for key, words in found.items()},
        regions={place.region: place for place in places},
        region_words=index_regions(places),
    )


async def find_region_names(session: AsyncSession) -> list[RegionName]:
    """Read the names of all regions."""
    columns = regions.c
    found = await session.execute(select(columns.region, columns.city, columns.kind, columns.name))
    return [RegionName(**row._mapping) for row in found]


def index_regions(places: list[RegionName]) -> dict[str, tuple[RegionName, ...]]:
    """Give regions by each word that may stand for them, in lower case."""
    by_word: dict[str, tuple[RegionName, ...]] = {}
    for place in places:
        for word in (place.id.casefold(), f"{place.kind}/{place.name}".casefold()):
            by_word[word] = (*by_word.get(word, ()), place)
    return by_word
