"""Targets that decide about trust: canonical JSON, what is signed, keys, notes, proofs.

Most signed forms are here twice: as their bytes come from outside, and as what a trusted
key has signed (the target signs the fuzzer's bytes), so that the inner parser is reached.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization
from tests.fuzz.desk import (
    DEVICE,
    IDENTITY,
    KEY,
    LATER,
    NOTARY,
    NOW,
    OLD,
    OWNER,
    PACKAGE,
    SECOND,
    TRUSTED,
    golden,
    payload_of,
    signed,
)  # fmt: skip
from tests.fuzz.target import Target, at_file

from tundish.kernel import canonical, clock, paths
from tundish.kernel import digest as digests
from tundish.kernel.canonical import Json
from tundish.kernel.clock import ManualClock
from tundish.kernel.errors import TundishError
from tundish.ledger import merkle, note, record
from tundish.ledger.log import Ledger
from tundish.seal import (
    approval,
    armour,
    base64s,
    certificate,
    change,
    dsse,
    envelope,
    foreign,
    grant,
    model_signature,
    packsignature,
    plantevidence,
    providercard,
    request,
    revocation,
    rotation,
    spare,
    timenote,
)  # fmt: skip
from tundish.seal.freshness import FileFreshness, MemoryFreshness, check_corrected
from tundish.seal.keys import (
    CheckpointKey,
    CheckpointPublic,
    DeviceKey,
    DevicePublic,
    SigningKey,
    VerifyKey,
)  # fmt: skip
from tundish.seal.secret import SecretText
from tundish.seal.signedtext import TextForm
from tundish.seal.trust import Known, Trust

_SEAL, _LEDGER, _KERNEL = "tundish.seal.", "tundish.ledger.", "tundish.kernel."
_HELD = b"tundish.rotation/1 held\n"
_INFO = b"tundish.grant/1\n"
_CODE = SecretText("00000-00000-00000-00000-0000T")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- kernel


def _json(data: bytes) -> None:
    value = canonical.loads(data)
    try:
        again = canonical.dumps(value)
    except TundishError:  # half a surrogate pair can be read, not written
        return
    assert canonical.loads_canonical(again) == value
    if again == data:
        canonical.loads_canonical(data)


def _moment(data: bytes) -> None:
    moment = clock.from_text(data.decode("utf-8", "replace"))
    assert clock.from_text(clock.to_text(moment)) == moment


def _name(data: bytes) -> None:
    name = paths.check_name(data.decode("utf-8", "replace"))
    assert paths.join(OLD, name).resolve().is_relative_to(OLD.resolve())


# --- signed forms


def _base64(data: bytes) -> None:
    text = data.decode("latin-1")
    assert base64s.encode(base64s.decode(text, what="text")) == text


def _armour(data: bytes) -> None:
    other = armour.stray("GRANT", data)
    assert not other or other.isascii()
    assert not other or other.isprintable()
    inner = armour.unwrap("GRANT", data)
    assert not other
    assert armour.unwrap("GRANT", armour.wrap("GRANT", inner)) == inner


def _dsse(data: bytes) -> None:
    dsse.verify(data, TRUSTED, payload_type=grant.PAYLOAD_TYPE)


def _bundle(data: bytes) -> None:
    model_signature.verify(data, TRUSTED)


def _bundle_around(payload: bytes, key: SigningKey = KEY) -> bytes:
    signature = key.sign(dsse.encode_for_signing(model_signature.PAYLOAD_TYPE, payload))
    return model_signature._bundle(payload, signature, key.public.hint)


def _bundle_signed(payload: bytes) -> None:
    bundle = _bundle_around(payload)
    found = model_signature.verify(bundle, TRUSTED)
    assert found.digest == digests.of_bytes(payload)


def _bundle_payloads() -> list[bytes]:
    bundle = (OLD / "encrypted/model.sig").read_bytes()
    inner: dict[str, dict[str, Json]] = json.loads(bundle)
    return [base64s.decode(inner["dsseEnvelope"]["payload"], what="payload")]


def _further(data: bytes) -> None:
    name, _, bundle = data.partition(b"\n")
    statement = golden("encrypted").digest
    model_signature.verify_further(_text(name), bundle, TRUSTED, statement)


def _further_seeds() -> list[bytes]:
    bundle = (OLD / "encrypted/model.sig").read_bytes()
    more = model_signature.sign_further(bundle, KEY)
    return [model_signature.further_name(KEY.public).encode() + b"\n" + more]


def _foreign(data: bytes) -> None:
    foreign.verify(data, TRUSTED)


def _foreign_signed(payload: bytes) -> None:
    foreign.verify(_bundle_around(payload), TRUSTED)


def _grant(data: bytes) -> None:
    grant.read(data, TRUSTED)


def _grant_signed(data: bytes) -> None:
    """Seal the package's identity to these words, sign all, read and open the grant."""
    payload = data
    try:
        words = canonical.loads(data)
        if isinstance(words, dict):
            secret = IDENTITY.secret.reveal().encode()
            info = _INFO + canonical.dumps(words)
            if words.get("grant") == "grant-5":
                secret = spare.close(secret, _CODE, info)
            sealed = DEVICE.public.encrypt(secret, info)
            payload = canonical.dumps({**words, "key": base64s.encode(sealed)})
    except TundishError:
        pass
    made = signed(grant.PAYLOAD_TYPE, payload)
    grant.read(made, TRUSTED)
    grant.open_grant(
        made, device=DEVICE, trusted=TRUSTED, package=PACKAGE, now=NOW,
        seen=MemoryFreshness(), code=_CODE,
    )  # fmt: skip


