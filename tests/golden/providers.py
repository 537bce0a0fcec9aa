"""Make the golden files of a provider: a card, its signature and a certificate."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

from tests.model.conftest import NOW

from tundish.flows.provider import read_card, signature_of
from tundish.flows.provider_evidence import Reader
from tundish.kernel import canonical, clock, digest
from tundish.kernel.canonical import Json
from tundish.seal import certificate, providercard
from tundish.seal.certificate import CertificateBody
from tundish.seal.keys import SigningKey

README = """# What a provider of this version shows

A card, its signature, a certificate as evidence, and the public key of who signed both. Every later
version must read them (`tests/golden/test_lines.py`). The provider is invented and the key belongs to
these files alone: it is no secret.
"""
CARD = """\
format: tundish.provider
version: 1
name: {en: nobody, zh: 无此服务商}
country: CN
contact: nowhere
skills:
  - sector: C25
    reference_scenario: 21
    scenario: C25.21.fermentation-glucose
    level: model
    ai: soft sensors
    trade: fermentation
    evidence: [grade]
  - {sector: C34, reference_scenario: 27, level: known, ai: detectors, trade: pumps}
evidence:
  grade: {kind: certificate, file: grade.json, sha256: %s}
"""


def add_provider(folder: Path) -> None:
    """Write a card with its signature and its evidence."""
    folder.mkdir()
    key = SigningKey.generate()
    sealed = certificate.sign(_body(key), key)
    (folder / "grade.json").write_bytes(sealed)
    card = folder / "nobody.provider.yaml"
    said = CARD % hashlib.sha256(sealed).hexdigest()
    card.write_text(said, encoding="utf-8")
    signed = providercard.sign(
        card.read_bytes(), now=NOW, not_after=NOW + timedelta(days=365), key=key
    )
    signature_of(card).write_bytes(signed)
    (folder / "signer.pub").write_bytes(key.public.to_pem())
    found = read_card(card, Reader(keys=(key.public,), now=NOW))
    (folder / "expected.json").write_text(json.dumps(found.to_json(), indent=1) + "\n")
    (folder / "README.md").write_text(README)


def _body(key: SigningKey) -> CertificateBody:
    data = digest.of_bytes(b"data")
    whole: Json = {"letter": "B"}
    fields: dict[str, Json] = {
        "version": 1,
        "issuer": key.public.key_id,
        "tool": "tundish 0.1.0",
        "issued_at": clock.to_text(NOW),
        "not_after": clock.to_text(NOW + timedelta(days=365)),
        "data": {"name": "export.csv", "digest": data, "size": 4, "count": 1},
        "grade": {
            "letter": "B", "task": "regress", "scenario": "C25.21.fermentation-glucose",
            "why": "a gate is open", "rule": data, "gates": {}, "indicators": {},
            "findings": {}, "options": {}, "report": digest.of_json(whole),
            "whole": whole,
        },
    }  # fmt: skip
    return CertificateBody.model_validate_json(canonical.dumps(fields))
