"""What a city file makes of a file, column by column, before anything is written. No value of a record is kept.

The words of enumerated fields are the exception: those that the city file does not know are told, for it should.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from app.cities.city import City, Form, PermitField, read_city
from app.ingest.mapping import CLOSED, DATES, NUMBERS, Mapper, PermitRow, check_words
from app.ingest.sources.base import Demand, Feed, Record
from app.ingest.sources.files import FileSource
from app.ingest.sources.rows import Survey

SHAPES = 3
UNUSABLE = frozenset({"missing", "default", "outside", "swapped"})
"""Qualities of a point that no query finds."""
SHAPE_MAX = 40
DIGIT, LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class ColumnCoverage:
    """One column of the file: in how many records it is filled, and what it becomes; ``uses`` of none is not read."""

    name: str
    filled: int
    uses: tuple[str, ...]
    personal: bool


@dataclass(frozen=True)
class FieldCoverage:
    """One field of the register: in how many permits it is filled, and what of it was refused or noted, by reason."""

    name: str
    columns: tuple[str, ...]
    filled: int
    refused: dict[str, int]


@dataclass(frozen=True)
class Coverage:
    """What became of a file. ``records`` are permits and rejected records; ``source_ids`` the permits told apart.

    ``shapes`` are those of dates and numbers that failed, the commonest first, by field: 9 for a digit, A for a letter.
    """

    city: str
    source: str
    form: str
    records: int
    permits: int
    source_ids: int
    rejected: dict[str, int]
    columns: tuple[ColumnCoverage, ...]
    fields: tuple[FieldCoverage, ...]
    unknown_words: dict[str, Counter[str]]
    days: dict[str, tuple[date, date]]
    qualities: dict[str, int]
    shapes: dict[str, Counter[str]]
    lacking: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """Say what the writer of the city file should look at before anything is loaded."""
        told = [f"the file has no column {column}, which the city file reads" for column in self.lacking]
        if self.records and not self.permits:
            told.append("no record is usable")
        if surplus := self.permits - self.source_ids:
            told.append(
                f"{surplus:,} records have the source_id of another and would be taken for the same permit;"
                " where they are not, source_id needs one more column"
            )
        usable = {quality: count for quality, count in self.qualities.items() if quality not in UNUSABLE}
        if (located := self.permits - self.qualities.get("missing", 0)) and sum(usable.values()) * 2 < located:
            told.append(
                "most points lie outside the box, or are a geocoder's default: is lat before lng, and the box right?"
            )
        return told


def check_mapping(city_file: Path, path: Path) -> Coverage:
    """Read a city file and a file of data, and say what the one makes of the other.

    Raises :class:`MisconfiguredError` for a city file that is wrong, and :class:`SourceFailed` for a file of data that
    cannot be read or fits none of its forms.
    """
    city = read_city(city_file)
    check_words(city)
    source, survey = FileSource(path, path.name), Survey()
    with source.open(city, {}, Demand(), survey) as feed:
        return measure_coverage(city, feed, source.name, survey)


def measure_coverage(city: City, feed: Feed, name: str, survey: Survey) -> Coverage:
    """Read a feed to its end and count what becomes of it; the survey counts the columns meanwhile."""
    mapper = Mapper(city, feed.form, feed.columns, name)
    count = Count(feed.form)
    for page in feed.pages():
        for record in feed.decoder.decode(page):
            count.add(record, mapper)
    return Coverage(
        city=city.name,
        source=name,
        form=feed.form.name,
        records=count.permits + count.rejected.total(),
        permits=count.permits,
        source_ids=len(count.source_ids),
        rejected=dict(count.rejected.most_common()),
        columns=tuple(_tell_columns(city, feed.form, survey)),
        fields=tuple(_tell_fields(feed.form, count)),
        unknown_words={field: words for field, words in count.unknown_words.items() if words},
        days={field: count.days[field] for field in DATES if field in count.days},
        qualities=dict(count.qualities.most_common()),
        lacking=tuple(_list_lacking(feed, survey)),
        shapes={field: Counter(dict(shapes.most_common(SHAPES))) for field, shapes in count.shapes.items() if shapes},
    )


class Count:
    """What was seen so far of the records of one form."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.permits = 0
        self.source_ids: set[str] = set()
        self.rejected: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.filled: Counter[str] = Counter()
        self.qualities: Counter[str] = Counter()
        self.days: dict[str, tuple[date, date]] = {}
        self.unknown_words: dict[str, Counter[str]] = {field: Counter() for field in CLOSED}
        self.shapes: dict[str, Counter[str]] = {field: Counter() for field in (*DATES, *NUMBERS)}

    def add(self, record: Record, mapper: Mapper) -> None:
        """Map one record and count what became of it."""
        parsed = mapper.parse(record)
        if isinstance(parsed, PermitRow):
            self._add_permit(record, parsed)
            return
        self.rejected[parsed.reason] += 1
        field = parsed.reason.removeprefix("malformed_")
        if field in self.shapes:
            self.shapes[field][find_shape(self._find_value(field, record))] += 1

    def _add_permit(self, record: Record, permit: PermitRow) -> None:
        self.permits += 1
        self.source_ids.add(permit.source_id)
        self.notes.update(permit.notes)
        self.qualities[permit.location_quality] += 1
        self.filled.update(name for name, value in zip(permit._fields, permit, strict=True) if value is not None)
        for field in DATES:
            if day := getattr(permit, field):
                first, last = self.days.get(field, (day, day))
                self.days[field] = min(first, day), max(last, day)
        for field in CLOSED:
            if f"unknown_{field}" in permit.notes:
                word = self._find_value(f"{field}_mapped", record) or getattr(permit, field)
                self.unknown_words[field][word] += 1

    def _find_value(self, field: str, record: Record) -> str:
        taken = {str(name): taken for name, taken in self.form.columns.items()}.get(field)
        columns = taken.columns if taken else ()
        return next((value for column in columns if (value := record.values.get(column, ""))), "")


