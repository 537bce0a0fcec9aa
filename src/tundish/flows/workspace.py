"""The workspace: a folder with runs, packages, keys and a ledger.

``tundish.toml`` names it; everything else lies below ``.tundish/``. The owner's desk
and the box at the line are workspaces alike: each has a key that signs, a key that
signs the ledger's checkpoints, and a device key for which others issue grants; see
``flows.keys`` for where they lie.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from tundish.catalog.documents import key_path
from tundish.flows import keys
from tundish.flows.anchored import AnchoredFreshness
from tundish.flows.authorities import Authorities
from tundish.flows.errors import (
    IdentityMissingError,
    WorkspaceExistsError,
    WorkspaceMissingError,
)
from tundish.flows.keyring import Keyring
from tundish.flows.keys import KeyFolder, KeyOrders
from tundish.flows.witness import first_seen
from tundish.kernel import digest as digests
from tundish.kernel import paths, settings
from tundish.kernel.addresses import AirGap, hosts_of
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.digest import Digest, hex_part, short
from tundish.kernel.errors import DocumentMalformedError, RefusedError
from tundish.kernel.records import Record
from tundish.ledger.log import Ledger, NewAct
from tundish.ledger.note import NoteSigner, NoteVerifier
from tundish.ledger.record import Entry
from tundish.seal.envelope import Identity, identity_from_secret, new_identity
from tundish.seal.keys import (
    CheckpointKey,
    CheckpointPublic,
    DeviceKey,
    DevicePublic,
    SigningKey,
    VerifyKey,
)
from tundish.seal.pin import AskPin, nobody_asks
from tundish.seal.secret import SecretText
from tundish.seal.trust import Trust
from tundish.seal.wrapped import NamedKey

FILE = "tundish.toml"
INNER = ".tundish"


class WorkspaceFile(Record):
    """What ``tundish.toml`` holds.

    Attributes:
        air_gapped: No name is resolved, and only listed addresses are connected to.
        addresses: Addresses and networks of the plant that may be connected to then.
    """

    format: Literal["tundish.workspace"]
    version: Literal[1]
    name: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")
    ]
    air_gapped: bool = False
    addresses: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Workspace:
    """An open workspace.

    Args:
        root: The folder that holds ``tundish.toml``.
        clock: Tells the time of every act.
        ask_pin: Asks a person for the PIN of a token.
    """

    def __init__(
        self,
        root: Path,
        clock: Clock | None = None,
        ask_pin: AskPin = nobody_asks,
    ) -> None:
        self.root = root
        self.ask_pin = ask_pin
        self.clock = clock or SystemClock()
        said = _read_file(root / FILE)
        self.name = said.name
        cut_off = said.air_gapped or settings.air_gapped()
        self.air_gap = AirGap.of(said.addresses) if cut_off else None

    def may_connect(self, address: str, what: str) -> None:
        """Refuse to connect to an address that an air-gapped workspace does not list.

        Args:
            address: ``scheme://host:port/path`` or ``host:port/path``; several hosts
                as Kafka has them.
            what: What it is the address of, for the message.

        Raises:
            AirGappedError: if this workspace is air-gapped and it may not be.
        """
        if self.air_gap is not None:
            for host in hosts_of(address):
                self.air_gap.check(host, what)

    @property
    def inner(self) -> Path:
        """The folder below which everything lies."""
        return self.root / INNER

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.inner / "runs"

    @property
    def packages(self) -> Path:
        """The folder of sealed packages and grants."""
        return self.inner / "packages"

    @property
    def packs(self) -> Path:
        """The folder of scenario packs of other people."""
        return self.inner / "packs"

    @property
    def evidence(self) -> Path:
        """The folder of what scenarios that were run here gave."""
        return self.inner / "evidence"

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.root / "reports"

    @cached_property
    def key(self) -> SigningKey:
        """The key that signs packages and grants."""
        return self.key_folder.signing(self._public)

    @cached_property
    def _checkpoint_key(self) -> CheckpointKey:
        return CheckpointKey.load(self._keys / "checkpoint.pem", settings.passphrase())

    @cached_property
    def device(self) -> DeviceKey:
        """The key of this machine, for which grants are issued."""
        return self.key_folder.device()

    @cached_property
    def device_public(self) -> DevicePublic:
        """The public half of this machine's key; no token is asked for it."""
        return self.key_folder.device_public()

    @property
    def key_folder(self) -> KeyFolder:
        """Where the keys lie."""
        return KeyFolder(self._keys, self.ask_pin)

    @property
    def has_passphrase(self) -> bool:
        """Whether the device key is kept under a passphrase."""
        path = self._keys / "device.pem"
        return path.is_file() and b"ENCRYPTED" in path.read_bytes()

    @property
    def device_text(self) -> str:
        """The line that names this machine to whoever issues grants."""
        return self.device_public.to_text()

    @property
    def public_pem(self) -> bytes:
        """The public signing key, to be carried to those who shall trust it."""
        return self._public.to_pem()

    @property
    def keyring(self) -> Keyring:
        """The keys that are known here, and what is known of them."""
        return Keyring(self.inner, self._public)

    @property
    def authorities(self) -> Authorities:
        """The certificate authorities that are trusted here."""
        return Authorities(self.inner)

    @property
    def chain_file(self) -> Path:
        """Where the X.509 certificates of the signing key lie, if it has any (PEM)."""
        return self._keys / "signing.chain.pem"

    @property
    def key_id(self) -> Digest:
        """Id of the key that signs here."""
        return self._public.key_id

    def trust(self, pem: Path) -> str:
        """Add a public key whose signatures shall count here; return its id.

        Raises:
            KeyUnreadableError: if the file is no public key of P-256 or P-384.
        """
        key = VerifyKey.load(pem)
        self.keyring.keep(key, self.keyring.note(key))
        self.record("key-trusted", detail={"key": key.key_id})
        return key.key_id

    def standing(self, *, complete: bool = True) -> Trust:
        """Return what decides which signatures count here, as of now.

        Args:
            complete: Refuse to go on if a revocation list that was taken is gone.

        Raises:
            RevocationsMissingError, DocumentMalformedError: from ``Keyring.trust``.
        """

        def witness(document: Digest, key: Digest) -> datetime | None:
            with self.ledger() as ledger:
                return first_seen(ledger, self.verifiers(), document, key)

        return self.keyring.trust(self.clock.now(), witness, complete=complete)

    def own_revocations(self) -> bytes | None:
        """Return this workspace's newest revocation list, if its present key signed it.

        It then travels inside every package that is sealed here.
        """
        self.standing()  # refuses if a list is gone
        return self.keyring.list_by(self._public.key_id)

    def replace_key(self, new: SigningKey, named: NamedKey | None = None) -> Path:
        """Put a new signing key in the place of the old one, which is put away.

        Args:
            new: The key.
            named: Where it lies, if in a token.

        Returns:
            Where the old private key lies now.
        """
        kept = self.key_folder.replace_signing(new, self._public, named)
        if self.chain_file.exists():  # it was issued for the old key
            self.chain_file.replace(kept.with_suffix(".chain.pem"))
        for name in ("key", "_public"):
            self.__dict__.pop(name, None)
        return kept

    def keep_identity(self, package: Digest, identity: Identity) -> None:
        """Keep the identity that opens a package, for grants to come."""
        secret = identity.secret.reveal().encode()
        paths.write_whole(self._identity(package), secret, mode=0o600)

    def identity(self, package: Digest) -> Identity:
        """Return the identity of a package that was sealed here.

        Raises:
            IdentityMissingError: if it was sealed elsewhere, or in clear.
        """
        path = self._identity(package)
        if not path.is_file():
            msg = f"This workspace holds no identity of the package {short(package)}."
            raise IdentityMissingError(msg)
        return identity_from_secret(SecretText(path.read_text(encoding="ascii")))

    def sharing(self, identity: Identity) -> frozenset[Digest]:
        """Return all packages sealed here that this identity opens."""
        secret = identity.secret.reveal()
        return frozenset(
            Digest(f"sha256:{path.stem}")
            for path in (self._keys / "identities").glob("*.age")
            if path.read_text(encoding="ascii") == secret
        )

    def own_identity(self) -> Identity:
        """Return the identity of this workspace for what only its owner may open.

        It is made when it is first asked for, and never leaves the workspace.
        """
        path = self._keys / "own.age"
        if not path.is_file():
            made = new_identity()
            paths.write_whole(path, made.secret.reveal().encode(), mode=0o600)
        return identity_from_secret(SecretText(path.read_text(encoding="ascii")))

    def _identity(self, package: Digest) -> Path:
        return self._keys / "identities" / f"{hex_part(package)}.age"

    def keep_code(self, grant: str, code: SecretText) -> None:
        """Keep the code of a spare's grant that was activated here.

        It is encrypted to this device, so that a restart needs no envelope.
        """
        sealed = self.device_public.encrypt(code.reveal().encode(), grant.encode())
        paths.write_whole(self._code(grant), sealed, mode=0o600)

    def code(self, grant: str) -> SecretText | None:
        """Return the code of a spare's grant, if it was activated here."""
        path = self._code(grant)
        if not path.is_file():
            return None
        opened = self.device.decrypt(path.read_bytes(), grant.encode())
        return SecretText(opened.decode())

    def _code(self, grant: str) -> Path:
        return self._keys / "activated" / paths.check_name(f"{grant}.code")

    @property
    def _keys(self) -> Path:
        return self.inner / "keys"

    @property
    def actor(self) -> str:
        """Who acts, for the ledger: the workspace's signing key."""
        return f"workspace:{short(self._public.key_id)}"

    @cached_property
    def _public(self) -> VerifyKey:
        return VerifyKey.load(self._keys / "signing.pub")

    def trusted(self) -> tuple[VerifyKey, ...]:
        """Return whose signatures count now: begun, not ended, not revoked.

        Raises:
            RevocationsMissingError, DocumentMalformedError: from ``Keyring.trust``.
        """
        return self.standing().standing()

    def freshness(self) -> AnchoredFreshness:
        """Return the memory of versions, times and uses seen."""

        def newest(
            acts: Sequence[str], detail: Mapping[str, JsonValue]
        ) -> Entry | None:
            with self.ledger() as ledger:
                return ledger.newest(acts, detail)

        def keep(act: str, detail: Mapping[str, JsonValue]) -> None:
            self.record(act, detail=detail)

        return AnchoredFreshness(self.inner / "freshness.json", newest, keep)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Open the ledger.

        Raises:
            LedgerLockedError: if another process holds it.
        """
        with Ledger(self.inner / "ledger.db", self.clock, create=False) as ledger:
            yield ledger

    def verifiers(self) -> tuple[NoteVerifier, ...]:
        """Return the keys that sign the ledger's checkpoints."""
        public = CheckpointPublic.load(self._keys / "checkpoint.pub")
        key_id = public.note_key_id(self.name)
        return (NoteVerifier(name=self.name, key_id=key_id, verify=public.verify),)

    def record(
        self,
        act: str,
        *,
        inputs: Sequence[Digest] = (),
        outputs: Sequence[Digest] = (),
        names: Mapping[str, str] | None = None,
        detail: Mapping[str, JsonValue] | None = None,
        refused: str = "",
    ) -> None:
        """Write one act into the ledger and sign a checkpoint over it.

        Args:
            act: Kebab-case name of the act.
            inputs: Digests that went in.
            outputs: Digests that came out.
            names: What people call the digests.
            detail: Numbers, names and digests; never data values.
            refused: The error code, if the act was refused.
        """
        new = NewAct(
            act=act,
            actor=self.actor,
            inputs=inputs,
            outputs=outputs,
            names=names,
            outcome="refused" if refused else "done",
            code=refused,
            detail=detail,
        )
        self.record_all([new])

    def record_all(self, acts: Sequence[NewAct]) -> None:
        """Write several acts in one step and sign one checkpoint over them."""
        key = self._checkpoint_key
        key_id = key.public.note_key_id(self.name)
        with self.ledger() as ledger:
            ledger.append_many(acts)
            ledger.checkpoint(NoteSigner(name=self.name, key_id=key_id, sign=key.sign))

    @contextmanager
    def refusals_kept(self, act: str, inputs: Sequence[Digest] = ()) -> Iterator[None]:
        """Write a refusal inside the block into the ledger, and raise it again."""
        try:
            yield
        except RefusedError as error:
            self.record(act, inputs=inputs, refused=error.code)
            raise


