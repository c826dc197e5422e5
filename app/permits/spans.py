"""A span of days, as OGC API - Features writes it: an instant or an interval, open at one end or not."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

# RFC 3339's date-time, or a day alone; GDAL 3.6 may write a day with a T and nothing behind it, or hours alone.
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt](\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
OPEN = ("", "..")


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

    def narrow(self, *, first: date | None, last: date | None) -> Self:
        """Give the days that lie in another span too; they may be none, and then it ends before it starts."""
        firsts = [day for day in (self.first, first) if day]
        lasts = [day for day in (self.last, last) if day]
        return type(self)(first=max(firsts, default=None), last=min(lasts, default=None))


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
