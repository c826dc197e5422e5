"""Where: coordinates, addresses, blocks, crossings, ZIPs, districts and regions that stand in the question itself.

Nothing is looked up.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from app.ask.grammar.lexicon import MONTHS, NUMBERS, SEASONS, STATES, STOP_WORDS, STREETS, VOCABULARY
from app.ask.grammar.mentions import Mention
from app.ask.grammar.reading import Address, Block, Context, Intersection, Place, Point
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
# A street where a number before it says that a block or a range of it is meant; its name ends as a name without suffix
# does, or with its kind.
_ON_STREET = (
    rf"(?:(?:{_DIRECTION} )?{_NUMBERED}(?: {_DIRECTION})*|(?:{_DIRECTION} )?(?:{_NAME} ){{1,4}}{_SUFFIX}"
    rf"(?: {_DIRECTION})*|(?:{_DIRECTION} )?{_FIRST}(?: {_SECOND})?)"
)
_BLOCK = rule(rf"[0-9]{{2,6}} (?:block|blk)(?: of)?(?: the)? {_ON_STREET}")
# Two numbers and a name are a range only where a kind or a directional says that the name is a street's.
_IN_RANGE = rf"(?:{_DIRECTION} (?:{_NAME} ){{0,3}}(?:{_SUFFIX}|{_NAME})|(?:{_DIRECTION} )?(?:{_NAME} ){{1,4}}{_SUFFIX})"
_RANGE = rule(rf"(?:between|from) [0-9]{{2,6}} (?:and|to|through|-) [0-9]{{2,6}}(?: blocks?)?(?: of| on)? {_IN_RANGE}")
_SIDE = rf"(?:{_DIRECTION} )?(?:{_NAME} ){{0,3}}{_NAME}(?: {_SUFFIX})?"
_CROSSING = rule(
    rf"(?:the )?(?:corner|intersection|crossing|junction) of {_SIDE} (?:and|at|/) {_SIDE}"
    rf"|(?:(?<=at )|(?<=near )|(?<=around )|(?<=from )|(?<=of )|(?<=to )){_SIDE} and {_SIDE}"
)
_STREET_SIGN = frozenset(STREETS["suffixes"]) | frozenset(STREETS["directions"])
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
    place = _take_point(text) or _take_block(text) or _take_crossing(text)
    return place or _take_address(text, context) or (None, False)


def _take_block(text: Text) -> tuple[Block, bool] | None:
    """Take "the 1100 block of S Lamar", or "between 1100 and 1200 S Lamar"."""
    found = text.find(_BLOCK)
    if found is not None and found.match["second"] in _KNOWN:
        found = Found(found.match, found.first, found.end - 1)
    found = found or text.find(_RANGE)
    if found is None or found.match.groupdict().get("first") in _KNOWN:
        return None
    text.take(found)
    before = [word for word in text.words_before(found.first, 2) if word != "the"]
    return Block(_raw(text, found.first, found.end)), not _is_around(before)


def _take_crossing(text: Text) -> tuple[Intersection, bool] | None:
    """Take two streets joined by "and": said to be a corner, or behind "at" or "near" with a word that streets have."""
    for found in text.find_all(_CROSSING):
        words = found.match.group().split(" ")
        is_said = bool({"corner", "intersection", "crossing", "junction"}.intersection(words[:2]))
        joint = words.index("and") if "and" in words else 0
        sides = [[word for word in side if word not in _STREET_SIGN] for side in (words[:joint], words[joint + 1 :])]
        is_street = not _STREET_SIGN.isdisjoint(words) or any(word[0].isdigit() for word in words)
        if is_said or (is_street and not any(_KNOWN.issuperset(side) for side in sides)):
            end = found.end - (text.tokens[found.end - 1].word in _KNOWN)
            text.mark([(found.first, end)], State.TAKEN)
            before = [word for word in text.words_before(found.first, 2) if word != "the"]
            return Intersection(_raw(text, found.first, end)), not _is_around(before)
    return None


def _is_around(before: list[str]) -> bool:
    """Whether the word before a place says that what lies around it is meant."""
    return not _AROUND.isdisjoint(before[:1])


def _raw(text: Text, first: int, end: int) -> str:
    return " ".join(token.raw for token in text.tokens[first:end])


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


_CARDINALS = "|".join(word for word, value in NUMBERS.items() if 1 <= value <= 20)
_ONE = rf"(?:[0-9]{{1,2}}|{_CARDINALS})"
_TOO = rf"(?: (?:d|cd|district))? {_ONE}"
_NUMBER_SIGN = "(?:number |no |# )?"
# Commas alone part no more than "districts 1, 2 and 3": "district 5, 10 newest" has one.
_DISTRICT = rule(
    rf"(?:(?:city )?(?:council )?districts {_NUMBER_SIGN}(?P<several>{_ONE}(?:(?: ,)?(?: (?:and|or|,|[+])){_TOO})*)"
    rf"|(?:(?:city )?(?:council )?district {_NUMBER_SIGN}|(?:d|cd) )(?P<said>{_ONE}(?: (?:and|or|[+]){_TOO})*))"
    rf"(?! (?:{_SUFFIX})(?![^ ]))"
)
_REGION_CUES = frozenset(
    "in near around inside within for at across throughout of to from vs versus than and or with".split()
)
_REGION_BEHIND = frozenset("neighborhood neighborhoods neighbourhood neighbourhoods area district".split())
_RUN_CUES = frozenset("in near around inside within at across throughout on along from to by of".split())
_RUN_MAX = 6
"""Words of the longest place that is looked for in leftovers."""


def take_districts(text: Text) -> Iterator[Mention]:
    """Take council districts by their number."""
    found = text.find_all(_DISTRICT)[:WORDS_MAX]
    text.take(*found)
    for span in found:
        numbers = [at for at in range(span.first, span.end) if _read_district(text.tokens[at].word)]
        starts = [span.first, *numbers[1:]]
        for start, at in zip(starts, numbers, strict=True):
            yield Mention("district", (_read_district(text.tokens[at].word),), start, at + 1)


def _read_district(word: str) -> str:
    """Read a number in figures or as a word; empty where it is none."""
    number = str(NUMBERS.get(word, word))
    return number if number.isdecimal() else ""


def take_regions(text: Text, context: Context) -> Iterator[Mention]:
    """Take the names of loaded regions, the longest first, where a place may stand or no lexicon knows their words."""
    if not context.regions:
        return
    longest = _count_words(tuple(context.regions))
    index = 0
    while index < len(text.tokens):
        count = _find_region(text, index, context.regions, longest)
        if count:
            form = " ".join(token.word for token in text.tokens[index : index + count])
            end = (
                index + count + (index + count < len(text.tokens) and text.tokens[index + count].word in _REGION_BEHIND)
            )
            ids = context.regions[form]
            values = ids if len(ids) == 1 else (_raw(text, index, index + count),)
            text.mark([(index, end)], State.TAKEN)
            yield Mention("region", values, index, end)
        index += count or 1


@lru_cache(maxsize=16)
def _count_words(forms: tuple[str, ...]) -> int:
    return max((form.count(" ") + 1 for form in forms), default=0)


def _find_region(text: Text, index: int, regions: Mapping[str, tuple[str, ...]], longest: int) -> int:
    """Give how many words of a region's name begin at a token, 0 where none does."""
    tokens = text.tokens
    for count in range(min(longest, len(tokens) - index), 0, -1):
        words = [token.word for token in tokens[index : index + count]]
        if " ".join(words) not in regions or any(
            token.state is not State.FREE for token in tokens[index : index + count]
        ):
            continue
        before = [word for word in text.words_before(index, 2) if word != "the"]
        behind = tokens[index + count].word if index + count < len(tokens) else ""
        is_street = behind in _STREET_SIGN or (before[:1] and before[0] in STREETS["directions"])
        is_first = not before or before[0] == ","
        is_named = count > 1 or is_first or behind in _REGION_BEHIND or not _REGION_CUES.isdisjoint(before[:1])
        is_alone = _KNOWN.union(STOP_WORDS).isdisjoint(words) and len("".join(words)) > 4
        if not is_street and (is_named or is_alone):
            return count
    return 0


def find_place_runs(text: Text) -> tuple[str, ...]:
    """Find the runs of free words that stand behind "in", "near" or the like, as written; they stay where they are."""
    runs = []
    for index, token in enumerate(text.tokens):
        if token.word in _RUN_CUES:
            first = index + 1 + (index + 1 < len(text.tokens) and text.tokens[index + 1].word == "the")
            end = first
            while end < min(len(text.tokens), first + _RUN_MAX) and _may_name(text, end):
                end += 1
            if end > first and any(len(one.word) > 2 for one in text.tokens[first:end]):
                runs.append(_raw(text, first, end))
    return tuple(runs)


def _may_name(text: Text, index: int) -> bool:
    token = text.tokens[index]
    is_name = (token.word not in STOP_WORDS or token.word in STREETS["directions"]) and (
        token.word.isalpha() or (token.word[:1].isdigit() and not token.word.isdigit())
    )
    return token.state is State.FREE and token.value is None and not token.is_folded and is_name
