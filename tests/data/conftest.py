from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tundish.kernel import settings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BESIDE = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def real_sets() -> Path:
    """The folder of the 38 real development sets; skips without it."""
    folder = settings.data_dir() or BESIDE
    if not folder.is_dir():
        pytest.skip("the development data sets are not here (TUNDISH_DATA)")
    return folder


@pytest.fixture
def now() -> datetime:
    return NOW
