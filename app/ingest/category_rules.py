"""The words by which a description tells what its permit is about.

A rule first names what merely looks like its subject ("carpool", "no generator", the battery of a smoke detector), and
then the subject, in the pattern's one group. Whichever begins first consumes the words, so a look-alike never counts
and needs no second pass. Patterns meet small letters only, and are written over several lines; where a line begins or
ends with a blank of the text, it says ``[ ]``.
"""

import re
from dataclasses import dataclass

from app.permits.words import Category, PermitTypeMapped

BUILDING, ELECTRICAL = PermitTypeMapped.BUILDING, PermitTypeMapped.ELECTRICAL
MECHANICAL, PLUMBING = PermitTypeMapped.MECHANICAL, PermitTypeMapped.PLUMBING
TRADES = frozenset({ELECTRICAL, MECHANICAL, PLUMBING})
NOWHERE: frozenset[PermitTypeMapped] = frozenset()


@dataclass(frozen=True)
class Rule:
    """When a description, in small letters, is about ``category``.

    Where none of ``stems`` is in it the pattern is not tried, for speed. ``never`` are permit types that cannot be
    about it: all trades of a project share one description.
    """

    category: Category
    stems: tuple[str, ...]
    pattern: re.Pattern[str]
    never: frozenset[PermitTypeMapped]

    def holds(self, text: str) -> bool:
        """Whether a description, whatever the type, speaks of the category."""
        for stem in self.stems:
            if stem in text:
                return any(found.lastindex for found in self.pattern.finditer(text))
        return False


def _join(pattern: str) -> str:
    return "".join(line.strip() for line in pattern.splitlines())


def _rule(
    category: Category,
    stems: tuple[str, ...],
    *,
    subject: str,
    unless: str,
    never: frozenset[PermitTypeMapped] = NOWHERE,
) -> Rule:
    return Rule(category, stems, re.compile(rf"(?:{_join(unless)})|({_join(subject)})"), never)


# "no new pool", "without any generator"; the noun follows.
NOT = _join(r"""
    \b(?:no|not|without|w/o|except|excluding|exclude[sd]?|future)\b
    (?: (?:new|any|a|an|the|existing|for|to|of))* ?
""")
STORIES = _join(r"""
    (?:(?:\d+|one|two|three|four|single|1 1/2|multi)[- ]*
    (?:st(?:o?r)?(?:y|ies|ie)?|sty|level)s?\b[ ,-]*)
""")
ADJECTIVES = _join(r"""
    (?:(?:sf|sfr|s\.f\.|single|two|multi|family|frame|wood|framed|detached|attached|private
    |commercial|comm|residential|custom|manufactured|modular|construction|shell|office|retail|apartment
    |\(\d+ ?sf\)|\d+ ?sf|of|for|a|an)[ ,-]+)
""")
DWELLING = _join(r"""
    (?:residences?|residen\w*|res\b|home\b|house\b|sfr\b|duplex|triplex|four-?plex|town-?ho(?:me|use)s?
    |apartments?\b(?! unit)|apts?\b|condo\w*|multi-?family|dwelling)
""")
BUILT = _join(r"""
    (?:building|bldg|warehouse|school|church|hotel|motel|restaurant|hospital|clinic|store\b|shell|retail|office
    |barn|shed|(?:(?:detached|(?:\d|one|two|three)[- ]?car|bay) )*garage(?! door)
    |workshop|cabana|club ?house|amenity center)
""")
A_BUILDING = re.compile(BUILT)
A_NEW_BUILDING = re.compile(rf"\bnew {STORIES}?{ADJECTIVES}*(?:{DWELLING}|{BUILT})")

