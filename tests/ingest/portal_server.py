"""A server on loopback that speaks as a Socrata portal does, and hands out files; every fault can be put in its way.

Its answers have the shape of the captures: scalars are strings, null keys are left out, errors are JSON objects with an
``errorCode``. It knows the small part of the query language that is asked of it and refuses the rest, as a portal
would. Row ids are in the order of their making, which is not their order as text. Without ``$order`` there is none.
"""

import gzip
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

JSON = "application/json;charset=utf-8"
HTML_PAGE = b"<!DOCTYPE html>\n<html><head><title>We'll be back soon</title></head><body>Maintenance</body></html>"
SYSTEM = (":id", ":created_at", ":updated_at")
BEGINNING = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


def instant(minutes: float = 0) -> str:
    """An instant as the portal writes it, so many minutes after the made-up beginning."""
    at = BEGINNING + timedelta(minutes=minutes)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Naps:
    """Stands in for sleeping and for the clock: time passes only in naps, and each is noted in seconds."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Take a nap of no time."""
        self.taken.append(seconds)

    def clock(self) -> float:
        """Give the time that was slept."""
        return sum(self.taken)


@dataclass(frozen=True)
class Fault:
    """What happens to one answer instead of its going well.

    ``status``, ``headers``, ``body`` and ``content_type`` replace those of the answer. ``cut`` sends so many bytes of
    the body and closes, ``share`` sends that share of it as if it were the whole; ``silent`` sends nothing and waits,
    ``reset`` breaks the connection at once; ``pause_s`` sends the body in small pieces with that pause.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str | None = None
    cut: int | None = None
    share: float | None = None
    silent: bool = False
    reset: bool = False
    pause_s: float = 0


def status_fault(status: int, **headers: str) -> Fault:
    """An error status with an empty body, as a throttled request has; underscores in headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, headers=named, body=b"", content_type="text/plain")


HTML_200 = Fault(status=200, body=HTML_PAGE, content_type="text/html; charset=utf-8")
HTML_502 = Fault(status=502, body=HTML_PAGE, content_type="text/html; charset=utf-8")
HTML_AS_JSON = Fault(body=HTML_PAGE)
WRONG_TYPE = Fault(content_type="text/csv")
HALF_JSON = Fault(share=0.5)
CUT = Fault(cut=4)
RESET = Fault(reset=True)
SILENT = Fault(silent=True)
SLOW = Fault(pause_s=0.001)
ACCEPTED = Fault(status=202, body=b'{"code":"accepted","message":"The request is being processed."}')


@dataclass(frozen=True)
class Request:
    """One request as it came in; the query is decoded."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """A whole answer, before any fault."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False


class Refused(Exception):  # noqa: N818 - the portal refuses
    """A query that the portal refuses, with its code and what else its error says."""

    def __init__(self, code: str, message: str, **data: Any) -> None:
        self.code = code
        self.data = data
        super().__init__(message)

    def answer(self) -> Answer:
        """The error as the captures have it."""
        line = "SELECT `permit_number`\n       ^"
        error = {
            "message": f"Query coordinator error: {self.code}; {self}; position: Map(row -> 1, column -> 8)",
            "errorCode": self.code,
            "data": {**self.data, "dataset": "alpha.1", "position": {"row": 1, "column": 8, "line": line}},
        }
        return Answer(json.dumps(error).encode(), status=400)


