"""The real files of seven cities are read as they were counted by whoever collected them, with all their faults.

Austin has a page of its own. No real file holds a point at 0/0 or a swapped pair: ``test_mapping`` makes them up.
"""

import csv
import gzip
from collections import Counter
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest

from app.cities.city import find_city
from app.ingest.sources.base import Demand, SourceFailed
from app.ingest.sources.files import FileSource
from tests.ingest.real import RealFile, find_real, read_real

COMPACT = {
    "2019_04": 4665,
    "2019_05": 4616,
    "2019_06": 4082,
    "2019_07": 4397,
    "2019_08": 4712,
    "2019_09": 4211,
    "2026_06": 2857,
}
PHILADELPHIA = ("002", "050", "100", "150", "200", "258")
SNAPSHOTS = {"20": 359, "22": 356, "23": 401, "24": 419}

CRANES = "chicago/building_permits_tower_cranes.csv.gz"
SF_2022 = "san_francisco/building_permits_20220411.csv.gz"
SF_PRE_2013 = "san_francisco/building_permits_pre2013.csv.gz"
SF_SODA = "san_francisco/soda_i98e-djp9_system_fields.json.gz"
SEATTLE_2015 = "seattle/building_permits_2010-2015_cr_newlines.csv.gz"
SEATTLE_2025 = "seattle/building_permits_subset_20251106.csv.gz"
NY_MAJORS = "new_york/dob_major_permits_2018_wkb.csv.gz"
NY_ISSUANCE = "new_york/dob_permit_issuance_2024_nocoords.csv.gz"
CALGARY = "calgary/building_permits_c2es-76ed_5000rows.csv.gz"


def compact(month: str) -> RealFile:
    """Read a month of Chicago."""
    return read_real("chicago", f"chicago/compact_permits_{month}.json.gz")


def philadelphia(page: str) -> RealFile:
    """Read a page of Philadelphia."""
    return read_real("philadelphia", f"philadelphia/li_odata_permits.{page}.json.gz")


def snapshot(day: str) -> RealFile:
    """Read a day's snapshot of St. Louis."""
    return read_real("st_louis", f"st_louis/building_snapshot_2026-07-{day}.json.gz")


def capture(name: str) -> RealFile:
    """Read a capture of Calgary's portal."""
    return read_real("calgary", f"calgary/soda_c2es-76ed_{name}.json.gz")


# City, file, form, rows, and rows of permits that another row tells as well.
FILES = [
    *(("chicago", f"chicago/compact_permits_{month}.json.gz", "compact", rows, 0) for month, rows in COMPACT.items()),
    ("chicago", CRANES, "export", 441, 0),
    # The number repeats in 881 and 2,347 rows; the record that the city counts does not.
    ("san_francisco", SF_2022, "export", 3725, 0),
    ("san_francisco", SF_PRE_2013, "export", 13_048, 0),
    # Row 25 is a newer version of row 0.
    ("san_francisco", SF_SODA, "portal", 26, 1),
    ("seattle", SEATTLE_2015, "export of 2015", 10_246, 0),
    ("seattle", SEATTLE_2025, "BLDS export", 4180, 0),
    ("new_york", NY_MAJORS, "majors", 7431, 0),
    # 396 exact duplicates, 31 rows that differ in persons alone, and 20 that tell the same filing at another stage.
    ("new_york", NY_ISSUANCE, "issuance", 4621, 396 + 31 + 20),
    ("new_york", "new_york/soda_captures/sample_ipu4-2q9a.json", "portal", 2, 0),
    ("calgary", CALGARY, "portal", 5000, 0),
    ("calgary", "calgary/soda_c2es-76ed_sample50.json.gz", "portal", 50, 0),
    ("calgary", "calgary/soda_c2es-76ed_sample50_issued.json.gz", "portal", 50, 0),
    *(("philadelphia", f"philadelphia/li_odata_permits.{page}.json.gz", "odata", 1000, 0) for page in PHILADELPHIA),
    # One exact duplicate stands in the two later snapshots.
    *(
        ("st_louis", f"st_louis/building_snapshot_2026-07-{day}.json.gz", "snapshot", rows, int(day in {"23", "24"}))
        for day, rows in SNAPSHOTS.items()
    ),
]


