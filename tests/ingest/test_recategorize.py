"""After the rules changed, the permits that they tell otherwise are written, and nothing else is.

The rows are made up.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cities.city import City
from app.database import open_session
from app.ingest import recategorize as room
from app.ingest.categories import find_categories
from app.ingest.load.publishing import hold_publication
from app.ingest.order import Order
from app.ingest.recategorize import recategorize
from app.ingest.report import IngestReport
from app.ingest.run import connect, hold_lock, ingest
from app.permits.register import RegisterCache
from app.permits.words import CATEGORIES_VERSION
from tests.ingest.conftest import Ingest, real_file
from tests.ingest.contents import read_contents, read_version
from tests.ingest.scripted import ScriptedSource
from tests.ingest.test_summaries import assert_all_is_as_counted_anew, draw_row

Connection = psycopg.Connection[Any]
Told = tuple[list[str], float | None, float | None]
DESCRIPTIONS = [
    "Install 7.2 kW rooftop solar system; call (512) 555-0100",
    "Install a home battery",
    "New orangery",
    "Repair the orangery",
    "New orangery of a neighbour who moved away",
]
TABLES = ("permits", "register_words", "city_states")


def row(place: int, description: str) -> dict[str, str]:
    """A row of the portal."""
    told = {"permit_number": f"2025-{place:06d} EP", "permittype": "EP", "status_current": "Active"}
    return told | {"description": description, "issue_date": "2025-05-06"}


@pytest.fixture
def loaded(database_url: str, empty_store: Connection, austin: City) -> Connection:
    """A register of five permits, the last of them removed; the rules of today read them."""
    rows = [row(place, description) for place, description in enumerate(DESCRIPTIONS)]
    for told in (rows, rows[:4]):
        report = ingest(database_url, Order(austin, [ScriptedSource(told, whole=True, page_rows=10)], workers=1))
        assert report.status == "published"
    return empty_store


def new_rules(description: str, *rest: Any) -> Told:
    """Tell everything as before, but for orangeries, which are a pool, and for solar systems, which all have 5 kW."""
    categories, solar_kw, battery_kwh = find_categories(description, *rest)
    if "orangery" in description:
        return ["pool"], None, None
    return categories, 5.0 if solar_kw else None, battery_kwh


@pytest.fixture
def again(
    database_url: str, loaded: Connection, austin: City, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., IngestReport]:
    """Read the loaded register again by other rules, or by the same."""

    def start(rules: Callable[..., Told] = new_rules) -> IngestReport:
        monkeypatch.setattr(room, "find_categories", rules)
        return recategorize(database_url, austin)

    return start


Again = Callable[..., IngestReport]


def read_told(connection: Connection) -> list[tuple[Any, ...]]:
    query = "SELECT categories, solar_kw, battery_kwh FROM permits ORDER BY source_id"
    return connection.execute(query).fetchall()


def read_traces(connection: Connection, *tables: str) -> dict[str, set[tuple[str, str]]]:
    """Where each row is and which transaction wrote it."""
    queries = {table: f"SELECT ctid::text, xmin::text FROM {table}" for table in tables}
    return {table: set(connection.execute(query).fetchall()) for table, query in queries.items()}


def test_new_rules_tell_the_permits_anew(again: Again, loaded: Connection) -> None:
    report = again()
    assert (report.status, report.exit_status) == ("published", 0)
    assert (report.read, report.updated, report.unchanged, report.inserted) == (4, 3, 1, 0)
    assert read_told(loaded)[:4] == [
        (["solar"], 5.0, None),
        (["battery"], None, None),
        (["pool"], None, None),
        (["pool"], None, None),
    ]


def test_only_what_is_told_otherwise_is_written(again: Again, loaded: Connection) -> None:
    before = read_traces(loaded, "permits")["permits"]
    again()
    assert len(before & read_traces(loaded, "permits")["permits"]) == 2, "the battery, and the removed permit"


def test_each_field_that_changed_is_a_change_of_its_own(again: Again, loaded: Connection) -> None:
    report = again()
    query = "SELECT source_id, field, old_value, new_value FROM permit_changes WHERE run = %s ORDER BY 1, 2"
    assert loaded.execute(query, [report.run]).fetchall() == [
        ("2025-000000 EP", "solar_kw", "7.2", "5"),
        ("2025-000002 EP", "categories", "", "pool"),
        ("2025-000003 EP", "categories", "", "pool"),
    ]


def test_a_changed_permit_names_the_run(again: Again, loaded: Connection) -> None:
    report = again()
    rows = loaded.execute("SELECT source_id FROM permits WHERE changed_run = %s ORDER BY 1", [report.run]).fetchall()
    assert rows == [(f"2025-00000{place} EP",) for place in (0, 2, 3)]


def test_the_city_counts_fewer_permits_without_a_category(again: Again, loaded: Connection) -> None:
    query = "SELECT permits, without_category, categories_version FROM city_states"
    assert loaded.execute(query).fetchall() == [(4, 2, CATEGORIES_VERSION)]
    again()
    assert loaded.execute(query).fetchall() == [(4, 0, CATEGORIES_VERSION)]


def test_the_citys_words_stay(again: Again, loaded: Connection) -> None:
    before = read_contents(loaded)["register_words"]
    again()
    assert read_contents(loaded)["register_words"] == before


def test_a_removed_permit_is_left_as_it_was(again: Again, loaded: Connection) -> None:
    again()
    assert read_told(loaded)[4] == ([], None, None)
    assert loaded.execute("SELECT count(*) FROM permits WHERE removed_run IS NOT NULL").fetchone() == (1,)


def test_another_citys_permits_are_left_as_they_were(again: Again, loaded: Connection) -> None:
    loaded.execute("UPDATE permits SET city = 'calgary' WHERE source_id = '2025-000002 EP'")
    assert again().read == 3
    assert read_told(loaded)[2] == ([], None, None)


def test_the_data_version_moves_once(again: Again, loaded: Connection) -> None:
    before = read_version(loaded)
    again()
    assert read_version(loaded) == before + 1


def test_rules_that_tell_the_same_write_nothing(again: Again, loaded: Connection) -> None:
    before, version = read_traces(loaded, *TABLES), read_version(loaded)
    report = again(find_categories)
    assert (report.status, report.read, report.updated, report.unchanged) == ("unchanged", 4, 0, 4)
    assert read_traces(loaded, *TABLES) == before
    assert read_version(loaded) == version


def test_rules_are_told_apart_by_their_version_even_where_they_tell_the_same(again: Again, loaded: Connection) -> None:
    loaded.execute("UPDATE city_states SET categories_version = 0")
    assert again(find_categories).status == "unchanged"
    assert loaded.execute("SELECT categories_version FROM city_states").fetchone() == (CATEGORIES_VERSION,)


def test_told_anew_twice_is_unchanged_the_second_time(again: Again) -> None:
    again()
    assert again().status == "unchanged"


def test_rules_that_break_leave_everything_as_it_was(again: Again, loaded: Connection) -> None:
    def break_off(description: str, *rest: Any) -> Told:
        if description == DESCRIPTIONS[3]:
            raise RuntimeError
        return new_rules(description, *rest)

    before = read_contents(loaded)
    with pytest.raises(RuntimeError):
        again(break_off)
    assert read_contents(loaded) == before
    assert loaded.execute("SELECT count(*) FROM ingest_runs").fetchone() == (2,)


def test_a_city_that_is_being_loaded_is_locked(again: Again, loaded: Connection, database_url: str) -> None:
    before = read_told(loaded)
    with connect(database_url) as another, hold_lock(another, "austin") as is_held:
        assert is_held
        report = again()
    assert (report.status, report.exit_status, report.run) == ("locked", 75, None)
    assert read_told(loaded) == before


def test_another_publication_is_waited_for(again: Again, loaded: Connection, database_url: str) -> None:
    """Both would write the same summaries, each by what the other had not told yet."""
    with connect(database_url) as another, ThreadPoolExecutor() as threads:
        with another.transaction():
            hold_publication(another)
            telling = threads.submit(again)
            wait_for_lock(loaded)
            assert not telling.done()
            version = read_version(loaded)
        assert telling.result(timeout=30).status == "published"
    assert read_version(loaded) == version + 1


def wait_for_lock(connection: Connection) -> None:
    """Wait until somebody waits for a lock that is held on purpose."""
    waiting = """
        SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
        WHERE locktype = 'advisory' AND NOT granted
    """
    for _ in range(600):
        if connection.execute(waiting).fetchone() == (1,):
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


async def test_a_register_in_memory_notices_another_version_of_the_rules(
    again: Again, loaded: Connection, engine: AsyncEngine
) -> None:
    loaded.execute("UPDATE city_states SET categories_version = 0")
    registers = RegisterCache()
    async with open_session(engine) as session:
        assert (await registers.find(session)).cities["austin"].categories_version == 0
    version = read_version(loaded)
    assert again(find_categories).status == "unchanged"
    async with open_session(engine) as session:
        assert (await registers.find(session)).cities["austin"].categories_version == CATEGORIES_VERSION
    assert read_version(loaded) == version + 1


def test_what_is_kept_beside_the_permits_is_what_counting_anew_gives(
    database_url: str, empty_store: Connection, austin: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(20_261_126)
    for night in range(6):
        rows = [draw_row(chance, number) for number in chance.sample(range(1, 60), 40)]
        ingest(database_url, Order(austin, [ScriptedSource(rows, whole=night % 2 == 1, page_rows=50)], workers=1))
        told = chance.choice([["roof"], ["pool", "roof"], []])
        monkeypatch.setattr(room, "find_categories", lambda *_, told=told: (told, None, None))
        assert recategorize(database_url, austin).status == "published"
        assert_all_is_as_counted_anew(empty_store)


def test_a_city_without_permits_is_unchanged(database_url: str, empty_store: Connection, austin: City) -> None:
    report = recategorize(database_url, austin)
    assert (report.status, report.read) == ("unchanged", 0)
    assert read_contents(empty_store)["city_states"] == []


def test_the_rules_tell_real_permits_as_they_were_loaded(ingest: Ingest, database_url: str, austin: City) -> None:
    assert ingest(real_file("daily_files/2015-10-07.csv.gz"), workers=1).status == "published"
    report = recategorize(database_url, austin)
    assert (report.status, report.updated) == ("unchanged", 0)
    assert report.read > 200
