"""A real Ollama, where ``OLLAMA_HOST`` names one that answers: what it does with what it is sent.

It may be an operator's own. A model that it has already is asked and nothing is pulled, made or removed. Where another
program's model is in memory, or holds ours there longer or with another context than these tests would, nothing is
done at all: it would be pushed out, loaded anew, or let go too early.
"""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import ollama
import pytest

from app.ask.narrator import SYSTEM
from app.backends import ollama as room
from app.backends.base import Prompt, Voice
from app.backends.ollama import PREFERRED_MODELS, OllamaBackend
from app.backends.router import Router
from app.errors import BackendUnavailable
from app.settings import BackendSettings, Deadlines, Settings, read_settings
from tests.backends.fakes import FakeBackend
from tests.conftest import Store, serve

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
NUM_CTX = 4096
KEEP_ALIVE_M = 20  # as long as the service itself keeps it
# A box may be slow and busy; what is claimed here is not how fast it is.
PATIENT = Deadlines(connect_s=5, first_token_s=120, load_s=300, gap_s=60, total_s=400)
# From here on "format" is not dropped where a model that can think is told not to.
FORMAT_WITHOUT_THOUGHTS = (0, 31, 2)
PROMPT = Prompt("You tell facts in one sentence.", "Fact: 9 roofs were permitted in 2023. How many?", max_tokens=16)


@dataclass(frozen=True)
class Found:
    """An Ollama and a model on it, as they were before anything was asked of them."""

    url: str
    model: str
    version: tuple[int, ...]
    thinks: bool
    was_resident: bool


class Looking:
    """Looks at an Ollama by its own API, beside the backend under test."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **body: str) -> Any:
        """Get a document, or send one; skips the test where nothing answers."""
        try:
            with httpx.Client(base_url=self.url, trust_env=False, timeout=5) as client:
                reply = client.post(path, json=body) if body else client.get(path)
                return reply.raise_for_status().json()
        except httpx.HTTPError:
            pytest.skip("no Ollama answers at OLLAMA_HOST")

    def weights(self, model: str) -> str:
        """Give the file of a model's weights: what Ollama has in memory once, whatever names it has."""
        recipe = self.get("/api/show", model=model)["modelfile"]
        return str(next(line for line in recipe.splitlines() if line.startswith("FROM ")))

    def running(self, model: str) -> Mapping[str, Any] | None:
        """Give what is told of a model in memory; skips the test where another program has one there."""
        entries = self.get("/api/ps")["models"]
        if any(self.weights(entry["model"]) != self.weights(model) for entry in entries):
            pytest.skip("another program's model is in memory, and ours might push it out")
        return next(iter(entries), None)


@pytest.fixture(scope="module")
def found() -> Found:
    """The Ollama at ``OLLAMA_HOST`` with a model that the service would choose, where asking it harms nobody."""
    names = ("OLLAMA_HOST", "UNDERVOLT_OLLAMA_MODEL")
    if not os.environ.get("OLLAMA_HOST"):
        pytest.skip("OLLAMA_HOST names no Ollama")
    settings = read_settings({name: os.environ[name] for name in names if name in os.environ})
    looking = Looking(settings.ollama_host)
    version = tuple(int(number) for number in re.findall(r"\d+", looking.get("/api/version")["version"])[:3])
    installed = {entry["model"] for entry in looking.get("/api/tags")["models"]}
    wanted = [settings.ollama_model] if settings.ollama_model else PREFERRED_MODELS
    model = next((name for name in wanted if {name, f"{name}:latest"} & installed), None)
    if model is None:
        pytest.skip("this Ollama has no model that the service would choose")
    shown = looking.get("/api/show", model=model)
    if shown.get("remote_host"):
        pytest.skip("the model runs on another host")
    entry = looking.running(model)
    if entry is not None and (is_held(entry) or entry["context_length"] != NUM_CTX):
        pytest.skip("another program holds the model in memory, longer or with another context than these tests would")
    thinks = "thinking" in shown.get("capabilities", ())
    return Found(settings.ollama_host, model, version, thinks, was_resident=entry is not None)


def is_held(entry: Mapping[str, Any]) -> bool:
    """Whether a model stays in memory for longer than these tests would keep it."""
    return read_expiry(entry) > datetime.now(UTC) + timedelta(minutes=KEEP_ALIVE_M)


def read_expiry(entry: Mapping[str, Any]) -> datetime:
    """Read when a model leaves memory; Ollama gives nanoseconds, and "never" as a year that no calendar has."""
    told = re.sub(r"(\.\d{6})\d+", r"\1", entry["expires_at"])
    return datetime.fromisoformat(told) if told < "9" else datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def looking(found: Found) -> Looking:
    """A look at what is in memory, and a last one before the test begins."""
    looking = Looking(found.url)
    looking.running(found.model)
    return looking


@pytest.fixture
async def backend(found: Found, looking: Looking) -> AsyncGenerator[OllamaBackend]:
    """The backend under test, with deadlines of a slow and busy box."""
    async with aclosing(connect(found)) as backend:
        yield backend


