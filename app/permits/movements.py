"""How many permits changed since a day, by what became of them and by field, from the log that every run keeps."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import BigInteger, and_, bindparam, case, func, literal, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.changes import Since, find_floors
from app.permits.filters import Area, PermitFilter, bind_filter, join_clauses
from app.permits.near import within
from app.permits.register import Register
from app.permits.tables import permit_changes, permits

FLOOR = bindparam("floor", type_=BigInteger)
REMOVED = "removed_run"


@dataclass(frozen=True)
class Movements:
    """Permits that are new, removed, returned or told otherwise, each once in ``permits``; ``fields`` are by name.

    What becomes of a permit that is new since then is not told by field: it has no earlier value.
    """

    permits: int = 0
    new: int = 0
    removed: int = 0
    fields: Counter[str] = field(default_factory=Counter)


async def find_movements(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None, *, since: date
) -> Movements:
    """Count what changed since a day in each city's calendar; filters and circle are met by a permit as it is now."""
    floors = await find_floors(session, Since(day=since), register.choose_cities(wanted.city), today=since)
    total, new, removed, fields = 0, 0, 0, Counter[str]()
    for city, floor in floors.items():
        found = await find_in_city(session, register, wanted, area, city=city, floor=floor)
        total, new, removed = total + found.permits, new + found.new, removed + found.removed
        fields += found.fields
    return Movements(total, new, removed, fields)


async def find_in_city(
    session: AsyncSession, register: Register, wanted: PermitFilter, area: Area | None, *, city: str, floor: int
) -> Movements:
    """Count what the runs after ``floor`` did to one city's permits."""
    values = bind_filter(wanted, register)
    values = {name: value for name, value in values.items() if name != "cities"} | {"city": city, "floor": floor}
    chosen = join_clauses(frozenset(values), with_removed=True) + ([within(area)] if area else [])
    log = permit_changes.c
    same = and_(log.city == permits.c.city, log.source_id == permits.c.source_id, log.run > FLOOR)
    is_new = permits.c.first_run > FLOOR
    told = select(permits.c.source_id, permits.c.removed_run, log.field).join(permit_changes, same)
    told = told.where(*chosen, permits.c.changed_run > FLOOR, ~is_new)
    fresh = select(permits.c.source_id, permits.c.removed_run, literal("")).where(*chosen, is_new)
    moved = union(told, fresh).subquery("moved")
    key = case((moved.c.field == REMOVED, case((moved.c.removed_run.is_(None), "returned"), else_=REMOVED)),
               else_=moved.c.field)  # fmt: skip
    by_field = select(key.label("key"), func.count(moved.c.source_id.distinct()).label("permits")).group_by("key")
    counts = Counter({row.key: row.permits for row in await session.execute(by_field.params(values))})
    total = await session.scalar(select(func.count(moved.c.source_id.distinct())).params(values)) or 0
    new, removed = counts.pop("", 0), counts.pop(REMOVED, 0)
    return Movements(total, new, removed, counts)
