"""A run that publishes while a reply is made: the reply is the one before or the one after, never a bit of both.

The runs are real ones, of rows that are made up; each publishes between two statements of the service, whichever.
"""

import re
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from app.cities.city import find_city
from app.database import Reader
from app.ingest.order import Order
from app.ingest.run import ingest
from app.main import create_app
from app.permits.register import RegisterCache
from app.permits.tiles import TileMaker
from app.settings import Settings
from tests.conftest import Store
from tests.ingest.scripted import ScriptedSource

HERE = "lat=30.25&lng=-97.75&radius_m=9000"
PATHS = [
    f"/permits/near?{HERE}",
    f"/permits/near?{HERE}&category=solar&zip=78704&limit=3",
    f"/permits/near?{HERE}&status=Active&issued_from=2024-01-01&limit=1000",
    "/permits/near?lat=30.25&lng=-97.75&radius_m=2000&category=solar&count=exact",
    f"/permits/near?{HERE}&q=solqr",
    "/permits",
    "/permits?q=solqr&limit=5",
    "/permits?order=nearest&lat=30.25&lng=-97.75&category=solar",
    "/permits/austin/2025-000001%20EP",
    "/permits/stats?group_by=category",
    "/permits/stats?group_by=month&q=solar&measure=value_usd_median",
    "/permits/changes?since=1",
    "/permits/changes?since=1&f=atom&lat=30.25&lng=-97.75&radius_m=5000",
    "/tiles/permits.json",
    "/tiles/permits/0/0/0.mvt",
    "/tiles/permits/0/0/0.mvt?zip=78704&q=solar",
    "/regions",
    "/ogc/collections/permits",
    "/ogc/collections/permits/items",
    "/ogc/collections/permits/items?zip=78704&limit=2",
]
STATEMENTS_MAX = 40
LETTERS = "zyxwvutsponmlkjihgfedcb"
"""Each makes a word like ``solqr``, of which the first by the alphabet are searched, so that they are ever others."""
STAMP = re.compile(rb'"timeStamp":"[^"]*"')
Reply = tuple[str, bytes]


class Service:
    """The service, and a city that it reads: a run is published before the statement chosen, if it comes to that."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(settings)
        self.told = 0
        self.sent = 0
        self.publish_before: int | None = None

    def publish(self, count: int = 1) -> None:
        """Load so many permits more, in a run of their own; every other one states no day of issue."""
        numbers = range(self.told + 1, self.told + 1 + count)
        self.told += count
        assert self.settings.database_url is not None
        source = ScriptedSource([make_row(number) for number in numbers], page_rows=50)
        order = Order(find_city("austin"), [source], workers=1)
        assert ingest(self.settings.database_url.get_secret_value(), order).inserted == count

    def before_statement(self, *_: object) -> None:
        """Count a statement that is about to be sent."""
        self.sent += 1
        if self.sent == self.publish_before:
            self.publish()

    async def ask(self, client: httpx.AsyncClient, path: str, *, publish_before: int | None = None) -> Reply:
        """Ask a service that remembers nothing."""
        self.app.state.registers = RegisterCache()
        self.app.state.tiles = TileMaker(self.app.state.reader, keep_bytes=1_000_000)
        self.sent, self.publish_before = 0, publish_before
        reply = await client.get(path)
        assert reply.status_code == 200
        return reply.headers["etag"], STAMP.sub(b"", reply.content)


def make_row(number: int) -> dict[str, str]:
    """Make a row of the portal near the middle of Austin."""
    return {
        "permit_number": f"2025-{number:06d} EP",
        "permittype": "EP",
        "status_current": "Active",
        "description": f"install solar panels, type sol{LETTERS[number % len(LETTERS)]}r",
        "issue_date": "2025-05-06" if number % 2 else "",
        "original_zip": "78704",
        "total_job_valuation": str(1_000 * number),
        "latitude": f"{30.25 + number / 10_000:.4f}",
        "longitude": "-97.75",
    }


@pytest.fixture
async def service(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[Service, httpx.AsyncClient]]:
    """A service with a few permits, and its client."""
    service = Service(settings)
    send = Reader.find_all

    async def find_all(reader: Reader, statement: str, values: Any = None, **plan: Any) -> list[Any]:
        service.before_statement()
        return await send(reader, statement, values, **plan)

    monkeypatch.setattr(Reader, "find_all", find_all)
    transport = httpx.ASGITransport(app=service.app)
    async with (
        service.app.router.lifespan_context(service.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        event.listen(service.app.state.engine.sync_engine, "before_cursor_execute", service.before_statement)
        service.publish(6)
        service.publish(2)
        yield service, client


@pytest.mark.parametrize("path", PATHS)
async def test_a_reply_is_the_one_before_a_run_or_the_one_after(
    path: str, service: tuple[Service, httpx.AsyncClient]
) -> None:
    asked, client = service
    before = await asked.ask(client, path)
    for statement in range(1, STATEMENTS_MAX):
        told = asked.told
        between = await asked.ask(client, path, publish_before=statement)
        if asked.told == told:
            assert between == before
            assert statement > 4, "the mark, the register and the reply itself are read"
            return
        after = await asked.ask(client, path)
        assert after[0] != before[0]
        assert between in (before, after)
        before = after
    raise AssertionError("more statements than a reply may take")
