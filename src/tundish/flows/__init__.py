"""Floor 4: the verbs; the only place where rooms meet.

For: one verb per file: fetch, grade, train, judge, seal, grant, verify, open, line,
reach, report, demo. Each takes values and a workspace, returns a frozen report.
Not for: printing (``cli``), deciding (the rooms below), or anything with a key
(``seal``).
Law: every act, done or refused, is in the workspace's ledger before the verb returns.
"""
