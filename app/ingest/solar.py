"""The size of a photovoltaic system, read from a permit's description."""

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
