"""pgbench: the limit, a bare statement run by prepared clients with its points drawn at random as the service's are."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from psycopg import sql

from scripts.bench.cpu import Meter
from scripts.bench.figures import Load
from scripts.newcomer.postgres import list_program_directories

THREADS = 2
# As the service's own connections are (app/database.py); its plan_cache_mode is one of the cases.
SETTINGS = {"jit": "off", "max_parallel_workers_per_gather": "0", "TimeZone": "UTC"}
PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|(%))")


def find_program() -> str | None:
    """Find pgbench on the path, or beside a server's programs."""
    beside = (directory / "pgbench" for directory in list_program_directories())
    return shutil.which("pgbench") or next((str(path) for path in beside if path.is_file()), None)


def run(url: str, script: str, meter: Meter, *, clients: int, seconds: int, plans: str = "force_custom_plan") -> Load:
    """Run a script with prepared statements; ``plans`` is the sessions' plan_cache_mode.

    Raises :class:`OSError` where a statement failed or pgbench is missing.
    """
    program = find_program()
    if program is None:
        raise OSError("pgbench is missing; it comes with PostgreSQL")
    settings = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, "plan_cache_mode": plans}.items())
    with tempfile.TemporaryDirectory(prefix="undervolt-pgbench-") as folder:
        file = Path(folder) / "script.sql"
        file.write_text(script)
        options = (f"-c{clients}", f"-j{min(THREADS, clients)}", f"-T{seconds}", "-n", "-Mprepared", "--random-seed=1")
        command = [program, *options, f"--file={file}", "--log", f"--log-prefix={folder}/log", url]
        with meter.reading() as cpu_s:
            done = subprocess.run(command, env=os.environ | {"PGOPTIONS": settings}, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"pgbench ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
        logged = (line for log in Path(folder).glob("log*") for line in log.read_text().splitlines())
        return Load(read_seconds(done.stdout), parse_log(logged), cpu_s)


def read_seconds(report: str) -> float:
    """Give how long the transactions took, without the connecting before them."""
    counted = re.search(r"^number of transactions actually processed: (\d+)", report, re.MULTILINE)
    rate = re.search(r"^tps = ([0-9.]+) \(without initial connection time\)", report, re.MULTILINE)
    if not (counted and rate and float(rate[1])):
        raise OSError("pgbench did not say how many transactions it ran")
    return int(counted[1]) / float(rate[1])


def parse_log(lines: Iterable[str]) -> list[int]:
    """Give the microseconds of each transaction in a log of pgbench's."""
    return [int(line.split()[2]) for line in lines]


def write_script(statement: str, points: Sequence[Mapping[str, float]]) -> str:
    """Write a script that runs the statement, its ``:names`` those of a point drawn at random."""
    names = points[0]
    drawn = (f"\\set {name} {choose([point[name] for point in points])}" for name in names)
    return "\n".join([f"\\set point random(0, {len(points) - 1})", *drawn, f"{statement};"]) + "\n"


def choose(values: Sequence[float], first: int = 0) -> str:
    """Write an expression of pgbench's for the value at ``:point``, found by halves."""
    if len(values) == 1:
        return repr(values[0])
    half = len(values) // 2
    lower, upper = choose(values[:half], first), choose(values[half:], first + half)
    return f"case when :point < {first + half} then {lower} else {upper} end"


def bare(statement: str, values: Mapping[str, object], varying: Collection[str]) -> str:
    """Write a statement of psycopg's for pgbench: a value that varies becomes a ``:name``, any other a literal."""

    def put(found: re.Match[str]) -> str:
        if found[2]:
            return "%"
        return f":{found[1]}" if found[1] in varying else sql.Literal(values[found[1]]).as_string()

    return PLACEHOLDER.sub(put, statement)