def _grant_words() -> list[bytes]:
    made = []
    for number, spare_s in ((1, None), (5, 3600)):
        terms = grant.make_terms(
            purpose="seed", not_before=NOW - timedelta(days=1), not_after=LATER, uses=2,
            grace_s=60, spare_s=spare_s,
        )  # fmt: skip
        body = grant.GrantBody(
            grant=f"grant-{number}", package=PACKAGE, device=DEVICE.public.device_id,
            issuer=KEY.public.key_id, terms=terms,
        )  # fmt: skip
        made.append(canonical.dumps(body.to_json()))
    return made


def _wish() -> bytes:
    wish = request.make_wish(product="p", purpose="q", package=PACKAGE, days=3, uses=2)
    return request.make(wish, device=DEVICE.public, key=KEY, now=NOW)


def _request(data: bytes) -> None:
    found = request.read(data)
    found.device.encrypt(b"secret", b"info")


def _request_signed(payload: bytes) -> None:
    _request(armour.wrap(request.KIND, signed(request.PAYLOAD_TYPE, payload)))


def _certificate(data: bytes) -> None:
    certificate.peek(data)
    certificate.read(data, TRUSTED)


def _certificate_signed(payload: bytes) -> None:
    found = certificate.read(signed(certificate.PAYLOAD_TYPE, payload), TRUSTED)
    certificate.remember(found, MemoryFreshness())
    certificate.check_time(found.body, NOW)
    certificate.check_data(found.body, PACKAGE, {"data.csv": PACKAGE})


def _certificate_payloads() -> list[bytes]:
    old = payload_of((OLD / "certificate.json").read_bytes())
    return [old.replace(OWNER.key_id.encode(), KEY.public.key_id.encode())]


def _revocations(data: bytes) -> None:
    revocation.read(data, TRUSTED)
    revocation.read_exact(data, TRUSTED)


def _revocations_signed(payload: bytes) -> None:
    text = armour.wrap(revocation.KIND, signed(revocation.PAYLOAD_TYPE, payload))
    found = revocation.read(text, TRUSTED)
    known = (Known(key=KEY.public), Known(key=OWNER, follows=KEY.public.key_id))
    trust = Trust(
        known=known, own=OWNER.key_id, lists=(found,), now=NOW, witness=lambda *_: NOW
    )
    trust.standing()
    trust.withdrawn(
        package=PACKAGE, signers=[OWNER.key_id], grant="grant-1",
        device=DEVICE.public.device_id,
    )  # fmt: skip
    trust.check_key(OWNER.key_id, PACKAGE)
    trust.check_package(PACKAGE, [OWNER.key_id])
    trust.check_grant("grant-1", OWNER.key_id)
    trust.check_device(DEVICE.public.device_id, OWNER.key_id)


