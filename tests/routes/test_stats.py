"""What callers of ``/permits/stats`` may rely on, over HTTP."""

from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest
from geographiclib.geodesic import Geodesic

from app.permits.extent import measure_box
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


async def test_permits_issued_on_the_day_of_application_waited_no_days(store: Store, client: httpx.AsyncClient) -> None:
    day = date(2013, 2, 1)
    for zip_code in ("78701", "78702"):
        store.add_permit(original_zip=zip_code, applied_date=day, issued_date=day)
    store.publish()
    document = await ask(client, group_by="zip", measure="days_to_issue_median")
    assert [total["days_to_issue_median"] for total in (document["total"], *document["groups"])] == [0, 0, 0]


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


RING = [[-97.75, 30.26], [-97.73, 30.26], [-97.73, 30.28], [-97.75, 30.28], [-97.75, 30.26]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}


async def test_a_box_a_polygon_and_a_region_are_areas_as_everywhere(permits: Store, client: httpx.AsyncClient) -> None:
    permits.add_permit(lat=30.4, lng=-97.7, issued_date=date(2013, 2, 1), est_project_cost_usd=9_000_000)
    here = permits.add_region("neighborhood", "Here", f"MULTIPOLYGON((({', '.join(f'{x} {y}' for x, y in RING)})))")
    permits.connection.execute("UPDATE permits SET regions = ARRAY[%s::bigint] WHERE original_zip = '78704'", [here])
    permits.publish()
    asked = {"group_by": "year", "measure": ["value_usd_sum", "value_usd_median", "days_to_issue_median"]}
    box = await ask(client, bbox="-97.75,30.26,-97.73,30.28", **asked)
    reply = await client.post("/permits/stats", json={"polygon": POLYGON, **asked})
    assert reply.status_code == 200, reply.text
    assert reply.headers["Cache-Control"] == "no-store"
    region = await ask(client, region="neighborhood/here", **asked)
    expected = [("2013", 2, 3500), ("2014", 0, 0), ("2015", 2, 4000), (None, 1, 0)]
    for document in (box, reply.json(), region):
        told = [(group["key"], group["permits"], group["value_usd_sum"]) for group in document["groups"]]
        assert told == expected
        assert (document["total"]["permits"], document["total"]["value_usd_median"]) == (5, 2500)
        assert document["missing"]["austin"] == {
            "without_location": 0,
            "without_issued_date": 1,
            "without_applied_date": 2,
            "without_value": 2,
        }
    linked = [(await client.get(group["rows"])).json()["numberReturned"] for group in box["groups"] if "rows" in group]
    assert linked == [2, 0, 2]
    assert not any("rows" in group for group in reply.json()["groups"])


async def test_a_polygon_of_statistics_is_checked_and_its_oddities_are_told(
    permits: Store, client: httpx.AsyncClient
) -> None:
    turned = {"type": "Polygon", "coordinates": [RING[::-1]]}
    reply = await client.post("/permits/stats", json={"polygon": turned})
    assert reply.json()["total"] == {"permits": 5}
    assert "clockwise" in reply.json()["notes"][0]
    crossed = {"type": "Polygon", "coordinates": [[RING[0], RING[2], RING[1], RING[3], RING[0]]]}
    refused = await client.post("/permits/stats", json={"polygon": crossed})
    assert refused.status_code == 422
    assert "not valid" in refused.json()["detail"]


@pytest.mark.parametrize("polygon", [False, True])
async def test_permits_of_a_box_and_of_a_polygon_are_told_per_square_kilometre(
    polygon: bool, permits: Store, client: httpx.AsyncClient
) -> None:
    asked = {"polygon": POLYGON} if polygon else {"bbox": "-97.75,30.26,-97.73,30.28"}
    reply = await client.post("/permits/stats", json={"measure": "permits_per_km2", **asked})
    whole = Geodesic.WGS84.Polygon()
    for lng, lat in RING[:-1]:
        whole.AddPoint(lat, lng)
    km2 = whole.Compute()[2] / 1e6
    assert reply.json()["total"]["km2"] == pytest.approx(km2, rel=1e-6)
    assert reply.json()["total"]["permits_per_km2"] == round(5 / km2, 3)


