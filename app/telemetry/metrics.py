"""The metrics of one application: its store, its models, its box."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.settings import Settings
from app.telemetry.models import ModelMetrics

METRICS_TYPE = CONTENT_TYPE_LATEST
WATTS_PER_KILOWATT = 1000
SECONDS_PER_HOUR = 3600


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


class BoxMetrics(Collector):
    """What keeping the box on costs: its power at the wall and the price as the operator set them, nothing measured."""

    def __init__(self, settings: Settings) -> None:
        self._watts = settings.box_watts
        self._usd_per_kwh = settings.usd_per_kwh
        self._began_s = monotonic()

    def collect(self) -> Iterator[Metric]:
        """Give the figures that the settings allow, none where the power is not set."""
        if self._watts is None:
            return
        hours = (monotonic() - self._began_s) / SECONDS_PER_HOUR
        power = "Power that the box takes at the wall, as set and not measured."
        energy = "Energy since the service started, at the power that was set."
        yield GaugeMetricFamily("undervolt_box_power_watts", power, value=self._watts)
        yield CounterMetricFamily("undervolt_box_energy_joules", energy, value=self._watts * hours * SECONDS_PER_HOUR)
        if self._usd_per_kwh is not None:
            per_hour = self._watts / WATTS_PER_KILOWATT * self._usd_per_kwh
            rate = "What an hour of the box costs at the power and the price that were set, in US dollars."
            cost = (
                "What the box has cost since the service started, in US dollars; hours while it was stopped are not in."
            )
            yield GaugeMetricFamily("undervolt_box_usd_per_hour", rate, value=per_hour)
            yield CounterMetricFamily("undervolt_box_cost_usd", cost, value=per_hour * hours)


class Metrics:
    """The metrics of one application, in a registry of its own: two applications in a process share no figure."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self.registry = CollectorRegistry()
        self.store = StoreMetrics()
        self.models = ModelMetrics(settings, self.registry)
        self.registry.register(self.store)
        self.registry.register(BoxMetrics(settings))

    def render(self) -> str:
        """Give every metric in Prometheus' text form, :data:`METRICS_TYPE`."""
        return generate_latest(self.registry).decode()
