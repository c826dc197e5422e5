"""The measure itself: plans laid side by side, questions written well, and answers by SQL of its own."""

from collections import Counter
from datetime import date
from typing import Any

import psycopg
import pytest

from scripts.evaluation.answers import Ledger
from scripts.evaluation.asking import Reply
from scripts.evaluation.forms import (
    Form,
    Spot,
    expand_gold,
    find_differences,
    flatten_plan,
    measure_m,
    read_days,
    settle,
    write_plan,
)
from scripts.evaluation.judging import judge, tells
from scripts.evaluation.questions import FILES, Asked, Gold, read_questions
from scripts.evaluation.slots import Slots, draw_slots, style_address
from tests.conftest import Store

HERE = {"here": Spot(30.2672, -97.7431)}
KINDS = {
    *("count", "sum", "median", "mean", "share", "density", "waiting"),
    *("list", "top", "series", "compare", "joined", "changed"),
}


NUMBERED = [f"{kind}.{number}" for kind in ("address", "block", "street", "corner", "twin") for number in range(1, 6)]
STYLES = ("", "title", "long", "bare", "typo")


@pytest.fixture
def slots() -> Slots:
    """Slots that are all filled, each with its own name."""
    texts = {(name, style): f"{style} {name}" for name in NUMBERED for style in STYLES}
    return Slots(texts, dict.fromkeys(NUMBERED, Spot(30.2672, -97.7431)))


@pytest.mark.parametrize("name", FILES)
def test_a_half_has_every_kind_and_every_trait(name: str, slots: Slots) -> None:
    asked = read_questions(FILES[name], slots, has=frozenset({"companies"})).asked
    assert {one.meant.form.get("kind") for one in asked} == {*KINDS, None}
    traits = {"typo", "slang", "trap", "follow-up", "declined", "asked back"}
    assert traits <= {one.group for one in asked}
    assert len(asked) >= 160


def test_no_question_stands_in_both_halves_or_twice(slots: Slots) -> None:
    sets = [read_questions(path, slots, has=frozenset({"companies"})) for path in FILES.values()]
    texts = Counter((one.text, str(one.previous)) for found in sets for one in found.asked)
    assert sum(texts.values()) >= 320
    assert texts.most_common(1)[0][1] == 1
    assert not any(found.unfilled for found in sets)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2014", date(2014, 1, 1), date(2014, 12, 31)),
        ("2014-02", date(2014, 2, 1), date(2014, 2, 28)),
        ("2014-03-05", date(2014, 3, 5), date(2014, 3, 5)),
        ("2013..2015-06", date(2013, 1, 1), date(2015, 6, 30)),
        ("2013..", date(2013, 1, 1), None),
        ("..2013", None, date(2013, 12, 31)),
    ],
)
def test_days_are_read_inclusively(text: str, first: date | None, last: date | None) -> None:
    assert read_days(text) == (first, last)


def given(**plan: Any) -> Form:
    return flatten_plan(plan, city="sample")


def test_a_gold_plan_is_itself_whatever_the_service_leaves_unsaid() -> None:
    gold = expand_gold({"kind": "sum", "where": {"category": "pool", "issued": "2014", "min_value_usd": 5}}, {})
    where = {
        "category": ["pool"],
        "city": ["sample"],
        "issued_from": "2014-01-01",
        "issued_to": "2014-12-31",
        "min_value_usd": "5",
    }
    assert find_differences(gold, given(kind="sum", measure="value_usd", limit=3, where=where)) == ()


@pytest.mark.parametrize(
    ("plan", "differences"),
    [
        ({"where": {"category": ["pool"], "zip": ["78704"]}}, ("where.zip",)),
        ({"where": {"category": ["solar"]}}, ("where.category",)),
        ({"where": {}}, ("where.category",)),
        ({"where": {"category": ["pool"], "without": {"zip": ["78704"]}}}, ("where.without.zip",)),
    ],
)
def test_a_part_that_is_not_as_gold_is_named(plan: dict[str, Any], differences: tuple[str, ...]) -> None:
    gold = expand_gold({"kind": "count", "where": {"category": "pool"}}, {})
    assert find_differences(gold, given(kind="count", **plan)) == differences