def _revocation_texts() -> list[bytes]:
    since = NOW - timedelta(days=1)
    entries = [
        revocation.entry("package", PACKAGE, since, "withdrawn"),
        revocation.entry("key", OWNER.key_id, since, ""),
        revocation.entry("device", DEVICE.public.device_id, since, "lost"),
        revocation.entry("grant", "grant-1", since, "sold"),
    ]
    return [
        revocation.sign(some, version=2, now=NOW, key=KEY)
        for some in (entries, entries[:1], [])
    ]


def _approval(data: bytes) -> None:
    _ = approval.read(data, TRUSTED).not_after


def _approvals() -> list[bytes]:
    asked = approval.Asked(line="kiln", package=PACKAGE, bounds=PACKAGE)
    return [
        approval.sign(asked, now=NOW, not_after=LATER, note=note, key=KEY)
        for note in ("", "seen on site")
    ]


def _evidence(data: bytes) -> None:
    plantevidence.read(data, TRUSTED, now=NOW)


def _evidences() -> list[bytes]:
    seen = plantevidence.Seen(
        plant="pump house 3", scenario="C34.27.water-pump",
        contract=PACKAGE, package=PACKAGE, data=PACKAGE, judged=400,
        first="2026-04-01T00:00:00Z", last="2026-05-01T00:00:00Z",
        answers=40_000, withheld=120, right=3, wrong=1, unclear=0,
    )  # fmt: skip
    return [plantevidence.sign(seen, now=NOW, not_after=LATER, key=KEY)]


_PACK = {"pack.yaml": b"a card", "scenarios/C10.21.a.yaml": b"a scenario"}


def _pack(data: bytes) -> None:
    packsignature.read(data, _PACK, TRUSTED, now=NOW)


def _packs() -> list[bytes]:
    return [
        packsignature.sign("forge", release, _PACK, now=NOW, not_after=LATER, key=KEY)
        for release in (1, 2)
    ]


_CARD = b"a card"


def _provider_card(data: bytes) -> None:
    providercard.read(data, _CARD, TRUSTED, now=NOW)


def _provider_cards() -> list[bytes]:
    return [
        providercard.sign(card, now=NOW, not_after=LATER, key=KEY)
        for card in (_CARD, b"another")
    ]


def _change(data: bytes) -> None:
    found = change.read(data, TRUSTED)
    body = found.body
    wanted = change.Wanted(line=body.line, old=body.old, new=body.new)
    with suppress(TundishError):  # outside its window
        found.check(wanted, NOW)


def _changes() -> list[bytes]:
    other = digests.of_bytes(b"the next package")
    wanted = change.Wanted(line="kiln", old=PACKAGE, new=other)
    names = change.SeenComparison.model_fields
    seen = change.SeenComparison(**dict.fromkeys(names, 7))
    return [
        change.sign(wanted, seen, now=NOW, window=(NOW, LATER), note=note, key=KEY)
        for note in ("", "two weeks in shadow")
    ]


def _inside(kind: str, texts: Iterable[bytes]) -> list[bytes]:
    return [payload_of(armour.unwrap(kind, text)) for text in texts]


def _both(
    name: str,
    form: TextForm[Any],
    read: Callable[[bytes], None],
    seeds: Callable[[], list[bytes]],
) -> tuple[Target, Target]:
    """Return the targets of a text: its bytes, and what is signed in it."""
    door = f"{form.body.__module__}:read"

    def inside(payload: bytes) -> None:
        read(armour.wrap(form.kind, signed(form.payload_type, payload)))

    return (
        Target(name=name, parse=read, seeds=seeds, doors=(door,)),
        Target(
            name=f"{name}-signed", json=True, parse=inside,
            seeds=lambda: _inside(form.kind, seeds()),
            doors=(door, _SEAL + "dsse:read_record"),
        ),
    )  # fmt: skip


def _rotation(data: bytes) -> None:
    rotation.read(data, TRUSTED)


