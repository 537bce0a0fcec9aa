"""The certificate authorities (CAs) that count in a workspace, and their lists.

Below ``.tundish/authorities`` lies the X.509 certificate of each CA, a note beside it if
it counts for some subjects or for a time only, and its newest revocation list (CRL).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tundish.kernel import canonical, clock, paths
from tundish.kernel.digest import Digest, short
from tundish.kernel.errors import DocumentMalformedError
from tundish.kernel.records import Record
from tundish.seal import chain, crl, link
from tundish.seal.chain import Authority
from tundish.seal.crl import Crl
from tundish.seal.errors import RevocationsMissingError
from tundish.seal.fields import Moment
from tundish.seal.freshness import FileFreshness

SERIES = "crl:"


class AuthorityNote(Record):
    """What limits the trust in a CA; see ``seal.chain.Authority``.

    Attributes:
        subjects: Parts of a subject, as a person wrote them; one of them must fit.
    """

    format: Literal["tundish.authority-note"] = "tundish.authority-note"
    version: Literal[1] = 1
    subjects: tuple[str, ...] = ()
    not_before: Moment | None = None
    not_after: Moment | None = None


class Authorities:
    """The CAs of a workspace.

    Args:
        inner: The workspace's inner folder.
    """

    def __init__(self, inner: Path) -> None:
        self._inner = inner
        self._folder = inner / "authorities"

    def known(self) -> tuple[Authority, ...]:
        """Return every CA that is trusted here.

        Raises:
            ChainMalformedError, ChainUnfitError, DocumentMalformedError: if a file of
                one is damaged; then nothing is opened.
        """
        return tuple(self._known(path) for path in sorted(self._folder.glob("*.pem")))

    def keep(self, pem: bytes, note: AuthorityNote) -> Authority:
        """Trust a CA from now on, as its note says; return it.

        Raises:
            ChainMalformedError, ChainUnfitError, ChainBrokenError: if it is no CA's.
            TermsInvalidError: if a subject is no name.
        """
        found = _limited(chain.read_authority(pem), note)
        path = self._path(found.link.key.key_id, "pem")
        paths.write_whole(path.with_suffix(".json"), canonical.dumps(note.to_json()))
        paths.write_whole(path, found.link.to_pem())
        return found

    def keep_crl(self, found: Crl, data: bytes) -> Path:
        """Keep the newest list of a CA; return where."""
        path = self._path(found.issuer, "crl")
        paths.write_whole(path, data)
        return path

    def crls(self, *, complete: bool = True) -> tuple[Crl, ...]:
        """Return the newest list of each CA.

        Args:
            complete: Refuse to go on if a list that was taken is gone.

        Raises:
            RevocationsMissingError: if a list that was taken here is gone.
        """
        known = self.known()
        if not known:
            return ()
        found = tuple(self._crls(known))
        if complete:
            self._check_complete(known, found)
        return found

    def _crls(self, known: tuple[Authority, ...]) -> Iterator[Crl]:
        for one in known:
            path = self._path(one.link.key.key_id, "crl")
            if path.is_file():
                yield crl.read(path.read_bytes(), [one])

    def _check_complete(
        self, known: tuple[Authority, ...], found: tuple[Crl, ...]
    ) -> None:
        have = {item.issuer: item.number for item in found}
        seen = FileFreshness(self._inner / "freshness.json").seen().packages
        for one in known:
            key = one.link.key.key_id
            newest = seen.get(SERIES + key)
            if newest is not None and have.get(key, -1) < newest.version:
                msg = f"Number {newest.version} of the revocation list of the CA {one.link.subject!r} was taken here, and it is gone."
                raise RevocationsMissingError(
                    msg, advice="Take the list again: 'tundish trust --crl FILE'."
                )

    def _known(self, path: Path) -> Authority:
        found = chain.read_authority(path.read_bytes())
        if path != self._path(found.key.key_id, "pem"):
            msg = f"The file {path} holds another CA than the one it is named after."
            raise DocumentMalformedError(msg)
        try:
            said = path.with_suffix(".json").read_bytes()
            return _limited(found, AuthorityNote.model_validate_json(said))
        except (OSError, ValidationError) as error:
            msg = f"The note beside {path} on a trusted CA is missing or damaged."
            raise DocumentMalformedError(msg) from error

    def _path(self, key: Digest, ending: str) -> Path:
        return self._folder / f"{short(key)}.{ending}"


def _limited(found: link.Link, note: AuthorityNote) -> Authority:
    return Authority(
        link=found,
        groups=tuple(link.parts_of(text) for text in note.subjects),
        not_before=clock.from_text(note.not_before) if note.not_before else None,
        not_after=clock.from_text(note.not_after) if note.not_after else None,
    )
