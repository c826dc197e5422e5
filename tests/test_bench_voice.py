"""The measurement of what the router adds asks both ways and gets an answer by both."""

import pytest

from scripts.bench import voice


async def test_both_protocols_are_measured_with_and_without_the_router(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "find_weights", lambda _: None)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    measured = {name: samples async for name, samples in voice.measure(2)}
    assert list(measured) == ["Ollama's API", "OpenAI's API"]
    for samples in measured.values():
        assert {way: len(times) for way, times in samples.items()} == {"direct": 2, "router": 2}
        assert all(first > 0 for times in samples.values() for first in times)
