"""Rejected records: what of them can be listed, and which of them a retry takes from their source again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.ingest.load.staging import Database


@dataclass(frozen=True)
class Rejected:
    """One record that no run has taken yet, as the newest run that met it tells it."""

    source: str
    position: int
    run: int
    reason: str
    row_id: str | None
    kept_columns: dict[str, str] | None


@dataclass(frozen=True)
class Wanted:
    """The records that a retry of one source takes: by their permit's key, by content, and of a portal by row id.

    A record is known by its key wherever it stands, under another name of the file too. One whose key could not be
    read is known by its place in the file of the same name.
    """

    keys: frozenset[str] = frozenset()
    hashes: frozenset[bytes] = frozenset()
    positions: frozenset[int] = frozenset()
    row_ids: frozenset[str] = frozenset()

    def takes(self, position: int, *, key: str | None, row_hash: bytes) -> bool:
        """Whether a record is one of them; what a portal was asked for by its ids always is."""
        return bool(self.row_ids) or key in self.keys or row_hash in self.hashes or position in self.positions


@dataclass(frozen=True)
class Waiting:
    """All records of a city that wait to be taken."""

    rows: tuple[tuple[str, int, str | None, str | None, bytes], ...] = ()
    """Source, position, the portal's row id, key, and hash of each."""

    def of(self, source: str) -> Wanted:
        """Give what a retry of this source takes."""
        own = [row for row in self.rows if row[0] == source]
        return Wanted(
            keys=frozenset(key for _, _, _, key, _ in self.rows if key),
            hashes=frozenset(row_hash for *_, row_hash in self.rows),
            positions=frozenset(position for _, position, _, key, _ in own if not key),
            row_ids=frozenset(row_id for _, _, row_id, _, _ in own if row_id),
        )

    def describe(self) -> str:
        """Say how many wait, and of which sources."""
        counts = Counter(source for source, *_ in self.rows)
        told = ", ".join(f"{source} ({count:,})" for source, count in sorted(counts.items()))
        return f"{len(self.rows):,} rejected records wait, of {told}"


UNRESOLVED = """
    SELECT DISTINCT ON (source, coalesce(row_id, row_hash::text))
      source, position, run, reason, row_id, kept_columns, source_id, row_hash
    FROM rejected_records WHERE city = %s AND resolved_run IS NULL
    ORDER BY source, coalesce(row_id, row_hash::text), run DESC
"""


def list_rejected(database: Database, city: str) -> Iterator[Rejected]:
    """Give the city's rejected records that no run has taken since, by source and place."""
    rows = database.execute(f"SELECT * FROM ({UNRESOLVED}) AS newest ORDER BY source, position", [city])  # noqa: S608
    for source, position, run, reason, row_id, kept, _, _ in rows:
        yield Rejected(source, position, run, reason, row_id, kept)


def find_waiting(database: Database, city: str) -> Waiting:
    """Find what a retry has to take."""
    rows = database.execute(UNRESOLVED, [city])
    return Waiting(tuple((source, at, row_id, key, bytes(told)) for source, at, _, _, row_id, _, key, told in rows))


def settle_positions(database: Database, run: int, city: str, source: str, taken: Sequence[int]) -> None:
    """Mark the records without a readable key whose places a retry has taken."""
    statement = """
        UPDATE rejected_records SET resolved_run = %s
        WHERE city = %s AND source = %s AND source_id IS NULL AND resolved_run IS NULL AND run <> %s
          AND position = ANY (%s)
    """
    database.execute(statement, [run, city, source, run, list(taken)])
