"""Files are read record by record, and nothing of a record is taken that the city file does not name."""

import gzip
import io
import json
import pickle
import re
import tracemalloc
from pathlib import Path

import pytest

from app.cities.city import City, find_city
from app.ingest.sources.base import Demand, Record, SourceFailed
from app.ingest.sources.documents import FIRST_RECORDS
from app.ingest.sources.files import FileSource, find_sources, open_feed
from tests.ingest.conftest import (
    PORTAL_ROW,
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
    with FileSource(path, path.name).open(city, {}, Demand()) as feed:
        return [record for page in feed.pages() for record in feed.decoder.decode(page)]


def read_bytes(city: City, content: bytes, name: str = "stream") -> list[Record]:
    """Read a stream to its end."""
    with open_feed(city, io.BytesIO(content), name, fingerprint="", size=None, demand=Demand()) as feed:
        return [record for page in feed.pages() for record in feed.decoder.decode(page)]


def numbers(records: list[Record]) -> list[str]:
    """Name the permits of records."""
    return [record.values["permit_number"] for record in records]


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


def test_padded_titles_are_the_columns_that_they_name(austin: City) -> None:
    assert numbers(read_bytes(austin, b"  permit_number,permittype ,\tstatus_current\n1,EP,Final\n")) == ["1"]


def test_an_unnamed_column_is_left_alone(austin: City) -> None:
    (record,) = read_bytes(austin, b",permit_number,permittype,status_current\n0,1,EP,Final\n")
    assert record.values == {"permit_number": "1", "permittype": "EP", "status_current": "Final"}


def test_a_value_of_nul_bytes_is_read(austin: City) -> None:
    (record,) = read_bytes(austin, b"permit_number,permittype,status_current\n1,E\0P,Final\n")
    assert record.values["permittype"] == "E\0P"


def test_bytes_that_are_no_text_are_shown_as_such(austin: City) -> None:
    (record,) = read_bytes(austin, b"permit_number,permittype,status_current\n1,EP,caf\xe9\n")
    assert record.values["status_current"] == "caf\ufffd"
    (record,) = read_bytes(austin, b'[{"permit_number": "1", "permittype": "EP", "status_current": "caf\xe9"}]')
    assert record.values["status_current"] == "caf\ufffd"


def test_a_quote_that_is_never_closed_fails_before_memory_does(austin: City) -> None:
    content = b'permit_number,permittype,status_current\n1,EP,"' + b"x" * 1_000_001
    with pytest.raises(SourceFailed, match=r"^stream: not readable as CSV$"):
        read_bytes(austin, content)


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


def test_a_number_with_an_exponent_is_written_out(austin: City) -> None:
    (record,) = read_bytes(
        austin, b'[{"permit_number": 1, "permittype": "EP", "status_current": 1e3, "description": true}]'
    )
    assert (record.values["permit_number"], record.values["status_current"]) == ("1", "1000")
    assert record.values["description"] == "true"


def test_objects_one_behind_the_other_are_records(austin: City) -> None:
    rows = [json.dumps(portal_row(permit_number=f"2025-00000{number} EP"), indent=1) for number in (1, 2, 3)]
    assert numbers(read_bytes(austin, "\n\n".join(rows).encode())) == [f"2025-00000{number} EP" for number in (1, 2, 3)]


def test_pages_of_odata_are_read_as_their_results(austin: City) -> None:
    page = {"d": {"results": [portal_row(), portal_row()], "__count": "300690", "__next": "https://example.org"}}
    assert len(read_bytes(austin, json.dumps(page).encode())) == 2


def test_gzipped_json_with_a_byte_order_mark_is_read(austin: City) -> None:
    content = gzip.compress(b"\xef\xbb\xbf" + json.dumps([portal_row()]).encode())
    assert len(read_bytes(austin, content, "a.json.gz")) == 1


def test_a_name_with_dots_is_that_of_a_nested_member() -> None:
    page = {"permit_number": "1", "issued_datetime": "/Date(0)/", "application_description": "", "permit_type_name": ""}
    nested = {"locations": {"x": "2693578", "y": None, "zip": "19121-3316", "owner": "Imaginary"}}
    (record,) = read_bytes(find_city("philadelphia"), json.dumps([page | nested]).encode())
    assert record.values["locations.x"] == "2693578"
    assert record.values["locations.y"] == ""
    assert "Imaginary" not in str(record.values)


def test_an_object_that_is_no_link_is_compact_json() -> None:
    row = {"permit_number": "1", "record_id": "2", "permit_type_definition": "x", "status": "issued"}
    place = {"type": "Point", "coordinates": [-122.4, 37.70]}
    (record,) = read_bytes(find_city("san_francisco"), json.dumps([row | {"location": place}]).encode())
    assert record.values["location"] == '{"type":"Point","coordinates":[-122.4,37.7]}'


def test_an_empty_array_is_no_record_and_no_fault(austin: City) -> None:
    assert read_bytes(austin, b"[]") == []


def test_a_column_that_appears_late_in_json_is_read(austin: City) -> None:
    rows = [portal_row(permit_number=f"2025-{number:06d} EP") for number in range(FIRST_RECORDS + 1)]
    rows[-1]["project_id"] = "P-1"
    raw = io.BytesIO(json.dumps(rows).encode())
    with open_feed(austin, raw, "a.json", fingerprint="", size=None, demand=Demand()) as feed:
        assert "project_id" not in feed.columns
        records = [record for page in feed.pages() for record in feed.decoder.decode(page)]
        assert "project_id" in feed.columns
    assert records[-1].values["project_id"] == "P-1"


def test_json_that_is_cut_off_after_some_records_fails(austin: City) -> None:
    whole = json.dumps([portal_row()] * 3_000).encode()
    with pytest.raises(SourceFailed, match="not readable as JSON, or cut off"):
        read_bytes(austin, whole[: len(whole) * 2 // 3])


def measure_reading(city: City, content: bytes) -> int:
    """Give the most memory that reading holds at a time."""
    with open_feed(city, io.BytesIO(content), "a", fingerprint="", size=None, demand=Demand()) as feed:
        tracemalloc.start()
        for _ in feed.pages():
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_a_json_file(austin: City) -> None:
    row = json.dumps(PORTAL_ROW)
    short, long = (measure_reading(austin, f"[{','.join([row] * rows)}]".encode()) for rows in (11_000, 33_000))
    assert long < 1.1 * short


def test_memory_does_not_grow_with_a_csv_file(austin: City, tmp_path: Path) -> None:
    plain = write_csv(tmp_path / "a.csv", [report_row()] * 11_000).read_bytes()
    header, _, rows = plain.partition(b"\n")
    short, long = (measure_reading(austin, header + b"\n" + rows * times) for times in (1, 3))
    assert long < 1.1 * short


def test_what_is_no_record_in_json_is_counted_with_its_place(austin: City, tmp_path: Path) -> None:
    records = read(austin, write_json(tmp_path / "a.json", [portal_row(), "stray", portal_row()]))
    assert [(record.position, record.fault) for record in records] == [(1, None), (2, "not_a_record"), (3, None)]


def test_a_row_of_another_width_is_in_doubt_as_a_whole(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    path.write_text(path.read_text() + "2015-000002 EP,too,short\n")
    record = read(austin, path)[1]
    assert (record.position, record.values, record.fault) == (2, {}, "wrong_number_of_columns")


def test_a_status_beside_its_column_shows_shifted_columns(austin: City, tmp_path: Path) -> None:
    shifted = report_row(work_description="Sign for 'Made Up ", status=" Urgent Care'.", folder_owner="Final")
    (record,) = read(austin, write_csv(tmp_path / "a.csv", [shifted]))
    assert (record.position, record.values, record.fault) == (1, {}, "shifted_columns")


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
        ("a.json", b'{"error": true, "message": "throttled"}', "its columns fit no form of austin"),
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


def test_a_page_holds_no_column_that_the_form_does_not_read(austin: City, tmp_path: Path) -> None:
    shifted = report_row(work_description="Sign for 'Made Up ", status=" Urgent Care'.", folder_owner="Final")
    path = write_csv(tmp_path / "a.csv", [report_row(), shifted])
    path.write_text(path.read_text() + "Imaginary Homeowner,too,short\n")
    with FileSource(path, path.name).open(austin, {}, Demand()) as feed:
        pages = list(feed.pages())
    assert len(pages[0].rows) == 3
    assert not [word for word in ("Imaginary", "Volta", "5550100", "555-0100") if word in str(pages)]


def test_rows_in_doubt_are_told_apart_by_a_hash(austin: City) -> None:
    header = b"permit_number,permittype,status_current\n"
    first, again, other = read_bytes(austin, header + b"1,2\n1,2\n1,3\n")
    assert first.digest == again.digest != other.digest
    assert len(first.digest or b"") == 16


def test_pages_are_resumed_after_any_of_them(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv.gz", [report_row(permit_number=f"2015-{n:06d} EP") for n in range(12_000)])
    source = FileSource(path, path.name)
    with source.open(austin, {}, Demand()) as feed:
        pages = list(feed.pages())
    assert [(page.first, page.resume) for page in pages] == [(1, "5000"), (5001, "10000"), (10_001, "12000")]
    for place, page in enumerate(pages):
        with source.open(austin, {}, Demand()) as feed:
            assert list(feed.pages(page.resume)) == pages[place + 1 :]


def test_a_decoder_can_be_sent_to_a_worker(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()], REPORT_51_COLUMNS)
    with FileSource(path, path.name).open(austin, {}, Demand()) as feed:
        (page,) = feed.pages()
        decoder = pickle.loads(pickle.dumps(feed.decoder))
        assert list(decoder.decode(page)) == list(feed.decoder.decode(page))


def test_a_file_that_was_written_again_has_another_fingerprint(austin: City, tmp_path: Path) -> None:
    def take() -> str:
        with FileSource(path, path.name).open(austin, {}, Demand()) as feed:
            return feed.fingerprint

    path = write_csv(tmp_path / "a.csv", [report_row()])
    first = take()
    assert take() == first
    write_csv(path, [report_row(status="Active")])
    assert take() != first


def test_a_file_tells_all_there_is_only_where_that_is_asked_for(austin: City) -> None:
    content = b"permit_number,permittype,status_current\n1,EP,Final\n"
    for full in (False, True):
        demand = Demand(full=full)
        with open_feed(austin, io.BytesIO(content), "a", fingerprint="", size=None, demand=demand) as feed:
            assert feed.whole == full
            assert feed.key_pages() is None


def test_progress_is_told_in_bytes_of_the_file(austin: City, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv.gz", [report_row()] * 100)
    with FileSource(path, path.name).open(austin, {}, Demand()) as feed:
        list(feed.pages())
        assert feed.progress() == (path.stat().st_size, path.stat().st_size)


class Dribbling(io.RawIOBase):
    """A connection that gives a byte at a time."""

    def __init__(self, content: bytes) -> None:
        self.rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.rest.read(1)


def test_a_stream_may_come_in_any_pieces(austin: City) -> None:
    content = gzip.compress(b"permit_number,permittype,status_current\n1,EP,Final\n")
    raw = Dribbling(content)
    with open_feed(austin, raw, "download", fingerprint="", size=None, demand=Demand()) as feed:
        assert [len(page.rows) for page in feed.pages()] == [1]
    assert not raw.closed


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.json.gz", "notes.txt", "c.json"):
        (tmp_path / name).write_text("")
    assert [source.name for source in find_sources([tmp_path])] == ["a.json.gz", "b.csv", "c.json"]


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    assert [source.name for source in find_sources([tmp_path / "x/a.csv", tmp_path / "y/a.csv"])] == [
        "a.csv",
        "a.csv (2)",
    ]


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=f"^{re.escape(tmp_path.name)}: no CSV or JSON file is in this folder$"):
        find_sources([tmp_path])


def test_a_dash_is_standard_input(austin: City, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO(b"permit_number,permittype,status_current\n1,EP,Final\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    (source,) = find_sources([Path("-")])
    assert source.name == "standard input"
    with source.open(austin, {}, Demand()) as feed:
        assert [len(page.rows) for page in feed.pages()] == [1]
        assert feed.fingerprint == ""
