"""Floor 0: what every room stands on.

For: errors, canonical JSON, digests, the clock, safe paths, records, settings.
Not for: anything that knows a plant, a model or a key.
Law: standard library and pydantic only; importing it has no side effect.
"""
