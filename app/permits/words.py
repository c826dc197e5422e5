"""The closed words of the register: BLDS's standardized values and this service's categories, with their definitions.

Only categories are versioned here: what one means to a caller is its definition, and how a permit gets it stands in
``ingest.categories``.
"""

from enum import StrEnum
from types import MappingProxyType

CATEGORIES_VERSION = 1


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
        Category.SOLAR: "installs, extends or replaces a photovoltaic system; solar water heating is not counted",
        Category.BATTERY: "installs a stationary battery or energy storage system",
        Category.EV_CHARGER: "installs a charger or an outlet for electric vehicles",
        Category.PANEL_UPGRADE: "upgrades or replaces an electrical service or panel",
        Category.GENERATOR: "installs or replaces a standby or emergency generator",
        Category.HVAC: "installs, replaces or repairs heating, cooling or ventilation",
        Category.WATER_HEATER: "installs or replaces a water heater",
        Category.POOL: "builds, remodels or equips a swimming pool or a spa",
        Category.DEMOLITION: "demolishes a building or a part of one, interiors included",
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
