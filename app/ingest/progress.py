"""How far a run is before it publishes: kept with every batch, so that the next run can go on from there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from app.ingest.load.staging import Staged
from app.ingest.report import Tally


@dataclass
class Part:
    """How far one source of a run was read; a finished one says what to remember of it."""

    fingerprint: str = ""
    form: str = ""
    resume: str | None = None
    keys_resume: str | None = None
    keys_done: bool = False
    whole: bool = False
    taken: list[int] = field(default_factory=list)
    done: bool = False
    state: dict[str, Any] | None = None


@dataclass
class Progress:
    """All that a run has done before it publishes: with the staging tables, everything the next one needs to go on."""

    tally: Tally = field(default_factory=Tally)
    parts: list[Part] = field(default_factory=list)
    staged: Staged = field(default_factory=Staged)

    def to_json(self) -> dict[str, Any]:
        """Give it as the register keeps it."""
        return {
            "tally": self.tally.to_json(),
            "parts": [asdict(part) for part in self.parts],
            "staged": list(self.staged),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Progress":
        """Take up what the register kept."""
        parts = [Part(**part) for part in told["parts"]]
        return cls(Tally.from_json(told["tally"]), parts, Staged(*told["staged"]))
