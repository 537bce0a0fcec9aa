"""Change what comes from outside for as long as is asked, and hand it to its parser.

Run by ``make fuzz``: ``python -m tests.fuzz_seal [--seconds 300] [--seed 1] [--only NAME]``.
Bytes are damaged as they are; what is signed is also changed below its signature and
signed again by the trusted key, and blobs get their right digests, so that the deep
parsers are reached. Whatever ends in anything but a value or an error of Tundish, takes
longer than five seconds or takes 500 MB more is kept and named; the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from tests.data import broken

from tundish.catalog.documents import parse_document
from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.errors import TundishError
from tundish.ledger import merkle, note
from tundish.model import delta, graphcheck, layout, package, tarball
from tundish.seal import (
    base64s,
    certificate,
    chain,
    crl,
    dsse,
    envelope,
    foreign,
    grant,
    model_signature,
    request,
)
from tundish.seal.chain import Authority
from tundish.seal.freshness import MemoryFreshness
from tundish.seal.keys import DeviceKey, SigningKey, VerifyKey
from tundish.seal.signers import Signers

HERE = Path(__file__).parent
OLD = HERE / "golden/v0.1"
NOW = datetime(2026, 5, 4, 7, 0, tzinfo=UTC)
SLOW_S, LARGE_KB, LONGEST_MESSAGE = 5.0, 500_000, 2000
KEY, DEVICE = SigningKey.generate(), DeviceKey.generate()
IDENTITY = envelope.new_identity()
ODD: tuple[Json, ...] = (
    None, True, -1, 0, 2**53 - 1, 1e308, "", "\x00", "../x", "2026-13-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "sha256:" + "0" * 64, [], {}, [[]], "=1+1", "a" * 5000,
    "<script>", "\u202e", "\x1b[31m", "age1", [None] * 50,
)  # fmt: skip
KEYS = ("extra", "", "\x1b[31m", "../x", "a" * 3000, "line\nbreak", "\u202e", "version")


@dataclass(frozen=True)
class Target:
    """A parser, a whole input, and how to change it below its seal."""

    name: str
    whole: bytes
    parse: Callable[[bytes], object]
    deep: Callable[[np.random.Generator], bytes] | None = None


def twisted(value: Json, rng: np.random.Generator) -> Json:
    """Return a JSON value with one place changed."""
    items: list[tuple[object, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    if not items or rng.integers(6) == 0:
        return ODD[int(rng.integers(len(ODD)))]
    place, inner = items[int(rng.integers(len(items)))]
    kind = int(rng.integers(12))
    if isinstance(value, dict):
        made = dict(value)
        if kind == 0:
            del made[cast("str", place)]
        elif kind == 1:
            made[KEYS[int(rng.integers(len(KEYS)))]] = inner
        else:
            made[cast("str", place)] = twisted(inner, rng)
        return made
    row = list(cast("list[Json]", value))
    at = cast("int", place)
    if kind == 0:
        del row[at]
    elif kind == 1:
        row = row + [inner] * int(rng.integers(1, 4))
    else:
        row[at] = twisted(inner, rng)
    return row


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Return canonical JSON bytes with one to three places changed."""
    value: Json = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        value = twisted(value, rng)
    return canonical.dumps(value)


def _payload(data: bytes, kind: str, key: VerifyKey) -> bytes:
    return dsse.verify(data, [key], payload_type=kind)[0]


def _signed_anew(payload: bytes, kind: str) -> Callable[[np.random.Generator], bytes]:
    text = payload.replace(
        VerifyKey.load(OLD / "owner.pub").key_id.encode(), KEY.public.key_id.encode()
    )
    return lambda rng: dsse.sign(kind, changed(text, rng), KEY)


def _bundle_anew(bundle: bytes) -> Callable[[np.random.Generator], bytes]:
    outer = cast("dict[str, dict[str, Json]]", json.loads(bundle))
    payload = base64s.decode(outer["dsseEnvelope"]["payload"], what="payload")

    def make(rng: np.random.Generator) -> bytes:
        inner = changed(payload, rng)
        signature = KEY.sign(
            dsse.encode_for_signing(model_signature.PAYLOAD_TYPE, inner)
        )
        sealed = {
            "payload": base64s.encode(inner),
            "payloadType": model_signature.PAYLOAD_TYPE,
            "signatures": [{"keyid": "", "sig": base64s.encode(signature)}],
        }
        material: Json = {"publicKey": {"hint": KEY.public.hint}, "tlogEntries": []}
        return canonical.dumps(
            {
                **cast("dict[str, Json]", outer),
                "dsseEnvelope": cast("Json", sealed),
                "verificationMaterial": material,
            }
        )

    return make


