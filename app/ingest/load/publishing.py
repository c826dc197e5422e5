"""Publication: all that a run changes in the register, in the order in which it has to happen, in one transaction."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from psycopg import sql

from app.cities.city import City
from app.errors import UndervoltError
from app.ingest.load import cells, figures, merge, placing, removals, summaries
from app.ingest.load.grounds import refresh_categories
from app.ingest.load.indexes import indexed_afterwards
from app.ingest.load.merge import Values
from app.ingest.load.staging import Database

SORT_MEMORY = "128MB"
# A source that lost more than a tenth of what it told is more likely broken than right.
REMOVED_SHARE = 10
REMOVED_FLOOR = 100
# From so many changed permits on, the planner's figures are taken anew, and the GIN index is brought in order.
ANALYZE_ROWS = 1_000
VACUUM_ROWS = 10_000


class RunRefused(UndervoltError):  # noqa: N818 - the source is readable, and not to be trusted
    """A run that read its source and publishes nothing of it; the message says why."""


@dataclass(frozen=True)
class Merged:
    """What a run did to the permits of its city; ``returned`` are no longer removed, and not among the ``updated``."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0
    returned: int = 0

    @property
    def changed(self) -> int:
        """How many permits are not what they were."""
        return self.inserted + self.updated + self.removed + self.returned


def publish(database: Database, run: int, city: City, *, whole: Sequence[str], take_shrinkage: bool) -> Merged:
    """Bring the city's permits to what the run staged, within the caller's transaction.

    ``whole`` names the forms of which the run knows every key: a permit that they do not tell any more is marked
    removed. Raises :class:`RunRefused` where far too many would be, unless ``take_shrinkage``.
    """
    values: Values = {"run": run, "city": city.name}
    hold_publication(database)
    merge.choose_rows(database, run, values)
    if _is_new(database, values):
        merged = _fill(database, run, values)
    else:
        merged = _merge(database, run, city, list(whole), take_shrinkage=take_shrinkage)
    merge.settle_rejects(database, run, values)
    if merged.changed:
        summaries.shift_summaries(database, values, time_zone=city.time_zone, synthetic=city.synthetic)
        cells.shift_cells(database, values)
    return merged


def hold_publication(database: Database) -> None:
    """Wait for any other publication and keep the next ones waiting, until the transaction ends; allow it to sort.

    Two cities that fill an empty register at once would each wait for the other to let it go.
    """
    database.execute("SELECT pg_advisory_xact_lock(hashtextextended('undervolt publish', 0))")
    database.execute(sql.SQL("SET LOCAL work_mem = {}").format(SORT_MEMORY))


def _is_new(database: Database, values: Values) -> bool:
    row = database.execute("SELECT NOT EXISTS (SELECT FROM permits WHERE city = %(city)s)", values).fetchone()
    return bool(row and row[0])


def _fill(database: Database, run: int, values: Values) -> Merged:
    """Fill in a city that had no permits."""
    placing.place_staged(database, run, values)
    empty = not (database.execute("SELECT EXISTS (SELECT FROM permits)").fetchone() or (True,))[0]
    with indexed_afterwards(database) if empty else nullcontext():
        merged = Merged(inserted=merge.insert_all(database, run, values))
        summaries.learn_all_words(database, values)
        merge.keep_all_source_rows(database, run, values)
    database.execute("ANALYZE permits")  # else all that is counted would be sorted first
    placing.count_all(database, values)
    summaries.count_all(database, values)
    cells.count_all(database, values)
    return merged


def _merge(database: Database, run: int, city: City, whole: list[str], *, take_shrinkage: bool) -> Merged:
    values: Values = {"run": run, "city": city.name}
    merge.compare(database, run, values)
    refresh_categories(database, run, values)
    removed = removals.find_vanished(database, run, values, whole) if whole else 0
    if removed and not take_shrinkage:
        _refuse_too_many_removed(removed, removals.count_told(database, values, whole))
    returned = 0
    if city.portal and city.portal.form in whole:
        returned = removals.take_back(database, run, {**values, "form": city.portal.form})
    placing.place_differing(database, values)
    placing.count_differences(database, values, with_vanished=bool(whole))
    summaries.count_differences(database, values, with_vanished=bool(whole))
    cells.count_differences(database, values, with_vanished=bool(whole))
    merge.record_changes(database, values)
    updated = merge.update_changed(database, values) - returned
    inserted = merge.insert_new(database, values)
    summaries.learn_new_words(database, values)
    merge.keep_source_rows(database, run, values)
    if whole:
        removals.mark_removed(database, values)
        removals.forget_old_ids(database, values, whole)
    return Merged(inserted=inserted, updated=updated, removed=removed, returned=returned)


def _refuse_too_many_removed(removed: int, told: int) -> None:
    if removed > max(REMOVED_FLOOR, told // REMOVED_SHARE):
        raise RunRefused(
            f"the source no longer tells {removed:,} of {told:,} permits, which is too many to believe;"
            " --accept-shrinkage marks them removed all the same"
        )


def tidy(database: Database, merged: Merged) -> None:
    """After a large run, give the planner its figures and the indexes their order, outside any transaction."""
    if merged.changed >= ANALYZE_ROWS:
        how = "VACUUM (ANALYZE)" if merged.changed >= VACUUM_ROWS else "ANALYZE"
        for table in ("permits", "source_rows", "permit_cells", *figures.TABLES):
            database.execute(sql.SQL(f"{how} {{}}").format(sql.Identifier(table)))
