"""Outputs of a model: their names, and in which form they give classes, as logits or as probabilities: by its loss, or by its last activation."""

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


class OutputLoss(NamedTuple):
    """A loss of a compiled model.

    Attributes:
        path: where in the outputs that is what the loss is of.
        number: of that output, in the order of `outputs`; None for a loss of several outputs together.
        loss: the loss.
        weight: in the loss of the model.
    """

    path: tuple
    number: int | None
    loss: keras.Loss
    weight: float


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
    _losses.kl_divergence: False,
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


def functional(model: keras.Model) -> Any:
    """The functional model that a model is, or that a sequential one runs."""
    return private_api.functional_of(model) if type(model) is keras.Sequential else model


def output_names(model: keras.Model) -> list[str]:
    """The names of a model's outputs: their keys, or else those of their layers. A single one needs none, and has none."""
    if len(model.outputs) == 1:
        return [""]
    structure = private_api.output_structure(functional(model))
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    has_keys = any(isinstance(key, str) for path in paths for key in path)
    return ["/".join(map(str, path)) for path in paths] if has_keys else list(functional(model).output_names)


def losses_of(model: keras.Model) -> list[OutputLoss]:
    """The losses of a model; none of one that is not compiled."""
    if not model.compiled:
        return []
    outputs = private_api.output_structure(functional(model))
    numbers = {path: number for number, (path, _) in enumerate(keras.tree.flatten_with_path(outputs))}
    return [
        OutputLoss(path, numbers.get(path), loss, 1.0 if weight is None else weight)
        for path, loss, weight in private_api.resolved_losses(model, outputs)
    ]


def form_of_loss(loss: Any) -> Form | None:
    """The form of outputs that a loss takes; None for what is no cross-entropy or divergence of Keras."""
    if isinstance(loss, (*_CATEGORICAL, *_BINARY)):
        return Form(loss.from_logits, isinstance(loss, _BINARY))
    function = getattr(loss, "fn", loss)  # of a loss that is made of a function
    is_binary = next((binary for known, binary in _FUNCTIONS.items() if known is function), None)
    return None if is_binary is None else Form(False, is_binary)


def forms_by_activation(model: keras.Model) -> list[Form | None]:
    """The form of each output of a model that its last activation gives; None where that does not tell."""
    try:
        return [_given_by(tensor) for tensor in graph_of(model).outputs]
    except ValueError:  # it computes more than its layers show
        return [None] * len(model.outputs)


def output_forms(model: keras.Model) -> list[Form | None]:
    """The form of each output of a model: what its loss takes, or else what its last activation gives; None if neither tells."""
    by_loss = {each.number: form_of_loss(each.loss) for each in losses_of(model)}
    return [by_loss.get(number) or form for number, form in enumerate(forms_by_activation(model))]


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
