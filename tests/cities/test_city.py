"""A city file is data: what it may say is checked, and a fault is named with its file and place."""

from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from app.cities.city import CITIES, PermitField, find_city, list_cities, read_city
from app.errors import MisconfiguredError, NoSuchCity
from app.permits.tables import permits

SMALL = """
name = "tiny"
title = "Tiny"
time_zone = "America/Chicago"
box = { west = -98.3, south = 29.9, east = -97.3, north = 30.8 }

[[forms]]
name = "only"
needs = ["number"]
source_id = "number"
date_forms = ["%Y-%m-%d"]

[forms.columns]
permit_number = "number"
"""

PORTAL = """
portal = { kind = "socrata", url = "https://example.org", dataset = "a1b2-c3d4", form = "other", key = "id" }
"""


def write(folder: Path, text: str, name: str = "tiny") -> Path:
    """Write a city file."""
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", list_cities())
def test_every_shipped_city_file_is_valid(name: str) -> None:
    assert find_city(name).name == name


@pytest.mark.parametrize("name", list_cities())
def test_every_shipped_city_has_a_real_time_zone(name: str) -> None:
    try:
        ZoneInfo("America/Chicago")
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone data")
    ZoneInfo(find_city(name).time_zone)


def test_the_sample_city_says_that_it_is_synthetic() -> None:
    sample = find_city("sample")
    assert sample.synthetic
    assert "synthetic" in sample.title


def test_no_other_city_is_synthetic() -> None:
    assert [name for name in list_cities() if find_city(name).synthetic] == ["sample"]


def test_every_field_that_a_city_file_may_fill_is_a_column_of_the_register() -> None:
    assert set(get_args(PermitField)) <= set(permits.columns.keys())


@pytest.mark.parametrize("name", list_cities())
def test_no_city_file_reads_a_person(name: str) -> None:
    read = {column for form in find_city(name).forms for column in form.read_columns}
    assert not [
        column for column in read if any(word in column for word in ("owner", "applicant", "phone", "full_name"))
    ]


def test_an_unknown_city_is_refused_with_those_there_are() -> None:
    with pytest.raises(NoSuchCity, match="no city file is called 'atlantis'; there are: austin"):
        find_city("atlantis")


def test_a_path_is_no_city() -> None:
    with pytest.raises(NoSuchCity):
        find_city("../cities/austin")


