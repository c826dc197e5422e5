"""The real Austin files load with every row accounted for, and agree with what was counted in them beforehand.

The figures were counted on the files themselves by whoever collected them; no owner's name or number is ever printed.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest.report import IngestReport
from app.ingest.sources.base import Demand, SourceFailed
from app.ingest.sources.files import FileSource
from tests.ingest.conftest import Ingest, real_file
from tests.ingest.real import read_real

AUTUMN = ("oss_permit_report_2015_51col.csv.gz", "oss_permit_report_2015_43col.csv.gz")
ALL = (
    "oss_permit_report_1984_43col.csv.gz",
    "oss_permit_report_2013-2014_37col.csv.gz",
    "oss_permit_report_2015_37col.csv.gz",
    *AUTUMN,
    "oss_permit_report_2016_43col.csv.gz",
)
CAPTURES = (
    ("soda_3syk-w9eu_10rows_2025-07-23.json.gz", 10),
    ("soda_3syk-w9eu_15rows_2025-07.json.gz", 15),
    ("soda_3syk-w9eu_8rows_2025-08-07.json.gz", 8),
    ("soda_3syk-w9eu_select8_5000rows_2026-05-10.json.gz", 5000),
)
TABLES = (
    "permits",
    "source_rows",
    "rejected_records",
    "permit_changes",
    "ingest_runs",
    "register_words",
    "city_states",
)
KEPT = ("permit_number", "sub_type", "work_type", "permit_location", "work_description", "status")

Connection = psycopg.Connection[Any]


def count(connection: Connection, condition: str = "true") -> int:
    """Count permits."""
    row = connection.execute(f"SELECT count(*) FROM permits WHERE {condition}").fetchone()
    assert row is not None
    return int(row[0])


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Read a file with all its columns, in memory only."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def store_as_text(connection: Connection) -> str:
    """Give every value of every table as one text."""
    texts = (row[0] for table in TABLES for row in connection.execute(f"SELECT t::text FROM {table} t"))
    return "\n".join(texts).lower()


@pytest.fixture
def autumn(ingest: Ingest) -> IngestReport:
    """Load the two small files of late 2015, of 51 and 43 columns."""
    return ingest(*(real_file(name) for name in AUTUMN))


def test_every_row_of_two_real_files_is_accounted_for(autumn: IngestReport, empty_store: Connection) -> None:
    assert (autumn.status, autumn.read, autumn.data_through) == ("published", 11_609 + 2_709, "2015-12-31")
    assert autumn.reasons == {"shifted_columns": 8}
    # 257 and 66 surplus rows of permits that stand more than once, within each file.
    assert autumn.unchanged == 257 + 66
    assert autumn.inserted == count(empty_store) == autumn.read - autumn.unchanged - autumn.rejected


def test_shifted_rows_keep_their_place_and_nothing_else(autumn: IngestReport, empty_store: Connection) -> None:
    rows = empty_store.execute(
        "SELECT source, position, kept_columns FROM rejected_records ORDER BY position"
    ).fetchall()
    assert [position for _, position, _ in rows] == [650, 655, 657, 660, 2323, 9417, 9418, 9419]
    assert {(source, kept) for source, _, kept in rows} == {(AUTUMN[0], None)}
    assert autumn.rejected == 8


def test_default_and_outside_points_are_no_location(autumn: IngestReport, empty_store: Connection) -> None:
    assert autumn.status == "published"
    assert count(empty_store, "location_quality = 'outside'") == 14
    assert count(empty_store, "location_quality = 'default'") == 222
    assert count(empty_store, "location IS NOT NULL AND location_quality IN ('default', 'outside', 'missing')") == 0


def test_real_files_twice_touch_no_row(autumn: IngestReport, ingest: Ingest, empty_store: Connection) -> None:
    versions = "SELECT count(*), min(xmin::text::bigint), max(xmin::text::bigint) FROM permits"
    before = empty_store.execute(versions).fetchone()
    again = ingest(*(real_file(name) for name in AUTUMN))
    assert (again.status, again.unchanged) == ("unchanged", again.read - again.rejected)
    assert empty_store.execute(versions).fetchone() == before
    assert autumn.run != again.run


def test_the_days_of_a_real_file_change_nothing_that_it_told(
    autumn: IngestReport, ingest: Ingest, empty_store: Connection
) -> None:
    before = count(empty_store)
    days = [real_file(f"daily_files/2015-10-{day:02d}.csv.gz") for day in (7, 8, 10, 11, 12, 13)]
    report = ingest(*days)
    assert (report.inserted, report.rejected) == (0, 0)
    assert count(empty_store) == before
    assert autumn.read > report.read == 287 + 217 + 0 + 1 + 208 + 247


def test_no_phone_and_no_owner_of_a_real_row_is_stored(ingest: Ingest, empty_store: Connection) -> None:
    path = real_file(AUTUMN[1])
    ingest(path)
    stored = store_as_text(empty_store)
    rows = list(read_rows(path))
    told = "\n".join(row[column].lower() for row in rows for column in KEPT)
    owners = {row[column].strip().lower() for row in rows for column in ("folder_owner", "property_owner")}
    # A name that the description or the address itself holds cannot be told from other words.
    names = {name for name in owners if len(name) >= 8 and name not in told}
    phones = {row[column].strip() for row in rows for column in ("folder_owner_phone", "property_owner_phone")}
    phones = {phone for phone in phones if len(re.sub(r"\D", "", phone)) >= 10}
    assert len(names) > 1_000
    assert len(phones) > 300
    assert sum(name in stored for name in names) == 0
    assert sum(phone in stored or re.sub(r"\D", "", phone)[-10:] in stored for phone in phones) == 0


def test_no_phone_is_left_in_a_real_description(autumn: IngestReport, empty_store: Connection) -> None:
    assert autumn.notes["masked_contact"] == 31
    assert count(empty_store, r"description ~ '\(?\d{3}\)?[- ]\d{3}[- ]\d{4}'") == 0
    assert count(empty_store, r"description ~ '@[a-z0-9-]+\.(com|net|org|gov)'") == 0


@pytest.mark.parametrize(("name", "rows"), CAPTURES)
def test_captures_of_the_portal_load_whole(ingest: Ingest, empty_store: Connection, name: str, rows: int) -> None:
    report = ingest(real_file(name))
    assert (report.read, report.inserted, report.rejected) == (rows, rows, 0)
    assert count(empty_store, "permit_type_mapped IS NULL OR permit_class_mapped IS NULL") == 0
    assert report.notes == {}


def test_both_link_forms_of_the_portal_are_links(ingest: Ingest, empty_store: Connection) -> None:
    ingest(real_file(CAPTURES[0][0]), real_file(CAPTURES[1][0]))
    assert count(empty_store, "link LIKE 'https://abc.austintexas.gov/%'") == 25


def test_a_capture_of_few_columns_erases_no_place(ingest: Ingest, empty_store: Connection) -> None:
    ingest(real_file(CAPTURES[2][0]))
    located = count(empty_store, "location IS NOT NULL AND description IS NOT NULL")
    assert located == 8
    empty_store.execute("UPDATE permits SET source_id = '2025-122556 BP' WHERE source_id LIKE '%096849%'")
    assert ingest(real_file(CAPTURES[3][0])).updated == 1
    assert count(empty_store, "location IS NOT NULL AND description IS NOT NULL") == located


# Rows, surplus rows of permits that stand more than once, and points missing, outside and at the geocoder's default.
HEAVY = pytest.mark.system
COUNTED = [
    pytest.param(ALL[0], 72_455, 1756, (7481, 0, 0), marks=HEAVY, id="1984"),
    pytest.param(ALL[1], 126_129, 3291, (14_271, 0, 0), marks=HEAVY, id="2013-2014"),
    pytest.param(ALL[2], 49_807, 1139, (4885, 0, 0), marks=HEAVY, id="2015, 37 columns"),
    pytest.param(ALL[3], 11_609, 257, (54, 0, 0), id="2015, 51 columns"),
    pytest.param(ALL[4], 2709, 66, (0, 14, 222), id="2015, 43 columns"),
    pytest.param(ALL[5], 20_677, 529, (6, 66, 1397), id="2016"),
]
LIGHT = ALL[3:]


@pytest.mark.parametrize(("name", "rows", "surplus", "points"), COUNTED)
def test_a_real_report_is_read_as_it_was_counted(
    name: str, rows: int, surplus: int, points: tuple[int, int, int]
) -> None:
    file = read_real("austin", f"austin/{name}")
    assert (file.form, file.read, file.surplus) == ("permit report", rows, surplus)
    assert file.reasons == ({"shifted_columns": 8} if "51col" in name else {})
    assert tuple(file.qualities.get(quality, 0) for quality in ("missing", "outside", "default")) == points


@pytest.mark.parametrize("name", LIGHT)
def test_no_word_of_a_real_report_is_unknown(name: str) -> None:
    assert not [note for note in read_real("austin", f"austin/{name}").notes if note.startswith("unknown")]


def test_rows_that_differ_in_owners_alone_are_one_source_row() -> None:
    file = read_real("austin", f"austin/{ALL[5]}")
    rows = len({permit.source_row_id for permit in file.permits})
    # 529 surplus rows, of which 77 are exact duplicates and most others an owner more.
    assert file.read - rows >= 77
    assert rows - len(file.source_ids) < 529 - 77


def test_a_permit_may_be_issued_in_a_later_year_than_it_is_numbered() -> None:
    permits = read_real("austin", f"austin/{ALL[5]}").permits
    assert sum(int(permit.source_id[:4]) < 2016 for permit in permits if permit.issued_date) > 1000
    assert not [permit for permit in permits if permit.issued_date and int(permit.source_id[:4]) > 2016]


def test_the_accuracies_of_a_real_geocoder_are_qualities() -> None:
    assert set(read_real("austin", f"austin/{ALL[5]}").qualities) == {
        *("rooftop", "interpolated", "approximate"),
        *("missing", "outside", "default"),
    }


def test_the_second_block_of_a_real_header_fills_what_the_first_left_empty() -> None:
    file = read_real("austin", f"austin/{ALL[3]}")
    # 11,555 rows have both pairs, 54 neither; 8 rows are shifted.
    assert file.read - file.qualities["missing"] - len(file.rejected) == 11_555 - 8


@pytest.mark.parametrize("name", LIGHT)
def test_no_escape_and_no_control_character_is_left_in_a_real_text(name: str) -> None:
    for permit in read_real("austin", f"austin/{name}").permits:
        for text in filter(None, (permit.description, permit.original_address1, permit.work_class)):
            assert text.isprintable()
            assert "\\'" not in text
            assert "\ufffd" not in text


@pytest.mark.parametrize("name", LIGHT)
def test_padding_makes_no_second_word_of_a_real_class(name: str) -> None:
    words = read_real("austin", f"austin/{name}").count("permit_class")
    assert not [word for word in words if str(word) != str(word).strip()]


def test_real_postal_codes_are_five_digits_or_none() -> None:
    zips = read_real("austin", f"austin/{ALL[5]}").count("original_zip")
    assert not [code for code in zips if code is not None and (len(str(code)) != 5 or not str(code).isdigit())]


@pytest.mark.parametrize(
    ("day", "rows", "columns"),
    [
        *zip(range(1, 7), (277, 250, 4, 1, 229, 0), [False] * 6, strict=True),
        *zip(range(7, 15), (287, 217, 208, 0, 1, 208, 247, 250), [True] * 8, strict=True),
    ],
)
def test_the_header_of_one_feed_drifts_and_each_day_is_read(day: int, rows: int, columns: bool) -> None:
    file = read_real("austin", f"austin/daily_files/2015-10-{day:02d}.csv.gz")
    assert file.read == rows
    assert ("accuracy" in file.columns) == columns
    assert set(file.count("updated_at")) <= {f"2015-10-{day:02d}T00:00:00.000Z"}


@pytest.mark.parametrize("day", ["2017-06-01", "2017-06-02"])
def test_a_real_header_alone_is_no_row(day: str) -> None:
    assert read_real("austin", f"austin/daily_files/{day}.csv.gz").read == 0


@pytest.mark.parametrize(("name", "rows"), CAPTURES)
def test_a_capture_of_the_portal_is_read_whole(name: str, rows: int) -> None:
    file = read_real("austin", f"austin/{name}")
    assert (file.form, file.read, file.rejected, file.surplus) == ("portal", rows, [], 0)


def test_a_zip_of_no_text_in_a_capture_is_none() -> None:
    """Two rows of the 15 have none, and one has an empty text."""
    assert read_real("austin", f"austin/{CAPTURES[1][0]}").count("original_zip")[None] == 3
    assert read_real("austin", f"austin/{CAPTURES[3][0]}").count("original_zip")[None] == 7


def test_nulls_that_a_capture_writes_out_are_columns_that_it_tells() -> None:
    assert "master_permit_number" in read_real("austin", f"austin/{CAPTURES[0][0]}").carried


@pytest.mark.parametrize(
    "name",
    [
        "derived_clean_sample_5000rows.csv.gz",
        "derived_leads_2025-12-09.csv.gz",
        "derived_weekly_diff_2026-04-06.json.gz",
        "catalog_permit_datasets_2026-05-10.json",
    ],
)
def test_what_others_derived_from_the_portal_is_not_taken_for_it(austin: City, name: str) -> None:
    source = FileSource(real_file(name), name)
    with pytest.raises(SourceFailed, match="fit no form of austin"), source.open(austin, {}, Demand()):
        pass


@pytest.mark.system
def test_all_real_rows_hold_the_faults_that_were_counted() -> None:
    files = [read_real("austin", f"austin/{name}") for name in ALL]
    permits = [permit for file in files for permit in file.permits]
    # Of each, up to eight stand in the shifted rows, which are no permits.
    years = sum(int(permit.source_id[:4]) != permit.issued_date.year for permit in permits if permit.issued_date)
    assert 19_338 - 8 <= years <= 19_338
    costs = Counter(permit.est_project_cost_usd for permit in permits)
    assert 1074 - 8 <= costs[Decimal(0)] <= 1074
    assert 130 - 8 <= costs[Decimal(1)] <= 130
    assert sum(permit.est_project_cost_usd > 100_000_000 for permit in permits if permit.est_project_cost_usd) == 2
    for field, empty in (("status_current", 2), ("work_class", 3797), ("permit_class", 566), ("description", 7)):
        assert empty - 8 <= sum(getattr(permit, field) is None for permit in permits) <= empty
    assert sum((Counter(file.notes) for file in files), Counter[str]())["implausible_total_sqft"] == 32
    assert max(len(permit.description or "") for permit in permits) <= 1883


@pytest.mark.system
def test_many_real_permits_may_lie_on_one_point() -> None:
    points = Counter((permit.lat, permit.lng) for permit in read_real("austin", f"austin/{ALL[0]}").permits)
    assert points[(30.39397776, -97.72417239)] == 830


@pytest.mark.system
def test_all_real_rows_load_and_agree_with_what_was_counted(ingest: Ingest, empty_store: Connection) -> None:
    files = [real_file(name) for name in ALL]
    report = ingest(*files)
    assert (report.status, report.read, report.reasons) == ("published", 283_386, {"shifted_columns": 8})
    # 7,038 surplus rows within files, and 202 permits that stand in two files.
    assert report.unchanged == 7_038 + 202
    assert report.inserted == count(empty_store) == 276_138
    assert report.notes == {"implausible_housing_units": 2, "implausible_total_sqft": 32, "masked_contact": 314}
    again = ingest(*files)
    assert (again.status, again.unchanged) == ("unchanged", 283_378)
