"""The recipes that ship with Tundish, registered as any plug-in is.

For: one file for each method, with a note on its source.
Not for: judging what a recipe made.
Law: a recipe returns one graph that holds everything from raw window to answer.
"""
