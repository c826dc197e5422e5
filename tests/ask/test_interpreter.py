"""What a model's word counts for where no rule knows one: what the question itself supports, and nothing more."""

import asyncio
import hashlib
import json
import logging
import tomllib
from datetime import date
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from app.ask import interpreter
from app.ask.grammar import Context, Reading, form_of, read
from app.ask.interpreter import (
    FOUND_MAX,
    SCHEMA,
    SYSTEM,
    SYSTEM_VERSION,
    Answered,
    Interpretation,
    Meanings,
    build_prompt,
    find_meanings,
    has_room,
    interpret,
)
from app.backends.base import Prompt
from app.backends.router import Router
from app.errors import BackendUnavailable
from app.permits.words import Category
from app.settings import Deadlines
from tests.backends.fakes import FakeBackend, Script

TODAY = date(2016, 4, 20)
JUICE = "How many juice boxes in 78704 since 2014?"
FAILURE = BackendUnavailable("away")
SLOW = Deadlines(first_token_s=60, gap_s=60, total_s=60)


def say(*found: tuple[str, str], **more: Any) -> str:
    """Write what a model answers: words with a category each."""
    return json.dumps({"found": [{"words": words, "category": category} for words, category in found], **more})


QUESTIONS = [
    question["ask"]
    for question in tomllib.loads(
        (Path(__file__).parents[2] / "data" / "questions" / "development.toml").read_text(encoding="utf-8")
    )["question"]
]
CHARGERS = say(("juice boxes", "ev_charger"))
NOTHING = say()


def find(question: str, text: str) -> dict[str, str]:
    """Give what counts of a model's answer to a question."""
    reading = read(question, today=TODAY, context=Context())
    return {words: str(category) for words, category in find_meanings(text, reading).items()}


async def think(
    *backends: FakeBackend, router: Router | None = None, local_only: bool = False, limit_s: float = 25
) -> Interpretation:
    """Have backends interpret :data:`JUICE`, and accept whatever then has a subject."""

    def accept(meanings: Meanings) -> Reading | None:
        again = read(JUICE, today=TODAY, context=Context(meanings=meanings))
        return again if again.has_subject else None

    return await interpret(
        router or Router(backends),
        JUICE,
        read(JUICE, today=TODAY, context=Context()),
        accept,
        today=TODAY,
        local_only=local_only,
        until=monotonic() + limit_s,
    )


def seen(interpretation: Interpretation) -> list[tuple[str, str]]:
    return [(task, one.backend) for task, one in interpretation.seen_by]


# --- what counts -----------------------------------------------------------------------------------------------------


def test_leftover_words_with_a_category_count() -> None:
    assert find(JUICE, CHARGERS) == {"juice boxes": "ev_charger"}


def test_words_count_as_rules_see_them() -> None:
    assert find("Juice-Boxes here?", say(("Juice-Boxes", "ev_charger"))) == {"juice boxes": "ev_charger"}
    assert find("JUICE boxes here?", say(("juice BOXES", "ev_charger"))) == {"juice boxes": "ev_charger"}


def test_stop_words_around_them_do_no_harm() -> None:
    assert find("juice boxes in the 78704", say(("about the juice boxes in", "ev_charger"))) == {
        "juice boxes": "ev_charger"
    }


def test_a_part_of_a_run_counts_and_the_rest_stays_left_over() -> None:
    assert find("how many fancy juice boxes", CHARGERS) == {"juice boxes": "ev_charger"}


@pytest.mark.parametrize(
    ("why", "question", "words"),
    [
        ("invented", JUICE, "sun catchers"),
        ("half invented", JUICE, "juice boxes and sun catchers"),
        ("another spelling", JUICE, "juice box"),
        ("a part of a word", JUICE, "uice boxe"),
        ("turned around", JUICE, "boxes juice"),
        ("not side by side", "boxes of juice near me", "boxes juice"),
        ("over a stop word", "boxes of juice near me", "boxes of juice"),
        ("over a comma", "juice, boxes", "juice boxes"),
        ("a stop word", JUICE, "how"),
        ("stop words", "juice boxes that there are", "that there are"),
        ("a rule's word", JUICE, "many"),
        ("a rule's date", JUICE, "2014"),
        ("a rule's ZIP", JUICE, "78704"),
        ("with a rule's word", JUICE, "how many juice boxes"),
        ("with a figure", "what about 12 juice boxes", "12 juice boxes"),
        ("negated", "juice boxes but not sun catchers", "sun catchers"),
        ("refused on purpose", "solar water heaters or juice boxes", "solar water heaters"),
        ("a loaded rule's subject", "pools and juice boxes", "pools"),
        ("empty", JUICE, ""),
        ("blank", JUICE, "  "),
        ("marks alone", JUICE, "???"),
        ("a bar as rules match it", JUICE, "| |"),
        ("a symbol as rules match it", JUICE, "§date"),
    ],
)
def test_words_that_the_question_does_not_support_do_not_count(why: str, question: str, words: str) -> None:
    assert find(question, say((words, "ev_charger"))) == {}, why