@dataclass
class DataSet:
    """The rows of one data set, in the order of their ids, and the types of its columns."""

    dataset: str
    columns: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0
    """How many ids were given out."""
    places: dict[str, int] = field(default_factory=dict)
    """Where in the order each id stands."""
    rows_max: int = 50_000
    """How many rows are sent at most, whatever was asked for."""

    def add(self, updated_at: str, **values: Any) -> dict[str, Any]:
        """Put a row at the end."""
        return self.put({**values, ":id": self._make_id(), ":created_at": updated_at, ":updated_at": updated_at})

    def put(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Put a row that has its system fields, as a capture has."""
        self.places[row[":id"]] = self.made
        self.made += 1
        self.rows.append(dict(row))
        return self.rows[-1]

    def _make_id(self) -> str:
        word = blake2b(str(self.made).encode(), digest_size=6).hexdigest()
        return f"row-{word[:4]}.{word[4:8]}~{word[8:]}"

    def replace_all(self, updated_at: str) -> None:
        """Replace every row by itself under a new id, all at one instant, as a portal's full replace does."""
        rows, self.rows = self.rows, []
        for row in rows:
            self.add(updated_at, **{name: value for name, value in row.items() if name not in SYSTEM})

    @property
    def fields(self) -> set[str]:
        """Every field that can be asked for."""
        return {*self.columns, *SYSTEM}

    def describe(self) -> dict[str, Any]:
        """What ``/api/views`` says, as far as it matters."""
        columns = [
            {"id": place, "name": name.title(), "dataTypeName": kind, "fieldName": name, "position": place}
            for place, (name, kind) in enumerate(self.columns.items(), start=1)
        ]
        return {"id": self.dataset, "name": "Made-up permits", "viewType": "tabular", "columns": columns}

    def answer(self, query: Mapping[str, str]) -> Any:
        """Answer a query. Raises :class:`Refused`."""
        if stray := sorted(query.keys() - {"$select", "$where", "$order", "$limit"}):
            raise Refused("query.soql.unknown-parameter", f"Unrecognized arguments {stray}")
        rows = self.rows
        if "$where" in query:
            meets = Condition(query["$where"], self).read()
            rows = [row for row in rows if meets(row)]
        if query.get("$select") == "count(*) as n":
            return [{"n": str(len(rows))}]
        rows = self._sort(rows, query.get("$order"))[: min(self.rows_max, int(query.get("$limit", "1000")))]
        return [self._pick(row, query["$select"].split(",")) for row in rows]

    def _sort(self, rows: list[dict[str, Any]], order: str | None) -> list[dict[str, Any]]:
        if order is None:
            return rows[::-1]
        names = [name.strip() for name in order.split(",")]
        return sorted(rows, key=lambda row: [self.sort_key(name, row.get(name)) for name in names])

    def _pick(self, row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        for name in names:
            self.check(name)
        return {name: row[name] for name in names if row.get(name) is not None}

    def check(self, name: str) -> str:
        """Give the name of a column, which must be one."""
        if name not in self.fields:
            raise Refused("query.soql.no-such-column", f"No such column: {name}", column=name)
        return name

    def sort_key(self, name: str, value: Any) -> Any:
        """Give what a value is ordered by: an id by its making, an instant by its time, anything else as text."""
        if self.check(name) == ":id":
            if value not in self.places:
                raise Refused("query.soql.type-mismatch", "Type mismatch for op$>, is text")
            return self.places[value]
        if name in SYSTEM:
            return datetime.fromisoformat(value)
        return "" if value is None else str(value)


Meets = Callable[[Mapping[str, Any]], bool]
TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<op><=|>=|[<>=(),])|(?P<word>:?@?\w+))")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


