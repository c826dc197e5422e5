"""A follow-up changes of the plan before what it says, and all else stays."""

from datetime import date
from typing import Any

import httpx
import pytest

from app.ask.followups import find_changes, is_follow_up, try_follow
from app.ask.grammar import Context, Reading, read
from app.ask.plan import Plan
from app.permits.filters import Area
from tests.conftest import Store
from tests.routes.test_ask import ask as ask_service

TODAY = date(2016, 4, 20)
AREA = {"lat": 30.25, "lng": -97.75, "radius_m": 600.0}
IN_2014: dict[str, Any] = {"issued_from": "2014-01-01", "issued_to": "2014-12-31"}
IN_2015: dict[str, Any] = {"issued_from": "2015-01-01", "issued_to": "2015-12-31"}
SOLAR: dict[str, Any] = {"category": ["solar"]}
COUNT: dict[str, Any] = {"kind": "count", "where": SOLAR | IN_2014 | {"zip": ["78704"]}}
AROUND: dict[str, Any] = {"kind": "list", "where": SOLAR | {"area": AREA}, "order": "nearest", "limit": 3}


def hear(question: str) -> Reading:
    context = Context(follows=True, region_kinds=frozenset({"neighborhood"}))
    return read(question, today=TODAY, context=context)


def change(previous: dict[str, Any], question: str, area: Area | None = None) -> dict[str, Any] | None:
    """Give the plan that a follow-up makes of another, as a reply has it."""
    reading = hear(question)
    assert is_follow_up(question, reading)
    plan = try_follow(Plan.model_validate(previous), question, reading, area)
    return plan.model_dump(mode="json", exclude_defaults=True) if plan else None


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ("and in 2015?", {**SOLAR, **IN_2015, "zip": ["78704"]}),
        ("in 2015", {**SOLAR, **IN_2015, "zip": ["78704"]}),
        ("how many in 2015?", {**SOLAR, **IN_2015, "zip": ["78704"]}),
        ("what about pools?", {"category": ["pool"], **IN_2014, "zip": ["78704"]}),
        ("pools?", {"category": ["pool"], **IN_2014, "zip": ["78704"]}),
        ("how about 78745", {**SOLAR, **IN_2014, "zip": ["78745"]}),
        ("only commercial ones", {**COUNT["where"], "permit_class": ["Non-Residential"]}),
        ("how many of them are residential", {**COUNT["where"], "permit_class": ["Residential"]}),
        ("how many were expired?", {**COUNT["where"], "status": ["Permit Expired"]}),
        ("only those over $50,000", {**COUNT["where"], "min_value_usd": "50000.01"}),
        ("without residential ones", {**COUNT["where"], "without": {"permit_class": ["Residential"]}}),
        ("and pools in 2015 instead", {"category": ["pool"], **IN_2015, "zip": ["78704"]}),
    ],
)
def test_follow_up_changes_only_what_it_says(question: str, where: dict[str, Any]) -> None:
    assert change(COUNT, question) == {"kind": "count", "where": where}


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("by zip", {"kind": "top", "group_by": "zip"}),
        ("which zip code has the most?", {"kind": "top", "group_by": "zip"}),
        ("by neighborhood", {"kind": "top", "group_by": "region", "region_kind": "neighborhood"}),
        ("per month", {"kind": "series", "period": "month"}),
        ("by year", {"kind": "series"}),
        ("the newest 5", {"kind": "list", "order": "newest"}),
        ("the 3 largest", {"kind": "list", "order": "largest", "limit": 3}),
        ("list them", {"kind": "list", "order": "newest"}),
        ("and the average cost?", {"kind": "mean", "measure": "mean_value_usd"}),
        ("what is the total value?", {"kind": "sum", "measure": "value_usd"}),
        ("compare with 2015", {"kind": "compare", "versus": {**COUNT["where"], **IN_2015}}),
        ("what share of them are commercial", {"kind": "share"}),
    ],
)
def test_follow_up_may_ask_for_another_answer_of_the_same_permits(question: str, parts: dict[str, Any]) -> None:
    plan = change(COUNT, question)
    assert plan is not None
    if parts["kind"] == "share":
        assert plan["versus"] == COUNT["where"]
        assert plan["where"] == COUNT["where"] | {"permit_class": ["Non-Residential"]}
    else:
        assert plan == {"where": COUNT["where"], **parts}


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("within 1 km instead", {"where": {**SOLAR, "area": AREA | {"radius_m": 1000.0}}}),
        ("the 5 newest", {"order": "newest", "limit": None}),
        ("what about pools?", {"where": {"category": ["pool"], "area": AREA}}),
        ("the nearest 2", {"limit": 2}),
        ("in 78704 instead", {"where": {**SOLAR, "zip": ["78704"]}, "order": "newest"}),
    ],
)
def test_follow_up_keeps_place_order_and_number(question: str, changed: dict[str, Any]) -> None:
    expected = {name: value for name, value in (AROUND | changed).items() if value is not None}
    assert change(AROUND, question) == expected


def test_new_place_takes_the_one_before_away() -> None:
    area = Area(lat=30.3, lng=-97.7, radius_m=200)
    plan = change(COUNT, "and near 1205 Harvey Street?", area)
    assert plan == {"kind": "count", "where": {**SOLAR, **IN_2014, "area": area.model_dump()}}


