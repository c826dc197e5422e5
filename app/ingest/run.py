"""One run: its lock, its row in the register, the way from sources to publication, and the report that adds up."""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import date
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from app.errors import DatabaseUnavailable
from app.ingest import rejects
from app.ingest.load import staging
from app.ingest.load.publishing import Merged, RunRefused, publish, tidy
from app.ingest.load.staging import Database, Staged
from app.ingest.mapping import check_words
from app.ingest.order import Order
from app.ingest.progress import Part, Progress
from app.ingest.report import IngestReport, Status, Tick, Watch, ignore
from app.ingest.sources.base import Demand, Feed, Source, SourceFailed, SourceRefused
from app.ingest.workers import Task, WorkerFailed, Workshop, count_workers
from app.telemetry.logs import describe

log = logging.getLogger(__name__)

CONNECT_S = 10
# Where the caller sets no limit: a tenth of the rows, and never fewer than a hundred.
REJECTED_SHARE = 10
REJECTED_FLOOR = 100


class SourceChanged(Exception):  # noqa: N818 - no error: the run begins anew
    """A source is not what it was when the run that ended too early read it."""


def ingest(database_url: str, order: Order, *, watch: Watch = ignore) -> IngestReport:
    """Load what the order's sources tell in one run, in their order, and publish it in one transaction.

    Raises :class:`MisconfiguredError` for a city file whose words the register does not know, and
    :class:`DatabaseUnavailable` where PostGIS cannot be reached; whatever else goes wrong is a report.
    """
    check_words(order.city)
    with connect(database_url) as database, hold_lock(database, order.city.name) as held:
        if not held:
            return IngestReport("locked", None, order.city.name, order.source_names)
        return Run(database, order, watch).execute()


def connect(database_url: str) -> Database:
    """Open the connection of a run. Raises :class:`DatabaseUnavailable`."""
    try:
        return psycopg.connect(
            database_url, autocommit=True, connect_timeout=CONNECT_S, application_name="undervolt ingest"
        )
    except psycopg.OperationalError:
        raise DatabaseUnavailable("the permit store does not answer") from None


@contextmanager
def hold_lock(database: Database, city: str) -> Generator[bool]:
    """Hold the city's lock, and say whether it could be had; no run waits for another.

    It is given back before the connection closes: a server takes a moment to notice that, and the next run may not.
    """
    statement = "SELECT pg_try_advisory_lock(hashtextextended('undervolt ingest ' || %s, 0))"
    row = database.execute(statement, [city]).fetchone()
    try:
        yield bool(row and row[0])
    finally:
        with suppress(psycopg.Error):  # of a connection that is lost, the server gives it back
            database.execute("SELECT pg_advisory_unlock_all()")


