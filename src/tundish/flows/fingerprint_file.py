"""The file of a fingerprint: canonical JSON, salted, encrypted to its owner.

Its *commitment* is the digest of that JSON. The salt (32 random bytes) keeps anybody
who holds a guess of the questions from testing it against the ledger.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints, ValidationError, model_validator

from tundish.flows.errors import FingerprintUnreadableError
from tundish.flows.workspace import Workspace
from tundish.kernel import canonical, paths
from tundish.kernel import digest as digests
from tundish.kernel.digest import Digest, short
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError
from tundish.kernel.records import SignedRecord
from tundish.learn.fingerprint import Form, Questions
from tundish.learn.independents import Kind
from tundish.model.golden import Tensor
from tundish.seal import envelope
from tundish.seal.errors import EnvelopeClosedError
from tundish.seal.statement import first_fault

FOLDER, ENDING = "fingerprints", ".fingerprint.age"
MOST_QUESTIONS = 2000


class Stranger(SignedRecord):
    """Another model, and its share of the owner's answers."""

    name: str
    share: Annotated[float, Field(ge=0, le=1)]


class FingerprintFile(SignedRecord):
    """What the file holds.

    Attributes:
        salt: 32 random bytes, hex.
        product: Scenario of the model, or the name of a foreign graph's file.
        run: The run's digest; None for a foreign graph.
        graph: Digest of the model.
        output: The output that is compared.
        kind, form: What it answers, and what is compared.
        windows: The questions' windows, [M, T, C].
        places: Windows of each question.
        answers: The owner's answers.
        strangers: Independent models that were measured when it was made.
        siblings: Models that the owner's recipe made of half of the data.
    """

    format: Literal["tundish.fingerprint"] = "tundish.fingerprint"
    version: Literal[1] = 1
    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    product: str
    run: Digest | None
    graph: Digest
    output: str
    kind: Kind
    form: Form
    windows: Tensor
    places: Annotated[
        tuple[tuple[int, ...], ...], Field(min_length=1, max_length=MOST_QUESTIONS)
    ]
    answers: tuple[int, ...]
    strangers: Annotated[tuple[Stranger, ...], Field(min_length=2)]
    siblings: tuple[Stranger, ...] = ()
    made_at: str

    @model_validator(mode="after")
    def _hangs_together(self) -> FingerprintFile:
        wide = 2 if self.form == "order" else 1
        count = self.windows.shape[0] if len(self.windows.shape) == 3 else 0
        named = [at for place in self.places for at in place]
        if len(self.answers) != len(self.places) or any(
            len(place) != wide for place in self.places
        ):
            msg = "the answers do not fit the questions"
            raise ValueError(msg)
        if min(named) < 0 or max(named) >= count:
            msg = "a question names a window that is not there"
            raise ValueError(msg)
        return self

    @property
    def commitment(self) -> Digest:
        """The digest that stands in the ledger."""
        return digests.of_json(self.to_json())

    @property
    def questions(self) -> Questions:
        """The questions with the owner's answers."""
        return Questions(
            form=self.form,
            windows=self.windows.array(),
            places=np.asarray(self.places, np.int64),
            answers=np.asarray(self.answers, np.int64),
        )


def new_salt() -> str:
    """Return 32 random bytes of the system as hex."""
    return secrets.token_hex(32)


def write(workspace: Workspace, made: FingerprintFile) -> Path:
    """Encrypt a fingerprint to the workspace and write it; nothing clear is written."""
    data = canonical.dumps(made.to_json())
    sealed = envelope.encrypt(data, [workspace.own_identity().recipient])
    path = workspace.inner / FOLDER / f"{short(made.commitment)}{ENDING}"
    paths.write_whole(path, sealed, mode=0o600)
    return path


def read(workspace: Workspace, path: Path) -> FingerprintFile:
    """Open a fingerprint of this workspace.

    Raises:
        FingerprintUnreadableError: if it is another owner's, or was changed.
    """
    data = paths.read_file(path, most=paths.GRAPH_BYTES)
    try:
        clear = envelope.decrypt(data, workspace.own_identity())
        canonical.loads_canonical(clear)
        return FingerprintFile.model_validate_json(clear)
    except ValidationError as error:
        raise FingerprintUnreadableError(first_fault("fingerprint", error)) from error
    except (EnvelopeClosedError, DocumentMalformedError, NotCanonicalError) as error:
        msg = f"The fingerprint {path.name} does not open in this workspace: {error.message}"
        raise FingerprintUnreadableError(msg) from error
