"""Shares, averages, waits, densities, pairs, changes and what is left out, as questions say them."""

from datetime import date
from typing import Any

import pytest

from app.ask.grammar import Context, Here, Reading, read
from app.permits.filters import PermitFilter
from app.permits.words import Category

TODAY = date(2016, 4, 20)
KINDS = frozenset({"zip", "council_district", "neighborhood"})
IN_2015: dict[str, Any] = {"issued_from": date(2015, 1, 1), "issued_to": date(2015, 12, 31)}
SOLAR: dict[str, Any] = {"category": ("solar",)}
POOL: dict[str, Any] = {"category": ("pool",)}


def ask(question: str, **known: Any) -> Reading:
    return read(question, today=TODAY, context=Context(**{"region_kinds": KINDS, **known}))


@pytest.mark.parametrize(
    ("said", "kind", "measure"),
    [
        ("average value of pools in 2015", "mean", "mean_value_usd"),
        ("mean declared value of pools in 2015", "mean", "mean_value_usd"),
        ("what does a typical pool cost in 2015", "median", "median_value_usd"),
        ("median estimated cost of pools in 2015", "median", "median_value_usd"),
        ("what's the avg cost of pool permits in 2015?", "mean", "mean_value_usd"),
        ("pools per square km in 2015", "density", "permits_per_km2"),
        ("how many pools per square mile in 2015", "density", "permits_per_km2"),
        ("density of pools in 2015", "density", "permits_per_km2"),
        ("how long does it take to get a pool permit in 2015", "waiting", "days_to_issue"),
        ("how long from application to issue for pools issued in 2015", "waiting", "days_to_issue"),
        ("processing time of pool permits in 2015", "waiting", "days_to_issue"),
        ("average waiting time for pool permits issued in 2015", "waiting", "days_to_issue"),
        ("how quickly were pool permits approved in 2015", "waiting", "days_to_issue"),
    ],
)
def test_one_figure_is_of_what_the_question_names(said: str, kind: str, measure: str) -> None:
    reading = ask(said)
    assert (reading.kind, reading.measure, reading.leftovers, reading.unclear) == (kind, measure, (), None)
    assert reading.where == PermitFilter(**POOL, **IN_2015)


@pytest.mark.parametrize(
    "said",
    ["how long does it take to build a pool", "how long does it take to install solar panels", "how long does it take"],
)
def test_time_to_build_is_no_time_to_a_permit(said: str) -> None:
    reading = ask(said)
    assert (reading.kind == "waiting", reading.declined) == (False, "advice")


@pytest.mark.parametrize(
    "said",
    [
        "how long is a permit valid",
        "how long until a permit expires",
        "how long does it take from issue to completion of a permit",
        "average number of permits in 2015",
        "average pools per month",
        "solar share of permits by year",
        "densest permits",
        "permits per capita",
        "pools vs decks by month",
        "how many pools in my zip code",
        "how many zip codes have pools",
        "Acme company permits",
        "what changed in 2014",
        "what changed for pools",
        "what percentage of permits in 2015",
        "share of residential solar permits",
        "what percentage of pools are decks",
        "pools at the same address",
        "solar, pools and decks at the same address",
        "do solar permits grow faster than pools",
        "permits by weekday",
    ],
)
def test_what_the_plan_would_pass_over_is_asked_back(said: str) -> None:
    reading = ask(said)
    assert reading.unclear or reading.declined or reading.leftovers
    assert reading.unclear or reading.declined, reading


def test_average_of_a_wait_is_told_as_a_median_and_says_so() -> None:
    assert any("median" in note for note in ask("average processing time of pool permits").notes)
    assert ask("average cost of pools").notes == ()


# ---------------------------------------------------------------- shares


@pytest.mark.parametrize(
    ("said", "part", "whole"),
    [
        ("what percentage of permits are solar", SOLAR, {}),
        ("What share of all permits is solar?", SOLAR, {}),
        ("what fraction of permits in 2015 were solar", SOLAR | IN_2015, IN_2015),
        ("In 2015, what percent of permits were solar?", SOLAR | IN_2015, IN_2015),
        ("what percentage of permits were for solar in 2015", SOLAR | IN_2015, IN_2015),
        ("how many percent of pools are in 78704", POOL | {"zip": ("78704",)}, POOL),
        ("what percentage of pools were permitted in 2015", POOL | IN_2015, POOL),
        ("share of solar permits in 2015", SOLAR | IN_2015, IN_2015),
        ("solar share of permits in 2015", SOLAR | IN_2015, IN_2015),
        ("share of permits that are solar", SOLAR, {}),
        ("share of solar among permits in 2015", SOLAR | IN_2015, IN_2015),
        (
            "solar as a percentage of residential permits",
            SOLAR | {"permit_class": ("Residential",)},
            {"permit_class": ("Residential",)},
        ),
        (
            "what percentage of residential permits have expired",
            {"permit_class": ("Residential",), "status": ("Permit Expired",)},
            {"permit_class": ("Residential",)},
        ),
        ("what share of pools cost over $100,000", POOL | {"min_value_usd": "100000.01"}, POOL),
    ],
)
def test_share_is_of_the_whole_that_is_said(said: str, part: dict[str, Any], whole: dict[str, Any]) -> None:
    reading = ask(said)
    assert (reading.kind, reading.leftovers, reading.unclear) == ("share", (), None)
    assert (reading.where, reading.versus) == (PermitFilter(**part), PermitFilter(**whole))


