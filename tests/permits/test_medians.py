"""Medians of packed numbers are those of the standard library, however many there are and wherever they stand."""

import random
import statistics
import struct
from typing import Any

import pytest

from app.permits import medians
from app.permits.figures import CellQuery, Months
from app.permits.medians import PACKINGS, MedianName, Wanted, compute_medians

Row = tuple[int, bytes, bytes, bytes, bytes]


def pack(form: str, numbers: list[Any]) -> bytes:
    """Pack numbers as PostgreSQL sends them."""
    return b"".join(struct.pack(f">{form}", number) for number in numbers)


def draw_cells(chance: random.Random, *, days: bool) -> list[tuple[int, int, int, list[Any]]]:
    """Draw cells: words, place, month, and the numbers of each, none now and then."""
    draw = (lambda: chance.randint(-20, 400)) if days else (lambda: round(chance.lognormvariate(9, 2), 2))
    return [
        (words, chance.choice([3, 70_000, 5_000_000]), 12 * 2014 + chance.randrange(12), [draw() for _ in range(size)])
        for words in range(1, 9)
        for size in (0, 1, chance.randint(2, 30))
    ]


@pytest.mark.parametrize("name", ["value_usd_median", "days_to_issue_median"])
@pytest.mark.parametrize("tally_max", [0, medians.TALLY_MAX])
def test_medians_of_cells_are_those_of_the_numbers_in_them(
    name: MedianName, tally_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(medians, "TALLY_MAX", tally_max)
    cells = draw_cells(random.Random(name), days=name == "days_to_issue_median")
    form = "i" if name == "days_to_issue_median" else "d"
    rows = [
        (words, pack(form, numbers), pack("i", [len(numbers)]), pack("i", [place]), pack("h", [month]))
        for words, place, month, numbers in cells
    ]
    months = Months(12 * 2014 + 2, 12 * 2014 + 9)
    query = CellQuery(frozenset(), months)
    wanted = Wanted(query, PACKINGS[name], "place", lambda place: ("far", str(place)), frozenset({3, 5_000_000}))
    asked: dict[str, list[Any]] = {"3": [], "5000000": [], "far": []}
    for _, place, month, numbers in cells:
        if place in {3, 5_000_000} and months.first <= month <= months.last:  # type: ignore[operator]
            asked[str(place)] += numbers
            asked["far"] += numbers
    found = compute_medians(wanted, rows)
    assert found.groups == {key: pytest.approx(statistics.median(told)) for key, told in asked.items() if told}
    assert found.total == found.groups["far"]


def test_there_is_no_median_where_there_is_no_number() -> None:
    wanted = Wanted(
        CellQuery(frozenset(), Months(None, None)), PACKINGS["days_to_issue_median"], "words", lambda _: (None,)
    )
    assert compute_medians(wanted, []).total is None
    assert compute_medians(wanted, [(1, b"")]).groups == {}
