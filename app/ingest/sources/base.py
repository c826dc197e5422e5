"""What every source of records is to a run: pages of raw rows in a fixed order, each with the point to go on from.

A page crosses to a worker process as it was read; there the feed's decoder takes out of each row the columns that the
city's form names, and nothing else of it goes any further, personal data above all. Values are text, as the source
wrote it; an absent one is an empty string.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol

from app.cities.city import City, Form
from app.errors import UndervoltError

PAGE_ROWS = 5_000


class SourceFailed(UndervoltError):  # noqa: N818 - a source fails, the run reports it
    """A source that cannot be read to its end; the message names it and what is wrong, never what it holds."""


class SourceRefused(UndervoltError):  # noqa: N818 - the source is readable, and not to be trusted
    """A source that drifted or shrank; the message says how, and which flag takes it all the same."""


class Record(NamedTuple):
    """One record: its number in its source, from 1, and the columns that its form reads.

    ``fault`` is the reader's reason to reject it; its columns are then in doubt, there are none, and ``digest`` is a
    hash (16 bytes) of the whole of it.
    """

    position: int
    values: Mapping[str, str]
    fault: str | None = None
    digest: bytes | None = None


class Page(NamedTuple):
    """Raw rows in order, the first of them number ``first`` of its source, and the point after them.

    A row is lists, dicts and scalars only. :meth:`Feed.pages` given ``resume`` begins with the next row.
    """

    first: int
    rows: Sequence[Any]
    resume: str


class Decoder(Protocol):
    """Takes the columns of a form out of raw rows; it can be pickled, and holds no open file."""

    def decode(self, page: Page) -> Iterator[Record]:
        """Give one record for each row of the page."""
        ...


class Key(NamedTuple):
    """One record as the city counts it: the source's own row id (empty where it has none) and the permit's key."""

    row_id: str
    source_id: str


class KeyPage(NamedTuple):
    """Keys in order, and the point after them."""

    keys: Sequence[Key]
    resume: str


State = Mapping[str, Any]
"""What a source is remembered by when a run that read it has published: JSON, without a row's content."""


@dataclass(frozen=True)
class Demand:
    """What the operator asks of a source this once.

    ``full`` reads everything and says that what it does not tell is gone; ``since`` reads what was updated from that
    day on, whatever the last run saw; ``row_ids`` reads these rows of a portal alone. ``take_drift`` and
    ``take_shrinkage`` accept on purpose what would stop the run.
    """

    full: bool = False
    since: date | None = None
    row_ids: frozenset[str] | None = None
    take_drift: bool = False
    take_shrinkage: bool = False


class Progress(NamedTuple):
    """How far a feed was read, in its own unit (bytes of a file, rows of a portal); no total where none is known."""

    done: int = 0
    total: int | None = None


class Feed(Protocol):
    """A source that is open: the form of its records, and the columns it has of those that the form reads.

    ``fingerprint`` tells the content apart: a resume point of another fingerprint is worth nothing, and an empty one
    says that nothing can be resumed. ``whole`` says that its pages tell all records of its form.
    """

    form: Form
    columns: frozenset[str]
    decoder: Decoder
    fingerprint: str
    whole: bool

    def pages(self, resume: str | None = None) -> Iterator[Page]:
        """Give the pages, from the beginning or after ``resume``. Raises :class:`SourceFailed`."""
        ...

    def key_pages(self, resume: str | None = None) -> Iterator[KeyPage] | None:
        """Give every key that the source holds now, or nothing where it is not to be asked for them this time."""
        ...

    def progress(self) -> Progress:
        """Say how far it was read."""
        ...

    def state(self) -> State:
        """Give what to remember, once all pages were read and published."""
        ...


class Source(Protocol):
    """Where records come from: a file, a URL, standard input, a portal's data set.

    ``name`` is what reports call it: never a path, a host's credentials or a key.
    """

    name: str

    def open(self, city: City, last: State, demand: Demand) -> AbstractContextManager[Feed | None]:
        """Open it, given what is remembered of its last publication; nothing where it says that nothing changed.

        Raises :class:`SourceFailed` where it cannot be read, and :class:`SourceRefused` where it is not what it was.
        """
        ...
