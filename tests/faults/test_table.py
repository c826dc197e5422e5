"""The page about faults says what the tests stage."""

from tests.backends.faults import FAULTS, Kind, Real, Story
from tests.faults.table import BEGIN, COMMAND, PAGE, render


def test_the_page_shows_the_matrix_as_it_is() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2]
    assert shown == "\n" + render(), f"docs/faults.md is not what the tests stage: `{COMMAND}` writes it"


def test_no_fault_stands_in_the_matrix_twice() -> None:
    seen: set[tuple[Kind, str, type]] = set()
    for fault in FAULTS:
        key = (fault.kind, fault.name, type(fault.stage))
        assert key not in seen, fault
        seen.add(key)


def test_everything_that_is_done_to_real_servers_and_between_questions_is_in_the_matrix() -> None:
    staged = [fault.stage for fault in FAULTS]
    assert set(Story) | set(Real) <= {stage for stage in staged if isinstance(stage, Story | Real)}
