"""What callers of ``/permits/stats`` may rely on, over HTTP."""

from datetime import date
from typing import Any

import httpx
import pytest

from tests.conftest import Store

CENTRE = {"lat": 30.2672, "lng": -97.7431}


@pytest.fixture
def permits(store: Store) -> Store:
    """Five permits over three years, the last of which the data do not reach the end of."""
    for issued, cost, categories in (
        (date(2013, 2, 1), 1000, ["solar"]),
        (date(2013, 5, 9), 2500, ["solar", "pool"]),
        (date(2015, 3, 4), None, []),
        (date(2015, 4, 1), 4000, ["pool"]),
        (None, None, []),
    ):
        store.add_permit(
            lat=30.2672,
            lng=-97.7431,
            issued_date=issued,
            applied_date=date(2013, 1, 31) if issued else None,
            est_project_cost_usd=cost,
            categories=categories,
            original_zip="78704",
            status_current="Final",
        )
    store.publish()
    return store


async def ask(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    """Ask for statistics; the reply must be a good one."""
    reply = await client.get("/permits/stats", params=parameters)
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


async def test_a_series_has_no_gap_and_marks_what_is_partial(permits: Store, client: httpx.AsyncClient) -> None:
    document = await ask(client, group_by="year")
    told = [(group["key"], group["permits"], group.get("partial")) for group in document["groups"]]
    assert told == [("2013", 2, False), ("2014", 0, False), ("2015", 2, True), (None, 1, None)]
    assert document["missing"] == {"austin": {"without_issued_date": 1}}
    quarters = await ask(client, group_by="quarter", issued_from="2013-01-01", issued_to="2013-08-31")
    told = [(group["key"], group["permits"], group.get("partial")) for group in quarters["groups"]]
    assert told == [("2013-Q1", 1, False), ("2013-Q2", 1, False), ("2013-Q3", 0, True)]


async def test_one_reply_gives_several_measures(permits: Store, client: httpx.AsyncClient) -> None:
    measures = ["value_usd_sum", "value_usd_mean", "value_usd_median", "days_to_issue_median"]
    document = await ask(client, measure=measures, issued_to="2013-12-31")
    assert document["total"] == {
        "permits": 2,
        "permits_with_value": 2,
        "value_usd_sum": 3500,
        "value_usd_mean": 1750,
        "value_usd_median": 1750,
        "permits_with_days": 2,
        "days_to_issue_median": 49.5,
    }


async def test_a_permit_counts_in_each_of_its_categories_and_the_reply_says_so(
    permits: Store, client: httpx.AsyncClient
) -> None:
    document = await ask(client, group_by="category")
    assert [(group["key"], group["permits"]) for group in document["groups"]] == [("pool", 2), ("solar", 2), (None, 2)]
    assert document["note"] == "a permit with several categories counts in each of them"
    assert set(document["definitions"]) == {"pool", "solar"}
    assert set((await ask(client, category="adu"))["definitions"]) == {"adu"}


@pytest.mark.parametrize("by", ["year", "month", "zip", "status", "category"])
async def test_the_link_of_a_group_lists_as_many_permits_as_it_counts(
    by: str, permits: Store, client: httpx.AsyncClient
) -> None:
    document = await ask(client, group_by=by, issued_from="2013-02-01")
    linked = [group for group in document["groups"] if "rows" in group]
    assert linked
    for group in linked:
        assert (await client.get(group["rows"])).json()["numberReturned"] == group["permits"]


async def test_permits_of_a_circle_are_told_per_square_kilometre(permits: Store, client: httpx.AsyncClient) -> None:
    permits.add_permit(lat=30.28, lng=-97.7431)
    permits.publish()
    total = (await ask(client, measure="permits_per_km2", **CENTRE, radius_m=1000))["total"]
    assert total["km2"] == pytest.approx(3.1416, rel=0.002)
    assert total["permits_per_km2"] == pytest.approx(5 / 3.1416, rel=0.002)


async def test_regions_are_told_even_without_a_permit_and_with_their_area(
    permits: Store, client: httpx.AsyncClient
) -> None:
    square = "MULTIPOLYGON((({0} 30.2, {1} 30.2, {1} 30.3, {0} 30.3, {0} 30.2)))"
    here = permits.add_region("neighborhood", "Here", square.format(-97.8, -97.7))
    permits.add_region("neighborhood", "Beyond", square.format(-97.9, -97.8))
    permits.connection.execute("UPDATE permits SET regions = ARRAY[%s::bigint]", [here])
    permits.publish()
    document = await ask(client, group_by="region", kind="neighborhood", measure="permits_per_km2")
    told = {group["key"]: (group["permits"], round(group["km2"])) for group in document["groups"]}
    assert told == {"Beyond": (0, 107), "Here": (5, 107)}
    for group in document["groups"]:
        rows = await client.get(group["rows"])
        assert rows.json()["numberReturned"] == group["permits"]
    for kind in ("nope", "\x00"):
        reply = await client.get("/permits/stats", params={"group_by": "region", "kind": kind})
        assert reply.status_code == 422


async def test_what_is_not_changed_is_not_sent_again(permits: Store, client: httpx.AsyncClient) -> None:
    first = await client.get("/permits/stats", params={"group_by": "year"})
    again = await client.get(
        "/permits/stats", params={"group_by": "year"}, headers={"If-None-Match": first.headers["etag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"group_by": "region"}, "kind belongs to group_by=region"),
        ({"measure": "permits_per_km2"}, "needs an area"),
        ({"lat": 30}, "lat and lng belong together"),
        ({"radius_m": 30}, "radius_m needs lat and lng"),
        ({"group_by": "colour"}, "Input should be"),
    ],
)
async def test_what_does_not_fit_together_is_refused(
    parameters: dict[str, Any], said: str, permits: Store, client: httpx.AsyncClient
) -> None:
    reply = await client.get("/permits/stats", params=parameters)
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


async def test_the_same_number_comes_from_facts_and_from_statistics(permits: Store, client: httpx.AsyncClient) -> None:
    plan = {"kind": "series", "measure": "value_usd"}
    facts = (await client.post("/facts", json={"plan": plan})).json()["facts"]
    years = (await ask(client, group_by="year", measure="value_usd_sum"))["groups"]
    by_sentence = [fact["value"] for fact in facts if fact["sentence"].startswith("In 20")]
    shown = [year["value_usd_sum"] for year in years if year["permits"] and year["key"]]
    assert by_sentence == shown
