"""One run: its lock, its row in the register, the way from source to publication, and the report that adds up."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.types.json import Jsonb

from app.cities.city import City
from app.errors import DatabaseUnavailable, UndervoltError
from app.ingest import load
from app.ingest.load import Database, Merged
from app.ingest.mapping import Mapper, PermitRow, RejectedRecord, check_words
from app.ingest.sources import Source, SourceFailed, open_source
from app.telemetry import describe

log = logging.getLogger(__name__)

Status = Literal["published", "unchanged", "failed", "refused", "locked", "error"]
EXIT_STATUSES: dict[Status, int] = {
    "published": 0,
    "unchanged": 0,
    "failed": 1,
    "refused": 2,
    "error": 70,
    "locked": 75,
}
CONNECT_S = 10
# Where the caller sets no limit: a tenth of the rows, and never fewer than a hundred.
REJECTED_SHARE = 10
REJECTED_FLOOR = 100


class RunRefused(UndervoltError):  # noqa: N818 - the source is readable, and not to be trusted
    """A run that read its source and publishes nothing of it; the message says why."""


@dataclass(frozen=True)
class Report:
    """How a run ended. ``read`` is ``inserted + updated + unchanged + rejected``, in rows of the source.

    A permit that several rows tell counts once as inserted or updated; its other rows count as unchanged. ``reasons``
    count rejected rows; ``notes`` count what was left out of rows that were taken. ``detail`` is for people.
    """

    status: Status
    run: int | None
    city: str
    source: str
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    data_through: str | None = None
    seconds: float = 0
    notes: dict[str, int] = field(default_factory=dict)
    detail: str | None = None

    @property
    def exit_status(self) -> int:
        """The process's exit status."""
        return EXIT_STATUSES[self.status]


@dataclass(frozen=True)
class Tick:
    """How far a run is: rows read in all, and bytes of the file it is in; without a size where none is known."""

    source: str
    rows: int
    bytes_read: int = 0
    size: int | None = None


Watch = Callable[[Tick], None]


def ignore(_tick: Tick) -> None:
    """Watch nothing."""


@dataclass
class Tally:
    """What was read so far."""

    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Rows that became no permit."""
        return self.reasons.total()

    def count(self, batch: Sequence[PermitRow | RejectedRecord]) -> None:
        """Count a batch."""
        self.read += len(batch)
        for record in batch:
            if isinstance(record, RejectedRecord):
                self.reasons[record.reason] += 1
            else:
                self.notes.update(record.notes)


def ingest_files(
    database_url: str, city: City, paths: Sequence[Path], *, max_rejected: int | None = None, watch: Watch = ignore
) -> Report:
    """Load files of one city in one run, in their order, and publish what they tell in one transaction.

    Raises :class:`MisconfiguredError` for a city file whose words the register does not know, and
    :class:`DatabaseUnavailable` where PostGIS cannot be reached; whatever else goes wrong is a report.
    """
    check_words(city)
    with _connect(database_url) as database:
        if not _try_lock(database, city):
            return Report("locked", None, city.name, ", ".join(name_sources(paths)))
        return Run(database, city, paths, max_rejected, watch).execute()


def name_sources(paths: Sequence[Path]) -> list[str]:
    """Name the files without their folders, told apart where two have one name."""
    seen: Counter[str] = Counter()
    names = []
    for path in paths:
        seen[path.name] += 1
        names.append(path.name if seen[path.name] == 1 else f"{path.name} ({seen[path.name]})")
    return names


def _connect(database_url: str) -> Database:
    try:
        return psycopg.connect(
            database_url, autocommit=True, connect_timeout=CONNECT_S, application_name="undervolt ingest"
        )
    except psycopg.OperationalError:
        raise DatabaseUnavailable("the permit store does not answer") from None


def _try_lock(database: Database, city: City) -> bool:
    """Take the city's lock for as long as the connection lasts; no run waits for another."""
    statement = "SELECT pg_try_advisory_lock(hashtextextended('undervolt ingest ' || %s, 0))"
    row = database.execute(statement, [city.name]).fetchone()
    return bool(row and row[0])


