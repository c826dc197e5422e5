"""What ``GET /permits`` and ``POST /permits/search`` promise of areas and orders; shapely is the witness."""

import random
import re
from itertools import pairwise
from typing import Any

import httpx
import pytest
import shapely
from geographiclib.geodesic import Geodesic

from app.database import Reader
from app.permits.listing import Way, compile_nearest
from app.permits.near import Course
from app.settings import Settings
from tests.conftest import Store

Point = tuple[float, float]


def scatter(
    store: Store, chance: random.Random, count: int, *, west: float, south: float, spread: float
) -> dict[str, Point]:
    """Add permits at random points, given as longitude and latitude."""
    added = {}
    for _ in range(count):
        lng, lat = west + chance.uniform(0, spread), south + chance.uniform(0, spread)
        lng = (lng + 180) % 360 - 180
        added[store.add_permit(lat=lat, lng=lng)] = (lng, lat)
    store.add_permit()
    store.publish()
    return added


async def collect(client: httpx.AsyncClient, **asked: Any) -> list[str]:
    """Follow a list to its end and give the source ids."""
    found: list[str] = []
    reply = await client.get("/permits", params=asked)
    while True:
        assert reply.status_code == 200, reply.text
        document = reply.json()
        found += [feature["properties"]["source_id"] for feature in document["features"]]
        following = [link["href"] for link in document["links"] if link["rel"] == "next"]
        if not following:
            return found
        reply = await client.get(following[0])


@pytest.mark.parametrize("bbox", ["-97.78,30.23,-97.72,30.29", "-97.76,30.2,-97.7599,30.35", "-180,-90,180,90"])
async def test_a_bbox_holds_what_lies_in_it_its_edge_included(
    bbox: str, store: Store, client: httpx.AsyncClient
) -> None:
    points = scatter(store, random.Random(bbox), 200, west=-97.8, south=30.2, spread=0.1)
    west, south, east, north = map(float, bbox.split(","))
    on_edge = store.add_permit(lat=min(south, 89.0), lng=west)
    beside = store.add_permit(lat=30.25, lng=max(west - 1e-9, -180.0))
    store.publish()
    expected = {name for name, (lng, lat) in points.items() if west <= lng <= east and south <= lat <= north}
    found = await collect(client, bbox=bbox, limit=37)
    assert len(found) == len(set(found))
    assert set(found) == expected | {on_edge} | ({beside} if west == -180 else set())


async def test_a_bbox_may_cross_the_antimeridian(store: Store, client: httpx.AsyncClient) -> None:
    points = scatter(store, random.Random(7), 120, west=179.5, south=-18.0, spread=1.0)
    found = await collect(client, bbox="179.8,-17.8,-179.8,-17.2", limit=1000)
    assert set(found) == {
        name for name, (lng, lat) in points.items() if (lng >= 179.8 or lng <= -179.8) and -17.8 <= lat <= -17.2
    }
    assert found


@pytest.mark.parametrize(
    ("bbox", "said"),
    [
        ("1,2,3", "four numbers"),
        ("a,b,c,d", "four numbers"),
        ("nan,30,-97,31", "four numbers"),
        ("-97,31,-96,30", "south first"),
        ("-197,30,-96,31", "between -180 and 180"),
        ("-97,30,-96,31,5,6", "four numbers"),
    ],
)
async def test_a_bbox_that_is_none_is_refused_in_words(
    bbox: str, said: str, store: Store, client: httpx.AsyncClient
) -> None:
    store.publish()
    reply = await client.get("/permits", params={"bbox": bbox})
    assert reply.status_code == 422
    assert said in reply.json()["errors"][0]["detail"]


@pytest.mark.parametrize("origin", [(-97.75, 30.25), (-97.9, 30.1), (179.999, -17.5), (0.0, 90.0)])
async def test_the_order_nearest_equals_geodesic_distances(
    origin: Point, store: Store, client: httpx.AsyncClient
) -> None:
    points = scatter(store, random.Random(3), 150, west=-97.8, south=30.2, spread=0.1)
    lng, lat = origin
    found = await collect(client, order="nearest", lat=lat, lng=lng, limit=40)

    def measure(name: str) -> float:
        end = points[name]
        return float(Geodesic.WGS84.Inverse(lat, lng, end[1], end[0])["s12"])

    assert sorted(found) == sorted(points)
    assert all(measure(before) <= measure(after) + 1e-6 for before, after in pairwise(found))