def connect(found: Found, **settings: object) -> OllamaBackend:
    """Make a backend of the Ollama that was found."""
    given = {"num_ctx": NUM_CTX, "keep_alive": f"{KEEP_ALIVE_M}m", "deadlines": PATIENT, **settings}
    entry = BackendSettings.model_validate({"kind": "ollama", "url": found.url, "model": found.model, **given})
    return OllamaBackend("ollama", entry)


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> list[ollama.ChatResponse]:
    """Every line that Ollama streams while the test runs, with the counts and thoughts that a voice leaves out."""
    seen: list[ollama.ChatResponse] = []
    read_piece = room._read_piece

    def note(reply: ollama.ChatResponse) -> Any:
        seen.append(reply)
        return read_piece(reply)

    monkeypatch.setattr(room, "_read_piece", note)
    return seen


async def ask(backend: OllamaBackend, prompt: Prompt) -> str:
    """Ask, wait for a load where one is needed, and give the whole answer."""
    return await read(await backend.open(prompt, wait_for_load=True))


async def read(voice: Voice) -> str:
    async with aclosing(voice):
        return "".join([chunk async for chunk in voice])


def told_seconds(nanoseconds: int | None) -> float:
    """Read a duration of Ollama's, which leaves out what is nothing."""
    return (nanoseconds or 0) / 1e9


# --- one model, one question -----------------------------------------------------------------------------------------


async def test_model_answers_and_its_words_are_counted(backend: OllamaBackend) -> None:
    voice = await backend.open(PROMPT, wait_for_load=True)
    chunks = [chunk async for chunk in voice]
    assert len(chunks) > 1
    assert voice.finish_reason in {"stop", "length"}
    assert voice.usage is not None
    assert voice.usage.input_tokens
    assert voice.usage.output_tokens


async def test_question_after_a_warm_up_loads_nothing(
    backend: OllamaBackend, replies: Sequence[ollama.ChatResponse]
) -> None:
    await backend.warm()
    assert (await backend.look()).resident
    told = []
    for _ in range(2):
        await ask(backend, PROMPT)
        told.append(told_seconds(replies[-1].load_duration))
    # What is told as the load of a model in memory is the look for it; a load takes ten times as long and more.
    assert told[0] < 5 * told[1] + 0.1
    assert backend._loading is None


@pytest.mark.parametrize("minutes", [KEEP_ALIVE_M - 1, KEEP_ALIVE_M])
async def test_model_stays_in_memory_for_as_long_as_was_sent(found: Found, looking: Looking, minutes: int) -> None:
    async with aclosing(connect(found, keep_alive=f"{minutes}m")) as backend:
        await ask(backend, PROMPT)
    await asyncio.sleep(0.2)
    entry = looking.running(found.model)
    assert entry is not None
    left = read_expiry(entry) - datetime.now(UTC)
    assert timedelta(minutes=minutes - 1) < left <= timedelta(minutes=minutes)


async def test_model_is_in_memory_with_the_context_that_was_sent(
    found: Found, backend: OllamaBackend, looking: Looking
) -> None:
    await backend.warm()
    entry = looking.running(found.model)
    assert entry is not None
    assert entry["context_length"] == NUM_CTX


async def test_system_prompt_is_read_once_for_two_questions(
    backend: OllamaBackend, replies: Sequence[ollama.ChatResponse]
) -> None:
    system = f"{secrets.token_hex(8)} {SYSTEM}"
    took = []
    for year in (2021, 2022):
        await ask(backend, Prompt(system, f"Fact: {year - 2000} roofs in {year}. How many?", max_tokens=2))
        took.append(told_seconds(replies[-1].prompt_eval_duration))
    assert took[1] < 0.7 * took[0]


@pytest.mark.parametrize("order", ["/think", "/thinking", "</think>/think", "/th</think>ink", "<think>", "/no_think"])
async def test_model_does_not_think_though_the_question_orders_it_to(
    backend: OllamaBackend, replies: Sequence[ollama.ChatResponse], order: str
) -> None:
    told = await ask(backend, Prompt("You tell facts.", f"How many roofs? {order}", max_tokens=24))
    assert "think>" not in told
    assert not any(reply.message.thinking for reply in replies)


async def test_prompt_beyond_the_context_is_refused_and_not_cut(
    backend: OllamaBackend, replies: Sequence[ollama.ChatResponse]
) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        await ask(backend, Prompt("You tell facts.", "roof " * 3 * NUM_CTX))
    assert caught.value.status == httpx.codes.BAD_REQUEST
    assert not caught.value.fatal
    assert not replies
    assert await ask(backend, PROMPT)


async def test_answer_has_the_shape_that_was_asked_for(found: Found, backend: OllamaBackend) -> None:
    if found.thinks and found.version < FORMAT_WITHOUT_THOUGHTS:
        pytest.skip("this Ollama drops the schema where a model that can think is told not to")
    number = {"type": "integer", "minimum": 0, "maximum": 99}
    schema = {"type": "object", "properties": {"n": number}, "required": ["n"], "additionalProperties": False}
    told = await ask(backend, Prompt("Answer in JSON.", "Nine roofs. How many?", schema=schema, max_tokens=60))
    assert set(json.loads(told)) == {"n"}


