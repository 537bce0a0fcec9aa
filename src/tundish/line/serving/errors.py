"""What a serving model refuses, to a client and to whoever starts it."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class RequestMalformedError(UsageError):
    """A request to a serving model cannot be read.

    What happened: its body is not the JSON of the Open Inference Protocol, its header
    ``Inference-Header-Content-Length`` does not fit its body, or it is compressed.

    What to do: send ``{"inputs": [{"name": "window", "shape": [N, rows, channels],
    "datatype": "FP32", "data": [...]}]}``, uncompressed.
    """

    code = "request-malformed"
    default_advice = "Send the JSON of the Open Inference Protocol, uncompressed."


class TensorUnfitError(UsageError):
    """A tensor of a request does not fit the model.

    What happened: its name, shape, type or number of values is not what the model takes,
    or an output was asked for that the model does not give.

    Why: a text or a truth value never becomes a number here, and nothing is reshaped by
    guessing.

    What to do: ask ``GET /v2/models/NAME`` for names, types and shapes.
    """

    code = "tensor-unfit"
    default_advice = "Ask GET /v2/models/NAME for names, types and shapes."


class RequestTooLargeError(UsageError):
    """A request has more bytes or rows than the server takes at once.

    What to do: send it in parts; ``tundish serve --most-rows`` sets the bound.
    """

    code = "request-too-large"
    default_advice = "Send it in parts."


class NotServedError(UsageError):
    """Nothing is served under this address.

    What happened: another model, another version or another path was asked for than
    this server has.

    What to do: ``GET /v2`` says what is served.
    """

    code = "not-served"
    default_advice = "GET /v2 says what is served."


class MethodRefusedError(UsageError):
    """The address is served, but not by this HTTP method.

    What to do: ask by GET; ``/infer`` alone takes POST.
    """

    code = "method-refused"
    default_advice = "Use GET; /infer alone takes POST."


class TokenRefusedError(RefusedError):
    """A request carries no token that counts here.

    What happened: the header ``Authorization: Bearer TOKEN`` is missing, or the token is
    not one of this server's. Refusals are counted in the ledger of the box.

    What to do: ask whoever runs the server for a token (``tundish client add NAME``).
    """

    code = "token-refused"
    default_advice = "Send the header 'Authorization: Bearer TOKEN'."


class TooManyRequestsError(RefusedError):
    """A client asks more often than it may.

    What happened: it sent more requests than ``tundish serve --rate`` allows it, or too
    many with a wrong token.

    What to do: wait as long as the header ``Retry-After`` says.
    """

    code = "too-many-requests"
    default_advice = "Wait as long as the header Retry-After says."


class ServingOverError(RefusedError):
    """The model may not answer any more.

    What happened: its grant or its package has ended or was withdrawn.

    What to do: ask the model's owner for a renewal, and start the server again.
    """

    code = "serving-over"
    default_advice = "Ask the model's owner for a renewal."


class PlaintextRefusedError(RefusedError):
    """A server would listen beyond this machine without encryption.

    What happened: an address was named that other machines reach, and no certificate.

    Why: tokens and values of the plant would cross the network for all to read.

    What to do: name ``--tls-cert`` and ``--tls-key``, or say ``--insecure-plaintext`` if
    something in front of it encrypts. In a line file: ``https`` in the endpoint, with
    ``certificate`` and ``key`` under ``security``.
    """

    code = "plaintext-refused"
    default_advice = "Name --tls-cert and --tls-key; in a line file say https, with security.certificate and key."


class ListenInvalidError(UsageError):
    """The address to listen on is not one.

    What happened: an address and a port are needed, such as ``127.0.0.1:8080`` or
    ``[::1]:8080``; no name is resolved.

    What to do: write it so.
    """

    code = "listen-invalid"
    default_advice = "Write it as 127.0.0.1:8080."


class AddressTakenError(MachineError):
    """The system does not let the server listen on its address.

    What happened: another program listens there, this machine does not have that
    address, or this user may not use that port.

    What to do: end the other program, or name another address with ``--listen`` or in the
    line file.
    """

    code = "address-taken"
    default_advice = (
        "Name another one with --listen, or in the line file; end what listens there."
    )


class TlsUnusableError(UsageError):
    """Certificate, key or authority of a server cannot be used.

    What happened: a file is no PEM of its kind, the key does not belong to the
    certificate, or the key is encrypted.

    What to do: name a certificate (with those between it and its authority) and its key,
    both PEM, the key without a passphrase and readable by the server's user alone.
    """

    code = "tls-unusable"
    default_advice = "Name a PEM certificate and its own key without a passphrase."


class ClientsMissingError(UsageError):
    """A server would start, and nobody could ask it.

    What happened: this workspace has no client, and no token was given.

    Why: every address but ``/v2/health/live`` asks for a token; there is no default one.

    What to do: ``tundish client add NAME`` makes a token and shows it once.
    """

    code = "clients-missing"
    default_advice = "Make one with 'tundish client add NAME'."


class TokenWeakError(UsageError):
    """A token can be guessed, or read by others.

    What happened: it is shorter than 32 characters or holds a blank or a control
    character, or other users may read its file.

    Why: a token is all that a stranger needs.

    What to do: have one made with ``tundish client add NAME``, and ``chmod 600`` its file.
    """

    code = "token-weak"
    default_advice = "Have one made with 'tundish client add NAME'; chmod 600 its file."


class ClientNameTakenError(UsageError):
    """A client of that name has a token already.

    What to do: remove it first (``tundish client remove NAME``): its token then counts no
    more, also on a server that runs.
    """

    code = "client-exists"
    default_advice = "Remove it first: 'tundish client remove NAME'."
