"""What the data room refuses."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class IndexUnreachableError(MachineError):
    """The package index that carries a public data set cannot be reached.

    What happened: pip was asked for the pinned wheel and found no index to talk to
    (no network, a proxy that refuses, a name that does not resolve).

    What to do: on a machine with a network, put the wheel that the message names into
    a folder (``pip download --no-deps`` does it), carry the folder over, and give
    ``--mirror FOLDER``. Or let pip's own configuration name your plant's index.
    """

    code = "index-unreachable"
    default_advice = (
        "Give --mirror FOLDER with the wheel in it, or name your index to pip."
    )


class SourceAbsentError(UsageError):
    """The package index, the host or the mirror does not have the pinned file.

    What happened: the index or the host answered (or the mirror folder was read), and
    the pinned version or file is not there.

    What to do: put the file into the mirror under its own name or under the 64 hex
    digits of its SHA-256, or use an index or a copy of the host that carries it.
    """

    code = "source-absent"
    default_advice = (
        "Give --mirror FOLDER with the named file in it, or use an index that has it."
    )


class HostUnreachableError(MachineError):
    """The host that publishes a data set cannot be reached, or breaks off again and again.

    What happened: no connection stood, its certificate was not good, the answers
    stopped coming or came too slowly, also after some tries. What had come is kept.

    What to do: give the command again; it goes on where it was. Without a network, run
    ``tundish data mirror OUT KEY`` on a machine that has one, carry the folder over, and
    give ``--mirror OUT``. A plant's own copy of a host is named by ``TUNDISH_GITHUB``,
    ``TUNDISH_HUGGINGFACE``, ``TUNDISH_ZENODO`` or ``TUNDISH_HTTPS``.
    """

    code = "host-unreachable"
    default_advice = "Give the command again (it goes on), or give --mirror FOLDER."


class HostRefusedError(MachineError):
    """The host of a data set answers, and does not give the file.

    What happened: it wants a login, limits how much is asked, or answers with an error.
    The message names its status.

    What to do: wait an hour if it limits what is asked. Else fetch the set on a machine
    that may, with ``tundish data mirror``, and give ``--mirror FOLDER``.
    """

    code = "host-refused"
    default_advice = "Wait and give the command again, or give --mirror FOLDER."


class RedirectRefusedError(RefusedError):
    """A host sends this machine on to a place that is not gone to.

    What happened: a redirect leads to plain HTTP, to an address within a network or on
    this machine, to one with a login in it, or there are too many of them.

    Why: a redirect is foreign text. It must not make this machine ask its neighbours,
    or speak where others can listen and change what is said.

    What to do: tell the maintainers of the catalogue; fetch the file elsewhere, and
    give ``--mirror FOLDER``.
    """

    code = "redirect-refused"
    default_advice = "Fetch the file elsewhere and give --mirror FOLDER."


class FetchTooLargeError(UsageError):
    """What is to be fetched is more than was allowed.

    What happened: the pinned sizes of what is not here yet are together above
    ``--max-bytes``. Nothing was fetched.

    What to do: give a greater ``--max-bytes``, or fewer sets.
    """

    code = "fetch-too-large"
    default_advice = "Give a greater --max-bytes, or fewer sets."


class LicenceNotAcceptedError(RefusedError):
    """A data set's terms must be accepted before it is fetched or used.

    What happened: its licence allows non-commercial use or research only (class N), or
    none is stated (class U). Nothing was fetched.

    Why: whoever uses such data in a plant may not be allowed to. A person must have
    read the terms; Tundish does not judge them.

    What to do: read the terms (``tundish data show KEY``). If your use fits, fetch with
    ``--accept-licence``; that is remembered beside the fetched sets, and stands in the
    ledger of the workspace. Terms that change are asked for again.
    """

    code = "licence-not-accepted"
    default_advice = (
        "If your use fits the terms: tundish data fetch KEY --accept-licence"
    )


class ByHandError(UsageError):
    """A data set is given out to people only, and its files were not named rightly.

    What happened: its maker wants a form, an account or a click, so no program fetches
    it; or the folder given by ``--from`` lacks a file that the entry names, or holds too
    many of them; or ``--from`` was given for a set that is fetched.

    What to do: ``tundish data show KEY`` tells the steps. Then
    ``tundish data fetch KEY --from FOLDER``.
    """

    code = "by-hand"
    default_advice = (
        "'tundish data show KEY' tells the steps; then fetch it with --from FOLDER."
    )


class MirrorInvalidError(UsageError):
    """A folder is no mirror of data sets that can be read.

    What happened: its ``index.json`` is not what ``tundish data mirror`` writes, or it
    names a file that leads outside.

    What to do: make the mirror again.
    """

    code = "mirror-invalid"
    default_advice = "Make it again with 'tundish data mirror'."


class PipMissingError(MachineError):
    """This Python has no pip, so nothing can be fetched from a package index.

    What happened: ``python -m pip`` does not exist or did not start here.

    What to do: ``python -m ensurepip``, or fetch the wheel elsewhere and give
    ``--mirror FOLDER``.
    """

    code = "pip-missing"
    default_advice = "Run 'python -m ensurepip', or give --mirror FOLDER."


class DigestMismatchError(RefusedError):
    """A fetched file is not the one that the catalogue pins.

    What happened: the SHA-256 of the bytes differs from the pinned one. The file was
    not used and nothing of it was kept.

    Why: a pinned set is known to the byte; other bytes are another set, or an attack.

    What to do: remove the file from the mirror or the index and fetch it again from its
    maker; if the maker published new bytes, a new catalogue entry is needed.
    """

    code = "digest-mismatch"
    default_advice = "Fetch the file again from its maker; do not use this copy."


class ArchiveUnsafeError(RefusedError):
    """An archive cannot be read within the limits.

    What happened: it is no archive, is damaged, holds the wanted name twice or not as
    a regular file, is encrypted, or would grow beyond the limits on size and ratio.

    Why: archives are a common way to fill a disk or to write outside a folder.

    What to do: ask its maker for a clean archive, or unpack it yourself and give the
    file that you want read.
    """

    code = "archive-unsafe"
    default_advice = "Unpack it yourself and give the file inside."


class TableUnreadableError(UsageError):
    """A file cannot be read as a table.

    What happened: it is empty, is no text table of a known form, or more than one line
    in twenty has another number of fields than the rest. The message says which.

    What to do: export it again as CSV (one header line, one record per line) or
    Parquet. A damaged download shows as a ragged or binary file too.
    """

    code = "table-unreadable"
    default_advice = "Export it again as CSV with one header line, or as Parquet."


class TableTooLargeError(UsageError):
    """A table is larger than what one machine will read into memory here.

    What happened: the file, or what it unpacks to, is above the limit in the message.

    What to do: split it by time or by unit, or store it as Parquet with fewer columns.
    """

    code = "table-too-large"
    default_advice = "Split it by time or unit, or keep only the columns you need."


class SheetMissingError(UsageError):
    """A table that was named is not in the file.

    What happened: ``--sheet`` names a sheet of a workbook, a member of an archive or a
    variable that the file does not have. The message lists those it has.

    What to do: use one of the names listed.
    """

    code = "sheet-missing"
    default_advice = "Use one of the names listed."


class ColumnMissingError(UsageError):
    """A column that was named is not in the table.

    What happened: ``--time``, ``--unit`` or ``--target`` (or a site profile) names a
    column that the file does not have. The message lists those it has.

    What to do: use one of the names listed, written exactly so.
    """

    code = "column-missing"
    default_advice = "Use one of the names listed, written exactly so."


class TimeUnreadableError(UsageError):
    """A column that was named as time cannot be read as time.

    What happened: fewer than 95 of 100 cells are times in one known form, or the zone
    that was named is none.

    What to do: write times as ISO 8601 (``2026-03-01T06:00:00+01:00``) or as seconds
    since 1970, or name another column; write the zone as ``Europe/Berlin``.
    """

    code = "time-unreadable"
    default_advice = "Write times as ISO 8601, or name another column."


class JoinImpossibleError(UsageError):
    """Results cannot be joined to the process data.

    What happened: no batch (or no time less the lag) of the results stands in the process
    data, the results carry no times, or the lag is no length of time. The message says
    which, with examples of what stands on both sides.

    What to do: write batches in the same way in both files (``--on A=B`` if the columns
    have different names), correct the lag (``--lag 40min``), or export the process data of
    that time.
    """

    code = "join-impossible"
    default_advice = "Give the batch's column with --on, or the delay with --lag 40min."


class UnitMismatchError(UsageError):
    """A unit of measurement is unknown, or cannot be converted to the contract's.

    What happened: the site profile (or a balance of the scenario) names a unit that
    nobody knows, or one that measures something else: kg/h cannot become m3/h without a
    density.

    What to do: write a usual unit (``m3/h``, ``degC``, ``bar``, ``kg/h``), correct the tag
    map, or give the density among the balance's constants.
    """

    code = "unit-mismatch"
    default_advice = "Correct the unit in the site profile or the scenario."


class SamplesEmptyError(UsageError):
    """No sample is left for a part of the work that needs one.

    What happened: after the contract, the gaps and the stretches named in the site
    profile were applied, a part (fit, judge ...) has no window, or no label was found.

    What to do: widen the stretch in ``uses``, correct the times, or bring more data.
    """

    code = "samples-empty"
    default_advice = "Widen the stretches under uses in the site profile."


class ReaderBrokenError(UsageError):
    """A reader does not keep what every reader promises.

    What happened: ``tundish.data.readers.check_reader`` found a promise broken; the
    message names it. Only authors of readers see this.

    What to do: mend the reader; the promises stand in ``Reader``.
    """

    code = "reader-broken"
    default_advice = "Mend the reader; the promises stand in its protocol."


class FolderInUseError(UsageError):
    """A package of a data set is not written over something else.

    What happened: the folder that was named holds files already, or is a file.

    What to do: name a folder that is new or empty.
    """

    code = "folder-in-use"
    default_advice = "Name a folder that is new or empty."


class NoKindError(UsageError):
    """The data is of a kind for which a grade makes no sense.

    What happened: it was recognised (the message says as what), and it is neither a
    table of measurements, nor pictures, texts or an event log.

    What to do: nothing, if you know what it is. If it was taken wrongly, name the kind
    with ``--kind``.
    """

    code = "no-kind"
    default_advice = "If that is wrong, name the kind: --kind table."


class PicturesUnfitError(UsageError):
    """A folder of pictures does not fit the scenario.

    What happened: a picture cannot be decoded, has a label that the scenario does not
    know, belongs to no group or lacks its template; or a group is both learnt from and
    judged.

    What to do: correct ``pictures`` in the site profile, or take the picture away.
    """

    code = "pictures-unfit"
    default_advice = "Correct 'pictures' in the site profile, or the file named."


class SetUnfitError(UsageError):
    """A file of a data set is not as its entry in the catalogue says.

    What happened: a file or a column is missing, a column of numbers holds texts, there
    are more or fewer records than the entry says, or the file lies the other way round.
    The message says what was found and what was expected.

    What to do: fetch the set again (``tundish data fetch``), which checks every byte. If
    the files are right, correct ``load`` in the entry.
    """

    code = "set-unfit"
    default_advice = "Fetch the set again, or correct 'load' in its entry."


class NotSimulatedError(UsageError):
    """The scenario does not say how its signals move.

    What happened: a stream was to be generated from a scenario that has no part
    ``simulation``.

    What to do: add that part to the scenario, or run it on a data set.
    """

    code = "scenario-not-simulated"
    default_advice = "Add a part 'simulation' to the scenario."


class StreamUnfitError(UsageError):
    """The numbers of a scenario give no stream that could be written.

    What happened: a stream was to be generated, and its part ``simulation`` asks for
    more values than fit into memory, for times that no calendar has, or its formulas and
    spreads lead to numbers that a computer does not have.

    What to do: correct the numbers that the message names.
    """

    code = "stream-unfit"
    default_advice = "Correct the part 'simulation' of the scenario."
