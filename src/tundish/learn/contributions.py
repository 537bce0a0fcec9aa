"""Which tags, how much: what an answer would be if one channel had been as usual.

For each channel the window is asked about again with that channel set to its mean course
in training; the contribution is how far the answer moves. It is exact for what the model
does, needs nothing of its kind, and costs one more evaluation a channel. Contributions of
channels that act together do not add up to the whole.

Source: leave-one-covariate-out by a fixed reference value (J. Lei et al., J. Amer.
Statist. Assoc. 113 (2018) 1094, there by refitting); also called occlusion (M. Zeiler,
R. Fergus, ECCV 2014).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tundish.learn.graph import GraphWriter
from tundish.learn.material import Floats, Windows

BuildAnswer = Callable[[GraphWriter, str], str]
"""Adds the nodes from a [M, T, C] value in double to one answer [M, 1] in double."""


def usual_course(fit: Windows) -> Floats:
    """Return the mean window of the fit part, [T, C]."""
    return np.asarray(fit.mean(axis=0, dtype=np.float64))


def add_contributions(
    writer: GraphWriter, raw: str, answer: str, build: BuildAnswer, usual: Floats
) -> str:
    """Add the contributions to a graph.

    Args:
        writer: The graph.
        raw: Name of the window in double, [N, T, C].
        answer: Name of the answer to it, [N, 1].
        build: Adds the same answer for other windows.
        usual: See ``usual_course``.

    Returns:
        Name of the contributions, [N, C] in double.
    """
    rows, channels = usual.shape
    kept = 1.0 - np.eye(channels)[:, None, :]  # [C, 1, C]
    one = writer.constant(np.array([1]), "one_axis")
    wide = writer.add("Unsqueeze", raw, one, hint="each_channel")  # [N, 1, T, C]
    masked = writer.add("Mul", wide, writer.constant(kept, "others"))
    filler = usual[None] * np.eye(channels)[:, None, :]
    filled = writer.add("Add", masked, writer.constant(filler, "as_usual"))
    shape = writer.constant(np.array([-1, rows, channels]), "window_shape")
    asked = writer.add("Reshape", filled, shape, hint="asked_again")
    again = build(writer, asked)
    back = writer.constant(np.array([-1, channels]), "channels_shape")
    without = writer.add("Reshape", again, back, hint="without")
    return writer.add("Sub", answer, without, hint="moved_by")


def contributions(
    x: Windows, usual: Floats, answer: Callable[[Windows], Floats]
) -> Floats:
    """Return the same in numpy, [N, C].

    Args:
        x: Windows, [N, T, C].
        usual: See ``usual_course``.
        answer: Answers [M] to windows [M, T, C].
    """
    base = answer(x)
    found = []
    for channel in range(x.shape[2]):
        asked = x.copy()
        asked[:, :, channel] = usual[:, channel]
        found.append(base - answer(asked))
    return np.stack(found, axis=1)
