"""A file behind a URL, streamed and never put on disk: raw files hold personal data.

It is asked for only where it changed, read on from where its connection was cut, and checked for its length.
"""

import io
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from hashlib import blake2b

import httpx

from app.cities.city import City
from app.errors import MisconfiguredError
from app.ingest.sources.base import Demand, Feed, KeyPage, Page, Progress, SourceFailed, State
from app.ingest.sources.files import open_feed
from app.ingest.sources.http import (
    PassingFault,
    Patience,
    Refusal,
    Tries,
    ask_patiently,
    explained,
    make_client,
    send,
)

RESUMES_MAX = 100
# Some servers call a stored .gz file encoded; the file reader knows gzip by its first bytes.
READABLE_ENCODINGS = frozenset({"identity", "gzip", "x-gzip"})
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class UrlSource:
    """A file behind a URL; it is called by its host and the last part of its path."""

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        self._url = _parse_url(url)
        self._patience = patience or Patience()
        self.name = f"{self._url.host} {self._url.path.rsplit('/', 1)[-1]}".strip()

    @contextmanager
    def open(self, city: City, last: State, demand: Demand) -> Generator[Feed | None]:
        """Open it, or give nothing where its server says that it is still what was published last."""
        with make_client(self._patience) as client, closing(self._start(client)) as download:
            must_read = demand.full or demand.row_ids is not None
            if not download.begin({} if must_read else self._conditions(last)):
                yield None
                return
            marks = {"address": self._address, **download.marks}
            fingerprint = self._fingerprint(download)
            size = download.length
            with open_feed(city, download, self.name, fingerprint=fingerprint, size=size, demand=demand) as feed:
                yield UrlFeed(feed, marks)

    def _start(self, client: httpx.Client) -> "Download":
        return Download(client, self._url, name=self.name, patience=self._patience)

    @property
    def _address(self) -> str:
        """Tell this URL from another of the same name, without saying it."""
        return blake2b(str(self._url).encode(), digest_size=16).hexdigest()

    def _conditions(self, last: State) -> dict[str, str]:
        if last.get("address") != self._address:
            return {}
        told = {"if-none-match": last.get("etag"), "if-modified-since": last.get("last_modified")}
        return {name: str(value) for name, value in told.items() if value}

    def _fingerprint(self, download: "Download") -> str:
        if not (mark := download.marks["etag"] or download.marks["last_modified"]):
            return ""
        return blake2b(f"{self._address} {mark} {download.length}".encode(), digest_size=16).hexdigest()


def _parse_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise MisconfiguredError("the URL to read is none") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise MisconfiguredError("the URL to read must begin with http:// or https:// and name a host")
    return url


class UrlFeed:
    """A file's feed, which also remembers by what its server would know it again."""

    def __init__(self, feed: Feed, marks: State) -> None:
        self._feed = feed
        self._marks = marks
        self.form = feed.form
        self.columns = feed.columns
        self.decoder = feed.decoder
        self.fingerprint = feed.fingerprint
        self.whole = feed.whole

    def pages(self, resume: str | None = None) -> Iterator[Page]:
        """Give the file's pages; of JSON, more columns may show with each."""
        for page in self._feed.pages(resume):
            self.columns = self._feed.columns
            yield page

    def key_pages(self, resume: str | None = None) -> Iterator[KeyPage] | None:
        """Give what the file gives, which is nothing: it has no keys apart from its records."""
        return self._feed.key_pages(resume)

    def progress(self) -> Progress:
        """Say how far it was read, in bytes."""
        return self._feed.progress()

    def state(self) -> State:
        """Give the marks for the next conditional request."""
        return {**self._feed.state(), **self._marks}


