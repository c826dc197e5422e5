"""What a tile holds, read by a decoder that is not ours.

Where a point belongs is told by the formula of the OpenStreetMap wiki ("Slippy map tilenames"). The permits are made
up.
"""

import math
import random
import re
from collections import Counter
from datetime import date
from itertools import chain, product
from typing import Any

import httpx
import mapbox_vector_tile
import psycopg
import pytest

from app.errors import NoSuchTile
from app.permits import tiles as room
from app.permits.filters import PermitFilter
from app.permits.grid import ZOOM_MAX, Tile, find_tile, north_of, west_of
from app.permits.tiles import ENTRY_BYTES, KeptTiles, enclose
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
            assert "Scan on permit_cells" not in plan
            assert re.search(r"Index Cond: .*city.* AND \(level = \d+\) AND .*\(y (=|>=) \d+\)", plan), plan
