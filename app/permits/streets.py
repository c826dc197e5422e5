"""Streets: a name in its parts, and which streets of the register may be meant by one that somebody wrote.

The names of all streets are read once for a data version and kept: a loose scan of an index, one step a street.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.addresses import HEADINGS, SUFFIXES, canonical_street
from app.permits.tables import permits

QUALIFIERS = HEADINGS | {"SVRD"}
"""Words that tell parts of one road apart, before its name or behind it."""
KINDS = frozenset(SUFFIXES.values()) | frozenset(
    "GLEN HL HILL HILLS HLS MDWS MEADOWS PASS PATH PIKE ROW RUN WALK".split()
)
ORDINALS = dict(
    pair.split(":")
    for pair in (
        "FIRST:1ST SECOND:2ND THIRD:3RD FOURTH:4TH FIFTH:5TH SIXTH:6TH SEVENTH:7TH EIGHTH:8TH NINTH:9TH TENTH:10TH "
        "ELEVENTH:11TH TWELFTH:12TH THIRTEENTH:13TH FOURTEENTH:14TH FIFTEENTH:15TH"
    ).split()
)
SPELLINGS = {"SAINT": "ST", "MOUNT": "MT", "FORT": "FT", "MLK": "MARTINLUTHERKING", "JR": ""} | ORDINALS
ROADS = frozenset("US SH IH I FM RM RR HWY INTERSTATE STATE RANCH FARM RD TO MARKET COUNTY CR LOOP TX".split())
"""Words around the number of a road: "FM 620 RD", "RANCH ROAD 620" and "RM 620" are one."""
JOINED = re.compile(r"^(US|SH|IH|I|FM|RM|RR)-?([0-9]{1,4})$")
LETTERS_FOR_ONE, LETTERS_FOR_TWO = 4, 8
"""How long a name has to be for one letter or two to be wrong in it."""
ALIKE = 70
"""Of 100, how alike a name is that may be offered, never taken."""
STREETS_MAX = 12


class Fit(IntEnum):
    """How a street of the register fits the one that was written, best first."""

    SAME = 0
    FULLER = 1
    """It has a suffix or a directional more."""
    OTHER = 2
    """Its name is the same; suffix or directional are others."""
    ALIKE = 3
    """Its name differs by a letter or two, and nothing else contradicts."""


@dataclass(frozen=True)
class Street:
    """A street as the register has it, and the parts that names are compared by."""

    text: str
    name: str
    kind: str
    qualifiers: frozenset[str]


@lru_cache(maxsize=65_536)
def parse_street(text: str) -> Street:
    """Read a street in canonical form into its parts; what is nothing but kind and directionals keeps a name."""
    words = [part for word in text.split() for part in _split_road(word)]
    behind = len(words)
    while behind > 1 and words[behind - 1] in QUALIFIERS:
        behind -= 1
    ahead = next((place for place, word in enumerate(words[:behind]) if word not in QUALIFIERS), behind - 1)
    middle, qualifiers = words[ahead:behind], frozenset(words[:ahead] + words[behind:])
    if road := _read_road(middle):
        return Street(text, road, "", qualifiers)
    kind = middle[-1] if len(middle) > 1 and middle[-1] in KINDS else ""
    name = [SPELLINGS.get(word, word) for word in (middle[:-1] if kind else middle)]
    return Street(text, _join_name(name), kind, qualifiers)


def _split_road(word: str) -> tuple[str, ...]:
    joined = JOINED.match(word)
    return (joined[1], joined[2]) if joined else (word,)


def _read_road(words: list[str]) -> str | None:
    numbers = [word for word in words if word.isdecimal() and len(word) <= 4]
    rest = [word for word in words if word not in ROADS]
    return (
        f"ROAD{numbers[0]}" if len(numbers) == 1 and rest in (numbers, [*numbers, "SVRD"]) and len(words) > 1 else None
    )


def _join_name(words: list[str]) -> str:
    """Join a name without spaces: "MC CANDLESS" is "MCCANDLESS", and "45" before a kind is "45TH"."""
    name = "".join(words)
    if name.isdecimal() and len(name) <= 3:
        ending = {1: "ST", 2: "ND", 3: "RD"}.get(int(name[-1]), "TH")
        return f"{name}{'TH' if name[-2:-1] == '1' else ending}"
    return name


class StreetNames:
    """The streets of a register, found by name."""

    def __init__(self, streets: Iterable[str]) -> None:
        self._by_name: dict[str, list[Street]] = {}
        for text in streets:
            street = parse_street(text)
            self._by_name.setdefault(street.name, []).append(street)

    def find(self, text: str) -> list[tuple[Fit, Street]]:
        """Find the streets that may be meant, best first; one whose directional is the opposite is none of them."""
        wanted = parse_street(canonical_street(text.split()))
        found = [(_fit(wanted, street), street) for street in self._by_name.get(wanted.name, ())]
        if not found:
            alike = (street for name in self._alike(wanted.name) for street in self._by_name[name])
            found = [(Fit.ALIKE, street) for street in alike if _fit(wanted, street) in {Fit.SAME, Fit.FULLER}]
        kept = [(fit, street) for fit, street in found if not _is_opposite(wanted, street)]
        return sorted(kept, key=lambda pair: (pair[0], pair[1].text))

    def suggest(self, text: str, limit: int) -> list[str]:
        """Give streets that are written somewhat alike, for people to choose from."""
        wanted = parse_street(canonical_street(text.split())).name
        scored = process.extract(wanted, self._by_name.keys(), scorer=fuzz.ratio, limit=limit, score_cutoff=ALIKE)
        return [street.text for name, *_ in scored for street in self._by_name[name]][:limit]

    def _alike(self, name: str) -> list[str]:
        wrong = (len(name) >= LETTERS_FOR_ONE) + (len(name) >= LETTERS_FOR_TWO)
        if not wrong or name.startswith("ROAD"):
            return []
        scored = process.extract(name, self._by_name.keys(), scorer=OSA.distance, limit=STREETS_MAX, score_cutoff=wrong)
        digits = re.sub("[^0-9]", "", name)  # "38TH" is no misspelt "36TH"
        return [known for known, *_ in scored if re.sub("[^0-9]", "", known) == digits]


def _fit(wanted: Street, street: Street) -> Fit:
    if (wanted.kind, wanted.qualifiers) == (street.kind, street.qualifiers):
        return Fit.SAME
    is_kind = not wanted.kind or not street.kind or wanted.kind == street.kind
    return Fit.FULLER if is_kind and wanted.qualifiers <= street.qualifiers else Fit.OTHER


def _is_opposite(wanted: Street, street: Street) -> bool:
    pairs = (("N", "S"), ("E", "W"), ("NB", "SB"), ("EB", "WB"))
    both = [(wanted.qualifiers & set(pair), street.qualifiers & set(pair)) for pair in pairs]
    return any(one and other and not one & other for one, other in both)


def select_streets() -> Select[str]:
    """Select the names of all streets, by one step of the index on streets for each."""
    street = permits.c.street
    steps = select(func.min(street).label("street")).cte("steps", recursive=True)
    following = select(func.min(street)).where(street > steps.c.street).scalar_subquery()
    steps = steps.union_all(select(following).where(steps.c.street.is_not(None)))
    return select(steps.c.street).where(steps.c.street.is_not(None))


class StreetsKept:
    """The streets of one data version, read when they are first asked for."""

    def __init__(self) -> None:
        self._names: StreetNames | None = None

    async def find(self, session: AsyncSession) -> StreetNames:
        """Give the streets."""
        if self._names is None:
            self._names = StreetNames(await session.scalars(select_streets()))
        return self._names
