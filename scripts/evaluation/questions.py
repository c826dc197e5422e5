"""The questions of a file, each with the plans that its words bear, ready for a register."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from scripts.evaluation.forms import Form, Spot, expand_gold, settle, write_plan
from scripts.evaluation.slots import Slots

FOLDER = Path("data/questions")
FILES = {"development": FOLDER / "plans-development.toml", "final": FOLDER / "plans-final.toml"}
NOT_ANSWERED = frozenset({"decline", "ask_back"})


@dataclass(frozen=True)
class Gold:
    """One thing that a question may mean: an outcome, the plan where it is answered, and words that must be flagged."""

    outcome: str
    form: Form
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A question as it is sent, and its gold: what it means first, then what else its words bear."""

    text: str
    golds: tuple[Gold, ...]
    group: str
    today: date
    sent: tuple[float, float] | None = None
    previous: Mapping[str, Any] | None = None
    premise: float | None = None
    bound: str = "exactly"
    lacks: tuple[str, ...] = field(default=())
    """What the register would have to have for an answer."""

    @property
    def meant(self) -> Gold:
        """What the question means."""
        return self.golds[0]

    @property
    def body(self) -> dict[str, Any]:
        """What is sent to ``/ask``, a voice left out."""
        point = {} if self.sent is None else {"lat": self.sent[0], "lng": self.sent[1]}
        previous = {} if self.previous is None else {"previous_plan": self.previous}
        return {"question": self.text, **point, **previous}


@dataclass(frozen=True)
class QuestionSet:
    """The questions that can be asked of a register, and those whose places it does not have."""

    today: date
    asked: tuple[Asked, ...]
    unfilled: tuple[str, ...]


def read_questions(path: Path, slots: Slots, *, has: frozenset[str]) -> QuestionSet:
    """Read a file of questions for a register with these slots; ``has`` is what it has beside the usual columns."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    asked, unfilled = [], []
    for entry in document["question"]:
        try:
            asked.append(_read(entry, document, slots, has))
        except KeyError:
            unfilled.append(entry["ask"])
    return QuestionSet(document["today"], tuple(asked), tuple(unfilled))


def _read(entry: Mapping[str, Any], document: Mapping[str, Any], slots: Slots, has: frozenset[str]) -> Asked:
    lat, lng = document["point"]
    spots = {**slots.spots, "here": Spot(lat, lng)}
    lacks = tuple(need for need in [entry.get("needs")] if need and need not in has)
    return Asked(
        text=slots.fill(entry["ask"]),
        golds=tuple(_read_gold(gold, spots) for gold in _alternatives(entry, lacks)),
        group=entry.get("trait") or entry.get("kind") or entry["outcome"],
        today=document["today"],
        sent=(lat, lng) if entry.get("sent") else None,
        previous=write_plan(settle(expand_gold(entry["previous"], spots))) if "previous" in entry else None,
        premise=entry.get("premise"),
        bound=entry.get("bound", "exactly"),
        lacks=lacks,
    )


def _alternatives(entry: Mapping[str, Any], lacks: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    plain = {part: value for part, value in entry.items() if part != "accept"}
    if lacks:
        yield {"outcome": "decline"}
        return
    yield plain
    yield from ({**plain, **patch} for patch in entry.get("accept", ()))


def _read_gold(gold: Mapping[str, Any], spots: Mapping[str, Spot]) -> Gold:
    outcome = gold.get("outcome", "answer")
    form = {} if outcome in NOT_ANSWERED else expand_gold(gold, spots)
    return Gold(outcome, form, tuple(gold.get("flags", ())))
