"""The kept corpus of every fuzz target ends well, and no door of the code is forgotten.

`make fuzz` goes on from here for as long as it is given; see docs/reference/fuzzing.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.data import broken
from tests.fuzz import doors, replay
from tests.fuzz.run import RESULTS
from tests.fuzz.target import changed, fault
from tests.fuzz.targets import PARSERS, targets

from tundish.catalog.documents import parse_document, parse_yaml
from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.errors import (
    DocumentMalformedError,
    TundishError,
    UnsafePathError,
)
from tundish.model import tarball
from tundish.model.errors import PackageMalformedError
from tundish.model.golden import Tensor
from tundish.model.graphcheck import check_graph

pytest.importorskip("rdata")

HERE = Path(__file__).parent
TARGETS = targets()
MOST_BYTES = 2_000_000
# foreign values bring warnings of NumPy and of foreign parsers with them
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


def test_every_target_belongs_to_one_parser() -> None:
    """Else its time would count nowhere, or twice."""
    named = [name for names in PARSERS.values() for name in names]
    assert sorted(named) == sorted(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_ends_in_a_value_or_a_clear_refusal(name: str) -> None:
    target = TARGETS[name]
    inputs = replay.kept(target)
    wrong, opened = replay.replayed(target, inputs)
    assert not wrong
    covered = {door for door, by in doors.COVERED.items() if by == name}
    assert not {*target.doors, *covered} - opened, "these doors are not reached"


@pytest.mark.parametrize("name", TARGETS)
def test_a_changed_input_ends_in_a_value_or_a_clear_refusal(name: str) -> None:
    target = TARGETS[name]
    inputs = sorted(replay.kept(target).values(), key=lambda data: (len(data), data))[
        :40
    ]

    @settings(max_examples=8, deadline=None, database=None, derandomize=True)
    @given(data=st.sampled_from(inputs), seed=st.integers(0, 2**32 - 1))
    def law(data: bytes, seed: int) -> None:
        rng = np.random.default_rng(seed)
        made = broken.mutate(data, rng)
        if target.json and seed % 2:
            with suppress(ValueError, RecursionError, TundishError):
                made = changed(data, rng)
        assert not fault(target, made[: target.most])

    law()


def test_every_door_that_reads_foreign_bytes_is_a_target_or_named() -> None:
    there = set(doors.doors())
    of_targets = {door for target in TARGETS.values() for door in target.doors}
    named = of_targets | set(doors.COVERED) | set(doors.OWN)
    assert not there - named, "make a target in tests/fuzz, or name it in doors.py"
    assert not (set(doors.COVERED) | set(doors.OWN)) - there, "these doors are gone"
    assert set(doors.COVERED.values()) <= set(TARGETS)


def test_what_is_kept_belongs_to_a_target_and_is_small() -> None:
    for kind in ("corpus", "regressions"):
        assert {path.name for path in (HERE / kind).iterdir()} <= set(TARGETS)
    files = [path for path in HERE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES


def test_results_are_of_targets_and_no_fault_is_open() -> None:
    found = json.loads(RESULTS.read_text("utf-8"))
    assert set(found) == set(TARGETS), "give 'make fuzz SECONDS=60 TARGET=...'"
    still = {name: one["open"] for name, one in found.items() if one["open"]}
    assert not still, "mend it"


def test_every_parser_had_twenty_minutes() -> None:
    found = json.loads(RESULTS.read_text("utf-8"))
    spent = {
        parser: sum(found[name]["cpu_s"] for name in names)
        for parser, names in PARSERS.items()
    }
    short = {parser: cpu_s for parser, cpu_s in spent.items() if cpu_s < 1200}
    assert not short, "docs/security/limitations.md says so; give 'make fuzz'"


def _of_json(text: str) -> Callable[[], object]:
    return lambda: canonical.loads(text.encode())


LARGE: dict[str, Callable[[], object]] = {
    "a megabyte of brackets": lambda: parse_yaml(b"[" * 1_000_000, "it"),
    "a megabyte of maps": lambda: parse_yaml(b"{a: " * 200_000, "it"),
    "a megabyte of dashes": lambda: parse_yaml(b"- " * 400_000, "it"),
    "thousands of unknown keys": lambda: parse_document(
        b"".join(b"k%d: 1\n" % i for i in range(8_000)), Scenario, "it"
    ),
    "messages without content": lambda: check_graph(
        b"\x3a\xc0\x84\x3d" + b"\x0a\x00" * 500_000
    ),
    "a shape of many sizes": lambda: Tensor(shape=(0, *[10**6] * 300_000), data=""),
    "brackets as JSON": _of_json("[" * 5_000_000),
    "digits as JSON": _of_json("9" * 5_000_000),
}


@pytest.mark.parametrize("kind", LARGE)
def test_what_grows_faster_than_its_bytes_is_refused_soon(kind: str) -> None:
    start = time.process_time()
    with pytest.raises((TundishError, ValidationError)):
        LARGE[kind]()
    assert time.process_time() - start < 10


@given(st.text(max_size=4_000))
def test_a_refusal_is_short_and_printable_whatever_it_names(text: str) -> None:
    for kind in (DocumentMalformedError, UnsafePathError):
        said = kind(f"Found {text}.")
        assert len(said.message) < 20_000
        assert said.message.isprintable()
        assert str(said) == said.message


def test_an_empty_file_of_a_package_cannot_be_written_with_a_negative_size() -> None:
    written = tarball.write({"a.txt": b"", "b.txt": b"x"})
    head = bytearray(written[:512])
    head[124:136] = b"-0000000001\x00"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\x00 " % sum(head)
    with pytest.raises(PackageMalformedError):
        tarball.read(bytes(head) + written[512:])
    assert tarball.read(written) == {"a.txt": b"", "b.txt": b"x"}
