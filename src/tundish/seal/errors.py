"""What the vault refuses, one page each."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class KeyUnreadableError(UsageError):
    """A file does not hold a key of the kind that is needed.

    What happened: the file is no PEM key, or a key of another kind (Tundish uses
    P-256 or P-384 for packages and grants, Ed25519 for checkpoints, X25519 for devices).

    What to do: name the right file; public and private keys are two files.
    """

    code = "key-unreadable"
    default_advice = "Name the file of the right key."


class KeyPassphraseError(RefusedError):
    """The passphrase does not fit the key.

    What happened: the key is encrypted and the passphrase is wrong or missing, or
    one was given for a key that is not encrypted (which could mean that somebody
    put another key in its place).

    What to do: give the passphrase the key was saved with.
    """

    code = "key-passphrase"
    default_advice = "Give the passphrase with which this key was saved."


class KeyExposedError(RefusedError):
    """Other users of this machine may read a private key.

    What happened: the file's mode lets its group or everybody read or write it.

    Why: whoever read it can sign or open in your name.

    What to do: ``chmod 600`` the file; if others may have read it, make a new
    key and withdraw the old one.
    """

    code = "key-exposed"
    default_advice = "Run chmod 600 on it; if others may have read it, replace it."


class KeyExistsError(UsageError):
    """A key is already at the place where a new one was to be written.

    Why: overwriting it would make all that was encrypted for it unreadable.

    What to do: choose another file, or move the old key away yourself.
    """

    code = "key-exists"
    default_advice = "Choose another file, or move the old key away."


class DeviceTextError(UsageError):
    """A device's text form was not copied whole.

    What happened: its length, letters or checksum are wrong.

    What to do: copy the line again, or read it aloud once more. ``tundish device`` prints
    it on the box.
    """

    code = "device-text"
    default_advice = (
        "Copy the line that 'tundish device' prints on the box again, whole."
    )


class SignatureMalformedError(RefusedError):
    """A signed document is not written in the only form Tundish accepts.

    What happened: a field, a base64 text, a signature encoding or the JSON around
    it is not what Tundish would write for the same content.

    Why: if two texts meant the same, one could be swapped for the other unseen.

    What to do: fetch the document again, unedited. A model signed by another tool
    comes in by ``import`` only.
    """

    code = "signature-malformed"
    default_advice = "Fetch the document again, unedited, from its maker."


class SignatureInvalidError(RefusedError):
    """A signature does not fit what it stands under.

    What happened: the content or the signature was changed after signing.

    What to do: do not use it; fetch it again from its maker.
    """

    code = "signature-invalid"
    default_advice = "Do not use it; fetch it again from its maker."


class SignerUntrustedError(RefusedError):
    """A document is signed by a key that is not trusted here.

    What happened: none of the trusted public keys has the id of its signer.

    What to do: if you know the signer, get the public key from them by a way you
    trust and add it to the trusted keys.
    """

    code = "signer-untrusted"
    default_advice = "If you know the signer, add their public key to the trusted ones."


class SignatureOtherPackageError(RefusedError):
    """A further signature in a package stands under another package.

    What happened: a file below ``signatures/`` is validly signed, but over another
    statement than ``model.sig``.

    Why: whoever signed the other package said nothing about this one.

    What to do: fetch the package again from its maker, or ask the second signer to
    sign this one.
    """

    code = "signature-other-package"
    default_advice = "Ask the second signer to sign this very package."


class ChainMalformedError(RefusedError):
    """X.509 certificates are not in the only form that Tundish accepts.

    What happened: one of them is no X.509 certificate in DER, is encoded otherwise than
    DER demands, names its holder with signs that no name has, or there are too many; or
    a file of them (PEM) holds something else too.

    Why: if two chains meant the same, one could be swapped for the other unseen.

    What to do: fetch the document again from its signer; a file of certificates holds
    nothing but the blocks from BEGIN to END.
    """

    code = "chain-malformed"
    default_advice = "Fetch it again from its signer or from the plant's CA."


class ChainUnfitError(RefusedError):
    """An X.509 certificate may not be used as it is used here.

    What happened: the message says what is wrong: the signer's certificate is a CA's,
    is signed by itself, or lacks the key usage ``digitalSignature`` or the extended key
    usage ``codeSigning``; one above it is no CA's, or allows fewer CAs below it; a key
    is not of P-256 or P-384; or a critical extension or name constraints are there that
    Tundish does not understand.

    Why: the CA that issued it has not said that its holder may sign models.

    What to do: ask the plant's CA for a certificate for code signing
    (``tundish key --csr FILE`` writes the request).
    """

    code = "chain-unfit"
    default_advice = "Ask the plant's CA for a certificate for code signing."


class ChainBrokenError(RefusedError):
    """An X.509 certificate was not signed by the one above it.

    What happened: the chain is out of order, was changed, or ends under another CA of
    the same name.

    What to do: compare the CA's certificate that is trusted here with the plant's; ask
    the signer to attach the right chain (``tundish key --chain FILE``).
    """

    code = "chain-broken"
    default_advice = "Compare the CA that is trusted here with the signer's."


class ChainOtherKeyError(UsageError):
    """A chain was issued for another key than this workspace's.

    What happened: the first certificate in it names another public key.

    What to do: write a request with ``tundish key --csr FILE``, have it signed, and put
    the certificate that comes back first in the file.
    """

    code = "chain-other-key"
    default_advice = "Put this workspace's own certificate first in the file."


class PolicyUnmetError(RefusedError):
    """A package lacks a signature that the policy of this workspace demands.

    What happened: ``policy.yaml`` says which roles must have signed packages of this
    product. Too few keys of the role named have; a signature by a key that has expired
    or was revoked does not count.

    Why: one pair of eyes, or one stolen key, shall not be enough.

    What to do: have somebody of that role give ``tundish package sign PACKAGE`` and
    send the package again; the model itself need not be sealed again.
    """

    code = "policy-unmet"
    default_advice = "Have somebody of that role give 'tundish package sign PACKAGE'."


class PolicyInvalidError(UsageError):
    """A policy file contradicts itself.

    What happened: a role names a key that the file does not define, more signatures
    are demanded than the role has keys, one key is to play two roles of a rule, or two
    names mean the same key. Then one person could sign for two.

    What to do: mend the place named.
    """

    code = "policy-invalid"
    default_advice = "Mend the place named in the policy file."


class KeyRevokedError(RefusedError):
    """A signature was made by a key that has been revoked.

    What happened: a revocation list that counts here names the key. What it signed
    before may still count, but only if this machine's ledger shows, under a signed
    checkpoint, that it saw this very document before the key was revoked. It does not.

    Why: a signature does not say when it was made. Whoever stole the key can sign today
    and write yesterday's date.

    What to do: ask the owner for the document under the new key. For a package, the
    owner gives ``tundish package sign PACKAGE`` with the new key: the model need not be
    sealed again.
    """

    code = "key-revoked"
    default_advice = "Ask the owner for this document under the new key."


class KeyExpiredError(RefusedError):
    """A signature was made by a key that counts no more.

    What happened: the key's time has run out, because it was rotated or was trusted
    until a date only, and this machine's ledger does not show that it saw this document
    before.

    What to do: ask the owner for the document under the new key; take the rotation with
    ``tundish trust --rotation FILE`` if you have not.
    """

    code = "key-expired"
    default_advice = "Ask the owner for this document under the new key."


class KeyNotYetError(RefusedError):
    """A signature was made by a key that does not count yet.

    What to do: wait for its first day, or check this machine's clock.
    """

    code = "key-not-yet"
    default_advice = "Wait for its first day, or check this machine's clock."


class PackageRevokedError(RefusedError):
    """A package has been revoked.

    What happened: a revocation list that counts here names it: this workspace's own,
    that of one of its signers, or that of a key trusted to revoke everything.

    What to do: ask its owner for the version that replaces it.
    """

    code = "package-revoked"
    default_advice = "Ask its owner for the version that replaces it."


class GrantRevokedError(RefusedError):
    """A grant has been revoked.

    What happened: a revocation list of its issuer, or one that counts for everything
    here, names it.

    What to do: ask the package's owner for another grant.
    """

    code = "grant-revoked"
    default_advice = "Ask the package's owner for another grant."


class DeviceRevokedError(RefusedError):
    """A device has been revoked.

    What happened: the issuer of the grant withdrew this device, because it was lost,
    replaced or left the plant. No grant is issued for it, and none opens on it.

    What to do: if the box is still in use, make a new workspace on it and ask for a
    grant with ``tundish device request``.
    """

    code = "device-revoked"
    default_advice = (
        "Ask the package's owner; a box that was withdrawn needs a new key."
    )


class EvidenceInvalidError(RefusedError):
    """A plant's evidence was changed, has run out, or is none.

    What to do: ask the plant that gave it for a new one.
    """

    code = "evidence-invalid"
    default_advice = "Ask the plant that gave the evidence for a new one."


class ProviderCardInvalidError(RefusedError):
    """A provider's card was changed after it was signed, or has run out.

    What happened: the signature beside the card is none, is not over these bytes, or its
    end has passed.

    What to do: ask the provider for the card with its signature as they were sent.
    Nothing that the card says was taken.
    """

    code = "provider-card-invalid"
    default_advice = "Ask the provider for the card and its signature again."


class PackChangedError(RefusedError):
    """A scenario pack is not what its maker signed, or has run out.

    What happened: a file was changed, is missing, or was added after the signature was
    made; or the signature is none; or its end has passed. Nothing of it counts then.

    What to do: ask its maker for the folder again as it was signed. Who made the pack
    signs it anew with ``tundish scenario pack``.
    """

    code = "pack-changed"
    default_advice = "Ask its maker for the folder again as it was signed."


class ApprovalInvalidError(RefusedError):
    """An approval was changed, or is none.

    What to do: ask whoever gave it to send it again.
    """

    code = "approval-invalid"
    default_advice = "Ask whoever gave the approval to send it again."


class ChangeInvalidError(RefusedError):
    """A change record was altered, is none, or is for another switch.

    What happened: its signature does not fit its words, or it names another line or
    other packages than those that are to change places.

    What to do: ask whoever signed it for a record of this very switch.
    """

    code = "change-invalid"
    default_advice = "Ask whoever signed the change for a record of this very switch."


class ChangeNotNowError(RefusedError):
    """A change record does not hold at this moment.

    What happened: its window has not begun, or is over.

    What to do: wait for its beginning, or ask for a record with another window.
    """

    code = "change-not-now"
    default_advice = "Wait for the window, or ask for a record with another one."


class RevocationsInvalidError(RefusedError):
    """A revocation list was changed, or is none.

    What to do: fetch it again from its issuer.
    """

    code = "revocations-invalid"
    default_advice = "Fetch the list again from its issuer."


class RevocationsOlderError(RefusedError):
    """A newer revocation list of the same issuer was seen here already.

    What happened: this list has a lower version, or the same version and another
    content.

    Why: an old list would give back what was revoked since.

    What to do: take the newest list of this issuer.
    """

    code = "revocations-older"
    default_advice = "Take the newest list of this issuer."


class RevocationsMissingError(RefusedError):
    """A revocation list that was taken here is gone, or an older one lies in its place.

    What happened: the record of versions seen tells of a newer list than the one below
    ``.tundish/revocations``.

    Why: without it, what was revoked would pass; so nothing is opened.

    What to do: take the newest list again: ``tundish trust --revocations FILE``.
    """

    code = "revocations-missing"
    default_advice = "Take the list again: 'tundish trust --revocations FILE'."


class RotationInvalidError(RefusedError):
    """A rotation of keys does not hold.

    What happened: the text was changed, or one of the two signatures is missing: the
    old key must say who takes over, and the new key that it is held by whoever says so.

    What to do: fetch it again from its maker.
    """

    code = "rotation-invalid"
    default_advice = "Fetch the rotation again from its maker."


class RotationForkedError(RefusedError):
    """A key has handed over to another key already.

    What happened: a rotation from the same old key to another new key was taken here.

    Why: a key has one successor. Two mean that somebody else holds the old key too.

    What to do: ask its owner which is right, and by another way than this file came.
    """

    code = "rotation-forked"
    default_advice = "Ask the key's owner, by another way, which of the two is right."


class EnvelopeClosedError(RefusedError):
    """An age envelope cannot be opened.

    What happened: it is encrypted for somebody else, or was changed.

    What to do: use the identity it was encrypted for, or fetch it again.
    """

    code = "envelope-closed"
    default_advice = "Use the identity it was encrypted for, or fetch it again."


class RecipientInvalidError(UsageError):
    """A text is no age recipient or identity.

    What to do: a recipient starts with ``age1``; copy it whole.
    """

    code = "recipient-invalid"
    default_advice = "A recipient starts with age1; copy it whole."


class TermsInvalidError(UsageError):
    """The terms of a grant or a package cannot be as given.

    What happened: a date, a count or a name has the wrong form, or the end lies
    before the beginning.

    What to do: mend the field named.
    """

    code = "terms-invalid"
    default_advice = "Mend the field named."


class GrantTamperedError(RefusedError):
    """A grant was changed after it was issued.

    What happened: its signature, its form or the key inside does not fit its
    terms. An edited grant yields no key: the key is encrypted to the terms.

    What to do: ask the package's owner for the grant again.
    """

    code = "grant-tampered"
    default_advice = "Ask the package's owner for the grant again."


class GrantOtherDeviceError(RefusedError):
    """A grant was issued for another device.

    What happened: the device id in the grant is not this device's.

    What to do: send this device's line (``tundish device show``) to the owner and
    ask for a grant for it.
    """

    code = "grant-other-device"
    default_advice = "Ask the package's owner for a grant for this device."


class GrantOtherPackageError(RefusedError):
    """A grant was issued for another package.

    What happened: the package digest in the grant is not that of the package.

    What to do: use the grant that came with this package, or ask for one.
    """

    code = "grant-other-package"
    default_advice = "Use the grant that was issued for this package."


class GrantNotYetError(RefusedError):
    """A grant is not valid yet.

    What to do: wait for its first day, or check this machine's clock.
    """

    code = "grant-not-yet"
    default_advice = "Wait for its first day, or check this machine's clock."


class GrantExpiredError(RefusedError):
    """A grant has expired.

    What happened: its last day has passed by this machine's clock.

    What to do: ask the package's owner for a renewal; the package itself need not
    be sent again.
    """

    code = "grant-expired"
    default_advice = "Ask the owner for a renewal; the package stays as it is."


class GrantOlderError(RefusedError):
    """A newer grant for this package and device has been used already.

    What happened: this grant has a lower version than one that was opened here.

    What to do: use the newer one.
    """

    code = "grant-older"
    default_advice = "Use the newer grant."


class GrantUsedUpError(RefusedError):
    """A grant has been used as often as it allows.

    What to do: ask the package's owner for a renewal.
    """

    code = "grant-used-up"
    default_advice = "Ask the package's owner for a renewal."


class RequestDamagedError(RefusedError):
    """A request for a grant is not as its device wrote it.

    What happened: the text was changed, cut or quoted on its way. Line ends of Windows
    and blanks at the end of lines are no harm; text around it is.

    What to do: save the file from its BEGIN line to its END line, or ask for it again
    as an attachment.
    """

    code = "request-damaged"
    default_advice = "Ask for the file again, as an attachment."


class RequestOtherPackageError(UsageError):
    """A request asks for another package than the one that was named.

    What happened: the request names the digest or the product of another package.

    What to do: name the package that is asked for, or give the device's line with
    ``--device`` to decide without the request.
    """

    code = "request-other-package"
    default_advice = "Name the package that the request asks for."


class ClockSetBackError(RefusedError):
    """This machine's clock shows an earlier time than it has shown before.

    What happened: the clock was set back, or lost its battery. Or a correction of the
    time was signed by somebody else than the issuer of the grant: it does not count
    for that grant.

    Why: setting the clock back is the plain way to keep an expired grant alive.

    What to do: set the clock right. If it was wrong before (far in the future), ask
    whoever issued the grant for a correction: ``tundish ledger time --correct DEVICE``.
    """

    code = "clock-set-back"
    default_advice = "Set this machine's clock right."


class TimeNoteInvalidError(RefusedError):
    """A signed time is not as its signer wrote it, or not for this device.

    What happened: the text was changed on its way, or corrects the time of another
    device.

    What to do: ask its signer for it again.
    """

    code = "time-note-invalid"
    default_advice = "Ask its signer for it again."


class TimeNoteUsedError(RefusedError):
    """A correction of the time was used on this device before.

    Why: a correction sets the highest time seen back. If it counted twice, it would
    keep an expired grant alive.

    What to do: ask the package's owner for a new one.
    """

    code = "time-note-used"
    default_advice = "Ask the package's owner for a new correction."


class FreshnessRolledBackError(RefusedError):
    """The record of times and uses is older than the ledger beside it.

    What happened: the ledger tells of a later time or of more uses than the record,
    or the record is gone: an old copy was put back, or it was edited.

    Why: putting back an old copy is the plain way to use a grant more often than it
    allows.

    What to do: put back the newest copy of ``.tundish/freshness.json``. If there is
    none, make a new box (``tundish device init``) and ask for a new grant.
    """

    code = "freshness-rolled-back"
    default_advice = "Put back the newest copy; without one, ask for a grant anew."


class GrantSealedError(RefusedError):
    """A grant for a spare device was not activated yet.

    What happened: the grant opens only with its code, which lies in an envelope in
    the plant.

    What to do: if the device that runs has failed, open the envelope and give
    ``tundish device activate PACKAGE GRANT``. The use is kept in the ledger.
    """

    code = "grant-sealed"
    default_advice = "Give 'tundish device activate PACKAGE GRANT' with its code."


class SpareCodeError(RefusedError):
    """The code of a spare device's grant is not right.

    What happened: it was typed wrongly, or belongs to another grant. The message says
    which. The attempt is in the ledger.

    What to do: type it again from the envelope of this grant.
    """

    code = "spare-code"
    default_advice = "Type it again from the envelope of this grant."


class PackageOlderError(RefusedError):
    """A newer version of this package has been seen here already.

    What happened: the package is validly signed, but its version is lower than
    one that was accepted before.

    Why: an old version with a known fault is a cheap attack.

    What to do: use the newest version. To go back on purpose, the owner seals the
    old content again under a higher version.
    """

    code = "package-older"
    default_advice = "Use the newest version; to go back, seal it under a higher one."


class PackageForkedError(RefusedError):
    """Two different packages carry the same product and version.

    What happened: another package with this version was accepted here before.

    Why: a version is sealed once. Two contents under one version mean a mistake
    or a signing key in wrong hands.

    What to do: ask the signer which is right, and seal the next one under a
    higher version.
    """

    code = "package-forked"
    default_advice = "Ask the signer which is right; a version is sealed once."


class FreshnessUnreadableError(MachineError):
    """The record of versions and times seen cannot be read.

    What happened: the file is damaged, or was written by a later Tundish.

    Why: without it an old package or a clock set back would pass unseen, so
    nothing is opened.

    What to do: put back a copy. Removing the file starts from nothing: do that
    only if you know why it was damaged.
    """

    code = "freshness-unreadable"
    default_advice = "Put back a copy of the file; nothing is opened without it."


class CertificateKindError(RefusedError):
    """A signed file is no certificate of a data set.

    What happened: the signature fits, but the statement under it is of another kind,
    or of a form that this Tundish does not know.

    Why: a signature under one thing must not count for another.

    What to do: name the certificate itself (``tundish certificate show FILE`` prints
    what one says), or use the Tundish that made it.
    """

    code = "certificate-kind"
    default_advice = "Name the file that 'tundish certificate make' wrote."


class CertificateDataChangedError(RefusedError):
    """The data is not as it was when it was certified.

    What happened: files of the certified names are here, but with other bytes, or some
    are missing or were added. The message names the first.

    Why: the grade speaks for the bytes that were graded and for no others.

    What to do: get the certified version from its maker, or grade the data that you
    have and certify it anew.
    """

    code = "certificate-data-changed"
    default_advice = "Get the certified version, or grade and certify what is here."


class CertificateOtherDataError(RefusedError):
    """A certificate was given to another data set.

    What happened: the digest of the data here is not the one that was signed, and none
    of the certified files is among it.

    What to do: name the data set that came with the certificate. Files keep their
    names: the names are part of the digest.
    """

    code = "certificate-other-data"
    default_advice = "Name the data set that came with this certificate."


class ServerUntrustedError(RefusedError):
    """A server of the plant could not show that it is the one that was meant.

    What happened: its certificate is none that the line file trusts and was issued by
    nobody whom it trusts, has expired, is for another host or another application, or
    may not be used by a server.

    Why: whoever stands between the line and the plant could give it other values, and
    take what it answers.

    What to do: get the server's certificate, or its authority's, by a way you trust, and
    name it in the line file (``security: {trust: FILE}``).
    """

    code = "server-untrusted"
    default_advice = (
        "Get the server's certificate by a way you trust and name it as security.trust."
    )


class CertificateExpiredError(RefusedError):
    """A certificate has expired.

    What happened: its last day has passed by this machine's clock.

    Why: plants change, and so do the rules of grading; a grade speaks for its time.

    What to do: ask its issuer for a new one, or grade the data yourself.
    """

    code = "certificate-expired"
    default_advice = "Ask its issuer for a new one, or grade the data yourself."


class CertificateNotYetError(RefusedError):
    """A certificate was issued in the future, by this machine's clock.

    What to do: check this machine's clock; if it is right, ask the issuer.
    """

    code = "certificate-not-yet"
    default_advice = "Check this machine's clock."


class CertificateOlderError(RefusedError):
    """A newer certificate for the same data has been seen here already.

    What happened: this one has a lower number than one that was verified before, or the
    same number and another content.

    Why: a data set may be graded again under a stricter rule; the older letter must not
    be shown instead.

    What to do: use the newest certificate.
    """

    code = "certificate-older"
    default_advice = "Use the newest certificate for this data set."
