"""Street addresses in one canonical form, so that "1205 Harvey Street" and "1205 HARVEY ST UNIT B" are one place."""

import re
from dataclasses import dataclass

SUFFIXES = dict(
    pair.split(":")
    for pair in (
        "ALLEY:ALY AV:AVE AVENUE:AVE AVEN:AVE BEND:BND BOULEVARD:BLVD BV:BLVD CIRCLE:CIR CIRC:CIR COURT:CT COVE:CV "
        "CROSSING:XING DRIVE:DR EXPRESSWAY:EXPY EXPWY:EXPY FREEWAY:FWY HIGHWAY:HWY HOLLOW:HOLW LANE:LN LP:LOOP "
        "PARKWAY:PKWY PLACE:PL PLAZA:PLZ POINT:PT RIDGE:RDG ROAD:RD SQUARE:SQ STREET:ST STR:ST TERRACE:TER TRACE:TRCE "
        "TRAIL:TRL TR:TRL VIEW:VW WY:WAY"
    ).split()
)
"""Spellings of street suffixes to the Postal Service's abbreviation."""
DIRECTIONS = dict(
    pair.split(":")
    for pair in (
        "NORTH:N SOUTH:S EAST:E WEST:W NORTHEAST:NE NORTHWEST:NW SOUTHEAST:SE SOUTHWEST:SW NORTHBOUND:NB SOUTHBOUND:SB "
        "EASTBOUND:EB WESTBOUND:WB"
    ).split()
)
UNIT_WORDS = frozenset("UNIT BUNIT APT APARTMENT STE SUITE BLDG BUILDING FL FLOOR RM ROOM LOT SPC TRLR".split())
FRACTION = re.compile(r"^[1-9]/[2-9]$")
NUMBER = re.compile(r"^([0-9]{1,6})[A-Z]?$")
HEADINGS = frozenset("N S E W NE NW SE SW NB SB EB WB".split())


@dataclass(frozen=True)
class Address:
    """A house number and a street in capitals, suffix and directionals abbreviated, units dropped."""

    house_number: int
    street: str

    def __str__(self) -> str:
        return f"{self.house_number} {self.street}"


def parse_address(text: str | None) -> Address | None:
    """Read an address that begins with a house number; None where it does not, or where no street follows."""
    words = re.sub(r"[.,;]", " ", (text or "").upper()).replace("#", " # ").split()
    number = NUMBER.match(words[0]) if words else None
    if number is None:
        return None
    rest = words[2:] if len(words) > 2 and FRACTION.match(words[1]) else words[1:]
    street = canonical_street(rest)
    return Address(int(number[1]), street) if street else None


def canonical_street(words: list[str]) -> str:
    """Give a street's words in canonical form, up to the first word of a unit."""
    kept: list[str] = []
    for word in words:
        # "N RM 620" is a road: a unit stands behind a name.
        if word == "#" or (word in UNIT_WORDS and not HEADINGS.issuperset(DIRECTIONS.get(one, one) for one in kept)):
            break
        kept.append(word)
    return " ".join(abbreviate(word, first=place == 0) for place, word in enumerate(kept))


def abbreviate(word: str, *, first: bool) -> str:
    """Abbreviate a directional anywhere, and a suffix where it does not begin the name ("PLACE ST", "AVENUE F")."""
    return DIRECTIONS.get(word) or (word if first else SUFFIXES.get(word, word))
