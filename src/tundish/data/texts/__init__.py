"""Texts and questions: records of JSON or CSV as items with options and answers.

``items`` reads them, ``near`` finds texts that say the same in nearly the same words.
"""
