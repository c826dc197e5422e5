"""What clients of OGC API - Features may rely on under ``/ogc``, over HTTP, and that its description is true."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from app.permits.collection import CollectionQuery
from app.permits.tables import SHORT
from tests.conftest import Store

ITEMS = "/ogc/collections/permits/items"
GEOJSON = "application/geo+json"
PATHS = ["/ogc", "/ogc/", "/ogc/api", "/ogc/conformance", "/ogc/collections", "/ogc/collections/permits"]


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> dict[str, Any]:
    """Get a document, which must be a good one."""
    reply = await client.get(path, params=parameters or None)
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


def find_link(document: dict[str, Any], rel: str) -> dict[str, str]:
    """Find the one link of a relation."""
    [found] = [link for link in document["links"] if link["rel"] == rel]
    return dict(found)


def ids(document: dict[str, Any]) -> list[str]:
    return [feature["id"] for feature in document["features"]]


# --- from the landing page to a permit -------------------------------------------------------------------------------


async def test_client_finds_a_permit_from_the_landing_page_on(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.2, lng=-97.7, source_id="2015-010034 EP", issued_date=date(2015, 2, 3))
    store.publish()
    landing = await get(client, "/ogc")
    found = await get(client, find_link(landing, "data")["href"])
    [collection] = found["collections"]
    page = await get(client, find_link(collection, "items")["href"])
    [feature] = page["features"]
    permit = await get(client, f"{find_link(collection, 'items')['href']}/{feature['id']}")
    assert (permit["id"], permit["properties"]["source_id"]) == ("austin.2015-010034~20EP", "2015-010034 EP")
    assert permit["geometry"] == {"type": "Point", "coordinates": [-97.7, 30.2]}
    whole = await get(client, find_link(permit, "related")["href"])
    assert whole["id"] == "austin/2015-010034 EP"
    assert permit["properties"] == feature["properties"]


async def test_landing_page_links_description_conformance_and_data(client: httpx.AsyncClient) -> None:
    for path in ("/ogc", "/ogc/"):
        landing = await get(client, path)
        assert {link["rel"] for link in landing["links"]} == {
            "self",
            "service-desc",
            "service-doc",
            "conformance",
            "data",
        }
        described = find_link(landing, "service-desc")
        assert described["type"] == "application/vnd.oai.openapi+json;version=3.0"
        for link in landing["links"]:
            reply = await client.get(link["href"])
            assert reply.status_code == 200
            assert reply.headers["content-type"].startswith(link["type"]), link["rel"]


async def test_it_conforms_to_core_geojson_and_openapi_3_0(client: httpx.AsyncClient) -> None:
    classes = (await get(client, "/ogc/conformance"))["conformsTo"]
    assert {name.removeprefix("http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/") for name in classes} == {
        "core",
        "geojson",
        "oas30",
    }


async def test_collection_is_the_same_alone_and_in_the_list(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.2, lng=-97.7, issued_date=date(2015, 2, 3))
    store.add_permit(lat=30.3, lng=-97.8, issued_date=date(2016, 2, 3))
    store.publish()
    [listed] = (await get(client, "/ogc/collections"))["collections"]
    assert listed == await get(client, "/ogc/collections/permits")
    assert listed["extent"]["spatial"]["bbox"] == [[-97.8, 30.2, -97.7, 30.3]]
    assert listed["extent"]["temporal"]["interval"] == [["2015-02-03T00:00:00Z", "2016-02-03T23:59:59Z"]]


async def test_empty_register_is_a_collection_without_extent_and_items(store: Store, client: httpx.AsyncClient) -> None:
    store.publish()
    assert "extent" not in await get(client, "/ogc/collections/permits")
    page = await get(client, ITEMS)
    assert (page["numberMatched"], page["numberReturned"], page["features"]) == (0, 0, [])


async def test_addresses_are_those_that_callers_use(store: Store, client: httpx.AsyncClient) -> None:
    landing = (await client.get("/ogc", headers={"host": "permits.example"})).json()
    assert all(link["href"].startswith("http://permits.example/") for link in landing["links"])
    described = (await client.get("/ogc/api", headers={"host": "permits.example"})).json()
    assert described["servers"] == [{"url": "http://permits.example/ogc"}]


# --- items -----------------------------------------------------------------------------------------------------------


async def test_items_are_as_documented(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.2673123456, lng=-97.7431, categories=["solar"], solar_kw=7.2, est_project_cost_usd=21500)
    store.publish()
    before = datetime.now(UTC)
    reply = await client.get(ITEMS)
    assert reply.headers["content-type"] == GEOJSON
    page = reply.json()
    assert page["type"] == "FeatureCollection"
    assert (page["numberMatched"], page["numberReturned"]) == (1, 1)
    assert abs((datetime.fromisoformat(page["timeStamp"]) - before).total_seconds()) < 60
    [feature] = page["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [-97.7431, 30.267312]}
    assert (feature["properties"]["categories"], feature["properties"]["est_project_cost_usd"]) == (["solar"], 21500)


async def test_permit_without_a_point_has_a_null_geometry_and_is_in_no_box(
    store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit()
    store.publish()
    [feature] = (await get(client, ITEMS))["features"]
    assert feature["geometry"] is None
    assert (await get(client, ITEMS, bbox="-180,-90,180,90"))["numberReturned"] == 0


async def test_next_links_lead_through_all_of_it_with_the_filters_kept(store: Store, client: httpx.AsyncClient) -> None:
    expected = [store.add_permit(lat=30.2, lng=-97.7, original_zip="78704") for _ in range(7)]
    store.add_permit(lat=30.2, lng=-97.7, original_zip="78701")
    store.add_permit(original_zip="78704")
    store.publish()
    page = await get(client, ITEMS, bbox="-98,30,-97,31", zip="78704", limit=3)
    found = list(page["features"])
    while any(link["rel"] == "next" for link in page["links"]):
        following = find_link(page, "next")
        assert following["type"] == GEOJSON
        page = await get(client, following["href"])
        found += page["features"]
    assert [feature["properties"]["source_id"] for feature in found] == expected


async def test_next_page_may_be_asked_for_with_another_limit(store: Store, client: httpx.AsyncClient) -> None:
    for _ in range(7):
        store.add_permit()
    store.publish()
    following = find_link(await get(client, ITEMS, limit=2), "next")["href"]
    reply = await client.get(f"{following}&limit=100")
    assert len(ids(reply.json())) == 5


async def test_next_link_stands_in_the_header_too(store: Store, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        store.add_permit()
    store.publish()
    reply = await client.get(ITEMS, params={"limit": 1})
    assert reply.headers["link"] == f'<{find_link(reply.json(), "next")["href"]}>; rel="next"'


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"bbox": "-97.75,30.15,-97.65,30.25"}, ["a"]),
        ({"datetime": "2015-01-01T00:00:00Z/2015-12-31T23:59:59Z"}, ["a"]),
        ({"datetime": "../2016-06-01"}, ["b", "a"]),
        ({"zip": "78704"}, ["b"]),
        ({"permit_type": "electrical"}, ["a"]),
        ({"category": ["solar", "pool"]}, ["b", "a"]),
        ({"min_value_usd": "1000.5"}, ["b"]),
        ({"issued_from": "2016-01-01", "bbox": "-98,30,-97,31"}, ["b"]),
        ({"city": "austin", "limit": 100000}, ["a", "b", "c"]),
    ],
)
async def test_filters_of_the_service_and_of_the_standard_go_together(
    store: Store, client: httpx.AsyncClient, parameters: dict[str, Any], found: list[str]
) -> None:
    a: dict[str, Any] = {"permit_type_mapped": "Electrical", "categories": ["solar"], "issued_date": date(2015, 2, 3)}
    b: dict[str, Any] = {
        "original_zip": "78704",
        "categories": ["pool"],
        "issued_date": date(2016, 2, 3),
        "est_project_cost_usd": 5000,
    }
    store.add_permit(source_id="a", lat=30.2, lng=-97.7, **a)
    store.add_permit(source_id="b", lat=30.3, lng=-97.8, **b)
    store.add_permit(source_id="c")
    store.publish()
    page = await get(client, ITEMS, **parameters)
    assert ids(page) == [f"austin.{name}" for name in found]


async def test_caller_who_has_a_page_is_told_that_nothing_changed(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit()
    store.publish()
    for path in (ITEMS, f"{ITEMS}/austin.2015-000001~20EP", "/ogc/collections"):
        reply = await client.get(path)
        again = await client.get(path, headers={"If-None-Match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("unknown", "1"),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "unlimited"),
        ("bbox", "1,2,3"),
        ("bbox", "-200,0,0,0"),
        ("datetime", "yesterday"),
        ("cursor", "x"),
        ("category", "castles"),
        ("status", "castles"),
        ("city", "nowhere"),
        ("zip", "1"),
        ("issued_from", "2020"),
    ],
)
async def test_unknown_or_invalid_parameter_is_400_and_named(
    store: Store, client: httpx.AsyncClient, parameter: str, value: str
) -> None:
    store.add_permit()
    store.publish()
    reply = await client.get(ITEMS, params={parameter: value})
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (problem["status"], problem["instance"]) == (400, ITEMS)
    assert parameter in problem["detail"]


@pytest.mark.parametrize("path", [*PATHS, "/ogc/collections/permits/schema", f"{ITEMS}/austin.2015-000001~20EP"])
async def test_every_other_path_takes_no_parameter(store: Store, client: httpx.AsyncClient, path: str) -> None:
    store.add_permit()
    store.publish()
    assert (await client.get(path)).status_code == 200
    reply = await client.get(path, params={"f": "json"})
    assert (reply.status_code, reply.json()["errors"]) == (400, [{"detail": "no such parameter", "parameter": "f"}])


async def test_elsewhere_invalid_parameters_stay_422(client: httpx.AsyncClient) -> None:
    assert (await client.get("/permits", params={"unknown": 1})).status_code == 422
    assert (await client.get("/permits", params={"cursor": "x"})).status_code == 422


@pytest.mark.parametrize("feature_id", ["x", "austin.x", "nowhere.x", "austin.~00", "austin.~zz", "sample~2Fx"])
async def test_id_of_no_permit_is_404(store: Store, client: httpx.AsyncClient, feature_id: str) -> None:
    store.add_permit()
    store.publish()
    reply = await client.get(f"{ITEMS}/{feature_id}")
    assert (reply.status_code, reply.headers["content-type"]) == (404, "application/problem+json")


async def test_permit_that_was_withdrawn_is_410(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit()
    store.add_permit(source_id="gone", removed_run=1)
    store.publish()
    assert (await client.get(f"{ITEMS}/austin.gone")).status_code == 410


async def test_unknown_collection_is_404(client: httpx.AsyncClient) -> None:
    for path in ("/ogc/collections/castles", "/ogc/collections/castles/items", "/ogc/castles"):
        reply = await client.get(path)
        assert (reply.status_code, reply.headers["content-type"]) == (404, "application/problem+json")


# --- the description in OpenAPI 3.0 ----------------------------------------------------------------------------------


def walk(node: object) -> Iterator[dict[str, Any]]:
    """Give every object of a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


