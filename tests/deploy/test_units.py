"""The systemd units are ones that systemd takes, and treat each end of a run as the contract means it."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.backends.base import LOAD_MAX_S
from app.settings import BackendSettings
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")))
PYTHON = "/opt/undervolt/.venv/bin/python"
INGEST = DEPLOY / "undervolt-ingest@.service"
WARM = DEPLOY / "undervolt-warm.service"

REFUSED, WRONG_USAGE, LOCKED, OTHERS_MODELS = 2, 64, 75, os.EX_TEMPFAIL


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


def list_statuses(option: str, unit: Path = INGEST) -> set[int]:
    """Give the exit statuses that an option of a unit lists."""
    return {int(status) for status in read_options(unit)[option].split()}


def read_seconds(span: str) -> float:
    """Give a span of time of systemd's in seconds."""
    number, unit = re.fullmatch(r"(\d+)(s|min|h)", span).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "min": 60, "h": 3600}[unit]


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


def test_a_box_whose_memory_others_use_is_no_failed_unit() -> None:
    options = read_options(WARM)
    assert options["ExecStart"] == f"{PYTHON} -m scripts.warm"
    assert list_statuses("SuccessExitStatus", WARM) == {OTHERS_MODELS}


def test_a_load_may_take_as_long_as_the_warm_up_waits_for_it() -> None:
    assert read_seconds(read_options(WARM)["TimeoutStartSec"]) > LOAD_MAX_S


def test_two_warm_ups_fall_within_the_time_that_a_model_is_kept() -> None:
    options = read_options(DEPLOY / "undervolt-warm.timer")
    apart_s = read_seconds(options["OnUnitActiveSec"]) + read_seconds(options["AccuracySec"])
    keep_alive = BackendSettings(kind="ollama").keep_alive
    assert 2 * apart_s < read_seconds(keep_alive.replace("m", "min"))


def test_the_service_keeps_no_access_log() -> None:
    assert "--no-access-log" in read_options(DEPLOY / "undervolt.service")["ExecStart"].split()


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda unit: unit.name)
def test_a_service_may_write_nowhere_and_gain_nothing(unit: Path) -> None:
    options = read_options(unit)
    assert (options["ProtectSystem"], options["ProtectHome"], options["NoNewPrivileges"]) == ("strict", "yes", "yes")
    assert options["CapabilityBoundingSet"] == ""
