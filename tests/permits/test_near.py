"""Near queries equal brute force with an independent library, wherever the points lie.

Expected distances come from GeographicLib (Karney's geodesics on WGS 84), which PostGIS was not asked for.
"""

import csv
import gzip
import math
import random
from collections.abc import Iterable
from datetime import date
from itertools import pairwise

import psycopg
import pytest
from geographiclib.geodesic import Geodesic
from psycopg import sql
from pyproj import Transformer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.database import SETTLED, open_session
from app.errors import MalformedCursor, RefusedQuery
from app.permits.cursor import Position
from app.permits.features import AnyRow
from app.permits.filters import Area
from app.permits.near import (
    SPHEROID_LEAST,
    Course,
    Frame,
    Met,
    NearPage,
    NearQuery,
    Place,
    Search,
    Values,
    Walk,
    compile_candidates,
    fetch_rows,
    find_near,
    find_nearest,
    frame,
    select_candidates,
    set_course,
    set_placed_course,
    start_search,
)
from app.permits.register import find_register
from tests.conftest import ROOT, Store

Point = tuple[float, float]
REAL = ROOT.parent / "shared/data/permits/austin/oss_permit_report_2015_51col.csv.gz"


def geodesic_m(origin: Point, point: Point) -> float:
    """Measure with GeographicLib."""
    return float(Geodesic.WGS84.Inverse(*origin, *point, Geodesic.DISTANCE)["s12"])


def add_points(store: Store, points: Iterable[Point]) -> dict[str, Point]:
    """Add a permit at each point and give their ids."""
    added = {store.add_permit(lat=lat, lng=lng): (lat, lng) for lat, lng in points}
    store.publish()
    return added


def scatter(chance: random.Random, centre: Point, count: int, *, spread: float) -> list[Point]:
    """Scatter points around a centre, in degrees; longitudes wrap and latitudes end at the poles."""
    points = []
    for _ in range(count):
        lat = max(-90.0, min(90.0, centre[0] + chance.uniform(-spread, spread)))
        lng = (centre[1] + chance.uniform(-spread, spread) + 180) % 360 - 180
        points.append((lat, lng))
    return points


async def ask(engine: AsyncEngine, **query: object) -> NearPage[AnyRow]:
    """Run a near query in a session of its own."""
    async with open_session(engine) as session:
        return await find_near(session, await find_register(session), NearQuery.model_validate(query))


async def assert_equals_brute_force(
    engine: AsyncEngine, permits: dict[str, Point], origin: Point, *, radius_m: float, limit: int
) -> None:
    """Compare a reply with all distances measured one by one, to the decimetre and in order."""
    page = await ask(engine, lat=origin[0], lng=origin[1], radius_m=radius_m, limit=limit)
    measured = sorted((geodesic_m(origin, point), source_id) for source_id, point in permits.items())
    inside = [(distance, source_id) for distance, source_id in measured if distance <= radius_m]
    distances = {source_id: distance for distance, source_id in measured}
    assert len(page.rows) == min(limit, len(inside))
    for row, (expected_m, _) in zip(page.rows, inside, strict=False):
        assert row.distance_m == pytest.approx(distances[row.source_id], abs=0.001)
        assert row.distance_m == pytest.approx(expected_m, abs=0.001)
    for before, after in pairwise(page.rows):
        assert (before.distance_m, before.city, before.source_id) < (after.distance_m, after.city, after.source_id)
    assert (page.cursor is not None) == (len(inside) > limit)


CENTRES = {
    "a city": ((30.2672, -97.7431), 0.02),
    "the antimeridian": ((-17.8, 179.9995), 0.02),
    "the north pole": ((89.999, 20.0), 180.0),
    "the south pole": ((-89.9995, -100.0), 180.0),
    "the equator": ((0.0, 0.0), 0.02),
}


@pytest.mark.parametrize("place", CENTRES)
async def test_near_equals_brute_force_around(place: str, store: Store, engine: AsyncEngine) -> None:
    chance = random.Random(place)
    centre, spread = CENTRES[place]
    points = scatter(chance, centre, 300, spread=min(spread, 0.03) if "pole" not in place else 0.02)
    if "pole" in place:
        points = [(lat, chance.uniform(-180, 180)) for lat, _ in points]
    permits = add_points(store, points)
    for _ in range(12):
        origin = chance.choice([centre, chance.choice(points), *scatter(chance, centre, 1, spread=0.02)])
        await assert_equals_brute_force(
            engine,
            permits,
            origin,
            radius_m=chance.choice([300, 1500.5, 10_000]),
            limit=chance.choice([1, 7, 100, 1000]),
        )


