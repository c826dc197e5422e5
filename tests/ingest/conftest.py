"""Made-up rows in the forms of Austin's files, and an empty store to load them into."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cities.city import City, find_city
from app.ingest.order import Order
from app.ingest.report import IngestReport, ignore
from app.ingest.run import ingest as run_ingest
from app.ingest.sources.files import find_sources
from tests.conftest import ROOT, Store

REAL = ROOT.parent / "shared/data/permits/austin"

OWNER = "addrhouse addrstreet addrstreettype addrunittype addrunit addrcity addrprovince addrpostal phone".split()
REPORT_COLUMNS = [
    *"permit_number sub_type work_type permit_location date_issued work_description status".split(),
    "folder_owner",
    *(f"folder_owner_{part}" for part in OWNER),
    "property_owner",
    *(f"property_owner_{part}" for part in OWNER),
    *"total_existing_bldg_footage total_new_add_footage total_valuation_remodel total_job_valuation".split(),
    *"remodel_repair_footage number_of_units usage_category legal_description lat lng".split(),
]
GEOCODER_COLUMNS = "geocoded_address lat lng accuracy city postal_code state county".split()
REPORT_43_COLUMNS = [*REPORT_COLUMNS[:-2], *GEOCODER_COLUMNS]
REPORT_51_COLUMNS = [*REPORT_43_COLUMNS, *GEOCODER_COLUMNS]

REPORT_ROW = {
    "permit_number": "2015-000001 EP",
    "sub_type": "Residential ",
    "work_type": "Remodel",
    "permit_location": "100 MADE UP ST",
    "date_issued": "02/03/2015",
    "work_description": "Install new solar system, 7.2 kW",
    "status": "Final",
    "folder_owner": "Volta Invented Electric LLC",
    "folder_owner_phone": "(512) 555-0100",
    "property_owner": "Imaginary Homeowner",
    "property_owner_addrpostal": "78799",
    "total_new_add_footage": "0",
    "remodel_repair_footage": "250",
    "total_job_valuation": "21500.50",
    "number_of_units": "1",
    "legal_description": "Lot: 1 Block: A",
    "lat": "30.25",
    "lng": "-97.75",
}
PORTAL_ROW = {
    "permit_number": "2025-000001 EP",
    "permittype": "EP",
    "permit_class": "Residential",
    "permit_class_mapped": "Residential",
    "work_class": "Auxiliary Power",
    "status_current": "Active",
    "statusdate": "2025-07-21T00:00:00.000",
    "applieddate": "2025-03-31T00:00:00.000",
    "issue_date": "2025-07-20T00:00:00.000",
    "description": "Install 8.28 kW rooftop solar system",
    "original_address1": "100 MADE UP ST",
    "original_zip": "78704",
    "council_district": "5",
    "latitude": "30.25",
    "longitude": "-97.75",
    "link": {"url": "https://example.org/permit?id=1"},
    "applicant_full_name": "Imaginary Applicant",
    "contractor_phone": "5125550100",
}


def report_row(**values: str) -> dict[str, str]:
    """A row of the older report; what does not matter is filled in."""
    return REPORT_ROW | values


def portal_row(**values: Any) -> dict[str, Any]:
    """A row of the portal; what does not matter is filled in."""
    return PORTAL_ROW | values


def write_csv(path: Path, rows: Iterable[Mapping[str, str]], columns: list[str] | None = None) -> Path:
    """Write rows as the report's CSV, gzipped where the name says so; a column named twice is filled twice."""
    names = REPORT_COLUMNS if columns is None else columns
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[row.get(name, "") for name in names] for row in rows])
    plain = text.getvalue().encode()
    path.write_bytes(gzip.compress(plain) if path.suffix == ".gz" else plain)
    return path


def write_json(path: Path, content: object) -> Path:
    """Write a JSON file."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def real_file(name: str) -> Path:
    """Give one of the real Austin files, or skip where the shared data are not there."""
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"the real file {name} is not on this machine")
    return path


@pytest.fixture(scope="session")
def austin() -> City:
    """Austin's own city file."""
    return find_city("austin")


@pytest.fixture
def empty_store(store: Store, store_connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A connection to a store without any permit or run."""
    assert store.added == 0
    return store_connection


Ingest = Callable[..., IngestReport]


@pytest.fixture
def ingest(database_url: str, empty_store: psycopg.Connection[Any], austin: City) -> Ingest:
    """Load files into the store, which was empty before."""

    def load(*paths: Path, city: City = austin, **options: Any) -> IngestReport:
        watch = options.pop("watch", ignore)
        order = Order(city, find_sources(paths), **options)
        return run_ingest(database_url, order, watch=watch)

    return load


@pytest.fixture
def read_permit(empty_store: psycopg.Connection[Any]) -> Callable[[str], dict[str, Any]]:
    """Read one permit whole, its points as text."""

    def read(source_id: str) -> dict[str, Any]:
        cursor = empty_store.execute(
            "SELECT p.*, ST_AsText(location::geometry) AS location, ST_AsText(reported_location) AS reported_location"
            " FROM permits p WHERE source_id = %s",
            [source_id],
        )
        row = cursor.fetchone()
        assert row is not None
        assert cursor.description is not None
        return dict(zip([column.name for column in cursor.description], row, strict=True))

    return read
