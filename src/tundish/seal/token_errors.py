"""What the vault refuses about hardware: tokens, their PINs and the keys in them."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class TokenUriError(UsageError):
    """The address of a key in a token cannot be used as it is written.

    What happened: it is no PKCS#11 address (RFC 7512), names something twice, names
    something that Tundish does not understand (then it could mean another key than you
    think), or holds the PIN itself.

    Why no PIN: addresses stand in files, histories of shells and lists of processes.

    What to do: write
    ``pkcs11:token=LABEL;object=KEY?module-path=/usr/lib/softhsm/libsofthsm2.so``. The
    PIN comes from TUNDISH_PIN, from a file (``pin-source=/path``) or is asked for.
    """

    code = "token-uri"
    default_advice = (
        "Write pkcs11:token=LABEL;object=KEY?module-path=/path/of/the/module.so."
    )


class TokenModuleError(UsageError):
    """The module that speaks with a token is not there, or is none.

    What happened: the file named by ``module-path`` is missing, is no PKCS#11 library,
    or cannot start (its own settings are wrong, or its daemon does not run).

    What to do: install the module of your token (Debian: softhsm2, opensc,
    libtpm2-pkcs11-1) and name its file. ``pkcs11-tool --module FILE -L`` shows whether
    it works at all.
    """

    code = "token-module"
    default_advice = "Name the file of your token's PKCS#11 module; see 'pkcs11-tool --module FILE -L'."


class TokenModuleUnsafeError(RefusedError):
    """Somebody else could change the module that speaks with a token.

    What happened: the file, or the folder it lies in, does not belong to root, or
    others may write to it.

    Why: a module is a program that runs inside Tundish and hears the PIN. The address
    stands in the workspace, and a workspace may come from elsewhere.

    What to do: use the module that your system's packages installed, or have root own
    it and its folder, without write access for others.
    """

    code = "token-module-unsafe"
    default_advice = "Use the module that your system installed; root must own it."


class TokenAbsentError(MachineError):
    """The token that holds a key is not there.

    What happened: no slot of the module holds a token with this label (and serial
    number, if one is named), or it was pulled out meanwhile.

    What to do: put the token in, and check the label: ``pkcs11-tool --module FILE -L``.
    A model that a running line has opened stays open; the next start needs the token.
    """

    code = "token-absent"
    default_advice = "Put the token in; 'pkcs11-tool --module FILE -L' shows its label."


class TokenAmbiguousError(UsageError):
    """More than one token or key fits an address.

    Why: Tundish never guesses which key is meant.

    What to do: add ``serial=`` for the token or ``id=`` for the key.
    """

    code = "token-ambiguous"
    default_advice = "Add serial= for the token or id= for the key."


class TokenPinMissingError(UsageError):
    """A token asks for its PIN, and none was given.

    What to do: set TUNDISH_PIN, name a file with ``pin-source=/path`` in the address
    (mode 0600), or give the command at a terminal, where it is asked for.
    """

    code = "token-pin-missing"
    default_advice = "Set TUNDISH_PIN, name a file with pin-source=, or use a terminal."


class TokenPinWrongError(RefusedError):
    """The token refused the PIN.

    What happened: the PIN was tried once. Tundish does not try it again: tokens lock
    after a few wrong ones.

    What to do: check where the PIN comes from (``pin-source=`` goes before
    TUNDISH_PIN), and for which token it is.
    """

    code = "token-pin-wrong"
    default_advice = "Check the PIN before you try again: tokens lock after a few."


class TokenPinLockedError(RefusedError):
    """The token takes no PIN any longer.

    What happened: too many wrong PINs were given, here or elsewhere, or the PIN has
    expired or was never set.

    What to do: unlock it with the security officer's PIN (``pkcs11-tool --login
    --login-type so --init-pin``); a TPM opens again by itself after some time, or with
    ``tpm2_dictionarylockout -c``.
    """

    code = "token-pin-locked"
    default_advice = "Unlock the token with its security officer's PIN."


class TokenLastTryError(RefusedError):
    """One more wrong PIN would lock the token, so no PIN was tried.

    What happened: the token says that this is the last try, and the PIN comes from a
    file or the environment. A service that starts again and again would lock it.

    What to do: unset TUNDISH_PIN and give the command at a terminal: a PIN that a
    person types is tried. A right one sets the count back.
    """

    code = "token-last-try"
    default_advice = "Give the right PIN at a terminal; that sets the count back."


class TokenObjectMissingError(UsageError):
    """The token does not hold the key that is asked for.

    What happened: no key of the kind needed has this label and id: a P-256 or P-384
    pair to sign, an AES or RSA key to keep a device's key.

    What to do: check the label with ``pkcs11-tool --module FILE --login -O``, or have
    the key made with ``--new``.
    """

    code = "token-object-missing"
    default_advice = "Check the key's label and id, or have it made with --new."


class TokenObjectTakenError(UsageError):
    """A key of that name is in the token already, where a new one was to be made.

    Why: two keys of one name could be mistaken for each other.

    What to do: choose another name, or leave ``--new`` out to use the one there.
    """

    code = "token-object-taken"
    default_advice = "Choose another name, or leave --new out to use the key there."


class TokenMechanismError(MachineError):
    """The token cannot do what is needed.

    What happened: to sign, it must offer ECDSA; to keep a device's key, AES-GCM or
    RSA-OAEP with SHA-256, with a key that may decrypt; to make a key, the making of
    that kind. A key that wants its PIN for each single use is not used either.

    What to do: use another token, or make the key with the token's own tools.
    """

    code = "token-mechanism"
    default_advice = "Use a token that offers ECDSA, or AES-GCM, or RSA-OAEP."


class TokenKeyExtractableError(RefusedError):
    """A key could leave its token.

    What happened: the token says that the private key may be taken out (EXTRACTABLE),
    or that its value may be read (not SENSITIVE).

    Why: such a key can be copied, so it is not what a token is used for.

    What to do: make a new key in the token with ``--new``.
    """

    code = "token-key-extractable"
    default_advice = "Make a new key in the token with --new."


class TokenOtherKeyError(RefusedError):
    """The key in the token is not the one that belongs to this workspace.

    What happened: a token of the right name holds a key of the right name, but it is
    another key: its public half is not the workspace's, or it does not open the device's
    key.

    What to do: put in the token with which this workspace was made.
    """

    code = "token-other-key"
    default_advice = "Put in the token with which this workspace was made."


class TokenFailedError(MachineError):
    """The token did not do what it was asked to.

    What happened: the module gave an error, which the message names, or a signature
    that does not fit its own public key.

    What to do: try the token with its own tools; if it fails there too, it is broken.
    """

    code = "token-failed"
    default_advice = "Try the token with its own tools, such as 'pkcs11-tool --test'."
