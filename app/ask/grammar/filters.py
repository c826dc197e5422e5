"""From what narrows permits down in a question to a filter."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from app.ask.grammar.dates import Column, DateMention
from app.ask.grammar.mentions import Mention
from app.ask.grammar.money import Bounds
from app.permits.filters import WORDS_MAX, PermitFilter

Part = Mention | DateMention
Days = tuple[date | None, date | None]

FIELDS = ("category", "permit_type", "permit_class", "status", "work_class", "zip", "district", "region")
KIND_FIELDS = frozenset({"category", "permit_type", "permit_class", "status", "work_class"})
"""What a permit is, rather than where or when."""
COLUMNS: tuple[Column, ...] = ("issued", "applied")


def slot_of(part: Part) -> str:
    """Say what a part narrows: a field of the filter, or the day of issue or of application."""
    return part.column if isinstance(part, DateMention) else part.slot


def build_filter(parts: Iterable[Part], *, cities: Sequence[str], bounds: Bounds) -> tuple[PermitFilter, list[Part]]:
    """Build the filter, and give the dates that cannot hold together with the others."""
    parts = list(parts)
    slots: dict[str, Any] = {
        "city": tuple(dict.fromkeys(cities)),
        "min_value_usd": bounds[0],
        "max_value_usd": bounds[1],
    }
    for field in FIELDS:
        values = [value for part in parts if isinstance(part, Mention) and part.slot == field for value in part.values]
        slots[field] = tuple(dict.fromkeys(values))[:WORDS_MAX]
    unused: list[Part] = []
    for column in COLUMNS:
        days, rejected = _join_days([part for part in parts if isinstance(part, DateMention) and part.column == column])
        slots[f"{column}_from"], slots[f"{column}_to"] = days
        unused += rejected
    return PermitFilter(**slots), unused


def _join_days(mentions: list[DateMention]) -> tuple[Days, list[DateMention]]:
    """Join days that follow each other or bound each other, and reject those that do neither."""
    days: Days = (None, None)
    rejected = []
    for mention in sorted(mentions, key=lambda mention: mention.first or date.min):
        joined = _join(days, (mention.first, mention.last))
        if joined is None:
            rejected.append(mention)
        else:
            days = joined
    return days, rejected


def _join(days: Days, other: Days) -> Days | None:
    (first, last), (next_first, next_last) = days, other
    if days in {(None, None), other}:
        return other
    if (first is None and next_last is None) or (next_first is None and last is None):
        return _if_ordered(first or next_first, last or next_last)
    if None in {*days, *other} or not _follows(last, next_first):
        return None
    return first, next_last


def _if_ordered(first: date | None, last: date | None) -> Days | None:
    return (first, last) if first is None or last is None or first <= last else None


def _follows(last: date | None, first: date | None) -> bool:
    return last is not None and first == last + timedelta(days=1)
