"""A plant's own CA between signers and a box: from the request to the revocation."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from tests import ca
from tests.model.conftest import CHANNELS, ROWS, Desk, small_graph

from tundish.catalog.errors import DocumentInvalidError
from tundish.cli import main
from tundish.flows import chain, open_package, policy, sign, trust, verify
from tundish.flows import workspace as workspaces
from tundish.flows.grant import GrantOrder, grant
from tundish.flows.ledger import list_ledger
from tundish.flows.workspace import Workspace
from tundish.kernel.clock import ManualClock
from tundish.kernel.errors import DocumentMalformedError, RefusedError, TundishError
from tundish.model import package as packages
from tundish.model.session import make_golden
from tundish.seal import envelope, model_signature, revocation
from tundish.seal import grant as grants
from tundish.seal.errors import (
    ChainBrokenError,
    ChainMalformedError,
    ChainOtherKeyError,
    ChainUnfitError,
    ClockSetBackError,
    KeyExpiredError,
    KeyNotYetError,
    KeyRevokedError,
    PackageRevokedError,
    PolicyInvalidError,
    PolicyUnmetError,
    RevocationsMissingError,
    RevocationsOlderError,
    SignerUntrustedError,
)
from tundish.seal.signers import Signers

START = datetime(2026, 5, 4, 6, tzinfo=UTC)
LI, WANG = "CN=Li Na,OU=Quality,O=Plant 7", "CN=Wang Wei,OU=Models,O=Plant 7"


@dataclass(frozen=True)
class Plant:
    """A CA, two signers under it, and a box that trusts nothing but the CA."""

    root: ca.Ca
    middle: ca.Ca
    li: Workspace
    wang: Workspace
    box: Workspace
    clock: ManualClock

    def sealed(
        self,
        by: Workspace | None = None,
        version: int = 1,
        *,
        encrypted: bool = False,
        days: int = 365,
    ) -> Path:
        by = by or self.wang
        graph = small_graph()
        window = np.zeros((1, ROWS, CHANNELS), np.float32)
        identity = envelope.new_identity()
        desk = Desk(by.key, identity, make_golden(graph, window), graph)
        made = desk.build(version, encrypted=encrypted, days=days, chain=chain.held(by))
        by.keep_identity(made.digest, identity)
        path = by.packages / f"v{version}.tar"
        packages.write_tar(made, path)
        return path

    def days(self, number: float) -> None:
        self.clock.advance(timedelta(days=number).total_seconds())

    def trusting(self, name: str, *subjects: str) -> Workspace:
        place = workspaces.create(self.box.root.parent / name, clock=self.clock)
        chain.trust_authority(place, ca_file(self.box), subjects=subjects)
        return place


def ca_file(place: Workspace) -> Path:
    return place.root.parent / "root.pem"


def certify(plant: Plant, place: Workspace, subject: str, **options: object) -> None:
    """From the request to the attached chain, as people do it."""
    asked = place.root / "me.csr"
    chain.write_request(place, asked, subject)
    request = x509.load_pem_x509_csr(asked.read_bytes())
    issued = plant.middle.issue(request.public_key(), subject, **options)  # type: ignore[arg-type]
    file = place.root / "chain.pem"
    file.write_bytes(ca.pem(issued, plant.middle.certificate))
    chain.attach(place, file)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    clock = ManualClock(START)
    root = ca.root()
    (tmp_path / "root.pem").write_bytes(root.pem)
    places = [
        workspaces.create(tmp_path / name, clock=clock)
        for name in ("li", "wang", "box")
    ]
    made = Plant(root, root.below(), places[0], places[1], places[2], clock)
    for place in places:
        chain.trust_authority(place, tmp_path / "root.pem")
    certify(made, made.li, LI)
    certify(made, made.wang, WANG)
    return made


def refusals(place: Workspace) -> list[str]:
    return [entry.code for _, entry in list_ledger(place) if entry.code]


def test_a_box_that_trusts_the_ca_opens_what_is_signed_under_it(plant: Plant) -> None:
    package = plant.sealed()
    found = verify.verify(plant.box, package)
    assert found.signer == plant.wang.key_id
    assert found.subjects == {plant.wang.key_id: WANG}
    entry = [item for _, item in list_ledger(plant.box)][-1]
    assert entry.detail["subjects"] == {plant.wang.key_id: WANG}
    stranger = workspaces.create(plant.box.root.parent / "stranger", clock=plant.clock)
    with pytest.raises(SignerUntrustedError, match="No CA is trusted here"):
        verify.verify(stranger, package)
    assert refusals(stranger) == ["signer-untrusted"]


def test_only_the_subjects_that_were_named_count(plant: Plant) -> None:
    package = plant.sealed()
    verify.verify(
        plant.trusting("models", "OU=Quality", "OU=Models,O=Plant 7"), package
    )
    with pytest.raises(SignerUntrustedError, match="not for 'CN=Wang Wei"):
        verify.verify(plant.trusting("quality", "OU=Quality"), package)


def test_an_expired_chain_counts_only_where_the_package_was_seen(plant: Plant) -> None:
    package = plant.sealed()
    verify.verify(plant.box, package)
    plant.days(300)
    fresh = plant.trusting("fresh")
    plant.days(62)  # the X.509 certificates ended after 365 days, counted from May 1st
    verify.verify(plant.box, package)
    with pytest.raises(KeyExpiredError, match="The chain of 'CN=Wang Wei"):
        verify.verify(fresh, package)
    with pytest.raises(KeyExpiredError):
        plant.sealed(version=2)
    plant.days(-100)
    with pytest.raises(ClockSetBackError):  # the record of times is asked too
        verify.verify(plant.box, package)


def test_a_chain_that_has_not_begun_does_not_count(plant: Plant) -> None:
    with pytest.raises(KeyNotYetError):
        certify(plant, plant.li, LI, start=START + timedelta(days=2))
    limited = workspaces.create(plant.box.root.parent / "later", clock=plant.clock)
    later = START + timedelta(days=3)
    chain.trust_authority(limited, ca_file(plant.box), not_before=later)
    package = plant.sealed()
    with pytest.raises(KeyNotYetError):
        verify.verify(limited, package)
    plant.days(4)
    verify.verify(limited, package)
    chain.trust_authority(limited, ca_file(plant.box), not_after=later)
    with pytest.raises(KeyExpiredError):
        verify.verify(limited, plant.sealed(version=2))


POLICY = """format: tundish.policy
version: 1
keys:
  maker: maker.pub
  li: {ca: root.pem, subject: "OU=Quality,O=Plant 7,CN=Li Na"}
