"""Tundish: from graded plant data to a sealed, traceable model on the line, offline.

The verbs a Python user calls; each is the flow behind the command of that name::

    import tundish

    report = tundish.grade("export.csv")
    workspace = tundish.create_workspace(Path("plant"))

Importing this package loads nothing heavy: a verb is loaded when it is first named,
so that an edge box without learning libraries can ``verify`` and ``open_package``.
Sealing is called ``seal_run`` here, since ``tundish.seal`` is the room of keys.
"""

from __future__ import annotations

from importlib import import_module  # noqa: TID251  (of our own flows only, listed below)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tundish.flows.build import build_package
    from tundish.flows.certificate import show_certificate, verify_certificate
    from tundish.flows.certify import certify
    from tundish.flows.delta import apply_delta, make_delta
    from tundish.flows.diff import diff
    from tundish.flows.fetch import fetch
    from tundish.flows.grade import grade
    from tundish.flows.grant import grant
    from tundish.flows.judge import judge
    from tundish.flows.ledger import reach, verify_ledger
    from tundish.flows.line import run_line
    from tundish.flows.mend import mend
    from tundish.flows.open_package import open_package, score
    from tundish.flows.repeat import repeat
    from tundish.flows.run_all import run_all
    from tundish.flows.seal import seal as seal_run
    from tundish.flows.train import train
    from tundish.flows.verify import verify
    from tundish.flows.workspace import create as create_workspace
    from tundish.flows.workspace import find as find_workspace

_HOME = {
    "apply_delta": ("delta", "apply_delta"),
    "build_package": ("build", "build_package"),
    "certify": ("certify", "certify"),
    "create_workspace": ("workspace", "create"),
    "diff": ("diff", "diff"),
    "fetch": ("fetch", "fetch"),
    "find_workspace": ("workspace", "find"),
    "grade": ("grade", "grade"),
    "grant": ("grant", "grant"),
    "judge": ("judge", "judge"),
    "make_delta": ("delta", "make_delta"),
    "mend": ("mend", "mend"),
    "open_package": ("open_package", "open_package"),
    "reach": ("ledger", "reach"),
    "repeat": ("repeat", "repeat"),
    "run_all": ("run_all", "run_all"),
    "run_line": ("line", "run_line"),
    "score": ("open_package", "score"),
    "seal_run": ("seal", "seal"),
    "show_certificate": ("certificate", "show_certificate"),
    "train": ("train", "train"),
    "verify": ("verify", "verify"),
    "verify_certificate": ("certificate", "verify_certificate"),
    "verify_ledger": ("ledger", "verify_ledger"),
}

__all__ = [
    "apply_delta",
    "build_package",
    "certify",
    "create_workspace",
    "diff",
    "fetch",
    "find_workspace",
    "grade",
    "grant",
    "judge",
    "make_delta",
    "mend",
    "open_package",
    "reach",
    "repeat",
    "run_all",
    "run_line",
    "score",
    "seal_run",
    "show_certificate",
    "train",
    "verify",
    "verify_certificate",
    "verify_ledger",
]


def __getattr__(name: str) -> object:
    """Load a verb when it is first named."""
    if name not in _HOME:
        msg = f"module 'tundish' has no attribute {name!r}"
        raise AttributeError(msg)
    room, verb = _HOME[name]
    return getattr(import_module(f"tundish.flows.{room}"), verb)
