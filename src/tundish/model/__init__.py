"""Floor 2: the graph, the package around it, and the session that runs it.

For: packages (folder or one tar that any OCI registry takes), the check of a graph
before it is loaded, sessions with a signed golden check, model cards, bills of
materials.
Not for: making graphs (``learn``), keys (``seal``), or running a line.
Law: nothing is loaded from a package before every byte of it was verified, what was
encrypted is never in clear on a disk, and every load is followed by the golden check.
"""
