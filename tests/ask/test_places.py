"""A place in a question is a filter, a circle or a question back; words that are no place are left over."""

from datetime import date
from typing import Any

import httpx
import pytest

from app.ask.grammar import Block, Context, Intersection, Reading, read
from tests.conftest import Store

TODAY = date(2016, 4, 20)
WEST = "MULTIPOLYGON(((-97.8 30.2, -97.8 30.3, -97.7 30.3, -97.7 30.2, -97.8 30.2)))"
REGIONS = {"hyde park": ("austin/neighborhood/HYDE PARK",), "mueller": ("austin/neighborhood/Mueller",)}


def hear(question: str) -> Reading:
    return read(question, today=TODAY, context=Context(regions=REGIONS))


@pytest.mark.parametrize(
    ("question", "place", "at_place"),
    [
        ("permits on the 1100 block of S Lamar in 2015", Block("1100 block of S Lamar"), True),
        ("permits near the 1100 block of S Lamar Blvd", Block("1100 block of S Lamar Blvd"), False),
        ("permits between 1100 and 1200 S Lamar", Block("between 1100 and 1200 S Lamar"), True),
        ("permits at Barton Springs and S Lamar since 2014", Intersection("Barton Springs and S Lamar"), True),
        ("permits near Barton Springs Rd and Lamar", Intersection("Barton Springs Rd and Lamar"), False),
        ("permits within 200 m of the corner of 5th and Lamar", Intersection("the corner of 5th and Lamar"), False),
    ],
)
def test_blocks_and_crossings_are_places(question: str, place: Any, at_place: bool) -> None:
    reading = hear(question)
    assert (reading.place, reading.at_place, reading.leftovers) == (place, at_place, ())


@pytest.mark.parametrize(
    "question",
    ["permits between 2014 and 2015", "solar and battery permits", "how many permits of residential and commercial"],
)
def test_what_is_joined_is_not_therefore_a_crossing(question: str) -> None:
    assert hear(question).place is None


@pytest.mark.parametrize(
    ("question", "field", "values"),
    [
        ("pools in Hyde Park", "region", REGIONS["hyde park"]),
        ("pools in the Hyde Park neighborhood", "region", REGIONS["hyde park"]),
        ("how many Mueller pools since 2014", "region", REGIONS["mueller"]),
        ("pools in council district 9", "district", ("9",)),
        ("pools in districts 9 and 10", "district", ("10", "9")),
        ("pools in district nine", "district", ("9",)),
    ],
)
def test_regions_and_districts_are_filters(question: str, field: str, values: tuple[str, ...]) -> None:
    reading = hear(question)
    assert getattr(reading.where, field) == values
    assert (reading.place, reading.leftovers) == (None, ())


def test_regions_are_sides_of_a_comparison() -> None:
    reading = hear("compare pools in Hyde Park and Mueller")
    assert reading.versus is not None
    assert (reading.where.region, reading.versus.region) == (REGIONS["hyde park"], REGIONS["mueller"])


@pytest.mark.parametrize("question", ["pools on Hyde Park Blvd", "pools on N Mueller"])
def test_a_street_of_a_regions_name_is_no_region(question: str) -> None:
    assert hear(question).where.region == ()


def test_words_where_a_place_stands_are_marked_and_stay_left_over() -> None:
    reading = hear("how many solar permits in Hide Park")
    assert (reading.leftovers, reading.place_runs) == (("Hide", "Park"), ("Hide Park",))


@pytest.fixture
def town(store: Store) -> None:
    """A street, and a region that two of its three houses lie in; "Downtown" is two regions."""
    region = store.add_region("neighborhood", "HYDE PARK", WEST)
    for kind in ("neighborhood", "planning_area"):
        store.add_region(kind, "DOWNTOWN", WEST)
    for number in (1100, 1104, 1201):
        store.add_permit(
            lat=30.25 + number * 1e-5,
            lng=-97.75,
            house_number=number,
            street="S LAMAR BLVD",
            original_address1=f"{number} S LAMAR BLVD",
            council_district="9",
            categories=["pool"],
            regions=[region] if number < 1200 else [],
        )
    store.add_permit(lat=30.25 + 1102e-5, lng=-97.75, house_number=1500, street="BARTON SPRINGS RD")
    store.publish()


async def plan(client: httpx.AsyncClient, question: str, **more: Any) -> dict[str, Any]:
    reply = await client.post("/ask", json={"question": question, "narrate": False, **more})
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


@pytest.mark.usefixtures("town")
@pytest.mark.parametrize(
    "question", ["how many pools in Hyde Park", "how many pools in Hide Park", "how many pools near Hyde Park"]
)
async def test_a_region_is_a_filter_and_named_as_an_area(question: str, client: httpx.AsyncClient) -> None:
    document = await plan(client, question)
    assert document["plan"]["plan"]["where"]["region"] == ["austin/neighborhood/HYDE PARK"]
    assert document["plan"]["ignored_words"] == []
    assert document["plan"]["place"]["quality"] == "region"
    assert document["facts"]["facts"][0]["value"] == 2
    assert "HYDE PARK (neighborhood) is an area" in str(document["answer"]["sentences"])


@pytest.mark.usefixtures("town")
@pytest.mark.parametrize(
    ("question", "quality"),
    [
        ("how many pools at 1100 S Lamar", "exact"),
        ("how many pools at 1102 S Lamar", "interpolated"),
        ("how many pools on the 1100 block of S Lamar", "block"),
        ("how many pools within 10 m of Barton Springs and S Lamar", "intersection"),
    ],
)
async def test_a_reply_names_the_place_used_and_its_quality(
    question: str, quality: str, client: httpx.AsyncClient
) -> None:
    document = await plan(client, question)
    assert document["plan"]["place"]["quality"] == quality
    assert document["answer"]["kind"] == "answer"


@pytest.mark.usefixtures("town")
async def test_a_guessed_number_is_said_to_be_one(client: httpx.AsyncClient) -> None:
    document = await plan(client, "how many pools near 1102 S Lamar")
    assert "No permit stands at 1102 S LAMAR BLVD" in document["answer"]["sentences"][0]["text"]


@pytest.mark.usefixtures("town")
@pytest.mark.parametrize(
    ("question", "said", "meant"),
    [
        (
            "how many pools in Downtown",
            "more than one place",
            ["DOWNTOWN (neighborhood)", "DOWNTOWN (planning area)"],
        ),
        (
            "how many pools on S Lamar Blvd",
            "street of many blocks",
            ["1100 block of S LAMAR BLVD", "1200 block of S LAMAR BLVD"],
        ),
        ("how many pools within 500 m of Hyde Park", "is an area, and a circle needs a point", []),
        (
            "how many pools on the 1900 block of S Lamar",
            "not in the register",
            ["1200 block of S LAMAR BLVD", "1100 block of S LAMAR BLVD"],
        ),
    ],
)
async def test_a_place_that_is_not_one_is_asked_back(
    question: str, said: str, meant: list[str], client: httpx.AsyncClient
) -> None:
    document = await plan(client, question)
    assert (document["answer"]["kind"], document["answer"]["did_you_mean"]) == ("ask_back", meant)
    assert said in document["answer"]["sentences"][0]["text"]


@pytest.mark.usefixtures("town")
@pytest.mark.parametrize("run", ["Wonderland", "Elm Street", "demand"])
async def test_words_that_are_no_place_here_stay_left_over(run: str, client: httpx.AsyncClient) -> None:
    document = await plan(client, f"how many pools in {run}")
    assert document["plan"]["ignored_words"] == run.split()
