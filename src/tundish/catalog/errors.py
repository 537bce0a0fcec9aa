"""What the catalogue refuses."""

from __future__ import annotations

from tundish.kernel.errors import RefusedError, UsageError


class DocumentInvalidError(UsageError):
    """A scenario, site profile or data-set entry breaks its schema.

    What happened: the file is readable YAML, but a key is missing, unknown, or has
    a value of the wrong kind. The message gives the path of each key, for example
    ``signals[0].range``.

    What to do: mend the keys named. ``tundish scenario show`` prints a complete
    example; unknown keys are refused so that a misspelt limit is never ignored.
    """

    code = "document-invalid"
    default_advice = "Mend the keys named; unknown keys are refused on purpose."


class FileListRefusedError(RefusedError):
    """The list of a data set's files is not the one that its entry pins, or is wrong.

    What happened: beside an entry lies ``KEY.files.tsv``, one line for each file with
    its place, bytes and SHA-256. Its own SHA-256 is not the one in the entry, or a line
    is not of the form: a name that leads outside, a branch instead of a commit, a
    digest that is none, a name that stands twice. The message says which.

    Why: the list says what is fetched and how it is checked. Who can change it can
    bring other data.

    What to do: take entry and list from the same release. In an entry of your own, put
    the number of files, their bytes and the list's SHA-256 into ``source``.
    """

    code = "file-list-refused"
    default_advice = "Take the entry and its list from the same release."


class PackMalformedError(UsageError):
    """A folder is no scenario pack, or a document in it is wrong.

    What happened: a pack is a folder with ``pack.yaml``, and with ``scenarios``,
    ``sites``, ``datasets`` and ``evidence`` where it needs them. Something else lies in
    it, a document breaks its schema or has another key than its file name, or a name is
    taken by the catalogue. Each fault is named.

    What to do: mend what is named, and sign the pack again. One that came from somebody
    else is mended there.
    """

    code = "pack-malformed"
    default_advice = (
        "Mend what is named and sign the pack again: tundish scenario pack."
    )


class UnknownNameError(UsageError):
    """The catalogue has no scenario, site or data set of that name.

    What happened: the name is neither a file nor a name in the catalogue.

    What to do: use one of the names that the message lists, or give a path.
    """

    code = "name-unknown"
    default_advice = "Use one of the names listed, or give the path of a file."


class ConditionInvalidError(UsageError):
    """An expression (for example "the machine runs when") cannot be used.

    What happened: it is not a comparison of tags with numbers joined by ``and``,
    ``or``, ``not``, or it names a tag that the data does not have.

    What to do: write something like ``P_avg > 0 and not Ws_avg < 3``. Put a tag with
    blanks, brackets or dashes in quotes: ``'Pump P-101 [A]' > 5``. Function calls and
    subscripts are refused: an expression is data.
    """

    code = "condition-invalid"
    default_advice = "Write comparisons such as 'P_avg > 0 and Ws_avg >= 3'."


class ContractBrokenError(RefusedError):
    """A data set lacks signals that the scenario's contract needs.

    What happened: after the site profile's tag map was applied, a column that the
    contract names is missing (a column is missing, or a spectrum has another
    number of channels).

    What to do: correct the tag map in the site profile, or choose the scenario that
    fits the signals you have.
    """

    code = "contract-broken"
    default_advice = "Correct the tag map in the site profile, or check the export."
