"""Regions by the names that people write: with or without their kind, in any case, a letter or two amiss."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from app.permits.words import DISTRICT_KIND, ZIP_KIND

AREA_WORDS = frozenset("neighborhood neighborhoods neighbourhood neighbourhoods area district the".split())
"""What people say beside the name of a region, whatever its kind is called."""
LETTERS_FOR_ONE, LETTERS_FOR_TWO = 5, 9
"""How long a name has to be for one letter or two to be wrong in it."""
ALIKE = 75
"""Of 100, how alike a name is that may be offered, never taken."""


@dataclass(frozen=True)
class RegionName:
    """How callers name a region, and its number in the store."""

    region: int
    city: str
    kind: str
    name: str

    @property
    def id(self) -> str:
        """What ``/regions`` calls it."""
        return f"{self.city}/{self.kind}/{self.name}"

    @property
    def label(self) -> str:
        """What tells it from one of the same name and another kind; it is found by this text too."""
        return f"{self.name} ({self.kind.replace('_', ' ')})"


def form_of_region(text: str) -> str:
    """Write a name as names are compared: small letters and figures, one space between two words."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold().replace("'", "").replace("’", "")))


class RegionNames:
    """The regions of a register, found by name. ZIP areas and council districts are found by number elsewhere."""

    def __init__(self, places: Iterable[RegionName]) -> None:
        self.by_form: dict[str, tuple[RegionName, ...]] = {}
        for place in places:
            if place.kind not in {ZIP_KIND, DISTRICT_KIND}:
                name, kind = form_of_region(place.name), form_of_region(place.kind)
                for form in {name, f"{name} {kind}", f"{kind} {name}", f"{name} {kind.removesuffix('s')}"}:
                    self.by_form[form] = (*self.by_form.get(form, ()), place)

    def find(self, text: str, cities: tuple[str, ...]) -> tuple[RegionName, ...]:
        """Find the regions of exactly this name; several where kinds or cities share it."""
        form = form_of_region(text)
        bare = " ".join(word for word in form.split() if word not in AREA_WORDS)
        found = self.by_form.get(form) or self.by_form.get(bare) or ()
        return tuple(place for place in found if place.city in cities)

    def find_alike(self, text: str, cities: tuple[str, ...]) -> tuple[RegionName, ...]:
        """Find the regions whose name differs by the fewest letters, two at most."""
        form = form_of_region(text)
        form = " ".join(word for word in form.split() if word not in AREA_WORDS) or form
        wrong = (len(form) >= LETTERS_FOR_ONE) + (len(form) >= LETTERS_FOR_TWO)
        scored = process.extract(form, self.by_form.keys(), scorer=OSA.distance, score_cutoff=wrong, limit=10)
        nearest = min((distance for _, distance, _ in scored), default=0)
        found = [place for known, distance, _ in scored if distance == nearest for place in self.by_form[known]]
        return tuple(dict.fromkeys(place for place in found if wrong and place.city in cities))

    def suggest(self, text: str, cities: tuple[str, ...], limit: int) -> list[str]:
        """Give the labels of regions that are written somewhat alike, for people to choose from."""
        scored = process.extract(
            form_of_region(text), self.by_form.keys(), scorer=fuzz.ratio, score_cutoff=ALIKE, limit=4 * limit
        )
        found = [place.label for known, *_ in scored for place in self.by_form[known] if place.city in cities]
        return list(dict.fromkeys(found))[:limit]
