"""One record of a source as a permit, or as a rejected record with its reason. Pure: no file, no database, no clock."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple

from app.cities.city import City, Form, PermitField
from app.errors import MisconfiguredError
from app.ingest.categories import find_categories
from app.ingest.masking import mask_contacts
from app.ingest.points import PointReader, is_known_system
from app.ingest.sources.base import Record
from app.ingest.values import (
    ODATA_INSTANT,
    REMEMBERED,
    TEXT_MAX,
    Field,
    Memo,
    Note,
    Unusable,
    Words,
    clean,
    make_day_reader,
    make_number_reader,
    make_text_reader,
    read_text,
    since_1970,
)
from app.permits.addresses import parse_address
from app.permits.tables import UNLOCATED
from app.permits.words import PermitClassMapped, PermitTypeMapped, StatusMapped

CLOSED = {"permit_type": PermitTypeMapped, "permit_class": PermitClassMapped, "status_current": StatusMapped}
DATES = frozenset({"applied_date", "issued_date", "completed_date", "expires_date", "status_date"})
NUMBERS = frozenset({"est_project_cost_usd", "housing_units", "total_sqft"})
# What categories are told by. A source that lacks one of them cannot tell those of a permit that another source told.
GROUNDS = frozenset({"description", "permit_type", "permit_class", "work_class"})
OWN_WAY = frozenset({*NUMBERS, "description", "link"})
DESCRIPTION_MAX = 20_000
# A geocoder writes its default with as many digits as it has; this is a decimetre.
SAME_POINT_DEGREES = 1e-6


class RejectedRecord(NamedTuple):
    """A record that becomes no permit: where it stands, why, and what of it may be kept."""

    position: int
    row_hash: bytes
    reason: str
    kept_columns: dict[str, str] | None
    row_id: str | None = None
    source_id: str | None = None


class PermitRow(NamedTuple):
    """One source row as a permit, in the order in which it is staged; ``notes`` count what was left out of it."""

    source_row_id: str
    row_hash: bytes
    updated_at: str | None
    source_id: str
    permit_number: str | None
    permit_type: str | None
    permit_type_mapped: str | None
    permit_class: str | None
    permit_class_mapped: str | None
    work_class: str | None
    status_current: str | None
    status_current_mapped: str | None
    applied_date: date | None
    issued_date: date | None
    completed_date: date | None
    expires_date: date | None
    status_date: date | None
    description: str | None
    est_project_cost_usd: Decimal | None
    housing_units: int | None
    total_sqft: Decimal | None
    original_address1: str | None
    house_number: int | None
    street: str | None
    original_zip: str | None
    council_district: str | None
    jurisdiction: str | None
    parcel_id: str | None
    contractor_company_name: str | None
    contractor_trade: str | None
    master_permit_number: str | None
    project_id: str | None
    link: str | None
    categories: list[str]
    solar_kw: float | None
    battery_kwh: float | None
    lng: float | None
    lat: float | None
    location_quality: str
    notes: tuple[str, ...]


PLACES = {name: place for place, name in enumerate(PermitRow._fields)}
EMPTY: tuple[Any, ...] = (None,) * len(PLACES)
# The places that are written by name; from CATEGORIES to LNG stands what the description tells.
PERMIT_NUMBER, DESCRIPTION, LINK = PLACES["permit_number"], PLACES["description"], PLACES["link"]
ADDRESS, HOUSE_NUMBER, STREET = PLACES["original_address1"], PLACES["house_number"], PLACES["street"]
TYPE_MAPPED, CLASS, WORK_CLASS = PLACES["permit_type_mapped"], PLACES["permit_class"], PLACES["work_class"]
CATEGORIES, LNG = PLACES["categories"], PLACES["lng"]


def check_words(city: City) -> None:
    """Raise :class:`MisconfiguredError` where a map of the city ends in a word that the register does not know.

    So it does for coordinates of a reference system that there is not.
    """
    for form in city.forms:
        if form.place and form.place.epsg and not is_known_system(form.place.epsg):
            raise MisconfiguredError(f"{city.name}.toml: the form {form.name!r}: place.epsg: there is no such system")
    for field, words in city.maps.items():
        known = {str(word) for word in CLOSED[field]} | {""}
        for own, mapped in (*words.words.items(), *words.prefixes.items()):
            if mapped not in known:
                choices = ", ".join(CLOSED[field])
                raise MisconfiguredError(
                    f"{city.name}.toml: maps.{field}: {own!r} is mapped to {mapped!r}, not {choices}"
                )


def carried_columns(form: Form, columns: frozenset[str]) -> frozenset[str]:
    """Name the permit columns that a source tells, given those it has of its form; the others it leaves as they are."""
    fields = {field for field, taken in form.columns.items() if columns & set(taken.columns)}
    carried: set[str] = set(fields)
    carried |= {f"{field}_mapped" for field in CLOSED if field in fields}
    if "original_address1" in fields:
        carried |= {"house_number", "street"}
    if "description" in fields and not (GROUNDS & form.columns.keys()) - fields:
        carried |= {"categories", "solar_kw", "battery_kwh"}
    if form.place is not None and all(columns & set(part) for part in form.place.parts):
        carried |= {"location", "reported_location", "location_quality"}
    return frozenset(carried)


class Mapper:
    """One form of one city, ready for the records of a source.

    ``columns`` are those that the source tells, and so ``carried`` the columns of the register that it may change. The
    day in the source's ``name``, where the form finds one, stands in for the instant that its rows do not have.
    """

    def __init__(self, city: City, form: Form, columns: frozenset[str], name: str = "") -> None:
        self.city = city
        self.form = form
        self.carried = carried_columns(form, columns)
        self.as_of = find_as_of(form, name)
        fields = {field: _make_field(field, city, form) for field in form.columns}
        plain = {name: field for name, field in fields.items() if name not in OWN_WAY}
        # Most fields are a text as it stands; what is not read by its spelling is not remembered by it either.
        self._texts = [
            (name, field.place, field.columns[0])
            for name, field in plain.items()
            if field.is_simple and name not in DATES and not form.columns[name].take
        ]
        as_they_stand = {name for name, _, _ in self._texts}
        self._spelt = [field for name, field in plain.items() if name not in as_they_stand]
        self._numbers = [reading for field, reading in fields.items() if field in NUMBERS]
        self._description = fields.get("description")
        self._link = fields.get("link")
        self._geocoded = [PLACES[field] for field, taken in form.columns.items() if taken.only_with_point]
        self._shape = re.compile(form.shape)
        self._words = [
            (PLACES[field], PLACES[f"{field}_mapped"], Words(words), f"unknown_{field}")
            for field, words in city.maps.items()
        ]
        self._points = PointReader(form.place) if form.place else None
        self._blank = frozenset(word.casefold() for word in form.blank)
        self._hashed = sorted(form.read_columns - {form.row_id, form.updated})
        self._take_hashed = itemgetter(*self._hashed, self._hashed[0])

    def parse(self, record: Record) -> PermitRow | RejectedRecord:
        """Give the permit of a record, or why there is none."""
        if record.fault is not None:
            return RejectedRecord(record.position, record.digest or self._hash(record.values), record.fault, None)
        row_hash = self._hash(record.values)
        try:
            return self._parse(self._leave_blanks_out(record.values), row_hash)
        except Unusable as error:
            kept = {name: clean(record.values.get(name, ""))[:TEXT_MAX] for name in self.form.rejects_keep}
            kept = {name: kept[name] for name in kept if kept[name]}
            row_id = record.values.get(self.form.row_id, "") if self.form.row_id else ""
            return RejectedRecord(
                record.position, row_hash, str(error), kept, row_id or None, self._try_source_id(record.values)
            )

    def _try_source_id(self, values: Mapping[str, str]) -> str | None:
        """Give the key of a record that cannot be used, where it can be told: its permit is not gone."""
        try:
            return self._find_source_id(values)
        except Unusable:
            return None

    def _leave_blanks_out(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Empty the values that this form's source writes for nothing stated."""
        if not self._blank:
            return values
        return {name: "" if value.casefold() in self._blank else value for name, value in values.items()}

    def _hash(self, values: Mapping[str, str]) -> bytes:
        """Hash what is kept of a row, so that rows that differ in a person's columns alone are one."""
        try:
            told = "\x1f".join(self._take_hashed(values)[:-1])
        except KeyError:  # a source without some of the columns: as if they were empty
            told = "\x1f".join([values.get(name, "") for name in self._hashed])
        return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _parse(self, values: Mapping[str, str], row_hash: bytes) -> PermitRow:
        notes: list[str] = []
        row = list(EMPTY)
        source_id = self._find_source_id(values)
        lat, lng, quality = self._locate(values)
        for name, place, column in self._texts:
            if value := values.get(column):
                row[place] = read_text(name, value)
        for field in self._spelt:
            if value := field.find(values):
                row[field.place], note = field.memo[value]
                if note:
                    notes.append(note)
        for field in self._numbers:
            row[field.place] = _read_number(field, values, notes)
        self._map_words(row, notes)
        row[HOUSE_NUMBER], row[STREET] = _read_address(row[ADDRESS])
        if quality in UNLOCATED:
            for place in self._geocoded:
                row[place] = None
        row[LINK] = self._read_link(values, notes)
        description = self._read_description(values, notes)
        row[CATEGORIES:LNG] = find_categories(description, row[TYPE_MAPPED], row[CLASS] or "", row[WORK_CLASS] or "")
        row_id = clean(values.get(self.form.row_id, "")) if self.form.row_id else ""
        row[:PERMIT_NUMBER] = (
            row_id or f"{source_id}#{row_hash.hex()[:16]}",
            row_hash,
            self._read_instant(values),
            source_id,
        )
        row[DESCRIPTION] = description or None
        row[LNG:] = lng, lat, quality, tuple(notes)
        return PermitRow._make(row)

    def _find_source_id(self, values: Mapping[str, str]) -> str:
        key = [clean(values.get(column, "")) for column in self.form.source_id]
        if not any(key):
            raise Unusable("no_permit_number")
        source_id = _hash_key(key) if self.form.hashed else " ".join(key).strip()
        if len(source_id) > TEXT_MAX or not self._shape.fullmatch(source_id):
            raise Unusable("malformed_permit_number")
        return source_id

    def _read_instant(self, values: Mapping[str, str]) -> str | None:
        """Give when the row was updated, so written that instants of one city are ordered as text."""
        told = clean(values.get(self.form.updated, "")) if self.form.updated else ""
        if told and (match := ODATA_INSTANT.fullmatch(told)):
            return since_1970(match[1]).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return told or self.as_of

    def _read_description(self, values: Mapping[str, str], notes: list[str]) -> str:
        if self._description is None:
            return ""
        value = self._description.find(values)
        for written, meant in self.form.unescape.items():
            value = value.replace(written, meant)
        value = clean(value)
        if len(value) > DESCRIPTION_MAX:
            raise Unusable("overlong_description")
        masked = mask_contacts(value)
        if masked != value:
            notes.append("masked_contact")
        return masked

    def _read_link(self, values: Mapping[str, str], notes: list[str]) -> str | None:
        if self._link is None or not (value := self._link.find(values).strip()):
            return None
        is_plain = value.isprintable() and " " not in value and len(value) <= TEXT_MAX
        if is_plain and value.lower().startswith(("https://", "http://")):
            return value
        notes.append("unusable_link")
        return None

    def _map_words(self, row: list[Any], notes: list[str]) -> None:
        for own, mapped, words, unknown in self._words:
            if told := row[mapped] or row[own]:
                row[mapped], known = words[told]
                if not known:
                    notes.append(unknown)

    def _locate(self, values: Mapping[str, str]) -> tuple[float | None, float | None, str]:
        """Give a record's own pair, where it is finite, and how good it is. A pair is judged before any cast."""
        if self._points is None:
            return None, None, "missing"
        try:
            spot = self._points.read(values)
        except ValueError:
            raise Unusable("malformed_coordinate") from None
        if spot is None:
            return None, None, "missing"
        place = self._points.place
        told = place.qualities.get(values.get(place.accuracy, "").strip(), "unstated") if place.accuracy else "unstated"
        told = "multipoint" if spot.several else told
        return spot.lat, spot.lng, judge_point(self.city, told, lat=spot.lat, lng=spot.lng)


