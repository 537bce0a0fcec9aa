"""Grading event logs of processes: each module answers a few indicators."""
