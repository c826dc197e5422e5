"""The register as one collection: every permit once, by its key; boxes, spans, ids and extents that hold for all."""

import random
from collections.abc import AsyncGenerator, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import Reader, open_session
from app.errors import MalformedCursor, NoSuchPermit, UnknownWord
from app.permits.areas import Box, parse_box
from app.permits.collection import (
    CollectionPage,
    CollectionQuery,
    Extent,
    bind_collection,
    compile_collected,
    find_collected,
    find_extent,
    parse_feature_id,
    render_feature_id,
    select_extent,
)
from app.permits.filters import bind_filter
from app.permits.listing import compile_listed
from app.permits.register import Register, find_register
from app.permits.spans import Span
from app.settings import Settings
from tests.conftest import Store

Key = tuple[str, str]
UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


class Shelf:
    """The collection as a route asks for it: a reader, and the register of the moment."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self.engine = engine
        self.reader = reader

    async def register(self) -> Register:
        """Read the register as it is now."""
        async with open_session(self.engine) as session:
            return await find_register(session)

    async def look(self, **query: object) -> CollectionPage:
        """Find one page."""
        return await find_collected(self.reader, await self.register(), CollectionQuery.model_validate(query))

    async def walk(self, *, limits: Sequence[int] = (7,), **query: object) -> list[Key]:
        """Walk through all pages, each with the next limit in turn, and give the keys in the order of their coming."""
        page = await self.look(**query, limit=limits[0])
        keys = list_keys(page)
        while page.cursor is not None:
            page = await self.look(**query, limit=limits[len(keys) % len(limits)], cursor=page.cursor)
            keys += list_keys(page)
        return keys

    async def reach(self) -> Extent:
        """Find the extent."""
        async with open_session(self.engine) as session:
            return await find_extent(session, await find_register(session))

    async def explain(self, statement: str, values: dict[str, Any] | None) -> str:
        """Give the plan of a statement that was run twenty times before, with the rows that it read."""
        for _ in range(20):
            await self.reader.find_all(statement, values)
        explained = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}"
        return "\n".join(line for (line,) in await self.reader.find_all(explained, values))


def list_keys(page: CollectionPage) -> list[Key]:
    """Give the keys of a page's permits."""
    return [(city, source_id) for _, city, source_id in page.rows]


@pytest.fixture
async def shelf(engine: AsyncEngine, settings: Settings) -> AsyncGenerator[Shelf]:
    """The collection of the store."""
    reader = Reader(settings)
    await reader.open()
    yield Shelf(engine, reader)
    await reader.aclose()


def fill(store: Store, count: int) -> list[Key]:
    """Add permits of two cities, every third without a point, and give their keys in order."""
    for number in range(count):
        store.add_permit(
            city="seattle" if number % 2 else "austin", **({"lat": 30.2, "lng": -97.7} if number % 3 else {})
        )
    store.publish()
    found = store.connection.execute(
        'SELECT city, source_id FROM permits ORDER BY city COLLATE "C", source_id COLLATE "C"'
    )
    return [(city, source_id) for city, source_id in found]


def add_many(store: Store) -> None:
    """Add so many permits that the planner takes an index wherever it can."""
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, location, location_quality, issued_date, first_run,"
        " changed_run) SELECT 'austin', 'x' || n, '{}', ST_MakePoint(-97.75 + random() / 5, 30.25)::geography,"
        " 'unstated', date '2020-01-01' + mod(n, 1000), %s, 1 FROM generate_series(1, 20000) n",
        [store.find_run("austin")],
    )
    store.connection.execute("ANALYZE permits")
    store.publish()


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_every_permit_comes_once_and_by_its_key(shelf: Shelf, store: Store) -> None:
    expected = fill(store, 50)
    assert await shelf.walk() == expected
    assert await shelf.walk(limits=(1, 5, 100)) == expected, "a page may have another limit than the last"


async def test_run_in_between_costs_no_permit_and_repeats_none(shelf: Shelf, store: Store) -> None:
    expected = fill(store, 20)
    first = await shelf.look(limit=10)
    store.connection.execute("UPDATE permits SET description = 'changed', issued_date = '2020-01-01'")
    store.add_permit(city="austin", source_id="0000 before all others")
    store.publish()
    second = await shelf.look(limit=100, cursor=first.cursor)
    assert list_keys(first) + list_keys(second) == expected