rules:
  - products: "C34.*"
    roles: {maker: {keys: [maker]}, quality: {keys: [li]}}
"""


@pytest.fixture
def maker(plant: Plant) -> Workspace:
    """A maker who signs by a bare key; a policy asks for Li under the CA as well."""
    made = workspaces.create(plant.box.root.parent / "maker", clock=plant.clock)
    (plant.box.root / "maker.pub").write_bytes(made.public_pem)
    shutil.copy(ca_file(plant.box), plant.box.root / "root.pem")
    (plant.box.root / "policy.yaml").write_text(POLICY)
    for place in (plant.box, plant.li, plant.wang):
        place.trust(plant.box.root / "maker.pub")
    return made


def test_four_eyes_of_a_bare_key_and_a_person_under_a_ca(
    plant: Plant, maker: Workspace
) -> None:
    package = plant.sealed(maker)
    with pytest.raises(PolicyUnmetError, match="lacks the role quality"):
        verify.verify(plant.box, package)
    sign.sign(plant.wang, package)
    with pytest.raises(PolicyUnmetError):  # under the CA, but not the one who is named
        verify.verify(plant.box, package)
    report = sign.sign(plant.li, package)
    assert report.subjects == {plant.li.key_id: LI, plant.wang.key_id: WANG}
    found = verify.verify(plant.box, package)
    assert set(found.signers) == {maker.key_id, plant.li.key_id, plant.wang.key_id}


def test_a_ca_that_only_the_policy_names_counts_beside_another_signature(
    plant: Plant, maker: Workspace
) -> None:
    box = workspaces.create(plant.box.root.parent / "box2", clock=plant.clock)
    for name in ("maker.pub", "root.pem", "policy.yaml"):
        shutil.copy(plant.box.root / name, box.root / name)
    box.trust(box.root / "maker.pub")
    package = plant.sealed(maker)
    sign.sign(plant.li, package)
    assert verify.verify(box, package).subjects == {plant.li.key_id: LI}
    with pytest.raises(SignerUntrustedError):
        verify.verify(box, plant.sealed(plant.li, 2))
    by_wang = plant.sealed(maker, 3)
    sign.sign(plant.wang, by_wang)
    with pytest.raises(SignerUntrustedError, match="not for 'CN=Wang Wei"):
        verify.verify(box, by_wang)


def test_a_policy_names_a_key_under_a_ca_by_its_id(
    plant: Plant, maker: Workspace
) -> None:
    path = plant.box.root / "policy.yaml"
    subject = 'subject: "OU=Quality,O=Plant 7,CN=Li Na"'
    path.write_text(POLICY.replace(subject, f"key: {plant.li.key_id}"))
    package = plant.sealed(maker)
    sign.sign(plant.li, package)
    verify.verify(plant.box, package)
    for text in (
        POLICY.replace(subject, "key: sha256:5"),
        POLICY.replace(subject, f"key: {plant.li.key_id}, {subject}"),
        POLICY.replace(f", {subject}", ""),
    ):
        path.write_text(text)
        with pytest.raises(DocumentInvalidError):
            verify.verify(plant.box, package)
    for text in (POLICY.replace("CN=Li Na", "Li"), POLICY.replace("root.", "maker.")):
        path.write_text(text)
        (plant.box.root / "maker.pem").write_bytes(b"no certificate")
        with pytest.raises(TundishError):
            verify.verify(plant.box, package)


def test_one_person_never_is_two_pairs_of_eyes(plant: Plant, maker: Workspace) -> None:
    """Named by key and by subject; under a renewed key; twice by the same subject."""
    path = plant.box.root / "policy.yaml"
    twice = POLICY.replace(
        "maker: maker.pub", f"maker: {{ca: root.pem, key: {plant.li.key_id}}}"
    )
    path.write_text(twice)
    package = plant.sealed(plant.li)
    with pytest.raises(PolicyInvalidError, match="names one signer twice"):
        verify.verify(plant.box, package)
    path.write_text(twice.replace(f"key: {plant.li.key_id}", 'subject: "CN=Li Na,O=Plant 7,OU=Quality"'))  # fmt: skip
    with pytest.raises(PolicyInvalidError, match="same key twice"):
        verify.verify(plant.box, package)
    quality = (
        POLICY.replace("keys: [li]", "keys: [li, wang], at_least: 2")
        .replace("{maker: {keys: [maker]}, ", "{")
        .replace("rules:", f'  wang: {{ca: root.pem, subject: "{WANG}"}}\nrules:')
    )
    path.write_text(quality)
    renewed = workspaces.create(plant.box.root.parent / "renewed", clock=plant.clock)
    chain.trust_authority(renewed, ca_file(plant.box))
    certify(plant, renewed, LI)  # the same subject, another key
    sign.sign(renewed, package)
    with pytest.raises(PolicyUnmetError, match="1 of 2"):
        verify.verify(plant.box, package)
    sign.sign(plant.wang, package)
    verify.verify(plant.box, package)


def test_one_key_under_two_certificates_is_one_signer(plant: Plant) -> None:
    package = plant.sealed(plant.li)
    certify(plant, plant.li, "CN=Li Na,OU=Models,O=Plant 7")
    with pytest.raises(TundishError, match="has signed this package already"):
        sign.sign(plant.li, package)
    found = packages.read(
        package,
        trusted=plant_signers(plant),
        now=START,
        seen=plant.box.freshness(),
    )
    again = model_signature.sign_further(
        found.signature, plant.li.key, chain.held(plant.li)
    )
    name = model_signature.further_name(plant.li.key.public)
    with pytest.raises(RefusedError) as refused:
        packages.verify(
            {**found.everything, name: again},
            trusted=plant_signers(plant),
            now=START,
            seen=plant.box.freshness(),
        )
    assert refused.value.code == "package-file-extra"


def plant_signers(plant: Plant) -> Signers:
    return policy.signers(plant.box)


def test_a_list_of_an_office_revokes_a_leaf_and_a_ca_in_between(plant: Plant) -> None:
    package = plant.sealed()
    verify.verify(plant.box, package)
    fresh = plant.trusting("fresh")
    plant.days(2)
    between = write(plant.box.root / "middle.pem", ca.pem(plant.middle.certificate))
    office = workspaces.create(plant.box.root.parent / "office", clock=plant.clock)
    (plant.box.root / "office.pub").write_bytes(office.public_pem)
    since = plant.clock.now() - timedelta(days=1)
    for key in (plant.wang.key_id, trust.name_of(office, "key", str(between))):
        listed = trust.revoke(office, [revocation.entry("key", key, since, "stolen")])
        for place in (fresh, plant.box):
            trust.trust_key(place, plant.box.root / "office.pub", revokes="all")
            trust.take_revocations(place, Path(listed.file).read_bytes())
        with pytest.raises(KeyRevokedError, match="stolen"):
            verify.verify(fresh, package)
        verify.verify(plant.box, package)  # its ledger saw it before


def test_a_package_under_a_chain_is_revoked_by_its_file(plant: Plant) -> None:
    package = plant.sealed()
    digest = trust.name_of(plant.box, "package", str(package))
    assert digest == verify.verify(plant.box, package).digest
    trust.revoke(plant.box, [revocation.entry("package", digest, START, "wrong")])
    with pytest.raises(PackageRevokedError, match="wrong"):
        verify.verify(plant.box, package)


def test_a_crl_counts_by_its_number_and_is_missed_when_it_is_gone(plant: Plant) -> None:
    package = plant.sealed()
    since = START - timedelta(days=1)
    serial = plant.middle.certificate.serial_number
    verify.verify(plant.box, package)
    report = chain.take_crl(plant.box, plant.root.crl(7, []))
    assert (report.number, report.entries) == (7, 0)
    verify.verify(plant.box, package)
    chain.take_crl(plant.box, plant.root.crl(8, [(serial, since)]))
    with pytest.raises(KeyRevokedError, match="The CA revoked"):
        verify.verify(plant.box, package)
    for older in (plant.root.crl(7, []), plant.root.crl(8, [])):
        with pytest.raises(RevocationsOlderError):
            chain.take_crl(plant.box, older)
    Path(report.file).unlink()
    with pytest.raises(RevocationsMissingError):
        verify.verify(plant.box, package)
    with pytest.raises(SignerUntrustedError):
        chain.take_crl(plant.box, plant.middle.crl(1, []))
    chain.take_crl(plant.wang, plant.root.crl(8, [(serial, since)]))
    with pytest.raises(KeyRevokedError):  # a revoked signer seals nothing
        plant.sealed(version=2)


def test_a_grant_counts_if_its_issuer_signed_the_package_under_the_ca(
    plant: Plant,
) -> None:
    package = plant.sealed(encrypted=True)
    order = GrantOrder(device=plant.box.device_text, purpose="trial", valid_s=9e6)
    granted = Path(grant(plant.wang, package, order).file)

    def opened(file: Path) -> grants.OpenedGrant:
        found = verify.read(plant.box, package)
        return open_package.open_bytes(plant.box, found, file.read_bytes())

    assert opened(granted).grant.startswith("grant-")
    thief = workspaces.create(plant.box.root.parent / "thief", clock=plant.clock)
    thief.trust(write(plant.box.root / "wang.pub", plant.wang.public_pem))
    chain.trust_authority(thief, ca_file(plant.box))
    digest = verify.read(plant.wang, package).digest
    thief.keep_identity(digest, plant.wang.identity(digest))
    forged = Path(grant(thief, package, order).file)
    with pytest.raises(SignerUntrustedError):  # its key has signed no such package
        opened(forged)
    plant.days(3)
    office = [revocation.entry("key", plant.wang.key_id, START, "left")]
    trust.revoke(plant.box, office)
    with pytest.raises(KeyRevokedError):
        opened(granted)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_chain_that_does_not_fit_is_not_attached(
    plant: Plant, tmp_path: Path
) -> None:
    own = ca.public(plant.li.key)
    leaf = plant.middle.issue(own, LI)
    middle = plant.middle.certificate
    other = plant.middle.issue(ca.public(plant.wang.key), WANG)
    unfit = plant.middle.issue(own, LI, [])
    before = plant.li.chain_file.read_bytes()
    cases: list[tuple[bytes, type[TundishError]]] = [
        (ca.pem(other, middle), ChainOtherKeyError),
        (ca.pem(middle, leaf), ChainOtherKeyError),
        (ca.pem(unfit, middle), ChainUnfitError),
        (ca.pem(leaf), SignerUntrustedError),
        (ca.pem(ca.root("CN=X").issue(own, LI)), SignerUntrustedError),
        (ca.pem(ca.root().issue(own, LI)), ChainBrokenError),
        (b"junk" + ca.pem(leaf, middle), ChainMalformedError),
    ]
    for data, refusal in cases:
        with pytest.raises(refusal):
            chain.attach(plant.li, write(tmp_path / "c.pem", data))
    assert plant.li.chain_file.read_bytes() == before
    whole = ca.pem(leaf, middle, plant.root.certificate)  # as many a CA sends it
    report = chain.attach(plant.li, write(tmp_path / "c.pem", whole))
    assert report.subjects == (LI, "CN=Plant 7 Issuing CA")


def test_a_rotated_key_leaves_its_chain_behind(plant: Plant) -> None:
    trust.rotate(plant.li)
    assert chain.held(plant.li) is None
    assert len(list(plant.li.chain_file.parent.glob("former-*.chain.pem"))) == 1
    bare = plant.sealed(plant.li)
    with pytest.raises(SignerUntrustedError):
        verify.verify(plant.box, bare)


def test_a_damaged_ca_opens_nothing(plant: Plant) -> None:
    package = plant.sealed()
    folder = plant.box.inner / "authorities"
    pem, note = next(folder.glob("*.pem")), next(folder.glob("*.json"))
    good, said = pem.read_bytes(), note.read_bytes()
    for path, data, refusal in (
        (pem, b"no certificate", ChainMalformedError),
        (pem, ca.root().pem, DocumentMalformedError),
        (note, b"{}x", DocumentMalformedError),
    ):
        path.write_bytes(data)
        with pytest.raises(refusal):
            verify.verify(plant.box, package)
        pem.write_bytes(good)
        note.write_bytes(said)
    note.unlink()  # without it, a CA would count for everybody and for ever
    with pytest.raises(DocumentMalformedError):
        verify.verify(plant.box, package)


def test_the_commands_lead_from_the_request_to_the_signature(
    plant: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = workspaces.create(tmp_path / "new", clock=plant.clock)
    at = ["--workspace", str(place.root)]
    request, file = tmp_path / "new.csr", tmp_path / "new.pem"
    assert main.status(["key", "--csr", str(request), "--subject", LI, *at]) == 0
    asked = x509.load_pem_x509_csr(request.read_bytes())
    issued = plant.root.issue(asked.public_key(), LI, start=ca.START, days=9000)
    file.write_bytes(ca.pem(issued))
    assert main.status(["key", "--chain", str(file), *at]) != 0
    assert "[signer-untrusted]" in capsys.readouterr().err
    root = str(ca_file(plant.box))
    assert main.status(["trust", "--ca", root, "--subject", "O=Plant 7", *at]) == 0
    assert main.status(["key", "--chain", str(file), *at]) == 0
    said = capsys.readouterr().out
    assert LI in said
    assert "Plant 7 Root CA" in said
    listed = write(tmp_path / "ca.crl", plant.root.crl(1, []))
    assert main.status(["trust", "--crl", str(listed), "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["number"] == 1
    package = str(plant.sealed())
    assert main.status(["package", "sign", package, *at]) == 0
    assert f"by {LI} sha256:" in " ".join(capsys.readouterr().out.split())
    assert main.status(["verify", package, *at]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"signed by {WANG} (sha256:" in said
    assert f"and by {LI} (sha256:" in said
    for wrong in (["trust", "--ca", root, "--crl", root], ["key", "--csr", "a", "--chain", "b"]):  # fmt: skip
        assert main.status([*wrong, *at]) == 2


OPENSSL = shutil.which("openssl")


@pytest.mark.integration
@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_a_ca_run_with_openssl_certifies_and_revokes(
    tmp_path: Path, plant: Plant
) -> None:
    """A real peer: the request is signed and the list is made by OpenSSL's commands."""

    def openssl(*arguments: str) -> None:
        command = [str(OPENSSL), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\n"
        "new_certs_dir=.\ndefault_md=sha256\npolicy=any\ncrlnumber=number\n"
        "default_crl_days=30\nunique_subject=no\n[any]\ncommonName=supplied\n"
        "organizationName=optional\n[leaf]\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=codeSigning\nsubjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid\n"
    )
    for name, text in (("index.txt", ""), ("serial", "1000\n"), ("number", "05\n")):
        (tmp_path / name).write_text(text)
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
    openssl("req", "-new", "-x509", "-key", "ca.key", "-out", "ca.pem", "-days", "9000",
            "-subj", "/O=Plant 9/CN=Plant 9 CA")  # fmt: skip
    place = workspaces.create(tmp_path / "signer")  # OpenSSL knows the real time only
    chain.write_request(place, tmp_path / "me.csr", "CN=Zhao,O=Plant 9")
    openssl("req", "-in", "me.csr", "-verify", "-noout")
    authority = ("-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem")
    openssl("ca", *authority, "-batch", "-notext", "-days", "90", "-extensions", "leaf",
            "-in", "me.csr", "-out", "me.pem")  # fmt: skip
    box = workspaces.create(tmp_path / "ossl-box")
    for each in (place, box):
        chain.trust_authority(each, tmp_path / "ca.pem")
    assert (
        chain.attach(place, tmp_path / "me.pem").authority == "CN=Plant 9 CA,O=Plant 9"
    )
    package = plant.sealed(place, days=36_500)
    # this CA writes the parts of a name in its own order, as its policy has them
    assert verify.verify(box, package).subjects == {place.key_id: "O=Plant 9,CN=Zhao"}
    openssl("ca", *authority, "-revoke", "me.pem", "-crl_reason", "keyCompromise")
    openssl("ca", *authority, "-gencrl", "-out", "ca.crl")
    report = chain.take_crl(box, (tmp_path / "ca.crl").read_bytes())
    assert (report.number, report.entries) == (5, 1)
    with pytest.raises(KeyRevokedError):
        verify.verify(box, package)
