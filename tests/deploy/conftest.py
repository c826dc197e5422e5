"""What the tests of deployments share."""

import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own checker."""
    found = shutil.which("promtool")
    if not found:
        pytest.skip("there is no promtool on this machine (Debian has it in the package prometheus)")
    return found
