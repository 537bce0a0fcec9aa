"""Floor 5: the command line, a thin face of the flows.

For: one file per group of verbs; a command parses, calls one flow, shows one result
(``--json`` everywhere).
Not for: deciding anything.
Law: a traceback never reaches a user; every end has an exit code (``cli.exits``).
Flows are imported inside the commands, so that ``tundish verify`` starts at once and
works on an edge box that has no learning library.
"""
