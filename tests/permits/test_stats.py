"""Statistics are the same from cells as from permits, and what plain arithmetic over the rows gives."""

import random
import statistics
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, get_args

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import open_session
from app.permits.figures import split_days
from app.permits.filters import PermitFilter
from app.permits.medians import MedianName
from app.permits.register import find_register
from app.permits.stats import Asked, Grouping, GroupKey, find_statistics
from tests.conftest import Store

KEYS = [key for part in get_args(GroupKey) for key in (get_args(part) or [part])]
MEDIANS: frozenset[MedianName] = frozenset(get_args(MedianName))
NONE: frozenset[MedianName] = frozenset()
STATUS = {"Final": "Permit Finaled", "Active": "Permit Issued", "Odd": None}


def draw_permit(chance: random.Random) -> dict[str, Any]:
    """Draw a permit; about a third of everything is not stated."""
    issued = date(2012, 11, 1) + timedelta(days=chance.randrange(1000)) if chance.random() < 0.8 else None
    status = chance.choice([*STATUS, None])
    return {
        "permit_type": chance.choice(["EP", "BP", None]),
        "permit_type_mapped": chance.choice(["Electrical", "Building", None]),
        "permit_class_mapped": chance.choice(["Residential", "Non-Residential", None]),
        "work_class": chance.choice(["New", "Remodel", None]),
        "status_current": status,
        "status_current_mapped": STATUS.get(status) if status else None,
        "categories": chance.choice([[], ["solar"], ["pool", "solar"], ["adu"]]),
        "original_zip": chance.choice(["78704", "78745", None]),
        "council_district": chance.choice(["1", "9", None]),
        "issued_date": issued,
        "applied_date": issued - timedelta(days=chance.randrange(90)) if issued and chance.random() < 0.7 else None,
        "est_project_cost_usd": chance.choice([None, 100, 2500, Decimal("2500.55"), Decimal("0.10")]),
        "removed_run": 1 if chance.random() < 0.1 else None,
    }


@pytest.fixture
def permits(store: Store) -> list[dict[str, Any]]:
    """Permits of Austin, some of them removed, and a few of another city."""
    chance = random.Random(7)
    drawn = [draw_permit(chance) for _ in range(400)]
    for permit in drawn:
        store.add_permit(**permit)
    for _ in range(20):
        store.add_permit(city="chicago", **draw_permit(chance))
    store.publish()
    return [permit for permit in drawn if permit["removed_run"] is None]


