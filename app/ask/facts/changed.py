"""What changed since a day: how many permits are new, gone or told otherwise, and which of their fields."""

from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.notebook import Notebook
from app.ask.phrases import count_of, describe_kind
from app.permits.movements import find_movements

FIELD_PHRASES = {
    "status_current": "status",
    "status_current_mapped": "mapped status",
    "est_project_cost_usd": "estimated cost",
    "issued_date": "date of issue",
    "applied_date": "date of application",
    "completed_date": "date of completion",
    "expires_date": "date of expiry",
    "status_date": "date of status",
    "original_address1": "address",
    "location": "point",
    "total_sqft": "area in square feet",
    "contractor_company_name": "company",
}
"""What a changed field is called, where its own name with blanks is not good enough."""


async def note_changed(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits changed since a day, how many are new or gone, and in which fields the others changed."""
    plan, where = notebook.plan, notebook.plan.where
    assert plan.since is not None
    found = await find_movements(session, notebook.register, where, where.area, since=plan.since)
    what = notebook.describe(where)
    kind = describe_kind(where)
    head = count_of(found.permits, kind) if found.permits else f"no {kind}"
    told = f"Since {plan.since} there {'is' if found.permits == 1 else 'are'} {head} {what.removeprefix(kind).strip()}"
    rows = link_changes(notebook)
    has_rows = rows is not None
    ending = "that changed, new and removed ones included."
    notebook.note(f"{told.strip()} {ending}", found.permits, "permits", where, rows=rows, has_rows=has_rows)
    for count, become in ((found.new, "new"), (found.removed, "removed by the city")):
        if count:
            these = f"{count:,} of these {count_of(found.permits, 'permits')} {'is' if count == 1 else 'are'}"
            notebook.note(f"{these} {become}.", count, "permits", where, rows=rows, has_rows=has_rows)
    for name, count in sorted(found.fields.items(), key=lambda one: (-one[1], one[0]))[: plan.limit]:
        label = "returned" if name == "returned" else FIELD_PHRASES.get(name, name.replace("_", " "))
        told = f"The {label} of {count_of(count, 'permits')} changed since {plan.since}."
        if name == "returned":
            told = f"{count_of(count, 'permits')} returned to the register since {plan.since}."
        notebook.note(told, count, "permits", where, label=label, rows=rows, has_rows=has_rows)


def link_changes(notebook: Notebook) -> str | None:
    """Give the path that lists the changes; none where permits are left out."""
    plan, where = notebook.plan, notebook.plan.where
    if where.without is not None:
        return None
    parameters = where.model_dump(mode="json", exclude={"area", "without"}, exclude_defaults=True)
    parameters |= where.area.model_dump() if where.area else {}
    return f"/permits/changes?{urlencode(parameters | {'since': str(plan.since)}, doseq=True)}"
