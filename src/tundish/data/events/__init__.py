"""Event logs of processes: which column is the case, the activity, the time."""
