"""Where the sample's permits lie: neighbourhoods, streets, ZIP and district centres of Austin, Texas.

Well-known streets, ZIPs and districts carry their real names and lie roughly where they are, after no survey. The rest
of the streets are invented.
"""

from dataclasses import dataclass

SOUTH, NORTH, WEST, EAST = 30.10, 30.52, -97.94, -97.56  # the box that every clean point lies in, WGS 84 degrees

FULL = "AUSTIN FULL PURPOSE"
LIMITED = "AUSTIN LTD"
OUTSKIRTS = "AUSTIN 2 MILE ETJ"  # the city inspects there and no council district covers it


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A cluster of streets: ``spread_m`` is the deviation of its density, ``axis`` the way its grid runs (east, north).

    ``homes``, ``growth`` and ``commerce`` weigh how many permits for old homes, new homes and businesses fall here.
    """

    name: str
    lat: float
    lng: float
    spread_m: float
    homes: float
    growth: float
    commerce: float
    streets: int
    axis: tuple[float, float]
    jurisdiction: str = FULL


# The axes are Pythagorean, so that their length is 1 without a root.
ALONG, TILTED, STEEP, SLANTED = (1.0, 0.0), (0.96, 0.28), (0.8, 0.6), (0.96, -0.28)

NEIGHBOURHOODS = (
    Neighbourhood("DOWNTOWN", 30.2690, -97.7425, 450, 0.3, 0.2, 9.0, 14, TILTED),
    Neighbourhood("WEST CAMPUS", 30.2890, -97.7460, 500, 1.5, 0.8, 4.0, 22, TILTED),
    Neighbourhood("EAST AUSTIN", 30.2640, -97.7190, 900, 9.0, 6.0, 6.0, 64, TILTED),
    Neighbourhood("HOLLY", 30.2510, -97.7160, 700, 4.5, 2.5, 1.5, 34, TILTED),
    Neighbourhood("MUELLER", 30.2990, -97.7040, 650, 3.5, 5.0, 3.5, 46, STEEP),
    Neighbourhood("CHESTNUT", 30.2790, -97.7110, 650, 4.0, 2.5, 1.0, 34, SLANTED),
    Neighbourhood("SOUTH CONGRESS", 30.2440, -97.7480, 800, 5.5, 2.2, 5.0, 44, TILTED),
    Neighbourhood("ZILKER", 30.2540, -97.7700, 850, 5.5, 2.8, 2.5, 44, STEEP),
    Neighbourhood("SOUTH LAMAR", 30.2380, -97.7830, 900, 5.0, 2.6, 2.5, 44, STEEP),
    Neighbourhood("HYDE PARK", 30.3060, -97.7280, 800, 5.5, 1.2, 1.6, 42, TILTED),
    Neighbourhood("TARRYTOWN", 30.2980, -97.7720, 1000, 6.0, 2.0, 1.4, 48, TILTED),
    Neighbourhood("ALLANDALE", 30.3400, -97.7430, 1200, 7.5, 2.0, 2.6, 60, TILTED),
    Neighbourhood("WINDSOR PARK", 30.3140, -97.6880, 1100, 6.0, 1.8, 1.4, 52, STEEP),
    Neighbourhood("THE DOMAIN", 30.4020, -97.7250, 650, 0.8, 2.0, 8.5, 26, TILTED),
    Neighbourhood("NORTH LAMAR", 30.3640, -97.6950, 1500, 5.0, 1.4, 4.2, 60, TILTED),
    Neighbourhood("HIGHLAND", 30.3290, -97.7080, 750, 2.4, 1.2, 2.8, 32, TILTED),
    Neighbourhood("MONTOPOLIS", 30.2310, -97.7050, 1100, 3.4, 2.6, 2.4, 46, SLANTED),
    Neighbourhood("DOVE SPRINGS", 30.1880, -97.7420, 1500, 4.8, 1.4, 2.6, 60, STEEP),
    Neighbourhood("SOUTH MANCHACA", 30.2060, -97.7960, 1900, 10.5, 2.4, 3.2, 92, STEEP),
    Neighbourhood("SLAUGHTER CREEK", 30.1640, -97.8080, 1700, 6.5, 4.2, 1.8, 70, STEEP),
    Neighbourhood("CIRCLE C", 30.1900, -97.8850, 1500, 6.0, 3.0, 1.0, 60, SLANTED),
    Neighbourhood("OAK HILL", 30.2330, -97.8620, 1700, 4.2, 1.8, 2.0, 52, STEEP),
    Neighbourhood("BARTON CREEK", 30.2830, -97.8180, 1500, 2.8, 1.8, 1.2, 36, STEEP, LIMITED),
    Neighbourhood("NORTHWEST HILLS", 30.3620, -97.7620, 1500, 6.2, 1.4, 1.8, 62, STEEP),
    Neighbourhood("GREAT HILLS", 30.4080, -97.7580, 1500, 4.6, 1.2, 3.4, 50, STEEP),
    Neighbourhood("ANDERSON MILL", 30.4520, -97.7980, 1500, 4.4, 1.4, 1.6, 50, SLANTED),
    Neighbourhood("AVERY RANCH", 30.4930, -97.7720, 1000, 2.8, 2.6, 1.4, 36, SLANTED),
    Neighbourhood("RIVER PLACE", 30.3790, -97.8570, 1500, 2.2, 2.6, 0.4, 34, STEEP, OUTSKIRTS),
    Neighbourhood("WELLS BRANCH", 30.4380, -97.6920, 1400, 2.8, 1.4, 2.0, 40, STEEP),
    Neighbourhood("TECH RIDGE", 30.3990, -97.6560, 1500, 3.0, 3.6, 2.4, 44, STEEP),
    Neighbourhood("COLONY PARK", 30.3040, -97.6260, 1600, 2.6, 4.4, 1.0, 44, SLANTED),
    Neighbourhood("DEL VALLE", 30.1980, -97.6420, 1700, 1.4, 3.4, 2.4, 34, SLANTED, OUTSKIRTS),
    Neighbourhood("ONION CREEK", 30.1430, -97.7420, 1400, 2.2, 8.5, 1.2, 54, STEEP, LIMITED),
    Neighbourhood("FAR SOUTH", 30.1290, -97.8080, 1100, 1.2, 6.0, 0.6, 40, STEEP, OUTSKIRTS),
)

# Name, weight for businesses, first and last house number, and its bends from the first number on.
THOROUGHFARES: tuple[tuple[str, float, int, int, tuple[tuple[float, float], ...]], ...] = (
    ("CONGRESS AVE", 4.0, 100, 1100, ((30.2625, -97.7448), (30.2727, -97.7410))),
    (
        "S CONGRESS AVE",
        4.5,
        100,
        9600,
        ((30.2602, -97.7463), (30.2405, -97.7515), (30.2160, -97.7640), (30.1640, -97.7880)),
    ),
    (
        "N LAMAR BLVD",
        4.5,
        500,
        12500,
        ((30.2700, -97.7535), (30.3005, -97.7450), (30.3300, -97.7235), (30.3950, -97.6790)),
    ),
    ("S LAMAR BLVD", 3.5, 100, 4400, ((30.2638, -97.7565), (30.2490, -97.7690), (30.2330, -97.7920))),
    ("BURNET RD", 3.6, 4500, 12400, ((30.3120, -97.7400), (30.3560, -97.7345), (30.4060, -97.7190))),
    ("GUADALUPE ST", 2.6, 100, 5500, ((30.2640, -97.7470), (30.2960, -97.7415), (30.3170, -97.7262))),
    ("LAVACA ST", 1.2, 100, 1800, ((30.2643, -97.7461), (30.2800, -97.7402))),
    ("COLORADO ST", 1.2, 100, 1600, ((30.2637, -97.7456), (30.2775, -97.7404))),
    ("BRAZOS ST", 1.2, 100, 1600, ((30.2622, -97.7437), (30.2762, -97.7386))),
    ("TRINITY ST", 0.9, 50, 1500, ((30.2613, -97.7416), (30.2740, -97.7369))),
    ("RED RIVER ST", 1.1, 100, 4400, ((30.2606, -97.7396), (30.2850, -97.7318), (30.3050, -97.7210))),
    ("RAINEY ST", 1.0, 50, 100, ((30.2578, -97.7389), (30.2600, -97.7386))),
    ("E 6TH ST", 3.2, 100, 3000, ((30.2676, -97.7424), (30.2612, -97.7150))),
    ("W 6TH ST", 2.0, 100, 1900, ((30.2680, -97.7440), (30.2745, -97.7645))),
    ("W 5TH ST", 1.4, 100, 1800, ((30.2671, -97.7443), (30.2735, -97.7640))),
    ("E 7TH ST", 1.6, 100, 3400, ((30.2684, -97.7420), (30.2590, -97.7060))),
    ("E 11TH ST", 1.0, 100, 1300, ((30.2718, -97.7400), (30.2688, -97.7285))),
    ("E 12TH ST", 1.0, 600, 3200, ((30.2732, -97.7340), (30.2780, -97.7010))),
    ("E CESAR CHAVEZ ST", 2.2, 100, 4900, ((30.2628, -97.7432), (30.2530, -97.7030))),
    (
        "E MARTIN LUTHER KING JR BLVD",
        1.4,
        100,
        6200,
        ((30.2812, -97.7390), (30.2800, -97.7130), (30.2960, -97.6620)),
    ),
    ("MANOR RD", 1.5, 1800, 6200, ((30.2850, -97.7240), (30.2960, -97.6900), (30.3080, -97.6660))),
    ("AIRPORT BLVD", 2.0, 800, 6800, ((30.2520, -97.6950), (30.2900, -97.7040), (30.3290, -97.7150))),
    ("SPRINGDALE RD", 1.2, 300, 9000, ((30.2530, -97.7010), (30.2860, -97.6850), (30.3400, -97.6540))),
    ("ALDRICH ST", 1.1, 1800, 2400, ((30.2970, -97.7060), (30.3010, -97.7035))),
    ("MUELLER BLVD", 0.6, 1800, 4800, ((30.2935, -97.7075), (30.3055, -97.6985))),
    ("E RIVERSIDE DR", 2.0, 100, 7000, ((30.2590, -97.7445), (30.2430, -97.7240), (30.2280, -97.6880))),
    ("E OLTORF ST", 1.0, 100, 5000, ((30.2385, -97.7540), (30.2290, -97.7250), (30.2210, -97.7100))),
    ("S 1ST ST", 2.0, 100, 9400, ((30.2590, -97.7510), (30.2300, -97.7640), (30.1800, -97.7920))),
    ("BARTON SPRINGS RD", 1.2, 100, 2200, ((30.2580, -97.7470), (30.2625, -97.7690))),
    ("MENCHACA RD", 1.6, 3200, 12600, ((30.2340, -97.7870), (30.2000, -97.8140), (30.1500, -97.8340))),
    ("W WILLIAM CANNON DR", 1.4, 100, 6500, ((30.1950, -97.7770), (30.2100, -97.8180), (30.2270, -97.8600))),
    ("W SLAUGHTER LN", 1.6, 100, 7200, ((30.1700, -97.7790), (30.1840, -97.8480), (30.1990, -97.8900))),
    ("BEE CAVES RD", 1.2, 2400, 6200, ((30.2760, -97.7930), (30.2950, -97.8300))),
    ("W ANDERSON LN", 1.6, 500, 3200, ((30.3420, -97.7050), (30.3600, -97.7480))),
    ("E BRAKER LN", 1.2, 100, 2600, ((30.3800, -97.6840), (30.3640, -97.6480))),
    ("W BRAKER LN", 1.8, 100, 4600, ((30.3810, -97.6850), (30.4010, -97.7420))),
    ("RESEARCH BLVD", 3.2, 7900, 13800, ((30.3590, -97.7300), (30.3920, -97.7480), (30.4560, -97.7930))),
    ("JOLLYVILLE RD", 1.2, 10400, 13200, ((30.3960, -97.7480), (30.4460, -97.7830))),
    ("W PARMER LN", 1.8, 100, 13600, ((30.4070, -97.6690), (30.4250, -97.7130), (30.4830, -97.7770))),
    ("DOMAIN DR", 2.4, 11300, 12100, ((30.3990, -97.7250), (30.4065, -97.7235))),
    ("ROCK ROSE AVE", 1.6, 11500, 11900, ((30.4012, -97.7228), (30.4040, -97.7215))),
    ("E BEN WHITE BLVD", 1.4, 100, 4600, ((30.2245, -97.7580), (30.2170, -97.7150))),
    ("BURLESON RD", 1.2, 2200, 9000, ((30.2270, -97.7400), (30.2050, -97.6980), (30.1760, -97.6550))),
    ("FM 969 RD", 0.7, 5300, 12800, ((30.2800, -97.6800), (30.2880, -97.6300), (30.2700, -97.5800))),
)

# ZIP areas by a rough centre; a place has the ZIP whose centre is nearest.
ZIP_CENTRES = (
    ("78701", 30.2700, -97.7425),
    ("78702", 30.2680, -97.7150),
    ("78703", 30.2930, -97.7660),
    ("78704", 30.2430, -97.7660),
    ("78705", 30.2930, -97.7395),
    ("78717", 30.4910, -97.7700),
    ("78719", 30.1500, -97.6700),
    ("78721", 30.2710, -97.6860),
    ("78722", 30.2945, -97.7140),
    ("78723", 30.3040, -97.6900),
    ("78724", 30.2970, -97.6240),
    ("78725", 30.2350, -97.6080),
    ("78726", 30.4320, -97.8400),
    ("78727", 30.4270, -97.7180),
    ("78728", 30.4540, -97.6880),
    ("78729", 30.4540, -97.7580),
    ("78730", 30.3640, -97.8340),
    ("78731", 30.3470, -97.7640),
    ("78732", 30.3800, -97.8940),
    ("78733", 30.3220, -97.8740),
    ("78735", 30.2650, -97.8660),
    ("78736", 30.2460, -97.9250),
    ("78737", 30.1980, -97.9350),
    ("78739", 30.1800, -97.8900),
    ("78741", 30.2300, -97.7160),
    ("78742", 30.2430, -97.6620),
    ("78744", 30.1830, -97.7320),
    ("78745", 30.2070, -97.7960),
    ("78746", 30.2960, -97.8080),
    ("78747", 30.1300, -97.7450),
    ("78748", 30.1640, -97.8220),
    ("78749", 30.2150, -97.8570),
    ("78750", 30.4360, -97.7960),
    ("78751", 30.3110, -97.7230),
    ("78752", 30.3310, -97.7030),
    ("78753", 30.3760, -97.6740),
    ("78754", 30.3560, -97.6420),
    ("78756", 30.3220, -97.7400),
    ("78757", 30.3500, -97.7330),
    ("78758", 30.3880, -97.7070),
    ("78759", 30.4030, -97.7600),
)

DISTRICT_CENTRES = (
    ("1", 30.2950, -97.6720),
    ("2", 30.1750, -97.7330),
    ("3", 30.2470, -97.7150),
    ("4", 30.3480, -97.6950),
    ("5", 30.2150, -97.7930),
    ("6", 30.4500, -97.7900),
    ("7", 30.3850, -97.7200),
    ("8", 30.2250, -97.8700),
    ("9", 30.2780, -97.7410),
    ("10", 30.3400, -97.7720),
)

# Invented street names: one of the first with one of the second, each pair used for one street at most.
STREET_FIRST = """
AGAVE ALDER AMARANTH ARROWHEAD ASTER BADGER BASALT BLUESTEM BOBCAT BOXWOOD BRAMBLE CALICHE CARDINAL CATTAIL CEDARWING
CHERT CHICORY CLOVER COPPER COTTONTAIL CRICKET DEWBERRY DOGBANE EGRET ELMWOOD FALCON FEATHERGRASS FIREWHEEL FLINT
FOXTAIL GALENA GRACKLE GRANITE HACKBERRY HAWTHORN HERON HORSEMINT JACKRABBIT JUNIPER KESTREL LANTANA LARKSPUR LICHEN
LIMEROCK LUPINE MARIGOLD MARLSTONE MEADOWLARK MESQUITE MILKWEED MOONSEED MULBERRY NETTLE OCOTILLO OSPREY PEPPERVINE
PERSIMMON PLOVER QUARTZ SANDPIPER SOTOL SUMAC SWALLOW THISTLE TURKSCAP WIDGEON YARROW YAUPON
""".split()
STREET_SECOND = """
ARBOR BANK BEND BLUFF BRANCH BREEZE BROOK CANYON CHASE CREEK CREST CROSSING DALE DELL DRAW FARM FIELD FORD GATE GLEN
GROVE HARBOR HEARTH HILL HOLLOW KNOLL LANDING LEDGE LIGHT MEADOW MILL PASTURE POINT PRAIRIE RIDGE RUN SHADE SPRING
STONE SUMMIT TERRACE VALE VIEW WALK WELL
""".split()
STREET_SUFFIXES = ("DR", "LN", "ST", "CV", "TRL", "CIR", "WAY", "PATH", "LOOP", "AVE", "PASS", "CT")
