"""The systemd units are ones that systemd takes, and treat each end of a run as the contract means it."""

import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")))
PYTHON = "/opt/undervolt/.venv/bin/python"
INGEST = DEPLOY / "undervolt-ingest@.service"

REFUSED, WRONG_USAGE, LOCKED = 2, 64, 75


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the units, their Python in a place that exists on this machine."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze on this machine")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(stat.S_IRWXU)
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PYTHON, str(python)))
    return tmp_path


def verify(*units: Path) -> str:
    """Give all that systemd finds wrong with units; of an unknown option it complains and yet exits 0."""
    command = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return f"{done.stdout}{done.stderr}" + (f"exit status {done.returncode}" if done.returncode else "")


def read_options(unit: Path) -> Mapping[str, str]:
    """Read a unit's options, none of which these units give twice."""
    lines = [line for line in unit.read_text().splitlines() if line and line[0] not in "#["]
    options = dict(line.split("=", 1) for line in lines)
    assert len(options) == len(lines)
    return options


def list_statuses(option: str) -> set[int]:
    """Give the exit statuses that an option of the ingest's unit lists."""
    return {int(status) for status in read_options(INGEST)[option].split()}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_every_unit_without_a_word(installed: Path, unit: Path) -> None:
    assert verify(installed / unit.name) == ""


def test_a_misspelt_option_and_a_missing_program_would_be_noticed(installed: Path) -> None:
    unit = installed / INGEST.name
    unit.write_text(
        unit.read_text().replace("Restart=", "Restrat=").replace(str(installed / "python"), "/nowhere/python")
    )
    told = verify(unit)
    assert "Restrat" in told
    assert "/nowhere/python" in told


def test_the_unit_runs_the_ingest_of_the_city_that_its_instance_names() -> None:
    options = read_options(INGEST)
    assert options["ExecStart"] == f"{PYTHON} -m scripts.ingest --city %i"
    assert (options["Type"], options["User"]) == ("oneshot", "undervolt")


def test_a_run_that_finds_the_lock_held_is_no_failure() -> None:
    assert list_statuses("SuccessExitStatus") == {LOCKED}


def test_a_failure_is_tried_again_and_a_refusal_is_not() -> None:
    assert read_options(INGEST)["Restart"] == "on-failure"
    assert list_statuses("RestartPreventExitStatus") == {REFUSED, WRONG_USAGE}


def test_tries_are_bounded() -> None:
    assert int(read_options(INGEST)["StartLimitBurst"]) == 4


def test_a_night_that_the_box_slept_through_is_made_up_for() -> None:
    assert read_options(DEPLOY / "undervolt-ingest@.timer")["Persistent"] == "yes"


def test_the_service_keeps_no_access_log() -> None:
    assert "--no-access-log" in read_options(DEPLOY / "undervolt.service")["ExecStart"].split()


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda unit: unit.name)
def test_a_service_may_write_nowhere_and_gain_nothing(unit: Path) -> None:
    options = read_options(unit)
    assert (options["ProtectSystem"], options["ProtectHome"], options["NoNewPrivileges"]) == ("strict", "yes", "yes")
    assert options["CapabilityBoundingSet"] == ""
