"""A file behind a URL is read where it changed, read on where it was cut, and never taken for whole where it is not."""

import gzip
import json
import logging
import random
from collections.abc import Callable, Generator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.cities.city import City
from app.errors import MisconfiguredError
from app.ingest.sources.base import Demand, Feed, Record, SourceFailed, State
from app.ingest.sources.http import Patience
from app.ingest.sources.url import UrlSource
from tests.ingest.conftest import portal_row, real_file, report_row, write_csv, write_json
from tests.ingest.portal_server import (
    HTML_200,
    HTML_502,
    HTML_AS_JSON,
    RESET,
    SILENT,
    SLOW,
    Fault,
    File,
    Naps,
    PortalServer,
    Request,
    status_fault,
)

ROWS = 900


@pytest.fixture
def server() -> Generator[PortalServer]:
    """A server without a file."""
    with PortalServer() as server:
        yield server


@pytest.fixture
def file(server: PortalServer, tmp_path: Path) -> File:
    """A report of some hundred kilobytes, which comes in several pieces."""
    rows = [report_row(permit_number=number(place)) for place in range(ROWS)]
    server.files["report.csv"] = File(write_csv(tmp_path / "report.csv", rows).read_bytes())
    return server.files["report.csv"]


@pytest.fixture
def naps() -> Naps:
    """What was slept."""
    return Naps()


Make = Callable[..., UrlSource]


@pytest.fixture
def make_source(server: PortalServer, naps: Naps) -> Make:
    """Make a source of one of the server's files, without sleep."""

    def make(path: str = "/files/report.csv", **patience: Any) -> UrlSource:
        return UrlSource(server.url + path, Patience(sleep=naps.sleep, clock=naps.clock, **{"read_s": 5, **patience}))

    return make


def number(place: int) -> str:
    """A made-up permit number."""
    return f"2015-{place:06d} EP"


def records(feed: Feed, resume: str | None = None) -> list[Record]:
    """Read a feed to its end."""
    return [record for page in feed.pages(resume) for record in feed.decoder.decode(page)]


def read(source: UrlSource, city: City, last: State | None = None, **demand: Any) -> tuple[list[str], State] | None:
    """Read it to its end: the permit numbers and what to remember; nothing where it is unchanged."""
    with source.open(city, last or {}, Demand(**demand)) as feed:
        if feed is None:
            return None
        return [record.values["permit_number"] for record in records(feed)], feed.state()


def is_read_whole(source: UrlSource, city: City) -> bool:
    """Whether every row comes, once and in order."""
    told = read(source, city)
    return told is not None and told[0] == [number(place) for place in range(ROWS)]


def asked(server: PortalServer, header: str) -> list[str | None]:
    """What each request for a file said in a header."""
    return [request.headers.get(header) for request in server.asked("/files/")]


# What is read