@pytest.mark.parametrize(("city", "path", "form", "rows", "surplus"), FILES, ids=[path for _, path, *_ in FILES])
def test_every_row_of_a_real_file_is_read(city: str, path: str, form: str, rows: int, surplus: int) -> None:
    file = read_real(city, path)
    # One rejected row in all of them: row 1 of the San Francisco capture, whose cost was edited to a word.
    assert (file.form, file.read, len(file.rejected)) == (form, rows, int(path == SF_SODA))
    assert file.surplus == surplus


@pytest.mark.parametrize(("city", "path"), [file[:2] for file in FILES], ids=[path for _, path, *_ in FILES])
def test_no_word_of_a_real_file_is_unknown_to_its_city(city: str, path: str) -> None:
    assert not [note for note in read_real(city, path).notes if note.startswith(("unknown", "implausible", "unusable"))]


@pytest.mark.parametrize(
    ("city", "path", "qualities"),
    [
        *(
            ("chicago", f"chicago/compact_permits_{month}.json.gz", {"unstated": rows})
            for month, rows in COMPACT.items()
        ),
        ("chicago", CRANES, {"unstated": 437, "missing": 4}),
        ("san_francisco", SF_2022, {"unstated": 3725}),
        ("san_francisco", SF_PRE_2013, {"missing": 13_048}),
        ("san_francisco", SF_SODA, {"unstated": 24, "missing": 1}),
        ("seattle", SEATTLE_2015, {"unstated": 10_246}),
        ("seattle", SEATTLE_2025, {"unstated": 4166, "missing": 14}),
        ("new_york", NY_MAJORS, {"unstated": 7431}),
        ("new_york", NY_ISSUANCE, {"missing": 4621}),
        # Of 4,439 multipoints four hold the same point again and again.
        ("calgary", CALGARY, {"multipoint": 4435, "unstated": 565}),
        *(
            ("st_louis", f"st_louis/building_snapshot_2026-07-{day}.json.gz", {"missing": SNAPSHOTS[day]})
            for day in SNAPSHOTS
        ),
    ],
)
def test_real_points_are_as_good_as_they_were_counted(city: str, path: str, qualities: dict[str, int]) -> None:
    assert read_real(city, path).qualities == qualities


@pytest.mark.parametrize(
    ("city", "path", "field", "first", "last"),
    [
        ("chicago", "chicago/compact_permits_2019_04.json.gz", "issued_date", date(2019, 4, 1), date(2019, 4, 30)),
        ("chicago", "chicago/compact_permits_2019_09.json.gz", "issued_date", date(2019, 9, 1), date(2019, 9, 30)),
        ("chicago", "chicago/compact_permits_2026_06.json.gz", "issued_date", date(2026, 6, 1), date(2026, 6, 30)),
        ("chicago", CRANES, "issued_date", date(2006, 1, 25), date(2016, 11, 30)),
        ("san_francisco", SF_2022, "issued_date", date(2000, 1, 6), date(2019, 12, 27)),
        ("san_francisco", SF_PRE_2013, "applied_date", date(1973, 11, 20), date(2012, 12, 24)),
        # Two-digit years: 12/6/10.
        ("seattle", SEATTLE_2015, "issued_date", date(2010, 12, 6), date(2015, 12, 4)),
        ("seattle", SEATTLE_2025, "applied_date", date(2013, 1, 2), date(2024, 12, 26)),
        ("new_york", NY_MAJORS, "issued_date", date(2017, 3, 27), date(2018, 8, 26)),
        ("new_york", NY_ISSUANCE, "applied_date", date(2024, 1, 1), date(2024, 4, 3)),
        ("calgary", CALGARY, "applied_date", date(1999, 6, 23), date(2025, 11, 27)),
        (
            "philadelphia",
            "philadelphia/li_odata_permits.050.json.gz",
            "issued_date",
            date(2006, 6, 16),
            date(2010, 1, 25),
        ),
        (
            "philadelphia",
            "philadelphia/li_odata_permits.258.json.gz",
            "issued_date",
            date(2007, 1, 9),
            date(2014, 1, 31),
        ),
    ],
)
def test_real_dates_span_what_they_were_counted_to(city: str, path: str, field: str, first: date, last: date) -> None:
    assert read_real(city, path).span(field) == (first, last)


