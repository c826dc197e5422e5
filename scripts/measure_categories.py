"""How well categories are told: labels made by reading, joined with the real permits, which are not kept here.

``python -m scripts.measure_categories`` prints precision and recall by category and population, how each draw of labels
is told, and each permit that is told wrongly, by its number. ``... draw`` prints the permits that are to be read and
labelled, without what the rules say of them. How the labels came to be stands in ``data/labels/README.md``.
"""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app.ingest.categories import categorize
from app.permits.words import CATEGORIES_VERSION, Category
from scripts.labelling.estimate import Cell, Estimate, Measure, measure
from scripts.labelling.nets import MEASURED, Place
from scripts.labelling.population import DRAWS, POPULATIONS, Permits, draw, place_permits, read_population, stratify

ROOT = Path(__file__).parent.parent
LABELS = ROOT / "data/labels/categories.csv"
AUSTIN = ROOT.parent / "shared/data/permits/austin"

Told = Mapping[str, frozenset[Category]]


class Label(NamedTuple):
    """What a reader found a permit to be about."""

    number: str
    draw: str
    categories: frozenset[Category]


def main() -> int:
    """Run the command line; 0 where something was measured or printed."""
    parser = argparse.ArgumentParser(
        prog="measure_categories", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["measure", "draw"], default="measure")
    parser.add_argument("--austin", type=Path, default=AUSTIN, help="the folder of the real files")
    arguments = parser.parse_args()
    if not arguments.austin.is_dir():
        print(f"nothing measured: the real permits are not at {arguments.austin}", file=sys.stderr)
        return 1
    show = print_draw if arguments.what == "draw" else print_measures
    for population in POPULATIONS:
        show(population, read_population(arguments.austin, population))
    return 0


def read_labels(population: str) -> list[Label]:
    """Give the labels of a population."""
    with LABELS.open(encoding="utf-8", newline="") as lines:
        return [
            Label(row["id"], row["draw"], frozenset(category for category in MEASURED if row[category] == "1"))
            for row in csv.DictReader(lines)
            if row["population"] == population
        ]


def print_draw(population: str, permits: Permits) -> None:
    """Print what is to be labelled, one permit a line."""
    for name, stratum, number in draw(stratify(place_permits(permits)), population):
        subject = permits[number]
        print(
            "|".join((population, name, stratum, number, subject.permit_class, subject.work_class, subject.description))
        )


def print_measures(population: str, permits: Permits) -> None:
    """Print the table of a population, what each draw showed, and the errors."""
    labels = read_labels(population)
    told = tell(permits)
    print(
        f"\n{population}: {len(permits):,} permits, {len(labels):,} labelled, categories version {CATEGORIES_VERSION}"
    )
    print(f"{'':12} {'told':>6} {'precision':>9} {'95 %':>12} {'recall':>6} {'95 %':>12}  outside its net")
    for category, found in measure_all(permits, labels, told).items():
        print(render(category, found))
    for name in DRAWS:
        print(
            f"{name} draw, told right/wrong/missed: {render_draw([each for each in labels if each.draw == name], told)}"
        )
    for label in labels:
        for category in sorted((told[label.number] ^ label.categories).intersection(MEASURED)):
            kind = "missed" if category in label.categories else "wrong"
            print(f"{kind} {category}: {label.number} ({label.draw} draw)")


def tell(permits: Permits) -> Told:
    """Give what the rules say of each permit."""
    return {number: frozenset(categorize(subject)) for number, subject in permits.items()}


def measure_all(permits: Permits, labels: list[Label], told: Told) -> dict[Category, Measure]:
    """Measure each category over a population."""
    places = place_permits(permits)
    alike = Counter((place, told[number]) for number, place in places.items())
    labelled = Counter((places[label.number], told[label.number], label.categories) for label in labels)
    return {category: measure(count(category, alike, labelled)) for category in MEASURED}


def count(
    category: Category,
    alike: Mapping[tuple[Place, frozenset[Category]], int],
    labelled: Mapping[tuple[Place, frozenset[Category], frozenset[Category]], int],
) -> list[Cell]:
    """Give the cells of a category: permits by stratum, by whether its net holds them, and by whether it was told."""
    cells: dict[tuple[str, bool, bool], Cell] = {}
    for (place, told), number in alike.items():
        cell = Cell(in_net=category in place.nets, told=category in told)
        cells.setdefault((place.stratum, cell.in_net, cell.told), cell).size += number
    for (place, told, true), number in labelled.items():
        cell = cells[place.stratum, category in place.nets, category in told]
        cell.labelled += number
        cell.found += number if category in true else 0
    return list(cells.values())


def render(category: Category, found: Measure) -> str:
    """Give one line of the table."""
    return (
        f"{category:12} {found.told:6,} {render_share(found.precision, 9)} {render_share(found.recall, 6)}"
        f"  {found.elsewhere_found} of {found.elsewhere_labelled:,} labelled, at most {found.elsewhere_max:,} in all"
    )


def render_share(share: Estimate, width: int) -> str:
    """Give a share and its interval."""
    return f"{share.point:{width}.3f} {share.low:.3f}..{share.high:.3f}"


def render_draw(labels: list[Label], told: Told) -> str:
    """Give how often a draw's permits were told right, wrong, or missed, by category."""
    counts = []
    for category in MEASURED:
        right = sum(category in label.categories & told[label.number] for label in labels)
        wrong = sum(category in told[label.number] - label.categories for label in labels)
        missed = sum(category in label.categories - told[label.number] for label in labels)
        counts.append(f"{category} {right}/{wrong}/{missed}")
    return ", ".join(counts)


if __name__ == "__main__":
    sys.exit(main())