def test_the_sides_of_a_comparison_may_stand_either_way_but_not_those_of_a_sequence() -> None:
    sides = {"where": {"category": ["pool"]}, "versus": {"category": ["deck"]}}
    gold = expand_gold({"kind": "compare", "where": {"category": "deck"}, "versus": {"category": "pool"}}, {})
    assert find_differences(gold, given(kind="compare", **sides)) == ()
    pair = {"kind": "joined", "sequence": "then", "where": {"category": ["pool"]}, "beside": {"category": ["deck"]}}
    gold = expand_gold(
        {"kind": "joined", "sequence": "then", "where": {"category": "deck"}, "beside": {"category": "pool"}}, {}
    )
    assert find_differences(gold, given(**pair)) == ("beside.category", "where.category")


@pytest.mark.parametrize(
    ("lat", "radius_m", "said", "is_meant"),
    [
        (30.2672, 800, {"radius_m": 800}, True),
        (30.2672, 500, {"radius_m": 800}, False),
        (30.2682, 800, {"radius_m": 800}, False),
        (30.2672, 500, {}, True),
        (30.2672, 50, {"at": True}, True),
        (30.2672, 500, {"at": True}, False),
    ],
)
def test_a_circle_is_where_and_as_wide_as_was_said(
    lat: float, radius_m: float, said: dict[str, Any], is_meant: bool
) -> None:
    gold = expand_gold({"kind": "count", "where": {"place": "here", **said}}, HERE)
    area = {"lat": lat, "lng": -97.7431, "radius_m": radius_m}
    assert (find_differences(gold, given(kind="count", where={"area": area})) == ()) is is_meant


def test_a_plan_goes_to_the_service_and_comes_back_the_same() -> None:
    told = {"kind": "median", "where": {"region": "Zilker", "place": "here", "without": {"category": "pool"}}}
    form = settle(expand_gold(told, HERE))
    assert flatten_plan(write_plan(form), city="sample") == form


def test_a_degree_of_latitude_is_111_km() -> None:
    assert measure_m(30, -97, 31, -97) == pytest.approx(111_195, abs=1)


def test_an_address_is_written_as_people_do() -> None:
    assert dict(style_address(1205, "HARVEY ST")) == {
        "": "1205 HARVEY ST",
        "title": "1205 Harvey St",
        "long": "1205 Harvey Street",
        "bare": "1205 Harvey",
        "typo": "1205 Harey St",
    }


@pytest.fixture
def ledger(store: Store, store_connection: psycopg.Connection[Any]) -> Ledger:
    """Three pools with days and costs, one of them in another ZIP, and a deck beside the first."""
    for number, (year, cost, zip_code) in enumerate([(2013, 10, "78704"), (2014, 20, "78704"), (2014, 60, "78702")]):
        store.add_permit(
            lat=30.2672,
            lng=-97.7431 + number / 100,
            source_id=f"p{number}",
            categories=["pool"],
            applied_date=date(year, 1, 1),
            issued_date=date(year, 1, 11 + number),
            est_project_cost_usd=cost,
            original_zip=zip_code,
            house_number=100 + number,
            street="OAK ST",
            original_address1=f"{100 + number} OAK ST",
        )
    store.add_permit(
        source_id="d0", categories=["deck"], issued_date=date(2015, 1, 1), house_number=100, street="OAK ST"
    )
    store.publish()
    return Ledger(store_connection, "austin")


@pytest.mark.parametrize(
    ("plan", "figures", "permits"),
    [
        ({"kind": "count", "where": {"category": "pool"}}, [3], ()),
        ({"kind": "sum", "where": {"zip": "78704"}}, [30], ()),
        ({"kind": "median", "where": {"category": "pool"}}, [20], ()),
        ({"kind": "mean", "where": {"category": "pool"}}, [30], ()),
        ({"kind": "waiting", "where": {"category": "pool"}}, [11], ()),
        ({"kind": "count", "where": {"category": "pool", "without": {"zip": "78704"}}}, [1], ()),
        ({"kind": "count", "where": {"place": "here", "radius_m": 1000}}, [2], ()),
        ({"kind": "share", "where": {"zip": "78704"}, "versus": {"category": "pool"}}, [200 / 3], ()),
        ({"kind": "top", "group_by": "zip", "where": {"category": "pool"}}, [2, 1], ()),
        ({"kind": "series", "where": {"category": "pool"}}, [1, 2], ()),
        ({"kind": "compare", "where": {"category": "pool"}, "versus": {"category": "deck"}}, [3, 1], ()),
        ({"kind": "joined", "where": {"category": "pool"}, "beside": {"category": "deck"}}, [1], ()),
        (
            {"kind": "joined", "sequence": "then", "where": {"category": "deck"}, "beside": {"category": "pool"}},
            [0],
            (),
        ),
        ({"kind": "list", "where": {"category": "pool"}}, [3], ("p2", "p1", "p0")),
        ({"kind": "list", "where": {"category": "pool", "place": "here"}}, [1], ("p0",)),
        ({"kind": "changed", "since": date(2015, 1, 1)}, [0], ()),
    ],
)
def test_sql_of_its_own_answers_every_kind(
    plan: dict[str, Any], figures: list[float], permits: tuple[str, ...], ledger: Ledger
) -> None:
    answer = ledger.answer(settle(expand_gold(plan, HERE)))
    assert [figure[0] for figure in answer.figures] == pytest.approx(figures)
    assert answer.permits == permits


