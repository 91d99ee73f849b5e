"""How much each filter of a layer matters, measured on a batch or by the weights alone: what `remove_filters` ranks by."""

import math
import warnings
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nash_tf.architecture import Architecture, Node
from nash_tf.architecture.layer_rules import growths
from nash_tf.keras_models.calibration import examples_in, with_states
from nash_tf.keras_models.state import all_variables, read_state, restoring
from nash_tf.morphisms import known
from nash_tf.morphisms.base import Move, Reduction
from nash_tf.morphisms.remove_filters import everywhere, readers
from nash_tf.morphisms.weight_transfer import Arrays
from nash_tf.surgery.certificate import in_float32
from nash_tf.surgery.losses import activity_apart, loss_of

PARTS = 8  # of the batch, each with its own gradient; one where the network keeps states
_OFF = 0.1  # a change of the outputs, relative: the loss is compared with what it is there
_NOTHING = 1e-3  # of what the loss changes by there: less is rounding
_ROUNDING = 1e-6  # of the loss itself: likewise


def importance(model: keras.Model, architecture: Architecture, name: str, inputs, labels=None) -> np.ndarray:
    """The importance of each filter of a layer: by the loss where there are labels, or else by batch normalisations.

    Args:
        model: the model, which is not changed; with labels it must be compiled.
        architecture: its architecture.
        name: the layer, as a site of `remove_filters` names it.
        inputs: a batch of the model's inputs; not needed without labels.
        labels: the targets of the same batch, or None.

    Returns:
        By filter a number of at least 0. Where the loss or the batch normalisations do not tell the filters apart, `by_weights`, with a
        warning.

    Raises:
        ValueError: there are neither labels nor batch normalisations with gamma behind the layer.
    """
    if labels is not None:
        return by_loss(model, architecture, [name], inputs, labels)[name]
    found = by_gamma(model, architecture, name)
    if np.ptp(found):
        return found
    return _by_weights_instead(model, architecture, [name], "batch normalisations have one gamma for all")[name]


def by_loss(
    model: keras.Model, architecture: Architecture, names: Sequence[str], inputs, labels
) -> dict[str, np.ndarray]:
    """By layer the squared change of the loss that is expected of each filter's removal, to first order.

    Molchanov et al. 2019 (arXiv 1906.10771), equation 8 with joint importance: the square of the sum of gradient times
    weight, over the weights that read the filter's channel, averaged over parts of the batch. For these readers that sum
    equals the sum of gradient times activation.

    Where the loss is at its least for each example, as where the labels are the model's own outputs, there is no gradient, and the layer's
    filters are ranked `by_weights`.
    """
    model = in_float32(model)
    kernels = {name: readers(architecture, name) for name in names}
    keys = list({key: None for each in kernels.values() for key in each})
    variables = all_variables(model)
    watched = [variables[key].value for key in keys]
    channels = {name: architecture[name].channels or 0 for name in names}
    total = {name: np.zeros(channels[name]) for name in names}
    nothing = 0.0
    examples = examples_in(inputs)
    parts = 1 if with_states(model) else min(PARTS, examples)
    for rows in np.array_split(np.arange(examples), parts):
        x, y = (keras.tree.map_structure(lambda each: np.asarray(each)[rows], part) for part in (inputs, labels))  # noqa: B023
        with restoring(model):
            with tf.GradientTape() as tape, activity_apart(model):
                outputs = model(x, training=False)
                loss = loss_of(model, x, y, outputs, training=False)
            off = abs(float(loss_of(model, x, y, _moved(outputs), training=False)) - float(loss))
            nothing += (_NOTHING * off if np.isfinite(off) else 0.0) + _ROUNDING * abs(float(loss))
            gradients = tape.gradient(loss, watched, unconnected_gradients="zero")
        products = {
            key: keras.ops.convert_to_numpy(weight * gradient).astype(np.float64)
            for key, weight, gradient in zip(keys, watched, gradients, strict=True)
        }
        for name in names:
            change = np.zeros(channels[name])
            for key, (axis, positions) in kernels[name].items():
                along = np.moveaxis(products[key], axis, 0)
                sums = along.reshape(len(along), -1).sum(1)[list(positions)]
                change += sums.reshape(-1, channels[name]).sum(0)
            total[name] += change**2
    found = {name: each / parts for name, each in total.items()}
    if untold := [name for name in names if not np.sum(found[name]) > (nothing / parts) ** 2]:
        found |= _by_weights_instead(
            model, architecture, untold, "the loss has no gradient on these labels that tells them apart"
        )
    return found


