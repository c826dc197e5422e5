"""Who used the CPU: seconds of user and system time of a process and all that it started, from /proc."""

import os
import resource
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import sleep

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
WATCH_S = 0.1


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


class Backends:
    """The processes that serve one database of a server on this machine, watched: those of pgbench end with it."""

    def __init__(self, postmaster: int, database: str) -> None:
        self.postmaster = postmaster
        self.mark = f" {database} "
        self.ticks: dict[int, int] = {}
        self.strangers: set[int] = set()

    def watch(self, ended: Event) -> None:
        """Note what each has used, again and again until the end."""
        while not ended.wait(WATCH_S):
            self.note()

    def note(self) -> None:
        """Note what each has used by now; their titles name the database."""
        for pid in self.list_children():
            path = Path("/proc") / str(pid)
            with suppress(OSError):
                if pid not in self.ticks and self.mark not in (path / "cmdline").read_text(errors="replace"):
                    self.strangers.add(pid)
                else:
                    self.ticks[pid] = parse_stat((path / "stat").read_text(errors="replace")).own

    def list_children(self) -> list[int]:
        """Give the server's processes that may serve the database."""
        file = Path("/proc") / str(self.postmaster) / "task" / str(self.postmaster) / "children"
        return [pid for pid in map(int, file.read_text().split()) if pid not in self.strangers]


class Meter:
    """Tells how much CPU was used meanwhile: by families, each named by its eldest, and by a database's backends."""

    def __init__(self, eldest: Mapping[str, int], backends: Backends | None = None) -> None:
        self.eldest = eldest
        self.backends = backends

    @contextmanager
    def reading(self) -> Generator[dict[str, float]]:
        """Give what is filled at the end: seconds of each, and of the programs that were run to their end."""
        found: dict[str, float] = {}
        before, own_s = self._read_families(), read_children_s()
        with self._watching() as used:
            yield found
        after = self._read_families()
        found |= {name: (after[name] - before[name]) / TICKS_A_SECOND for name in after}
        found |= used | {"load tool": read_children_s() - own_s}

    def _read_families(self) -> dict[str, int]:
        processes = read_processes()
        return {name: sum_family(pid, processes) for name, pid in self.eldest.items()}

    @contextmanager
    def _watching(self) -> Generator[dict[str, float]]:
        used: dict[str, float] = {}
        if self.backends is None:
            yield used
            return
        self.backends.note()
        before, ended = dict(self.backends.ticks), Event()
        watcher = Thread(target=self.backends.watch, args=(ended,))
        watcher.start()
        try:
            yield used
        finally:
            ended.set()
            watcher.join()
        self.backends.note()
        ticks = sum(now - before.get(pid, 0) for pid, now in self.backends.ticks.items())
        used["PostgreSQL"] = ticks / TICKS_A_SECOND


def read_children_s() -> float:
    """Give the CPU seconds of the programs that this process started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def find_postmaster(backend_pid: int) -> int | None:
    """Find the server process of a connection's backend, where it runs on this machine."""
    processes = read_processes()
    backend = processes.get(backend_pid)
    parent = processes.get(backend.parent) if backend else None
    names: Iterable[str] = {process.name for process in (backend, parent) if process}
    return parent.pid if parent and names == {"postgres"} else None


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