async def test_near_equals_brute_force_over_real_points(store: Store, engine: AsyncEngine) -> None:
    if not REAL.is_file():
        pytest.skip("the real Austin points are not beside this checkout")
    with gzip.open(REAL, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["lat"].strip()]
    chance = random.Random(51)
    points = [(float(row["lat"]), float(row["lng"])) for row in chance.sample(rows, 2_500)]
    permits = add_points(store, points)
    for origin in chance.sample(points, 8) + scatter(chance, (30.27, -97.74), 8, spread=0.1):
        await assert_equals_brute_force(
            engine, permits, origin, radius_m=chance.choice([500, 2_000, 10_000]), limit=chance.choice([10, 100, 1000])
        )


async def test_hundreds_of_permits_on_one_point_are_cut_by_their_ids(store: Store, engine: AsyncEngine) -> None:
    permits = add_points(store, [(30.39397776, -97.72417239)] * 400 + [(30.3945, -97.7241)] * 3)
    await assert_equals_brute_force(engine, permits, (30.3939, -97.7241), radius_m=500, limit=100)
    await assert_equals_brute_force(engine, permits, (30.39397776, -97.72417239), radius_m=500, limit=399)
    page = await ask(engine, lat=30.3939, lng=-97.7241, limit=100)
    assert [row.source_id for row in page.rows] == sorted(permits)[:100]


async def test_the_cut_is_right_where_the_sphere_orders_points_otherwise_than_the_spheroid(
    store: Store, engine: AsyncEngine
) -> None:
    origin = (30.2672, -97.7431)
    ring = []
    for step in range(360):
        end = Geodesic.WGS84.Direct(*origin, step, 4_000 + step / 100)
        ring.append((end["lat2"], end["lon2"]))
    permits = add_points(store, ring)
    for limit in (1, 50, 180, 359):
        await assert_equals_brute_force(engine, permits, origin, radius_m=5_000, limit=limit)


async def test_near_leaves_out_a_permit_just_beyond_the_radius(store: Store, engine: AsyncEngine) -> None:
    origin = (30.2672, -97.7431)
    inside, beyond = (Geodesic.WGS84.Direct(*origin, 37, distance) for distance in (999.999, 1000.001))
    source_id = store.add_permit(lat=inside["lat2"], lng=inside["lon2"])
    store.add_permit(lat=beyond["lat2"], lng=beyond["lon2"])
    store.publish()
    page = await ask(engine, lat=origin[0], lng=origin[1], radius_m=1000)
    assert [row.source_id for row in page.rows] == [source_id]


async def test_pages_together_are_one_long_page(store: Store, engine: AsyncEngine) -> None:
    chance = random.Random(7)
    add_points(store, scatter(chance, (30.2672, -97.7431), 150, spread=0.01) + [(30.2672, -97.7431)] * 50)
    query = {"lat": 30.2672, "lng": -97.7431, "radius_m": 2000}
    whole = await ask(engine, **query, limit=1000)
    paged: list[str] = []
    cursor = None
    for _ in range(20):
        page = await ask(engine, **query, limit=17, cursor=cursor)
        paged += [row.source_id for row in page.rows]
        if (cursor := page.cursor) is None:
            break
    assert paged == [row.source_id for row in whole.rows]
    assert len(paged) > 150


async def test_a_cursor_is_bound_to_its_query(store: Store, engine: AsyncEngine) -> None:
    add_points(store, [(30.2672, -97.7431)] * 5)
    page = await ask(engine, lat=30.2672, lng=-97.7431, limit=2)
    with pytest.raises(MalformedCursor, match="another query"):
        await ask(engine, lat=30.2672, lng=-97.7432, limit=2, cursor=page.cursor)


@pytest.mark.parametrize("cursor", ["", "x", "====", "e30", "bnVsbA", "\x00", "é", "A" * 600])
async def test_a_damaged_cursor_is_refused(cursor: str, store: Store, engine: AsyncEngine) -> None:
    add_points(store, [(30.2672, -97.7431)])
    with pytest.raises(MalformedCursor):
        await ask(engine, lat=30.2672, lng=-97.7431, cursor=cursor)


async def test_an_exact_count_counts_beyond_the_page_and_is_refused_for_wide_circles(
    store: Store, engine: AsyncEngine
) -> None:
    add_points(store, [(30.2672, -97.7431)] * 30)
    page = await ask(engine, lat=30.2672, lng=-97.7431, limit=3, count="exact")
    assert page.number_matched == 30
    with pytest.raises(RefusedQuery, match="2,000"):
        await ask(engine, lat=30.2672, lng=-97.7431, radius_m=2_001, count="exact")


