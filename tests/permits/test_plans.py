"""Every way to the nearest permits keeps its index after twenty calls, and reads no more than it has to."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.database import Reader, compile_text
from app.permits.changes import select_changed
from app.permits.exports import AreaFilter, bind_circle
from app.permits.filters import Area
from app.permits.near import Walk, bind_steps, compile_candidates, compile_count, frame
from app.settings import Settings
from tests.conftest import Store

ORIGIN = {"lat": 30.3, "lng": -97.7}
TAKE = 60
MOST = 500


@pytest.fixture
def many(store: Store) -> Store:
    """Twenty thousand permits on a grid of 20 km, in ten ZIPs and districts; half are roofs, and forty are pools."""
    store.connection.execute(
        "INSERT INTO permits (city, source_id, categories, zip, district, location, location_quality, first_run,"
        " changed_run) SELECT 'austin', 'x' || n, CASE WHEN mod(n, 500) = 0 THEN '{pool}' WHEN mod(n, 2) = 0"
        " THEN '{roof}' ELSE '{}' END::text[], '7870' || mod(n, 10), mod(n, 10)::text,"
        " ST_MakePoint(-97.8 + 0.0002 * mod(n, 1000), 30.2 + 0.0002 * mod(n, 997))::geography, 'unstated', %s, n"
        " FROM generate_series(1, 20000) AS n",
        [store.find_run("austin")],
    )
    store.connection.execute("VACUUM ANALYZE permits")
    store.publish()
    return store


@pytest.fixture
async def reader(settings: Settings) -> AsyncGenerator[Reader]:
    """The reader of the hot path."""
    reader = Reader(settings)
    await reader.open()
    yield reader
    await reader.aclose()


def bind(radius_m: float = 10_000, **filters: Any) -> dict[str, Any]:
    """Give the values of a circle and of filters as near binds them."""
    framed = frame(Area(**ORIGIN, radius_m=radius_m))
    around = {"x": framed.x, "y": framed.y, "reach": framed.reach}
    return {"city": "austin", **ORIGIN, "radius_m": radius_m, **around, **filters}


async def explain(reader: Reader, statement: str, values: dict[str, Any]) -> str:
    """Give the plan of a statement that was run twenty times before, with the rows that it read."""
    for _ in range(20):
        await reader.find_all(statement, values)
    lines = await reader.find_all(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", values)
    return "\n".join(line for (line,) in lines)


def list_indexes(plan: str) -> set[str]:
    """Name the indexes of permits in a plan."""
    return set(re.findall(r"Scan (?:Backward )?(?:using|on) (\w+_permits\w*)", plan))


def count_read(plan: str) -> int:
    """Count the permits that were read from the table, those that a filter left out included."""
    nodes = [node for node in plan.split("->") if re.match(r"  .* on permits ", node)]
    assert nodes
    found = [re.findall(r"actual rows=(\d+) loops=(\d+)|Rows Removed by [\w ]+: (\d+)", node) for node in nodes]
    return sum(int(rows or removed) * int(loops or 1) for node in found for rows, loops, removed in node)


ROOFS = {"categories": ["roof"]}


@pytest.mark.parametrize(
    ("walk", "filters", "index", "read_most"),
    [
        ("mercator", {}, "ix_permits_mercator", TAKE),
        ("mercator", ROOFS, "ix_permits_mercator", 4 * TAKE),
        ("bounded", {"categories": ["pool"]}, "ix_permits_mercator", MOST),
        ("zip", {"zip": ["78704"]}, "ix_permits_zip_mercator", TAKE),
        ("zip", {"zip": ["78704", "78705"], **ROOFS}, "ix_permits_zip_mercator", 2 * MOST),
        ("district", {"district_own": ["4"]}, "ix_permits_district_mercator", TAKE),
        ("sifted", {"categories": ["pool"]}, "ix_permits_words", 40),
        ("measured", {"categories": ["pool"]}, "ix_permits_words", 40),
    ],
)
async def test_a_walk_to_the_nearest_reads_by_its_index_and_no_more_than_it_may(
    walk: Walk, filters: dict[str, Any], index: str, read_most: int, many: Store, reader: Reader
) -> None:
    values = bind(**filters)
    statement = compile_candidates(frozenset(values), walk)
    plan = await explain(reader, statement, values | {"take": TAKE, "most": MOST})
    assert list_indexes(plan) == {index}, plan
    assert count_read(plan) <= read_most, plan


async def test_a_later_page_walks_by_the_same_index(many: Store, reader: Reader) -> None:
    after = {"after_m": 400.0, "after_city": "austin", "after_source_id": "x"}
    values = bind() | after | bind_steps(400.0, frame(Area(**ORIGIN, radius_m=10_000)))
    plan = await explain(reader, compile_candidates(frozenset(values), "mercator"), values | {"take": TAKE})
    assert list_indexes(plan) == {"ix_permits_mercator"}, plan
    assert count_read(plan) <= 4 * TAKE


async def test_the_rows_within_a_proven_reach_are_read_by_the_index_of_places(many: Store, reader: Reader) -> None:
    values = bind(radius_m=300)
    plan = await explain(reader, compile_candidates(frozenset(values), "none"), values | {"take": TAKE})
    assert list_indexes(plan) == {"ix_permits_location"}, plan
    assert count_read(plan) <= 4 * TAKE


async def test_a_count_reads_the_circle_alone(many: Store, reader: Reader) -> None:
    values = bind(radius_m=1_000)
    plan = await explain(reader, compile_count(frozenset(values)), values)
    assert list_indexes(plan) == {"ix_permits_location"}, plan
    assert count_read(plan) <= 2_000


async def test_the_newest_changes_of_a_wide_circle_are_read_from_the_newest_on(many: Store, reader: Reader) -> None:
    circle = bind_circle(AreaFilter.model_validate(ORIGIN | {"radius_m": 10_000}))
    values = {"city": "austin", **circle, "floor": 0, "take": 21}
    plan = await explain(reader, compile_text(select_changed(frozenset(values))), values)
    assert list_indexes(plan) == {"ix_permits_changed"}, plan
    assert count_read(plan) <= 400


async def test_the_changes_of_a_narrow_circle_are_read_by_its_place(many: Store, reader: Reader) -> None:
    circle = bind_circle(AreaFilter.model_validate(ORIGIN | {"radius_m": 100}))
    values = {"city": "austin", **circle, "floor": 0, "take": 21}
    plan = await explain(reader, compile_text(select_changed(frozenset(values))), values)
    assert list_indexes(plan) == {"ix_permits_mercator"}, plan
    assert count_read(plan) <= 100
