"""Floor 2: a plant's data, from its files to graded, bound, split samples.

For: fetching pinned public sets, reading tables as plants write them, binding them to
a scenario's contract, cutting samples without leakage, and grading.
Not for: declared data and its schema (``catalog``), models (``model``, ``learn``) or
deciding what runs (``flows``).
Law: foreign bytes are read with limits and never executed; nothing that is read is
changed; every assumption is said in words together with how to say otherwise.
"""
