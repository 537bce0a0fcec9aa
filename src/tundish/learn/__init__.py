"""Floor 3: recipes, training and judging.

For: making one ONNX graph from material (windows with their parts), choosing its
options, promising a coverage or an alarm rate, and judging the graph in plant terms.
Not for: reading files (``data``), packages and sessions (``model``), or running.
Law: what is judged is the graph, on the judge part only; the same material, options
and seed give the same graph, to the byte.
"""
