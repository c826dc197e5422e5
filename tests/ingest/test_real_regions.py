"""Real polygons and real permits: every membership is what shapely says, and the counts are those of the data's README.

The README was made with another library, from the file's first pair of columns.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import shapely

from app.cities.city import City
from app.ingest.polygons import read_regions
from app.ingest.regions import RegionOrder, RegionReport, load_regions
from tests.conftest import ROOT
from tests.ingest.conftest import Ingest, real_file

REAL = ROOT.parent / "shared/data/regions/austin"
Connection = psycopg.Connection[Any]
FILES = {
    "council_district": ("council_districts.geojson", "district_name"),
    "zip": ("zip_codes.geojson.gz", "ZCTA5CE10"),
    "neighborhood": ("neighborhoods.geojson.gz", "neighname"),
    "planning_area": ("neighborhood_planning_areas.geojson", "planning_area_name"),
    "common_name": ("neighborhoods_common_names.geojson", "name"),
    "historic_district": ("historic_district_overlay.geojson", "overlay_name"),
}
DISTRICTS = [1274, 1290, 923, 796, 1044, 693, 1031, 916, 1445, 1475]


def find_real(name: str) -> Path:
    """Give one of the real files, or skip where the shared data are not there."""
    if not (REAL / name).is_file():
        pytest.skip(f"the real file {name} is not on this machine")
    return REAL / name


@pytest.fixture
def load(database_url: str, empty_store: Connection, austin: City) -> Callable[[str], RegionReport]:
    """Load the real regions of a kind."""
    assert empty_store

    def start(kind: str) -> RegionReport:
        name, label = FILES[kind]
        return load_regions(database_url, RegionOrder(austin, kind, label, "real", "as found", [find_real(name)]))

    return start


Load = Callable[[str], RegionReport]


def read_pairs(connection: Connection) -> set[tuple[str, str, str]]:
    """Which permit is told to lie in which region of which kind."""
    query = """
        SELECT source_id, kind, name FROM permits CROSS JOIN unnest(regions) AS lies (region)
        JOIN regions r USING (region)
    """
    return set(connection.execute(query).fetchall())


def find_pairs(connection: Connection, austin: City) -> set[tuple[str, str, str]]:
    """The same by shapely alone, from the files."""
    query = """
        SELECT source_id, ST_X(location::geometry), ST_Y(location::geometry) FROM permits WHERE location IS NOT NULL
    """
    rows = connection.execute(query).fetchall()
    tree = shapely.STRtree(shapely.points([row[1:] for row in rows]))
    found: set[tuple[str, str, str]] = set()
    for kind, (name, label) in FILES.items():
        areas = read_regions([find_real(name)], austin, kind=kind, name_property=label).areas
        for region, area in areas.items():
            shapely.prepare(area)
            found |= {(rows[place][0], kind, region) for place in tree.query(area, predicate="covers")}
    return found


def test_real_permits_lie_where_shapely_says_and_as_often_as_the_readme_counts(
    load: Load, ingest: Ingest, empty_store: Connection, austin: City
) -> None:
    before = [load(kind) for kind in ("council_district", "zip", "historic_district")]
    assert ingest(real_file("oss_permit_report_2015_51col.csv.gz"), workers=1).status == "published"
    after = [load(kind) for kind in ("neighborhood", "planning_area", "common_name")]
    assert {report.status for report in before + after} == {"published"}
    pairs = read_pairs(empty_store)
    assert pairs == find_pairs(empty_store, austin)
    counts = Counter((kind, name) for _, kind, name in pairs)
    query = "SELECT kind, name, permits FROM regions WHERE permits > 0"
    assert {(kind, name): permits for kind, name, permits in empty_store.execute(query)} == counts
    assert {len(names) for names in group(pairs, "council_district").values()} == {1}
    assert max(len(names) for names in group(pairs, "historic_district").values()) == 2, "these overlap"


def group(pairs: set[tuple[str, str, str]], kind: str) -> dict[str, set[str]]:
    """The regions of one kind that each permit lies in."""
    found: dict[str, set[str]] = {}
    for source_id, of, name in pairs:
        if of == kind:
            found.setdefault(source_id, set()).add(name)
    return found


def test_the_rows_of_a_real_file_are_counted_as_its_readme_does(load: Load, empty_store: Connection) -> None:
    """By row: rows of one permit repeat, so each is a permit of its own here."""
    columns, points = read_first_pairs()
    with empty_store.cursor() as cursor, cursor.copy(f"COPY permits ({columns}) FROM STDIN") as copy:
        for number, (lng, lat) in enumerate(points):
            point = f"SRID=4326;POINT({lng} {lat})"
            copy.write_row(("austin", f"{number}", "{}", point, "unstated", 1, 1))
    for kind in FILES:
        load(kind)
    counts = {
        (kind, name): permits for kind, name, permits in empty_store.execute("SELECT kind, name, permits FROM regions")
    }
    assert [counts["council_district", f"District {number}"] for number in range(1, 11)] == DISTRICTS
    assert (counts["zip", "78704"], counts["zip", "78701"]) == (790, 425)
    for kind, mueller, downtown in (
        ("neighborhood", "RMMA", "DOWNTOWN"),
        ("planning_area", "RMMA", "DOWNTOWN"),
        ("common_name", "Mueller", "Downtown"),
    ):
        assert (counts[kind, mueller], counts[kind, downtown]) == (164, 431)


def read_first_pairs() -> tuple[str, list[tuple[float, float]]]:
    """Read the first ``lng`` and ``lat`` of each row of the file that have both."""
    columns = "city, source_id, categories, location, location_quality, first_run, changed_run"
    with gzip.open(real_file("oss_permit_report_2015_51col.csv.gz"), "rt", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        lat, lng = header.index("lat"), header.index("lng")
        return columns, [(float(row[lng]), float(row[lat])) for row in rows if row[lat] and row[lng]]


def test_state_plane_feet_are_refused(database_url: str, empty_store: Connection, austin: City) -> None:
    path = find_real("airport_overlay_stateplane_feet.geojson")
    report = load_regions(database_url, RegionOrder(austin, "overlay", "ZONING_O_1", "real", "2016", [path]))
    assert report.status == "refused"
    assert report.detail is not None
    assert "3140115, 10035883 is no longitude and latitude in degrees" in report.detail
    assert empty_store.execute("SELECT count(*) FROM regions").fetchone() == (0,)


def test_invalid_rings_of_real_files_are_repaired_and_parts_united(austin: City) -> None:
    told = {
        kind: read_regions([find_real(name)], austin, kind=kind, name_property=label)
        for kind, (name, label) in FILES.items()
    }
    repaired = {kind: [text.split(": Ring")[0] for text in regions.repaired] for kind, regions in told.items()}
    assert repaired == {
        "council_district": ["District 10"],
        "zip": [],
        "neighborhood": ["BLUFF SPRINGS", "MANSFIELD--RIVER PLACE", "ROBINSON RANCH"],
        "planning_area": ["WEST CONGRESS"],
        "common_name": [],
        "historic_district": [],
    }
    assert {kind: len(regions.areas) for kind, regions in told.items()} == {
        "council_district": 10,
        "zip": 54,
        "neighborhood": 103,
        "planning_area": 65,
        "common_name": 70,
        "historic_district": 17,
    }
    assert all(area.is_valid for regions in told.values() for area in regions.areas.values())