def _moved(outputs):
    """Outputs that are a little off, up or down at random, always the same."""
    rng = np.random.default_rng(0)
    return keras.tree.map_structure(
        lambda part: part * keras.ops.cast(rng.choice((1 - _OFF, 1 + _OFF), tuple(part.shape)), part.dtype), outputs
    )


def _by_weights_instead(
    model: keras.Model, architecture: Architecture, names: Sequence[str], reason: str
) -> dict[str, np.ndarray]:
    """`by_weights`, with a warning."""
    of = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    warnings.warn(f"filters of {of} are ranked by their weights: {reason}", stacklevel=3)
    weights = read_state(model, copied=False).weights
    return {name: by_weights(architecture, weights, name) for name in names}


def open_reduction(move: Move) -> Reduction | None:
    """The operator of a move that leaves open which filters go; None of any other move."""
    operator = known()[move.operator]
    return operator if isinstance(operator, Reduction) and operator.is_open(tuple(move.site)) else None


def settled(architecture: Architecture, move: Move, rank: Callable[[str], np.ndarray]) -> Move:
    """A move with the filters named that go.

    Args:
        architecture: what it is applied to.
        move: the move; where it leaves nothing open it stays as it is.
        rank: layer -> the importance of each of its filters, of which the least go.

    Raises:
        ValueError: its site is no site.
    """
    operator, site = open_reduction(move), tuple(move.site)
    if operator is None:
        return move
    operator.apply(architecture, site)  # refuses what is no site
    return move._replace(site=operator.settled(architecture, site, rank(str(site[0])).tolist()))


def by_weights(architecture: Architecture, weights: Arrays, name: str) -> np.ndarray:
    """By filter of a layer the square of the length of its weights, times that of the weights that read its channel.

    It needs no data, so that a search replays to the same child. On networks that had just begun to learn, what it took raised the loss
    no more than what `by_loss` took (BUILD_NOTES.md, "`scale`").

    Args:
        architecture: the network.
        weights: its weights.
        name: the layer, as a site of `remove_filters` names it.
    """
    channels = architecture[name].channels or 0

    def squares(array: np.ndarray, axis: int) -> np.ndarray:
        """By channel; an axis that holds all channels several times, as that of gates does, holds them one after the other."""
        along = np.moveaxis(np.asarray(array, np.float64), axis, 0)
        return (along.reshape(len(along), -1) ** 2).sum(1).reshape(-1, channels).sum(0)

    made = [
        squares(weights[node.name, variable], growth.axis)
        for node in _together(architecture, name)
        if node.rule and node.rule.parts(node.config) == 1
        for variable, growth in growths(node.rule.output_growth)
        if (node.name, variable) in weights
    ]
    read = [
        squares(np.take(weights[key], positions, axis), axis)
        for key, (axis, positions) in readers(architecture, name).items()
    ]
    return math.prod((np.sum(each, 0) for each in (made, read) if each), start=np.ones(channels))


def by_gamma(model: keras.Model, architecture: Architecture, name: str) -> np.ndarray:
    """The sum of |gamma| of the batch normalisations that directly take the layer's channels (Liu et al. 2017, 1708.06519).

    Where a merge joins the channels with those of other layers, theirs count too.
    """
    norms = [
        consumer
        for producer in _together(architecture, name)
        for consumer in architecture.consumers[producer.name]
        if architecture[consumer].kind == "BatchNormalization" and "gamma" in architecture[consumer].weights
    ]
    if not norms:
        raise ValueError(
            f"which filters of {name} go is left open, and no batch normalisation with gamma is behind it to rank them by: "
            "give calibration=(inputs, labels), or name them as (layer, 'filters', number, ...)"
        )
    variables = all_variables(model)
    return np.sum([np.abs(keras.ops.convert_to_numpy(variables[norm, "gamma"])) for norm in norms], 0)


def _together(architecture: Architecture, name: str) -> list[Node]:
    """The layers that lose filters with a layer, itself among them, but for those whose channels are others too."""
    producers = map(architecture.__getitem__, everywhere(architecture, name).producers)
    return [producer for producer in producers if producer.channels == architecture[name].channels]