async def test_removed_permit_is_in_no_page(shelf: Shelf, store: Store) -> None:
    kept = store.add_permit()
    store.add_permit(removed_run=1)
    store.publish()
    assert await shelf.walk() == [("austin", kept)]


async def test_collection_holds_permits_without_a_point(shelf: Shelf, store: Store) -> None:
    store.add_permit()
    store.publish()
    [(feature, *_)] = (await shelf.look()).rows
    assert b'"geometry":null' in feature


async def test_cursor_belongs_to_its_filters(shelf: Shelf, store: Store) -> None:
    fill(store, 20)
    cursor = (await shelf.look(limit=5)).cursor
    for other in ({"zip": "78704"}, {"bbox": "-98,30,-97,31"}, {"datetime": "2020-01-01/.."}):
        with pytest.raises(MalformedCursor):
            await shelf.look(**other, cursor=cursor)


async def test_limit_beyond_the_ceiling_means_the_ceiling() -> None:
    assert CollectionQuery.model_validate({"limit": "1000000"}).limit == 10_000


@pytest.mark.parametrize(
    ("query", "matched"),
    [
        ({"limit": 5}, 20),
        ({"limit": 5, "city": "austin"}, 10),
        ({"limit": 5, "bbox": "-98,30,-97,31"}, None),
        ({"limit": 100, "bbox": "-98,30,-97,31"}, 13),
        ({"bbox": "0,0,1,1"}, 0),
    ],
)
async def test_number_is_told_where_it_is_known_without_counting(
    shelf: Shelf, store: Store, query: dict[str, object], matched: int | None
) -> None:
    fill(store, 20)
    assert (await shelf.look(**query)).number_matched == matched


async def test_number_is_told_of_a_later_page_too(shelf: Shelf, store: Store) -> None:
    fill(store, 20)
    first = await shelf.look(limit=15)
    assert (await shelf.look(limit=15, cursor=first.cursor)).number_matched == 20


async def test_page_of_a_selection_may_be_shorter_than_its_limit(shelf: Shelf, store: Store) -> None:
    add_many(store)
    page = await shelf.look(limit=5000, datetime="2020-01-01/..")
    assert len(page.rows) == 1000
    assert page.cursor is not None
    assert len((await shelf.look(limit=5000)).rows) == 5000


async def test_unknown_city_is_an_unknown_word(shelf: Shelf, store: Store) -> None:
    fill(store, 2)
    with pytest.raises(UnknownWord, match="known are: austin, seattle"):
        await shelf.look(city="nowhere")


async def test_page_reads_no_more_than_itself_from_the_index_of_its_order(shelf: Shelf, store: Store) -> None:
    add_many(store)
    query = CollectionQuery(bbox="-98,30,-97,31", limit=100)
    values = bind_collection(query, await shelf.register(), None)
    plan = await shelf.explain(compile_collected(frozenset(values)), values)
    assert "Index Scan using pk_permits on permits (actual rows=101 loops=1)" in plan
    assert "Sort" not in plan


async def test_selection_by_days_reads_no_more_than_its_page(shelf: Shelf, store: Store) -> None:
    add_many(store)
    query = CollectionQuery(issued_from=date(2021, 1, 1))
    values = bind_filter(query, await shelf.register()) | {"take": 101}
    plan = await shelf.explain(compile_listed(frozenset(values), "newest", "whole"), values)
    assert "Index Scan using ix_permits_issued on permits (actual rows=101 loops=1)" in plan
    assert "Sort" not in plan


async def test_days_and_the_filters_of_the_service_narrow_each_other(shelf: Shelf, store: Store) -> None:
    for day in ("2023-12-31", "2024-01-01", "2024-06-01"):
        store.add_permit(source_id=day, issued_date=day)
    store.publish()
    found = await shelf.walk(datetime="2024-01-01/..", issued_from="2020-01-01", issued_to="2024-03-01")
    assert found == [("austin", "2024-01-01")]
    assert (await shelf.look(datetime="2024-01-01/..", issued_to="2023-01-01")).number_matched == 0


# --- boxes -----------------------------------------------------------------------------------------------------------


def write(box: Box) -> str:
    """Write a box as a query has it."""
    return ",".join(map(repr, box))


