"""A data set of a Socrata portal (SODA 2.1): what changed since the last run, in an order that loses nothing.

Rows come by ``:updated_at, :id``, each page from the last row of the one before. A row that is updated meanwhile moves
to the end of that order, so it may come twice and is never passed over; a full replace gives millions of rows one
instant, and ``:id`` goes on within it. Row ids are ordered by the portal alone: as text they are in no order.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx
from pydantic import SecretStr

from app.cities.city import City, Form, Portal
from app.errors import MisconfiguredError, UndervoltError
from app.ingest.sources.base import (
    Decoder,
    Demand,
    Feed,
    Key,
    KeyPage,
    Page,
    Progress,
    Record,
    SourceFailed,
    SourceRefused,
    State,
)
from app.ingest.sources.documents import as_text
from app.ingest.sources.http import PassingFault, Patience, Refusal, ask_json, ask_patiently, make_client, parse_json
from app.ingest.values import clean

Row = Mapping[str, Any]
Columns = Mapping[str, tuple[str, ...]]
"""The form's columns that the data set has, each with the field that holds it and the members within that."""

SYSTEM_FIELDS = (":id", ":created_at", ":updated_at")
SHRUNK_SHARE = 0.9
# A listing that misses more rows than this share is no witness that the missing ones are gone.
COMPLETE_SHARE = 0.99
# Rows updated while they are read come twice; more often than this, the portal is repeating itself.
REPEATS_MAX = 3
# Row ids are about twenty characters, and an address should stay below four thousand.
IDS_A_PAGE = 100
PLAIN_WORD = re.compile(r"[\w.:@-]{1,80}", re.ASCII)


