"""A record becomes a permit with honest fields, or a rejected record with its place and reason.

No real file of Austin holds a swapped pair, 0/0 or a number that is none; those rows are made up here.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest
import shapely

from app.cities.city import City, find_city, list_cities
from app.errors import MisconfiguredError
from app.ingest.mapping import Mapper, PermitRow, RejectedRecord, carried_columns, check_words
from app.ingest.sources.base import Record
from app.permits.tables import LOCATED, UNLOCATED
from tests.ingest.conftest import REPORT_43_COLUMNS, portal_row, report_row


def parse(city: City, row: Mapping[str, object], *, form: str = "permit report") -> PermitRow | RejectedRecord:
    """Map one row of a form that has all its columns."""
    chosen = next(found for found in city.forms if found.name == form)
    values = {name: str(row.get(name, "") or "") for name in chosen.read_columns}
    return Mapper(city, chosen, chosen.read_columns).parse(Record(7, values))


def permit(city: City, row: Mapping[str, object], *, form: str = "permit report") -> PermitRow:
    """Map one row that is a permit."""
    parsed = parse(city, row, form=form)
    assert isinstance(parsed, PermitRow), parsed
    return parsed


def portal(city: City, **values: object) -> PermitRow:
    """Map one row of the portal."""
    row = portal_row(**values)
    return permit(
        city, row | {"link": row["link"].get("url") if isinstance(row["link"], dict) else row["link"]}, form="portal"
    )


def reason(city: City, **values: str) -> str:
    """Map one row of the report that is no permit."""
    parsed = parse(city, report_row(**values))
    assert isinstance(parsed, RejectedRecord), parsed
    return parsed.reason


@pytest.mark.parametrize("name", list_cities())
def test_every_shipped_map_ends_in_words_that_the_register_knows(name: str) -> None:
    check_words(find_city(name))


def test_a_map_to_an_unknown_word_is_named(austin: City) -> None:
    maps = austin.maps | {
        "status_current": austin.maps["status_current"].model_copy(update={"words": {"Done": "Ready"}})
    }
    with pytest.raises(
        MisconfiguredError, match=r"austin\.toml: maps\.status_current: 'Done' is mapped to 'Ready', not"
    ):
        check_words(austin.model_copy(update={"maps": maps}))


def test_a_row_of_the_report_is_a_permit_in_blds_words(austin: City) -> None:
    row = permit(austin, report_row())
    assert (row.source_id, row.permit_number) == ("2015-000001 EP", "2015-000001 EP")
    assert (row.permit_type, row.permit_type_mapped) == ("EP", "Electrical")
    assert (row.permit_class, row.permit_class_mapped) == ("Residential", "Residential")
    assert (row.status_current, row.status_current_mapped) == ("Final", "Permit Finaled")
    assert (row.work_class, row.issued_date, row.applied_date) == ("Remodel", date(2015, 2, 3), None)
    assert (row.est_project_cost_usd, row.total_sqft, row.housing_units) == (Decimal("21500.50"), Decimal(250), 1)
    assert (row.categories, row.solar_kw) == (["solar"], 7.2)
    assert (row.lat, row.lng, row.location_quality) == (30.25, -97.75, "unstated")
    assert (row.original_address1, row.house_number, row.street) == ("100 MADE UP ST", 100, "MADE UP ST")
    assert row.notes == ()


def test_a_row_of_the_portal_is_a_permit_in_blds_words(austin: City) -> None:
    row = portal(austin)
    assert (row.permit_type_mapped, row.permit_class_mapped) == ("Electrical", "Residential")
    assert (row.status_current_mapped, row.status_date) == ("Permit Issued", date(2025, 7, 21))
    assert (row.applied_date, row.issued_date) == (date(2025, 3, 31), date(2025, 7, 20))
    assert (row.original_zip, row.council_district) == ("78704", "5")
    assert (row.link, row.solar_kw) == ("https://example.org/permit?id=1", 8.28)


@pytest.mark.parametrize(
    ("own", "mapped"),
    [
        ("R- 101 Single Family Houses", "Residential"),
        ("Res. Driveway & Sidewalk", "Residential"),
        ("C-1000 Commercial Remodel", "Non-Residential"),
        ("C - Medical Gas", "Non-Residential"),
        ("Com. Sidewalk", "Non-Residential"),
        ("Sign Permit", "Non-Residential"),
        ("commercial", "Non-Residential"),
    ],
)
def test_classes_are_mapped_by_word_or_beginning_in_any_case(austin: City, own: str, mapped: str) -> None:
    assert permit(austin, report_row(sub_type=own)).permit_class_mapped == mapped


def test_the_portals_own_mapped_class_counts_before_the_city_files(austin: City) -> None:
    assert (
        portal(austin, permit_class="R- 101 X", permit_class_mapped="Commercial").permit_class_mapped
        == "Non-Residential"
    )


def test_an_unknown_status_stays_as_it_is_and_is_counted(austin: City) -> None:
    row = permit(austin, report_row(status="Levitating"))
    assert (row.status_current, row.status_current_mapped) == ("Levitating", None)
    assert row.notes == ("unknown_status_current",)


def test_a_known_status_without_a_blds_word_is_not_counted_as_unknown(austin: City) -> None:
    row = permit(austin, report_row(status="On Hold"))
    assert (row.status_current, row.status_current_mapped, row.notes) == ("On Hold", None, ())


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("12 Loom Street                      A  00000", "12 Loom Street"),
        ("2105 Highway Of Th Invented Weaversa A00004", "2105 Highway Of Th Invented Weavers"),
        ("43 Shuttle Lane   **No Such Rec**C  00000", "43 Shuttle Lane"),
        ("8517 N HIGHWAY OF INVENTED LOOMS BLDG 8501", "8517 N HIGHWAY OF INVENTED LOOMS BLDG 8501"),
        ("77  1/2 E SHUTTLE LN BLDG 1A", "77 1/2 E SHUTTLE LN BLDG 1A"),
        ("44 E LOOM ST UNIT 14101", "44 E LOOM ST UNIT 14101"),
        ("   ", None),
    ],
)
def test_an_address_ends_where_its_code_begins(austin: City, written: str, address: str | None) -> None:
    assert permit(austin, report_row(permit_location=written)).original_address1 == address


def test_a_zip_of_the_geocoder_is_the_permits_own(austin: City) -> None:
    assert permit(austin, report_row(postal_code="78704-1234", accuracy="ROOFTOP")).original_zip == "78704"


def test_a_zip_of_a_point_that_is_no_place_is_dropped(austin: City) -> None:
    row = permit(austin, report_row(postal_code="78701", lat="30.267153", lng="-97.7430608"))
    assert (row.location_quality, row.original_zip) == ("default", None)


def test_the_zip_of_an_owner_is_never_a_permits(austin: City) -> None:
    row = permit(austin, report_row(property_owner_addrpostal="78799"))
    assert row.original_zip is None


@pytest.mark.parametrize(
    ("lat", "lng", "quality", "pair"),
    [
        ("30.25", "-97.75", "rooftop", (30.25, -97.75)),
        ("", "", "missing", (None, None)),
        ("30.25", "", "missing", (None, None)),
        ("30.267153", "-97.7430608", "default", (30.267153, -97.7430608)),
        ("30.26715301", "-97.74306079", "default", (30.26715301, -97.74306079)),
        ("31.78", "-106.29", "outside", (31.78, -106.29)),
        ("0", "0", "outside", (0.0, 0.0)),
        ("-97.75", "30.25", "swapped", (-97.75, 30.25)),
        ("1e9", "-97.75", "outside", (1e9, -97.75)),
        ("NaN", "-97.75", "missing", (None, None)),
        ("inf", "-97.75", "missing", (None, None)),
        ("1e999", "-97.75", "missing", (None, None)),
        ("29.90", "-98.30", "rooftop", (29.90, -98.30)),
    ],
)
def test_a_pair_is_judged_before_it_is_a_place(
    austin: City, lat: str, lng: str, quality: str, pair: tuple[float | None, float | None]
) -> None:
    row = permit(austin, report_row(lat=lat, lng=lng, accuracy="ROOFTOP"))
    assert (row.location_quality, (row.lat, row.lng)) == (quality, pair)


@pytest.mark.parametrize(
    ("accuracy", "quality"),
    [
        ("ROOFTOP", "rooftop"),
        ("RANGE_INTERPOLATED", "interpolated"),
        ("GEOMETRIC_CENTER", "approximate"),
        ("APPROXIMATE", "approximate"),
        ("", "unstated"),
        ("SOMETHING_NEW", "unstated"),
    ],
)
def test_the_geocoders_accuracy_is_the_quality_of_a_usable_point(austin: City, accuracy: str, quality: str) -> None:
    assert permit(austin, report_row(accuracy=accuracy)).location_quality == quality


def test_every_quality_is_one_that_the_register_knows(austin: City) -> None:
    assert austin.forms[0].place is not None
    assert set(austin.forms[0].place.qualities.values()) <= set(LOCATED)
    assert {"missing", "default", "outside", "swapped"} == set(UNLOCATED)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"permit_number": ""}, "no_permit_number"),
        ({"permit_number": "15-1 EP"}, "malformed_permit_number"),
        ({"permit_number": "2015-000001 ZZ"}, "malformed_permit_number"),
        ({"date_issued": "2015/02/03"}, "malformed_issued_date"),
        ({"date_issued": "02/30/2015"}, "malformed_issued_date"),
        ({"total_job_valuation": "about ten"}, "malformed_est_project_cost_usd"),
        ({"total_job_valuation": "NaN"}, "malformed_est_project_cost_usd"),
        ({"number_of_units": "1.5"}, "malformed_housing_units"),
        ({"lat": "north"}, "malformed_coordinate"),
        ({"status": "x" * 501}, "overlong_status_current"),
        ({"permit_location": "1 " + "x" * 500}, "overlong_original_address1"),
        ({"work_description": "x" * 20_001}, "overlong_description"),
    ],
)
def test_a_row_that_cannot_be_a_permit_is_rejected_with_a_reason(
    austin: City, values: dict[str, str], why: str
) -> None:
    assert reason(austin, **values) == why


def test_a_rejected_row_keeps_its_place_and_allowed_columns_alone(austin: City) -> None:
    rejected = parse(austin, report_row(date_issued="soon", work_description="call 512-555-0100"))
    assert isinstance(rejected, RejectedRecord)
    assert rejected.position == 7
    assert rejected.kept_columns == {
        "permit_number": "2015-000001 EP",
        "date_issued": "soon",
        "status": "Final",
        "sub_type": "Residential",
        "work_type": "Remodel",
    }


def test_a_record_in_doubt_keeps_no_column(austin: City) -> None:
    form = austin.forms[0]
    rejected = Mapper(austin, form, form.read_columns).parse(Record(3, {}, "shifted_columns"))
    assert isinstance(rejected, RejectedRecord)
    assert (rejected.position, rejected.reason, rejected.kept_columns) == (3, "shifted_columns", None)


@pytest.mark.parametrize(
    ("value", "cost", "notes"),
    [
        ("", None, ()),
        ("0", Decimal(0), ()),
        ("1", Decimal(1), ()),
        ("$3,203,426.50", Decimal("3203426.50"), ()),
        ("-5", None, ("implausible_est_project_cost_usd",)),
        ("9" * 14, None, ("implausible_est_project_cost_usd",)),
    ],
)
def test_a_cost_below_zero_or_beyond_belief_is_no_cost(
    austin: City, value: str, cost: Decimal | None, notes: tuple[str, ...]
) -> None:
    row = permit(austin, report_row(total_job_valuation=value))
    assert (row.est_project_cost_usd, row.notes) == (cost, notes)


@pytest.mark.parametrize(
    ("new", "remodelled", "sqft"),
    [("500", "250", 500), ("0", "250", 250), ("", "250", 250), ("0", "", 0), ("-5", "250", 250), ("", "", None)],
)
def test_floor_area_is_the_new_one_or_else_the_remodelled(
    austin: City, new: str, remodelled: str, sqft: int | None
) -> None:
    row = permit(austin, report_row(total_new_add_footage=new, remodel_repair_footage=remodelled))
    assert row.total_sqft == sqft


def test_more_units_than_a_permit_can_have_are_none(austin: City) -> None:
    row = permit(austin, report_row(number_of_units="14817"))
    assert (row.housing_units, row.notes) == (None, ("implausible_housing_units",))


def test_a_date_beyond_belief_is_no_date(austin: City) -> None:
    row = permit(austin, report_row(date_issued="11/05/2905"))
    assert (row.issued_date, row.notes) == (None, ("implausible_issued_date",))


def test_a_description_is_unescaped_cleaned_and_masked(austin: City) -> None:
    row = permit(austin, report_row(work_description="  Owner\\'s\tdeck\x19\x7f, call 512-555-0100 "))
    assert row.description == "Owner's deck, call [phone]"
    assert row.notes == ("masked_contact",)


def test_text_that_a_database_cannot_hold_is_dropped(austin: City) -> None:
    assert portal(austin, description="deck\ud800\x00 and\u00a0porch").description == "deck and porch"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "ftp://example.org/x", "see file", "https://a b"])
def test_a_link_that_is_none_is_dropped(austin: City, link: str) -> None:
    row = portal(austin, link=link)
    assert (row.link, row.notes) == (None, ("unusable_link",))


def test_the_legal_description_is_not_kept(austin: City) -> None:
    assert "Lot: 1" not in str(permit(austin, report_row()))


def test_rows_that_differ_in_an_owner_alone_are_one_source_row(austin: City) -> None:
    first = permit(austin, report_row(property_owner="Imaginary One"))
    second = permit(austin, report_row(property_owner="Imaginary Two", property_owner_addrpostal="78701"))
    assert (first.source_row_id, first.row_hash) == (second.source_row_id, second.row_hash)


def test_rows_that_differ_in_a_kept_column_are_two(austin: City) -> None:
    assert permit(austin, report_row()).row_hash != permit(austin, report_row(status="Active")).row_hash


def test_the_portals_row_id_is_the_source_rows(austin: City) -> None:
    row = portal(austin, **{":id": "row-abcd.efgh", ":updated_at": "2025-07-22T08:00:00.000Z"})
    assert (row.source_row_id, row.updated_at) == ("row-abcd.efgh", "2025-07-22T08:00:00.000Z")
    assert row.row_hash == portal(austin).row_hash


def test_a_source_tells_only_what_its_columns_hold(austin: City) -> None:
    form = austin.forms[1]
    told = carried_columns(form, frozenset({"permit_number", "permittype", "status_current", "original_zip"}))
    assert told == {
        "permit_number",
        "permit_type",
        "permit_type_mapped",
        "status_current",
        "status_current_mapped",
        "original_zip",
    }


def test_a_source_with_all_columns_tells_place_and_categories(austin: City) -> None:
    told = carried_columns(austin.forms[0], frozenset(REPORT_43_COLUMNS))
    assert {"location", "location_quality", "reported_location", "categories", "solar_kw", "house_number"} <= told


def make_city(form: str, *, zone: str = "America/Chicago") -> City:
    """A made-up city of one form around 30, -97."""
    text = f"""
        name = "tiny"
        title = "Tiny"
        time_zone = "{zone}"
        box = {{ west = -98.0, south = 29.0, east = -96.0, north = 31.0 }}
        [[forms]]
        name = "only"
        needs = ["number"]
        {form}
    """
    return City.model_validate(tomllib.loads(text))


def place(city: City, **values: str) -> tuple[float | None, float | None, str]:
    """Map a row's point."""
    row = permit(city, {"number": "1"} | values, form="only")
    return row.lat, row.lng, row.location_quality


