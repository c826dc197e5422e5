"""What every measurement is given: the running service, a connection beside it, the register, and how long to take."""

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg

from app.database import make_engine, open_session
from app.permits.register import Register, find_register
from app.settings import Settings
from scripts.bench.cpu import Backends, Meter, find_postmaster
from scripts.bench.places import Places, Point
from scripts.bench.service import Service


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    seconds: int
    """of one run of a load tool"""
    rounds: int
    """how often each takes its turn"""
    executions: int
    """of one question by one caller"""
    points: int
    """origins to draw from"""
    requests: int
    """questions in all"""
    explain: bool
    """whether the plan of the slowest statement is printed"""


@dataclass(frozen=True)
class Bench:
    """A service on a register."""

    url: str
    service: Service
    connection: psycopg.Connection[Any]
    effort: Effort

    @cached_property
    def register(self) -> Register:
        """The register as the service reads it."""
        return asyncio.run(read_register(self.url))

    @cached_property
    def places(self) -> Places:
        """Where and for what is asked."""
        return Places(self.connection, self.register.answering)

    @cached_property
    def points(self) -> list[Point]:
        """Random city points."""
        return self.places.draw_points(self.effort.points)

    @cached_property
    def meter(self) -> Meter:
        """Who uses the CPU; PostgreSQL is left out where it runs on another machine."""
        postmaster = find_postmaster(self.connection.info.backend_pid)
        backends = Backends(postmaster, self.connection.info.dbname) if postmaster else None
        return Meter({"service": self.service.pid}, backends)


async def read_register(url: str) -> Register:
    """Read the register of a database."""
    engine = make_engine(Settings.model_validate({"database_url": url}))
    async with open_session(engine) as session:
        register = await find_register(session)
    await engine.dispose()
    return register
