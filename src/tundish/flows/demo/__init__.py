"""The main job, end to end, on real data in a scratch folder.

For: showing a newcomer every stage, and proving in CI that they fit together.
Not for: code that a user's own work needs: each stage calls the same verbs as the
plain commands do.
Law: nothing is staged: the refusals are real refusals, the verdict is the judge's.
"""
