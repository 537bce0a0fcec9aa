"""What the line refuses or cannot do, one page each."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class SourceUnreachableError(MachineError):
    """A server of the plant does not answer.

    What happened: no connection came about within the time allowed, or the server
    broke it off while the line was starting. Once a line runs, a lost connection is
    no error: the state turns red and the line connects again.

    What to do: check the endpoint, the cable and the firewall.
    """

    code = "source-unreachable"
    default_advice = "Check the endpoint, the cable and the firewall, then start again."


class NodeMissingError(UsageError):
    """A node that the line file names cannot be used on the server.

    What happened: the server has no node of that id, or does not let this user read
    (sources) or write (sinks) it, or its data type cannot hold the value.

    Why: a line that starts without one of its tags would look as if it ran.

    What to do: compare the node ids with the server's address space; namespace
    numbers change when a server is configured anew.
    """

    code = "node-missing"
    default_advice = "Compare the node ids in the line file with the server's."


class ControlInvalidError(UsageError):
    """The part ``control`` of a line file does not fit its contract.

    What happened: a formula or an interlock names a signal that the contract does not
    have, or one that is no single number.

    Why: an interlock that cannot be looked at protects nothing.

    What to do: name scalar signals of the scenario, or the answer's own numbers.
    """

    code = "control-invalid"
    default_advice = "Name scalar signals of the scenario, or the answer's own numbers."


class LinkRefusedError(RefusedError):
    """A server of the plant does not let this line in, or is not whom it should be.

    What happened: the server answered and refused the user, the password, the client
    or our certificate; or its own certificate is expired, for another host, or from an
    authority that the line file does not trust.

    Why: waiting does not mend it. While a line runs, it goes on trying all the same,
    since somebody may put it right meanwhile.

    What to do: the sentence says which of these it is; correct ``security`` in the
    line file, or let the server's administrator correct the server.
    """

    code = "link-refused"
    default_advice = "Correct security in the line file, or have the server corrected."


class SecretMissingError(UsageError):
    """A secret that a line file names is not there.

    What happened: the file or the variable of the environment is missing or empty, or
    the file holds no text.

    Why: a link that its owner wanted protected is not opened without its secret.

    What to do: put the secret there; a file should be readable for the line's user only.
    """

    code = "secret-missing"
    default_advice = (
        "Put the secret into the file or variable that the line file names."
    )


class StatusUnreadableError(RefusedError):
    """The file in which a line says what it does is damaged, or another's.

    What to do: let the line run; it writes the file anew every two seconds.
    """

    code = "status-unreadable"
    default_advice = "Let the line run: it writes the file anew every two seconds."


class CertificateUnusableError(UsageError):
    """A certificate or key that a line file names cannot be used.

    What happened: the file is not there or holds none, the key belongs to another
    certificate, or its password is wrong.

    Why: a link that its owner wanted protected is not opened without it.

    What to do: check the files under ``security`` in the line file.
    """

    code = "certificate-unusable"
    default_advice = "Check the files under 'security' in the line file."


class SecurityRefusedError(RefusedError):
    """A server and the line file do not agree on how the link is protected.

    What happened: the server does not offer the policy and mode that the line file asks
    for, does not trust the line's certificate, refuses the user, or wants a password in
    clear.

    Why: what the line file asks for is what is used; the line never falls back to less.

    What to do: let the server offer that policy, or change the line file; have the
    server's owner trust the line's certificate (the file ``security.certificate``).
    """

    code = "security-refused"
    default_advice = (
        "Let the server offer what the line file asks for, or change the line file."
    )


class SinkRefusedError(RefusedError):
    """A server does not accept what the line writes to it.

    What happened: the server answered a write with a refusal that will not go away
    by itself (not writable, wrong type, no rights, no status codes accepted).

    Why: an answer without its quality could be taken for a good one.

    What to do: let the server accept value, status and source time on this node.
    """

    code = "sink-refused"
    default_advice = "Let the server accept value, status and source time here."


class HistoryUnavailableError(MachineError):
    """A server cannot give the samples that were missed.

    What happened: it keeps no history of the node, or refuses to read it.

    Why: what cannot be had is recorded as a gap; it is never filled by guessing.

    What to do: switch on the historian for this node if gaps matter.
    """

    code = "history-unavailable"
    default_advice = "Switch on the server's historian for this node."


class BufferLockedError(MachineError):
    """Another process holds the line's buffer.

    What happened: the buffer's file stayed locked longer than Tundish waits. Most
    often the same line is already running. Nothing was changed.

    What to do: end the other process, or give this line a buffer of its own.
    """

    code = "buffer-locked"
    default_advice = "End the other process that holds this buffer."


class BufferUnreadableError(MachineError):
    """The line's buffer is damaged, or the file is no buffer.

    What happened: the file at the buffer's place was not written by Tundish as a
    buffer, or the disk does not let Tundish read or write it.

    Why: starting afresh over it would lose what was acknowledged.

    What to do: check the path; keep the damaged file and name another one.
    """

    code = "buffer-unreadable"
    default_advice = "Check the path; keep the file and name another one."


class BufferOfOtherLineError(RefusedError):
    """The buffer belongs to another line.

    What happened: it holds samples of another scenario or of other signals.

    Why: samples of two lines in one buffer would be scored as if they were one.

    What to do: give each line a buffer of its own.
    """

    code = "buffer-other-line"
    default_advice = "Give each line a buffer of its own."


class ModeRefusedError(RefusedError):
    """The line may not run in this mode.

    What happened: the line file asks for more than the scenario allows
    (``perceive`` < ``advise`` < ``control``), or for ``control``, which this
    version does not carry out at all.

    Why: who decides is part of the contract, not of a configuration file.

    What to do: run in ``shadow`` mode, or have the scenario's autonomy decided anew
    by those who bear its risk.
    """

    code = "mode-refused"
    default_advice = "Run the line in shadow mode."


class LinePluginMissingError(UsageError):
    """No plug-in is installed for a kind of source or sink.

    What happened: the line file names a kind that no installed package offers, or
    the library that it needs is not installed.

    What to do: correct the kind, or install the extra: ``pip install tundish[line]``
    (``kafka`` and ``archive`` have extras of their own names).
    """

    code = "line-plugin-missing"
    default_advice = (
        "Correct the kind, or install the extra: pip install tundish[line]."
    )


class LineFileInvalidError(UsageError):
    """A line file does not fit the scenario it is to run, or itself.

    What happened: a signal of the contract has no node, a node is named for a signal
    that the contract does not have, one signal has two sources, or a source or sink
    says what its kind does not know or what does not go together.

    What to do: mend what the message names; each signal of the scenario needs exactly
    one node, and the page of the kind says what may stand there.
    """

    code = "line-file-invalid"
    default_advice = "Mend what is named in the line file; each signal needs one node."


class RecordingInvalidError(UsageError):
    """A recording to be replayed cannot be used.

    What happened: the file is no recording, or its times do not rise.

    What to do: write it again with ``write_recording``.
    """

    code = "recording-invalid"
    default_advice = "Write the recording again."


class ReplayFailedError(MachineError):
    """The replayed plant did not start or ended too early.

    What happened: the child process with the OPC UA server ended, or was not ready
    in time; the message quotes the end of what it said.

    What to do: check that the extra ``line`` is installed and the port is free.
    """

    code = "replay-failed"
    default_advice = "Check that the extra 'line' is installed and the port is free."


class VersionsUnreadableError(MachineError):
    """The file beside a line's buffer does not tell its versions.

    What happened: the file that ends in ``.versions`` was damaged or written by hand.
    It decides nothing: which package serves stands in the ledger.

    What to do: remove it; the line, or the next ``tundish line stage``, writes it anew
    from the ledger.
    """

    code = "versions-unreadable"
    default_advice = "Remove it: it is written anew from the ledger."


class ShadowNonsenseError(RefusedError):
    """The process of a staged package said something that has no form.

    What happened: the process in which a staged package runs in shadow sent bytes that
    are no answers. It was ended; the serving package goes on.

    What to do: do not switch to this package. Stage it again to try once more.
    """

    code = "shadow-nonsense"
    default_advice = "Do not switch to this package; stage it again to try once more."
