"""Grade a table: is this data good enough for the task, and what to mend first?

For: indicators with thresholds and reasons, hard gates, a letter, findings in order of
worth (tag, unit, time, cost, mend).
Not for: reading files (``data.readers``) or mending them.
Law: what decides takes values and returns values; no score averages a hard gate away;
repetition alone is never called a stuck sensor.
"""
