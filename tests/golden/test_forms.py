"""Every form that the code writes has a golden file, or a reason why it has none."""

from __future__ import annotations

import ast
import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path

import tundish

NEWEST = max(path for path in Path(__file__).parent.glob("v*") if path.is_dir())
SOURCE = Path(tundish.__file__).parent
WITHOUT = {
    "tundish.answer": "is sent, and read by others: tests/line/test_sent_forms.py holds its form",
    "tundish.state": "is sent, and read by others: tests/line/test_sent_forms.py holds its form",
    "tundish.line-status": "is written anew every two seconds: an old one tells of no line",
    "tundish.line-versions": "tells people and wakes a line: the ledger alone decides",
    "tundish.comparison": "a report for people: nothing reads it",
    "tundish.copying": "a run's own: made again by 'tundish judge'",
    **dict.fromkeys(
        (
            "tundish.controls",
            "tundish.industries",
            "tundish.links",
            "tundish.sectors",
        ),
        "ships with the code and is written by its authors alone",
    ),
    "tundish.data": "is hashed, never written: its digest stands in expected.json",
    "tundish.evidence": "counts only with the scenario it was made of: made again by 'tundish scenario run'",
    "tundish.gaps": "a report for people: what is read is tundish.collect",
    "tundish.grade": "a report for people: what is read is tundish.certificate",
    "tundish.leave-one-out": "a report for people: nothing reads it",
    "tundish.lineage": "a report for people: nothing reads it",
    "tundish.parity": "a run's own: made again by 'tundish train'",
    "tundish.run": "a run's own: made again by 'tundish train'",
    "tundish.verdict": "a run's own: made again by 'tundish judge'",
}

_NAMED = {"KIND", "PAYLOAD_TYPE", "APPLICATION_ID"}
_FORM = re.compile(
    rb'"?format"?\s*[:=]\s*"?(tundish\.[a-z.-]+)'
    rb"|-----BEGIN TUNDISH ([A-Z]+)-----"
    rb'|"payloadType": ?"([a-z0-9/.+-]+)"'
)
_CODE = re.compile(rb"[A-Za-z0-9+/\n]{40,}={0,2}")


def written() -> Iterator[str]:
    """Yield each form that a line of the code names as its own."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for value in _named(node):
                yield from _constants(value)


def _named(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.AnnAssign | ast.Assign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {name.id for name in targets if isinstance(name, ast.Name)}
        if names & {"format", *_NAMED}:
            yield node
    elif isinstance(node, ast.keyword) and node.arg == "format":
        yield node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "format":
                yield value


def _constants(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        value = part.value if isinstance(part, ast.Constant) else None
        if isinstance(value, int) and value > 0xFFFF:  # the number of an SQLite file
            yield f"{value:08x}"
        elif isinstance(value, str) and re.match(
            r"tundish\.|application/|[A-Z]{4,}$", value
        ):
            yield value


def kept(data: bytes) -> Iterator[str]:
    """Yield each form that bytes hold, also below base64."""
    if data.startswith(b"SQLite format 3"):
        yield data[68:72].hex()
    for match in _FORM.finditer(data):
        yield next(name for name in match.groups() if name).decode()
    for match in _CODE.finditer(data):
        try:
            yield from kept(base64.b64decode(match[0]))
        except binascii.Error:
            continue


def test_every_form_that_the_code_writes_has_a_golden_file() -> None:
    forms = {*written()}
    files = [path for path in NEWEST.rglob("*") if path.is_file()]
    golden = {form for path in files for form in kept(path.read_bytes())}
    assert len(forms) > 40, "the forms are still found in the code"
    assert forms - golden == {*WITHOUT}
    assert golden <= forms, "what is not written any more is read by its tests alone"
