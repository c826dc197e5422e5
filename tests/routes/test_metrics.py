"""What ``/metrics`` tells of answers, and that whatever callers, models and servers say, no label repeats it."""

import json
from datetime import date
from typing import Any

import httpx
import pytest

from app.backends.ollama import PREFERRED_MODELS
from app.errors import BackendUnavailable
from app.settings import Settings, read_settings
from app.telemetry.models import BREAKER_STATES, ERROR_TYPES, OTHER_ERROR, TELLERS, TURNED_AWAY, VERDICTS
from tests.backends.fakes import FakeBackend
from tests.backends.servers import (
    DONE,
    Reply,
    chat,
    completion,
    delta,
    event,
    installed,
    line,
    ollama_routes,
    openai_routes,
    serving,
    whole,
)
from tests.conftest import Store, serve
from tests.figures import read_samples

SOLAR_2015 = "How many solar permits were issued in 2015?"
SAID = "There is 1 solar permit issued in 2015. "
BOOMED = "Solar boomed. "
AWAY = BackendUnavailable("away")
CANARY = "Zanzibar-7f3a"
HOSTILE = f'{CANARY}"}} 1\nundervolt_answers_total{{outcome="{CANARY}\\'

CLOSED = (
    {"chat", "input", "output", "true", "false", "answer", "decline", "ask_back", "text", "plan", OTHER_ERROR}
    | {"ollama", "hosted", "openai", "embedded", "box", "box-model", "hosted-model", "nano-as-set"}
    | {"austin", *PREFERRED_MODELS, *TELLERS, *BREAKER_STATES, *VERDICTS, *TURNED_AWAY, *ERROR_TYPES}
)


@pytest.fixture(autouse=True)
def register(store: Store) -> Store:
    """A register of one solar permit."""
    store.add_permit(categories=["solar"], issued_date=date(2015, 3, 1))
    store.publish()
    return store


async def ask(client: httpx.AsyncClient, question: str = SOLAR_2015, **more: Any) -> dict[str, Any]:
    reply = await client.post("/ask", json={"question": question, **more})
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


async def count(client: httpx.AsyncClient, name: str, **wanted: str) -> float:
    """Sum the samples of one name that have these labels."""
    samples = read_samples((await client.get("/metrics")).text)
    return sum(value for (sample, labels), value in samples.items() if sample == name and set(wanted.items()) <= labels)


@pytest.mark.parametrize(
    ("backends", "more", "told_by"),
    [
        ([FakeBackend("box", [[SAID]])], {}, "local"),
        ([FakeBackend("box", [AWAY]), FakeBackend("hosted", [[SAID]], hosted=True)], {}, "hosted"),
        ([FakeBackend("box", [AWAY])], {}, "nobody"),
        ([FakeBackend("box", [[BOOMED]])], {}, "nobody"),
        ([FakeBackend("box", [[SAID]])], {"narrate": False}, "unasked"),
    ],
    ids=["local", "hosted", "down", "dropped", "unasked"],
)
async def test_an_answer_counts_by_whose_sentence_passed(
    settings: Settings, backends: list[FakeBackend], more: dict[str, Any], told_by: str
) -> None:
    async with serve(settings, *backends) as client:
        await ask(client, **more)
        assert await count(client, "undervolt_answers_total", outcome="answer", told_by=told_by) == 1
        assert await count(client, "undervolt_answers_total") == 1


async def test_declines_and_questions_back_count_as_such(client: httpx.AsyncClient) -> None:
    kinds = [
        (await ask(client, question))["answer"]["kind"] for question in ("What does a house cost?", "Solar?!", "?")
    ]
    assert "decline" in kinds
    for kind in set(kinds):
        assert await count(client, "undervolt_answers_total", outcome=kind) == kinds.count(kind)


async def test_an_answer_that_time_ran_out_on_counts_for_who_told_some_of_it(settings: Settings) -> None:
    slow = FakeBackend("box", [[SAID, 30.0]])
    async with serve(settings.model_copy(update={"answer_timeout_s": 0.5}), slow) as client:
        done = (await ask(client))["done"]
        assert await count(client, "undervolt_answers_total", told_by="local") == 1
    assert (done["backend"], done["model"], done["hosted"]) == ("box", "box-model", False)


async def test_sentences_count_by_what_the_verifier_decided_of_each_voice(settings: Settings) -> None:
    box = FakeBackend("box", [[BOOMED, BOOMED, AWAY]])
    spare = FakeBackend("hosted", [[SAID, SAID, BOOMED]], hosted=True)
    async with serve(settings, box, spare) as client:
        assert (await ask(client))["done"]["dropped"] == 1
        name = "undervolt_verifier_sentences_total"
        assert await count(client, name, backend="box", verdict="dropped") == 2
        assert await count(client, name, backend="hosted", verdict="dropped") == 1
        assert await count(client, name, verdict="passed") == 1


