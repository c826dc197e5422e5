"""Make the sample register: synthetic building permits over Austin, Texas, in the columns of the city portal's API.

``python -m scripts.make_sample`` writes ``data/sample/permits.csv.gz``. The same rows and seed give the same rows on
every machine. They are made one project at a time, so memory does not grow with ``--rows``.
"""

import argparse
import csv
import gzip
import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import islice
from math import fsum
from pathlib import Path
from typing import TextIO

from scripts.sample.courses import EPOCH, to_weekday
from scripts.sample.dice import Dice, Wheel
from scripts.sample.dirt import Row, Soil
from scripts.sample.permits import HEADER, Register
from scripts.sample.words import FREEZE, FREEZE_WEIGHTS, KINDS, Kind

ROWS = 20_000
SEED = 20_261_031
OUT = Path("data/sample/permits.csv.gz")
ROWS_PER_COMPLEX = 60_000

MONTHS = tuple((year, month) for year in range(2012, 2027) for month in range(1, 13))[:-2]  # to October 2026

# How much is applied for: by year, by month, and what the spring of 2020 and the freeze of February 2021 did to it.
BY_YEAR = (0.72, 0.80, 0.87, 0.92, 0.96, 1.0, 1.05, 1.08, 1.10, 1.18, 1.22, 1.16, 1.15, 1.20, 1.24)
BY_MONTH = (0.90, 0.93, 1.09, 1.09, 1.06, 1.08, 1.02, 1.05, 1.0, 1.02, 0.88, 0.80)
SHOCKS = {(2020, 3): 0.80, (2020, 4): 0.52, (2020, 5): 0.60, (2020, 6): 0.76, (2020, 7): 0.85, (2020, 8): 0.90}
SHOCKS |= {(2021, 3): 1.25, (2021, 4): 1.10}
FROST_DAY = 15  # of February 2021, counted from 0: nobody repaired before


def make_rows(*, rows: int, seed: int) -> Iterator[Row]:
    """Yield exactly ``rows`` rows, by month of application, each with the columns of HEADER in their order."""
    return islice(_stream_rows(rows, Dice(seed)), rows)


def _stream_rows(rows: int, dice: Dice) -> Iterator[Row]:
    register = Register(dice, complexes=1 + rows // ROWS_PER_COMPLEX)
    soil = Soil(dice)
    made = 0
    for year, month, due in schedule(rows):
        kinds = weigh_kinds(year, month)
        while made < due:
            kind = kinds.spin(dice)
            for row in register.draw_project(kind, draw_day(dice, year, month, kind)):
                for soiled in soil.soil(row):
                    yield soiled
                    made += 1


def schedule(rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield each year and month with how many rows there are by its end."""
    weights = [BY_YEAR[year - 2012] * BY_MONTH[month - 1] * SHOCKS.get((year, month), 1.0) for year, month in MONTHS]
    total, so_far = fsum(weights), 0.0
    for (year, month), weight in zip(MONTHS, weights, strict=True):
        so_far += weight
        yield year, month, rows if (year, month) == MONTHS[-1] else int(rows * so_far / total)


def weigh_kinds(year: int, month: int) -> Wheel[Kind]:
    """Weigh the kinds of work for a month, straight between the years that their weights are given for."""
    share = (year + (month - 1) / 12 - 2012) / 7
    weighted = [(FREEZE, FREEZE_WEIGHTS.get((year, month), 0.0))]
    for kind in KINDS:
        early, middle, late = kind.weights
        weight = early + (middle - early) * share if share < 1 else middle + (late - middle) * (share - 1)
        weighted.append((kind, weight))
    return Wheel(weighted)


def draw_day(dice: Dice, year: int, month: int, kind: Kind) -> int:
    """Draw the day of an application in a month, as a count from EPOCH."""
    first = date(year, month, 1).toordinal() - EPOCH
    length = date(year + month // 12, month % 12 + 1, 1).toordinal() - EPOCH - first
    start = FROST_DAY if kind is FREEZE and month == 2 else 0
    return to_weekday(dice, first + start + dice.below(length - start))


def write_rows(out: TextIO, rows: Iterator[Row]) -> int:
    """Write rows as CSV with a header, and give how many there were."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    written = 0
    for row in rows:
        writer.writerow(row.values())
        written += 1
    return written


@contextmanager
def open_out(path: Path) -> Iterator[TextIO]:
    """Open a file that takes its name once it is whole; ``.gz`` is compressed, with no time or name inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as raw:
        if path.suffix == ".gz":
            with (
                gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
                io.TextIOWrapper(packed, "utf-8", newline="") as text,
            ):
                yield text
        else:
            with io.TextIOWrapper(raw, "utf-8", newline="") as text:
                yield text
    part.replace(path)


def main(arguments: list[str]) -> int:
    """Write the sample that the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog="make_sample", description="Make synthetic building permits over Austin, Texas."
    )
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows to write ({ROWS:,})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"what chance begins with ({SEED})")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the file to write ({OUT})")
    given = parser.parse_args(arguments)
    if given.rows < 1:
        parser.error("--rows must be 1 or more")
    began = time.monotonic()
    with open_out(given.out) as out:
        written = write_rows(out, make_rows(rows=given.rows, seed=given.seed))
    seconds = time.monotonic() - began
    print(f"{given.out}: {written:,} synthetic rows in {seconds:.1f} s, {written / seconds:,.0f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
