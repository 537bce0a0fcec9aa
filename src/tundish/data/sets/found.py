"""Find the files of a set that a form names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from tundish.catalog.setforms import Files
from tundish.data.errors import SetUnfitError
from tundish.kernel import paths
from tundish.kernel.texts import natural_order


def find_files(form: Files, root: Path, name: str) -> list[tuple[str, Path]]:
    """Return (path within the set, file), in an order in which 10 comes after 9.

    Links are not followed.

    Raises:
        SetUnfitError: if there are not as many as the form says.
    """
    found = _present(form, root)
    if len(found) != form.many:
        wanted = ", ".join(form.files[:4])
        msg = f"{name} needs {form.many} files ({wanted}) in {root.name}, and {len(found)} are there."
        raise SetUnfitError(
            msg,
            advice="Fetch the set again; --partial leaves out parts of which no file is there.",
        )
    return sorted(found.items(), key=lambda item: natural_order(item[0]))


def any_there(form: Files, root: Path) -> bool:
    """Tell whether any file is there that a form names."""
    return bool(_present(form, root))


def _present(form: Files, root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for pattern in form.files:
        if any(letter in pattern for letter in "*?["):
            found |= _matching(root, pattern)
            continue
        path = paths.join(root, pattern)
        if path.is_file():
            found[pattern] = path
    return found


def _matching(root: Path, pattern: str) -> dict[str, Path]:
    return {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if fnmatchcase(path.relative_to(root).as_posix(), pattern)
        and path.is_file()
        and not path.is_symlink()
    }
