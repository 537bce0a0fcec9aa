"""Floor 1: keys, signatures, envelopes and grants; the only room with cryptography.

For: P-256 signatures (DSSE, OpenSSF model-signing bundles), chains of X.509, Ed25519 for
ledger checkpoints, age envelopes, grants bound to one device (HPKE), freshness; keys in
tokens.
Not for: what is inside a package, the ledger, files of a workspace.
Law: any byte changed in what was signed or granted is refused, verification
raises and never returns a bool, and key material is never printed or logged.
"""
