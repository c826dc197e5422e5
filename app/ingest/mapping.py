"""One record of a source as a permit, or as a rejected record with its reason. Pure: no file, no database, no clock."""

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from app.cities.city import City, Form, Taken, WordMap
from app.errors import MisconfiguredError, UndervoltError
from app.ingest.categories import Subject, categorize
from app.ingest.masking import mask_contacts
from app.ingest.solar import find_solar_kw
from app.ingest.sources import Record
from app.permits.addresses import parse_address
from app.permits.tables import UNLOCATED
from app.permits.words import Category, PermitClassMapped, PermitTypeMapped, StatusMapped

CLOSED = {"permit_type": PermitTypeMapped, "permit_class": PermitClassMapped, "status_current": StatusMapped}
DATES = ("applied_date", "issued_date", "completed_date", "expires_date", "status_date")
NUMBERS = ("est_project_cost_usd", "housing_units", "total_sqft")
OWN_WAY = frozenset({*DATES, *NUMBERS, "description", "link"})

# Keys and words are indexed, and an index entry is bounded.
TEXT_MAX = 500
DESCRIPTION_MAX = 20_000
NUMBER_MAX = 10**12
EARLIEST, LATEST = date(1800, 1, 1), date(2200, 12, 31)
# A geocoder writes its default with as many digits as it has; this is a decimetre.
SAME_POINT_DEGREES = 1e-6
CACHED_DATES = CACHED_TEXTS = 50_000

NUMBER = re.compile(r"-?\$?(?:\d[\d,]*(?:\.\d*)?|\.\d+)")
BLANKS = dict.fromkeys(map(ord, "\t\n\r\v\f\xa0"), " ")
UNPRINTABLE = dict.fromkeys((*range(32), *range(127, 160), *range(0xD800, 0xE000))) | BLANKS


class RejectedRecord(NamedTuple):
    """A record that becomes no permit: where it stands, why, and what of it may be kept."""

    position: int
    row_hash: bytes
    reason: str
    kept_columns: dict[str, str] | None


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
    lng: float | None
    lat: float | None
    location_quality: str
    notes: tuple[str, ...]


class Unusable(UndervoltError):  # noqa: N818 - a refusal of one record, which the run counts
    """A record that cannot become a permit; the message is its reason, a word for the report."""


def check_words(city: City) -> None:
    """Raise :class:`MisconfiguredError` where a map of the city ends in a word that the register does not know."""
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
    if "description" in fields:
        carried |= {"categories", "solar_kw"}
    if form.place is not None and columns & set(form.place.lat) and columns & set(form.place.lng):
        carried |= {"location", "reported_location", "location_quality"}
    return frozenset(carried)


class Words:
    """A city's words to closed ones, each looked up once."""

    def __init__(self, words: WordMap) -> None:
        self._exact = {own.casefold(): mapped for own, mapped in words.words.items()}
        self._prefixes = tuple((own.casefold(), mapped) for own, mapped in words.prefixes.items())
        self._found: dict[str, tuple[str | None, bool]] = {}

    def find(self, word: str) -> tuple[str | None, bool]:
        """Give the closed word, if any, and whether the city file knows the word at all."""
        if (found := self._found.get(word)) is None:
            found = self._found[word] = self._look_up(word.casefold())
        return found

    def _look_up(self, word: str) -> tuple[str | None, bool]:
        if (mapped := self._exact.get(word)) is not None:
            return mapped or None, True
        for prefix, mapped in self._prefixes:
            if word.startswith(prefix):
                return mapped or None, True
        return None, False


class Reading(NamedTuple):
    """How one field is taken from the columns that a source has of it."""

    field: str
    columns: tuple[str, ...]
    pattern: re.Pattern[str] | None
    at_least: float
    at_most: float


