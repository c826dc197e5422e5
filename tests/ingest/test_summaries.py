"""What is kept beside the permits moves only by what changed, and always equals a count from the beginning.

The rows are made up.
"""

import random
from typing import Any

import psycopg

from app.cities.city import City
from app.ingest.order import Order
from app.ingest.run import ingest
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
        "original_zip": chance.choice(["", "78704"]),
        "total_job_valuation": chance.choice(["", "1000"]),
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
        kept = empty_store.execute("SELECT field, word, permits FROM register_words ORDER BY 1, 2").fetchall()
        assert kept == empty_store.execute(WORDS_ANEW).fetchall()
        assert empty_store.execute(STATE_KEPT).fetchall() == empty_store.execute(STATE_ANEW).fetchall()
        assert empty_store.execute(UNLEARNT).fetchall() == []


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
