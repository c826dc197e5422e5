"""JSON as rows, one record after another: arrays, objects one behind the other, envelopes with rows, OData pages."""

import io
import json
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain, islice
from typing import Any, BinaryIO

import ijson

from app.cities.city import City, Form
from app.ingest.sources.rows import Row, RowDecoder, Survey, Table, choose_form, doubt

# JSON has no header: the form is told by the columns of so many records.
FIRST_RECORDS = 1_000
# Within so many bytes an envelope has to come to its rows.
HEAD_BYTES = 1 << 18
ENVELOPES = {"rows": "rows.item", "d.results": "d.results.item"}


def read_documents(city: City, name: str, plain: BinaryIO, survey: Survey | None = None) -> Table:
    """Read the first records of a JSON file and tell its form.

    Raises :class:`ijson.JSONError` for what is no JSON or is cut off, here or while rows are read.
    """
    records = _read_records(plain)
    first = list(islice(records, FIRST_RECORDS))
    told = dict.fromkeys(key for record in first if isinstance(record, dict) for key in _name_members(record))
    form = choose_form(city, name, told) if first else city.forms[0]
    picker = Picker(form)
    table = Table(form, frozenset(), RowDecoder(picker.names), iter(()))
    for record in filter(lambda record: isinstance(record, dict), first):
        table.columns |= picker.find_columns(record)
    table.rows = _thin(table, picker, chain(first, records), survey)
    return table


def _thin(table: Table, picker: "Picker", records: Iterator[Any], survey: Survey | None) -> Iterator[Row]:
    """Take out of each record what the form reads.

    A record may bring a column that none before it had: portals leave a null out. Its value is in its row all the same,
    for a row holds every column of the form; and the table's columns grow before that row is given, so that a mapper
    made from them for its page tells that column too.
    """
    for record in records:
        if not isinstance(record, dict):
            yield doubt("not_a_record", [record])
            continue
        if survey:
            survey.count({key: _find_member(record, key) for key in _name_members(record)})
        if not (columns := picker.find_columns(record)) <= table.columns:
            table.columns |= columns
        yield picker.pick(record)


class Picker:
    """Takes the columns of a form out of JSON records; a name with dots is that of a nested member."""

    def __init__(self, form: Form) -> None:
        self.names = tuple(sorted(form.read_columns))
        titles = {name: [title for title, meant in form.titles.items() if meant == name] for name in self.names}
        self._keys = [(name, *titles[name]) for name in self.names]
        self._flat = {key: keys[0] for keys in self._keys for key in keys}
        self._nested = [name for name in self.names if "." in name]

    def find_columns(self, record: Mapping[str, Any]) -> frozenset[str]:
        """Name the columns that a record has, empty ones too."""
        flat = [self._flat[key] for key in self._flat.keys() & record.keys()]
        return frozenset((*flat, *(name for name in self._nested if _has_member(record, name))))

    def pick(self, record: Mapping[str, Any]) -> list[str]:
        """Give the values of all columns as text, in the order of ``names``."""
        return [as_text(_find_first(record, keys)) for keys in self._keys]


def as_text(value: object) -> str:
    """Give a JSON value as text: numbers as written, an object's ``url`` as portals write links, else compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict) and "url" in value:
        return as_text(value["url"])
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=float)
    return str(value)


def _name_members(record: Mapping[str, Any]) -> Iterator[str]:
    """Name a record's columns; those of an object inside it are named with a dot as well."""
    for key, value in record.items():
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{member}" for member in _name_members(value))


def _has_member(record: Mapping[str, Any], name: str) -> bool:
    path, _, last = name.rpartition(".")
    holder = _find_member(record, path)
    return isinstance(holder, dict) and last in holder


def _find_first(record: Mapping[str, Any], keys: tuple[str, ...]) -> object:
    for key in keys:
        if (value := record.get(key)) is not None:
            return value
    return _find_member(record, keys[0]) if "." in keys[0] else None


def _find_member(record: Mapping[str, Any], name: str) -> object:
    if name in record:
        return record[name]
    value: object = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _read_records(plain: BinaryIO) -> Iterator[Any]:
    text = Text(plain)
    prefix = _find_rows(text.peek())
    yield from ijson.items(text, prefix, multiple_values=prefix == "")


def _find_rows(head: bytes) -> str:
    """Find where the records are: in an array, in an envelope's array, or one behind the other."""
    try:
        for place, event, _ in ijson.parse(io.BytesIO(head), multiple_values=True):
            if event == "start_array" and place == "":
                return "item"
            if event == "start_array" and place in ENVELOPES:
                return ENVELOPES[place]
            if event == "end_map" and place == "":
                return ""
    except ijson.IncompleteJSONError:
        pass
    return ""


class Text:
    """A binary stream as valid UTF-8, which the parser wants: what is none becomes the replacement character."""

    def __init__(self, plain: BinaryIO) -> None:
        self._plain = plain
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._head = b""

    def peek(self) -> bytes:
        """Give the beginning without taking it."""
        while len(self._head) < HEAD_BYTES and (more := self._read(HEAD_BYTES)):
            self._head += more
        return self._head

    def read(self, size: int = -1) -> bytes:
        """Give about ``size`` bytes, and none at the end."""
        if size == 0:
            return b""
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        return self._read(size)

    def _read(self, size: int) -> bytes:
        while data := self._plain.read(size):
            if text := self._decoder.decode(data):
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()
