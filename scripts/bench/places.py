"""Where and for what is asked: origins and filter values, chosen from the register by rules that choose the same again.

Raw SQL: the limits are measured beside the service's own statements, so nothing here is built by its code.
"""

import random
from dataclasses import dataclass
from typing import Any

import psycopg

SPREAD_DEGREES = 0.003
"""How far from a permit an origin may lie: some 300 m."""
CELL_DEGREES = 0.01
SAMPLE_ROWS = 50_000
Filter = dict[str, str]


@dataclass(frozen=True)
class Point:
    """An origin in WGS 84 degrees."""

    lat: float
    lng: float

    def parameters(self, **more: object) -> dict[str, object]:
        """Give the point as a query says it, with what else is asked."""
        return {"lat": f"{self.lat:.6f}", "lng": f"{self.lng:.6f}", **more}


class Places:
    """What is asked for, of the cities that answer."""

    def __init__(self, connection: psycopg.Connection[Any], cities: tuple[str, ...]) -> None:
        self.connection = connection
        self.cities = list(cities)

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask about the permits that answer, as ``answering``."""
        answering = "WITH answering AS (SELECT * FROM permits WHERE city = ANY(%s) AND removed_run IS NULL) "
        return self.connection.execute((answering + statement).encode(), [self.cities, *values]).fetchall()

    def draw_points(self, count: int) -> list[Point]:
        """Draw origins among the permits, moved a little, the same ones each time: where permits are, callers look."""
        rows = self.ask(
            "SELECT ST_Y(location::geometry), ST_X(location::geometry) FROM answering"
            " WHERE location IS NOT NULL ORDER BY md5(source_id) LIMIT %s",
            count,
        )
        chance = random.Random(count)
        moved = [
            (lat + chance.uniform(-1, 1) * SPREAD_DEGREES, lng + chance.uniform(-1, 1) * SPREAD_DEGREES)
            for lat, lng in rows
        ]
        return [Point(lat=round(lat, 6), lng=round(lng, 6)) for lat, lng in moved]

    def find_cell(self, *, densest: bool) -> Point:
        """Give the middle of the cell of 0.01 degrees with the most permits, or with the fewest but one at all."""
        cells = self.ask(
            "SELECT count(*), floor(ST_Y(location::geometry) / %s), floor(ST_X(location::geometry) / %s)"
            " FROM answering WHERE location IS NOT NULL GROUP BY 2, 3",
            CELL_DEGREES,
            CELL_DEGREES,
        )
        _, row, column = max(cells) if densest else min(cells)
        return Point(lat=round((row + 0.5) * CELL_DEGREES, 6), lng=round((column + 0.5) * CELL_DEGREES, 6))

    def find_box(self) -> tuple[float, float, float, float]:
        """Give west, south, east and north of the located permits, one in a thousand at each side left out."""
        rows = self.ask(
            "SELECT percentile_disc(ARRAY[0.001, 0.999]) WITHIN GROUP (ORDER BY ST_X(location::geometry)),"
            " percentile_disc(ARRAY[0.001, 0.999]) WITHIN GROUP (ORDER BY ST_Y(location::geometry))"
            " FROM answering WHERE location IS NOT NULL"
        )
        (west, east), (south, north) = rows[0]
        return west, south, east, north

    def choose_filters(self) -> dict[str, Filter]:
        """Choose filters from the common to the rare, by name; none first."""
        categories = self.count("unnest(categories)")
        statuses = self.count("status_current")
        rare = self.ask(
            "SELECT unnest(categories), extract(year FROM issued_date)::int, count(*) FROM answering"
            " WHERE issued_date IS NOT NULL GROUP BY 1, 2 ORDER BY 3, 1, 2 LIMIT 1"
        )[0]
        year = self.find_year()
        words = self.count_words()
        common, middling, rarest = categories[0], categories[len(categories) // 2], categories[-1]
        zip_code, common_word = self.count("original_zip")[0], words[0]
        return {
            "none": {},
            f"category {common}, the most common": {"category": common},
            f"category {middling}, middling": {"category": middling},
            f"category {rarest}, the rarest": {"category": rarest},
            f"category {middling} in {year}": {"category": middling, **in_year(year)},
            f"category {rare[0]} in {rare[1]}, the rarest pair": {"category": rare[0], **in_year(rare[1])},
            f"status {statuses[-1]}, the rarest": {"status": statuses[-1]},
            f"text {common_word}, common": {"q": common_word},
            f"text {words[-1]}, rare": {"q": words[-1]},
            f"zip {zip_code}, the most common": {"zip": zip_code},
            "over a million dollars": {"min_value_usd": "1000000"},
            "all together": {
                "category": common,
                "status": statuses[0],
                "zip": zip_code,
                "q": common_word,
                "min_value_usd": "1000",
                **in_year(year),
            },
        }

    def find_year(self) -> int:
        """Give the year of issue with the most permits."""
        return int(self.count("extract(year FROM issued_date)::int")[0])

    def count(self, expression: str) -> list[Any]:
        """Give the values of an expression, the most common first."""
        told = f"SELECT value FROM (SELECT {expression} AS value FROM answering) AS told"  # noqa: S608 - the bench's own
        rows = self.ask(told + " WHERE value IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1")
        return [row[0] for row in rows]

    def count_words(self) -> list[str]:
        """Give the plain words of a sample of descriptions, the most common first."""
        share = min(100.0, 100 * SAMPLE_ROWS / self.ask("SELECT count(*) FROM answering")[0][0])
        rows = self.connection.execute(
            "SELECT word FROM permits TABLESAMPLE SYSTEM (%s) REPEATABLE (1),"
            " LATERAL regexp_split_to_table(lower(description), '[^a-z]+') AS word"
            " WHERE city = ANY(%s) AND length(word) > 4 GROUP BY 1 ORDER BY count(*) DESC, 1",
            [share, self.cities],
        ).fetchall()
        return [str(row[0]) for row in rows]


def in_year(year: int) -> Filter:
    """Give the filter of a year of issue."""
    return {"issued_from": f"{year}-01-01", "issued_to": f"{year}-12-31"}
