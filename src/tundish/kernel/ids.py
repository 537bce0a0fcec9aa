"""Names for new things: random, and readable in a list."""

from __future__ import annotations

import secrets
from datetime import datetime


def new_id(prefix: str, moment: datetime) -> str:
    """Return ``prefix-YYYYMMDD-HHMMSS-xxxxxx``, unique and sortable by time."""
    return f"{prefix}-{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