def test_claimed_share_is_a_premise() -> None:
    reading = ask("is it true that 40 % of permits are solar?")
    assert reading.premise is not None
    assert (reading.kind, int(reading.premise.value), reading.premise.unit) == ("share", 40, "percent")


def test_share_of_what_is_not_leaves_the_whole_whole() -> None:
    reading = ask("what share of permits are not solar")
    assert (reading.without, reading.is_part_without) == (PermitFilter(category=(Category.SOLAR,)), True)


# ---------------------------------------------------------------- rankings and series


@pytest.mark.parametrize(
    ("said", "group", "limit"),
    [
        ("which zip code has the most solar", "zip", None),
        ("solar by zip", "zip", None),
        ("top 3 zip codes for solar", "zip", 3),
        ("solar permits per council district", "district", None),
        ("which districts have the most solar", "district", None),
        ("solar by neighborhood", "region", None),
        ("solar permits by status", "status", None),
        ("solar permits by permit class", "permit_class", None),
        ("top 10 contractors for solar", "company", 10),
        ("which companies have the most solar permits", "company", None),
        ("who installs the most solar", "company", None),
        ("solar installers with the most permits", "company", None),
    ],
)
def test_ranking_is_by_the_group_that_is_asked_for(said: str, group: str, limit: int | None) -> None:
    reading = ask(said)
    assert (reading.kind, reading.group_by, reading.limit, reading.leftovers) == ("top", group, limit, ())
    assert reading.where == PermitFilter(**SOLAR)


def test_ranking_by_region_needs_such_regions() -> None:
    assert ask("pools by neighborhood").region_kind == "neighborhood"
    assert ask("pools by neighborhood", region_kinds=frozenset({"zip"})).unclear == "neighborhood"


@pytest.mark.parametrize(
    ("said", "measure"),
    [
        ("densest zip codes for pools", "permits_per_km2"),
        ("which zip code has the highest density of pools", "permits_per_km2"),
        ("slowest zip codes to issue pool permits", "days_to_issue"),
        ("median cost of pools by zip", "median_value_usd"),
        ("average value of pools by zip", "mean_value_usd"),
        ("total value of pools by zip", "value_usd"),
    ],
)
def test_ranking_may_be_by_other_measures(said: str, measure: str) -> None:
    reading = ask(said)
    assert (reading.kind, reading.group_by, reading.measure, reading.unclear) == ("top", "zip", measure, None)


@pytest.mark.parametrize(
    ("said", "period"),
    [
        ("pools per month in 2015", "month"),
        ("monthly pools in 2015", "month"),
        ("which month of 2015 had the most pools", "month"),
        ("pools by quarter in 2015", "quarter"),
        ("quarterly pools in 2015", "quarter"),
        ("pools per year in 2015", None),
    ],
)
def test_series_is_cut_as_the_question_says(said: str, period: str | None) -> None:
    reading = ask(said)
    assert (reading.kind, reading.period, reading.leftovers, reading.unclear) == ("series", period, (), None)
    assert reading.where == PermitFilter(**POOL, **IN_2015)


@pytest.mark.parametrize("said", ["growth of solar since 2010", "solar growth since 2010", "trend in solar since 2010"])
def test_growth_over_years_is_a_series(said: str) -> None:
    assert (ask(said).kind, ask(said).leftovers) == ("series", ())


def test_two_kinds_may_be_compared_by_their_median() -> None:
    reading = ask("compare the median value of pools and decks")
    assert (reading.kind, reading.measure) == ("compare", "median_value_usd")


@pytest.mark.parametrize("said", ["longest open pool permits", "which pool permits have been open the longest"])
def test_longest_open_is_an_order(said: str) -> None:
    reading = ask(said)
    assert (reading.kind, reading.order, reading.leftovers, reading.unclear) == ("list", "longest_open", (), None)


# ---------------------------------------------------------------- two permits at one address


