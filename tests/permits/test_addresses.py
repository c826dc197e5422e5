"""Addresses are read into one form."""

import pytest

from app.permits.addresses import parse_address


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
        ("12345 North RM 620 Road RM 12", "12345 N RM 620 RD"),
        ("7300 FM 2222 RD BUNIT 280", "7300 FM 2222 RD"),
    ],
)
def test_spellings_of_one_address_are_read_alike(text: str, read: str) -> None:
    assert str(parse_address(text)) == read


@pytest.mark.parametrize(
    "text", [None, "", "Harvey Street", "1205", "1205 #4", "12345678 Main St", "x1 Main St", "-5 Main St", "\x00"]
)
def test_what_is_no_address_is_none(text: str | None) -> None:
    assert parse_address(text) is None
