"""Load permits of a city: ``python -m scripts.ingest --city austin [--file F | --url U | --since DATE] [--full]``.

Without a file or URL the city's portal is read, from where the last run ended. Progress is on standard error; the last
line on standard output is the report, one JSON object. Exit status: 0 every row is accounted for, 1 the source failed,
2 the run refused, 64 wrong usage, 70 the unforeseen, 75 another run holds the lock.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import NoReturn

from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.cities.city import City, find_city, list_cities
from app.database import find_database_url
from app.errors import DatabaseUnavailable, MisconfiguredError, NoSuchCity, UndervoltError
from app.ingest.coverage import check_mapping
from app.ingest.order import Order
from app.ingest.recategorize import recategorize
from app.ingest.rejects import list_rejected
from app.ingest.report import IngestReport, Tick, Watch
from app.ingest.run import connect, ingest
from app.ingest.sources.base import Demand, Source, SourceFailed
from app.ingest.sources.files import find_sources
from app.ingest.sources.socrata import SocrataSource
from app.ingest.sources.url import UrlSource
from app.settings import read_settings
from app.telemetry.logs import describe, set_up_logs
from scripts.show_coverage import print_coverage

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
    parser = Parser(
        prog="ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--city", help=f"a city file: {', '.join(list_cities())}")
    whose.add_argument(
        "--check", type=Path, metavar="X.toml", help="show what a city file makes of --file; loads nothing"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--file",
        action="append",
        type=Path,
        help="CSV or JSON, gzipped or not, a directory of them, or - for standard input; may be given again",
    )
    source.add_argument("--url", help="an address of such a file")
    source.add_argument("--since", type=_day, metavar="DATE", help="of the portal, what was updated from this day on")
    parser.add_argument("--full", action="store_true", help="the source is the whole register: what it lacks is gone")
    parser.add_argument("--accept-drift", action="store_true", help="take a portal whose columns vanished or changed")
    parser.add_argument("--accept-shrinkage", action="store_true", help="take a source that lost far too many rows")
    parser.add_argument(
        "--max-rejected",
        type=_count,
        help="refuse the run beyond this many rejected rows (default: a tenth, at least 100)",
    )
    parser.add_argument("--workers", type=_count, help="processes that map rows (default: one a core)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--retry-rejected", action="store_true", help="take only what was rejected, after a fix")
    instead.add_argument("--list-rejected", action="store_true", help="list what was rejected and not taken since")
    instead.add_argument("--recategorize", action="store_true", help="read what is loaded by the present categories")
    options = parser.parse_args(arguments)
    if options.check and (not options.file or len(options.file) != 1):
        parser.error("--check needs one --file")
    return options


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("not a number of rows")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not a day such as 2026-11-23") from None


def find_order_sources(options: argparse.Namespace, city: City, environment: Mapping[str, str]) -> Sequence[Source]:
    """Give what is to be read: the files or the URL that were named, else the city's portal.

    Raises :class:`MisconfiguredError` where the city has none.
    """
    if options.file:
        return find_sources(options.file)
    if options.url:
        return [UrlSource(options.url)]
    if city.portal is None:
        raise MisconfiguredError(f"{city.name} has no portal in its city file: name a --file or a --url")
    token = environment.get(city.portal.token_env or "")
    return [SocrataSource(city.portal, token=SecretStr(token) if token else None)]


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
    """A bar for each source, by how much of it is read."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}
        self.began = time.monotonic()

    def move(self, tick: Tick) -> None:
        """Move the bar of the source that the run is in."""
        if tick.source not in self.tasks:
            self.tasks[tick.source] = self.progress.add_task(tick.source, total=tick.total, rate="")
        rate = f"{tick.rows:,} rows, {tick.rows / (time.monotonic() - self.began):,.0f} a second"
        self.progress.update(self.tasks[tick.source], completed=tick.done, total=tick.total, rate=rate)


class Lines:
    """A line every few seconds, for logs."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def write(self, tick: Tick) -> None:
        """Write a line, unless the last one is fresh."""
        now = time.monotonic()
        if now - self.last < LINE_EVERY_S:
            return
        self.last = now
        seconds = now - self.began
        share = f", {tick.done / tick.total:.0%} of it" if tick.total else ""
        line = f"{tick.source}: {tick.rows:,} rows, {tick.rows / seconds:,.0f} a second, {seconds:.0f} s{share}"
        print(line, file=sys.stderr)


def run(options: argparse.Namespace, city: City) -> IngestReport:
    """Run, with progress on standard error, and say how it ended."""
    database_url = find_database_url(read_settings(os.environ))
    try:
        with show_progress() as watch:
            if options.recategorize:
                return recategorize(database_url, city, watch=watch)
            return ingest(database_url, make_order(options, city), watch=watch)
    except DatabaseUnavailable as error:
        return IngestReport("error", None, city.name, "", detail=str(error))
    except SourceFailed as error:
        return IngestReport("failed", None, city.name, "", detail=str(error))
    except UndervoltError:
        raise
    except Exception as error:  # noqa: BLE001 - the contract wants a report whatever happens
        return IngestReport("error", None, city.name, "", detail=describe(error))


def make_order(options: argparse.Namespace, city: City) -> Order:
    """Give what the operator asks for."""
    demand = Demand(
        full=options.full,
        since=options.since,
        take_drift=options.accept_drift,
        take_shrinkage=options.accept_shrinkage,
    )
    return Order(
        city,
        find_order_sources(options, city, os.environ),
        demand,
        max_rejected=options.max_rejected,
        retry=options.retry_rejected,
        workers=options.workers,
    )


def tell(report: IngestReport) -> None:
    """Tell people on standard error, and programs on standard output."""
    if report.detail:
        print(report.detail, file=sys.stderr)
    table = Table(title=f"{report.city}: {report.status}", show_header=False)
    told = asdict(report)
    for name in ("read", "inserted", "updated", "unchanged", "rejected", "removed", "returned"):
        table.add_row(name, f"{told[name]:,}")
    for title, counts in (("rejected: ", report.reasons), ("left out: ", report.notes)):
        for reason, count in counts.items():
            table.add_row(title + reason.replace("_", " "), f"{count:,}")
    table.add_row("data through", report.data_through or "")
    table.add_row("seconds", f"{report.seconds:.1f}")
    Console(stderr=True).print(table)
    print(json.dumps(told))


def tell_rejected(city: City) -> None:
    """List the rejected records that no run has taken since, one JSON object a line."""
    with connect(find_database_url(read_settings(os.environ))) as database:
        for rejected in list_rejected(database, city.name):
            print(json.dumps(asdict(rejected)))


def main(arguments: Sequence[str]) -> int:
    """Do what is asked and give the exit status."""
    options = parse_arguments(arguments)
    try:
        if options.check:
            print_coverage(check_mapping(options.check, options.file[0]), Console())
            return 0
        city = find_city(options.city)
        if options.list_rejected:
            tell_rejected(city)
            return 0
        report = run(options, city)
    except (MisconfiguredError, NoSuchCity) as error:
        print(f"ingest: {error}", file=sys.stderr)
        return WRONG_USAGE
    except (SourceFailed, DatabaseUnavailable) as error:
        print(f"ingest: {error}", file=sys.stderr)
        return 1
    tell(report)
    return report.exit_status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    set_up_logs("WARNING")
    sys.exit(main(sys.argv[1:]))
