"""Who used the CPU: seconds of user and system time of a process and all that it started, from /proc."""

import os
import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One line of /proc: its parent, its own ticks, and those of children that ended and were waited for."""

    pid: int
    parent: int
    name: str
    own: int
    ended: int


def parse_stat(line: str) -> Process:
    """Read ``/proc/PID/stat``; the name in its brackets may hold anything, brackets and spaces too."""
    head, _, tail = line.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = tail.split()
    user, system, ended_user, ended_system = map(int, fields[11:15])
    return Process(int(pid), int(fields[1]), name, user + system, ended_user + ended_system)


def read_processes() -> dict[int, Process]:
    """Read every process of this machine; none where there is no /proc."""
    found: dict[int, Process] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            process = parse_stat(path.read_text(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
        found[process.pid] = process
    return found


def sum_family(root: int, processes: Mapping[int, Process]) -> int:
    """Add the ticks of a process, its living descendants, and those of them that ended."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    family, due = 0, [root] if root in processes else []
    while due:
        process = processes[due.pop()]
        family += process.own + process.ended
        due += children.get(process.pid, [])
    return family


class Meter:
    """Reads how much CPU named families of processes used so far, each named by its eldest."""

    def __init__(self, eldest: Mapping[str, int]) -> None:
        self.eldest = eldest

    def read(self) -> dict[str, float]:
        """Give the seconds of each family since it began."""
        processes = read_processes()
        return {name: sum_family(pid, processes) / TICKS_A_SECOND for name, pid in self.eldest.items()}

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Give the seconds of each family since an earlier reading."""
        return {name: now - before[name] for name, now in self.read().items()}


def find_postmaster(backend_pid: int) -> int | None:
    """Find the server process of a connection's backend, where it runs on this machine."""
    processes = read_processes()
    backend = processes.get(backend_pid)
    parent = processes.get(backend.parent) if backend else None
    names: Iterable[str] = {process.name for process in (backend, parent) if process}
    return parent.pid if parent and names == {"postgres"} else None


def read_children_s() -> float:
    """Give the CPU seconds of the programs that this process started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parse_busy(stat: str) -> tuple[int, int]:
    """Read from ``/proc/stat`` how many ticks all cores were busy, and how many there were; waiting is idle."""
    ticks = [int(field) for field in stat.splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def find_busy_share(seconds: float) -> float:
    """Watch for a while and give the share of this machine's CPU that is used; none where there is no /proc."""
    file = Path("/proc/stat")
    if not file.is_file():
        return 0
    busy, total = parse_busy(file.read_text())
    sleep(seconds)
    busy_then, total_then = parse_busy(file.read_text())
    return (busy_then - busy) / max(total_then - total, 1)
