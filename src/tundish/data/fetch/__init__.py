"""Fetching public data sets: the pinned bytes or nothing, from their hosts or a mirror."""
