"""The API does what its description says: schemathesis sends all that it allows, and what it does not."""

import asyncio
import sys
from pathlib import Path

import pytest

from app.cities.city import find_city
from app.ingest.order import Order
from app.ingest.run import ingest
from app.ingest.sources.files import find_sources
from tests.conftest import ROOT, Store
from tests.system.running import run_service

pytestmark = pytest.mark.system
LIMIT_S = 420


async def test_schemathesis_finds_nothing(store: Store, database_url: str, tmp_path: Path) -> None:
    ingest(database_url, Order(find_city("sample"), find_sources([ROOT / "data/sample/permits.csv.gz"])))
    settings = {"UNDERVOLT_DATABASE_URL": database_url, "UNDERVOLT_BACKENDS": "[]"}
    async with run_service(tmp_path, settings) as service:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "schemathesis.cli", "--config-file", str(ROOT / "schemathesis.toml")),
            *("run", f"http://127.0.0.1:{service.port}/openapi.json"),
            *("--checks", "all", "--max-examples", "25", "--seed", "1", "--no-color", "--continue-on-failure"),
            *("--phases", "examples,coverage,fuzzing", "--request-timeout", "30"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode == 0, said.decode()[-6_000:]
    assert " 500 " not in service.folders.said
