"""What an operator and a Prometheus may rely on: readiness, its warnings, and the metrics."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.settings import Settings, read_settings
from tests.conftest import Store, serve

NIGHT = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
Figures = dict[tuple[str, str], float]


async def scrape(client: httpx.AsyncClient) -> Figures:
    """Read the metrics as Prometheus does: name and city to value."""
    reply = await client.get("/metrics")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(reply.text)
    return {(s.name, s.labels.get("city", "")): s.value for family in families for s in family.samples}


async def warnings(client: httpx.AsyncClient) -> list[str]:
    """Read the warnings of a service that is ready."""
    reply = await client.get("/health/ready")
    assert (reply.status_code, reply.json()["status"]) == (200, "ready")
    told: list[str] = reply.json()["warnings"]
    return told


def load(store: Store, *cities: str, hours_ago: float = 0) -> None:
    """Have a permit of each city, and its last good run so long ago."""
    for city in cities:
        store.add_permit(city=city, issued_date=date(2026, 11, 23))
    store.publish()
    for city in cities:
        store.succeed(city, datetime.now(UTC) - timedelta(hours=hours_ago))


@pytest.fixture
async def cut_off(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a service whose store does not answer."""
    nowhere = "postgresql://undervolt@127.0.0.1:1/undervolt"
    async with serve(Settings.model_validate(settings.model_dump() | {"database_url": nowhere})) as client:
        yield client


async def test_ready_warns_of_a_city_whose_runs_no_longer_succeed(store: Store, client: httpx.AsyncClient) -> None:
    load(store, "austin", hours_ago=51.5)
    assert await warnings(client) == ["austin: the last run that succeeded was 51 hours ago"]


async def test_ready_warns_of_nothing_while_every_night_succeeds(store: Store, client: httpx.AsyncClient) -> None:
    load(store, "austin", "chicago", hours_ago=35.9)
    assert await warnings(client) == []


async def test_a_success_ends_the_warning_without_a_new_data_version(store: Store, client: httpx.AsyncClient) -> None:
    load(store, "austin", hours_ago=51)
    assert await warnings(client) != []
    store.succeed("austin", datetime.now(UTC))
    assert await warnings(client) == []


async def test_invented_data_are_never_stale(store: Store, client: httpx.AsyncClient) -> None:
    load(store, "sample", hours_ago=9000)
    assert await warnings(client) == []


async def test_how_old_is_stale_is_a_setting(store: Store, settings: Settings) -> None:
    load(store, "austin", hours_ago=51)
    hours = read_settings({"UNDERVOLT_STALE_AFTER_H": "72"}).stale_after_h
    async with serve(settings.model_copy(update={"stale_after_h": hours})) as client:
        assert await warnings(client) == []


async def test_ready_is_a_problem_where_the_store_does_not_answer(cut_off: httpx.AsyncClient) -> None:
    reply = await cut_off.get("/health/ready")
    assert (reply.status_code, reply.json()["type"]) == (503, "/problems/store-unavailable")


async def test_metrics_tell_of_each_city_when_a_run_last_succeeded(store: Store, client: httpx.AsyncClient) -> None:
    load(store, "austin", "chicago")
    store.succeed("austin", NIGHT)
    store.succeed("chicago", NIGHT + timedelta(minutes=7))
    figures = await scrape(client)
    assert figures["undervolt_ingest_last_success_timestamp_seconds", "austin"] == 1795491000
    assert figures["undervolt_ingest_last_success_timestamp_seconds", "chicago"] == 1795491420


async def test_metrics_tell_how_the_register_stands(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit()
    load(store, "austin")
    figures = await scrape(client)
    assert figures["undervolt_store_up", ""] == 1
    assert figures["undervolt_register_permits", "austin"] == 2
    assert figures["undervolt_ingest_data_through_timestamp_seconds", "austin"] == 1795392000
    version = store.connection.execute("SELECT version FROM data_versions").fetchone()
    assert (figures["undervolt_data_version", ""],) == version


async def test_a_city_without_any_issue_date_has_no_metric_for_it(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(issued_date=None)
    store.publish()
    figures = await scrape(client)
    assert figures["undervolt_register_permits", "austin"] == 1
    assert ("undervolt_ingest_data_through_timestamp_seconds", "austin") not in figures


async def test_a_scrape_follows_a_run_without_news(store: Store, client: httpx.AsyncClient) -> None:
    load(store, "austin")
    before = await scrape(client)
    store.succeed("austin", NIGHT)
    after = await scrape(client)
    moved = {
        name for name, _ in before.keys() | after.keys() if before.get((name, "austin")) != after.get((name, "austin"))
    }
    assert moved == {"undervolt_ingest_last_success_timestamp_seconds"}


async def test_metrics_of_a_store_that_is_down_say_only_that(cut_off: httpx.AsyncClient) -> None:
    of_the_store = ("undervolt_store", "undervolt_data", "undervolt_ingest", "undervolt_register")
    figures = {key: value for key, value in (await scrape(cut_off)).items() if key[0].startswith(of_the_store)}
    assert figures == {("undervolt_store_up", ""): 0}


async def test_two_services_in_one_process_share_no_figure(
    store: Store, client: httpx.AsyncClient, cut_off: httpx.AsyncClient
) -> None:
    load(store, "austin")
    await scrape(cut_off)
    assert (await scrape(client))["undervolt_store_up", ""] == 1