# Chicago


def test_chicagos_months_repeat_no_permit() -> None:
    ids = [permit.source_id for month in COMPACT for permit in compact(month).permits]
    assert len(ids) == len(set(ids)) == 29_540


def test_chicagos_dashes_are_both_known() -> None:
    types = Counter(permit.permit_type for month in COMPACT for permit in compact(month).permits)
    assert types["PERMIT – EXPRESS PERMIT PROGRAM"] == 9687
    assert types["PERMIT - SIGNS"] == 2625


def test_chicagos_nulls_are_nothing_stated() -> None:
    permits = [permit for month in COMPACT for permit in compact(month).permits]
    assert sum(permit.status_current is None for permit in permits) == 13_016
    assert sum(permit.est_project_cost_usd is None for permit in permits) == 1552
    assert sum(permit.council_district is None for permit in permits) == 6


def test_chicagos_costs_of_nothing_and_of_one_are_kept_as_stated() -> None:
    costs = Counter(permit.est_project_cost_usd for month in COMPACT for permit in compact(month).permits)
    assert (costs[Decimal(0)], costs[Decimal(1)]) == (618, 2652)


def test_the_padded_titles_of_the_crane_file_are_columns() -> None:
    cranes = read_real("chicago", CRANES)
    assert {"PERMIT_TYPE", "ISSUE_DATE", "ESTIMATED_COST"} <= cranes.columns
    assert cranes.count("issued_date")[None] == 4


def test_the_crane_files_money_is_a_number() -> None:
    assert read_real("chicago", CRANES).count("est_project_cost_usd")[None] == 0


def test_the_crane_files_address_is_joined_from_its_parts() -> None:
    assert all(permit.house_number and permit.street for permit in read_real("chicago", CRANES).permits)


# San Francisco


@pytest.mark.parametrize(("path", "surplus", "most"), [(SF_2022, 881, 17), (SF_PRE_2013, 2347, 29)])
def test_san_franciscos_numbers_repeat_and_its_records_do_not(path: str, surplus: int, most: int) -> None:
    file = read_real("san_francisco", path)
    numbers = file.count("permit_number")
    assert (file.read - len(numbers), max(numbers.values()), file.surplus) == (surplus, most, 0)


@pytest.mark.parametrize(("path", "broken"), [(SF_2022, 150), (SF_PRE_2013, 38)])
def test_san_franciscos_newlines_inside_descriptions_begin_no_row(path: str, broken: int) -> None:
    with gzip.open(find_real(path), "rt", encoding="utf-8", newline="") as lines:
        assert sum("\n" in row["Description"] for row in csv.DictReader(lines)) == broken
    assert all((permit.description or "").isprintable() for permit in read_real("san_francisco", path).permits)


@pytest.mark.parametrize(("path", "empty"), [(SF_2022, 0), (SF_PRE_2013, 4)])
def test_a_revised_cost_stands_in_for_an_estimate_that_was_not_made(path: str, empty: int) -> None:
    """Estimates are empty in 88 and 143 rows, and both in four."""
    assert read_real("san_francisco", path).count("est_project_cost_usd")[None] == empty


def test_san_franciscos_short_numbers_are_numbers() -> None:
    file = read_real("san_francisco", SF_2022)
    assert sum(str(permit.permit_number).endswith("S") for permit in file.permits) > 300


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        (SF_2022, {"description": 1, "completed_date": 818, "issued_date": 0, "original_zip": 0}),
        (SF_PRE_2013, {"issued_date": 1929, "completed_date": 4245, "original_zip": 44}),
    ],
)
def test_what_san_francisco_left_empty_is_empty(path: str, empty: dict[str, int]) -> None:
    file = read_real("san_francisco", path)
    assert {field: file.count(field)[None] for field in empty} == empty


def test_a_file_without_a_column_leaves_what_another_told() -> None:
    lacking = {"expires_date", "location", "location_quality"}
    assert lacking <= read_real("san_francisco", SF_2022).carried
    assert not lacking & read_real("san_francisco", SF_PRE_2013).carried


def test_san_franciscos_thirteen_statuses_are_known() -> None:
    assert len(read_real("san_francisco", SF_PRE_2013).count("status_current")) == 13