PLAIN = """
source_id = "number"
date_forms = ["%Y-%m-%d", "odata"]
[forms.columns]
permit_number = "number"
issued_date = "day"
original_address1 = { columns = ["no", "way"], join = true, take = "0*(.+)" }
"""


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("POINT (-97.5 30.25)", (30.25, -97.5, "unstated")),
        ("point(-97.5 30.25)", (30.25, -97.5, "unstated")),
        ("SRID=4326;POINT Z (-97.5 30.25 12)", (30.25, -97.5, "unstated")),
        ("MULTIPOINT (-97.5 30.25, -97.6 30.5)", (30.25, -97.5, "multipoint")),
        ("MULTIPOINT ((-97.5 30.25), (-97.5 30.25))", (30.25, -97.5, "unstated")),
        ("MULTIPOINT ((0 0), (-97.5 30.25))", (0.0, 0.0, "outside")),
        ("POINT EMPTY", (None, None, "missing")),
        ("", (None, None, "missing")),
        ("POINT (0 0)", (0.0, 0.0, "outside")),
        ("POINT (30.25 -97.5)", (-97.5, 30.25, "swapped")),
        ("POINT (nan inf)", (None, None, "missing")),
    ],
)
def test_a_point_in_wkt_is_its_first(written: str, found: tuple[float | None, float | None, str]) -> None:
    assert place(make_city('place = { wkt = "at" }' + PLAIN), at=written) == found


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('{"type":"Point","coordinates":[-97.5,30.25]}', (30.25, -97.5, "unstated")),
        ('{"type":"MultiPoint","coordinates":[[-97.5,30.25],[-97.6,30.5]]}', (30.25, -97.5, "multipoint")),
        ('{"type":"Point","coordinates":[]}', (None, None, "missing")),
        ("null", (None, None, "missing")),
        ('{"type":"Point","coordinates":[30.25,-97.5]}', (-97.5, 30.25, "swapped")),
    ],
)
def test_a_point_in_geojson_is_its_first(written: str, found: tuple[float | None, float | None, str]) -> None:
    assert place(make_city('place = { geojson = "at" }' + PLAIN), at=written) == found


