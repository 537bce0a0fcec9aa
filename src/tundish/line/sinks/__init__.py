"""Where answers go: one file per protocol, one protocol class for all.

For: writing estimates and the line's state where operators and systems see them.
Not for: deciding what may be written (``guard``, ``engine``).
Law: no number leaves with a bad quality, and the id of an answer is its source time.
"""
