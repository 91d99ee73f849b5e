"""`shrink`: makes a trained model smaller, step by step, where the loss rises least."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models.calibration import with_states
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.views import check_one_view
from nash_tf.morphisms import reductions
from nash_tf.morphisms.base import Move
from nash_tf.morphisms.options import checked_limit, named
from nash_tf.surgery.birth import make_child
from nash_tf.surgery.certificate import NotPreserved, measure, measure_parent
from nash_tf.surgery.morph_arguments import check_calibration
from nash_tf.surgery.morphing import Morphed, morph
from nash_tf.surgery.ranking import ranked

EXAMPLES = 512  # of the data that are measured on
STEP = 0.1  # of the parameters that are left go in a step


def shrink(
    model: keras.Model,
    max_params: float,
    data: tuple[Any, Any],
    *,
    operators: str | Sequence[str] | None = None,
    max_loss_change: float | None = None,
) -> Morphed:
    """A smaller model that computes about what `model` does: filters, blocks, branches and full convolutions go.

    Step by step about a tenth of the parameters goes. All that could go is tried on the data, and of each layer's filters
    those whose removal should change the loss least; what raises the loss least for each parameter is taken. Batch
    normalisations behind it then take their statistics from the data. What this costs in accuracy a short training wins
    back, best against the outputs of `model` (`nash_tf.distill`).

    Args:
        model: a trained and compiled functional model. It is not changed.
        max_params: the most parameters that are left, of frozen layers too, without moving averages.
        data: (inputs, labels), as `model.fit` takes arrays; the first 512 examples are used, so they must be mixed. For a model
            that keeps states they are one batch of its size. A step computes their outputs about once for each place where
            something could go: of a large network give fewer.
        operators: names of reductions in `nash_tf.morphisms.reductions`; by default all that are approximate.
        max_loss_change: the most by which the loss may rise on these examples, in inference; None for no limit. Penalties on
            weights and activities do not count.

    Returns:
        (model, moves, certificate), as of `nash_tf.morph`. The model is compiled like its parent, and has the optimiser state
        of what is left. `added_params` and `added_flops` are below 0.

    Raises:
        ValueError: the model is not compiled or cannot be represented, an argument is of a wrong form, the data do not fit
            the model, its outputs or loss on them are not finite, or nothing more can go before the limit is met.
        nash_tf.certificate.NotPreserved: the loss rose by more than `max_loss_change`.
    """
    names = [name for name in reductions if not reductions[name].exact]
    if operators is not None:
        names = named(reductions, operators)
    if exact := [name for name in names if reductions[name].exact]:
        raise ValueError(f"{exact[0]} is exact and costs nothing: apply it with nash_tf.morph, after the last training")
    if max_params is None or not checked_limit("max_params", max_params) >= 1:
        raise ValueError(f"max_params must be a number of at least 1, received {max_params!r}")
    most = checked_limit("max_loss_change", max_loss_change)
    check_one_view(model, "shrink")
    architecture, made, moves = from_keras(model), model, list[Move]()
    inputs, labels = _examples(model, architecture, data)
    if architecture.params <= max_params:
        raise ValueError(f"the model has {architecture.params:,} parameters, no more than max_params={max_params:,}")
    own = measure_parent(model, inputs, labels, argument="data", with_loss=True)
    while architecture.params > max_params:
        left = architecture.params
        size = int(np.ceil(min(left - max_params, max(1, STEP * left))))
        found = ranked(made, architecture, names, inputs, labels, size)
        if not found:
            raise ValueError(f"{', '.join(names)}: nothing more can go from the {left:,} parameters that are left")
        moves.append(found[0].move)
        made, child = make_child(made, architecture, moves[-1:], inputs)
        architecture = child.architecture
        rise = (measure(made, inputs, labels).loss or 0.0) - (own.loss or 0.0)
        if not rise <= most:
            raise NotPreserved(
                f"with {architecture.params:,} parameters the loss has risen by {rise:.3g}, more than "
                f"max_loss_change={most:g}; with {left:,} it had not"
            )
    return morph(model, moves=moves, calibration=(inputs, labels))


def _examples(model: keras.Model, architecture: Architecture, data: Any) -> tuple[Any, Any]:
    """The examples that are measured on, of data that fit the model."""
    if not (isinstance(data, tuple) and len(data) == 2) or any(part is None for part in data):
        raise ValueError(
            f"data must be (inputs, labels), arrays as model.fit takes them, received {type(data).__name__}"
        )
    if not model.compiled:
        raise ValueError(f"model {model.name!r} is not compiled: there is no loss to measure")
    check_calibration(model, architecture, *data, argument="data")
    most = None if with_states(model) else EXAMPLES
    inputs, labels = (keras.tree.map_structure(lambda part: np.asarray(part[:most]), part) for part in data)
    return inputs, labels
