"""What the verbs refuse."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class WorkspaceMissingError(UsageError):
    """There is no workspace here.

    What happened: neither this folder nor one above it holds a ``tundish.toml``.

    What to do: go to the workspace's folder, name it with ``--workspace DIR``, or
    make one with ``tundish init DIR``.
    """

    code = "workspace-missing"
    default_advice = "Make one with 'tundish init DIR', or name it with --workspace."


class WorkspaceExistsError(UsageError):
    """There is a workspace already.

    What happened: the folder holds a ``tundish.toml``. It was left as it is: its
    keys sign what you shipped, and new ones would orphan it.

    What to do: use it, or choose another folder.
    """

    code = "workspace-exists"
    default_advice = "Use it, or choose another folder."


class AnswerMissingError(UsageError):
    """Something was to be typed, and nobody was there to type it.

    What happened: the command asks at a terminal and reads standard input otherwise;
    there was no terminal, and standard input was empty or ended before the last
    question. Nothing was written.

    What to do: run it at a terminal, or write the answers to its standard input.
    """

    code = "answer-missing"
    default_advice = "Run it at a terminal, or write all answers to its standard input."


class ExtraMissingError(MachineError):
    """A verb needs libraries that the base install leaves out.

    What happened: the base install is kept small for edge boxes. Grading, training
    and the OPC UA line have extras of their own.

    What to do: install the extra that the message names.
    """

    code = "extra-missing"
    default_advice = "Install the extra named."


class EngineUnfitError(UsageError):
    """The engine cannot take this data.

    What happened: ``--engine ray`` cuts one Parquet file into its row groups. Other
    files, folders and sets of the catalogue are graded in one process.

    What to do: store the table as Parquet, or leave ``--engine`` out.
    """

    code = "engine-unfit"
    default_advice = "Store the table as Parquet, or leave --engine out."


class SetAbsentError(UsageError):
    """A folder does not hold a data set that was asked for by its key.

    What happened: ``tundish data verify KEY --mirror FOLDER`` found no file of the set
    there, or only some. Nothing that is there differs.

    What to do: ``tundish data mirror FOLDER KEY`` adds what is missing; or leave the
    key out to prove what is there.
    """

    code = "set-absent"
    default_advice = "'tundish data mirror FOLDER KEY' adds what is missing."


class RunMissingError(UsageError):
    """There is no run of that name in the workspace, or none at all.

    What to do: train one (``tundish train``); ``tundish runs`` lists the runs; the name may be shortened as long as
    it names one run only.
    """

    code = "run-missing"
    default_advice = "'tundish runs' lists the runs of this workspace."


class RunDamagedError(RefusedError):
    """The files of a run are not what the run record says.

    What happened: a digest in ``run.json`` does not fit the graph, the golden check
    or the data beside it.

    What to do: train again; the run record repeats the training bit for bit.
    """

    code = "run-damaged"
    default_advice = "Train again; the same data and options give the same graph."


class NotAcceptedError(RefusedError):
    """A model that the judge did not accept is not sealed.

    What happened: the run has no verdict yet, or the verdict is ``refused``, or the
    graph differs from the trained estimator by more than the scenario allows.

    Why: what is sealed goes to a line. A refused model that must travel all the
    same (to be studied) can be copied as a plain file.

    What to do: look at the limits that were missed with ``tundish judge``; mend the
    data or the recipe.
    """

    code = "not-accepted"
    default_advice = "See which limit was missed with 'tundish judge RUN'."


class GateFailedError(RefusedError):
    """The data does not pass a hard gate of the grade, so nothing was trained.

    What happened: ``tundish run`` grades first. A gate such as leakage, a licence that
    forbids the use, or rows of the same part on both sides of a split failed.

    Why: a model that is trained on such data looks good and is not, or may not be made.

    What to do: mend what the gate names (``tundish grade DATA --scenario ... --site
    ...`` shows all of it). ``--despite-gates`` goes on for a study; the grade stays as
    it is in the ledger.
    """

    code = "gate-failed"
    default_advice = "Mend what the gate names; 'tundish grade' shows all of it."


class IdentityMissingError(UsageError):
    """This workspace cannot issue a grant for that package.

    What happened: a grant carries the package's own identity, which only the
    workspace that sealed it holds. A package that is not encrypted needs no grant.

    What to do: issue the grant in the workspace that sealed the package.
    """

    code = "identity-missing"
    default_advice = "Issue the grant in the workspace that sealed the package."


class GrantMissingError(UsageError):
    """The package is encrypted, and no grant was named.

    What to do: ask the package's owner for a grant for this device (``tundish
    device`` prints the line they need) and name it with ``--grant FILE``.
    """

    code = "grant-missing"
    default_advice = "Name the grant with --grant FILE; 'tundish device' prints what its issuer needs."


class WindowFileError(UsageError):
    """A file of windows cannot be scored.

    What happened: it is no table of comma-separated numbers, or its width is not the
    number of channels that the scenario's contract names.

    What to do: write one row per time step and one column per channel, in the
    contract's order and units (``tundish scenario show KEY``). Data in the plant's
    own form goes through a site profile and ``tundish line run``.
    """

    code = "window-file"
    default_advice = "One row per time step, one column per channel, in the contract's order and units."


class AlarmMissingError(UsageError):
    """A line had no alarm at the moment that was named.

    What to do: look at 'tundish line alarms LINE.yaml' for the moments.
    """

    code = "alarm-missing"
    default_advice = "Look at: tundish line alarms LINE.yaml"


class ApprovalMissingError(RefusedError):
    """A line may not write requests: too few persons have approved it.

    What happened: the scenario's risk and ambiguity ask for more approvals than the line
    file names, or one of them is for another line, package or envelope, has ended, or
    comes from a person who is counted already.

    Why: nobody's plant is moved by a file that one person changed.

    What to do: let somebody whose key is trusted here give 'tundish line approve'.
    """

    code = "approval-missing"
    default_advice = "Let a trusted person give: tundish line approve LINE.yaml"


class TrustMissingError(UsageError):
    """Nobody is trusted here, so no signature can count.

    What happened: a signed file was to be verified outside any workspace, and no public
    key was named.

    What to do: get the signer's public key by a way you trust and name it with ``--key
    FILE``, or work in a workspace and add the key there with ``tundish trust FILE``.
    """

    code = "trust-missing"
    default_advice = "Name the signer's public key with --key FILE."


class DataMovedError(RefusedError):
    """The data changed while it was being worked on.

    What happened: the digest before grading is not the digest after it. Nothing was
    signed or written.

    Why: a grade must speak for one version of the data.

    What to do: give the command again when nothing writes to the data, or copy it first.
    """

    code = "data-moved"
    default_advice = "Copy the data first, and give the command for the copy."


class ProviderEvidenceError(RefusedError):
    """A piece of a provider's evidence does not show what the card says.

    What happened: the file has other bytes than the card names, was not signed by the
    key of the card, is of another sector or scenario, was not accepted, or has a grade
    below B.

    What to do: take the skill for a claim, and ask the provider. Evidence of others does
    not count for a card: it must bear the signature of the key that signed the card.
    """

    code = "provider-evidence-refused"
    default_advice = "Take the skill for a claim, and ask the provider."


class ScenarioPlaceError(UsageError):
    """There is no such sector and reference scenario.

    What to do: name a division of GB/T 4754 (C13 to C43, D44 to D46) and a number from
    1 to 40, such as ``C34.27``, or the key of a scenario.
    """

    code = "scenario-place-unknown"
    default_advice = "Name a sector and a number from 1 to 40, such as C34.27."


class EvidenceThinError(UsageError):
    """There is not enough to sign a plant's evidence for.

    What happened: the package was not sealed here, was learnt from data that is not the
    plant's own, or answered on the line for too short a time.

    Why: "proven" is the highest level of a scenario. It rests on a model of the plant's
    own data that was accepted, and on a line that every shift has seen.
    """

    code = "evidence-thin"
    default_advice = "Let the line run on, in shadow if need be; then sign again."


class OutExistsError(UsageError):
    """There is something already where something new was to be written.

    What happened: the file or folder named exists. It was left as it is.

    Why: a version of a data set is never written over another one, and a grant, a
    delta, a list, a request or a card takes the place of a file of its own kind only: no
    package, key, ledger or data is lost by a slip, and nothing that a person filled in.

    What to do: name another file or folder, or move the old one away yourself.
    """

    code = "out-exists"
    default_advice = "Name a file or folder that is not there yet."


class NameTakenError(UsageError):
    """A data set cannot be registered under that name.

    What happened: the name is the key of a set of the catalogue, and one name must
    mean one thing.

    What to do: give another one with ``--name``.
    """

    code = "name-taken"
    default_advice = "Give another name with --name."


class SetDamagedError(RefusedError):
    """What the workspace keeps of a registered data set cannot be read.

    What happened: the file below ``.tundish/sets`` is not what Tundish writes.

    What to do: register the set again.
    """

    code = "set-damaged"
    default_advice = "Register the set again: 'tundish data register PATH'."


class ReuseRefusedError(RefusedError):
    """A new version may not carry the ciphertext of the one that was named.

    What happened: what was named is not the last version sealed here, is not encrypted,
    has another graph or another marked file, or was encrypted to others too; or the package, a grant for it, the device
    of such a grant or the key that signed it was revoked.

    Why: whoever holds a grant for the old version has its identity, and the same
    identity then opens the new one. Where somebody was meant to be locked out, a new
    version gets a new identity.

    What to do: seal without ``--reuse``; the package is then encrypted anew.
    """

    code = "reuse-refused"
    default_advice = "Seal without --reuse; the package is then encrypted anew."


class FingerprintUnreadableError(RefusedError):
    """A fingerprint does not open here.

    What happened: the file is no fingerprint, was changed, or was made in another
    workspace: it is encrypted to its owner.

    What to do: name a file below ``.tundish/fingerprints`` of the workspace that made
    it.
    """

    code = "fingerprint-unreadable"
    default_advice = "Name a fingerprint that was made in this workspace."


class FingerprintUncommittedError(RefusedError):
    """The ledger knows nothing of a fingerprint.

    What happened: no entry commits to this fingerprint.

    Why: questions chosen after a suspect was seen can be made to fit any suspect. Only a
    commitment from before is a proof.

    What to do: use the fingerprint whose commitment the ledger holds (``tundish ledger
    log``).
    """

    code = "fingerprint-uncommitted"
    default_advice = "Use the fingerprint whose commitment stands in the ledger."


class FingerprintLateError(RefusedError):
    """A package of the model was sealed before its fingerprint was committed.

    What happened: the ledger has the seal first and the commitment second, or has the
    seal and no commitment yet.

    Why: once a model is out, questions can be made from a suspect's own answers, and
    such a fingerprint proves nothing.

    What to do: make the fingerprint before the first seal (``tundish seal
    --fingerprint`` does both in order). For a model that is out, train a new one.
    """

    code = "fingerprint-late"
    default_advice = "Make the fingerprint before the first seal: 'tundish seal' or 'tundish run' with --fingerprint."


class AnswersFileError(UsageError):
    """A file of answers, or of windows, does not fit.

    What happened: the number of lines is not the number of windows asked, a line is no
    number, the suspect has no output of that name, or an array has another shape.

    What to do: give the windows of ``tundish fingerprint questions`` to the suspect in
    their order, and write one line for each: a number, a class, or one number for each
    class.
    """

    code = "answers-file"
    default_advice = (
        "One line for each window of 'tundish fingerprint questions', in their order."
    )


class UnlabelUnfitError(UsageError):
    """Doubtful labels cannot be taken away from this file.

    What happened: ``loop --accept-relabel`` copies the data and leaves the doubtful
    labels empty. It does so only where labels stand row by row in a text file with a
    heading, and where the cell holds the very label that was doubted.

    What to do: take the labels away in the system they come from; ``gaps.json`` beside
    the run lists them. Then name the new folder with ``loop --data-next``.
    """

    code = "unlabel-unfit"
    default_advice = "Take the labels listed in gaps.json away at their source, then use --data-next."


class CertificateOrderError(UsageError):
    """A certificate for OPC UA was ordered with something that it cannot say.

    What happened: a host is no name or address, the application URI is no URI, or the
    key's length is none that OPC UA takes.

    What to do: name the box as the server knows it, and leave the rest to the defaults.
    """

    code = "certificate-order"
    default_advice = "Name the box as the server knows it; leave the rest out."


class NothingRecordedError(UsageError):
    """A recording ended and there is nothing in it.

    What happened: no source gave a sample with a time before the end.

    What to do: look at the sources with ``tundish line check``, or record for longer.
    """

    code = "nothing-recorded"
    default_advice = "Look at the sources first, or record for longer."


class RecordLengthError(UsageError):
    """How long to record was said in a form that is no length of time.

    What happened: a number with s, min, h or d was expected.

    What to do: write ``--for 90s``, ``--for 30min`` or ``--for 8h``.
    """

    code = "record-length"
    default_advice = "Write it as 90s, 30min or 8h."


class VersionUnfitError(RefusedError):
    """A package cannot be staged on this line.

    What happened: it serves already, or its contract is not the one that the line runs:
    other signals, units, rates, window, task or target. Then what is lined up for the
    old package is not what the new one asks for.

    What to do: make a line of its own for it, in mode ``shadow``, and change over by hand.
    """

    code = "version-unfit"
    default_advice = "Make a line of its own for it; this one keeps its contract."


class VersionNotStagedError(RefusedError):
    """A line file names a package that was never staged on its line.

    What happened: versions of this line's package have been staged, so its ledger says
    which one serves. The line file names another one, or another one lies in the place
    of the copy beside the buffer. It answers nothing.

    What to do: name the package of before in the line file, and stage the new one with
    ``tundish line stage``; or give the line file another name and another buffer. If a
    copy was changed for another package, ask who did it.
    """

    code = "version-not-staged"
    default_advice = (
        "Put the package of before back, and stage the new one: tundish line stage."
    )


class NothingStagedError(UsageError):
    """No package is staged for this line.

    What happened: a change or a withdrawal was asked for, and nothing runs in shadow.

    What to do: stage the new version with ``tundish line stage``; ``tundish line status``
    shows what stands where.
    """

    code = "nothing-staged"
    default_advice = "Stage the new version first: tundish line stage LINE PACKAGE."


class NothingToRollBackError(UsageError):
    """No package served before on this line.

    What happened: a roll-back was asked for, and there was no change, or it was rolled
    back already.

    What to do: ``tundish line status`` shows what stands where. ``tundish line unstage``
    takes a staged package away.
    """

    code = "nothing-to-roll-back"
    default_advice = "See what stands where: tundish line status LINE."


class ChangeUsedError(RefusedError):
    """A change record was used before; each one is good for one switch.

    What happened: the ledger holds a switch by this very record.

    What to do: ask for a new one: ``tundish line change``.
    """

    code = "change-used"
    default_advice = "Sign a new one: tundish line change LINE."


class PackMissingError(UsageError):
    """There is no scenario pack of that name.

    What happened: what was named is neither a folder nor a pack that an installed Python
    package brings; or no pack of that name was added to this workspace.

    What to do: ``tundish scenario packs`` lists those that are here.
    """

    code = "pack-missing"
    default_advice = "See which there are: tundish scenario packs."


class PackOlderError(RefusedError):
    """A scenario pack is older than, or another than, the one that was here.

    What happened: the ledger has a later release of this pack, another pack with the same
    release, or one of the same name by another signer. An old release that is still signed
    would bring back what its maker has mended since.

    What to do: ask the maker for the newest release. Who makes a pack raises ``release``
    in ``pack.yaml`` whenever anything in it changes.
    """

    code = "pack-older"
    default_advice = "Ask its maker for the newest release."


class WheelTargetError(UsageError):
    """A wheelhouse was asked for a machine or an extra that Tundish does not know.

    What to do: name a platform as pip does (``linux_x86_64``, ``manylinux_2_28_aarch64``,
    ``win_amd64``, ``macosx_11_0_arm64``), Python 3.11 or later, and an extra of the list
    in the message.
    """

    code = "wheel-target"
    default_advice = (
        "Name one as pip does: linux_x86_64, manylinux_2_28_aarch64, win_amd64."
    )


class WheelMissingError(MachineError):
    """pip found no wheel for one of the machines.

    What happened: a library has no wheel for this platform and Python version, or the
    one that is there does not fit the others. Nothing is built from source: a box
    without network has no compiler.

    What to do: choose another Python version or a newer platform tag, or leave out the
    extra that needs the library. What was fetched stays; the same command goes on.
    """

    code = "wheel-missing"
    default_advice = (
        "Choose another --python or --platform, or leave out the extra that needs it."
    )


class PipFailedError(MachineError):
    """pip could not do its work.

    What happened: there is no pip for this interpreter, it reached no package index, or
    it stopped for another reason, which the message tells.

    What to do: see to the network or to pip's own settings (``pip config list``), and
    give the same command again: what was fetched stays.
    """

    code = "pip-failed"
    default_advice = (
        "See to the network or pip's settings; the same command goes on from there."
    )


class WheelMalformedError(RefusedError):
    """A wheel cannot be read, or is not what its name says.

    What happened: it was broken off when it was copied, or was changed.

    What to do: remove it and give the command again, or copy the folder again.
    """

    code = "wheel-malformed"
    default_advice = "Remove it and give the command again, or copy the folder again."


class WheelhouseChangedError(RefusedError):
    """A wheelhouse is not what its manifest says.

    What happened: a file is missing, was changed, or is there that the manifest does not
    name; or the signature does not belong to the manifest, or is missing.

    What to do: copy the folder again from where it was made. A wheelhouse that nobody
    signed is accepted with ``--unsigned`` only, and that shows no more than that it was
    not damaged on its way.
    """

    code = "wheelhouse-changed"
    default_advice = "Copy the folder again from where it was made."


class WheelhouseUnfitError(UsageError):
    """A wheelhouse cannot be made in this folder.

    What happened: the folder holds other files, or a wheelhouse of another order.

    What to do: choose another folder.
    """

    code = "wheelhouse-unfit"
    default_advice = "Choose another folder."