def test_a_small_city_file_is_enough(tmp_path: Path) -> None:
    city = read_city(write(tmp_path, SMALL))
    assert city.forms[0].read_columns == {"number"}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('title = "Tiny"', 'title = "Tiny"\nmayor = "x"', "mayor: no such key is known here"),
        ("west = -98.3", "west = -90.0", "box: west must be less than east"),
        ('source_id = "number"', "source_id = []", r"forms\.1\.source_id"),
        ('source_id = "number"', 'source_id = "number"\nshape = "("', r"forms\.1\.shape: not a regular expression"),
        ('source_id = "number"', 'source_id = "number"\nwitness = "status"', "status is not among the columns"),
        ('source_id = "number"', 'source_id = "number"\nrejects_keep = ["owner"]', "owner is not among the columns"),
        ('permit_number = "number"', 'permit_numbers = "number"', r"forms\.1\.columns\.permit_numbers"),
        ('name = "tiny"', 'name = "other"', "name must be 'tiny'"),
        ("needs = [", "needs = [[", "Unclosed array|Expected|Invalid"),
        ("America/Chicago", "chicago time", "time_zone: no time zone is called 'chicago time'"),
        ("America/Chicago", "America/Chicagoo", "time_zone: no time zone is called 'America/Chicagoo'"),
        (
            '["%Y-%m-%d"]',
            '["%Y-%m"]',
            r"forms\.1\.date_forms\.1: '%Y-%m' is not a date form that tells year, month and day",
        ),
        ('["%Y-%m-%d"]', '["iso"]', r"forms\.1\.date_forms\.1: 'iso' is not a date form"),
        ('source_id = "number"', "source_id = { hash = [] }", r"forms\.1\.source_id"),
        ('source_id = "number"', 'source_id = { md5 = ["number"] }', r"forms\.1\.source_id"),
        (
            'source_id = "number"',
            'source_id = "number"\nas_of = "day"',
            r"forms\.1\.as_of: has no group that would be the day",
        ),
        ("time_zone = ", 'personal = ["NUM*"]\ntime_zone = ', "the form 'only' reads number, which is personal"),
        ("box = ", PORTAL + "box = ", r"portal\.form: no form is called 'other'"),
        ("box = ", PORTAL.replace("other", "only") + "box = ", r"portal\.key: id is not among the columns"),
        ("box = ", PORTAL.replace("a1b2-c3d4", "many") + "box = ", r"portal\.dataset"),
    ],
)
def test_a_fault_is_named_with_its_file_and_place(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in SMALL
    with pytest.raises(MisconfiguredError, match=rf"^tiny\.toml: .*(?:{fault})"):
        read_city(write(tmp_path, SMALL.replace(old, new, 1)))


@pytest.mark.parametrize(
    "place",
    [
        'lat = "a"',
        'lat = "a"\nlng = "b"\nwkt = "c"',
        'x = "a"\ny = "b"',
        'accuracy = "a"',
        'geojson = "a"\newkb = "b"',
    ],
)
def test_a_place_is_told_in_one_way(tmp_path: Path, place: str) -> None:
    text = f"{SMALL}\n[forms.place]\n{place}\n"
    with pytest.raises(MisconfiguredError, match=r"^tiny\.toml: forms\.1\.place: a place is one of lat and lng, wkt"):
        read_city(write(tmp_path, text))


@pytest.mark.parametrize(
    ("place", "columns"),
    [
        ('lat = ["a", "b"]\nlng = "c"\naccuracy = "d"', {"a", "b", "c", "d"}),
        ('wkt = "a"', {"a"}),
        ('x = "a"\ny = "b"\nepsg = 2272', {"a", "b"}),
    ],
)
def test_the_columns_of_a_place_are_read(tmp_path: Path, place: str, columns: set[str]) -> None:
    city = read_city(write(tmp_path, f"{SMALL}\n[forms.place]\n{place}\n"))
    assert city.forms[0].read_columns == {"number"} | columns


def test_a_key_may_be_a_hash_of_columns(tmp_path: Path) -> None:
    city = read_city(write(tmp_path, SMALL.replace('source_id = "number"', 'source_id = { hash = ["day", "place"] }')))
    assert (city.forms[0].source_id, city.forms[0].hashed) == (("day", "place"), True)
    assert {"day", "place"} <= city.forms[0].read_columns


def test_a_title_that_leads_to_a_read_column_may_not_be_personal(tmp_path: Path) -> None:
    text = SMALL.replace("time_zone", 'personal = ["owner*"]\ntime_zone') + '[forms.titles]\n"Owner Id" = "number"\n'
    with pytest.raises(MisconfiguredError, match="the form 'only' reads Owner Id, which is personal"):
        read_city(write(tmp_path, text))


@pytest.mark.parametrize(
    ("city", "column"),
    [
        ("austin", "folder_owner_phone"),
        ("austin", "Applicant Full Name"),
        ("austin", "contractor_address1"),
        ("chicago", "CONTRACTOR_15_PHONE"),
        ("chicago", "gp"),
        ("new_york", "Permittee's Phone #"),
        ("new_york", "owner_s_first_name"),
        ("new_york", "applicant_business_name"),
        ("calgary", "contractorname"),
        ("philadelphia", "pri_contact_last_name"),
    ],
)
def test_a_person_is_never_read(city: str, column: str) -> None:
    assert find_city(city).is_personal(column)


def test_austins_contractors_are_companies_with_a_trade() -> None:
    austin = find_city("austin")
    assert not austin.is_personal("contractor_company_name")
    assert not austin.is_personal("contractor_trade")


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("austin", "3syk-w9eu"), ("san_francisco", "i98e-djp9"), ("new_york", "ipu4-2q9a"), ("calgary", "c2es-76ed")],
)
def test_a_citys_portal_is_its_data_set(name: str, dataset: str) -> None:
    portal = find_city(name).portal
    assert portal is not None
    assert (portal.dataset, portal.token_env) == (dataset, "SOCRATA_APP_TOKEN")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"^gone\.toml: cannot be read"):
        read_city(tmp_path / "gone.toml")


def test_austin_tells_its_two_forms_apart_by_their_columns() -> None:
    austin = find_city("austin")
    report = austin.choose_form(["permit_number", "date_issued", "work_description", "folder_owner", "lat", "lng"])
    portal = austin.choose_form(["permit_number", "permittype", "status_current"])
    export = austin.choose_form(["Permit Num", "Permit Type", "Status Current"])
    assert (report and report.name, portal and portal.name, export and export.name) == (
        "permit report",
        "portal",
        "portal",
    )


def test_columns_of_no_known_form_are_no_form() -> None:
    assert find_city("austin").choose_form(["a", "b"]) is None


def test_city_files_lie_beside_their_loader() -> None:
    assert {path.stem for path in CITIES.glob("*.toml")} == set(list_cities())
