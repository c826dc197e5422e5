"""What `make` promises to a newcomer: a Python, a PostGIS that survives mishaps, one service, plain messages."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from app.database import name_driver
from app.settings import OWN_NAMES
from scripts.newcomer import cluster as clusters
from scripts.newcomer import embedded, environment
from scripts.newcomer.cluster import Cluster, claim_sockets, ensure_cluster, find_cluster, find_postmaster, stop_cluster
from scripts.newcomer.postgres import find_server, name_own_account, name_server_account
from scripts.newcomer.service import Addresses, Running, check_port, claim_service, open_lock, stop_service
from scripts.newcomer.steps import STATE, Refusal, make_state_directory, try_lock

ROOT = Path(__file__).parent.parent
SYSTEMS = ("Debian", "apt-get install", "dnf install", "brew install", "docker compose up", "UNDERVOLT_DATABASE_URL")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout in a path with a space, as the working directory."""
    place = tmp_path / "under volt"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    """A private cluster of an otherwise empty checkout, stopped and removed at the end."""
    if not find_server(name_server_account()):
        pytest.skip("no PostgreSQL with PostGIS among this machine's packages")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        (Path(place) / "under volt").mkdir()
        patch.chdir(Path(place) / "under volt")
        patch.setattr(clusters, "ROOT_HOMES", Path(place) / "homes")
        made = ensure_cluster()
        yield made
        clusters.remove_cluster(made)


