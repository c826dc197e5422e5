"""A small register, the answer without any backend, and a name server that knows no name."""

import socket
import time
from datetime import date
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.settings import Settings
from tests.backends.faults import TRUE
from tests.conftest import TABLES, Store
from tests.faults.meeting import SHORT_S, Answered, serve


@pytest.fixture(scope="module")
def register(store_connection: psycopg.Connection[Any]) -> None:
    """Two solar permits of 2015."""
    store_connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
    store = Store(store_connection)
    for _ in range(2):
        store.add_permit(lat=30.2672, lng=-97.7431, categories=["solar"], issued_date=date(2015, 3, 1))
    store.publish()


@pytest.fixture(scope="module")
async def without_any(register: None, settings: Settings) -> Answered:
    """The answer where there is no backend at all."""
    async with serve(settings) as service:
        answered = await service.ask()
    assert (answered.text, answered.document["answer"]["sentences"][0]["text"]) == ([], TRUE)
    return answered


class KeptEngine(AsyncEngine):
    """An engine that outlives the application: hundreds of these open no connections of their own."""

    async def dispose(self, close: bool = True) -> None:
        """Keep the connections."""


@pytest.fixture(autouse=True)
def kept_engine(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every application here take its connections from one pool."""
    monkeypatch.setattr("app.main.make_engine", lambda _: KeptEngine(engine.sync_engine))


@pytest.fixture(autouse=True)
def name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for names of this machine alone: no test asks a name server."""
    ask = socket.getaddrinfo

    def answer(host: Any, *args: Any, **more: Any) -> Any:
        if host in {"unknown.invalid", b"unknown.invalid"}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host in {"unanswered.invalid", b"unanswered.invalid"}:
            time.sleep(3 * SHORT_S)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ask(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
