"""Load permits of a city from files: ``python -m scripts.ingest --city austin --file F [--file G]``.

Progress is on standard error; the last line on standard output is the report, one JSON object. Exit status: 0 every row
is accounted for, 1 the source failed, 2 the run refused, 64 wrong usage, 70 the unforeseen, 75 another run holds the
lock.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.cities.city import find_city, list_cities
from app.database import find_database_url
from app.errors import DatabaseUnavailable, MisconfiguredError, NoSuchCity, UndervoltError
from app.ingest.run import Report, Tick, Watch, ingest_files, name_sources
from app.settings import read_settings
from app.telemetry import describe, set_up_logs

WRONG_USAGE = 64
LINE_EVERY_S = 5.0


class Parser(argparse.ArgumentParser):
    """An argument parser that ends wrong usage with the status that the contract names."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how it is used."""
        self.print_usage(sys.stderr)
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\n")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(prog="ingest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--city", required=True, help=f"a city file: {', '.join(list_cities())}")
    parser.add_argument(
        "--file", required=True, action="append", type=Path, help="CSV or JSON, gzipped or not; may be given again"
    )
    parser.add_argument(
        "--max-rejected",
        type=_count,
        help="refuse the run beyond this many rejected rows (default: a tenth, at least 100)",
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("not a number of rows")
    return int(text)


@contextmanager
def show_progress() -> Generator[Watch]:
    """Give a watch that draws a bar on a terminal, and writes a line now and then anywhere else."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines().write
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress).move


class Bars:
    """A bar for each file, by its bytes."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}
        self.began = time.monotonic()

    def move(self, tick: Tick) -> None:
        """Move the bar of the file that the run is in."""
        if tick.source not in self.tasks:
            self.tasks[tick.source] = self.progress.add_task(tick.source, total=tick.size, rate="")
        rate = f"{tick.rows:,} rows, {tick.rows / (time.monotonic() - self.began):,.0f} a second"
        self.progress.update(self.tasks[tick.source], completed=tick.bytes_read, rate=rate)


class Lines:
    """A line every few seconds, for logs."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def write(self, tick: Tick) -> None:
        """Write a line, unless the last one is fresh."""
        now = time.monotonic()
        if now - self.last >= LINE_EVERY_S:
            self.last = now
            print(f"{tick.source}: {tick.rows:,} rows, {now - self.began:.0f} s", file=sys.stderr)


def run(options: argparse.Namespace) -> Report:
    """Run, with progress on standard error, and say how it ended."""
    city = find_city(options.city)
    database_url = find_database_url(read_settings(os.environ))
    try:
        with show_progress() as watch:
            return ingest_files(database_url, city, options.file, max_rejected=options.max_rejected, watch=watch)
    except DatabaseUnavailable as error:
        return Report("error", None, city.name, ", ".join(name_sources(options.file)), detail=str(error))
    except UndervoltError:
        raise
    except Exception as error:  # noqa: BLE001 - the contract wants a report whatever happens
        return Report("error", None, city.name, ", ".join(name_sources(options.file)), detail=describe(error))


def tell(report: Report) -> None:
    """Tell people on standard error, and programs on standard output."""
    if report.detail:
        print(report.detail, file=sys.stderr)
    print(
        f"{report.city}: {report.status}; {report.read:,} rows read, {report.inserted:,} permits new,"
        f" {report.updated:,} changed, {report.unchanged:,} rows without news, {report.rejected:,} rejected,"
        f" in {report.seconds:.1f} s",
        file=sys.stderr,
    )
    print(json.dumps(asdict(report)))


def main(arguments: Sequence[str]) -> int:
    """Load files and give the exit status."""
    options = parse_arguments(arguments)
    try:
        report = run(options)
    except (MisconfiguredError, NoSuchCity) as error:
        print(f"ingest: {error}", file=sys.stderr)
        return WRONG_USAGE
    tell(report)
    return report.exit_status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    set_up_logs("WARNING")
    sys.exit(main(sys.argv[1:]))