RULES = (
    _rule(
        Category.SOLAR,
        ("solar", "sola ", "photo", "pv"),
        unless=rf"""
            solar (?:(?:hot )?water|thermal|hot|domestic|pool|screen|shad|tub|light|attic|fan|film|vent|heat)\w*
            |solar (?:power(?:ed)? (?:fan|vent|gate|sign|light)|ready|gate|sign|reflect)\w*
            |solarium
            |\b(?:remov|demo)\w*(?: (?:of|the|existing|all|roof|mounted))* solar
            |{NOT}(?:solar|pv\b|photov)
        """,
        subject=r"""
            \bsolar
            |\bsola\b
            |photo-?voltaic
            |\bpv\b
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.BATTERY,
        ("batter", "powerwall", "power wall", "energy storage", "kwh", " ess", "/ess", "bess"),
        unless=rf"""
            batter\w* (?:operated|powered|charg|plus|giant|\+|& ?bulbs|warehouse|store|co\b|smoke|carbon|disco)\w*
            |(?:interstate|auto|car|assault and|assault &) batter\w*
            |battered
            |(?:smoke|detector|alarm|carbon|co2?\b|exit|emergency|egress|sprinkler|lights?\b)[^.;]{{0,60}}batter\w*
            |batter\w*[^.;]{{0,50}}(?:smoke|detector|alarm|carbon|exit|emergency)
            |\b(?:no|not|without)\b[^.;,]{{0,30}}batter\w*
            |batter\w* (?:are|is) (?:not|no)\b
            |{NOT}energy storage
        """,
        subject=r"""
            \bbatter(?:y|ies)\b
            |energy storage
            |power ?wall
            |\bb?ess\b
            |\d ?kwh
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.EV_CHARGER,
        ("ev", "electric", "charg", "tesla"),
        unless=rf"""
            (?:batter\w*|phone|forklift|fork lift|golf cart|cart|laptop|device|fire|refrigerant) charg\w*
            |{NOT}(?:ev\b|evse|electric vehicle|car charg)
            |surcharge
            |recharg\w*
            |discharg\w*
        """,
        subject=r"""
            \bevse\b
            |\bev(?:'?s)?\b
            |\belec\w*\.? (?:veh\w*|cars?\b|autos?\b|auto?mobiles?)
            |charging (?:of )?(?:cars|vehicles)
            |\b(?:cars?|vehicles?|veh|auto|tesla) (?:wall )?(?:charg|connector)\w*
            |\bcharging (?:stations?|stating|outlet|equipment)
            |\bchargers?\b(?: outlet)? (?:for|to) (?:an? )?(?:elec|car|veh|tesla)\w*
            |level (?:2|3|ii|two) charg\w*
            |tesla (?:wall|charg|outlet)
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.PANEL_UPGRADE,
        ("service", "panel", "upgrad", "breaker", "amp", "srv", "meter"),
        unless=rf"""
            (?:solar|alarm|wall|control|access|siding|glass|door|ceiling|fence|antenna|roof|wood|acoustic\w*) panels?
            |(?:fabric|wainscot|pv|transfer) panels?
            |(?:water|gas|food|financial|personal|medical|hospital|tele\w+|sewer|customer|admin\w*|health) services?
            |(?:social|human|convalescent|theater|transportation) services?
            |food ?service
            |services? (?:station|area|yard|entr|bar|counter|window|elevator|drive|door|sink|only)
            |energy upgrade
            |{NOT}(?:service|panel) (?:upgrade|change)
            |(?:water|gas) meter
        """,
        subject=r"""
            \b(?:upgrad\w*|updat\w*|increas\w*|chang\w*|replac\w*|heavy[- ]?up)
            (?: (?:and|&|of|the|an|a|existing|exist|exsting|main|overhead|underground|o/h|u/g|res\w*|new|old
            |outside|exterior|interior|damaged|their))*
            (?: (?:to )?\d{2,4} ?(?:amps?|a)\b)? ?(?:elec\w*\.?|power|main|\d{2,4} ?amps?)
            (?: (?:main|meter|breaker|sub|and))*
            [ ](?:service|srv|svc|serv\b|panels?|sub-?panels?|breaker (?:box|panel)|load center)
            |\b(?:service|srv|sub-?panel|main breaker|breaker (?:box|panel)|elec\w* panel)(?: only)?
            [ ]?-?(?:upgrad\w*|upgarde|chang\w*)\b
            |\b(?:elec\w* service|panel|sub-?panel|breaker (?:box|panel)|meter (?:base|can|loop|socket|panel))
            [ ](?:replace\w*|swap|change-?out)\b
            |\b(?:upgrad\w*|chang\w*(?:[ -]out)?|replac\w*)
            (?: (?:of|the|an|a|existing|exist|exsting|out|main|\d+|outside|exterior|interior|old|damaged|to|amps?|new))*
            [ ](?:sub-?panels?|breaker (?:box|panel)|panel box|electric\w* panel|service
            |meter (?:base|can|loop|socket|panel|main))\b
            |\bupgrad\w* (?:service|srv)\b
            |\bservice to \d{3} ?amp
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.GENERATOR,
        ("generator", "genset", "gen set", "gen-set"),
        unless=rf"""
            (?:steam|ozone|hydrogen|chlorine|salt|oxygen|nitrogen|heat|existing|exist|traffic|fog) (?:\w+ )?gen\w*
            |{NOT}(?:back-?up |emergency |standby )?gen(?:erator|-? ?set)
            |\bno(?: \w+){{1,4}} generator
            |convert existing generator
            |generator (?:proposed|by others|interlock)
        """,
        subject=r"""
            \b(?:replac\w*|upgrad\w*|chang\w*(?: out)?)(?: (?:of|the|an?))* exist\w*(?: \w+)? gen\w*
            |\bgenerators?\b
            |\bgen-? ?set\b
        """,
    ),
    _rule(
        Category.HVAC,
        (
            *("hvac", "h.v.a.c", "a/c", "ac ", " ac", "a.c.", "condition", "furn", "evap", "heat", "split", "condens"),
            *("handler", "duct", "ventilat", "exhaust", "hood", "rtu", "roof top", "rooftop", "chiller", "boiler"),
            *("vav", "cooling", "air cond"),
        ),
        unless=rf"""
            heat(?:er|ed|ing)? (?:exchanger )?(?:for )?(?:water|pool)
            |water heat\w*
            |pool heat\w*
            |heat (?:trace|tape|lamp|damage|detector)\w*
            |{NOT}(?:hvac|a/c|ac\b|hood|heat|duct)
            |(?:non-?|un-?)condition\w*
            |condition(?:s|ed|al)\b(?! unit)
            |air-?conditioned (?:space|area)
            |\d ?ac\b
            |ac(?:re)?s\b
            |hvac (?:to )?remains?
            |duct ?bank
            |(?:con|pro)duct\w*
            |heat(?:ed)? (?:and|&) cool(?:ed)? (?:space|area)
            |heated (?:space|area|floor)
            |smoke exhaust
            |ac (?:disconnect|output|combiner|coupled|power)
            |kw ?ac
            |(?:neighbor|likeli|child|parent|mother)hood
        """,
        subject=r"""
            \bhvac
            |h\.v\.a\.c
            |\ba/c\b
            |\ba\.c\.
            |\bac\b
            |air[- ]condition\w*
            |\bair cond\b
            |furn[a-z]{0,2}ce
            |evap\w* coil
            |heat ?pump
            |central (?:heat|air)
            |heat(?:ing)? (?:and|&|/) ?(?:air|a/c|cool\w*)
            |\bheating\b
            |mini[- ]?split
            |split (?:system|unit)
            |ductless
            |condens(?:e|o)r\b
            |condensing unit
            |air handl(?:er|ing)
            |duct ?work
            |\bducts?\b
            |ventilation
            |exhaust (?:fan|hood|system|duct)s?
            |vent(?:a)? ?hoods?
            |(?:kitchen|stove|type (?:1|2|i|ii)) hoods?
            |hood (?:and|&) (?:duct|exhaust)
            |\brtu'?s?\b
            |roof ?top (?:hvac |a/c |ac )?units?
            |chillers?
            |boilers?
            |\bvav\b
            |cooling tower
        """,
        never=frozenset({PLUMBING}),
    ),
    _rule(
        Category.WATER_HEATER,
        ("water", "wtr", "w/h", "tankless"),
        unless=rf"""
            water heater (?:closet|room|enclosure|door|cabinet)
            |{NOT}(?:water heater|w/h)
        """,
        subject=r"""
            water ?(?:heater|heator|heaster|htr)
            |wtr\.? ?h(?:ea)?te?rs?
            |hot water (?:heater|tank)
            |\bw/h\b
            |tankless
        """,
        never=frozenset({MECHANICAL}),
    ),
    _rule(
        Category.POOL,
        ("pool", "spa", "hot tub", "hottub", "jacuzzi"),
        unless=rf"""
            (?:car|whirl|liver|motor|tide|vernal|poker|billiard\w*|black|birthing|dog) ?pools?
            |pool ?(?:hall|tables?|room|bath\w*|rest ?room|amenity|house|cabana|building|bldg|side|bar|view|party)
            |pool (?:and|&) (?:cabana|billiard)
            |{NOT}(?:swimming )?(?:pool|spa)\b
            |(?:exist\w*|next to|near|around|along|by|from|at|behind|over|adjacent to|outside|overlooking|facing)
            (?: (?:the|a|an|existing|in-?ground|inground|swimming|rear))* (?:pool|spa)\b
            (?! (?:resurfac|re-?plast|remod|equip|heater|light|deck))
            |(?:demo\w*|remov\w*|fill\w*(?: in)?|abandon\w*|void\w*)
            (?: (?:of|the|existing|an?|in-?ground|inground|swimming|rear|yard|expired))* pools?
            |(?:day|med|medical|medi|nails?|nails? (?:and|&)|health|hair|pet|foot|beauty|massage|wellness|dog) spas?\b
            |(?:salon|salon (?:and|&|/)|salon/|the|facial|lash|skin|full service|laser|retail|club) spas?\b
            |spa (?:services?|salon|tubs? only|pedicure|chairs?|tenant|suite|treatment|center|lounge|facility)
            |\bspa\W+(?:nails|salon)
            |spa(?:ce|n|r)\w*
        """,
        subject=r"""
            \b(?:permit\w*|repair\w*|replac\w*|resurfac\w*|remodel\w*|re-?plaster\w*)
            (?:/\w+)?(?: (?:of|the|an?))* exist\w*(?: (?:in-?ground|inground|swimming))* pool\b
            |\bpools?\b
            |\bspas?\b
            |hot ?tubs?
            |jacuzzis?
        """,
    ),
    _rule(
        Category.DEMOLITION,
        ("demo",),
        unless=rf"""
            demonstrat\w*
            |demo(?:graphic|ck|und|crat|te|n\b)\w*
            |{NOT}(?:structural |interior )?demo\w*
            |(?:see|refer(?:ence)?(?: to)?|under|per|with|ref|on|separate|was a) (?:a |the |separate )?
            demo(?:lition)? ?(?:permit|pmt|#|bp)?
            |demo(?:lition)? (?:kitchen|station|lab|room|area for|unit|permit|pmt|theat|vehicle|cars?\b|approved|under)
            |(?:product|cooking|live) demos?\b
            |demo\w*(?: (?:and|of|the|existing|exist|a|an|remove|replace|old|previous|\d+'?|asphalt|concrete|gravel
            |sections?|portion))* (?:driveways?|sidewalks?|curb|approach\w*|d/w|flatwork|pool|swimming pool|c&g)
        """,
        subject=r"""
            \bdemo(?:'?e?d)?\b
            |demolish\w*
            |demolit\w*
            |demoing
        """,
        never=TRADES,
    ),
    _rule(
        Category.NEW_CONSTRUCTION,
        ("new", "construct", "erect", "build", "frm", "frame"),
        unless=rf"""
            (?:to|of|for|at|on|in|serv\w*|from|with|w/)(?: (?:a|an|the|existing))*
            [ ]new {STORIES}?{ADJECTIVES}*(?:{DWELLING}|{BUILT})
            |new (?:service|construction) (?:to|for|of) (?:a )?new
            |new home ?(?:builder|owner)
            |new (?:office|retail|restaurant|store|apartment|hotel)
            [ ](?:space|tenant|front|sign|room|area|unit|use|suite|equip|kitchen|door|wall)\w*
            |new (?:house|res\w*|home|bldg|building|garage|office|shed|residential)
            [ ](?:drain|sewer|water|line|sign|door|panel|meter|number|service|yard|trap|electric|gas|wir|address|system
            |light|roof|standard|owner|hvac|a/c|elec|equip|entr|wall|paint|addition)\w*
        """,
        subject=rf"""
            ^\W*(?:\*+[^*]*\*+\W*)?(?:(?:erect|build|construct(?:ion)?(?: of)?)\b )?(?:an? )?
            new(?: construction(?: of)?)?[ ,:-]+(?:an? )?{STORIES}?{ADJECTIVES}*{STORIES}?{ADJECTIVES}*
            (?:{DWELLING}|{BUILT})\b
            |\bnew (?:sf|sfr|single[ -]family|{STORIES})[ ,-]*(?:sf|sfr|single[ -]family|frame)?[ ,-]*{DWELLING}
            |^\W*(?:construct(?:ion)?(?: of)?|build|erect)\b (?:an? )?{STORIES}?{ADJECTIVES}*(?:{DWELLING}|{BUILT})\b
            |\bnew (?:sf |frame )?{DWELLING}[^.]{{0,20}}(?:service|electric\w*|plumbing|plumb)\b
            |^\W*{STORIES}(?:frm|frame|wd|wood|mas|conc\w*|steel|brick) ?(?:frm )?(?:res|residence|dwelling|duplex|bldg)
        """,
    ),
    _rule(
        Category.ADDITION,
        ("addition", "addn", "add'n", "add "),
        unless=rf"""
            in addition
            |additional\w*
            |additions? (?:of|to) (?:a |the |an )?(?:plug|outlet|circuit|light|generator|panel|hvac|a/c|solar)\w*
            |additions? (?:of|to) (?:a |the |an )?electric\w*
            |additions? (?:of|to) (?:a |the |an )?(?:gas|fixture|antenna|sign|sink|fence|wall|door|window|deck|pool)\w*
            |additions? (?:of|to) (?:a |the |an )?(?:spa|insulation|sprinkler|storage tank|hood|equipment)\w*
            |additions? (?:of|to) (?:\d+ )?(?:new )?(?:parking|circuits|outlets|receptacles|lights)
            |{NOT}addition
            |additions? permit
        """,
        subject=r"""
            \badditions?\b
            |\badd'?n\b
            |\baddtn\b
            |\badd (?:an? |new |master |second |2nd |\d+ ?(?:sq\.? ?ft\.?|sf) )*
            (?:bed ?room|bath ?room|bath\b|bedrm|room|family room|(?:2nd|second) (?:floor|story)|square foot\w*|garage
            |sun ?room|den\b)
        """,
    ),
    _rule(
        Category.REMODEL,
        ("remod", "rem ", "renov", "alter", "conver", "rmdl", "reconfig"),
        unless=rf"""
            alternat\w*
            |(?:dress|clothing) alteration
            |alteration shop
            |converter
            |{NOT}(?:remodel|renovat|alter|conver)\w*
            |convert (?:from )?(?:overhead|o/h|oh|septic|gas|electric|single phase|temp)
            |conversion (?:from|of) (?:overhead|o/h|septic|temp)
            |rem exist sign
        """,
        subject=r"""
            remod\w*
            |\brmdl\b
            |\brem\b(?! (?:and|&) repl)
            |renovat\w*
            |\balter(?:s|ed|ing|ation|ations)?\b
            |\bconver(?:t|ts|ted|ting|sion)\b
            |reconfigur\w*
        """,
    ),
    _rule(
        Category.ADU,
        ("second", "2nd", "accessory", "adu", "granny", "garage ap"),
        unless=rf"""
            {NOT}(?:secondary|second|accessory) (?:apartment|dwelling|unit)
            |not (?:to be )?(?:used|utilized)[^.]{{0,30}}dwelling
            |secondary (?:school|education|roof|drain|electric|pan|power|contain|structure|feeder)
            |second(?:ary)? unit of duplex
            |accessory apartment building
            |(?:with|and|w/) (?:an )?existing (?:garage|secondary|accessory) (?:apt|apartment|dwelling)
        """,
        subject=r"""
            secondary (?:apartments?|apts?|dwelling|residence|unit|living)
            |accessory (?:apartment|dwelling|apt)
            |\badu\b
            |granny flat
            |(?:second|2nd) (?:dwelling|residence|living unit|res unit|single[ -]family)
            |garage (?:apt|apartment)
        """,
    ),
    _rule(
        Category.ROOF,
        ("roof", "shingle"),
        unless=rf"""
            roof ?-?top
            |roof(?:ed)? (?:mount|deck for|terrace|garden|patio|access|hatch|drain|antenna|equipment|over(?:hang)?)\w*
            |roof (?:sign|a/c|hvac|line|pitch|height|unit|solar|screen|joist|truss|level|penetration|conduit|curb)\w*
            |exist\w* roof
            |proof\w*
            |{NOT}(?:re-?roof|roof)
            |(?:flat|metal|gable|hip|shed|porch|carport|patio|pitched|under|covered|tile|standing seam) roof
            (?! (?:repl|repair))
            |(?:on|from|onto|of|above|below|through|thru|to) roof(?! (?:repl|repair))
            |roof (?:for|of) (?:new )?(?:addition|porch|patio|garage)
            |raise roof
            |demo\w*[^.]{{0,30}} roof
        """,
        subject=r"""
            \bre-? ?roof\w*
            |\broofing\b
            |roof (?:cover\w*|replac\w*|repair\w*|shingle\w*|restor\w*|overlay|recover\w*)
            |\b(?:replac\w*|repair\w*|install\w*|new|redo|chang\w*|re-?shingle|damaged?)
            (?: (?:of|the|an?|existing|all|damaged|rotten|new|storm|fire|metal|composition|asphalt|shingle|siding
            |windows?|doors?|and|&|tpo|leaking|siding,|,|section|portion)){0,5}
            [ ](?:roof|shingles?)\b(?![- ]?(?:top|mount|deck|drain|antenna|hatch|vent|solar|unit|curb))
            |shingles?\b
        """,
        never=TRADES,
    ),
    _rule(
        Category.FOUNDATION,
        ("foundation", "level", "pier", "slab", "underpin", "piling"),
        unless=rf"""
            foundation (?:only|for|communities|school|(?:and|&) roof)
            |(?:tunnel|under|through|beneath)\w*(?: \w+){{0,3}} foundation
            |levels? (?:\d|one|two|[ivx]+\b)
            |{NOT}foundation
            |(?:new|on|existing) foundation(?! repair)
            |level (?:floor|ground)
            |(?:split|multi)-? ?level
            |new piers? (?:and|&) beam (?:house|home|res)
        """,
        subject=r"""
            foundation (?:repair|level|stabil|lift|replac|rehab|work)\w*
            |foundation (?:and|&) (?:\w+ ){0,2}(?:repair|replac)\w*
            |\b(?:repair\w*|(?:re-?)?level\w*|replac\w*|stabiliz\w*|underpin\w*|shor\w*|lift\w*|rebuild|reinforc\w*)
            [^.]{0,35} foundation
            |\b(?:re-?level\w*|level(?:ing)?)(?: up)?(?: (?:the|and|&|existing|of|exist|repair))*
            [ ](?:house|home|foundation|slab|res\w*|duplex|structure|floor)
            |(?:house|home|slab) leveling
            |underpinn?\w*
            |(?:concrete|steel|pressed) (?:pilings?|piers?) (?:to|for) (?:repair|level|stabil)
        """,
        never=TRADES,
    ),
    _rule(
        Category.DECK,
        ("deck", "porch", "patio", "pergola", "carport", "car port", "arbor", "gazebo"),
        unless=rf"""
            (?:roof|metal|pool|parking|open|bridge|mechanical|floor|dance|loading|amenity) ?deck\w*
            |deck(?:ing)? (?:over|for) (?:roof|pool)
            |exist\w*(?: (?:rear|front|side|back|covered|uncovered|attached|wood|concrete|screened|screen|detached))*
            [ ](?:deck|porch|patio|carport|car port|pergola|gazebo|arbor)\w*
            |(?:enclos\w*|convert\w*|conversion of|demo\w*|remov\w*)
            (?: (?:of|the|an?|existing|exist|rear|front|side|back|covered|attached|wood|concrete|screened|screen
            |detached|in|part|portion|and|&))* (?:deck|porch|patio|carport|car port)\w*
            |(?:deck|porch|patio|carport|car port)s? (?:enclos|conver|light|fan|door|furniture|home)\w*
            |{NOT}(?:deck|porch|patio|carport|pergola|arbor|gazebo)\w*
            |temporary (?:\w+ )?(?:deck|stage|porch|patio)\w*
            |deck (?:parking|the halls)
            |arbor (?:day|trail|walk|creek|glen)
            |ann arbor
        """,
        subject=r"""
            \bdeck(?:s|ing)?\b
            |deckboards?
            |\bporch(?:es)?\b
            |\bpatios?\b
            |pergolas?
            |car ?ports?
            |\barbors?\b
            |gazebos?
        """,
        never=TRADES,
    ),
    _rule(
        Category.IRRIGATION,
        ("irrig", "sprink"),
        unless=rf"""
            (?:fire|life safety|overhead) sprinkler\w*
            |(?:cap\w*|remov\w*|disconnect\w*|abandon\w*|isolat\w*|exist\w*|auxiliary|aux\.?|well|rainwater|repair\w*
            |backflow|rpz|dcv|demo\w*|for)(?: (?:of|the|existing|exist|exsting|well|water|lawn|landscape|an?|for|to))*
            [ ]irrig\w*
            |irrig\w* (?:well|meter|violation|backflow|rpz|dcv|repair|only exist)
            |\(well\) irrig\w*
            |{NOT}irrig\w*
        """,
        subject=r"""
            \birrig\w*
            |(?:lawn|yard|landscape|turf) sprink\w*
            |sprinkler system (?:for )?(?:lawn|yard)
        """,
        never=frozenset({BUILDING, ELECTRICAL, MECHANICAL}),
    ),
    _rule(
        Category.FINISH_OUT,
        ("finish", "tenant", "white box"),
        unless=rf"""
            finish(?:ed)? (?:basement|floor|grade|work)
            |{NOT}(?:finish|tenant)
            |tenant (?:space|parking|sign|panel|occup)\w*
        """,
        subject=r"""
            finish[ -]{1,3}out
            |finishout
            |tenant (?:improvement|finish|build)
            |finish to create
            |white box
        """,
    ),
)
