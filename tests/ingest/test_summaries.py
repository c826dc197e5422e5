"""What is kept beside the permits moves only by what changed, and always equals a count from the beginning.

The rows are made up.
"""

import asyncio
import random
import struct
from dataclasses import replace
from itertools import islice, product
from typing import Any, get_args

import psycopg

from app.cities.city import City
from app.database import make_engine, open_session
from app.errors import UnknownWord
from app.ingest.load import figures
from app.ingest.order import Order
from app.ingest.run import ingest
from app.permits.filters import PermitFilter
from app.permits.medians import MedianName
from app.permits.register import find_register
from app.permits.stats import Asked, Grouping, GroupKey, find_statistics
from app.settings import Settings
from tests.conftest import CELLS_ANEW as MAP_ANEW
from tests.conftest import GRID
from tests.ingest.scripted import ScriptedSource

Connection = psycopg.Connection[Any]

WORDS_ANEW = """
    SELECT field, word, count(*) FROM permits CROSS JOIN LATERAL (VALUES
      ('permit_type', permit_type), ('permit_class', permit_class), ('work_class', work_class),
      ('status_current', status_current), ('district', district), ('issued_year', extract(year FROM issued_date)::text)
    ) AS told (field, word)
    WHERE removed_run IS NULL AND word IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
"""
STATE_ANEW = """
    SELECT count(*), count(*) - count(location), count(*) FILTER (WHERE categories = '{}'),
      count(*) - count(zip), count(*) - count(issued_date), count(*) - count(applied_date),
      count(*) - count(est_project_cost_usd), max(issued_date)
    FROM permits WHERE removed_run IS NULL
"""
UNLEARNT = """
    SELECT DISTINCT word FROM permits CROSS JOIN LATERAL unnest(tsvector_to_array(search)) AS word
    WHERE word ~ '^[[:alpha:]]{3,}$' EXCEPT SELECT word FROM search_words
"""
STATE_KEPT = """
    SELECT permits, without_location, without_category, without_zip, without_issued_date, without_applied_date,
      without_value, data_through FROM city_states
"""


CELLS_ANEW = """
    SELECT permit_type, permit_type_mapped, permit_class, permit_class_mapped, work_class, status_current,
      status_current_mapped, categories, zip, district, {period}, count(*), count(est_project_cost_usd),
      count(issued_date - applied_date), trim_scale(coalesce(sum(est_project_cost_usd), 0))
    FROM permits WHERE removed_run IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
CELLS_KEPT = """
    SELECT permit_type, permit_type_mapped, permit_class, permit_class_mapped, work_class, status_current,
      status_current_mapped, categories, {place}, {period}, sum(permits), sum(priced), sum(timed),
      trim_scale(sum(value_usd))
    FROM {table} JOIN stats_words USING (words) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
MAP_KEPT = "SELECT city, level, x, y, permits, categories FROM permit_cells ORDER BY 1, 2, 3, 4"
MONTH = "coalesce(12 * extract(year FROM issued_date) + extract(month FROM issued_date) - 1, 0)::int"
KINDS_OF_CELLS = {
    "stats_cells JOIN stats_places USING (place)": ("zip, district", "month", CELLS_ANEW.format(period=MONTH)),
    "stats_years JOIN stats_places USING (place)": (
        "zip, district",
        "year",
        CELLS_ANEW.format(period="coalesce(extract(year FROM issued_date), 0)::int"),
    ),
    "stats_months": (
        "NULL, NULL",
        "month",
        CELLS_ANEW.replace("zip, district,", "NULL::text, NULL::text,").format(period=MONTH),
    ),
}
ONES_ANEW = f"""
    SELECT ROW({", ".join(figures.WORDS)})::text, ROW({", ".join(figures.PLACE)})::text, {MONTH},
      est_project_cost_usd::float8, issued_date - applied_date
    FROM permits WHERE removed_run IS NULL
"""
CELLS_PACKED = """
    SELECT w.told, p.told, month, values_usd, days
    FROM stats_cells JOIN stats_words w USING (words) JOIN stats_places p USING (place)
"""
BLOCKS_PACKED = """
    SELECT w.told, year, places, months, priced, timed, values_usd, days
    FROM stats_blocks JOIN stats_words w USING (words)
"""
Ones = dict[tuple[str, str, int], tuple[list[float], list[int]]]


def draw_row(chance: random.Random, number: int) -> dict[str, str]:
    """Draw a row of the portal for a permit; half of everything is absent."""
    told = {
        "permittype": chance.choice(["EP", "BP", "PP"]),
        "status_current": chance.choice(["Active", "Final", "Expired"]),
        "permit_class": chance.choice(["Residential", "Commercial", ""]),
        "work_class": chance.choice(["New", "Remodel", ""]),
        "issue_date": chance.choice(["", "2024-05-06", "2025-01-02", "2023-03-04"]),
        "applieddate": chance.choice(["", "2023-01-01"]),
        "description": chance.choice(["", "new pool", "install solar panels"]),
        "original_zip": chance.choice(["", "78704", "78745"]),
        "council_district": chance.choice(["", "9"]),
        "total_job_valuation": chance.choice(["", "1000", "2500.50"]),
        "latitude": chance.choice(["", "30.25"]),
        "longitude": "-97.75",
    }
    return told | {"permit_number": f"2025-{number:06d} EP"}


