"""Everything that the service and its scripts do in a day, for tests that watch or deny the way to the outside.

Run as a program it does so in a network of its own, in which loopback is all there is.
"""

import asyncio
import fcntl
import json
import re
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.backends.servers import MODEL, chat, done, ollama_routes, part, serving
from tests.conftest import ROOT
from tests.system.running import Folders, run_service

SAMPLE = ROOT / "data" / "sample" / "permits.csv.gz"
QUESTION = "How many solar permits were issued in 2024 within 2 km of 412 Congress Ave?"
PAGES = ("/", "/docs", "/openapi.json", "/metrics", "/health/ready", "/permits/near?lat=30.2672&lng=-97.7431")
LINKED = re.compile(r"""(?:src|href|url)\s*[=:(]\s*["']?([^"'\s)>]+)""")
# From linux/sockios.h and linux/if.h: what switches a network interface on.
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
OUTSIDE = ("192.0.2.1", 80)
"""An address that is nobody's (RFC 5737)."""
SCRIPT_S = 240


@dataclass
class Day:
    """How everything went: exit statuses, HTTP statuses, what pages link to, and what a question came to."""

    exits: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    kind: str = ""
    told: list[str] = field(default_factory=list)
    is_denied: bool = False


async def spend_day(home: Path, database_url: str, *, more: dict[str, str]) -> Day:
    """Load the sample, run the service, look, ask, read its pages and their files, warm and explain."""
    day = Day(is_denied=not can_leave())
    answer = ollama_routes(chat(part("Nothing that facts support."), done()))
    async with serving(answer) as box:
        entry = {"kind": "ollama", "url": box.url, "model": MODEL}
        settings = {"UNDERVOLT_DATABASE_URL": database_url, "UNDERVOLT_BACKENDS": json.dumps([entry]), **more}
        day.exits["ingest"] = await run_script(home, "ingest", settings, "--city", "sample", "--file", str(SAMPLE))
        (home / "service").mkdir()
        async with run_service(home / "service", settings) as service:
            for page in PAGES:
                reply = await service.client.get(page)
                day.statuses[page] = reply.status_code
                if page in {"/", "/docs"}:
                    day.links += LINKED.findall(reply.text)
            for link in [link for link in day.links if link.startswith("/")]:
                day.statuses[link] = (await service.client.get(link)).status_code
            answered = await service.ask(QUESTION)
            day.kind = answered["answer"]["kind"]
            day.told = [seen["backend"] for seen in answered["done"]["seen_by"]]
        day.exits["warm"] = await run_script(home, "warm", settings)
        day.exits["explain"] = await run_script(home, "explain", settings, "prompt", QUESTION)
    return day


async def run_script(home: Path, name: str, settings: dict[str, str], *arguments: str) -> int:
    """Run one of the scripts that people run, and give its exit status."""
    (home / name).mkdir()
    folders = Folders(home / name)
    environment = folders.make() | settings
    command = (sys.executable, "-m", f"scripts.{name}", *arguments)
    with (home / name / "stdout").open("wb") as out, (home / name / "stderr").open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=home / name / "work", env=environment, stdout=out, stderr=err
        )
        async with asyncio.timeout(SCRIPT_S):
            return await process.wait()


def can_leave() -> bool:
    """Whether a packet to an address outside would be sent at all; none is, no connection is opened."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, suppress(OSError):
        asking.connect(OUTSIDE)
        return True
    return False


def switch_loopback_on() -> None:
    """Switch on the one interface that a network of one's own has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def main(home: str, database_url: str) -> None:
    """Spend the day where nothing outside can be reached, and print how it went as JSON."""
    switch_loopback_on()
    day: dict[str, Any] = asdict(asyncio.run(spend_day(Path(home), database_url, more={})))
    print(json.dumps(day))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
