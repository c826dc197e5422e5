"""Regions: what files of polygons become, which permits lie in them, and that both stay true whatever changes.

Made-up squares over Austin; the real polygons are in ``test_real_regions``.
"""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import shapely
from shapely.geometry import shape

from app.cities.city import City
from app.ingest.order import Order
from app.ingest.polygons import RegionsRefused, read_regions
from app.ingest.recategorize import recategorize
from app.ingest.regions import RegionOrder, RegionReport, load_regions
from app.ingest.run import connect, hold_lock, ingest
from tests.ingest.contents import read_version
from tests.ingest.scripted import ScriptedSource
from tests.ingest.test_summaries import assert_cells_are_as_counted_anew

Connection = psycopg.Connection[Any]
Json = dict[str, Any]
Load = Callable[..., RegionReport]


def square(west: float, south: float, side: float = 0.1) -> Json:
    """A square, counter-clockwise."""
    east, north = west + side, south + side
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


WEST, EAST = square(-97.8, 30.2), square(-97.7, 30.2)


def feature(name: Any, geometry: Any) -> Json:
    """A feature of one name."""
    return {"type": "Feature", "properties": {"name": name}, "geometry": geometry}


def collection(*features: Any, **members: Any) -> Json:
    """A whole document."""
    return {"type": "FeatureCollection", "features": list(features), **members}


@pytest.fixture
def load(database_url: str, empty_store: Connection, austin: City, tmp_path: Path) -> Load:
    """Load features as all regions of a kind."""
    assert empty_store

    def start(*features: Json, kind: str = "council_district", vintage: str = "2022") -> RegionReport:
        path = tmp_path / "regions.geojson"
        path.write_text(json.dumps(collection(*features)))
        return load_regions(database_url, RegionOrder(austin, kind, "name", "made up", vintage, [path]))

    return start


Rows = Callable[..., None]


@pytest.fixture
def tell(database_url: str, empty_store: Connection, austin: City) -> Rows:
    """Have the portal tell permits by number: longitude, or none, and whatever else matters."""
    assert empty_store

    def start(permits: dict[int, Json], *, whole: bool = False) -> None:
        rows = [row(number, told) for number, told in permits.items()]
        report = ingest(database_url, Order(austin, [ScriptedSource(rows, whole=whole)], workers=1))
        assert report.status in {"published", "unchanged"}, report.detail

    return start


def row(number: int, told: Json) -> dict[str, str]:
    """A row of the portal, at 30.25 north."""
    plain = {"permit_number": f"2025-{number:06d} EP", "permittype": "EP", "status_current": "Active"}
    lng = told.get("lng")
    place = {} if lng is None else {"latitude": str(told.get("lat", 30.25)), "longitude": str(lng)}
    own = {name: told[name] for name in ("original_zip", "council_district", "description") if name in told}
    return plain | {"issue_date": "2025-05-06"} | place | own


def read_places(connection: Connection) -> list[tuple[Any, ...]]:
    """What each permit tells of its place: regions by name, ZIP and district."""
    query = """
        SELECT ARRAY(SELECT r.name FROM regions r WHERE r.region = ANY (p.regions) ORDER BY r.name), zip, district
        FROM permits p ORDER BY source_id
    """
    return connection.execute(query).fetchall()


# --- what files become -----------------------------------------------------------------------------------------------


def read(tmp_path: Path, austin: City, content: Any, *, kind: str = "area", name: str = "a.geojson") -> Any:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read_regions([path], austin, kind=kind, name_property="name")


