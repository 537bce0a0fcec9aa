"""Floor 1: the tamper-evident record of every act, and what descends from what.

For: an append-only Merkle log (RFC 6962) in one SQLite file, signed checkpoints
(C2SP signed notes), proofs that are checked offline, lineage and reach.
Not for: data values, keys or recipes (a log cannot be erased: entries hold
digests, names and numbers), and no signing: signatures come in as functions.
Law: an entry that a checkpoint covers can be neither changed, moved nor dropped
without ``Ledger.verify`` refusing.
"""
