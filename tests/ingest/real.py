"""The real files of all cities, read and mapped once a session and never loaded; their texts are never shown."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path

import pytest

from app.cities.city import find_city
from app.ingest.mapping import Mapper, PermitRow, RejectedRecord
from app.ingest.sources.base import Demand
from app.ingest.sources.files import FileSource
from tests.conftest import ROOT

REAL = ROOT.parent / "shared/data/permits"


def find_real(path: str) -> Path:
    """Give one of the real files, or skip where the shared data are not there."""
    if not (REAL / path).is_file():
        pytest.skip(f"the real file {path} is not on this machine")
    return REAL / path


@dataclass(frozen=True)
class RealFile:
    """What became of a file: its permits in order, its rejected records, and the columns it has of its form."""

    form: str
    columns: frozenset[str]
    carried: frozenset[str]
    permits: list[PermitRow]
    rejected: list[RejectedRecord]

    @property
    def read(self) -> int:
        """How many rows it has."""
        return len(self.permits) + len(self.rejected)

    @cached_property
    def reasons(self) -> dict[str, int]:
        """Why rows were rejected."""
        return Counter(record.reason for record in self.rejected)

    @cached_property
    def notes(self) -> dict[str, int]:
        """What was left out of rows that were taken."""
        return Counter(note for permit in self.permits for note in permit.notes)

    @cached_property
    def qualities(self) -> dict[str, int]:
        """How good the points are."""
        return Counter(permit.location_quality for permit in self.permits)

    @property
    def source_ids(self) -> set[str]:
        """The permits that it tells, as the city counts them."""
        return {permit.source_id for permit in self.permits}

    @property
    def surplus(self) -> int:
        """How many rows tell a permit that another row tells as well."""
        return len(self.permits) - len(self.source_ids)

    def count(self, field: str) -> Counter[object]:
        """Count the values of a field."""
        return Counter(getattr(permit, field) for permit in self.permits)

    def span(self, field: str) -> tuple[date, date]:
        """Give the first and the last day in a field."""
        days = [day for permit in self.permits if (day := getattr(permit, field))]
        return min(days), max(days)


@cache
def read_real(city_name: str, path: str) -> RealFile:
    """Read one real file of a city, and map all its rows."""
    city, source = find_city(city_name), FileSource(find_real(path), Path(path).name)
    with source.open(city, {}, Demand()) as feed:
        mapper = Mapper(city, feed.form, feed.columns, source.name)
        parsed = [mapper.parse(record) for page in feed.pages() for record in feed.decoder.decode(page)]
        return RealFile(
            form=feed.form.name,
            columns=feed.columns,
            carried=mapper.carried,
            permits=[row for row in parsed if isinstance(row, PermitRow)],
            rejected=[row for row in parsed if isinstance(row, RejectedRecord)],
        )
