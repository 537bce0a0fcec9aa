"""How a model of another tool becomes one of ours, one module for each kind of task.

A ``feed`` makes the model's input of a window, ``foreign_model`` asks the model, and each
kind (``numbers``, ``anomalies``, ``classes``, ``forecasts``, ``pictures``) puts its
interval, limit and map around the answers, in NumPy and in the graph alike.
"""