class SocrataSource:
    """The data set that a city file's portal names; ``base_url`` stands in for the portal's own address."""

    def __init__(
        self,
        portal: Portal,
        *,
        token: SecretStr | None = None,
        base_url: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._portal = portal
        self._token = token
        self._base = httpx.URL(base_url or portal.url)
        self._patience = patience or Patience()
        self.name = f"{httpx.URL(portal.url).host} {portal.dataset}"

    @contextmanager
    def open(self, city: City, last: State, demand: Demand) -> Generator[Feed]:
        """Look at the data set's columns and its number of rows, and only then let its rows be read."""
        form = _find_form(city, self._portal)
        with make_client(self._patience) as client:
            data = DataSet(self.name, client, self._base, self._portal.dataset, self._token, self._patience)
            types = data.describe()
            columns = match_columns(form, types)
            if not demand.take_drift:
                _refuse_drift(self.name, form, columns, types=types, known=last.get("columns", {}))
            rows = data.count()
            if not demand.take_shrinkage:
                _refuse_shrinkage(self.name, rows=rows, before=last.get("rows", 0))
            reading = plan_reading(self._portal, last, demand, zone=ZoneInfo(city.time_zone))
            yield SocrataFeed(self._portal, form, data, reading, columns=columns, types=types, rows=rows, last=last)


def _find_form(city: City, portal: Portal) -> Form:
    """Give the portal's form. Raises :class:`MisconfiguredError` where a key of the portal would name no permit."""
    form = next((form for form in city.forms if form.name == portal.form), None)
    if form is None:
        raise MisconfiguredError(f"{city.name}.toml: portal.form: no form is called {portal.form!r}")
    if form.hashed or form.source_id != portal.key:
        raise MisconfiguredError(f"{city.name}.toml: portal.key must be the source_id of the form {form.name!r}")
    return form


def match_columns(form: Form, types: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Find the form's columns among a data set's fields: by title, by name, or as a member of one."""
    fields = {form.titles.get(name, name): name for name in types} | {name: name for name in types}
    found: dict[str, tuple[str, ...]] = {}
    for column in form.read_columns:
        root, *members = column.split(".")
        if column in fields:
            found[column] = (fields[column],)
        elif root in fields:
            found[column] = (fields[root], *members)
    return found


def _refuse_drift(
    name: str, form: Form, columns: Columns, *, types: Mapping[str, str], known: Mapping[str, str]
) -> None:
    """Raise :class:`SourceRefused` where a column went that is needed or was there, or one is of another type."""
    read = form.read_columns | {column.split(".")[0] for column in form.read_columns}
    was_read = {field: kind for field, kind in known.items() if form.titles.get(field, field) in read}
    gone = sorted({*form.needs, *form.source_id} - set(columns) | was_read.keys() - types.keys())
    faults = [f"{column} is not there" for column in gone]
    for field, kind in sorted(was_read.items()):
        if field in types and types[field] != kind:
            faults.append(f"{field} was {kind} and is {types[field]}")
    if faults:
        raise SourceRefused(f"{name}: its columns drifted: {', '.join(faults)}; --accept-drift reads it all the same")


def _refuse_shrinkage(name: str, *, rows: int, before: int) -> None:
    if rows < before * SHRUNK_SHARE:
        raise SourceRefused(
            f"{name}: it has {rows} rows, and had {before} at the last run; --accept-shrinkage reads it all the same"
        )


class Mark(NamedTuple):
    """A row in the portal's order: its instant and id as the portal wrote them, and how many rows came up to it."""

    at: str = ""
    id: str = ""
    rows: int = 0

    @classmethod
    def parse(cls, resume: str | None) -> "Mark":
        """Read a resume point; nothing is the beginning."""
        return cls(*json.loads(resume)) if resume else cls()

    def render(self) -> str:
        """Write it as a resume point."""
        return json.dumps(self)


class Reading(NamedTuple):
    """Which rows are asked for, and what they say: all of them (``whole``), those ``since`` an instant, or chosen ones.

    ``moves_on`` says that after it nothing before the last row read is left to read; ``lists_keys`` that it is time to
    ask for all keys.
    """

    whole: bool = False
    since: datetime | None = None
    row_ids: tuple[str, ...] | None = None
    moves_on: bool = True
    lists_keys: bool = False

    @property
    def where(self) -> str | None:
        """The condition that rows must meet from the beginning on."""
        return f":updated_at >= {quote(render_instant(self.since))}" if self.since else None


def plan_reading(portal: Portal, last: State, demand: Demand, *, zone: ZoneInfo) -> Reading:
    """Decide what to read, given what is remembered and what is asked; ``zone`` tells when a day begins."""
    if demand.row_ids is not None:
        return Reading(row_ids=tuple(sorted(demand.row_ids)), moves_on=False)
    watermark = parse_instant(last["watermark"]["at"]) if last.get("watermark") else None
    lists_keys = _are_keys_due(portal, last)
    if demand.since is not None and not demand.full:
        since = datetime.combine(demand.since, time.min, zone).astimezone(UTC)
        # From a later day on, what lies between the last run and that day is still to be read by the next.
        return Reading(since=since, moves_on=watermark is not None and since <= watermark, lists_keys=lists_keys)
    if watermark is None or demand.full:
        return Reading(whole=True)
    return Reading(since=watermark - timedelta(minutes=portal.overlap_minutes), lists_keys=lists_keys)


def _are_keys_due(portal: Portal, last: State) -> bool:
    if not (listed_at := last.get("keys_at")):
        return True
    return datetime.now(UTC) - parse_instant(listed_at) >= timedelta(days=portal.keys_every_days)


class SocrataFeed:
    """A data set that is open. Ask for its keys after its pages, so that a key tells a row that was read or is new."""

    def __init__(
        self,
        portal: Portal,
        form: Form,
        data: "DataSet",
        reading: Reading,
        *,
        columns: Columns,
        types: Mapping[str, str],
        rows: int,
        last: State,
    ) -> None:
        self.form = form
        self.columns = frozenset(columns)
        self.decoder: Decoder = SocrataDecoder(tuple(sorted(columns.items())))
        self.whole = reading.whole
        self._portal = portal
        self._data = data
        self._reading = reading
        self._paths = columns
        fields = {path[0] for path in columns.values()}
        self._types = {field: types[field] for field in sorted(fields.difference(SYSTEM_FIELDS))}
        self._rows = rows
        self._expected = rows if reading.whole else self._count_chosen()
        self._last = last
        self._mark = Mark()
        self._began_at = datetime.now(UTC)
        self.fingerprint = self._tell_apart()

    def _count_chosen(self) -> int:
        row_ids = self._reading.row_ids
        return self._data.count(self._reading.where) if row_ids is None else len(row_ids)

    def _tell_apart(self) -> str:
        """Hash what is asked for: after a resume point of the same question, the rest of the answer is the same."""
        asked = [self._portal.url, self._portal.dataset, self._types, self._reading.where, self._reading.row_ids]
        return blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest()

    @property
    def _selected(self) -> list[str]:
        return [*SYSTEM_FIELDS, *self._types]

    def pages(self, resume: str | None = None) -> Iterator[Page]:
        """Give the rows page by page, each page one answer of the portal."""
        if self._reading.row_ids is not None:
            return self._pages_of(self._reading.row_ids, Mark.parse(resume))
        return self._pages_from(Mark.parse(resume))

    def _pages_from(self, mark: Mark) -> Iterator[Page]:
        self._mark = mark
        while rows := self._ask_after(mark):
            self._check_progress(rows, mark)
            first = mark.rows + 1
            mark = self._mark = Mark(rows[-1][":updated_at"], rows[-1][":id"], mark.rows + len(rows))
            yield Page(first, rows, mark.render())
            # The next page is not to lie in memory beside this one.
            del rows
        if self.whole:
            self._check_complete(mark.rows, before=self._rows)

    def _ask_after(self, mark: Mark) -> list[Row]:
        """Ask for the next page. Only an empty one is the last: a portal may send fewer rows than it was asked for."""
        at, row_id = quote(mark.at), quote(mark.id)
        after = f":updated_at > {at} or (:updated_at = {at} and :id > {row_id})"
        return self._data.select(
            self._selected,
            where=after if mark.id else self._reading.where,
            order=":updated_at, :id",
            limit=self._portal.page_rows,
        )

    def _check_progress(self, rows: Sequence[Row], mark: Mark) -> None:
        """Raise :class:`SourceFailed` for a page that does not lie after ``mark``, and for one page too many."""
        latest = mark.at
        for row in rows:
            at = row[":updated_at"]
            if at == mark.at and row[":id"] == mark.id:
                raise SourceFailed(f"{self._data.name}: it repeats a page")
            if at != latest and latest and parse_instant(at) < parse_instant(latest):
                raise SourceFailed(f"{self._data.name}: its rows are not in the order that was asked for")
            latest = at
        self._check_bound(mark.rows + len(rows), self._expected)

    def _check_bound(self, told: int, expected: int) -> None:
        if told > REPEATS_MAX * expected + 10 * self._portal.page_rows:
            raise SourceFailed(f"{self._data.name}: it tells {told} rows, where it counts {expected}")

    def _check_complete(self, told: int, *, before: int) -> None:
        """Raise :class:`SourceFailed` where rows are missing: what was not told is not to be taken for gone."""
        count = min(before, self._data.count())
        if told < count * COMPLETE_SHARE:
            raise SourceFailed(f"{self._data.name}: it told {told} rows to its end, where it counts {count}")

    def _pages_of(self, row_ids: Sequence[str], mark: Mark) -> Iterator[Page]:
        """Give chosen rows; the resume point counts the ids that were asked for, and the rows that came of them."""
        asked, told = (int(mark.id or 0), mark.rows)
        while chunk := row_ids[asked : asked + IDS_A_PAGE]:
            where = f":id in ({', '.join(map(quote, chunk))})"
            rows = self._data.select(self._selected, where=where, order=":updated_at, :id", limit=len(chunk))
            asked, first, told = asked + len(chunk), told + 1, told + len(rows)
            self._mark = Mark("", str(asked), told)
            yield Page(first, rows, self._mark.render())

    def key_pages(self, resume: str | None = None) -> Iterator[KeyPage] | None:
        """Give the key of every row, where it is time for it and the data set still has the key's columns."""
        return self._list_keys(Mark.parse(resume)) if self._can_list_keys else None

    @property
    def _can_list_keys(self) -> bool:
        return self._reading.lists_keys and set(self._portal.key) <= self.columns

    def _list_keys(self, mark: Mark) -> Iterator[KeyPage]:
        before = self._data.count()
        key = SocrataDecoder(tuple((column, self._paths[column]) for column in self._portal.key))
        fields = dict.fromkeys([":id", *(path[0] for _, path in key.columns)])
        while rows := self._data.select(
            fields, where=f":id > {quote(mark.id)}" if mark.id else None, order=":id", limit=self._portal.page_rows
        ):
            if any(row[":id"] == mark.id for row in rows):
                raise SourceFailed(f"{self._data.name}: it repeats a page of its keys")
            mark = Mark("", rows[-1][":id"], mark.rows + len(rows))
            self._check_bound(mark.rows, before)
            keys = [
                Key(row[":id"], join_key(values.values())) for row, values in zip(rows, key.take(rows), strict=True)
            ]
            yield KeyPage(keys, mark.render())
        self._check_complete(mark.rows, before=before)

    def progress(self) -> Progress:
        """Say how many rows were read, of how many."""
        return Progress(self._mark.rows, self._expected)

    def state(self) -> State:
        """Give the watermark, the number of rows, the columns with their types, and when all keys were last known."""
        knows_keys = self.whole or self._can_list_keys
        return {
            "watermark": self._find_watermark(),
            "rows": self._rows,
            "columns": self._types,
            "keys_at": render_instant(self._began_at) if knows_keys else self._last.get("keys_at"),
        }

    def _find_watermark(self) -> dict[str, str] | None:
        """Give the newest row that no unread row lies before; never an older one than the last run's."""
        last: dict[str, str] | None = self._last.get("watermark")
        if not self._reading.moves_on or not self._mark.at:
            return last
        if last and parse_instant(last["at"]) > parse_instant(self._mark.at):
            return last
        return {"at": self._mark.at, "id": self._mark.id}


@dataclass(frozen=True)
class SocrataDecoder:
    """Takes a form's columns out of the portal's rows, which leave out what is null."""

    columns: tuple[tuple[str, tuple[str, ...]], ...]

    def decode(self, page: Page) -> Iterator[Record]:
        """Give one record for each row of the page."""
        for position, values in enumerate(self.take(page.rows), start=page.first):
            yield Record(position, values)

    def take(self, rows: Iterable[Row]) -> Iterator[dict[str, str]]:
        """Give the columns of each row as text without padding, as a file's reader does."""
        plain = [(column, path[0]) for column, path in self.columns if len(path) == 1]
        nested = [(column, path) for column, path in self.columns if len(path) > 1]
        for row in rows:
            # Nearly every value is text already.
            values = {
                column: value.strip() if type(value := row.get(field, "")) is str else as_text(value).strip()
                for column, field in plain
            }
            for column, path in nested:
                values[column] = as_text(_find_member(row, path)).strip()
            yield values


def _find_member(row: Row, path: tuple[str, ...]) -> object:
    value: object = row
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def join_key(values: Iterable[str]) -> str:
    """Join a key's columns to the source id that the mapper makes of them."""
    return " ".join(map(clean, values)).strip()


def quote(text: str) -> str:
    """Write a literal of the portal's query language."""
    return "'" + text.replace("'", "''") + "'"


def parse_instant(text: str) -> datetime:
    """Read an instant as the portal writes it; one without a zone is in UTC. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def render_instant(instant: datetime) -> str:
    """Write an instant as the portal does: UTC, to the millisecond."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class DataSet:
    """One data set as its portal answers for it; every answer is checked for its shape before it is used."""

    def __init__(
        self,
        name: str,
        client: httpx.Client,
        base: httpx.URL,
        dataset: str,
        token: SecretStr | None,
        patience: Patience,
    ) -> None:
        self.name = name
        self._client = client
        self._view = base.join(f"/api/views/{dataset}.json")
        self._resource = base.join(f"/resource/{dataset}.json")
        secret = token.get_secret_value() if token else ""
        self._headers = {"x-app-token": secret} if secret else {}
        self._patience = patience

    def describe(self) -> dict[str, str]:
        """Give its fields, the system's own among them, with their types."""
        view = self._ask(self._view)
        columns = view.get("columns") if isinstance(view, dict) else None
        if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
            raise SourceFailed(f"{self.name}: its description names no columns")
        told = {str(column.get("fieldName")): _plain(column.get("dataTypeName")) for column in columns}
        return dict.fromkeys(SYSTEM_FIELDS, "system") | told

    def count(self, where: str | None = None) -> int:
        """Count its rows, or those that meet a condition."""
        rows = self._ask(self._resource, {"$select": "count(*) as n", "$where": where})
        match rows:
            case [{"n": str() | int() as told}] if str(told).isascii() and str(told).isdecimal():
                return int(told)
            case _:
                raise SourceFailed(f"{self.name}: it does not count its rows")

    def select(self, fields: Iterable[str], *, where: str | None, order: str, limit: int) -> list[Row]:
        """Give rows, each known to have its id and, where that is selected, a readable instant."""
        selected = list(fields)
        rows = self._ask(
            self._resource,
            {"$select": ",".join(selected), "$where": where, "$order": order, "$limit": str(limit)},
            selected=selected,
        )
        if not isinstance(rows, list) or not all(_is_row(row, selected) for row in rows):
            raise SourceFailed(f"{self.name}: its answer is no list of rows with their ids and instants")
        return rows

    def _ask(
        self, url: httpx.URL, query: Mapping[str, str | None] | None = None, *, selected: Sequence[str] = ()
    ) -> object:
        told = {name: value for name, value in (query or {}).items() if value is not None}
        ask = partial(ask_json, self._client, url.copy_merge_params(told), self._headers, self._patience)
        try:
            return ask_patiently(self._patience, self.name, ask)
        except Refusal as refusal:
            raise self._explain(refusal, selected) from None

    def _explain(self, refusal: Refusal, selected: Sequence[str]) -> UndervoltError:
        """Give the error that an answer means; nothing of its text is repeated, which may quote rows or the query."""
        match refusal.status:
            case 400:
                return self._explain_query(refusal.body, selected)
            case 401 | 403:
                token = "the app token was refused" if self._headers else "it wants an app token, or is not public"
                return SourceFailed(f"{self.name}: {refusal}: {token}")
            case 404 | 410:
                return SourceFailed(f"{self.name}: {refusal}: the data set is gone")
            case _:
                return SourceFailed(f"{self.name}: {refusal}")

    def _explain_query(self, body: bytes, selected: Sequence[str]) -> UndervoltError:
        code, column = _read_error(body)
        if code != "query.soql.no-such-column":
            return SourceFailed(f"{self.name}: it answered 400 ({code})")
        which = f"the column {column}" if column in selected else "a column"
        return SourceRefused(f"{self.name}: its columns drifted: it has not {which} that its description names")


def _read_error(body: bytes) -> tuple[str, str]:
    """Give an error's code and the column it is about, as far as it says them."""
    try:
        error = parse_json(body)
    except PassingFault:
        error = None
    if not isinstance(error, dict):
        return "without a code", ""
    data = error.get("data")
    column = data.get("column") if isinstance(data, dict) else None
    return _plain(error.get("errorCode") or error.get("code")), _plain(column)


def _is_row(row: object, selected: Sequence[str]) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get(":id"), str):
        return False
    return ":updated_at" not in selected or _is_instant(row.get(":updated_at"))


def _is_instant(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_instant(value))
    except ValueError:
        return False


def _plain(value: object) -> str:
    """Give a word of the portal's that may be repeated in a message."""
    return value if isinstance(value, str) and PLAIN_WORD.fullmatch(value) else "unknown"
