"""A Socrata portal is read so that nothing is lost: whatever changes, breaks or lies while it is read."""

import gzip
import json
import logging
import pickle
import random
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.cities.city import Box, City, Form, Portal, Taken, find_city, list_cities
from app.errors import MisconfiguredError
from app.ingest.mapping import Mapper, PermitRow
from app.ingest.sources.base import Demand, Feed, Key, Page, Record, SourceFailed, SourceRefused, State
from app.ingest.sources.http import Patience
from app.ingest.sources.socrata import SocrataDecoder, SocrataSource, parse_instant, render_instant
from app.telemetry.logs import TALKATIVE
from tests.conftest import ROOT
from tests.ingest.conftest import portal_row, real_file
from tests.ingest.portal_server import (
    ACCEPTED,
    CUT,
    HALF_JSON,
    HTML_200,
    HTML_502,
    HTML_AS_JSON,
    RESET,
    SILENT,
    SLOW,
    WRONG_TYPE,
    DataSet,
    Fault,
    Naps,
    PortalServer,
    Request,
    instant,
    status_fault,
)

DATASET = "3syk-w9eu"
RESOURCE = f"/resource/{DATASET}.json"
VIEW = f"/api/views/{DATASET}.json"
NAME = f"data.example.org {DATASET}"
SHARED = ROOT.parent / "shared/data/permits"
PERSONAL = {"applicant_full_name", "contractor_phone"}
COLUMNS = {
    **dict.fromkeys("permit_number permittype permit_class work_class status_current description".split(), "text"),
    **dict.fromkeys("applieddate issue_date statusdate".split(), "calendar_date"),
    **dict.fromkeys("original_address1 original_zip council_district".split(), "text"),
    **dict.fromkeys("latitude longitude".split(), "number"),
    "link": "url",
    **dict.fromkeys(sorted(PERSONAL), "text"),
}


@pytest.fixture
def server() -> Generator[PortalServer]:
    """A portal with Austin's data set, as yet without a row."""
    with PortalServer() as server:
        server.datasets[DATASET] = DataSet(DATASET, dict(COLUMNS))
        yield server


@pytest.fixture
def data(server: PortalServer) -> DataSet:
    """Its data set."""
    return server.datasets[DATASET]


@pytest.fixture
def naps() -> Naps:
    """What was slept."""
    return Naps()


Make = Callable[..., SocrataSource]


@pytest.fixture
def make_source(server: PortalServer, naps: Naps) -> Make:
    """Make a source that asks the server, with small pages and without sleep."""

    def make(*, token: str | None = None, patience: Mapping[str, Any] | None = None, **portal: Any) -> SocrataSource:
        told = {"dataset": DATASET, "form": "portal", "key": "permit_number", "page_rows": 5, **portal}
        return SocrataSource(
            Portal(kind="socrata", url="https://data.example.org", **told),
            token=SecretStr(token) if token else None,
            base_url=server.url,
            patience=Patience(**{"sleep": naps.sleep, "clock": naps.clock, "read_s": 5, **(patience or {})}),
        )

    return make


def name_city(city: City) -> str:
    """Name a city in a test's id."""
    return city.name


def number(place: int) -> str:
    """A made-up permit number."""
    return f"2026-{place:06d} EP"


def fill(data: DataSet, count: int, *, at: Callable[[int], float] = float) -> None:
    """Put rows into the data set, one a minute unless told otherwise."""
    for place in range(count):
        data.add(instant(at(place)), **portal_row(permit_number=number(place)))


def records(feed: Feed, pages: Iterable[Page]) -> list[Record]:
    """Decode pages."""
    return [record for page in pages for record in feed.decoder.decode(page)]


def read(source: SocrataSource, city: City, last: State | None = None, **demand: Any) -> tuple[list[str], State]:
    """Read to the end: the permit numbers in the order in which they came, and what to remember."""
    with source.open(city, last or {}, Demand(**demand)) as feed:
        told = [record.values["permit_number"] for record in records(feed, feed.pages())]
        return told, feed.state()


def list_keys(source: SocrataSource, city: City, last: State) -> list[Key] | None:
    """List the keys, if it is time for it."""
    with source.open(city, last, Demand()) as feed:
        pages = feed.key_pages()
        return None if pages is None else [key for page in pages for key in page.keys]


def remember(data: DataSet, *, minutes: float = 0, **state: Any) -> dict[str, Any]:
    """What a run would remember whose last row was updated at so many minutes."""
    read_columns = {
        name: kind for name, kind in COLUMNS.items() if name not in {"applicant_full_name", "contractor_phone"}
    }
    told = {"watermark": {"at": instant(minutes), "id": "row-of.the~past"}, "rows": len(data.rows)}
    return {**told, "columns": read_columns, "keys_at": render_instant(datetime.now(UTC)), **state}


# What is read


def test_the_first_read_tells_every_row_and_is_whole(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 23)
    with make_source().open(austin, {}, Demand()) as feed:
        told = records(feed, feed.pages())
        assert feed.whole
    assert [record.values["permit_number"] for record in told] == [number(place) for place in range(23)]
    assert [record.position for record in told] == list(range(1, 24))


def test_rows_that_share_one_instant_are_told_once_each(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 43, at=lambda place: 0)
    assert read(make_source(), austin)[0] == [number(place) for place in range(43)]


def test_only_the_forms_columns_and_the_system_fields_are_selected(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 1)
    read(make_source(), austin)
    selected = server.asked(RESOURCE)[1].query["$select"].split(",")
    assert selected[:3] == [":id", ":created_at", ":updated_at"]
    assert set(selected[3:]) == COLUMNS.keys() - PERSONAL