@contextmanager
def passing(workspace: Workspace | None) -> Iterator[Workspace]:
    """Give a workspace, or one that is gone afterwards if there is none."""
    if workspace is not None:
        yield workspace
        return
    with tempfile.TemporaryDirectory(prefix="tundish-passing-") as folder:
        yield create(Path(folder) / "workspace")


def create(
    root: Path,
    name: str | None = None,
    clock: Clock | None = None,
    orders: KeyOrders | None = None,
) -> Workspace:
    """Make a workspace: its file, its keys, its ledger.

    Args:
        root: Where.
        name: Its name; default: the folder's.
        clock: Tells the time of every act.
        orders: Which keys shall lie in a token; default: none.

    Raises:
        WorkspaceExistsError: if there is one; it is left as it is.
        DocumentMalformedError: if the name is no plain name.
        TokenAbsentError, TokenPinWrongError and their like: nothing was made then.
    """
    orders = orders or KeyOrders()
    file = root / FILE
    if file.exists():
        msg = f"{root} is a workspace already."
        raise WorkspaceExistsError(msg)
    chosen = name or re.sub(r"[^A-Za-z0-9.-]+", "-", root.resolve().name).strip("-.")
    settled = _name_file(chosen or "plant")
    made = keys.fresh(orders)
    inner = root / INNER
    for folder in ("keys", "trusted", "revocations", "runs", "packages"):
        (inner / folder).mkdir(parents=True, exist_ok=True)
    inner.chmod(0o750)  # runs hold graphs in clear; a group may be let in on purpose
    (inner / "keys").chmod(0o700)
    made.save(inner / "keys")
    Ledger(inner / "ledger.db", clock or SystemClock()).close()
    text = f'format = "tundish.workspace"\nversion = 1\nname = "{settled.name}"\n'
    paths.write_whole(file, text.encode())
    workspace = Workspace(root, clock, orders.ask)
    detail: dict[str, JsonValue] = {"name": settled.name}
    in_tokens = (("signing_key", made.named), ("device_key", made.wrapped))
    detail |= {name: "token" for name, kept in in_tokens if kept is not None}
    workspace.record("workspace-made", detail=detail)
    return workspace


