"""The Web Mercator grid (EPSG:3857, XYZ tiles): which square of which level a point lies in, and its degrees.

Level n has 2^n squares a side, counted from the antimeridian eastwards and from the north; a tile is a square of the
level that is its zoom. The database places a point once, at the finest level, and every coarser square follows from it
by halving: so each point lies in exactly one square of every level, whatever is rounded.
"""

import math
from typing import NamedTuple

from app.errors import NoSuchTile

LEVEL_FINEST = 30
"""That of ``mercator_x`` and ``mercator_y`` in the database: four centimetres, and the last that four bytes hold."""
LEVEL_CELLS_MAX = 20
"""The finest that cells are counted at, 38 m at the equator; most of 21 and 22 would hold an address each."""
CELLS_SIDE_BITS = 6
"""A tile has 64 by 64 cells, eight pixels each where it is shown at 512; at zoom 15 and 16 it has fewer."""
SAMPLED_SIDE_BITS = 4
"""A tile has 16 by 16 cells where they are estimated: each of a dense one has some hundred sampled permits."""
ZOOM_MAX = 16
"""Beyond it a map enlarges the tiles of this zoom, whose points are exact to 15 cm."""
LATITUDE_MAX = 85.051_128_779_806_6
"""The north edge of the grid; what lies beyond it is counted at the edge."""


class Tile(NamedTuple):
    """A tile by zoom, column and row."""

    z: int
    x: int
    y: int

    @property
    def side(self) -> int:
        """How many tiles its zoom has a side."""
        return 1 << self.z

    @property
    def cell_level(self) -> int:
        """The level of the cells that it shows where it holds too many points."""
        return min(self.z + CELLS_SIDE_BITS, LEVEL_CELLS_MAX)

    @property
    def sampled_level(self) -> int:
        """The level of the cells that it shows where they have to be estimated."""
        return self.z + SAMPLED_SIDE_BITS


def find_tile(z: int, x: int, y: int) -> Tile:
    """Give a tile. Raises :class:`NoSuchTile` where the grid has none of these numbers."""
    if not 0 <= z <= ZOOM_MAX:
        raise NoSuchTile(f"tiles are made for zoom 0 to {ZOOM_MAX}")
    if not (0 <= x < 1 << z and 0 <= y < 1 << z):
        raise NoSuchTile(f"at zoom {z} columns and rows are numbered from 0 to {(1 << z) - 1}")
    return Tile(z, x, y)


def west_of(x: int, level: int) -> float:
    """Give the longitude of a column's west edge, in degrees."""
    return x / (1 << level) * 360 - 180


def north_of(y: int, level: int) -> float:
    """Give the latitude of a row's north edge, in degrees."""
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / (1 << level)))))
