"""What the notes on boxes advise is what the service takes, and their sums are right."""

import re

import pytest

from app.backends.ollama import LARGE_MEMORY_BYTES, LOADED_FACTOR, MODELS_SHARE, PREFERRED_MODELS
from app.settings import BackendSettings, read_settings
from tests.conftest import ROOT

NOTES = (ROOT / "deploy/jetson.md").read_text()
BOXES = re.findall(r"^\| (\d+) GB [^|]*\| `([^`]+)` \|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|$", NOTES, re.MULTILINE)
SETTINGS = re.findall(r"UNDERVOLT_BACKENDS='([^']+)'", NOTES)
KIB_A_TOKEN = {"nemotron-3-nano:4b": 16, "nemotron-3-nano:30b": 6}


def read_gb(cell: str) -> float:
    """Give the number of a cell, 0 for none."""
    return 0.0 if cell.strip() == "none" else float(cell.strip().removesuffix(" GB"))


def test_each_size_of_box_has_its_line() -> None:
    assert [int(box[0]) for box in BOXES] == [8, 16, 32, 64]


@pytest.mark.parametrize("box", BOXES, ids=lambda box: f"{box[0]} GB")
def test_what_is_left_over_follows_from_what_is_published(box: tuple[str, ...]) -> None:
    memory, model = float(box[0]), box[1]
    weights, context, others, rest = map(read_gb, box[2:])
    num_ctx = BackendSettings(kind="ollama").num_ctx
    assert context == round(KIB_A_TOKEN[model] * 1024 * num_ctx / 1e9, 2)
    assert others == pytest.approx(max(memory * MODELS_SHARE - weights - context, 0), abs=0.05)
    assert rest == memory * (1 - MODELS_SHARE)


@pytest.mark.parametrize("box", BOXES, ids=lambda box: f"{box[0]} GB")
def test_a_box_is_advised_the_model_that_the_service_would_advise(box: tuple[str, ...]) -> None:
    assert box[1] in PREFERRED_MODELS
    assert box[1].endswith(":30b") == (int(box[0]) * 1e9 >= LARGE_MEMORY_BYTES)


def test_a_model_that_was_never_seen_is_reckoned_as_the_notes_say() -> None:
    assert LOADED_FACTOR == 1.25
    assert "a quarter more than its weights" in NOTES


def test_the_service_takes_every_list_of_backends() -> None:
    assert len(SETTINGS) == 2
    for given in SETTINGS:
        assert read_settings({"UNDERVOLT_BACKENDS": given}).backends
