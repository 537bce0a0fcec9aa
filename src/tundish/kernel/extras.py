"""Which extra brings a library that is not installed."""

from __future__ import annotations

_EXTRAS = {
    "grade": {
        "PIL",
        "defusedxml",
        "fastexcel",
        "h5py",
        "numba",
        "pint",
        "polars",
        "pyarrow",
        "scipy",
        "sklearn",
        "threadpoolctl",
        "tzdata",
    },
    "deep": {"torch"},
    "fetch": {"urllib3"},
    "kafka": {"confluent_kafka"},
    "learn": {"lightgbm", "onnx", "optuna"},
    "mqtt": {"orjson"},
    "opcua": {"asyncua"},
    "r": {"rdata"},
    "registry": {"oras", "requests"},
    "report": {"plotly", "jinja2"},
    "scale": {"ray"},
    "serve": {"uvicorn", "httptools", "uvloop", "msgspec"},
    "token": {"pkcs11"},
    "tract": {"tract"},
}


def extra_for(module: str) -> str | None:
    """Return the extra that brings a module, or None if no extra does."""
    top = module.partition(".")[0]
    return next((extra for extra, brings in _EXTRAS.items() if top in brings), None)
