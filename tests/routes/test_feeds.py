"""What a saved area is told of: permits that are new, changed, withdrawn or back, as GeoJSON and as an Atom feed."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.conftest import Store

SPACES = {"a": "http://www.w3.org/2005/Atom", "g": "http://www.georss.org/georss"}
HERE: dict[str, Any] = {"lat": 30.25, "lng": -97.75, "radius_m": 500, "since": "2026-01-01"}


class Nights:
    """A city whose register began with a first run, and the nights after it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.first = self.begin(1)

    def begin(self, day: int, city: str = "austin") -> int:
        """Add a run that ended at 09:00 UTC on a day of November 2026."""
        row = self.store.connection.execute(
            "INSERT INTO ingest_runs (city, source, status, finished_at) VALUES (%s, 'test', 'published', %s)"
            " RETURNING run",
            [city, datetime(2026, 11, day, 9, tzinfo=UTC)],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def add(self, run: int | None = None, **values: Any) -> str:
        """Add a permit at the place asked about, told first by a run."""
        run = run or self.first
        place = {"lat": 30.25, "lng": -97.75} | values
        return self.store.add_permit(first_run=run, changed_run=run, **place)

    def change(self, source_id: str, run: int, field: str, old: str | None, new: str | None) -> None:
        """Note a change of a field as a run does; the permit itself is as the test made it."""
        self.store.connection.execute(
            "INSERT INTO permit_changes (city, source_id, run, field, old_value, new_value)"
            " VALUES ('austin', %s, %s, %s, %s, %s)",
            [source_id, run, field, old, new],
        )
        self.store.connection.execute("UPDATE permits SET changed_run = %s WHERE source_id = %s", [run, source_id])


@pytest.fixture
def nights(store: Store) -> Nights:
    return Nights(store)


async def ask(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    reply = await client.get("/permits/changes", params=HERE | asked)
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


def told(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["properties"]["source_id"], one["properties"]["change"]) for one in document["features"]]


async def test_what_each_night_did_is_told_newest_first(nights: Nights, client: httpx.AsyncClient) -> None:
    untouched, changed, removed, returned = (nights.add() for _ in range(4))
    second, third = nights.begin(10), nights.begin(11)
    new = nights.add(second)
    nights.change(changed, second, "status_current", "Active", "Final")
    nights.change(changed, second, "est_project_cost_usd", None, "1200.5")
    nights.change(changed, third, "location", "POINT(-97.7 30.2)", "POINT(-97.75 30.25)")
    nights.change(removed, third, "removed_run", None, str(third))
    nights.store.connection.execute("UPDATE permits SET removed_run = %s WHERE source_id = %s", [third, removed])
    nights.change(returned, third, "removed_run", str(second), None)
    nights.store.publish()
    document = await ask(client)
    expected = sorted([(changed, "changed"), (removed, "removed"), (returned, "returned")])
    assert told(document) == [*expected, (new, "new")]
    assert untouched not in dict(told(document))
    fields = next(one for one in document["features"] if one["properties"]["source_id"] == changed)
    assert [(one["field"], one["old"], one["new"], one["run"]) for one in fields["properties"]["changes"]] == [
        ("location", [-97.7, 30.2], [-97.75, 30.25], third),
        ("est_project_cost_usd", None, 1200.5, second),
        ("status_current", "Active", "Final", second),
    ]
    assert fields["properties"]["changed_at"] == "2026-11-11T09:00:00Z"
    assert document["begins"] == {"austin": "2026-11-01T09:00:00Z"}


@pytest.mark.parametrize(
    ("since", "seen"),
    [
        ("2026-11-10", 2),
        ("2026-11-11", 1),
        ("2026-11-10T09:00:00Z", 2),
        ("2026-11-10T09:00:01Z", 1),
        ("2026-11-10T04:30:00-06:00", 1),
        ("2026-11-12", 0),
    ],
)
async def test_since_is_a_day_of_the_city_or_an_instant(
    since: str, seen: int, nights: Nights, client: httpx.AsyncClient
) -> None:
    for day in (10, 11):
        nights.add(nights.begin(day))
    nights.store.publish()
    assert (await ask(client, since=since))["numberReturned"] == seen


async def test_since_a_run_means_after_it(nights: Nights, client: httpx.AsyncClient) -> None:
    second, third = nights.begin(10), nights.begin(11)
    nights.add(second)
    later = nights.add(third)
    nights.store.publish()
    assert told(await ask(client, since=str(second))) == [(later, "new")]
    assert told(await ask(client, since=str(third))) == []


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "2026-11-10T09:00:00", "", "-3", "1e3"])
async def test_a_since_that_is_none_is_refused(since: str, nights: Nights, client: httpx.AsyncClient) -> None:
    nights.store.publish()
    reply = await client.get("/permits/changes", params={"since": since})
    assert (reply.status_code, reply.json()["errors"][0]["parameter"]) == (422, "since")


