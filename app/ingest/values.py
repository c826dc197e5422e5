"""One value of a source as a value of the register: texts, days, numbers and closed words, each read once a spelling.

A source tells millions of rows in few words, so what a spelling means is remembered, within bounds.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from app.cities.city import ODATA, Taken, WordMap
from app.errors import UndervoltError

# Keys and words are indexed, and an index entry is bounded.
TEXT_MAX = 500
NUMBER_MAX = 10**12
EARLIEST, LATEST = date(1800, 1, 1), date(2200, 12, 31)
REMEMBERED = 20_000

NUMBER = re.compile(r"-?\$?(?:\d[\d,]*(?:\.\d*)?|\.\d+)")
ODATA_INSTANT = re.compile(r"\\?/Date\((-?\d{1,15})(?:[+-]\d{4})?\)\\?/")
BLANKS = dict.fromkeys(map(ord, "\t\n\r\v\f\xa0"), " ")
UNPRINTABLE = dict.fromkeys((*range(32), *range(127, 160), *range(0xD800, 0xE000))) | BLANKS

Value = TypeVar("Value")
Note = str | None


class Unusable(UndervoltError):  # noqa: N818 - a refusal of one record, which the run counts
    """A record that cannot become a permit; the message is its reason, a word for the report."""


class Memo(dict[str, Value]):
    """What ``read`` makes of a text, remembered; it forgets everything at once when it holds too much."""

    def __init__(self, read: Callable[[str], Value]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> Value:
        """Read a text that is not remembered. Raises :class:`Unusable` for one that cannot be read."""
        if len(self) >= REMEMBERED:
            self.clear()
        value = self[text] = self._read(text)
        return value


class Field(NamedTuple):
    """Where a field stands in a permit row, the columns it is taken from, and what its texts mean."""

    place: int
    columns: tuple[str, ...]
    join: bool
    memo: Memo[tuple[object, Note]]

    @property
    def is_simple(self) -> bool:
        """Whether it is one column's text as it stands."""
        return len(self.columns) == 1 and not self.join

    def find(self, values: Mapping[str, str]) -> str:
        """Give the field's text: of its columns the first that is filled, or all that are, joined."""
        if self.join:
            return " ".join(filter(None, (values.get(column, "").strip() for column in self.columns)))
        for column in self.columns:
            if value := values.get(column):
                return value
        return ""


def clean(value: str) -> str:
    """Give a value without padding and without characters that cannot be shown."""
    return (value if value.isprintable() else value.translate(UNPRINTABLE)).strip()


def read_text(field: str, value: str) -> str | None:
    """Give a text without padding, with single blanks. Raises :class:`Unusable` for one that is too long."""
    text = value.strip()
    if not text.isprintable() or "  " in text:
        text = " ".join(clean(text).split())
    if len(text) > TEXT_MAX:
        raise Unusable(f"overlong_{field}")
    return text or None


def make_text_reader(field: str, taken: Taken) -> Callable[[str], tuple[object, Note]]:
    """Give what reads a text, of one that has to match the first group that took part."""
    pattern = re.compile(taken.take or "(?s).*")

    def read(value: str) -> tuple[object, Note]:
        match = pattern.fullmatch(value.strip())
        return read_text(field, match[match.lastindex or 0]) if match else None, None

    return read


def make_day_reader(field: str, forms: tuple[str, ...], time_zone: str) -> Callable[[str], tuple[object, Note]]:
    """Give what reads a calendar day in the city by the first of its forms that fits."""

    def read(value: str) -> tuple[object, Note]:
        if not (text := value.strip()):
            return None, None
        day = next((day for form in forms if (day := _parse_day(form, text, time_zone))), None)
        if day is None:
            raise Unusable(f"malformed_{field}")
        return (day, None) if EARLIEST <= day <= LATEST else (None, f"implausible_{field}")

    return read


def _parse_day(form: str, value: str, time_zone: str) -> date | None:
    try:
        if form != ODATA:
            return datetime.strptime(value, form).date()  # noqa: DTZ007 - a calendar day in the city has no zone
        if match := ODATA_INSTANT.fullmatch(value):
            return since_1970(match[1]).astimezone(ZoneInfo(time_zone)).date()
    except (ValueError, OverflowError):
        pass
    return None


def since_1970(milliseconds: str) -> datetime:
    """Give the instant so many milliseconds after the beginning of 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds))


def make_number_reader(field: str, taken: Taken, *, whole: bool) -> Callable[[str], tuple[object, Note]]:
    """Give what reads a number, with or without a currency sign and commas; ``whole`` refuses a fraction."""
    at_most = NUMBER_MAX if taken.at_most is None else taken.at_most

    def read(value: str) -> tuple[object, Note]:
        if not (text := value.strip()):
            return None, None
        if not NUMBER.fullmatch(text):
            raise Unusable(f"malformed_{field}")
        number = Decimal(text.replace("$", "").replace(",", ""))
        if whole and number != int(number):
            raise Unusable(f"malformed_{field}")
        if not taken.at_least <= number <= at_most:
            return None, f"implausible_{field}"
        return int(number) if whole else number, None

    return read


class Words(Memo[tuple[str | None, bool]]):
    """A city's words to closed ones: the closed word, if any, and whether the city file knows the word at all."""

    def __init__(self, words: WordMap) -> None:
        super().__init__(self._look_up)
        self._exact = {own.casefold(): mapped for own, mapped in words.words.items()}
        self._prefixes = tuple((own.casefold(), mapped) for own, mapped in words.prefixes.items())

    def _look_up(self, told: str) -> tuple[str | None, bool]:
        word = told.casefold()
        if (mapped := self._exact.get(word)) is not None:
            return mapped or None, True
        for prefix, mapped in self._prefixes:
            if word.startswith(prefix):
                return mapped or None, True
        return None, False