def fact(value: object, rows: str = "/permits") -> dict[str, Any]:
    return {"value": value, "rows": rows}


def test_facts_tell_an_answer_when_every_figure_and_just_its_permits_are_there(ledger: Ledger) -> None:
    answer = ledger.answer(expand_gold({"kind": "list", "where": {"zip": "78704"}}, {}))
    rows = [fact(None, "/permits/austin/p1"), fact(None, "/permits/austin/p0")]
    assert tells([fact(2), *rows], answer)
    assert not tells([fact(3), *rows], answer)
    assert not tells([fact(2), *reversed(rows)], answer)
    assert not tells([fact(2), rows[0]], answer)


def reply(plan: dict[str, Any] | None, value: int, *, ignored: tuple[str, ...] = ()) -> Reply:
    return Reply(
        {
            "plan": {"plan": plan, "ignored_words": list(ignored)},
            "facts": {"facts": [fact(value)]},
            "answer": {"kind": "answer", "sentences": []},
            "done": {"ms": {"answer": 1.0}},
        }
    )


@pytest.mark.parametrize(
    ("plan", "value", "ignored", "is_right", "is_wrong_unflagged"),
    [
        ({"kind": "count", "where": {"category": ["pool"]}}, 3, (), True, False),
        ({"kind": "count", "where": {"category": ["pool"]}}, 4, (), False, True),
        ({"kind": "count"}, 4, (), False, True),
        ({"kind": "count"}, 4, ("pools",), False, False),
    ],
)
def test_an_answer_is_wrong_unless_it_says_what_it_left_out(
    plan: dict[str, Any], value: int, ignored: tuple[str, ...], is_right: bool, is_wrong_unflagged: bool, ledger: Ledger
) -> None:
    gold = Gold("answer", expand_gold({"kind": "count", "where": {"category": "pool"}}, {}))
    asked = Asked("How many pools?", (gold,), "count", date(2016, 4, 20))
    found = judge(asked, reply(plan, value, ignored=ignored), ledger, "austin")
    assert (found.is_right, found.is_wrong_unflagged) == (is_right, is_wrong_unflagged)


def test_a_slot_that_no_word_supports_is_invented(ledger: Ledger) -> None:
    gold = Gold("answer", expand_gold({"kind": "count", "where": {"category": "pool"}}, {}))
    asked = Asked("How many pools in 78704?", (gold,), "count", date(2016, 4, 20))
    where = {"category": ["pool"], "zip": ["78704"], "permit_class": ["Residential"]}
    found = judge(asked, reply({"kind": "count", "where": where}, 3), ledger, "austin")
    assert [part.split(" ")[0] for part in found.invented] == ["where.permit_class"]


def test_slots_are_drawn_from_the_register(store: Store, store_connection: psycopg.Connection[Any]) -> None:
    for _ in range(2):
        store.add_permit(
            lat=30.2672, lng=-97.7431, house_number=12, street="HARVEY ST", original_address1="12 HARVEY ST"
        )
    for street in ("N JUNIPER LN", "S JUNIPER LN"):
        store.add_permit(lat=30.3, lng=-97.7, house_number=300, street=street, original_address1=f"300 {street}")
    store.publish()
    drawn = draw_slots(store_connection, "austin")
    assert drawn.fill("at {address.1.long} or {twin.1}") == "at 12 Harvey Street or 300 Juniper"
    assert drawn.spots["address.1"] == Spot(30.2672, -97.7431, 1.0)
