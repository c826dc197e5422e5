"""Places that questions name, drawn from the register that is asked: the same ones each time for the same rows."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from scripts.evaluation.forms import Spot

SLOT = re.compile(r"\{([a-z]+\.\d)(?:\.([a-z]+))?\}")
SUFFIXES = {
    "ST": "Street",
    "AVE": "Avenue",
    "RD": "Road",
    "DR": "Drive",
    "LN": "Lane",
    "BLVD": "Boulevard",
    "CT": "Court",
    "CIR": "Circle",
    "TRL": "Trail",
    "CV": "Cove",
}
DIRECTIONS = frozenset("N S E W".split())
NEAR_M = 200.0
"""How far from the middle of a block or a corner the place of a plan may lie."""

ADDRESSES = """
  SELECT house_number, street, min(ST_Y(location::geometry)), min(ST_X(location::geometry))
  FROM permits p
  WHERE city = %(city)s AND removed_run IS NULL AND location IS NOT NULL
    AND original_address1 = house_number || ' ' || street
    AND street ~ '^[A-Z]{4,}( [A-Z]{3,})* (ST|AVE|RD|DR|LN|BLVD|CT|CIR|TRL|CV)$'
  GROUP BY 1, 2
  HAVING count(*) >= 2
    AND (SELECT count(DISTINCT o.location::geometry) FROM permits o
         WHERE o.city = %(city)s AND o.house_number = p.house_number AND o.street = p.street
           AND o.location IS NOT NULL AND o.removed_run IS NULL) = 1
    AND (SELECT count(DISTINCT o.street) FROM permits o
         WHERE o.city = %(city)s AND o.house_number = p.house_number
           AND o.street LIKE '%%' || regexp_replace(p.street, ' [A-Z]+$', '') || '%%') = 1
  ORDER BY md5(house_number || street) LIMIT 5
"""
"""One point each, and no other street with such a name has the number."""
TWINS = """
  SELECT a.house_number, a.core FROM (
    SELECT DISTINCT house_number, street, trim(regexp_replace(regexp_replace(street, '^[NSEW] ', ''),
      ' (ST|AVE|RD|DR|LN|BLVD|CT|CIR|TRL|CV|WAY|LOOP|PASS|PATH)$', '')) AS core
    FROM permits WHERE city = %(city)s AND location IS NOT NULL AND removed_run IS NULL
  ) AS a
  WHERE core ~ '^[A-Z]{5,}( [A-Z]+)?$' AND house_number >= 100
  GROUP BY 1, 2 HAVING count(DISTINCT street) > 1 AND NOT bool_or(street = core)
  ORDER BY md5(house_number || core) LIMIT 1
"""
BLOCKS = """
  SELECT house_number / 100 * 100, street, avg(ST_Y(location::geometry)), avg(ST_X(location::geometry))
  FROM permits
  WHERE city = %(city)s AND removed_run IS NULL AND location IS NOT NULL AND house_number >= 100
    AND street ~ '^[A-Z]{4,}( [A-Z]{3,})* (ST|AVE|RD|DR|LN|BLVD)$'
  GROUP BY 1, 2
  HAVING count(*) >= 4 AND ST_MaxDistance(ST_Collect(location::geometry), ST_Collect(location::geometry)) < 0.003
  ORDER BY md5(house_number / 100 * 100 || street) LIMIT 3
"""
CORNERS = """
  WITH big AS (
    SELECT street FROM permits
    WHERE city = %(city)s AND removed_run IS NULL AND location IS NOT NULL
      AND street ~ '^[A-Z]{4,} (ST|AVE|RD|DR|LN|BLVD)$'
    GROUP BY 1 ORDER BY count(*) DESC, street LIMIT 40
  ), stands AS (
    SELECT DISTINCT street, location FROM permits JOIN big USING (street)
    WHERE city = %(city)s AND removed_run IS NULL AND location IS NOT NULL
  )
  SELECT DISTINCT ON (a.street) a.street, b.street,
    (ST_Y(a.location::geometry) + ST_Y(b.location::geometry)) / 2,
    (ST_X(a.location::geometry) + ST_X(b.location::geometry)) / 2
  FROM stands a JOIN stands b ON a.street < b.street AND ST_DWithin(a.location, b.location, 60)
  ORDER BY a.street, ST_Distance(a.location, b.location), b.street LIMIT 2
"""


@dataclass(frozen=True)
class Slots:
    """The text of each slot in each style, and where it is."""

    texts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    spots: Mapping[str, Spot] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Write a question with its slots filled. Raises :class:`KeyError` for one that the register does not have."""
        return SLOT.sub(lambda found: self.texts[found[1], found[2] or ""], text)


def draw_slots(connection: psycopg.Connection[Any], city: str) -> Slots:
    """Draw the places that questions name from the permits of a city."""
    values = {"city": city}
    texts: dict[tuple[str, str], str] = {}
    spots: dict[str, Spot] = {}
    for number, (house, street, lat, lng) in enumerate(connection.execute(ADDRESSES, values), start=1):
        name = f"address.{number}"
        texts |= {(name, style): text for style, text in style_address(house, street)}
        spots[name] = Spot(lat, lng, 1.0)
    for number, (house, core) in enumerate(connection.execute(TWINS, values), start=1):
        texts[f"twin.{number}", ""] = f"{house} {core.title()}"
    for number, (house, street, lat, lng) in enumerate(connection.execute(BLOCKS, values), start=1):
        texts[f"block.{number}", ""] = f"{house} block of {title(street)}"
        spots[f"block.{number}"] = Spot(lat, lng, NEAR_M, said="anything")
        texts[f"street.{number}", ""] = title(street)
        spots[f"street.{number}"] = Spot(lat, lng, math.inf, said="anything")
    for number, (one, other, lat, lng) in enumerate(connection.execute(CORNERS, values), start=1):
        texts[f"corner.{number}", ""] = f"{title(one)} and {title(other)}"
        spots[f"corner.{number}"] = Spot(lat, lng, NEAR_M, said="anything")
    return Slots(texts, spots)


def style_address(house: int, street: str) -> Iterator[tuple[str, str]]:
    """Write an address as the register has it, and as people do."""
    *core, suffix = street.split()
    yield "", f"{house} {street}"
    yield "title", f"{house} {title(street)}"
    yield "long", f"{house} {' '.join(core).title()} {SUFFIXES[suffix]}"
    yield "bare", f"{house} {' '.join(core).title()}"
    longest = max(core, key=len)
    middle = len(longest) // 2
    misspelt = [word[:middle] + word[middle + 1 :] if word == longest else word for word in core]
    yield "typo", f"{house} {' '.join(misspelt).title()} {suffix.title()}"


def title(street: str) -> str:
    """Write a street in small letters with capitals."""
    return " ".join(word if word in DIRECTIONS else word.title() for word in street.split())
