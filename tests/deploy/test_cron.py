"""The cron lines are ones that cron takes, and run their programs with the settings of the environment file."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

TABLES = sorted((ROOT / "deploy/cron.d").iterdir())
RUNS = {"undervolt-ingest": "scripts.ingest --city austin", "undervolt-warm": "scripts.warm"}
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def find_faults(line: str) -> list[str]:
    """Say what cron would refuse in a line of ``/etc/cron.d``, or read otherwise than it was meant."""
    *times, user, command = re.split(r"[ \t]+", line, maxsplit=6)
    faults = [time for time, limits in zip(times, RANGES, strict=True) if not is_time(time, *limits)]
    if not re.fullmatch(r"[a-z_][a-z0-9_-]*", user):
        faults.append(user)
    if re.search(r"(?<!\\)%", command):
        faults.append("% ends the command")
    return faults


def is_time(field: str, low: int, high: int) -> bool:
    """Tell whether cron takes a field: a list of numbers or ranges within the limits, or a star, each with a step."""
    for part in field.split(","):
        found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/[1-9]\d*)?", part)
        if not found:
            return False
        numbers = [int(number) for number in found.groups() if number]
        if numbers != sorted(numbers) or not all(low <= number <= high for number in numbers):
            return False
    return True


def read_jobs(table: Path) -> list[str]:
    """Give the lines that are neither comments nor settings."""
    lines = table.read_text().splitlines()
    return [line for line in lines if line and not re.match(r"#|[A-Z]+=", line)]


@pytest.mark.parametrize(
    "line",
    [
        "60 3 * * * root true",
        "0 24 * * * root true",
        "0 3 0 * * root true",
        "0 5-3 * * * root true",
        "*/0 3 * * * root true",
        "0 3 * * * /usr/bin/true now",
        "0 3 * * * root date +%F",
    ],
)
def test_a_wrong_line_would_be_noticed(line: str) -> None:
    assert find_faults(line) != []


def test_every_program_that_cron_runs_is_known_here() -> None:
    assert [table.name for table in TABLES] == sorted(RUNS)


@each_table
def test_cron_takes_each_line(table: Path) -> None:
    jobs = read_jobs(table)
    assert jobs != []
    assert [fault for job in jobs for fault in find_faults(job)] == []


@each_table
def test_cron_takes_the_file(table: Path) -> None:
    """It passes over a file whose name has a dot, and over a last line without an end."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", table.name)
    assert table.read_text().endswith("\n")


@each_table
def test_the_line_runs_its_program_with_the_settings_and_logs_what_it_says(table: Path, tmp_path: Path) -> None:
    """Every path of the line lies in a folder of the test; ``logger`` writes to a file of it."""
    write_program(tmp_path / "opt/undervolt/.venv/bin/python", 'echo "$PWD $* $UNDERVOLT_DATABASE_URL"; echo told >&2')
    write_program(tmp_path / "bin/logger", f'echo "$*" > {tmp_path}/log; cat >> {tmp_path}/log')
    settings = tmp_path / "etc/undervolt/environment"
    settings.parent.mkdir(parents=True)
    settings.write_text("UNDERVOLT_DATABASE_URL='postgresql:///undervolt?a=b&c=d'\n")
    command = read_jobs(table)[0].split(maxsplit=6)[6]
    moved = command.replace("/opt/undervolt", f"{tmp_path}/opt/undervolt").replace("/etc/", f"{tmp_path}/etc/")
    done = subprocess.run(
        ["/bin/sh", "-c", moved],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    tag, *logged = (tmp_path / "log").read_text().splitlines()
    ran = f"{tmp_path}/opt/undervolt -m {RUNS[table.name]} postgresql:///undervolt?a=b&c=d"
    assert (tag, sorted(logged)) == (f"-t {table.name}", sorted([ran, "told"]))
    assert done.stdout + done.stderr == ""


def write_program(path: Path, body: str) -> None:
    """Write a shell script that may be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(stat.S_IRWXU)