async def test_description_has_no_word_of_openapi_3_1(client: httpx.AsyncClient) -> None:
    document = await get(client, "/ogc/api")
    assert re.fullmatch(r"3\.0\.[0-9]", document["openapi"])
    for node in walk(document):
        assert not {"const", "$defs", "examples", "prefixItems", "$schema"} & node.keys()
        assert not isinstance(node.get("type"), list)
        assert node.get("type") != "null"
        assert isinstance(node.get("exclusiveMinimum", True), bool)
        assert isinstance(node.get("exclusiveMaximum", True), bool)


async def test_description_points_nowhere_in_vain(client: httpx.AsyncClient) -> None:
    document = await get(client, "/ogc/api")
    pointed = {node["$ref"] for node in walk(document) if "$ref" in node}
    assert pointed
    for reference in pointed:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


async def test_every_parameter_that_is_taken_is_described_and_no_other(client: httpx.AsyncClient) -> None:
    document = await get(client, "/ogc/api")
    operation = document["paths"]["/collections/permits/items"]["get"]
    named = [reference["$ref"].rsplit("/", 1)[-1] for reference in operation["parameters"]]
    assert sorted(named) == sorted(CollectionQuery.model_fields)
    parameters = document["components"]["parameters"]
    assert parameters["bbox"]["schema"]["items"] == {"type": "number"}
    assert (parameters["bbox"]["style"], parameters["bbox"]["explode"]) == ("form", False)
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 10000, "default": 100}
    assert parameters["min_value_usd"]["schema"]["type"] == "number"
    assert "solar" in parameters["category"]["schema"]["items"]["enum"]


