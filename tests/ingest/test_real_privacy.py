"""Nothing of a person is left in any table once every real file of the eight cities is loaded.

Files are read here with all their columns, by the standard library alone. A value is never shown: only counts are
asserted, and what a test compares it keeps out of its assertions.
"""

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import Form, find_city
from app.ingest.order import Order
from app.ingest.run import ingest as run_ingest
from app.ingest.sources.files import find_sources
from tests.conftest import TABLES
from tests.ingest.real import REAL

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]

FILES = {
    "austin": ("oss_*.gz", "daily_files/*.gz", "soda_*.gz"),
    "chicago": ("*.gz",),
    "san_francisco": ("*.gz",),
    "seattle": ("*.gz",),
    "new_york": ("*.gz", "soda_captures/sample_ipu4-2q9a.json"),
    "calgary": ("building_*.gz", "soda_*_sample50*.gz"),
    "philadelphia": ("*.gz",),
    "st_louis": ("*.gz",),
}
ROWS = 283_386 + 2_179 + 5_033 + 29_981 + 16_799 + 14_426 + 12_054 + 5_100 + 6_000 + 1_535
# The columns of persons, as the files' collector listed them; San Francisco, Seattle and St. Louis have none.
PERSONAL = {
    "austin": (
        "folder_owner*",
        "property_owner*",
        *("contractor_full_name", "contractor_phone", "contractor_address?"),
        *("applicant_full_name", "applicant_phone", "applicant_address?"),
    ),
    "chicago": ("CONTRACTOR_*_NAME", "CONTRACTOR_*_ADDRESS", "CONTRACTOR_*_PHONE", "gc", "gp", "os"),
    "new_york": ("Permittee*", "permittee*", "Owner's*", "owner*", "applicant*"),
    "calgary": ("applicantname", "contractorname"),
    "philadelphia": ("pri_contact_*",),
}
# What the files call the number that the register keeps as permit_number.
NUMBERS = {
    "austin": ("permit_number",),
    "chicago": ("n", "PERMIT#"),
    "new_york": ("Job #", "job_number", "job__"),
    "calgary": ("permitnum",),
    "philadelphia": ("permit_number",),
}
# Tables of words that stand in permits too, where the tests look: of all cities together, and of closed columns.
COPIES = frozenset({"search_words", "stats_words", "stats_places"})
# What code makes of other columns of the same permit: words of its own, and a street in another spelling.
MADE = frozenset({"city", "categories", "street"})
WORDS = (
    *("permit_type", "permit_type_mapped", "permit_class", "permit_class_mapped", "work_class"),
    *("status_current", "status_current_mapped"),
)
NAME_LETTERS = 8
PHONE_DIGITS = 10

WORD = re.compile(r"[^\W_]+")
BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s().+\-/]{1,4}(?=\d)")
LONG_NUMBER = re.compile(r"\d{10,}")

# Wider than what masks: ten digits as the numbering plan has them, however written, and seven digits in two parts.
ANY_PHONE = re.compile(
    r"(?<!\d)\(?[2-9]\d\d\)?[\s./-]{0,3}[2-9]\d\d[\s./-]{0,3}\d{4}(?!\d)"
    r"|(?<![\d.-])[2-9]\d\d[\s.-]{1,2}\d{4}(?![\d-])"
)
# A year and six digits: a permit's number without its hyphen. Other numbers stand behind the word for what they number.
PERMIT_NUMBER = re.compile(r"20\d{8}")
NUMBERED = re.compile(r"(?i)\b(?:permit|auth|la|meter|suite|ste|units|case)[\s#(-]{1,4}$")
ANY_MAIL = r"\S@\s?\S+\.[[:alpha:]]{2}"


@pytest.fixture(scope="module")
def register(database_url: str, store_connection: Connection) -> Connection:
    """A register of all real files of all cities."""
    store_connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
    reports = [run_ingest(database_url, Order(find_city(city), find_sources(list_files(city)))) for city in FILES]
    assert {report.status for report in reports} == {"published"}
    assert sum(report.read for report in reports) == ROWS
    # One report by itself tells some permits in another way, which fills the table of changes.
    autumn = find_sources([REAL / "austin/oss_permit_report_2015_51col.csv.gz"])
    assert run_ingest(database_url, Order(find_city("austin"), autumn)).updated > 0
    return store_connection


