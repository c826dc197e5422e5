"""Facts are what SQL says, in sentences, each with the request that repeats it."""

from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ask.facts import Facts, gather
from app.ask.phrases import money
from app.ask.plan import Plan
from app.database import open_session
from app.permits.register import find_register
from tests.conftest import Store

CENTRE = {"lat": 30.2672, "lng": -97.7431}


@pytest.fixture
def permits(store: Store) -> Store:
    """Nine permits: solar and pools over four years, one without a point, one removed, one not issued."""
    here: dict[str, Any] = CENTRE
    for number, (year, cost) in enumerate([(2013, 1000), (2013, None), (2014, 2500.5), (2014, 3000), (2014, None)]):
        store.add_permit(
            **here,
            source_id=f"s{number}",
            categories=["solar"],
            permit_type="EP",
            permit_type_mapped="Electrical",
            work_class="New",
            issued_date=date(year, 1 + number, 2),
            est_project_cost_usd=cost,
            original_zip="78704",
            original_address1=f"{number} MAIN ST",
        )
    store.add_permit(
        **here,
        source_id="p0",
        categories=["pool"],
        permit_type="BP",
        permit_type_mapped="Building",
        issued_date=date(2016, 4, 18),
    )
    store.add_permit(source_id="n0", categories=["solar"], issued_date=date(2013, 5, 5))
    store.add_permit(**here, source_id="gone", categories=["solar"], issued_date=date(2013, 5, 5), removed_run=1)
    store.add_permit(lat=31.0, lng=-97.7431, source_id="far", categories=["solar"])
    store.publish()
    return store


async def facts_of(engine: AsyncEngine, **plan: Any) -> Facts:
    """Compute a plan's facts in a session of its own."""
    async with open_session(engine) as session:
        return await gather(session, await find_register(session), Plan.model_validate(plan))


def sentences(facts: Facts) -> list[str]:
    return [fact.sentence for fact in facts.items]


AREA = {**CENTRE, "radius_m": 800}


async def test_a_count_says_what_was_counted_and_what_could_not_be(permits: Store, engine: AsyncEngine) -> None:
    where = {"category": "solar", "issued_from": "2014-01-01", "issued_to": "2014-12-31", "area": AREA}
    facts = await facts_of(engine, kind="count", where=where)
    fact, unlocated = facts.items[0], facts.items[1:]
    assert fact.sentence == "There are 3 solar permits issued in 2014 within 800 m of 30.2672, -97.7431."
    assert unlocated == ()
    assert (fact.value, fact.unit) == (3, "permits")
    assert fact.definition is not None
    assert fact.definition.startswith("solar: ")
    assert fact.missing == {"austin": {"without_location": 1, "without_category": 0, "without_issued_date": 1}}
    assert fact.rows
    assert fact.rows.startswith(
        "/permits/near?lat=30.2672&lng=-97.7431&radius_m=800.0&category=solar&issued_from=2014-01-01"
    )


async def test_permits_that_do_not_state_what_is_asked_are_told_apart(permits: Store, engine: AsyncEngine) -> None:
    facts = await facts_of(engine, kind="count", where={"category": "solar", "area": AREA, "issued_to": "2013-12-31"})
    assert sentences(facts)[1:] == [
        "Of the solar permits issued up to 2013-12-31, 1 has no usable point and cannot be counted.",
    ]
    applied = await facts_of(engine, kind="count", where={"applied_from": "2014-01-01"})
    assert [fact.value for fact in applied.items] == [0, 8]


async def test_one_and_none_are_good_english(permits: Store, engine: AsyncEngine) -> None:
    assert sentences(await facts_of(engine, kind="count", where={"category": "pool"})) == [
        "There is 1 swimming pool permit."
    ]
    assert sentences(await facts_of(engine, kind="count", where={"category": "adu"})) == [
        "There are no accessory dwelling permits."
    ]


async def test_a_sum_says_how_many_permits_it_is_of(permits: Store, engine: AsyncEngine) -> None:
    facts = await facts_of(engine, kind="sum", measure="value_usd", where={"zip": "78704"})
    assert [fact.value for fact in facts.items] == [5, 6500.5, 3, 3]
    assert sentences(facts)[1:3] == [
        "The estimated cost of permits in ZIP 78704 adds up to $6,500.50.",
        "3 of these 5 permits state an estimated cost.",
    ]


async def test_a_ranking_counts_a_permit_in_each_of_its_groups(permits: Store, engine: AsyncEngine) -> None:
    permits.add_permit(source_id="both", categories=["solar", "battery"], permit_type_mapped="Electrical")
    permits.publish()
    facts = await facts_of(engine, kind="top", group_by="category", limit=2)
    assert [(fact.label, fact.value) for fact in facts.items] == [(None, 9), ("solar", 8), ("battery storage", 1)]
    assert sentences(facts)[1] == "Number 1 by category is solar with 8 permits."
    facts = await facts_of(engine, kind="top", group_by="permit_type", measure="value_usd")
    assert [(fact.label, fact.value) for fact in facts.items[-2:]] == [("Electrical", 6500.5), ("Building", 0)]
    facts = await facts_of(engine, kind="top", group_by="work_class")
    assert [(fact.label, fact.value) for fact in facts.items[1:]] == [("New", 5)]


