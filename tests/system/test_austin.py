"""All real Austin rows, end to end: every row accounted for, near exact, and ten questions against SQL by hand."""

import csv
import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from geographiclib.geodesic import Geodesic

from app.settings import Settings
from tests.conftest import ROOT, migrate, rename_database, serve

REAL = ROOT.parent / "shared/data/permits/austin"
REPORTS = ["1984_43col", "2013-2014_37col", "2015_37col", "2015_51col", "2015_43col", "2016_43col"]
ROWS = 283_386
DISTINCT_POINTS_ASKED = 25

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not REAL.is_dir(), reason="the real Austin rows are not beside this checkout"),
]


def report_path(name: str) -> Path:
    return REAL / f"oss_permit_report_{name}.csv.gz"


@pytest.fixture(scope="module")
def austin_url(database_url: str) -> Generator[str]:
    """A database of its own for the real rows."""
    name = f"undervolt_austin_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = rename_database(database_url, name)
        migrate(url, "head")
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def ingest(url: str) -> dict[str, Any]:
    """Ingest all reports as an operator would, and give the run's report."""
    files = [argument for name in REPORTS for argument in ("--file", str(report_path(name)))]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.ingest", "--city", "austin", *files],
        env=os.environ | {"UNDERVOLT_DATABASE_URL": url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


@pytest.fixture(scope="module")
def first_report(austin_url: str) -> dict[str, Any]:
    """The report of the first ingest."""
    return ingest(austin_url)


@pytest.fixture(scope="module")
def austin(austin_url: str, first_report: dict[str, Any]) -> Settings:
    """Settings on the database of the real rows."""
    assert first_report["status"] == "published"
    return Settings.model_validate({"database_url": austin_url, "backends": "[]", "today": "2016-04-19"})


def test_every_row_is_accounted_for(first_report: dict[str, Any]) -> None:
    assert first_report["read"] == ROWS
    assert first_report["read"] == sum(first_report[end] for end in ("inserted", "updated", "unchanged", "rejected"))
    assert first_report["rejected"] == 8
    assert first_report["reasons"] == {"shifted_columns": 8}


def test_the_permits_are_as_many_as_there_are_numbers(austin: Settings, first_report: dict[str, Any]) -> None:
    numbers: set[str] = set()
    for name in REPORTS:
        with gzip.open(report_path(name), "rt", newline="") as file:
            numbers |= {row["permit_number"].strip() for row in csv.DictReader(file) if not is_shifted(row)}
    assert first_report["inserted"] == len(numbers)


def is_shifted(row: dict[str, str]) -> bool:
    """Tell a row whose later columns moved by one: its status is no status."""
    return row["status"].strip() not in KNOWN_STATUSES


KNOWN_STATUSES = frozenset(
    {
        "", "Final", "Expired", "Active", "Withdrawn", "VOID", "Cancelled", "Cancelled - Contractor Required",
        "Inactive Pending Revision", "Inactive Contractor", "Pending Permit", "Pending", "On Hold", "Suspended",
        "Aborted", "Closed", "Awaiting Update",
    }
)  # fmt: skip


def test_the_same_files_again_change_nothing(austin: Settings, austin_url: str) -> None:
    def look() -> Any:
        with psycopg.connect(austin_url) as connection:
            version = connection.execute("SELECT version FROM data_versions").fetchone()
            rows = connection.execute(
                "SELECT count(*), sum(xmin::text::bigint), max(changed_run) FROM permits"
            ).fetchone()
            return version, rows

    before = look()
    again = ingest(austin_url)
    assert (again["status"], again["read"], again["rejected"]) == ("unchanged", ROWS, 8)
    assert (again["inserted"], again["updated"]) == (0, 0)
    assert look() == before


async def test_near_is_exact_on_the_real_points(austin: Settings, austin_url: str) -> None:
    with psycopg.connect(austin_url) as connection:
        permits = connection.execute(
            "SELECT source_id, ST_Y(location::geometry), ST_X(location::geometry) FROM permits"
            " WHERE location IS NOT NULL"
        ).fetchall()
    chance = random.Random(2016)
    async with serve(austin) as client:
        for _, lat, lng in chance.sample(permits, DISTINCT_POINTS_ASKED):
            origin = (lat + chance.uniform(-0.002, 0.002), lng + chance.uniform(-0.002, 0.002))
            await compare_with_brute_force(client, permits, origin, radius_m=chance.choice([150, 400, 1_000]))


async def compare_with_brute_force(
    client: httpx.AsyncClient, permits: list[Any], origin: tuple[float, float], *, radius_m: float
) -> None:
    """Compare all pages of a near query with every distance measured by GeographicLib."""
    box = 1.2 * radius_m / 90_000
    close = [one for one in permits if abs(one[1] - origin[0]) < box and abs(one[2] - origin[1]) < box * 1.3]
    measured = {one[0]: Geodesic.WGS84.Inverse(*origin, one[1], one[2], Geodesic.DISTANCE)["s12"] for one in close}
    expected = {source_id for source_id, distance_m in measured.items() if distance_m <= radius_m}
    found: list[tuple[float, str]] = []
    address: str | None = f"/permits/near?lat={origin[0]!r}&lng={origin[1]!r}&radius_m={radius_m}&limit=1000"
    while address:
        reply = await client.get(address)
        said = [feature["properties"] for feature in reply.json()["features"]]
        found += [(one["distance_m"], one["source_id"]) for one in said]
        address = reply.links.get("next", {}).get("url")
    assert {source_id for _, source_id in found} == expected
    assert len(found) == len(expected)
    assert [distance_m for distance_m, _ in found] == sorted(distance_m for distance_m, _ in found)
    for distance_m, source_id in found:
        assert distance_m == pytest.approx(measured[source_id], abs=0.0501)


HARVEY = (
    "(SELECT location FROM permits WHERE original_address1 = '1205 HARVEY ST' AND location IS NOT NULL"
    " GROUP BY location ORDER BY count(*) DESC LIMIT 1)"
)
QUESTIONS: list[tuple[str, str]] = [
    (
        "How many solar permits were issued in 2015?",
        "SELECT count(*) FROM permits WHERE 'solar' = ANY(categories) AND extract(year FROM issued_date) = 2015",
    ),
    (
        "How many permits are there within 800 m of 30.2672, -97.7431?",
        "SELECT count(*) FROM permits WHERE ST_Distance(location, ST_MakePoint(-97.7431, 30.2672)::geography) <= 800",
    ),
    (
        "What is the total value of demolition permits issued in 2014?",
        "SELECT sum(est_project_cost_usd) FROM permits WHERE 'demolition' = ANY(categories)"
        " AND issued_date BETWEEN '2014-01-01' AND '2014-12-31'",
    ),
    (
        "What were the top 3 permit types in 2013?",
        "SELECT count(*) FROM permits WHERE issued_date BETWEEN '2013-01-01' AND '2013-12-31'"
        " GROUP BY permit_type ORDER BY 1 DESC LIMIT 3",
    ),
    (
        "top 4 work classes of pool permits",
        "SELECT count(*) FROM permits WHERE 'pool' = ANY(categories) AND work_class IS NOT NULL"
        " GROUP BY work_class ORDER BY 1 DESC, work_class LIMIT 4",
    ),
    (
        "How many pool permits per year since 2013?",
        "SELECT count(*) FROM permits WHERE 'pool' = ANY(categories) AND issued_date >= '2013-01-01'"
        " GROUP BY extract(year FROM issued_date) ORDER BY extract(year FROM issued_date)",
    ),
    (
        "Compare generator permits in 2013 and 2014",
        "SELECT count(*) FILTER (WHERE extract(year FROM issued_date) = y) FROM permits, unnest(ARRAY[2013, 2014]) y"
        " WHERE 'generator' = ANY(categories) GROUP BY y ORDER BY y",
    ),
    (
        "What are the 3 largest permits in 78704?",
        "SELECT est_project_cost_usd FROM permits WHERE original_zip = '78704' AND est_project_cost_usd IS NOT NULL"
        " ORDER BY 1 DESC, source_id LIMIT 3",
    ),
    (
        "How many electrical permits were issued in March 2016 in 78745?",
        "SELECT count(*) FROM permits WHERE source_id LIKE '% EP' AND original_zip = '78745'"
        " AND issued_date >= '2016-03-01' AND issued_date < '2016-04-01'",
    ),
    (
        "How many permits within 300 m of 1205 Harvey Street?",
        f"SELECT count(*) FROM permits WHERE ST_Distance(location, {HARVEY}) <= 300",
    ),
]


MODES = {
    "no model": "[]",
    "a dead Ollama": '[{"kind": "ollama", "url": "http://127.0.0.1:9"}]',
    "embedded": '[{"kind": "embedded"}]',
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("question", "by_hand"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
async def test_an_answer_agrees_with_sql_by_hand(
    question: str, by_hand: str, mode: str, austin: Settings, austin_url: str
) -> None:
    if mode == "embedded" and find_spec("xllamacpp") is None:
        pytest.skip("the embedded extra is not installed: pip install '.[embedded]'")
    with psycopg.connect(austin_url) as connection:
        expected = [float(row[0]) for row in connection.execute(by_hand).fetchall()]
    assert expected
    backends = Settings.model_validate({"backends": MODES[mode]}).backends
    async with serve(austin.model_copy(update={"backends": backends})) as client:
        document = (await client.post("/ask", json={"question": question}, timeout=40)).json()
    assert document["answer"]["kind"] == "answer"
    assert document["plan"]["ignored_words"] == []
    assert (document["done"]["model"] is not None) == (mode == "embedded")
    values = [fact["value"] for fact in document["facts"]["facts"]]
    start = 0 if document["plan"]["plan"]["kind"] in {"count", "compare"} else 1
    assert values[start : start + len(expected)] == expected