def _rotation_signed(data: bytes) -> None:
    """Let the new key sign these words as held, and the old one all."""
    payload = data
    try:
        words = canonical.loads(data)
        if isinstance(words, dict):
            held = SECOND.sign(_HELD + canonical.dumps(words))
            payload = canonical.dumps({**words, "held": base64s.encode(held)})
    except TundishError:
        pass
    made = signed(rotation.PAYLOAD_TYPE, payload)
    rotation.read(armour.wrap(rotation.KIND, made), TRUSTED)


def _rotation_words() -> list[bytes]:
    body = rotation.RotationBody(
        old=KEY.public.key_id, new=SECOND.public.to_pem().decode(),
        at=clock.to_text(NOW), old_until=clock.to_text(LATER),
    )  # fmt: skip
    return [canonical.dumps(body.to_json())]


def _time_note(data: bytes) -> None:
    found, _ = timenote.read(data, TRUSTED, DEVICE.public.device_id)
    seen = MemoryFreshness()
    seen.see_witness(found.moment())
    seen.see_time(NOW)


def _time_note_signed(payload: bytes) -> None:
    _time_note(armour.wrap(timenote.KIND, signed(timenote.PAYLOAD_TYPE, payload)))


def _time_notes() -> list[bytes]:
    device = DEVICE.public.device_id
    return [
        timenote.sign(NOW, KEY, checkpoint=(OLD / "checkpoint.txt").read_text()),
        timenote.sign(NOW, KEY, corrects=device),
    ]


# --- keys, codes, envelopes, what was seen


def _public_key(data: bytes) -> None:
    for kind in (VerifyKey, CheckpointPublic):
        try:
            found = kind.from_pem(data)
        except TundishError:
            continue
        assert kind.from_pem(found.to_pem()).to_pem() == found.to_pem()
    VerifyKey.load(at_file("key.pub", data))
    CheckpointPublic.load(at_file("key.pub", data))


def _signature(data: bytes) -> None:
    size = data[0] if data else 0
    KEY.public.verify(data[1 + size :], data[1 : 1 + size])


def _private_key(data: bytes) -> None:
    path = at_file("key.pem", data, 0o600)
    word = "word" if b"ENCRYPTED" in data else None
    for kind in (SigningKey, DeviceKey, CheckpointKey):
        try:
            kind.load(path, word)
        except TundishError:
            continue


def _private_keys() -> list[bytes]:
    form, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    kinds = [KEY._private, DEVICE._private, NOTARY._private, SECOND._private]
    bare = serialization.NoEncryption()
    plain = [
        key.private_bytes(form, pkcs8, bare)  # type: ignore[attr-defined]  # each has it
        for key in kinds
    ]
    path = at_file("new.pem", b"")
    path.unlink()
    DEVICE.save(path, "word")
    return [*plain, path.read_bytes(), (OLD / "device.TEST-ONLY.pem").read_bytes()]


def _device(data: bytes) -> None:
    found = DevicePublic.from_text(_text(data))
    found.encrypt(b"secret", b"info")


def _freshness(data: bytes) -> None:
    seen = FileFreshness(at_file("seen.json", data))
    seen.seen()
    seen.see_time(NOW)
    seen.see_witness(NOW)
    seen.begin_grant("grant-1", NOW)
    seen.see_package("p", 3, PACKAGE)
    seen.use_grant("grant-1", series="s", version=3, uses=4)
    seen.correct("time-1", NOW, PACKAGE)
    check_corrected(seen.seen(), lambda key: key == PACKAGE, NOW)


def _freshness_files() -> list[bytes]:
    seen = MemoryFreshness()
    empty = canonical.dumps(seen._seen.to_json())
    seen.see_time(NOW)
    seen.see_package("p", 2, PACKAGE)
    seen.begin_grant("grant-1", NOW)
    seen.use_grant("grant-1", series="s", version=2, uses=4)
    return [empty, canonical.dumps(seen._seen.to_json())]


def _age(data: bytes) -> None:
    assert envelope.recipients(data) >= 0
    clear = envelope.decrypt(data, IDENTITY)
    assert len(clear) == envelope.clear_size(data)