def find(
    start: Path, clock: Clock | None = None, ask_pin: AskPin = nobody_asks
) -> Workspace:
    """Open the workspace of a folder or of the nearest folder above it.

    Raises:
        WorkspaceMissingError: if there is none.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return Workspace(folder, clock, ask_pin)
    msg = f"Neither {start} nor a folder above it is a workspace (no {FILE})."
    raise WorkspaceMissingError(msg)


def _name_file(name: str) -> WorkspaceFile:
    try:
        return WorkspaceFile(format="tundish.workspace", version=1, name=name)
    except ValidationError as error:
        msg = (
            f"{name!r} is no name for a workspace: letters, digits, . _ - are expected."
        )
        raise DocumentMalformedError(msg) from error


def _read_file(path: Path) -> WorkspaceFile:
    try:
        data = tomllib.loads(paths.existing_file(path).read_text(encoding="utf-8"))
        return WorkspaceFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{path} is not valid: {key_path(first['loc'])}: {first['msg']}."
        raise DocumentMalformedError(msg) from error
    except (ValueError, RecursionError) as error:
        # broken TOML, broken UTF-8 and a number of too many digits are all ValueErrors
        msg = f"{path} cannot be read: {error}."
        raise DocumentMalformedError(msg) from error


def digest_of(path: Path) -> Digest:
    """Return the digest of a file that a verb made."""
    return digests.of_file(paths.existing_file(path))
