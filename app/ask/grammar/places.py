"""Where: coordinates, addresses and ZIPs that stand in the question itself. Nothing is looked up."""

import re
from collections.abc import Iterator

from app.ask.grammar.lexicon import MONTHS, SEASONS, STATES, STOP_WORDS, STREETS, VOCABULARY
from app.ask.grammar.mentions import Mention
from app.ask.grammar.reading import Address, Context, Place, Point
from app.ask.grammar.text import Found, State, Text, rule
from app.permits.filters import WORDS_MAX

_LABEL = r"(?:lat|latitude|lng|lon|long|longitude)"
_HEMISPHERE = r"(?:n|s|e|w|north|south|east|west)"


def _coordinate(which: str) -> str:
    figure = r"-?[0-9]{1,3}(?:\.[0-9]{1,15})?"
    return rf"(?:(?P<label_{which}>{_LABEL}) )?(?P<{which}>{figure})(?: °)?(?: (?P<side_{which}>{_HEMISPHERE}))?"


_COORDINATES = rule(rf"{_coordinate('first')}(?: [,/])? {_coordinate('second')}")

_DIRECTION = f"(?:{'|'.join(STREETS['directions'])})"
_SUFFIX = f"(?:{'|'.join(STREETS['suffixes'])})"
_NEVER = "|".join(sorted((set(STREETS["never"]) | STOP_WORDS) - {"s"}))
_NAME = rf"(?!(?:{_NEVER})(?![^ ]))(?:[^\W0-9_]{{1,30}}|[0-9]{{1,3}}(?:st|nd|rd|th))"
# The two words of a name without suffix; which of them may be in it is for a lexicon to say.
_FIRST, _SECOND = (rf"(?!(?:{_SUFFIX}|{_DIRECTION})(?![^ ]))(?P<{which}>{_NAME})" for which in ("first", "second"))
_HOUSE = r"(?<!\$ )(?<!- )(?<!/ )[0-9]{1,6}[a-z]?(?: 1 / 2)?"
_UNIT = rf"(?:(?: ,)? (?:{'|'.join(STREETS['units'])}|#)(?: #)? (?:[0-9]{{1,5}}[a-z]?|[b-z])(?![^ ]))?"
_NUMBERED = rf"(?:{'|'.join(STREETS['roads'])}) [0-9]{{1,4}}(?: (?:hwy|highway|svrd|service road|frontage road))?"
_KNOWN_FORMS = (
    rf"{_HOUSE}(?: {_DIRECTION})? {_NUMBERED}(?: {_DIRECTION})*",
    rf"{_HOUSE}(?: {_DIRECTION})? (?:{'|'.join(STREETS['prefixes'])})(?: (?:[a-h]|{_NAME})){{1,2}}",
    rf"{_HOUSE}(?: {_DIRECTION})?(?: {_NAME}){{1,4}} {_SUFFIX}(?: (?:svrd|{_DIRECTION}))*",
)
_ADDRESS = rule(rf"(?:{'|'.join(_KNOWN_FORMS)}){_UNIT}")
# "1100 S Lamar", "near 1417 Juniper": no suffix, so the words must be ones that no lexicon knows.
# A year or a ZIP is a house number only where "at" or "near" stands before it.
_CUE = f"(?:{'|'.join(STREETS['cues'])})"
_BARE_ADDRESS = rule(
    rf"(?:{_CUE} (?!(?:19|20)[0-9]{{2}} |7[0-9]{{4}} )[0-9]{{2,6}}(?: {_DIRECTION})?|(?:at|near) (?:19|20)[0-9]{{2}}"
    rf"|{_HOUSE} {_DIRECTION}) {_FIRST}(?: {_SECOND})?"
)
_KNOWN = VOCABULARY.union(MONTHS, SEASONS)
_AT, _AROUND = frozenset(STREETS["at"]), frozenset(STREETS["around"])

