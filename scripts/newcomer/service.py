"""The service in the foreground: one of it in a checkout, told apart by a lock that lives as long as it does."""

import errno
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scripts.newcomer.environment import PYTHON
from scripts.newcomer.steps import STATE, Refusal, make_state_directory, replace_text, say, try_lock

APPLICATION = "app.main:create_app_from_environment"
LOCK_FILE = STATE / "service.lock"
RUNNING_FILE = STATE / "service.json"
LIVE_S = 60
STOP_S = 15
WhenLive = Callable[[], subprocess.Popen[bytes] | None]
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a client calls instead


@dataclass(frozen=True)
class Running:
    """The process to end, and the service's address once it answers."""

    pid: int
    url: str | None = None

    def note(self) -> None:
        """Leave word for the next `make`."""
        replace_text(RUNNING_FILE, json.dumps({"pid": self.pid, "url": self.url}))


@dataclass(frozen=True)
class Addresses:
    """Where the service listens and where Ollama would be, as the settings say."""

    host: str
    port: int
    ollama: str
    backends_named: bool

    @property
    def url(self) -> str:
        """Where the service is called from this machine."""
        host = ANY_ADDRESS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def open_lock() -> IO[str]:
    """Open the file whose lock the service holds; locked elsewhere, it runs."""
    make_state_directory()
    return LOCK_FILE.open("a")


def read_running() -> Running | None:
    """Read what the service that holds the lock left as word."""
    with suppress(OSError, ValueError, TypeError):
        return Running(**json.loads(RUNNING_FILE.read_text()))
    return None


def claim_service(lock: IO[str]) -> Running | None:
    """Take the lock, or give the service that answers already; wait while another `make run` is getting ready."""
    told = False
    while not try_lock(lock):
        running = read_running()
        if running and running.url:
            return running
        if not told:
            say("another `make run` makes this checkout ready; waiting for it")
            told = True
        time.sleep(0.3)
    Running(os.getpid()).note()
    return None


def check_port(addresses: Addresses) -> None:
    """Raise :class:`Refusal` where another program holds the port, or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in addresses.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((addresses.host, addresses.port))
        except OSError as error:
            place = f"port {addresses.port} of {addresses.host}"
            reason = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror
            raise Refusal(f"{place}: {reason}. Choose another: UNDERVOLT_PORT=8001 make run") from None


def serve(addresses: Addresses, lock: IO[str], environment: dict[str, str], when_live: WhenLive) -> None:
    """Run the service until it is ended, by Ctrl-C, a signal or `make stop`; it inherits the lock.

    ``when_live`` may start a process beside it, which ends with the service.
    Raises :class:`Refusal` where it ends by itself.
    """
    command = compose_command(addresses.host, addresses.port)
    beside: subprocess.Popen[bytes] | None = None
    with subprocess.Popen(command, env=environment, pass_fds=(lock.fileno(),)) as service:
        try:
            Running(service.pid).note()
            wait_until_live(addresses, service)
            Running(service.pid, addresses.url).note()
            beside = when_live()
            status = service.wait()
        except KeyboardInterrupt:
            end(service)
            status = 0
        except BaseException:
            end(service)
            raise
        finally:
            if beside:
                beside.terminate()
    if status not in {0, -signal.SIGTERM, -signal.SIGINT}:
        raise Refusal(f"the service ended by itself, with status {status}")
    say("the service has ended; `make stop` ends its database too")


def compose_command(host: str, port: int, python: Path = PYTHON) -> tuple[str | Path, ...]:
    """Give the command that is the service."""
    options = ("--no-access-log", "--timeout-graceful-shutdown", "5")
    return (python, "-m", "uvicorn", "--factory", APPLICATION, "--host", host, "--port", str(port), *options)


def wait_until_live(addresses: Addresses, service: subprocess.Popen[bytes]) -> None:
    """Wait until the service answers.

    Raises :class:`Refusal` where it ends before, or does not answer in time.
    """
    end_s = time.monotonic() + LIVE_S
    while fetch(f"{addresses.url}/health/live", timeout_s=1) is None:
        if service.poll() is not None:
            raise Refusal(f"the service ended while starting, with status {service.returncode}")
        if time.monotonic() > end_s:
            raise Refusal(f"the service does not answer at {addresses.url} within {LIVE_S} s")
        time.sleep(0.1)


def fetch(url: str, *, timeout_s: float) -> bytes | None:
    """Give what an HTTP server answers with success, or nothing; a proxy of the environment is not asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as reply:
            return bytes(reply.read())
    except (OSError, ValueError):
        return None


def end(service: subprocess.Popen[bytes]) -> None:
    """End the service in an orderly way, or else at once."""
    service.terminate()
    try:
        service.wait(STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        service.kill()


def stop_service() -> bool:
    """End the service that runs from this checkout, if one does, and tell whether one did."""
    if not STATE.is_dir():
        return False
    with open_lock() as lock:
        if try_lock(lock):
            return False
        send(signal.SIGTERM)
        end_s = time.monotonic() + STOP_S
        while not try_lock(lock):
            if time.monotonic() > end_s:
                send(signal.SIGKILL)
                end_s += STOP_S
            time.sleep(0.05)
    return True


def send(what: signal.Signals) -> None:
    """Send a signal to the process that holds the lock."""
    running = read_running()
    if running:
        with suppress(ProcessLookupError):
            os.kill(running.pid, what)
