"""Where samples come from: one file per protocol, one protocol class for all.

For: turning what a plant's server says into samples with source time and quality.
Not for: deciding what a sample means (``state``, ``rows``) or keeping it (``buffer``).
Law: a source never invents, repeats or repairs a sample; it says what it heard.
"""
