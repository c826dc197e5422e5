"""A sequence of pages neither loses nor repeats a permit that stays as it is while runs publish between the pages."""

import csv
import gzip
import random
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, Store

Point = tuple[float, float]
REAL = ROOT.parent / "shared/data/permits/austin/oss_permit_report_2015_51col.csv.gz"

HERE = {"lat": 30.2672, "lng": -97.7431}
SEQUENCES: dict[str, dict[str, Any]] = {
    "near": {"path": "/permits/near", **HERE, "radius_m": 3_000},
    "near, filtered": {"path": "/permits/near", **HERE, "radius_m": 3_000, "category": "solar"},
    "newest": {"path": "/permits", "order": "newest"},
    "newest, of a class": {"path": "/permits", "order": "newest", "permit_class": "Residential"},
    "largest": {"path": "/permits", "order": "largest", "category": "solar"},
    "nearest": {"path": "/permits", "order": "nearest", **HERE, "bbox": "-97.76,30.25,-97.72,30.28"},
}


class Night:
    """A register that changes by chance, and which of its permits never did."""

    def __init__(self, store: Store, seed: str, points: list[Point]) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.points = points
        self.untouched = {self.add() for _ in range(90)}
        self.touched: set[str] = set()
        store.publish()

    def draw(self) -> dict[str, Any]:
        """Draw a permit's values; many share a point, a day or a cost, and some state none."""
        chance = self.chance
        place: dict[str, Any] = dict(zip(("lat", "lng"), chance.choice(self.points), strict=True))
        return {
            **(place if chance.random() < 0.8 else {}),
            "issued_date": chance.choice([None, date(2015, 1, 1) + timedelta(days=chance.randrange(6))]),
            "est_project_cost_usd": chance.choice([None, 100, 100.5, 20_000]),
            "categories": chance.choice([[], ["solar"], ["pool", "solar"]]),
            "permit_class_mapped": chance.choice(["Residential", "Non-Residential"]),
        }

    def add(self) -> str:
        """Add a permit and give its id."""
        return self.store.add_permit(**self.draw())

    def pass_by(self) -> None:
        """Publish a version in which permits are new, changed in all that orders them, withdrawn or renamed."""
        for source_id in self.chance.sample(sorted(self.untouched), 6):
            self.untouched.discard(source_id)
            self.touched.add(source_id)
            self.store.connection.execute("DELETE FROM permits WHERE source_id = %s", [source_id])
            if self.chance.random() < 0.7:
                self.store.add_permit(source_id=source_id, **self.draw())
        for _ in range(5):
            self.touched.add(self.add())
        self.store.publish()


def scatter(chance: random.Random) -> list[Point]:
    """Give points of which some are met often."""
    around = [(30.2672 + chance.uniform(-0.01, 0.01), -97.7431 + chance.uniform(-0.01, 0.01)) for _ in range(60)]
    return [(30.2672, -97.7431)] * 10 + [(30.27, -97.74)] * 10 + around


def read_real_points() -> list[Point]:
    """Give the real points around the one asked about."""
    if not REAL.is_file():
        pytest.skip("the real Austin points are not beside this checkout")
    with gzip.open(REAL, "rt", newline="") as file:
        points = [(float(row["lat"]), float(row["lng"])) for row in csv.DictReader(file) if row["lat"].strip()]
    return [(lat, lng) for lat, lng in points if abs(lat - 30.2672) < 0.02 and abs(lng + 97.7431) < 0.02]


@pytest.mark.parametrize("name", SEQUENCES)
async def test_pages_over_real_points_hold_every_permit_that_stays_exactly_once(
    name: str, store: Store, client: httpx.AsyncClient
) -> None:
    await follow_pages(Night(store, name, read_real_points()), name, client)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SEQUENCES)
async def test_pages_hold_every_permit_that_stays_exactly_once(
    name: str, seed: int, store: Store, client: httpx.AsyncClient
) -> None:
    await follow_pages(Night(store, f"{name}{seed}", scatter(random.Random(seed))), name, client)


async def follow_pages(night: Night, name: str, client: httpx.AsyncClient) -> None:
    """Follow a sequence to its end, a run between any two pages, and compare it with what was there at first."""
    asked = dict(SEQUENCES[name])
    path = asked.pop("path")
    whole = await client.get(path, params={**asked, "limit": 1000})
    before = [feature["properties"]["source_id"] for feature in whole.json()["features"]]
    assert before
    given: list[str] = []
    reply = await client.get(path, params={**asked, "limit": night.chance.choice([3, 7, 20])})
    while True:
        document = reply.json()
        given += [feature["properties"]["source_id"] for feature in document["features"]]
        following = [link["href"] for link in document["links"] if link["rel"] == "next"]
        if not following:
            break
        if len(night.untouched) > 40:
            night.pass_by()
        reply = await client.get(following[0])
    stayed = [source_id for source_id in before if source_id in night.untouched]
    assert [source_id for source_id in given if source_id in night.untouched] == stayed
