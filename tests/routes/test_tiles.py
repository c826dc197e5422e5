"""What map libraries may rely on, over HTTP."""

from typing import Any

import httpx
import pytest

from app.permits.words import Category
from tests.conftest import Store


async def test_tilejson_tells_a_map_all_it_needs(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.27, lng=-97.74)
    store.add_permit(lat=30.5, lng=-97.5)
    store.publish()
    reply = await client.get("/tiles/permits.json")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    document: dict[str, Any] = reply.json()
    assert document["tilejson"] == "3.0.0"
    assert document["tiles"] == ["http://test/tiles/permits/{z}/{x}/{y}.mvt"]
    assert (document["minzoom"], document["maxzoom"]) == (0, 16)
    assert document["attribution"] == "Austin, Texas"
    west, south, east, north = document["bounds"]
    assert -97.84 < west < -97.74 < -97.5 < east < -97.4
    assert 30.2 < south < 30.27 < 30.5 < north < 30.6
    fields = {layer["id"]: layer["fields"] for layer in document["vector_layers"]}
    assert list(fields) == ["permits", "cells"]
    assert set(fields["cells"]) == {"city", "permits", "estimated", *Category}
    assert all(isinstance(text, str) for told in fields.values() for text in told.values())


async def test_a_filter_of_the_tilejson_is_in_the_address_of_its_tiles(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.27, lng=-97.74, categories=["solar"], original_zip="78704")
    store.publish()
    document = (await client.get("/tiles/permits.json?zip=78704&category=solar")).json()
    (address,) = document["tiles"]
    assert address == "http://test/tiles/permits/{z}/{x}/{y}.mvt?category=solar&zip=78704"
    assert (await client.get(address.format(z=0, x=0, y=0))).content


async def test_an_empty_register_has_tiles_and_a_tilejson_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/tiles/permits.json")).json()["bounds"] == pytest.approx([-180, -85.0511, 180, 85.0511])
    assert (await client.get("/tiles/permits/0/0/0.mvt")).content == b""


async def test_a_tile_without_permits_is_an_empty_tile(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.27, lng=-97.74)
    store.publish()
    reply = await client.get("/tiles/permits/1/1/1.mvt")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-type"] == "application/vnd.mapbox-vector-tile"


async def test_a_tile_that_the_caller_has_is_not_sent_again(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.27, lng=-97.74)
    store.publish()
    reply = await client.get("/tiles/permits/0/0/0.mvt?category=pool&category=solar")
    held = {"If-None-Match": reply.headers["etag"]}
    again = await client.get("/tiles/permits/0/0/0.mvt?category=solar&category=pool", headers=held)
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/tiles/permits/1/0/0.mvt?category=solar&category=pool", headers=held)
    assert other.status_code == 200


@pytest.mark.parametrize("path", ["17/0/0", "0/1/0", "3/0/8", "-1/0/0", "5/-1/2", f"4/{10**30}/2"])
async def test_a_tile_that_the_grid_does_not_have_is_not_found(
    path: str, store: Store, client: httpx.AsyncClient
) -> None:
    reply = await client.get(f"/tiles/permits/{path}.mvt")
    assert (reply.status_code, reply.json()["type"]) == (404, "/problems/no-such-tile")


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [({"categories": "solar"}, "categories"), ({"category": "solarium"}, "category"), ({"status": "odd"}, "status")],
)
async def test_filters_of_tiles_are_checked_as_everywhere(
    parameters: dict[str, str], parameter: str, store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(lat=30.27, lng=-97.74)
    store.publish()
    for path in ("/tiles/permits/0/0/0.mvt", "/tiles/permits.json"):
        reply = await client.get(path, params=parameters)
        assert (reply.status_code, reply.json()["errors"][0]["parameter"]) == (422, parameter)
