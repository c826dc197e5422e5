"""The command line keeps its contract: the report is the last line, and the exit status says how it ended."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.ingest import main
from tests.conftest import ROOT
from tests.ingest.conftest import report_row, write_csv

KEYS = "status run city source read inserted updated unchanged rejected reasons removed data_through seconds".split()


@pytest.fixture
def at_the_store(
    database_url: str, empty_store: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> psycopg.Connection[Any]:
    """The environment of an operator whose store is the empty one."""
    for name in [name for name in os.environ if name.startswith("UNDERVOLT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERVOLT_DATABASE_URL", database_url)
    return empty_store


def last_line(text: str) -> dict[str, Any]:
    """Read the report."""
    report = json.loads(text.splitlines()[-1])
    assert isinstance(report, dict)
    return report


@pytest.mark.usefixtures("at_the_store")
def test_a_loaded_file_ends_with_the_report_and_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    assert main(["--city", "austin", "--file", str(path)]) == 0
    out, err = capsys.readouterr()
    report = last_line(out)
    assert [key for key in KEYS if key not in report] == []
    assert (report["status"], report["inserted"], report["source"]) == ("published", 1, "a.csv")
    assert "austin: published" in err
    assert str(tmp_path) not in out + err


@pytest.mark.usefixtures("at_the_store")
def test_a_missing_file_ends_with_one_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--city", "austin", "--file", str(tmp_path / "gone.csv")]) == 1
    out, err = capsys.readouterr()
    assert last_line(out)["status"] == "failed"
    assert "gone.csv: there is no such file" in err


@pytest.mark.usefixtures("at_the_store")
def test_a_refused_run_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row(date_issued="soon")])
    assert main(["--city", "austin", "--file", str(path), "--max-rejected", "0"]) == 2
    assert last_line(capsys.readouterr().out)["reasons"] == {"malformed_issued_date": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--city", "austin", "--file", "a.csv", "--url", "http://127.0.0.1:1/a.csv"],
        ["--city", "austin", "--since", "yesterday"],
        ["--city", "austin", "--file", "a.csv", "--recategorize", "--retry-rejected"],
        ["--check", "austin.toml"],
        ["--city", "austin", "--file", "a.csv", "--max-rejected", "-1"],
        ["--city", "austin", "--file", "a.csv", "--sideways"],
    ],
)
def test_wrong_usage_ends_with_sixty_four_and_no_report(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: ")


@pytest.mark.usefixtures("at_the_store")
def test_a_city_without_a_portal_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--city", "sample"]) == 64
    assert "sample has no portal" in capsys.readouterr().err


@pytest.mark.usefixtures("at_the_store")
def test_what_was_rejected_is_listed_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row(), report_row(date_issued="soon")])
    main(["--city", "austin", "--file", str(path)])
    capsys.readouterr()
    assert main(["--city", "austin", "--list-rejected"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["source"], told["position"], told["reason"]) == ("a.csv", 2, "malformed_issued_date")


@pytest.mark.usefixtures("at_the_store")
def test_a_city_file_is_checked_without_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    assert main(["--check", str(ROOT / "app/cities/austin.toml"), "--file", str(path)]) == 0
    out = capsys.readouterr().out
    assert "permit_number" in out
    assert "MADE UP" not in out, "no value of a row is shown"


@pytest.mark.usefixtures("at_the_store")
def test_an_unknown_city_ends_with_sixty_four(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--city", "atlantis", "--file", "a.csv"]) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert "no city file is called 'atlantis'" in err


def test_a_store_that_is_away_ends_with_seventy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("UNDERVOLT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERVOLT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    path = write_csv(tmp_path / "a.csv", [report_row()])
    assert main(["--city", "austin", "--file", str(path)]) == 70
    out, err = capsys.readouterr()
    assert last_line(out)["status"] == "error"
    assert "the permit store does not answer" in err


def test_the_command_runs_as_a_module(at_the_store: psycopg.Connection[Any], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [report_row()])
    done = subprocess.run(
        [sys.executable, "-m", "scripts.ingest", "--city", "austin", "--file", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert last_line(done.stdout)["inserted"] == 1
    assert at_the_store.execute("SELECT count(*) FROM permits").fetchone() == (1,)