_NO_MEASURE = r"(?! (?:sq|square|sqft|feet|ft|kw|units?|%|percent|dollars?)(?![^ ]))"
_NO_BOUND = "".join(
    rf"(?<!{word} )" for word in ("than", "over", "under", "above", "below", "least", "most", "top", ">", "<")
)
_ZIP = rule(
    r"(?:(?:zip|zips|zipcode|zipcodes|zip codes?|postal code) (?P<said>[0-9]{5})"
    rf"|{_NO_BOUND}(?P<alone>7[0-9]{{4}}){_NO_MEASURE})(?: - [0-9]{{4}})?(?: area| zip(?: code)?)?"
)
_BEHIND_ADDRESS = STATES.keys() | set(STATES.values()) | {","}


def take_place(text: Text, context: Context) -> tuple[Place | None, bool]:
    """Take the first place written out in the question, and say whether it is meant itself rather than around it."""
    place = _take_point(text)
    return place or _take_address(text, context) or (None, False)


def _take_point(text: Text) -> tuple[Point, bool] | None:
    for found in text.find_all(_COORDINATES):
        point = _read_point(found.match)
        if point is not None:
            text.take(found)
            return point, not _AT.isdisjoint(text.words_before(found.first, 1))
    return None


def _read_point(match: re.Match[str]) -> Point | None:
    """Read two numbers as latitude and longitude, the other way round only where they say so or could not be else."""
    first, second = (_signed(match, which) for which in ("first", "second"))
    if not all(_axis(match, which) or "." in match[which] for which in ("first", "second")):
        return None
    if _axis(match, "first") == "lng" or _axis(match, "second") == "lat" or abs(first) > 90 >= abs(second):
        first, second = second, first
    return Point(lat=first, lng=second) if abs(first) <= 90 and abs(second) <= 180 else None


def _signed(match: re.Match[str], which: str) -> float:
    side = (match[f"side_{which}"] or "-")[0]
    value = float(match[which])
    return -abs(value) if side in "sw" else value


def _axis(match: re.Match[str], which: str) -> str | None:
    """Say which of the two a number is, by its label or its hemisphere."""
    label, side = match[f"label_{which}"] or "", (match[f"side_{which}"] or "-")[0]
    if label.startswith("la") or side in "ns":
        return "lat"
    return "lng" if label or side in "ew" else None


def _take_address(text: Text, context: Context) -> tuple[Address, bool] | None:
    found = text.find(_ADDRESS) or _find_bare_address(text)
    if found is None:
        return None
    first = found.first + (text.tokens[found.first].word in STREETS["cues"])
    raw = " ".join(token.raw for token in text.tokens[first : found.end] if token.word != ",").replace(" / ", "/")
    names = {word for title in context.city_titles.values() for word in title.lower().replace(",", " ").split()}
    zip_code = _take_zip_behind(text, found.end, names=names)
    text.take(found)
    return Address(raw, zip_code), _AROUND.isdisjoint(text.words_before(first, 1))


def _find_bare_address(text: Text) -> Found | None:
    """Find a house number and a name without suffix; the name ends before the first word that means something else."""
    for found in text.find_all(_BARE_ADDRESS):
        known = [found.match[name] in _KNOWN for name in ("first", "second") if found.match[name]]
        if not known[0]:
            return Found(found.match, found.first, found.end - 1) if known[-1] else found
    return None


def _take_zip_behind(text: Text, end: int, *, names: set[str]) -> str | None:
    """Take the ZIP that ends an address: before it stand at most a loaded city, its state and commas."""
    for index in range(end, min(end + 6, len(text.tokens))):
        token = text.tokens[index]
        if re.fullmatch("[0-9]{5}", token.word):
            text.mark([(end, index + 1)], State.TAKEN)
            return token.word
        if token.word not in _BEHIND_ADDRESS | names:
            return None
    return None


def take_zips(text: Text) -> Iterator[Mention]:
    """Take five digits behind "zip", and those alone that begin with a 7, as all in Texas's middle do."""
    found = text.find_all(_ZIP)[:WORDS_MAX]
    text.take(*found)
    for span in found:
        yield Mention("zip", (span.match["said"] or span.match["alone"],), span.first, span.end)