def draw_filter(chance: random.Random) -> PermitFilter:
    """Draw closed words and whole months."""
    first, last = sorted((date(2012 + month // 12, month % 12 + 1, 1)) for month in chance.sample(range(48), 2))
    said: dict[str, Any] = {
        "city": chance.choice(["austin", ["austin", "chicago"]]),
        "category": chance.choice([(), "solar", ["pool", "adu"]]),
        "status": chance.choice([(), "Permit Finaled", ["odd", "permit issued"]]),
        "permit_type": chance.choice([(), (), "Electrical", ["ep", "Building"]]),
        "permit_class": chance.choice([(), (), "residential"]),
        "work_class": chance.choice([(), (), "new"]),
        "zip": chance.choice([(), (), "78704"]),
        "issued_from": chance.choice([None, first.isoformat()]),
        "issued_to": chance.choice([None, (last - timedelta(days=1)).isoformat()]),
    }
    return PermitFilter.model_validate(said)


@pytest.mark.parametrize("by", [None, *KEYS])
async def test_cells_give_what_the_permits_give(
    by: GroupKey | None, permits: list[dict[str, Any]], engine: AsyncEngine
) -> None:
    chance = random.Random(str(by))
    grouping = Grouping(by, "neighborhood" if by == "region" else None) if by else None
    async with open_session(engine) as session:
        register = await find_register(session)
        for turn in range(25):
            wanted = draw_filter(chance)
            kept = Asked(wanted, medians=MEDIANS if turn % 3 == 0 else NONE)
            read = Asked(wanted, medians=MEDIANS if turn % 3 == 0 else NONE, from_rows=True)
            assert kept.by_cells
            assert not read.by_cells
            told = await find_statistics(session, register, kept, grouping)
            assert told == await find_statistics(session, register, read, grouping)


@pytest.mark.parametrize("by", [None, *KEYS])
async def test_days_inside_months_give_what_the_permits_give(
    by: GroupKey | None, permits: list[dict[str, Any]], engine: AsyncEngine
) -> None:
    """Whole months come from cells, the days before and behind them from permits: together they are all of both."""
    chance = random.Random(f"days {by}")
    grouping = Grouping(by, "neighborhood" if by == "region" else None) if by else None
    async with open_session(engine) as session:
        register = await find_register(session)
        for _ in range(25):
            first = date(2013, 1, 1) + timedelta(days=chance.randrange(700))
            days = {"issued_from": first, "issued_to": first + timedelta(days=chance.choice([0, 9, 40, 100, 400]))}
            some = chance.choice([{"issued_from"}, {"issued_to"}, {"issued_from", "issued_to"}])
            wanted = draw_filter(chance).model_copy(
                update={"issued_from": None, "issued_to": None} | {name: days[name] for name in some}
            )
            told = await find_statistics(session, register, Asked(wanted), grouping)
            assert told == await find_statistics(session, register, Asked(wanted, from_rows=True), grouping)


def test_a_filter_is_parted_at_the_ends_of_its_months_alone() -> None:
    def part(first: date | None, last: date | None) -> list[tuple[date | None, date | None]]:
        parts = split_days(PermitFilter(issued_from=first, issued_to=last))
        return [(one.issued_from, one.issued_to) for one in parts]

    assert part(None, None) == [(None, None)]
    assert part(date(2014, 1, 1), date(2014, 12, 31)) == [(date(2014, 1, 1), date(2014, 12, 31))]
    assert part(date(2014, 3, 5), date(2014, 3, 20)) == [(date(2014, 3, 5), date(2014, 3, 20))]
    assert part(date(2013, 10, 30), None) == [(date(2013, 10, 30), date(2013, 10, 31)), (date(2013, 11, 1), None)]
    assert part(date(2013, 12, 15), date(2014, 6, 15)) == [
        (date(2013, 12, 15), date(2013, 12, 31)),
        (date(2014, 1, 1), date(2014, 5, 31)),
        (date(2014, 6, 1), date(2014, 6, 15)),
    ]


async def test_figures_are_what_arithmetic_gives(permits: list[dict[str, Any]], engine: AsyncEngine) -> None:
    async with open_session(engine) as session:
        register = await find_register(session)
        _, groups = await find_statistics(
            session, register, Asked(PermitFilter(city=("austin",)), medians=MEDIANS), Grouping("status")
        )
    assert [group.key for group in groups] == ["Odd", "Permit Finaled", "Permit Issued", None]
    for group in groups:
        members = [row for row in permits if (row["status_current_mapped"] or row["status_current"]) == group.key]
        costs = [Decimal(row["est_project_cost_usd"]) for row in members if row["est_project_cost_usd"] is not None]
        days = [(row["issued_date"] - row["applied_date"]).days for row in members if row["applied_date"]]
        assert (group.permits, group.priced, group.value_usd) == (len(members), len(costs), sum(costs))
        assert group.value_usd_median == round(Decimal(statistics.median(costs)), 2)
        assert (group.timed, group.days_to_issue_median) == (len(days), statistics.median(days))


@pytest.mark.parametrize(
    "said",
    [{"issued_from": "2014-01-02"}, {"issued_to": "2014-01-30"}, {"min_value_usd": 1}, {"applied_to": "2014-01-31"}],
)
def test_days_inside_months_costs_and_applications_are_read_from_permits(said: dict[str, Any]) -> None:
    assert not Asked(PermitFilter.model_validate(said)).by_cells


def test_a_region_alone_is_read_from_cells_and_a_box_from_permits() -> None:
    assert Asked(PermitFilter(region=("zip/78704",))).by_cells
    assert not Asked(PermitFilter(), bbox="-98.0,30.0,-97.0,31.0").by_cells
