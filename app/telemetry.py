"""What may be recorded, and where: the one place that sets up logs and names metrics.

A log line holds counts, durations, names of backends and classes of errors. It never holds a question, an address, a
coordinate or a key, at any level: libraries that log what they send or parse are held at WARNING whatever is asked for.
A metric holds counts and instants, labelled by names that the operator chose.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

METRICS_TYPE = CONTENT_TYPE_LATEST

TALKATIVE = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "ollama",
    "sqlalchemy",
    "psycopg",
    "asyncio",
    "uvicorn.access",
)


def set_up_logs(level: str) -> None:
    """Send this service's log to standard error at ``level``."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class CityFigures:
    """What is recorded of one city's register; instants are seconds since 1970 in UTC."""

    permits: int
    last_success_s: float
    data_through_s: float | None


class StoreMetrics(Collector):
    """What the permit store told when it was last asked; nothing but its absence while it does not answer."""

    def __init__(self) -> None:
        self.forget()

    def tell(self, *, data_version: int, cities: Mapping[str, CityFigures]) -> None:
        """Take what the store told; a city that is gone from it is gone from the metrics."""
        self.told: tuple[int, Mapping[str, CityFigures]] | None = (data_version, cities)

    def forget(self) -> None:
        """Take that the store does not answer: an old figure would pass for a new one."""
        self.told = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the figures, as a registry asks for them."""
        up = "Whether the permit store answered this scrape."
        yield GaugeMetricFamily("undervolt_store_up", up, value=float(self.told is not None))
        if self.told is None:
            return
        version, cities = self.told
        yield GaugeMetricFamily("undervolt_data_version", "One more whenever something is published.", value=version)
        succeeded = _by_city("undervolt_ingest_last_success_timestamp_seconds", "When a run last succeeded.")
        through = _by_city("undervolt_ingest_data_through_timestamp_seconds", "The latest day of issue loaded.")
        permits = _by_city("undervolt_register_permits", "Permits that are not removed.")
        for city, figures in sorted(cities.items()):
            succeeded.add_metric([city], figures.last_success_s)
            permits.add_metric([city], figures.permits)
            if figures.data_through_s is not None:
                through.add_metric([city], figures.data_through_s)
        yield from (succeeded, through, permits)


def _by_city(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["city"])


class Metrics:
    """The metrics of one application, in a registry of its own: two applications in a process share no figure."""

    def __init__(self) -> None:
        self.store = StoreMetrics()
        self.registry = CollectorRegistry()
        self.registry.register(self.store)

    def render(self) -> str:
        """Give every metric in Prometheus' text form, :data:`METRICS_TYPE`."""
        return generate_latest(self.registry).decode()


def describe(error: BaseException) -> str:
    """Name an error's class and where it rose, without its message: messages carry parameters."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
    return type(error).__name__ + place