async def test_area_and_filters_choose_by_what_a_permit_is_now(nights: Nights, client: httpx.AsyncClient) -> None:
    run = nights.begin(10)
    here = nights.add(run, categories=["solar"])
    nights.add(run, lat=30.35, categories=["solar"])
    nights.add(run)
    nights.store.publish()
    assert [name for name, _ in told(await ask(client, category="solar"))] == [here]
    reply = await client.get("/permits/changes?since=2026-01-01&category=solar&bbox=-97.76,30.24,-97.74,30.26")
    assert [name for name, _ in told(reply.json())] == [here]


async def test_pages_follow_each_other_without_a_gap(nights: Nights, client: httpx.AsyncClient) -> None:
    runs = [nights.begin(day) for day in (10, 11, 12)]
    added = {nights.add(runs[number % 3]) for number in range(10)}
    nights.store.publish()
    reply = await client.get("/permits/changes", params=HERE | {"limit": 3})
    found: list[str] = []
    while True:
        found += [name for name, _ in told(reply.json())]
        if "next" not in reply.links:
            break
        reply = await client.get(reply.links["next"]["url"])
    assert len(found) == 10
    assert set(found) == added


async def test_the_feed_is_atom_and_text_stays_text(nights: Nights, client: httpx.AsyncClient) -> None:
    run = nights.begin(10)
    hostile = "<script>alert(1)</script> & \x0b ]]> \ufffe"
    name = nights.add(run, description=hostile, original_address1="1 <b>MAIN</b> ST")
    nights.store.publish()
    reply = await client.get("/permits/changes", params=HERE, headers={"Accept": "application/atom+xml"})
    assert reply.headers["content-type"] == "application/atom+xml"
    feed = ElementTree.fromstring(reply.text)
    (entry,) = feed.findall("a:entry", SPACES)
    for required in ("id", "title", "updated"):
        assert feed.findtext(f"a:{required}", namespaces=SPACES)
        assert entry.findtext(f"a:{required}", namespaces=SPACES)
    assert feed.findtext("a:author/a:name", namespaces=SPACES)
    content = entry.find("a:content", SPACES)
    assert content is not None
    assert content.get("type") == "text"
    assert "<script>alert(1)</script> & " in (content.text or "")
    assert "\x0b" not in reply.text
    assert entry.findtext("g:point", namespaces=SPACES) == "30.250000 -97.750000"
    assert (entry.findtext("a:id", namespaces=SPACES) or "").endswith(
        f"/permits/austin/{name.replace(' ', '%20')}#run-{run}"
    )
    again = await client.get(
        "/permits/changes", params=HERE | {"f": "atom"}, headers={"If-None-Match": reply.headers["etag"]}
    )
    assert again.status_code == 304


async def test_a_feed_without_news_is_a_feed(nights: Nights, client: httpx.AsyncClient) -> None:
    nights.add()
    nights.store.publish()
    reply = await client.get("/permits/changes?f=atom")
    feed = ElementTree.fromstring(reply.text)
    assert feed.findall("a:entry", SPACES) == []
    assert feed.findtext("a:updated", namespaces=SPACES)
