"""Categories are told as well as they are said to be; the labels are here, the texts that they are of are not."""

import csv

import pytest

from scripts.labelling.estimate import Cell, measure
from scripts.labelling.nets import MEASURED, REST, find_place
from scripts.labelling.population import DRAWS, POPULATIONS, draw, place_permits, read_population, stratify
from scripts.measure_categories import AUSTIN, LABELS, measure_all, read_labels, tell

AIM = 0.97


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_six_categories_are_told_with_precision_and_recall(population: str) -> None:
    if not AUSTIN.is_dir():
        pytest.skip("the real Austin rows are not beside this checkout")
    permits = read_population(AUSTIN, population)
    measures = measure_all(permits, read_labels(population), tell(permits))
    reached = {category: (found.precision.point, found.recall.point) for category, found in measures.items()}
    assert min(min(points) for points in reached.values()) >= AIM, reached


def test_what_was_labelled_is_what_the_draws_give() -> None:
    if not AUSTIN.is_dir():
        pytest.skip("the real Austin rows are not beside this checkout")
    permits = read_population(AUSTIN, "leads")
    drawn = {(name, number) for name, _, number in draw(stratify(place_permits(permits)), "leads")}
    assert drawn == {(label.draw, label.number) for label in read_labels("leads")}


def test_labels_hold_ids_and_marks_and_no_text() -> None:
    with LABELS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["id", "population", "draw", "stratum", *MEASURED]
    assert {row[category] for row in rows for category in MEASURED} == {"0", "1"}
    assert {row["draw"] for row in rows} == set(DRAWS)
    assert len({(row["population"], row["id"]) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("description", "classes", "stratum"),
    [
        ("Solar and Powerwall", "", "battery"),
        ("SOLAR ON BUNGALOW", "", "solar"),
        ("house", "R- 649 Demolition All Other", "demolition"),
        ("remove looms", "", "demolition around"),
        ("two looms", "", REST),
    ],
)
def test_a_permit_is_in_the_rarest_net_that_holds_it(description: str, classes: str, stratum: str) -> None:
    assert find_place(description, classes).stratum == stratum


def test_a_permit_is_in_every_net_that_holds_it() -> None:
    assert find_place("Solar and Powerwall, pool removed", "").nets == {"solar", "battery", "pool", "demolition"}


def test_what_was_labelled_whole_leaves_no_doubt() -> None:
    found = measure([Cell(told=True, in_net=True, size=10, labelled=10, found=9)])
    assert found.precision == (0.9, 0.9, 0.9)


def test_a_label_weighs_as_much_as_the_permits_that_it_stands_for() -> None:
    found = measure(
        [
            Cell(told=True, in_net=True, size=100, labelled=50, found=50),
            Cell(told=False, in_net=True, size=1000, labelled=100, found=2),
            Cell(told=False, in_net=True, size=10, labelled=10, found=5),
        ]
    )
    assert found.recall.point == pytest.approx(100 / (100 + 20 + 5))


def test_nothing_found_is_no_proof_of_nothing() -> None:
    found = measure([Cell(told=False, in_net=False, size=10_000, labelled=100)])
    assert found.elsewhere_found == 0
    # The rule of three would say 3 / n; Jeffreys' upper end for 0 of 100 is 2.5 %.
    assert found.elsewhere_max == pytest.approx(250, rel=0.1)