@pytest.mark.parametrize(
    ("point", "found"),
    [
        (shapely.set_srid(shapely.Point(-97.5, 30.25), 4326), (30.25, -97.5, "unstated")),
        (shapely.Point(-97.5, 30.25), (30.25, -97.5, "unstated")),
        (shapely.MultiPoint([(-97.5, 30.25), (-97.6, 30.5)]), (30.25, -97.5, "multipoint")),
        (shapely.Point(), (None, None, "missing")),
    ],
)
def test_a_point_in_hex_is_its_first(point: shapely.Geometry, found: tuple[float | None, float | None, str]) -> None:
    written = str(shapely.to_wkb(point, hex=True, include_srid=True))
    assert place(make_city('place = { ewkb = "at" }' + PLAIN), at=written) == found


def test_coordinates_of_another_system_become_degrees() -> None:
    """Philadelphia's City Hall lies at 39.952, -75.164 by the Geographic Names System; half a kilometre is allowed."""
    city = find_city("philadelphia")
    form = city.forms[0]
    values = dict.fromkeys(form.read_columns, "") | {
        "permit_number": "1",
        "locations.x": "2693100",
        "locations.y": "235700",
    }
    row = Mapper(city, form, form.read_columns).parse(Record(1, values))
    assert isinstance(row, PermitRow)
    assert abs((row.lat or 0) - 39.952) < 0.005
    assert abs((row.lng or 0) + 75.164) < 0.005
    assert row.location_quality == "unstated"


