"""Whether a loss may take the outputs of a teacher as its targets."""

import textwrap
from math import isnan

import keras
import numpy as np
from keras import ops

from nash_tf.training.output_forms import Form

_EXAMPLES, _OPEN_SIZE = 2, 16  # of what is tried; sizes that the model leaves open
_TOLERANCE = 1e-4  # of a loss, for rounding


def why_not(loss: keras.Loss, output: keras.KerasTensor, form: Form | None) -> str | None:
    """Why a loss may not take outputs as targets; None where it may.

    It may where it is least for outputs that equal the targets, as a mean squared error is. A hinge is not, nor a
    cross-entropy that takes logits: with logits as its labels it grows ever larger ones. This is tried on random numbers
    from 0 to 1, which nearly all outputs can be.

    Args:
        loss: no cross-entropy or divergence of Keras.
        output: of the model, symbolic.
        form: of this output; None where it is not known.
    """
    random = np.random.default_rng(0)
    shape = (_EXAMPLES, *(size or _OPEN_SIZE for size in output.shape[1:]))
    values, noise = (random.normal(size=shape).astype("float32") for _ in range(2))
    squashed = ops.softmax if form is not None and form.is_binary is False else ops.sigmoid
    # As arrays, because a cross-entropy takes the logits of a tensor that knows them.
    targets, *others = (
        np.asarray(squashed(each))
        for each in (2 * values, values, 4 * values, 2 * values + noise, 2 * values + 1, 2 * values - 1)
    )
    if form is None or form.are_logits:  # they may also be other numbers
        others += [targets / 2, 2 * targets, targets + noise, targets + 1, targets - 1]
    try:
        equal, *apart = (float(ops.mean(loss(targets, other))) for other in (targets, *others))
    except Exception as error:  # whatever a function of the user's own raises on what it was not made for
        return f"it fails on them: {textwrap.shorten(str(error), 200, placeholder=' ...')}"
    least = min((each for each in apart if not isnan(each)), default=equal)
    if equal <= least + _TOLERANCE * (1 + abs(equal)):
        return None
    return "it is not least where outputs equal their targets"