BOXES = [
    Box(west=-97.75, south=30.2, east=-97.7, north=30.3),
    Box(west=-180, south=-90, east=180, north=90),
    Box(west=170, south=-20, east=-170, north=20),
    Box(west=179.9, south=-90, east=179.9, north=90),
    Box(west=-97.7, south=30.25, east=-97.7, north=30.25),
    Box(west=-180, south=85, east=180, north=90),
]


def lies_in(box: Box, lng: float, lat: float) -> bool:
    """Tell it by comparing numbers."""
    across = box.west <= lng <= box.east if box.west <= box.east else lng >= box.west or lng <= box.east
    return across and box.south <= lat <= box.north


@pytest.mark.parametrize("box", BOXES, ids=write)
async def test_box_finds_what_comparing_numbers_finds(shelf: Shelf, store: Store, box: Box) -> None:
    chance = random.Random(6)
    corners = [(lng, lat) for lng in (box.west, box.east) for lat in (box.south, box.north)]
    nudged = [(min(180.0, lng + 1e-12), lat) for lng, lat in corners]
    scattered = [(chance.uniform(-180, 180), chance.uniform(-90, 90)) for _ in range(300)]
    near = [(-97.7 + chance.uniform(-0.1, 0.1), 30.25 + chance.uniform(-0.1, 0.1)) for _ in range(300)]
    points = {store.add_permit(lng=lng, lat=lat): (lng, lat) for lng, lat in (*corners, *nudged, *scattered, *near)}
    store.add_permit()
    store.publish()
    expected = {source_id for source_id, point in points.items() if lies_in(box, *point)}
    assert expected
    assert {source_id for _, source_id in await shelf.walk(limits=(1000,), bbox=write(box))} == expected


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("-97.8,30.2,-97.7,30.3", "-97.8,30.2,-97.7,30.3"),
        ("-97.8,30.2,0,-97.7,30.3,100", "-97.8,30.2,-97.7,30.3"),
        (".5,-.5,1.,1e1", "0.5,-0.5,1,10"),
        ("177.0000000,65.0000000,-177.0000000,70.0000000", "177,65,-177,70"),
    ],
)
def test_box_is_read_in_every_way_in_which_numbers_are_written(text: str, box: str) -> None:
    assert parse_box(CollectionQuery(bbox=text).bbox or "") == Box(*map(float, box.split(",")))


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "0,0,1,1e999", "0,0,a,1,1,b", "0,0,nan,1,91,0"]
)
def test_no_other_text_is_a_box(text: str) -> None:
    with pytest.raises(ValueError, match="bbox"):
        CollectionQuery(bbox=text)


# --- spans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024-02-29", "2024-02-29", "2024-02-29"),
        ("2024-02-29T23:59:59Z", "2024-02-29", "2024-02-29"),
        ("2024-02-29t23:59:59.123456789z", "2024-02-29", "2024-02-29"),
        ("2024-02-29T23:30:00-01:00", "2024-03-01", "2024-03-01"),
        ("2024-01-01/2024-12-31", "2024-01-01", "2024-12-31"),
        ("2024-01-01T00:00:00Z/..", "2024-01-01", None),
        ("2024-01-01T00:00:00Z/", "2024-01-01", None),
        ("../2024-12-31T00:00:00Z", None, "2024-12-31"),
        ("/2024-12-31T00:00:00Z", None, "2024-12-31"),
        ("2024-01-01T/2024-12-31T12Z", "2024-01-01", "2024-12-31"),
    ],
)
def test_span_is_read_in_every_way_that_the_standard_and_gdal_write_it(
    text: str, first: str | None, last: str | None
) -> None:
    span = Span.parse(text)
    assert (span.first and str(span.first), span.last and str(span.last)) == (first, last)
    assert Span.parse(str(span)) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "../..",
        "..",
        "2024",
        "2024-02-30",
        "2024-01-01T25:00:00Z",
        "2024-01-02/2024-01-01",
        "yesterday",
        "2024-01-01/2024-02-01/2024-03-01",
        "0001-01-01T00:00:00+01:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01/P1D",
    ],
)
def test_no_other_text_is_a_span(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Span.parse(text)


async def test_span_is_of_the_issue_date_and_leaves_out_permits_without_one(shelf: Shelf, store: Store) -> None:
    for day in ("2023-12-31", "2024-01-01", "2024-06-01", "2024-12-31", "2025-01-01"):
        store.add_permit(source_id=day, issued_date=day)
    store.add_permit(applied_date="2024-06-01")
    store.publish()
    year = ["2024-01-01", "2024-06-01", "2024-12-31"]
    for written, expected in (
        ("2024-01-01T00:00:00Z/2024-12-31T23:59:59Z", year),
        ("2024-01-01/2024-12-31", year),
        ("2024-06-01T12:00:00Z", ["2024-06-01"]),
        ("../2024-01-01", ["2023-12-31", "2024-01-01"]),
        ("2024-12-31/..", ["2024-12-31", "2025-01-01"]),
    ):
        found = [source_id for _, source_id in await shelf.walk(limits=(2,), datetime=written)]
        assert found == expected[::-1], written


# --- ids -------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60))
def test_id_of_a_feature_tells_its_permit_and_stands_in_a_path_as_it_is(source_id: str) -> None:
    feature_id = render_feature_id(city="st_louis", source_id=source_id)
    assert parse_feature_id(feature_id) == ("st_louis", source_id)
    assert quote(feature_id, safe="") == feature_id
    assert set(feature_id) <= set(UNRESERVED)


def test_id_of_a_feature_can_be_read() -> None:
    assert render_feature_id(city="austin", source_id="2015-010034 EP") == "austin.2015-010034~20EP"
    assert render_feature_id(city="st_louis", source_id="a/b~c.d") == "st_louis.a~2Fb~7Ec.d"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "austin",
        "austin/1",
        "austin.~2",
        "austin.~ff",
        "austin.~00",
        "austin.a b",
        "austin.~41",
        "austin.a%20b",
        "austin.~2f",
        "austin.~0A",
    ],
)
def test_no_other_text_is_an_id(text: str) -> None:
    with pytest.raises(NoSuchPermit):
        parse_feature_id(text)