BOW_TIE = {
    "type": "Polygon",
    "coordinates": [[[-97.8, 30.2], [-97.7, 30.3], [-97.7, 30.2], [-97.8, 30.3], [-97.8, 30.2]]],
}
FEET = {
    "type": "Polygon",
    "coordinates": [[[3140115, 10035883], [3140663, 10035643], [3140974, 10035425], [3140115, 10035883]]],
}
LINE = {"type": "LineString", "coordinates": [[-97.8, 30.2], [-97.7, 30.2]]}
FLAT = {"type": "Polygon", "coordinates": [[[-97.8, 30.2], [-97.7, 30.2], [-97.8, 30.2], [-97.8, 30.2]]]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no whole JSON document"),
        (b'{"type": "FeatureCollection", "features": [{"ty', "no whole JSON document"),
        (b"\x1f\x8b\x08\x00half", "cut off or damaged"),
        (gzip.compress(json.dumps(collection(feature("a", WEST))).encode())[:-12], "cut off or damaged"),
        ([1], "no GeoJSON FeatureCollection"),
        (WEST, "no GeoJSON FeatureCollection"),
        (collection(), "has no features"),
        ({"type": "FeatureCollection"}, "has no features"),
        (collection(5), "feature 1: is no GeoJSON feature"),
        (collection(feature("a", WEST), feature("b", None)), "feature 2 (b): has no geometry"),
        (collection(feature("a", LINE)), "is a LineString"),
        (collection(feature("", WEST)), "name is empty"),
        (collection(feature(" \t", WEST)), "name is empty"),
        (collection(feature(None, WEST)), "name is empty"),
        (collection(feature(True, WEST)), "no name"),
        (collection(feature("a" * 101, WEST)), "more than 100 letters"),
        (collection(feature("a\x00b", WEST)), "unprintable"),
        (collection({"type": "Feature", "properties": {"label": "a"}, "geometry": WEST}), "it has: label"),
        (collection({"type": "Feature", "properties": None, "geometry": WEST}), "it has: none"),
        (collection(feature("a", FEET)), "3140115, 10035883 is no longitude and latitude"),
        (collection(feature("a", square(-87.7, 41.8))), "the box of austin is elsewhere"),
        (collection(feature("a", FLAT)), "encloses no area"),
        (collection(feature("a", {"type": "Polygon", "coordinates": []})), "geometry is empty"),
        (collection(feature("a", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]})), "four positions"),
        (collection(feature("a", {"type": "Polygon", "coordinates": [[["x", 0]] * 4]})), "four positions"),
        (collection(feature("a", {"type": "Polygon", "coordinates": 5})), "four positions"),
        (collection(feature("a", {"type": "Polygon"})), "four positions"),
        (
            collection(feature("a", WEST), crs={"type": "name", "properties": {"name": "EPSG:2277"}}),
            "its reference system is EPSG:2277",
        ),
        (collection(feature("a", WEST), crs=7), "one that has no name"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(content: Any, said: str, tmp_path: Path, austin: City) -> None:
    with pytest.raises(RegionsRefused, match=r"a\.geojson|lies outside") as refused:
        read(tmp_path, austin, content)
    assert said in str(refused.value)


def test_swapped_coordinates_are_told_from_those_of_another_city(tmp_path: Path, austin: City) -> None:
    swapped = {"type": "Polygon", "coordinates": [[pair[::-1] for pair in WEST["coordinates"][0]]]}
    with pytest.raises(RegionsRefused, match="no longitude and latitude"):
        read(tmp_path, austin, collection(feature("a", swapped)))


def test_a_file_that_is_not_there_or_too_large_is_refused(
    tmp_path: Path, austin: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RegionsRefused, match=r"gone\.geojson: cannot be read"):
        read_regions([tmp_path / "gone.geojson"], austin, kind="area", name_property="name")
    monkeypatch.setattr("app.ingest.polygons.BYTES_MAX", 100)
    bomb = gzip.compress(b" " * 1_000)
    with pytest.raises(RegionsRefused, match="larger than"):
        read(tmp_path, austin, bomb)


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326"])
def test_a_file_may_name_wgs_84(name: str, tmp_path: Path, austin: City) -> None:
    named = collection(feature("a", WEST), crs={"type": "name", "properties": {"name": name}})
    assert list(read(tmp_path, austin, named).areas) == ["a"]


def test_an_invalid_ring_is_repaired_and_said(tmp_path: Path, austin: City) -> None:
    regions = read(tmp_path, austin, collection(feature("bow", BOW_TIE)))
    assert regions.areas["bow"].is_valid
    assert regions.areas["bow"].area == pytest.approx(0.005)
    assert [text.split("[")[0] for text in regions.repaired] == ["bow: Self-intersection"]


def test_features_of_one_name_are_one_region_of_all_their_parts(tmp_path: Path, austin: City) -> None:
    regions = read(
        tmp_path, austin, collection(feature("Bouldin", WEST), feature(" bouldin ", EAST), feature(9.0, EAST))
    )
    assert list(regions.areas) == ["Bouldin", "9"]
    assert regions.united == ["Bouldin: 2 features"]
    assert regions.areas["Bouldin"].equals(shapely.union(shape(WEST), shape(EAST)))


def test_a_ring_may_turn_either_way_and_holes_stay_holes(tmp_path: Path, austin: City) -> None:
    outer, hole = WEST["coordinates"][0], square(-97.77, 30.23, 0.02)["coordinates"][0]
    for rings in ([outer, hole], [outer[::-1], hole], [outer[::-1], hole[::-1]]):
        area = read(tmp_path, austin, collection(feature("a", {"type": "Polygon", "coordinates": rings}))).areas["a"]
        assert area.area == pytest.approx(0.01 - 0.0004)
        assert not area.covers(shapely.Point(-97.76, 30.24))


def test_a_region_that_reaches_beyond_the_box_is_taken_and_said(tmp_path: Path, austin: City) -> None:
    assert read(tmp_path, austin, collection(feature("a", square(-99.0, 30.0, 1.0)))).beyond_box == ["a"]


def test_a_zip_area_is_named_by_five_digits(tmp_path: Path, austin: City) -> None:
    assert list(read(tmp_path, austin, collection(feature(78704, WEST)), kind="zip").areas) == ["78704"]
    with pytest.raises(RegionsRefused, match="five digits"):
        read(tmp_path, austin, collection(feature("ZIP 78704", WEST)), kind="zip")


# --- which permits lie in them ---------------------------------------------------------------------------------------

PLACES = {1: {"lng": -97.75}, 2: {"lng": -97.65}, 3: {"lng": -97.7}, 4: {"lng": -97.55}, 5: {}}
PLACED = [(["A 1"], None, "1"), (["B 2"], None, "2"), (["A 1", "B 2"], None, "1"), ([], None, None), ([], None, None)]


def test_permits_know_their_regions_whichever_is_loaded_first(load: Load, tell: Rows, empty_store: Connection) -> None:
    load(feature("A 1", WEST), feature("B 2", EAST))
    tell(PLACES)
    assert read_places(empty_store) == PLACED, "3 lies on the border"
    empty_store.execute("TRUNCATE permits, regions, source_rows, city_states, register_words")
    tell(PLACES)
    report = load(feature("A 1", WEST), feature("B 2", EAST))
    assert read_places(empty_store) == PLACED
    assert (report.status, report.inserted, report.permits) == ("published", 2, 3)


def test_a_permits_own_zip_and_district_stand_before_the_polygons(
    load: Load, tell: Rows, empty_store: Connection
) -> None:
    tell({1: {"lng": -97.75, "original_zip": "78799", "council_district": "07"}, 2: {"lng": -97.75}})
    load(feature("District 3", WEST))
    load(feature("78701", WEST), kind="zip")
    load(feature("Downtown", WEST), kind="neighborhood")
    assert [place[1:] for place in read_places(empty_store)] == [("78799", "7"), ("78701", "3")]
    assert {tuple(place[0]) for place in read_places(empty_store)} == {("78701", "District 3", "Downtown")}


def test_a_moved_permit_is_told_anew_and_a_changed_one_keeps_its_place(
    load: Load, tell: Rows, empty_store: Connection
) -> None:
    load(feature("A 1", WEST), feature("B 2", EAST))
    tell({1: {"lng": -97.75}, 2: {"lng": -97.75}})
    tell({1: {"lng": -97.65}, 2: {"lng": -97.75, "description": "new pool"}, 3: {"lng": -97.65}})
    assert read_places(empty_store) == [(["B 2"], None, "2"), (["A 1"], None, "1"), (["B 2"], None, "2")]
    tell({1: {}})
    assert read_places(empty_store)[0] == ([], None, None), "it has no point any more"


def test_new_categories_leave_places_as_they_are(
    load: Load, tell: Rows, empty_store: Connection, database_url: str, austin: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(feature("A 1", WEST))
    tell({1: {"lng": -97.75}})
    monkeypatch.setattr("app.ingest.recategorize.find_categories", lambda *_: (["roof"], None, None))
    assert recategorize(database_url, austin).updated == 1
    assert read_places(empty_store) == [(["A 1"], None, "1")]


def test_another_map_of_a_kind_replaces_the_one_before(load: Load, tell: Rows, empty_store: Connection) -> None:
    tell(PLACES)
    load(feature("A 1", WEST), feature("B 2", EAST))
    report = load(feature("A 1", EAST), feature("C 3", WEST))
    assert (report.inserted, report.updated, report.removed, report.unchanged) == (1, 1, 1, 0)
    assert read_places(empty_store)[:4] == [
        (["C 3"], None, "3"),
        (["A 1"], None, "1"),
        (["A 1", "C 3"], None, "1"),
        ([], None, None),
    ]


def test_only_permits_whose_answer_changes_are_written(load: Load, tell: Rows, empty_store: Connection) -> None:
    tell(PLACES)
    load(feature("A 1", WEST), feature("B 2", EAST))
    query = "SELECT source_id, ctid::text, xmin::text FROM permits"
    before = set(empty_store.execute(query).fetchall())
    assert load(feature("A 1", WEST), feature("B 2", square(-97.6, 30.2))).permits == 3
    assert len(before & set(empty_store.execute(query).fetchall())) == 2, (
        "the one in A alone, and the one without a point"
    )


def test_the_same_file_again_changes_nothing(load: Load, tell: Rows, empty_store: Connection) -> None:
    tell(PLACES)
    load(feature("A 1", WEST), feature("B 2", BOW_TIE))
    version = read_version(empty_store)
    traces = "SELECT xmin::text FROM regions UNION ALL SELECT xmin::text FROM permits"
    before = empty_store.execute(traces).fetchall()
    report = load(feature("A 1", WEST), feature("B 2", BOW_TIE))
    assert (report.status, report.unchanged, report.permits, report.exit_status) == ("unchanged", 2, 0, 0)
    assert (read_version(empty_store), empty_store.execute(traces).fetchall()) == (version, before)


def test_another_vintage_of_the_same_areas_writes_no_permit(load: Load, tell: Rows, empty_store: Connection) -> None:
    tell(PLACES)
    load(feature("A 1", WEST))
    version = read_version(empty_store)
    report = load(feature("A 1", WEST), vintage="2023")
    assert (report.status, report.updated, report.permits) == ("published", 1, 0)
    assert read_version(empty_store) == version + 1


def test_a_refused_file_changes_nothing(load: Load, tell: Rows, empty_store: Connection) -> None:
    tell(PLACES)
    load(feature("A 1", WEST))
    before = (read_places(empty_store), read_version(empty_store))
    report = load(feature("A 1", EAST), feature("B 2", FEET))
    assert (report.status, report.exit_status) == ("refused", 2)
    assert (read_places(empty_store), read_version(empty_store)) == before


def test_a_city_that_is_being_loaded_is_locked(load: Load, database_url: str) -> None:
    with connect(database_url) as another, hold_lock(another, "austin") as is_held:
        assert is_held
        assert load(feature("A 1", WEST)).exit_status == 75


STANDS = """
    SELECT (SELECT without_zip FROM city_states),
      (SELECT array_agg(name || permits ORDER BY name) FROM regions),
      (SELECT array_agg(word || permits ORDER BY word) FROM register_words WHERE field = 'district')
"""
STANDS_ANEW = """
    SELECT (SELECT count(*) FROM permits WHERE removed_run IS NULL AND zip IS NULL),
      (SELECT array_agg(r.name || (SELECT count(*) FROM permits p
        WHERE p.removed_run IS NULL AND ST_Covers(r.area, p.location::geometry))::text ORDER BY r.name) FROM regions r),
      (SELECT array_agg(word ORDER BY word) FROM (
        SELECT district || count(*)::text AS word FROM permits
        WHERE removed_run IS NULL AND district IS NOT NULL GROUP BY district) AS t)
"""


def test_after_any_runs_and_maps_everything_is_what_counting_anew_gives(
    load: Load, tell: Rows, empty_store: Connection
) -> None:
    chance = random.Random(20_261_125)
    for _ in range(12):
        if chance.random() < 0.5:
            names = chance.sample(["District 1", "District 2", "3"], chance.randint(1, 3))
            kind, names = chance.choice([("council_district", names), ("zip", ["7870" + name[-1] for name in names])])
            load(*(feature(name, square(-97.8 + chance.randint(0, 3) / 20, 30.2)) for name in names), kind=kind)
        told = {
            number: {
                "lng": chance.choice([None, -97.8, -97.75, -97.72, -97.65]),
                **({"original_zip": "78799"} if chance.random() < 0.3 else {}),
                **({"council_district": chance.choice(["1", "05"])} if chance.random() < 0.3 else {}),
            }
            for number in chance.sample(range(1, 25), chance.randint(3, 20))
        }
        tell(told, whole=chance.random() < 0.3)
        assert empty_store.execute(STANDS).fetchall() == empty_store.execute(STANDS_ANEW).fetchall()
        assert empty_store.execute(WRONG_PLACES).fetchall() == []
        assert_cells_are_as_counted_anew(empty_store)


WRONG_PLACES = """
    SELECT p.source_id FROM permits p
    WHERE p.regions <> ARRAY(
      SELECT r.region FROM regions r WHERE ST_Covers(r.area, p.location::geometry) ORDER BY r.region)
      OR p.zip IS DISTINCT FROM coalesce(p.original_zip, (
        SELECT min(r.name COLLATE "C") FROM regions r WHERE r.region = ANY (p.regions) AND r.kind = 'zip'))
      OR p.district IS DISTINCT FROM ltrim(coalesce(p.council_district, (
        SELECT min(right(r.name, 1) COLLATE "C") FROM regions r
        WHERE r.region = ANY (p.regions) AND r.kind = 'council_district')), '0')
"""
