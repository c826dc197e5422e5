"""A city whose portal is on loopback, and the runs over it that a timer would start, in this process or in another."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from app.cities import city as cities
from app.cities.city import City, read_city
from app.ingest.order import Order
from app.ingest.report import IngestReport, Watch, ignore
from app.ingest.run import ingest
from app.ingest.sources.base import Demand, Source
from app.ingest.sources.http import Patience
from app.ingest.sources.socrata import SocrataSource
from tests.conftest import ROOT
from tests.ingest.conftest import portal_row
from tests.ingest.portal_server import DataSet, Naps, PortalServer, Request, instant

Connection = psycopg.Connection[Any]
T = TypeVar("T")
PATIENCE_S = 60
# The command as it stands, for city files in another folder.
COMMAND = """
import runpy, sys
from pathlib import Path
from app.cities import city
city.CITIES = Path(sys.argv.pop(1))
runpy.run_module("scripts.ingest", run_name="__main__", alter_sys=True)
"""


def write_city(folder: Path, name: str, url: str, **portal: Any) -> City:
    """Copy a shipped city file into a folder, with a portal at another address, and read it."""
    text = (cities.CITIES / f"{name}.toml").read_text(encoding="utf-8")
    told = {**_read_portal(text), "url": url, **portal}
    block = "[portal]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
    path = folder / f"{name}.toml"
    path.write_text(re.sub(r"\[portal\]\n(?:.+\n)+", block, text), encoding="utf-8")
    return read_city(path)


def _read_portal(text: str) -> dict[str, Any]:
    portal = City.model_validate(tomllib.loads(text)).portal
    assert portal is not None
    return portal.model_dump(mode="json")


def number(place: int) -> str:
    """A made-up permit number."""
    return f"2026-{place:06d} EP"


def fill(data: DataSet, count: int, *, first: int = 0) -> None:
    """Put rows into the data set, one a minute, the first at the minute of its number."""
    for place in range(first, first + count):
        data.add(instant(place), **portal_row(permit_number=number(place)))


def update(row: dict[str, Any], minutes: float, **values: Any) -> None:
    """Change a row as the city would, which the portal notes."""
    row.update({**values, ":updated_at": instant(minutes)})


@dataclass
class Nights:
    """Runs over one city's portal, and what its server was asked for in the last of them."""

    database_url: str
    connection: Connection
    server: PortalServer
    folder: Path
    city: City
    naps: Naps = field(default_factory=Naps)

    @property
    def dataset(self) -> str:
        """The portal's data set by its id."""
        assert self.city.portal is not None
        return self.city.portal.dataset

    @property
    def patience(self) -> Patience:
        """Patience that takes no time."""
        return Patience(sleep=self.naps.sleep, clock=self.naps.clock, read_s=5)

    def run(
        self,
        *sources: Source,
        city: City | None = None,
        watch: Watch = ignore,
        retry: bool = False,
        workers: int = 1,
        **demand: Any,
    ) -> IngestReport:
        """Run once in this process, over the city's portal unless other sources are given."""
        city = city or self.city
        assert city.portal is not None
        told = sources or (SocrataSource(city.portal, patience=self.patience),)
        self.server.requests.clear()
        order = Order(city, told, Demand(**demand), retry=retry, workers=workers)
        return ingest(self.database_url, order, watch=watch)

    def run_on(self) -> IngestReport:
        """Run as soon as the store notices that a run which was killed is gone."""
        return wait_for(lambda: None if (report := self.run()).status == "locked" else report)

    def start(
        self, *arguments: str, program: str = COMMAND, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the command line in a process of its own, whose city files are this folder's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERVOLT_", "SOCRATA_"))}
        self.server.requests.clear()
        return subprocess.Popen(
            [sys.executable, "-c", program, str(self.folder), "--city", self.city.name, *arguments],
            cwd=ROOT,
            env=kept | {"UNDERVOLT_DATABASE_URL": self.database_url} | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def asked(self, order: str) -> list[str | None]:
        """The conditions of the requests for rows in this order."""
        return [request.query.get("$where") for request in self.server.requests if request.query.get("$order") == order]

    @property
    def pages(self) -> list[str | None]:
        """The conditions of the requests for pages of rows."""
        return self.asked(":updated_at, :id")

    @property
    def keys(self) -> list[str | None]:
        """The conditions of the requests for pages of keys."""
        return self.asked(":id")

    def interfere_after(self, answers: int, do: Callable[[], None]) -> None:
        """Do something before each answer that holds rows or keys, once so many of a run's were given."""

        def interfere(request: Request) -> None:
            if len(self.pages) + len(self.keys) > answers and "$order" in request.query:
                do()

        self.server.before = interfere

    def mend(self) -> None:
        """Let all go well again."""
        self.server.before = lambda request: None
        self.server.heal()

    def read_state(self) -> dict[str, Any]:
        """What the register remembers of the portal."""
        row = self.connection.execute("SELECT state FROM source_states").fetchone()
        assert row is not None
        return dict(row[0])

    def age_keys(self, days: float) -> None:
        """Let the last listing of the keys have been so many days ago."""
        at = "to_jsonb(to_char(now() AT TIME ZONE 'UTC' - %s * interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))"
        self.connection.execute(f"UPDATE source_states SET state = jsonb_set(state, '{{keys_at}}', {at})", [days])

    def read_traces(self, table: str) -> set[tuple[str, str]]:
        """Where each row of a table is and which transaction wrote it: what was written again is elsewhere."""
        return set(self.connection.execute(f"SELECT ctid::text, xmin::text FROM {table}").fetchall())

    def list_removed(self) -> list[str]:
        """The permits that are marked removed."""
        rows = self.connection.execute("SELECT source_id FROM permits WHERE removed_run IS NOT NULL ORDER BY 1")
        return [source_id for (source_id,) in rows]


def finish(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Wait for a command: its exit status, its report and all that it wrote."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out, err
    return process.returncode, json.loads(out.splitlines()[-1]), out + err


def alike(report: IngestReport) -> IngestReport:
    """The report without what differs between two runs that did the same."""
    return replace(report, run=None, seconds=0, resumed=None)


def counts(report: IngestReport) -> Sequence[int]:
    """How many rows were inserted, updated, unchanged and rejected, and how many permits removed; they add up."""
    assert report.read == report.inserted + report.updated + report.unchanged + report.rejected
    return report.inserted, report.updated, report.unchanged, report.rejected, report.removed


def wait_for(ask: Callable[[], T | None]) -> T:
    """Ask until there is an answer, within bounds."""
    limit = time.monotonic() + PATIENCE_S
    while (answer := ask()) is None or answer is False:
        assert time.monotonic() < limit, "it did not come about in time"
        time.sleep(0.05)
    return answer
