"""Every real file of the eight cities loads with every row accounted for, once and again, in whatever order.

Rows were counted on the files by whoever collected them. Austin's 283,386 rows of the older report load in
``test_real_austin``; here are its small files. What a row becomes is proven in ``test_real_cities``.
"""

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import find_city
from app.ingest.report import IngestReport
from tests.conftest import TABLES
from tests.ingest.conftest import Ingest
from tests.ingest.real import find_real

Connection = psycopg.Connection[Any]

# Which run wrote a row is no part of what it says.
CONTENT = "to_jsonb(p) - '{first_run,changed_run}'::text[]"
OUTSIDE_PHILADELPHIA = "NOT ST_Intersects(location, ST_MakeEnvelope(-75.29, 39.86, -74.95, 40.14, 4326))"


@dataclass(frozen=True)
class Load:
    """The files of a city with their rows, and what they become: the permits that they tell, and why rows are left."""

    city: str
    files: dict[str, int]
    permits: int
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """The files in the order of their days; skips where they are not there."""
        return [find_real(f"{self.city}/{name}") for name in self.files]

    @property
    def rows(self) -> int:
        """How many rows the files have."""
        return sum(self.files.values())


DAYS_ROWS = (277, 250, 4, 1, 229, 0, 287, 217, 208, 0, 1, 208, 247, 250)
AUSTIN_DAYS = {f"daily_files/2015-10-{day:02d}.csv.gz": rows for day, rows in enumerate(DAYS_ROWS, start=1)}
AUSTIN_DAYS |= {"daily_files/2017-06-01.csv.gz": 0, "daily_files/2017-06-02.csv.gz": 0}

AUSTIN = Load(
    "austin",
    {
        "oss_permit_report_2015_51col.csv.gz": 11_609,
        "oss_permit_report_2015_43col.csv.gz": 2_709,
        "oss_permit_report_2016_43col.csv.gz": 20_677,
        **AUSTIN_DAYS,
        "soda_3syk-w9eu_10rows_2025-07-23.json.gz": 10,
        "soda_3syk-w9eu_15rows_2025-07.json.gz": 15,
        "soda_3syk-w9eu_8rows_2025-08-07.json.gz": 8,
        "soda_3syk-w9eu_select8_5000rows_2026-05-10.json.gz": 5_000,
    },
    # 34,995 rows of the reports less 8 shifted ones, 257, 66 and 529 surplus rows and 28 permits that stand in two
    # reports; 761 rows of the first six days less 10 surplus ones (the later days are in the report of 51 columns);
    # and the portal's 5,033, which repeat nothing.
    permits=34_995 - 8 - (257 + 66 + 529) - 28 + (761 - 10) + 5_033,
    # Eight rows of the report of 51 columns; four of them stand in the daily files as well.
    reasons={"shifted_columns": 8 + 4},
)
CHICAGO = Load(
    "chicago",
    {
        "compact_permits_2019_04.json.gz": 4_665,
        "compact_permits_2019_05.json.gz": 4_616,
        "compact_permits_2019_06.json.gz": 4_082,
        "compact_permits_2019_07.json.gz": 4_397,
        "compact_permits_2019_08.json.gz": 4_712,
        "compact_permits_2019_09.json.gz": 4_211,
        "compact_permits_2026_06.json.gz": 2_857,
        "building_permits_tower_cranes.csv.gz": 441,
    },
    permits=29_540 + 441,
)
SAN_FRANCISCO = Load(
    "san_francisco",
    {
        "building_permits_pre2013.csv.gz": 13_048,
        "building_permits_20220411.csv.gz": 3_725,
        "soda_i98e-djp9_system_fields.json.gz": 26,
    },
    # 2,830 records stand in both exports. Of the capture's 26 rows one is rejected, and two are versions of one record.
    permits=13_048 + 3_725 - 2_830 + (26 - 1 - 1),
    reasons={"malformed_est_project_cost_usd": 1},
)
SEATTLE = Load(
    "seattle",
    {
        "building_permits_2010-2015_cr_newlines.csv.gz": 10_246,
        "building_permits_subset_20251106.csv.gz": 4_180,
    },
    # The exports number permits in two ways (without and with the suffix of their kind), so none stands in both.
    permits=10_246 + 4_180,
)
NEW_YORK = Load(
    "new_york",
    {
        "dob_major_permits_2018_wkb.csv.gz": 7_431,
        "dob_permit_issuance_2024_nocoords.csv.gz": 4_621,
        "soda_captures/sample_ipu4-2q9a.json": 2,
    },
    # 396 rows of the issuance file are exact duplicates, 31 differ in persons alone, and 20 in a filing's stage.
    permits=7_431 + 4_621 - (396 + 31 + 20) + 2,
)
CALGARY = Load(
    "calgary",
    {
        "building_permits_c2es-76ed_5000rows.csv.gz": 5_000,
        "soda_c2es-76ed_sample50.json.gz": 50,
        "soda_c2es-76ed_sample50_issued.json.gz": 50,
    },
    permits=5_000 + 50 + 50,
)
PHILADELPHIA = Load(
    "philadelphia",
    {f"li_odata_permits.{page}.json.gz": 1_000 for page in ("002", "050", "100", "150", "200", "258")},
    permits=6_000,
)
ST_LOUIS = Load(
    "st_louis",
    {
        "building_snapshot_2026-07-20.json.gz": 359,
        "building_snapshot_2026-07-22.json.gz": 356,
        "building_snapshot_2026-07-23.json.gz": 401,
        "building_snapshot_2026-07-24.json.gz": 419,
    },
    # The union of the snapshots: 19, 70 and 33 permits come after the first day, of which 19 had been gone for a day.
    # The one duplicate comes on the third day and stays.
    permits=359 + 19 + 70 + 33 - 19,
)

