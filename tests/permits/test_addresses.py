"""Addresses are read into one form, and found in the register where it has them."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import open_session
from app.permits.addresses import parse_address, street_core
from app.permits.places import Found, find_address
from tests.conftest import Store


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1205 Harvey Street", "1205 HARVEY ST"),
        ("1205  HARVEY ST UNIT B", "1205 HARVEY ST"),
        ("1205 harvey st. #4", "1205 HARVEY ST"),
        ("200 West Sixth Street, Suite 300", "200 W SIXTH ST"),
        ("4502 1/2 ESPER LN", "4502 ESPER LN"),
        ("12A North Lamar Boulevard", "12 N LAMAR BLVD"),
        ("400 Avenue F", "400 AVENUE F"),
        ("7 Place Street", "7 PLACE ST"),
        ("13785 N US 183 HWY NB", "13785 N US 183 HWY NB"),
    ],
)
def test_spellings_of_one_address_are_read_alike(text: str, read: str) -> None:
    assert str(parse_address(text)) == read


@pytest.mark.parametrize(
    "text", [None, "", "Harvey Street", "1205", "1205 #4", "12345678 Main St", "x1 Main St", "-5 Main St", "\x00"]
)
def test_what_is_no_address_is_none(text: str | None) -> None:
    assert parse_address(text) is None


def test_a_street_of_nothing_but_suffixes_keeps_its_name() -> None:
    assert (street_core("N LAMAR BLVD"), street_core("N ST")) == ("LAMAR", "N ST")


async def find(engine: AsyncEngine, text: str) -> Found:
    async with open_session(engine) as session:
        return await find_address(session, text, ("austin",))


@pytest.fixture
def streets(store: Store) -> Store:
    """Two streets of one name, one street with neighbours, and an address whose permits disagree about its point."""
    for number, street, lat in [
        (100, "E MAIN ST", 30.1),
        (100, "W MAIN ST", 30.2),
        (7, "W MAIN ST", 30.3),
        (1205, "HARVEY ST", 30.4),
        (1207, "HARVEY ST", 30.5),
        (1207, "HARVEY ST", 30.6),
        (1207, "HARVEY ST", 30.6),
    ]:
        store.add_permit(lat=lat, lng=-97.7, house_number=number, street=street)
    store.add_permit(house_number=5, street="HARVEY ST")
    store.publish()
    return store


async def test_an_address_is_the_point_of_most_of_its_permits(streets: Store, engine: AsyncEngine) -> None:
    found = await find(engine, "1207 Harvey Street")
    assert found.place is not None
    assert (found.place.label, found.place.lat, found.place.quality) == ("1207 HARVEY ST", 30.6, "unstated")


@pytest.mark.parametrize("text", ["1205 Harvy St", "1205 Harvey Ave", "1205 N Harvey", "1205 HARVEYS STREET"])
async def test_a_letter_or_a_suffix_amiss_is_forgiven_where_one_street_is_meant(
    text: str, streets: Store, engine: AsyncEngine
) -> None:
    found = await find(engine, text)
    assert found.place is not None
    assert found.place.label == "1205 HARVEY ST"


async def test_two_streets_that_may_be_meant_are_candidates(streets: Store, engine: AsyncEngine) -> None:
    found = await find(engine, "100 Main Street")
    assert (found.place, found.candidates, found.is_ambiguous) == (None, ("100 E MAIN ST", "100 W MAIN ST"), True)


async def test_an_unknown_number_gives_its_neighbours_and_no_point(streets: Store, engine: AsyncEngine) -> None:
    found = await find(engine, "1209 Harvey Street")
    assert (found.place, found.candidates) == (None, ("1207 HARVEY ST", "1205 HARVEY ST"))


async def test_an_unlocated_permit_is_no_place(streets: Store, engine: AsyncEngine) -> None:
    assert (await find(engine, "5 Harvey Street")).place is None


async def test_an_unknown_street_gives_nothing(streets: Store, engine: AsyncEngine) -> None:
    assert await find(engine, "1205 Elm Street") == Found()