@pytest.mark.parametrize("course", [Course(None), Course(0), Course(1), Course(60), Course(10_000)], ids=str)
async def test_the_nearest_of_a_filter_and_a_box_come_once_whatever_the_course(
    course: Course, store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(23)
    points = {}
    for _ in range(150):
        lng, lat, zip_code = chance.uniform(-97.8, -97.7), chance.uniform(30.2, 30.3), chance.choice(["78701", "78702"])
        source_id = store.add_permit(lat=lat, lng=lng, zip=zip_code)
        if zip_code == "78702" and lng <= -97.74:
            points[source_id] = Geodesic.WGS84.Inverse(30.25, -97.75, lat, lng)["s12"]
    store.add_permit(zip="78702")
    store.publish()
    monkeypatch.setattr("app.permits.listing.set_course", lambda *_, **__: course)
    origin = {"order": "nearest", "lat": 30.25, "lng": -97.75}
    found = await collect(client, **origin, zip="78702", bbox="-97.9,30,-97.74,31", limit=7)
    assert len(points) > 30
    assert found == sorted(points, key=points.__getitem__)


@pytest.mark.parametrize(
    ("category", "way", "scan"),
    [
        ("pool", "sifted", "Bitmap Index Scan on ix_permits_words"),
        ("roof", "walk", "Index Scan using ix_permits_location on permits"),
        ("roof", "bounded", "Index Scan using ix_permits_location on permits"),
    ],
)
async def test_the_nearest_are_found_by_one_index_after_twenty_calls(
    category: str, way: Way, scan: str, settings: Settings, store: Store
) -> None:
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, location, location_quality, first_run, changed_run)"
        " SELECT 'austin', 'x' || n, CASE WHEN mod(n, 1000) = 0 THEN '{pool}' WHEN mod(n, 2) = 0 THEN '{roof}'"
        " ELSE '{}' END::text[], ST_MakePoint(-97.75 + 0.0002 * mod(n, 1000), 30.2 + 0.0002 * mod(n, 997))::geography,"
        " 'unstated', %s, 1 FROM generate_series(1, 12000) n",
        [store.find_run("austin")],
    )
    store.connection.execute("VACUUM ANALYZE permits")
    values = {"city": "austin", "categories": [category], "lat": 30.25, "lng": -97.7, "take": 30}
    statement = compile_nearest(frozenset(values), way)
    values |= {"most": 1_000, "reach_m": 500.0}
    reader = Reader(settings)
    await reader.open()
    for _ in range(20):
        rows = await reader.find_all(statement, values)
    explained = await reader.find_all(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", values)
    await reader.aclose()
    plan = "\n".join(line for (line,) in explained)
    assert rows
    assert scan in plan, plan
    assert len(re.findall(r"Scan (?:using|on) ix_permits", plan)) == 1, plan
    most = 1_000 if way == "sifted" else 120
    assert all(int(read) <= most for read in re.findall(r"on permits \(actual rows=(\d+)", plan))


async def test_an_origin_belongs_to_the_order_nearest_alone(store: Store, client: httpx.AsyncClient) -> None:
    store.publish()
    for asked in ("order=nearest", "lat=30&lng=-97", "order=nearest&lat=30"):
        assert (await client.get(f"/permits?{asked}")).status_code == 422


SQUARE = [[-97.78, 30.22], [-97.73, 30.22], [-97.73, 30.27], [-97.78, 30.27], [-97.78, 30.22]]
HOLE = [[-97.76, 30.24], [-97.76, 30.25], [-97.75, 30.25], [-97.75, 30.24], [-97.76, 30.24]]


async def search(client: httpx.AsyncClient, polygon: Any, **asked: Any) -> httpx.Response:
    return await client.post("/permits/search", json={"polygon": polygon, **asked})


@pytest.mark.parametrize("kind", ["Polygon", "MultiPolygon"])
async def test_a_polygon_holds_what_it_covers_page_after_page(
    kind: str, store: Store, client: httpx.AsyncClient
) -> None:
    points = scatter(store, random.Random(11), 300, west=-97.8, south=30.2, spread=0.1)
    rings = [SQUARE, HOLE]
    far = [[[-97.71, 30.28], [-97.70, 30.28], [-97.70, 30.29], [-97.71, 30.28]]]
    coordinates = rings if kind == "Polygon" else [rings, far]
    area = shapely.geometry.shape({"type": kind, "coordinates": coordinates})
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        document = (await search(client, {"type": kind, "coordinates": coordinates}, limit=9, **cursor)).json()
        found += [feature["properties"]["source_id"] for feature in document["features"]]
        if "cursor" not in document:
            break
        cursor = {"cursor": document["cursor"]}
    assert sorted(found) == sorted(name for name, point in points.items() if area.covers(shapely.Point(point)))
    assert found


async def test_a_search_links_to_its_next_page_as_stac_api_does(store: Store, client: httpx.AsyncClient) -> None:
    added = {store.add_permit(lat=30.25 + number / 1000, lng=-97.75) for number in range(5)}
    store.publish()
    body: dict[str, Any] = {"polygon": {"type": "Polygon", "coordinates": [SQUARE]}, "limit": 2}
    document = (await client.post("/permits/search", json=body)).json()
    found = [feature["id"] for feature in document["features"]]
    while following := [link for link in document["links"] if link["rel"] == "next"]:
        (link,) = following
        assert (link["body"], link["merge"]) == ({"cursor": document["cursor"]}, True)
        document = (await client.request(link["method"], link["href"], json=body | link["body"])).json()
        found += [feature["id"] for feature in document["features"]]
    assert sorted(found) == [f"austin/{name}" for name in sorted(added)]
    assert "cursor" not in document


@pytest.mark.parametrize(
    ("polygon", "said"),
    [
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "Self-intersection"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0]]]}, "four positions"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "closed"),
        ({"type": "Polygon", "coordinates": [[[30, -97], [30, -98], [31, -98], [30, -97]]]}, "longitude comes first"),
        ({"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [1, 1], ["a", 0]]]}, "as numbers"),
        ({"type": "Polygon", "coordinates": []}, "no ring"),
        ({"type": "Polygon", "coordinates": [[[i / 1e5, 0] for i in range(10_001)]]}, "vertices"),
        ({"type": "Polygon", "coordinates": 5}, "list"),
        ({"type": "MultiPolygon", "coordinates": [SQUARE]}, "[longitude, latitude]"),
        ({"type": "Point", "coordinates": [0, 0]}, "pattern"),
        ("POLYGON((0 0, 1 0, 1 1, 0 0))", "dictionary"),
    ],
)
async def test_a_polygon_that_is_none_is_refused_in_words(
    polygon: Any, said: str, store: Store, client: httpx.AsyncClient
) -> None:
    store.publish()
    reply = await search(client, polygon)
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


