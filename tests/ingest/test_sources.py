"""Files are read record by record, and nothing of a record is taken that the city file does not name."""

import gzip
from pathlib import Path

import pytest

from app.cities.city import City
from app.ingest.sources import Record, SourceFailed, open_source
from tests.ingest.conftest import (
    REPORT_43_COLUMNS,
    REPORT_51_COLUMNS,
    REPORT_COLUMNS,
    portal_row,
    report_row,
    write_csv,
    write_json,
)


def read(city: City, path: Path) -> list[Record]:
    """Read a file to its end."""
    with open_source(city, path, path.name) as source:
        return list(source.records)


def test_no_owner_leaves_the_reader(austin: City, tmp_path: Path) -> None:
    (record,) = read(austin, write_csv(tmp_path / "a.csv", [report_row()]))
    assert not [name for name in record.values if "owner" in name or "legal" in name]
    assert "Imaginary Homeowner" not in record.values.values()


def test_no_applicant_leaves_the_reader(austin: City, tmp_path: Path) -> None:
    (record,) = read(austin, write_json(tmp_path / "a.json", [portal_row()]))
    assert not [name for name in record.values if "applicant" in name or "phone" in name]


@pytest.mark.parametrize("columns", [REPORT_COLUMNS, REPORT_43_COLUMNS, REPORT_51_COLUMNS], ids=["37", "43", "51"])
def test_the_report_is_read_in_all_its_widths(austin: City, tmp_path: Path, columns: list[str]) -> None:
    (record,) = read(austin, write_csv(tmp_path / "a.csv.gz", [report_row()], columns))
    assert record.values["permit_number"] == "2015-000001 EP"
    assert record.values["lat"] == "30.25"


def test_of_a_column_named_twice_the_first_filled_one_counts(austin: City, tmp_path: Path) -> None:
    lat = [place for place, name in enumerate(REPORT_51_COLUMNS) if name == "lat"]
    path = write_csv(tmp_path / "a.csv", [report_row()], REPORT_51_COLUMNS)
    header, line = path.read_text().splitlines()
    fields = line.split(",")
    assert [fields[place + 1] for place in lat] == ["30.25", "30.25"], "the quoted description holds one comma"
    fields[lat[0] + 1] = ""
    path.write_text("\n".join([header, ",".join(fields)]) + "\n")
    (record,) = read(austin, path)
    assert record.values["lat"] == "30.25"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_any_line_end_is_read(austin: City, tmp_path: Path, end: str) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row(), report_row(permit_number="2015-000002 EP")])
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    assert [record.position for record in read(austin, path)] == [1, 2]


def test_a_byte_order_mark_is_no_part_of_a_name(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(austin, path)[0].values["permit_number"] == "2015-000001 EP"


def test_a_newline_inside_a_value_is_no_new_record(austin: City, tmp_path: Path) -> None:
    rows = [report_row(work_description="first\nsecond"), report_row(permit_number="2015-000002 EP")]
    assert len(read(austin, write_csv(tmp_path / "a.csv", rows))) == 2


def test_a_header_alone_is_no_record_and_no_fault(austin: City, tmp_path: Path) -> None:
    assert read(austin, write_csv(tmp_path / "a.csv", [])) == []


def test_titles_of_the_export_are_the_portals_columns(austin: City, tmp_path: Path) -> None:
    columns = ["Permit Num", "Permit Type", "Status Current", "AppliedDate", "Original Address1", "Applicant Full Name"]
    row = {
        "Permit Num": "2025-000001 EP",
        "Permit Type": "EP",
        "AppliedDate": "2025-03-31",
        "Original Address1": "1 A ST",
    }
    (record,) = read(austin, write_csv(tmp_path / "a.csv", [row], columns))
    assert record.values == {
        "permit_number": "2025-000001 EP",
        "permittype": "EP",
        "status_current": "",
        "applieddate": "2025-03-31",
        "original_address1": "1 A ST",
    }


def test_an_envelope_with_rows_is_read_as_its_rows(austin: City, tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"params": {}, "rows": [portal_row(), portal_row()]})
    assert len(read(austin, path)) == 2


