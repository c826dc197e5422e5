"""One load of regions: all of one kind of a city, from files to the permits that lie in them, in one transaction."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

from app.cities.city import City
from app.ingest.load import regions as load
from app.ingest.load.merge import Values
from app.ingest.load.publishing import Merged, hold_publication, tidy
from app.ingest.load.staging import Database
from app.ingest.polygons import Regions, RegionsRefused, read_regions
from app.ingest.report import EXIT_STATUSES, Status
from app.ingest.run import connect, hold_lock
from app.telemetry.logs import describe


@dataclass(frozen=True)
class RegionOrder:
    """What is to be loaded: files that together are all regions of one kind, and where they are from."""

    city: City
    kind: str
    name_property: str
    source: str
    vintage: str
    paths: Sequence[Path]


@dataclass(frozen=True)
class RegionReport:
    """How a load ended. ``features`` are the files' and ``regions`` what they became; ``removed`` no file tells.

    ``inserted``, ``updated``, ``removed`` and ``unchanged`` count regions; ``permits`` counts permits of which the
    regions, the ZIP or the district became others. ``repaired`` and ``united`` name regions, ``beyond_box`` those
    that reach beyond the city's box.
    """

    status: Status
    run: int | None
    city: str
    kind: str
    features: int = 0
    regions: int = 0
    inserted: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    permits: int = 0
    repaired: list[str] = field(default_factory=list)
    united: list[str] = field(default_factory=list)
    beyond_box: list[str] = field(default_factory=list)
    seconds: float = 0
    detail: str | None = None

    @property
    def exit_status(self) -> int:
        """The process's exit status."""
        return EXIT_STATUSES[self.status]


def load_regions(database_url: str, order: RegionOrder) -> RegionReport:
    """Replace the regions of a kind by those of the order's files, and tell each permit anew where it lies.

    Raises :class:`DatabaseUnavailable` where PostGIS cannot be reached; whatever else goes wrong is a report, and
    nothing has changed then.
    """
    began = time.monotonic()
    try:
        regions = read_regions(order.paths, order.city, kind=order.kind, name_property=order.name_property)
    except RegionsRefused as error:
        return RegionReport("refused", None, order.city.name, order.kind, detail=str(error))
    with connect(database_url) as database, hold_lock(database, order.city.name) as held:
        if not held:
            return RegionReport("locked", None, order.city.name, order.kind)
        try:
            with database.transaction():
                hold_publication(database)
                report = _replace(database, order, regions, began)
        except psycopg.Error as error:
            return RegionReport("error", None, order.city.name, order.kind, detail=describe(error))
        tidy(database, Merged(updated=report.permits))
        return report


def _replace(database: Database, order: RegionOrder, regions: Regions, began: float) -> RegionReport:
    run = _begin(database, order)
    values: Values = {
        "city": order.city.name,
        "kind": order.kind,
        "source": order.source,
        "vintage": order.vintage,
        "run": run,
    }
    replaced = load.replace(database, values, regions.areas)
    report = RegionReport(
        status="published" if replaced.changed else "unchanged",
        run=run,
        city=order.city.name,
        kind=order.kind,
        features=regions.features,
        regions=len(regions.areas),
        inserted=replaced.inserted,
        updated=replaced.updated,
        removed=replaced.removed,
        unchanged=len(regions.areas) - replaced.inserted - replaced.updated,
        permits=replaced.permits,
        repaired=regions.repaired,
        united=regions.united,
        beyond_box=regions.beyond_box,
        seconds=round(time.monotonic() - began, 3),
    )
    statement = "UPDATE ingest_runs SET status = %s, finished_at = clock_timestamp(), report = %s WHERE run = %s"
    database.execute(statement, [report.status, Jsonb(asdict(report)), run])
    return report


def _begin(database: Database, order: RegionOrder) -> int:
    statement = "INSERT INTO ingest_runs (city, source, status) VALUES (%s, %s, 'running') RETURNING run"
    names = ", ".join([f"regions {order.kind}", *(path.name for path in order.paths)])
    return int((database.execute(statement, [order.city.name, names[:500]]).fetchone() or [0])[0])
