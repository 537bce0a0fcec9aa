"""Laws of deltas: one form only, from one base only, and what comes out is the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from tests import tamper

from tundish.kernel import canonical, digest
from tundish.kernel.canonical import Json
from tundish.kernel.digest import hex_part
from tundish.kernel.errors import RefusedError
from tundish.model import delta, layout, making, package, tarball
from tundish.model.errors import (
    DeltaMalformedError,
    DeltaOtherBaseError,
    DeltaOtherProductError,
    PackageMalformedError,
    PackageTooLargeError,
)
from tundish.model.package import Package
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import SigningKey

Desk = Any  # the class lives in conftest, which cannot be imported


@pytest.fixture(scope="module")
def two(desk: Desk) -> tuple[Package, Package]:
    """Return a package and its next version, which carries the same ciphertext."""
    old = desk.build(1)
    return old, desk.build(2, kept=lambda name, _: old.files[name + ".age"])


@pytest.fixture(scope="module")
def step(two: tuple[Package, Package]) -> bytes:
    old, new = two
    return delta.make(package.to_layout(old), package.to_layout(new))


def applied(step: bytes, old: Package) -> bytes:
    return tarball.write(delta.apply(step, package.to_layout(old)))


def test_a_delta_and_its_base_give_the_package_byte_for_byte(
    two: tuple[Package, Package], step: bytes, desk: Desk, now: datetime
) -> None:
    old, new = two
    made = applied(step, old)
    assert made == package.to_tar(new)
    read = package.read_tar(
        made, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
    )
    assert read == new
    assert delta.make(package.to_layout(old), package.to_layout(new)) == step


def test_a_delta_holds_only_what_the_base_has_not(
    two: tuple[Package, Package], step: bytes
) -> None:
    old, new = (package.to_layout(item) for item in two)
    held = tarball.read(step)
    extra = {"delta.json", "index.json", "oci-layout"}
    assert set(held) - extra == set(new) - set(old) - extra
    graph = layout.BLOBS + hex_part(digest.of_bytes(two[1].files[package.GRAPH_AGE]))
    assert graph in old
    assert graph not in held


def test_a_package_encrypted_again_travels_whole(desk: Desk) -> None:
    """So that the law above can fail: without reuse the graph is other bytes."""
    old, new = desk.build(1), desk.build(2)
    held = tarball.read(delta.make(package.to_layout(old), package.to_layout(new)))
    graph = layout.BLOBS + hex_part(digest.of_bytes(new.files[package.GRAPH_AGE]))
    assert graph in held


def test_a_further_signature_travels_alone(desk: Desk) -> None:
    old = desk.build(1)
    new = making.sign_further(old, SigningKey.generate())
    step = delta.make(package.to_layout(old), package.to_layout(new))
    assert applied(step, old) == package.to_tar(new)
    blobs = [name for name in tarball.read(step) if name.startswith(layout.BLOBS)]
    assert len(blobs) == 3  # the signature, the config and the manifest


def test_a_delta_to_the_same_package_gives_it_again(two: tuple[Package, ...]) -> None:
    entries = package.to_layout(two[0])
    assert delta.apply(delta.make(entries, entries), entries) == entries


@pytest.mark.slow
def test_a_changed_byte_of_a_delta_never_applies(
    two: tuple[Package, Package], step: bytes
) -> None:
    base = package.to_layout(two[0])
    found = tamper.codes(tamper.flipped(step), lambda data: delta.apply(data, base))
    assert found.total() == 2 * len(step)
    # in the words of delta.json a changed letter may name another base or product
    others = {"delta-other-base", "delta-other-product"}
    assert set(found) == {"delta-malformed", *others}
    assert sum(found[code] for code in others) < 400


@pytest.mark.slow
def test_a_byte_more_or_less_in_a_delta_never_applies(
    two: tuple[Package, Package], step: bytes
) -> None:
    base = package.to_layout(two[0])
    found = tamper.codes(
        tamper.shifted(step, step=37), lambda data: delta.apply(data, base)
    )
    assert set(found) == {"delta-malformed"}
    assert found.total() > 1000


def test_every_entry_of_a_delta_is_needed_and_none_may_be_added(
    two: tuple[Package, Package], step: bytes
) -> None:
    base, held = package.to_layout(two[0]), tarball.read(step)
    spare = next(name for name in base if name.startswith(layout.BLOBS))
    wrong = [{k: v for k, v in held.items() if k != gone} for gone in held]
    wrong.append({**held, "notes.txt": b"x"})
    wrong.append({**held, spare: base[spare]})  # the base has it already
    wrong.append({**held, _place(b"nobody names it"): b"nobody names it"})
    for entries in wrong:
        with pytest.raises(DeltaMalformedError):
            delta.apply(tarball.write(entries), base)


def test_a_delta_starts_from_one_base_only(
    desk: Desk, two: tuple[Package, Package], step: bytes
) -> None:
    others = [desk.build(1), two[1], desk.build(3)]
    others.append(making.sign_further(two[0], SigningKey.generate()))
    for other in others:
        with pytest.raises(DeltaOtherBaseError, match="leads from version '1'"):
            applied(step, other)


def test_a_delta_of_another_product_is_refused(
    desk: Desk, two: tuple[Package, Package], step: bytes
) -> None:
    fan = other_product(desk, "C34.30.fan")
    with pytest.raises(DeltaOtherProductError, match=r"C34\.27\.pump"):
        applied(step, fan)
    with pytest.raises(DeltaOtherProductError):
        delta.make(package.to_layout(fan), package.to_layout(two[1]))
    with pytest.raises(DeltaOtherProductError):
        delta.make(package.to_layout(two[0]), package.to_layout(fan))


def test_a_delta_cannot_lead_to_another_product(
    desk: Desk, two: tuple[Package, Package], step: bytes
) -> None:
    """Its own words say one product; its manifest says another."""
    held, fan = tarball.read(step), package.to_layout(other_product(desk, "C34.30.fan"))
    base = package.to_layout(two[0])
    forged = {name: body for name, body in fan.items() if name not in base}
    forged |= {name: fan[name] for name in ("index.json", "oci-layout")}
    forged[layout.DELTA] = held[layout.DELTA]
    with pytest.raises(DeltaMalformedError, match=r"C34\.30\.fan"):
        delta.apply(tarball.write(forged), base)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "tundish.other"},
        {"form": 2},
        {"product": ""},
        {"product": "p" * 101},
        {"extra": 1},
        {"base": {"version": "1", "manifest": "sha256:00"}},
        {"result": {"version": 2, "manifest": "sha256:" + "0" * 64}},
        {"result": {"version": "2", "manifest": "sha256:" + "0" * 64}},
    ],
)
def test_words_of_another_form_are_refused(
    two: tuple[Package, Package], step: bytes, change: dict[str, Json]
) -> None:
    held = tarball.read(step)
    said = canonical.loads(held[layout.DELTA])
    assert isinstance(said, dict)
    held[layout.DELTA] = canonical.dumps({**said, **change})
    with pytest.raises(DeltaMalformedError):
        applied(tarball.write(held), two[0])


@pytest.mark.parametrize(
    "words", [b"", b"[]", b"{}", b"\xff", b'{"a":1,"a":2}', b"[" * 5000]
)
def test_words_that_are_no_object_are_refused(
    two: tuple[Package, Package], step: bytes, words: bytes
) -> None:
    held = {**tarball.read(step), layout.DELTA: words}
    with pytest.raises(DeltaMalformedError):
        applied(tarball.write(held), two[0])


def test_a_package_is_no_delta_and_a_delta_no_package(
    two: tuple[Package, Package], step: bytes, desk: Desk, now: datetime
) -> None:
    with pytest.raises(DeltaMalformedError, match=r"no delta\.json"):
        delta.read(package.to_tar(two[1]))
    with pytest.raises(PackageMalformedError, match="a delta") as refused:
        package.read_tar(
            step, trusted=[desk.key.public], now=now, seen=MemoryFreshness()
        )
    assert "package apply" in refused.value.advice


def test_a_manifest_that_promises_too_much_is_refused_before_it_is_made(
    two: tuple[Package, Package], step: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def huge(manifest: dict[str, Any]) -> None:
        for layer in manifest["layers"]:
            layer["size"] = 2**40

    def thousand(manifest: dict[str, Any]) -> None:
        manifest["layers"] = manifest["layers"][:1] * 1001

    base = package.to_layout(two[0])
    for change, kind in ((huge, PackageTooLargeError), (thousand, DeltaMalformedError)):
        with pytest.raises(kind):
            delta.apply(with_manifest(step, change), base)
    monkeypatch.setattr(layout, "MAX_MANIFEST", 100)
    with pytest.raises(PackageTooLargeError, match="manifest"):
        delta.apply(step, base)
    monkeypatch.setattr(tarball, "MAX_BYTES", len(step) - 1)
    with pytest.raises(PackageTooLargeError):
        delta.apply(step, base)


def test_a_layer_with_a_size_that_lies_is_refused(
    two: tuple[Package, Package], step: bytes
) -> None:
    def longer(manifest: dict[str, Any]) -> None:
        manifest["layers"][0]["size"] += 1

    with pytest.raises(DeltaMalformedError):
        applied(with_manifest(step, longer), two[0])


def test_a_forged_delta_in_the_right_form_gives_a_package_that_is_refused(
    desk: Desk, two: tuple[Package, Package], now: datetime
) -> None:
    """Whoever makes a delta of changed files passes its form, not the signature."""
    old, new = two
    for name, body in new.files.items():
        changed = {**new.files, name: body[:-1] + bytes([body[-1] ^ 1])}
        forged = package.to_layout(replace(new, files=changed))
        step = delta.make(package.to_layout(old), forged)
        with pytest.raises(RefusedError) as refused:
            package.read_layout(
                delta.apply(step, package.to_layout(old)),
                trusted=[desk.key.public],
                now=now,
                seen=MemoryFreshness(),
            )
        assert refused.value.code == "package-file-changed", name


def with_manifest(step: bytes, change: Any) -> bytes:
    """Return a delta whose manifest says something else, with all digests right."""
    held = tarball.read(step)
    body = layout.manifest_of(held)
    manifest = canonical.loads(body)
    change(manifest)
    changed = canonical.dumps(manifest)
    del held[_place(body)]
    said = canonical.loads(held[layout.DELTA])
    assert isinstance(said, dict)
    end: dict[str, Json] = {"version": "2", "manifest": digest.of_bytes(changed)}
    held[layout.DELTA] = canonical.dumps({**said, "result": end})
    return tarball.write({**held, **layout.around(changed, [])})


def other_product(desk: Desk, product: str) -> Package:
    parts, made = desk.parts(1), desk.build(1)
    built: Package = making.build(
        replace(parts, card=parts.card.model_copy(update={"product": product})),
        statement=made.statement.model_copy(update={"product": product}),
        key=desk.key,
        encrypt_to=[desk.identity.recipient],
    )
    return built


def _place(blob: bytes) -> str:
    return layout.BLOBS + hex_part(digest.of_bytes(blob))


def test_what_is_kept_travels_under_the_names_of_the_base(
    two: tuple[Package, Package], step: bytes
) -> None:
    """A base that lies about a blob is found out: the result has other bytes."""
    base: Mapping[str, bytes] = package.to_layout(two[0])
    graph = _place(two[0].files[package.GRAPH_AGE])
    other = base[graph][:-1] + bytes([base[graph][-1] ^ 1])
    with pytest.raises(DeltaMalformedError):
        delta.apply(step, {**base, graph: other})