async def test_what_is_counted_of_a_backend_begins_at_nothing(settings: Settings) -> None:
    async with serve(settings, FakeBackend("box", [[SAID]])) as client:
        samples = read_samples((await client.get("/metrics")).text)
    begun = {name for (name, labels), value in samples.items() if ("backend", "box") in labels and value == 0}
    assert begun >= {
        "undervolt_verifier_sentences_total",
        "undervolt_prompts_turned_away_total",
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_client_operation_time_to_first_chunk_seconds_count",
        "gen_ai_client_token_usage_count",
    }


async def test_a_scrape_looks_at_no_backend(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: FakeBackend) -> None:
        raise AssertionError

    monkeypatch.setattr(FakeBackend, "look", refuse)
    box = FakeBackend("box", [[SAID]])
    async with serve(settings, box) as client:
        assert await count(client, "undervolt_backend_info") == 1
    assert box.prompts == []


def lies(model: str) -> list[Reply]:
    """Replies of an Ollama that fill every field with what must not be repeated."""
    said = {"model": model, "created_at": HOSTILE, "message": {"role": HOSTILE, "content": f"{HOSTILE} {SAID}"}}
    return [
        chat(line(said | {"done": False}), line(said | {"done": True, "done_reason": HOSTILE, "eval_count": 7})),
        chat(line({"error": HOSTILE})),
        whole({"error": HOSTILE}, 500),
        Reply([HOSTILE.encode()], 404, HOSTILE.encode("unicode_escape").decode()),
    ]


def hosted_lies() -> list[Reply]:
    """Replies of a hosted server that do the same."""
    usage = {"prompt_tokens": HOSTILE, "completion_tokens": {CANARY: 1}, "total_tokens": CANARY}
    counted = {"id": HOSTILE, "object": HOSTILE, "created": 1, "model": HOSTILE, "choices": [], "usage": usage}
    return [
        completion(delta(f"{HOSTILE} {SAID}"), delta(finish_reason=HOSTILE), event(counted), DONE),
        completion(event({"error": {"message": HOSTILE, "type": HOSTILE, "code": HOSTILE}})),
        whole({"error": {"message": HOSTILE, "type": HOSTILE}}, 429),
        whole({"detail": HOSTILE}, 401),
    ]


@pytest.mark.parametrize("first", range(4))
async def test_no_label_repeats_what_a_caller_a_model_or_a_server_said(settings: Settings, first: int) -> None:
    """Hostile words in questions, plans, headers, paths, models' sentences, errors, names, reasons and counts."""
    box = ollama_routes(lies(HOSTILE)[first:], tags=installed(HOSTILE, PREFERRED_MODELS[-1]), ps=whole({"models": []}))
    async with serving(box) as ollama, serving(openai_routes(hosted_lies()[first:], models=whole({}))) as hosted:
        entries = [
            {"kind": "ollama", "url": ollama.url, "deadlines": {"connect_s": 10}},
            {"kind": "openai", "url": f"{hosted.url}/v1", "model": "nano-as-set", "deadlines": {"connect_s": 10}},
        ]
        backends = read_settings({"UNDERVOLT_BACKENDS": json.dumps(entries)}).backends
        async with serve(settings.model_copy(update={"backends": backends})) as client:
            for question in (SOLAR_2015, f"{SOLAR_2015} {HOSTILE}", HOSTILE, f"solar near 1205 {CANARY} St"):
                headers = {"User-Agent": CANARY, "X-Forwarded-For": CANARY}
                body = {"question": question, "lat": 30.2672, "lng": -97.7431}
                await client.post(f"/ask?{CANARY}={CANARY}", json=body, headers=headers)
            await client.post("/ask", json={"question": SOLAR_2015, "city": CANARY, CANARY: CANARY})
            await client.get(f"/permits/{CANARY}/{CANARY}")
            await client.get("/health/ready")
            text = (await client.get("/metrics")).text
    assert hosted.asked("/v1/chat/completions")
    assert ollama.asked("/api/chat")
    attempts = {name: value for (name, _), value in read_samples(text).items() if value}
    assert "gen_ai_client_operation_duration_seconds_count" in attempts
    assert CANARY not in text
    values = {value for (_, labels) in read_samples(text) for label, value in labels if label != "le"}
    assert values - CLOSED == set()
