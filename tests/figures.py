"""Reads what an application's metrics tell, as a Prometheus would."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.metrics import Metrics

Labels = frozenset[tuple[str, str]]


def read_samples(text: str) -> Mapping[tuple[str, Labels], float]:
    """Give every sample by its name and labels, without empty labels, which Prometheus takes for absent ones."""
    return {
        (sample.name, frozenset((label, value) for label, value in sample.labels.items() if value)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures(metrics: Metrics, name: str) -> Mapping[Labels, float]:
    """Give the samples of one name by their labels."""
    return {labels: value for (sample, labels), value in read_samples(metrics.render()).items() if sample == name}


def total(metrics: Metrics, name: str, **wanted: str) -> float:
    """Sum the samples of one name that have these labels."""
    return sum(value for labels, value in figures(metrics, name).items() if set(wanted.items()) <= labels)


def names(metrics: Metrics) -> set[str]:
    """Give the names of all samples."""
    return {name for name, _ in read_samples(metrics.render())}
