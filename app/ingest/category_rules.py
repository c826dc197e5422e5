"""The words by which a description tells what its permit is about.

A rule first names what merely looks like its subject ("carpool", "no generator", the battery of a smoke detector), and
then the subject, in the pattern's one group. Whichever begins first consumes the words, so a look-alike never counts
and needs no second pass. Patterns meet small letters and single blanks only, begin where a word does, and are written
over several lines; where a line begins or ends with a blank of the text, it says ``[ ]``.
"""

import re
from dataclasses import dataclass

from app.permits.words import Category, PermitTypeMapped

BUILDING, ELECTRICAL = PermitTypeMapped.BUILDING, PermitTypeMapped.ELECTRICAL
MECHANICAL, PLUMBING = PermitTypeMapped.MECHANICAL, PermitTypeMapped.PLUMBING
TRADES = frozenset({ELECTRICAL, MECHANICAL, PLUMBING})
NOWHERE: frozenset[PermitTypeMapped] = frozenset()


@dataclass(frozen=True, eq=False)
class Rule:
    """When a description, in small letters, is about ``category``.

    ``hint`` is in some word of each such description: a word is looked at once, and the pattern, which is slow, is
    tried only where one hints. ``never`` are permit types that cannot be about it: all trades of a project share one
    description.
    """

    category: Category
    hint: re.Pattern[str]
    pattern: re.Pattern[str]
    never: frozenset[PermitTypeMapped]

    def holds(self, text: str) -> bool:
        """Whether a description, whatever the type, speaks of the category; a blank stands before its first word.

        A search skips to what is neither letter nor digit, which takes two thirds of the time of a search for ``\\b``.
        """
        return any(found.lastindex for found in self.pattern.finditer(text))


def _join(pattern: str) -> str:
    return "".join(line.strip() for line in pattern.splitlines())


def _rule(
    category: Category,
    hint: str,
    *,
    subject: str,
    unless: str,
    never: frozenset[PermitTypeMapped] = NOWHERE,
) -> Rule:
    pattern = re.compile(rf"[^a-z0-9](?:{_join(unless)}|({_join(subject)}))")
    return Rule(category, re.compile(hint), pattern, never)


# "no new pool", "without any generator"; the noun follows.
NOT = _join(r"""
    (?:no|not|without|w/o|except|excluding|exclude[sd]?|future)\b
    (?: (?:new|any|a|an|the|existing|for|to|of))* ?
""")
# "exist", "existing", and how haste writes it.
EXISTING = r"ex(?:ist\w*|sti?ng|s?ting|ising|iting|tng|s?t)\b"
# The first word of a description.
BEGINNING = r"(?<=^ )"
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
A_BUILDING = re.compile(rf"\b{BUILT}")
A_NEW_BUILDING = re.compile(rf"\bnew {STORIES}?{ADJECTIVES}*(?:{DWELLING}|{BUILT})")

POOL_KIND = r"(?:in[- ]?ground|swimming|commercial|public|accessory|multi-?family)"