def test_json_is_told_by_its_content_where_the_name_does_not(austin: City, tmp_path: Path) -> None:
    assert len(read(austin, write_json(tmp_path / "download", [portal_row()]))) == 1


@pytest.mark.parametrize("link", ["https://example.org/p", {"url": "https://example.org/p"}])
def test_a_link_is_text_in_either_spelling_of_the_portal(austin: City, tmp_path: Path, link: object) -> None:
    (record,) = read(austin, write_json(tmp_path / "a.json", [portal_row(link=link)]))
    assert record.values["link"] == "https://example.org/p"


def test_numbers_in_json_keep_their_digits(austin: City, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '[{"permit_number": "x", "permittype": "EP", "status_current": "a", "latitude": 30.300000000000001}]'
    )
    assert read(austin, path)[0].values["latitude"] == "30.300000000000001"


def test_what_is_no_record_in_json_is_counted_with_its_place(austin: City, tmp_path: Path) -> None:
    records = read(austin, write_json(tmp_path / "a.json", [portal_row(), "stray", portal_row()]))
    assert [(record.position, record.fault) for record in records] == [(1, None), (2, "not_a_record"), (3, None)]


def test_a_row_of_another_width_is_in_doubt_as_a_whole(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    path.write_text(path.read_text() + "2015-000002 EP,too,short\n")
    assert read(austin, path)[1] == Record(2, {}, "wrong_number_of_columns")


def test_a_status_beside_its_column_shows_shifted_columns(austin: City, tmp_path: Path) -> None:
    shifted = report_row(work_description="Sign for 'Made Up ", status=" Urgent Care'.", folder_owner="Final")
    (record,) = read(austin, write_csv(tmp_path / "a.csv", [shifted]))
    assert record == Record(1, {}, "shifted_columns")


@pytest.mark.parametrize("status", ["Never Heard Of", "", "final"])
def test_a_status_unlike_any_known_is_no_shift_by_itself(austin: City, tmp_path: Path, status: str) -> None:
    (record,) = read(austin, write_csv(tmp_path / "a.csv", [report_row(status=status)]))
    assert record.fault is None


def test_a_description_that_is_a_status_word_is_no_shift(austin: City, tmp_path: Path) -> None:
    (record,) = read(austin, write_csv(tmp_path / "a.csv", [report_row(work_description="Final", status="Active")]))
    assert record.fault is None


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.csv.gz", b"permit_number\n1\n", "not gzip data, though it is called .gz"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"\n", "its columns fit no form of austin"),
        ("a.csv", b"what,ever\n1,2\n", "its columns fit no form of austin"),
        ("a.json", b'[{"permit_number": "2025', "not readable as JSON, or cut off"),
        ("a.json", b'{"error": true, "message": "throttled"}', "neither a JSON array"),
        ("a.json", b"<html>Bad Gateway</html>", "not readable as JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_fault(
    austin: City, tmp_path: Path, name: str, content: bytes, fault: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceFailed, match=f"^{name}: {fault}"):
        read(austin, tmp_path / name)


def test_a_missing_file_is_named_without_its_folder(austin: City, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as raised:
        read(austin, tmp_path / "gone.csv")
    assert str(raised.value) == "gone.csv: there is no such file"


def test_cut_off_gzip_data_fail_while_they_are_read(austin: City, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    rows = [report_row(permit_number=f"2015-{number:06d} EP") for number in range(5_000)]
    whole = write_csv(path, rows).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceFailed, match="damaged or cut off"):
        read(austin, path)


def test_damaged_gzip_data_fail(austin: City, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    broken = bytearray(gzip.compress(write_csv(tmp_path / "b.csv", [report_row()] * 500).read_bytes()))
    broken[-8:-4] = b"\0\0\0\0"
    path.write_bytes(bytes(broken))
    with pytest.raises(SourceFailed, match="damaged or cut off"):
        read(austin, path)


def test_a_folder_is_no_file(austin: City, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="cannot be read"):
        read(austin, tmp_path)