def test_a_word_for_a_cost_rejects_its_row_alone() -> None:
    """The capture's own repository wrote the word; the portal does not, so it is no blank of the city's."""
    file = read_real("san_francisco", SF_SODA)
    assert [(record.position, record.reason) for record in file.rejected] == [(2, "malformed_est_project_cost_usd")]


def test_a_newer_version_of_a_row_has_the_same_row_id_and_a_later_instant() -> None:
    permits = read_real("san_francisco", SF_SODA).permits
    first, newer = permits[0], permits[-1]
    assert (first.source_row_id, first.source_id) == (newer.source_row_id, newer.source_id)
    assert str(first.updated_at) < str(newer.updated_at)
    assert newer.status_current == "complete"


def test_one_number_with_two_records_is_two_permits() -> None:
    permits = read_real("san_francisco", SF_SODA).permits
    assert len({permit.source_id for permit in permits if permit.permit_number == "201601288220"}) == 2


# Seattle


def test_seattles_old_line_ends_are_line_ends() -> None:
    file = read_real("seattle", SEATTLE_2015)
    assert file.read == 10_246
    assert set(file.count("permit_class")) == {"COMMERCIAL"}


def test_seattles_units_zips_and_costs_are_numbers_however_written() -> None:
    file = read_real("seattle", SEATTLE_2025)
    # 201 are empty and one is of two digits.
    assert file.count("original_zip")[None] == 202
    assert file.count("housing_units")[None] == 0
    assert file.count("est_project_cost_usd")[None] == 1
    assert max(permit.est_project_cost_usd or 0 for permit in file.permits) > 1_000_000


def test_seattles_fifteen_statuses_are_known_and_401_permits_are_not_issued() -> None:
    file = read_real("seattle", SEATTLE_2025)
    assert len(file.count("status_current")) == 15
    assert file.count("issued_date")[None] == 401


def test_seattles_unnamed_index_is_not_read() -> None:
    assert "" not in read_real("seattle", SEATTLE_2025).columns


def test_seattles_word_for_no_type_is_nothing_stated() -> None:
    assert read_real("seattle", SEATTLE_2025).count("work_class")[None] == 3


# New York


def test_new_yorks_points_in_hex_are_those_of_its_two_columns() -> None:
    with gzip.open(find_real(NY_MAJORS), "rt", encoding="utf-8", newline="") as lines:
        pairs = [(float(row["latitude"]), float(row["longitude"])) for row in csv.DictReader(lines)]
    told = [(permit.lat or 0, permit.lng or 0) for permit in read_real("new_york", NY_MAJORS).permits]
    assert len(told) == len(pairs)
    assert (
        max(abs(a - b) for here, there in zip(told, pairs, strict=True) for a, b in zip(here, there, strict=True))
        < 1e-12
    )


def test_new_yorks_expiry_with_a_time_is_a_day() -> None:
    assert read_real("new_york", NY_MAJORS).count("expires_date")[None] == 0


def test_new_yorks_two_date_forms_of_one_row_are_both_read() -> None:
    file = read_real("new_york", NY_ISSUANCE)
    assert file.count("applied_date")[None] == 0
    # Empty in the rows that are in process.
    assert file.count("issued_date")[None] == 292 == file.count("status_current")["IN PROCESS"]


def test_no_phone_and_no_name_of_new_york_is_read() -> None:
    read = read_real("new_york", NY_ISSUANCE).columns | read_real("new_york", NY_MAJORS).columns
    assert not [column for column in read if any(word in column for word in ("Permittee", "Owner", "applicant"))]


def test_new_yorks_job_has_several_permits() -> None:
    file = read_real("new_york", NY_ISSUANCE)
    assert file.read - len(file.count("permit_number")) == 1424
    assert file.count("work_class")[None] == 1668


def test_new_yorks_exact_duplicates_are_one_source_row() -> None:
    file = read_real("new_york", NY_ISSUANCE)
    # 396 in all columns, 31 more that differ in persons alone, which are never read, and others in the extract's day.
    assert file.read - len({permit.source_row_id for permit in file.permits}) >= 396 + 31


