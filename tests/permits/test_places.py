"""A text is found to be a place of the register, to be one of several, or to be none; nothing is guessed."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Geod
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import open_session
from app.permits.place_texts import parse_place
from app.permits.places import Found, find_places
from app.permits.register import RegisterCache
from app.permits.streets import parse_street
from tests.conftest import Store

WEST = "MULTIPOLYGON(((-97.8 30.2, -97.8 30.3, -97.7 30.3, -97.7 30.2, -97.8 30.2)))"
GEOD = Geod(ellps="WGS84")
STREETS = [
    # Street, house numbers, latitude of number 0, longitude, degrees north a number.
    ("HARVEY ST", (1201, 1205, 1209, 1202, 1206), 30.28, -97.70, 1e-5),
    ("S LAMAR BLVD", (1100, 1102, 1110, 1198, 1201), 30.20, -97.77, 1e-5),
    ("N LAMAR BLVD", (1100, 1104), 30.30, -97.75, 1e-5),
    ("E MAIN ST", (100,), 30.21, -97.71, 1e-5),
    ("W MAIN ST", (100, 7), 30.22, -97.72, 1e-5),
    ("W 6TH ST", (200, 204), 30.27, -97.745, 1e-5),
    ("FM 2222 RD", (7300,), 30.36, -97.79, 1e-5),
    ("N IH 35 SVRD NB", (9500,), 30.36, -97.69, 0),
    ("N IH 35 SVRD SB", (9500,), 30.36, -97.691, 0),
    # It crosses South Lamar between 1102 and 1110.
    ("BARTON SPRINGS RD", (1500, 1502, 1600), 30.21106, -97.77, 0),
]


@pytest.fixture
def town(store: Store) -> Store:
    """A few streets that run north, one that runs west, and some areas; every house is one permit."""
    for street, numbers, lat, lng, step in STREETS:
        for number in numbers:
            west = (number - 1501) * 1e-4 if street.startswith("BARTON") else 0
            store.add_permit(
                lat=lat + number * step,
                lng=lng - west,
                house_number=number,
                street=street,
                original_address1=f"{number} {street}",
                original_zip="78704" if street.startswith("S ") else "78701",
                council_district="9",
            )
    store.add_permit(house_number=5, street="HARVEY ST")
    for kind, name in [
        ("neighborhood", "HYDE PARK"),
        ("neighborhood", "DOWNTOWN"),
        ("planning_area", "DOWNTOWN"),
        ("neighborhood", "St. John's"),
        ("zip", "78799"),
    ]:
        store.add_region(kind, name, WEST)
    store.publish()
    return store


async def find(engine: AsyncEngine, text: str, limit: int = 5) -> Found:
    async with open_session(engine) as session:
        register = await RegisterCache().find(session)
        return await find_places(session, register, text, ("austin",), limit=limit)


# --- reading a text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (
            "1205 Harvey St Apt 4, Austin, TX 78702",
            "AddressText(address=Address(house_number=1205, street='HARVEY ST'))",
        ),
        ("apt 4, 1205 Harvey St", "AddressText(address=Address(house_number=1205, street='HARVEY ST'))"),
        ("1100 block of S Lamar", "SpanText(first=1100, last=1199, street='S LAMAR', is_block=True)"),
        ("the 1150 blk S. Lamar Blvd", "SpanText(first=1100, last=1199, street='S LAMAR BLVD', is_block=True)"),
        ("S Lamar, 1100 block", "SpanText(first=1100, last=1199, street='S LAMAR', is_block=True)"),
        ("between 1100 and 1200 S Lamar", "SpanText(first=1100, last=1200, street='S LAMAR', is_block=False)"),
        ("1100-08 S Lamar", "SpanText(first=1100, last=1108, street='S LAMAR', is_block=False)"),
        ("S Lamar between 1200 and 1100", "SpanText(first=1100, last=1200, street='S LAMAR', is_block=False)"),
        ("Barton Springs and S Lamar", "CrossingText(one='BARTON SPRINGS', other='S LAMAR')"),
        ("corner of 6th & Main St", "CrossingText(one='6TH', other='MAIN ST')"),
        ("Barton Springs / Lamar", "CrossingText(one='BARTON SPRINGS', other='LAMAR')"),
        ("zip code 78704", "ZipText(zip='78704')"),
        ("78704-1234", "ZipText(zip='78704')"),
        ("council district 09", "DistrictText(district='9')"),
        ("9th district", "DistrictText(district='9')"),
        ("Hyde Park, Austin", "NameText(name='HYDE PARK')"),
    ],
)
def test_a_text_says_one_kind_of_place(text: str, read: str) -> None:
    wanted = parse_place(text, ["Austin, Texas"])
    assert wanted is not None
    assert repr(wanted.what) == read


@pytest.mark.parametrize(
    "one_and_other",
    [
        ("RANCH RD 620", "N FM 620 RD"),
        ("I-35", "N IH 35 SVRD SB"),
        ("MC CANDLESS ST", "MCCANDLESS"),
        ("W SIXTH ST", "6TH ST"),
        ("SAINT JOHNS AVE", "ST JOHNS"),
        ("US HWY 183", "N US 183 HWY NB"),
        ("MARTIN LUTHER KING JR BLVD", "MLK"),
    ],
)
def test_names_of_one_street_are_read_alike(one_and_other: tuple[str, str]) -> None:
    one, other = map(parse_street, one_and_other)
    assert one.name == other.name


# --- finding it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1205 Harvey St", "1205 HARVEY STREET UNIT B", "1205 harvey st, austin tx 78701"])
async def test_a_known_address_is_exact(text: str, town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, text)).place
    assert place is not None
    assert (place.label, place.quality, place.kind, place.within_m) == ("1205 HARVEY ST", "exact", "address", 0)
    assert (round(place.lat or 0, 6), place.lng) == (30.29205, -97.70)


async def test_an_address_is_the_point_of_most_of_its_permits(store: Store, engine: AsyncEngine) -> None:
    for lat in (30.5, 30.6, 30.6):
        store.add_permit(lat=lat, lng=-97.7, house_number=1207, street="HARVEY ST")
    store.publish()
    place = (await find(engine, "1207 Harvey St")).place
    assert place is not None
    assert (place.lat, place.location_quality) == (30.6, "unstated")


@pytest.mark.parametrize(
    "text", ["1205 Harvy St", "1205 Harvey Ave", "1205 N Harvey", "1205 HARVEYS STREET", "1205 Harvey"]
)
async def test_a_letter_or_a_suffix_amiss_is_forgiven_where_one_street_is_meant(
    text: str, town: Store, engine: AsyncEngine
) -> None:
    place = (await find(engine, text)).place
    assert place is not None
    assert place.label == "1205 HARVEY ST"


@pytest.mark.parametrize(
    ("text", "quality", "known_by"),
    [
        ("1207 Harvey St", "interpolated", ("1205 HARVEY ST", "1209 HARVEY ST")),
        ("1204 Harvey St", "interpolated", ("1202 HARVEY ST", "1206 HARVEY ST")),
        ("1211 Harvey St", "nearest", ("1209 HARVEY ST",)),
        ("1203 S Lamar", "nearest", ("1201 S LAMAR BLVD",)),
    ],
)
async def test_an_unknown_number_is_found_by_its_own_side_of_the_street(
    text: str, quality: str, known_by: tuple[str, ...], town: Store, engine: AsyncEngine
) -> None:
    place = (await find(engine, text)).place
    assert place is not None
    assert (place.quality, place.known_by) == (quality, known_by)


async def test_a_number_between_two_known_ones_lies_between_them(town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, "1207 Harvey St")).place
    assert place is not None
    assert place.lat == pytest.approx(30.29207)
    assert place.within_m == pytest.approx(GEOD.inv(-97.7, 30.29205, -97.7, 30.29207)[2], rel=0.01)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("100 Main Street", ("100 E MAIN ST", "100 W MAIN ST")),
        ("1100 Lamar", ("1100 N LAMAR BLVD", "1100 S LAMAR BLVD")),
        # Unknown on one of the two, and not therefore on the other.
        ("1102 Lamar Blvd", ("1102 S LAMAR BLVD", "1102 N LAMAR BLVD")),
    ],
)
async def test_streets_that_may_be_meant_are_candidates(
    text: str, candidates: tuple[str, ...], town: Store, engine: AsyncEngine
) -> None:
    found = await find(engine, text)
    assert (found.place, found.candidates) == (None, candidates)


async def test_a_zip_tells_two_streets_apart(town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, "1100 Lamar, Austin, TX 78704")).place
    assert place is not None
    assert place.label == "1100 S LAMAR BLVD"


async def test_carriageways_of_one_highway_are_one_place(town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, "9500 N I-35")).place
    assert place is not None
    assert place.label.startswith("9500 N IH 35 SVRD")


async def test_the_opposite_directional_is_another_street(town: Store, engine: AsyncEngine) -> None:
    found = await find(engine, "1198 N Lamar")
    assert all("S LAMAR" not in place.label for place in found.places)


async def test_a_far_number_gives_the_nearest_ones_and_no_point(town: Store, engine: AsyncEngine) -> None:
    found = await find(engine, "9000 Harvey St")
    assert (found.places, found.candidates[0]) == ((), "1209 HARVEY ST")


async def test_an_unlocated_permit_is_no_place(town: Store, engine: AsyncEngine) -> None:
    assert (await find(engine, "5 Harvey Street")).place is None


@pytest.mark.parametrize(
    "text", ["1205 Elm Street", "Elmsford", "Foo and Bar", "900 block of Elm", "district 77", "78000"]
)
async def test_what_the_register_does_not_have_is_no_place(text: str, town: Store, engine: AsyncEngine) -> None:
    assert (await find(engine, text)).places == ()


async def test_a_block_reaches_from_its_first_house_to_its_last(town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, "1100 block of South Lamar")).place
    assert place is not None
    assert (place.label, place.kind, place.quality) == ("1100 block of S LAMAR BLVD", "block", "block")
    assert place.lat == pytest.approx(30.20 + (1100 + 1102 + 1110 + 1198) / 4 * 1e-5)
    assert place.within_m is not None
    assert 70 < place.within_m < 90


async def test_a_range_is_the_houses_in_it(town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, "between 1100 and 1105 S Lamar")).place
    assert place is not None
    assert (place.label, place.kind) == ("1100 to 1105 S LAMAR BLVD", "range")
    assert place.lat == pytest.approx(30.21101)


@pytest.mark.parametrize(
    "text", ["Barton Springs and S Lamar", "corner of Lamar & Barton Springs Rd", "S Lamar at Barton Sprngs"]
)
async def test_streets_cross_where_their_houses_come_nearest(text: str, town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, text)).place
    assert place is not None
    assert (place.kind, place.quality) == ("intersection", "intersection")
    assert GEOD.inv(place.lng, place.lat, -97.77, 30.21106)[2] < 20


async def test_streets_that_do_not_meet_have_no_crossing(town: Store, engine: AsyncEngine) -> None:
    assert (await find(engine, "Harvey St and S Lamar")).places == ()


async def test_a_street_is_a_house_in_its_middle_and_how_far_it_goes(town: Store, engine: AsyncEngine) -> None:
    place = (await find(engine, "Harvey Street")).place
    assert place is not None
    assert (place.label, place.kind, place.quality) == ("HARVEY ST", "street", "street")


@pytest.mark.parametrize(
    ("text", "label", "filters"),
    [
        ("Hyde Park", "HYDE PARK (neighborhood)", {"region": ("austin/neighborhood/HYDE PARK",)}),
        (
            "the hyde park neighborhood, Austin",
            "HYDE PARK (neighborhood)",
            {"region": ("austin/neighborhood/HYDE PARK",)},
        ),
        ("Hide Park", "HYDE PARK (neighborhood)", {"region": ("austin/neighborhood/HYDE PARK",)}),
        ("St Johns", "St. John's (neighborhood)", {"region": ("austin/neighborhood/St. John's",)}),
        ("DOWNTOWN (planning area)", "DOWNTOWN (planning area)", {"region": ("austin/planning_area/DOWNTOWN",)}),
        ("planning_area/downtown", "DOWNTOWN (planning area)", {"region": ("austin/planning_area/DOWNTOWN",)}),
        ("78704", "78704", {"zip": ("78704",)}),
        ("zip 78799", "78799", {"zip": ("78799",)}),
        ("Council District 9", "district 9", {"district": ("9",)}),
    ],
)
async def test_an_area_is_a_filter_and_no_point(
    text: str, label: str, filters: dict[str, Any], town: Store, engine: AsyncEngine
) -> None:
    place = (await find(engine, text)).place
    assert place is not None
    assert (place.label, place.quality, place.filters, place.lat) == (label, "region", filters, None)


async def test_regions_of_one_name_are_candidates_that_are_found_by_their_label(
    town: Store, engine: AsyncEngine
) -> None:
    found = await find(engine, "downtown")
    assert found.candidates == ("DOWNTOWN (neighborhood)", "DOWNTOWN (planning area)")
    for label in found.candidates:
        place = (await find(engine, label)).place
        assert place is not None
        assert place.label == label


async def test_another_city_is_not_looked_into(town: Store, engine: AsyncEngine) -> None:
    town.add_permit(city="chicago", lat=41.8, lng=-87.6, house_number=1, street="STATE ST")
    town.publish()
    assert (await find(engine, "1 State St")).places == ()


HOSTILE = [
    "x" * 2_000,
    "1205 " + "harvey " * 400,
    "1" * 2_000,
    "and " * 500,
    "\x00\x01\x1b[31m",
    "1205 Harvey\x00 St",
    "'; DROP TABLE permits; --",
    "1205 Harvey' OR '1'='1",
    "🏠🏠🏠",
    "1205 🏠 St",
    "0000000000000000",
    "-1 -1",
    "12345678 12345678",
    "between 999999 and 999999 %_%",
    "% % %",
    "\ud800",
    "((((((",
    "/ / /",
    "￼",
    "١٢٠٥ Harvey St",
    "²² block of ²",
    " ,,, ",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
async def test_a_hostile_text_is_no_place_and_breaks_nothing(text: str, town: Store, engine: AsyncEngine) -> None:
    found = await find(engine, text)
    assert all(place.label.startswith("120") for place in found.places)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
async def test_a_hostile_text_is_answered_or_refused(text: str, town: Store, client: httpx.AsyncClient) -> None:
    reply = await client.post("/places", content=json.dumps({"text": text}))
    assert reply.status_code in {200, 422}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    street=st.sampled_from([street for street, *_ in STREETS]),
    place=st.integers(min_value=0, max_value=4),
    dressing=st.sampled_from(["{}", "{}, Austin, TX", " {} apt 12 ", "{} #4", "{}, Austin, Texas 78799"]),
)
async def test_a_permits_own_address_is_found_at_its_own_point(
    street: str, place: int, dressing: str, town: Store, engine: AsyncEngine
) -> None:
    numbers = next(numbers for name, numbers, *_ in STREETS if name == street)
    number = numbers[place % len(numbers)]
    found = (await find(engine, dressing.format(f"{number} {street}"))).place
    row = town.connection.execute(
        "SELECT ST_Y(location::geometry), ST_X(location::geometry) FROM permits"
        " WHERE house_number = %s AND street = %s",
        [number, street],
    ).fetchone()
    assert found is not None
    assert (found.label, found.quality) == (f"{number} {street}", "exact")
    assert (found.lat, found.lng) == row


# --- over HTTP -------------------------------------------------------------------------------------------------------


async def test_places_tells_a_place_with_its_quality_and_is_kept_by_nobody(
    town: Store, client: httpx.AsyncClient
) -> None:
    reply = await client.post("/places", json={"text": "1207 Harvey Street"})
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    (place,) = reply.json()["places"]
    assert place == {
        "label": "1207 HARVEY ST",
        "kind": "address",
        "quality": "interpolated",
        "city": "austin",
        "lat": 30.29207,
        "lng": -97.7,
        "within_m": 2.2,
        "known_by": ["1205 HARVEY ST", "1209 HARVEY ST"],
        "location_quality": None,
        "filters": {},
        "is_corrected": False,
    }
    assert reply.json()["as_of"]["cities"]["austin"]["run"] >= 1


async def test_places_gives_as_many_candidates_as_are_asked_for(town: Store, client: httpx.AsyncClient) -> None:
    document = (await client.post("/places", json={"text": "100 Main St", "limit": 2})).json()
    assert document["did_you_mean"] == [place["label"] for place in document["places"]]
    assert len(document["places"]) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": ""}, 422),
        ({"text": "x" * 201}, 422),
        ({"text": "1205 Harvey St", "limit": 0}, 422),
        ({"text": "1205 Harvey St", "street": "x"}, 422),
        ({"text": "1205 Harvey St", "city": "atlantis"}, 404),
    ],
)
async def test_places_refuses_in_a_problem_document(
    body: dict[str, Any], status: int, town: Store, client: httpx.AsyncClient
) -> None:
    reply = await client.post("/places", json=body)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert "1205" not in reply.text


async def test_pages_of_any_origin_may_look_places_up(town: Store, client: httpx.AsyncClient) -> None:
    headers = {"origin": "https://map.example", "access-control-request-method": "POST"}
    reply = await client.options("/places", headers=headers)
    assert reply.headers["access-control-allow-origin"] == "*"
