"""A list: its permits in the order asked for, each a fact of its own."""

from typing import Any
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.measures import note_count, plain_number
from app.ask.facts.nearest import note_nearest
from app.ask.facts.notebook import Notebook, repeat_by_plan
from app.ask.facts.rows import find_rows
from app.ask.phrases import CATEGORY_PHRASES, Figure, money
from app.ask.plan import Plan
from app.permits.features import AnyRow
from app.permits.words import Category


async def note_list(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits there are, and the first of them, each a fact of its own."""
    total, plan = await note_count(session, notebook), notebook.plan
    if not total.permits:
        await note_nearest(session, notebook, plan.where)
        return
    rows = await find_rows(session, notebook.register, plan)
    if not rows and plan.order == "longest_open":
        notebook.remarks.append("None of them is known to be open: each is done, or has a status that does not say.")
    for row in rows:
        sentence, value, unit = tell_row(row, plan)
        path = name_path(row)
        told: dict[str, Any] = {"method": "GET", "path": path, "params": {}, "body": None}
        query = repeat_by_plan(plan) if plan.order == "nearest" else told
        notebook.note(sentence, value, unit, plan.where, query=query, rows=path, is_row=True)


def name_path(row: Any) -> str:  # noqa: ANN401 - a row with a city and a source id
    """Give the path of one permit."""
    return f"/permits/{quote(row.city, safe='')}/{quote(row.source_id, safe='')}"


def tell_row(row: AnyRow, plan: Plan) -> tuple[str, Figure, str]:
    """Tell one permit: its number, place, what for, when, and cost; with the value it is ordered by."""
    name, address = row.permit_number or row.source_id, row.original_address1 or "no stated address"
    about = ", ".join(CATEGORY_PHRASES[Category(name)] for name in row.categories) or "no category"
    issued = f"issued {row.issued_date}" if row.issued_date else "not issued"
    cost = (
        f"estimated cost {money(row.est_project_cost_usd)}"
        if row.est_project_cost_usd is not None
        else "no stated cost"
    )
    details = f"{about}; {issued}; {cost}"
    match plan.order:
        case "nearest":
            away = round(row.distance_m, 1)
            return f"Permit {name} is {away:,} m away at {address}: {details}.", away, "m"
        case "longest_open":
            since = row.open_since
            return f"Permit {name} at {address} is open since {since}: {details}.", since.isoformat(), "date"
        case "largest":
            return f"Permit {name} at {address}: {details}.", plain_number(row.est_project_cost_usd), "USD"
        case _:
            day = row.issued_date.isoformat() if row.issued_date else None
            return f"Permit {name} at {address}: {details}.", day, "date"
