"""Operations of `keras.ops` as the layers that compute the same, to the bit; the rules of these layers then hold for them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from nash_tf.keras_models import trusted
from nash_tf.keras_models.private_api import Operation

# Activations by the operation that they are, and the settings with which it is they.
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Celu": ("celu", {"alpha": 1.0}),
    "Gelu": ("gelu", {"approximate": False}),
    "HardShrink": ("hard_shrink", {"threshold": 0.5}),
    "HardSigmoid": ("hard_sigmoid", {}),
    "HardSilu": ("hard_silu", {}),
    "HardTanh": ("hard_tanh", {}),
    "LogSigmoid": ("log_sigmoid", {}),
    "Relu6": ("relu6", {}),
    "Selu": ("selu", {}),
    "Sigmoid": ("sigmoid", {}),
    "Silu": ("silu", {}),
    "SoftShrink": ("soft_shrink", {"threshold": 0.5}),
    "Softmax": ("softmax", {"axis": -1}),
    "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}),
    "SparsePlus": ("sparse_plus", {}),
    "SparseSigmoid": ("sparse_sigmoid", {}),
    "Tanh": ("tanh", {}),
    "TanhShrink": ("tanh_shrink", {}),
}
# Their layers give losses the numbers before them. An output that is one of these stays as it is, for the loss to be the same.
WITH_LOGITS = ("Sigmoid", "Softmax")


class _Op(NamedTuple):
    """An operation that is called.

    Attributes:
        name: name of its class.
        operation: it.
        args: its positional arguments.
        tensors: the tensors in these.
        output: its output.
    """

    name: str
    operation: Operation
    args: Sequence[Any]
    tensors: Sequence[keras.KerasTensor]
    output: keras.KerasTensor

    @property
    def rank(self) -> int:
        """Number of axes of its input, the batch axis among them."""
        return len(self.tensors[0].shape)

    @property
    def settings(self) -> dict[str, Any]:
        """Its config without the name."""
        return {key: value for key, value in self.operation.get_config().items() if key != "name"}


_Layer = tuple[str, dict[str, Any]]  # a layer's kind and its arguments


def as_layer(
    operation: Operation, name: str, args: Sequence[Any], output: keras.KerasTensor
) -> tuple[keras.layers.Layer, list] | None:
    """The layer of the same function for an operation that is called on tensors without masks.

    Args:
        operation: the operation.
        name: name of the layer.
        args: all arguments of its call.
        output: its output.

    Returns:
        The layer, and the arguments of its call. None where there is no such layer: with another type of
        number in it than in the output, where the batch axis changes, or with settings that no layer has.
    """
    found = _FOUND.get(type(operation).__name__) if trusted.is_operation(operation) else None
    tensors = [leaf for leaf in keras.tree.flatten(list(args)) if isinstance(leaf, keras.KerasTensor)]
    dtype = output.dtype
    if (
        found is None
        or not tensors
        or "float" not in dtype
        or any(tensor.dtype != dtype or len(tensor.shape) < 2 for tensor in tensors)
        or any(not output.shape or tensor.shape[0] != output.shape[0] for tensor in tensors)
        or keras.config.image_data_format() != "channels_last"
    ):
        return None
    layer = found(_Op(type(operation).__name__, operation, args, tensors, output))
    if layer is None:
        return None
    # New layers after it take over its policy, and must keep their weights in float32.
    policy = f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype
    made = trusted.class_of(layer[0])(**layer[1], name=name, dtype=policy)
    return made, [tensors] if len(tensors) > 1 else tensors


def _activation(op: _Op) -> _Layer | None:
    name, settings = _ACTIVATIONS[op.name]
    return ("Activation", {"activation": name}) if op.settings == settings else None


def _with_own_settings(kind: str) -> Callable[[_Op], _Layer]:
    return lambda op: (kind, op.settings)


def _merge(op: _Op) -> _Layer | None:
    """Two tensors, or a tensor and a number."""
    if len(op.tensors) == 2:
        return (op.name, {}) if len({len(tensor.shape) for tensor in op.tensors}) == 1 else None
    numbers = [arg for arg in op.args if type(arg) in (int, float)]
    if len(op.args) != 2 or len(numbers) != 1 or op.output.dtype != "float32":
        return None
    (number,), is_last = numbers, op.args[1] is numbers[0]
    match op.name:
        case "Add":
            return "Rescaling", {"scale": 1.0, "offset": float(number)}
        case "Multiply":
            return "Rescaling", {"scale": float(number)}
        case "Subtract":
            return "Rescaling", {"scale": 1.0 if is_last else -1.0, "offset": float(-number if is_last else number)}
    return None


def _concatenation(op: _Op) -> _Layer | None:
    axis = op.operation.axis % op.rank
    return ("Concatenate", {"axis": axis}) if len(op.tensors) > 1 and axis else None


def _global_pool(op: _Op) -> _Layer | None:
    """A mean or maximum over all axes but those of the examples and of the channels."""
    axis, others = op.operation.axis, list(range(1, op.rank - 1))
    axes = [axis] if isinstance(axis, int) else list(axis or ())
    if not others or sorted(each % op.rank for each in axes) != others or getattr(op.operation, "initial", None):
        return None
    sort = {"Mean": "Average", "Max": "Max"}[op.name]
    return f"Global{sort}Pooling{len(others)}D", {"keepdims": bool(op.operation.keepdims)}


def _pool(op: _Op) -> _Layer | None:
    settings = op.settings
    if not 3 <= op.rank <= 5 or settings.pop("data_format", None) not in (None, "channels_last"):
        return None
    return f"{op.name}ing{op.rank - 2}D", settings


def _reshape(op: _Op) -> _Layer | None:
    """An operation that gives the same numbers of each example in another shape."""
    sizes, taken = op.output.shape[1:], op.tensors[0].shape[1:]
    if None in (*sizes, *taken) or math.prod(sizes) != math.prod(taken):
        return None
    return ("Flatten", {}) if len(sizes) == 1 else ("Reshape", {"target_shape": sizes})


def _item(op: _Op) -> _Layer | None:
    """An index that takes everything, and may put in axes of length 1."""
    key = op.args[1] if isinstance(op.args[1], tuple) else (op.args[1],)
    is_whole = key[0] in (slice(None), ...) and all(part in (slice(None), None, ...) for part in key)
    return _reshape(op) if is_whole else None


def _permute(op: _Op) -> _Layer | None:
    axes = [axis % op.rank for axis in op.operation.axes or range(op.rank)[::-1]]
    return ("Permute", {"dims": axes[1:]}) if axes[0] == 0 and op.rank > 2 else None


_FOUND: dict[str, Callable[[_Op], _Layer | None]] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    "Relu": lambda op: ("ReLU", {}),
    "ReLU": _with_own_settings("ReLU"),
    "LeakyRelu": _with_own_settings("LeakyReLU"),
    "Elu": _with_own_settings("ELU"),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Maximum", "Minimum"), _merge),
    "Concatenate": _concatenation,
    **dict.fromkeys(("Mean", "Max"), _global_pool),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("Reshape", "ExpandDims", "Squeeze"), _reshape),
    "GetItem": _item,
    "Transpose": _permute,
}
