"""Files, folders and standard input as sources of records: CSV or JSON, plain or gzipped, never held whole.

Only the columns that a city's form names ever leave a reader; everything else, personal data above all, is dropped
there.
"""

import csv
import gzip
import io
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import ijson

from app.cities.city import City
from app.ingest.sources.base import PAGE_ROWS, Decoder, Demand, KeyPage, Page, Progress, SourceFailed, State
from app.ingest.sources.delimited import read_delimited
from app.ingest.sources.documents import read_documents
from app.ingest.sources.rows import Survey, Table

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CHUNK_BYTES = 1 << 18
FINGERPRINT_BYTES = 1 << 16
SUFFIXES = frozenset({".csv", ".json", ".gz"})
STANDARD_INPUT = Path("-")


class FileFeed:
    """One file that is open: see :class:`app.ingest.sources.base.Feed`. Its resume point is the number of rows read."""

    def __init__(
        self, name: str, table: Table, raw: "Counted", *, fingerprint: str, size: int | None, whole: bool
    ) -> None:
        self.name = name
        self.form = table.form
        self.columns = table.columns
        self.decoder: Decoder = table.decoder
        self.fingerprint = fingerprint
        self.whole = whole
        self._table = table
        self._raw = raw
        self._size = size

    def pages(self, resume: str | None = None) -> Iterator[Page]:
        """Give the pages, from the beginning or after ``resume``; what was read before is read again and left out."""
        done = int(resume or 0)
        with explained(self.name):
            rows = islice(self._table.rows, done, None)
            while page := list(islice(rows, PAGE_ROWS)):
                self.columns = self._table.columns
                first, done = done + 1, done + len(page)
                yield Page(first, page, str(done))

    def key_pages(self, resume: str | None = None) -> Iterator[KeyPage] | None:
        """Give nothing: a file is not asked for its keys."""
        return None

    def progress(self) -> Progress:
        """Say how many bytes of it were read."""
        return Progress(self._raw.done, self._size)

    def state(self) -> State:
        """Give nothing: a file is not remembered."""
        return {}


class FileSource:
    """A file, named without its folder."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    @contextmanager
    def open(self, city: City, last: State, demand: Demand, survey: Survey | None = None) -> Generator[FileFeed]:
        """Open it. Raises :class:`SourceFailed` for a file that cannot be read, here or while its pages are."""
        with explained(self.name):
            raw = self.path.open("rb", buffering=0)
        with raw:
            with explained(self.name):
                fingerprint, size = _take_fingerprint(raw), os.fstat(raw.fileno()).st_size
            with open_feed(
                city, raw, self.name, fingerprint=fingerprint, size=size, demand=demand, survey=survey
            ) as feed:
                yield feed


class StreamSource:
    """A stream that can be read once, from its beginning; nothing of it can be resumed."""

    def __init__(self, open_stream: Callable[[], BinaryIO], name: str) -> None:
        self.open_stream = open_stream
        self.name = name

    @contextmanager
    def open(self, city: City, last: State, demand: Demand) -> Generator[FileFeed]:
        """Open it. Raises :class:`SourceFailed` where it cannot be read, here or while its pages are."""
        with open_feed(city, self.open_stream(), self.name, fingerprint="", size=None, demand=demand) as feed:
            yield feed


def find_sources(paths: Sequence[Path]) -> list[FileSource | StreamSource]:
    """Give the files, those of a folder by name, and standard input for ``-``; names are told apart.

    Raises :class:`SourceFailed` for a folder without any file of data.
    """
    seen: Counter[str] = Counter()
    sources: list[FileSource | StreamSource] = []
    for path in (path for given in paths for path in _list_files(given)):
        if path == STANDARD_INPUT:
            sources.append(StreamSource(lambda: sys.stdin.buffer, "standard input"))
            continue
        seen[path.name] += 1
        again = f" ({seen[path.name]})" if seen[path.name] > 1 else ""
        sources.append(FileSource(path, path.name + again))
    return sources


def _list_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise SourceFailed(f"{path.name}: no CSV or JSON file is in this folder")
    return files


@contextmanager
def open_feed(
    city: City,
    raw: BinaryIO | io.RawIOBase,
    name: str,
    *,
    fingerprint: str,
    size: int | None,
    demand: Demand,
    survey: Survey | None = None,
) -> Generator[FileFeed]:
    """Open a binary stream, which stays the caller's to close, and tell its form by its columns.

    ``size`` is that of the stream as it is, packed or not, where it is known. A survey counts every column's filled
    values on the way. Raises :class:`SourceFailed` for data that cannot be read, here or while pages are.
    """
    counted = Counted(raw)
    with explained(name):
        plain = _open_plain(name, io.BufferedReader(counted, CHUNK_BYTES))
    with closing(plain):
        with explained(name):
            _skip_byte_order_mark(plain)
            if _holds_json(name, plain):
                table = read_documents(city, name, plain, survey)
            else:
                text = io.TextIOWrapper(plain, encoding="utf-8", errors="replace", newline="")
                table = read_delimited(city, name, text, survey)
        yield FileFeed(name, table, counted, fingerprint=fingerprint, size=size, whole=demand.full)


@contextmanager
def explained(name: str) -> Generator[None]:
    """Turn the faults of a file into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise SourceFailed(f"{name}: there is no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SourceFailed(f"{name}: not gzip data, or data that is damaged or cut off") from None
    except OSError as error:
        raise SourceFailed(f"{name}: cannot be read ({type(error).__name__})") from None
    except csv.Error:
        raise SourceFailed(f"{name}: not readable as CSV") from None
    except (ijson.JSONError, RecursionError):
        raise SourceFailed(f"{name}: not readable as JSON, or cut off") from None


class Counted(io.RawIOBase):
    """A binary stream that knows how far it was read."""

    def __init__(self, raw: BinaryIO | io.RawIOBase) -> None:
        self._raw = raw
        self.done = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, so that the first bytes are there to be looked at however a connection delivers them."""
        filled = 0
        while filled < len(buffer) and (data := self._raw.read(len(buffer) - filled)):
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        self.done += filled
        return filled


def _take_fingerprint(raw: io.FileIO) -> str:
    """Tell a file's content apart by its size, its time and its beginning; of a pipe nothing can be told."""
    if not raw.seekable():
        return ""
    about = os.fstat(raw.fileno())
    beginning = blake2b(raw.read(FINGERPRINT_BYTES), digest_size=16).hexdigest()
    raw.seek(0)
    return f"{about.st_size}-{about.st_mtime_ns}-{beginning}"


def _open_plain(name: str, packed: io.BufferedReader) -> io.BufferedReader:
    magic = packed.peek(2)[:2]
    if not magic:
        raise SourceFailed(f"{name}: the file is empty")
    if magic == GZIP_MAGIC:
        return io.BufferedReader(gzip.GzipFile(fileobj=packed), CHUNK_BYTES)
    if name.endswith(".gz"):
        raise SourceFailed(f"{name}: not gzip data, though it is called .gz")
    return packed


def _skip_byte_order_mark(plain: io.BufferedReader) -> None:
    if plain.peek(len(BYTE_ORDER_MARK)).startswith(BYTE_ORDER_MARK):
        plain.read(len(BYTE_ORDER_MARK))


def _holds_json(name: str, plain: io.BufferedReader) -> bool:
    stem = name.removesuffix(".gz").lower()
    if stem.endswith((".json", ".csv")):
        return stem.endswith(".json")
    return plain.peek(64).lstrip()[:1] in {b"[", b"{"}
