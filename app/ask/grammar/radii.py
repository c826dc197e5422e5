"""How far: distances with their unit, and what makes one of them the radius that is asked for. Metres throughout."""

import re
from decimal import Decimal

from app.ask.grammar.lexicon import UNITS, forms
from app.ask.grammar.numbers import AMOUNT, parse_amount
from app.ask.grammar.text import Found, Text, rule

_METRES = {form: metres for unit, metres in UNITS["metres"].items() for form in forms(unit)}
_UNIT = rf"(?P<unit>{'|'.join(sorted(_METRES, key=len, reverse=True))})"
_NAMED = UNITS["named"]
_PARTS = {
    "half": Decimal("0.5"),
    "quarter": Decimal("0.25"),
    "three quarters": Decimal("0.75"),
    "third": Decimal(1) / 3,
}
_PART = rf"(?P<part>{'|'.join(sorted(_PARTS, key=len, reverse=True))})"
_DISTANCES = tuple(
    rule(pattern)
    for pattern in (
        rf"(?:(?P<whole>{AMOUNT}) )?(?P<top>[0-9]) / (?P<bottom>[2-9])(?: of)?(?: an?)? {_UNIT}",
        rf"(?:(?P<whole>{AMOUNT}) and )?(?:an? |one )?{_PART}(?: of)?(?: an?)? {_UNIT}",
        rf"(?:(?P<amount>{AMOUNT})|an?|(?P<couple>(?:a )?couple(?: of)?)) {_UNIT}(?P<half> and a half)?",
    )
)
_DISTANCE = "§distance"
_NAMED_DISTANCE = rule("|".join(sorted(_NAMED, key=len, reverse=True)))
_FARTHER = rule(
    r"(?<!no )(?<!not )(?:(?:more|farther|further|greater) than|over|at least|beyond|outside(?: of)?|above|>)"
    rf" (?:an? )?{_DISTANCE}"
)
_NO_FARTHER = (
    r"(?:within|inside|less than|(?:no|not) more than|no (?:farther|further) than|at most|up to|closer than|under|<)"
)
_ABOUT = r"(?:about |around |roughly |a |an |the )?"
_FROM = r"(?: (?:of|from|around|away from|distance of|away))?"
_RADIUS = rule(
    rf"{_NO_FARTHER} {_ABOUT}{_DISTANCE}(?: radius)?(?: walk)?{_FROM}"
    rf"|(?:with |in |using )?(?:a |the )?radius (?:of |is )?{_ABOUT}{_DISTANCE}{_FROM}"
    rf"|(?:in )?(?:an? |the )?{_DISTANCE} (?:radius{_FROM}|around|away from|away|from)"
)


def fold_distances(text: Text) -> None:
    """Let every distance stand as one symbol with its metres."""
    for pattern in _DISTANCES:
        text.fold(pattern, _DISTANCE, _read_distance)
    text.fold(_NAMED_DISTANCE, _DISTANCE, lambda match: float(_NAMED[match.group()]))


def find_least_distance(text: Text) -> Found | None:
    """Find a distance that permits would have to be beyond, which no circle says: "more than a mile from"."""
    return text.find(_FARTHER)


def take_radius(text: Text) -> float | None:
    """Take the first radius of the question. A least distance is left over."""
    text.set_aside(*text.find_all(_FARTHER))
    found = text.find(_RADIUS)
    if found is None:
        return None
    text.take(found)
    return next(value for value in text.values(found) if isinstance(value, float))


def _read_distance(match: re.Match[str]) -> float | None:
    """Give metres; nothing at all is no radius, and "the 1200 block" is one of a street."""
    amount = _amount(match.groupdict())
    if match["unit"] == "block" and amount >= 100:
        return None
    return float(round(amount * Decimal(str(_METRES[match["unit"]])), 3)) or None


def _amount(groups: dict[str, str | None]) -> Decimal:
    whole = groups.get("whole") or groups.get("amount")
    amount = parse_amount(whole) if whole else Decimal(0)
    if top := groups.get("top"):
        return amount + Decimal(top) / Decimal(groups["bottom"] or 1)
    if part := groups.get("part"):
        return amount + _PARTS[part]
    if groups.get("half"):
        amount += Decimal("0.5")
    if groups.get("couple"):
        return Decimal(2)
    return amount if whole else amount + 1