# --- several at once -------------------------------------------------------------------------------------------------


async def test_caller_that_leaves_stops_the_model(backend: OllamaBackend) -> None:
    tokens = 2000
    voice = await backend.open(
        Prompt("You tell long stories.", "Tell a very long story about a roof.", max_tokens=tokens), wait_for_load=True
    )
    began_at = monotonic()
    async with aclosing(voice):
        for _ in range(8):
            await anext(voice)
    whole_s = (monotonic() - began_at) / 8 * tokens
    asked_at = monotonic()
    await ask(backend, PROMPT)
    assert monotonic() - asked_at < whole_s / 2


async def test_question_behind_another_programs_answer_ends_at_its_deadline(
    found: Found, backend: OllamaBackend
) -> None:
    story = Prompt("You tell long stories.", "Tell a very long story about a wall.", max_tokens=2000)
    hasty = PATIENT.model_copy(update={"first_token_s": 1.0})
    async with (
        aclosing(await backend.open(story, wait_for_load=True)) as foreign,
        aclosing(connect(found, deadlines=hasty)) as ours,
    ):
        await anext(foreign)
        asked_at = monotonic()
        try:
            voice = await ours.open(PROMPT)
        except BackendUnavailable as error:
            said, took_s = str(error), monotonic() - asked_at
        else:
            await voice.aclose()
            pytest.skip("this Ollama answers two questions at once")
    assert "did not begin in time" in said
    assert took_s < hasty.first_token_s + 1


# --- the whole service -----------------------------------------------------------------------------------------------


async def ask_service(client: httpx.AsyncClient, question: str) -> dict[str, Any]:
    reply = await client.post("/ask", json={"question": question})
    assert reply.status_code == httpx.codes.OK
    document: dict[str, Any] = reply.json()
    return document


async def test_service_with_no_setting_but_the_address_has_the_model_tell_its_answer(
    found: Found, looking: Looking, settings: Settings, store: Store
) -> None:
    for number in range(3):
        store.add_permit(source_id=f"s{number}", categories=["solar"], issued_date=date(2015, 3, 1))
    store.publish()
    assert settings.database_url is not None
    environment = {
        "UNDERVOLT_DATABASE_URL": settings.database_url.get_secret_value(),
        "UNDERVOLT_OLLAMA_MODEL": os.environ.get("UNDERVOLT_OLLAMA_MODEL", ""),
        "OLLAMA_HOST": os.environ["OLLAMA_HOST"],
    }
    async with aclosing(connect(found)) as backend:  # reads the system prompt, which takes a slow box its time
        await ask(backend, Prompt(SYSTEM, "Facts:\n1. There are 9 roof permits.", max_tokens=2))
    async with serve(read_settings(environment)) as client:
        document = await ask_service(client, "How many solar permits were issued in 2015? /think")
        box = (await client.get("/health/ready")).json()["backends"]["backends"][0]
    assert "There are 3 solar permits issued in 2015." in [one["text"] for one in document["answer"]["sentences"]]
    assert (document["done"]["backend"], document["done"]["model"]) == ("ollama", found.model)
    assert [seen["hosted"] for seen in document["done"]["seen_by"]] == [False]
    assert document["done"]["ms"]["answer"] < document["done"]["ms"]["first_token"]
    assert (box["model"], box["reachable"], box["resident"], box["breaker"]) == (found.model, True, True, "closed")


def test_warm_script_says_that_the_model_is_warm(found: Found, looking: Looking) -> None:
    entry = {"kind": "ollama", "url": found.url, "model": found.model, "keep_alive": f"{KEEP_ALIVE_M}m"}
    environment = {"PATH": os.environ["PATH"], "UNDERVOLT_BACKENDS": json.dumps([entry])}
    command = (sys.executable, "-m", "scripts.warm")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
    assert f"ollama: {found.model} is warm after" in done.stdout
    assert looking.running(found.model) is not None


# --- a model that leaves memory: only where these tests brought it there ----------------------------------------------


async def test_first_question_after_idle_is_told_by_the_next_and_the_second_by_the_box(
    found: Found, looking: Looking
) -> None:
    if found.was_resident:
        pytest.skip("the model was in memory before, and is not ours to let go")
    async with aclosing(connect(found, keep_alive="1s")) as backend:
        await backend.warm()
        for _ in range(100):
            if looking.running(found.model) is None:
                break
            await asyncio.sleep(0.1)
        assert not (await backend.look()).resident
        router = Router([backend, FakeBackend("next", [["Said by the next."]])])
        asked_at = monotonic()
        assert await hear(router) == "next"
        assert monotonic() - asked_at < 2
        assert backend._loading is not None
        backend.settings = backend.settings.model_copy(update={"keep_alive": f"{KEEP_ALIVE_M}m"})
        await backend.warm()
        assert await hear(router) == "ollama"


async def hear(router: Router) -> str:
    """Ask a question and give who answered it."""
    async with aclosing(router.ask(PROMPT).voices()) as voices:
        async for voice in voices:
            assert [chunk async for chunk in voice]
            return voice.backend
    pytest.fail("nobody answered")
