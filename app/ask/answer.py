"""The order of events: plan, facts, answer, then a model's sentences, then done.

What may refuse happens in :func:`prepare`, before the first event. The answer is complete before any model is asked.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from app.ask.facts import UNITS, Fact, Facts, gather
from app.ask.grammar import Premise, Reading
from app.ask.interpreter import Interpretation, Meanings, interpret
from app.ask.limits import within
from app.ask.narrator import Narration, build_prompt, narrate
from app.ask.phrases import MEASURE_PHRASES, describe_group, write_figure
from app.ask.plan import MEASURES, Plan
from app.ask.planner import Outcome, Planned, Question, plan_question, plan_reading, read_again
from app.ask.verifier import Verified
from app.backends.base import Prompt
from app.backends.router import Router
from app.cities.city import find_city
from app.database import open_session
from app.errors import TooSlow, UnknownWord
from app.permits.register import Register, RegisterCache
from app.settings import Settings
from app.telemetry.logs import describe
from app.telemetry.models import Teller

log = logging.getLogger(__name__)
UTC_ZONE = "UTC"
PLANNING_SHARE = 0.5
"""Of an answer's time, for models that plan; the rest is left for the facts."""


@dataclass(frozen=True)
class Event:
    """One event of a reply: its name and its data, ready for JSON."""

    name: str
    data: dict[str, Any]


Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True)
class Resources:
    """What answering needs; no connection is held while a model speaks."""

    engine: AsyncEngine
    registers: RegisterCache
    router: Router
    settings: Settings


@dataclass
class Prepared:
    """A question with everything that code can say about it."""

    asked: Question
    planned: Planned
    facts: Facts | None
    as_of: dict[str, Any]
    today: date
    narration: Narration
    interpretation: Interpretation
    answered_s: float = 0.0
    sentences: list[dict[str, Any]] = field(default_factory=list)


async def prepare(resources: Resources, asked: Question) -> Prepared:
    """Plan a question and compute its facts and its answer, within the time that an answer may take.

    Raises :class:`NoSuchCity`, :class:`DatabaseUnavailable` and :class:`TooSlow`.
    """
    try:
        return await within(resources.settings.answer_timeout_s, plan_and_gather(resources, asked))
    except TimeoutError:
        raise TooSlow("the facts took too long; narrow the question by a smaller radius, a period or a kind") from None


async def plan_and_gather(resources: Resources, asked: Question) -> Prepared:
    """Plan a question and compute its facts and its answer, however long that takes."""
    began = monotonic()
    async with open_session(resources.engine) as session:
        register = await resources.registers.find(session)
        today = find_today(resources.settings, register, asked)
        planned = await plan_question(session, register, asked, today=today, city=resources.settings.city)
    interpretation = Interpretation()
    if planned.is_open and asked.narrate:
        until = began + resources.settings.answer_timeout_s * PLANNING_SHARE
        interpretation = await ask_models(resources, register, asked, planned, today=today, until=until)
        planned = await plan_interpreted(resources, asked, planned, interpretation)
    facts = None
    if planned.plan is not None:
        async with open_session(resources.engine) as session:
            register = await resources.registers.find(session)
            try:
                facts = await gather(session, register, planned.plan, place=planned.place_label)
            except UnknownWord as unknown:
                planned = replace(planned, outcome="ask_back", plan=None, place=None, sentences=(f"{unknown}.",))
    as_of = facts.as_of if facts else register.as_of(register.answering)
    prepared = Prepared(asked, planned, facts, as_of, today, Narration(began), interpretation)
    prepared.sentences = compose(planned, facts)
    prepared.answered_s = monotonic() - began
    return prepared


async def ask_models(
    resources: Resources, register: Register, asked: Question, planned: Planned, *, today: date, until: float
) -> Interpretation:
    """Ask models what the words mean that rules left over; no connection is held meanwhile."""

    def accept(meanings: Meanings) -> Reading | None:
        return read_again(register, asked, planned.reading, meanings, today=today, city=resources.settings.city)

    return await interpret(
        resources.router,
        asked.question,
        planned.reading,
        accept,
        today=today,
        local_only=asked.local_only,
        until=until,
    )


async def plan_interpreted(
    resources: Resources, asked: Question, planned: Planned, interpretation: Interpretation
) -> Planned:
    """Plan anew with what a model gave, and keep the question back that stands where that comes to no plan."""
    if interpretation.reading is None:
        return planned
    async with open_session(resources.engine) as session:
        register = await resources.registers.find(session)
        again = await plan_reading(
            session,
            register,
            asked,
            interpretation.reading,
            city=resources.settings.city,
            meanings=interpretation.meanings,
        )
    return again if again.outcome == "answer" else planned


def find_today(settings: Settings, register: Register, asked: Question) -> date:
    """Give the day that "today" means: the setting's, or the calendar day in the city."""
    named = (asked.city or settings.city or "").lower()
    cities = register.choose_cities((named,) if named else ())
    zone = find_city(cities[0]).time_zone if cities else UTC_ZONE
    return settings.today or datetime.now(ZoneInfo(zone)).date()


