"""The course of the sample's permits through time: applied for, issued, completed, or what became of them instead.

A day is a number, counted from EPOCH.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from scripts.sample.dice import Dice, Wheel
from scripts.sample.words import Kind

EPOCH = date(2012, 1, 1).toordinal()
LAST_DAY = date(2026, 10, 31).toordinal() - EPOCH  # the day of the export
VALID_DAYS = 180  # a permit expires so many days after its last sign of life

FATES = Wheel((("finished", 0.895), ("abandoned", 0.065), ("withdrawn", 0.024), ("void", 0.006), ("held", 0.01)))
PENDING = ("Pending Permit", "Pending", "Awaiting Update")
WITHDRAWN = Wheel(
    (("Withdrawn", 0.75), ("Cancelled", 0.08), ("Cancelled - Contractor Required", 0.1), ("Aborted", 0.07))
)
HELD = Wheel((("Inactive Pending Revision", 0.45), ("On Hold", 0.3), ("Suspended", 0.15), ("Inactive Contractor", 0.1)))


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a permit; ``None`` is a day that did not come."""

    status: str
    status_day: int
    issued: int | None = None
    expires: int | None = None
    completed: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a project would go if nothing but its fate kept it: applied and issued days, and days of work."""

    fate: str
    applied: int
    issued: int
    work_days: int


def draw_plan(dice: Dice, kind: Kind, applied: int) -> Plan:
    """Draw the fate of a project and how long it takes."""
    wait, work = kind.days
    issued = to_weekday(dice, applied + int(dice.around(wait, 0.75)))
    return Plan(FATES.spin(dice), applied, issued, 1 + int(dice.around(work, 0.65)))


def settle(dice: Dice, plan: Plan, *, main: bool) -> Course:
    """Settle one permit of a project: the other trades are issued a little later, and finish before the main one."""
    issued = plan.issued if main else min(to_weekday(dice, plan.issued + dice.below(12)), plan.issued + plan.work_days)
    if issued > LAST_DAY:
        return Course(dice.pick(PENDING), min(LAST_DAY, plan.applied + dice.below(30)))
    latest = plan.issued + plan.work_days
    completed = latest if main else issued + int((latest - issued) * (0.5 + 0.5 * dice.roll()))
    if plan.fate == "withdrawn" and dice.chance(0.4):
        return Course(WITHDRAWN.spin(dice), _between(dice, plan.applied, issued))
    return _follow(dice, plan.fate, issued, completed)


def _follow(dice: Dice, fate: str, issued: int, completed: int) -> Course:
    """Tell how an issued permit stands on the last day."""
    expires = issued + VALID_DAYS + (dice.below(200) if dice.chance(0.4) else 0)
    if fate == "abandoned" and expires < LAST_DAY:
        return Course("Expired", expires, issued, expires)
    if fate in ("withdrawn", "void"):
        ended = _between(dice, issued, min(LAST_DAY, issued + 150))
        return Course("VOID" if fate == "void" else WITHDRAWN.spin(dice), ended, issued, issued + VALID_DAYS)
    if fate == "held" and issued > LAST_DAY - 900:
        return Course(HELD.spin(dice), _between(dice, issued, LAST_DAY), issued, LAST_DAY + dice.below(VALID_DAYS))
    if fate != "abandoned" and completed <= LAST_DAY:
        return Course("Final", completed, issued, max(completed, issued + VALID_DAYS), completed)
    return Course(
        "Active", _between(dice, issued, LAST_DAY), issued, max(expires, LAST_DAY + 1 + dice.below(VALID_DAYS))
    )


def _between(dice: Dice, first: int, last: int) -> int:
    return first + dice.below(last - first + 1)


def to_weekday(dice: Dice, day: int) -> int:
    """Move a day on a weekend to the next Monday, but for a few and where the register would end before."""
    weekday = (EPOCH + day - 1) % 7
    if weekday < 5 or dice.chance(0.05):
        return day
    monday = day + 7 - weekday
    return day if day <= LAST_DAY < monday else monday


@lru_cache(maxsize=10_000)
def stamp(day: int | None) -> str:
    """Write a day as the portal does."""
    return "" if day is None else f"{date.fromordinal(EPOCH + day).isoformat()}T00:00:00.000"


@lru_cache(maxsize=10_000)
def year_of(day: int) -> int:
    """Give the year of a day."""
    return date.fromordinal(EPOCH + day).year
