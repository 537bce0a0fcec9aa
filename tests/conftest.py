"""What holds for every test: no telemetry, patient Hypothesis, no leftover cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from tundish.flows.fetch import locate
from tundish.kernel import settings
from tundish.kernel.errors import TundishError

settings.silence_onnxruntime()
hypothesis_settings.register_profile("shared", deadline=None)
hypothesis_settings.load_profile("shared")


def fetched(key: str) -> Path:
    """Return the folder of a catalogue set from the cache; skip the test without it."""
    try:
        return locate(key).root
    except TundishError as error:
        pytest.skip(f"{key} is not in the cache: {error.code}; 'make test' fetches it")


@pytest.fixture(scope="session")
def fermentation() -> Path:
    return fetched("fermentation")


@pytest.fixture(scope="session")
def water_flow() -> Path:
    return fetched("water-flow")
