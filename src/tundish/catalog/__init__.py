"""Floor 1: declared data and its schema.

For: sectors, scenarios, site profiles, data-set entries, and the numpy-only check
of one window against a scenario's contract (an edge box needs it).
Not for: reading a plant's data (``data``) or deciding what runs (``flows``).
Law: everything here is data that a person can read; a bad file is refused with the
path of the key that is wrong, and nothing in a file is ever executed.
"""
