"""The keys that count in a workspace: trusted ones, rotated ones, revoked ones.

Below ``.tundish/trusted`` lies a public key per file, with a note beside it if it
counts for a time only, took over from another key, or may revoke everything. Below
``.tundish/revocations`` lies the newest list of each issuer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tundish.flows.authorities import Authorities
from tundish.kernel import canonical, clock, paths
from tundish.kernel.digest import Digest, hex_part, short
from tundish.kernel.errors import DocumentMalformedError
from tundish.kernel.records import Record
from tundish.seal import revocation
from tundish.seal.errors import RevocationsMissingError
from tundish.seal.fields import Moment
from tundish.seal.freshness import FileFreshness
from tundish.seal.keys import VerifyKey
from tundish.seal.revocation import RevocationList
from tundish.seal.trust import Known, Trust, Witness, nobody_saw

SERIES = "revocations:"


class KeyNote(Record):
    """What a workspace knows of a key beside the key; see ``seal.trust.Known``."""

    format: Literal["tundish.key-note"] = "tundish.key-note"
    version: Literal[1] = 1
    not_before: Moment | None = None
    not_after: Moment | None = None
    follows: Digest | None = None
    revokes: Literal["own", "all"] = "own"


class Keyring:
    """The keys of a workspace.

    Args:
        inner: The workspace's inner folder.
        own: Its own public key.
    """

    def __init__(self, inner: Path, own: VerifyKey) -> None:
        self._inner = inner
        self._own = own

    def known(self) -> tuple[VerifyKey, ...]:
        """Return every key that is known, also those that count no more."""
        others = sorted(self._trusted.glob("*.pub"))
        found = (VerifyKey.load(path) for path in others)
        return (self._own, *(key for key in found if key != self._own))

    def trust(
        self, now: datetime, witness: Witness = nobody_saw, *, complete: bool = True
    ) -> Trust:
        """Return what decides which signatures count.

        Args:
            now: This machine's time.
            witness: See ``seal.trust``.
            complete: Refuse to go on if a list that was taken is gone.

        Raises:
            RevocationsMissingError: if a list that was taken here is gone.
            DocumentMalformedError: if a note is damaged.
        """
        held = self._lists()
        if complete:
            self._check_lists(held)
        return Trust(
            known=tuple(self._known(key) for key in self.known()),
            own=self._own.key_id,
            lists=tuple(held.values()),
            now=now,
            witness=witness,
            crls=Authorities(self._inner).crls(complete=complete),
        )

    def keep(self, key: VerifyKey, note: KeyNote) -> None:
        """Trust a key from now on, as its note says."""
        if note != KeyNote() or self._note_path(key).exists():
            body = canonical.dumps(note.to_json())
            paths.write_whole(self._note_path(key), body)
        paths.write_whole(self._trusted / f"{short(key.key_id)}.pub", key.to_pem())

    def note(self, key: VerifyKey) -> KeyNote:
        """Return what is known of a key."""
        path = self._note_path(key)
        if not path.exists():
            return KeyNote()
        try:
            return KeyNote.model_validate_json(path.read_bytes())
        except ValidationError as error:
            msg = f"The note {path} on a trusted key is damaged."
            raise DocumentMalformedError(msg) from error

    def key(self, key_id: Digest) -> VerifyKey | None:
        """Return a known key by its id."""
        return next((key for key in self.known() if key.key_id == key_id), None)

    def list_path(self, name: Digest) -> Path:
        """Return where the newest list of a key lies, or one named by its own digest."""
        return self._inner / "revocations" / f"{hex_part(name)}.txt"

    def list_by(self, issuer: Digest) -> bytes | None:
        """Return the newest list that a key has signed, if there is one."""
        mine = {
            item.version: path
            for path, item in self._lists().items()
            if item.issuer == issuer
        }
        return mine[max(mine)].read_bytes() if mine else None

    @property
    def _trusted(self) -> Path:
        return self._inner / "trusted"

    def _note_path(self, key: VerifyKey) -> Path:
        return self._trusted / f"{short(key.key_id)}.json"

    def _known(self, key: VerifyKey) -> Known:
        note = self.note(key)
        return Known(
            key=key,
            not_before=_moment(note.not_before),
            not_after=_moment(note.not_after),
            follows=note.follows,
            revokes=note.revokes,
        )

    def _lists(self) -> dict[Path, RevocationList]:
        keys = self.known()
        return {
            path: revocation.read(path.read_bytes(), keys)
            for path in sorted((self._inner / "revocations").glob("*.txt"))
        }

    def _check_lists(self, held: Mapping[Path, RevocationList]) -> None:
        seen = FileFreshness(self._inner / "freshness.json").seen().packages
        for series, newest in seen.items():
            if not series.startswith(SERIES):
                continue
            have = held.get(self.list_path(Digest(series.removeprefix(SERIES))))
            version = have.version if have else 0
            if version < newest.version:
                msg = (
                    f"Version {newest.version} of a revocation list was taken here, and "
                    f"version {version} is what lies here now."
                )
                raise RevocationsMissingError(msg)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else clock.from_text(text)
