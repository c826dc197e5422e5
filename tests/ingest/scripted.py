"""A source that tells what a test scripts: rows in pages, keys, and a failure where it is told to fail."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from app.cities.city import City, Form
from app.ingest.sources.base import Decoder, Demand, Key, KeyPage, Page, Progress, Record, SourceFailed, State


class Plainly:
    """Rows are what the form reads already."""

    def decode(self, page: Page) -> Iterator[Record]:
        """Give each row as a record; a text is a fault."""
        for number, row in enumerate(page.rows, start=page.first):
            yield Record(number, {}, row, b"0" * 16) if isinstance(row, str) else Record(number, row)


class Dawdling(Plainly):
    """Takes its time over every other page, so that whoever maps the next one is done first."""

    def decode(self, page: Page) -> Iterator[Record]:
        """Give each row as a record, at once or later."""
        time.sleep(0.02 * (page.first // len(page.rows) % 2))
        return super().decode(page)


@dataclass
class ScriptedSource:
    """Rows of the form called ``form``; ``fails_after`` pages it fails, once; ``asked`` lists the resume points."""

    rows: Sequence[Mapping[str, str] | str]
    form: str = "portal"
    name: str = "scripted"
    page_rows: int = 2
    whole: bool = False
    keys: Sequence[tuple[str, str]] | None = None
    fingerprint: str = "as it was"
    fails_after: int | None = None
    decoder: Decoder = field(default_factory=Plainly)
    remembered: State = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)

    @contextmanager
    def open(self, city: City, last: State, demand: Demand) -> Generator["ScriptedFeed"]:
        """Open it; what it is told that it remembered is kept for the test to see."""
        self.remembered = last
        yield ScriptedFeed(self, next(form for form in city.forms if form.name == self.form), demand)


class ScriptedFeed:
    """The scripted source, open."""

    def __init__(self, source: ScriptedSource, form: Form, demand: Demand) -> None:
        self.source = source
        self.decoder = source.decoder
        self.form = form
        self.columns = form.read_columns
        self.fingerprint = source.fingerprint
        self.whole = source.whole or demand.full
        self.read = 0

    def pages(self, resume: str | None = None) -> Iterator[Page]:
        """Give the pages that are left."""
        source = self.source
        source.asked.append(resume)
        for number, first in enumerate(range(int(resume or 0), len(source.rows), source.page_rows)):
            if source.fails_after == number:
                source.fails_after = None
                raise SourceFailed(f"{source.name}: cut off")
            rows = [self._fill(row) for row in source.rows[first : first + source.page_rows]]
            self.read = first + len(rows)
            yield Page(first + 1, rows, str(self.read))

    def _fill(self, row: Mapping[str, str] | str) -> dict[str, str] | str:
        return row if isinstance(row, str) else dict.fromkeys(self.columns, "") | dict(row)

    def key_pages(self, resume: str | None = None) -> Iterator[KeyPage] | None:
        """Give the scripted keys, where there are any."""
        if self.source.keys is None:
            return None
        return iter([KeyPage([Key(*key) for key in self.source.keys[int(resume or 0) :]], str(len(self.source.keys)))])

    def progress(self) -> Progress:
        """Say how far it was read."""
        return Progress(self.read, len(self.source.rows))

    def state(self) -> dict[str, Any]:
        """Remember how many rows there were."""
        return {"rows": len(self.source.rows)}
