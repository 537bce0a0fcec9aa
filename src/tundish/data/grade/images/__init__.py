"""Grading folders of pictures: each module answers a few indicators."""
