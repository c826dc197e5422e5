"""What ``/regions`` and the filters ``region`` and ``district`` promise."""

from typing import Any

import httpx
import pytest
from pyproj import Geod
from shapely.geometry import shape

from tests.conftest import Store

WEST = "MULTIPOLYGON(((-97.8 30.2, -97.8 30.3, -97.7 30.3, -97.7 30.2, -97.8 30.2)))"
EAST = "MULTIPOLYGON(((-97.7 30.2, -97.6 30.2, -97.6 30.3, -97.7 30.3, -97.7 30.2)))"


@pytest.fixture
def loaded(store: Store) -> dict[str, int]:
    """Two districts, a ZIP and an area whose name has a slash, with five permits; regions by name."""
    numbers = {
        name: store.add_region(kind, name, area)
        for kind, name, area in [
            ("council_district", "District 9", WEST),
            ("council_district", "District 10", EAST),
            ("zip", "78704", WEST),
            ("area", "North/Loop", EAST),
        ]
    }
    west, east = [numbers["District 9"], numbers["78704"]], [numbers["District 10"], numbers["North/Loop"]]
    for number in range(3):
        store.add_permit(lat=30.25, lng=-97.75, source_id=f"west {number}", regions=west, district="9", zip="78704")
    store.add_permit(lat=30.25, lng=-97.65, source_id="east", regions=east, district="10")
    store.add_permit(source_id="own", council_district="9", district="9")
    store.publish()
    return numbers


async def list_ids(client: httpx.AsyncClient, path: str = "/permits", **asked: Any) -> list[str]:
    """Ask for permits and give their ids in the register."""
    reply = await client.get(path, params=asked)
    assert reply.status_code == 200, reply.text
    return sorted(feature["properties"]["source_id"] for feature in reply.json()["features"])


WESTERN = ["west 0", "west 1", "west 2"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("region", "found"),
    [
        ("austin/council_district/District 9", WESTERN),
        ("AUSTIN/council_district/district 9", WESTERN),
        ("council_district/District 10", ["east"]),
        ("zip/78704", WESTERN),
        ("area/north/loop", ["east"]),
        (["zip/78704", "area/North/Loop"], ["east", *WESTERN]),
    ],
)
async def test_a_region_holds_the_permits_that_lie_in_it(
    region: Any, found: list[str], client: httpx.AsyncClient
) -> None:
    assert await list_ids(client, region=region) == found
    assert await list_ids(client, "/permits/near", region=region, lat=30.25, lng=-97.7, radius_m=10_000) == found


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("district", ["9", "09", "District 9", "district 9", "9.0"])
async def test_a_district_is_found_in_any_form_whoever_told_it(district: str, client: httpx.AsyncClient) -> None:
    assert await list_ids(client, district=district) == ["own", *WESTERN]


@pytest.mark.usefixtures("loaded")
async def test_region_and_district_together_are_and(client: httpx.AsyncClient) -> None:
    assert await list_ids(client, district=["9", "10"], region="area/North/Loop") == ["east"]


@pytest.mark.usefixtures("loaded")
async def test_an_unknown_district_is_refused_with_those_known(client: httpx.AsyncClient) -> None:
    reply = await client.get("/permits", params={"district": "11"})
    assert reply.status_code == 422
    assert reply.json()["errors"][0] == {
        "detail": "'11' is no district known here; known are: 10, 9",
        "parameter": "district",
    }


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("council_district/District 99", "austin/council_district/District 9"),
        ("nowhere at all", "those that /regions lists"),
        ("78704", "austin/zip/78704"),
    ],
)
async def test_an_unknown_region_is_refused_with_where_to_find_them(
    region: str, said: str, client: httpx.AsyncClient
) -> None:
    reply = await client.get("/permits", params={"region": region})
    assert reply.status_code == 422
    (error,) = reply.json()["errors"]
    assert error["parameter"] == "region"
    assert said in error["detail"]


@pytest.mark.usefixtures("loaded")
async def test_a_kind_and_name_of_two_cities_needs_the_city(store: Store, client: httpx.AsyncClient) -> None:
    store.add_region("zip", "78704", EAST, city="calgary")
    store.add_permit(city="calgary")
    store.publish()
    reply = await client.get("/permits", params={"region": "zip/78704"})
    assert reply.status_code == 422
    assert "austin/zip/78704, calgary/zip/78704" in reply.json()["detail"]
    assert await list_ids(client, region="zip/78704", city="austin") == WESTERN


