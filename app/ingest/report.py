"""How a run ended, how far it is, and what it has counted so far."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Status = Literal["published", "unchanged", "failed", "refused", "locked", "error"]
EXIT_STATUSES: dict[Status, int] = {
    "published": 0,
    "unchanged": 0,
    "failed": 1,
    "refused": 2,
    "error": 70,
    "locked": 75,
}


@dataclass(frozen=True)
class IngestReport:
    """How a run ended. ``read`` is ``inserted + updated + unchanged + rejected``, in rows of the source.

    A permit that several rows tell counts once as inserted or updated; its other rows count as unchanged. ``reasons``
    count rejected rows; ``notes`` count what was left out of rows that were taken. ``removed`` counts permits, not
    rows, and so does ``returned``: removed ones that a listing of keys tells again. ``resumed`` names the run whose
    work this one went on with. ``detail`` is for people.
    """

    status: Status
    run: int | None
    city: str
    source: str
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    returned: int = 0
    data_through: str | None = None
    seconds: float = 0
    notes: dict[str, int] = field(default_factory=dict)
    resumed: int | None = None
    detail: str | None = None

    @property
    def exit_status(self) -> int:
        """The process's exit status."""
        return EXIT_STATUSES[self.status]


class Tick(NamedTuple):
    """How far a run is: what it reads, rows read in all, and how much of the source is read, in the source's unit."""

    source: str
    rows: int
    done: int = 0
    total: int | None = None


Watch = Callable[[Tick], None]


def ignore(_tick: Tick) -> None:
    """Watch nothing."""


@dataclass
class Tally:
    """What was read so far."""

    read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Rows that became no permit."""
        return self.reasons.total()

    def count(self, read: int, reasons: Mapping[str, int], notes: Mapping[str, int]) -> None:
        """Count a batch."""
        self.read += read
        self.reasons.update(reasons)
        self.notes.update(notes)

    def to_json(self) -> dict[str, Any]:
        """Give it as the register keeps it."""
        return {"read": self.read, "reasons": dict(self.reasons), "notes": dict(self.notes)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Tally":
        """Take up what a run had counted when it ended too early."""
        return cls(told["read"], Counter(told["reasons"]), Counter(told["notes"]))