def test_the_box_of_the_earth_is_as_large_as_the_earth() -> None:
    assert measure_box("-180,-90,180,90") == pytest.approx(510_065_621.724, rel=1e-9)
    assert measure_box("179,-1,-179,1") == pytest.approx(measure_box("-1,-1,1,1"), rel=1e-12)


async def test_zips_and_districts_with_a_polygon_are_told_per_square_kilometre(
    permits: Store, client: httpx.AsyncClient
) -> None:
    square = "MULTIPOLYGON((({0} 30.2, {1} 30.2, {1} 30.3, {0} 30.3, {0} 30.2)))"
    permits.add_region("zip", "78704", square.format(-97.8, -97.7))
    permits.add_region("council_district", "District 9", square.format(-97.8, -97.7))
    permits.add_permit(original_zip="78745", council_district="9")
    permits.publish()
    for by, known, unknown in (("zip", "78704", "78745"), ("district", "9", None)):
        document = await ask(client, group_by=by, measure="permits_per_km2")
        groups = {group["key"]: group for group in document["groups"]}
        assert round(groups[known]["km2"]) == 107
        assert "permits_per_km2" not in groups[unknown]
        cut = await ask(client, group_by=by, measure="permits_per_km2", bbox="-97.75,30.26,-97.73,30.28")
        assert "permits_per_km2" in cut["total"]
        assert not any("permits_per_km2" in group for group in cut["groups"])


async def test_regions_asked_for_are_measured_together_what_overlaps_once(
    permits: Store, client: httpx.AsyncClient
) -> None:
    square = "MULTIPOLYGON((({0} 30.2, {1} 30.2, {1} 30.3, {0} 30.3, {0} 30.2)))"
    permits.add_region("neighborhood", "West", square.format(-97.8, -97.7))
    permits.add_region("neighborhood", "East", square.format(-97.75, -97.65))
    permits.publish()
    asked = {"measure": "permits_per_km2", "group_by": "region", "kind": "neighborhood"}
    one = await ask(client, region="neighborhood/west", **asked)
    assert round(one["total"]["km2"]) == 107
    assert {group["key"]: round(group.get("km2", 0)) for group in one["groups"] if group["key"]} == {
        "West": 107,
        "East": 0,
    }
    both = await ask(client, region=["neighborhood/west", "neighborhood/east"], measure="permits_per_km2")
    assert round(both["total"]["km2"]) == 160


async def test_half_a_cent_of_a_mean_is_rounded_away_from_zero(permits: Store, client: httpx.AsyncClient) -> None:
    for cost in ("1.00", "1.01"):
        permits.add_permit(original_zip="78745", est_project_cost_usd=Decimal(cost))
    permits.publish()
    measures = ["value_usd_mean", "value_usd_median"]
    total = (await ask(client, zip="78745", measure=measures))["total"]
    assert (total["value_usd_mean"], total["value_usd_median"]) == (1.01, 1.01)
    permits.add_permit(original_zip="78701", est_project_cost_usd=Decimal("1.02"))
    permits.add_permit(original_zip="78701", est_project_cost_usd=Decimal("1.03"))
    permits.publish()
    assert (await ask(client, zip="78701", measure="value_usd_mean"))["total"]["value_usd_mean"] == 1.03


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
        ({"measure": "permits_per_km2"}, "needs one area"),
        ({"measure": "permits_per_km2", "group_by": "year"}, "needs one area"),
        ({"measure": "permits_per_km2", "bbox": "-98,30,-97,31", **CENTRE}, "needs one area"),
        ({"bbox": "-98,31,-97,30"}, "south first"),
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