@pytest.fixture
def running(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The same cluster, made to run again after what the test before did to it."""
    monkeypatch.chdir(json.loads((cluster.home / "checkout").read_text()) if os.geteuid() == 0 else cluster.home.parent)
    return ensure_cluster()


def ask(cluster: Cluster, statement: str) -> str:
    """Run a statement on the service's database and give its first value, if it has one."""
    with psycopg.connect(cluster.url("undervolt"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return str(row[0]) if row else ""


def test_python_older_than_3_11_is_passed_over(tmp_path: Path) -> None:
    write_program(tmp_path / "python3", "exit 1")
    write_program(tmp_path / "python3.11", f"exec '{sys.executable}' \"$@\"")
    found = call(["/bin/sh", ROOT / "scripts/find_python.sh"], PATH=str(tmp_path))
    assert found.stdout.strip() == str(getattr(sys, "_base_executable"))  # noqa: B009 - typeshed does not know it


@pytest.mark.parametrize("need", ["python", "postgis"])
def test_message_names_the_commands_of_every_system_where_apt_may_not_be_used(tmp_path: Path, need: str) -> None:
    link_tools(tmp_path)
    refused = call(["/bin/sh", ROOT / "scripts/install_packages.sh", need], PATH=str(tmp_path))
    assert refused.returncode == 69
    assert [word for word in SYSTEMS if word not in refused.stderr] == []


def test_message_names_the_packages_that_ubuntu_22_04_has(tmp_path: Path) -> None:
    link_tools(tmp_path)
    candidate, found = "  Candidate: 3.10.6-1~22.04", "postgresql-14-postgis-3 - Geographic objects support"
    write_program(tmp_path / "apt-cache", f"case $1 in policy) echo '{candidate}' ;; search) echo '{found}' ;; esac")
    refused = call(["/bin/sh", ROOT / "scripts/install_packages.sh", "python"], PATH=str(tmp_path))
    assert " python3.11 python3.11-venv postgresql-14-postgis-3\n" in refused.stderr


def test_make_works_from_a_path_with_a_space(checkout: Path) -> None:
    shutil.copy(ROOT / "Makefile", checkout)
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    stopped = call(["make", "stop"], PATH=os.environ["PATH"])
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert "nothing of this checkout runs" in stopped.stdout


def test_private_cluster_answers_at_the_url_it_leaves_behind(running: Cluster) -> None:
    url = Path(".undervolt/database_url").read_text().strip()
    assert url == running.url("undervolt")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    engine = create_engine(name_driver(url))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT current_user, ST_SRID(ST_Point(0, 0, 4326))").one() == (
            "undervolt",
            4326,
        )
    engine.dispose()


def test_private_cluster_is_found_whatever_port_libpq_was_told(
    running: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "5999")
    assert ask(running, "SELECT 1") == "1"


def test_private_cluster_listens_on_no_port_and_its_socket_is_closed_to_others(running: Cluster) -> None:
    assert ask(running, "SHOW listen_addresses") == ""
    assert running.sockets.stat().st_mode & 0o777 == 0o700


def test_private_cluster_lets_in_no_role_but_its_own(running: Cluster) -> None:
    ask(running, "DROP ROLE IF EXISTS other")
    ask(running, "CREATE ROLE other LOGIN SUPERUSER")
    with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
        psycopg.connect(running.url("undervolt").replace("undervolt@", "other@"))


def test_private_cluster_logs_no_value_of_a_statement_that_fails(running: Cluster) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        ask(running, "CREATE TEMP TABLE t (a text UNIQUE); INSERT INTO t VALUES ('2200 Secret St'), ('2200 Secret St')")
    log = (running.data / "server.log").read_text()
    assert "duplicate key" in log
    assert "Secret" not in log


def test_cluster_that_runs_is_left_alone(running: Cluster) -> None:
    before = find_postmaster(running)
    ensure_cluster()
    assert find_postmaster(running) == before


def test_cluster_comes_back_with_its_data_after_a_power_cut(running: Cluster) -> None:
    ask(running, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS seven")
    os.kill(find_postmaster(running) or 0, signal.SIGKILL)
    assert ask(ensure_cluster(), "SELECT seven FROM kept") == "7"


def test_cluster_comes_back_where_its_number_now_belongs_to_another_program(running: Cluster) -> None:
    stop_cluster(running)
    pid_file = running.data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{running.data}\n1700000000\n")
    os.chown(pid_file, running.account.uid, running.account.gid)
    assert not stop_cluster(running)
    assert ask(ensure_cluster(), "SELECT 1") == "1"


def test_cluster_comes_back_where_its_socket_was_swept_away(running: Cluster) -> None:
    shutil.rmtree(running.sockets)
    assert ask(ensure_cluster(), "SELECT 1") == "1"


def test_cluster_whose_making_was_interrupted_is_made_anew(running: Cluster) -> None:
    stop_cluster(running)
    running.data.rename(running.home / "postgres.part")
    (running.home / "postgres.part" / "PG_VERSION").unlink()
    assert ask(ensure_cluster(), "SELECT 1") == "1"


def test_data_of_a_postgresql_that_is_gone_is_kept_and_its_package_named(checkout: Path) -> None:
    data = checkout / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("99\n")
    with pytest.raises(Refusal, match="postgresql-99-postgis-3"):
        clusters.ensure_server(Cluster(checkout, checkout / "sockets", name_own_account()))
    assert data.is_dir()


def test_socket_directory_that_others_may_enter_is_refused(checkout: Path) -> None:
    sockets = checkout / "sockets"
    sockets.mkdir(mode=0o755)
    with pytest.raises(Refusal, match="remove it"):
        claim_sockets(Cluster(checkout, sockets, name_own_account()))


def test_socket_path_stays_short_in_a_deep_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = checkout.joinpath(*["deep"] * 30)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert len(str(find_cluster().sockets)) < 60  # PostgreSQL allows 107 with the file's name


def test_moved_checkout_keeps_its_cluster_and_a_copied_one_gets_another(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = checkout.parent / "homes" / "a"
    home.mkdir(parents=True)
    make_state_directory()
    (home / "checkout").write_text(json.dumps(str(checkout)))
    (STATE / "cluster_home").write_text(json.dumps(str(home)))
    copied = checkout.with_name("copied")
    shutil.copytree(checkout, copied)
    monkeypatch.chdir(copied)
    assert clusters.find_root_home(home.parent) != home
    shutil.rmtree(checkout)
    assert clusters.find_root_home(home.parent) == home


def test_port_of_another_program_is_refused_naming_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        addresses = Addresses("127.0.0.1", other.getsockname()[1], "http://127.0.0.1:1", backends_named=False)
        with pytest.raises(Refusal, match="UNDERVOLT_PORT"):
            check_port(addresses)


def test_second_run_is_told_where_the_first_answers(checkout: Path) -> None:
    first = Running(os.getpid(), "http://127.0.0.1:8000")
    with open_lock() as held, open_lock() as second:
        assert claim_service(held) is None
        first.note()
        assert claim_service(second) == first


def test_second_run_waits_for_one_that_is_getting_ready_and_takes_over_where_it_fails(checkout: Path) -> None:
    held = open_lock()
    assert claim_service(held) is None
    failing = threading.Timer(0.2, held.close)
    failing.start()
    with open_lock() as second:
        assert claim_service(second) is None
    failing.join()


def test_stop_ends_the_service_that_holds_the_lock(checkout: Path) -> None:
    with open_lock() as lock:
        assert try_lock(lock)
        sleeper = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
        Running(sleeper.pid).note()
    reaper = threading.Thread(target=sleeper.wait)
    reaper.start()
    assert stop_service()
    reaper.join(5)
    assert sleeper.returncode == -signal.SIGTERM
    assert not stop_service()


def test_requirements_are_installed_again_only_when_they_changed(checkout: Path) -> None:
    environment.VENV.mkdir()
    requirements = (Path("requirements.txt"),)
    requirements[0].write_text("a==1")
    assert not environment.is_installed(requirements)
    environment.mark_installed(requirements)
    assert environment.is_installed(requirements)
    requirements[0].write_text("a==2")
    assert not environment.is_installed(requirements)


def test_an_exported_key_or_libpq_variable_reaches_no_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERVOLT_DATABASE_URL", raising=False)
    monkeypatch.setenv("UNDERVOLT_HOSTED_API_KEY", "key")
    monkeypatch.setenv("PGPORT", "5999")
    given = environment.environment_for_tests("postgresql:///x")
    assert {name for name in given if name.startswith(("UNDERVOLT_", "PG"))} == {"UNDERVOLT_TEST_DATABASE_URL"}


def test_embedded_model_is_installed_only_where_nothing_else_would_tell(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*, backends_named: bool = False) -> bool:
        return embedded.lacks_model(Addresses("127.0.0.1", 8000, "http://127.0.0.1:1", backends_named))

    monkeypatch.delenv("EMBEDDED", raising=False)
    Path("requirements-embedded.txt").write_text("a==1")
    assert lacks()
    assert not lacks(backends_named=True)
    monkeypatch.setenv("EMBEDDED", "0")
    assert not lacks()


def test_compose_publishes_every_port_on_this_machine_alone() -> None:
    published = re.findall(r'^ +- "?([^"\s]+:\d+)"?$', (ROOT / "docker-compose.yml").read_text(), flags=re.MULTILINE)
    assert len(published) == 3
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_compose_passes_every_setting_on() -> None:
    decided = {"host", "port", "database_url", "embedded_model_path", "today"}
    passed = re.findall(r"^ +UNDERVOLT_([A-Z_]+):$", (ROOT / "docker-compose.yml").read_text(), flags=re.MULTILINE)
    assert {name.lower() for name in passed} == OWN_NAMES - decided


def write_program(path: Path, line: str) -> None:
    """Write a program of one line of shell."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def link_tools(directory: Path) -> None:
    """Link what the shell scripts use besides apt, so that this directory can be the whole PATH."""
    for name in ("cat", "cut", "sed", "sort"):
        (directory / name).symlink_to(shutil.which(name) or name)


def call(command: list[str | Path], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with these variables as its whole environment."""
    return subprocess.run(command, env=variables, text=True, capture_output=True, check=False, timeout=60)
