"""How much: amounts of US dollars and the bounds they make.

Filters are inclusive, so "over $50,000" begins a cent above it.
"""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal

from app.ask.grammar.lexicon import UNITS
from app.ask.grammar.numbers import AMOUNT, parse_amount
from app.ask.grammar.text import Found, Text, rule
from app.permits.filters import VALUE_MAX_USD

Bounds = tuple[Decimal | None, Decimal | None]

_SCALES = {name: Decimal(int(scale)) for name, scale in UNITS["money"].items()}
_SCALE = rf"(?P<scale>{'|'.join(sorted(_SCALES, key=len, reverse=True))})"
# These mean money without a dollar sign too.
_SURE_SCALE = r"(?P<scale>k|grand|thousand|mil|million|bn|billion)"
_DOLLARS = r"(?:us dollars|dollars?|usd|bucks)"
_FIGURE = rf"(?P<figure>{AMOUNT})"
_FIGURE_OR_ONE = rf"(?:{_FIGURE}|(?P<part>half an?|(?:a |one )?quarter(?: of)?(?: an?)?)|an?)"
_MONEY = "§money"
# Without a dollar sign a large number of things is not an amount ("more than 2 thousand permits").
_THINGS = "permits?|projects?|pools?|people|homes?|houses?|jobs?|times|sq|square|sqft|feet|ft|miles?|kw"
_NO_THINGS = rf"(?! (?:[^ ]+ )?(?:{_THINGS})(?![^ ]))"
_AMOUNTS = tuple(
    rule(pattern)
    for pattern in (
        # "Between 1 and 2 million": what scales the second number scales the first.
        rf"(?:(?<=between )|(?<=from )|\$ ){_FIGURE}(?= (?:and|to|-) (?:\$ )?(?P<high>{AMOUNT}) {_SCALE}(?![^ ]))",
        rf"\$ {_FIGURE}(?: {_SCALE})?(?: {_DOLLARS})?",
        rf"{_FIGURE_OR_ONE}(?: {_SCALE})? {_DOLLARS}",
        rf"{_FIGURE_OR_ONE} {_SURE_SCALE}{_NO_THINGS}",
    )
)
_VALUED = (
    r"(?:(?:with |of |whose |and |have |has |had |having )?(?:an? |the )?(?:total |estimated |declared |project |job )?"
    r"(?:value|values|valued|valuation|worth|cost|costs|costing|priced)"
    r"(?: is| was| of| at| lies| lay| ranges| ranging| falls)? )"
)
_SIMPLE = r"(?<!no )(?<!not )"
_ABOVE = (
    rf"over|above|north of|exceed(?:s|ed)?|topped|surpass(?:es|ed)?|{_SIMPLE}more than|greater than|(?<!not )exceeding"
    r"|in excess of|>"
)
_BELOW = rf"under|below|south of|{_SIMPLE}less than|lower than|cheaper than|<"
_LOW = (
    rf"(?:(?P<strict>{_ABOVE})|at least|no less than|not less than|upwards? of|minimum(?: of)?|min|starting at"
    r"|no lower than)"
)
_HIGH = rf"(?:(?P<strict>{_BELOW})|at most|no more than|not more than|not exceeding|up to|maximum(?: of)?|max)"
_OR_MORE = r"(?:(?:or|and) (?:more|above|over|up|higher|greater)|plus|\+)"
_OR_LESS = r"(?:or|and) (?:less|under|below|lower)"
_END = rf"(?:{_MONEY}|[0-9]{{4,12}})"
_RANGE = rule(rf"{_VALUED}?(?:(?:between|from) {_END} (?:and|to|-) {_END}|{_MONEY} (?:to|-) {_MONEY})")
_AT_LEAST = (
    rule(rf"{_VALUED}?(?:{_LOW} {_MONEY}|{_MONEY} {_OR_MORE})"),
    rule(rf"{_VALUED}{_LOW} {_FIGURE}(?: {_SCALE})?"),
)
_AT_MOST = (
    rule(rf"{_VALUED}?(?:{_HIGH} {_MONEY}|{_MONEY} {_OR_LESS})"),
    rule(rf"{_VALUED}{_HIGH} {_FIGURE}(?: {_SCALE})?"),
)
_EXACT = rule(rf"{_VALUED}?(?:at )?(?:exactly|precisely) {_MONEY}")
_UNHELD = rule(rf"(?:{_ABOVE}|{_BELOW}|at least|at most) {_MONEY}")
_CENT = Decimal("0.01")


def take_value_bounds(text: Text) -> Bounds:
    """Take the least and the greatest value, in US dollars, that the question names."""
    for pattern in _AMOUNTS:
        text.fold(pattern, _MONEY, _read_amount)
    if (bounds := _take_range(text) or _take_exact(text)) is not None:
        return bounds
    low = _take_bound(text, _AT_LEAST, _CENT, lambda amount: amount <= VALUE_MAX_USD)
    high = _take_bound(text, _AT_MOST, -_CENT, lambda amount: amount >= (low or 0))
    return low, high


def find_unheld_bound(text: Text) -> Found | None:
    """Find a bound that was not taken, since no permit could keep it ("less than $0")."""
    return text.find(_UNHELD)


def _read_amount(match: re.Match[str]) -> Decimal | None:
    """Give an amount in dollars, or None for one that no filter takes."""
    groups = match.groupdict()
    amount = parse_amount(groups["figure"]) if groups["figure"] else _read_part(groups["part"])
    if not (groups.get("high") and amount > parse_amount(groups["high"])):
        amount *= _SCALES[groups["scale"]] if groups.get("scale") else 1
    amount = round(amount, 2)
    return amount if amount <= VALUE_MAX_USD else None


def _read_part(part: str | None) -> Decimal:
    if part is None:
        return Decimal(1)
    return Decimal("0.5" if part.startswith("half") else "0.25")


def _take_range(text: Text) -> Bounds | None:
    """Take two amounts that are the ends of a range.

    Bare figures are amounts beside one, and behind a word for value if they are too long for years.
    """
    for found in text.find_all(_RANGE):
        figures = [word for word in found.match.group().split(" ") if word.isdecimal()]
        amounts = [*text.values(found), *map(Decimal, figures)]
        is_valued = not found.match.group().startswith(("between", "from"))
        if len(figures) < 2 or (is_valued and min(map(len, figures)) > 4):
            text.take(found)
            low, high = sorted(amount for amount in amounts if isinstance(amount, Decimal))
            return low, high
    return None


def _take_exact(text: Text) -> Bounds | None:
    """Take an amount that is to be met to the cent."""
    found = text.find(_EXACT)
    if found is None:
        return None
    text.take(found)
    amount = next(value for value in text.values(found) if isinstance(value, Decimal))
    return amount, amount


def _take_bound(
    text: Text, patterns: Iterable[re.Pattern[str]], step: Decimal, fits: Callable[[Decimal], bool]
) -> Decimal | None:
    """Take the first bound that a pattern finds, moved by ``step`` where the amount itself is left out."""
    found = next(filter(None, map(text.find, patterns)), None)
    if found is None:
        return None
    values = [value for value in text.values(found) if isinstance(value, Decimal)]
    amount = values[0] if values else _read_amount(found.match)
    if amount is None:
        return None
    bound = amount + step if found.match["strict"] else amount
    if not fits(bound):
        return None
    text.take(found)
    return bound