def find_as_of(form: Form, name: str) -> str | None:
    """Find the day of a snapshot in its file's name, as its first instant, so written that instants order as text."""
    if form.as_of is None or (match := re.search(form.as_of, name)) is None:
        return None
    try:
        return f"{date.fromisoformat(match[1]).isoformat()}T00:00:00.000Z"
    except ValueError:
        return None


def judge_point(city: City, told: str, *, lat: float, lng: float) -> str:
    """Give the quality of a finite pair: ``told`` where it is usable, else why it is not."""
    for point in city.default_points:
        if abs(lat - point.lat) <= SAME_POINT_DEGREES and abs(lng - point.lng) <= SAME_POINT_DEGREES:
            return "default"
    box = city.box
    if box.south <= lat <= box.north and box.west <= lng <= box.east:
        return told
    return "swapped" if box.south <= lng <= box.north and box.west <= lat <= box.east else "outside"


def _make_field(field: PermitField, city: City, form: Form) -> Field:
    taken = form.columns[field]
    return Field(PLACES[field], taken.columns, taken.join, Memo(_make_reader(field, city, form)))


def _make_reader(field: PermitField, city: City, form: Form) -> Callable[[str], tuple[object, Note]]:
    if field in DATES:
        return make_day_reader(field, form.date_forms, city.time_zone)
    if field in NUMBERS:
        return make_number_reader(field, form.columns[field], whole=field == "housing_units")
    return make_text_reader(field, form.columns[field])


def _read_number(field: Field, values: Mapping[str, str], notes: list[str]) -> Decimal | int | None:
    """Give the first number above zero among a field's columns, else zero, else nothing."""
    chosen: Decimal | int | None = None
    for column in field.columns:
        if value := values.get(column):
            number, note = field.memo[value]
            if note:
                notes.append(note)
            elif not chosen and isinstance(number, Decimal | int):
                chosen = number
    return chosen


def _hash_key(key: list[str]) -> str:
    return blake2b("\x1f".join(key).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@lru_cache(REMEMBERED)
def _read_address(text: str | None) -> tuple[int | None, str | None]:
    address = parse_address(text)
    return (address.house_number, address.street) if address else (None, None)
