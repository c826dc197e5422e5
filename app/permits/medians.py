"""Medians from blocks: every cost, or wait, of the cells asked about, sorted out by group without a row for each.

A block is of the cells of the same words and year; what cells hold one by one is packed in it, and is sent as it is
stored. Nothing is sampled, and nothing estimated.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import DIALECT, TOO_SLOW, UNAVAILABLE
from app.errors import DatabaseUnavailable, TooSlow
from app.permits.features import AnySelect
from app.permits.figures import PLACE_NAMES, CellQuery, Months, move_clauses
from app.permits.tables import stats_blocks, stats_places, stats_words

Key = str | int | None
MedianName = Literal["value_usd_median", "days_to_issue_median"]
Label = Literal["words", "place", "month", "year"]
"""What tells which group a cell belongs to."""
KeysOf = Callable[[int], Sequence[Key]]
"""Gives the keys of the groups that a label belongs to."""
Column = NDArray[Any]
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Packing:
    """How the numbers of a measure stand in a block, and which column says how many are of each cell."""

    numbers: str
    counts: str
    form: str


PACKINGS: dict[MedianName, Packing] = {
    "value_usd_median": Packing("values_usd", "priced", ">f8"),
    "days_to_issue_median": Packing("days", "timed", ">i4"),
}
FORMS = {"priced": ">i4", "timed": ">i4", "places": ">i4", "months": ">i2"}


@dataclass(frozen=True)
class Wanted:
    """Which numbers of which blocks, and to which groups they belong; ``places`` are None where every one is meant."""

    query: CellQuery
    packing: Packing
    label: Label
    keys_of: KeysOf
    places: frozenset[int] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns to read: those about single cells only where blocks are not wanted whole."""
        told = ["places"] if self.label == "place" or self.places is not None else []
        told += ["months"] if self.label == "month" or not self.query.months.are_whole_years else []
        return [self.packing.numbers, *([self.packing.counts, *told] if told else [])]


def select_blocks(wanted: Wanted) -> AnySelect:
    """Select the label, or else the words, of each block, and its columns."""
    label = stats_blocks.c.year if wanted.label == "year" else stats_blocks.c.words
    words = select(stats_words.c.words).where(*move_clauses(stats_words, wanted.query.names - PLACE_NAMES))
    return select(label, *(stats_blocks.c[name] for name in wanted.columns)).where(
        stats_blocks.c.words.in_(words),
        stats_blocks.c[wanted.packing.numbers].is_not(None),
        *wanted.query.months.clause_of_years(stats_blocks.c.year),
    )


def select_places(names: frozenset[str]) -> AnySelect:
    """Select the places that a filter asks about."""
    of_city = names & {"city", "cities"}
    return select(stats_places.c.place).where(*move_clauses(stats_places, names & PLACE_NAMES | of_city))


@dataclass(frozen=True)
class Medians:
    """The median of all numbers together, None where there is none, and of each key of which there is a number."""

    total: float | None = None
    groups: Mapping[Key, float] = field(default_factory=dict)


async def find_medians(session: AsyncSession, wanted: Wanted, values: Mapping[str, Any]) -> Medians:
    """Find the medians of a query whose values are bound.

    Raises :class:`DatabaseUnavailable`, and :class:`TooSlow` where the blocks took too long to read.
    """
    rows = await read_packed(session, select_blocks(wanted).params(dict(values)))
    # Sorting lets other threads go on: the loop is not kept waiting by it.
    return await asyncio.to_thread(compute_medians, wanted, rows)


async def read_packed(session: AsyncSession, statement: AnySelect) -> list[tuple[Any, ...]]:
    """Read rows on the session's snapshot as binary: as text, bytes are twice as many."""
    connection = await (await session.connection()).get_raw_connection()
    compiled = statement.compile(dialect=DIALECT)
    try:
        async with connection.driver_connection.cursor(binary=True) as cursor:  # type: ignore[union-attr]
            await cursor.execute(str(compiled), compiled.params)
            rows: list[tuple[Any, ...]] = await cursor.fetchall()
    except psycopg.errors.QueryCanceled as error:
        raise TooSlow(TOO_SLOW) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(UNAVAILABLE) from error
    return rows