@pytest.mark.parametrize(
    ("way", "written"),
    [
        ('{ wkt = "at" }', "POINT (here there)"),
        ('{ wkt = "at" }', "LINESTRING (0 0, 1 1)"),
        ('{ wkt = "at" }', "POINT (-97.5)"),
        ('{ geojson = "at" }', "{'type': 'Point', 'coordinates': [-97.5, 30.25]}"),
        ('{ geojson = "at" }', '{"type":"Polygon","coordinates":[[[0,0]]]}'),
        ('{ geojson = "at" }', '{"type":"Point","coordinates":[{},{}]}'),
        ('{ geojson = "at" }', "[" * 100_000),
        ('{ ewkb = "at" }', "0101000020"),
        ('{ ewkb = "at" }', "no hex"),
        (
            '{ ewkb = "at" }',
            str(shapely.to_wkb(shapely.set_srid(shapely.Point(1, 2), 2272), hex=True, include_srid=True)),
        ),
        ('{ x = "at", y = "at", epsg = 2272 }', "east"),
    ],
)
def test_a_point_that_is_not_as_its_city_says_rejects_its_row(way: str, written: str) -> None:
    parsed = parse(make_city(f"place = {way}" + PLAIN), {"number": "1", "at": written}, form="only")
    assert isinstance(parsed, RejectedRecord)
    assert parsed.reason == "malformed_coordinate"