def test_an_empty_answer_of_a_portal_is_no_record() -> None:
    file = read_real("new_york", "new_york/soda_captures/sample_e98g-f8hy_empty.json")
    assert file.read == 0


@pytest.mark.parametrize("name", ["query_ipu4-2q9a_bad-column_http400", "sample_bs8b-p36w", "sample_g76y-dcqj"])
def test_an_error_or_another_data_set_is_no_file_of_permits(name: str) -> None:
    path = find_real(f"new_york/soda_captures/{name}.json")
    source = FileSource(path, path.name)
    with pytest.raises(SourceFailed, match="fit no form of new_york"), source.open(find_city("new_york"), {}, Demand()):
        pass


# Calgary


def test_calgarys_costs_are_no_dollars_of_the_register() -> None:
    file = read_real("calgary", CALGARY)
    assert "est_project_cost_usd" not in file.carried
    assert set(file.count("est_project_cost_usd")) == {None}


def test_what_calgary_left_empty_is_empty() -> None:
    file = read_real("calgary", CALGARY)
    assert (file.count("total_sqft")[None], file.count("description")[None]) == (3413, 229)


def test_calgarys_point_that_is_no_json_is_not_read() -> None:
    assert not {"point", "locationsgeojson", "latitude"} & read_real("calgary", CALGARY).columns


def test_calgarys_first_point_is_that_of_its_latitude_and_longitude() -> None:
    with gzip.open(find_real(CALGARY), "rt", encoding="utf-8", newline="") as lines:
        pairs = [(float(row["latitude"]), float(row["longitude"])) for row in csv.DictReader(lines)]
    assert [(permit.lat, permit.lng) for permit in read_real("calgary", CALGARY).permits] == pairs


def test_calgarys_two_kinds_of_numbers_are_both_keys() -> None:
    kinds = Counter(permit.source_id.rstrip("-0123456789") for permit in read_real("calgary", CALGARY).permits)
    assert kinds == {"BP": 4998, "ERP": 2}


@pytest.mark.parametrize(("name", "issued"), [("sample50", 0), ("sample50_issued", 50)])
def test_calgarys_captures_omit_what_is_null(name: str, issued: int) -> None:
    assert 50 - capture(name).count("issued_date")[None] == issued
    assert ("issued_date" in capture(name).carried) == bool(issued)


# Philadelphia


def test_philadelphias_feet_are_places_in_the_city() -> None:
    qualities = sum((Counter(philadelphia(page).qualities) for page in PHILADELPHIA), Counter[str]())
    assert qualities == {"unstated": 5726, "missing": 274}


def test_philadelphias_numbers_are_unique_over_all_pages() -> None:
    assert len(set().union(*(philadelphia(page).source_ids for page in PHILADELPHIA))) == 6000


def test_philadelphias_house_numbers_are_read_without_their_zeros() -> None:
    permits = [permit for page in PHILADELPHIA for permit in philadelphia(page).permits]
    assert not [permit for permit in permits if (permit.original_address1 or "").startswith(("0", " "))]
    assert sum(permit.house_number is not None for permit in permits) > 5900


def test_philadelphias_instants_are_ordered_as_text() -> None:
    permits = [permit for page in PHILADELPHIA for permit in philadelphia(page).permits]
    assert all((permit.updated_at or "").endswith("Z") and len(permit.updated_at or "") == 24 for permit in permits)


def test_philadelphias_descriptions_are_of_one_line() -> None:
    assert not [permit for permit in philadelphia("002").permits if "\n" in (permit.description or "")]


# St. Louis


def test_a_day_of_st_louis_changes_as_many_rows_as_were_counted() -> None:
    days = [snapshot(day).source_ids for day in SNAPSHOTS]
    # 19/22, 71/26 and 33/15 rows: one of the 71 comes twice.
    assert [(len(new - old), len(old - new)) for old, new in pairwise(days)] == [
        (19, 22),
        (70, 26),
        (33, 15),
    ]


def test_a_snapshot_is_as_of_the_day_in_its_name() -> None:
    assert set(snapshot("22").count("updated_at")) == {"2026-07-22T00:00:00.000Z"}


def test_st_louis_writes_its_days_in_words() -> None:
    assert [len(snapshot(day).count("issued_date")) for day in SNAPSHOTS] == [22, 21, 23, 23]
