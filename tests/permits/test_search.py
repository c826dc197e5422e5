"""Full text finds the words of description and address, and what is like a word that no permit has."""

from collections.abc import AsyncGenerator

import pytest
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import Reader, open_session
from app.permits.filters import PermitFilter
from app.permits.near import NearQuery, find_near
from app.permits.register import find_register
from app.permits.search import STOP_WORDS, find_widened
from app.settings import Settings
from tests.conftest import Store

HERE = (30.2672, -97.7431)
TEXTS = {
    "solar": "Install 7.2 kW rooftop solar array with batteries",
    "bath": "Addition/remodel of kitchen & bath w/attached garage",
    "pool": "New in-ground pool, 15,000 gal",
    "heater": "Heat-pump water heater; see 2015-012345 EP",
    "sign": "Sign for Joe's Café",
    "silent": None,
}


@pytest.fixture
def texts(store: Store) -> Store:
    """A permit of each text, named by its key, all on one point."""
    for name, description in TEXTS.items():
        address = f"{1200 + len(name)} W GUADALUPE ST"
        store.add_permit(lat=HERE[0], lng=HERE[1], source_id=name, description=description, original_address1=address)
    store.publish()
    return store


@pytest.fixture
async def reader(database_url: str) -> AsyncGenerator[Reader]:
    """The reader of the hot path."""
    reader = Reader(Settings(database_url=database_url))  # type: ignore[arg-type]
    await reader.open()
    yield reader
    await reader.aclose()


async def search(engine: AsyncEngine, text: str) -> set[str]:
    """Give the names of the texts that are found."""
    async with open_session(engine) as session:
        query = NearQuery(lat=HERE[0], lng=HERE[1], q=text)
        return {row.source_id for row in (await find_near(session, await find_register(session), query)).rows}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("solar", {"solar"}),
        ("Installing ARRAYS", {"solar"}),
        ("remodel", {"bath"}),
        ("remodeling attached", {"bath"}),
        ("heat-pump", {"heater"}),
        ("heat pump", {"heater"}),
        ('"water heater"', {"heater"}),
        ('"heater water"', set()),
        ("2015-012345", {"heater"}),
        ("15,000", {"pool"}),
        ("7.2", {"solar"}),
        ("1205", {"solar"}),
        ("1204 guadalupe", {"bath", "pool", "sign"}),
        ("guadalupe -pool -solar", {"bath", "heater", "sign", "silent"}),
        ("pool OR solar", {"pool", "solar"}),
        ("the pool", {"pool"}),
        ("joe's", {"sign"}),
        ("café", {"sign"}),
    ],
)
async def test_full_text_finds(text: str, found: set[str], texts: Store, engine: AsyncEngine) -> None:
    assert await search(engine, text) == found


@pytest.mark.parametrize(
    ("text", "found", "widened"),
    [
        ("solr", {"solar"}, {"solr": ["solar"]}),
        ("kitchn", {"bath"}, {"kitchn": ["kitchen"]}),
        ("gara", {"bath"}, {"gara": ["gara*"]}),
        ("batt", {"solar"}, {"batt": ["batt*"]}),
        ("guadelupe pool", {"pool"}, {"guadelupe": ["guadalup"]}),
        ("zzzzzz", set(), {"zzzzzz": []}),
        ("guadalupe -solr", {"bath", "heater", "pool", "sign", "silent", "solar"}, {}),
        ('"kitchn"', set(), {}),
        ("1299", set(), {}),
        ("pool", {"pool"}, {}),
    ],
)
async def test_a_word_that_no_permit_has_is_widened(
    text: str, found: set[str], widened: dict[str, list[str]], texts: Store, engine: AsyncEngine, reader: Reader
) -> None:
    assert await find_widened(reader, text) == widened
    assert await search(engine, text) == found


@pytest.mark.parametrize("text", ["the of", "&|!():*<->", '""', "-", "  ", "x" * 201, "po\x00ol", "po\x1fol", "🏊"])
def test_a_text_without_a_word_to_search_for_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        PermitFilter(q=text)


@pytest.mark.parametrize(
    "text",
    [
        "pool' | 'solar",
        "pool:* & !solar",
        "!pool",
        "pool <-> solar",
        "a\\'b pool",
        "'; DROP TABLE permits; --",
        "<b>pool</b> &amp;",
        "http://x.org/pool?a=b",
        '"pool',
        "- pool",
        "pool " * 40,
        " ".join(f"zz{chr(97 + n % 26)}q{'x' * (n // 26)}" for n in range(35)),
        "x" * 200,
        "𝔭𝔬𝔬𝔩 泳池",
        "%s %(q)s {} ${}",
    ],
)
async def test_any_text_gets_an_answer(text: str, texts: Store, engine: AsyncEngine, reader: Reader) -> None:
    text = text.strip()[:200]
    assert await search(engine, text) <= set(TEXTS)
    assert len(await find_widened(reader, text)) <= 8


async def test_operators_of_the_database_are_only_signs(texts: Store, engine: AsyncEngine) -> None:
    assert await search(engine, "!pool") == {"pool"}
    assert await search(engine, "pool | solar") == set()


async def test_the_stop_words_are_those_of_the_database(store: Store) -> None:
    statement = "SELECT word FROM unnest(%s::text[]) AS word WHERE to_tsvector('english', word) <> ''"
    assert store.connection.execute(statement, [sorted(STOP_WORDS)]).fetchall() == []


async def test_a_text_is_read_once_and_planned_as_what_it_means(texts: Store) -> None:
    rows = texts.connection.execute("EXPLAIN SELECT FROM permits WHERE search @@ search_query('kitchn pool')")
    plan = "\n".join(row[0] for row in rows)
    assert "search_query" not in plan
    assert "kitchen" in plan