LOADS = [
    pytest.param(AUSTIN, id="austin", marks=pytest.mark.system),
    pytest.param(CHICAGO, id="chicago", marks=pytest.mark.system),
    pytest.param(SAN_FRANCISCO, id="san_francisco", marks=pytest.mark.system),
    pytest.param(SEATTLE, id="seattle", marks=pytest.mark.system),
    pytest.param(NEW_YORK, id="new_york"),
    pytest.param(CALGARY, id="calgary"),
    pytest.param(PHILADELPHIA, id="philadelphia"),
    pytest.param(ST_LOUIS, id="st_louis"),
]
# The rows of these name their own instant or day, or no permit stands in two of their files.
ORDERLESS = [*LOADS[1:], pytest.param(Load("austin", AUSTIN_DAYS, 0), id="austin's days")]


def load(ingest: Ingest, city: str, paths: Iterable[Path]) -> IngestReport:
    """Load files of a city in one run."""
    return ingest(*paths, city=find_city(city))


def one(connection: Connection, statement: str) -> Any:
    """Read one value."""
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def read_versions(connection: Connection) -> list[Any]:
    """Give the row versions of the permits and of the source rows."""
    return [
        one(connection, f"SELECT array_agg(ARRAY[ctid::text, xmin::text] ORDER BY ctid) FROM {table}")
        for table in ("permits", "source_rows")
    ]


def read_contents(connection: Connection) -> dict[str, str]:
    """Give what every permit says."""
    return dict(connection.execute(f"SELECT source_id, md5(({CONTENT})::text) FROM permits p").fetchall())


@pytest.mark.parametrize("real", LOADS)
def test_every_real_row_of_a_city_is_accounted_for(ingest: Ingest, empty_store: Connection, real: Load) -> None:
    report = load(ingest, real.city, real.paths)
    assert (report.status, report.read, report.reasons) == ("published", real.rows, real.reasons)
    assert report.inserted == one(empty_store, "SELECT count(*) FROM permits") == real.permits
    # Rows of a permit that another row tells.
    assert report.unchanged == real.rows - real.permits - report.rejected
    assert report.updated == report.removed == 0
    assert report.rejected == one(empty_store, "SELECT count(*) FROM rejected_records") == sum(real.reasons.values())


@pytest.mark.parametrize("real", LOADS)
def test_a_citys_files_again_in_any_order_touch_no_row(ingest: Ingest, empty_store: Connection, real: Load) -> None:
    load(ingest, real.city, real.paths)
    before = read_versions(empty_store)
    for paths in (real.paths, real.paths[::-1]):
        again = load(ingest, real.city, paths)
        assert (again.status, again.unchanged) == ("unchanged", real.rows - again.rejected)
        assert read_versions(empty_store) == before
    assert one(empty_store, "SELECT count(*) FROM permit_changes") == 0


