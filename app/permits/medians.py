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
from app.permits.figures import PLACE_NAMES, CellQuery, move_clauses
from app.permits.tables import stats_blocks, stats_places, stats_words

Key = str | int | None
MedianName = Literal["value_usd_median", "days_to_issue_median"]
Label = Literal["words", "place", "month", "year"]
"""What tells which group a cell belongs to."""
KeysOf = Callable[[int], Sequence[Key]]
"""Gives the keys of the groups that a label belongs to."""
Column = NDArray[Any]
CENT = Decimal("0.01")
LABELS_MAX = 1 << 22
"""Labels below it are looked up in a table as long as the largest of them."""
TALLY_MAX = 1 << 22
"""Counts a tally may have: 32 MB."""


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


@dataclass(frozen=True)
class Runs:
    """Numbers in a row, of which so many each have a label: those of a cell, or of a whole block."""

    labels: Column
    sizes: Column
    numbers: Column

    def keep(self, kept: NDArray[np.bool_]) -> "Runs":
        """Give the runs that are marked."""
        numbers = self.numbers[np.repeat(kept, self.sizes)] if self.sizes[~kept].any() else self.numbers
        return Runs(self.labels[kept], self.sizes[kept], numbers)


def compute_medians(wanted: Wanted, rows: list[tuple[Any, ...]]) -> Medians:
    """Give the medians of the rows of blocks."""
    runs = read_runs(wanted, rows) if rows else None
    if runs is None or not runs.numbers.size:
        return Medians()
    sets, turns = _number_sets(wanted, runs.labels)
    keys: dict[Key, list[int]] = defaultdict(list)
    for turn, told in enumerate(sets):
        for key in told:
            keys[key].append(turn)
    is_narrow = runs.numbers.dtype.kind == "i" and int(np.ptp(runs.numbers)) * len(sets) < TALLY_MAX
    return (tally if is_narrow else sort_out)(Runs(turns, runs.sizes, runs.numbers), keys)


def read_runs(wanted: Wanted, rows: list[tuple[Any, ...]]) -> Runs:
    """Give the runs asked about: whole blocks, or single cells where a block has others too."""
    of_blocks, packed, *others = zip(*rows, strict=True)
    numbers = unpack(packed, wanted.packing.form)
    labels = np.array(of_blocks, dtype=np.int32)
    if not others:
        return Runs(labels, np.array([len(part) for part in packed]) // np.dtype(wanted.packing.form).itemsize, numbers)
    cells = {name: unpack(parts, FORMS[name]) for name, parts in zip(wanted.columns[1:], others, strict=True)}
    if wanted.label in {"place", "month"}:
        labels = cells[f"{wanted.label}s"].astype(np.int32)
    else:
        labels = np.repeat(labels, [len(part) // 4 for part in others[0]])
    return Runs(labels, cells[wanted.packing.counts], numbers).keep(_choose_cells(wanted, cells))


def _choose_cells(wanted: Wanted, cells: Mapping[str, Column]) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = cells[wanted.packing.counts] > 0
    months = wanted.query.months
    if "months" in cells and months.first is not None:
        kept &= cells["months"] >= months.first
    if "months" in cells and months.last is not None:
        kept &= cells["months"] <= months.last
    if wanted.places is not None:
        kept &= np.isin(cells["places"], np.array(sorted(wanted.places), dtype=np.int32))
    return kept


def _number_sets(wanted: Wanted, labels: Column) -> tuple[list[tuple[Key, ...]], Column]:
    """Give the sets of keys that labels stand for, once each, and for each label the place of its set among them."""
    if labels.max() >= LABELS_MAX:
        known, places = np.unique(labels, return_inverse=True)
    else:
        is_there = np.bincount(labels) > 0
        known, places = np.flatnonzero(is_there), labels
    sets: dict[tuple[Key, ...], int] = {}
    turns = [sets.setdefault(tuple(wanted.keys_of(label)), len(sets)) for label in known.tolist()]
    if places is not labels:
        return list(sets), np.array(turns)[places]
    table = np.zeros(labels.max() + 1, dtype=np.int64)
    table[known] = turns
    return list(sets), table[labels]


def tally(runs: Runs, keys: Mapping[Key, Sequence[int]]) -> Medians:
    """Give the medians of whole numbers that lie close together, by how often each is there under each label."""
    least, most = int(runs.numbers.min()), int(runs.numbers.max())
    span = most - least + 1
    codes = np.repeat(runs.labels * span - least, runs.sizes) + runs.numbers
    times = np.bincount(codes, minlength=span * (int(runs.labels.max()) + 1)).reshape(-1, span)
    groups = {key: least + _find_middle_of_tally(times[places].sum(axis=0)) for key, places in keys.items()}
    return Medians(least + _find_middle_of_tally(times.sum(axis=0)), groups)


def _find_middle_of_tally(times: Column) -> float:
    ends = np.cumsum(times)
    middle = np.searchsorted(ends, ((ends[-1] - 1) // 2, ends[-1] // 2), side="right")
    return float(middle.sum()) / 2


def sort_out(runs: Runs, keys: Mapping[Key, Sequence[int]]) -> Medians:
    """Give the medians of any numbers, those of one label brought together."""
    ends = np.cumsum(runs.sizes)
    # Whole numbers of 16 bits are sorted in two passes over them, others by comparing.
    order = np.argsort(runs.labels.astype(np.uint16) if runs.labels.max() < 1 << 16 else runs.labels, kind="stable")
    sizes = runs.sizes[order]
    bounds = np.cumsum(sizes)
    gathered = runs.numbers[np.repeat((ends - runs.sizes)[order] - (bounds - sizes), sizes) + np.arange(bounds[-1])]
    by_label = np.split(gathered, bounds[np.flatnonzero(np.diff(runs.labels[order]))])
    groups = {key: find_middle(np.concatenate([by_label[place] for place in places])) for key, places in keys.items()}
    return Medians(find_middle(gathered), groups)


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
