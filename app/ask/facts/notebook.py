"""Collects the facts of a plan: under each the request that repeats it, its permits, what is missing, what it means."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from app.ask.facts.fact import Fact, Facts
from app.ask.phrases import Figure, describe_where
from app.ask.plan import Measure, Plan, Where
from app.permits.filters import LIMIT_MAX
from app.permits.register import Register
from app.permits.series import StatsQuery
from app.permits.words import DEFINITIONS

STATISTICS: dict[Measure, str] = {
    "permits": "permits",
    "value_usd": "value_usd_sum",
    "median_value_usd": "value_usd_median",
    "mean_value_usd": "value_usd_mean",
    "days_to_issue": "days_to_issue_median",
    "permits_per_km2": "permits_per_km2",
}
"""What ``/permits/stats`` calls a measure."""
WAIT_DEFINITION = (
    "days_to_issue: days from application to issue, of the permits that state both;"
    " one issued before its application counts as less than none"
)


@dataclass
class Notebook:
    """Collects the facts of a plan and writes under each what is the same for all."""

    plan: Plan
    register: Register
    place: str | None
    facts: list[Fact] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    is_declined: bool = False

    def note(
        self,
        sentence: str,
        value: Figure,
        unit: str,
        where: Where,
        *,
        query: dict[str, Any] | None = None,
        rows: str | None = None,
        has_rows: bool = True,
        definition: str | None = None,
        label: str | None = None,
        is_row: bool = False,
    ) -> Fact:
        """Add a fact about the permits of ``where``; without ``has_rows`` no path lists those that it counts."""
        cities = self.register.choose_cities(where.city)
        fact = Fact(
            id=f"f{len(self.facts) + 1}",
            sentence=sentence,
            value=value,
            unit=unit,
            query=query or repeat_by_plan(self.plan),
            rows=(rows or link_rows(where, self.plan.order)) if has_rows else None,
            definition=definition or define(where),
            missing=self.register.missing(cities, tuple(lacking(where, self.plan))),
            as_of=self.register.as_of(cities),
            label=label,
            is_row=is_row,
        )
        self.facts.append(fact)
        return fact

    def decline(self, sentence: str) -> None:
        """Say why there are no facts."""
        self.remarks.append(sentence)
        self.is_declined = True

    def describe(self, where: Where) -> str:
        """Say which permits are meant, with the name of the plan's place where they are around it."""
        return describe_where(where, self.name_place(where))

    def name_place(self, where: Where) -> str | None:
        """Give the name of the middle of an area; of another middle than the plan's none is known."""
        mine, plans = where.area, self.plan.where.area
        is_plans = mine is not None and plans is not None and (mine.lat, mine.lng) == (plans.lat, plans.lng)
        return self.place if is_plans else None

    def close(self, absent_years: tuple[int, ...]) -> Facts:
        """Give the facts collected."""
        cities = self.register.choose_cities(self.plan.where.city)
        return Facts(
            plan=self.plan,
            place=self.place,
            as_of=self.register.as_of(cities),
            synthetic=any(self.register.cities[name].synthetic for name in cities),
            items=tuple(self.facts),
            scope=self.describe(self.plan.where),
            absent_years=absent_years,
            remarks=tuple(self.remarks),
            is_declined=self.is_declined,
        )


def lacking(where: Where, plan: Plan) -> Iterator[str]:
    """Name what permits must state to be found by ``where``."""
    if where.area or where.region or plan.group_by == "region" or plan.measure == "permits_per_km2":
        yield "without_location"
    if where.category or plan.group_by == "category":
        yield "without_category"
    if where.zip or plan.group_by == "zip":
        yield "without_zip"
    waits = plan.measure == "days_to_issue"
    if where.issued_from or where.issued_to or plan.kind == "series" or waits or plan.sequence == "then":
        yield "without_issued_date"
    if where.applied_from or where.applied_to or waits:
        yield "without_applied_date"
    if where.min_value_usd is not None or where.max_value_usd is not None or "value" in plan.measure:
        yield "without_value"


def define(where: Where) -> str | None:
    """Give the definition of the categories meant."""
    left_out = where.without.category if where.without else ()
    return "; ".join(f"{one}: {DEFINITIONS[one]}" for one in (*where.category, *left_out)) or None


def repeat_by_plan(plan: Plan) -> dict[str, Any]:
    """Give the request that computes a plan's facts again, without words."""
    body = {"plan": plan.model_dump(mode="json", exclude_defaults=True)}
    return {"method": "POST", "path": "/facts", "params": {}, "body": body}


def repeat_by_statistics(
    plan: Plan, where: Where, measure: Measure, *, by: str | None = None, kind: str | None = None
) -> dict[str, Any]:
    """Give the request for a figure of permits, or of their groups, or for the plan where statistics have none."""
    parameters = where.model_dump(mode="json", exclude={"area", "without"}, exclude_defaults=True)
    parameters |= where.area.model_dump() if where.area else {}
    parameters |= {name: value for name, value in (("group_by", by), ("kind", kind)) if value}
    parameters["measure"] = STATISTICS[measure]
    try:
        StatsQuery.model_validate(parameters)
    except ValidationError:
        return repeat_by_plan(plan)
    if where.without is not None:
        return repeat_by_plan(plan)
    return {"method": "GET", "path": "/permits/stats", "params": parameters, "body": None}


def link_rows(where: Where, order: str | None) -> str | None:
    """Give the path and query of the permits that ``where`` means; no path leaves permits out."""
    if where.without is not None:
        return None
    parameters = where.model_dump(mode="json", exclude={"area", "without"}, exclude_defaults=True)
    if where.area is not None:
        parameters = where.area.model_dump() | parameters | {"limit": LIMIT_MAX}
    elif order == "largest":
        parameters |= {"order": "largest"}
    path = "/permits" if where.area is None else "/permits/near"
    return f"{path}?{urlencode(parameters, doseq=True)}" if parameters else path
