"""What packages, graphs and sessions refuse, one page each."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class PackageMalformedError(RefusedError):
    """A file or folder is no Tundish package.

    What happened: the archive, its index or one of its documents has a form that
    Tundish would not write; the message names it.

    Why: a byte that nobody checks is a byte to hide things in.

    What to do: fetch the package again. A model from another tool comes in by
    ``import`` only.
    """

    code = "package-malformed"
    default_advice = "Fetch the package again, unedited, from its maker."


class PackageUnsignedError(RefusedError):
    """A package has no signature.

    What happened: there is no ``model.sig`` in it.

    What to do: ask its maker for the signed package.
    """

    code = "package-unsigned"
    default_advice = "Ask its maker for the signed package."


class PackageFileChangedError(RefusedError):
    """A file in a package is not the one that was signed.

    What happened: its size or its SHA-256 differs from the signed one.

    What to do: do not use the package; fetch it again from its maker.
    """

    code = "package-file-changed"
    default_advice = "Do not use it; fetch the package again from its maker."


class PackageFileMissingError(RefusedError):
    """A file that was signed is not in the package, or one that every package has.

    What to do: fetch the package again from its maker.
    """

    code = "package-file-missing"
    default_advice = "Fetch the package again from its maker."


class PackageFileExtraError(RefusedError):
    """A package holds a file that nobody signed, or of a kind that is not allowed.

    Why: an unsigned file beside signed ones looks trustworthy and is not. Packages
    hold plain files only: no folders, no links, no programs.

    What to do: do not use the package; fetch it again from its maker.
    """

    code = "package-file-extra"
    default_advice = "Do not use it; fetch the package again from its maker."


class ModelFormatError(RefusedError):
    """A foreign model holds a file of a format that does not come in.

    What happened: the file is a pickle, an archive, native code or anything else but
    an ONNX graph, safetensors, JSON, YAML or text; or its bytes are not what its name
    says.

    Why: several model formats run code when they are loaded, whatever a scanner says.
    So only formats that can hold nothing but data are let in.

    What to do: ask for the model as ONNX, or convert it where it was made.
    """

    code = "model-format"
    default_advice = "Ask for the model as ONNX, converted where it was made."


class PackageExpiredError(RefusedError):
    """A package is past the date up to which it was signed.

    What happened: ``not_after`` in its signed statement has passed by this
    machine's clock.

    What to do: ask its maker for a version that is still supported.
    """

    code = "package-expired"
    default_advice = "Ask its maker for a version that is still valid."


class PackageTooLargeError(RefusedError):
    """A package, or a file in it, is larger than Tundish reads.

    What to do: if it is meant to be that large, split the product into several
    packages.
    """

    code = "package-too-large"
    default_advice = "Check where it comes from; split a product that is this large."


class DeltaMalformedError(RefusedError):
    """A file is no delta, or not the one that Tundish would make.

    What happened: the archive, its ``delta.json`` or a blob in it has another form; a
    blob is missing, or one is there that the base has already; the message names it.

    Why: for two packages there is one delta and one only, so that no byte of it can
    hide anything.

    What to do: fetch the delta again from its maker, or the whole package.
    """

    code = "delta-malformed"
    default_advice = "Fetch the delta again, unedited, or the whole package."


class DeltaOtherBaseError(RefusedError):
    """A delta starts from another package than the one that was named.

    What happened: its ``delta.json`` names the manifest of the package it starts from,
    and the base has another one: another version, or more or fewer signatures.

    What to do: name the version that the message says, or fetch the whole package.
    """

    code = "delta-other-base"
    default_advice = "Name the version it starts from, or fetch the whole package."


class DeltaOtherProductError(RefusedError):
    """A delta, its base or its result are not of one product.

    What happened: a delta leads from one version of a product to another one of the
    same product, and the packages that were named are of two.

    What to do: name packages of one product.
    """

    code = "delta-other-product"
    default_advice = "Name packages of one product."


class MarkInvalidError(UsageError):
    """A file was to be encrypted that a package does not encrypt.

    What happened: beside the graph, the scenario, the golden check, the statistics of
    the training data and the parity report can be marked. Card, verdict and bill of
    materials stay readable: by them people decide whether to trust a package. With
    ``--clear`` nothing is encrypted.

    What to do: mark one of ``scenario.yaml``, ``golden.json``, ``envelope.json``,
    ``parity.json``, without ``--clear``.
    """

    code = "mark-invalid"
    default_advice = (
        "Mark scenario.yaml, golden.json, envelope.json or parity.json, "
        "without --clear."
    )


class SignedAlreadyError(UsageError):
    """A key was to sign a package that it has signed already.

    Why: a second signature by the same key is not a second pair of eyes.

    What to do: sign in the workspace of the other signer.
    """

    code = "signed-already"
    default_advice = "Sign in the workspace of the other signer."


class PackageNeedsGrantError(UsageError):
    """A package is encrypted, and nothing was given to open it with.

    What to do: give the grant that its owner issued for this device.
    """

    code = "package-needs-grant"
    default_advice = "Give the grant that its owner issued for this device."


class PackagePlaceTakenError(UsageError):
    """A package was to be written where something is already.

    What to do: choose another folder, or remove what is there.
    """

    code = "package-place-taken"
    default_advice = "Choose another place, or remove what is there."


class GraphMalformedError(RefusedError):
    """A graph is no ONNX file that Tundish can take apart.

    What happened: its bytes are no ONNX model, it has parts that Tundish does not
    know, the same part twice, or a tensor whose size does not fit its shape.

    Why: what the checker and the runtime would read differently is where an attack
    hides.

    What to do: export the graph again with a current exporter.
    """

    code = "graph-malformed"
    default_advice = "Export the graph again with a current exporter."


class GraphExternalDataError(RefusedError):
    """A graph wants to read weights from other files.

    Why: such paths have been used to read files outside the model's folder.

    What to do: export the graph with its weights inside.
    """

    code = "graph-external-data"
    default_advice = "Export the graph with its weights inside."


class GraphControlFlowError(RefusedError):
    """A graph has subgraphs or functions of its own (Loop, If, Scan, functions).

    Why: they can run for ever, nest without end and hide what they compute.

    What to do: export the graph without control flow; recipes of Tundish do.
    """

    code = "graph-control-flow"
    default_advice = "Export the graph without loops, branches and functions."


class GraphOperatorError(RefusedError):
    """A graph uses an operator that Tundish does not run.

    What happened: it is of another domain than ONNX's own (native code would have
    to be loaded for it), gives random results, or parses images or expressions.

    What to do: export the graph with standard operators only.
    """

    code = "graph-operator"
    default_advice = "Export the graph with standard ONNX operators only."


class GraphTooLargeError(RefusedError):
    """A graph, or a tensor it holds or makes, is larger than Tundish allows.

    What to do: if the size is meant, the limits are in ``model/graphcheck.py``.
    """

    code = "graph-too-large"
    default_advice = "Make the graph smaller, or split the model."


class GraphConventionError(RefusedError):
    """A graph has other inputs, outputs or versions than Tundish's convention.

    What happened: a graph must have one input ``window`` (float32, three axes:
    windows, rows, channels), float32 outputs, opset 17 to 21, and no settings for
    the runtime (``ort_config``) in its metadata.

    What to do: see the page on recipes; wrap the model so that it takes the raw
    window.
    """

    code = "graph-convention"
    default_advice = "Wrap the model so that it takes the raw window."


class GoldenMismatchError(RefusedError):
    """A graph that was just loaded does not give the signed answer.

    What happened: the golden input gave another output than the one recorded when
    the package was made, beyond the signed tolerance.

    Why: the graph, the runtime or the memory is not what was judged. Sessions built
    from freed memory give wrong numbers without any error.

    What to do: do not run it. Check the runtime's version and the machine's memory;
    seal the package again for a new runtime after judging it there.
    """

    code = "golden-mismatch"
    default_advice = "Do not run it; judge and seal it again for this runtime."


class SessionOptionError(UsageError):
    """An option for the inference session is not allowed.

    Why: some options write the graph, an engine or a profile to the disk in clear.
    Only options known to be harmless are taken.

    What to do: leave the option out.
    """

    code = "session-option"
    default_advice = "Leave the option out."


class SessionFailedError(MachineError):
    """The inference runtime could not load or run a graph.

    What to do: check that the runtime's version supports the graph's opset.
    """

    code = "session-failed"
    default_advice = "Check that the runtime's version supports the graph."


class SessionMemoryError(SessionFailedError):
    """A graph takes more memory than it may.

    What happened: while the graph was loaded or run the process grew by more than 1 GiB
    plus some copies of the graph and of its windows. Tensors that grow step by step do
    that: a damaged graph, or one made to bring its host down. It was stopped.

    What to do: score fewer windows at a time; if that does not help, do not use the
    graph, and ask its maker.
    """

    code = "session-memory"
    default_advice = "Score fewer windows at a time, or ask the graph's maker."


class TelemetryNotSilencedError(RefusedError):
    """The inference runtime was loaded before its telemetry could be turned off.

    Why: from version 1.29 on, onnxruntime on Linux writes a device id below the home
    folder and tries to send usage data unless it is told not to before its import.

    What to do: import tundish's session before onnxruntime, or set
    ``ORT_DISABLE_TELEMETRY=1`` for the whole process.
    """

    code = "telemetry-not-silenced"
    default_advice = "Set ORT_DISABLE_TELEMETRY=1 before the process starts."


class WindowShapeError(UsageError):
    """A window does not have the shape or the number type the graph takes.

    What to do: give float32 numbers of shape (windows, rows, channels) as the
    scenario's contract says.
    """

    code = "window-shape"
    default_advice = "Give float32 of shape (windows, rows, channels)."


class RegistryNameError(UsageError):
    """A text names no repository of a registry.

    What happened: a reference has the form ``host[:port]/repository[:tag]`` or
    ``host[:port]/repository@sha256:...``, and this one has not.

    What to do: write it so; a tag is most often the package's version.
    """

    code = "registry-name"
    default_advice = (
        "Write host[:port]/repository:tag, such as registry.plant:5000/pumps/flow:3."
    )


class RegistryUnreachableError(MachineError):
    """The registry does not answer.

    What happened: no connection, a broken one, or a certificate that this machine does
    not trust; the message names the kind.

    What to do: look at the address and the network. A plant's own certificate authority
    is named with ``--ca FILE``; a registry on this machine without TLS with
    ``--plain-http``.
    """

    code = "registry-unreachable"
    default_advice = "Look at the address; name a plant's own authority with --ca FILE."


class RegistryElsewhereError(RefusedError):
    """A registry led to a host that nobody named, and nothing was sent there.

    What happened: a redirect, a place for an upload or a place that gives tokens lies
    on another host or speaks another scheme than the registry that was named; or the
    registry's name leads to this machine or to a link-local address. A login, or what
    a neighbour trusts this machine with, could be stolen in that way.

    What to do: if you trust that host, name it with ``--also HOST``; else have the
    registry give its blobs itself, and ask whoever runs it.
    """

    code = "registry-elsewhere"
    default_advice = "If you trust that host, name it with --also HOST."


class RegistryRefusedError(RefusedError):
    """The registry refused, or gave other bytes than it was asked for.

    What happened: the registry wants a login, has no such package, or a blob that it
    sent does not have its digest.

    What to do: log in, or look at repository and tag. Bytes with another digest are
    never used: tell whoever runs the registry.
    """

    code = "registry-refused"
    default_advice = "Look at repository and tag, or ask whoever runs the registry."
