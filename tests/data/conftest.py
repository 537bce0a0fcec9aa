from __future__ import annotations

from datetime import UTC, datetime

import pytest

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW
