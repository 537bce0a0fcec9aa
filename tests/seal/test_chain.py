"""Signatures under a plant's own CA: what holds, and what is refused by which code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from tests import ca, tamper

from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.digest import Digest, of_bytes
from tundish.kernel.errors import RefusedError
from tundish.seal import base64s, chain, crl, csr, der, link, model_signature
from tundish.seal.chain import Authority, Certified
from tundish.seal.errors import (
    ChainBrokenError,
    ChainMalformedError,
    ChainOtherKeyError,
    ChainUnfitError,
    KeyExpiredError,
    KeyNotYetError,
    KeyRevokedError,
    RevocationsInvalidError,
    SignatureMalformedError,
    SignerUntrustedError,
    TermsInvalidError,
)
from tundish.seal.keys import SigningKey
from tundish.seal.model_signature import facts_of
from tundish.seal.revocation import RevocationList, entry
from tundish.seal.signers import SignedBy, Signers
from tundish.seal.statement import make_statement
from tundish.seal.trust import Known, Trust

NOW = datetime(2026, 5, 4, 6, tzinfo=UTC)
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
ROOT = ca.root()
MIDDLE = ROOT.below()
DOCUMENT = of_bytes(b"document")
STATEMENT = make_statement(
    product="C34.27.pump",
    version=1,
    not_after="2027-01-01T00:00:00Z",
    created_at="2026-05-04T06:00:00Z",
)


def signed(under: Certified, key: SigningKey = KEY) -> bytes:
    return model_signature.sign({"a.txt": facts_of(b"a")}, STATEMENT, key, under)


def trusting(*authorities: Authority) -> Signers:
    return Signers(keys=(), authorities=authorities)


def ders(*certificates: x509.Certificate) -> list[bytes]:
    return [ca.der(one) for one in certificates]


def check(made: list[bytes], *authorities: Authority) -> Certified:
    return chain.verify(made, authorities or [ROOT.authority], exact=False)


def test_a_signature_under_a_chain_verifies_and_names_its_signer() -> None:
    for under in (ROOT.chain(KEY), MIDDLE.chain(KEY, ROOT)):
        found = model_signature.verify(signed(under), trusting(ROOT.authority))
        assert found.signer == KEY.public.key_id
        assert found.by.subject == "CN=Li Na,OU=Quality,O=Plant 7"
        assert found.by.chain is not None
        assert found.by.chain.ders == under.ders
        bare = model_signature.sign({"a.txt": facts_of(b"a")}, STATEMENT, KEY)
        assert found.digest == model_signature.verify(bare, [KEY.public]).digest


def test_p384_signs_and_issues_too() -> None:
    wide = SigningKey(ec.generate_private_key(ec.SECP384R1()))
    broad = ca.root(curve=ec.SECP384R1())
    found = model_signature.verify(
        signed(broad.chain(wide), wide), trusting(broad.authority)
    )
    assert found.signer == wide.public.key_id


def test_every_byte_of_a_signature_under_a_chain_counts() -> None:
    bundle, trusted = signed(MIDDLE.chain(KEY, ROOT)), trusting(ROOT.authority)
    allowed = {
        "signature-malformed", "signature-invalid", "signer-untrusted",
        "chain-malformed", "chain-unfit", "chain-broken",
    }  # fmt: skip

    def door(data: bytes) -> None:
        model_signature.verify(data, trusted)

    door(bundle)
    found = tamper.codes(tamper.flipped(bundle), door)
    assert set(found) <= allowed, found
    assert {"chain-broken", "chain-malformed", "signature-invalid"} <= set(found)
    shifted = tamper.codes(tamper.shifted(bundle, 3), door)
    assert set(shifted) <= allowed, shifted


def test_every_byte_of_a_certificate_counts() -> None:
    """Below the base64, where a changed character may reach two bytes of it."""
    made = list(MIDDLE.chain(KEY, ROOT).ders)
    codes = {"chain-malformed", "chain-unfit", "chain-broken", "signer-untrusted"}
    for place, one in enumerate(made):

        def door(data: bytes, place: int = place) -> None:
            changed = [*made[:place], data, *made[place + 1 :]]
            chain.verify(changed, [ROOT.authority])

        door(one)
        found = tamper.codes(tamper.flipped(one), door)
        assert set(found) <= codes, found
        assert found.total() == 2 * len(one)


def twin(data: bytes) -> bytes:
    """The same certificate with the other half of the CA's signature."""
    parsed = x509.load_der_x509_certificate(data)
    r, s = decode_dss_signature(parsed.signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    half = der.bits(encode_dss_signature(r, order - s))
    return der.sequence(parsed.tbs_certificate_bytes, algorithm, half)


def test_a_chain_has_one_form_only() -> None:
    made, trusted = list(MIDDLE.chain(KEY, ROOT).ders), [ROOT.authority]
    other = list(ROOT.chain(OTHER).ders)
    parsed = x509.load_der_x509_certificate(made[0])
    with_null = bytes.fromhex("300c06082a8648ce3d0403020500")
    long_form = b"\x30\x83\x00" + made[0][2:]
    wrong: list[tuple[list[bytes], type[RefusedError]]] = [
        ([], ChainMalformedError),
        ([*made, ca.der(ROOT.certificate)], ChainMalformedError),  # the root too
        ([*made, *other], ChainUnfitError),  # somebody else's behind it
        ([made[1], made[0]], ChainUnfitError),  # the other way round
        ([made[0]], SignerUntrustedError),  # a link left out
        ([made[0], made[1], made[1]], ChainUnfitError),
        ([made[0]] + [made[1]] * 4, ChainMalformedError),
        ([twin(made[0]), made[1]], ChainMalformedError),
        ([made[0], twin(made[1])], ChainMalformedError),
        ([made[0] + b"\x00", made[1]], ChainMalformedError),
        ([long_form, made[1]], ChainMalformedError),
        (
            [
                der.sequence(
                    parsed.tbs_certificate_bytes, with_null, der.bits(parsed.signature)
                ),
                made[1],
            ],
            ChainMalformedError,
        ),
        ([b"\x30" * 9000, made[1]], ChainMalformedError),
    ]
    chain.verify(made, trusted)
    for chained, refusal in wrong:
        with pytest.raises(refusal):
            chain.verify(chained, trusted)
    odd_algorithm = wrong[-2][0]
    with pytest.raises(ChainMalformedError):  # nor is it when models are brought in
        chain.verify(odd_algorithm, trusted, exact=False)


def test_the_material_of_a_bundle_has_exactly_its_fields() -> None:
    bundle = json.loads(signed(ROOT.chain(KEY)))
    material = bundle["verificationMaterial"]
    listed = material["x509CertificateChain"]["certificates"]
    hint: dict[str, Json] = {"publicKey": {"hint": KEY.public.hint}}
    changes: list[dict[str, Json]] = [
        {**material, **hint},
        {**material, "x509CertificateChain": {"certificates": []}},
        {**material, "x509CertificateChain": {"certificates": {}}},
        {**material, "x509CertificateChain": {"certificates": listed, "x": 1}},
        {**material, "x509CertificateChain": {"certificates": [{"rawBytes": ""}]}},
        {**material, "x509CertificateChain": {"certificates": [5]}},
        {"publicKey": {"hint": KEY.public.hint}, "tlogEntries": []},
    ]
    for changed in changes:
        data = canonical.dumps({**bundle, "verificationMaterial": changed})
        with pytest.raises(RefusedError) as refused:
            model_signature.verify(data, trusting(ROOT.authority))
        assert refused.value.code in {
            "signature-malformed",
            "chain-malformed",
            "signer-untrusted",
        }


def test_a_file_of_certificates_holds_nothing_else() -> None:
    good = ca.pem(ROOT.issue(ca.public(KEY)), MIDDLE.certificate)
    assert len(chain.read_pem(good)) == 2
    assert chain.read_pem(good.replace(b"\n", b"\r\n")) == chain.read_pem(good)
    private = ROOT.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for bad in (
        b"",
        b"Certificate:\n" + good,
        good + b"text\n",
        good + private,
        good.replace(b"CERTIFICATE", b"PUBLIC KEY"),
        good.replace(b"-----END", b"=\n-----END"),
        good[:-30],
        good * 60,
    ):
        with pytest.raises(ChainMalformedError):
            chain.read_pem(bad)
    for several in (good, good + ROOT.pem):
        with pytest.raises(ChainMalformedError):
            chain.read_authority(several)


def named_constraints() -> ca.Extensions:
    constraint = x509.NameConstraints([x509.DNSName("plant7")], None)
    return [*ca.of_ca(), (constraint, True)]


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
BASIC = x509.BasicConstraints(ca=False, path_length=None)
ANY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
TLS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
LEAVES: dict[str, ca.Extensions] = {
    "a CA's own": ca.of_ca(),
    "a CA's that may sign code": [*ca.of_ca(), (ca.CODE_SIGNING, False)],
    "no extension at all": [],
    "no key usage": [(ca.CODE_SIGNING, False)],
    "no digitalSignature": [
        (ca.usage(key_agreement=True), True),
        (ca.CODE_SIGNING, False),
    ],
    "no codeSigning": [(ca.usage(digital_signature=True), True)],
    "a web server's": [(ca.usage(digital_signature=True), True), (TLS, False)],
    "any purpose": [(ca.usage(digital_signature=True), True), (ANY, False)],
    "may sign certificates": [
        (ca.usage(digital_signature=True, key_cert_sign=True), True),
        (ca.CODE_SIGNING, False),
    ],
    "critical and unknown": [*ca.of_leaf(), (UNKNOWN, True)],
    "critical alternative name": [
        *ca.of_leaf(),
        (x509.SubjectAlternativeName([x509.DNSName("a")]), True),
    ],
    "name constraints": [
        *ca.of_leaf(),
        (x509.NameConstraints([x509.DNSName("a")], None), False),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", LEAVES)
def test_a_certificate_that_was_not_issued_to_sign_models_is_refused(kind: str) -> None:
    made = ROOT.issue(ca.public(KEY), extensions=LEAVES[kind])
    with pytest.raises(ChainUnfitError):
        check(ders(made))


def test_what_is_not_critical_and_not_known_does_no_harm() -> None:
    extensions = [*ca.of_leaf(), (BASIC, True), (UNKNOWN, False)]
    check(ders(ROOT.issue(ca.public(KEY), extensions=extensions)))


CAS: dict[str, ca.Extensions] = {
    "no CA flag": [(BASIC, True), (ca.usage(key_cert_sign=True), True)],
    "no basic constraints": [(ca.usage(key_cert_sign=True), True)],
    "a signer": ca.of_leaf(),
    "no key usage": [(x509.BasicConstraints(ca=True, path_length=None), True)],
    "no keyCertSign": [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (ca.usage(crl_sign=True), True),
    ],
    "for web servers only": [*ca.of_ca(), (TLS, False)],
    "name constraints": named_constraints(),
    "critical and unknown": [*ca.of_ca(), (UNKNOWN, True)],
}


@pytest.mark.parametrize("kind", CAS)
def test_a_ca_in_between_that_may_not_issue_is_refused(kind: str) -> None:
    middle = ROOT.below(extensions=CAS[kind])
    made = middle.issue(ca.public(KEY))
    with pytest.raises(ChainUnfitError):
        check(ders(made, middle.certificate))


def test_the_length_of_a_path_is_kept() -> None:
    low = MIDDLE.below("CN=Shop floor CA")  # MIDDLE allows none below it
    with pytest.raises(ChainUnfitError, match="allows 0 CAs below it"):
        check(ders(low.issue(ca.public(KEY)), *low.above))
    short = ca.root("CN=Short Root", extensions=ca.of_ca(0))
    middle = short.below("CN=Under Short", extensions=ca.of_ca())
    check(ders(short.issue(ca.public(KEY))), short.authority)
    with pytest.raises(ChainUnfitError, match="allows 0 CAs below it"):
        check(ders(middle.issue(ca.public(KEY)), middle.certificate), short.authority)
    deep = ca.root("CN=Deep").below(extensions=ca.of_ca(1)).below("CN=B")
    top = ca.root("CN=Other")
    made = ders(deep.issue(ca.public(KEY)), *deep.above)
    with pytest.raises(SignerUntrustedError):
        check(made, top.authority)


def test_only_p256_and_p384_sign_and_issue() -> None:
    wide = ec.generate_private_key(ec.SECP521R1())
    odd = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for public in (wide.public_key(), odd.public_key()):
        with pytest.raises(ChainUnfitError, match="no key of P-256 or P-384"):
            check(ders(ROOT.issue(public)))
    with pytest.raises(ChainUnfitError):
        _ = ca.root("CN=Wide Root", curve=ec.SECP521R1()).authority
    builder = (
        x509.CertificateBuilder()
        .subject_name(ROOT.certificate.subject)
        .issuer_name(ROOT.certificate.subject)
        .public_key(ca.public(KEY))
        .serial_number(7)
        .not_valid_before(ca.START)
        .not_valid_after(ca.START + timedelta(days=9))
    )
    for made in (
        builder.sign(odd, hashes.SHA256()),
        builder.sign(wide, hashes.SHA512()),
    ):
        with pytest.raises(ChainUnfitError, match="not signed with ECDSA"):
            check(ders(made))


def test_a_signer_who_signed_himself_is_refused() -> None:
    own = ca.root("CN=Li Na,OU=Quality,O=Plant 7", extensions=ca.of_leaf())
    with pytest.raises(ChainUnfitError, match="signed by itself"):
        check(ders(own.certificate))
    with pytest.raises(ChainUnfitError):
        _ = own.authority


def test_another_ca_does_not_count_whatever_its_name() -> None:
    other = ca.root("CN=Somebody")
    with pytest.raises(SignerUntrustedError):
        check(ders(other.issue(ca.public(KEY))))
    impostor = ca.root()  # the very same name
    with pytest.raises(ChainBrokenError):
        check(ders(impostor.issue(ca.public(KEY))))
    with pytest.raises(SignerUntrustedError):
        chain.verify(ders(ROOT.issue(ca.public(KEY))), [])
    both = check(
        ders(impostor.issue(ca.public(KEY))), ROOT.authority, impostor.authority
    )
    assert both.authority.link.key.key_id == impostor.authority.link.key.key_id
    assert both.person != check(ders(ROOT.issue(ca.public(KEY)))).person


def test_a_root_that_did_not_sign_itself_is_no_ca() -> None:
    thief = ca.root()
    forged = thief.issue(ca.public(KEY), "CN=Plant 7 Root CA,O=Plant 7", ca.of_ca())
    with pytest.raises(ChainBrokenError):  # another key of the same name signed it
        chain.read_authority(ca.pem(forged))


def test_only_named_subjects_count_where_they_are_named() -> None:
    made = ders(ROOT.issue(ca.public(KEY)))
    link_ = ROOT.authority.link
    for text, fits in (
        ("O=Plant 7", True),
        ("O=Plant 7,OU=Quality", True),
        ("OU=Quality,CN=Li Na,O=Plant 7", True),
        ("O=Plant 8", False),
        ("CN=Li", False),
        ("O=Quality", False),
        ("C=CN,O=Plant 7", False),
    ):
        authority = Authority(link=link_, groups=(link.parts_of(text),))
        if fits:
            check(made, authority)
            continue
        with pytest.raises(SignerUntrustedError, match="not for 'CN=Li Na"):
            check(made, authority)
    check(made, Authority(link=link_, key=KEY.public.key_id))
    with pytest.raises(SignerUntrustedError):
        check(made, Authority(link=link_, key=OTHER.public.key_id))


def test_a_name_that_is_none_or_steers_a_terminal_is_refused() -> None:
    for text in ("Li", "CN=", "", "CN=a+OU=b", "CN=\x1b[31mred", "CN=\u202eil", "x=1"):
        with pytest.raises(TermsInvalidError) as refused:
            link.parts_of(text)
        assert refused.value.message.isprintable()
    for name in ("CN=\x1b[31mred", "CN=\u202eil", "CN=a+OU=b"):
        with pytest.raises(ChainMalformedError):
            check(ders(ROOT.issue(ca.public(KEY), name)))


def test_a_chain_for_another_key_signs_nothing() -> None:
    with pytest.raises(ChainOtherKeyError):
        signed(ROOT.chain(OTHER))
    bundle = json.loads(signed(ROOT.chain(KEY)))
    raw = base64s.encode(ROOT.chain(OTHER).ders[0])
    listed = {"certificates": [{"rawBytes": raw}]}
    bundle["verificationMaterial"]["x509CertificateChain"] = listed
    with pytest.raises(RefusedError) as refused:
        model_signature.verify(canonical.dumps(bundle), trusting(ROOT.authority))
    assert refused.value.code == "signature-invalid"


def test_a_bare_key_is_not_trusted_through_its_ca_and_a_chain_not_through_its_key() -> (
    None
):
    bare = model_signature.sign({"a.txt": facts_of(b"a")}, STATEMENT, KEY)
    with pytest.raises(SignerUntrustedError):
        model_signature.verify(bare, trusting(ROOT.authority))
    with pytest.raises(SignerUntrustedError):
        model_signature.verify(signed(ROOT.chain(KEY)), [KEY.public])


def judged(
    under: Certified, now: datetime, saw: datetime | None = None, **more: Any
) -> None:
    fields: dict[str, Any] = {"known": (), "own": of_bytes(b"own"), "lists": ()}
    trust = Trust(now=now, witness=lambda *_: saw, **{**fields, **more})
    trust.check_signer(SignedBy(key=under.key, chain=under), DOCUMENT)


def test_time_ends_a_chain_and_only_an_older_witness_keeps_it() -> None:
    under = ROOT.chain(KEY, days=30)
    end = ca.START + timedelta(days=30, seconds=1)  # the last second still counts
    judged(under, ca.START)
    judged(under, end - timedelta(seconds=1))
    with pytest.raises(KeyNotYetError):
        judged(under, ca.START - timedelta(seconds=1), saw=ca.START)
    for saw in (None, end, end + timedelta(days=1)):
        with pytest.raises(KeyExpiredError, match="Li Na"):
            judged(under, end, saw)
    judged(under, end, end - timedelta(seconds=1))


def test_the_shortest_of_a_chain_ends_it() -> None:
    short = ca.root("CN=Ends Soon", days=10)
    after = ca.START + timedelta(days=11)
    with pytest.raises(KeyExpiredError):
        judged(short.chain(KEY), after)
    middle = ca.of_ca(0)
    for days in (5, 3650):
        key = ec.generate_private_key(ec.SECP256R1())
        between = ROOT.issue(key.public_key(), f"CN=M{days}", middle, days=days)
        issuing = ca.Ca(between, key, (between,))
        under = issuing.chain(KEY, ROOT)
        assert under.window[1] <= ca.START + timedelta(days=366)
        if days == 5:
            with pytest.raises(KeyExpiredError):
                judged(under, after)
        else:
            judged(under, after)
    limited = Authority(link=ROOT.authority.link, not_after=NOW)
    with pytest.raises(KeyExpiredError):
        judged(chain.verify(ROOT.chain(KEY).ders, [limited]), NOW)


def listing(kind_of: SigningKey, key: Digest) -> RevocationList:
    return RevocationList(
        issuer=kind_of.public.key_id,
        version=1,
        issued_at=NOW,
        entries=(entry("key", key, NOW - timedelta(days=1), "stolen"),),
        digest=DOCUMENT,
    )


def test_a_list_revokes_a_leaf_a_ca_in_between_and_a_root_by_the_keys_id() -> None:
    under = MIDDLE.chain(KEY, ROOT)
    own: dict[str, Any] = {
        "own": OTHER.public.key_id,
        "known": (Known(key=OTHER.public),),
    }
    for key in (
        KEY.public.key_id,
        chain.read_authority(MIDDLE.pem).key.key_id,
        ROOT.authority.link.key.key_id,
    ):
        lists = (listing(OTHER, key),)
        with pytest.raises(KeyRevokedError, match="stolen"):
            judged(under, NOW, lists=lists, **own)
        judged(under, NOW, saw=NOW - timedelta(days=2), lists=lists, **own)
        # a stranger's list counts for its own line only
        judged(under, NOW, known=(Known(key=OTHER.public),), lists=lists)
    judged(under, NOW, lists=(listing(OTHER, OTHER.public.key_id),), **own)


def test_a_crl_revokes_what_its_ca_issued_and_nothing_else() -> None:
    since = NOW - timedelta(days=1)
    leaf, other = ROOT.chain(KEY), ROOT.chain(OTHER)
    pem = ROOT.crl(3, [(leaf.links[0].serial, since)])
    listed = crl.read(pem, [ROOT.authority])
    assert (listed.number, listed.issuer) == (3, ROOT.authority.link.key.key_id)
    with pytest.raises(KeyRevokedError, match="Li Na"):
        judged(leaf, NOW, crls=(listed,))
    judged(leaf, NOW, saw=since - timedelta(seconds=1), crls=(listed,))
    with pytest.raises(KeyRevokedError):
        judged(leaf, NOW, saw=since, crls=(listed,))
    judged(other, NOW, crls=(listed,))
    middle = MIDDLE.chain(KEY, ROOT)
    judged(middle, NOW, crls=(listed,))
    serial = MIDDLE.certificate.serial_number
    stopped = crl.read(ROOT.crl(4, [(serial, since)]), [ROOT.authority])
    with pytest.raises(KeyRevokedError):
        judged(middle, NOW, crls=(stopped,))
    impostor = ca.root()
    foreign = impostor.crl(9, [(leaf.links[0].serial, since)])
    judged(leaf, NOW, crls=(crl.read(foreign, [impostor.authority]),))


def test_a_crl_that_is_changed_partial_or_foreign_is_refused() -> None:
    good = ROOT.crl(1, [(5, NOW)])
    binary = x509.load_pem_x509_crl(good).public_bytes(serialization.Encoding.DER)
    assert crl.read(binary, [ROOT.authority]).digest

    def door(data: bytes) -> None:
        crl.read(data, [ROOT.authority])

    found = tamper.codes(tamper.flipped(binary), door)
    assert set(found) <= {"revocations-invalid", "signer-untrusted"}, found
    number = (x509.CRLNumber(1), False)
    scope = x509.IssuingDistributionPoint(
        full_name=None, relative_name=None, only_contains_user_certs=True,
        only_contains_ca_certs=False, only_some_reasons=None, indirect_crl=False,
        only_contains_attribute_certs=False,
    )  # fmt: skip
    for extra in (
        [],
        [number, (x509.DeltaCRLIndicator(1), False)],
        [number, (x509.DeltaCRLIndicator(1), True)],
        [number, (scope, True)],
        [(x509.CRLNumber(2**60), False)],
    ):
        with pytest.raises(RevocationsInvalidError):
            door(ROOT.crl(1, [], extra=list(extra)))
    for bad in (b"", b"x" * (crl.MAX_BYTES + 1), ROOT.pem, ca.root().crl(1, [])):
        with pytest.raises(RevocationsInvalidError):
            door(bad)
    with pytest.raises(SignerUntrustedError):
        door(ca.root("CN=Somebody").crl(1, []))
    no_lists = ca.root(
        extensions=[*ca.of_ca()[:1], (ca.usage(key_cert_sign=True), True)]
    )
    with pytest.raises(RevocationsInvalidError):
        crl.read(no_lists.crl(1, []), [no_lists.authority])
    early = crl.read(ROOT.crl(1, [], at=NOW + timedelta(days=1)), [ROOT.authority])
    with pytest.raises(RevocationsInvalidError, match="was issued at"):
        crl.check_time(early, NOW)


def test_entries_of_a_crl_that_take_back_or_speak_for_others_are_refused() -> None:
    def with_entry(extension: x509.ExtensionType, *, critical: bool) -> bytes:
        single = (
            x509.RevokedCertificateBuilder(5, NOW)
            .add_extension(extension, critical)
            .build()
        )
        return (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ROOT.certificate.subject)
            .last_update(ca.START)
            .next_update(ca.START + timedelta(days=9))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_revoked_certificate(single)
            .sign(ROOT.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        )

    taken_back = x509.CRLReason(x509.ReasonFlags.remove_from_crl)
    another = x509.CertificateIssuer([x509.DNSName("a")])
    for extension, critical in ((taken_back, False), (another, False), (another, True)):
        with pytest.raises(RevocationsInvalidError):
            crl.read(with_entry(extension, critical=critical), [ROOT.authority])
    earlier = x509.InvalidityDate(datetime(2026, 5, 2))  # noqa: DTZ001  (as it is built)
    found = crl.read(with_entry(earlier, critical=False), [ROOT.authority])
    made = ROOT.issue(ca.public(KEY))
    assert found.since(link.read(ca.der(made))) is None
    assert crl._moment(next(iter(found.listed))) == datetime(2026, 5, 2, tzinfo=UTC)


def test_a_request_asks_for_code_signing_and_is_signed_with_its_key() -> None:
    wide = SigningKey(ec.generate_private_key(ec.SECP384R1()))
    for key in (KEY, wide):
        asked = x509.load_pem_x509_csr(csr.make(key, "CN=Li Na,O=Plant 7"))
        assert asked.is_signature_valid
        assert asked.public_key() == ca.public(key)
        assert asked.subject.rfc4514_string() == "CN=Li Na,O=Plant 7"
        use = asked.extensions.get_extension_for_class(x509.KeyUsage)
        assert (use.critical, use.value) == (True, ca.usage(digital_signature=True))
        purposes = asked.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert list(purposes.value) == [ExtendedKeyUsageOID.CODE_SIGNING]
    with pytest.raises(TermsInvalidError):
        csr.make(KEY, "nobody")


@given(st.binary(max_size=300))
def test_any_bytes_in_the_place_of_a_certificate_end_in_a_refusal(data: bytes) -> None:
    with pytest.raises(RefusedError):
        chain.verify([data], [ROOT.authority])
    with pytest.raises(RefusedError):
        chain.read_pem(data)
    with pytest.raises(RefusedError):
        crl.read(data, [ROOT.authority])


def test_a_low_signature_is_the_only_form_that_is_carried() -> None:
    """A CA writes either half; what a signature carries is the low one."""
    for _ in range(8):
        made = ROOT.issue(ca.public(KEY))
        low = chain.lowered(ders(made), ROOT.authority.link)
        chain.verify(low, [ROOT.authority])
        read = x509.load_der_x509_certificate(low[0])
        assert read.tbs_certificate_bytes == made.tbs_certificate_bytes
    with pytest.raises(SignatureMalformedError):
        KEY.public.only_form(b"\x30\x00")
