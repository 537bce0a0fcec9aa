"""One self-contained HTML page: what was graded, judged, sealed and run.

For: a page that opens without a network and that a plant manager can be shown.
Not for: deciding or measuring: everything on the page comes in as values.
Law: every text from outside is escaped; the page loads nothing.
"""
