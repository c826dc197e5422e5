"""What is said while things are made ready, how other programs are run, and the one way to stop with a sentence."""

import fcntl
import os
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

STATE = Path(".undervolt")
STARTED_S = float(os.environ.get("NEWCOMER_STARTED_S") or time.monotonic())  # handed on to what runs beside
LINES_OF_OUTPUT = 20


class Refusal(Exception):  # noqa: N818 - it says what to do, and is no fault of this program
    """The work cannot go on; the message says why and what to do."""


def say(text: str) -> None:
    """Print one line, with the seconds since the start before it."""
    print(f"{time.monotonic() - STARTED_S:6.1f} s  {text}", flush=True)


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a program and give its standard output.

    Raises :class:`Refusal` with the last lines of what it printed where it fails.
    """
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Refusal(describe_failure(command, done))
    return done.stdout


def describe_failure(command: Sequence[str | Path], done: subprocess.CompletedProcess[str]) -> str:
    """Name the program that failed, with the last lines of what it printed."""
    lines = (done.stdout + done.stderr).strip().splitlines()[-LINES_OF_OUTPUT:]
    return "\n".join([f"{' '.join(map(str, command[:4]))} ended with status {done.returncode}:", *lines])


def make_state_directory() -> None:
    """Make the directory for what belongs to this checkout alone.

    Raises :class:`Refusal` where another user made it.
    """
    STATE.mkdir(exist_ok=True)
    if not os.access(STATE, os.W_OK):
        raise Refusal(f"{STATE} belongs to another user: give the command as that user, or remove it as root")


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new one, never half of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


@contextmanager
def take_turn() -> Generator[None]:
    """Let one `make` after another prepare this checkout."""
    make_state_directory()
    with (STATE / "lock").open("w") as lock:
        if not try_lock(lock):
            say("another make prepares this checkout; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def try_lock(file: IO[str]) -> bool:
    """Lock an open file for as long as it, or a child's copy of it, stays open."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
