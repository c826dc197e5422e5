"""What callers of ``/permits`` may rely on, over HTTP."""

import base64
import json
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from tests.conftest import Store

HERE: dict[str, Any] = {"lat": 30.2672, "lng": -97.7431}


async def near(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    """Ask for permits near the middle of Austin and give the reply, which must be a good one."""
    reply = await client.get("/permits/near", params=HERE | parameters)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/geo+json"
    document: dict[str, Any] = reply.json()
    return document


def ids(document: dict[str, Any]) -> list[str]:
    return [feature["properties"]["source_id"] for feature in document["features"]]


async def test_near_replies_as_documented(store: Store, client: httpx.AsyncClient) -> None:
    source_id = store.add_permit(
        lat=30.2673123456,
        lng=-97.7431,
        permit_type="EP",
        permit_type_mapped="Electrical",
        categories=["solar"],
        solar_kw=7.2,
        status_current="Final",
        status_current_mapped="Permit Finaled",
        issued_date=date(2015, 2, 3),
        description="7.2 kW",
        est_project_cost_usd=21500,
    )
    store.add_permit()
    store.publish()
    store.succeed("austin", datetime(2015, 2, 4, 9, 30, tzinfo=UTC))
    document = await near(client)
    assert document["type"] == "FeatureCollection"
    assert document["numberReturned"] == 1
    stand = {"run": 1, "data_through": "2015-02-03", "succeeded_at": "2015-02-04T09:30:00Z"}
    assert document["as_of"]["cities"] == {"austin": stand}
    assert document["missing"] == {"austin": {"without_location": 1, "without_category": 1}}
    (feature,) = document["features"]
    assert feature["id"] == f"austin/{source_id}"
    assert feature["geometry"] == {"type": "Point", "coordinates": [-97.7431, 30.267312]}
    said = feature["properties"]
    assert said["distance_m"] == 12.5
    assert (said["est_project_cost_usd"], said["solar_kw"], said["categories"]) == (21500, 7.2, ["solar"])
    assert (said["issued_date"], said["status_current_mapped"]) == ("2015-02-03", "Permit Finaled")
    assert "synthetic" not in said


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"category": "solar"}, ["a"]),
        ({"category": ["solar", "pool"]}, ["a", "b"]),
        ({"status": "permit finaled"}, ["a"]),
        ({"status": "FINAL"}, ["a"]),
        ({"status": ["Final", "Active"]}, ["a", "b"]),
        ({"permit_type": "electrical"}, ["a"]),
        ({"permit_type": "ep"}, ["a"]),
        ({"work_class": "wall"}, ["b"]),
        ({"zip": "78704"}, ["b"]),
        ({"issued_from": "2015-02-03", "issued_to": "2015-02-03"}, ["a"]),
        ({"issued_from": "2015-02-04"}, ["b"]),
        ({"applied_to": "2014-12-31"}, ["a"]),
        ({"min_value_usd": "1000.5"}, ["b"]),
        ({"max_value_usd": 1000}, ["a"]),
        ({"category": "solar", "zip": "78704"}, []),
        ({}, ["a", "b", "c"]),
    ],
)
async def test_filters_choose(
    parameters: dict[str, Any], found: list[str], store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(
        **HERE,
        source_id="a",
        categories=["solar"],
        status_current="Final",
        status_current_mapped="Permit Finaled",
        permit_type="EP",
        permit_type_mapped="Electrical",
        issued_date=date(2015, 2, 3),
        applied_date=date(2014, 12, 31),
        est_project_cost_usd=1000,
    )
    store.add_permit(
        **HERE,
        source_id="b",
        categories=["pool", "remodel"],
        status_current="Active",
        status_current_mapped="Permit Issued",
        permit_type="BP",
        permit_type_mapped="Building",
        work_class="Wall",
        original_zip="78704",
        issued_date=date(2016, 1, 1),
        applied_date=date(2015, 6, 1),
        est_project_cost_usd=2000,
    )
    store.add_permit(**HERE, source_id="c")
    store.publish()
    assert ids(await near(client, **parameters)) == found


async def test_pages_follow_the_link_header_to_the_end(store: Store, client: httpx.AsyncClient) -> None:
    for _ in range(7):
        store.add_permit(**HERE)
    store.publish()
    reply = await client.get("/permits/near", params=HERE | {"limit": 3, "category": []})
    pages, sizes = ids(reply.json()), [reply.json()["numberReturned"]]
    while following := reply.links.get("next"):
        assert following["url"] == next(link["href"] for link in reply.json()["links"] if link["rel"] == "next")
        reply = await client.get(following["url"])
        pages += ids(reply.json())
        sizes.append(reply.json()["numberReturned"])
    assert sizes == [3, 3, 1]
    assert pages == sorted(set(pages))


async def test_lists_are_ordered_and_paged_with_what_is_unknown_last(store: Store, client: httpx.AsyncClient) -> None:
    for number, cost in enumerate([5, None, 70, 70, None, 30.5]):
        store.add_permit(source_id=f"p{number}", est_project_cost_usd=cost)
    store.publish()
    address: str | None = "/permits?order=largest&limit=2"
    found: list[str] = []
    while address:
        reply = await client.get(address)
        found += ids(reply.json())
        address = reply.links.get("next", {}).get("url")
    assert found == ["p2", "p3", "p5", "p0", "p1", "p4"]
    newest = (await client.get("/permits", params={"limit": 4})).json()
    assert newest["features"][0]["geometry"] is None


@pytest.mark.parametrize(
    ("parameters", "parameter", "detail"),
    [
        ({"lat": None}, "lat", "required"),
        ({"lat": "x"}, "lat", "number"),
        ({"lat": "nan"}, "lat", "must be a number"),
        ({"lat": "inf"}, "lat", "must be a number"),
        ({"lat": 90.1}, "lat", "90"),
        ({"lng": -180.5}, "lng", "-180"),
        ({"lng": "1e400"}, "lng", "finite"),
        ({"radius_m": 10_000.1}, "radius_m", "10000"),
        ({"radius_m": 0}, "radius_m", "greater than 0"),
        ({"limit": 1001}, "limit", "1000"),
        ({"limit": "1.5"}, "limit", "integer"),
        ({"categories": "solar"}, "categories", "no such parameter"),
        ({"category": "solarium"}, "category", "'solar'"),
        ({"status": "nonsense"}, "status", "Permit Finaled"),
        ({"zip": "7870"}, "zip", "pattern"),
        ({"issued_from": "yesterday"}, "issued_from", "date"),
        ({"issued_from": "0001-01-01"}, "issued_from", "1800"),
        ({"issued_from": "1420070400"}, "issued_from", "YYYY-MM-DD"),
        ({"issued_from": "2016-01-02", "issued_to": "2016-01-01"}, "query", "beyond"),
        ({"min_value_usd": "NaN"}, "min_value_usd", "must be a number"),
        ({"min_value_usd": -1}, "min_value_usd", "0"),
        ({"cursor": "x" * 601}, "cursor", "600"),
        ({"status": "a\x00b"}, "status", "pattern"),
        ({"count": "all"}, "count", "exact"),
    ],
)
async def test_bad_parameters_are_named_in_a_problem_document(
    parameters: dict[str, Any], parameter: str, detail: str, store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(**HERE, status_current="Final", status_current_mapped="Permit Finaled")
    store.publish()
    sent = {name: value for name, value in (HERE | parameters).items() if value is not None}
    reply = await client.get("/permits/near", params=sent)
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["type"].startswith("/problems/")
    assert problem["instance"] == "/permits/near"
    assert {"status": 422, "title": problem["title"]}.items() <= problem.items()
    fault = problem["errors"][0]
    assert fault["parameter"] == parameter
    assert detail in fault["detail"]


async def test_one_permit_is_found_by_its_id_whatever_is_in_it(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(source_id="2015/01 & co?", **HERE)
    store.publish()
    collection = await near(client)
    assert collection["features"][0]["id"] == "austin/2015/01 & co?"
    reply = await client.get("/permits/austin/2015%2F01%20%26%20co%3F")
    assert reply.status_code == 200
    feature = reply.json()
    assert feature["properties"]["source_id"] == "2015/01 & co?"
    assert feature["properties"]["reported_location"]["coordinates"] == [-97.7431, 30.2672]
    again = await client.get(feature["links"][0]["href"])
    assert again.json() == feature


async def test_a_permit_that_is_unknown_or_removed_is_told_apart(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(source_id="gone", **HERE, removed_run=2)
    store.add_permit(source_id="here")
    store.publish()
    assert (await client.get("/permits/austin/gone")).status_code == 410
    assert (await client.get("/permits/austin/never")).status_code == 404
    assert (await client.get("/permits/atlantis/here")).json()["type"] == "/problems/no-such-city"
    assert ids(await near(client)) == []


@pytest.mark.parametrize(
    "forged",
    [
        {"source_id": "\x00"},
        {"city": "\x00"},
        {"seen": 10**30},
        {"seen": -1},
        {"seen": 20_000},
        {"seen": 2**31},
        {"key": "nan"},
        {"key": "1\x00"},
    ],
)
async def test_a_forged_cursor_is_refused(forged: dict[str, Any], store: Store, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        store.add_permit(**HERE)
    store.publish()
    following = (await near(client, limit=1))["links"][1]["href"]
    cursor = httpx.URL(following).params["cursor"]
    position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    changed = base64.urlsafe_b64encode(json.dumps(position | forged).encode()).decode()
    reply = await client.get("/permits/near", params=HERE | {"limit": 1, "cursor": changed})
    assert (reply.status_code, reply.json()["type"]) == (422, "/problems/malformed-cursor")


@pytest.mark.parametrize("key", ["1E+999999", "-1E-999999", "Infinity"])
async def test_a_forged_cost_is_refused(key: str, store: Store, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        store.add_permit(est_project_cost_usd=5)
    store.publish()
    reply = await client.get("/permits", params={"limit": 1, "order": "largest"})
    cursor = httpx.URL(reply.links["next"]["url"]).params["cursor"]
    position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    changed = base64.urlsafe_b64encode(json.dumps(position | {"key": key}).encode()).decode()
    reply = await client.get("/permits", params={"limit": 1, "order": "largest", "cursor": changed})
    assert (reply.status_code, reply.json()["type"]) == (422, "/problems/malformed-cursor")


async def test_an_id_that_no_city_could_give_is_refused(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(source_id="x")
    store.publish()
    for path in ("/permits/austin/%00", "/permits/%00/x", "/permits/austin/a%0Ab"):
        assert (await client.get(path)).status_code in {404, 422}


async def test_problems_are_in_the_description_of_the_api(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path, method in (("/permits/near", "get"), ("/permits", "get"), ("/ask", "post"), ("/facts", "post")):
        responses = paths[path][method]["responses"]
        assert list(responses["422"]["content"]) == ["application/problem+json"]
        assert "503" in responses


async def test_the_sample_register_answers_only_while_it_is_alone_or_named(
    store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(city="sample", source_id="invented", **HERE)
    store.publish()
    alone = await near(client)
    assert ids(alone) == ["invented"]
    assert alone["features"][0]["properties"]["synthetic"] is True
    assert alone["as_of"]["cities"]["sample"]["synthetic"] is True
    store.add_permit(city="austin", source_id="real", **HERE)
    store.publish()
    assert ids(await near(client)) == ["real"]
    assert ids((await client.get("/permits")).json()) == ["real"]
    assert ids(await near(client, city="sample")) == ["invented"]
    assert ids(await near(client, city=["sample", "austin"])) == ["real", "invented"]


async def test_an_empty_store_answers_with_nothing(client: httpx.AsyncClient) -> None:
    document = await near(client)
    assert (document["features"], document["as_of"]["cities"]) == ([], {})


async def test_any_page_may_read_and_none_may_ask_unless_listed(store: Store, client: httpx.AsyncClient) -> None:
    store.publish()
    elsewhere = {"Origin": "https://map.example"}
    reply = await client.get("/permits/near", params=HERE, headers=elsewhere)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "Link" in reply.headers["access-control-expose-headers"]
    bad = await client.get("/permits/near", headers=elsewhere)
    assert (bad.status_code, bad.headers["access-control-allow-origin"]) == (422, "*")
    preflight = await client.options("/ask", headers=elsewhere | {"Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers


async def test_unknown_paths_and_wrong_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    for reply in (await client.get("/nowhere"), await client.delete("/permits/near")):
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["status"] == reply.status_code


async def test_near_and_lists_say_what_was_searched_for_a_word_that_no_permit_has(
    store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(lat=HERE["lat"], lng=HERE["lng"], source_id="solar", description="Solar array")
    store.add_permit(lat=HERE["lat"], lng=HERE["lng"], source_id="pool", description="Pool")
    store.publish()
    replies = [
        await near(client, q="solr"),
        (await client.get("/permits", params={"q": "solr"})).json(),
        (await client.post("/permits/search", json={"q": "solr"})).json(),
    ]
    for reply in replies:
        assert ids(reply) == ["solar"]
        assert reply["search"] == {"widened": {"solr": ["solar"]}}
    assert "search" not in await near(client, q="solar")


@pytest.mark.parametrize("q", ["the", "&|!", "\x00", "x" * 201])
async def test_a_text_that_cannot_be_searched_is_refused_by_name(
    q: str, store: Store, client: httpx.AsyncClient
) -> None:
    reply = await client.get("/permits/near", params=HERE | {"q": q})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["parameter"] == "q"
