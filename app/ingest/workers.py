"""Rows to permits on every core: pages go out to worker processes and come back in their order, ready for COPY.

A worker lives no longer than the run: when the run dies, however it dies, the pipe ends and so does the worker.
"""

import marshal
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import NamedTuple, Self

from app.cities.city import City, Form
from app.errors import UndervoltError
from app.ingest.load.staging import format_end, format_reject, format_row, mask_of
from app.ingest.mapping import Mapper, PermitRow, carried_columns
from app.ingest.rejects import Wanted
from app.ingest.sources.base import Decoder, Feed, Page
from app.telemetry.logs import describe

# What a small run reads is parsed sooner than a worker starts.
PAGES_BEFORE_WORKERS = 3
WORKERS_MAX = 8
END_S = 10


def count_workers() -> int:
    """Give how many processes map rows where nobody says: one a core."""
    return min(os.cpu_count() or 1, WORKERS_MAX)


class WorkerFailed(UndervoltError):  # noqa: N818 - a worker fails, the run reports it
    """A worker process that died or met something unforeseen; the message names the error's class and place."""


@dataclass(frozen=True)
class Task:
    """What a worker needs to know of a feed: whose it is, its form, and how its rows are read."""

    city: City
    form: Form
    decoder: Decoder
    source: str
    wanted: Wanted | None = None
    """Of a retry, the records that it takes; of any other run all are taken."""


class Job(NamedTuple):
    """A page to be mapped, and the columns that its feed had by then."""

    page: Page
    columns: frozenset[str]


class Batch(NamedTuple):
    """One page, mapped: lines for COPY, counts, and the point after the page.

    ``taken`` are the places that a retry wanted and that became permits.
    """

    rows: bytes
    rejects: bytes
    read: int
    reasons: dict[str, int]
    notes: dict[str, int]
    taken: list[int]
    resume: str


@dataclass
class Workshop:
    """Maps pages of one feed; in this process, and in worker processes too once there is enough to do."""

    task: Task
    workers: int
    _hands: "list[_Hand]" = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self._hands:
            hand.close()

    def map_pages(self, feed: Feed, resume: str | None = None) -> Iterator[Batch]:
        """Give a batch a page, in the order of the feed's pages. Raises :class:`WorkerFailed`."""
        # The columns may grow while a feed without a header is read, so each page goes with those of its moment.
        jobs = (Job(page, feed.columns) for page in feed.pages(resume))
        craft = Craft(self.task)
        for number, job in enumerate(jobs, start=1):
            yield craft.work(job)
            if number == PAGES_BEFORE_WORKERS and self.workers > 1:
                break
        yield from self._map_in_workers(jobs)

    def _map_in_workers(self, jobs: Iterator[Job]) -> Iterator[Batch]:
        """Keep each worker at one page while the next one is read; a worker's batches come back in its turn."""
        busy: deque[_Hand] = deque()
        for job in jobs:
            batch = None
            if len(busy) < self.workers:
                hand = _Hand(self.task)
                self._hands.append(hand)
            else:
                hand = busy.popleft()
                batch = hand.take()
            hand.give(job)
            busy.append(hand)
            if batch is not None:
                yield batch
        for hand in busy:
            yield hand.take()


class Craft:
    """Maps pages of one feed in the process it is made in."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._mapper = Mapper(task.city, task.form, task.form.read_columns, task.source)

    def work(self, job: Job) -> Batch:
        """Map one page."""
        page, columns = job
        end = format_end(carried=mask_of(carried_columns(self.task.form, columns)), form=self.task.form.name)
        wanted = self.task.wanted
        taken: list[int] = []
        rows: list[str] = []
        rejects: list[str] = []
        reasons: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        # Each row is written at once: its values are dropped while the processor still has them at hand.
        for record in self.task.decoder.decode(page):
            made = self._mapper.parse(record)
            if wanted and not wanted.takes(record.position, key=made.source_id, row_hash=made.row_hash):
                continue
            if isinstance(made, PermitRow):
                if wanted and record.position in wanted.positions:
                    taken.append(record.position)
                rows.append(format_row(made, end))
                if made.notes:
                    notes.update(made.notes)
            else:
                rejects.append(format_reject(made, self.task.source))
                reasons[made.reason] += 1
        return Batch(
            rows="".join(rows).encode("utf-8", "replace"),
            rejects="".join(rejects).encode("utf-8", "replace"),
            read=len(rows) + len(rejects),
            reasons=dict(reasons),
            notes=dict(notes),
            taken=taken,
            resume=page.resume,
        )


class _Hand:
    """One worker process, and this end of its pipe."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_serve, args=(theirs, task), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Hand over a page."""
        with _explained():
            first, rows, resume = job.page
            self._pipe.send_bytes(marshal.dumps((first, list(rows), resume, job.columns)))

    def take(self) -> Batch:
        """Wait for the page that was handed over."""
        with _explained():
            made = self._pipe.recv()
        if isinstance(made, str):
            raise WorkerFailed(made)
        return Batch(*made)

    def close(self) -> None:
        """End the worker: its pipe ends, and it follows; one that hangs is ended."""
        self._pipe.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def _explained() -> Generator[None]:
    """Turn the end of a worker's pipe into a sentence."""
    try:
        yield
    except (EOFError, OSError):
        raise WorkerFailed("a worker process died") from None


def _serve(pipe: Connection, task: Task) -> None:
    """Map what comes until the pipe ends: that is a worker's life."""
    _with_signals_left_to_the_run()
    with suppress(EOFError, OSError):
        work = _begin(task)
        while True:
            *page, columns = marshal.loads(pipe.recv_bytes())  # noqa: S302 - from this run's own process
            pipe.send(work(Job(Page(*page), columns)))


def _begin(task: Task) -> Callable[[Job], tuple[object, ...] | str]:
    craft = Craft(task)

    def work(job: Job) -> tuple[object, ...] | str:
        try:
            return tuple(craft.work(job))
        except Exception as error:  # noqa: BLE001 - the run reports class and place, whatever it was
            return describe(error)

    return work


def _with_signals_left_to_the_run() -> None:
    """Ctrl-C reaches the whole group of processes; the run answers it, and its workers end with their pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
