"""The only place that reads or sets the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"
SETTINGS_IN_GRAPHS = "ORT_LOAD_CONFIG_FROM_MODEL"


def debug() -> bool:
    """Tell whether tracebacks were asked for (``TUNDISH_DEBUG=1``)."""
    return os.environ.get("TUNDISH_DEBUG", "") not in {"", "0"}


def cache_dir() -> Path:
    """Return the folder of fetched files (``TUNDISH_CACHE``, else XDG's)."""
    named = os.environ.get("TUNDISH_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tundish"


def copy_of_host(kind: str) -> str | None:
    """Return the plant's own copy of a host of data sets, if one is named.

    Args:
        kind: ``github``, ``huggingface``, ``zenodo`` or ``https``; the variables are
            ``TUNDISH_GITHUB`` and so on.
    """
    return os.environ.get(f"TUNDISH_{kind.upper()}") or None


def proxy_before(address: str) -> str | None:
    """Return the proxy that the environment puts before an address, if it names one."""
    from urllib.parse import urlsplit  # noqa: PLC0415  (heavy, and only for a fetch)
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    parts = urlsplit(address)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    named = getproxies()
    return named.get(parts.scheme) or named.get("all")


def data_dir() -> Path | None:
    """Return the folder of development data sets (``TUNDISH_DATA``), if named."""
    named = os.environ.get("TUNDISH_DATA")
    return Path(named) if named else None


def air_gapped() -> bool:
    """Tell whether every workspace here is cut off (``TUNDISH_AIR_GAPPED=1``)."""
    return os.environ.get("TUNDISH_AIR_GAPPED", "") not in {"", "0"}


def passphrase() -> str | None:
    """Return the passphrase of the workspace keys (``TUNDISH_PASSPHRASE``)."""
    return os.environ.get("TUNDISH_PASSPHRASE")


def pin() -> str | None:
    """Return the PIN of a token (``TUNDISH_PIN``); an empty one counts as none."""
    return os.environ.get("TUNDISH_PIN") or None


def secret(name: str) -> str | None:
    """Return a variable that a document names as the place of a secret."""
    return os.environ.get(name)


def serve_token() -> str | None:
    """Return the token of a client of ``tundish serve`` (``TUNDISH_SERVE_TOKEN``)."""
    return os.environ.get("TUNDISH_SERVE_TOKEN") or None


def keep_numba_cache(beside: Path) -> None:
    """Keep what numba compiles in our cache, if it may not lie beside the source.

    numba would write it below ``~/.cache/numba`` then; must come before its first
    import.
    """
    if not os.access(beside, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_dir() / "compiled"))


def silence_ray() -> None:
    """Turn Ray's usage report off; must come before its first import."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def silence_onnxruntime() -> bool:
    """Turn onnxruntime's telemetry off; must come before its first import.

    onnxruntime >= 1.29 on Linux writes a device id below the home folder and
    tries to send usage data unless this variable is set before import.

    Returns:
        False if onnxruntime was already imported without it: too late.
    """
    if os.environ.get(TELEMETRY_OFF) == "1":
        return True
    if "onnxruntime" in sys.modules:
        return False
    os.environ[TELEMETRY_OFF] = "1"
    return True


def deny_settings_in_graphs() -> None:
    """Keep onnxruntime from taking its settings (profiling, say) out of a graph.

    It looks for this variable at each session.
    """
    os.environ.pop(SETTINGS_IN_GRAPHS, None)