def test_what_is_supported_counts_beside_what_is_not() -> None:
    assert find(JUICE, say(("sun catchers", "solar"), ("juice boxes", "ev_charger"))) == {"juice boxes": "ev_charger"}


@pytest.mark.parametrize(
    "found",
    [
        [("juice boxes", "ev_charger"), ("juice boxes", "pool")],
        [("juice", "pool"), ("juice boxes", "ev_charger")],
        [("juice boxes", "ev_charger"), ("boxes", "battery")],
    ],
)
def test_words_that_are_said_to_mean_two_things_mean_nothing(found: list[tuple[str, str]]) -> None:
    assert find(JUICE, say(*found)) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "juice boxes are EV chargers",
        "null",
        "[]",
        "{}",
        '{"found": null}',
        '{"found": "juice boxes"}',
        '{"found": ["juice boxes"]}',
        '{"found": {"words": "juice boxes", "category": "ev_charger"}}',
        '{"found": [{"words": "juice boxes"}]}',
        '{"found": [{"words": ["juice boxes"], "category": "ev_charger"}]}',
        '{"found": [{"words": 7, "category": "ev_charger"}]}',
        say(("juice boxes", "ev_chargers")),
        say(("juice boxes", "EV_CHARGER")),
        say(("juice boxes", "")),
        say(("juice boxes", "ev_charger' OR 1=1 --")),
        say(("juice boxes", "ev_charger"), limit=999),
        say(("juice boxes", "ev_charger"), issued_from="2010-01-01"),
        '{"found": [{"words": "juice boxes", "category": "ev_charger", "zip": "78701"}]}',
        say(*[("juice boxes", "ev_charger")] * (FOUND_MAX + 1)),
        CHARGERS + CHARGERS,
        CHARGERS[:-1],
        f"```json\n{CHARGERS}\n```",
        f"Here you are: {CHARGERS}",
        '{"found": ' * 5_000,
        "[" * 100_000,
        "9" * 100_000,
        '{"found": [{"words": "\\ud800", "category": "ev_charger"}]}',
    ],
)
def test_an_answer_of_another_shape_is_nothing(text: str) -> None:
    assert find(JUICE, text) == {}


def test_of_every_span_of_every_question_only_leftovers_count() -> None:
    counted = 0
    for question in QUESTIONS:
        reading = read(question, today=TODAY, context=Context())
        left_over = {form_of(word) for word in reading.leftovers}
        words = question.split()
        for first, length in product(range(len(words)), (1, 2, 3)):
            meanings = find_meanings(say((" ".join(words[first : first + length]), "sign")), reading)
            assert {word for meant in meanings for word in meant.split(" ")} <= left_over, question
            counted += len(meanings)
    assert counted > 50


def test_no_length_of_words_takes_long() -> None:
    began = monotonic()
    assert find(JUICE, say(("juice boxes " * 20_000, "ev_charger"))) == {}
    assert monotonic() - began < 1


def test_schema_says_what_is_parsed() -> None:
    assert SCHEMA["properties"]["found"]["maxItems"] == FOUND_MAX
    item = SCHEMA["properties"]["found"]["items"]
    assert item["properties"]["category"]["enum"] == [str(category) for category in Category]
    for part, model in ((SCHEMA, Answered), (item, interpreter.Found)):
        assert set(part["properties"]) == set(part["required"]) == set(model.model_fields)
        assert part["additionalProperties"] is False


# --- what a model is given -------------------------------------------------------------------------------------------


