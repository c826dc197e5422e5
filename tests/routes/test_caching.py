"""A reply's tag: the same for the same question, another for other data; "not modified" reads no permit."""

from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.settings import Settings
from tests.conftest import Store, serve

HERE: dict[str, Any] = {"lat": "30.2672", "lng": "-97.7431"}


async def ask(
    client: httpx.AsyncClient, path: str = "/permits/near", *, tag: str | None = None, **asked: Any
) -> httpx.Response:
    """Ask, by default near the middle of Austin, as one who holds the reply of a tag."""
    headers = {"If-None-Match": tag} if tag else {}
    return await client.get(path, params=asked or HERE, headers=headers)


async def test_the_same_question_in_another_order_has_the_same_tag(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    replies = [
        await client.get(f"/permits/near?{query}")
        for query in (
            "lat=30.2672&lng=-97.7431&category=solar&category=pool&radius_m=500",
            "category=pool&category=solar&lng=-97.7431&lat=30.26720",
            "category=pool&category=pool&category=solar&lng=-97.7431&limit=100&lat=30.2672&radius_m=500.0",
        )
    ]
    assert len({reply.headers["etag"] for reply in replies}) == 1
    assert len({reply.content for reply in replies}) == 1
    assert replies[0].headers["etag"].startswith('W/"')


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.fixed_dictionaries(
        {"lat": st.sampled_from(["30.2672", "30.2673"]), "lng": st.just("-97.7431")},
        optional={
            "radius_m": st.sampled_from(["100", "500", "500.5"]),
            "limit": st.sampled_from(["1", "100"]),
            "category": st.sampled_from(["solar", "pool"]),
            "issued_from": st.sampled_from(["2015-01-01", "2015-01-02"]),
            "count": st.just("exact"),
        },
    )
)
async def test_a_tag_stands_for_one_body(asked: dict[str, str], settings: Settings) -> None:
    async with serve(settings) as client:
        reply = await ask(client, **asked)
        turned = await ask(client, **dict(reversed(asked.items())))
        assert (turned.headers["etag"], turned.content) == (reply.headers["etag"], reply.content)
        for name, value in {"limit": "7", "radius_m": "501", "category": "hvac"}.items():
            other = await ask(client, **asked | {name: value})
            assert other.headers["etag"] != reply.headers["etag"]