class Mapper:
    """One form of one city, ready for the records of a source that has ``columns`` of it."""

    def __init__(self, city: City, form: Form, columns: frozenset[str]) -> None:
        self.city = city
        self.form = form
        self.carried = carried_columns(form, columns)
        readings = [_plan_reading(field, taken, columns) for field, taken in form.columns.items()]
        self._readings = {reading.field: reading for reading in readings if reading.columns}
        self._texts = [reading for field, reading in self._readings.items() if field not in OWN_WAY]
        self._days = [self._readings[field] for field in DATES if field in self._readings]
        self._numbers = [self._readings[field] for field in NUMBERS if field in self._readings]
        self._geocoded = [field for field, taken in form.columns.items() if taken.only_with_point]
        self._shape = re.compile(form.shape)
        self._words = {field: Words(words) for field, words in city.maps.items()}
        self._dates: dict[str, date] = {}
        self._hashed = sorted(columns - {form.row_id, form.updated})

    def parse(self, record: Record) -> PermitRow | RejectedRecord:
        """Give the permit of a record, or why there is none."""
        row_hash = self._hash(record.values)
        if record.fault is not None:
            return RejectedRecord(record.position, row_hash, record.fault, None)
        try:
            return self._parse(record.values, row_hash)
        except Unusable as error:
            kept = {name: _clean(record.values.get(name, ""))[:TEXT_MAX] for name in self.form.rejects_keep}
            return RejectedRecord(
                record.position, row_hash, str(error), {name: kept[name] for name in kept if kept[name]}
            )

    def _hash(self, values: Mapping[str, str]) -> bytes:
        """Hash what is kept of a row, so that rows that differ in a person's columns alone are one."""
        told = [f"{name}={value}" for name in self._hashed if (value := values.get(name))]
        return blake2b("\x1f".join(told).encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _parse(self, values: Mapping[str, str], row_hash: bytes) -> PermitRow:
        notes: list[str] = []
        source_id = self._find_source_id(values)
        fields: dict[str, Any] = dict.fromkeys(PermitRow._fields)
        lat, lng, quality = self._locate(values)
        for reading in self._texts:
            if value := _first(reading, values):
                fields[reading.field] = _read_text(reading, value)
        for reading in self._days:
            if value := _first(reading, values):
                fields[reading.field] = self._read_date(reading.field, value, notes)
        for reading in self._numbers:
            fields[reading.field] = _read_number(reading, values, notes)
        self._map_words(fields, notes)
        fields["house_number"], fields["street"] = _read_address(fields["original_address1"])
        if quality in UNLOCATED:
            fields.update(dict.fromkeys(self._geocoded))
        fields["link"] = self._read_link(values, notes)
        description = self._read_description(values, notes)
        categories, solar_kw = _categorize(description, fields)
        row_id = values.get(self.form.row_id, "") if self.form.row_id else ""
        fields.update(
            source_row_id=row_id or f"{source_id}#{row_hash.hex()[:16]}",
            row_hash=row_hash,
            updated_at=(values.get(self.form.updated) or None) if self.form.updated else None,
            source_id=source_id,
            description=description or None,
            categories=categories,
            solar_kw=solar_kw,
            lat=lat,
            lng=lng,
            location_quality=quality,
            notes=tuple(notes),
        )
        return PermitRow(**fields)

    def _find_source_id(self, values: Mapping[str, str]) -> str:
        source_id = " ".join(_clean(values.get(column, "")) for column in self.form.source_id).strip()
        if not source_id:
            raise Unusable("no_permit_number")
        if len(source_id) > TEXT_MAX or not self._shape.fullmatch(source_id):
            raise Unusable("malformed_permit_number")
        return source_id

    def _read_description(self, values: Mapping[str, str], notes: list[str]) -> str:
        if (reading := self._readings.get("description")) is None:
            return ""
        value = _first(reading, values)
        for written, meant in self.form.unescape.items():
            value = value.replace(written, meant)
        value = _clean(value)
        if len(value) > DESCRIPTION_MAX:
            raise Unusable("overlong_description")
        masked = mask_contacts(value)
        if masked != value:
            notes.append("masked_contact")
        return masked

    def _read_link(self, values: Mapping[str, str], notes: list[str]) -> str | None:
        reading = self._readings.get("link")
        if reading is None or not (value := _first(reading, values).strip()):
            return None
        is_plain = value.isprintable() and " " not in value and len(value) <= TEXT_MAX
        if is_plain and value.lower().startswith(("https://", "http://")):
            return value
        notes.append("unusable_link")
        return None

    def _read_date(self, field: str, value: str, notes: list[str]) -> date | None:
        if not (text := value.strip()):
            return None
        day = self._dates.get(text) or self._parse_date(field, text)
        if EARLIEST <= day <= LATEST:
            return day
        notes.append(f"implausible_{field}")
        return None

    def _parse_date(self, field: str, value: str) -> date:
        for form in self.form.date_forms:
            try:
                day = datetime.strptime(value, form).date()  # noqa: DTZ007 - a calendar day in the city has no zone
            except ValueError:
                continue
            if len(self._dates) >= CACHED_DATES:
                self._dates.clear()
            self._dates[value] = day
            return day
        raise Unusable(f"malformed_{field}")

    def _map_words(self, fields: dict[str, Any], notes: list[str]) -> None:
        for field, words in self._words.items():
            if told := fields.get(f"{field}_mapped") or fields[field]:
                mapped, known = words.find(told)
                fields[f"{field}_mapped"] = mapped
                if not known:
                    notes.append(f"unknown_{field}")

    def _locate(self, values: Mapping[str, str]) -> tuple[float | None, float | None, str]:
        """Give a record's own pair, where it is finite, and how good it is. A pair is judged before any cast."""
        place = self.form.place
        if place is None:
            return None, None, "missing"
        lat, lng = (
            _parse_degrees(next(filter(None, map(values.get, columns)), "")) for columns in (place.lat, place.lng)
        )
        if lat is None or lng is None:
            return None, None, "missing"
        told = place.qualities.get(values.get(place.accuracy, "").strip(), "unstated") if place.accuracy else "unstated"
        return lat, lng, judge_point(self.city, told, lat=lat, lng=lng)


def judge_point(city: City, told: str, *, lat: float, lng: float) -> str:
    """Give the quality of a finite pair: ``told`` where it is usable, else why it is not."""
    for point in city.default_points:
        if abs(lat - point.lat) <= SAME_POINT_DEGREES and abs(lng - point.lng) <= SAME_POINT_DEGREES:
            return "default"
    box = city.box
    if box.south <= lat <= box.north and box.west <= lng <= box.east:
        return told
    return "swapped" if box.south <= lng <= box.north and box.west <= lat <= box.east else "outside"


def _categorize(description: str, fields: Mapping[str, Any]) -> tuple[list[str], float | None]:
    subject = Subject(
        description, fields["permit_type_mapped"], fields["permit_class"] or "", fields["work_class"] or ""
    )
    categories = categorize(subject)
    solar_kw = find_solar_kw(description) if Category.SOLAR in categories else None
    return [str(category) for category in categories], solar_kw


def _plan_reading(field: str, taken: Taken, columns: frozenset[str]) -> Reading:
    present = tuple(column for column in taken.columns if column in columns)
    pattern = re.compile(taken.take) if taken.take else None
    return Reading(field, present, pattern, taken.at_least, NUMBER_MAX if taken.at_most is None else taken.at_most)


def _first(reading: Reading, values: Mapping[str, str]) -> str:
    for column in reading.columns:
        if value := values[column]:
            return value
    return ""


def _clean(value: str) -> str:
    """Give a value without padding and without characters that cannot be shown."""
    return (value if value.isprintable() else value.translate(UNPRINTABLE)).strip()


def _read_text(reading: Reading, value: str) -> str | None:
    """Give a text with single blanks; of a value that has to match a pattern, its first group that took part."""
    if reading.pattern is not None:
        match = reading.pattern.fullmatch(value.strip())
        value = match[match.lastindex or 0] if match else ""
    text = _clean(value)
    if "  " in text:
        text = " ".join(text.split())
    if len(text) > TEXT_MAX:
        raise Unusable(f"overlong_{reading.field}")
    return text or None


@lru_cache(CACHED_TEXTS)
def _read_address(text: str | None) -> tuple[int | None, str | None]:
    address = parse_address(text)
    return (address.house_number, address.street) if address else (None, None)


def _read_number(reading: Reading, values: Mapping[str, str], notes: list[str]) -> Decimal | int | None:
    """Give the first number above zero among a field's columns, else zero, else nothing."""
    chosen: Decimal | None = None
    for column in reading.columns:
        if (value := values[column]) and (number := _parse_number(reading.field, value)) is not None:
            if not reading.at_least <= number <= reading.at_most:
                notes.append(f"implausible_{reading.field}")
            elif not chosen:
                chosen = number
    return int(chosen) if chosen is not None and reading.field == "housing_units" else chosen


@lru_cache(CACHED_TEXTS)
def _parse_number(field: str, value: str) -> Decimal | None:
    text = value.strip()
    if not text:
        return None
    if not NUMBER.fullmatch(text):
        raise Unusable(f"malformed_{field}")
    number = Decimal(text.replace("$", "").replace(",", ""))
    if field == "housing_units" and number != int(number):
        raise Unusable(f"malformed_{field}")
    return number


def _parse_degrees(value: str) -> float | None:
    text = value.strip()
    if not text:
        return None
    try:
        degrees = float(text)
    except ValueError:
        raise Unusable("malformed_coordinate") from None
    return degrees if math.isfinite(degrees) else None
