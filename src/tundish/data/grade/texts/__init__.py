"""Grading files of texts and questions: each module answers a few indicators."""