def test_a_file_is_read_as_from_disk(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    assert is_read_whole(make_source(), austin)
    assert asked(server, "accept-encoding") == ["identity"]
    assert asked(server, "range") == [None]


@pytest.mark.parametrize("name", ["report.csv.gz", "report"])
def test_a_gzipped_file_is_unpacked(
    make_source: Make, server: PortalServer, file: File, austin: City, name: str
) -> None:
    server.files[name] = File(gzip.compress(file.body), content_type="application/gzip")
    assert is_read_whole(make_source(f"/files/{name}"), austin)


def test_json_is_read(make_source: Make, server: PortalServer, austin: City, tmp_path: Path) -> None:
    path = write_json(tmp_path / "rows.json", [portal_row(permit_number="2026-000001 EP")])
    server.files["rows.json"] = File(path.read_bytes(), content_type="application/json")
    told = read(make_source("/files/rows.json"), austin)
    assert told is not None
    assert told[0] == ["2026-000001 EP"]


def test_a_real_daily_file_is_read(make_source: Make, server: PortalServer, austin: City) -> None:
    body = real_file("daily_files/2015-10-07.csv.gz").read_bytes()
    server.files["2015-10-07.csv.gz"] = File(body, content_type="application/octet-stream")
    told = read(make_source("/files/2015-10-07.csv.gz"), austin)
    assert told is not None
    assert len(told[0]) == 287


def test_a_file_sent_in_chunks_is_read(make_source: Make, file: File, austin: City) -> None:
    file.chunked = True
    assert is_read_whole(make_source(), austin)


def test_a_file_that_its_server_calls_encoded_is_unpacked_once(make_source: Make, file: File, austin: City) -> None:
    file.body, file.encoding = gzip.compress(file.body), "gzip"
    assert is_read_whole(make_source(), austin)


def test_a_redirect_is_followed(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    server.redirects["/files/latest"] = "/files/report.csv"
    assert is_read_whole(make_source("/files/latest"), austin)


def test_progress_is_told_in_bytes(make_source: Make, file: File, austin: City) -> None:
    with make_source().open(austin, {}, Demand()) as feed:
        assert feed is not None
        records(feed)
        assert feed.progress() == (len(file.body), len(file.body))


def test_nothing_is_put_on_disk(
    make_source: Make, file: File, austin: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a file was opened")

    source = make_source()
    is_read_whole(source, austin)  # what is imported on the way is there now
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("io.open", refuse)
    assert is_read_whole(source, austin)


# Whether it changed


def remember(source: UrlSource, city: City) -> State:
    """Read it, and give what to remember."""
    told = read(source, city)
    assert told is not None
    return told[1]


def test_a_file_that_is_still_the_same_is_not_read(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    state = remember(make_source(), austin)
    assert read(make_source(), austin, state) is None
    assert asked(server, "if-none-match")[-1] == file.etag
    assert asked(server, "if-modified-since")[-1] == file.last_modified


def test_a_date_alone_tells_whether_it_changed(make_source: Make, file: File, austin: City) -> None:
    file.etag = None
    state = remember(make_source(), austin)
    assert read(make_source(), austin, state) is None


@pytest.mark.parametrize("mark", [{"etag": '"two"'}, {"etag": None, "last_modified": "Tue, 03 Nov 2026 08:00:00 GMT"}])
def test_a_file_that_changed_is_read(
    make_source: Make, file: File, austin: City, mark: Mapping[str, str | None]
) -> None:
    state = remember(make_source(), austin)
    for name, value in mark.items():
        setattr(file, name, value)
    assert read(make_source(), austin, state) is not None


def test_a_server_without_conditions_is_read_each_time(make_source: Make, file: File, austin: City) -> None:
    state = remember(make_source(), austin)
    file.takes_conditions = False
    assert read(make_source(), austin, state) is not None


@pytest.mark.parametrize("demand", [{"full": True}, {"row_ids": frozenset({"a"})}], ids=["full", "chosen rows"])
def test_a_file_that_must_be_read_is_asked_for_without_condition(
    make_source: Make, server: PortalServer, file: File, austin: City, demand: Mapping[str, Any]
) -> None:
    state = remember(make_source(), austin)
    assert read(make_source(), austin, state, **demand) is not None
    assert asked(server, "if-none-match") == [None, None]


def test_what_is_known_of_another_address_is_no_condition(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    state = remember(make_source(), austin)
    assert read(make_source("/files/report.csv?year=2016"), austin, state) is not None
    assert asked(server, "if-none-match") == [None, None]


def test_what_is_remembered_are_the_servers_marks(make_source: Make, file: File, austin: City) -> None:
    state = dict(remember(make_source("/files/report.csv?key=Canary"), austin))
    assert "Canary" not in json.dumps(state)
    state.pop("address")
    assert state == {"etag": file.etag, "last_modified": file.last_modified, "length": len(file.body)}


# What tells its content apart


def fingerprint(source: UrlSource, city: City) -> str:
    """Open it, and give its fingerprint."""
    with source.open(city, {}, Demand()) as feed:
        assert feed is not None
        return feed.fingerprint


def test_the_fingerprint_is_that_of_the_servers_marks(make_source: Make, file: File, austin: City) -> None:
    first = fingerprint(make_source(), austin)
    assert first
    assert fingerprint(make_source(), austin) == first
    file.etag = '"two"'
    assert fingerprint(make_source(), austin) != first


def test_without_marks_there_is_no_fingerprint(make_source: Make, file: File, austin: City) -> None:
    file.etag = file.last_modified = None
    assert fingerprint(make_source(), austin) == ""


def test_a_run_that_died_goes_on_after_its_last_page(make_source: Make, file: File, austin: City) -> None:
    with make_source().open(austin, {}, Demand(since=date(2026, 1, 1))) as feed:
        assert feed is not None
        rest = records(feed, "600")
    assert [record.values["permit_number"] for record in rest] == [number(place) for place in range(600, ROWS)]
    assert rest[0].position == 601


# When the connection is cut


@pytest.mark.parametrize("cut", [0, 1, 65_536, 100_000, 200_000], ids=str)
def test_a_file_that_is_cut_is_read_on_from_there(
    make_source: Make, server: PortalServer, file: File, austin: City, cut: int
) -> None:
    server.fail(Fault(cut=cut))
    assert is_read_whole(make_source(), austin)


def test_the_rest_is_asked_for_only_of_the_same_file(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    server.fail(Fault(cut=30_000), Fault(cut=20_000))
    assert is_read_whole(make_source(), austin)
    assert asked(server, "range") == [None, "bytes=30000-", "bytes=50000-"]
    assert asked(server, "if-range") == [None, file.etag, file.etag]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_tag_its_date_names_the_file(
    make_source: Make, server: PortalServer, file: File, austin: City, etag: str | None
) -> None:
    file.etag = etag
    server.fail(Fault(cut=30_000))
    assert is_read_whole(make_source(), austin)
    assert asked(server, "if-range")[-1] == file.last_modified


def test_a_gzipped_file_is_read_on_too(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    server.files["report.csv.gz"] = File(gzip.compress(file.body, 0), content_type="application/gzip")
    server.fail(Fault(cut=77_777), RESET, Fault(cut=5))
    assert is_read_whole(make_source("/files/report.csv.gz"), austin)


def test_a_file_sent_in_chunks_is_read_on_too(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    file.chunked = True
    server.fail(Fault(cut=30_000))
    assert is_read_whole(make_source(), austin)


def test_many_cuts_do_not_use_up_patience_while_it_goes_on(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    server.fail(*[Fault(cut=9_000)] * 30)
    assert is_read_whole(make_source(), austin)


@pytest.mark.parametrize(
    "fault",
    [RESET, status_fault(503, Retry_After="7"), status_fault(500), HTML_502, SLOW, Fault(cut=0)],
    ids=["reset", "503", "500", "502 as a page", "slow", "nothing more"],
)
@pytest.mark.parametrize("before", [[], [Fault(cut=30_000)]], ids=["at first", "in the middle"])
def test_a_fault_that_passes_costs_nothing(
    make_source: Make, server: PortalServer, file: File, austin: City, fault: Fault, before: list[Fault]
) -> None:
    server.fail(*before, fault, fault)
    assert is_read_whole(make_source(), austin)


def test_a_server_that_cuts_without_end_is_given_up(
    make_source: Make, server: PortalServer, file: File, austin: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ingest.sources.url.RESUMES_MAX", 7)
    server.fail(*[Fault(cut=9_000)] * 30)
    with pytest.raises(SourceFailed, match="was cut off, and cannot be read on"):
        read(make_source(), austin)


def test_random_faults_change_nothing(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    """Twenty readers, each with its own luck; never six faults without a byte, which would end any patience."""
    packed = gzip.compress(file.body, 1)
    for seed in range(20):
        chance = random.Random(seed)
        server.files["report.csv.gz"] = File(packed, content_type="application/gzip", chunked=chance.random() < 0.3)
        path = chance.choice(["/files/report.csv", "/files/report.csv.gz"])
        for _ in range(40):
            server.fail(*chance.choices([RESET, HTML_502, status_fault(429), Fault(cut=0)], k=chance.randrange(4)))
            server.fail(Fault(cut=chance.randrange(1_000, 20_000)))
        assert is_read_whole(make_source(path), austin), seed
        server.heal()


def test_a_silent_server_is_asked_again(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    server.fail(SILENT)
    assert is_read_whole(make_source(read_s=0.2), austin)


def test_a_file_that_changes_while_it_is_read_fails(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    def change(request: Request) -> None:
        if "range" in request.headers:
            file.etag = '"two"'

    server.before = change
    server.fail(Fault(cut=30_000))
    with pytest.raises(SourceFailed, match=r"^127\.0\.0\.1 report\.csv: it changed while it was read"):
        read(make_source(), austin)


@pytest.mark.parametrize(
    "lie",
    [
        {"Content-Range": "bytes 29999-100000/{length}"},
        {"Content-Range": "bytes 30000-100000/{length}0"},
        {"Content-Range": "lines 1-2/3"},
        {"ETag": '"two"'},
    ],
    ids=["another place", "another length", "no bytes", "another tag"],
)
def test_a_part_that_is_not_the_rest_fails(
    make_source: Make, server: PortalServer, file: File, austin: City, lie: Mapping[str, str]
) -> None:
    told = {name: value.format(length=len(file.body)) for name, value in lie.items()}
    server.fail(Fault(cut=30_000), Fault(headers=told))
    with pytest.raises(SourceFailed, match="it changed while it was read"):
        read(make_source(), austin)


def test_a_file_that_became_shorter_fails(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    def shorten(request: Request) -> None:
        if "range" in request.headers:
            file.body = file.body[:20_000]

    server.before = shorten
    server.fail(Fault(cut=30_000))
    with pytest.raises(SourceFailed, match="it changed while it was read"):
        read(make_source(), austin)


def test_a_server_that_sends_no_parts_fails(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    file.takes_ranges = False
    server.fail(Fault(cut=30_000))
    with pytest.raises(SourceFailed, match="or its server sends no part of a file"):
        read(make_source(), austin)


def test_a_cut_file_without_marks_fails(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    file.etag = file.last_modified = None
    server.fail(Fault(cut=30_000))
    with pytest.raises(SourceFailed, match="was cut off, and cannot be read on"):
        read(make_source(), austin)


def test_a_file_that_never_gets_on_fails(make_source: Make, server: PortalServer, file: File, austin: City) -> None:
    server.fail(Fault(cut=30_000), *[Fault(cut=0)] * 9)
    with pytest.raises(SourceFailed, match="given up after 6 attempts"):
        read(make_source(), austin)


def test_a_file_that_is_gone_in_the_middle_fails(
    make_source: Make, server: PortalServer, file: File, austin: City
) -> None:
    server.fail(Fault(cut=30_000), status_fault(404))
    with pytest.raises(SourceFailed, match="it answered 404 while it was read"):
        read(make_source(), austin)


def test_a_file_whose_end_cannot_be_known_fails(make_source: Make, file: File, austin: City) -> None:
    file.tells_length = False
    with pytest.raises(SourceFailed, match="does not tell its length"):
        read(make_source(), austin)


# What is no file


@pytest.mark.parametrize("fault", [HTML_200, HTML_AS_JSON], ids=["as a page", "as data"])
def test_a_web_page_is_asked_for_again_and_then_fails(
    make_source: Make, server: PortalServer, file: File, austin: City, fault: Fault
) -> None:
    server.fail(fault, fault)
    assert is_read_whole(make_source(), austin)
    server.fail(*[fault] * 6)
    with pytest.raises(SourceFailed, match="a web page instead of data; given up after 6 attempts"):
        read(make_source(), austin)


def test_an_empty_file_fails(make_source: Make, file: File, austin: City) -> None:
    file.body = b""
    with pytest.raises(SourceFailed, match="the file is empty"):
        read(make_source(), austin)


def test_an_encoding_that_was_not_asked_for_fails(make_source: Make, file: File, austin: City) -> None:
    file.encoding = "br"
    with pytest.raises(SourceFailed, match="an encoding that was not asked for"):
        read(make_source(), austin)


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410])
def test_any_other_answer_fails_at_once(
    make_source: Make, server: PortalServer, file: File, austin: City, status: int
) -> None:
    server.fail(status_fault(status))
    with pytest.raises(SourceFailed, match=f"it answered {status}$"):
        read(make_source(), austin)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["ftp://example.org/a.csv", "report.csv", "http://", "https:///a.csv", ""])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(MisconfiguredError, match="the URL to read"):
        UrlSource(url)


# What is told


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://data.example.org/permits/2015.csv.gz", "data.example.org 2015.csv.gz"),
        ("https://user:Canary@data.example.org/a.csv?key=Canary#Canary", "data.example.org a.csv"),
        ("https://data.example.org", "data.example.org"),
        ("https://data.example.org/permits/", "data.example.org"),
    ],
)
def test_its_name_is_host_and_file_and_nothing_secret(url: str, name: str) -> None:
    assert UrlSource(url).name == name


def test_a_password_in_the_address_is_used_and_never_told(
    make_source: Make, server: PortalServer, file: File, austin: City, naps: Naps, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = server.url.replace("http://", "http://user:Canary@")
    source = UrlSource(f"{address}/files/report.csv?key=Canary", Patience(sleep=naps.sleep, clock=naps.clock))
    server.fail(Fault(cut=30_000), *[RESET] * 6)
    with pytest.raises(SourceFailed) as caught:
        read(source, austin)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("app")]
    assert len(ours) == 5
    assert "Canary" not in " ".join([*ours, str(caught.value), repr(source)])
    assert asked(server, "authorization")[0] is not None


def test_a_password_does_not_follow_to_another_host(server: PortalServer, file: File, austin: City, naps: Naps) -> None:
    with PortalServer() as other:
        other.files["report.csv"] = file
        server.redirects["/files/report.csv"] = f"{other.url}/files/report.csv"
        address = server.url.replace("http://", "http://user:Canary@")
        source = UrlSource(f"{address}/files/report.csv", Patience(sleep=naps.sleep, clock=naps.clock))
        assert is_read_whole(source, austin)
        assert asked(other, "authorization") == [None]