def _proof(data: bytes) -> None:
    data = data.ljust(64, b"\x00")
    words = [data[at : at + 32] for at in range(0, len(data), 32)]
    size = int.from_bytes(data[:2], "big")
    merkle.verify_inclusion(
        words[0], index=data[0], size=size, proof=words[2:], root=words[1]
    )
    merkle.verify_consistency(
        old_size=data[1], new_size=size, old_root=words[0], new_root=words[1],
        proof=words[2:],
    )  # fmt: skip


def targets() -> list[Target]:
    """Return every parser of this room that reads foreign bytes."""
    trusted = [KEY.public, VerifyKey.load(OLD / "owner.pub")]
    owner = trusted[1]
    tar = (OLD / "clear.tar").read_bytes()
    files = package.read(
        OLD / "encrypted", trusted=trusted, now=NOW, seen=MemoryFreshness()
    ).files
    bundle = (OLD / "encrypted/model.sig").read_bytes()
    granted = (OLD / "grant.json").read_bytes()
    certified = (OLD / "certificate.json").read_bytes()
    ca_pem, listed = ((OLD / f"plant-ca.{end}").read_bytes() for end in ("pem", "crl"))
    authority = Authority(link=chain.read_authority(ca_pem))
    under_ca = Signers(keys=(), authorities=(authority,))
    signed = package.read(
        OLD / "chain.tar", trusted=under_ca, now=NOW, seen=MemoryFreshness()
    )
    chained = signed.signature
    links = signed.by[0].chain.ders if signed.by[0].chain else ()
    declared = HERE.parent / "src/tundish/catalog/declared/scenarios"
    scenario = min(declared.rglob("*.yaml"))
    wish = request.make_wish(product="p", purpose="q")
    asked = request.make(wish, device=DEVICE.public, key=KEY, now=NOW)
    clear = package.read(
        OLD / "clear.tar", trusted=trusted, now=NOW, seen=MemoryFreshness()
    )

    def read_tar(data: bytes) -> object:
        return package.read_tar(data, trusted=trusted, now=NOW, seen=MemoryFreshness())

    entries = tarball.read(tar)
    manifest = layout.manifest_of(entries)
    blobs = [body for name, body in entries.items() if name.startswith(layout.BLOBS)]

    def read_manifest(data: bytes) -> object:
        return package.read_layout(
            layout.around(data, [*blobs, data]),
            trusted=trusted,
            now=NOW,
            seen=MemoryFreshness(),
        )

    base = layout.pack({**clear.files, "model.sig": b"{}"}, clear.statement)
    step = delta.make(base, entries)
    words = tarball.read(step)[layout.DELTA]

    def other_words(rng: np.random.Generator) -> bytes:
        return tarball.write({**tarball.read(step), layout.DELTA: changed(words, rng)})

    def read_files(name: str) -> Callable[[bytes], object]:
        def verify(data: bytes) -> object:
            content = {**clear.files, name: data}
            facts = {
                key: model_signature.facts_of(body) for key, body in content.items()
            }
            sealed = model_signature.sign(facts, clear.statement, KEY)
            return package.verify(
                {**content, package.SIGNATURE: sealed},
                trusted=trusted, now=NOW, seen=MemoryFreshness(),
            )  # fmt: skip

        return verify

    sealed_box = envelope.encrypt(b"weights" * 30_000, [IDENTITY.recipient])
    return [
        Target("tar", tar, read_tar),
        Target("delta", step, lambda data: delta.apply(data, base), other_words),
        Target("manifest", manifest, read_manifest, lambda rng: changed(manifest, rng)),
        Target(
            "bundle", bundle,
            lambda data: model_signature.verify(data, trusted), _bundle_anew(bundle),
        ),
        Target(
            "bundle under a chain", chained,
            lambda data: model_signature.verify(data, under_ca),
            lambda rng: changed(chained, rng),
        ),
        Target(
            "X.509 certificate", links[0],
            lambda data: chain.verify([data, *links[1:]], under_ca.authorities),
        ),
        Target(
            "CA and chain (PEM)", ca_pem,
            lambda data: [chain.read_pem(data), chain.read_authority(data)],
        ),
        Target("CRL", listed, lambda data: crl.read(data, under_ca.authorities)),
        Target(
            "foreign bundle", bundle,
            lambda data: foreign.verify(data, trusted), _bundle_anew(bundle),
        ),
        Target(
            "grant", granted, lambda data: grant.read(data, trusted),
            _signed_anew(_payload(granted, grant.PAYLOAD_TYPE, owner), grant.PAYLOAD_TYPE),
        ),
        Target(
            "grant text", grant.to_text(granted), lambda data: grant.read(data, trusted)
        ),
        Target(
            "certificate", certified, lambda data: certificate.read(data, trusted),
            _signed_anew(
                _payload(certified, certificate.PAYLOAD_TYPE, owner),
                certificate.PAYLOAD_TYPE,
            ),
        ),
        Target("certificate unproven", certified, certificate.peek),
        Target("request", asked, request.read),
        Target("age", sealed_box, lambda data: envelope.decrypt(data, IDENTITY)),
        Target(
            "scenario", scenario.read_bytes(),
            lambda data: parse_document(data, Scenario, "the scenario"),
        ),
        Target(
            "checkpoint", (OLD / "checkpoint.txt").read_bytes(),
            lambda data: note.read_checkpoint(
                note.read_note(data.decode("utf-8", "replace")).text
            ),
        ),
        Target("proof", bytes(range(32)) * 6, _proof),
        Target("graph", clear.files[package.GRAPH], graphcheck.check_graph),
        *(
            Target(
                name, files[name], read_files(name),
                lambda rng, body=files[name]: changed(body, rng),  # type: ignore[misc]
            )
            for name in (package.CARD, package.GOLDEN, package.BOM, package.VERDICT)
        ),
    ]  # fmt: skip


