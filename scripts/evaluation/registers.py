"""A register to ask: made by the project's own ingest in a scratch database that is dropped at the end, or as it is."""

import json
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from scripts.bench.register import migrate, rename_database, run
from scripts.sample.places import NEIGHBOURHOODS
from scripts.sample.streets import METRES_EAST, METRES_NORTH

SAMPLE = Path("data/sample/permits.csv.gz")
SCRATCH = "undervolt_eval"
REGIONS = (
    ("neighborhood", "name", "neighborhoods_common_names.geojson"),
    ("council_district", "district_number", "council_districts.geojson"),
    ("zip", "ZCTA5CE10", "zip_codes.geojson.gz"),
)
"""Of a folder of real regions: the kind, the property that names one, and the file."""
Say = Callable[[str], None]


@contextmanager
def make_register(
    server_url: str, city: str, *, files: Sequence[Path], regions: Path | None, say: Say
) -> Generator[str]:
    """Give the URL of a scratch database with a city's permits and regions, and drop it afterwards.

    Raises :class:`subprocess.CalledProcessError` where a step fails, its output shown.
    """
    database = sql.Identifier(SCRATCH)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        try:
            url = rename_database(server_url, SCRATCH)
            load(url, city, files=files, regions=regions, say=say)
            yield url
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def load(url: str, city: str, *, files: Sequence[Path], regions: Path | None, say: Say) -> None:
    """Bring a database to the newest migration, and load permits and regions into it."""
    if not migrate(url):
        raise OSError("the scratch database could not be brought to the newest migration")
    say(f"loading the permits of {city}")
    chosen = [part for file in files or [SAMPLE] for part in ("--file", str(file))]
    run(url, "scripts.ingest", "--city", city, *chosen)
    with tempfile.TemporaryDirectory(prefix="undervolt-eval-") as folder:
        for kind, name, file in find_regions(Path(folder), regions):
            say(f"loading the regions of kind {kind}")
            whose = ("--source", "evaluation", "--vintage", "as found")
            run(url, "scripts.load_regions", "--city", city, "--kind", kind, "--name-property", name, *whose, str(file))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def find_regions(folder: Path, given: Path | None) -> list[tuple[str, str, Path]]:
    """Give kind, naming property and file of the regions to load: those of a folder, or squares made up for the sample.

    Raises :class:`FileNotFoundError` for a folder that has none.
    """
    if given is None:
        squares = folder / "neighborhoods.geojson"
        squares.write_text(json.dumps({"type": "FeatureCollection", "features": [*map(draw_square, NEIGHBOURHOODS)]}))
        return [("neighborhood", "name", squares)]
    found = [(kind, name, given / file) for kind, name, file in REGIONS if (given / file).is_file()]
    if not found:
        raise FileNotFoundError(f"no file of regions that is known here lies in {given}")
    return found


def draw_square(area: Any) -> dict[str, Any]:  # noqa: ANN401 - a neighbourhood of the sample
    """Draw a square around the middle of one of the sample's neighbourhoods, as wide as its streets lie."""
    north, east = area.spread_m / METRES_NORTH, area.spread_m / METRES_EAST
    west, south = area.lng - east, area.lat - north
    ring = [[west, south], [west + 2 * east, south], [west + 2 * east, south + 2 * north], [west, south + 2 * north]]
    return {
        "type": "Feature",
        "properties": {"name": area.name.removeprefix("THE ").title()},
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }
