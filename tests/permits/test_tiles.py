"""What a tile holds, read by a decoder that is not ours.

Where a point belongs is told by the formula of the OpenStreetMap wiki ("Slippy map tilenames"). The permits are made
up.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from itertools import chain, product
from typing import Any

import httpx
import mapbox_vector_tile
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import Reader, open_session
from app.errors import NoSuchTile
from app.permits import tiles as room
from app.permits.filters import PermitFilter
from app.permits.grid import ZOOM_MAX, Tile, find_tile, north_of, west_of
from app.permits.register import find_register
from app.permits.tiles import ENTRY_BYTES, KeptTiles, enclose
from app.settings import Settings
from tests.conftest import Store

Point = tuple[float, float]
HERE = (30.27, -97.74)
WORLD = Tile(0, 0, 0)
EDGES = [-180.0, -90.0, 0.0, 90.0, 179.999_999, 180.0]
LATITUDES = [-90.0, -85.06, -66.513_260_443_111_86, 0.0, 66.513_260_443_111_86, 85.06, 90.0]
"""Those of the poles, beyond both ends of the grid, and on edges between tiles."""


def place(point: Point, z: int) -> tuple[float, float]:
    """Give column and row of a point, with the fraction that it has come across its tile."""
    lat, lng = math.radians(point[0]), point[1]
    return (lng + 180) / 360 * 2**z, (1 - math.log(math.tan(lat) + 1 / math.cos(lat)) / math.pi) / 2 * 2**z


def tile_of(point: Point, z: int) -> Tile:
    x, y = place(point, z)
    return Tile(z, int(x), int(y))


async def fetch(client: httpx.AsyncClient, tile: Tile, **filters: Any) -> dict[str, list[dict[str, Any]]]:
    """Ask for a tile and give its layers' features, coordinates down from the north-west corner."""
    reply = await client.get(f"/tiles/permits/{tile.z}/{tile.x}/{tile.y}.mvt", params=filters)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    layers = mapbox_vector_tile.decode(reply.content, default_options={"y_coord_down": True})
    assert all(layer["extent"] == 4096 for layer in layers.values())
    return {name: layer["features"] for name, layer in layers.items()}


def ids(layers: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Give the ids of a tile's points, each without its city."""
    return [feature["properties"]["id"].partition("/")[2] for feature in layers.get("permits", [])]


def cells(layers: dict[str, list[dict[str, Any]]]) -> dict[tuple[int, int], dict[str, Any]]:
    """Give what a tile says of each cell, by where the cell is."""
    assert set(layers) <= {"cells"}
    return {tuple(one["geometry"]["coordinates"]): one["properties"] for one in layers.get("cells", [])}


def forget_register(client: httpx.AsyncClient) -> None:
    """Let the service look at once what the store has become, and not within a second."""
    client._transport.app.state.registers._recent_at = -math.inf  # type: ignore[attr-defined]


def children(tile: Tile) -> list[Tile]:
    return [Tile(tile.z + 1, 2 * tile.x + right, 2 * tile.y + down) for right, down in product((0, 1), repeat=2)]


def scatter(
    store: Store, count: int, *, seed: int, centre: Point = (30.27, -97.74), spread: float = 0.2
) -> list[Point]:
    """Add permits around a centre, each of one to three categories or none, and give where they are."""
    chance = random.Random(seed)
    points = []
    for number in range(count):
        lat, lng = (middle + chance.uniform(-spread, spread) for middle in centre)
        categories = chance.sample(["solar", "pool", "roof"], chance.randint(0, 3))
        store.add_permit(
            lat=lat, lng=lng, source_id=str(number), categories=categories, issued_date=date(2015, 1, 1 + number % 28)
        )
        points.append((lat, lng))
    store.publish()
    return points


async def test_each_point_is_in_its_tile_and_where_it_belongs(store: Store, client: httpx.AsyncClient) -> None:
    points = scatter(store, 40, seed=1, centre=(10.0, 20.0), spread=70)
    for number, point in enumerate(points):
        for z in (0, 7, ZOOM_MAX):
            tile = tile_of(point, z)
            layers = await fetch(client, tile)
            found = dict(zip(ids(layers), layers["permits"], strict=True))
            x, y = found[str(number)]["geometry"]["coordinates"]
            expected = place(point, z)
            assert abs(tile.x + x / 4096 - expected[0]) <= 1 / 4096
            assert abs(tile.y + y / 4096 - expected[1]) <= 1 / 4096


async def test_four_tiles_hold_what_the_tile_above_holds_and_each_point_once(
    store: Store, client: httpx.AsyncClient
) -> None:
    chance = random.Random(2)
    for number, (lat, lng) in enumerate(product(LATITUDES, EDGES)):
        store.add_permit(lat=lat, lng=lng, source_id=f"edge {number}")
    for tile in (Tile(5, 7, 13), Tile(16, 14_977, 26_990), Tile(12, 0, 4_095)):
        store.add_permit(lat=north_of(tile.y, tile.z), lng=west_of(tile.x, tile.z), source_id=f"corner {tile}")
    for number in range(20):
        store.add_permit(lat=chance.uniform(-89, 89), lng=chance.uniform(-180, 180), source_id=f"any {number}")
    store.publish()
    level = {WORLD: ids(await fetch(client, WORLD))}
    assert len(level[WORLD]) == store.added
    for _ in range(5):
        below: dict[Tile, list[str]] = {}
        for tile, above in level.items():
            found = {child: ids(await fetch(client, child)) for child in children(tile)}
            assert sorted(chain.from_iterable(found.values())) == sorted(above)
            below |= {child: held for child, held in found.items() if held}
        level = below


async def test_the_antimeridian_is_the_edge_of_the_first_and_of_the_last_tile(
    store: Store, client: httpx.AsyncClient
) -> None:
    store.add_permit(lat=-16.5, lng=-180.0, source_id="first")
    store.add_permit(lat=-16.5, lng=180.0, source_id="last")
    store.publish()
    row = tile_of((-16.5, 0.0), 3).y
    assert ids(await fetch(client, Tile(3, 0, row))) == ["first"]
    assert ids(await fetch(client, Tile(3, 7, row))) == ["last"]


async def test_a_tile_of_too_many_points_holds_cells_that_count_each_permit_once(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = scatter(store, 200, seed=3)
    monkeypatch.setattr(room, "POINTS_MAX", 20)
    tile = tile_of(HERE, 9)
    counted = cells(await fetch(client, tile))
    expected = Counter[tuple[int, int]]()
    for point in points:
        x, y = place(point, 15)
        if tile_of(point, 9) == tile:
            expected[int(x) % 64 * 64 + 32, int(y) % 64 * 64 + 32] += 1
    assert {middle: told["permits"] for middle, told in counted.items()} == expected
    assert {told["city"] for told in counted.values()} == {"austin"}


async def test_cells_and_points_together_count_what_the_tile_above_counts(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def count(tile: Tile) -> int:
        layers = await fetch(client, tile)
        assert len(layers) <= 1
        return len(ids(layers)) + sum(int(feature["properties"]["permits"]) for feature in layers.get("cells", []))

    scatter(store, 150, seed=4, spread=0.01)
    store.add_permit()
    store.add_permit(lat=30.27, lng=-97.74, removed_run=1)
    monkeypatch.setattr(room, "POINTS_MAX", 20)
    level = {WORLD: 150}
    for _ in range(ZOOM_MAX):
        found = {child: await count(child) for tile in level for child in children(tile)}
        assert sum(found.values()) == 150
        level = {tile: held for tile, held in found.items() if held}


async def test_cells_tell_the_categories_of_their_permits(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for categories in (["solar"], ["solar", "battery"], ["pool"], []):
        store.add_permit(lat=30.27, lng=-97.74, categories=categories)
    store.publish()
    monkeypatch.setattr(room, "POINTS_MAX", 1)
    (told,) = cells(await fetch(client, tile_of(HERE, 12))).values()
    assert told == {"city": "austin", "permits": 4, "solar": 2, "battery": 1, "pool": 1}


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"category": "solar"}, True),
        ({"category": ["solar", "pool"]}, False),
        ({"issued_from": "2015-01-10"}, False),
        ({"category": "pool", "issued_to": "2015-01-20"}, False),
    ],
)
async def test_filtered_cells_count_what_filtered_points_are(
    filters: dict[str, Any], kept: bool, store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(store, 200, seed=5)
    tile = tile_of(HERE, 9)
    points = Counter(
        tuple(int(part) // 64 * 64 + 32 for part in feature["geometry"]["coordinates"])
        for feature in (await fetch(client, tile, **filters))["permits"]
    )
    assert 20 < points.total() < 200
    assert room.is_kept(PermitFilter.model_validate(filters)) == kept
    monkeypatch.setattr(room, "POINTS_MAX", 20)
    store.publish()
    forget_register(client)
    counted = cells(await fetch(client, tile, **filters))
    assert {middle: told["permits"] for middle, told in counted.items()} == points


@pytest.mark.parametrize("points_max", [20, 10_000])
async def test_a_tile_is_the_same_whether_its_own_permits_are_read_or_those_that_match(
    points_max: int, store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(store, 200, seed=9)
    monkeypatch.setattr(room, "POINTS_MAX", points_max)
    for filters in ({"issued_from": "2015-01-10"}, {"category": ["pool", "roof"], "issued_to": "2015-01-20"}):
        found = []
        for read_max in (1_000, 0):
            monkeypatch.setattr(room, "READ_MAX", read_max)
            layers = await fetch(client, tile_of(HERE, 9), **filters)
            store.publish()
            forget_register(client)
            assert set(layers) == ({"cells"} if points_max == 20 else {"permits"})
            found.append(sorted(str(feature) for features in layers.values() for feature in features))
        assert found[0] == found[1]
        assert len(found[0]) > 20


async def test_cells_are_estimated_and_say_so_where_too_many_permits_would_be_read(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    limit_reading(monkeypatch)
    tile = tile_of(HERE, 9)
    told = cells(await fetch(client, tile, work_class="New"))
    truth = recount(store, tile, "work_class = 'New'")
    assert all(cell["estimated"] is True for cell in told.values())
    assert set(told) <= set(truth)
    estimate, exact = sum(cell["permits"] for cell in told.values()), sum(truth.values())
    # Of some 2,000, a sixteenth tells: a standard error of 7 %.
    assert exact > 2_000
    assert abs(estimate - exact) < 0.2 * exact
    store.publish()
    forget_register(client)
    assert cells(await fetch(client, tile, work_class="New")) == told


async def test_an_estimate_is_exact_where_every_permit_meets_the_filter(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    limit_reading(monkeypatch)
    tile = tile_of(HERE, 9)
    told = cells(await fetch(client, tile, issued_from="2015-01-01"))
    truth = recount(store, tile, "true")
    assert {middle: cell["permits"] for middle, cell in told.items()}.items() <= truth.items()
    assert sum(cell["permits"] for cell in told.values()) > 0.9 * sum(truth.values())


async def test_what_few_permits_meet_is_counted_however_many_the_tile_holds(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    rare = store.add_permit(lat=HERE[0], lng=HERE[1], work_class="Odd", zip="78799")
    store.publish()
    store.connection.execute("ANALYZE permits")
    limit_reading(monkeypatch)
    monkeypatch.setattr(room, "MATCHES_MAX", 100)
    assert ids(await fetch(client, tile_of(HERE, 9), zip="78799")) == [rare]
    assert set(await fetch(client, tile_of(HERE, 9), work_class="New")) == {"cells"}


async def test_what_the_planner_took_for_few_is_estimated_where_it_is_not(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    limit_reading(monkeypatch)
    monkeypatch.setattr(room, "MATCHES_MAX", 10_000)
    before = await fetch(client, tile_of(HERE, 9), zip="78704")
    assert "estimated" not in before["cells"][0]["properties"]
    store.connection.execute("UPDATE permits SET zip = '78704'")
    store.publish()
    forget_register(client)
    after = await fetch(client, tile_of(HERE, 9), zip="78704")
    assert after["cells"][0]["properties"]["estimated"] is True


FILTERS: list[dict[str, Any]] = [
    {"category": ["solar", "pool"]},
    {"category": "solar"},
    {"status": "Final"},
    {"permit_type": "EP"},
    {"permit_class": "Residential"},
    {"work_class": "New"},
    {"zip": "78704"},
    {"district": "9"},
    {"issued_from": "2016-01-01", "issued_to": "2016-12-31"},
    {"applied_from": "2016-01-01"},
    {"min_value_usd": "100", "max_value_usd": "500"},
    {"q": "remodel"},
    {"status": "Final", "category": "pool", "issued_from": "2016-01-01", "zip": "78704"},
]


async def test_no_tile_reads_more_permits_than_its_bounds(
    settings: Settings, store: Store, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(store)
    limit_reading(monkeypatch)
    monkeypatch.setattr(room, "SAMPLED_MAX", 500)
    monkeypatch.setattr(room, "SAMPLED_BY_TEXT_MAX", 100)
    store.connection.execute("VACUUM ANALYZE permits")
    reader = ExplainingReader(settings)
    await reader.open()
    async with open_session(engine) as session:
        register = await find_register(session)
    for filters, z in product(FILTERS, (0, 9, 12, 14, ZOOM_MAX)):
        reader.read = []
        await room.make_tile(reader, register, tile_of(HERE, z), PermitFilter.model_validate(filters))
        assert sum(reader.read) <= 1_010, f"a thousand of its own, or 500 of a sample: {filters} at {z}"
    await reader.aclose()


class ExplainingReader(Reader):
    """Reads, and notes how many permits each statement had to look at."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.read: list[int] = []

    async def find_all(
        self, statement: str, values: Mapping[str, Any] | None = None, *, settled: bool = False
    ) -> list[Any]:
        """Run it, and explain it once more."""
        if not statement.startswith("EXPLAIN"):
            explained = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}"
            plan = "\n".join(line for (line,) in await super().find_all(explained, values))
            for scan in (node for node in plan.split("->") if re.match(r"  .* on permits ", node)):
                read = re.findall(r"actual rows=(\d+)|Rows Removed by [\w ]+: (\d+)", scan)
                self.read += [int(given or removed) for given, removed in read]
        return await super().find_all(statement, values, settled=settled)


async def test_a_tile_keeps_its_indexes_after_twenty_calls(settings: Settings, store: Store) -> None:
    add_many(store)
    store.connection.execute("VACUUM ANALYZE permits")
    tile = tile_of(HERE, 12)
    values = room.bind_tile(tile) | {"all_cities": ["austin"], "city": "austin", "work_class_own": ["Odd"]}
    values |= room.bind_cells(tile, tile.sampled_level) | {"read_most": 1_000}
    names = frozenset({"city", "work_class_own"})
    reader = Reader(settings)
    await reader.open()
    for statement, index in (
        (room.compile_layer(names, "tile"), "ix_permits_location_planar"),
        (room.compile_layer(names, "filter"), "Bitmap Index Scan on ix_permits_words"),
        (room.compile_sampled_cells(names, 16), "Index Only Scan using ix_permits_sampled_16 on permits"),
    ):
        for _ in range(20):
            await reader.find_all(statement, values)
        plan = "\n".join(line for (line,) in await reader.find_all(f"EXPLAIN {statement}", values))
        assert index in plan, plan
        assert len(re.findall(r"Scan .*ix_permits", plan)) == 1
    await reader.aclose()


def add_many(store: Store) -> None:
    """Add 12,000 permits around one place, a third of them of one work class, all issued in 2015 or later."""
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, work_class, status_current, permit_type, permit_class, zip,"
        " district, issued_date, applied_date, est_project_cost_usd, description, location, location_quality,"
        " first_run, changed_run)"
        " SELECT 'austin', 'x' || n, CASE mod(n, 5) WHEN 0 THEN '{pool,solar}' ELSE '{}' END::text[],"
        " CASE mod(n, 3) WHEN 0 THEN 'New' ELSE 'Old' END, CASE mod(n, 4) WHEN 0 THEN 'Active' ELSE 'Final' END,"
        " CASE mod(n, 2) WHEN 0 THEN 'EP' ELSE 'BP' END,"
        " CASE mod(n, 7) WHEN 0 THEN 'Commercial' ELSE 'Residential' END, '7870' || mod(n, 9), mod(n, 10)::text,"
        " date '2015-01-01' + mod(n, 1000), date '2015-01-01' + mod(n, 900), mod(n, 1000),"
        " CASE mod(n, 2) WHEN 0 THEN 'remodel of a kitchen' ELSE 'new roof' END,"
        " ST_MakePoint(-97.74 + 0.01 * cos(n) * ln(n), 30.27 + 0.01 * sin(n) * ln(n))::geography, 'unstated', %s, 1"
        " FROM generate_series(1, 12000) AS n",
        [store.find_run("austin")],
    )
    store.connection.execute("ANALYZE permits")
    store.publish()


def limit_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a tile read a thousand permits of its own, no other matches, and show twenty of them as points."""
    monkeypatch.setattr(room, "POINTS_MAX", 20)
    monkeypatch.setattr(room, "READ_MAX", 1_000)
    monkeypatch.setattr(room, "MATCHES_MAX", 0)


def recount(store: Store, tile: Tile, where: str) -> dict[tuple[int, int], int]:
    """Count the permits of a tile anew, by the middle of the cells in which they would be estimated."""
    rows = store.connection.execute(
        f"SELECT ST_Y(location::geometry), ST_X(location::geometry) FROM permits WHERE {where}"
    )
    counted = Counter[tuple[int, int]]()
    for point in rows.fetchall():
        if tile_of(point, tile.z) == tile:
            x, y = place(point, tile.z + 4)
            counted[int(x) % 16 * 256 + 128, int(y) % 16 * 256 + 128] += 1
    return counted


async def test_each_city_has_its_own_cells(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for city, count in (("austin", 3), ("chicago", 2), ("sample", 4)):
        for _ in range(count):
            store.add_permit(lat=30.27, lng=-97.74, city=city)
    store.publish()
    monkeypatch.setattr(room, "POINTS_MAX", 1)
    tile = tile_of(HERE, 12)
    told = [feature["properties"] for feature in (await fetch(client, tile))["cells"]]
    assert {(cell["city"], cell["permits"]) for cell in told} == {("austin", 3), ("chicago", 2)}
    (told_of_sample,) = cells(await fetch(client, tile, city="sample")).values()
    assert told_of_sample["permits"] == 4


async def test_a_tile_is_never_an_old_one_once_a_run_has_published(store: Store, client: httpx.AsyncClient) -> None:
    address = "/tiles/permits/0/0/0.mvt"
    store.add_permit(lat=30.27, lng=-97.74, source_id="a")
    store.publish()
    seen: dict[str, bytes] = {}
    for number in range(12):
        reply = await client.get(address, headers={"If-None-Match": next(reversed(seen), "")})
        if reply.status_code == 200:
            assert seen.setdefault(reply.headers["etag"], reply.content) == reply.content
        if number % 3 == 2:
            store.add_permit(lat=30.27, lng=-97.74, source_id=f"b{number}")
            store.publish()
            forget_register(client)
    assert [len(mapbox_vector_tile.decode(tile)["permits"]["features"]) for tile in seen.values()] == [1, 2, 3, 4]


async def test_a_tile_that_takes_too_long_is_given_up_and_says_how_to_narrow_it(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(store, 3, seed=6)
    monkeypatch.setattr(room, "TILE_S", 0)
    reply = await client.get("/tiles/permits/0/0/0.mvt")
    assert (reply.status_code, reply.json()["type"]) == (503, "/problems/too-slow")
    assert "zoom in" in reply.json()["detail"]


@pytest.mark.parametrize(("z", "x", "y"), [(-1, 0, 0), (17, 0, 0), (0, 1, 0), (3, 8, 0), (3, 0, -1), (3, 0, 8)])
def test_the_grid_has_no_other_tiles(z: int, x: int, y: int) -> None:
    with pytest.raises(NoSuchTile):
        find_tile(z, x, y)


def test_tiles_lie_side_by_side() -> None:
    tile = Tile(10, 234, 421)
    east, south = enclose(tile._replace(x=235)), enclose(tile._replace(y=422))
    box = enclose(tile)
    assert east.west < box.east < east.west + 3e-6
    assert south.north - 3e-6 < box.south < south.north
    assert enclose(WORLD) == pytest.approx((-180, -90, 180, 90), abs=2e-6)


def test_kept_tiles_end_at_their_limit_with_those_that_were_longest_unasked_for() -> None:
    kept = KeptTiles(3 * (100 + ENTRY_BYTES))
    for name in "abc":
        kept.keep(1, name, bytes(100))
    assert kept.find(1, "a")
    kept.keep(1, "d", bytes(100))
    assert [name for name in "abcd" if kept.find(1, name)] == ["a", "c", "d"]
    kept.keep(1, "huge", bytes(5_000))
    assert kept.size_bytes == 0


def test_kept_tiles_are_of_the_newest_version_alone() -> None:
    kept = KeptTiles(10_000)
    kept.keep(1, "a", b"old")
    kept.keep(2, "b", b"new")
    kept.keep(1, "c", b"late")
    assert (kept.find(1, "a"), kept.find(2, "a"), kept.find(2, "b"), kept.find(2, "c")) == (None, None, b"new", None)
    assert kept.size_bytes == 3 + ENTRY_BYTES


async def test_no_more_than_a_tiles_rows_of_cells_are_read_after_twenty_calls(database_url: str, store: Store) -> None:
    scatter(store, 300, seed=8)
    values = room.bind_tile(tile_of(HERE, 9)) | {"all_cities": ["austin"], "one_category": None}
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=1) as connection:
        connection.execute("ANALYZE permit_cells")
        connection.execute("SET plan_cache_mode = force_custom_plan")
        for statement in (room.compile_counted(), room.compile_kept_cells(of_category=False)):
            for _ in range(20):
                connection.execute(statement, values)
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}", values))
            assert "Seq Scan on permit_cells" not in plan
            assert re.search(r"Index Cond: .*city.* AND \(level = \d+\) AND .*\(y (=|>=) \d+\)", plan), plan
