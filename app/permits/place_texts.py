"""What a text says of a place: address, block, range, crossing, ZIP, district or name. Nothing is looked up."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.permits.addresses import Address, parse_address
from app.permits.words import read_district

TEXT_MAX = 200
"""Characters of a place that are read."""
BLOCK = 100
"""House numbers that a block has."""
NUMBER_MAX = 999_999


@dataclass(frozen=True)
class AddressText:
    """A house number on a street."""

    address: Address


@dataclass(frozen=True)
class SpanText:
    """House numbers from ``first`` to ``last`` on a street; ``is_block`` where they were said to be a block."""

    first: int
    last: int
    street: str
    is_block: bool


@dataclass(frozen=True)
class CrossingText:
    """Two streets where they meet."""

    one: str
    other: str


@dataclass(frozen=True)
class ZipText:
    """Five digits."""

    zip: str


@dataclass(frozen=True)
class DistrictText:
    """A council district, in the one form that filters have."""

    district: str


@dataclass(frozen=True)
class NameText:
    """What may be the name of a region or of a street."""

    name: str


What = AddressText | SpanText | CrossingText | ZipText | DistrictText | NameText


@dataclass(frozen=True)
class PlaceText:
    """A place as a text says it, and the ZIP that ended the text."""

    what: What
    zip: str | None = None


_UNIT = r"(?:UNIT|APT|APARTMENT|STE|SUITE|BLDG|BUILDING|LOT|SPC|SPACE|ROOM|FLOOR)"
_UNIT_BEFORE = re.compile(rf"^(?:{_UNIT} ?#? ?|# ?)[A-Z0-9-]{{1,6}}[ ,]+(?=[0-9])")
_STREET = r"(?P<street>.+)"
_NUMBERS = r"(?P<first>[0-9]{1,6}) ?(?:-|TO|AND|THROUGH|THRU|/) ?(?P<last>[0-9]{1,6})"
_ZIP = re.compile(r"^(?:ZIP ?CODE |ZIP |POSTAL CODE )?([0-9]{5})(?:-[0-9]{4})?(?: ZIP(?: CODE)?)?(?: AREA)?$")
_DISTRICT = re.compile(
    r"^(?:THE )?(?:CITY |COUNCIL )*(?:DISTRICT (?:NO |NUMBER |# ?)?(?P<number>[0-9]{1,3})|D ?(?P<short>[0-9]{1,2})"
    r"|(?P<nth>[0-9]{1,3})(?:ST|ND|RD|TH) (?:CITY |COUNCIL )*DISTRICT)$"
)
_BLOCKS = (
    re.compile(rf"^(?:THE )?(?P<first>[0-9]{{2,6}}) ?(?:BLOCK|BLK) (?:OF )?(?:THE )?{_STREET}$"),
    re.compile(r"^(?P<street>[^0-9].*?),? (?P<first>[0-9]{2,6}) ?(?:BLOCK|BLK)$"),
)
_RANGES = (
    re.compile(rf"^(?:BETWEEN |FROM )?{_NUMBERS}(?: BLOCKS?)?(?: OF| ON)? (?!(?:BLOCK|BLK)\b){_STREET}$"),
    re.compile(rf"^(?P<street>[^0-9].*?),? (?:BETWEEN |FROM ){_NUMBERS}$"),
)
_JOINT = r" ?(?: AND |&| AT |@|/| X | WITH )(?: ?THE )? ?"
_CROSSINGS = (
    re.compile(rf"^(?:THE )?(?:CORNER|INTERSECTION|CROSSING|JUNCTION)(?: OF| AT)? (?P<one>.+?){_JOINT}(?P<other>.+)$"),
    re.compile(rf"^(?!(?:[0-9]+[A-Z]?) )(?P<one>.+?){_JOINT}(?P<other>.+)$"),
)
_BARE = re.compile(r"^[0-9]+[A-Z]?(?: [NSEW]{1,2}| NORTH| SOUTH| EAST| WEST)?$")


def clean(text: str) -> str:
    """Write a text in capitals, in one form of Unicode, without signs that stand in no address, spaces single."""
    plain = unicodedata.normalize("NFKC", text[:TEXT_MAX]).upper().translate(dict.fromkeys(map(ord, "'’‘`\"."), None))
    kept = (one if one.isalnum() or one in " ,&@/#-" else "-" if one in "–—" else " " for one in plain)
    return re.sub(r"(?: ?,)+ ?", ", ", " ".join("".join(kept).split())).strip(" ,")[:TEXT_MAX]


def parse_place(text: str, cities: Sequence[str] = ()) -> PlaceText | None:
    """Read a text; None where it says nothing. ``cities`` are titles ("Austin, Texas") that may stand behind it."""
    whole = _UNIT_BEFORE.sub("", clean(text))
    if zip_code := _ZIP.match(whole):
        return PlaceText(ZipText(zip_code[1]))
    plain, zip_code_behind = _split_locality(whole, cities)
    plain = plain.replace(",", "")
    what = _read_district(plain) or _read_span(plain) or _read_crossing(plain) or _read_address(plain)
    if what is None and not any(map(str.isalpha, plain)):
        return None
    return PlaceText(what or NameText(plain), zip_code_behind)


def _split_locality(text: str, cities: Sequence[str]) -> tuple[str, str | None]:
    """Part a text from the city, state and ZIP that end it, where something is left before them."""
    names, states = set[str](), {"TX", "TEXAS"}
    for title in cities:
        city, _, state = title.upper().partition("(")[0].partition(",")
        names.add(re.escape(city.strip()))
        states.add(re.escape(state.strip()))
    city, state = (
        f"(?:{'|'.join(sorted(words - {''}, key=len, reverse=True)) or '(?!)'})" for words in (names, states)
    )
    found = re.search(
        rf"(?:,? {city}(?:,? {state})?|, {state})?(?:,? (?P<zip>[0-9]{{5}})(?:-[0-9]{{4}})?)?(?:,? USA)?$", text
    )
    if not found or not text[: found.start()].strip(" ,") or _BARE.match(text[: found.start()].strip(" ,")):
        return text, None
    return text[: found.start()].strip(" ,"), found["zip"]


def _any_of(words: set[str]) -> str:
    return f"(?:{'|'.join(sorted(words - {''}, key=len, reverse=True)) or '(?!)'})"


def _read_district(text: str) -> DistrictText | None:
    found = _DISTRICT.match(text)
    return DistrictText(read_district(found["number"] or found["short"] or found["nth"])) if found else None


def _read_span(text: str) -> SpanText | None:
    """Read a block, which is the hundred that its number lies in, or a range; "1100-02" ends at 1102."""
    for pattern in _BLOCKS:
        if found := pattern.match(text):
            start = int(found["first"]) // BLOCK * BLOCK
            return SpanText(start, start + BLOCK - 1, found["street"].strip(), is_block=True)
    for pattern in _RANGES:
        if found := pattern.match(text):
            first, last = found["first"], found["last"]
            ends = sorted((int(first), int(first[: -len(last)] + last if len(last) < len(first) else last)))
            return SpanText(ends[0], ends[1], found["street"].strip(), is_block=False)
    return None


def _read_crossing(text: str) -> CrossingText | None:
    found = next(filter(None, (pattern.match(text) for pattern in _CROSSINGS)), None)
    return CrossingText(found["one"].strip(), found["other"].strip()) if found else None


def _read_address(text: str) -> AddressText | None:
    address = parse_address(text)
    return AddressText(address) if address else None