class Run:
    """One run under its city's lock."""

    def __init__(
        self, database: Database, city: City, paths: Sequence[Path], max_rejected: int | None, watch: Watch
    ) -> None:
        self.database = database
        self.city = city
        self.paths = paths
        self.names = name_sources(paths)
        self.max_rejected = max_rejected
        self.watch = watch
        self.tally = Tally()
        self.began = time.monotonic()
        self.run = 0

    def execute(self) -> Report:
        """Go the whole way. Whatever happens, the run's row says how it ended and its staging tables are gone."""
        try:
            self._bury_the_dead()
            self.run = self._begin()
            load.create_staging(self.database, self.run)
            for path, name in zip(self.paths, self.names, strict=True):
                self._stage_file(path, name)
            self._refuse_too_many_rejected()
            self.watch(Tick("publishing", self.tally.read))
            return self._publish()
        except SourceFailed as error:
            return self._end("failed", str(error))
        except RunRefused as error:
            return self._end("refused", str(error))
        except KeyboardInterrupt:
            return self._end("error", "interrupted")
        except Exception as error:  # noqa: BLE001 - a run ends in a report; the class and the place are in it
            return self._end("error", describe(error))

    def _bury_the_dead(self) -> None:
        """End what a killed run of this city left: the lock says that none of them lives."""
        statement = "SELECT run FROM ingest_runs WHERE city = %s AND status = 'running'"
        for (run,) in self.database.execute(statement, [self.city.name]).fetchall():
            with self.database.transaction():
                load.drop_staging(self.database, run)
                self.database.execute(
                    "UPDATE ingest_runs SET status = 'failed', finished_at = clock_timestamp() WHERE run = %s", [run]
                )

    def _begin(self) -> int:
        statement = "INSERT INTO ingest_runs (city, source, status) VALUES (%s, %s, 'running') RETURNING run"
        row = self.database.execute(statement, [self.city.name, ", ".join(self.names)]).fetchone()
        if row is None:
            raise psycopg.DataError("no run was given out")
        return int(row[0])

    def _stage_file(self, path: Path, name: str) -> None:
        with open_source(self.city, path, name) as source:
            mapper = Mapper(self.city, source.form, source.columns)
            carried = load.mask_of(mapper.carried)
            for batch in _batches(mapper, source):
                load.stage(self.database, self.run, name, carried, batch)
                self.tally.count(batch)
                self.watch(Tick(name, self.tally.read, source.bytes_read, source.size))

    def _refuse_too_many_rejected(self) -> None:
        allowed = max(REJECTED_FLOOR, self.tally.read // REJECTED_SHARE)
        if self.max_rejected is not None:
            allowed = self.max_rejected
        if self.tally.rejected > allowed:
            raise RunRefused(
                f"{self.tally.rejected} of {self.tally.read} rows cannot be used, and no more than {allowed} may;"
                " --max-rejected allows more"
            )

    def _publish(self) -> Report:
        with self.database.transaction():
            merged = load.merge(self.database, self.run, self.city.name)
            if merged.changed:
                load.summarize(
                    self.database,
                    self.run,
                    self.city.name,
                    time_zone=self.city.time_zone,
                    synthetic=self.city.synthetic,
                )
            report = self._finish("published" if merged.changed else "unchanged", merged=merged)
        self._tidy(merged)
        return report

    def _tidy(self, merged: Merged) -> None:
        """Tidy up after what is published already; a failure takes nothing back."""
        try:
            load.tidy(self.database, merged)
        except psycopg.Error as error:
            log.warning("the register is published, and was not tidied: %s", describe(error))

    def _end(self, status: Status, detail: str) -> Report:
        """Say in the register how the run ended; where the database is gone, the city's next run does."""
        try:
            with self.database.transaction():
                return self._finish(status, detail=detail)
        except psycopg.Error:
            self.database.close()
            return self._report(status, None, detail, data_through=None)

    def _finish(self, status: Status, *, merged: Merged | None = None, detail: str | None = None) -> Report:
        """Keep the rejected rows and the report, and drop the staging tables, within the caller's transaction."""
        load.record_rejects(self.database, self.run, self.city.name)
        report = self._report(status, merged, detail, data_through=self._find_data_through())
        load.drop_staging(self.database, self.run)
        self.database.execute(
            "UPDATE ingest_runs SET status = %s, finished_at = clock_timestamp(), report = %s WHERE run = %s",
            [status, Jsonb(asdict(report)), self.run],
        )
        return report

    def _report(self, status: Status, merged: Merged | None, detail: str | None, *, data_through: str | None) -> Report:
        taken = self.tally.read - self.tally.rejected
        return Report(
            status=status,
            run=self.run or None,
            city=self.city.name,
            source=", ".join(self.names),
            read=self.tally.read,
            inserted=merged.inserted if merged else 0,
            updated=merged.updated if merged else 0,
            unchanged=taken - (merged.changed if merged else 0),
            rejected=self.tally.rejected,
            reasons=dict(sorted(self.tally.reasons.items())),
            data_through=data_through,
            seconds=round(time.monotonic() - self.began, 3),
            notes=dict(sorted(self.tally.notes.items())),
            detail=detail,
        )

    def _find_data_through(self) -> str | None:
        row = self.database.execute("SELECT data_through FROM city_states WHERE city = %s", [self.city.name]).fetchone()
        return row[0].isoformat() if row and isinstance(row[0], date) else None


def _batches(mapper: Mapper, source: Source) -> Iterator[list[PermitRow | RejectedRecord]]:
    parsed = map(mapper.parse, source.records)
    while batch := list(islice(parsed, load.BATCH_ROWS)):
        yield batch
