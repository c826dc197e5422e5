"""Measures the service beside its limits, in one run on one machine.

``python -m scripts.bench [near] [cached] [worst] [stats] [tiles] [ask] [voice]``, all where none is named, on 2.34
million synthetic permits that are made once and kept. near: under load, beside pgbench with the same random points;
cached: 304 answers beside full ones; worst, stats and tiles: one caller, beside what is promised; ask: to its first
event; voice: the first chunk through the router beside a call of the same server without it. The service is started
for the purpose and stopped again.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import psycopg

from app.database import find_database_url
from app.errors import UndervoltError
from app.settings import read_settings
from scripts.bench import ask, cached, near, stats, tiles, voice, worst
from scripts.bench.bench import Bench, Effort
from scripts.bench.cpu import find_busy_share
from scripts.bench.figures import console
from scripts.bench.register import ROWS, ensure_register
from scripts.bench.service import serve

CASES: dict[str, Callable[[Bench], None]] = {
    "near": near.measure,
    "cached": cached.measure,
    "worst": worst.measure,
    "stats": stats.measure,
    "tiles": tiles.measure,
    "ask": ask.measure,
}
VOICE = "voice"
WATCHED_S = 2.0
BUSY_SHARE = 0.05


def main() -> int:
    """Run the command line."""
    given = parse_arguments()
    if VOICE in given.what:
        asyncio.run(voice.show(given.requests))
    chosen = [name for name in CASES if name in given.what]
    if not chosen:
        return 0
    try:
        url = find_database_url(read_settings(os.environ))
        if not given.as_is:
            url = ensure_register(url, rows=given.rows, fresh=given.fresh, say=console.print)
        measure(url, chosen, read_effort(given))
    except (UndervoltError, OSError, psycopg.Error, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*CASES, VOICE]
    parser.add_argument("what", nargs="*", type=check_case, default=names, help=", ".join(names))
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the synthetic register ({ROWS:,})")
    parser.add_argument("--fresh", action="store_true", help="make the synthetic register anew")
    parser.add_argument("--as-is", action="store_true", help="measure the service's own database as it is instead")
    parser.add_argument("--seconds", type=int, default=10, help="of one run of a load tool (10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each load takes its turn (3)")
    parser.add_argument("--executions", type=int, default=40, help="of one question by one caller (40)")
    parser.add_argument("--requests", type=int, default=500, help="questions to /ask and to a voice (500)")
    parser.add_argument("--points", type=int, default=1000, help="random origins (1,000)")
    parser.add_argument("--explain", action="store_true", help="print the plan of the slowest of the worst cases")
    return parser.parse_args()


def check_case(name: str) -> str:
    """Give the name of a measurement; argparse's own choices refuse a default list before Python 3.12."""
    if name not in {*CASES, VOICE}:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join([*CASES, VOICE])}")
    return name


def read_effort(given: argparse.Namespace) -> Effort:
    """Give how long is measured."""
    return Effort(given.seconds, given.rounds, given.executions, given.points, given.requests, given.explain)


def measure(url: str, chosen: list[str], effort: Effort) -> None:
    """Run the chosen measurements on a service that is started for each, so that none finds another's memory warm."""
    for name in chosen:
        warn_of_others()
        with serve(url) as service, psycopg.connect(url, autocommit=True) as connection:
            CASES[name](Bench(url, service, connection, effort))


def warn_of_others() -> None:
    """Say so where this machine is not idle before a measurement."""
    share = find_busy_share(WATCHED_S)
    if share > BUSY_SHARE:
        console.print(f"[yellow]others use {share:.0%} of this machine's CPU: these figures are noisy[/yellow]")


if __name__ == "__main__":
    sys.exit(main())
