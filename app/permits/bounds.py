"""A box and a span of days, as OGC API - Features and RFC 7946 write them, and the permits that lie inside."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, and_, func, or_

from app.permits.features import planar
from app.permits.tables import permits

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
# RFC 3339's date-time, or a day alone; GDAL 3.6 writes a day with a T and nothing behind it, and hours without minutes.
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt](\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?([Zz]|[+-]\d\d:\d\d)?)?")
OPEN = ("", "..")


@dataclass(frozen=True)
class Box:
    """A box in WGS 84 degrees; one whose west lies east of its east crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read west, south, east, north; of six numbers the third and sixth are heights, which no permit has.

        Raises :class:`ValueError` with a sentence for the caller.
        """
        parts = text.split(",")
        if len(parts) not in (4, 6) or not all(map(NUMBER.fullmatch, parts)):
            raise ValueError("must be four numbers: west,south,east,north (six with heights)")
        west, south, *_, east, north = numbers = [float(part) for part in parts]
        if len(numbers) == 6:
            west, south, _, east, north, _ = numbers
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
            raise ValueError("must lie within -180,-90,180,90, the south not beyond the north")
        return cls(west=west, south=south, east=east, north=north)

    def __str__(self) -> str:
        return ",".join(f"{number:.15g}" for number in (self.west, self.south, self.east, self.north))

    def holds(self) -> ColumnElement[bool]:
        """Lie in the box, its edges included; by the planar index, and with an estimate that the planner can use.

        Comparing coordinates with numbers has none: it took 6 s for a page of the whole city where this takes 10 ms.
        """
        point = planar(permits.c.location)
        return or_(*(func.ST_Intersects(point, envelope(self, west=west, east=east)) for west, east in self._spans()))

    def _spans(self) -> Iterator[tuple[float, float]]:
        if self.west <= self.east:
            yield self.west, self.east
        else:
            yield self.west, 180.0
            yield -180.0, self.east


def envelope(box: Box, *, west: float, east: float) -> ColumnElement[Any]:
    """Give the part of a box between two longitudes: a polygon, or the line or point that it shrank to."""
    corners = func.ST_MakeLine(func.ST_MakePoint(west, box.south), func.ST_MakePoint(east, box.north))
    return func.ST_Envelope(func.ST_SetSRID(corners, 4326))


@dataclass(frozen=True)
class Span:
    """Days from ``first`` to ``last``, both included; without one of them it is open there."""

    first: date | None
    last: date | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an instant or a day, or two of them with a slash, one of which may be ``..`` or nothing.

        A permit has days and no instants, so an instant means its day in UTC. Raises :class:`ValueError` with a
        sentence for the caller.
        """
        first, slash, last = text.partition("/")
        if not slash:
            return cls(first=read_day(text), last=read_day(text))
        if first in OPEN and last in OPEN:
            raise ValueError("must have a start or an end")
        span = cls(
            first=None if first in OPEN else read_day(first),
            last=None if last in OPEN else read_day(last),
        )
        if span.first and span.last and span.first > span.last:
            raise ValueError("must not end before it starts")
        return span

    def __str__(self) -> str:
        return f"{self.first or '..'}/{self.last or '..'}"

    def holds(self) -> ColumnElement[bool]:
        """Be issued on one of the days."""
        issued = permits.c.issued_date
        clauses = [issued >= self.first] if self.first else []
        return and_(*clauses, *([issued <= self.last] if self.last else []))


def read_day(text: str) -> date:
    """Read the day of a date or of an instant, in UTC. Raises :class:`ValueError` with a sentence for the caller."""
    if (parts := INSTANT.fullmatch(text)) is None:
        raise ValueError("must be a date-time such as 2024-02-29T12:00:00Z, a date, or an interval of two with a slash")
    day, time, zone = parts.groups()
    try:
        if time is None:
            return date.fromisoformat(day)
        return datetime.fromisoformat(f"{day}T{time}{(zone or 'Z').upper()}").astimezone(UTC).date()
    except (ValueError, OverflowError):
        raise ValueError("must name a day and a time that exist") from None