async def test_what_the_caller_holds_is_not_sent_again(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    first = await ask(client)
    again = await ask(client, tag=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert (await ask(client, tag='"1-other", ' + first.headers["etag"].removeprefix("W/"))).status_code == 304
    assert (await ask(client, tag="*")).status_code == 304
    assert (await client.get("/permits/austin/none", headers={"If-None-Match": "*"})).status_code == 404
    assert (await ask(client, tag='W/"other"')).status_code == 200


READ = (
    "permits, permit_changes, source_rows, regions, permit_cells, search_words,"
    " stats_words, stats_places, stats_cells, stats_months, stats_years"
)
"""All that replies are made of, but for what says how the register stands."""


@pytest.mark.parametrize(
    "path",
    [
        "/permits/near?lat=30.2672&lng=-97.7431",
        "/permits/near?lat=30.2672&lng=-97.7431&q=pool&count=exact",
        "/permits?limit=10",
        "/permits/austin/{id}",
        "/permits/stats?group_by=category",
        "/permits/stats?lat=30.2672&lng=-97.7431",
        "/permits/changes",
        "/permits/changes?f=atom",
        "/regions",
        "/regions/austin/zip/78704",
        "/tiles/permits.json",
        "/tiles/permits/0/0/0.mvt?city=austin",
        "/ogc/collections/permits/items",
        "/ogc/collections/permits/items?category=pool",
        "/ogc/collections/permits/items/austin.{id}",
    ],
)
async def test_not_modified_reads_no_permit(path: str, store: Store, settings: Settings, database_url: str) -> None:
    path = path.format(id=store.add_permit(lat=30.2672, lng=-97.7431, source_id="one"))
    store.add_region("zip", "78704", "MULTIPOLYGON(((-98 30,-97 30,-97 31,-98 30)))")
    store.publish()
    async with serve(settings.model_copy(update={"statement_timeout_s": 0.5, "tile_cache_mb": 0})) as client:
        first = await client.get(path)
        assert first.status_code == 200
        with psycopg.connect(database_url) as locking:
            locking.execute(f"LOCK TABLE {READ} IN ACCESS EXCLUSIVE MODE")
            held = {"If-None-Match": first.headers["etag"]}
            assert (await client.get(path, headers=held)).status_code == 304
            assert (await client.head(path, headers=held)).status_code == 304
            assert (await client.get(path)).status_code == 503


@pytest.mark.parametrize("path", ["/permits/near", "/permits"])
async def test_an_old_body_never_has_a_new_tag(path: str, store: Store, client: httpx.AsyncClient) -> None:
    """What is published between two requests shows in the second, whatever was known of the store a moment ago."""
    asked: dict[str, Any] = HERE if path.endswith("near") else {"limit": 10}
    store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    bodies: dict[str, bytes] = {}
    for _ in range(4):
        reply = await client.get(path, params=asked)
        document = reply.json()
        assert bodies.setdefault(reply.headers["etag"], reply.content) == reply.content
        assert reply.headers["etag"].startswith(f'W/"{document["as_of"]["data_version"]}-')
        assert document["numberReturned"] == store.added
        store.add_permit(lat=30.2672, lng=-97.7431)
        store.publish()
    assert len(bodies) == 4


async def test_a_run_without_news_gives_another_tag_for_the_reply_tells_of_it(
    store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    first = await ask(client)
    store.succeed("austin", datetime(2026, 11, 23, 4, 0, tzinfo=UTC))
    second = await ask(client)
    assert first.json()["as_of"] != second.json()["as_of"]
    assert first.headers["etag"] != second.headers["etag"]


async def test_a_city_that_was_just_loaded_is_known_at_once(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    assert (await ask(client, **HERE, city="chicago")).status_code == 404
    store.add_permit(lat=30.2672, lng=-97.7431, city="chicago")
    store.publish()
    assert (await ask(client, **HERE, city="chicago")).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_large_bodies_are_compressed_as_asked(coding: str, store: Store, client: httpx.AsyncClient) -> None:
    for _ in range(20):
        store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    plain = await client.get("/permits/near", params=HERE, headers={"Accept-Encoding": "identity"})
    packed = await client.get("/permits/near", params=HERE, headers={"Accept-Encoding": coding})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == coding
    assert int(packed.headers["content-length"]) < len(plain.content) / 4
    assert packed.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize("coding", ["identity", "gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/permits/near", "/permits/export", "/tiles/permits/0/0/0.mvt", "/permits/none/1"])
async def test_vary_is_said_once_and_each_name_in_it_once(
    coding: str, path: str, store: Store, client: httpx.AsyncClient
) -> None:
    for _ in range(40):
        store.add_permit(lat=30.2672, lng=-97.7431)
    store.publish()
    asked = HERE if path.endswith("near") else {}
    reply = await client.get(path, params=asked, headers={"Accept-Encoding": coding})
    said = [value for name, value in reply.headers.multi_items() if name == "vary"]
    assert said == ["Origin" if reply.status_code == 404 else "Accept, Accept-Encoding, Origin"]


async def test_pages_of_other_origins_may_read_the_tag(store: Store, client: httpx.AsyncClient) -> None:
    store.publish()
    reply = await client.get("/permits/near", params=HERE, headers={"Origin": "https://map.example"})
    assert reply.headers["access-control-allow-origin"] == "*"
    assert {"Link", "ETag"} <= set(reply.headers["access-control-expose-headers"].split(", "))


async def test_how_long_a_reply_is_kept_is_a_setting(settings: Settings, store: Store) -> None:
    store.publish()
    async with serve(settings.model_copy(update={"cache_control": "public, max-age=60"})) as client:
        assert (await ask(client)).headers["cache-control"] == "public, max-age=60"
