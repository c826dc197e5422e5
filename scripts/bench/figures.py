"""Figures: what a load tool or one caller measured, their centiles, and the tables that people read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

console = Console(width=120, highlight=False)


@dataclass(frozen=True)
class Load:
    """What a load tool measured: its seconds, each answer's microseconds, the bytes received, and who used the CPU."""

    seconds: float
    times_us: Sequence[int]
    cpu_s: Mapping[str, float]
    received: int = 0

    def __add__(self, other: "Load") -> "Load":
        cpu_s = {who: self.cpu_s[who] + other.cpu_s[who] for who in self.cpu_s}
        times_us = [*self.times_us, *other.times_us]
        return Load(self.seconds + other.seconds, times_us, cpu_s, self.received + other.received)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times_us) / self.seconds

    @property
    def median_ms(self) -> float:
        """The median answer in milliseconds."""
        return median(self.times_us) / 1000

    @property
    def p99_ms(self) -> float:
        """The 99th percentile in milliseconds."""
        return centile(self.times_us, 99) / 1000

    def cpu_ms(self, *who: str) -> float:
        """CPU milliseconds an answer, of these together or of all."""
        return sum(self.cpu_s[one] for one in who or self.cpu_s) * 1000 / len(self.times_us)


def centile(times: Sequence[float], percent: int) -> float:
    """Give the smallest time that so many percent do not exceed; of few samples, the largest."""
    return sorted(times)[ceil(len(times) * percent / 100) - 1]


def take_turns(cases: Mapping[str, Callable[[], Load]], *, rounds: int) -> dict[str, Load]:
    """Run every case once a round, so that a noisy minute hits all alike, and add up each one's rounds."""
    found: dict[str, Load] = {}
    for number in range(rounds):
        for name, run in cases.items():
            console.print(f"[dim]round {number + 1} of {rounds}: {name}[/dim]")
            load = run()
            found[name] = found[name] + load if name in found else load
    return found


def time_calls(call: Callable[[], object], *, first: int, measured: int) -> list[float]:
    """Call one after another and give the milliseconds of each, the ``first`` calls left out."""
    times: list[float] = []
    for _ in range(first + measured):
        began = perf_counter()
        call()
        times.append((perf_counter() - began) * 1000)
    return times[first:]


def show_loads(title: str, loads: Mapping[str, Load], *, against: str) -> None:
    """Print rates, centiles and the CPU split; ratios are of rates, to that of ``against``.

    Where all cores are used, those of all their CPU say the same; they are steadier where others use them too.
    """
    whose = list(next(iter(loads.values())).cpu_s)
    table = Table("", "a second", "ratio", "median ms", "p99 ms", "p99/median", title=title, title_justify="left")
    for who in ("all", *whose):
        table.add_column(f"CPU ms:\n{who}", justify="right")
    for name, load in loads.items():
        ratio = f"{load.rate / loads[against].rate:.2f}"
        spread = f"{load.p99_ms / load.median_ms:.1f}"
        split = (f"{ms:.2f}" for ms in (load.cpu_ms(), *map(load.cpu_ms, whose)))
        table.add_row(name, f"{load.rate:,.0f}", ratio, f"{load.median_ms:.2f}", f"{load.p99_ms:.2f}", spread, *split)
    console.print(table)


def show_times(title: str, samples: Mapping[str, Sequence[float]], *, against: str | None = None) -> None:
    """Print median and 99th percentile of milliseconds, and the ratio of medians to one of the samples."""
    table = Table("", "median ms", "p99 ms", *(["times " + against] if against else []), title=title)
    for name, times in samples.items():
        ratio = [f"{median(times) / median(samples[against]):.2f}"] if against else []
        table.add_row(name, f"{median(times):.2f}", f"{centile(times, 99):.2f}", *ratio)
    console.print(table)


def show_goal(what: str, value: float, *, least: float | None = None, most: float | None = None) -> None:
    """Say whether a figure reaches its goal."""
    met = (least is None or value >= least) and (most is None or value <= most)
    bound = f"at least {least:g}" if least is not None else f"at most {most:g}"
    tell_goal(met, f"{what} is {value:.2f}, wanted {bound}")


def tell_goal(met: bool, what: str) -> None:
    """Say whether a goal is reached."""
    console.print(f"goal {'[green]reached[/green]' if met else '[red]missed[/red]'}: {what}")


def mark_beyond(value_ms: float, most_ms: float) -> str:
    """Show milliseconds, marked where they are beyond a bound."""
    return f"{value_ms:.1f}" if value_ms <= most_ms else f"[red]{value_ms:.1f} ![/red]"


def skip(case: str, reason: str) -> None:
    """Say why something is not measured."""
    console.print(f"{case}: left out, {reason}")
