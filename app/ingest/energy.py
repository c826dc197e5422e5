"""The size of a photovoltaic system and of a battery, read from a permit's description with its unit."""

import re

SOLAR_KW_MIN, SOLAR_KW_MAX = 0.1, 20_000.0
NUMBER = r"(?<![\d.,])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+)"
KILOWATTS = re.compile(rf"{NUMBER}[ -]?(?:kw|kilo-?watts?)(?![ -]?h)(?:[ -]?(dc|ac))?")
WATTS = re.compile(rf"{NUMBER}[ -]?(?:w|watts?)\b")
# "18 x 440 W", "24 modules at 400W", "(20) new 395 watt solar panels".
MODULES = re.compile(
    r"(?<![\d.,])\(?(\d{1,4})\)?"
    r"(?: ?(?:x|@|-) ?| (?:new |solar |pv |roof |mounted )*(?:modules? ?|panels? ?)?(?:, |of |at |@ ?)?)"
    r"(\d{2,3}(?:\.\d)?) ?(?:w|watts?)\b"
)
SOLAR_WORD = re.compile(r"solar|photo-?voltaic|\bpv\b|array|roof")
OTHER_WORD = re.compile(
    r"batter|storage|generator|gen-?set|power ?wall|\bpw ?\d|tesla|\bess\b|\bups\b|charger|transformer"
)
BRACKETED = re.compile(r"(?:solar|\bpv\b)[^.;]{0,20}[(:]\W*$")
DIRECT = re.compile(r"(?:solar|\bpv\b)\W{0,2}$")
OLDER = re.compile(r"(?:existing|homeowner has an?|current)\W*$")

BATTERY_KWH_MIN, BATTERY_KWH_MAX = 0.5, 1_000_000.0
# Of one home battery; a figure above it is of all of them: "(2) Powerwalls, 27 kWh".
UNIT_KWH_MAX = 20.0
ENERGY = re.compile(rf"{NUMBER}[ -]?(?:(k) ?-?w-?h(?:rs?)?\b|kilo-?watt[- ]?hours?|(m)wh\b|mega-?watt[- ]?hours?)")
# What a system yields or uses in a time is no size.
RATE = re.compile(
    r" ?(?:/|per |an? |each )? ?(?:ye?a?r|month|mo\b|day|annual|of (?:annual|yearly)|production|consum|usage)"
)
YIELD = re.compile(
    r"(?:produc\w*|generat(?:e|es|ing|ion)|yield\w*|consum\w*|usage|offset\w*)(?: (?:of|about|est\w*|up to))*\W*$"
)
TOTAL = re.compile(r"[ ,(]*(?:in )?total|[ ,(]*combined")
COUNT = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
UNITS = re.compile(
    rf"(?<![\w.,])\(?(\d{{1,3}}|{'|'.join(COUNT)})\)?(?: ?[x@×] ?|,? "
    r"(?:(?:new|tesla|enphase|franklin\w*|eg4|lg|sonnen|power ?walls?(?: ?[23]\b)?|pw ?[23]?|batter(?:y|ies)|units?"
    r"|modules?|energy|storage|systems?|ess|lithium|ion|at|of|rated|@)[ ,(-]*)+)$"
)
TIMES = re.compile(r"(?: each| batter(?:y|ies)| units?)? ?[x×] ?(\d{1,3})\b")

# How far from its number the word may stand that says what the number is of, in characters.
REACH = 60


def find_solar_kw(description: str) -> float | None:
    """Give the rated power of a photovoltaic system in kW, as the description tells it; where it tells none, nothing.

    The first figure in kilowatts wins that no battery, generator or older system claims; else the watts of its modules,
    else a figure in watts too large for one module.
    """
    text = description.lower()
    for found in KILOWATTS.finditer(text):
        if _is_of_solar(text, found):
            return _bound(_number(found[1]))
    if modules := MODULES.search(text):
        return _bound(int(modules[1]) * float(modules[2]) / 1000)
    watts = [_number(found[1]) for found in WATTS.finditer(text) if _is_of_solar(text, found)]
    return _bound(next((watt / 1000 for watt in watts if watt >= 1000), 0.0))


def find_battery_kwh(description: str) -> float | None:
    """Give the capacity of the batteries in kWh, as the description tells it; where it tells none, nothing.

    A figure that is called a total wins, else the first that no older battery and no yearly yield claims, times the
    number of units where one stands at it. Kilowatts are no capacity.
    """
    text = description.lower()
    figures = [found for found in ENERGY.finditer(text) if _is_capacity(text, found)]
    for found in figures:
        if TOTAL.match(text, found.end()):
            return _bound_kwh(_kilowatt_hours(found))
    return _bound_kwh(_kilowatt_hours(figures[0]) * _count_units(text, figures[0])) if figures else None


def _is_capacity(text: str, figure: re.Match[str]) -> bool:
    before = text[max(0, figure.start() - REACH) : figure.start()]
    return not (RATE.match(text, figure.end()) or YIELD.search(before) or OLDER.search(before))


def _kilowatt_hours(figure: re.Match[str]) -> float:
    return _number(figure[1]) * (1000 if "m" in figure[0] else 1)


def _count_units(text: str, figure: re.Match[str]) -> int:
    """Give how many batteries of the figure's size there are."""
    if _kilowatt_hours(figure) > UNIT_KWH_MAX:
        return 1
    told = UNITS.search(text, max(0, figure.start() - REACH), figure.start()) or TIMES.match(text, figure.end())
    return COUNT.get(told[1]) or int(told[1]) if told else 1


def _bound_kwh(kilowatt_hours: float) -> float | None:
    return round(kilowatt_hours, 3) if BATTERY_KWH_MIN <= kilowatt_hours <= BATTERY_KWH_MAX else None


def _is_of_solar(text: str, figure: re.Match[str]) -> bool:
    """Whether the first telling word after the figure, or where there is none the last one before it, is of solar."""
    behind = text[figure.end() : figure.end() + REACH]
    before = text[max(0, figure.start() - REACH) : figure.start()]
    if OLDER.search(before):
        return False
    if BRACKETED.search(before) or (DIRECT.search(before) and not OTHER_WORD.match(behind.lstrip(" -"))):
        return True
    solar, other = SOLAR_WORD.search(behind), OTHER_WORD.search(behind)
    if solar or other:
        return solar is not None and (other is None or solar.start() < other.start())
    last = max((word.start() for word in SOLAR_WORD.finditer(before)), default=-1)
    return last > max((word.start() for word in OTHER_WORD.finditer(before)), default=-1) or not before.strip()


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _bound(kilowatts: float) -> float | None:
    return round(kilowatts, 3) if SOLAR_KW_MIN <= kilowatts <= SOLAR_KW_MAX else None
