"""Which processes work for another, as the kernel tells it."""

from collections.abc import Iterator
from pathlib import Path


def list_workers(parent: int) -> list[int]:
    """Give the worker processes of a run, by their ids; not the one by which Python keeps count of what they share."""
    return [pid for pid, of in _list_processes() if of == parent and b"spawn_main" in _read(pid, "cmdline")]


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits for somebody to take note of its end does not."""
    return bool(stat := _read(pid, "stat")) and stat.rpartition(b")")[2].split()[0] != b"Z"


def _list_processes() -> Iterator[tuple[int, int]]:
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()):
        if stat := _read(pid, "stat"):
            yield pid, int(stat.rpartition(b")")[2].split()[1])


def _read(pid: int, name: str) -> bytes:
    """Read what the kernel tells of a process; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
