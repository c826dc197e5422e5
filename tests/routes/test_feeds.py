"""What a saved area may rely on: each change since its day or run, once, as GeoJSON and as an Atom feed."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from app.database import compile_text
from app.permits.changes import ChangesQuery, select_changed
from app.permits.exports import bind_circle
from tests.conftest import Store

ATOM = "{http://www.w3.org/2005/Atom}"
HERE: dict[str, Any] = {"lat": 30.25, "lng": -97.75}
AROUND: dict[str, Any] = {**HERE, "radius_m": 500}
DAYS = {1: datetime(2026, 11, 1, 9, tzinfo=UTC), 2: datetime(2026, 11, 18, 9, tzinfo=UTC)}


def add_run(store: Store, *, at: datetime, city: str = "austin", status: str = "published") -> int:
    """Add a run that ended then."""
    row = store.connection.execute(
        "INSERT INTO ingest_runs (city, source, status, finished_at) VALUES (%s, 'test', %s, %s) RETURNING run",
        [city, status, at],
    ).fetchone()
    assert row is not None
    return int(row[0])


def change(store: Store, source_id: str, run: int, field: str, old: str | None, new: str | None) -> None:
    """Note a change as a run does."""
    store.connection.execute(
        "INSERT INTO permit_changes (city, source_id, run, field, old_value, new_value)"
        " VALUES ('austin', %s, %s, %s, %s, %s)",
        [source_id, run, field, old, new],
    )
    removed = run if field == "removed_run" and new else None
    store.connection.execute(
        "UPDATE permits SET changed_run = %s, removed_run = %s WHERE source_id = %s", [run, removed, source_id]
    )


@pytest.fixture
def nights(store: Store) -> tuple[int, int, int]:
    """The first load on 1 November, and nights on the 18th and the 20th, all at 9 UTC."""
    first, second, third = (add_run(store, at=datetime(2026, 11, day, 9, tzinfo=UTC)) for day in (1, 18, 20))
    return first, second, third


async def ask(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    reply = await client.get("/permits/changes", params=asked)
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


async def list_ids(client: httpx.AsyncClient, **asked: Any) -> list[str]:
    return [feature["properties"]["source_id"] for feature in (await ask(client, **asked))["features"]]


async def test_a_permit_tells_its_changes_newest_first_in_the_forms_of_its_feature(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    first, second, third = nights
    one = store.add_permit(**HERE, first_run=second, changed_run=second)
    change(store, one, third, "categories", "", "solar, battery")
    change(store, one, third, "est_project_cost_usd", "100", "2500.5")
    change(store, one, third, "location", None, "POINT(-97.75 30.25)")
    store.publish()
    document = await ask(client, **AROUND)
    (feature,) = document["features"]
    at = "2026-11-20T09:00:00Z"
    told = {"kind": "changed", "run": third, "at": at}
    assert feature["properties"]["changes"] == [
        told | {"field": "categories", "old": [], "new": ["solar", "battery"]},
        told | {"field": "est_project_cost_usd", "old": 100, "new": 2500.5},
        told | {"field": "location", "old": None, "new": {"type": "Point", "coordinates": [-97.75, 30.25]}},
        {"kind": "new", "run": second, "at": "2026-11-18T09:00:00Z"},
    ]
    assert document["since"] == {"austin": {"run": first}}


async def test_the_first_load_of_a_city_is_no_change(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    store.add_permit(**HERE, first_run=nights[0], changed_run=nights[0])
    new = store.add_permit(**HERE, first_run=nights[1], changed_run=nights[1])
    store.publish()
    assert await list_ids(client, since="2026-10-01") == [new]


async def test_regions_that_were_loaded_before_the_first_permits_begin_no_register(
    store: Store, client: httpx.AsyncClient
) -> None:
    regions = add_run(store, at=datetime(2026, 11, 1, tzinfo=UTC))
    store.connection.execute('UPDATE ingest_runs SET report = \'{"kind": "zip"}\' WHERE run = %s', [regions])
    first = add_run(store, at=datetime(2026, 11, 2, tzinfo=UTC))
    store.add_permit(first_run=first, changed_run=first)
    store.publish()
    assert await list_ids(client, since="2026-10-30") == []


async def test_a_removed_permit_is_told_with_its_last_state_and_one_that_returned_as_itself(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    gone, back = (
        store.add_permit(**HERE, first_run=nights[0], changed_run=nights[0], description="pool") for _ in range(2)
    )
    change(store, gone, nights[2], "removed_run", None, str(nights[2]))
    change(store, back, nights[1], "removed_run", None, str(nights[1]))
    change(store, back, nights[2], "removed_run", str(nights[1]), None)
    store.publish()
    features = {one["properties"]["source_id"]: one["properties"] for one in (await ask(client, **AROUND))["features"]}
    assert (features[gone]["removed"], features[gone]["description"]) == (True, "pool")
    assert [one["kind"] for one in features[gone]["changes"]] == ["removed"]
    assert "removed" not in features[back]
    assert [one["kind"] for one in features[back]["changes"]] == ["returned", "removed"]


async def test_since_is_a_day_of_the_city_an_instant_or_a_run(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    early = store.add_permit(first_run=nights[1], changed_run=nights[1])
    late = store.add_permit(first_run=nights[2], changed_run=nights[2])
    at_night = add_run(store, at=datetime(2026, 11, 21, 3, tzinfo=UTC))
    evening = store.add_permit(first_run=at_night, changed_run=at_night)
    store.publish()
    assert await list_ids(client) == [evening, late, early]
    assert await list_ids(client, since="2026-11-20") == [evening, late]
    assert await list_ids(client, since="2026-11-21") == [], "it was the evening of the 20th in Austin"
    assert await list_ids(client, since="2026-11-21T00:00:00Z") == [evening]
    assert await list_ids(client, since="2026-11-20T20:00:00-06:00") == [evening]
    assert await list_ids(client, since=nights[1]) == [evening, late]
    assert await list_ids(client, since=at_night) == []


@pytest.mark.parametrize("since", ["yesterday", "2026-02-30", "2025-11-21", "999", "2026-11-20T09:00", "-1", "\x00"])
async def test_a_since_that_is_none_or_too_long_ago_is_refused(
    store: Store, client: httpx.AsyncClient, since: str
) -> None:
    add_run(store, at=DAYS[1])
    store.add_permit()
    store.publish()
    assert (await client.get("/permits/changes", params={"since": since})).status_code == 422


async def test_area_and_filters_are_met_by_what_the_permit_is_now(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    moved_in = store.add_permit(**HERE, first_run=nights[0], changed_run=nights[0], categories=["solar"])
    moved_out = store.add_permit(lat=30.4, lng=-97.75, first_run=nights[0], changed_run=nights[0])
    change(store, moved_in, nights[2], "location", "POINT(-97.75 30.4)", "POINT(-97.75 30.25)")
    change(store, moved_out, nights[2], "location", "POINT(-97.75 30.25)", "POINT(-97.75 30.4)")
    store.publish()
    for area in (AROUND, {"bbox": "-97.8,30.2,-97.7,30.3"}, {"category": "solar"}):
        assert await list_ids(client, **area) == [moved_in]


@pytest.mark.parametrize("lng", [-97.75, 179.999])
async def test_a_circle_is_round_and_crosses_the_antimeridian(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int], lng: float
) -> None:
    inside = store.add_permit(
        lat=30.25, lng=(lng + 0.009 + 180) % 360 - 180, first_run=nights[1], changed_run=nights[1]
    )
    store.add_permit(lat=30.258, lng=(lng + 0.009 + 180) % 360 - 180, first_run=nights[1], changed_run=nights[1])
    store.publish()
    assert await list_ids(client, lat=30.25, lng=lng, radius_m=1_000) == [inside], "866 m; and 1,240 m in a corner"


def test_the_planner_knows_how_much_a_wide_circle_holds(store: Store, nights: tuple[int, int, int]) -> None:
    for number in range(500):
        store.add_permit(lat=30.2 + number / 5_000, lng=-97.75, first_run=nights[1], changed_run=nights[1])
    store.connection.execute("ANALYZE permits")
    query = ChangesQuery(**HERE, radius_m=10_000)
    circle = bind_circle(query)
    values = circle | {"city": "austin", "floor": nights[0], "take": 11}
    statement = compile_text(select_changed(frozenset(values)))
    limit, *plan = (line for (line,) in store.connection.execute(f"EXPLAIN {statement}", values))
    assert "rows=11 " in limit, "so it stops at eleven of the last changed"
    assert any("Index Scan using ix_permits_changed" in line for line in plan)


async def test_pages_lose_and_repeat_nothing_across_runs_and_cities(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    add_run(store, at=DAYS[1], city="chicago")
    elsewhere = add_run(store, at=DAYS[2], city="chicago")
    expected = {store.add_permit(first_run=nights[1 + n % 2], changed_run=nights[1 + n % 2]) for n in range(7)}
    expected |= {store.add_permit(city="chicago", first_run=elsewhere, changed_run=elsewhere) for _ in range(4)}
    store.publish()
    found: list[str] = []
    url = "/permits/changes?limit=2"
    while url:
        reply = await client.get(url)
        found += [feature["properties"]["source_id"] for feature in reply.json()["features"]]
        url = reply.links.get("next", {}).get("url", "")
    assert len(found) == 11
    assert set(found) == expected


async def test_a_cursor_of_another_question_is_refused(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    for _ in range(3):
        store.add_permit(**HERE, first_run=nights[2], changed_run=nights[2])
    store.publish()
    url = httpx.URL((await client.get("/permits/changes?limit=2")).links["next"]["url"])
    assert (await client.get(url.copy_set_param("limit", "1"))).status_code == 422
    assert (await client.get(url.copy_set_param("cursor", "x"))).status_code == 422


async def test_the_feed_is_atom_whose_texts_stay_texts(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    one = store.add_permit(
        **HERE,
        source_id="2026/7 <EP>",
        first_run=nights[1],
        changed_run=nights[1],
        description='<script>alert("1")</script> & \x0bpool\uffff',
        categories=["pool"],
    )
    store.add_permit(first_run=nights[1], changed_run=nights[1])
    change(store, one, nights[2], "status_current", "Issued", "Final")
    store.publish()
    reply = await client.get(
        "/permits/changes", params={**AROUND, "limit": 1}, headers={"Accept": "application/atom+xml"}
    )
    assert reply.headers["content-type"] == "application/atom+xml"
    feed = ElementTree.fromstring(reply.content)
    (entry,) = feed.findall(f"{ATOM}entry")
    assert feed.findtext(f"{ATOM}updated") == entry.findtext(f"{ATOM}updated") == "2026-11-20T09:00:00Z"
    assert feed.findtext(f"{ATOM}id") == "tag:test,2026:/permits/changes?lat=30.25&lng=-97.75&radius_m=500.0"
    assert entry.findtext(f"{ATOM}id") == f"tag:test,2026:/permits/austin/2026%2F7%20%3CEP%3E#run-{nights[2]}"
    assert feed.findtext(f"{ATOM}author/{ATOM}name")
    assert {link.get("rel") for link in feed.findall(f"{ATOM}link")} == {"self", "alternate"}
    content = entry.find(f"{ATOM}content")
    assert content is not None
    assert content.get("type") == "text"
    assert content.text is not None
    assert content.text.splitlines()[0] == '<script>alert("1")</script> & \ufffdpool\ufffd'
    assert "status_current: Issued \u2192 Final" in content.text
    assert "new permit" in content.text
    assert entry.findtext("{http://www.georss.org/georss}point") == "30.25 -97.75"


async def test_feed_and_collection_are_told_apart_and_not_sent_twice(
    store: Store, client: httpx.AsyncClient, nights: tuple[int, int, int]
) -> None:
    store.add_permit(**HERE, first_run=nights[2], changed_run=nights[2])
    store.publish()
    tags = set()
    for form in ("geojson", "atom"):
        reply = await client.get("/permits/changes", params={"f": form})
        again = await client.get(
            "/permits/changes", params={"f": form}, headers={"If-None-Match": reply.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        tags.add(reply.headers["etag"])
    assert len(tags) == 2
