"""Find the card that lies beside a file, and say what was taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tundish.data.card.card import Card, read_card
from tundish.data.card.foreign import read_foreign
from tundish.data.table import Assumption
from tundish.kernel import digest as digests
from tundish.kernel.errors import TundishError

OWN_NAMES = ("card.yaml", "card.yml")
FOREIGN_NAMES = ("croissant.json", "metadata.json", "datapackage.json")
_MOST_CARDS = 20


@dataclass(frozen=True, kw_only=True)
class Known:
    """A card as it applies to a set.

    Attributes:
        card: The card.
        where: Where it came from, in words.
        own: True if it is in Tundish's own form, which has a key for everything.
        fits: True if the bytes have the digest that the card names, false if they have
            another, ``None`` if the card names none.
        ignored: Keys of a foreign card that were not understood.
    """

    card: Card
    where: str
    own: bool = True
    fits: bool | None = None
    ignored: tuple[str, ...] = ()


def beside(file: Path) -> tuple[Known | None, tuple[Assumption, ...]]:
    """Return the card beside a file, if one of the usual names covers it.

    A card that cannot be read is said and not used; it never fails the work on the
    file. Links are not followed.

    Args:
        file: The data file. Its folder is untrusted.
    """
    said: list[Assumption] = []
    for path in _candidates(file):
        try:
            known = load(path, file)
        except TundishError as error:
            said.append(
                Assumption(
                    what=f"the card {path.name} was not used",
                    why=error.message,
                    otherwise="mend it, or take it out of the folder",
                )
            )
            continue
        if known is not None:
            return known, tuple(said)
    return None, tuple(said)


def of_folder(folder: Path) -> Known | None:
    """Return the card of a folder as a whole, if it has one in a usual place.

    Raises:
        DocumentMalformedError, DocumentInvalidError, UnsafePathError: if the card that
            is there cannot be read.
    """
    for name in (*OWN_NAMES, *FOREIGN_NAMES):
        path = folder / name
        if path.is_file() and not path.is_symlink():
            return load(path)
    return None


def load(path: Path, file: Path | None = None) -> Known | None:
    """Read a card of any form.

    Args:
        path: The card.
        file: The data file it must cover; ``None`` to take it as it is.

    Returns:
        ``None`` if the card is not about the file.

    Raises:
        PathMissingError, DocumentMalformedError, DocumentInvalidError, UnsafePathError.
    """
    own = path.suffix in {".yaml", ".yml"}
    where, ignored = path.name, tuple[str, ...]()
    if own:
        card = read_card(path)
    else:
        foreign = read_foreign(path)
        card, ignored = foreign.card, foreign.ignored
        where = f"{path.name} ({foreign.form})"
    fits: bool | None = None
    if file is not None:
        beside_it = path.parent == file.parent
        within = file.name if beside_it else f"{file.parent.name}/{file.name}"
        entry = card.file(within)
        if entry is None and (card.files or not own or not beside_it):
            return None
        if entry is not None and entry.sha256 is not None:
            fits = digests.of_file(file) == f"sha256:{entry.sha256}"
    return Known(card=card, where=where, own=own, fits=fits, ignored=ignored)


def _candidates(file: Path) -> list[Path]:
    folder = file.parent
    named = [folder / f"{file.name}.card.yaml", *(folder / n for n in OWN_NAMES)]
    named += [folder / name for name in FOREIGN_NAMES]
    named += sorted(folder.glob("*croissant*.json"))[:_MOST_CARDS]
    # a package keeps its data in a folder below the card, which then names each file
    named += [folder.parent / name for name in (*OWN_NAMES, *FOREIGN_NAMES)]
    unique = dict.fromkeys(named)
    return [p for p in unique if p != file and p.is_file() and not p.is_symlink()]
