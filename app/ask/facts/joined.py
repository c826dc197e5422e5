"""Pairs: addresses that have a permit of one kind and one of another, in any order or one after the other."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.ask.facts.lists import name_path
from app.ask.facts.measures import note_count
from app.ask.facts.nearest import note_nearest
from app.ask.facts.notebook import Notebook
from app.ask.phrases import a_or_an
from app.ask.plan import Where
from app.permits.addresses import Address
from app.permits.features import AnyRow
from app.permits.pairs import Pairing, count_unaddressed, find_pairs


async def note_joined(session: AsyncSession, notebook: Notebook) -> None:
    """Note how many permits of each kind there are, at how many addresses both are, and the first such addresses."""
    plan = notebook.plan
    where, beside = plan.where, plan.beside or plan.where
    for side in (where, beside):
        if not (await note_count(session, notebook, side)).permits:
            await note_nearest(session, notebook, side)
    pairing = Pairing(where, beside, where.area, beside.area, then=plan.sequence == "then")
    found = await find_pairs(session, notebook.register, pairing, limit=plan.limit)
    notebook.note(tell_pairs(notebook, found.addresses, beside), found.addresses, "addresses", where, has_rows=False)
    for row in found.rows:
        notebook.note(
            tell_pair(notebook, row), str(Address(row.house_number, row.street)), "address", where,
            rows=name_path(row), is_row=True,
        )  # fmt: skip
    await note_unaddressed(session, notebook, beside)


def tell_pairs(notebook: Notebook, count: int, beside: Where) -> str:
    """Tell at how many addresses both kinds are."""
    one, other = a_or_an(notebook.describe(notebook.plan.where)), a_or_an(notebook.describe(beside))
    head = f"{count:,} address{'' if count == 1 else 'es'}" if count else "no address"
    verb = "has" if count <= 1 else "have"
    joined = "and, issued later," if notebook.plan.sequence == "then" else "and"
    told = f"{head} {verb} {one} {joined} {other}."
    return told[:1].upper() + told[1:]


def tell_pair(notebook: Notebook, row: AnyRow) -> str:
    """Tell the permits of one address with their days of issue."""
    first, second = (f"issued {day}" if day else "not issued" for day in (row.first_issued, row.second_issued))
    return f"{Address(row.house_number, row.street)} has both: the first {first}, the second {second}."


async def note_unaddressed(session: AsyncSession, notebook: Notebook, beside: Where) -> None:
    """Note of how many permits of each kind the address could not be read."""
    for where in dict.fromkeys((notebook.plan.where, beside)):
        count = await count_unaddressed(session, notebook.register, where, where.area)
        if count:
            verb = "has" if count == 1 else "have"
            sentence = f"Of the {notebook.describe(where)}, {count:,} {verb} no address that can be read."
            notebook.note(sentence, count, "permits", where, has_rows=False)
