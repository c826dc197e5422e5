"""The register in memory follows every run that succeeds, and is read again for nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapidfuzz.fuzz import WRatio
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import open_session
from app.errors import UnknownWord
from app.permits.register import WEIGHED_MAX, Register, RegisterCache
from tests.conftest import Store

SOMEWHERE = "MULTIPOLYGON(((-97.8 30.2,-97.7 30.2,-97.7 30.3,-97.8 30.2)))"
NIGHT = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)


async def find(cache: RegisterCache, engine: AsyncEngine) -> Register:
    async with open_session(engine) as session:
        return await cache.find(session)


@pytest.fixture
def two_cities(store: Store) -> Store:
    """A store with two cities that succeeded in the same night."""
    for city in ("austin", "chicago"):
        store.add_permit(city=city)
    store.publish()
    for city in ("austin", "chicago"):
        store.succeed(city, NIGHT)
    return store


async def test_the_register_is_read_once_while_no_run_succeeds(two_cities: Store, engine: AsyncEngine) -> None:
    cache = RegisterCache()
    assert await find(cache, engine) is await find(cache, engine)


async def test_a_run_without_news_shows_without_a_new_data_version(two_cities: Store, engine: AsyncEngine) -> None:
    cache = RegisterCache()
    before = await find(cache, engine)
    two_cities.succeed("austin", NIGHT + timedelta(days=1))
    after = await find(cache, engine)
    assert after.data_version == before.data_version
    assert after.as_of(("austin",))["cities"]["austin"]["succeeded_at"] == "2026-11-25T03:30:00Z"


async def test_a_run_that_ended_before_the_newest_one_shows_too(two_cities: Store, engine: AsyncEngine) -> None:
    cache = RegisterCache()
    two_cities.succeed("chicago", NIGHT + timedelta(seconds=2))
    await find(cache, engine)
    two_cities.succeed("austin", NIGHT + timedelta(seconds=1))
    assert (await find(cache, engine)).cities["austin"].succeeded_at == NIGHT + timedelta(seconds=1)


async def test_a_data_version_without_a_run_is_seen(two_cities: Store, engine: AsyncEngine) -> None:
    cache = RegisterCache()
    before = await find(cache, engine)
    two_cities.connection.execute("UPDATE data_versions SET version = version + 1")
    assert (await find(cache, engine)).data_version == before.data_version + 1


async def test_of_many_regions_only_those_that_share_most_letters_are_weighed(
    store: Store, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_permit()
    store.add_region("neighborhood", "Zilker Park", SOMEWHERE)
    for number in range(3 * WEIGHED_MAX):
        store.add_region("zip", f"{10_000 + number}", SOMEWHERE)
    store.publish()
    register = await find(RegisterCache(), engine)
    weighed: list[str] = []

    def weigh(word: str, other: str, **options: Any) -> float:
        weighed.append(other)
        return float(WRatio(word, other, **options))

    monkeypatch.setattr("app.permits.register.fuzz.WRatio", weigh)
    with pytest.raises(UnknownWord) as refused:
        register.find_region("Zilkr Pork", ("austin",))
    assert refused.value.known[0] == "austin/neighborhood/Zilker Park"
    assert len(weighed) <= WEIGHED_MAX
