"""Which part of a population a permit is drawn from to be labelled: six wide nets with a core each, and the rest.

The nets owe nothing to the rules that they help to measure, and are much wider: what a rule misses has to be in one of
them to be found. A core holds the words of the subject itself; around it stands what people write in their place.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from app.permits.words import Category

MEASURED = (
    Category.SOLAR,
    Category.BATTERY,
    Category.EV_CHARGER,
    Category.GENERATOR,
    Category.POOL,
    Category.DEMOLITION,
)
REST = "rest"
NEVER = "\n"
CACHED = 100_000


class Words(NamedTuple):
    """What tells that a permit may be about something: in its description a pattern, in its classes a plain text."""

    description: re.Pattern[str]
    classes: str = NEVER

    def hold(self, description: str, classes: str) -> bool:
        """Whether they hold a permit, told in small letters."""
        return self.description.search(description) is not None or self.classes in classes


# The rarest first: a permit belongs to the first net that holds it.
CORES = {
    Category.BATTERY: Words(re.compile(r"batter[iy]|power ?wall|energy stor|\bb?ess\b|kwh|\bups\b|encharge|megapack")),
    Category.EV_CHARGER: Words(
        re.compile(
            r"\bevs?\b|\bevse|electric[a-z]* (?:veh|car|auto)|charging|charg(?:e|i)?[re]r?s?\b|chargepoint|tesla"
        )
    ),
    Category.GENERATOR: Words(re.compile(r"generat|gen-? ?set|generac|kohler")),
    Category.SOLAR: Words(re.compile(r"solar|\bsola\b|photo-? ?volt|\bpv\b")),
    Category.POOL: Words(re.compile(r"pool|\bspas?\b|hot-? ?tub|jacuzz|gunite"), classes="pool"),
    Category.DEMOLITION: Words(re.compile(r"\bdemo|raze|razing|tear(?:ing)? (?:down|out)|wreck"), classes="demol"),
}
SURROUNDINGS = {
    Category.BATTERY: Words(
        re.compile(
            r"storage sys|enphase|franklin|lithium|li-?ion|lead[- ]acid|back-? ?up|uninterrupt|\bsonnen|inverter"
            r"|\bstationary|fuel cell|\bpcs\b|critical load|microgrid|flywheel"
        )
    ),
    Category.EV_CHARGER: Words(
        re.compile(
            r"\bcars?\b|vehic|14-?50|\bev[a-z]{1,2}\b|nissan|leaf|level (?:2|ii|two)\b|receptacle.{0,30}garage"
            r"|garage.{0,40}(?:receptacle|outlet|circuit|plug|240|220)|50 ?amp"
        )
    ),
    Category.GENERATOR: Words(
        re.compile(
            r"\bgens?\b|\bgen\.|stand-?by|emergency power|transfer sw|\bats\b|cummins|caterpillar|diesel"
            r"|auxiliary power"
        )
    ),
    Category.SOLAR: Words(
        re.compile(
            r"renewable|array|micro-?inv|kw\b|sun ?power|panels? on roof|roof ?mount|photo|collector|watts?\b"
            r"|alternative energy"
        ),
        classes="auxiliary power",
    ),
    Category.POOL: Words(
        re.compile(
            r"swim|whirl|natatorium|plaster|skimmer|tubs?\b|water feature|fountain|cabana|splash|lap\b|coping|gunnite"
            r"|backwash"
        )
    ),
    Category.DEMOLITION: Words(
        re.compile(
            r"demo|remov|tear|torn|raz|dismant|strip|\bgut|relocat|\bmove|abat|burn|fire damag|haul|clear|interior fin"
        )
    ),
}


class Place(NamedTuple):
    """The one stratum of a permit (``solar``, ``solar around``, ..., ``rest``), and the categories whose net has it."""

    stratum: str
    nets: frozenset[Category]


@lru_cache(CACHED)
def find_place(description: str, classes: str) -> Place:
    """Place a permit by its description and its classes, in whatever case."""
    text, classes = description.lower(), classes.lower()
    cores = [category for category, words in CORES.items() if words.hold(text, classes)]
    around = [category for category, words in SURROUNDINGS.items() if words.hold(text, classes)]
    stratum = str(cores[0]) if cores else f"{around[0]} around" if around else REST
    return Place(stratum, frozenset((*cores, *around)))
