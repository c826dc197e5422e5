"""Rows on their way from a reader to a worker: lists of values thinned to what a form reads, and rows in doubt."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from app.cities.city import City, Form
from app.ingest.sources.base import Page, Record, SourceFailed

Row = list[str] | dict[str, Any]
"""Values in the order that the decoder knows, or the reason and the hash of a row whose columns are in doubt."""


def doubt(reason: str, values: Iterable[object]) -> Row:
    """Give a row of which nothing but its reason and hash goes any further."""
    whole = "\x1f".join(map(str, values)).encode("utf-8", "surrogatepass")
    return {"fault": reason, "digest": blake2b(whole, digest_size=16).digest()}


@dataclass(frozen=True)
class RowDecoder:
    """Names the values of thinned rows; ``names`` in their order, where a name may stand again.

    Of a name that stands several times the first filled value counts.
    """

    names: tuple[str, ...]

    def decode(self, page: Page) -> Iterator[Record]:
        """Give one record for each row of the page."""
        repeated = len(set(self.names)) < len(self.names)
        for position, row in enumerate(page.rows, start=page.first):
            if isinstance(row, dict):
                yield Record(position, {}, row["fault"], row["digest"])
            elif repeated:
                yield Record(position, self._take_first_filled(row))
            else:
                yield Record(position, dict(zip(self.names, map(str.strip, row), strict=True)))

    def _take_first_filled(self, row: Sequence[str]) -> dict[str, str]:
        values: dict[str, str] = {}
        for name, value in zip(self.names, map(str.strip, row), strict=True):
            if not values.get(name):
                values[name] = value
        return values


@dataclass
class Table:
    """What a reader makes of a file: its form, the columns it has of it, and its rows, read one after another.

    ``columns`` may grow while rows are read: a JSON file has no header.
    """

    form: Form
    columns: frozenset[str]
    decoder: RowDecoder
    rows: Iterator[Row]


@dataclass
class Survey:
    """Which columns a file has, and in how many of its records each is filled; counted only where it is asked for."""

    filled: Counter[str] = field(default_factory=Counter)

    def count(self, values: Mapping[str, object]) -> None:
        """Count the filled columns of one record."""
        for name, value in values.items():
            self.filled[name] += value is not None and str(value).strip() != ""


def choose_form(city: City, name: str, columns: Iterable[str]) -> Form:
    """Tell the form of a file by its columns. Raises :class:`SourceFailed` where it is none of the city's."""
    there = frozenset(columns)
    form = city.choose_form(there)
    if form is None:
        lacking = "; ".join(f"for {form.name} it lacks {', '.join(form.find_lacking(there))}" for form in city.forms)
        raise SourceFailed(f"{name}: its columns fit no form of {city.name} ({lacking})")
    return form