@pytest.mark.usefixtures("loaded")
async def test_a_permits_own_page_names_its_regions(client: httpx.AsyncClient) -> None:
    reply = (await client.get("/permits/austin/east")).json()
    assert reply["properties"]["regions"] == ["austin/area/North/Loop", "austin/council_district/District 10"]
    assert (await client.get("/permits/austin/own")).json()["properties"]["regions"] == []


async def list_regions(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """Ask for regions and give their features."""
    reply = await client.get("/regions", params=asked)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/geo+json"
    features: list[dict[str, Any]] = reply.json()["features"]
    return features


@pytest.mark.usefixtures("loaded")
async def test_regions_are_listed_with_size_source_and_permits(client: httpx.AsyncClient) -> None:
    features = await list_regions(client)
    assert [feature["id"] for feature in features] == [
        "austin/area/North/Loop",
        "austin/council_district/District 10",
        "austin/council_district/District 9",
        "austin/zip/78704",
    ]
    told = features[2]["properties"]
    assert (told["city"], told["kind"], told["name"]) == ("austin", "council_district", "District 9")
    assert (told["source"], told["vintage"], told["permits"]) == ("made up", "2022", 3)
    area_m2, _ = Geod(ellps="WGS84").geometry_area_perimeter(shape(features[2]["geometry"]))
    assert told["area_km2"] == pytest.approx(area_m2 / 1e6, rel=1e-5)
    assert area_m2 > 0, "the outer ring is counter-clockwise, though the store's is not"


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"kind": "zip"}, ["78704"]),
        ({"kind": ["ZIP", "area"]}, ["North/Loop", "78704"]),
        ({"name": "DISTRICT 9"}, ["District 9"]),
        ({"name": "nobody's"}, []),
        ({"bbox": "-97.65,30.2,-97.6,30.21"}, ["North/Loop", "District 10"]),
        ({"bbox": "170,-10,-97.65,80", "kind": "area"}, ["North/Loop"]),
        ({"bbox": "0,0,1,1"}, []),
    ],
)
async def test_regions_are_chosen_by_kind_name_and_box(
    asked: dict[str, Any], names: list[str], client: httpx.AsyncClient
) -> None:
    assert [feature["properties"]["name"] for feature in await list_regions(client, **asked)] == names


@pytest.mark.usefixtures("loaded")
async def test_pages_of_regions_lose_and_repeat_none(client: httpx.AsyncClient) -> None:
    whole = [feature["id"] for feature in await list_regions(client, geometry="none")]
    found, path = [], "/regions?geometry=none&limit=1"
    while path:
        document = (await client.get(path)).json()
        found += [feature["id"] for feature in document["features"]]
        path = next((link["href"] for link in document["links"] if link["rel"] == "next"), "")
    assert found == whole


@pytest.mark.usefixtures("loaded")
async def test_a_geometry_is_left_out_where_none_is_wanted(client: httpx.AsyncClient) -> None:
    assert {feature["geometry"] for feature in await list_regions(client, geometry="none")} == {None}


@pytest.mark.usefixtures("loaded")
async def test_a_region_by_its_id_has_its_whole_area(client: httpx.AsyncClient) -> None:
    for path in ("austin/area/North%2FLoop", "austin/area/North/Loop", "area/north/loop"):
        reply = await client.get(f"/regions/{path}")
        assert (reply.status_code, reply.json()["id"]) == (200, "austin/area/North/Loop")
    assert reply.json()["geometry"]["type"] == "MultiPolygon"
    assert (await client.get("/regions/austin/area/elsewhere")).json()["type"] == "/problems/no-such-region"


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("asked", ["kind=moon", "geometry=yes", "limit=0", "limit=1001", "cursor=x", "bbox=1", "x=1"])
async def test_what_cannot_be_asked_of_regions_is_a_422(asked: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/regions?{asked}")).status_code == 422


@pytest.mark.usefixtures("loaded")
async def test_regions_are_not_sent_twice(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/regions?kind=zip&limit=5")).headers["etag"]
    reply = await client.get("/regions?limit=5&kind=zip", headers={"If-None-Match": tag})
    assert reply.status_code == 304