def list_files(city: str) -> list[Path]:
    """Give all real files of permits of a city."""
    folder = REAL / city
    if not folder.is_dir():
        pytest.skip("the real files are not on this machine")
    return [path for pattern in FILES[city] for path in sorted(folder.glob(pattern))]


def read_raw(path: Path) -> Iterator[dict[str, str]]:
    """Read a file's records with all their columns, those of a nested object by their dotted names."""
    open_text = gzip.open if path.suffix == ".gz" else open
    with open_text(path, "rt", encoding="utf-8", newline="") as text:
        if ".csv" in path.suffixes:
            yield from csv.DictReader(text)
            return
        content = json.load(text)
    rows = content if isinstance(content, list) else content.get("rows") or content["d"]["results"]
    for row in rows:
        yield dict(flatten(row))


def flatten(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give the scalars of a record as text, by dotted names."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, "" if value is None else str(value)


@dataclass
class Person:
    """What the files of a city tell of persons, and which of it a permit's own columns tell as well.

    ``told`` holds permit number and value where a column that is kept for that permit has the value in it.
    """

    names: "Phrases"
    phones: set[str] = field(default_factory=set)
    told: set[tuple[str, "Phrase"]] = field(default_factory=set)


Phrase = tuple[str, ...]


def split_words(text: str) -> Phrase:
    """Give the words of a text in small letters; a house number may be padded with zeros."""
    return tuple(word.lstrip("0") for word in WORD.findall(text.casefold()))


class Phrases:
    """Phrases to be found in texts, whatever stands between their words."""

    def __init__(self) -> None:
        self.phrases: set[Phrase] = set()
        self._lengths: dict[str, set[int]] = {}

    def add(self, text: str) -> None:
        """Add one, if it has any word."""
        if phrase := split_words(text):
            self.phrases.add(phrase)
            self._lengths.setdefault(phrase[0], set()).add(len(phrase))

    def find(self, text: str) -> Iterator[Phrase]:
        """Give the phrases that a text holds."""
        words = split_words(text)
        for place, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                if (phrase := words[place : place + length]) in self.phrases:
                    yield phrase


def is_personal(city: str, column: str) -> bool:
    """Whether a column is one of persons."""
    return any(fnmatch(column, pattern) for pattern in PERSONAL[city])


@cache
def read_persons(city: str) -> Person:
    """Read the personal columns of a city's files, then what the kept columns tell of the same."""
    person = Person(Phrases())
    for path in list_files(city):
        for row in read_raw(path):
            for column, value in row.items():
                if is_personal(city, column):
                    note_value(person, column, value or "")
    for path in list_files(city):
        form = None
        for row in read_raw(path):
            form = form or find_city(city).choose_form(frozenset(name.strip() for name in row))
            assert form is not None
            number = next((row[name] for name in NUMBERS[city] if row.get(name)), "")
            for text in kept_texts(city, form, row):
                person.told.update((number, phrase) for phrase in person.names.find(text))
    return person


def note_value(person: Person, column: str, value: str) -> None:
    """Take a personal value as a phone or as a name, where it is long enough to be told from other words."""
    digits = re.sub(r"\D", "", value)
    if "phone" in column.lower() or column == "gp":
        if len(digits.removesuffix("0") if value.endswith(".0") else digits) >= PHONE_DIGITS:
            person.phones.add(digits[:PHONE_DIGITS] if value.endswith(".0") else digits[-PHONE_DIGITS:])
    elif len(value.strip()) >= NAME_LETTERS:
        person.names.add(value)


def kept_texts(city: str, form: Form, row: Mapping[str, str]) -> Iterator[str]:
    """Give the texts of a record that the register keeps, as the city file joins them."""
    values = {name.strip(): value or "" for name, value in row.items()}
    for written, meant in form.unescape.items():
        values = {name: value.replace(written, meant) for name, value in values.items()}
    for taken in form.columns.values():
        texts = [values.get(column, "") for column in taken.columns if not is_personal(city, column)]
        yield from [" ".join(texts)] if taken.join else texts


def find_texts(connection: Connection, table: str) -> list[str]:
    """Name the columns of a table that can hold text, those apart that are made of the others."""
    statement = """
        SELECT attname FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
          AND atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype)
    """
    return [name for (name,) in connection.execute(statement, [table])]


def read_texts(connection: Connection, table: str, city: str) -> Iterator[str]:
    """Give every text of a city in a table."""
    for column in find_texts(connection, table):
        statement = f"SELECT DISTINCT {column}::text FROM {table} WHERE city = %s AND {column} IS NOT NULL"
        yield from (text for (text,) in connection.execute(statement, [city]))


def list_tables() -> list[str]:
    """Name all tables that a run may write to, those apart whose words are copies."""
    return [table for table in TABLES.split(", ") if table not in COPIES]


def count_phones(texts: Iterable[str], phones: set[str]) -> int:
    """Count the texts that hold one of the numbers, however it is written."""
    return sum(
        any(
            number[place : place + PHONE_DIGITS] in phones
            for number in LONG_NUMBER.findall(BETWEEN_DIGITS.sub("", text))
            for place in range(len(number) - PHONE_DIGITS + 1)
        )
        for text in texts
    )


@pytest.mark.parametrize("city", PERSONAL)
def test_no_name_of_a_real_person_is_in_a_permit_that_does_not_tell_it_itself(register: Connection, city: str) -> None:
    """A name in a description, or one that is a street's, cannot be told from other words of that very permit."""
    person = read_persons(city)
    columns = ", ".join(column for column in find_texts(register, "permits") if column not in MADE)
    found: set[tuple[str, Phrase]] = set()
    for number, *texts in register.execute(f"SELECT permit_number, {columns} FROM permits WHERE city = %s", [city]):
        for text in filter(None, texts):
            found.update((number, phrase) for phrase in person.names.find(text))
    assert len(person.names.phrases) > 20
    assert len(found - person.told) == 0


@pytest.mark.parametrize("city", PERSONAL)
def test_no_name_of_a_real_person_is_in_any_other_table(register: Connection, city: str) -> None:
    person = read_persons(city)
    told = {phrase for _, phrase in person.told}
    left = [table for table in list_tables() if table != "permits"]
    found = {
        phrase for table in left for text in read_texts(register, table, city) for phrase in person.names.find(text)
    }
    assert len(found - told) == 0


@pytest.mark.parametrize(("table", "columns"), [("stats_words", WORDS), ("stats_places", ("zip", "district"))])
def test_every_word_that_figures_are_kept_by_is_one_of_a_permit(
    table: str, columns: Sequence[str], register: Connection
) -> None:
    for column in columns:
        statement = f"SELECT {column} FROM {table} EXCEPT SELECT {column} FROM permits"
        assert [row for row in register.execute(statement) if row[0] is not None] == []


def test_every_word_that_is_kept_for_searches_is_one_of_a_permit_or_was(register: Connection) -> None:
    """So that a person's name among them stands in a permit too, where the tests above look."""
    statement = """
        SELECT word FROM search_words
        EXCEPT SELECT word FROM ts_stat('SELECT search FROM permits')
        EXCEPT SELECT word FROM ts_stat('SELECT to_tsvector(''english'', searchable(old_value)) FROM permit_changes')
    """
    assert register.execute(statement).fetchall() == []


@pytest.mark.parametrize("city", PERSONAL)
def test_no_phone_of_a_real_person_is_in_any_table(register: Connection, city: str) -> None:
    phones = read_persons(city).phones
    assert sum(count_phones(read_texts(register, table, city), phones) for table in list_tables()) == 0


def test_what_is_written_like_a_phone_in_a_real_description_numbers_something_else(register: Connection) -> None:
    told = [text for (text,) in register.execute("SELECT DISTINCT description FROM permits WHERE description <> ''")]
    written = [(text[: found.start()], found[0]) for text in told for found in ANY_PHONE.finditer(text)]
    others = [
        number for before, number in written if not PERMIT_NUMBER.fullmatch(number) and not NUMBERED.search(before)
    ]
    # An area in square metres, and an article of the electrical code before the code's year.
    assert [re.sub(r"\d", "9", number) for number in sorted(others)] == ["999 9999", "999.9999"]


def test_no_address_for_mail_is_in_a_real_description(register: Connection) -> None:
    statement = "SELECT count(*) FROM permits WHERE description ~ %s"
    assert register.execute(statement, [ANY_MAIL]).fetchone() == (0,)
