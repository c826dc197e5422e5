"""Chance that falls the same on every Python and every machine.

Only ``random.Random(seed).random()``, whose stream the language fixes, and arithmetic that IEEE 754 fixes: no sine,
logarithm or power of the platform's own library, whose last digits differ.
"""

import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")

BELL_SCALE = 1.7320508075688772  # the root of 3: the sum of four uniform numbers has a variance of a third


class Dice:
    """One stream of chance."""

    def __init__(self, seed: int) -> None:
        self.roll = random.Random(seed).random

    def chance(self, share: float) -> bool:
        """Come true in ``share`` of the cases."""
        return self.roll() < share

    def below(self, limit: int) -> int:
        """Give a whole number from 0 to ``limit`` - 1."""
        return int(self.roll() * limit)

    def pick(self, things: Sequence[T]) -> T:
        """Give one of ``things``, each as likely."""
        return things[int(self.roll() * len(things))]

    def bell(self) -> float:
        """Give a number with mean 0 and deviation 1, bell-shaped, never beyond 3.47."""
        roll = self.roll
        return (roll() + roll() + roll() + roll() - 2.0) * BELL_SCALE

    def around(self, median: float, spread: float) -> float:
        """Give a log-normal number; ``spread`` is the deviation of its natural logarithm."""
        return median * exponential(spread * self.bell())


class Wheel(Generic[T]):
    """Things with weights: the heavier, the oftener drawn."""

    def __init__(self, weighted: Iterable[tuple[T, float]]) -> None:
        pairs = [(thing, weight) for thing, weight in weighted if weight > 0]
        self.things = [thing for thing, _ in pairs]
        self.bounds = list(accumulate(weight for _, weight in pairs))

    def spin(self, dice: Dice) -> T:
        """Draw one thing."""
        return self.things[bisect_right(self.bounds, dice.roll() * self.bounds[-1], hi=len(self.things) - 1)]


def exponential(power: float) -> float:
    """Give e to ``power`` by ten squarings, within half a percent from -3 to 3."""
    value = 1.0 + power / 1024.0
    for _ in range(10):
        value *= value
    return value