class Download(io.RawIOBase):
    """The bytes of one answer, read on in a further request where the connection was cut.

    ``length`` is what the server told, and nothing where it sends chunks, whose end shows by itself. The bytes are
    those of the file as it is stored: a gzipped one arrives gzipped.
    """

    def __init__(self, client: httpx.Client, url: httpx.URL, *, name: str, patience: Patience) -> None:
        super().__init__()
        self._client = client
        self._url = url
        self._name = name
        self._patience = patience
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._ahead = memoryview(b"")
        self._received = 0
        self._resumes = 0
        self.length: int | None = None
        self.marks: dict[str, str | int | None] = {}

    def begin(self, conditions: Mapping[str, str]) -> bool:
        """Open it and look at its first piece; false where the conditions say that it is unchanged."""
        try:
            return ask_patiently(self._patience, self._name, partial(self._begin, conditions))
        except Refusal as refusal:
            raise SourceFailed(f"{self._name}: {refusal}") from None

    def _begin(self, conditions: Mapping[str, str]) -> bool:
        self._take(self._send(conditions))
        response = self._response
        assert response is not None
        if response.status_code == 304 and conditions:
            return False
        if response.status_code != 200:
            raise Refusal(f"it answered {response.status_code}")
        if response.headers.get("content-encoding", "identity").lower() not in READABLE_ENCODINGS:
            raise Refusal("its server sends it in an encoding that was not asked for")
        self.length = _read_length(response)
        etag, modified = response.headers.get("etag"), response.headers.get("last-modified")
        self.marks = {"etag": etag, "last_modified": modified, "length": self.length}
        self._ahead = memoryview(self._next_piece())
        if _is_page(response, bytes(self._ahead[:64])):
            raise PassingFault("it answered a web page instead of data")
        return True

    def _send(self, headers: Mapping[str, str]) -> httpx.Response:
        # A range of an encoded answer would be one of other bytes.
        return send(self._client, self._url, {"accept-encoding": "identity", **headers})

    def _take(self, response: httpx.Response) -> None:
        self._drop()
        self._response = response
        self._pieces = response.iter_raw()

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = None

    def _next_piece(self) -> bytes:
        """Give the next piece, or none at the end. Raises :class:`PassingFault` where it is cut before its end."""
        with explained():
            piece = next(self._pieces, b"")
        if not piece and self.length is not None and self._received < self.length:
            raise PassingFault("it ended before its end")
        self._received += len(piece)
        return piece

    def _read_on(self) -> bytes:
        tries = Tries(self._patience, self._name)
        while True:
            try:
                if self._response is None:
                    self._resume()
                return self._next_piece()
            except PassingFault as fault:
                self._drop()
                tries.wait_after(fault)

    def _resume(self) -> None:
        """Ask for the rest. Raises :class:`SourceFailed` where that would not be the rest of the same file."""
        etag = str(self.marks["etag"] or "")
        mark = etag if etag and not etag.startswith("W/") else self.marks["last_modified"]
        self._resumes += 1
        if not mark or self._resumes > RESUMES_MAX:
            raise SourceFailed(f"{self._name}: it was cut off, and cannot be read on")
        try:
            response = self._send({"range": f"bytes={self._received}-", "if-range": str(mark)})
        except Refusal as refusal:
            if refusal.status != 416:
                raise SourceFailed(f"{self._name}: {refusal} while it was read") from None
            raise SourceFailed(f"{self._name}: it changed while it was read") from None
        self._take(response)
        if not self._is_the_rest(response):
            raise SourceFailed(f"{self._name}: it changed while it was read, or its server sends no part of a file")

    def _is_the_rest(self, response: httpx.Response) -> bool:
        told = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if response.status_code != 206 or told is None or int(told[1]) != self._received:
            return False
        is_as_long = self.length is None or told[2] in {"*", str(self.length)}
        return is_as_long and response.headers.get("etag", self.marks["etag"]) == self.marks["etag"]

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def tell(self) -> int:
        """Say how many bytes were handed on."""
        return self._received - len(self._ahead)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer with what is there. Raises :class:`SourceFailed`."""
        if not self._ahead:
            self._ahead = memoryview(self._read_on())
        size = min(len(buffer), len(self._ahead))
        buffer[:size] = self._ahead[:size]
        self._ahead = self._ahead[size:]
        return size

    def close(self) -> None:
        """Let the connection go."""
        self._drop()
        super().close()


def _read_length(response: httpx.Response) -> int | None:
    """Give the length that the server tells; without it and without chunks, a cut would look like the end."""
    told = response.headers.get("content-length", "")
    if told.isascii() and told.isdecimal():
        return int(told)
    if "chunked" in response.headers.get("transfer-encoding", ""):
        return None
    raise Refusal("its server does not tell its length, so that a part could not be told from the whole")


def _is_page(response: httpx.Response, head: bytes) -> bool:
    """Whether this is a page for people: no kind of file that is read here begins with an angle bracket."""
    is_html = "html" in response.headers.get("content-type", "")
    return is_html or head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
