"""Load a city's regions of one kind from GeoJSON: ``python -m scripts.load_regions --city austin --kind zip ... FILE``.

The files, gzipped or not, are together all regions of the kind: one that they do not tell is gone. Kinds ``zip`` and
``council_district`` tell a permit's ZIP and district where the city does not. What was found is on standard error; the
last line on standard output is the report, one JSON object. Exit status: 0 the regions are as the files tell them, 2 a
file was refused and nothing changed, 64 wrong usage, 70 the unforeseen, 75 another run holds the city's lock.
"""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from app.cities.city import City, find_city, list_cities
from app.database import find_database_url
from app.errors import DatabaseUnavailable, MisconfiguredError, NoSuchCity
from app.ingest.regions import RegionOrder, RegionReport, load_regions
from app.settings import read_settings
from app.telemetry.logs import describe, set_up_logs
from scripts.ingest import WRONG_USAGE, Parser

KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
TOLD_MAX = 200


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        prog="load_regions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--city", required=True, help=f"a city file: {', '.join(list_cities())}")
    parser.add_argument("--kind", required=True, type=_kind, help="zip, council_district, neighborhood ...")
    parser.add_argument("--name-property", required=True, type=_text, help="the property that names a region")
    parser.add_argument("--source", required=True, type=_text, help="who drew them, for callers to read")
    parser.add_argument("--vintage", required=True, type=_text, help="as of when they hold, e.g. 2022")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="GeoJSON, WGS 84, gzipped or not")
    return parser.parse_args(arguments)


def _kind(text: str) -> str:
    if not KIND.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "a kind is lower-case letters, digits and underscores, such as council_district"
        )
    return text


def _text(text: str) -> str:
    if not text.strip() or len(text) > TOLD_MAX or not text.isprintable():
        raise argparse.ArgumentTypeError(f"not a text of 1 to {TOLD_MAX} printable letters")
    return text.strip()


def run(options: argparse.Namespace, city: City) -> RegionReport:
    """Load them and say how it ended."""
    database_url = find_database_url(read_settings(os.environ))
    order = RegionOrder(
        city, options.kind, options.name_property, source=options.source, vintage=options.vintage, paths=options.files
    )
    try:
        return load_regions(database_url, order)
    except DatabaseUnavailable as error:
        return RegionReport("error", None, city.name, options.kind, detail=str(error))
    except KeyboardInterrupt:
        return RegionReport("error", None, city.name, options.kind, detail="interrupted")
    except Exception as error:  # noqa: BLE001 - the contract wants a report whatever happens
        return RegionReport("error", None, city.name, options.kind, detail=describe(error))


def tell(report: RegionReport) -> None:
    """Tell people on standard error, and programs on standard output."""
    notes = {"repaired": report.repaired, "united": report.united, "reaches beyond the city's box": report.beyond_box}
    for what, names in notes.items():
        for name in names:
            print(f"{what}: {name}", file=sys.stderr)
    if report.detail:
        print(report.detail, file=sys.stderr)
    print(
        f"{report.city}, {report.kind}: {report.status}; {report.regions:,} regions, {report.inserted:,} new,"
        f" {report.updated:,} changed, {report.removed:,} gone; {report.permits:,} permits lie elsewhere now;"
        f" {report.seconds:.1f} s",
        file=sys.stderr,
    )
    print(json.dumps(asdict(report)))


def main(arguments: Sequence[str]) -> int:
    """Do what is asked and give the exit status."""
    options = parse_arguments(arguments)
    try:
        report = run(options, find_city(options.city))
    except (MisconfiguredError, NoSuchCity) as error:
        print(f"load_regions: {error}", file=sys.stderr)
        return WRONG_USAGE
    tell(report)
    return report.exit_status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    set_up_logs("WARNING")
    sys.exit(main(sys.argv[1:]))
