"""Data-set cards: what is known of a set beside its values, read and written."""