async def respond(resources: Resources, prepared: Prepared, emit: Emit) -> None:
    """Emit every event of a reply; what goes wrong from here on is an ``error`` event, and what was said stays true."""
    planned, facts = prepared.planned, prepared.facts
    await emit(Event("plan", planned.render()))
    await emit(Event("facts", {"facts": [fact.render() for fact in facts.items] if facts else []}))
    outcome = choose_outcome(planned, facts)
    answer = {"kind": outcome, "sentences": prepared.sentences, "did_you_mean": list(planned.did_you_mean)}
    await emit(Event("answer", answer))
    if facts is not None and facts.items and prepared.asked.narrate:
        await narrate_in_time(resources, prepared, facts, emit)
    resources.router.metrics.note_answer(outcome, find_teller(prepared))
    await emit(Event("done", render_done(prepared)))


def choose_outcome(planned: Planned, facts: Facts | None) -> Outcome:
    """Give the kind of an answer; what the register has no column for is found only with the facts."""
    return "decline" if facts is not None and facts.is_declined else planned.outcome


def find_teller(prepared: Prepared) -> Teller:
    """Tell in whose sentences, if in any model's, the facts were told."""
    if prepared.facts is None or not prepared.asked.narrate:
        return "unasked"
    if prepared.narration.first_sentence_s is None:
        return "nobody"
    return "hosted" if prepared.narration.hosted else "local"


async def narrate_in_time(resources: Resources, prepared: Prepared, facts: Facts, emit: Emit) -> None:
    """Have the facts told for as long as an answer may take; a model's failure is never the caller's."""
    prompt = make_prompt(prepared, facts, resources.router.context_tokens(local_only=prepared.asked.local_only))
    if prompt is None:
        return

    async def emit_text(verified: Verified) -> None:
        await emit(Event("text", {"text": verified.text, "fact_ids": list(verified.fact_ids)}))

    left_s = resources.settings.answer_timeout_s - (monotonic() - prepared.narration.began)
    try:
        await within(left_s, narrate(resources.router, prompt, facts, prepared.narration, emit_text))
    except TimeoutError:
        log.info("the narrative ended at the time limit")
    except Exception as error:  # noqa: BLE001 - the answer stands; a broken voice must not take it back
        log.error("a narrative broke: %s", describe(error))


def make_prompt(prepared: Prepared, facts: Facts, context_tokens: int) -> Prompt | None:
    """Make what a model is given, within ``context_tokens``; None where those have no room."""
    return build_prompt(
        prepared.asked.question,
        facts,
        today=prepared.today,
        context_tokens=context_tokens,
        local_only=prepared.asked.local_only,
    )


def render_done(prepared: Prepared) -> dict[str, Any]:
    """Give what the ``done`` event holds; times are milliseconds since the question came."""
    narration = prepared.narration
    asked = [*prepared.interpretation.seen_by, *(("text", seen) for seen in narration.seen_by)]
    seen = [
        {"backend": one.backend, "hosted": one.hosted, "final_known": one.final_known, "for": task}
        for task, one in asked
    ]
    return {
        "backend": narration.backend,
        "model": narration.model,
        "hosted": narration.hosted,
        "seen_by": seen,
        "dropped": narration.dropped,
        "as_of": prepared.as_of,
        "ms": {
            "answer": milliseconds(prepared.answered_s),
            "first_token": milliseconds(narration.first_token_s),
            "first_sentence": milliseconds(narration.first_sentence_s),
        },
    }


def milliseconds(seconds: float | None) -> float | None:
    """Give seconds as milliseconds with one decimal."""
    return None if seconds is None else round(seconds * 1000, 1)


def compose(planned: Planned, facts: Facts | None) -> list[dict[str, Any]]:
    """Write the answer: what was adjusted, the facts told in order, what is missing, and what it stands on."""
    told = [say(sentence) for sentence in planned.sentences]
    if facts is None:
        return told
    told += check_premise(planned, facts)
    told += tell_facts(facts)
    return told + tell_standing(facts)


def tell_facts(facts: Facts) -> list[dict[str, Any]]:
    """Tell each fact in its own sentence, and groups or years of a ranking or a series in one."""
    labelled = [fact for fact in facts.items if fact.label]
    told = [say(fact.sentence, fact) for fact in facts.items if not fact.label]
    if labelled:
        before = facts.items.index(labelled[0])
        told.insert(before, tell_list(facts, labelled))
        partial = [say(fact.sentence, fact) for fact in labelled if "partial" in fact.sentence]
        told[before + 1 : before + 1] = partial
    return told


