"""Lays a reply beside the gold of its question: the plan part by part, the figures, and what was left out and said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from typing import Any
from urllib.parse import unquote

from scripts.evaluation.answers import Answer, Ledger
from scripts.evaluation.asking import Reply, Service
from scripts.evaluation.forms import Form, find_differences, flatten_plan, settle, write_plan
from scripts.evaluation.questions import Asked, Gold

ROUNDED = 0.051
"""How far a figure may stand from the exact one: the service rounds to a decimal."""
ONE_PERMIT = re.compile(r"/permits/[^/?]+/([^/?]+)")
BY_CONVENTION = frozenset({"kind", "order", "limit", "measure", "sequence"})
DAYS = frozenset({"issued_from", "issued_to", "applied_from", "applied_to", "since"})
WRONG = re.compile(r"\bnot (?:right|correct|true)\b", re.IGNORECASE)
BOUNDS = {"exactly": eq, "more": gt, "at_least": ge, "less": lt, "at_most": le}
"""What a premise claims of its number."""
RIGHT = re.compile(r"\b(?:right|correct|true)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Judgement:
    """What became of one question.

    ``figures`` is whether the answer tells the gold figures and permits, None where that was not looked at.
    ``invented`` are parts of the plan that gold does not have and no word supports; ``differences`` are the parts that
    are not as gold has them.
    """

    asked: Asked
    reply: Reply
    plan: Form | None
    is_exact: bool
    differences: tuple[str, ...]
    invented: tuple[str, ...]
    figures: bool | None
    premise: bool | None
    told: str = ""

    @property
    def is_flagged(self) -> bool:
        """Whether the reply named a word that it had left out."""
        return bool(self.reply.ignored_words)

    @property
    def is_wrong_unflagged(self) -> bool:
        """Whether it answered, wrongly, as if everything had been understood."""
        if self.reply.outcome != "answer" or self.is_flagged:
            return False
        return self.figures is False or (not self.is_exact and self.figures is None) or self.premise is False

    @property
    def is_right(self) -> bool:
        """Whether plan, figures and premise are as they should be."""
        return self.is_exact and self.figures is not False and self.premise is not False


@dataclass(frozen=True)
class Computed:
    """Whether the facts of a gold plan tell what SQL says; None where SQL has no answer, or the plan was refused."""

    asked: Asked
    plan: Mapping[str, Any]
    is_equal: bool | None
    told: str

    @property
    def is_refused(self) -> bool:
        """Whether the service took the plan for none."""
        return self.told.startswith("status")


def judge(asked: Asked, reply: Reply, ledger: Ledger, city: str) -> Judgement:
    """Judge one reply."""
    plan = flatten_plan(reply.plan, city=city) if reply.plan else None
    gaps = [find_gaps(gold, reply, plan) for gold in asked.golds]
    best = min(range(len(gaps)), key=lambda place: ("outcome" in gaps[place], len(gaps[place])))
    is_exact, meant = not gaps[best], asked.golds[best]
    figures, told = check_figures(meant, reply, plan, ledger, is_exact=is_exact)
    return Judgement(
        asked=asked,
        reply=reply,
        plan=plan,
        is_exact=is_exact,
        differences=gaps[best],
        invented=find_invented(asked, plan) if plan and any(gold.form for gold in asked.golds) else (),
        figures=figures,
        premise=check_premise(asked, reply, plan, ledger) if asked.premise is not None else None,
        told=told,
    )


def find_gaps(gold: Gold, reply: Reply, plan: Form | None) -> tuple[str, ...]:
    """Name what of a reply is not as gold has it: the outcome, parts of the plan, words that were not flagged."""
    flagged = " ".join(reply.ignored_words).casefold()
    is_told = any(flag.casefold() in flagged for flag in gold.flags)
    if gold.outcome != "answer" and (reply.outcome == gold.outcome or is_told):
        return ()
    if reply.outcome != gold.outcome:
        return ("outcome", *(gold.form or {}))
    differences = find_differences(gold.form, plan or {})
    is_told = is_told or not gold.flags
    return differences if is_told else (*differences, "flags")


def find_invented(asked: Asked, plan: Form) -> tuple[str, ...]:
    """Give the parts of a plan that no gold has and no word of the question, or of the plan before, supports."""
    meant = {strip_side(part) for gold in asked.golds for part in gold.form}
    words = asked.text.casefold() + " " + " ".join(map(str, flatten_words(asked.previous or {}))).casefold()
    spare = [part for part in plan if strip_side(part) not in meant and part not in BY_CONVENTION]
    return tuple(f"{part} = {plan[part]}" for part in spare if not is_supported(plan[part], words))


def strip_side(part: str) -> str:
    """Give a part without the side it stands on; the days of a plan are one part, whichever they are."""
    name = part.rsplit(".", 1)[-1]
    return "days" if name in DAYS else name


def is_supported(value: object, words: str) -> bool:
    """Whether a word of a question stands for a value, as far as letters tell."""
    found = re.findall(r"[a-z]{4,}|\d+", str(value).casefold())
    return any(word[:5] in words for word in found)


def flatten_words(value: object) -> list[object]:
    """Give every leaf of a document."""
    if isinstance(value, Mapping):
        return [leaf for one in value.values() for leaf in flatten_words(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in flatten_words(one)]
    return [value]


def check_figures(
    meant: Gold, reply: Reply, plan: Form | None, ledger: Ledger, *, is_exact: bool
) -> tuple[bool | None, str]:
    """Whether the facts tell what SQL says of the gold plan, and what SQL says; None where there is nothing to tell."""
    if reply.outcome != "answer" or plan is None:
        return None, ""
    if meant.outcome != "answer":
        return (None, "") if is_exact else (False, "was not to be answered")
    form = plan if is_exact else settle(meant.form)
    answer = ledger.answer(form, limit=int((reply.plan or {}).get("limit", 5)))
    if not answer.is_known:
        return None, ""
    return tells(reply.facts, answer), f"{answer.figures} {answer.permits}"


def tells(facts: Sequence[Mapping[str, Any]], answer: Answer) -> bool:
    """Whether facts tell all figures of an answer in order, and just its permits."""
    rows = [found[1] for fact in facts if (found := ONE_PERMIT.fullmatch((fact["rows"] or "").split("?")[0]))]
    listed = tuple(map(unquote, rows)) if answer.permits else ()
    values = iter([fact["value"] for fact in facts])
    return listed == answer.permits and all(
        any(is_same(value, figure) for value in values) for figure in answer.figures
    )


def is_same(value: object, figure: tuple[float | None, ...]) -> bool:
    """Whether a value is a figure in one of its forms, rounded at most; what nothing states may be null or 0."""
    if not isinstance(value, int | float):
        return value is None and None in figure
    return any(abs(value - (form or 0)) <= (1e-6 if form == round(form or 0) else ROUNDED) for form in figure)


def check_premise(asked: Asked, reply: Reply, plan: Form | None, ledger: Ledger) -> bool | None:
    """Whether the answer judges the number that the question took for granted as SQL does."""
    if reply.outcome != "answer" or plan is None or asked.premise is None:
        return None
    found = ledger.answer(settle(asked.meant.form)).figures
    if any(figure[0] is None for figure in found):
        return None  # there is nothing that the number could be held against
    figures = [figure[0] or 0 for figure in found]
    claimed = f"{asked.premise:,.10g}"
    said = [one["text"] for one in reply.document["answer"]["sentences"] if claimed in one["text"]]
    if len(figures) > 1:
        before, after = figures[:2]
        is_true = bool(before) and abs(round((after - before) / before * 100)) == asked.premise
    else:
        is_true = BOUNDS[asked.bound](figures[0], asked.premise)
    verdicts = [not WRONG.search(text) for text in said if RIGHT.search(text)]
    return bool(verdicts) and verdicts[0] == is_true


async def judge_facts(asked: Asked, service: Service, ledger: Ledger) -> Computed | None:
    """Have the facts of a gold plan computed, whatever is understood of the words; None where there is no plan."""
    if not asked.meant.form:
        return None
    form = settle(asked.meant.form)
    plan = write_plan(form)
    answer = ledger.answer(form, limit=int(form.get("limit", 5)))
    facts = await service.compute(plan)
    if isinstance(facts, str):
        return Computed(asked, plan, None, facts)
    values = [fact["value"] for fact in facts]
    return Computed(asked, plan, tells(facts, answer) if answer.is_known else None, f"{values}, SQL {answer}")
