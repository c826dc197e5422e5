"""What an evaluation found: a table for people, one JSON object for programs, and the goals it is held against."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.bench.figures import centile
from scripts.evaluation.judging import Computed, Judgement
from scripts.evaluation.lies import WAYS

NOT_ANSWERED = ("decline", "ask_back")
GOALS = {
    "exact_percent": (">=", 95.0),
    "slots_invented": ("<=", 0),
    "wrong_unflagged": ("<=", 0),
    "lies_passed": ("<=", 0),
    "errors": ("<=", 0),
    "answer_ms_median": ("<=", 50.0),
    "answer_ms_p95": ("<=", 200.0),
}


def sum_up(judged: Sequence[Judgement], computed: Sequence[Computed], unfilled: Sequence[str]) -> dict[str, Any]:
    """Give all figures of an evaluation."""
    times = [one.reply.answer_ms for one in judged if one.reply.answer_ms is not None]
    looked_at = [one for one in judged if one.figures is not None]
    lies = Counter(way for one in judged for way, _ in one.reply.passed_lies)
    return {
        "questions": len(judged),
        "not_askable_here": list(unfilled),
        "exact": sum(one.is_exact for one in judged),
        "exact_percent": round(100 * sum(one.is_exact for one in judged) / max(len(judged), 1), 1),
        "by_kind": {group: count_group(rows) for group, rows in group_by_kind(judged)},
        **count_refusals(judged),
        "slots_invented": sum(len(one.invented) for one in judged),
        "answers_looked_at": len(looked_at),
        "answers_equal": sum(bool(one.figures) for one in looked_at),
        "wrong_unflagged": sum(one.is_wrong_unflagged for one in judged),
        "errors": sum(one.reply.error is not None for one in judged),
        "plans_computed": len(computed),
        "plans_refused": sum(one.is_refused for one in computed),
        "plans_equal": sum(bool(one.is_equal) for one in computed),
        "plans_unequal": sum(one.is_equal is False for one in computed),
        "truths_told": sum(one.reply.truths for one in judged),
        "truths_passed": sum(one.reply.passed_truths for one in judged),
        "lies_told": sum(one.reply.lies for one in judged),
        "lies_passed": sum(lies.values()),
        "lies_passed_by_way": {way: lies[way] for way in [*WAYS, "of its own"] if lies[way]},
        "answer_ms_median": round(median(times), 1) if times else None,
        "answer_ms_p95": round(centile(times, 95), 1) if times else None,
    }


def group_by_kind(judged: Sequence[Judgement]) -> list[tuple[str, list[Judgement]]]:
    """Give the judgements of each kind or trait, in the order of their first question."""
    groups: dict[str, list[Judgement]] = {}
    for one in judged:
        groups.setdefault(one.asked.group, []).append(one)
    return list(groups.items())


def count_group(judged: Sequence[Judgement]) -> dict[str, int]:
    """Count what became of the questions of one kind."""
    return {
        "questions": len(judged),
        "exact": sum(one.is_exact for one in judged),
        "equal": sum(bool(one.figures) for one in judged),
        "answered": sum(one.figures is not None for one in judged),
        "wrong_unflagged": sum(one.is_wrong_unflagged for one in judged),
    }


def count_refusals(judged: Sequence[Judgement]) -> dict[str, int]:
    """Count declines and questions back: right, given where none was meant, and missing."""
    counted: dict[str, int] = {}
    for outcome in NOT_ANSWERED:
        meant = [one for one in judged if one.asked.meant.outcome == outcome]
        given = [one for one in judged if one.reply.outcome == outcome]
        borne = [one for one in given if any(gold.outcome == outcome for gold in one.asked.golds)]
        counted |= {
            f"{outcome}_meant": len(meant),
            f"{outcome}_right": len(borne),
            f"{outcome}_wrong": len(given) - len(borne),
            f"{outcome}_missing": sum(not one.is_exact for one in meant),
        }
    return counted


def tell(console: Console, title: str, found: dict[str, Any]) -> None:
    """Print the table and the figures below it."""
    table = Table("kind", "questions", "plans exact", "answers equal", "wrong, unflagged", title=title)
    for group, counted in found["by_kind"].items():
        equal = f"{counted['equal']} of {counted['answered']}" if counted["answered"] else ""
        exact = f"{counted['exact']}"
        table.add_row(group, str(counted["questions"]), exact, equal, str(counted["wrong_unflagged"] or ""))
    console.print(table)
    for line in write_lines(found):
        console.print(line)


def tell_failures(console: Console, judged: Sequence[Judgement], computed: Sequence[Computed]) -> None:
    """Print gold plans that were computed otherwise, and questions that failed with what was meant and understood."""
    for plan in computed:
        if plan.is_refused or plan.is_equal is False:
            text = f"\n- facts of the gold plan of: {plan.asked.text}\n  {plan.plan}\n  the facts say {plan.told}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    for one in judged:
        if not one.is_right or one.invented or one.reply.passed_lies or one.reply.dropped_truths:
            console.print("\n".join(describe(one)), markup=False, highlight=False, soft_wrap=True)


def write_lines(found: dict[str, Any]) -> Iterator[str]:
    """Write the figures that stand below the table."""
    yield f"plans exact: {found['exact']} of {found['questions']} ({found['exact_percent']} %)"
    yield f"slots invented: {found['slots_invented']}; wrong without a flagged word: {found['wrong_unflagged']}"
    yield f"answers equal to SQL: {found['answers_equal']} of {found['answers_looked_at']}; errors: {found['errors']}"
    yield (
        f"facts of gold plans equal to SQL: {found['plans_equal']} of {found['plans_computed']},"
        f" unequal {found['plans_unequal']}, refused {found['plans_refused']}"
    )
    for outcome in NOT_ANSWERED:
        parts = (f"{part} {found[f'{outcome}_{part}']}" for part in ("meant", "right", "wrong", "missing"))
        yield f"{outcome.replace('_', ' ')}: {', '.join(parts)}"
    yield f"facts repeated by a voice: {found['truths_passed']} of {found['truths_told']} passed the verifier"
    yield f"lies of a voice, in {len(WAYS)} ways: {found['lies_passed']} of {found['lies_told']} passed the verifier"
    yield f"milliseconds to the answer: median {found['answer_ms_median']}, p95 {found['answer_ms_p95']}"
    if found["not_askable_here"]:
        yield f"not askable of this register: {len(found['not_askable_here'])}"


def describe(one: Judgement) -> Iterator[str]:
    """Tell what was wrong with a question."""
    yield f"\n- {one.asked.text}"
    yield f"  {one.asked.group}: {one.reply.outcome}; differs in {', '.join(one.differences) or 'nothing'}"
    if one.differences:
        for gold in one.asked.golds[:1]:
            yield f"  meant: {gold.outcome} {gold.form}{f' flags {gold.flags}' if gold.flags else ''}"
        yield f"  given: {one.plan}; left out {list(one.reply.ignored_words)}"
        if one.plan is None:
            yield f"  said: {one.reply.text}"
    if one.invented:
        yield f"  invented: {', '.join(one.invented)}"
    if one.figures is False:
        yield f"  SQL says {one.told}; the facts say {[fact['value'] for fact in one.reply.facts]}"
    if one.premise is False:
        yield f"  the premise {one.asked.premise} was judged wrongly: {one.reply.text}"
    if one.is_wrong_unflagged:
        yield "  WRONG WITHOUT A FLAGGED WORD"
    for way, lie in one.reply.passed_lies:
        yield f"  LIE PASSED ({way}): {lie}"
    for truth in one.reply.dropped_truths:
        yield f"  a fact in its own words was dropped: {truth}"


def write_failures(judged: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Give the questions that failed, for programs."""
    return [
        {
            "ask": one.asked.text,
            "group": one.asked.group,
            "outcome": one.reply.outcome,
            "differences": list(one.differences),
            "meant": str(one.asked.meant.form),
            "given": str(one.plan),
            "ignored_words": list(one.reply.ignored_words),
            "invented": list(one.invented),
            "figures_equal": one.figures,
            "premise_right": one.premise,
            "wrong_unflagged": one.is_wrong_unflagged,
        }
        for one in judged
        if not one.is_right or one.invented
    ]


def find_missed(found: dict[str, Any]) -> list[str]:
    """Name the goals that were missed."""
    missed = []
    for name, (sign, goal) in GOALS.items():
        value = found[name]
        is_met = value is not None and (value >= goal if sign == ">=" else value <= goal)
        if not is_met:
            missed.append(f"{name} is {value}, wanted {sign} {goal}")
    return missed
