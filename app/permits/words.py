"""The closed words of the register: BLDS's standardized values and this service's categories, with their definitions.

Only categories are versioned here: what one means to a caller is its definition, and how a permit gets it stands in
``ingest.categories``. Whoever changes a definition, or a rule so that a real permit gets other categories, adds the
next version to :data:`CATEGORIES_VERSIONS`: what was categorized under a lower one is stale, and figures from before
and after it are not to be compared.
"""

import re
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class CategoriesVersion(NamedTuple):
    """Since when, and what became different for a permit."""

    since: date
    changed: str


CATEGORIES_VERSIONS: MappingProxyType[int, CategoriesVersion] = MappingProxyType(
    {
        1: CategoriesVersion(date(2026, 11, 24), "the first definitions and rules"),
        2: CategoriesVersion(
            date(2026, 11, 25),
            "solar, battery, ev_charger, generator, pool and demolition are defined more closely and measured;"
            " what takes a pool away is demolition and no pool; a type of demolition, pool or roof tells its category",
        ),
    }
)
CATEGORIES_VERSION = max(CATEGORIES_VERSIONS)


class Category(StrEnum):
    """What a permit is about. A permit may have several."""

    SOLAR = "solar"
    BATTERY = "battery"
    EV_CHARGER = "ev_charger"
    PANEL_UPGRADE = "panel_upgrade"
    GENERATOR = "generator"
    HVAC = "hvac"
    WATER_HEATER = "water_heater"
    POOL = "pool"
    DEMOLITION = "demolition"
    NEW_CONSTRUCTION = "new_construction"
    ADDITION = "addition"
    REMODEL = "remodel"
    ADU = "adu"
    ROOF = "roof"
    FOUNDATION = "foundation"
    DECK = "deck"
    IRRIGATION = "irrigation"
    DRIVEWAY = "driveway"
    SIGN = "sign"
    FINISH_OUT = "finish_out"


DEFINITIONS: MappingProxyType[Category, str] = MappingProxyType(
    {
        Category.SOLAR: (
            "installs, connects, extends or replaces a photovoltaic system, by a building or electrical permit;"
            " solar water heating is not counted"
        ),
        Category.BATTERY: (
            "installs a stationary battery or energy storage system, or a room for one, by a building or electrical"
            " permit; an uninterruptible power supply counts where its batteries are named"
        ),
        Category.EV_CHARGER: (
            "installs a charger, a circuit or an outlet for electric vehicles, by a building or electrical permit;"
            " what is laid for a later one is not counted"
        ),
        Category.PANEL_UPGRADE: "upgrades or replaces an electrical service or panel",
        Category.GENERATOR: (
            "installs or replaces a standby or emergency generator, its pad, enclosure, fuel line or wiring,"
            " in any trade; an inlet for a portable one is not counted"
        ),
        Category.HVAC: "installs, replaces or repairs heating, cooling or ventilation",
        Category.WATER_HEATER: "installs or replaces a water heater",
        Category.POOL: (
            "builds, remodels or equips a swimming pool or a spa, in any trade;"
            " what stands beside one or takes it away is not counted"
        ),
        Category.DEMOLITION: (
            "demolishes, by its building permit, a building, another structure or a part of one, interiors included;"
            " paving is not counted, and what a remodel replaces only where it is called demolition"
        ),
        Category.NEW_CONSTRUCTION: "erects a new building or dwelling, in any of its trades",
        Category.ADDITION: "adds floor area to an existing building",
        Category.REMODEL: "remodels, alters or renovates an existing building",
        Category.ADU: "builds or makes a second, accessory dwelling on a lot",
        Category.ROOF: "replaces or repairs a roof or its covering; that of a new building is not counted",
        Category.FOUNDATION: "repairs or levels a foundation; that of a new building is not counted",
        Category.DECK: "builds or repairs a deck, porch, patio, pergola or carport; of a new building not counted",
        Category.IRRIGATION: "installs a lawn irrigation system",
        Category.DRIVEWAY: "builds or changes a driveway, an approach or a sidewalk",
        Category.SIGN: "erects or changes a sign",
        Category.FINISH_OUT: "finishes out a shell for its first or next tenant",
    }
)


class StatusMapped(StrEnum):
    """BLDS ``StatusCurrentMapped``; "Permit Expired" is added here, since BLDS has no word for it."""

    APPLICATION_ACCEPTED = "Application Accepted"
    IN_REVIEW = "In Review"
    PERMIT_ISSUED = "Permit Issued"
    INSPECTION_PHASE = "Inspection Phase"
    PERMIT_FINALED = "Permit Finaled"
    PERMIT_CANCELLED = "Permit Cancelled"
    PERMIT_EXPIRED = "Permit Expired"


class PermitTypeMapped(StrEnum):
    """BLDS ``PermitTypeMapped``; "Driveway and Sidewalk" and "Sign" are added here."""

    BUILDING = "Building"
    DEMOLITION = "Demolition"
    ELECTRICAL = "Electrical"
    FENCE = "Fence"
    FIRE = "Fire"
    GRADING = "Grading"
    MECHANICAL = "Mechanical"
    PLUMBING = "Plumbing"
    POOL_SPA = "Pool/Spa"
    ROOF = "Roof"
    DRIVEWAY_AND_SIDEWALK = "Driveway and Sidewalk"
    SIGN = "Sign"
    OTHER = "Other"


class PermitClassMapped(StrEnum):
    """BLDS ``PermitClassMapped``."""

    RESIDENTIAL = "Residential"
    NON_RESIDENTIAL = "Non-Residential"


ZIP_KIND = "zip"
DISTRICT_KIND = "council_district"
"""The kinds of regions that tell a permit's ZIP and district where its city does not."""
DISTRICT_NUMBER = r"^[^0-9]*0*([0-9]+)(?:\.0)?$"
"""A regular expression, for Python and PostgreSQL alike."""


def read_district(word: str) -> str:
    """Give a district's one form, its number where there is one: cities write 9, 09, 9.0 and District 9."""
    numbered = re.match(DISTRICT_NUMBER, word)
    return numbered[1] if numbered else word
