"""CSV as rows: any line end, newlines inside values, headers padded, named twice or not at all."""

import csv
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import TextIO

from app.cities.city import City, Form
from app.ingest.sources.rows import Row, RowDecoder, Survey, Table, choose_form, doubt

# A quote that is never closed would take the rest of the file into one value.
FIELD_MAX = 1_000_000
REMEMBERED_WORDS = 10_000


def read_delimited(city: City, name: str, text: TextIO, survey: Survey | None = None) -> Table:
    """Read the header of a CSV file and tell its form. Raises :class:`csv.Error`, here or while rows are read."""
    csv.field_size_limit(FIELD_MAX)
    lines = csv.reader(text)
    header = [title.strip() for title in next(lines, [])]
    form = choose_form(city, name, header)
    names = [form.titles.get(title, title) for title in header]
    places = [place for place, column in enumerate(names) if column in form.read_columns]
    decoder = RowDecoder(tuple(names[place] for place in places))
    witness = Witness(city, form, names)
    rows = _thin(_survey(lines, header, survey) if survey else lines, len(header), _taker(places), witness)
    return Table(form, frozenset(decoder.names), decoder, rows)


def _survey(lines: Iterator[list[str]], header: list[str], survey: Survey) -> Iterator[list[str]]:
    survey.filled.update(dict.fromkeys(header, 0))
    for line in lines:
        # Backwards, so that of a name that stands twice the first one is counted.
        survey.count(dict(zip(reversed(header), reversed(line), strict=False)))
        yield line


def _taker(places: list[int]) -> Callable[[list[str]], list[str]]:
    """Give what takes these places out of a row; a getter of one item would give no tuple."""
    if len(places) == 1:
        return lambda line: [line[places[0]]]
    get = itemgetter(*places)
    return lambda line: list(get(line))


def _thin(
    lines: Iterator[list[str]], width: int, take: Callable[[list[str]], list[str]], witness: "Witness"
) -> Iterator[Row]:
    """Leave in the reader what the form does not read; a row whose columns are in doubt is left there whole."""
    for line in filter(None, lines):
        if len(line) != width:
            yield doubt("wrong_number_of_columns", line)
        elif witness.is_shifted(line):
            yield doubt("shifted_columns", line)
        else:
            yield take(line)


class Witness:
    """A column of closed words, beside which none of them may stand while it holds something else."""

    def __init__(self, city: City, form: Form, names: list[str]) -> None:
        self.closed = _closed_words(form, city)
        self.place = names.index(form.witness) if form.witness in names and self.closed else None
        self._fine = {""}

    def is_shifted(self, line: list[str]) -> bool:
        """Whether a closed word stands beside its column while the column holds something else."""
        if self.place is None or (own := line[self.place]) in self._fine:
            return False
        if not own.strip() or own.strip().casefold() in self.closed:
            if len(self._fine) < REMEMBERED_WORDS:
                self._fine.add(own)
            return False
        beside = line[max(0, self.place - 1) : self.place] + line[self.place + 1 : self.place + 2]
        return any(word.strip().casefold() in self.closed for word in beside)


def _closed_words(form: Form, city: City) -> frozenset[str]:
    """Give the words that the witness may hold: those of the map of the field that is read from it."""
    for field, words in city.maps.items():
        if (taken := form.columns.get(field)) is not None and form.witness in taken.columns:
            return frozenset(word.casefold() for word in words.words)
    return frozenset()