def meet(distances_m: list[float], last_step: float) -> Met[None]:
    """Say that a walk met permits at these distances."""
    return Met([None] * len(distances_m), distances_m, last_step)


def test_candidates_prove_the_nearest_only_where_the_walk_went_beyond_the_last_of_them() -> None:
    area = Area(lat=30.0, lng=-97.0, radius_m=500)
    search = Search(area, Frame("sphere", SPHEROID_LEAST), {}, wanted=1)
    rows = [100.0] * (search.take - 1)
    assert search.find_bound(meet([*rows, 100.2], 100.2)) == 100.0
    assert search.find_bound(meet([*rows, 101.0], 101.0)) is None
    assert search.find_bound(meet(rows, 100.0)) is None


def test_candidates_beyond_the_radius_prove_that_all_within_it_were_met() -> None:
    area = Area(lat=30.0, lng=-97.0, radius_m=500)
    search = Search(area, Frame("sphere", SPHEROID_LEAST), {}, wanted=1)
    rows = [501.0] * search.take
    assert search.find_bound(meet(rows, 501.0)) == 500
    assert search.find_bound(meet(rows, 504.0)) is None


@pytest.mark.parametrize("lat", [0.0, 0.05, 0.09, -33.9, 30.27, 61.2, -83.8])
def test_a_metre_of_the_walk_is_never_shorter_or_longer_than_the_frame_says(lat: float) -> None:
    framed = frame(Area(lat=lat, lng=10.0, radius_m=10_000))
    assert framed.walk == "mercator"
    project = Transformer.from_crs(4326, 3857, always_xy=True).transform
    assert (framed.x, framed.y) == pytest.approx(project(10.0, lat))
    for azimuth in range(0, 360, 5):
        for distance_m in (1.0, 5_000.0, 10_000.0):
            end = Geodesic.WGS84.Direct(lat, 10.0, azimuth, distance_m)
            x, y = project(end["lon2"], end["lat2"])
            step = math.hypot(x - framed.x, y - framed.y)
            assert step * framed.least_m <= distance_m <= step * framed.most_m
            assert max(abs(x - framed.x), abs(y - framed.y)) < framed.reach


def test_near_walks_the_sphere_near_the_poles_and_across_the_antimeridian() -> None:
    for lat, lng in ((89.0, 0.0), (-84.1, 20.0), (0.0, 179.95), (0.0, -180.0)):
        assert frame(Area(lat=lat, lng=lng, radius_m=10_000)).walk == "sphere"


