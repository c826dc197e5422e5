"""What the answer makes of facts: what a question takes for granted is checked, and what cannot be told is declined."""

from datetime import date
from decimal import Decimal
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ask.answer import choose_outcome, compose
from app.ask.facts import gather
from app.ask.grammar.reading import Premise, Reading
from app.ask.plan import Plan
from app.ask.planner import Planned
from app.database import open_session
from app.permits.register import find_register
from tests.conftest import Store


@pytest.fixture
def permits(store: Store) -> Store:
    """Two permits of 2014, one of them solar, and four of 2015, the last on its last day."""
    for number, day in enumerate([date(2014, 1, 2), date(2014, 5, 1), *[date(2015, 3, 1)] * 3, date(2015, 12, 31)]):
        store.add_permit(
            issued_date=day, categories=["solar"] if number == 0 else ["pool"], est_project_cost_usd=1000 * (number + 1)
        )
    store.publish()
    return store


async def tell(
    engine: AsyncEngine, plan: dict[str, Any], claimed: str, unit: Literal["permits", "percent"]
) -> list[str]:
    """Give the sentences that answer a question which takes a number for granted."""
    made = Plan.model_validate(plan)
    async with open_session(engine) as session:
        facts = await gather(session, await find_register(session), made)
    planned = Planned("answer", plan=made, reading=Reading(premise=Premise(Decimal(claimed), unit)))
    return [sentence["text"] for sentence in compose(planned, facts)]


YEARS = {
    "where": {"issued_from": "2015-01-01", "issued_to": "2015-12-31"},
    "versus": {"issued_from": "2014-01-01", "issued_to": "2014-12-31"},
}


@pytest.mark.parametrize(
    ("plan", "claimed", "unit", "said"),
    [
        ({"kind": "count"}, "6", "permits", "The 6 of the question is right: it is 6."),
        ({"kind": "count"}, "7", "permits", "The 7 of the question is not right: it is 6."),
        ({"kind": "compare", **YEARS}, "100", "percent", "The 100 % of the question is right: it is 100 %."),
        (
            {"kind": "compare", "measure": "value_usd", **YEARS},
            "547",
            "percent",
            "The 547 % of the question is not right: it is 500 %.",
        ),
        (
            {"kind": "compare", "measure": "value_usd", **YEARS, "where": {"category": "sign"}},
            "10",
            "percent",
            "The 10 % of the question was not checked.",
        ),
        (
            {"kind": "share", "where": {"category": "solar"}, "versus": {}},
            "17",
            "percent",
            "The 17 % of the question is right: it is 16.7 %.",
        ),
        ({"kind": "series"}, "50", "percent", "The 50 % of the question is not right: it is 100 %."),
        ({"kind": "top", "group_by": "category"}, "3", "permits", "The 3 of the question was not checked."),
    ],
)
async def test_what_a_question_takes_for_granted_is_computed_anew(
    plan: dict[str, Any], claimed: str, unit: Any, said: str, permits: Store, engine: AsyncEngine
) -> None:
    assert (await tell(engine, plan, claimed, unit))[0] == said


async def test_a_ranking_by_company_is_declined_in_a_sentence(permits: Store, engine: AsyncEngine) -> None:
    made = Plan(kind="top", group_by="company", measure="value_usd")
    async with open_session(engine) as session:
        facts = await gather(session, await find_register(session), made)
    planned = Planned("answer", plan=made)
    assert choose_outcome(planned, facts) == "decline"
    assert [sentence["text"] for sentence in compose(planned, facts)] == [
        "The register of Austin, Texas has no column for companies, and the names of persons are never told."
        " Permits can be ranked by category, type, class, status, ZIP, district or region.",
        "Data of Austin, Texas through 2015-12-31.",
    ]


async def test_facts_over_http_say_why_there_are_none(permits: Store, client: httpx.AsyncClient) -> None:
    reply = await client.post("/facts", json={"plan": {"kind": "top", "group_by": "company"}})
    assert reply.json()["facts"] == []
    assert "no column for companies" in reply.json()["remarks"][0]


async def test_a_wait_below_nothing_is_said_to_be_one(store: Store, client: httpx.AsyncClient) -> None:
    store.add_permit(applied_date=date(2014, 1, 5), issued_date=date(2014, 1, 2))
    store.publish()
    reply = await client.post("/facts", json={"plan": {"kind": "waiting", "measure": "days_to_issue"}})
    assert [fact["sentence"] for fact in reply.json()["facts"]][1:] == [
        "The median time from application to issue of permits is -3 days, which is before the application.",
        "1 of this 1 permit states both the day of application and the day of issue.",
    ]


EVERY_KIND: list[dict[str, Any]] = [
    {"kind": "sum", "measure": "value_usd"},
    {"kind": "median", "measure": "median_value_usd"},
    {"kind": "mean", "measure": "mean_value_usd"},
    {"kind": "waiting", "measure": "days_to_issue"},
    {"kind": "share", "versus": {}},
    {"kind": "density", "measure": "permits_per_km2"},
    {"kind": "list", "order": "longest_open"},
    {"kind": "top", "group_by": "company"},
    {"kind": "top", "group_by": "zip", "measure": "permits_per_km2"},
    {"kind": "series", "period": "month"},
    {"kind": "compare", "measure": "days_to_issue", "versus": {}},
    {"kind": "joined", "beside": {}},
    {"kind": "changed", "since": "2020-01-01"},
]


@pytest.mark.parametrize("plan", EVERY_KIND, ids=lambda plan: str(plan["kind"]))
async def test_an_empty_register_has_an_answer_of_every_kind(
    plan: dict[str, Any], store: Store, client: httpx.AsyncClient
) -> None:
    reply = await client.post("/facts", json={"plan": plan})
    assert reply.status_code == 200
    assert all(fact["value"] in (0, None) for fact in reply.json()["facts"])


@pytest.mark.parametrize("plan", EVERY_KIND, ids=lambda plan: str(plan["kind"]))
async def test_several_cities_are_counted_together(
    plan: dict[str, Any], permits: Store, client: httpx.AsyncClient
) -> None:
    permits.add_permit(city="seattle", house_number=1, street="OAK ST", contractor_company_name="Sun Co")
    permits.add_permit(city="austin", house_number=1, street="OAK ST")
    permits.publish()
    reply = await client.post("/facts", json={"plan": plan})
    assert reply.status_code == 200
    found = reply.json()["facts"]
    assert found[0]["value"] == (0 if plan["kind"] == "changed" else 8)
    if plan["kind"] == "joined":
        assert next(fact["value"] for fact in found if fact["unit"] == "addresses") == 2
