"""What the service would do can be read beforehand, to the byte."""

import json
from datetime import date

import pytest

from app.ask import interpreter
from app.ask.narrator import SYSTEM, SYSTEM_VERSION
from app.ask.planner import Question
from app.settings import Settings
from scripts.explain import explain_prompt
from tests.backends.fakes import FakeBackend
from tests.backends.servers import ollama_routes, serving
from tests.conftest import Store, serve

QUESTION = "List the 12 newest solar permits"


@pytest.fixture(autouse=True)
def register(store: Store) -> Store:
    """More permits than a prompt has room for."""
    for number in range(12):
        address = f"{number} MANOR RD"
        store.add_permit(categories=["solar"], issued_date=date(2015, 3, 1 + number), original_address1=address)
    store.publish()
    return store


async def test_explain_shows_the_very_bytes_that_a_model_is_given(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await explain_prompt(settings, Question(question=QUESTION)) == 0
    shown = capsys.readouterr().out
    box = FakeBackend("box", [["There are 12 solar permits."]])
    async with serve(settings, box) as client:
        await client.post("/ask", json={"question": QUESTION})
    given = box.prompts[0]
    assert shown == f"--- system, version {SYSTEM_VERSION}\n{given.system}\n--- user\n{given.user}\n"
    assert given.system == SYSTEM
    assert "more permits are not listed here." in given.user


async def test_explain_says_why_no_model_would_be_asked(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explain_prompt(settings, Question(question="What will houses cost next year?")) == 1
    assert "No model is asked" in capsys.readouterr().err


async def test_explain_shows_the_prompt_of_a_plan_where_one_needs_a_model(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    question = Question(question="How many sun panels in 2015?")
    assert await explain_prompt(settings, question) == 0
    shown = capsys.readouterr().out
    box = FakeBackend("box", [['{"found": []}']], plans=True)
    async with serve(settings, box) as client:
        await client.post("/ask", json={"question": question.question})
    [given] = box.prompts
    assert shown == (
        f"--- system, version {interpreter.SYSTEM_VERSION}\n{given.system}\n--- user\n{given.user}\n"
        f"--- schema\n{json.dumps(given.schema)}\n"
    )
    assert given.system == interpreter.SYSTEM


@pytest.mark.parametrize("question", [QUESTION, "How many sun panels in 2015?"])
async def test_explain_sends_nothing(question: str, settings: Settings) -> None:
    async with serving(ollama_routes()) as box:
        backends = [{"kind": "ollama", "url": box.url, "plans": True}]
        with_box = Settings.model_validate({**settings.model_dump(exclude_unset=True), "backends": backends})
        assert await explain_prompt(with_box, Question(question=question)) == 0
        assert box.connections == 0