class Condition:
    """A ``$where`` of comparisons with literals, ``in``, ``and``, ``or`` and brackets."""

    def __init__(self, text: str, data: DataSet) -> None:
        self._data = data
        self._tokens = list(self._split(text))
        self._place = 0

    def _split(self, text: str) -> Iterator[str]:
        place = 0
        while place < len(text.rstrip()):
            match = TOKEN.match(text, place)
            if match is None:
                raise _malformed(text, place)
            yield match[0].strip()
            place = match.end()

    def read(self) -> Meets:
        """Read it to its end."""
        meets = self._read_any()
        if self._place < len(self._tokens):
            raise _malformed(" ".join(self._tokens), self._place)
        return meets

    def _next(self, *wanted: str) -> str:
        token = self._tokens[self._place] if self._place < len(self._tokens) else ""
        if not token or (wanted and token.lower() not in wanted):
            raise _malformed(" ".join(self._tokens), self._place)
        self._place += 1
        return token

    def _is_next(self, word: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place].lower() == word:
            self._place += 1
            return True
        return False

    def _read_any(self) -> Meets:
        parts = [self._read_all()]
        while self._is_next("or"):
            parts.append(self._read_all())
        return lambda row: any(part(row) for part in parts)

    def _read_all(self) -> Meets:
        parts = [self._read_one()]
        while self._is_next("and"):
            parts.append(self._read_one())
        return lambda row: all(part(row) for part in parts)

    def _read_one(self) -> Meets:
        if self._is_next("("):
            inner = self._read_any()
            self._next(")")
            return inner
        name = self._data.check(self._next())
        if self._is_next("in"):
            return self._read_in(name)
        compare = COMPARE[self._next(*COMPARE)]
        right = self._data.sort_key(name, self._literal())
        return lambda row: compare(self._data.sort_key(name, row.get(name)), right)

    def _read_in(self, name: str) -> Meets:
        self._next("(")
        values = [self._literal()]
        while self._is_next(","):
            values.append(self._literal())
        self._next(")")
        return lambda row: row.get(name) in values

    def _literal(self) -> str:
        token = self._next()
        if not token.startswith("'"):
            raise _malformed(" ".join(self._tokens), self._place)
        return token[1:-1].replace("''", "'")


def _malformed(text: str, place: int) -> Refused:
    return Refused("query.compiler.malformed", f'Could not parse SoQL query "{text}" at line 1 character {place}')


@dataclass
class File:
    """A file under ``/files/``; what a server may do or not do with it."""

    body: bytes
    etag: str | None = '"one"'
    last_modified: str | None = "Mon, 02 Nov 2026 08:00:00 GMT"
    content_type: str = "text/csv"
    encoding: str | None = None
    takes_ranges: bool = True
    takes_conditions: bool = True
    chunked: bool = False
    tells_length: bool = True

    def answer(self, headers: Mapping[str, str]) -> Answer:
        """Answer a request for it, conditional or for a part."""
        marks = {"ETag": self.etag, "Last-Modified": self.last_modified, "Content-Encoding": self.encoding}
        told = {name: value for name, value in marks.items() if value}
        if self.takes_conditions and self._is_known(headers):
            return Answer(b"", 304, self.content_type, told)
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        if not asked or not self.takes_ranges or headers.get("if-range") not in {None, self.etag, self.last_modified}:
            return Answer(self.body, 200, self.content_type, told, chunked=self.chunked)
        first, total = int(asked[1]), len(self.body)
        if first >= total:
            return Answer(b"", 416, self.content_type, {"Content-Range": f"bytes */{total}"})
        told["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        return Answer(self.body[first:], 206, self.content_type, told)

    def _is_known(self, headers: Mapping[str, str]) -> bool:
        if (etag := headers.get("if-none-match")) is not None:
            return etag == self.etag
        return self.last_modified is not None and headers.get("if-modified-since") == self.last_modified


class PortalServer:
    """The server. Its data sets and files may be changed at any time; ``before`` is called before each answer."""

    def __init__(self) -> None:
        self.datasets: dict[str, DataSet] = {}
        self.files: dict[str, File] = {}
        self.redirects: dict[str, str] = {}
        self.token: str | None = None
        self.requests: list[Request] = []
        self.before: Callable[[Request], None] = lambda request: None
        self._faults: list[tuple[str, list[Fault | None]]] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"portal": self}))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> "PortalServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def fail(self, *faults: Fault | None, at: str = "/") -> None:
        """Spoil the next answers under a path, one by one; nothing lets one go well."""
        self._faults.append((at, list(faults)))

    def heal(self) -> None:
        """Let everything go well from now on."""
        self._faults.clear()

    def asked(self, path: str) -> list[Request]:
        """The requests whose path begins so, in order."""
        return [request for request in self.requests if request.path.startswith(path)]

    def take(self, request: Request) -> tuple[Answer, Fault]:
        """Note a request, and give its answer and what is to befall it."""
        with self.lock:
            self.requests.append(request)
            self.before(request)
            return self._answer(request), self._next_fault(request.path) or Fault()

    def _next_fault(self, path: str) -> Fault | None:
        for at, faults in self._faults:
            if path.startswith(at) and faults:
                return faults.pop(0)
        return None

    def _answer(self, request: Request) -> Answer:
        if request.path in self.redirects:
            return Answer(b"", 302, "text/plain", {"Location": self.redirects[request.path]})
        if self.token is not None and request.headers.get("x-app-token") not in {None, self.token}:
            return _render({"code": "permission_denied", "error": True, "message": "Invalid app_token specified"}, 403)
        if request.path.startswith("/files/") and (file := self.files.get(request.path.removeprefix("/files/"))):
            return file.answer(request.headers)
        return self._answer_portal(request)

    def _answer_portal(self, request: Request) -> Answer:
        told = re.fullmatch(r"/(api/views|resource)/(....-....)\.json", request.path)
        data = self.datasets.get(told[2]) if told else None
        if told is None or data is None:
            return _render({"code": "dataset.missing", "error": True, "message": "dataset.missing"}, 404)
        if told[1] == "api/views":
            return _render(data.describe())
        try:
            return _render(data.answer(request.query))
        except Refused as refused:
            return refused.answer()