def fault(target: Target, data: bytes) -> str:
    """Parse once and return what went wrong with that; empty if nothing did."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    try:
        target.parse(data)
    except TundishError as error:
        said = error.message
        if len(said) > LONGEST_MESSAGE or not said.isprintable():
            return f"a message of {len(said)} characters: {said[:400]!r}"
    except BaseException:  # noqa: BLE001  (this is the question)
        return traceback.format_exc(limit=-3)
    took = time.monotonic() - start
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if took > SLOW_S or more > LARGE_KB:
        return f"took {took:.1f} s and {more / 1000:.0f} MB"
    return ""


def damaged(target: Target, rng: np.random.Generator) -> bytes:
    """Return one changed input."""
    if target.deep is not None and rng.integers(2):
        return target.deep(rng)
    data = target.whole
    for _ in range(int(rng.integers(1, 4))):
        data = broken.mutate(data, rng)
    return data[: int(rng.integers(len(data) + 1))] if rng.integers(8) == 0 else data


def run(target: Target, rng: np.random.Generator, seconds: float, keep: Path) -> int:
    """Fuzz one parser, tell, and return the number of faults."""
    until = time.monotonic() + seconds
    count = faults = 0
    kinds: set[str] = set()
    while time.monotonic() < until:
        count += 1
        data = damaged(target, rng)
        what = fault(target, data)
        if not what:
            continue
        faults += 1
        kind = what.splitlines()[-1][:60]
        if kind in kinds:
            continue
        kinds.add(kind)
        keep.mkdir(exist_ok=True)
        path = keep / f"seal-{target.name.replace(' ', '-')}-{count}"
        path.write_bytes(data)
        print(f"{path}: {what}")
    print(f"{target.name}: {count} inputs, {faults} faults")
    return faults


def main() -> int:
    """Fuzz every parser in turn, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"))
    given = parser.parse_args()
    chosen = [t for t in targets() if given.only in {None, t.name}]
    rng = np.random.default_rng(given.seed)
    each = given.seconds / max(1, len(chosen))
    faults = sum(run(target, rng, each, given.keep) for target in chosen)
    return 1 if faults or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
