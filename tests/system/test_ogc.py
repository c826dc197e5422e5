"""The sample register under ``/ogc`` as the OGC's own test suite and as GDAL see it, from a service that really runs.

The suite is a program of its own. Its jar with all dependencies, or one with the same main class and arguments, is
named by ``OGC_SUITE_JAR``.
"""

import asyncio
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import find_city
from app.ingest.order import Order
from app.ingest.run import ingest
from app.ingest.sources.files import find_sources
from tests.conftest import ROOT, TABLES
from tests.system.running import Service, run_service

pytestmark = pytest.mark.system

SUITE_JAR = os.environ.get("OGC_SUITE_JAR", "")
SUITE_S = 600
PROPERTIES = """<?xml version="1.0" encoding="UTF-8"?>
<properties version="1.0"><entry key="iut">{url}</entry><entry key="noofcollections">3</entry></properties>
"""
HERE = (-97.76, 30.25, -97.72, 30.28)
needs_suite = pytest.mark.skipif(
    not Path(SUITE_JAR).is_file() or shutil.which("java") is None,
    reason="OGC_SUITE_JAR names no jar of the OGC's test suite ets-ogcapi-features10 1.9, or there is no java",
)
needs_gdal = pytest.mark.skipif(shutil.which("ogr2ogr") is None, reason="GDAL's ogr2ogr is not installed (gdal-bin)")


@pytest.fixture(scope="module")
def sample(database_url: str) -> Generator[psycopg.Connection[Any]]:
    """The sample register, loaded as `make run` loads it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
        order = Order(find_city("sample"), find_sources([ROOT / "data/sample/permits.csv.gz"]))
        assert ingest(database_url, order).status == "published"
        yield connection
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")


@pytest.fixture(scope="module")
async def service(
    database_url: str, sample: psycopg.Connection[Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Service]:
    """A service on the sample register."""
    settings = {"UNDERVOLT_DATABASE_URL": database_url, "UNDERVOLT_BACKENDS": "[]"}
    async with run_service(tmp_path_factory.mktemp("service"), settings) as running:
        yield running


def count(sample: psycopg.Connection[Any], clause: str = "true") -> int:
    """Count permits by a clause in the database itself."""
    found = sample.execute(f"SELECT count(*) FROM permits WHERE removed_run IS NULL AND {clause}").fetchone()
    return int((found or [0])[0])


# --- the OGC's suite -------------------------------------------------------------------------------------------------


def run_suite(service: Service, folder: Path) -> list[ET.Element]:
    """Run the suite and give its test methods, each with its status."""
    (folder / "properties.xml").write_text(PROPERTIES.format(url=f"http://127.0.0.1:{service.port}/ogc"))
    command = ["java", "-jar", SUITE_JAR, "-o", str(folder), str(folder / "properties.xml")]
    subprocess.run(command, check=True, timeout=SUITE_S, capture_output=True, cwd=folder)
    [results] = folder.rglob("testng-results.xml")
    methods = ET.parse(results).getroot().iter("test-method")
    return [method for method in methods if method.get("is-config") != "true"]


@needs_suite
async def test_ogc_suite_fails_nothing_and_skips_only_what_is_not_claimed_or_not_there(
    service: Service, tmp_path: Path
) -> None:
    methods = await asyncio.to_thread(run_suite, service, tmp_path)
    tally = Counter(method.get("status") for method in methods)
    assert tally["FAIL"] == 0, [method.get("name") for method in methods if method.get("status") == "FAIL"]
    assert tally["PASS"] >= 80
    skipped = [method for method in methods if method.get("status") == "SKIP"]
    claimed = {str(method.get("name")) for method in skipped if "conformance.crs" not in str(method.get("signature"))}
    # Boxes over the North Sea, the poles and so on hold no permit of Texas, and the suite counts up to 10,000.
    assert {name.split("_")[-1] for name in claimed} <= {"validateFeaturesWithBoundingBoxResponse", "NumberMatched"}


# --- GDAL ------------------------------------------------------------------------------------------------------------


async def read_by_gdal(service: Service, *arguments: str) -> list[dict[str, Any]]:
    """Read the collection by ``ogr2ogr`` and give its features."""
    url = f"OAPIF:http://127.0.0.1:{service.port}/ogc"
    command = ["ogr2ogr", "-f", "GeoJSONSeq", "/vsistdout/", url, "permits", "-oo", "PAGE_SIZE=1000", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_gdal
async def test_gdal_pages_through_every_permit_once(service: Service, sample: psycopg.Connection[Any]) -> None:
    features = await read_by_gdal(service)
    assert len(features) == count(sample) > 19_000
    assert len({feature["properties"]["id"] for feature in features}) == len(features)
    assert sum(feature["geometry"] is not None for feature in features) == count(sample, "location IS NOT NULL")


@needs_gdal
async def test_gdal_knows_number_extent_and_types_without_reading_it(
    service: Service, sample: psycopg.Connection[Any]
) -> None:
    command = ["ogrinfo", "-so", f"OAPIF:http://127.0.0.1:{service.port}/ogc", "permits"]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
    for said in (
        f"Feature Count: {count(sample)}",
        "Geometry: Point",
        "issued_date: Date",
        "solar_kw: Real",
        "categories: StringList",
        "housing_units: Integer",
    ):
        assert said in done.stdout
    assert "Extent: (-97." in done.stdout


@needs_gdal
async def test_gdal_filters_by_box(service: Service, sample: psycopg.Connection[Any]) -> None:
    west, south, east, north = HERE
    features = await read_by_gdal(service, "-spat", *map(str, HERE))
    inside = (
        f"ST_X(location::geometry) BETWEEN {west} AND {east} AND ST_Y(location::geometry) BETWEEN {south} AND {north}"
    )
    assert len(features) == count(sample, inside) > 100


@needs_gdal
@pytest.mark.parametrize(
    ("where", "clause"),
    [
        ("permit_type = 'EP'", "permit_type = 'EP'"),
        ("work_class = 'Remodel' AND solar_kw > 5", "work_class = 'Remodel' AND solar_kw > 5"),
        ("issued_date >= '2020/01/01' AND issued_date <= '2020/12/31'", "extract(year FROM issued_date) = 2020"),
        ("issued_date <= '2013/06/30'", "issued_date <= '2013-06-30'"),
        ("id = 'sample.2012-000002~20BP'", "source_id = '2012-000002 BP'"),
    ],
)
async def test_gdal_filters_by_attribute(
    service: Service, sample: psycopg.Connection[Any], where: str, clause: str
) -> None:
    assert len(await read_by_gdal(service, "-where", where)) == count(sample, clause)
