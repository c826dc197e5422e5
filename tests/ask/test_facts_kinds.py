"""Every kind of plan on a hostile register, against figures that Python counts; and what the verifier makes of them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from statistics import fmean, median
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ask.facts import Facts, gather
from app.ask.plan import Plan
from app.ask.verifier import Verifier
from app.database import open_session
from app.permits.register import find_register
from tests.conftest import Store

CENTRE: dict[str, Any] = {"lat": 30.2672, "lng": -97.7431}
AREA = {**CENTRE, "radius_m": 800}
Row = dict[str, Any]


def make_rows() -> Iterator[Row]:
    """Permits with null costs, waits below nothing, no days at all, and several categories."""
    for number in range(40):
        issued = date(2013, 2, 3) + timedelta(days=29 * number) if number % 7 else None
        yield {
            "source_id": f"a{number:02}",
            "categories": [["solar"], ["pool"], ["solar", "battery"], []][number % 4],
            "permit_type_mapped": ["Electrical", "Building", None][number % 3],
            "permit_class_mapped": "Residential" if number % 2 else "Non-Residential",
            "work_class": ["New", "Remodel"][number // 4 % 2],
            "status_current": ["Active", "Final", "Odd"][number % 3],
            "status_current_mapped": ["Permit Issued", "Permit Finaled", None][number % 3],
            "issued_date": issued,
            "applied_date": issued - timedelta(days=number % 9 - 3) if issued and number % 5 else None,
            "est_project_cost_usd": None if number % 6 == 0 else 1000 + number * 37 % 901,
            "original_zip": ["78704", "78702", None][number % 3],
            "council_district": ["9", "3", None, "1"][number % 4],
            "contractor_company_name": ["Sun Co", "SUN  CO", None, "Pool Inc"][number % 4],
            "house_number": 100 + number // 3,
            "street": "OAK ST",
            "original_address1": f"{100 + number // 3} OAK ST",
        }


ROWS = list(make_rows())


@pytest.fixture
def permits(store: Store) -> Store:
    """The rows at one point, and a permit of another kind two kilometres off."""
    for row in ROWS:
        store.add_permit(**CENTRE, **row)
    store.add_permit(
        lat=30.2852,
        lng=-97.7431,
        source_id="far",
        categories=["adu"],
        issued_date=date(2014, 5, 1),
        original_zip="78701",
    )
    store.publish()
    return store


async def facts_of(engine: AsyncEngine, **plan: Any) -> Facts:
    async with open_session(engine) as session:
        return await gather(session, await find_register(session), Plan.model_validate(plan))


def told(facts: Facts) -> list[str]:
    return [fact.sentence for fact in facts.items]


def of(**wanted: Any) -> list[Row]:
    """The rows that have these values; a category is one of several."""
    return [
        row
        for row in ROWS
        if all(
            value in row["categories"] if name == "category" else row[name] == value for name, value in wanted.items()
        )
    ]


def costs(rows: list[Row]) -> list[int]:
    return [row["est_project_cost_usd"] for row in rows if row["est_project_cost_usd"] is not None]


def waits(rows: list[Row]) -> list[int]:
    return [
        (row["issued_date"] - row["applied_date"]).days for row in rows if row["issued_date"] and row["applied_date"]
    ]


async def test_medians_means_and_waits_are_what_python_makes_of_the_rows(permits: Store, engine: AsyncEngine) -> None:
    solar = of(category="solar")
    where = {"category": "solar"}
    facts = await facts_of(engine, kind="median", measure="median_value_usd", where=where)
    assert [fact.value for fact in facts.items] == [len(solar), median(costs(solar)), len(costs(solar))]
    facts = await facts_of(engine, kind="mean", measure="mean_value_usd", where=where)
    assert facts.items[1].value == round(fmean(costs(solar)), 2)
    facts = await facts_of(engine, kind="waiting", measure="days_to_issue", where=where)
    assert [fact.value for fact in facts.items[1:3]] == [median(waits(solar)), len(waits(solar))]
    assert facts.items[1].unit == "days"
    assert "less than none" in (facts.items[1].definition or "")


async def test_what_nothing_states_has_no_figure(store: Store, engine: AsyncEngine) -> None:
    store.add_permit(categories=["pool"])
    store.publish()
    for kind, measure, lack in (
        ("median", "median_value_usd", "an estimated cost"),
        ("mean", "mean_value_usd", "an estimated cost"),
        ("waiting", "days_to_issue", "both the day of application and the day of issue"),
    ):
        facts = await facts_of(engine, kind=kind, measure=measure)
        assert told(facts)[1:] == [f"None of the permits states {lack}."]
        assert facts.items[1].value is None


async def test_what_is_left_out_is_told_and_what_does_not_say_stays(permits: Store, engine: AsyncEngine) -> None:
    facts = await facts_of(engine, kind="count", where={"without": {"category": ["pool"], "zip": ["78704"]}})
    gone = [row for row in ROWS if "pool" in row["categories"] and row["original_zip"] == "78704"]
    assert facts.items[0].value == len(ROWS) + 1 - len(gone)
    assert told(facts)[0] == (
        f"There are {len(ROWS) + 1 - len(gone)} permits other than swimming pool permits in ZIP 78704."
    )
    assert facts.items[0].rows is None
    facts = await facts_of(engine, kind="count", where={"without": {"zip": ["78704"]}, "area": AREA})
    assert facts.items[0].value == len([row for row in ROWS if row["original_zip"] != "78704"])
    facts = await facts_of(
        engine, kind="list", order="nearest", limit=20, where={"without": {"category": ["solar"]}, "area": AREA}
    )
    assert {fact.value for fact in facts.items if fact.is_row} == {0.0}
    assert facts.items[0].value == len([row for row in ROWS if "solar" not in row["categories"]])
    everything = await facts_of(engine, kind="count", where={"without": {}})
    assert everything.items[0].value == len(ROWS) + 1


@pytest.mark.parametrize(
    "plan",
    [
        {"kind": "sum", "measure": "value_usd"},
        {"kind": "median", "measure": "median_value_usd"},
        {"kind": "waiting", "measure": "days_to_issue"},
        {"kind": "top", "group_by": "zip"},
        {"kind": "top", "group_by": "company"},
        {"kind": "series"},
        {"kind": "list", "order": "newest"},
        {"kind": "list", "order": "longest_open"},
        {"kind": "share", "versus": {}},
        {"kind": "compare", "versus": {"category": "pool"}},
        {"kind": "joined", "beside": {"category": "battery"}},
        {"kind": "changed", "since": "2020-01-01"},
    ],
)
async def test_every_kind_can_leave_permits_out(plan: dict[str, Any], permits: Store, engine: AsyncEngine) -> None:
    where = {"category": "solar", "without": {"work_class": "New"}}
    facts = await facts_of(engine, **plan, where=where)
    assert facts.items[0].sentence
    if plan["kind"] not in ("share", "changed"):
        assert facts.items[0].value == len([row for row in of(category="solar") if row["work_class"] != "New"])


async def test_a_share_is_of_the_whole_that_is_named(permits: Store, engine: AsyncEngine) -> None:
    facts = await facts_of(engine, kind="share", where={"category": "solar", "zip": "78704"}, versus={"zip": "78704"})
    whole, part = of(original_zip="78704"), of(original_zip="78704", category="solar")
    percent = round(len(part) / len(whole) * 100, 1)
    assert told(facts)[1] == (
        f"Of the {len(whole)} permits in ZIP 78704, {len(part)} are solar permits, a share of {percent} %."
    )
    assert (facts.items[1].value, facts.items[1].unit) == (percent, "percent")
    facts = await facts_of(engine, kind="share", where={"category": "battery"}, versus={"category": "solar"})
    both = [row for row in of(category="solar") if "battery" in row["categories"]]
    assert facts.items[1].value == round(len(both) / len(of(category="solar")) * 100, 1)


async def test_a_density_is_of_a_circle_or_a_region_and_of_nothing_else(permits: Store, engine: AsyncEngine) -> None:
    facts = await facts_of(engine, kind="density", measure="permits_per_km2", where={"area": AREA})
    assert facts.items[1].value == pytest.approx(3.14159265 * 0.8**2, rel=0.002)
    assert facts.items[2].value == pytest.approx(len(ROWS) / (3.14159265 * 0.8**2), rel=0.002)
    permits.add_region("zip", "78704", "MULTIPOLYGON(((-97.8 30.2,-97.7 30.2,-97.7 30.3,-97.8 30.3,-97.8 30.2)))")
    permits.publish()
    facts = await facts_of(engine, kind="density", measure="permits_per_km2", where={"zip": "78704"})
    (size,) = permits.connection.execute("SELECT area_km2 FROM regions").fetchone() or (0,)
    assert facts.items[2].value == round(len(of(original_zip="78704")) / size, 3)
    for where in ({}, {"zip": "78702"}, {"zip": "78704", "area": AREA}):
        facts = await facts_of(engine, kind="density", measure="permits_per_km2", where=where)
        assert "permits_per_km2" not in {fact.unit for fact in facts.items}
        assert len(facts.remarks) == 1


async def test_the_longest_open_are_those_whose_status_says_that_they_are(permits: Store, engine: AsyncEngine) -> None:
    since = {
        row["source_id"]: min(day for day in (row["applied_date"], row["issued_date"]) if day)
        for row in ROWS
        if row["status_current_mapped"] == "Permit Issued" and row["issued_date"]
    }
    expected = sorted(since.items(), key=lambda one: (one[1], one[0]))[:5]
    facts = await facts_of(engine, kind="list", order="longest_open")
    rows = [fact for fact in facts.items if fact.is_row]
    assert [(fact.rows, fact.value) for fact in rows] == [(f"/permits/austin/{key}", f"{day}") for key, day in expected]


GROUPS = {
    "category": "categories",
    "permit_type": "permit_type_mapped",
    "permit_class": "permit_class_mapped",
    "work_class": "work_class",
    "status": "status_current",
    "zip": "original_zip",
    "district": "council_district",
}
MEASURES: dict[str, Callable[[list[Row]], Any]] = {
    "permits": len,
    "value_usd": lambda rows: sum(costs(rows)),
    "median_value_usd": lambda rows: median(costs(rows)),
    "mean_value_usd": lambda rows: round(fmean(costs(rows)), 2),
    "days_to_issue": lambda rows: median(waits(rows)),
}


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("measure", MEASURES)
async def test_a_ranking_is_what_python_ranks(by: str, measure: str, permits: Store, engine: AsyncEngine) -> None:
    groups: dict[str, list[Row]] = {}
    for row in ROWS:
        keys = row["categories"] if by == "category" else [row[GROUPS[by]]]
        for key in keys:
            name = {"Active": "Permit Issued", "Final": "Permit Finaled"}.get(key, key) if by == "status" else key
            if name is not None:
                groups.setdefault(name, []).append(row)
    expected = sorted((MEASURES[measure](rows) for rows in groups.values()), reverse=True)
    facts = await facts_of(engine, kind="top", group_by=by, measure=measure, limit=20, where={"area": AREA})
    assert [fact.value for fact in facts.items if fact.label] == expected


async def test_companies_are_ranked_where_the_source_tells_them_and_no_person_is(
    store: Store, engine: AsyncEngine
) -> None:
    store.add_permit(contractor_company_name=None)
    store.publish()
    facts = await facts_of(engine, kind="top", group_by="company")
    assert (facts.is_declined, facts.items) == (True, ())
    assert "no column for companies" in facts.remarks[0]
    for name in ("Sun Co", "SUN  CO ", " ", "Pool Inc"):
        store.add_permit(contractor_company_name=name)
    store.publish()
    facts = await facts_of(engine, kind="top", group_by="company")
    assert [(fact.label, fact.value) for fact in facts.items if fact.label] == [("SUN CO", 2), ("POOL INC", 1)]
    assert "3 of these 5 permits name a company." in told(facts)


async def test_a_city_whose_source_has_no_companies_is_declined(store: Store, engine: AsyncEngine) -> None:
    store.add_permit(city="calgary", contractor_company_name="Jane Doe")
    store.publish()
    facts = await facts_of(engine, kind="top", group_by="company")
    assert facts.is_declined
    assert "Jane" not in " ".join([*told(facts), *facts.remarks])


async def test_regions_are_ranked_by_their_kind_and_of_one_city_only(permits: Store, engine: AsyncEngine) -> None:
    square = "MULTIPOLYGON(((-97.8 30.2,-97.7 30.2,-97.7 30.3,-97.8 30.3,-97.8 30.2)))"
    region = permits.add_region("neighborhood", "Zilker", square)
    permits.connection.execute("UPDATE permits SET regions = ARRAY[%s::bigint]", [region])
    permits.publish()
    plan = {"kind": "top", "group_by": "region", "region_kind": "neighborhood"}
    facts = await facts_of(engine, **plan)
    assert told(facts)[1] == "Number 1 by neighborhood is Zilker with 41 permits."
    facts = await facts_of(engine, **plan, measure="permits_per_km2")
    (size,) = permits.connection.execute("SELECT area_km2 FROM regions").fetchone() or (0,)
    assert facts.items[1].value == round(41 / size, 3)
    assert (await facts_of(engine, kind="top", group_by="region", region_kind="ward")).is_declined
    permits.add_permit(city="seattle")
    permits.publish()
    assert (await facts_of(engine, **plan)).is_declined
    assert not (await facts_of(engine, **plan, where={"city": "austin"})).is_declined


@pytest.mark.parametrize("period", ["year", "quarter", "month"])
async def test_a_series_counts_each_period_and_tells_growth_between_whole_ones(
    period: str, permits: Store, engine: AsyncEngine
) -> None:
    size = {"year": 12, "quarter": 3, "month": 1}[period]
    facts = await facts_of(engine, kind="series", period=period, where={"category": "solar"})
    days = [row["issued_date"] for row in of(category="solar") if row["issued_date"]]
    counted = [fact for fact in facts.items if fact.label]
    assert sum(int(fact.value or 0) for fact in counted) == len(days)
    everything = [row["issued_date"] for row in ROWS if row["issued_date"]]
    ends = [12 * day.year + day.month - 1 for day in (min(everything), max(everything))]
    keys = range(ends[0] // size, ends[1] // size + 1)
    by_key = [sum((12 * day.year + day.month - 1) // size == key for day in days) for key in keys]
    assert [fact.value for fact in counted] == by_key
    growth = next(fact for fact in facts.items if fact.unit == "percent")
    whole = [value for key, value in zip(keys, by_key, strict=True)
             if key * size >= ends[0] and (key + 1) * size <= ends[1]]  # fmt: skip
    assert growth.value == (round((whole[-1] - whole[0]) / whole[0] * 100, 1) if whole[0] else None)
    assert "partial" in counted[-1].sentence


async def test_growth_is_told_in_words(store: Store, engine: AsyncEngine) -> None:
    days = [date(2013, 1, 1), *[date(2014, 1, 5)] * 2, *[date(2015, 1, 5)] * 3, date(2015, 12, 31)]
    for day in days:
        store.add_permit(issued_date=day)
    store.publish()
    facts = await facts_of(engine, kind="series")
    assert told(facts)[-1] == "From 2013 to 2015 the number of permits grew from 1 to 4, which is 300.0 % more."
    facts = await facts_of(engine, kind="series", period="quarter", where={"issued_from": "2014-01-01"})
    assert told(facts)[-1] == "From Q1 2014 to Q4 2015 the number of permits fell from 2 to 1, which is 50.0 % less."
    assert told(facts)[1] == "In Q1 2014 there are 2 permits."
    facts = await facts_of(engine, kind="series", period="month", where={"issued_from": "2014-01-01"})
    assert facts.items[2].sentence == "In February 2014 there are 0 permits."


async def test_a_comparison_of_medians_names_both_sides(permits: Store, engine: AsyncEngine) -> None:
    plan = {"kind": "compare", "where": {"category": "solar"}, "versus": {"category": "pool"}}
    facts = await facts_of(engine, **plan, measure="median_value_usd")
    one, other = median(costs(of(category="solar"))), median(costs(of(category="pool")))
    assert facts.items[-1].value == abs(one - other)
    larger, smaller = ("solar", "swimming pool") if one > other else ("swimming pool", "solar")
    assert (
        f"median estimated cost of {larger} permits exceeds the median estimated cost of {smaller}" in told(facts)[-1]
    )
    facts = await facts_of(engine, kind="compare", measure="permits_per_km2", where={"area": AREA}, versus={})
    assert len(facts.remarks) == 1


async def test_pairs_are_addresses_with_both_kinds(permits: Store, engine: AsyncEngine) -> None:
    def at(category: str) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = {}
        for row in of(category=category):
            found.setdefault(row["house_number"], []).append(row)
        return found

    solar, pool = at("solar"), at("pool")
    facts = await facts_of(engine, kind="joined", where={"category": "solar"}, beside={"category": "pool"})
    pairs = next(fact for fact in facts.items if fact.unit == "addresses")
    assert pairs.value == len(solar.keys() & pool.keys())
    assert pairs.sentence == f"{pairs.value} addresses have a solar permit and a swimming pool permit."
    later = [
        house
        for house in solar.keys() & pool.keys()
        if any(
            one["issued_date"] and other["issued_date"] and other["issued_date"] > one["issued_date"]
            for one in solar[house]
            for other in pool[house]
        )
    ]
    then = await facts_of(
        engine, kind="joined", sequence="then", where={"category": "solar"}, beside={"category": "pool"}, limit=20
    )
    pairs = next(fact for fact in then.items if fact.unit == "addresses")
    assert pairs.value == len(later)
    assert sorted(str(fact.value) for fact in then.items if fact.is_row) == sorted(f"{house} OAK ST" for house in later)


async def test_what_changed_is_counted_by_permit_and_by_field(store: Store, engine: AsyncEngine) -> None:
    old = [store.add_permit(categories=["solar"]) for _ in range(4)]
    run = store.connection.execute(
        "UPDATE ingest_runs SET finished_at = '2026-11-01T12:00:00Z' RETURNING run"
    ).fetchone()
    second = store.connection.execute(
        "INSERT INTO ingest_runs (city, source, status, finished_at)"
        " VALUES ('austin', 'test', 'published', '2026-11-20T12:00:00Z') RETURNING run"
    ).fetchone()
    assert run
    assert second
    for source_id, name in ((old[0], "status_current"), (old[0], "issued_date"), (old[1], "status_current")):
        store.connection.execute(
            "INSERT INTO permit_changes (city, source_id, run, field, old_value, new_value)"
            " VALUES ('austin', %s, %s, %s, 'a', 'b')",
            [source_id, second[0], name],
        )
        store.connection.execute("UPDATE permits SET changed_run = %s WHERE source_id = %s", [second[0], source_id])
    store.add_permit(categories=["solar"], first_run=second[0], changed_run=second[0])
    store.publish()
    facts = await facts_of(engine, kind="changed", since="2026-11-10", where={"category": "solar"})
    assert told(facts) == [
        "Since 2026-11-10 there are 3 solar permits that changed, new and removed ones included.",
        "1 of these 3 permits is new.",
        "The status of 2 permits changed since 2026-11-10.",
        "The date of issue of 1 permit changed since 2026-11-10.",
    ]
    facts = await facts_of(engine, kind="changed", since="2026-11-21")
    assert [fact.value for fact in facts.items] == [0]


async def test_nothing_found_says_where_or_when_the_nearest_is(permits: Store, engine: AsyncEngine) -> None:
    facts = await facts_of(engine, kind="count", where={"category": "adu", "area": AREA})
    assert facts.items[0].value == 0
    assert facts.items[1].value == pytest.approx(1995.5, abs=1)
    assert told(facts)[2] == "There is 1 accessory dwelling permit within 2,000 m of 30.2672, -97.7431."
    where = {"category": "adu", "issued_from": "2010-01-01", "issued_to": "2011-12-31"}
    facts = await facts_of(engine, kind="count", where=where)
    assert told(facts)[1] == "There is 1 accessory dwelling permit issued in 2014."
    facts = await facts_of(engine, kind="count", where={"category": "sign", "area": AREA, "issued_from": "2014-01-01"})
    assert [fact.value for fact in facts.items[:3]] == [0, 0, 0]


PLANS: list[dict[str, Any]] = [
    {"kind": "count", "where": {"category": "solar", "without": {"zip": ["78704"]}}},
    {"kind": "median", "measure": "median_value_usd", "where": {"category": "solar"}},
    {"kind": "mean", "measure": "mean_value_usd", "where": {"category": "solar"}},
    {"kind": "waiting", "measure": "days_to_issue", "where": {"category": "solar", "area": AREA}},
    {"kind": "share", "where": {"category": "solar"}, "versus": {}},
    {"kind": "density", "measure": "permits_per_km2", "where": {"area": AREA, "category": "solar"}},
    {"kind": "top", "group_by": "zip", "measure": "days_to_issue"},
    {"kind": "top", "group_by": "status", "measure": "mean_value_usd"},
    {"kind": "series", "period": "quarter", "where": {"category": "solar"}},
    {"kind": "series", "measure": "median_value_usd"},
    {"kind": "compare", "measure": "days_to_issue", "where": {"zip": "78704"}, "versus": {"zip": "78702"}},
    {"kind": "joined", "where": {"category": "solar"}, "beside": {"category": "pool"}, "sequence": "then"},
    {"kind": "list", "order": "longest_open"},
    {"kind": "count", "where": {"category": "adu", "area": AREA}},
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan['kind']}-{plan.get('measure', '')}")
async def test_a_fact_passes_the_verifier_in_its_own_words_and_not_in_others(
    plan: dict[str, Any], permits: Store, engine: AsyncEngine
) -> None:
    facts = await facts_of(engine, **plan)
    for fact in facts.items:
        alone = Verifier(replace(facts, items=(fact,)))
        if re.search(r"\d|\bno\b", fact.sentence):
            assert alone.check(fact.sentence) is not None, fact.sentence
        for lie in mutate(fact.sentence):
            assert alone.check(lie) is None, lie


def mutate(sentence: str) -> Iterator[str]:
    """Give a sentence with each number, unit and name made another one."""
    for match in re.finditer(r"\d[\d,.]*\d|\d", sentence):
        yield f"{sentence[: match.start()]}{match.group()}7{sentence[match.end() :]}"
    swaps = [
        ("days", "weeks"), ("%", "permits"), ("square kilometre", "square mile"), ("solar", "pool"), ("median", "mean"),
        ("mean", "median"), ("grew", "fell"), ("fell", "grew"), ("more", "less"), ("less", "more"), (" m ", " km "),
        ("exceeds", "equals"), ("ZIP", "district"), ("open", "closed"), ("later", "earlier"), ("other than", "of"),
        ("solar ", ""), ("other than", "these"),
    ]  # fmt: skip
    for true, false in swaps:
        if re.search(rf"(?<!\w){re.escape(true)}", sentence):
            yield re.sub(rf"(?<!\w){re.escape(true)}", false, sentence)


async def test_the_figures_of_every_kind_come_again_over_http(
    permits: Store, client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for plan in PLANS:
        for fact in (await facts_of(engine, **plan)).items:
            query = fact.query
            reply = await client.request(query["method"], query["path"], params=query["params"], json=query["body"])
            assert reply.status_code == 200, (query, reply.text)
            if query["path"] == "/facts":
                again = {one["id"]: one for one in reply.json()["facts"]}
                assert (again[fact.id]["value"], again[fact.id]["sentence"]) == (fact.value, fact.sentence)
            elif query["path"] == "/permits/stats" and fact.value is not None:
                body = reply.json()
                groups = [group for group in body["groups"] if "group_by" in query["params"]] or [body["total"]]
                assert fact.value in [value for group in groups for value in group.values()], (fact, body)
            if fact.rows:
                assert (await client.get(fact.rows)).status_code == 200