def _render(document: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(document).encode(), status, headers={"X-SODA2-Data-Out-Of-Date": "false"})


class Handler(BaseHTTPRequestHandler):
    """Writes the answers, and does to them what was asked for."""

    portal: PortalServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Keep quiet."""

    def handle(self) -> None:
        """Handle requests until the client leaves, in whatever way."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer one request."""
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(parts.path, dict(parse_qsl(parts.query)), headers)
        answer, fault = self.portal.take(request)
        if fault.silent:
            self.portal.closing.wait(10)
            self.close_connection = True
        elif fault.reset:
            # Lingering for no time makes the kernel send a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        else:
            self._write(request, answer, fault)

    def _write(self, request: Request, answer: Answer, fault: Fault) -> None:
        body = answer.body if fault.body is None else fault.body
        body = body if fault.share is None else body[: int(len(body) * fault.share)]
        head = {"Content-Type": fault.content_type or answer.content_type, **answer.headers, **fault.headers}
        if answer.content_type == JSON and "gzip" in request.headers.get("accept-encoding", ""):
            body = body if "Content-Encoding" in head else gzip.compress(body, 1)
            head["Content-Encoding"] = "gzip"
        length: Mapping[str, str] = {"Content-Length": str(len(body))}
        file = self.portal.files.get(request.path.removeprefix("/files/"))
        if answer.chunked:
            length = {"Transfer-Encoding": "chunked"}
        elif file is not None and not file.tells_length:
            length = {"Connection": "close"}
        self._write_head(fault.status or answer.status, {**head, **length})
        self._write_body(_chunk(body) if answer.chunked else body, fault)

    def _write_head(self, status: int, head: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {self._phrase(status)}", *(f"{name}: {value}" for name, value in head.items())]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())
        if head.get("Connection") == "close":
            self.close_connection = True

    def _phrase(self, status: int) -> str:
        return "OK" if status < 400 else "Fault"

    def _write_body(self, body: bytes, fault: Fault) -> None:
        body = body if fault.cut is None else body[: fault.cut]
        size = max(1, len(body) // 20) if fault.pause_s else max(1, len(body))
        for place in range(0, len(body), size):
            self.wfile.write(body[place : place + size])
            time.sleep(fault.pause_s)
        if fault.cut is not None:
            self.close_connection = True


def _chunk(body: bytes) -> bytes:
    pieces = [body[place : place + 1000] for place in range(0, len(body), 1000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