def test_no_applicant_ever_leaves_the_portal(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    with make_source().open(austin, {}, Demand()) as feed:
        assert "Imaginary Applicant" not in str(list(feed.pages()))


def test_the_next_run_begins_an_overlap_before_the_last_row(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 200)
    _, state = read(make_source(), austin)
    data.add(instant(300), permit_number=number(900))
    told, _ = read(make_source(overlap_minutes=10), austin, state)
    assert told == [*(number(place) for place in range(189, 200)), number(900)]


def test_a_later_run_is_not_whole(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    with make_source().open(austin, remember(data), Demand()) as feed:
        assert not feed.whole


def test_since_begins_with_the_day_in_the_city(make_source: Make, data: DataSet, austin: City) -> None:
    for at in ("2026-11-02T05:59:59.999Z", "2026-11-02T06:00:00.000Z"):
        data.add(at, permit_number=at)
    assert read(make_source(), austin, since=date(2026, 11, 2))[0] == ["2026-11-02T06:00:00.000Z"]


def test_since_a_later_day_leaves_what_lies_between_to_the_next_run(
    make_source: Make, data: DataSet, austin: City
) -> None:
    fill(data, 5, at=lambda place: place * 24 * 60)
    last = remember(data, minutes=0)
    told, state = read(make_source(), austin, last, since=date(2026, 11, 4))
    assert told == [number(3), number(4)]
    assert state["watermark"] == last["watermark"]


def test_since_an_earlier_day_moves_the_watermark_on(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 5, at=lambda place: place * 24 * 60)
    _, state = read(make_source(), austin, remember(data, minutes=60), since=date(2026, 11, 1))
    assert state["watermark"] == {"at": instant(4 * 24 * 60), "id": data.rows[-1][":id"]}


def test_full_reads_everything_again(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 12)
    told, state = read(make_source(), austin, remember(data, minutes=11), full=True)
    assert len(told) == 12
    assert state["watermark"]["at"] == instant(11)


def test_chosen_rows_are_read_alone_and_move_no_watermark(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 350)
    chosen = frozenset(row[":id"] for row in data.rows[50:300])
    last = remember(data, minutes=5)
    told, state = read(make_source(), austin, last, row_ids=chosen)
    assert sorted(told) == [number(place) for place in range(50, 300)]
    assert state["watermark"] == last["watermark"]
    assert sum(":id in" in request.query.get("$where", "") for request in server.asked(RESOURCE)) == 3


def test_chosen_rows_that_are_gone_are_not_told(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    gone = data.rows.pop(1)
    with make_source().open(austin, {}, Demand(row_ids=frozenset({gone[":id"], data.rows[0][":id"]}))) as feed:
        assert not feed.whole
        assert len(records(feed, feed.pages())) == 1


def test_a_portal_that_sends_fewer_rows_than_asked_for_is_read_to_its_end(
    make_source: Make, data: DataSet, austin: City
) -> None:
    fill(data, 20)
    data.rows_max = 3
    assert len(read(make_source(page_rows=10), austin)[0]) == 20


def test_an_empty_data_set_is_read(make_source: Make, austin: City) -> None:
    told, state = read(make_source(), austin)
    assert told == []
    assert state["watermark"] is None


def test_progress_is_told_in_rows(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 12)
    with make_source().open(austin, {}, Demand()) as feed:
        pages = feed.pages()
        next(pages)
        assert feed.progress() == (5, 12)


@pytest.mark.parametrize(
    ("portal", "why"),
    [
        ({"form": "elsewhere"}, "no form is called 'elsewhere'"),
        ({"key": "project_id"}, "portal.key must be the source_id of the form 'portal'"),
    ],
    ids=["form", "key"],
)
def test_a_portal_that_does_not_fit_its_city_is_refused(
    make_source: Make, austin: City, portal: dict[str, str], why: str
) -> None:
    with pytest.raises(MisconfiguredError, match=why):
        read(make_source(**portal), austin)


@pytest.mark.parametrize(
    "city", [city for city in map(find_city, list_cities()) if city.portal], ids=lambda city: city.name
)
def test_every_portal_that_is_shipped_can_be_opened(server: PortalServer, naps: Naps, city: City) -> None:
    assert city.portal is not None
    server.datasets.clear()
    source = SocrataSource(city.portal, base_url=server.url, patience=Patience(sleep=naps.sleep, clock=naps.clock))
    with pytest.raises(SourceFailed, match="the data set is gone"):
        read(source, city)


# While it changes


def test_rows_updated_while_they_are_read_come_again_and_none_is_lost(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 40, at=lambda place: place // 10)
    chance = random.Random(3)

    def update_some(request: Request) -> None:
        if request.path == RESOURCE and len(server.requests) < 20:
            for row in chance.sample(data.rows, 3):
                row[":updated_at"] = instant(1000 + len(server.requests))
                row["status_current"] = f"after {len(server.requests)}"

    server.before = update_some
    with make_source().open(austin, {}, Demand()) as feed:
        newest = {record.values[":id"]: record.values["status_current"] for record in records(feed, feed.pages())}
    assert newest == {row[":id"]: row["status_current"] for row in data.rows}


def test_rows_deleted_while_others_are_read_cost_none_of_them(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 400)

    def delete_one(request: Request) -> None:
        if ":updated_at >" in request.query.get("$where", "") and len(data.rows) > 397:
            data.rows.pop(0)

    server.before = delete_one
    told, _ = read(make_source(page_rows=50), austin)
    assert {row["permit_number"] for row in data.rows} <= set(told)


def test_a_full_replace_in_the_middle_is_read_again_from_its_beginning(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 20)

    def replace(request: Request) -> None:
        if len(server.asked(RESOURCE)) == 4:
            data.replace_all(instant(5000))

    server.before = replace
    with make_source().open(austin, {}, Demand()) as feed:
        told = {record.values[":id"] for record in records(feed, feed.pages())}
    assert {row[":id"] for row in data.rows} <= told


def test_after_a_full_replace_every_row_is_read_under_its_new_id(
    make_source: Make, data: DataSet, austin: City
) -> None:
    fill(data, 33)
    _, state = read(make_source(), austin)
    data.replace_all(instant(5000))
    told, _ = read(make_source(), austin, state)
    assert told == [number(place) for place in range(33)]


# Going on where it died


def test_reading_goes_on_after_the_last_page(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 23, at=lambda place: place // 8)
    for pages_read in range(5):
        with make_source().open(austin, {}, Demand()) as feed:
            before = [page for page, _ in zip(feed.pages(), range(pages_read), strict=False)]
        with make_source().open(austin, {}, Demand()) as feed:
            after = list(feed.pages(before[-1].resume if before else None))
            told = records(feed, [*before, *after])
            assert feed.state()["watermark"]["id"] == data.rows[-1][":id"]
        assert [record.position for record in told] == list(range(1, 24))
        assert [record.values["permit_number"] for record in told] == [number(place) for place in range(23)]


def test_chosen_rows_go_on_after_the_last_page(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 250)
    demand = Demand(row_ids=frozenset(row[":id"] for row in data.rows))
    with make_source().open(austin, {}, demand) as feed:
        first, *rest = feed.pages()
        assert [list(page.rows) for page in feed.pages(first.resume)] == [list(page.rows) for page in rest]
        assert [page.first for page in (first, *rest)] == [1, 101, 201]


def test_the_same_question_has_the_same_fingerprint(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    marks = set()
    for last, demand in [({}, Demand()), ({}, Demand(full=True)), (remember(data), Demand()), ({}, Demand())]:
        with make_source().open(austin, last, demand) as feed:
            marks.add(feed.fingerprint)
    assert len(marks) == 2


def test_another_column_makes_another_fingerprint(make_source: Make, data: DataSet, austin: City) -> None:
    with make_source().open(austin, {}, Demand()) as feed:
        before = feed.fingerprint
    data.columns["jurisdiction"] = "text"
    with make_source().open(austin, {}, Demand()) as feed:
        assert feed.fingerprint != before


# A portal that lies


def page_body(data: DataSet, places: Sequence[int]) -> bytes:
    """A page of these rows, whatever was asked for."""
    return json.dumps([data.rows[place] for place in places]).encode()


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ([0, 1, 2, 3, 4], "not in the order"),
        ([4, 5, 6], "repeats a page"),
        ([6, 5], "not in the order"),
    ],
    ids=["the page before", "a page that begins too early", "rows out of order"],
)
def test_a_page_that_does_not_go_on_fails(
    make_source: Make, server: PortalServer, data: DataSet, austin: City, places: list[int], why: str
) -> None:
    fill(data, 12)
    server.fail(None, None, Fault(body=page_body(data, places)), at=RESOURCE)
    with pytest.raises(SourceFailed, match=why):
        read(make_source(), austin)


def test_a_portal_that_repeats_rows_of_one_instant_fails(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 12, at=lambda place: 0)
    first, second = (Fault(body=page_body(data, places)) for places in (range(5), range(5, 10)))
    server.fail(None, *[first, second] * 20, at=RESOURCE)
    with pytest.raises(SourceFailed, match="where it counts 12"):
        read(make_source(), austin)


def test_a_whole_read_that_ends_too_early_fails(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 12)
    server.fail(None, None, Fault(body=b"[]"), at=RESOURCE)
    with pytest.raises(SourceFailed, match="told 5 rows to its end, where it counts 12"):
        read(make_source(), austin)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": true}',
        b'[{"permit_number": "1"}]',
        b'[{":id": "row-a"}]',
        b'[{":id": 7, ":updated_at": "2026-11-01T08:00:00.000Z"}]',
        b'[{":id": "row-a", ":updated_at": "yesterday"}]',
        b"[1]",
        b"7",
    ],
)
def test_an_answer_without_ids_and_instants_fails(
    make_source: Make, server: PortalServer, data: DataSet, austin: City, body: bytes
) -> None:
    fill(data, 3)
    server.fail(None, Fault(body=body), at=RESOURCE)
    with pytest.raises(SourceFailed, match="no list of rows"):
        read(make_source(), austin)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'[{"n": "many"}]', b'[{"m": "3"}]', b"7"])
