"""What a query string may say: known parameters, once where one is meant, and numbers as people write them."""

from typing import Any

import httpx
import pytest

from tests.conftest import Store

HERE = "lat=30.25&lng=-97.75"
PATHS = [
    "/permits",
    f"/permits/near?{HERE}",
    "/permits/export",
    "/permits/changes",
    "/permits/stats",
    "/permits/austin/{id}",
    "/permits/austin/none",
    "/regions",
    "/regions/austin/zip/78704",
    "/tiles/permits.json",
    "/tiles/permits/0/0/0.mvt",
    "/health/live",
    "/health/ready",
    "/metrics",
]
Faults = list[dict[str, str]]


async def find_faults(client: httpx.AsyncClient, path: str) -> Faults:
    """Ask what is refused, and give what is wrong with it."""
    reply = await client.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    faults: Faults = reply.json()["errors"]
    assert reply.json()["detail"] == "; ".join(f"{fault['parameter']}: {fault['detail']}" for fault in faults)
    return faults


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_parameter_is_refused_and_named(path: str, store: Store, client: httpx.AsyncClient) -> None:
    path = path.format(id=store.add_permit(lat=30.25, lng=-97.75))
    store.publish()
    asked = f"{path}{'&' if '?' in path else '?'}colour=red"
    assert await find_faults(client, asked) == [{"detail": "no such parameter", "parameter": "colour"}]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (f"/permits/near?{HERE}&lat=30.26", ["lat"]),
        (f"/permits/near?{HERE}&limit=5&limit=5&radius_m=far", ["limit", "radius_m"]),
        ("/permits?min_value_usd=1&min_value_usd=2", ["min_value_usd"]),
        ("/permits?issued_from=2015-01-01&issued_from=2015-01-01", ["issued_from"]),
        ("/permits?q=pool&q=solar", ["q"]),
        ("/permits/changes?since=1&since=2", ["since"]),
        ("/permits/stats?group_by=zip&group_by=year", ["group_by"]),
        ("/permits/export?f=csv&f=ndjson", ["f"]),
        ("/regions?geometry=none&geometry=true", ["geometry"]),
        ("/tiles/permits/0/0/0.mvt?q=pool&q=solar", ["q"]),
    ],
)
async def test_a_parameter_that_is_single_and_given_twice_is_told_so(
    path: str, names: list[str], store: Store, client: httpx.AsyncClient
) -> None:
    store.publish()
    faults = await find_faults(client, path)
    assert [fault["parameter"] for fault in faults] == names
    assert faults[0]["detail"] == "may be given once only"


async def test_one_of_several_that_is_wrong_is_named_as_the_query_string_names_it(client: httpx.AsyncClient) -> None:
    faults = await find_faults(client, "/permits?zip=78704&zip=7870&zip=abc&category=lighthouse")
    assert [fault["parameter"] for fault in faults] == ["category", "zip"]


async def test_a_fault_in_a_body_is_named_by_its_path(client: httpx.AsyncClient) -> None:
    reply = await client.post("/permits/search", json={"polygon": {"type": "Circle", "coordinates": []}})
    assert [fault["parameter"] for fault in reply.json()["errors"]] == ["polygon.type"]


NO_NUMBERS = ["1_0", " 5 ", "5 ", "0x10", "\uff15", "\u0665", "5,0", "1e", "nan", "inf", "", "1\n"]
NUMBERS: dict[str, dict[str, Any]] = {
    "/permits": {"limit": "5", "min_value_usd": "1"},
    "/permits/near": {"lat": "30.25", "lng": "-97.75", "radius_m": "5", "limit": "5"},
    "/permits?order=nearest": {"lat": "30.25", "lng": "-97.75"},
    "/permits/stats": {"lat": "30.25", "lng": "-97.75", "radius_m": "5"},
    "/permits/export": {"lat": "30.25", "lng": "-97.75", "radius_m": "5"},
    "/permits/changes": {"limit": "5", "lat": "30.25", "lng": "-97.75", "radius_m": "5"},
    "/regions": {"limit": "5"},
}


@pytest.mark.parametrize("written", NO_NUMBERS)
@pytest.mark.parametrize("path", NUMBERS)
async def test_what_is_no_number_to_people_is_none_here(
    path: str, written: str, store: Store, client: httpx.AsyncClient
) -> None:
    store.publish()
    for name in NUMBERS[path]:
        reply = await client.get(httpx.URL(path).copy_merge_params(NUMBERS[path] | {name: written}))
        assert reply.status_code == 422
        assert reply.json()["errors"] == [{"detail": "must be a number, as 30.25 or 1e3", "parameter": name}]


@pytest.mark.parametrize(
    "written", ["-97.75,30.25,-97.7,3_0.3", " -97.75,30.25,-97.7,30.3", "-97.75,30.25,-97.7,\uff13"]
)
async def test_a_box_has_four_plain_numbers(written: str, client: httpx.AsyncClient) -> None:
    faults = (await client.get("/permits", params={"bbox": written})).json()["errors"]
    assert faults == [{"detail": "must be four numbers: west,south,east,north", "parameter": "bbox"}]


@pytest.mark.parametrize("place", ["1_0/0/0", "0/ 0/0", "0/0/\uff10"])
async def test_a_tile_is_named_by_plain_numbers(place: str, store: Store, client: httpx.AsyncClient) -> None:
    store.publish()
    reply = await client.get(f"/tiles/permits/{place}.mvt")
    assert (reply.status_code, len(reply.json()["errors"])) == (422, 1)


@pytest.mark.parametrize("written", ["500", "500.0", "5e2", "5E+2", "0.5e3", "500."])
async def test_plain_and_scientific_decimals_are_one_number(
    written: str, store: Store, client: httpx.AsyncClient
) -> None:
    store.publish()
    asked = {"lat": "30.25", "lng": "-9775e-2", "radius_m": written, "min_value_usd": written}
    reply = await client.get("/permits/stats", params=asked)
    plain = await client.get(f"/permits/stats?{HERE}&radius_m=500&min_value_usd=500")
    assert (reply.status_code, reply.headers["etag"]) == (200, plain.headers["etag"])


@pytest.mark.parametrize("written", ["1e400", "-1e400"])
async def test_a_number_beyond_all_bounds_is_refused(written: str, store: Store, client: httpx.AsyncClient) -> None:
    for path in ("/permits/stats?lng=-97.75&lat=", "/permits?min_value_usd=", "/permits?bbox=-97,30,-96,"):
        assert (await client.get(path + written)).status_code == 422


@pytest.mark.parametrize("day", ["\uff12015-01-01", "2015-1-1", "1420070400"])
async def test_a_day_is_written_as_iso_does(day: str, client: httpx.AsyncClient) -> None:
    faults = (await client.get("/permits", params={"issued_from": day})).json()["errors"]
    assert faults == [{"detail": "must be a date as YYYY-MM-DD", "parameter": "issued_from"}]
