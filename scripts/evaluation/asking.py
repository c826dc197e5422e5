"""Asks the whole service in this process, as callers do over HTTP, with a scripted voice in place of models."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx

from app.backends.router import Router
from app.main import create_app
from app.settings import Settings, read_settings
from scripts.evaluation.lies import plain
from scripts.evaluation.questions import Asked
from scripts.evaluation.voices import Scripted

WARM_UP = {"question": "How many permits are there?", "narrate": False}


@dataclass(frozen=True)
class Reply:
    """What the service answered: the document, and what of the scripted voice it passed on.

    ``truths`` and ``passed_truths`` count the sentences that repeat a fact; ``lies`` counts those that do not, and
    ``passed_lies`` are the ones that got through, each with the way it was made. ``error`` is a status that is no 200.
    """

    document: dict[str, Any]
    truths: int = 0
    passed_truths: int = 0
    lies: int = 0
    passed_lies: tuple[tuple[str, str], ...] = ()
    dropped_truths: tuple[str, ...] = ()
    error: str | None = None

    @property
    def outcome(self) -> str:
        """``answer``, ``decline``, ``ask_back``, or ``error``."""
        return self.error or str(self.document["answer"]["kind"])

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan, where there is one."""
        return None if self.error else self.document["plan"]["plan"]

    @property
    def ignored_words(self) -> tuple[str, ...]:
        """What the service said that it had left out."""
        return () if self.error else tuple(self.document["plan"]["ignored_words"])

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The facts, each as callers have it."""
        return [] if self.error else self.document["facts"]["facts"]

    @property
    def answer_ms(self) -> float | None:
        """Milliseconds to the answer event."""
        return None if self.error else self.document["done"]["ms"]["answer"]

    @property
    def text(self) -> str:
        """What the answer says in words."""
        return "" if self.error else " ".join(sentence["text"] for sentence in self.document["answer"]["sentences"])


class Service:
    """The service on one register."""

    def __init__(self, client: httpx.AsyncClient, voice: Scripted) -> None:
        self.client = client
        self.voice = voice

    async def ask(self, asked: Asked) -> Reply:
        """Ask without a voice, which is timed, and where facts came again with one that tells truths and lies."""
        quiet = await self.client.post("/ask", json={**asked.body, "narrate": False})
        if quiet.status_code != httpx.codes.OK:
            return Reply({}, error=f"status {quiet.status_code}")
        document: dict[str, Any] = quiet.json()
        if not document["facts"]["facts"]:
            return Reply(document)
        self.voice.truths, self.voice.lies = [], {}
        told = (await self.client.post("/ask", json=asked.body)).json()["text"]
        return self.judge(document, [sentence["text"] for sentence in told])

    async def compute(self, plan: dict[str, Any]) -> list[dict[str, Any]] | str:
        """Compute the facts of a plan without words, or give what is wrong with it."""
        reply = await self.client.post("/facts", json={"plan": plan})
        if reply.status_code != httpx.codes.OK:
            return f"status {reply.status_code}: {reply.text}"
        facts: list[dict[str, Any]] = reply.json()["facts"]
        return facts

    def judge(self, document: dict[str, Any], told: list[str]) -> Reply:
        """Tell apart what of the voice's sentences was passed on."""
        # A prompt may have had no room for a fact, and what was made up as a lie may be just that one.
        facts = {plain(fact["sentence"]) for fact in document["facts"]["facts"]}
        lies = {lie: way for lie, way in self.voice.lies.items() if plain(lie) not in facts}
        said = {" ".join(truth.split()) for truth in self.voice.truths}
        told = [sentence for sentence in told if sentence in said or plain(sentence) not in facts]
        return Reply(
            document,
            truths=len(said),
            passed_truths=len(said & set(told)),
            lies=len(lies),
            passed_lies=tuple(
                (lies.get(sentence, "of its own"), sentence) for sentence in told if sentence not in said
            ),
            dropped_truths=tuple(sorted(said - set(told))),
        )


@asynccontextmanager
async def serving(database_url: str, city: str, today: date) -> AsyncGenerator[Service]:
    """Run the service on a register, on a fixed day, with the scripted voice alone."""
    given = read_settings(os.environ).model_dump(include={"statement_timeout_s", "answer_timeout_s"})
    fixed = {"database_url": database_url, "backends": "[]", "today": today, "city": city, "log_level": "ERROR"}
    voice = Scripted()
    app = create_app(Settings.model_validate(given | fixed), router=Router([voice]))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://evaluation") as client,
    ):
        await client.post("/ask", json=WARM_UP)
        yield Service(client, voice)
