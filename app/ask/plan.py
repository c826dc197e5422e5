"""Plan: the closed shape of what a question may have looked up. It is data, bounded, and the same over HTTP."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from app.permits.filters import Area, PermitFilter

Kind = Literal[
    "count",
    "sum",
    "median",
    "mean",
    "share",
    "density",
    "waiting",
    "list",
    "top",
    "series",
    "compare",
    "joined",
    "changed",
]
GroupBy = Literal[
    "category", "permit_type", "permit_class", "work_class", "status", "zip", "district", "region", "company"
]
Measure = Literal["permits", "value_usd", "median_value_usd", "mean_value_usd", "days_to_issue", "permits_per_km2"]
Order = Literal["nearest", "newest", "largest", "longest_open"]
Period = Literal["year", "quarter", "month"]
Sequence = Literal["any", "then"]
"""How two permits at one address follow each other: in any order, or the second issued after the first."""

ROWS_MAX = 20
ROWS_DEFAULT = 5
MEASURES: dict[Kind, Measure] = {
    "sum": "value_usd",
    "median": "median_value_usd",
    "mean": "mean_value_usd",
    "density": "permits_per_km2",
    "waiting": "days_to_issue",
}
"""What kinds with one figure are a figure of; the others count permits, or say what they measure."""
FREE_MEASURE: frozenset[Kind] = frozenset({"top", "series", "compare"})
PARTS: dict[str, frozenset[Kind]] = {
    "versus": frozenset({"compare", "share"}),
    "group_by": frozenset({"top"}),
    "order": frozenset({"list"}),
    "period": frozenset({"series"}),
    "beside": frozenset({"joined"}),
    "sequence": frozenset({"joined"}),
    "since": frozenset({"changed"}),
}
"""Which kinds have a part of a plan."""
OPTIONAL = frozenset({"period", "sequence"})
"""Parts that a kind may leave out: a series is by year, a joined pair in any order. It needs the others."""


class Where(PermitFilter, frozen=True, extra="forbid"):
    """Which permits: filters, what is left out of them, and, where a place is meant, a circle around it."""

    area: Area | None = None
    without: PermitFilter | None = Field(default=None, description="permits that these filters mean are left out")


class Plan(BaseModel, frozen=True, extra="forbid"):
    """What to look up.

    One figure: ``count``, ``sum``, ``median`` and ``mean`` of the estimated cost in US dollars, ``share`` (of
    ``versus`` that is ``where``), ``density`` (permits per square kilometre) and ``waiting`` (median days from
    application to issue). Several: ``list`` gives ``limit`` permits in ``order``; ``top`` ranks the ``limit`` largest
    groups of ``group_by``; ``series`` gives one figure a ``period`` of issue; ``compare`` sets ``where`` beside
    ``versus``; ``joined`` finds addresses that have a permit of ``where`` and one of ``beside``; ``changed`` tells what
    changed ``since`` a day. ``region_kind`` says which regions a ranking by region is of.
    """

    kind: Kind
    where: Where = Where()
    versus: Where | None = None
    beside: Where | None = None
    sequence: Sequence | None = None
    since: date | None = None
    measure: Measure = "permits"
    group_by: GroupBy | None = None
    region_kind: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    period: Period | None = None
    order: Order | None = None
    limit: int = Field(default=ROWS_DEFAULT, ge=1, le=ROWS_MAX)

    @model_validator(mode="after")
    def _parts_fit_the_kind(self) -> Self:
        for part, kinds in PARTS.items():
            is_given, belongs = getattr(self, part) is not None, self.kind in kinds
            if is_given > belongs or (belongs and not is_given and part not in OPTIONAL):
                raise ValueError(f"{part} belongs to the kind {' or '.join(sorted(kinds))}, which needs it")
        if self.order == "nearest" and self.where.area is None:
            raise ValueError("the order nearest needs an area")
        if (self.region_kind is not None) != (self.group_by == "region"):
            raise ValueError("region_kind belongs to a ranking by region, which needs it")
        if self.kind not in FREE_MEASURE and self.measure != MEASURES.get(self.kind, "permits"):
            raise ValueError(f"the kind {self.kind} is of {MEASURES.get(self.kind, 'permits')}")
        return self
