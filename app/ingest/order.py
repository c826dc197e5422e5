"""What the operator asks of a run, and what tells one request from another."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path

import orjson

from app.cities.city import City
from app.ingest.sources.base import Demand, Source


@dataclass(frozen=True)
class Order:
    """What the operator asks of a run.

    ``retry`` takes only the records of these sources that were rejected and are not resolved. ``workers`` is how many
    processes map rows; unset, one a core.
    """

    city: City
    sources: Sequence[Source]
    demand: Demand = field(default_factory=Demand)
    max_rejected: int | None = None
    retry: bool = False
    workers: int | None = None

    @property
    def source_names(self) -> str:
        """The sources as reports call them."""
        return ", ".join(source.name for source in self.sources)

    @property
    def digest(self) -> bytes:
        """Tell apart what is asked for, and by which rules: what one run staged is another's only where these agree."""
        told = {
            "city": self.city.model_dump(mode="json"),
            "sources": [source.name for source in self.sources],
            "demand": {**asdict(self.demand), "row_ids": sorted(self.demand.row_ids or ())},
            "retry": self.retry,
            "rules": _hash_rules(),
        }
        return blake2b(orjson.dumps(told, default=str, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


@cache
def _hash_rules() -> str:
    """Tell releases apart by what maps rows: another release may read the same row in another way."""
    code = sorted(Path(__file__).parent.rglob("*.py"))
    return blake2b(b"".join(path.read_bytes() for path in code), digest_size=16).hexdigest()