class Run:
    """One run under its city's lock."""

    def __init__(self, database: Database, order: Order, watch: Watch) -> None:
        self.database = database
        self.order = order
        self.city = order.city
        self.watch = watch
        self.progress = Progress()
        self.began = time.monotonic()
        self.run = 0
        self.resumed: int | None = None
        self.waiting = rejects.Waiting()

    def execute(self) -> IngestReport:
        """Go the whole way. Whatever happens, the run's row says how it ended and how far it was."""
        try:
            self._begin()
            self._read_all()
            self._refuse_too_many_rejected()
            self.watch(Tick("publishing", self.progress.tally.read))
            return self._publish()
        except SourceFailed as error:
            return self._stop("failed", str(error))
        except (RunRefused, SourceRefused) as error:
            return self._end("refused", str(error))
        except KeyboardInterrupt:
            return self._stop("error", "interrupted")
        except WorkerFailed as error:
            return self._stop("error", str(error))
        except Exception as error:  # noqa: BLE001 - a run ends in a report; the class and the place are in it
            return self._stop("error", describe(error))

    # The beginning: a new row in the register, and whatever the dead left.

    def _begin(self) -> None:
        with self.database.transaction():
            statement = """
                INSERT INTO ingest_runs (city, source, status, request) VALUES (%s, %s, 'running', %s) RETURNING run
            """
            values = [self.city.name, self.order.source_names, self.order.digest]
            row = self.database.execute(statement, values).fetchone()
            if row is None:
                raise psycopg.DataError("no run was given out")
            self.run = int(row[0])
            self._take_over_or_bury_the_dead()
            if self.resumed is None:
                staging.create_staging(self.database, self.run)
        if self.order.retry:
            self.waiting = rejects.find_waiting(self.database, self.city.name)

    def _take_over_or_bury_the_dead(self) -> None:
        """Go on where the last run of this city stopped, if it was asked for the same; end what other runs left.

        The lock says that none of them lives.
        """
        statement = """
            SELECT run, request, progress FROM ingest_runs
            WHERE city = %s AND run <> %s AND (status = 'running' OR progress IS NOT NULL) ORDER BY run DESC
        """
        for dead, request, told in self.database.execute(statement, [self.city.name, self.run]).fetchall():
            if self.resumed is None and told and request == self.order.digest and self._is_intact(dead, told):
                self.resumed, self.progress = dead, Progress.from_json(told)
                staging.take_over_staging(self.database, self.run, dead=dead)
            else:
                self._bury(dead)
            ended = """
                UPDATE ingest_runs SET progress = NULL, finished_at = coalesce(finished_at, clock_timestamp()),
                  status = CASE status WHEN 'running' THEN 'failed' ELSE status END
                WHERE run = %s
            """
            self.database.execute(ended, [dead])

    def _is_intact(self, dead: int, told: Mapping[str, Any]) -> bool:
        return staging.count_staged(self.database, dead) == Staged(*told["staged"])

    def _bury(self, dead: int) -> None:
        if staging.count_staged(self.database, dead) is not None:
            staging.keep_rejects(self.database, dead, self.city.name)
        staging.drop_staging(self.database, dead)

    # Reading: every source, page by page, each page a transaction.

    def _read_all(self) -> None:
        try:
            self._read_sources()
        except SourceChanged:
            self._begin_anew()
            self._read_sources()

    def _begin_anew(self) -> None:
        """Forget what the dead run staged: its source has changed since."""
        self.progress, self.resumed = Progress(), None
        with self.database.transaction():
            staging.drop_staging(self.database, self.run)
            staging.create_staging(self.database, self.run)
            staging.keep_progress(self.database, self.run, None)

    def _read_sources(self) -> None:
        for number, source in enumerate(self.order.sources):
            if number == len(self.progress.parts):
                self.progress.parts.append(Part())
            part = self.progress.parts[number]
            with source.open(self.city, self._find_state(source), self._demand_of(source)) as feed:
                if feed is not None:
                    self._read(source, feed, part)
                elif part.resume is not None:  # it is again what was published; what is staged is of something between
                    raise SourceChanged

    def _demand_of(self, source: Source) -> Demand:
        if not self.order.retry:
            return self.order.demand
        return replace(self.order.demand, row_ids=self.waiting.of(source.name).row_ids)

    def _find_state(self, source: Source) -> Mapping[str, Any]:
        statement = "SELECT state FROM source_states WHERE city = %s AND source = %s"
        row = self.database.execute(statement, [self.city.name, source.name]).fetchone()
        return row[0] if row else {}

    def _read(self, source: Source, feed: Feed, part: Part) -> None:
        if part.resume is not None and (not feed.fingerprint or feed.fingerprint != part.fingerprint):
            raise SourceChanged
        part.fingerprint, part.form, part.whole = feed.fingerprint, feed.form.name, feed.whole
        if part.done:
            return
        self._read_rows(source, feed, part)
        if not self.order.retry:
            self._read_keys(source, feed, part)
            part.state = dict(feed.state())
        part.done = True
        staging.keep_progress(self.database, self.run, self.progress.to_json())

    def _read_rows(self, source: Source, feed: Feed, part: Part) -> None:
        with Workshop(self._task(source, feed), self.order.workers or count_workers()) as workshop:
            for batch in workshop.map_pages(feed, part.resume):
                self.progress.tally.count(batch.read, batch.reasons, batch.notes)
                rejected = sum(batch.reasons.values())
                self._note_staged(rows=batch.read - rejected, rejects=rejected)
                part.resume = batch.resume
                part.taken += batch.taken
                staging.stage(self.database, self.run, batch.rows, batch.rejects, self.progress.to_json())
                self.watch(Tick(source.name, self.progress.tally.read, *feed.progress()))

    def _task(self, source: Source, feed: Feed) -> Task:
        wanted = self.waiting.of(source.name) if self.order.retry else None
        return Task(self.city, feed.form, feed.decoder, source.name, wanted)

    def _read_keys(self, source: Source, feed: Feed, part: Part) -> None:
        pages = feed.key_pages(part.keys_resume)
        for page in pages or ():
            self._note_staged(keys=len(page.keys))
            part.keys_resume = page.resume
            staging.stage_keys(self.database, self.run, page.keys, self.progress.to_json())
            self.watch(Tick(f"{source.name}: keys", self.progress.tally.read, self.progress.staged.keys))
        part.keys_done = pages is not None

    def _note_staged(self, *, rows: int = 0, rejects: int = 0, keys: int = 0) -> None:
        now = self.progress.staged
        self.progress.staged = Staged(now.rows + rows, now.rejects + rejects, now.keys + keys)

    # The end.

    def _refuse_too_many_rejected(self) -> None:
        tally = self.progress.tally
        allowed = max(REJECTED_FLOOR, tally.read // REJECTED_SHARE)
        if self.order.max_rejected is not None:
            allowed = self.order.max_rejected
        if tally.rejected > allowed and not self.order.retry:
            raise RunRefused(
                f"{tally.rejected} of {tally.read} rows cannot be used, and no more than {allowed} may;"
                " --max-rejected allows more"
            )

    def _publish(self) -> IngestReport:
        whole = self._find_whole_forms()
        with self.database.transaction():
            merged = publish(
                self.database, self.run, self.city, whole=whole, take_shrinkage=self.order.demand.take_shrinkage
            )
            for source, part in zip(self.order.sources, self.progress.parts, strict=True):
                self._keep_state(source, part)
                rejects.settle_positions(self.database, self.run, self.city.name, source.name, part.taken)
            self._note_success()
            status: Status = "published" if merged.changed else "unchanged"
            report = self._finish(status, merged=merged, detail=self._explain_retry())
        self._tidy(merged)
        return report

    def _explain_retry(self) -> str | None:
        """Say so where a retry found nothing to take."""
        if not self.order.retry or self.progress.tally.read:
            return None
        if not self.waiting.rows:
            return "no rejected record waits to be taken"
        return f"{self.waiting.describe()}; none of them is in what was read"

    def _find_whole_forms(self) -> list[str]:
        """Name the forms of which every key is known: all of each form's sources told all they have.

        A rejected record without a readable key might be any permit's; then nothing is taken for gone.
        """
        if self.order.retry:
            return []
        unclear = staging.has_rejects_without_key(self.database, self.run)
        parts = [part for part in self.progress.parts if part.form]
        partial = {part.form for part in parts if not (part.keys_done or (part.whole and not unclear))}
        return sorted({part.form for part in parts} - partial)

    def _keep_state(self, source: Source, part: Part) -> None:
        if part.state is None:
            return
        statement = """
            INSERT INTO source_states (city, source, run, state) VALUES (%s, %s, %s, %s)
            ON CONFLICT (city, source) DO UPDATE SET run = excluded.run, state = excluded.state
        """
        self.database.execute(statement, [self.city.name, source.name, self.run, Jsonb(part.state)])

    def _note_success(self) -> None:
        statement = "UPDATE city_states SET succeeded_at = clock_timestamp() WHERE city = %s"
        self.database.execute(statement, [self.city.name])

    def _tidy(self, merged: Merged) -> None:
        """Tidy up after what is published already; a failure takes nothing back."""
        try:
            tidy(self.database, merged)
        except psycopg.Error as error:
            log.warning("the register is published, and was not tidied: %s", describe(error))

    def _stop(self, status: Status, detail: str) -> IngestReport:
        """Stop early and leave what is staged for the next run that is asked for the same."""
        if not any(part.resume for part in self.progress.parts):
            return self._end(status, detail)
        return self._say(lambda: self._write_report(status, detail=detail), status, detail)

    def _end(self, status: Status, detail: str) -> IngestReport:
        """End for good: nothing of this run is left to go on from."""
        return self._say(lambda: self._finish(status, detail=detail), status, detail)

    def _say(self, write: Callable[[], IngestReport], status: Status, detail: str) -> IngestReport:
        """Say in the register how the run ended; where the database is gone, the city's next run does."""
        try:
            with self.database.transaction():
                return write()
        except psycopg.Error:
            self.database.close()
            return self._report(status, None, detail, data_through=None)

    def _finish(self, status: Status, *, merged: Merged | None = None, detail: str | None = None) -> IngestReport:
        """Keep the rejected rows and the report, and drop the staging tables, within the caller's transaction."""
        if self.run:
            staging.keep_rejects(self.database, self.run, self.city.name)
            staging.drop_staging(self.database, self.run)
            staging.keep_progress(self.database, self.run, None)
        return self._write_report(status, merged=merged, detail=detail)

    def _write_report(self, status: Status, *, merged: Merged | None = None, detail: str | None = None) -> IngestReport:
        report = self._report(status, merged, detail, data_through=self._find_data_through())
        statement = "UPDATE ingest_runs SET status = %s, finished_at = clock_timestamp(), report = %s WHERE run = %s"
        self.database.execute(statement, [status, Jsonb(asdict(report)), self.run])
        return report

    def _report(
        self, status: Status, merged: Merged | None, detail: str | None, *, data_through: str | None
    ) -> IngestReport:
        tally, merged = self.progress.tally, merged or Merged()
        return IngestReport(
            status=status,
            run=self.run or None,
            city=self.city.name,
            source=self.order.source_names,
            read=tally.read,
            inserted=merged.inserted,
            updated=merged.updated,
            unchanged=tally.read - tally.rejected - merged.inserted - merged.updated,
            rejected=tally.rejected,
            reasons=dict(sorted(tally.reasons.items())),
            removed=merged.removed,
            returned=merged.returned,
            data_through=data_through,
            seconds=round(time.monotonic() - self.began, 3),
            notes=dict(sorted(tally.notes.items())),
            resumed=self.resumed,
            detail=detail,
        )

    def _find_data_through(self) -> str | None:
        row = self.database.execute("SELECT data_through FROM city_states WHERE city = %s", [self.city.name]).fetchone()
        return row[0].isoformat() if row and isinstance(row[0], date) else None
