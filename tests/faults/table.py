"""Writes the matrix of ``tests/backends/faults.py`` into ``docs/faults.md``: ``python -m tests.faults.table``."""

import re
from collections.abc import Iterable, Iterator

from app.backends.base import CHARACTERS_PER_TOKEN_MAX, REPLY_BYTES_MAX
from app.backends.ollama import LOOK_S
from app.backends.post import COOL_DOWN_S, FAILURES_MAX, FATAL_COOL_DOWN_S
from app.settings import Deadlines, Settings
from tests.backends.faults import FAULTS, Fault, Place, Real, Recorded, Story
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "faults.md"
COMMAND = "python -m tests.faults.table"
BEGIN = f"<!-- From here on written by `{COMMAND}`; a test holds it against what the tests stage. -->\n"
DEFAULTS = {"LOOK_S": LOOK_S} | {name: limit.default for name, limit in Deadlines.model_fields.items()}
LIMIT = re.compile("`(" + "|".join(DEFAULTS) + ")`")
BACKENDS = {"ollama": "Ollama", "openai": "OpenAI", "embedded": "embedded"}


def render() -> str:
    """Write the limits and the matrix."""
    return "\n".join([*render_limits(), *render_matrix()]) + "\n"


def render_limits() -> Iterator[str]:
    """Write a table of the limits and their defaults."""
    yield "## The limits\n"
    yield "| limit | default | for |\n| --- | --- | --- |"
    for name, limit in Deadlines.model_fields.items():
        yield f"| `{name}` | {limit.default:g} s | {limit.description} |"
    yield f"| `LOOK_S` (fixed) | {LOOK_S:g} s | for Ollama to tell what it runs, before a question leaves |"
    answer = Settings.model_fields["answer_timeout_s"]
    yield f"| `UNDERVOLT_ANSWER_TIMEOUT_S` | {answer.default:g} s | {answer.description} |"
    yield (
        f"\nA reply of more than {REPLY_BYTES_MAX // 2**20} MiB, or of {CHARACTERS_PER_TOKEN_MAX} characters a token"
        " that was asked for, is ended at once."
    )
    yield (
        f"\nThe breaker opens for {COOL_DOWN_S:g} s after {FAILURES_MAX} failures in a row, for"
        f" {FATAL_COOL_DOWN_S / 60:g} min where asking again is pointless, and for as long as a server's `Retry-After`"
        " says. Then one question is the probe.\n"
    )


def render_matrix() -> Iterator[str]:
    """Write the matrix, a table for each way to stage a fault."""
    groups = {
        "At the connection": [fault for fault in FAULTS if isinstance(fault.stage, Place)],
        "In a reply": [fault for fault in FAULTS if not isinstance(fault.stage, Place | Story | Recorded | Real)],
        "Between two questions": [fault for fault in FAULTS if isinstance(fault.stage, Story)],
        "As recorded with real Ollama servers (0.24.0 and 0.33.0)": [
            fault for fault in FAULTS if isinstance(fault.stage, Recorded)
        ],
        "Done to a real llama.cpp server": [fault for fault in FAULTS if isinstance(fault.stage, Real)],
    }
    yield "## The matrix"
    for title, faults in groups.items():
        yield f"\n### {title}\n"
        yield from render_table(faults)


def render_table(faults: Iterable[Fault]) -> Iterator[str]:
    """Write one table, faults of several backends that come to the same in one row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for fault in faults:
        sent = "yes" if fault.sent else "no"
        cells = (fault.name, LIMIT.sub(tell_default, fault.ends.value), fault.told.value, fault.breaker.value, sent)
        rows.setdefault(cells, []).append(BACKENDS[fault.kind])
    yield "| what goes wrong | backend | what ends it | read after the answer | breaker | question sent |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for (name, *others), kinds in rows.items():
        yield f"| {' | '.join([name, ', '.join(kinds), *others])} |"


def tell_default(limit: re.Match[str]) -> str:
    """Write a limit with its default."""
    return f"`{limit[1]}` ({DEFAULTS[limit[1]]:g} s)"


def read_introduction() -> str:
    """Give the part of the page that people write."""
    return PAGE.read_text().partition(BEGIN)[0]


if __name__ == "__main__":
    PAGE.write_text(read_introduction() + BEGIN + "\n" + render())
