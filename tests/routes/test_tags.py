"""A tag stands for one question over one state of the register, however the question is put; made-up and real rows."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.cities.city import find_city
from app.ingest.order import Order
from app.ingest.run import ingest
from app.ingest.sources.files import find_sources
from app.settings import Settings
from tests.conftest import ROOT, Store, serve

REAL = ROOT.parent / "shared/data/permits/austin/daily_files/2015-10-07.csv.gz"
STAMP = re.compile(rb'"timeStamp":"[^"]*"')
FILTERS: dict[str, list[tuple[str, ...]]] = {
    "category": [("solar",), ("pool", "solar"), ("hvac", "pool", "solar")],
    "status": [("Permit Issued",), ("Permit Finaled", "Permit Issued")],
    "permit_class": [("Residential",)],
    "zip": [("78704",), ("78704", "78745")],
    "issued_from": [("2015-01-01",), ("2015-10-01",)],
    "issued_to": [("2015-12-31",)],
    "min_value_usd": [("1000",), ("1000.5",)],
    "q": [("pool",), ("install OR remodel",)],
}
CIRCLE: dict[str, list[tuple[str, ...]]] = {
    "lat": [("30.2672",), ("30.27",)],
    "lng": [("-97.7431",)],
    "radius_m": [("3000",), ("9000",), ("9000.5",)],
}
LIMIT: dict[str, list[tuple[str, ...]]] = {"limit": [("1",), ("7",)]}
FORM: dict[str, list[tuple[str, ...]]] = {"f": [("geojson",)]}
BOX: dict[str, list[tuple[str, ...]]] = {"bbox": [("-97.8,30.2,-97.7,30.3",), ("-97.8,30.2,-97.7,30.4",)]}
PATHS = {
    "/permits/near": (CIRCLE, FILTERS | LIMIT | FORM | {"count": [("exact",)]}),
    "/permits": ({}, FILTERS | LIMIT | FORM | BOX | {"order": [("largest",)]}),
    "/permits/stats": ({}, FILTERS | {"group_by": [("zip",), ("year",)], "measure": [("permits", "value_usd_sum")]}),
    "/permits/changes": ({}, FILTERS | LIMIT | FORM | BOX | {"since": [("2026-10-01",), ("2026-11-01",)]}),
    "/tiles/permits/0/0/0.mvt": ({}, FILTERS),
    "/tiles/permits.json": ({}, FILTERS),
    "/regions": ({}, LIMIT | BOX | {"geometry": [("none",), ("true",)]}),
    "/ogc/collections/permits/items": ({}, FILTERS | LIMIT | BOX | {"datetime": [("2015-10-01/..",)]}),
}
"""By path: the parameters that a question has, and those that it may have, each with values other than the default."""
EXACT_RADIUS = ("500",)
WAYS = {"1000": ["1000.0", "1e3", "1000.00"], "1000.5": ["1000.50"], "9000": ["9e3", "9000.0"], "30.27": ["30.270"]}
"""The same number in other words."""
Question = dict[str, tuple[str, ...]]


@st.composite
def questions(draw: st.DrawFn, path: str) -> Question:
    """Draw a question in its one form."""
    always, sometimes = ({name: st.sampled_from(values) for name, values in part.items()} for part in PATHS[path])
    question: Question = draw(st.fixed_dictionaries(always, optional=sometimes))
    return question | {"radius_m": EXACT_RADIUS} if "count" in question else question


@st.composite
def phrasings(draw: st.DrawFn, question: Question) -> list[tuple[str, str]]:
    """Draw a way to put a question: its parameters in any order, values repeated, numbers in any words."""
    pairs = [(name, value) for name, values in question.items() for value in values]
    several = [pair for pair in pairs if len(question[pair[0]]) > 1]
    pairs += draw(st.lists(st.sampled_from(several), max_size=2)) if several else []
    put = [(name, draw(st.sampled_from([value, *WAYS.get(value, [])]))) for name, value in pairs]
    return draw(st.permutations(put))


@pytest_asyncio.fixture(scope="module", params=["made-up", "real"])
async def service(
    request: pytest.FixtureRequest, store_connection: Any, settings: Settings
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the service on a register of some rows."""
    store = Store(store_connection)
    store.empty()
    if request.param == "made-up":
        for number in range(30):
            about: dict[str, Any] = {"original_zip": "78704", "categories": ["solar"]}
            store.add_permit(lat=30.2672 + number / 1000, lng=-97.7431, est_project_cost_usd=100 * number, **about)
        store.publish()
    elif not REAL.is_file():
        pytest.skip("the real Austin rows are not beside this checkout")
    else:
        assert settings.database_url is not None
        order = Order(find_city("austin"), find_sources([REAL]), workers=1)
        assert ingest(settings.database_url.get_secret_value(), order).status == "published"
    async with serve(settings) as client:
        yield client


async def ask(client: httpx.AsyncClient, path: str, pairs: list[tuple[str, str]]) -> tuple[str, bytes]:
    """Give tag and body of a reply."""
    reply = await client.get(path, params=httpx.QueryParams(tuple(pairs)))
    assert reply.status_code == 200, reply.text
    return reply.headers["etag"], STAMP.sub(b"", reply.content)


@pytest.mark.parametrize("path", PATHS)
@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_two_questions_have_one_tag_where_they_are_the_same_and_else_two(
    path: str, data: st.DataObject, service: httpx.AsyncClient
) -> None:
    first = data.draw(questions(path))
    second = data.draw(st.one_of(st.just(first), questions(path)))
    reply = await ask(service, path, data.draw(phrasings(first)))
    other = await ask(service, path, data.draw(phrasings(second)))
    if first == second:
        assert other == reply
    else:
        assert other[0] != reply[0]
