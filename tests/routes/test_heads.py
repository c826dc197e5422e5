"""HEAD tells what GET would, by the same status and headers, and sends no body."""

import logging
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import psycopg
import pytest

from app.permits.exports import FETCHED
from app.settings import Settings
from tests.conftest import Store
from tests.routes.test_exports import Reader, count_exports, fill

PATHS = [
    "/",
    "/permits",
    "/permits/near?lat=30.25&lng=-97.75",
    "/permits/austin/{id}",
    "/permits/austin/none",
    "/permits/near?lat=here",
    "/permits/stats?group_by=category",
    "/permits/changes?f=atom",
    "/permits/export?f=csv",
    "/regions",
    "/tiles/permits.json",
    "/tiles/permits/0/0/0.mvt",
    "/tiles/permits/99/0/0.mvt",
    "/ogc",
    "/ogc/collections/permits",
    "/ogc/api?unknown=1",
    "/health/live",
    "/health/ready",
    "/openapi.json",
    "/web/page.js",
    "/nowhere",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_head_has_the_status_and_headers_of_get_and_no_body(
    path: str, coding: str, store: Store, client: httpx.AsyncClient
) -> None:
    path = path.format(id=store.add_permit(lat=30.25, lng=-97.75, categories=["solar"]))
    store.publish()
    asked: Any = {"Accept-Encoding": coding, "Origin": "https://map.example"}
    got, head = await client.get(path, headers=asked), await client.head(path, headers=asked)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert sorted(head.headers.multi_items()) == sorted(got.headers.multi_items())
    assert "content-length" in head.headers or "export" in path


async def test_head_is_not_modified_where_get_is(store: Store, client: httpx.AsyncClient) -> None:
    store.publish()
    first = await client.head("/permits")
    again = await client.head("/permits", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])


async def test_head_of_an_export_counts_its_permits_and_reads_none(
    settings: Settings,
    store: Store,
    store_connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object) -> AsyncGenerator[list[tuple[bytes, str]]]:
        raise AssertionError("a permit is read")
        yield []

    monkeypatch.setattr("app.permits.exports._fetch", fail)
    fill(store, 6 * FETCHED)
    reader = Reader(settings)
    with caplog.at_level(logging.WARNING):
        async with reader.app.router.lifespan_context(reader.app):
            await reader.ask(method="HEAD")
            assert count_exports(store_connection) == 0
            assert reader.app.state.exports.running == 0
    start, body = reader.messages
    headers = dict(start["headers"])
    assert (start["status"], headers[b"export-rows"]) == (200, str(6 * FETCHED).encode())
    assert (body.get("body", b""), reader.is_whole) == (b"", True)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/permits/near", "GET, HEAD"),
        ("DELETE", "/ogc", "GET, HEAD"),
        ("HEAD", "/ask", "POST"),
        ("OPTIONS", "/permits/stats", "GET, HEAD, POST"),
        ("POST", "/web/index.html", "GET, HEAD"),
    ],
)
async def test_what_is_allowed_names_head_where_it_names_get(
    method: str, path: str, allowed: str, client: httpx.AsyncClient
) -> None:
    reply = await client.request(method, path)
    assert (reply.status_code, reply.headers["allow"]) == (405, allowed)


async def test_a_page_of_another_origin_may_ask_whether_its_reply_is_current(client: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://map.example", "Access-Control-Request-Method": "HEAD"}
    reply = await client.options("/permits", headers=asked | {"Access-Control-Request-Headers": "If-None-Match"})
    assert reply.status_code == 200


async def test_the_description_has_no_head(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert all("head" not in operations for operations in document["paths"].values())
