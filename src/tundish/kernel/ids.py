"""Names for new things: random, and readable in a list."""

from __future__ import annotations

import secrets
from datetime import datetime


def new_id(prefix: str, moment: datetime) -> str:
    """Return ``prefix-YYYYMMDD-HHMMSS-fffrrrrrrrr``, unique and sortable by time.

    The last part is hexadecimal: 1/4096 of a second, then chance.
    """
    part = moment.microsecond * 4096 // 1_000_000
    return f"{prefix}-{moment:%Y%m%d-%H%M%S}-{part:03x}{secrets.token_hex(4)}"