def test_a_model_is_given_date_and_question_and_nothing_else() -> None:
    prompt = build_prompt(JUICE, today=TODAY)
    assert prompt.user == f"Date: 2016-04-20\nQuestion: <<<{JUICE}>>>"
    assert (prompt.system, prompt.schema) == (SYSTEM, SCHEMA)


def test_whoever_changes_the_system_prompt_counts_its_version_on() -> None:
    digest = hashlib.sha256(SYSTEM.encode()).hexdigest()
    assert (SYSTEM_VERSION, digest[:16]) == (1, "674e6a4b69abb1c1")


def test_the_system_prompt_names_every_category() -> None:
    assert all(f" {category}{end}" in SYSTEM for category, end in zip(Category, [","] * 19 + ["."], strict=True))


def test_a_context_without_room_is_not_used() -> None:
    longest = build_prompt("q" * 2000, today=TODAY)
    assert not has_room(longest, 0)
    assert not has_room(longest, 512)
    assert has_room(longest, 1024)


# --- who is asked ----------------------------------------------------------------------------------------------------


async def test_a_model_that_plans_is_asked_and_its_word_taken() -> None:
    box = FakeBackend("box", [[CHARGERS]], plans=True)
    thought = await think(FakeBackend("small", [[CHARGERS]]), box)
    assert (dict(thought.meanings), seen(thought)) == ({"juice boxes": Category.EV_CHARGER}, [("plan", "box")])
    assert thought.reading is not None
    assert thought.reading.where.category == (Category.EV_CHARGER,)
    assert box.prompts == [build_prompt(JUICE, today=TODAY)]


async def test_no_backend_that_plans_costs_nothing() -> None:
    small = FakeBackend("small", [[CHARGERS]])
    thought = await think(small)
    assert (thought, small.prompts) == (Interpretation(), [])


async def test_an_answer_in_chunks_is_one_answer() -> None:
    box = FakeBackend("box", [list(CHARGERS)], plans=True)
    assert (await think(box)).meanings


async def test_a_hosted_backend_plans_where_the_box_fails() -> None:
    box, hosted = (
        FakeBackend("box", [FAILURE], plans=True),
        FakeBackend("hosted", [[CHARGERS]], hosted=True, plans=True),
    )
    thought = await think(box, hosted)
    assert thought.meanings
    assert seen(thought) == [("plan", "box"), ("plan", "hosted")]


async def test_an_answer_that_breaks_off_is_not_joined_to_the_next() -> None:
    box = FakeBackend("box", [[CHARGERS[:20], FAILURE]], plans=True)
    spare = FakeBackend("spare", [[CHARGERS[20:]]], plans=True)
    thought = await think(box, spare)
    assert (thought.reading, seen(thought)) == (None, [("plan", "box"), ("plan", "spare")])


@pytest.mark.parametrize("text", [NOTHING, "no idea", say(("sun catchers", "solar"))])
async def test_a_box_that_answered_to_no_use_sends_nothing_to_a_hosted_one(text: str) -> None:
    box, hosted = FakeBackend("box", [[text]], plans=True), FakeBackend("hosted", [[CHARGERS]], hosted=True, plans=True)
    thought = await think(box, hosted)
    assert (thought.reading, hosted.prompts, seen(thought)) == (None, [], [("plan", "box")])


@pytest.mark.parametrize("script", [[NOTHING], ["no idea"], FAILURE, [CHARGERS[:9], FAILURE]])
async def test_a_marked_backend_is_asked_the_same_where_the_box_resolves_nothing(script: Any) -> None:
    box = FakeBackend("box", [script], plans=True)
    big = FakeBackend("big", [[CHARGERS]], hosted=True, escalate=True)
    thought = await think(big, box)
    assert dict(thought.meanings) == {"juice boxes": Category.EV_CHARGER}
    assert seen(thought) == [("plan", "box"), ("escalate", "big")]
    assert big.prompts == box.prompts


async def test_a_marked_backend_is_not_asked_what_the_box_resolved() -> None:
    big = FakeBackend("big", [[CHARGERS]], hosted=True, plans=True, escalate=True)
    thought = await think(FakeBackend("box", [[CHARGERS]], plans=True), big)
    assert (big.prompts, seen(thought)) == ([], [("plan", "box")])


