"""wrk: loads the service with requests drawn at random, and tells how long each answer took.

wrk corrects its latencies for coordinated omission: for one at least twice as long as what a connection takes on
average, it adds those that would have waited meanwhile. pgbench does not, so that is undone here.
"""

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scripts.bench.cpu import Meter
from scripts.bench.figures import Load

SCRIPT = Path(__file__).with_name("load.lua")
MARK = "undervolt "
THREADS = 2
TIMEOUT_S = 30
MISSING = "wrk is missing: install the package wrk (Debian, Fedora and Homebrew have it)"


def is_installed() -> bool:
    """Whether the tool is on the path."""
    return shutil.which("wrk") is not None


def run(
    base: str, paths: Sequence[str], meter: Meter, *, connections: int, seconds: int, tags: Sequence[str] = ()
) -> Load:
    """Load the service at ``base``; with ``tags`` each path goes with its own.

    Raises :class:`OSError` where an answer was no success.
    """
    lines = map("\t".join, zip(paths, tags, strict=True)) if tags else paths
    host = urlsplit(base).netloc
    with tempfile.NamedTemporaryFile("w", suffix=".paths", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        threads = min(THREADS, connections)
        options = (f"-t{threads}", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s")
        command = ["wrk", *options, "-s", str(SCRIPT), f"http://{host}/", "--", file.name, "1"]
        with meter.reading() as cpu_s:
            done = subprocess.run(command, check=True, capture_output=True, text=True)
    return parse(done.stdout, connections, cpu_s)


def parse(output: str, connections: int, cpu_s: dict[str, float]) -> Load:
    """Read what ``load.lua`` printed. Raises :class:`OSError` where an answer failed, or none came."""
    _, found, told = output.rpartition(MARK)
    head, *lines = told.splitlines() if found else ["0 0 0 0"]
    duration_us, requests, received, failed = map(int, head.split())
    if failed or not requests:
        raise OSError(f"{failed:,} of {requests:,} answers were no success")
    counts = Counter({int(us): int(count) for us, count in map(str.split, lines)})
    if requests > connections:
        leave_out_added(counts, expected_us=duration_us // (requests // connections))
    return Load(duration_us / 1e6, sorted(counts.elements()), cpu_s, received)


def leave_out_added(counts: Counter[int], *, expected_us: int) -> None:
    """Take away what wrk's ``stats_correct`` added; the longest first, since only longer ones added to a latency."""
    for latency_us in range(max(counts), 2 * expected_us - 1, -1):
        count = counts[latency_us]
        if not count:
            continue
        for added_us in range(latency_us - expected_us, expected_us, -expected_us):
            counts[added_us] -= count
