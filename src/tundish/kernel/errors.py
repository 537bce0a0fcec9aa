"""One root for everything Tundish refuses, and the page behind each code.

An error class *is* its page: the class docstring says what happened, why it
matters and what to do, and ``tundish explain CODE`` prints it. Exit codes and
HTTP statuses are not here: faces keep their own tables (see ``cli.exits``).
"""

from __future__ import annotations

import inspect
from typing import ClassVar

from tundish.kernel.texts import visible

LONGEST = 1500


def plain(text: str) -> str:
    """Return a text cut to ``LONGEST``, with control letters written out.

    What is refused is foreign, and its names and values stand in the sentence that
    refuses it: they must neither steer a terminal nor flood a log.
    """
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    return visible(text)


class TundishError(Exception):
    """Something Tundish will not do, said in one sentence.

    Subclasses with a ``code`` are leaves: one code, one page. Subclasses without
    a code are families and are never raised themselves.

    Args:
        message: One sentence that names the thing, what was found and what was
            expected. It must not hold key material or the content of data.
        advice: What the reader can do now; defaults to the class's advice.
    """

    code: ClassVar[str] = ""
    default_advice: ClassVar[str] = ""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        self.message = plain(message)
        super().__init__(self.message)
        self.advice = self.default_advice if advice is None else advice

    def __str__(self) -> str:
        """Return the sentence, without code or advice."""
        return self.message

    def one_line(self) -> str:
        """Return ``[code] sentence Advice: ...`` on one line."""
        tail = f" Advice: {self.advice}" if self.advice else ""
        return f"[{self.code}] {self.message}{tail}".replace("\n", " ")


class UsageError(TundishError):
    """Family: what was asked for cannot be done as it was asked."""


class RefusedError(TundishError):
    """Family: a check that protects somebody failed; nothing was opened."""


class MachineError(TundishError):
    """Family: the machine, the disk or another process stands in the way."""


class PathMissingError(UsageError):
    """A file or folder that was named is not there.

    What happened: the path does not exist, or is a folder where a file is needed
    (or the reverse).

    What to do: check the spelling; relative paths start at the folder in which
    the command was given.
    """

    code = "path-missing"
    default_advice = "Check the spelling; relative paths start at the current folder."


class FileTooLargeError(RefusedError):
    """A file is far larger than what was asked for ever is.

    What happened: a key, a grant, a list, a document or a table of windows was named,
    and what lies there is larger than any of its kind. It was not read.

    What to do: check which file was meant.
    """

    code = "file-too-large"
    default_advice = "Check which file was meant."


class UnsafePathError(RefusedError):
    """A name inside a package, an archive or a data set would lead outside it.

    What happened: a stored name is absolute, has ``..`` in it, a drive letter, a
    backslash, a NUL or a form that different file systems read differently.

    Why: such names are how archives overwrite files outside their folder.

    What to do: do not use the file; ask its maker for a clean one.
    """

    code = "path-unsafe"
    default_advice = "Do not use this file; ask its maker for a clean one."


class AirGappedError(RefusedError):
    """A connection was asked for that an air-gapped workspace does not make.

    What happened: the workspace says ``air_gapped = true`` in ``tundish.toml``, or
    ``TUNDISH_AIR_GAPPED`` is set. Then no name is resolved, and only addresses that
    ``addresses`` lists there are connected to, and this machine itself. Nothing was
    asked and nothing was sent.

    What to do: write the plant's address instead of its name and list it, carry the
    file by hand, or fetch on a machine that has a network.
    """

    code = "air-gapped"
    default_advice = (
        "Write an address that 'addresses' in tundish.toml lists, or carry the file."
    )


class SettingInvalidError(UsageError):
    """A setting of the workspace cannot be understood.

    What happened: a value in ``tundish.toml`` is not of the form that it must have.

    What to do: correct it; the message names the value.
    """

    code = "setting-invalid"
    default_advice = "Correct the value in tundish.toml."


class NotCanonicalError(RefusedError):
    """A signed document is not written in canonical form.

    What happened: the bytes parse, but Tundish would have written them
    differently (spaces, key order, duplicate keys, NaN, number forms).

    Why: two texts for one meaning give two digests, and room to hide things.

    What to do: fetch the document again from its maker.
    """

    code = "json-not-canonical"
    default_advice = "Fetch the document again from its maker, unedited."


class DocumentMalformedError(UsageError):
    """A JSON or YAML document cannot be parsed, or is too large or too deep.

    What happened: the parser stopped; the message names the place.

    What to do: mend the document at that place. YAML anchors, aliases, tags and
    duplicate keys are refused on purpose.
    """

    code = "document-malformed"
    default_advice = "Mend the document at the place named."


class DiskFullError(MachineError):
    """The disk has no room left, so nothing was changed.

    What happened: writing stopped before the new file replaced the old one.

    What to do: free some space, or choose another folder, and give the command
    again; it goes on where it was.
    """

    code = "disk-full"
    default_advice = "Free some space and give the command again."


class PlaceRefusedError(MachineError):
    """The system does not let a file be read or written where it was named.

    What happened: the folder may not be written by this user, or is a file, or a
    folder stands where a file was to be, or the disk is read-only. The sentence gives
    the system's own reason.

    What to do: name another place, or have its owner allow it. Nothing was left
    half-written.
    """

    code = "place-refused"
    default_advice = "Name another place, or ask its owner for the right to it."


class OutputLostError(MachineError):
    """What the command had to say could not be written to its output.

    What happened: standard output was closed, or its disk is full. What was done is
    kept; the ledger has it.

    What to do: give the output another place. A code that is shown once is lost: have
    a new one made.
    """

    code = "output-lost"
    default_advice = "Give the output another place; what was done is kept."


class InterruptedByUserError(MachineError):
    """The command was stopped by Ctrl-C.

    What happened: you stopped it. Everything finished before is kept; the step
    under way left nothing half-written.

    What to do: give the command again; finished steps are not repeated.
    """

    code = "interrupted"
    default_advice = "Give the command again; what was finished is kept."


class InternalError(TundishError):
    """Tundish itself made a mistake.

    What happened: an exception that no room expected. This is a defect.

    What to do: run the command again with ``TUNDISH_DEBUG=1`` to see the
    traceback and report it with the version (``tundish --version``). Check the
    traceback for names you do not want to share.
    """

    code = "internal"
    default_advice = "Run again with TUNDISH_DEBUG=1 and report the traceback."


def leaves(root: type[TundishError] = TundishError) -> list[type[TundishError]]:
    """Return every loaded error class that has a code, sorted by code."""
    found: dict[str, type[TundishError]] = {}
    todo = [root]
    while todo:
        cls = todo.pop()
        todo.extend(cls.__subclasses__())
        if cls.code:
            found[cls.code] = cls
    return [found[code] for code in sorted(found)]


def page(cls: type[TundishError]) -> str:
    """Return the page of an error class: its docstring, cleaned."""
    return inspect.getdoc(cls) or cls.code
