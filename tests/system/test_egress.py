"""No library phones home: nothing but the database and the listed backends is ever spoken to, or needed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.backends.servers import serving
from tests.conftest import ROOT
from tests.system.egress import Day, spend_day
from tests.system.running import LOOPBACK, Folders

pytestmark = pytest.mark.system

PROGRAMS = ("ingest", "service", "warm", "explain")
TO_THE_OUTSIDE = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of a day leave what they leave."""
    return tmp_path_factory.mktemp("day")


@pytest.fixture(scope="module")
async def day(database_url: str, home: Path) -> Day:
    """A day that is watched, with a proxy in the environment that nobody may use for what stays in the house."""
    async with serving({}) as proxy:
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"), proxy.url)
        day = await spend_day(home, database_url, more={**proxies, "NO_PROXY": ""})
        assert proxy.connections == 0
    return day


def test_day_went_well(day: Day) -> None:
    assert day.exits == {"ingest": 0, "warm": 0, "explain": 0}
    assert set(day.statuses.values()) == {200}
    assert (day.kind, day.told) == ("answer", ["ollama"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_speaks_to_loopback_alone(day: Day, home: Path, program: str) -> None:
    watched = Folders(home / program)
    assert watched.watched[0][0] == "started", "the watch was kept"
    assert [event for event in watched.watched_of(*TO_THE_OUTSIDE) if not is_in_the_house(event)] == []
    if program in {"service", "warm"}:
        assert watched.watched_of("socket.connect"), "and it saw what was spoken to"


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_leaves_no_file(day: Day, home: Path, program: str) -> None:
    assert Folders(home / program).left_behind == []


def test_pages_link_to_files_of_this_service_alone(day: Day) -> None:
    files = [link for link in day.links if not link.startswith("#")]
    assert len(files) >= 4
    assert [link for link in files if not link.startswith(("/", "data:"))] == []


def test_all_of_it_works_where_nothing_outside_can_be_reached(database_url: str, tmp_path: Path) -> None:
    # Root needs no namespace of users, and in one it could not enter the directory of the database's socket.
    alone = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have a network of their own (unshare --net)")
    command = [*alone, sys.executable, "-m", "tests.system.egress", str(tmp_path), database_url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    test_day_went_well(denied := Day(**json.loads(done.stdout)))
    assert denied.is_denied, "nothing outside could be reached"


def is_in_the_house(event: list[Any]) -> bool:
    """Whether a connection, a packet or a look-up of a name stays on this machine."""
    address = event[0]
    return (isinstance(address, str) and address.startswith("/")) or (
        address[0] if isinstance(address, list) else address
    ) in LOOPBACK