def test_a_count_that_is_none_fails(make_source: Make, server: PortalServer, austin: City, body: bytes) -> None:
    server.fail(Fault(body=body), at=RESOURCE)
    with pytest.raises(SourceFailed, match="does not count its rows"):
        read(make_source(), austin)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"columns": 7}', b'{"columns": [7]}'])
def test_a_description_without_columns_fails(
    make_source: Make, server: PortalServer, austin: City, body: bytes
) -> None:
    server.fail(Fault(body=body), at=VIEW)
    with pytest.raises(SourceFailed, match="names no columns"):
        read(make_source(), austin)


# Drift and shrinkage


def test_a_column_that_went_is_refused_before_a_row_is_asked_for(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 3)
    last = remember(data)
    del data.columns["issue_date"]
    with pytest.raises(SourceRefused, match="issue_date is not there; --accept-drift"):
        read(make_source(), austin, last)
    assert server.asked(RESOURCE) == []


def test_a_column_of_another_type_is_refused(make_source: Make, data: DataSet, austin: City) -> None:
    last = remember(data)
    data.columns |= {"latitude": "text", "issue_date": "text"}
    with pytest.raises(
        SourceRefused, match="issue_date was calendar_date and is text, latitude was number and is text; --accept-drift"
    ):
        read(make_source(), austin, last)