async def test_rings_that_turn_the_wrong_way_are_read_and_said(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.23, lng=-97.75)
    store.publish()
    document = (await search(client, {"type": "Polygon", "coordinates": [SQUARE[::-1]]})).json()
    assert document["numberReturned"] == 1
    assert "clockwise" in document["notes"][0]
    assert "notes" not in (await search(client, {"type": "Polygon", "coordinates": [SQUARE, HOLE]})).json()


@pytest.mark.parametrize(
    "polygon",
    [
        {"type": "Polygon", "coordinates": [[[int("9" * 400), 0], [1, 0], [1, 1], [0, 0]]]},
        {"type": "MultiPolygon", "coordinates": [[], [[[0, 0], [1, 0], [1, 1], [0, 0]]]]},
        {"type": "MultiPolygon", "coordinates": [[]]},
    ],
)
async def test_a_polygon_of_monstrous_numbers_or_empty_parts_is_refused(
    polygon: Any, store: Store, client: httpx.AsyncClient
) -> None:
    store.publish()
    assert (await search(client, polygon)).status_code == 422


async def test_heights_and_a_box_of_its_own_do_not_harm_a_polygon(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.23, lng=-97.75)
    store.publish()
    ring = [[*position, 5] for position in SQUARE]
    for coordinates in ([ring], [[*ring[:1], *SQUARE[1:-1], ring[-1]]]):
        reply = await search(client, {"type": "Polygon", "bbox": [-98, 30, -97, 31], "coordinates": coordinates})
        assert reply.json()["numberReturned"] == 1
