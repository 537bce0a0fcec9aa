"""Floor 3: a running deployment, from the plant's tags to an answer on the line.

For: sources, the disk buffer, windows, inline scoring, the guard, sinks, and the
honest state ``good / uncertain / bad / stale`` after OPC UA.
Not for: opening packages (``flows`` hands in a scorer), learning, grading, pictures.
Law: a bad value never becomes a number, no sample is invented or scored twice,
what was received is on disk before it is acknowledged, and what cannot be had is a
recorded gap. Importing this loads no protocol client and no inference library.
"""
