"""Answers over HTTP: the Open Inference Protocol, version 2, over an open package."""
