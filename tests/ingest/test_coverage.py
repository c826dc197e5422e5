"""What a city file makes of a file is told before anything is written, and no record's values are."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from app.cities.city import CITIES
from app.errors import MisconfiguredError
from app.ingest.coverage import Coverage, check_mapping, find_shape
from app.ingest.sources.base import SourceFailed
from scripts.show_coverage import print_coverage
from tests.ingest.conftest import REPORT_43_COLUMNS, portal_row, report_row, write_csv, write_json
from tests.ingest.real import find_real

AUSTIN = CITIES / "austin.toml"


def column(coverage: Coverage, name: str) -> tuple[int, tuple[str, ...], bool]:
    """Tell a column's share, use and whether it is personal."""
    found = next(column for column in coverage.columns if column.name == name)
    return found.filled, found.uses, found.personal


def field(coverage: Coverage, name: str) -> tuple[int, dict[str, int]]:
    """Tell a field's share, and what of it was refused."""
    found = next(field for field in coverage.fields if field.name == name)
    return found.filled, found.refused


def render(coverage: Coverage) -> str:
    """Print a coverage as text."""
    console = Console(file=io.StringIO(), width=160)
    print_coverage(coverage, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def coverage(tmp_path: Path) -> Coverage:
    """Check Austin's file against four made-up rows, of which one is no permit."""
    rows = [
        report_row(accuracy="ROOFTOP"),
        report_row(permit_number="2015-000002 EP", status="Levitating", lat="", lng=""),
        report_row(permit_number="2015-000002 EP", date_issued="02/04/2016", total_job_valuation="-1"),
        report_row(permit_number="2015-000003 EP", date_issued="3rd May"),
    ]
    return check_mapping(AUSTIN, write_csv(tmp_path / "a.csv", rows, REPORT_43_COLUMNS))


def test_a_column_is_told_by_what_it_becomes(coverage: Coverage) -> None:
    assert column(coverage, "permit_number") == (4, ("key", "permit_number", "permit_type"), False)
    assert column(coverage, "lat") == (3, ("point",), False)
    assert column(coverage, "accuracy") == (1, ("accuracy",), False)
    assert column(coverage, "county") == (0, (), False)


def test_a_personal_column_is_told_as_dropped(coverage: Coverage) -> None:
    assert column(coverage, "property_owner") == (4, (), True)
    assert "dropped: personal" in render(coverage)


def test_a_field_is_told_by_its_share_and_what_was_refused(coverage: Coverage) -> None:
    assert field(coverage, "issued_date") == (3, {"malformed": 1})
    assert field(coverage, "status_current") == (3, {"unknown": 1})
    assert field(coverage, "est_project_cost_usd") == (2, {"implausible": 1})
    assert field(coverage, "location") == (2, {})


def test_records_add_up(coverage: Coverage) -> None:
    assert (coverage.records, coverage.permits, coverage.source_ids) == (4, 3, 2)
    assert coverage.rejected == {"malformed_issued_date": 1}
    assert coverage.qualities == {"rooftop": 1, "missing": 1, "unstated": 1}


def test_days_are_told_as_ranges(coverage: Coverage) -> None:
    assert {name: (str(first), str(last)) for name, (first, last) in coverage.days.items()} == {
        "issued_date": ("2015-02-03", "2016-02-04")
    }


def test_unknown_words_are_told_and_failed_dates_by_their_shape(coverage: Coverage) -> None:
    assert coverage.unknown_words == {"status_current": {"Levitating": 1}}
    assert coverage.shapes == {"issued_date": {"9AA AAA": 1}}


def test_what_should_be_looked_at_is_said_in_words(coverage: Coverage, tmp_path: Path) -> None:
    assert coverage.warnings == [
        "1 records have the source_id of another and would be taken for the same permit; where they are not, source_id"
        " needs one more column"
    ]
    assert "look at: 1 records have the source_id of another" in render(coverage)
    columns = [column for column in REPORT_43_COLUMNS if column != "accuracy"]
    rows = [report_row(lat="-97.74", lng="30.27"), report_row(permit_number="2015-000002 EP", lat="1", lng="1")]
    shifted = check_mapping(AUSTIN, write_csv(tmp_path / "b.csv", rows, columns))
    assert shifted.warnings == [
        "the file has no column accuracy, which the city file reads",
        "most points lie outside the box, or are a geocoder's default: is lat before lng, and the box right?",
    ]
    none = check_mapping(AUSTIN, write_csv(tmp_path / "c.csv", [report_row(date_issued="soon")], REPORT_43_COLUMNS))
    assert none.warnings == ["no record is usable"]


def test_no_value_of_a_record_is_shown(coverage: Coverage) -> None:
    shown = render(coverage)
    assert "Levitating" in shown
    for value in ("Imaginary", "Volta", "555-0100", "MADE UP", "3rd May", "solar system", "2015-000001"):
        assert value not in shown


def test_a_shape_has_no_letter_and_no_digit_of_its_value() -> None:
    assert find_shape("Ärger, 12 Straße-7b") == "AAAAA, 99 AAAAAA-9A"
    assert len(find_shape("x" * 1000)) == 40


def test_columns_of_json_are_told_with_their_members(tmp_path: Path) -> None:
    row = portal_row(extra={"inner": {"deep": 1}, "name": "x"})
    coverage = check_mapping(AUSTIN, write_json(tmp_path / "a.json", [row]))
    names = {column.name for column in coverage.columns}
    assert {"link", "extra.name"} <= names
    assert not {"link.url", "extra", "extra.inner.deep"} & names


def test_a_wrong_city_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("name = 'x'")
    with pytest.raises(MisconfiguredError, match=r"^x\.toml: "):
        check_mapping(tmp_path / "x.toml", tmp_path / "a.csv")


def test_a_file_of_no_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceFailed, match=r"^a\.csv: its columns fit no form of austin"):
        check_mapping(AUSTIN, tmp_path / "a.csv")


def test_a_real_file_is_covered_whole() -> None:
    coverage = check_mapping(CITIES / "philadelphia.toml", find_real("philadelphia/li_odata_permits.002.json.gz"))
    assert (coverage.records, coverage.source_ids, coverage.rejected) == (1000, 1000, {})
    assert column(coverage, "locations.x") == (913, ("point",), False)
    assert column(coverage, "pri_contact_last_name")[1:] == ((), True)
    assert coverage.unknown_words == {}