@pytest.mark.parametrize(
    ("said", "first", "second", "sequence"),
    [
        ("solar and battery at the same address", "solar", "battery", "any"),
        ("addresses with a pool and solar", "pool", "solar", "any"),
        ("which properties have both solar and a pool", "solar", "pool", "any"),
        ("demolition followed by new construction", "demolition", "new_construction", "then"),
        ("demolition then new construction", "demolition", "new_construction", "then"),
        ("new construction after demolition", "demolition", "new_construction", "then"),
        ("how many were torn down and rebuilt", "demolition", "new_construction", "then"),
        ("teardown and rebuild", "demolition", "new_construction", "then"),
    ],
)
def test_two_permits_at_one_address_are_joined(said: str, first: str, second: str, sequence: str) -> None:
    reading = ask(said)
    assert reading.beside is not None
    assert (reading.kind, reading.sequence, reading.leftovers, reading.together) == ("joined", sequence, (), ())
    assert (reading.where.category, reading.beside.category) == ((Category(first),), (Category(second),))


def test_each_of_two_joined_permits_keeps_its_own_day() -> None:
    reading = ask("demolition in 2014 followed by new construction in 2015 in 78704")
    assert reading.beside is not None
    assert (reading.where.issued_to, reading.beside.issued_from) == (date(2014, 12, 31), date(2015, 1, 1))
    assert reading.where.zip == reading.beside.zip == ("78704",)


# ---------------------------------------------------------------- changes


@pytest.mark.parametrize("said", ["what changed since March 1 around here", "what's new since March 1 near me"])
def test_changes_are_since_a_day(said: str) -> None:
    reading = ask(said)
    assert (reading.kind, reading.since, reading.place) == ("changed", date(2016, 3, 1), Here())
    assert (reading.where, reading.leftovers) == (PermitFilter(), ())


def test_how_permits_changed_over_years_is_a_series() -> None:
    assert ask("How have pools changed since 2010?").kind == "series"


# ---------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    ("said", "where", "without"),
    [
        ("permits in 2015 excluding solar", IN_2015, SOLAR),
        ("permits in 2015 other than solar", IN_2015, SOLAR),
        ("permits in 2015 not counting solar", IN_2015, SOLAR),
        ("Excluding solar, permits in 2015", IN_2015, SOLAR),
        ("all permits except solar ones in 2015", IN_2015, SOLAR),
        ("pools not in 2015", POOL, IN_2015),
        ("pools that aren't in 78704", POOL, {"zip": ("78704",)}),
        ("pools outside 78704 or 78745", POOL, {"zip": ("78704", "78745")}),
        ("pools without solar in 2015", POOL | IN_2015, SOLAR),
        ("non-solar permits in 2015", IN_2015, SOLAR),
        ("pools that have not been finaled", POOL, {"status": ("Permit Finaled",)}),
        ("permits excluding pools, decks and solar", {}, {"category": ("deck", "pool", "solar")}),
        ("permits excluding residential solar", {}, SOLAR | {"permit_class": ("Residential",)}),
        ("everything but pools in 2015", IN_2015, POOL),
    ],
)
def test_filter_that_is_negated_is_left_out(said: str, where: dict[str, Any], without: dict[str, Any]) -> None:
    reading = ask(said)
    assert (reading.negation, reading.leftovers) == (None, ())
    assert (reading.where, reading.without) == (PermitFilter(**where), PermitFilter(**without))


# ---------------------------------------------------------------- traps and notes


@pytest.mark.parametrize(
    "said",
    ["pool table permits", "permits in battery park", "phone chargers", "sign up for permits", "a deck of cards"],
)
def test_words_that_only_look_like_a_category_are_left_over(said: str) -> None:
    reading = ask(said)
    assert reading.where.category == ()
    assert reading.leftovers


@pytest.mark.parametrize("said", ["give me a second", "the second pool permit"])
def test_second_is_no_quarter(said: str) -> None:
    assert ask(said).where.issued_from is None


@pytest.mark.parametrize(
    ("said", "word"), [("pools within 3 blocks of here", "100 m"), ("pools within walking distance of here", "800 m")]
)
def test_measure_that_others_may_take_otherwise_is_told(said: str, word: str) -> None:
    assert any(word in note for note in ask(said).notes)
    assert ask("pools within 300 m of here").notes == ()


@pytest.mark.parametrize(
    ("said", "category"),
    [("gut jobs", "remodel"), ("granny pods", "adu"), ("panel swaps", "panel_upgrade"), ("roof jobs", "roof")],
)
def test_slang_is_understood(said: str, category: str) -> None:
    assert ask(f"{said} in 2015").where == PermitFilter(category=(Category(category),), **IN_2015)


def test_local_events_are_dates() -> None:
    assert ask("pools since hurricane harvey").where.issued_from == date(2017, 8, 23)