# --- the extent ------------------------------------------------------------------------------------------------------


async def test_extent_holds_every_permit_as_it_is_shown_and_is_no_wider(shelf: Shelf, store: Store) -> None:
    chance = random.Random(6)
    points = [(chance.uniform(-97.9, -97.6), chance.uniform(30.1, 30.5)) for _ in range(200)]
    for lng, lat in points:
        store.add_permit(lng=lng, lat=lat, issued_date=date(2012, 1, 1 + chance.randrange(30)))
    store.add_permit(lng=0, lat=0, removed_run=1, issued_date=date(1999, 1, 1))
    store.add_permit()
    store.publish()
    days = store.connection.execute("SELECT min(issued_date), max(issued_date) FROM permits WHERE removed_run IS NULL")
    extent = await shelf.reach()
    assert extent.days == days.fetchone()
    assert extent.box is not None
    west, south, east, north = extent.box
    lngs, lats = zip(*points, strict=True)
    assert 0 <= min(lngs) - west < 2e-6
    assert 0 <= min(lats) - south < 2e-6
    assert 0 <= east - max(lngs) < 2e-6
    assert 0 <= north - max(lats) < 2e-6
    assert all(west <= round(lng, 6) <= east and south <= round(lat, 6) <= north for lng, lat in points)
    assert len(await shelf.walk(limits=(1000,), bbox=",".join(map(str, extent.box)))) == len(points)


async def test_extent_is_of_the_cities_that_answer(shelf: Shelf, store: Store) -> None:
    store.add_permit(city="austin", lat=30.2, lng=-97.7, issued_date=date(2020, 1, 1))
    store.add_permit(city="sample", lat=10, lng=10, issued_date=date(1990, 1, 1))
    store.publish()
    assert await shelf.reach() == Extent(box=(-97.7, 30.2, -97.7, 30.2), days=(date(2020, 1, 1), date(2020, 1, 1)))


async def test_extent_of_nothing_is_nothing(shelf: Shelf, store: Store) -> None:
    store.publish()
    assert await shelf.reach() == Extent(box=None, days=None)
    assert await shelf.walk() == []


async def test_extent_reads_one_row_an_edge(shelf: Shelf, store: Store) -> None:
    add_many(store)
    bound = select_extent(("austin",)).compile(dialect=shelf.engine.dialect, compile_kwargs={"literal_binds": True})
    plan = await shelf.explain(str(bound), None)
    assert plan.count("Index Scan using ix_permits_location_planar on permits") == 4
    assert plan.count("using ix_permits_issued on permits") == 2
    assert plan.count("actual rows=") == plan.count("actual rows=1 loops=1") == 13
    assert "Sort" not in plan