async def test_a_series_fills_years_without_a_permit_and_says_which_is_partial(
    permits: Store, engine: AsyncEngine
) -> None:
    facts = await facts_of(engine, kind="series", where={"category": "solar"})
    assert [(fact.label, fact.value) for fact in facts.items[1:4]] == [("2013", 3), ("2014", 3), ("2016", 0)]
    assert facts.absent_years == (2015,)
    assert sentences(facts)[3] == "In 2016 there are 0 solar permits, a partial year with data up to 2016-04-18."
    assert facts.items[2].rows == "/permits?category=solar&issued_from=2014-01-01&issued_to=2014-12-31"
    bounded = await facts_of(engine, kind="series", where={"issued_from": "2012-01-01", "issued_to": "2013-12-31"})
    assert [(fact.label, fact.value) for fact in bounded.items[1:2]] == [("2013", 3)]
    assert bounded.absent_years == (2012,)


@pytest.mark.parametrize(
    ("where", "versus", "said"),
    [
        (
            {"issued_from": "2013-01-01", "issued_to": "2013-12-31", "area": AREA},
            {"issued_from": "2014-01-01", "issued_to": "2014-12-31", "area": AREA},
            "The number of permits issued in 2014 exceeds the number of permits issued in 2013 by 1 permit,"
            " which is 50.0 % more.",
        ),
        (
            {"category": "solar"},
            {"category": "pool"},
            "The number of solar permits exceeds the number of swimming pool permits by 6 permits,"
            " which is 600.0 % more.",
        ),
        (
            {"category": "pool"},
            {"category": "adu"},
            "The number of swimming pool permits exceeds the number of accessory dwelling permits by 1 permit.",
        ),
        (
            {"zip": "78704"},
            {"zip": "78704"},
            "The number of permits in ZIP 78704 and the number of permits in ZIP 78704 are equal.",
        ),
    ],
)
async def test_a_comparison_names_the_larger_side(
    where: dict[str, Any], versus: dict[str, Any], said: str, permits: Store, engine: AsyncEngine
) -> None:
    facts = await facts_of(engine, kind="compare", where=where, versus=versus)
    assert sentences(facts)[-1] == said


@pytest.mark.parametrize(
    ("order", "ids", "unit"),
    [("nearest", ["p0", "s0"], "m"), ("newest", ["p0", "s4"], "date"), ("largest", ["s3", "s2"], "USD")],
)
async def test_a_list_gives_each_permit_as_a_fact(
    order: str, ids: list[str], unit: str, permits: Store, engine: AsyncEngine
) -> None:
    facts = await facts_of(engine, kind="list", order=order, limit=2, where={"area": AREA})
    assert facts.items[0].value == 6
    rows = [fact for fact in facts.items if fact.is_row]
    assert [fact.rows for fact in rows] == [f"/permits/austin/{source_id}" for source_id in ids]
    assert {fact.unit for fact in rows} == {unit}


async def test_an_empty_store_has_facts_too(store: Store, engine: AsyncEngine) -> None:
    for plan in ({"kind": "count"}, {"kind": "series"}, {"kind": "top", "group_by": "category"}):
        facts = await facts_of(engine, **plan)
        assert [fact.value for fact in facts.items] == [0]


async def test_every_fact_can_be_repeated_over_http(
    permits: Store, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    plans: list[dict[str, Any]] = [
        {"kind": "sum", "measure": "value_usd", "where": {"area": AREA, "min_value_usd": "1000.5"}},
        {"kind": "list", "order": "nearest", "where": {"area": AREA}},
        {"kind": "compare", "where": {"category": "solar"}, "versus": {"category": "pool"}},
    ]
    for plan in plans:
        for fact in (await facts_of(engine, **plan)).items:
            query = fact.query
            reply = await client.request(query["method"], query["path"], params=query["params"], json=query["body"])
            assert reply.status_code == 200, reply.text
            if query["path"] == "/facts":
                again = {one["id"]: one for one in reply.json()["facts"]}
                assert (again[fact.id]["value"], again[fact.id]["sentence"]) == (fact.value, fact.sentence)
            assert fact.rows
            rows = await client.get(fact.rows)
            assert rows.status_code == 200, rows.text


async def test_the_rows_of_a_count_are_as_many_as_it_says(
    permits: Store, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for where in ({"category": ["solar", "pool"], "area": AREA}, {"zip": "78704"}, {}):
        fact = (await facts_of(engine, kind="count", where=where)).items[0]
        assert fact.rows
        assert (await client.get(fact.rows)).json()["numberReturned"] == fact.value


@pytest.mark.parametrize(
    "plan",
    [
        {"kind": "count", "where": {"area": {"lat": "NaN", "lng": 0}}},
        {"kind": "top"},
        {"kind": "list", "order": "nearest"},
        {"kind": "count", "limit": 10**9},
        {"kind": "count", "where": {"sql": "1=1"}},
        {"kind": "drop"},
        {"kind": "count", "where": {"status": "unheard of"}},
        {"kind": "count", "where": {"min_value_usd": "1e99"}},
        [],
        None,
    ],
)
async def test_a_plan_that_does_not_fit_is_refused(plan: object, permits: Store, client: httpx.AsyncClient) -> None:
    reply = await client.post("/facts", json={"plan": plan})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"


def test_money_keeps_its_cents() -> None:
    assert [money(Decimal("6500.5")), money(Decimal(6500)), money(Decimal("1e9"))] == [
        "$6,500.50",
        "$6,500",
        "$1,000,000,000",
    ]