def test_drift_that_is_accepted_is_read_and_remembered(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    last = remember(data)
    del data.columns["issue_date"]
    data.columns["latitude"] = "text"
    told, state = read(make_source(), austin, last, take_drift=True)
    assert len(told) == 3
    assert "issue_date" not in state["columns"]
    assert state["columns"]["latitude"] == "text"
    read(make_source(), austin, state)


def test_a_column_that_nobody_reads_may_go(make_source: Make, data: DataSet, austin: City) -> None:
    last = remember(data)
    del data.columns["applicant_full_name"]
    read(make_source(), austin, last)


def test_a_new_column_is_no_drift(make_source: Make, data: DataSet, austin: City) -> None:
    last = remember(data)
    data.columns["jurisdiction"] = "text"
    _, state = read(make_source(), austin, last)
    assert state["columns"]["jurisdiction"] == "text"


def test_the_first_run_refuses_a_data_set_without_what_the_form_needs(
    make_source: Make, data: DataSet, austin: City
) -> None:
    del data.columns["permittype"]
    with pytest.raises(SourceRefused, match="permittype is not there; --accept-drift"):
        read(make_source(), austin)


def test_a_column_that_went_after_the_description_was_read_is_drift(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 3)

    def drop(request: Request) -> None:
        if request.path == RESOURCE:
            data.columns.pop("issue_date", None)

    server.before = drop
    with pytest.raises(SourceRefused, match="the column issue_date that its description names"):
        read(make_source(), austin)


@pytest.mark.parametrize(("rows", "is_refused"), [(89, True), (90, False)])
def test_a_data_set_below_nine_tenths_of_its_rows_is_refused(
    make_source: Make, data: DataSet, austin: City, rows: int, is_refused: bool
) -> None:
    fill(data, rows)
    last = remember(data, rows=100)
    if is_refused:
        with pytest.raises(SourceRefused, match="has 89 rows, and had 100 at the last run; --accept-shrinkage"):
            read(make_source(), austin, last)
    else:
        read(make_source(), austin, last)


def test_shrinkage_that_is_accepted_is_remembered(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    _, state = read(make_source(), austin, remember(data, rows=100), take_shrinkage=True)
    assert state["rows"] == 3


# Keys


def test_keys_tell_row_id_and_source_id_as_the_mapper_forms_it(make_source: Make, data: DataSet, austin: City) -> None:
    for place, written in enumerate([" 2026-000001 EP", "2026-000002 EP\t", "2026-000003 EP\x00", "2026-000004\xa0EP"]):
        data.add(instant(place), **portal_row(permit_number=written))
    with make_source().open(austin, {}, Demand()) as feed:
        mapper = Mapper(austin, feed.form, feed.columns)
        rows = [mapper.parse(record) for record in records(feed, feed.pages())]
    mapped = [Key(row.source_row_id, row.source_id) for row in rows if isinstance(row, PermitRow)]
    assert list_keys(make_source(), austin, remember(data, keys_at=None)) == mapped
    assert len(mapped) == 4


def test_a_key_of_several_columns_is_joined_by_blanks(make_source: Make, data: DataSet) -> None:
    columns = ["permit_number", "permittype"]
    city = make_city("austin", needs=columns, source_id=columns)
    data.add(instant(), **portal_row(permit_number="7", permittype=" EP "))
    assert list_keys(make_source(key=columns), city, remember(data, keys_at=None)) == [Key(data.rows[0][":id"], "7 EP")]


def test_keys_are_asked_for_once_in_so_many_days(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 12)
    now = datetime.now(UTC)
    fresh, old = (remember(data, keys_at=render_instant(now - timedelta(days=days))) for days in (6.9, 7.1))
    assert list_keys(make_source(), austin, fresh) is None
    assert len(list_keys(make_source(), austin, old) or []) == 12


def test_keys_that_cannot_be_listed_stay_due(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    del data.columns["permit_number"]
    with make_source().open(austin, remember(data, keys_at=None), Demand(take_drift=True)) as feed:
        assert feed.key_pages() is None
        assert feed.state()["keys_at"] is None


def test_a_whole_read_needs_no_keys_and_counts_as_a_listing(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 3)
    with make_source().open(austin, {}, Demand()) as feed:
        assert feed.key_pages() is None
        assert datetime.now(UTC) - parse_instant(feed.state()["keys_at"]) < timedelta(minutes=1)


def test_without_a_listing_its_day_is_kept(make_source: Make, data: DataSet, austin: City) -> None:
    last = remember(data)
    _, state = read(make_source(), austin, last)
    assert state["keys_at"] == last["keys_at"]


def test_a_listing_ends_with_the_rows_that_are_gone_missing(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 12)
    last = remember(data, keys_at=None)
    gone = data.rows.pop(4)
    keys = list_keys(make_source(), austin, last) or []
    assert gone[":id"] not in {key.row_id for key in keys}
    assert len(keys) == 11


def test_after_a_full_replace_the_keys_are_the_same_under_new_ids(
    make_source: Make, data: DataSet, austin: City
) -> None:
    fill(data, 12)
    last = remember(data, keys_at=None)
    before = list_keys(make_source(), austin, last) or []
    data.replace_all(instant(5000))
    after = list_keys(make_source(), austin, last) or []
    assert [key.source_id for key in after] == [key.source_id for key in before]
    assert not {key.row_id for key in after} & {key.row_id for key in before}


def test_a_listing_that_is_cut_short_is_never_taken_for_deletions(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 12)
    # Two counts of rows, one of keys, one page, then nothing.
    server.fail(None, None, None, None, Fault(body=b"[]"), at=RESOURCE)
    with pytest.raises(SourceFailed, match="told 5 rows to its end, where it counts 12"):
        list_keys(make_source(), austin, remember(data, keys_at=None))


def test_a_listing_that_repeats_itself_fails(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 12)
    server.fail(None, None, None, *[Fault(body=page_body(data, range(5)))] * 2, at=RESOURCE)
    with pytest.raises(SourceFailed, match="repeats a page of its keys"):
        list_keys(make_source(), austin, remember(data, keys_at=None))


def test_a_listing_goes_on_after_its_last_page(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 12)
    with make_source().open(austin, remember(data, keys_at=None), Demand()) as feed:
        pages = list(feed.key_pages() or ())
        assert list(feed.key_pages(pages[0].resume) or ()) == pages[1:]
        assert len(pages) == 3


# What is remembered


def test_a_run_remembers_its_last_row_its_rows_and_its_columns(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 7)
    _, state = read(make_source(), austin)
    assert state["watermark"] == {"at": instant(6), "id": data.rows[6][":id"]}
    assert state["rows"] == 7
    assert state["columns"]["issue_date"] == "calendar_date"
    assert json.loads(json.dumps(state)) == state


def test_the_watermark_never_goes_back(make_source: Make, data: DataSet, austin: City) -> None:
    fill(data, 7)
    last = remember(data, minutes=30)
    assert read(make_source(), austin, last)[1]["watermark"] == last["watermark"]


# Values


def test_values_are_text_as_the_portal_writes_them() -> None:
    columns = "absent null text flag real whole link note point".split()
    decoder = SocrataDecoder(
        (*((name, (name,)) for name in columns), ("point.x", ("point", "x")), ("text.x", ("text", "x")))
    )
    row = {
        "null": None,
        "text": " a ",
        "flag": True,
        "real": 1.5,
        "whole": 3,
        "link": {"url": "https://example.org", "description": "d"},
        "note": {"description": "ä"},
        "point": {"type": "Point", "x": "7"},
    }
    (record,) = pickle.loads(pickle.dumps(decoder)).decode(Page(8, [row], ""))
    assert record == Record(
        8,
        {
            "absent": "",
            "null": "",
            "text": "a",
            "flag": "true",
            "real": "1.5",
            "whole": "3",
            "link": "https://example.org",
            "note": '{"description":"ä"}',
            "point": '{"type":"Point","x":"7"}',
            "point.x": "7",
            "text.x": "",
        },
    )


def test_members_and_other_titles_are_read_from_their_fields(
    make_source: Make, server: PortalServer, data: DataSet
) -> None:
    columns = {"permit_number": "Permit Number", "original_zip": "location.zip"}
    titles = {"permit_number": "Permit Number"}
    city = make_city("austin", needs=["Permit Number"], source_id="Permit Number", columns=columns, titles=titles)
    data.columns = {"permit_number": "text", "location": "location"}
    data.add(instant(), permit_number="7", location={"latitude": "30.25", "zip": "78704"})
    with make_source(key="Permit Number").open(city, {}, Demand()) as feed:
        (record,) = records(feed, feed.pages())
    assert record.values == {
        ":id": data.rows[0][":id"],
        ":updated_at": instant(),
        "Permit Number": "7",
        "location.zip": "78704",
    }
    assert server.asked(RESOURCE)[1].query["$select"] == ":id,:created_at,:updated_at,location,permit_number"


def test_every_column_is_there_though_the_portal_leaves_out_nulls(
    make_source: Make, data: DataSet, austin: City
) -> None:
    data.add(instant(), permit_number=number(1))
    with make_source().open(austin, {}, Demand()) as feed:
        (record,) = records(feed, feed.pages())
        assert set(record.values) == feed.columns
    assert record.values["latitude"] == ""


def test_half_a_surrogate_pair_costs_no_page(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 1)
    body = page_body(data, [0]).replace(b"rooftop", b"\\ud83d")
    server.fail(None, Fault(body=body), at=RESOURCE)
    with make_source().open(austin, {}, Demand()) as feed:
        (record,) = records(feed, feed.pages())
    assert record.values["description"] == "Install 8.28 kW \ud83d solar system"


# Faults that pass


PASSING = {
    "too often": status_fault(429, Retry_After="3"),
    "unavailable": status_fault(503, Retry_After="soon"),
    "server error": status_fault(500),
    "bad gateway as a page": HTML_502,
    "a page under 200": HTML_200,
    "a page called JSON": HTML_AS_JSON,
    "another type": WRONG_TYPE,
    "not ready": ACCEPTED,
    "half a document": HALF_JSON,
    "nested without end": Fault(body=b"[" * 100_000),
    "bytes that are no text": Fault(body=b'[{"\xff": 1}]'),
    "nothing": Fault(body=b""),
    "a body that is cut": CUT,
    "no answer in order": RESET,
    "gzip that is none": Fault(headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("at", [VIEW, RESOURCE], ids=["description", "rows"])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_passes_costs_nothing(
    make_source: Make, server: PortalServer, data: DataSet, austin: City, naps: Naps, fault: Fault, at: str
) -> None:
    fill(data, 12)
    server.fail(*[fault] * 3, at=at)
    assert len(read(make_source(), austin)[0]) == 12
    assert len(naps.taken) == 3


def test_a_portal_that_is_silent_is_asked_again(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 12)
    server.fail(None, SILENT, at=RESOURCE)
    assert len(read(make_source(patience={"read_s": 0.2}), austin)[0]) == 12


def test_a_slow_body_is_waited_for(
    make_source: Make, server: PortalServer, data: DataSet, austin: City, naps: Naps
) -> None:
    fill(data, 12)
    server.fail(*[SLOW] * 5, at=RESOURCE)
    assert len(read(make_source(), austin)[0]) == 12
    assert naps.taken == []


def test_a_body_that_never_ends_is_given_up(make_source: Make, server: PortalServer, austin: City) -> None:
    server.fail(Fault(pause_s=0.05))
    with pytest.raises(SourceFailed, match="its answer does not come to an end"):
        read(make_source(patience={"total_s": 0.1, "clock": time.monotonic}), austin)


def test_a_page_that_died_is_asked_for_again_and_no_other(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    fill(data, 12)
    server.fail(None, None, CUT, at=RESOURCE)
    read(make_source(), austin)
    asked = [request.query.get("$where") for request in server.asked(RESOURCE)]
    assert asked[2] == asked[3]
    assert len(asked) == len(set(asked[1:-1])) + 3, "one count before and after, and one page twice"


def test_retry_after_in_seconds_is_waited_for(
    make_source: Make, server: PortalServer, austin: City, naps: Naps
) -> None:
    server.fail(status_fault(429, Retry_After="17"))
    read(make_source(), austin)
    assert naps.taken == [17]


def test_retry_after_as_a_date_is_waited_for(make_source: Make, server: PortalServer, austin: City, naps: Naps) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.fail(status_fault(503, Retry_After=at))
    read(make_source(), austin)
    assert 35 < naps.taken[0] <= 40


@pytest.mark.parametrize("told", ["86400", "9" * 400, "Fri, 31 Dec 2027 23:59:59 GMT"])
def test_retry_after_is_believed_within_reason(
    make_source: Make, server: PortalServer, austin: City, naps: Naps, told: str
) -> None:
    server.fail(status_fault(429, Retry_After=told))
    read(make_source(), austin)
    assert naps.taken == [120]


@pytest.mark.parametrize("told", ["-5", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT", "1e9", "٣"])
def test_a_retry_after_that_says_nothing_is_no_wait(
    make_source: Make, server: PortalServer, austin: City, naps: Naps, told: str
) -> None:
    server.fail(status_fault(503, Retry_After=told.encode().decode("latin-1")))
    read(make_source(), austin)
    assert 0 <= naps.taken[0] <= 1


def test_waits_grow_with_full_jitter_up_to_a_cap(
    make_source: Make, server: PortalServer, austin: City, naps: Naps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    server.fail(*[status_fault(500)] * 5)
    read(make_source(patience={"cap_s": 5}), austin)
    assert naps.taken == [1, 2, 4, 5, 5]


def test_patience_ends_after_so_many_attempts(make_source: Make, server: PortalServer, austin: City) -> None:
    server.fail(*[status_fault(500)] * 9)
    with pytest.raises(SourceFailed) as caught:
        read(make_source(), austin)
    assert str(caught.value) == f"{NAME}: it answered 500; given up after 6 attempts"
    assert len(server.requests) == 6


def test_patience_ends_after_so_much_time(make_source: Make, server: PortalServer, austin: City, naps: Naps) -> None:
    server.fail(*[status_fault(429, Retry_After="100")] * 9)
    with pytest.raises(SourceFailed, match="it answered 429; given up after 3 attempts"):
        read(make_source(patience={"total_s": 250}), austin)
    assert sum(naps.taken) <= 250


def test_a_portal_that_is_not_there_fails(naps: Naps, austin: City) -> None:
    portal = Portal(kind="socrata", url="http://127.0.0.1:9", dataset=DATASET, form="portal", key=("permit_number",))
    source = SocrataSource(portal, patience=Patience(sleep=naps.sleep, clock=naps.clock))
    with pytest.raises(SourceFailed, match=r"^127\.0\.0\.1 3syk-w9eu: the connection broke \(ConnectError\); given up"):
        read(source, austin)


def test_an_answer_beyond_any_page_fails(
    make_source: Make, austin: City, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ingest.sources.http.BODY_MAX", 10_000)
    fill(data, 40)
    with pytest.raises(SourceFailed, match="longer than any page"):
        read(make_source(page_rows=40), austin)


def test_random_faults_and_deaths_change_nothing(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    """Twenty readers, each with its own luck: faults before every answer, and deaths between pages."""
    fill(data, 60, at=lambda place: place // 25)
    faults = [*PASSING.values(), SLOW]
    for seed in range(20):
        chance = random.Random(seed)
        told: list[Record] = []
        resume: str | None = None
        is_done = False
        while not is_done:
            # Never six in a row, which would be the end of any patience.
            for _ in range(12):
                server.fail(*chance.choices(faults, k=chance.randrange(5)), None)
            with make_source(page_rows=chance.randrange(3, 20)).open(austin, {}, Demand()) as feed:
                dies_after = chance.randrange(1, 12)
                for page in feed.pages(resume):
                    told += feed.decoder.decode(page)
                    resume = page.resume
                    dies_after -= 1
                    if not dies_after:
                        break
                else:
                    is_done = True
            server.heal()
        assert [record.values["permit_number"] for record in told] == [number(place) for place in range(60)], seed


# Faults that do not pass


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, "it answered 401: it wants an app token, or is not public"),
        (403, "it answered 403: it wants an app token, or is not public"),
        (404, "it answered 404: the data set is gone"),
        (410, "it answered 410: the data set is gone"),
        (418, "it answered 418"),
    ],
)
def test_what_does_not_pass_is_said_at_once(
    make_source: Make, server: PortalServer, austin: City, status: int, why: str
) -> None:
    server.fail(status_fault(status))
    with pytest.raises(SourceFailed) as caught:
        read(make_source(), austin)
    assert str(caught.value) == f"{NAME}: {why}"
    assert len(server.requests) == 1


def test_a_refused_token_is_named_as_the_reason(make_source: Make, server: PortalServer, austin: City) -> None:
    server.token = "right"
    with pytest.raises(SourceFailed, match="403: the app token was refused"):
        read(make_source(token="wrong"), austin)


def test_a_query_that_is_refused_is_told_by_its_code_alone(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    body = {"message": "Canary = 'row content'", "errorCode": "query.soql.type-mismatch", "data": {"column": "Canary"}}
    server.fail(Fault(status=400, body=json.dumps(body).encode()), at=RESOURCE)
    with pytest.raises(SourceFailed) as caught:
        read(make_source(), austin)
    assert str(caught.value) == f"{NAME}: it answered 400 (query.soql.type-mismatch)"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errorCode": "a b\\n", "data": 7}'])
def test_a_refusal_of_any_shape_is_told(make_source: Make, server: PortalServer, austin: City, body: bytes) -> None:
    server.fail(Fault(status=400, body=body), at=RESOURCE)
    with pytest.raises(SourceFailed, match=r"it answered 400 \((without a code|unknown)\)$"):
        read(make_source(), austin)


# Tokens and redirects


def test_the_app_token_goes_in_its_header(make_source: Make, server: PortalServer, data: DataSet, austin: City) -> None:
    fill(data, 3)
    server.token = "Canary-token"
    read(make_source(token="Canary-token"), austin)
    assert {request.headers.get("x-app-token") for request in server.requests} == {"Canary-token"}


def test_without_a_token_none_is_sent(make_source: Make, server: PortalServer, austin: City) -> None:
    read(make_source(), austin)
    assert not any("x-app-token" in request.headers for request in server.requests)


def test_neither_token_nor_query_is_logged_or_told(
    make_source: Make, server: PortalServer, data: DataSet, austin: City, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fill(data, 3)
    server.fail(None, *[status_fault(500)] * 6, at=RESOURCE)
    with pytest.raises(SourceFailed) as caught:
        read(make_source(token="Canary-token"), austin)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("app")]
    assert len(ours) == 5
    told = " ".join([*ours, str(caught.value)])
    assert not any(word in told for word in ["Canary", "select", "resource", "127.0.0.1"])
    assert {"httpx", "httpcore"} <= set(TALKATIVE)


def test_a_redirect_is_followed(make_source: Make, server: PortalServer, data: DataSet, austin: City) -> None:
    fill(data, 3)
    server.datasets["aaaa-bbbb"] = data
    server.redirects["/api/views/cccc-dddd.json"] = "/api/views/aaaa-bbbb.json"
    source = make_source(dataset="cccc-dddd", token="Canary-token")
    with pytest.raises(SourceFailed, match="the data set is gone"):
        read(source, austin)
    assert [request.headers["x-app-token"] for request in server.asked("/api/views/")] == ["Canary-token"] * 2


def test_a_token_does_not_follow_to_another_host(
    make_source: Make, server: PortalServer, data: DataSet, austin: City
) -> None:
    with PortalServer() as other:
        other.datasets[DATASET] = data
        server.redirects[VIEW] = f"{other.url}{VIEW}"
        read(make_source(token="Canary-token"), austin)
        assert [request.headers.get("x-app-token") for request in other.requests] == [None]


@pytest.mark.parametrize("place", [VIEW, "ftp://example.org/", "file:///etc/passwd", "", "mailto:a@b.c"])
def test_a_redirect_to_nowhere_fails(make_source: Make, server: PortalServer, austin: City, place: str) -> None:
    server.redirects[VIEW] = place
    with pytest.raises(SourceFailed, match="it sends on"):
        read(make_source(), austin)
    assert len(server.requests) <= 6


# The captures


def capture(path: str) -> bytes:
    """A capture of the shared data, unpacked; skips where they are not on this machine."""
    if not (file := SHARED / path).is_file():
        pytest.skip(f"the capture {Path(path).name} is not on this machine")
    packed = file.read_bytes()
    return gzip.decompress(packed) if path.endswith(".gz") else packed


def envelope(name: str) -> bytes:
    """The body inside one of the captured envelopes."""
    body: str = json.loads(capture(f"new_york/soda_captures/{name}"))["response_body_raw"]
    return body.encode()


@pytest.mark.parametrize("name", ["query_e5aq-a4j2_bad-column_http400.json", "query_ipu4-2q9a_bad-column_http400.json"])
def test_a_captured_no_such_column_is_drift(make_source: Make, server: PortalServer, austin: City, name: str) -> None:
    server.fail(Fault(status=400, body=capture(f"new_york/soda_captures/{name}")), at=RESOURCE)
    with pytest.raises(SourceRefused, match="it has not a column that its description names"):
        read(make_source(), austin)


def test_a_captured_type_mismatch_is_no_drift(make_source: Make, server: PortalServer, austin: City) -> None:
    server.fail(Fault(status=400, body=envelope("envelope_F13b_non_drift_400_type_mismatch.json")), at=RESOURCE)
    with pytest.raises(SourceFailed, match=r"it answered 400 \(query\.soql\.type-mismatch\)"):
        read(make_source(), austin)


def make_city(name: str, **form: Any) -> City:
    """A city with one form, for a capture."""
    told = {"name": "portal", "row_id": ":id", "updated": ":updated_at", "date_forms": ["%Y-%m-%dT%H:%M:%S.%f"], **form}
    return City(
        name=name,
        title=name,
        time_zone="America/Los_Angeles",
        box=Box(west=-180, south=-90, east=180, north=90),
        forms=(Form(**{"columns": {"permit_number": Taken(columns=told["source_id"])}, **told}),),
    )


def test_a_captured_description_is_read(make_source: Make, server: PortalServer) -> None:
    city = make_city("new_york", needs=["bbl"], source_id=["bbl", "zoning_district_1"])
    server.fail(Fault(body=envelope("envelope_ZT08_api_views_metadata_fdkv-4t4z.json.gz")), at=VIEW)
    with make_source(key=["bbl", "zoning_district_1"]).open(city, {}, Demand()) as feed:
        assert feed.columns == {":id", ":updated_at", "bbl", "zoning_district_1"}
        assert feed.state()["columns"] == {"bbl": "number", "zoning_district_1": "text"}


def read_permits(source: SocrataSource, city: City, last: State | None = None) -> tuple[list[PermitRow], State]:
    """Read to the end, all of it permits."""
    with source.open(city, last or {}, Demand()) as feed:
        mapper = Mapper(city, feed.form, feed.columns)
        rows = [mapper.parse(record) for record in records(feed, feed.pages())]
        permits = [row for row in rows if isinstance(row, PermitRow)]
        assert len(permits) == len(rows)
        return permits, feed.state()


def test_calgarys_captured_columns_and_rows_become_permits(make_source: Make, data: DataSet) -> None:
    columns = json.loads(capture("calgary/soda_c2es-76ed_columns_metadata.json.gz"))
    data.columns = {column["fieldName"]: column["dataTypeName"] for column in columns}
    rows = json.loads(capture("calgary/soda_c2es-76ed_sample50.json.gz"))
    for place, row in enumerate(rows):
        data.add(instant(place), **row)
    permits, _ = read_permits(make_source(page_rows=20, key="permitnum"), find_city("calgary"))
    assert [permit.source_id for permit in permits] == [row["permitnum"] for row in rows]
    assert all(permit.lat for permit in permits)


def test_new_yorks_captured_columns_and_rows_become_permits(make_source: Make, data: DataSet) -> None:
    extract = "new_york/soda_captures/views_metadata_extract_dob_legacy_17_datasets.json.gz"
    columns = json.loads(capture(extract))["datasets"]["ipu4-2q9a"]["columns"]
    data.columns = {column["fieldName"]: column["dataTypeName"] for column in columns}
    rows = json.loads(capture("new_york/soda_captures/sample_ipu4-2q9a.json"))
    for place, row in enumerate(rows):
        data.add(instant(place), **row)
    permits, _ = read_permits(make_source(key="permit_si_no"), find_city("new_york"))
    assert [permit.source_id for permit in permits] == [row["permit_si_no"] for row in rows]


def test_san_franciscos_captured_rows_are_read_in_their_order(make_source: Make, data: DataSet) -> None:
    rows = json.loads(capture("san_francisco/soda_i98e-djp9_system_fields.json.gz"))
    newer = rows.pop(25)
    # The second row's cost was made "unknown", and the last row made up, by those who captured them.
    real = [row for row in rows[:24] if row["estimated_cost"] != "unknown"]
    data.columns = dict.fromkeys(sorted({name for row in real for name in row if not name.startswith(":")}), "text")
    for row in real:
        data.put(row)
    source, city = make_source(key="record_id"), find_city("san_francisco")
    permits, state = read_permits(source, city)
    assert [permit.source_row_id for permit in permits] == [row[":id"] for row in real]
    assert [permit.location_quality for permit in permits].count("missing") == 1, "the row without a point"
    data.rows[0].update(newer)
    again, _ = read_permits(source, city, state)
    assert (again[-1].source_row_id, again[-1].status_current) == (newer[":id"], newer["status"])


@pytest.mark.parametrize("name", ["soda_3syk-w9eu_15rows_2025-07.json.gz", "soda_3syk-w9eu_8rows_2025-08-07.json.gz"])
def test_austins_captured_rows_become_permits(make_source: Make, data: DataSet, austin: City, name: str) -> None:
    rows = json.loads(gzip.decompress(real_file(name).read_bytes()))
    data.columns = {field: "text" for row in rows for field in row} | COLUMNS
    for place, row in enumerate(rows):
        data.add(instant(place), **row)
    permits, _ = read_permits(make_source(), austin)
    assert [permit.source_row_id for permit in permits] == [row[":id"] for row in data.rows]