def tell_list(facts: Facts, labelled: list[Fact]) -> dict[str, Any]:
    """Tell groups or periods in one sentence."""
    plan = facts.plan
    heads = {"series": f"By {plan.period or 'year'} of issue", "changed": "Changed"}
    head = heads.get(plan.kind) or f"The largest by {describe_group(plan)}"
    head += "" if plan.measure == "permits" else f", by {MEASURE_PHRASES[plan.measure]}"
    listed = ", ".join(f"{fact.label} ({write_figure(fact.value, fact.unit)})" for fact in labelled)
    return say(f"{head}: {listed}.", *labelled)


def tell_standing(facts: Facts) -> list[dict[str, Any]]:
    """Say which years are not there, what sums are of, how far the data reach, and that invented data are invented."""
    told = [say(remark) for remark in facts.remarks]
    if facts.absent_years:
        told.append(say(f"The register holds no permit issued in {join_years(facts.absent_years)}."))
    if "value" in facts.plan.measure and not facts.is_declined:
        told.append(say("Costs are as each permit states them; the permits of one project may each state the whole."))
    for city, stand in facts.as_of["cities"].items():
        if stand["data_through"]:
            told.append(say(f"Data of {find_city(city).title} through {stand['data_through']}."))
    if facts.synthetic:
        told.append(say("These permits are synthetic: invented to try the service, no city issued them."))
    return told


def join_years(years: Sequence[int]) -> str:
    """Write years with runs of them drawn together: "1985 to 2012, 2020"."""
    runs: list[list[int]] = []
    for year in years:
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def check_premise(planned: Planned, facts: Facts) -> list[dict[str, Any]]:
    """Confirm or correct a number that the question takes for granted, where facts have the same unit."""
    premise = planned.reading.premise
    if premise is None or facts.is_declined:
        return []
    found = find_claimed(premise.unit, facts)
    if found is None:
        return [say(f"The {write_claimed(premise.value, premise)} of the question was not checked.")]
    real, about = found
    return [judge(premise, real, *about)]


def find_claimed(unit: str, facts: Facts) -> tuple[int | float, tuple[Fact, ...]] | None:
    """Find the real figure of what a question claims, and the facts that it comes from."""
    plan, items = facts.plan, facts.items
    if unit == "percent" and plan.kind == "compare":
        return find_change(facts)
    wanted: list[Fact] = []
    if unit == "percent":
        wanted = [fact for fact in items if fact.unit == "percent"]
    elif unit in ("USD", "days"):
        wanted = [fact for fact in items if fact.unit == unit and plan.kind in MEASURES]
    elif plan.kind in ("count", "joined"):
        wanted = [fact for fact in items if fact.unit == ("permits" if plan.kind == "count" else "addresses")]
    real = wanted[0].value if wanted else None
    return (real, (wanted[0],)) if isinstance(real, int | float) else None


def find_change(facts: Facts) -> tuple[float, tuple[Fact, ...]] | None:
    """Find by how many percent the later side of a comparison, or the first of two kinds, differs from the other."""
    sides = [fact for fact in facts.items if fact.unit == UNITS[facts.plan.measure] and fact.value is not None]
    if len(sides) < 3:  # a figure for each side, and the difference
        return None
    one, other = sides[:2]
    before, after = (one, other) if is_earlier(facts.plan) else (other, one)
    if not (isinstance(before.value, int | float) and isinstance(after.value, int | float) and before.value > 0):
        return None
    return round((after.value - before.value) / before.value * 100, 1), (before, after)


def judge(premise: Premise, real: int | float, *facts: Fact) -> dict[str, Any]:
    """Say whether a claimed number is the real one; one without decimals is held against the rounded figure."""
    figure, claimed = float(real), float(premise.value)
    exponent = premise.value.as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    is_right = {
        "exactly": round(figure, decimals) == claimed,
        "more": figure > claimed,
        "at_least": figure >= claimed,
        "less": figure < claimed,
        "at_most": figure <= claimed,
    }[premise.bound]
    verdict = "is right" if is_right else "is not right"
    claim = write_claimed(premise.value, premise)
    bound = premise.bound.replace("_", " ").replace("more", "more than").replace("less", "less than")
    said = f"The {claim} of the question" if bound == "exactly" else f"That it is {bound} {claim}"
    return say(f"{said} {verdict}: it is {write_claimed(Decimal(repr(real)), premise)}.", *facts)


def write_claimed(value: Decimal, premise: Premise) -> str:
    """Write a number as the one that is claimed is written."""
    figure = f"{float(value):,.10g}"
    return {"permits": figure, "percent": f"{figure} %", "USD": f"${figure}", "days": f"{figure} days"}[premise.unit]


def is_earlier(plan: Plan) -> bool:
    """Tell whether the first side of a comparison is the earlier; of two kinds the second is what is compared with."""
    first, second = plan.where.issued_from, plan.versus.issued_from if plan.versus else None
    return first is not None and second is not None and first < second


def say(sentence: str, *facts: Fact) -> dict[str, Any]:
    """Give a sentence with the facts that it tells."""
    return {"text": sentence, "fact_ids": [fact.id for fact in facts]}
