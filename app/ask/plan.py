"""Plan: the closed shape of what a question may have looked up. It is data, bounded, and the same over HTTP."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from app.permits.filters import Area, PermitFilter

Kind = Literal["count", "sum", "list", "top", "series", "compare"]
GroupBy = Literal["category", "permit_type", "work_class"]
Measure = Literal["permits", "value_usd"]
Order = Literal["nearest", "newest", "largest"]

ROWS_MAX = 20
ROWS_DEFAULT = 5


class Where(PermitFilter, frozen=True, extra="forbid"):
    """Which permits: filters and, where a place is meant, a circle around it."""

    area: Area | None = None


class Plan(BaseModel, frozen=True, extra="forbid"):
    """What to look up.

    ``count`` and ``sum`` give one figure, ``list`` gives ``limit`` permits in ``order``, ``top`` ranks the ``limit``
    largest groups of ``group_by``, ``series`` gives one figure a year of issue, ``compare`` sets ``where`` beside
    ``versus``. ``measure`` is the number of permits or the sum of their estimated cost in US dollars.
    """

    kind: Kind
    where: Where = Where()
    versus: Where | None = None
    measure: Measure = "permits"
    group_by: GroupBy | None = None
    order: Order | None = None
    limit: int = Field(default=ROWS_DEFAULT, ge=1, le=ROWS_MAX)

    @model_validator(mode="after")
    def _parts_fit_the_kind(self) -> Self:
        needs = {"top": "group_by", "list": "order", "compare": "versus"}
        for kind, part in needs.items():
            if (getattr(self, part) is not None) != (self.kind == kind):
                raise ValueError(f"{part} belongs to the kind {kind}, and {kind} needs it")
        if self.order == "nearest" and self.where.area is None:
            raise ValueError("the order nearest needs an area")
        if self.kind == "sum" and self.measure != "value_usd":
            raise ValueError("a sum is of value_usd")
        return self