async def test_near_walks_the_index_after_twenty_calls(store: Store, engine: AsyncEngine) -> None:
    chance = random.Random(3)
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, location, location_quality, first_run, changed_run)"
        " SELECT 'austin', 'x' || n, '{}', ST_MakePoint(-97.75 + random() / 5, 30.25 + random() / 5)::geography,"
        " 'unstated', %s, 1 FROM generate_series(1, 20000) n",
        [store.find_run("austin")],
    )
    store.connection.execute("ANALYZE permits")
    store.publish()
    async with open_session(engine) as session:
        register = await find_register(session)
        for _ in range(20):
            origin = {"lat": chance.uniform(30.3, 30.4), "lng": chance.uniform(-97.7, -97.6)}
            await find_near(session, register, NearQuery.model_validate(origin | {"radius_m": 1000}))
        query = NearQuery.model_validate({"lat": 30.35, "lng": -97.65, "radius_m": 10_000, "limit": 100})
        search = start_search(query, register, None, wanted=101)
        statement = select_candidates(frozenset(search.values), search.framed.walk).params(
            search.values | {"take": search.take}
        )
        bound = statement.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
        plan = "\n".join(
            await session.scalars(text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {bound}".replace(":", r"\:")))
        )
    assert "Index Scan using ix_permits_mercator on permits" in plan
    assert "Sort" not in plan


async def test_the_plan_that_is_kept_for_every_circle_walks_the_index_whatever_the_register_holds(
    store: Store, engine: AsyncEngine, database_url: str
) -> None:
    for permits in (0, 300, 20_000):
        store.connection.execute(
            "INSERT INTO permits (city, source_id, categories, location, location_quality, first_run, changed_run)"
            " SELECT 'austin', %s || '-' || n, '{}',"
            " ST_MakePoint(-97.75 + random() / 5, 30.25 + random() / 5)::geography, 'unstated', %s, 1"
            " FROM generate_series(1, %s::int) n",
            [permits, store.find_run("austin"), permits],
        )
        store.connection.execute("ANALYZE permits")
        store.publish()
        async with open_session(engine) as session:
            query = NearQuery(lat=30.35, lng=-97.65, radius_m=10_000, limit=100)
            search = start_search(query, await find_register(session), None, wanted=101)
        template = compile_candidates(frozenset(search.values), "mercator")
        values = {
            name: value for name, value in (search.values | {"take": search.take}).items() if f"({name})s" in template
        }
        numbered = {name: f"${number}" for number, name in enumerate(values, start=1)}
        statement = template % numbered
        settings = " ".join(f"-c {name}={value}" for name, value in SETTLED.items())
        with psycopg.connect(database_url, options=settings, autocommit=True) as connection:
            connection.execute(f"PREPARE settled AS {statement}".encode())
            bound = sql.SQL("EXPLAIN EXECUTE settled ({})").format(
                sql.SQL(", ").join(map(sql.Literal, values.values()))
            )
            plan = "\n".join(row[0] for row in connection.execute(bound))
        assert "Index Scan using ix_permits_mercator on permits" in plan
        assert "Order By: (mercator <->" in plan


def add_kinds(store: Store, chance: random.Random) -> dict[str, Point]:
    """Add 600 permits of which every ninth is a pool of 2020, many on one point, and give those."""
    pools = {}
    for number, point in enumerate(scatter(chance, (30.2672, -97.7431), 600, spread=0.03)):
        lat, lng = (30.2672, -97.7431) if number % 27 == 0 else point
        kind = (
            {"categories": ["pool"], "issued_date": date(2020, 5, 6)} if number % 9 == 0 else {"categories": ["roof"]}
        )
        source_id = store.add_permit(lat=lat, lng=lng, **kind)
        if number % 9 == 0:
            pools[source_id] = (lat, lng)
    store.publish()
    return pools


async def find_by(engine: AsyncEngine, query: NearQuery, course: Course, after: Position | None = None) -> list[AnyRow]:
    """Find a page by one course, whatever the planner expects."""

    async def fetch(walk: Walk, values: Values) -> Met[AnyRow]:
        return await fetch_rows(session, frozenset(search.values), walk, values)

    async with open_session(engine) as session:
        search = start_search(query, await find_register(session), after, wanted=query.limit)
        return list((await find_nearest(search, course, fetch)).rows)


@pytest.mark.parametrize("course", [Course(None), Course(0), Course(1), Course(50), Course(10_000)])
async def test_filtered_near_equals_brute_force_whatever_the_course(
    course: Course, store: Store, engine: AsyncEngine
) -> None:
    chance = random.Random(20_201_125)
    pools = add_kinds(store, chance)
    for _ in range(20):
        origin = chance.choice([(30.2672, -97.7431), *scatter(chance, (30.2672, -97.7431), 1, spread=0.03)])
        asked = {"radius_m": chance.choice([200, 1_500, 10_000]), "limit": chance.choice([1, 9, 40, 1_000])}
        query = NearQuery(lat=origin[0], lng=origin[1], category=("pool",), issued_from="2020-01-01", **asked)  # type: ignore[arg-type]
        measured = sorted((round(geodesic_m(origin, point), 3), source_id) for source_id, point in pools.items())
        expected = [source_id for distance_m, source_id in measured if distance_m <= query.radius_m]
        found = await find_by(engine, query, course)
        assert [row.source_id for row in found] == expected[: query.limit]


@pytest.mark.parametrize("course", [Course(None), Course(0), Course(1), Course(50), Course(10_000)])
async def test_pages_of_filtered_permits_lose_and_repeat_none_whatever_the_course(
    course: Course, store: Store, engine: AsyncEngine
) -> None:
    origin = (30.2672, -97.7431)
    pools = add_kinds(store, random.Random(20_201_126))
    measured = sorted((round(geodesic_m(origin, point), 3), source_id) for source_id, point in pools.items())
    query = NearQuery(lat=origin[0], lng=origin[1], radius_m=2_500, limit=4, category=("pool",))  # type: ignore[arg-type]
    paged: list[str] = []
    after = None
    while page := await find_by(engine, query, course, after):
        paged += [row.source_id for row in page]
        last, key = page[-1], repr(page[-1].distance_m)
        after = Position(of="", data_version=1, key=key, city=last.city, source_id=last.source_id, seen=len(paged))
    assert paged == [source_id for distance_m, source_id in measured if distance_m <= 2_500]
    assert len(paged) > 40


@pytest.mark.parametrize("wanted", ["one", "one and more filters", "several"])
@pytest.mark.parametrize("place", ["zip", "district"])
@pytest.mark.parametrize("most", [1, 10_000])
async def test_near_in_places_equals_brute_force(
    place: Place, wanted: str, most: int, store: Store, engine: AsyncEngine
) -> None:
    chance = random.Random(20_201_127)
    words = {"zip": ["78701", "78702", "78704", "78705"], "district": ["1", "2", "4", "5"]}[place]
    asked = words[1:3] if wanted == "several" else words[1:2]
    categories = ("pool",) if wanted == "one and more filters" else ()
    meant = {}
    for lat, lng in scatter(chance, (30.2672, -97.7431), 500, spread=0.05) + [(30.2672, -97.7431)] * 100:
        told, kind = chance.choice(words), chance.choice(["pool", "roof"])
        source_id = store.add_permit(lat=lat, lng=lng, categories=[kind], **{place: told})
        if told in asked and kind in (categories or ("pool", "roof")):
            meant[source_id] = (lat, lng)
    store.publish()
    for _ in range(8):
        origin = scatter(chance, (30.2672, -97.7431), 1, spread=0.08)[0]
        circle = {"lat": origin[0], "lng": origin[1], "radius_m": chance.choice([1_500, 10_000])}
        filters = {place: tuple(asked), "category": categories}
        query = NearQuery.model_validate(circle | filters | {"limit": chance.choice([1, 9, 40, 1_000])})
        found = await find_by(engine, query, Course(most, place))
        measured = sorted((round(geodesic_m(origin, point), 3), source_id) for source_id, point in meant.items())
        expected = [source_id for distance_m, source_id in measured if distance_m <= query.radius_m]
        assert [row.source_id for row in found] == expected[: query.limit]


def test_a_search_in_places_walks_them_unless_matches_are_few() -> None:
    few = set_placed_course(126, "zip", in_box=1_400_000, matching=10, in_places=200_000)
    many = set_placed_course(126, "zip", in_box=1_400_000, matching=200_000, in_places=200_000)
    assert (few, many) == (Course(0), Course(10_000, "zip"))


def test_a_search_for_few_matches_fetches_them_all_and_one_for_many_walks() -> None:
    assert set_course(126, in_box=1_400_000, matching=700, known=2_300_000) == Course(0)
    assert set_course(126, in_box=1_400_000, matching=700_000, known=2_300_000) == Course(10_000)
    assert set_course(126, in_box=500, matching=70_000, known=2_300_000) == Course(None)
    assert set_course(1_044, in_box=1_400_000, matching=2_300_000, known=2_300_000) == Course(None)


async def test_a_filtered_near_query_goes_by_the_filters_indexes_or_walks_after_twenty_calls(
    store: Store, engine: AsyncEngine
) -> None:
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, location, location_quality, first_run, changed_run)"
        " SELECT 'austin', 'x' || n, CASE WHEN mod(n, 2000) = 0 THEN '{pool}' WHEN mod(n, 2) = 0 THEN '{roof}'"
        " ELSE '{}' END::text[], ST_MakePoint(-97.75 + random() / 5, 30.25 + random() / 5)::geography,"
        " 'unstated', %s, 1"
        " FROM generate_series(1, 40000) n",
        [store.find_run("austin")],
    )
    store.connection.execute("ANALYZE permits")
    store.publish()
    async with open_session(engine) as session:
        register = await find_register(session)
        for category, walk in (("pool", "sifted"), ("roof", "bounded")):
            query = NearQuery(lat=30.35, lng=-97.65, radius_m=10_000, category=(category,))  # type: ignore[arg-type]
            for _ in range(20):
                await find_near(session, register, query)
            plan = await explain(session, engine, start_search(query, register, None, wanted=101), walk)  # type: ignore[arg-type]
            if walk == "sifted":
                assert "Bitmap Index Scan on ix_permits_words" in plan
                assert "mercator" not in plan.split("Sort Key")[0]
            else:
                assert "Index Scan using ix_permits_mercator on permits" in plan
                assert "Sort" not in plan


async def explain(session: AsyncSession, engine: AsyncEngine, search: Search, walk: Walk) -> str:
    """Give the plan of a statement, executed."""
    values = search.values | {"take": search.take, "most": 10_000}
    statement = select_candidates(frozenset(search.values), walk).params(values)
    bound = statement.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
    lines = await session.scalars(text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {bound}".replace(":", r"\:")))
    return "\n".join(lines)