@pytest.mark.parametrize(
    ("previous", "question", "expected"),
    [
        (
            {"kind": "top", "group_by": "zip", "where": SOLAR},
            "by value",
            {"kind": "top", "group_by": "zip", "where": SOLAR, "measure": "value_usd"},
        ),
        (
            {"kind": "top", "group_by": "zip", "where": SOLAR, "measure": "value_usd"},
            "by district",
            {"kind": "top", "group_by": "district", "where": SOLAR, "measure": "value_usd"},
        ),
        (
            {"kind": "sum", "measure": "value_usd", "where": SOLAR},
            "by year",
            {"kind": "series", "measure": "value_usd", "where": SOLAR},
        ),
        (
            {"kind": "compare", "where": SOLAR | IN_2014, "versus": SOLAR | IN_2015},
            "what about pools?",
            {
                "kind": "compare",
                "where": {"category": ["pool"], **IN_2014},
                "versus": {"category": ["pool"], **IN_2015},
            },
        ),
        (
            {"kind": "share", "where": SOLAR | IN_2014, "versus": IN_2014},
            "and in 2015?",
            {"kind": "share", "where": SOLAR | IN_2015, "versus": IN_2015},
        ),
        (
            {"kind": "share", "where": SOLAR | IN_2014, "versus": IN_2014},
            "what about pools?",
            {"kind": "share", "where": {"category": ["pool"], **IN_2014}, "versus": IN_2014},
        ),
        (
            {"kind": "changed", "since": "2016-03-01", "where": SOLAR},
            "since April 1 instead",
            {"kind": "changed", "since": "2016-04-01", "where": SOLAR},
        ),
    ],
)
def test_follow_up_reaches_every_part_it_belongs_to(
    previous: dict[str, Any], question: str, expected: dict[str, Any]
) -> None:
    assert change(previous, question) == expected


@pytest.mark.parametrize("question", ["and in 2013?", "by zip"])
def test_follow_up_that_either_side_could_mean_comes_to_no_plan(question: str) -> None:
    assert change({"kind": "compare", "where": SOLAR | IN_2014, "versus": SOLAR | IN_2015}, question) is None


@pytest.mark.parametrize(
    "question",
    [
        "how many pools in 78704",
        "and how many pools are in 78745?",
        "permits in 2015",
        "residential pools in 2015",
        "show the newest pool permits",
        "what percentage of permits are solar",
    ],
)
def test_question_that_is_whole_is_no_follow_up(question: str) -> None:
    assert not is_follow_up(question, hear(question))


def test_words_for_the_question_before_mean_nothing_without_one() -> None:
    assert read("pools in 2015 instead", today=TODAY, context=Context()).leftovers == ("instead",)


def test_changes_are_named() -> None:
    previous = Plan.model_validate(COUNT)
    plan = try_follow(previous, "and pools in 2015?", hear("and pools in 2015?"), None)
    assert plan is not None
    assert list(find_changes(previous, plan)) == ["the kind of permit", "the days of issue"]


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def register(store: Store) -> Store:
    for number, (year, category) in enumerate([(2014, "solar"), (2015, "solar"), (2015, "solar"), (2015, "pool")]):
        store.add_permit(
            lat=30.2672,
            lng=-97.7431,
            source_id=f"f{number}",
            categories=[category],
            issued_date=date(year, 3, 1),
            original_zip="78704",
        )
    store.publish()
    return store


@pytest.mark.usefixtures("register")
async def test_plan_that_is_sent_back_is_changed_and_the_reading_says_so(client: httpx.AsyncClient) -> None:
    first = await ask_service(client, "How many solar permits in 78704 in 2014?")
    second = await ask_service(client, "and in 2015?", previous_plan=first["plan"]["plan"])
    assert second["facts"]["facts"][0]["value"] == 2
    assert second["plan"]["reading"].endswith("(as before, but for the days of issue)")
    third = await ask_service(client, "what about pools?", previous_plan=second["plan"]["plan"])
    assert third["facts"]["facts"][0]["value"] == 1


@pytest.mark.usefixtures("register")
async def test_place_before_stays_and_is_named_by_its_coordinates(client: httpx.AsyncClient) -> None:
    first = await ask_service(client, "How many solar permits near 30.2672, -97.7431?")
    second = await ask_service(client, "within 1 km instead", previous_plan=first["plan"]["plan"])
    assert (second["plan"]["place"]["label"], second["plan"]["place"]["radius_m"]) == ("30.2672, -97.7431", 1000)


@pytest.mark.usefixtures("register")
@pytest.mark.parametrize("question", ["what about juice boxes?", "and that?", "and in Hyde Park?"])
async def test_follow_up_that_says_nothing_known_is_asked_back(question: str, client: httpx.AsyncClient) -> None:
    document = await ask_service(client, question, previous_plan=COUNT)
    assert (document["answer"]["kind"], document["plan"]["plan"]) == ("ask_back", None)


@pytest.mark.parametrize("plan", [{"kind": "secret"}, {"kind": "top"}, {"kind": "count", "sql": "1"}, "count", []])
async def test_plan_before_that_is_none_is_refused(plan: Any, client: httpx.AsyncClient) -> None:
    response = await client.post("/ask", json={"question": "and in 2015?", "previous_plan": plan})
    assert response.status_code == 422
