"""A run that is killed again and again, anywhere, ends as one that nobody touched.

Thirty times and more the whole process is ended as by a power cut, at a random moment between its start and its end;
run numbers and instants aside, every table is then what an uninterrupted run leaves. The rows are made up.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import ROOT
from tests.ingest.conftest import report_row, write_csv
from tests.ingest.contents import empty, read_contents

pytestmark = pytest.mark.system

Connection = psycopg.Connection[Any]
KILLS = 30
ROWS = 40_000
PATIENCE_S = 120
SEED = 20_261_124


def make_steps(folder: Path) -> list[list[str]]:
    """A first load, a delta of changes, news and rejected rows, and a whole register that lacks some."""
    chance = random.Random(SEED)

    def row(number: int, **values: str) -> dict[str, str]:
        lat = f"{30.2 + chance.random() / 10:.6f}"
        return report_row(permit_number=f"2015-{number:06d} EP", lat=lat, **values)

    first = [row(number) for number in range(ROWS)]
    bad = [row(number, date_issued="soon") for number in range(0, ROWS, 4_001)]
    delta = [{**told, "status": "VOID"} for told in chance.sample(first, 6_000)]
    delta += [row(number) for number in range(ROWS, ROWS + 9_000)]
    told = {made["permit_number"]: made for made in [*first, *delta]}
    whole = [made for number, made in enumerate(told.values()) if number % 50]
    paths = [
        write_csv(folder / name, rows)
        for name, rows in (("first.csv", [*first, *bad]), ("delta.csv.gz", delta), ("whole.csv", whole))
    ]
    return [["--file", str(paths[0])], ["--file", str(paths[1])], ["--file", str(paths[2]), "--full"]]


def start(database_url: str, step: Sequence[str]) -> subprocess.Popen[str]:
    """Start a run as an operator would."""
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.ingest", "--city", "austin", *step],
        cwd=ROOT,
        env=os.environ | {"UNDERVOLT_DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a run and give its report; it accounted for every row."""
    output, _ = process.communicate(timeout=PATIENCE_S)
    report: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert report["read"] == report["inserted"] + report["updated"] + report["unchanged"] + report["rejected"]
    return report


def run_under_fire(database_url: str, step: Sequence[str], took_s: float, chance: random.Random) -> int:
    """Kill the step's run at random moments until one ends by itself, and say how often it was killed."""
    kills = 0
    while True:
        process = start(database_url, step)
        try:
            process.wait(timeout=chance.uniform(0.1, 1.2) * took_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=PATIENCE_S)
            kills += 1
            continue
        status = finish(process)["status"]
        if status != "locked":  # the server notices a moment later that the killed run is gone
            assert status in {"published", "unchanged"}
            return kills


def test_thirty_random_kills_leave_what_an_uninterrupted_run_leaves(
    database_url: str, store_connection: Connection, tmp_path: Path
) -> None:
    steps = make_steps(tmp_path)
    before = empty(store_connection)
    took: list[float] = []
    for step in steps:
        began = time.monotonic()
        assert finish(start(database_url, step))["status"] == "published"
        took.append(time.monotonic() - began)
    expected = read_contents(store_connection, before=before)
    assert expected["permits"]
    assert expected["rejected_records"]
    chance = random.Random(SEED)
    kills = resumed = 0
    while kills < KILLS:
        before = empty(store_connection)
        for step, took_s in zip(steps, took, strict=True):
            kills += run_under_fire(database_url, step, took_s, chance)
        found = read_contents(store_connection, before=before)
        for table, rows in expected.items():
            assert found[table] == rows, f"{table} differs after {kills} kills"
        resumed += count_resumed(store_connection)
    assert kills >= KILLS
    assert resumed > 0, "no run went on where a killed one had stopped"


def count_resumed(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM ingest_runs WHERE report ->> 'resumed' IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])