async def test_an_escalated_answer_passes_the_same_gate() -> None:
    big = FakeBackend("big", [[say(("sun catchers", "solar"))]], escalate=True)
    thought = await think(FakeBackend("box", [[NOTHING]], plans=True), big)
    assert (thought.reading, dict(thought.meanings)) == (None, {})
    assert seen(thought) == [("plan", "box"), ("escalate", "big")]


@pytest.mark.parametrize("setting", [True, False], ids=["by setting", "by request"])
async def test_local_only_keeps_a_question_from_hosted_and_marked_backends(setting: bool) -> None:
    box, hosted = (
        FakeBackend("box", [FAILURE], plans=True),
        FakeBackend("hosted", [[CHARGERS]], hosted=True, plans=True),
    )
    marked = [FakeBackend("marked", [[CHARGERS]], hosted=is_hosted, escalate=True) for is_hosted in (True, False)]
    router = Router([box, hosted, *marked], local_only=setting)
    thought = await think(router=router, local_only=not setting)
    assert (thought.reading, seen(thought)) == (None, [("plan", "box")])
    assert [backend.prompts for backend in (hosted, *marked)] == [[], [], []]


async def test_hosted_calls_that_are_spent_are_spent_for_planning_too() -> None:
    hosted = FakeBackend("hosted", [[CHARGERS]], hosted=True, plans=True)
    big = FakeBackend("big", [[CHARGERS]], hosted=True, escalate=True)
    router = Router([FakeBackend("box", [FAILURE], plans=True), hosted, big], hosted_max_per_hour=0)
    thought = await think(router=router)
    assert (thought.reading, hosted.prompts, big.prompts) == (None, [], [])


async def test_a_busy_box_is_not_helped_out_by_a_hosted_or_a_bigger_one() -> None:
    box = FakeBackend("box", [[0.2, NOTHING]], plans=True, slots=1)
    others = [
        FakeBackend("hosted", [[CHARGERS]], hosted=True, plans=True),
        FakeBackend("big", [[NOTHING]], escalate=True),
    ]
    router = Router([box, *others])
    first, second = await asyncio.gather(think(router=router), think(router=router))
    assert seen(first) == [("plan", "box"), ("escalate", "big")]
    assert seen(second) == []


# --- for how long ----------------------------------------------------------------------------------------------------


async def test_a_model_has_three_seconds() -> None:
    assert interpreter.PLAN_S == 3.0


async def test_a_slow_model_is_stopped_and_a_marked_one_still_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "PLAN_S", 0.2)
    slow = FakeBackend("slow", [[CHARGERS[:5], 30.0]], plans=True, deadlines=SLOW)
    big = FakeBackend("big", [[CHARGERS]], escalate=True)
    began = monotonic()
    thought = await think(slow, big)
    assert 0.2 <= monotonic() - began < 2
    assert thought.meanings
    assert slow.closed == 1
    assert seen(thought) == [("plan", "slow"), ("escalate", "big")]


async def test_both_models_together_end_with_the_time_of_the_answer() -> None:
    slow = FakeBackend("slow", [[30.0]], plans=True, deadlines=SLOW)
    big = FakeBackend("big", [[30.0]], escalate=True, deadlines=SLOW)
    began = monotonic()
    thought = await think(slow, big, limit_s=0.3)
    assert monotonic() - began < 2
    assert thought.reading is None
    assert (len(slow.prompts), big.prompts) == (1, [])


async def test_an_unforeseen_fault_of_a_backend_is_nobody_elses(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeBackend):
        async def get_ready(self, *, wait_for_load: bool) -> float:
            raise RuntimeError("juice boxes")

    thought = await think(Broken("box", [[CHARGERS]], plans=True))
    assert thought.reading is None
    assert "RuntimeError" in caplog.text
    assert "juice" not in caplog.text


async def test_nothing_of_question_or_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        scripts: list[Script] = [[CHARGERS], ["juice {"], FAILURE, [CHARGERS[:9], FAILURE]]
        for script in scripts:
            await think(FakeBackend("box", [script], plans=True))
    assert "juice" not in caplog.text


def test_a_prompt_carries_the_wish_to_stay_in_the_house() -> None:
    asked: list[Prompt] = [build_prompt(JUICE, today=TODAY, local_only=wish) for wish in (True, False)]
    assert [prompt.local_only for prompt in asked] == [True, False]