def test_after_any_runs_the_summaries_are_what_counting_anew_gives(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    chance = random.Random(20_261_124)
    for _ in range(25):
        numbers = chance.sample(range(1, 40), chance.randint(0, 30))
        source = ScriptedSource(
            [draw_row(chance, number) for number in numbers], whole=chance.random() < 0.3, page_rows=50
        )
        report = ingest(database_url, Order(austin, [source], workers=1))
        assert report.status in {"published", "unchanged"}
        assert_all_is_as_counted_anew(empty_store)


def assert_all_is_as_counted_anew(connection: Connection) -> None:
    """Compare words, state, figures and the map's cells with the permits."""
    kept = connection.execute("SELECT field, word, permits FROM register_words ORDER BY 1, 2").fetchall()
    assert kept == connection.execute(WORDS_ANEW).fetchall()
    assert connection.execute(STATE_KEPT).fetchall() == connection.execute(STATE_ANEW).fetchall()
    assert connection.execute(UNLEARNT).fetchall() == []
    assert_cells_are_as_counted_anew(connection)
    assert connection.execute(MAP_KEPT).fetchall() == connection.execute(MAP_ANEW.format(**GRID)).fetchall()


def test_after_any_nights_statistics_from_summaries_are_those_from_permits(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    chance = random.Random(20_261_125)
    for night in range(12):
        numbers = chance.sample(range(1, 60), chance.randint(1, 50))
        source = ScriptedSource([draw_row(chance, number) for number in numbers], whole=night % 4 == 3, page_rows=50)
        assert ingest(database_url, Order(austin, [source], workers=1)).status in {"published", "unchanged"}
        asyncio.run(assert_statistics_are_those_from_permits(database_url))


async def assert_statistics_are_those_from_permits(database_url: str) -> None:
    """Compare every median, in total and by each key, with one that PostgreSQL computes from the permits."""
    engine = make_engine(Settings.model_validate({"database_url": database_url}))
    keys: list[GroupKey] = ["status", "permit_type", "category", "zip", "district", "year", "month"]
    filters = [{}, {"status": "Final"}, {"issued_from": "2023-03-01", "issued_to": "2025-01-31"}, {"zip": "78704"}]
    async with open_session(engine) as session:
        register = await find_register(session)
        for key, said in product(keys, filters):
            asked = Asked(PermitFilter.model_validate(said), medians=frozenset(get_args(MedianName)))
            try:
                kept = await find_statistics(session, register, asked, Grouping(key))
            except UnknownWord:  # no permit has the word tonight
                continue
            assert kept == await find_statistics(session, register, replace(asked, from_rows=True), Grouping(key))
    await engine.dispose()


def assert_cells_are_as_counted_anew(connection: Connection) -> None:
    """Compare every cell, month and year with the permits, the costs and days of each among them."""
    for table, (place, period, anew) in KINDS_OF_CELLS.items():
        kept = connection.execute(CELLS_KEPT.format(table=table, place=place, period=period)).fetchall()
        assert sorted(map(repr, kept)) == sorted(map(repr, connection.execute(anew).fetchall()))
    expected = read_permits(connection)
    assert read_cells(connection) == expected
    assert read_blocks(connection) == expected


def read_permits(connection: Connection) -> Ones:
    """Give every cost and wait of the permits, sorted, by words, place and month."""
    ones: Ones = {}
    for words, place, month, cost, waited in connection.execute(ONES_ANEW).fetchall():
        costs, days = ones.setdefault((words, place, month), ([], []))
        costs += [] if cost is None else [cost]
        days += [] if waited is None else [waited]
    return sort_ones(ones)


def read_cells(connection: Connection) -> Ones:
    """Give what cells hold one by one."""
    rows = connection.execute(CELLS_PACKED).fetchall()
    return sort_ones({tuple(key): (unpack("d", costs), unpack("i", days)) for *key, costs, days in rows})


def read_blocks(connection: Connection) -> Ones:
    """Give what blocks hold of each cell in them; each is of one year."""
    told = dict(connection.execute("SELECT place, told FROM stats_places").fetchall())
    ones: Ones = {}
    for words, year, places, months, priced, timed, costs, days in connection.execute(BLOCKS_PACKED).fetchall():
        every_cost, every_wait = iter(unpack("d", costs)), iter(unpack("i", days))
        cells = (unpack("i", places), unpack("h", months), unpack("i", priced), unpack("i", timed))
        for place, month, of_costs, of_days in zip(*cells, strict=True):
            assert month // 12 == year
            ones[words, told[place], month] = list(islice(every_cost, of_costs)), list(islice(every_wait, of_days))
        assert not [*every_cost, *every_wait]
    return sort_ones(ones)


def unpack(form: str, packed: bytes | None) -> list[Any]:
    """Give packed numbers."""
    return [number for (number,) in struct.iter_unpack(f">{form}", packed or b"")]


def sort_ones(ones: Ones) -> Ones:
    """Sort the costs and the waits of each."""
    return {key: (sorted(costs), sorted(days)) for key, (costs, days) in ones.items()}


def test_summaries_of_a_delta_touch_only_their_own_rows(
    database_url: str, empty_store: Connection, austin: City
) -> None:
    chance = random.Random(5)
    rows = [draw_row(chance, number) | {"status_current": "Active", "permittype": "EP"} for number in range(1, 30)]
    ingest(database_url, Order(austin, [ScriptedSource(rows)], workers=1))
    before = empty_store.execute("SELECT field, word, xmin::text FROM register_words WHERE word = 'EP'").fetchall()
    changed = [{**rows[0], "status_current": "Final"}]
    assert ingest(database_url, Order(austin, [ScriptedSource(changed)], workers=1)).updated == 1
    after = empty_store.execute("SELECT field, word, xmin::text FROM register_words WHERE word = 'EP'").fetchall()
    assert before == after
