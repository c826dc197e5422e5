"""The map's cells move only by what changed, and always equal a count from the beginning.

The rows are made up. The count places points by PROJ's Web Mercator.
"""

import random
from datetime import date
from typing import Any

import psycopg
import pytest

from app.cities.city import City
from app.ingest.order import Order
from app.ingest.report import IngestReport
from app.ingest.run import ingest
from tests.conftest import CELLS_ANEW
from tests.ingest.scripted import ScriptedSource

Connection = psycopg.Connection[Any]
DESCRIPTIONS = ["", "new pool", "install solar panels", "install solar panels and a home battery", "new roof and pool"]
METRES = "ST_{0}(ST_Transform(location::geometry, 3857)) / 40075016.68557849"
PROJ = {
    "x": f"floor((0.5 + {METRES.format('X')}) * 2^30)::integer",
    "y": f"floor((0.5 - {METRES.format('Y')}) * 2^30)::integer",
}
KEPT = "SELECT city, level, x, y, permits, categories FROM permit_cells ORDER BY 1, 2, 3, 4"
TOTALS = "SELECT DISTINCT sum(permits) FROM permit_cells GROUP BY level"
LOCATED = "SELECT count(*) FROM permits WHERE location IS NOT NULL AND removed_run IS NULL"


def draw_row(chance: random.Random, number: int) -> dict[str, str]:
    """Draw a row of the portal for a permit, in one of a few places, some of them neighbours."""
    return {
        "permit_number": f"2025-{number:06d} EP",
        "permittype": chance.choice(["EP", "BP"]),
        "status_current": chance.choice(["Active", "Final"]),
        "description": chance.choice(DESCRIPTIONS),
        "issue_date": date(2024, 5, chance.randint(1, 28)).isoformat(),
        "latitude": chance.choice(["", "30.25", "30.2501", "30.31", "30.4"]),
        "longitude": chance.choice(["-97.75", "-97.7501", "-97.6"]),
    }


class Register:
    """A city whose nights are told row by row."""

    def __init__(self, database_url: str, connection: Connection, city: City) -> None:
        self.database_url = database_url
        self.connection = connection
        self.city = city

    def load(self, *rows: dict[str, str], whole: bool = False) -> IngestReport:
        """Run once over these rows."""
        source = ScriptedSource(list(rows), whole=whole, page_rows=50)
        return ingest(self.database_url, Order(self.city, [source], workers=1))

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Give the rows of a query."""
        return self.connection.execute(query).fetchall()


@pytest.fixture
def register(database_url: str, empty_store: Connection, austin: City) -> Register:
    """An empty register."""
    return Register(database_url, empty_store, austin)


def test_after_any_nights_the_cells_are_what_counting_anew_gives(register: Register) -> None:
    chance = random.Random(20_261_125)
    for _ in range(25):
        rows = [draw_row(chance, number) for number in chance.sample(range(1, 40), chance.randint(0, 30))]
        report = register.load(*rows, whole=chance.random() < 0.3)
        assert report.status in {"published", "unchanged"}
        assert register.read(KEPT) == register.read(CELLS_ANEW.format(**PROJ))
        located = register.read(LOCATED)
        assert register.read(TOTALS) == (located if located != [(0,)] else [])


def test_a_night_writes_only_the_cells_that_a_changed_permit_leaves_or_enters(register: Register) -> None:
    chance = random.Random(7)
    rows = [draw_row(chance, number) | {"latitude": "30.25", "longitude": "-97.75"} for number in range(1, 20)]
    register.load(*rows)
    traces = "SELECT level, x, y, xmin::text FROM permit_cells"
    before = set(register.read(traces))
    assert register.load(rows[0] | {"latitude": "30.26", "longitude": "-97.76"}).updated == 1
    written = {(level, x, y) for level, x, y, _ in set(register.read(traces)) - before}
    moved = """
        SELECT level, mercator_x(lng) >> 30 - level AS x, mercator_y(lat) >> 30 - level AS y
        FROM generate_series(0, 20) AS level, (VALUES (-97.75, 30.25), (-97.76, 30.26)) AS ends (lng, lat)
        GROUP BY 1, 2, 3 HAVING count(*) = 1
    """
    assert written == set(register.read(moved))
    assert 0 < len(written) < 22


def test_a_change_that_is_not_on_the_map_writes_no_cell(register: Register) -> None:
    row = draw_row(random.Random(3), 1) | {"latitude": "30.25", "status_current": "Active"}
    register.load(row)
    traces = "SELECT ctid::text, xmin::text FROM permit_cells"
    before = register.read(traces)
    assert len(before) == 21
    assert register.load(row | {"status_current": "Final"}).updated == 1
    assert register.read(traces) == before
