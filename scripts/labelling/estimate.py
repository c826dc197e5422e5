"""What labels of a stratified sample say about a whole population: precision and recall with their intervals.

How many permits of each stratum the rules tell of is known exactly, so strata are split by what was told, and only the
share of them that is true is estimated. What was labelled is counted as it is; for the rest of a cell with n labelled,
k of them true, the share is k / n for the point, and is drawn from Beta(k + 1/2, n - k + 1/2) (Jeffreys) for the
interval. So a cell that was labelled whole adds no doubt. The interval reaches from the 2.5th to the 97.5th of a
hundred sorted draws, and to the point where that lies outside of it: where nothing false was found.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DRAWN = 4_000
SEED = 7


class Estimate(NamedTuple):
    """A share with the interval that holds it with a probability of 95 %."""

    point: float
    low: float
    high: float


@dataclass
class Cell:
    """Permits of one stratum of which the rules tell the same; ``found`` of the ``labelled`` are of the category."""

    told: bool
    in_net: bool
    size: int = 0
    labelled: int = 0
    found: int = 0

    def guess(self, share: float) -> float:
        """Give how many of the cell are true, given the share among those that were not labelled."""
        return self.found + (self.size - self.labelled) * share


class Measure(NamedTuple):
    """How well one category is told; ``elsewhere_max`` may lie outside its net (the 97.5th of a hundred draws)."""

    precision: Estimate
    recall: Estimate
    told: int
    elsewhere_found: int
    elsewhere_labelled: int
    elsewhere_max: int


def measure(cells: Sequence[Cell]) -> Measure:
    """Estimate precision over all that was told, and recall over the category's own net."""
    told = [cell for cell in cells if cell.told]
    missed = [cell for cell in cells if not cell.told and cell.in_net]
    elsewhere = [cell for cell in cells if not cell.told and not cell.in_net]
    dice = random.Random(SEED)
    draws = [tuple(_throw(part, dice) for part in (told, missed, elsewhere)) for _ in range(DRAWN)]
    size = sum(cell.size for cell in told)
    true, lost = _add(told), _add(missed)
    return Measure(
        precision=_estimate(true / size if size else 1.0, [draw[0] / size if size else 1.0 for draw in draws]),
        recall=_estimate(_share(true, lost), [_share(draw[0], draw[1]) for draw in draws]),
        told=size,
        elsewhere_found=sum(cell.found for cell in elsewhere),
        elsewhere_labelled=sum(cell.labelled for cell in elsewhere),
        elsewhere_max=round(_at(sorted(draw[2] for draw in draws), 0.975)),
    )


def _add(cells: Sequence[Cell]) -> float:
    """Add up what is true; a cell of which nothing was labelled is taken to be like the others."""
    labelled = sum(cell.labelled for cell in cells)
    usual = sum(cell.found for cell in cells) / labelled if labelled else 0.0
    return sum(cell.guess(cell.found / cell.labelled if cell.labelled else usual) for cell in cells)


def _throw(cells: Sequence[Cell], dice: random.Random) -> float:
    """Add up what may be true, once."""
    labelled, found = sum(cell.labelled for cell in cells), sum(cell.found for cell in cells)
    usual = dice.betavariate(found + 0.5, labelled - found + 0.5)
    return sum(
        cell.guess(dice.betavariate(cell.found + 0.5, cell.labelled - cell.found + 0.5) if cell.labelled else usual)
        for cell in cells
    )


def _share(true: float, lost: float) -> float:
    return true / (true + lost) if true + lost else 1.0


def _estimate(point: float, draws: Iterable[float]) -> Estimate:
    ordered = sorted(draws)
    return Estimate(point, min(point, _at(ordered, 0.025)), max(point, _at(ordered, 0.975)))


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]
