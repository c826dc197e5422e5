"""Fact: one figure in a sentence, and Facts: all of one plan."""

from dataclasses import dataclass
from typing import Any

from app.ask.phrases import Figure
from app.ask.plan import Plan


@dataclass(frozen=True)
class Fact:
    """One figure in a sentence.

    ``query`` repeats it over HTTP; ``rows`` is the path of the permits it is about, None where no path says them;
    ``label`` is what a ranked group or a period is called.
    """

    id: str
    sentence: str
    value: Figure
    unit: str
    query: dict[str, Any]
    rows: str | None
    definition: str | None
    missing: dict[str, dict[str, int]]
    as_of: dict[str, Any]
    label: str | None = None
    is_row: bool = False

    def render(self) -> dict[str, Any]:
        """Give the fact as the ``facts`` event has it."""
        names = ("id", "sentence", "value", "unit", "query", "rows", "definition", "missing", "as_of")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Facts:
    """All facts of one plan, from one snapshot, and what they share: the words of the permits asked about.

    ``remarks`` are sentences without a figure of their own; with ``is_declined`` they say why there is none.
    """

    plan: Plan
    place: str | None
    as_of: dict[str, Any]
    synthetic: bool
    items: tuple[Fact, ...]
    scope: str
    absent_years: tuple[int, ...] = ()
    """The years asked about in which the register has no permit of any kind."""
    remarks: tuple[str, ...] = ()
    is_declined: bool = False
