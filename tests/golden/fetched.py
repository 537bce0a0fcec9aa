"""Make the golden files of fetching: a cache with its notes, and a mirror with its index."""

from __future__ import annotations

from pathlib import Path

from tests.data.hosts import entry_of, list_of
from tests.data.test_fetch_hand import LABELS, by_hand
from tests.model.conftest import NOW

from tundish.data.fetch import copying, obtain
from tundish.data.fetch.obtain import How
from tundish.flows import terms
from tundish.kernel import canonical
from tundish.kernel.clock import ManualClock

FILES = {"runs/a.csv": b"time,flow\n0,1\n", "note.txt": b"of a plant\n"}
CLOSED = {"name": "CC BY-NC 4.0", "stated_in": "LICENSE", "kind": "N"}
README = """# A cache of fetched sets, and a mirror made from it

Every later version must read both (`tests/golden/test_fetched.py`): a plant keeps its cache and its
USB stick over a change of version. Nothing in it is real data; nobody publishes these sets.
"""


def add(folder: Path) -> None:
    """Write a cache, a mirror, and the entries of their sets."""
    folder.mkdir()
    cache, mirror, come = folder / "cache", folder / "mirror", folder / "come"
    tree, listed = entry_of(FILES, licence=CLOSED)
    hand = by_hand()
    for name, data in {**FILES, "97.mat": b"normal", "labels.csv": LABELS}.items():
        (come / name).parent.mkdir(parents=True, exist_ok=True)
        (come / name).write_bytes(data)
    terms.admit(tree, cache, accept=True, clock=ManualClock(NOW))
    obtain.fetch(tree, listed, cache, How(mirror=come))
    obtain.fetch(hand, (), cache, How(by_hand=come))
    for entry, files in ((tree, listed), (hand, ())):
        held = copying.add(entry, files, mirror, cache, How())
        copying.note(mirror, entry.key, held)
        said = canonical.dumps(entry.to_json())
        (folder / f"{entry.key}.yaml").write_bytes(said)
    (folder / "plantset.files.tsv").write_bytes(list_of(FILES))
    (folder / "README.md").write_text(README)
    for name in ("97.mat", "labels.csv", *FILES):
        (come / name).unlink()
    (come / "runs").rmdir()
    come.rmdir()
    for lock in (*cache.rglob(".lock"), *mirror.rglob(".lock")):
        lock.unlink()
    for empty in (cache / "halves").iterdir():
        empty.rmdir()
    (cache / "halves").rmdir()
