"""The real permits that categories are measured on: Austin's older report, and recent leads made from its portal.

Nothing is read but number, class, work class and description: the other columns hold persons.
"""

import csv
import gzip
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.ingest.categories import Subject
from app.ingest.masking import mask_contacts
from app.permits.words import PermitTypeMapped
from scripts.labelling.nets import CORES, REST, SURROUNDINGS, Place, find_place

TYPES = {
    "BP": PermitTypeMapped.BUILDING,
    "EP": PermitTypeMapped.ELECTRICAL,
    "MP": PermitTypeMapped.MECHANICAL,
    "PP": PermitTypeMapped.PLUMBING,
    "DS": PermitTypeMapped.DRIVEWAY_AND_SIDEWALK,
}
# By population: the files, and the columns of class, work class and description; the leads have neither class.
POPULATIONS = {
    "report": ("oss_permit_report_*.csv.gz", "sub_type", "work_type", "work_description"),
    "leads": ("derived_leads_2025-12-09.csv.gz", None, None, "description"),
}

# How many of a stratum were drawn, by draw and population. Each draw was labelled before its errors were looked at, and
# rules were changed between draws: a later one judges what was learned from the earlier. Small strata were labelled
# whole.
WHOLE = 1_000
DRAWS: dict[str, dict[str, dict[str, int]]] = {
    "first": {
        "report": {
            **dict.fromkeys(CORES, 120),
            **{f"{category} around": 40 for category in SURROUNDINGS},
            "battery": WHOLE,
            "ev_charger around": 60,
            "pool around": 60,
            "demolition around": 100,
            REST: 400,
        },
        "leads": {
            **dict.fromkeys(CORES, WHOLE),
            **{f"{category} around": 20 for category in SURROUNDINGS},
            "pool": 60,
            "demolition": 60,
            REST: 100,
        },
    },
    "second": {
        "report": {
            "solar": 60,
            "ev_charger": 60,
            "generator": 60,
            "pool": 100,
            "demolition": 100,
            "ev_charger around": 60,
            "pool around": 60,
            "demolition around": 100,
            REST: 100,
        },
        "leads": {
            "pool": 60,
            "demolition": 60,
            "ev_charger around": 20,
            "pool around": 20,
            "demolition around": 40,
            REST: 100,
        },
    },
    "third": {
        "report": {"pool": 120, "demolition around": 100},
        "leads": {"pool": WHOLE},
    },
    "fourth": {
        "report": {
            "pool": 150,
            "battery around": WHOLE,
            "generator around": WHOLE,
            "solar around": WHOLE,
            "demolition around": 100,
        },
        "leads": {},
    },
}
SEEDS = {"first": 2026, "second": 2027, "third": 2028, "fourth": 2029}

Permits = dict[str, Subject]
Strata = dict[str, list[str]]


def read_population(austin: Path, population: str) -> Permits:
    """Give the permits of a population by number, each once: in the first of its rows. ``austin`` holds the files."""
    permits: Permits = {}
    pattern, *columns = POPULATIONS[population]
    for path in sorted(austin.glob(pattern or "")):
        for number, *texts in _read_columns(path, ["permit_number", *columns]):
            if number not in permits:
                permits[number] = _describe(number, *texts)
    return permits


def _read_columns(path: Path, columns: list[str | None]) -> Iterator[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        header = next(rows)
        places = [header.index(column) if column else None for column in columns]
        for row in rows:
            yield [" ".join(row[place].split()) if place is not None else "" for place in places]


def _describe(number: str, permit_class: str, work_class: str, description: str) -> Subject:
    text = mask_contacts(description.replace("\\'", "'"))
    return Subject(text, TYPES[number[-2:]], permit_class, work_class)


def place_permits(permits: Permits) -> dict[str, Place]:
    """Give the place of each permit, in the order of their numbers."""
    return {
        number: find_place(permits[number].description, f"{permits[number].permit_class} {permits[number].work_class}")
        for number in sorted(permits)
    }


def stratify(places: Mapping[str, Place]) -> Strata:
    """Give the permit numbers of each stratum, in their order."""
    strata: Strata = defaultdict(list)
    for number, place in places.items():
        strata[place.stratum].append(number)
    return strata


def draw(strata: Strata, population: str) -> Iterator[tuple[str, str, str]]:
    """Give draw, stratum and number of each permit to label, the same whenever it is called; none is drawn twice."""
    drawn: set[str] = set()
    for name, populations in DRAWS.items():
        for stratum, size in sorted(populations[population].items()):
            numbers = [number for number in strata.get(stratum, []) if number not in drawn]
            chosen = random.Random(f"{SEEDS[name]} {stratum}").sample(numbers, min(len(numbers), size))
            drawn.update(chosen)
            for number in sorted(chosen):
                yield name, stratum, number
