"""In which form a model gives classes, as logits or as probabilities: by its loss, or by its last activation."""

from typing import Any, NamedTuple

import keras

from nash_tf.keras_models import private_api
from nash_tf.keras_models.graph_calls import graph_of


class Form(NamedTuple):
    """A form of classes.

    Attributes:
        are_logits: whether they are logits; else they are probabilities.
        is_binary: whether each number has two classes of its own (sigmoid), or all on the last axis are classes together
            (softmax); None where that is open.
    """

    are_logits: bool
    is_binary: bool | None


_losses = keras.losses
_CATEGORICAL = (
    _losses.CategoricalCrossentropy,
    _losses.SparseCategoricalCrossentropy,
    _losses.CategoricalFocalCrossentropy,
)
_BINARY = (_losses.BinaryCrossentropy, _losses.BinaryFocalCrossentropy)
_FUNCTIONS = {
    _losses.categorical_crossentropy: False,
    _losses.sparse_categorical_crossentropy: False,
    _losses.categorical_focal_crossentropy: False,
    _losses.binary_crossentropy: True,
    _losses.binary_focal_crossentropy: True,
}
_ACTIVATIONS = {
    keras.activations.softmax: Form(False, False),
    keras.activations.sigmoid: Form(False, True),
    keras.activations.hard_sigmoid: Form(False, True),
    keras.activations.linear: Form(True, None),
}
_OPERATIONS = {"Softmax": Form(False, False), "Sigmoid": Form(False, True)}  # layers and operations of these names
_PASSING = (
    keras.layers.Average,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.Permute,
    keras.layers.Reshape,
)


def losses_of(model: keras.Model) -> list[Any]:
    """The loss of each output of a compiled model, in the order of `outputs`; None for an output without."""
    return [None if each is None else keras.losses.get(each) for each in by_output(model, model.loss)]


def by_output(model: keras.Model, given: Any) -> list[Any]:
    """By output what was given as one for all, as a list or as a dict."""
    structure = private_api.output_structure(
        private_api.functional_of(model) if type(model) is keras.Sequential else model  # type: ignore[arg-type]
    )
    if isinstance(given, dict):
        names = sorted(structure) if isinstance(structure, dict) else model.output_names
        return [given.get(name) for name in names]
    return list(given) if isinstance(given, list | tuple) else [given] * len(model.outputs)


def form_of_loss(loss: Any) -> Form | None:
    """The form of outputs that a loss takes; None for what is no cross-entropy of Keras."""
    if isinstance(loss, (*_CATEGORICAL, *_BINARY)):
        return Form(loss.from_logits, isinstance(loss, _BINARY))
    is_binary = next((binary for function, binary in _FUNCTIONS.items() if function is loss), None)
    return None if is_binary is None else Form(False, is_binary)


def output_forms(model: keras.Model) -> list[Form | None]:
    """The form of each output of a model: what its loss takes, or else what its last activation gives; None if neither tells."""
    losses = losses_of(model) if model.compiled else [None] * len(model.outputs)
    forms = [form_of_loss(loss) for loss in losses]
    try:
        graph = graph_of(model)
    except ValueError:  # it computes more than its layers show
        return forms
    return [form or _given_by(tensor) for form, tensor in zip(forms, graph.outputs, strict=True)]


def _given_by(tensor: keras.KerasTensor) -> Form | None:
    """The form of a tensor by the last activation before it; None if that does not tell."""
    operation, sources, number = private_api.origin(tensor)
    if isinstance(operation, keras.Model):
        try:
            return _given_by(graph_of(operation).outputs[number])
        except ValueError:
            return None
    layer = operation.layer if isinstance(operation, keras.layers.TimeDistributed) else operation
    activation = getattr(layer, "activation", None)
    is_linear = isinstance(layer, keras.layers.Activation) and activation is keras.activations.linear
    if isinstance(layer, _PASSING) or is_linear:
        first, *others = {_given_by(source) for source in sources}
        return None if others else first
    return _OPERATIONS.get(type(layer).__name__) or next(
        (form for function, form in _ACTIVATIONS.items() if function is activation), None
    )
