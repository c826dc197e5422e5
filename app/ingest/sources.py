"""Files as records: CSV and JSON, plain or gzipped, read one record after another.

Only the columns that a city's form names are ever taken out of a record; everything else, personal data above all, is
left in the reader. Values are text, as the source wrote it; an absent one is an empty string.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

from app.cities.city import City, Form
from app.errors import UndervoltError

GZIP_MAGIC = b"\x1f\x8b"
FIELD_MAX = 1_000_000


class SourceFailed(UndervoltError):  # noqa: N818 - a source fails, the run reports it
    """A source that cannot be read to its end; the message names it and what is wrong, never what it holds."""


class Record(NamedTuple):
    """One record: its number in its source, from 1, and the columns that its form reads.

    ``fault`` is the reader's reason to reject it; its columns are then in doubt, and there are none.
    """

    position: int
    values: Mapping[str, str]
    fault: str | None = None


@dataclass(frozen=True)
class Source:
    """One open file: the form of its records, the columns it has of those that the form reads, and the records."""

    name: str
    form: Form
    columns: frozenset[str]
    records: Iterator[Record]
    size: int
    handle: io.BufferedReader

    @property
    def bytes_read(self) -> int:
        """How far the file itself was read, of ``size``."""
        return self.handle.tell()


@contextmanager
def open_source(city: City, path: Path, name: str) -> Generator[Source]:
    """Open a file and tell its form by its columns.

    Raises :class:`SourceFailed` for a file that cannot be read, here or while its records are.
    """
    with _explained(name):
        handle = path.open("rb")
    with handle:
        with _explained(name):
            plain = _open_plain(name, handle)
        with closing(io.TextIOWrapper(plain, encoding="utf-8-sig", errors="replace", newline="")) as text:
            size = path.stat().st_size
            read = _read_json if _holds_json(name, plain) else _read_csv
            with _explained(name):
                form, columns, records = read(city, name, text)
            yield Source(name=name, form=form, columns=columns, records=records, size=size, handle=handle)


@contextmanager
def _explained(name: str) -> Generator[None]:
    """Turn the faults of a file into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise SourceFailed(f"{name}: there is no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SourceFailed(f"{name}: not gzip data, or data that is damaged or cut off") from None
    except OSError as error:
        raise SourceFailed(f"{name}: cannot be read ({type(error).__name__})") from None


def _open_plain(name: str, handle: io.BufferedReader) -> io.BufferedReader:
    magic = handle.peek(2)[:2]
    if not magic:
        raise SourceFailed(f"{name}: the file is empty")
    if magic == GZIP_MAGIC:
        return io.BufferedReader(gzip.GzipFile(fileobj=handle))
    if name.endswith(".gz"):
        raise SourceFailed(f"{name}: not gzip data, though it is called .gz")
    return handle


def _holds_json(name: str, plain: io.BufferedReader) -> bool:
    stem = name.removesuffix(".gz").lower()
    if stem.endswith((".json", ".csv")):
        return stem.endswith(".json")
    with _explained(name):
        return plain.peek(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"[", b"{"}


def _choose_form(city: City, name: str, columns: frozenset[str]) -> Form:
    form = city.choose_form(columns)
    if form is None:
        known = "; ".join(f"{form.name} needs {', '.join(form.needs)}" for form in city.forms)
        raise SourceFailed(f"{name}: its columns fit no form of {city.name} ({known})")
    return form


def _read_csv(city: City, name: str, text: TextIO) -> tuple[Form, frozenset[str], Iterator[Record]]:
    csv.field_size_limit(FIELD_MAX)
    rows = csv.reader(text)
    header = [title.strip() for title in next(rows, [])]
    form = _choose_form(city, name, frozenset(header))
    layout = Layout.of(form, header, city)
    return form, frozenset(layout.places), _csv_records(name, rows, layout)


@dataclass(frozen=True)
class Layout:
    """Where in a CSV row each column stands; a name that stands twice has several places, the first filled wins."""

    width: int
    places: dict[str, list[int]]
    witness: int | None
    closed: frozenset[str]

    @classmethod
    def of(cls, form: Form, header: list[str], city: City) -> "Layout":
        """Find the columns of ``form`` in a header, under their own names or other titles."""
        names = [form.titles.get(title, title) for title in header]
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            if name in form.read_columns:
                places.setdefault(name, []).append(place)
        return cls(len(header), places, _find_witness(form, places), _closed_words(form, city))

    def take(self, row: list[str]) -> dict[str, str]:
        """Take the columns that the form reads; nothing else of the row is kept."""
        return {name: _first_filled(row, places) for name, places in self.places.items()}

    def is_shifted(self, row: list[str]) -> bool:
        """Whether a closed word stands beside its column while the column holds something else."""
        if self.witness is None or not self.closed:
            return False
        if not (own := row[self.witness].strip()) or own.casefold() in self.closed:
            return False
        beside = row[max(0, self.witness - 1) : self.witness] + row[self.witness + 1 : self.witness + 2]
        return any(word.strip().casefold() in self.closed for word in beside)


def _find_witness(form: Form, places: dict[str, list[int]]) -> int | None:
    return places[form.witness][0] if form.witness in places else None


def _closed_words(form: Form, city: City) -> frozenset[str]:
    """Give the words that the witness may hold: those of the map of the field that is read from it."""
    for field, words in city.maps.items():
        if (taken := form.columns.get(field)) is not None and form.witness in taken.columns:
            return frozenset(word.casefold() for word in words.words)
    return frozenset()


def _first_filled(row: list[str], places: list[int]) -> str:
    for place in places:
        if value := row[place].strip():
            return value
    return ""


def _csv_records(name: str, rows: Iterator[list[str]], layout: Layout) -> Iterator[Record]:
    position = 0
    try:
        with _explained(name):
            for position, row in enumerate(filter(None, rows), start=1):
                if len(row) != layout.width:
                    yield Record(position, {}, "wrong_number_of_columns")
                elif layout.is_shifted(row):
                    yield Record(position, {}, "shifted_columns")
                else:
                    yield Record(position, layout.take(row))
    except csv.Error:
        raise SourceFailed(f"{name}: not readable as CSV after record {position}") from None


def _read_json(city: City, name: str, text: TextIO) -> tuple[Form, frozenset[str], Iterator[Record]]:
    try:
        whole = json.load(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise SourceFailed(f"{name}: not readable as JSON, or cut off") from None
    rows = whole.get("rows") if isinstance(whole, dict) else whole
    if not isinstance(rows, list):
        raise SourceFailed(f"{name}: neither a JSON array of records nor an object with rows")
    columns = frozenset(key for row in rows if isinstance(row, dict) for key in row)
    form = _choose_form(city, name, columns) if columns else city.forms[-1]
    kept = columns & form.read_columns
    return form, kept, _json_records(rows, kept)


def _json_records(rows: list[object], kept: frozenset[str]) -> Iterator[Record]:
    for position, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield Record(position, {name: _as_text(row.get(name)) for name in kept})
        else:
            yield Record(position, {}, "not_a_record")


def _as_text(value: object) -> str:
    """Give a JSON value as text; of an object, its ``url``, as the portal writes links."""
    if isinstance(value, dict):
        value = value.get("url")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""
