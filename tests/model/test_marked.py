"""Laws of marked files: encrypted like the graph, readable in memory after opening."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tundish.model import making, marked, package
from tundish.model.errors import (
    MarkInvalidError,
    PackageFileExtraError,
    PackageFileMissingError,
    PackageMalformedError,
    PackageNeedsGrantError,
)
from tundish.model.package import Package
from tundish.model.session import Session
from tundish.seal import envelope, model_signature
from tundish.seal.errors import EnvelopeClosedError
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.model_signature import facts_of

Desk = Any  # the class lives in conftest, which cannot be imported


@pytest.fixture(scope="module")
def closed(desk: Desk) -> Package:
    made: Package = desk.build(encrypt=marked.MARKABLE)
    return made


def test_marked_files_lie_encrypted_in_the_package(desk: Desk, closed: Package) -> None:
    clear = desk.build().files
    whole = package.to_tar(closed)
    for name in marked.MARKABLE:
        assert name not in closed.files
        assert closed.files[name + ".age"].startswith(envelope.MAGIC)
    for name in ("golden.json", "scenario.yaml"):
        assert clear[name] not in whole
    assert {"card.json", "verdict.json", "bom.cdx.json"} <= set(closed.files)
    assert closed.card.title == "Pump soft sensor"
    assert closed.verdict == {"accepted": True}


def test_marked_files_are_read_after_opening_only(
    desk: Desk, closed: Package, now: datetime
) -> None:
    read = package.read_tar(
        package.to_tar(closed),
        trusted=[desk.key.public],
        now=now,
        seen=MemoryFreshness(),
    )
    for ask in (
        lambda: read.golden,
        lambda: read.scenario_yaml,
        lambda: read.envelope,
        lambda: read.parity,
        lambda: package.unlocked(read),
    ):
        with pytest.raises(PackageNeedsGrantError, match="is encrypted"):
            ask()
    opened, clear = package.unlocked(read, desk.identity), desk.build()
    assert opened.golden == clear.golden
    assert opened.scenario_yaml == clear.scenario_yaml
    assert opened.envelope == clear.envelope
    assert opened.parity == clear.parity
    Session(package.graph_bytes(opened, desk.identity), opened.golden)


def test_what_was_opened_is_not_written(desk: Desk, closed: Package) -> None:
    opened = package.unlocked(closed, desk.identity)
    assert package.to_tar(opened) == package.to_tar(closed)
    assert "scenario: C34" not in repr(opened)


def test_another_identity_opens_no_marked_file(closed: Package) -> None:
    with pytest.raises(EnvelopeClosedError):
        package.unlocked(closed, envelope.new_identity())


def test_a_package_without_marks_is_unlocked_as_it_is(desk: Desk) -> None:
    made = desk.build()
    assert package.unlocked(made) is made


@pytest.mark.parametrize("name", ["card.json", "verdict", "bom.cdx.json", "graph", "x"])
def test_what_people_must_read_cannot_be_marked(desk: Desk, name: str) -> None:
    with pytest.raises(MarkInvalidError):
        desk.build(encrypt=[name])


def test_nothing_is_marked_in_a_clear_package_or_where_nothing_is(desk: Desk) -> None:
    with pytest.raises(MarkInvalidError):
        desk.build(encrypt=["golden"], encrypted=False)
    parts = replace(desk.parts(), envelope=None)
    with pytest.raises(MarkInvalidError, match="there is none"):
        making.build(
            parts,
            statement=desk.build().statement,
            key=desk.key,
            encrypt_to=[desk.identity.recipient],
            encrypt=["envelope"],
        )


def test_a_name_may_be_short_and_counts_once() -> None:
    assert marked.chosen(["golden", "scenario.yaml", "golden.json"]) == (
        "golden.json", "scenario.yaml",
    )  # fmt: skip


def test_a_signed_package_with_a_file_in_both_forms_is_refused(
    desk: Desk, closed: Package, now: datetime
) -> None:
    """Otherwise one reader would see the one, and another the other."""
    clear = desk.build(encrypted=False)
    both = {**closed.files, "golden.json": clear.files["golden.json"]}
    beside_clear = {
        name: body for name, body in closed.files.items() if name != "graph.onnx.age"
    } | {"graph.onnx": desk.graph}
    for files in (both, beside_clear):
        with pytest.raises(PackageFileExtraError, match="in clear"):
            signed(desk, files, closed, now)
    none = {k: v for k, v in closed.files.items() if k != "golden.json.age"}
    with pytest.raises(PackageFileMissingError, match="golden"):
        signed(desk, none, closed, now)


@pytest.mark.parametrize("name", ["golden.json", "envelope.json", "parity.json"])
def test_a_marked_file_that_is_no_document_is_refused_when_it_is_opened(
    desk: Desk, closed: Package, now: datetime, name: str
) -> None:
    for body in (b"", b"[]", b'{"a": 1}', b"\xff"):
        sealed = envelope.encrypt(body, [desk.identity.recipient])
        files = {**closed.files, name + ".age": sealed}
        made = signed(desk, files, closed, now)
        with pytest.raises(PackageMalformedError):
            package.unlocked(made, desk.identity)


def signed(
    desk: Desk, files: Mapping[str, bytes], like: Package, now: datetime
) -> Package:
    facts = {name: facts_of(body) for name, body in files.items()}
    signature = model_signature.sign(facts, like.statement, desk.key)
    return package.verify(
        {**files, package.SIGNATURE: signature},
        trusted=[desk.key.public],
        now=now,
        seen=MemoryFreshness(),
    )