def test_a_reference_system_that_there_is_not_is_named() -> None:
    with pytest.raises(
        MisconfiguredError, match=r"^tiny\.toml: the form 'only': place\.epsg: there is no such system$"
    ):
        check_words(make_city('place = { x = "a", y = "b", epsg = 1 }' + PLAIN))


def test_an_address_is_joined_from_its_parts() -> None:
    row = permit(make_city(PLAIN), {"number": "1", "no": " 01902", "way": "N 17TH ST"}, form="only")
    assert (row.original_address1, row.house_number) == ("1902 N 17TH ST", 1902)


@pytest.mark.parametrize(("zone", "day"), [("America/New_York", date(2007, 9, 7)), ("UTC", date(2007, 9, 8))])
def test_an_instant_of_odata_is_a_day_of_its_city(zone: str, day: date) -> None:
    """Half past eleven in the evening of the 7th in New York."""
    row = permit(make_city(PLAIN, zone=zone), {"number": "1", "day": "/Date(1189222200000)/"}, form="only")
    assert row.issued_date == day


def test_an_instant_of_odata_before_1970_is_a_day() -> None:
    row = permit(make_city(PLAIN), {"number": "1", "day": "/Date(-86400000)/"}, form="only")
    assert row.issued_date == date(1969, 12, 30)


