"""A voice that lies in twenty ways about true facts is never heard, and the same facts in their own words are."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ask.facts import Facts, gather
from app.ask.plan import Plan
from app.ask.verifier import Verifier
from app.database import open_session
from app.permits.register import find_register
from scripts.evaluation.lies import WAYS, tell_lies
from tests.conftest import Store

HERE: dict[str, Any] = {"lat": 30.2672, "lng": -97.7431}
AREA = {**HERE, "radius_m": 800}
YEAR = {"issued_from": "2014-01-01", "issued_to": "2014-12-31"}
PLANS: list[dict[str, Any]] = [
    {"kind": "count", "where": {"category": "solar", **YEAR, "area": AREA}},
    {"kind": "count", "where": {"category": "adu", "zip": "78704"}},
    {"kind": "count"},
    {"kind": "sum", "measure": "value_usd", "where": {"category": "solar", "zip": "78704"}},
    {"kind": "list", "order": "nearest", "where": {"area": AREA}},
    {"kind": "list", "order": "largest", "where": {"zip": "78704"}},
    {"kind": "list", "order": "newest", "where": {"category": "pool"}},
    {"kind": "top", "group_by": "category"},
    {"kind": "top", "group_by": "permit_type", "measure": "value_usd", "where": YEAR},
    {"kind": "series", "where": {"category": "solar"}},
    {"kind": "compare", "where": {"category": "solar"}, "versus": {"category": "pool"}},
    {"kind": "median", "measure": "median_value_usd", "where": {"category": "solar", **YEAR}},
    {"kind": "mean", "measure": "mean_value_usd", "where": {"category": "solar", "zip": "78704"}},
    {"kind": "share", "where": {"category": "solar", "zip": "78704"}, "versus": {"zip": "78704"}},
    {"kind": "density", "measure": "permits_per_km2", "where": {"category": "solar", "area": AREA}},
    {"kind": "waiting", "measure": "days_to_issue", "where": {"category": "pool"}},
    {"kind": "joined", "where": {"category": "solar"}, "beside": {"category": "pool"}},
    {"kind": "changed", "since": "2013-01-01", "where": {"zip": "78704"}},
    {"kind": "list", "order": "longest_open", "where": {"category": "solar"}},
    {"kind": "series", "period": "quarter", "measure": "median_value_usd", "where": {"category": "solar", **YEAR}},
    {"kind": "top", "group_by": "zip", "measure": "mean_value_usd", "where": {"category": "solar"}},
    {"kind": "count", "where": {"category": "solar", "without": {"zip": "78702"}}},
    {"kind": "compare", "where": {"category": "solar", **YEAR}, "versus": {"category": "solar"}},
]
"""One of every kind, with and without each bound that a scope may have."""


@pytest.fixture
def permits(store: Store) -> Store:
    """Forty permits of three kinds over four years, on twenty addresses."""
    for number in range(40):
        store.add_permit(
            lat=30.2672 + number / 20_000,
            lng=-97.7431,
            source_id=f"2015-{number:06d} EP",
            categories=[("solar", "pool", "solar", "remodel")[number % 4]],
            permit_type="EP" if number % 3 else "BP",
            permit_type_mapped="Electrical" if number % 3 else "Building",
            issued_date=date(2013 + number % 4, 1 + number % 12, 1 + number % 28) if number % 9 else None,
            applied_date=date(2012 + number % 4, 1 + number % 12, 1 + number % 28),
            est_project_cost_usd=1000.5 * number if number % 5 else None,
            original_address1=f"{100 + number // 2} HARVEY ST",
            house_number=100 + number // 2,
            status_current="Active" if number % 4 else "Final",
            status_current_mapped="Permit Issued" if number % 4 else "Permit Finaled",
            street="HARVEY ST",
            original_zip="78704" if number % 2 else "78702",
        )
    store.publish()
    return store


async def gather_facts(engine: AsyncEngine, plan: dict[str, Any]) -> Facts:
    """Compute the facts of a plan."""
    async with open_session(engine) as session:
        return await gather(session, await find_register(session), Plan.model_validate(plan))


@pytest.mark.parametrize(
    "plan", PLANS, ids=lambda plan: f"{plan['kind']}-{plan.get('order', plan.get('group_by', ''))}"
)
async def test_no_lie_about_true_facts_is_heard(plan: dict[str, Any], permits: Store, engine: AsyncEngine) -> None:
    facts = await gather_facts(engine, plan)
    verifier = Verifier(facts)
    lies = list(tell_lies([fact.sentence for fact in facts.items]))
    heard = [(way, lie) for way, lie in lies if verifier.check(lie)]
    assert len(lies) > 10
    assert heard == []


@pytest.mark.parametrize(
    "plan", PLANS, ids=lambda plan: f"{plan['kind']}-{plan.get('order', plan.get('group_by', ''))}"
)
async def test_every_fact_in_its_own_words_is_heard(plan: dict[str, Any], permits: Store, engine: AsyncEngine) -> None:
    facts = await gather_facts(engine, plan)
    verifier = Verifier(facts)
    assert [fact.sentence for fact in facts.items if not verifier.check(fact.sentence)] == []


async def test_all_twenty_ways_of_lying_are_tried(permits: Store, engine: AsyncEngine) -> None:
    sentences = [[fact.sentence for fact in (await gather_facts(engine, plan)).items] for plan in PLANS]
    assert len(WAYS) == 20
    assert {way for told in sentences for way, _ in tell_lies(told)} == set(WAYS)
