"""The coverage of a mapping as tables, for people who write a city file."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from app.ingest.coverage import ColumnCoverage, Coverage


def print_coverage(coverage: Coverage, console: Console) -> None:
    """Print what a city file makes of a file; of a record's values nothing but unknown words is shown."""
    console.print(
        f"{coverage.source}: {coverage.city}, form {coverage.form!r}; {coverage.records:,} records,"
        f" {coverage.permits:,} usable, {coverage.source_ids:,} permits"
    )
    console.print(_make_column_table(coverage))
    console.print(_make_field_table(coverage))
    _print_counts(console, "rejected", coverage.rejected)
    _print_counts(console, "location", coverage.qualities)
    for field, (first, last) in coverage.days.items():
        console.print(f"{field}: {first} to {last}")
    for field, words in coverage.unknown_words.items():
        _print_counts(console, f"words of {field} that the city file does not know", dict(words.most_common()))
    for field, shapes in coverage.shapes.items():
        _print_counts(console, f"what {field} looks like where it fails", dict(shapes.most_common()))
    for warning in coverage.warnings:
        console.print(f"look at: {warning}", markup=False, highlight=False)


def _make_column_table(coverage: Coverage) -> Table:
    table = Table("column", "filled", "becomes", title="Columns of the file", title_justify="left")
    for column in coverage.columns:
        table.add_row(column.name or "(no name)", _share(column.filled, coverage.records), _tell_use(column))
    return table


def _tell_use(column: ColumnCoverage) -> str:
    if column.uses:
        return ", ".join(column.uses)
    return "dropped: personal" if column.personal else "not read"


def _make_field_table(coverage: Coverage) -> Table:
    table = Table("field", "filled", "from", "refused or noted", title="Fields of the register", title_justify="left")
    for field in coverage.fields:
        refused = ", ".join(f"{way} {count:,}" for way, count in field.refused.items())
        table.add_row(field.name, _share(field.filled, coverage.permits), ", ".join(field.columns), refused)
    return table


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _print_counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    if counts:
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        console.print(f"{title}: {told}", markup=False, highlight=False)