async def test_every_path_that_is_described_answers_in_its_media_type(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(source_id="a")
    store.publish()
    document = await get(client, "/ogc/api")
    assert len(document["paths"]) == 8
    for path, operations in document["paths"].items():
        reply = await client.get(f"/ogc{path}".replace("{featureId}", "austin.a"))
        assert reply.status_code == 200
        assert set(operations["get"]["responses"]["200"]["content"]) == {reply.headers["content-type"]}, path


async def test_description_of_the_whole_service_promises_no_422_here(client: httpx.AsyncClient) -> None:
    paths = (await get(client, "/openapi.json"))["paths"]
    described = [one["get"]["responses"] for path, one in paths.items() if path.startswith("/ogc")]
    assert len(described) == 8
    assert all("400" in responses and "422" not in responses for responses in described)


async def test_schema_tells_of_every_property_what_a_client_makes_a_field_of(
    store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(city="sample")
    store.publish()
    schema = await get(client, "/ogc/collections/permits/schema")
    types = {name: one["type"] for name, one in schema["properties"]["properties"]["properties"].items()}
    [feature] = (await get(client, ITEMS))["features"]
    assert types.keys() == feature["properties"].keys() == {*SHORT, "synthetic"}
    assert (types["solar_kw"], types["housing_units"], types["categories"]) == ("number", "integer", "array")
    assert schema["properties"]["properties"]["properties"]["issued_date"]["format"] == "date"


@pytest.mark.parametrize("span", ["1700-01-01/..", "2500-01-01", "0001-01-01", "../9999-12-31", "9999-01-01T23:59:59Z"])
async def test_days_that_no_permit_can_have_are_days(span: str, store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.25, lng=-97.75)
    store.publish()
    reply = await client.get("/ogc/collections/permits/items", params={"datetime": span})
    assert (reply.status_code, reply.json()["numberReturned"]) == (200, 0)
