"""Ask every question of a set and lay the answers beside gold: ``python -m scripts.evaluate [--final] [--city NAME]``.

Questions, and how their plans are written, stand in ``data/questions``. Without ``--as-is`` the register is made by
the ingest in a scratch database on the server of ``UNDERVOLT_DATABASE_URL``, of the sample or of the ``--file`` given,
and dropped at the end; with it the database that the variable names is asked as it is. A scripted voice repeats each
fact and then lies. The last line on standard output is the report, one JSON object. Exit status: 0, or 1 where
``--goals`` was given and one was missed.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
from rich.console import Console

from app.database import find_database_url
from app.errors import UndervoltError
from app.settings import read_settings
from scripts.evaluation.answers import Ledger
from scripts.evaluation.asking import serving
from scripts.evaluation.judging import Computed, Judgement, judge, judge_facts
from scripts.evaluation.questions import FILES, QuestionSet, read_questions
from scripts.evaluation.registers import make_register
from scripts.evaluation.report import find_missed, sum_up, tell, tell_failures, write_failures
from scripts.evaluation.slots import draw_slots

COMPANIES = "SELECT EXISTS (SELECT FROM permits WHERE city = %s AND contractor_company_name IS NOT NULL)"


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--city", default="sample", help="whose register is asked")
    parser.add_argument("--file", action="append", type=Path, default=[], help="permits to load instead of the sample")
    parser.add_argument("--regions", type=Path, metavar="DIR", help="regions to load instead of the sample's squares")
    parser.add_argument("--as-is", action="store_true", help="ask what is loaded; nothing is made or changed")
    parser.add_argument("--final", action="store_true", help="the half that is kept apart, for the final figure")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="questions of another file instead")
    parser.add_argument("--goals", action="store_true", help="end with status 1 where a goal was missed")
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Evaluation:
    """The questions of a set with the judgement of each reply, and of the facts of each gold plan."""

    questions: QuestionSet
    judged: list[Judgement]
    computed: list[Computed]


async def evaluate(database_url: str, city: str, file: Path) -> Evaluation:
    """Ask the questions of one file of one register, judge each reply, and have each gold plan's facts computed."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(COMPANIES, [city]).fetchone()
        has = frozenset({"companies"} if row and row[0] else ())
        questions = read_questions(file, draw_slots(connection, city), has=has)
        ledger = Ledger(connection, city)
        async with serving(database_url, city, questions.today) as service:
            judged = [judge(asked, await service.ask(asked), ledger, city) for asked in questions.asked]
            computed = [await judge_facts(asked, service, ledger) for asked in questions.asked]
    return Evaluation(questions, judged, [one for one in computed if one is not None])


@contextmanager
def find_register(options: argparse.Namespace, console: Console) -> Generator[str]:
    """Give the URL of the register that is asked. Raises :class:`UndervoltError` where no database is named."""
    url = find_database_url(read_settings(os.environ))
    if options.as_is:
        yield url
        return
    with make_register(url, options.city, files=options.file, regions=options.regions, say=console.print) as scratch:
        yield scratch


def report(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Evaluate, print what was found, and give it."""
    name, began = "final" if options.final else "development", monotonic()
    file = options.questions or FILES[name]
    with find_register(options, console) as url:
        made = asyncio.run(evaluate(url, options.city, file))
    found = sum_up(made.judged, made.computed, made.questions.unfilled)
    name = file.stem if options.questions else name
    found = {"set": name, "city": options.city, "seconds": round(monotonic() - began, 1), **found}
    tell(console, f"{name}: {len(made.judged)} questions of the register {options.city}", found)
    tell_failures(console, made.judged, made.computed)
    return found | {"goals_missed": find_missed(found), "failures": write_failures(made.judged)}


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    options, console = parse_arguments(arguments), Console(width=120, highlight=False, stderr=True)
    try:
        found = report(options, console)
    except UndervoltError as error:
        print(error, file=sys.stderr)
        return 1
    for missed in found["goals_missed"]:
        console.print(f"goal missed: {missed}")
    print(json.dumps(found))
    return 1 if options.goals and found["goals_missed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
