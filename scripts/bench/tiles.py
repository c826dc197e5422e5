"""Vector tiles, cold and warm, beside the bare ``ST_AsMVT`` of all points with two attributes.

Cold is a tile's first answer of a service that was just started; warm is every one after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import asinh, floor, pi, radians, tan
from statistics import median
from typing import NamedTuple

from rich.table import Table

from scripts.bench import pgbench, wrk
from scripts.bench.bench import Bench
from scripts.bench.figures import centile, console, mark_beyond, show_loads, skip, take_turns, tell_goal, time_calls
from scripts.bench.places import Point

PATH = "/tiles/permits/{z}/{x}/{y}.mvt"
WHOLE_CITY_ZOOM = 10
ZOOMS = (12, 14, 16)
WARM_MOST_MS = {WHOLE_CITY_ZOOM: 50.0, **dict.fromkeys(ZOOMS, 30.0)}
COLD_MOST_MS = 250.0
CONNECTIONS = 4
LOADED = (12, 14)
"""Zooms at which the service is loaded beside the bare statement."""
BARE = """
SELECT ST_AsMVT(tile, 'permits', 4096, 'geom') FROM (
  SELECT permit_type_mapped, status_current_mapped,
    ST_AsMVTGeom(ST_Transform(location::geometry(Point,4326), 3857), ST_TileEnvelope(:z, :x, :y), 4096, 64) AS geom
  FROM permits
  WHERE location::geometry(Point,4326) && ST_Transform(ST_TileEnvelope(:z, :x, :y), 4326) AND removed_run IS NULL
) AS tile
"""


class Tile(NamedTuple):
    """The address of a tile."""

    z: int
    x: int
    y: int

    @property
    def path(self) -> str:
        """Where the service has it."""
        return PATH.format(z=self.z, x=self.x, y=self.y)


@dataclass(frozen=True)
class Times:
    """A zoom's milliseconds: each tile's first answer, all the later ones, and the bare statement's."""

    tiles: Sequence[Tile]
    cold: Sequence[float]
    warm: Sequence[float]
    bare: Sequence[float]
    largest: int
    """bytes"""


def measure(bench: Bench) -> None:
    """Measure every zoom, print them, and load the service beside the bare statement."""
    if not bench.service.offers(PATH):
        skip("tiles", f"the service has no {PATH}")
        return
    zooms = {zoom: time_zoom(bench, tiles) for zoom, tiles in choose_tiles(bench).items()}
    show(zooms)
    if not wrk.is_installed():
        skip("tiles under load", wrk.MISSING)
        return
    for zoom in LOADED:
        load_zoom(bench, zooms[zoom].tiles)


def choose_tiles(bench: Bench) -> dict[int, list[Tile]]:
    """Choose the tiles of the whole city, and at the deeper zooms the densest place's and those around it."""
    west, south, east, north = bench.places.find_box()
    first = find_tile(Point(lat=north, lng=west), WHOLE_CITY_ZOOM)
    last = find_tile(Point(lat=south, lng=east), WHOLE_CITY_ZOOM)
    whole = [Tile(WHOLE_CITY_ZOOM, x, y) for x in range(first.x, last.x + 1) for y in range(first.y, last.y + 1)]
    densest = bench.places.find_cell(densest=True)
    return {WHOLE_CITY_ZOOM: whole, **{zoom: list_around(find_tile(densest, zoom)) for zoom in ZOOMS}}


def find_tile(point: Point, zoom: int) -> Tile:
    """Find the tile that a point lies in (Web Mercator, XYZ)."""
    across = (point.lng + 180) / 360
    down = (1 - asinh(tan(radians(point.lat))) / pi) / 2
    return Tile(zoom, floor(across * 2**zoom), floor(down * 2**zoom))


def list_around(tile: Tile) -> list[Tile]:
    """Give a tile and its eight neighbours, itself first."""
    steps = sorted(((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)), key=lambda step: abs(step[0]) + abs(step[1]))
    return [Tile(tile.z, tile.x + x, tile.y + y) for x, y in steps]


def time_zoom(bench: Bench, tiles: Sequence[Tile]) -> Times:
    """Ask each tile for the first time, then again and again, and the database for the same without the service."""
    sizes = [0]

    def ask(tile: Tile) -> None:
        sizes.append(len(bench.service.get(tile.path).body))

    def ask_bare(tile: Tile) -> None:
        statement = BARE.replace(":z", "%(z)s").replace(":x", "%(x)s").replace(":y", "%(y)s")
        bench.connection.execute(statement.encode(), tile._asdict()).fetchone()

    cold = [time_calls(partial(ask, tile), first=0, measured=1)[0] for tile in tiles]
    executions = max(bench.effort.executions // 4, 1)
    warm = [ms for tile in tiles for ms in time_calls(partial(ask, tile), first=0, measured=executions)]
    bare = [time_calls(partial(ask_bare, tile), first=0, measured=1)[0] for tile in tiles]
    return Times(tiles, cold, warm, bare, max(sizes))


def show(zooms: dict[int, Times]) -> None:
    """Print a zoom a row, and say how many figures are beyond their bounds."""
    table = Table(
        "zoom",
        "tiles",
        "cold, median",
        "cold, longest",
        "warm, median",
        "warm, p99",
        "bare ST_AsMVT",
        "largest, bytes",
        title="tiles, one caller, ms",
        title_justify="left",
    )
    for zoom, times in zooms.items():
        cold = mark_beyond(max(times.cold), COLD_MOST_MS)
        warm = mark_beyond(median(times.warm), WARM_MOST_MS[zoom])
        table.add_row(
            str(zoom),
            str(len(times.tiles)),
            f"{median(times.cold):.1f}",
            cold,
            warm,
            f"{centile(times.warm, 99):.1f}",
            f"{median(times.bare):.1f}",
            f"{times.largest:,}",
        )
    console.print(table)
    met = all(
        max(times.cold) <= COLD_MOST_MS and median(times.warm) <= WARM_MOST_MS[zoom] for zoom, times in zooms.items()
    )
    city_ms, place_ms = WARM_MOST_MS[WHOLE_CITY_ZOOM], WARM_MOST_MS[ZOOMS[0]]
    tell_goal(met, f"warm at most {city_ms:g} ms at z10 and {place_ms:g} ms deeper, cold at most {COLD_MOST_MS:g} ms")


def load_zoom(bench: Bench, tiles: Sequence[Tile]) -> None:
    """Load the service with a zoom's tiles beside the bare statement, and print both."""
    zoom, seconds, bare = tiles[0].z, bench.effort.seconds, "bare ST_AsMVT"
    paths = [tile.path for tile in tiles]
    script = pgbench.write_script(BARE.strip(), [tile._asdict() for tile in tiles])
    cases = {
        bare: partial(pgbench.run, bench.url, script, bench.meter, clients=CONNECTIONS, seconds=seconds),
        "service, warm": partial(
            wrk.run, bench.service.base, paths, bench.meter, connections=CONNECTIONS, seconds=seconds
        ),
    }
    loads = take_turns(cases, rounds=1)
    show_loads(f"tiles of zoom {zoom}, {CONNECTIONS} connections", loads, against=bare)