def test_a_hashed_key_is_that_of_its_trimmed_values() -> None:
    city = make_city(PLAIN.replace('source_id = "number"', 'source_id = { hash = ["number", "way"] }'))
    first, same, other = (
        permit(city, {"number": number, "way": way}, form="only").source_id
        for number, way in (("1", "A ST"), (" 1", "A ST "), ("1A", "ST"))
    )
    assert first == same != other
    assert len(first) == 32


def test_a_hashed_key_of_nothing_is_no_permit() -> None:
    city = make_city(PLAIN.replace('source_id = "number"', 'source_id = { hash = ["number", "way"] }'))
    parsed = parse(city, {"day": "2026-01-02"}, form="only")
    assert isinstance(parsed, RejectedRecord)
    assert parsed.reason == "no_permit_number"


def test_words_that_mean_nothing_stated_are_nothing() -> None:
    city = make_city('blank = ["Unknown"]\nplace = { lat = "a", lng = "b" }' + PLAIN)
    row = permit(city, {"number": "1", "day": "UNKNOWN", "way": "unknown", "a": "Unknown", "b": "unknown"}, form="only")
    assert (row.issued_date, row.original_address1, row.location_quality, row.notes) == (None, None, "missing", ())


def test_a_word_for_nothing_is_no_blank_where_the_city_does_not_say_so() -> None:
    assert isinstance(parse(make_city(PLAIN), {"number": "1", "day": "unknown"}, form="only"), RejectedRecord)


@pytest.mark.parametrize(
    ("name", "updated_at"),
    [
        ("2015-10-01.csv.gz", "2015-10-01T00:00:00.000Z"),
        ("2015-10-01.csv.gz (2)", "2015-10-01T00:00:00.000Z"),
        ("2015-13-01.csv.gz", None),
        ("oss_permit_report_2015_51col.csv.gz", None),
        ("", None),
    ],
)
def test_a_row_without_an_instant_is_as_of_its_files_day(austin: City, name: str, updated_at: str | None) -> None:
    form = austin.forms[0]
    values = {column: str(report_row().get(column, "")) for column in form.read_columns}
    row = Mapper(austin, form, form.read_columns, name).parse(Record(1, values))
    assert isinstance(row, PermitRow)
    assert row.updated_at == updated_at


def test_a_column_that_no_mapper_was_told_of_is_read_all_the_same(austin: City) -> None:
    form = austin.forms[1]
    told = frozenset({"permit_number", "permittype", "status_current"})
    values = {"permit_number": "2025-000001 EP", "permittype": "EP", "status_current": "Final", "project_id": "P-1"}
    row = Mapper(austin, form, told).parse(Record(1, values))
    assert isinstance(row, PermitRow)
    assert row.project_id == "P-1"


def test_a_row_in_doubt_is_rejected_with_the_readers_hash(austin: City) -> None:
    form = austin.forms[0]
    rejected = Mapper(austin, form, form.read_columns).parse(Record(3, {}, "shifted_columns", b"0123456789abcdef"))
    assert rejected.row_hash == b"0123456789abcdef"
