"""Every question of the development set is read exactly as it should be: each field, and what is left over."""

import time
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.ask.grammar import Address, Block, Context, Here, Intersection, Place, Point, Premise, Reading, read
from app.permits.filters import PermitFilter

QUESTIONS = tomllib.loads(
    (Path(__file__).parents[2] / "data" / "questions" / "development.toml").read_text(encoding="utf-8"),
    parse_float=Decimal,
)


def context_of(question: dict[str, Any]) -> Context:
    """Build what the caller of a question knows."""
    return Context(
        city_titles=QUESTIONS["cities"],
        own_words={field: frozenset(words) for field, words in QUESTIONS["own_words"].items()},
        has_point=question.get("sent_point", False),
    )


def gold_place(question: dict[str, Any]) -> Place | None:
    """Build the place that a question should be read to name."""
    if "point" in question:
        lat, lng = map(float, question["point"])
        return Point(lat=lat, lng=lng)
    if "block" in question:
        return Block(question["block"])
    if "crossing" in question:
        return Intersection(question["crossing"])
    if "address" in question:
        return Address(question["address"], question.get("address_zip"))
    return Here() if question.get("here") else None


def gold_reading(question: dict[str, Any]) -> Reading:
    """Build the reading that a question should have."""
    plain = [
        "kind",
        "measure",
        "group_by",
        "region_kind",
        "period",
        "order",
        "limit",
        "at_place",
        "declined",
        "negation",
    ]
    plain += ["unclear", "sequence", "since"]
    sides = {side: PermitFilter(**question[side]) for side in ("versus", "beside", "without") if side in question}
    premise = question.get("premise")
    return Reading(
        **{field: question[field] for field in plain if field in question},
        where=PermitFilter(**question.get("where", {})),
        versus=sides.get("versus"),
        beside=sides.get("beside"),
        without=sides.get("without"),
        place=gold_place(question),
        radius_m=float(question["radius_m"]) if "radius_m" in question else None,
        has_subject=question.get("subject", True),
        premise=Premise(Decimal(premise["value"]), premise["unit"]) if premise else None,
        together=tuple(question.get("together", ())),
        leftovers=tuple(question.get("leftovers", ())),
        corrections=tuple(tuple(pair) for pair in question.get("corrections", ())),
    )


@pytest.mark.parametrize("question", QUESTIONS["question"], ids=lambda question: ascii(question["ask"])[:60])
def test_question_is_read_exactly(question: dict[str, Any]) -> None:
    today: date = question.get("today", QUESTIONS["today"])
    assert read(question["ask"], today=today, context=context_of(question)) == gold_reading(question)


def test_set_holds_at_least_120_questions_of_every_kind() -> None:
    kinds = {question.get("kind") for question in QUESTIONS["question"]}
    assert len(QUESTIONS["question"]) >= 120
    assert kinds >= {None, "count", "sum", "list", "top", "series", "compare"}


def test_no_question_stands_in_the_set_twice() -> None:
    asked = [(question["ask"], question.get("sent_point")) for question in QUESTIONS["question"]]
    assert len(set(asked)) == len(asked)


def test_median_question_takes_less_than_2_ms() -> None:
    spent = sorted(min(_seconds(question) for _ in range(3)) for question in QUESTIONS["question"])
    assert spent[len(spent) // 2] < 0.002


def _seconds(question: dict[str, Any]) -> float:
    context = context_of(question)
    begun = time.thread_time()
    read(question["ask"], today=QUESTIONS["today"], context=context)
    return time.thread_time() - begun
