"""Every failure is a problem document, and none tells or logs what a caller sent."""

import logging

import httpx
import pytest

from app.database import Reader
from app.main import create_app
from app.settings import Settings
from tests.conftest import Store, serve

CANARY = "canary-7f3a"


async def test_an_unforeseen_error_tells_nothing_and_logs_no_message(
    settings: Settings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings)

    async def fail() -> None:
        raise ZeroDivisionError(CANARY)

    app.add_api_route("/fail", fail)
    transport = httpx.ASGITransport(app=app)
    with caplog.at_level(logging.DEBUG):
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            reply = await client.get("/fail")
    assert (reply.status_code, reply.json()["type"]) == (500, "/problems/unforeseen")
    assert CANARY not in reply.text + caplog.text
    assert "ZeroDivisionError at test_problems.py" in caplog.text


async def test_a_database_that_is_away_is_503_and_says_when_to_come_back(settings: Settings, tmp_path: object) -> None:
    away = settings.model_copy(
        update={
            "database_url": Settings.model_validate({"database_url": f"postgresql:///x?host={tmp_path}"}).database_url
        }
    )
    async with serve(away) as client:
        reply = await client.get("/permits/near", params={"lat": 30, "lng": -97})
    assert (reply.status_code, reply.json()["type"]) == (503, "/problems/store-unavailable")
    assert reply.headers["retry-after"] == "5"


async def test_a_query_that_takes_too_long_says_how_to_narrow_it(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = settings.model_copy(update={"statement_timeout_s": 0.05})
    app = create_app(hasty)
    monkeypatch.setattr("app.routes.permits.find_near_features", sleep_in_database)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        reply = await client.get("/permits/near", params={"lat": 30, "lng": -97})
    assert reply.status_code == 503
    assert "narrow" in reply.json()["detail"]


async def sleep_in_database(reader: Reader, *_: object) -> None:
    """Stand in for a query that is too slow."""
    await reader.find_all("SELECT pg_sleep(5)")