def find_shape(value: str) -> str:
    """Give a value's shape, of which nobody can read it back."""
    return LETTER.sub("A", DIGIT.sub("9", value))[:SHAPE_MAX]


def _tell_columns(city: City, form: Form, survey: Survey) -> Iterator[ColumnCoverage]:
    uses = _find_uses(form)
    for name, filled in survey.filled.items():
        told = tuple(uses.get(form.titles.get(name, name), ()))
        if told or not _is_part_of_another(name, uses, survey):
            yield ColumnCoverage(name, filled, told, city.is_personal(name))


def _list_lacking(feed: Feed, survey: Survey) -> list[str]:
    """List the columns that the form reads and the file has not, an object of JSON being there with its members."""
    titles = feed.form.titles
    there = {titles.get(name, name) for name in survey.filled}
    return [
        column
        for column in sorted(feed.form.read_columns - there)
        if not any(name.startswith(f"{column}.") for name in there) and column.partition(".")[0] not in there
    ]


def _is_part_of_another(name: str, uses: dict[str, list[str]], survey: Survey) -> bool:
    """Whether an object of JSON or a member of one is told already: by its members, or with the whole of it."""
    has_members = any(other.startswith(f"{name}.") for other in survey.filled)
    return has_members or name.count(".") > 1 or name.partition(".")[0] in uses


def _find_uses(form: Form) -> dict[str, list[str]]:
    uses: dict[str, list[str]] = {}
    told: list[tuple[str, tuple[str, ...]]] = [("key", form.source_id)]
    told += [(field, taken.columns) for field, taken in form.columns.items()]
    told += [("point", part) for part in (form.place.parts if form.place else ())]
    told += [("accuracy", (form.place.accuracy,))] if form.place and form.place.accuracy else []
    told += [(use, (column,)) for use, column in (("row id", form.row_id), ("instant", form.updated)) if column]
    for use, columns in told:
        for column in columns:
            uses.setdefault(column, []).append(use)
    return uses


def _tell_fields(form: Form, count: Count) -> Iterator[FieldCoverage]:
    reasons = count.notes + count.rejected
    for field, taken in form.columns.items():
        yield FieldCoverage(field, taken.columns, count.filled[field], _find_refused(field, reasons))
    if form.place:
        columns = tuple(column for part in form.place.parts for column in part)
        yield FieldCoverage("location", columns, count.filled["lat"], _find_refused("coordinate", reasons))


def _find_refused(field: PermitField | str, reasons: Counter[str]) -> dict[str, int]:
    ways = ("malformed", "implausible", "overlong", "unknown", "unusable")
    return {way: reasons[f"{way}_{field}"] for way in ways if reasons[f"{way}_{field}"]}