def compute_medians(wanted: Wanted, rows: list[tuple[Any, ...]]) -> Medians:
    """Give the medians of the rows of blocks."""
    if not rows:
        return Medians()
    split = split_cells if len(wanted.columns) > 1 else split_blocks
    by_label = list(split(wanted, rows))
    by_key: dict[Key, list[Column]] = defaultdict(list)
    for label, numbers in by_label:
        for key in wanted.keys_of(label):
            by_key[key].append(numbers)
    groups = {key: find_middle(np.concatenate(parts)) for key, parts in by_key.items()}
    total = find_middle(np.concatenate([numbers for _, numbers in by_label])) if by_label else None
    return Medians(total, groups)


def split_blocks(wanted: Wanted, rows: list[tuple[Any, ...]]) -> Iterable[tuple[int, Column]]:
    """Give the numbers of whole blocks by their label."""
    by_label: dict[int, list[bytes]] = {}
    for label, numbers in rows:
        by_label.setdefault(label, []).append(numbers)
    return [(label, unpack(parts, wanted.packing.form)) for label, parts in by_label.items()]


def split_cells(wanted: Wanted, rows: list[tuple[Any, ...]]) -> Iterable[tuple[int, Column]]:
    """Give the numbers of the cells asked about by the label of their cells."""
    of_blocks, numbers, *packed = zip(*rows, strict=True)
    names = wanted.columns[1:]
    cells = {name: unpack(parts, FORMS[name]) for name, parts in zip(names, packed, strict=True)}
    counts = cells[wanted.packing.counts]
    if wanted.label in {"place", "month"}:
        labels = cells[f"{wanted.label}s"]
    else:
        sizes = [len(part) // 4 for part in packed[0]]
        labels = np.repeat(np.array(of_blocks, dtype=np.int32), sizes)
    kept = _choose_cells(wanted, cells, counts)
    return _gather(unpack(numbers, wanted.packing.form), counts, labels, kept) if kept.any() else []


def _choose_cells(wanted: Wanted, cells: Mapping[str, Column], counts: Column) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = counts > 0
    months: Months = wanted.query.months
    if "months" in cells and months.first is not None:
        kept &= cells["months"] >= months.first
    if "months" in cells and months.last is not None:
        kept &= cells["months"] <= months.last
    if wanted.places is not None:
        kept &= np.isin(cells["places"], np.array(sorted(wanted.places), dtype=np.int32))
    return kept


def _gather(numbers: Column, counts: Column, labels: Column, kept: NDArray[np.bool_]) -> Iterable[tuple[int, Column]]:
    """Bring the numbers of cells of one label together."""
    chosen, sizes, starts = labels[kept], counts[kept], (np.cumsum(counts) - counts)[kept]
    # Whole numbers of 16 bits are sorted in two passes over them, others by comparing.
    order = np.argsort(chosen.astype(np.uint16) if chosen.max() < 1 << 16 else chosen, kind="stable")
    chosen, sizes, starts = chosen[order], sizes[order], starts[order]
    ends = np.cumsum(sizes)
    gathered = numbers[np.repeat(starts - (ends - sizes), sizes) + np.arange(ends[-1])]
    turns = np.flatnonzero(np.diff(chosen)) + 1
    return zip(chosen[[0, *turns]].tolist(), np.split(gathered, ends[turns - 1]), strict=True)


def unpack(parts: Iterable[bytes | None], form: str) -> Column:
    """Give packed numbers one after another, in the machine's own order of bytes."""
    numbers = np.frombuffer(b"".join(part for part in parts if part), dtype=form)
    return numbers.astype(numbers.dtype.newbyteorder("="))


def find_middle(numbers: Column) -> float:
    """Give the median, midway between the two middle ones of an even number; the numbers are put in another order."""
    half = numbers.size // 2
    numbers.partition(half)
    high = float(numbers[half])
    return high if numbers.size % 2 else (float(numbers[:half].max()) + high) / 2


def round_money(value: Decimal) -> Decimal:
    """Round to the cent as PostgreSQL does, half a cent away from zero."""
    return value.quantize(CENT, ROUND_HALF_UP)
