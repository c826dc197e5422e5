"""What words mean beside each other: claims, days told by others, waits compared, exclusions behind their nouns."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.ask.grammar import Context, Premise, Reading, read
from app.permits.filters import PermitFilter

TODAY = date(2016, 4, 20)
POOL: dict[str, Any] = {"category": ("pool",)}


def ask(question: str, **known: Any) -> Reading:
    regions = {"hyde park": ("austin/neighborhood/Hyde Park",), "zilker": ("austin/neighborhood/Zilker",)}
    given = {"region_kinds": frozenset({"neighborhood"}), "regions": regions, **known}
    return read(question, today=TODAY, context=Context(**given))


def days(side: PermitFilter | None) -> tuple[date | None, date | None]:
    assert side is not None
    return side.issued_from, side.issued_to


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("pools year to date vs the same period last year", (2016, 1, 1, 2016, 4, 20), (2015, 1, 1, 2015, 4, 20)),
        ("pools in Q1 2015 vs the same quarter of 2013", (2015, 1, 1, 2015, 3, 31), (2013, 1, 1, 2013, 3, 31)),
        ("pools in 2014 compared with the previous year", (2014, 1, 1, 2014, 12, 31), (2013, 1, 1, 2013, 12, 31)),
        ("pools in June 2015 vs the month before", (2015, 6, 1, 2015, 6, 30), (2015, 5, 1, 2015, 5, 31)),
    ],
)
def test_days_that_are_told_by_others_move_with_them(said: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    reading = ask(said)
    assert (reading.kind, reading.leftovers) == ("compare", ())
    assert days(reading.where) == (date(*first[:3]), date(*first[3:]))
    assert days(reading.versus) == (date(*last[:3]), date(*last[3:]))


def test_the_year_before_is_that_before_the_question_before() -> None:
    before = (date(2014, 1, 1), date(2014, 12, 31))
    reading = ask("how about the year before?", follows=True, days_before=before)
    assert days(reading.where) == (date(2013, 1, 1), date(2013, 12, 31))


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("pools since Monday", date(2016, 4, 18), None),
        ("pools in the past fortnight", date(2016, 4, 6), TODAY),
        ("pools on or after June 15, 2015", date(2015, 6, 15), None),
        ("pools in the week of March 14, 2016", date(2016, 3, 14), date(2016, 3, 20)),
        ("pools since the first of March", date(2016, 3, 1), None),
        ("pools over the past three calendar years", date(2013, 1, 1), date(2015, 12, 31)),
        ("pools in the last forty-five days", date(2016, 3, 7), TODAY),
        ("pools in twenty fifteen", date(2015, 1, 1), date(2015, 12, 31)),
        ("pools since I bought it in 2012", date(2012, 1, 1), None),
        ("pools 2010 onwards", date(2010, 1, 1), None),
    ],
)
def test_more_ways_to_say_days_are_read(said: str, first: date, last: date | None) -> None:
    assert days(ask(said).where) == (first, last)


@pytest.mark.parametrize(
    ("said", "kind", "premise"),
    [
        ("25 pools were permitted in 2014, weren't they?", "count", Premise(Decimal(25), "permits")),
        ("Were there more than 20 pools in 2014?", "count", Premise(Decimal(20), "permits", "more")),
        ("fewer than fifty pools were permitted in 2015, right?", "count", Premise(Decimal(50), "permits", "less")),
        ("They claim pools averaged $90,000 in 2014 - correct?", "mean", Premise(Decimal("90000.00"), "USD")),
        ("pool permits took 45 days on median to be issued, didn't they?", "waiting", Premise(Decimal(45), "days")),
        (
            "Is it accurate that more than 30% of the permits in 78704 were for pools?",
            "share",
            Premise(Decimal(30), "percent", "more"),
        ),
        (
            "The median pool in 78704 is declared at more than $60,000, right?",
            "median",
            Premise(Decimal(60000), "USD", "more"),
        ),
    ],
)
def test_a_number_that_is_claimed_is_a_premise_with_its_unit_and_bound(said: str, kind: str, premise: Premise) -> None:
    reading = ask(said)
    assert (reading.kind, reading.premise, reading.where.min_value_usd) == (kind, premise, None)


@pytest.mark.parametrize(
    ("said", "without"),
    [
        ("pools, commercial ones excluded", {"permit_class": ("Non-Residential",)}),
        ("permits in 78704, signs and demolitions excluded", {"category": ("sign", "demolition")}),
        ("permits that are neither electrical nor mechanical", {"permit_type": ("Electrical", "Mechanical")}),
        ("non-solar electrical permits", {"category": ("solar",)}),
        ("top five permits by value in 2015, no new construction", {"category": ("new_construction",)}),
        ("sign permits anywhere but Zilker", {"region": ("austin/neighborhood/Zilker",)}),
    ],
)
def test_what_is_left_out_may_stand_in_more_places(said: str, without: dict[str, Any]) -> None:
    reading = ask(said)
    assert (reading.without, reading.negation, reading.leftovers) == (PermitFilter(**without), None, ())


@pytest.mark.parametrize(
    ("said", "kind", "measure"),
    [
        ("were pools approved faster in 2015 than in 2014?", "compare", "days_to_issue"),
        ("is Hyde Park or Zilker ahead: which has more pools?", "compare", "permits"),
        ("78702 and 78721: which had more pools in 2015?", "compare", "permits"),
        ("what's the average remodel in 78704", "mean", "mean_value_usd"),
        ("busiest month for roofs in 2015", "series", "permits"),
        ("hottest neighborhoods for pools", "top", "permits"),
        ("which district waits the longest for pool permits", "top", "days_to_issue"),
        ("out of every 100 permits in 78704, how many are for pools?", "share", "permits"),
        ("Zilker makes up what portion of pool permits?", "share", "permits"),
        ("homes in 78704 with both a pool and an EV charger", "joined", "permits"),
        ("which permits issued in 2014 have changed since April 1?", "changed", "permits"),
        ("remodels in 78703 compared with the city as a whole", "compare", "permits"),
        ("council districts ordered by number of pool permits", "top", "permits"),
    ],
)
def test_the_kind_is_heard_in_more_words(said: str, kind: str, measure: str) -> None:
    reading = ask(said)
    assert (reading.kind, reading.measure, reading.unclear) == (kind, measure, None)


@pytest.mark.parametrize(
    "said",
    [
        "permits in district 3 or in 78702",
        "permits more than 2 miles from here",
        "monthly number of solar applications filed in 2015",
        "top 5 addresses by number of permits",
        "compare the pool permits in Zilker",
    ],
)
def test_what_no_plan_holds_is_asked_back(said: str) -> None:
    assert ask(said, has_point=True).unclear


def test_a_sentence_about_oneself_is_not_read_and_one_that_names_a_place_is() -> None:
    assert ask("Working on a piece about gentrification: how many houses were torn down in 78702?").declined is None
    assert ask("I'm in 78704. how many pools were built in 2015?").where.zip == ("78704",)
    assert ask("near here, how many pools were issued?", has_point=True).place is not None


def test_including_leaves_nothing_out() -> None:
    assert ask("including commercial ones, how many roofs in 2014").where.permit_class == ()