@pytest.mark.parametrize("real", ORDERLESS)
def test_runs_of_one_file_each_end_alike_in_any_order(ingest: Ingest, empty_store: Connection, real: Load) -> None:
    """Austin's reports are left out: 28 permits stand in two of them, in rows without a day of their own.

    Of such rows the last one read stands, and within one run always the same.
    """
    contents = []
    for paths in (real.paths, real.paths[::-1]):
        empty_store.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
        for path in paths:
            assert load(ingest, real.city, [path]).exit_status == 0
        contents.append(read_contents(empty_store))
    assert contents[0] == contents[1]


@pytest.mark.system
def test_a_permit_of_two_real_reports_is_as_the_last_run_read_it(ingest: Ingest, empty_store: Connection) -> None:
    reports = AUSTIN.paths[:3]
    contents = []
    for paths in (reports, reports[::-1]):
        empty_store.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
        for path in paths:
            load(ingest, "austin", [path])
        contents.append(read_contents(empty_store))
    forwards, backwards = contents
    assert forwards.keys() == backwards.keys()
    assert 0 < sum(forwards[permit] != backwards[permit] for permit in forwards) <= 28


def test_four_snapshots_end_with_their_union(ingest: Ingest, empty_store: Connection) -> None:
    days = [load(ingest, "st_louis", [path]) for path in ST_LOUIS.paths]
    assert [day.inserted for day in days] == [359, 19, 70 - 19, 33]
    assert one(empty_store, "SELECT count(*) FROM permits WHERE removed_run IS NULL") == ST_LOUIS.permits


def test_a_record_that_a_capture_holds_twice_ends_as_its_newer_version(ingest: Ingest, empty_store: Connection) -> None:
    path = find_real("san_francisco/soda_i98e-djp9_system_fields.json.gz")
    rows = json.loads(gzip.decompress(path.read_bytes()))
    older, newer = rows[0], rows[25]
    assert (older[":id"], older[":updated_at"]) < (newer[":id"], newer[":updated_at"])
    assert load(ingest, "san_francisco", [path]).unchanged == 1
    told = empty_store.execute(
        "SELECT p.status_current, s.updated_at FROM permits p JOIN source_rows s USING (city, source_id)"
        " WHERE source_id = %s",
        [newer["record_id"]],
    ).fetchall()
    assert told == [("complete", newer[":updated_at"])]


def test_calgarys_permits_on_several_parcels_are_multipoints(ingest: Ingest, empty_store: Connection) -> None:
    load(ingest, "calgary", CALGARY.paths[:1])
    qualities = dict(empty_store.execute("SELECT location_quality, count(*) FROM permits GROUP BY 1").fetchall())
    # Of 4,439 multipoints four hold the same point again and again.
    assert qualities == {"multipoint": 4_439 - 4, "unstated": 565}


def test_philadelphias_feet_agree_with_another_transformation(ingest: Ingest, empty_store: Connection) -> None:
    """PostGIS transforms them with its own build of PROJ and its own definition of EPSG:2272."""
    load(ingest, "philadelphia", PHILADELPHIA.paths)
    feet = [row for path in PHILADELPHIA.paths for row in read_feet(path)]
    with empty_store.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE feet (source_id text, x double precision, y double precision)")
        cursor.executemany("INSERT INTO feet VALUES (%s, %s, %s)", feet)
    apart = "ST_Distance(location, ST_Transform(ST_SetSRID(ST_MakePoint(x, y), 2272), 4326)::geography)"
    statement = f"SELECT count(*), max({apart}) FROM permits JOIN feet USING (source_id) WHERE location IS NOT NULL"
    found = empty_store.execute(statement).fetchone()
    empty_store.execute("DROP TABLE feet")
    assert found is not None
    assert found[0] == len(feet) == 6_000 - 274
    assert found[1] < 1


def test_philadelphias_points_lie_in_philadelphia(ingest: Ingest, empty_store: Connection) -> None:
    load(ingest, "philadelphia", PHILADELPHIA.paths)
    assert one(empty_store, f"SELECT count(*) FROM permits WHERE {OUTSIDE_PHILADELPHIA}") == 0


def read_feet(path: Path) -> Iterable[tuple[str, float, float]]:
    """Read number and plane coordinates of a page's permits, where they have any."""
    for row in json.loads(gzip.decompress(path.read_bytes()))["d"]["results"]:
        if row["locations"].get("x") and row["locations"].get("y"):
            yield row["permit_number"], float(row["locations"]["x"]), float(row["locations"]["y"])