def _age_text(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        envelope.identity_from_secret(SecretText(text))
    except TundishError:
        envelope.encrypt(b"x", [text])


def _spare(data: bytes) -> None:
    code, _, sealed = data.partition(b"\n")
    spare.open_closed(sealed, SecretText(_text(code)), b"info")


def _spares() -> list[bytes]:
    sealed = spare.close(b"secret", _CODE, b"info")
    return [_CODE.reveal().encode() + b"\n" + sealed]


# --- the ledger


def _verifier(name: str) -> note.NoteVerifier:
    public = NOTARY.public
    return note.NoteVerifier(
        name=name, key_id=public.note_key_id(name), verify=public.verify
    )


def _note(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert note.write_note(note.read_note(text)) == text
    found = note.verify_note(text, (_verifier("log"),))
    checkpoint = note.read_checkpoint(found.text)
    assert note.checkpoint_text(checkpoint) == found.text


def _checkpoint(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert note.checkpoint_text(note.read_checkpoint(text)) == text


def _notes() -> list[bytes]:
    text = note.checkpoint_text(note.Checkpoint(origin="log", size=3, root=bytes(32)))
    signer = note.NoteSigner(
        name="log", key_id=NOTARY.public.note_key_id("log"), sign=NOTARY.sign
    )
    other = note.sign_note("another\nnote\n", signer)
    return [
        (OLD / "checkpoint.txt").read_bytes(),
        note.sign_note(text, signer).encode(),
        other.encode(),
    ]


def _proof(data: bytes) -> None:
    data = data.ljust(80, b"\x00")
    old, new, index = (int.from_bytes(data[at : at + 5], "big") for at in (0, 5, 10))
    words = [data[at : at + 32] for at in range(15, len(data), 32)]
    leaf, root, *steps = words
    with suppress(TundishError):
        merkle.verify_inclusion(leaf, index=index, size=new, proof=steps, root=root)
    merkle.verify_consistency(
        old_size=old, new_size=new, old_root=leaf, new_root=root, proof=steps
    )


def _proofs() -> list[bytes]:
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(7)]
    root, old = merkle.root(leaves), merkle.root(leaves[:5])
    sizes = b"".join(n.to_bytes(5, "big") for n in (5, 7, 3))
    return [
        sizes + leaves[3] + root + b"".join(merkle.inclusion_proof(leaves, 3)),
        sizes + old + root + b"".join(merkle.consistency_proof(leaves, 5)),
    ]


def _entry(data: bytes) -> None:
    entry = record.decode(data, 0)
    assert record.decode(record.encode(entry), 0).act == entry.act


def _entries() -> list[bytes]:
    fields: dict[str, object] = {
        "at": clock.to_text(NOW), "act": "graded", "actor": "seed", "inputs": (PACKAGE,),
        "names": {PACKAGE: "set"}, "detail": {"letter": "B", "n": [1, 2.5, None]},
    }  # fmt: skip
    return [record.encode(record.make(fields))]


def _ledger_file(data: bytes) -> None:
    path = at_file("ledger.db", data)
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    pem = (OLD / "checkpoint.pub").read_bytes()
    public = CheckpointPublic.from_pem(pem)
    with Ledger(path, ManualClock(NOW), create=False) as log:
        name = log.origin
        log.size()
        log.newest(["graded"], {})
        log.inclusion_proof(0, 1)
        log.verify(
            [note.NoteVerifier(
                name=name, key_id=public.note_key_id(name), verify=public.verify
            )]
        )  # fmt: skip


def _old(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(OLD / name).read_bytes() for name in names]


TARGETS = (
    Target(
        name="canonical-json", json=True, parse=_json,
        doors=(_KERNEL + "canonical:loads", _KERNEL + "canonical:loads_canonical"),
        seeds=lambda: [
            b'{"a":[1,2.5,null,true,"\\u00e9"],"b":{"c":""}}', b"[NaN]", b'{"a":1,"a":2}',
            b"1" * 400, b'"\\ud800"', b"[" * 70 + b"]" * 70, b"-0.0", b"1e999",
        ],
    ),
    Target(
        name="moment", parse=_moment, meant=(ValueError,), most=64,
        doors=(_KERNEL + "clock:from_text",),
        seeds=lambda: [
            b"2026-05-04T07:00:00Z", b"2026-05-04T07:00:00.123456+02:00",
            b"20260504T070000+0200", b"2026-W19-1T07Z", b"2026-05-04",
        ],
    ),
    Target(
        name="name", parse=_name, most=300, doors=(_KERNEL + "paths:check_name",),
        seeds=lambda: [b"a/b.csv", b"../x", b"e\xcc\x81", b"con.txt", "中文.csv".encode()],
    ),
    Target(
        name="base64", parse=_base64, most=4096, doors=(_SEAL + "base64s:decode",),
        seeds=lambda: [b"AAAA", b"QQ==", b"QUI=", b"QR==", b"-_-_"],
    ),
    Target(
        name="armour", parse=_armour,
        doors=(_SEAL + "armour:unwrap", _SEAL + "armour:stray"),
        seeds=_old("grant.txt", "owner.pub"),
    ),
    Target(
        name="dsse", json=True, parse=_dsse,
        doors=(_SEAL + "dsse:verify", _SEAL + "dsse:read_canonical"),
        seeds=_old("grant.json"),
    ),
    Target(
        name="signature", parse=_signature, most=1024,
        doors=(_SEAL + "keys:VerifyKey.verify", _SEAL + "keys:VerifyKey.verify_foreign"),
        seeds=lambda: [
            bytes([len(sig)]) + sig + text
            for text in (b"", b"text") for sig in (KEY.sign(text),)
        ],
    ),
    Target(
        name="bundle", json=True, parse=_bundle, seeds=_old("encrypted/model.sig"),
        doors=(_SEAL + "model_signature:verify",),
    ),
    Target(
        name="bundle-signed", json=True, parse=_bundle_signed, seeds=_bundle_payloads,
        doors=(_SEAL + "model_signature:verify",),
    ),
    Target(
        name="further-signature", parse=_further, seeds=_further_seeds,
        doors=(_SEAL + "model_signature:verify_further",),
    ),
    Target(
        name="foreign-bundle", json=True, parse=_foreign, seeds=_old("encrypted/model.sig"),
        doors=(_SEAL + "foreign:verify",),
    ),
    Target(
        name="foreign-signed", json=True, parse=_foreign_signed, seeds=_bundle_payloads,
        doors=(_SEAL + "foreign:verify",),
    ),
    Target(
        name="grant", parse=_grant, seeds=_old("grant.txt", "grant.json"),
        doors=(_SEAL + "grant:read",),
    ),
    Target(
        name="grant-signed", json=True, parse=_grant_signed, seeds=_grant_words,
        doors=(
            _SEAL + "grant:open_grant", _SEAL + "spare:open_closed",
            _SEAL + "keys:DeviceKey.decrypt", _SEAL + "dsse:read_apart",
            _SEAL + "dsse:validated",
        ),
    ),
    Target(
        name="request", parse=_request, seeds=lambda: [_wish()],
        doors=(_SEAL + "request:read",),
    ),
    Target(
        name="request-signed", json=True, parse=_request_signed,
        seeds=lambda: _inside(request.KIND, [_wish()]), doors=(_SEAL + "request:read",),
    ),
    Target(
        name="certificate", json=True, parse=_certificate, seeds=_old("certificate.json"),
        doors=(_SEAL + "certificate:read", _SEAL + "certificate:peek"),
    ),
    Target(
        name="certificate-signed", json=True, parse=_certificate_signed,
        seeds=_certificate_payloads,
        doors=(_SEAL + "certificate:read", _SEAL + "certificate:check_data"),
    ),
    Target(
        name="revocations", parse=_revocations, seeds=_revocation_texts,
        doors=(_SEAL + "revocation:read", _SEAL + "revocation:read_exact"),
    ),
    Target(
        name="revocations-signed", json=True, parse=_revocations_signed,
        seeds=lambda: _inside(revocation.KIND, _revocation_texts()),
        doors=(
            _SEAL + "revocation:read", _SEAL + "trust:Trust.check_key",
            _SEAL + "dsse:read_record",
        ),
    ),
    *_both("approval", approval.FORM, _approval, _approvals),
    *_both("evidence", plantevidence.FORM, _evidence, _evidences),
    *_both("pack-signature", packsignature.FORM, _pack, _packs),
    *_both("provider-card", providercard.FORM, _provider_card, _provider_cards),
    *_both("change", change.FORM, _change, _changes),
    Target(
        name="rotation", parse=_rotation, doors=(_SEAL + "rotation:read",),
        seeds=lambda: [rotation.sign(KEY, SECOND, at=NOW, until=LATER)],
    ),
    Target(
        name="rotation-signed", json=True, parse=_rotation_signed, seeds=_rotation_words,
        doors=(_SEAL + "rotation:read",),
    ),
    Target(
        name="time-note", parse=_time_note, seeds=_time_notes,
        doors=(_SEAL + "timenote:read",),
    ),
    Target(
        name="time-note-signed", json=True, parse=_time_note_signed,
        seeds=lambda: _inside(timenote.KIND, _time_notes()),
        doors=(_SEAL + "timenote:read", _SEAL + "freshness:after_time"),
    ),
    Target(
        name="public-key", parse=_public_key, most=8192,
        doors=(
            _SEAL + "keys:VerifyKey.from_pem", _SEAL + "keys:CheckpointPublic.from_pem",
            _SEAL + "keys:VerifyKey.load", _SEAL + "keys:CheckpointPublic.load",
        ),
        seeds=lambda: [
            KEY.public.to_pem(), SECOND.public.to_pem(), NOTARY.public.to_pem(),
        ],
    ),
    Target(
        name="private-key", parse=_private_key, most=8192, seeds=_private_keys,
        doors=(
            _SEAL + "keyfile:load", _SEAL + "keys:SigningKey.load",
            _SEAL + "keys:DeviceKey.load", _SEAL + "keys:CheckpointKey.load",
        ),
    ),
    Target(
        name="device-line", parse=_device, most=400,
        doors=(_SEAL + "keys:DevicePublic.from_text", _SEAL + "keys:DevicePublic.encrypt"),
        seeds=lambda: [DEVICE.public.to_text().encode()],
    ),
    Target(
        name="freshness", json=True, parse=_freshness, seeds=_freshness_files,
        doors=(
            _SEAL + "freshness:FileFreshness.seen",
            _SEAL + "freshness:FileFreshness.use_grant",
        ),
    ),
    Target(
        name="age", parse=_age, doors=(
            _SEAL + "envelope:decrypt", _SEAL + "envelope:decrypt_into",
            _SEAL + "envelope:clear_size", _SEAL + "envelope:recipients",
        ),
        seeds=lambda: [
            envelope.encrypt(b"weights" * n, [IDENTITY.recipient]) for n in (1, 3000)
        ],
    ),
    Target(
        name="age-text", parse=_age_text, most=200,
        doors=(_SEAL + "envelope:identity_from_secret", _SEAL + "envelope:encrypt"),
        seeds=lambda: [IDENTITY.recipient.encode(), IDENTITY.secret.reveal().encode()],
    ),
    Target(
        name="spare-code", parse=_spare, most=400, seeds=_spares,
        doors=(_SEAL + "spare:open_closed",),
    ),
    Target(
        name="note", parse=_note, seeds=_notes, most=8192,
        doors=(_LEDGER + "note:read_note", _LEDGER + "note:verify_note"),
    ),
    Target(
        name="checkpoint", parse=_checkpoint, most=1024,
        doors=(_LEDGER + "note:read_checkpoint",),
        seeds=lambda: [b"log\n3\n" + b"A" * 43 + b"=\n", b"log\n03\nQQ==\n"],
    ),
    Target(
        name="proof", parse=_proof, seeds=_proofs, most=4096,
        doors=(_LEDGER + "merkle:verify_inclusion", _LEDGER + "merkle:verify_consistency"),
    ),
    Target(
        name="ledger-entry", json=True, parse=_entry, seeds=_entries,
        doors=(_LEDGER + "record:decode",),
    ),
    Target(
        name="ledger-file", parse=_ledger_file, seeds=_old("ledger.db"),
        doors=(_LEDGER + "store:connect", _LEDGER + "log:Ledger.verify"),
    ),
)  # fmt: skip