RULES = (
    _rule(
        Category.SOLAR,
        r"solar|sola\b|soalr|solor|solay|photo|\bpv|\baux",
        unless=rf"""
            (?:solar|pv|photo-?voltaic) (?:permit|meter)
            |solar (?:(?:hot )?water|thermal|hot|domestic|pool|screen|shad|tub|light|attic|fan|film|vent|heat|htg)\w*
            |solar (?:power(?:ed)? (?:fan|vent|gate|sign|light)|ready|gate|sign|reflect)\w*
            |solarium
            |(?:remov|demo)\w*(?: (?:of|the|existing|all|roof|mounted))* solar
            |{EXISTING}(?: (?:rooftop|roof|mounted|electric\w*|elect?|power|[\d.]+ ?kw\w*))* (?:solar|pv\b)
            |{NOT}(?:solar|pv\b|photov)
        """,
        subject=rf"""
            (?:add\w*|more|extend\w*|expan\w*|replac\w*|upgrad\w*|phase \w+|install\w* (?:\d+|\(\d+\)))
            (?:(?!batter|storage|power ?wall|kwh)(?:[^.;]|\.\d)){{0,60}} {EXISTING}(?: [\w.]+){{0,3}} (?:solar|pv)\b
            |solar
            |so(?:alr|lor|lay)\b
            |sola\b
            |roof[- ]?(?:top|mount\w*)(?: [\d.]+ ?kw)? aux\w* power
            |aux\w* power (?:system )?on [^.;]{{0,20}}roof
            |photo-?voltaic
            |pv\b
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.BATTERY,
        r"batter|power|energy|kwh|\bess\b|bess\b|\bpw",
        unless=rf"""
            batter\w* (?:operated|powered|charg|plus|giant|\+|& ?bulbs|warehouse|store|co\b|smoke|carbon|disco)\w*
            |(?:interstate|auto|car|assault and|assault &) batter\w*
            |battered
            |portable (?:battery|power)
            |kwh ?(?:/|per|a) ?y
            |(?:smoke|detector|alarm|carbon|co2?\b|exit|emergency|egress|sprinkler|lights?\b)[^.;]{{0,60}}batter\w*
            |batter\w*[^.;]{{0,50}}(?:smoke|detector|alarm|carbon|exit|emergency)
            |(?:no|not|without)\b[^.;,]{{0,30}}batter\w*
            |batter\w* (?:are|is) (?:not|no)\b
            |{NOT}energy storage
        """,
        subject=r"""
            batter(?:y|ies)\b
            |energy storage
            |power ?wall
            |(?:tesla )?pw ?\d\b
            |b?ess\b
            |[\d.,]+[ -]?kwh
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.EV_CHARGER,
        r"\bev|veh|\bcars?\b|\bauto|charg|tesla",
        unless=rf"""
            (?:batter\w*|phone|forklift|fork lift|golf cart|cart|laptop|device|fire|refrigerant) charg\w*
            |{NOT}(?:ev\b|evse|electric vehicle|car charg)
            |future\b[^.;,]{{0,40}} (?:ev\b|evse|[\w/]*vehicle|car) ?(?:charg\w*)?
            |surcharge
            |recharg\w*
            |discharg\w*
        """,
        subject=r"""
            evse\b
            |ev(?:'?s)?\b
            |elec\w*\.? (?:veh\w*|cars?\b|autos?\b|auto?mobiles?)
            |charging (?:of )?(?:cars|vehicles)
            |(?:cars?|vehicles?|veh|auto|tesla) (?:wall )?(?:charg|connector)\w*
            |charging (?:stations?|stating|outlet|equipment)
            |chargers? stations?
            |(?:quick|fast|dual(?:[- ]port)?) chargers?
            |chargers?\b(?: outlet)? (?:for|to) (?:an? )?(?:elec|car|veh|tesla)\w*
            |level (?:2|3|ii|two) charg\w*
            |tesla (?:wall|charg|outlet)
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.PANEL_UPGRADE,
        r"service|panel|upgrad|breaker|amp|srv|svc|meter",
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
            (?:upgrad\w*|updat\w*|increas\w*|chang\w*|replac\w*|heavy[- ]?up)
            (?: (?:and|&|of|the|an|a|existing|exist|exsting|main|overhead|underground|o/h|u/g|res\w*|new|old
            |outside|exterior|interior|damaged|their))*
            (?: (?:to )?\d{2,4} ?(?:amps?|a)\b)? ?(?:elec\w*\.?|power|main|\d{2,4} ?amps?)
            (?: (?:main|meter|breaker|sub|and))*
            [ ](?:service|srv|svc|serv\b|panels?|sub-?panels?|breaker (?:box|panel)|load center)
            |(?:service|srv|sub-?panel|main breaker|breaker (?:box|panel)|elec\w* panel)(?: only)?
            [ ]?-?(?:upgrad\w*|upgarde|chang\w*)\b
            |(?:elec\w* service|panel|sub-?panel|breaker (?:box|panel)|meter (?:base|can|loop|socket|panel))
            [ ](?:replace\w*|swap|change-?out)\b
            |(?:upgrad\w*|chang\w*(?:[ -]out)?|replac\w*)
            (?: (?:of|the|an|a|existing|exist|exsting|out|main|\d+|outside|exterior|interior|old|damaged|to|amps?|new))*
            [ ](?:sub-?panels?|breaker (?:box|panel)|panel box|electric\w* panel|service
            |meter (?:base|can|loop|socket|panel|main))\b
            |upgrad\w* (?:service|srv)\b
            |service to \d{3} ?amp
        """,
        never=frozenset({PLUMBING, MECHANICAL}),
    ),
    _rule(
        Category.GENERATOR,
        r"gen\w*tor|generac|gen-?set|\bgen\b",
        unless=rf"""
            (?:steam|ozone|hydrogen|chlorine|salt|oxygen|nitrogen|heat|traffic|fog) (?:\w+ )?gen\w*
            |{EXISTING} (?:\w+ )?gen\w*
            |{NOT}(?:back-?up |emergency |standby )?gen(?:erator|-? ?set)
            |no(?: \w+){{1,4}} generator
            |generators? (?:proposed|by others|interlock|inlet|plug|receptacle|docking)
            |generators? (?:is|are) (?:not|no)\b
        """,
        subject=r"""
            (?:replac\w*|upgrad\w*|chang\w*(?: out)?)(?: (?:of|the|an?))* exist\w*(?: \w+)? gen\w*
            |gen(?:era|en|er|era?n)?tors?\b
            |generac\b
            |gen-? ?set\b
        """,
    ),
    _rule(
        Category.HVAC,
        r"hvac|h\.v\.a\.c|a/c|\bac\b|a\.c\.|\bair\b|condition|furn|evap|heat(?!er)|split|condens|handl|duct|ventilat|exhaust|hood"
        r"|\brtu|\broof-?(?:top|\b)|chiller|boiler|vav|cooling",
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
            |ac (?:disconnect|output|combiner|coupled|power|inverter)
            |[\d.,]*kw ?ac
            |(?:neighbor|likeli|child|parent|mother)hood
        """,
        subject=r"""
            hvac
            |h\.v\.a\.c
            |a/c\b
            |a\.c\.
            |ac\b
            |air[- ]condition\w*
            |air cond\b
            |furn[a-z]{0,2}ce
            |evap\w* coil
            |heat ?pump
            |central (?:heat|air)
            |heat(?:ing)? (?:and|&|/) ?(?:air|a/c|cool\w*)
            |heating\b
            |mini[- ]?split
            |split (?:system|unit)
            |ductless
            |condens(?:e|o)r\b
            |condensing unit
            |air handl(?:er|ing)
            |duct ?work
            |ducts?\b
            |ventilation
            |exhaust (?:fan|hood|system|duct)s?
            |vent(?:a)? ?hoods?
            |(?:kitchen|stove|type (?:1|2|i|ii)) hoods?
            |hood (?:and|&) (?:duct|exhaust)
            |rtu'?s?\b
            |roof ?top (?:hvac |a/c |ac )?units?
            |chillers?
            |boilers?
            |vav\b
            |cooling tower
        """,
        never=frozenset({PLUMBING}),
    ),
    _rule(
        Category.WATER_HEATER,
        r"water|wtr|w/h|tankless",
        unless=rf"""
            water heater (?:closet|room|enclosure|door|cabinet)
            |{NOT}(?:water heater|w/h)
        """,
        subject=r"""
            \w*water ?(?:heater|heator|heaster|htr)
            |wtr\.? ?h(?:ea)?te?rs?
            |hot water (?:heater|tank)
            |w/h\b
            |tankless
        """,
        never=frozenset({MECHANICAL}),
    ),
    _rule(
        Category.POOL,
        r"pool|spa|tub|jacuzzi|swim",
        unless=rf"""
            (?:car|whirl|liver|motor|tide|vernal|poker|billiard\w*|black|birthing|dog) ?pools?
            |pool ?(?:hall|tables?|room|bath\w*|rest ?room|amenity|house|cabana|building|bldg|side|bar|view|party)
            |pool (?:and|&) (?:cabana|billiard)
            |{NOT}(?:swimming )?(?:pool|spa)\b
            |no changes? to (?:the )?(?:existing )?(?:pool|spa)
            |(?:exist\w*|next to|near|around|along|by|from|at|behind|over|adjacent to|outside|overlooking|facing)
            (?: (?:the|a|an|existing|rear|{POOL_KIND}))* (?:pool|spa)\b
            (?! (?:resurfac|re-?plast|remod|equip|heater|light|deck))
            |(?:demo\w*|remov\w*|fill\w*(?: in)?|abandon\w*|void\w*)
            (?: (?!new\b|for\b|to\b|add|construct|build|install|repl|re-)[^ .;,]+){{0,6}}
            [ ]pools?\b(?! (?:plaster|coping|tile))
            |(?:day|med|medical|medi|nails?|nails? (?:and|&)|health|hair|pet|foot|beauty|massage|wellness|dog) spas?\b
            |(?:salon|salon (?:and|&|/)|salon/|the|facial|lash|skin|full service|laser|retail|club) spas?\b
            |spa (?:services?|salon|tubs? only|pedicure|chairs?|tenant|suite|treatment|center|lounge|facility)
            |spa\W+(?:nails|salon)
            |(?:massage|nails?|salon) ?/ ?spas?\b
            |finish[ -]*out (?:for|to create) (?:an? )?spa\b
            |spa enclosure
            |pool equip\w* enclosure
            |spa(?:ce|n|r)\w*
            |delet\w*[^.;]{{0,60}}
            |pools?(?: (?:and|&) \w+)? (?:(?:is|are) not|to be permitted|not in|by separate|under separate)
            |pool (?:deck\w*|patio|pavilion|enclosure|area|shade|fence|wall|showroom)
            |(?:(?:sides?|edge|front|rear) of|surround\w*|away from)(?: [^ .;]+){{0,3}} pool\b
        """,
        subject=rf"""
            (?:(?:re-?)?permit\w*|amnesty co|repair\w*|replac\w*|resurfac\w*|remodel\w*|re-?plaster\w*)
            (?:/\w+)?(?: (?:of|for|to|the|an?))* exist\w*(?: {POOL_KIND})* pool\b
            |(?:lines?|light\w*|heaters?|rpz|valves?|panel|pump|equipment|electric\w*|circuit)(?: only)?
            [ ](?:to|for|of)(?: the)? exist\w*(?: {POOL_KIND})* pool\b
            |pools?\b
            |spas?\b
            |hot[- ]?tubs?
            |jacuzzis?
            |swim spas?
            |private swim(?:ming)?\b
        """,
    ),
    _rule(
        Category.DEMOLITION,
        r"demo|remov|explor|wreck",
        unless=rf"""
            demonstrat\w*
            |demo(?:graphic|ck|und|crat|te|n\b)\w*
            |{NOT}(?:structural |interior )?demo\w*
            |(?:see|refer(?:ence)?(?: to)?|under|per|with|ref|on|separate|was a) (?:a |the |separate )?
            demo(?:lition)? ?(?:permit|pmt|#|bp)?
            |demo(?:lition)? (?:kitchen|station|lab|room|area for|unit|permit|pmt|theat|vehicle|cars?\b|approved|under)
            |(?:product|cooking|live) demos?\b
            |demo\w*(?: (?:and|of|the|existing|exist|a|an|remove|replace|old|previous|\d+'?|asphalt|concrete|gravel
            |sections?|portion))* (?:driveways?|sidewalks?|curb|approach\w*|d/w|flatwork|c&g)
        """,
        subject=r"""
            demo(?:'?e?d)?\b
            |demolish\w*
            |demolit\w*
            |demoing
            |wreck(?:ing)? (?:and|&|of|a|the)\b
            |remov\w*[^.]{0,80} explor\w*
            |explor\w*[^;]{0,80} remov\w*
            |remov\w*(?: (?:part|portion|all|of|the|an?|\d+|existing|attached|detached|rear|front))*
            [ ](?:carport|shed|building|structures?|deck|porch|garage|balcon(?:y|ies)|slab)\b
            (?! (?:door|window|wall|light))
        """,
        never=TRADES,
    ),
    _rule(
        Category.NEW_CONSTRUCTION,
        r"new|construct|erect|build|frm|frame",
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
            {BEGINNING}\W*(?:\*+[^*]*\*+\W*)?(?:(?:erect|build|construct(?:ion)?(?: of)?)\b )?(?:an? )?
            new(?: construction(?: of)?)?[ ,:-]+(?:an? )?{STORIES}?{ADJECTIVES}*{STORIES}?{ADJECTIVES}*
            (?:{DWELLING}|{BUILT})\b
            |new (?:sf|sfr|single[ -]family|{STORIES})[ ,-]*(?:sf|sfr|single[ -]family|frame)?[ ,-]*{DWELLING}
            |{BEGINNING}\W*(?:construct(?:ion)?(?: of)?|build|erect)\b (?:an? )?{STORIES}?{ADJECTIVES}*
            (?:{DWELLING}|{BUILT})\b
            |new (?:sf |frame )?{DWELLING}[^.]{{0,20}}(?:service|electric\w*|plumbing|plumb)\b
            |{BEGINNING}\W*{STORIES}(?:frm|frame|wd|wood|mas|conc\w*|steel|brick) ?(?:frm )?
            (?:res|residence|dwelling|duplex|bldg)
        """,
    ),
    _rule(
        Category.ADDITION,
        r"addition|addn|add'n|addtn|\badd\b",
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
            additions?\b
            |add'?n\b
            |addtn\b
            |add (?:an? |new |master |second |2nd |\d+ ?(?:sq\.? ?ft\.?|sf) )*
            (?:bed ?room|bath ?room|bath\b|bedrm|room|family room|(?:2nd|second) (?:floor|story)|square foot\w*|garage
            |sun ?room|den\b)
        """,
    ),
    _rule(
        Category.REMODEL,
        r"remod|\brem\b|renov|alter|conver|rmdl|reconfig",
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
            |rmdl\b
            |rem\b(?! (?:and|&) repl)
            |renovat\w*
            |alter(?:s|ed|ing|ation|ations)?\b
            |conver(?:t|ts|ted|ting|sion)\b
            |reconfigur\w*
        """,
    ),
    _rule(
        Category.ADU,
        r"second|2nd|accessory|\badu\b|granny|\bapt\b|apartment\b",
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
            |adu\b
            |granny flat
            |(?:second|2nd) (?:dwelling|residence|living unit|res unit|single[ -]family)
            |garage (?:apt|apartment)
        """,
    ),
    _rule(
        Category.ROOF,
        r"roof|shingle",
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
            re-? ?roof\w*
            |roofing\b
            |roof (?:cover\w*|replac\w*|repair\w*|shingle\w*|restor\w*|overlay|recover\w*)
            |(?:replac\w*|repair\w*|install\w*|new|redo|chang\w*|re-?shingle|damaged?)
            (?: (?:of|the|an?|existing|all|damaged|rotten|new|storm|fire|metal|composition|asphalt|shingle|siding
            |windows?|doors?|and|&|tpo|leaking|siding,|,|section|portion)){0,5}
            [ ](?:roof|shingles?)\b(?![- ]?(?:top|mount|deck|drain|antenna|hatch|vent|solar|unit|curb))
            |shingles?\b
        """,
        never=TRADES,
    ),
    _rule(
        Category.FOUNDATION,
        r"foundation|level|pier|slab|underpin|piling",
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
            |(?:repair\w*|(?:re-?)?level\w*|replac\w*|stabiliz\w*|underpin\w*|shor\w*|lift\w*|rebuild|reinforc\w*)
            [^.]{0,35} foundation
            |(?:re-?level\w*|level(?:ing)?)(?: up)?(?: (?:the|and|&|existing|of|exist|repair))*
            [ ](?:house|home|foundation|slab|res\w*|duplex|structure|floor)
            |(?:house|home|slab) leveling
            |underpinn?\w*
            |(?:concrete|steel|pressed) (?:pilings?|piers?) (?:to|for) (?:repair|level|stabil)
        """,
        never=TRADES,
    ),
    _rule(
        Category.DECK,
        r"deck|porch|patio|pergola|car-?port|\bport|arbor|gazebo",
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
            deck(?:s|ing)?\b
            |deckboards?
            |porch(?:es)?\b
            |patios?\b
            |pergolas?
            |car ?ports?
            |arbors?\b
            |gazebos?
        """,
        never=TRADES,
    ),
    _rule(
        Category.IRRIGATION,
        r"irrig|sprink",
        unless=rf"""
            (?:fire|life safety|overhead) sprinkler\w*
            |(?:cap\w*|remov\w*|disconnect\w*|abandon\w*|isolat\w*|exist\w*|auxiliary|aux\.?|well|rainwater|repair\w*
            |backflow|rpz|dcv|demo\w*|for)(?: (?:of|the|existing|exist|exsting|well|water|lawn|landscape|an?|for|to))*
            [ ]irrig\w*
            |irrig\w* (?:well|meter|violation|backflow|rpz|dcv|repair|only exist)
            |well\) irrig\w*
            |{NOT}irrig\w*
        """,
        subject=r"""
            irrig\w*
            |(?:lawn|yard|landscape|turf) sprink\w*
            |sprinkler system (?:for )?(?:lawn|yard)
        """,
        never=frozenset({BUILDING, ELECTRICAL, MECHANICAL}),
    ),
    _rule(
        Category.FINISH_OUT,
        r"finish|tenant|\bwhite\b",
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

# A word without it hints at nothing. Without word boundaries it holds a little more, and begins with a letter that the
# search can skip to.
ANY_HINT = re.compile("|".join(rule.hint.pattern.replace(r"\b", "") for rule in RULES))
