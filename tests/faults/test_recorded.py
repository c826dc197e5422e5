"""The same before what real Ollama servers said when things went wrong, where those recordings are at hand."""

import asyncio

import pytest

from app.settings import Settings
from tests.backends.faults import RECORDED, Fault
from tests.backends.test_recordings import RECORDINGS, VERSIONS
from tests.faults.meeting import Answered, meet_alone, meet_with_next


@pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recordings of real Ollama servers are not beside this checkout"
)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fault", RECORDED, ids=str)
async def test_every_recorded_fault_ends_with_the_complete_answer(
    fault: Fault, version: str, settings: Settings, without_any: Answered
) -> None:
    meetings = meet_alone(fault, settings, version=version), meet_with_next(fault, settings, version=version)
    for answered in await asyncio.gather(*meetings):
        assert answered.made_by_code == without_any.made_by_code
