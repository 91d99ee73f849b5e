"""Between which bounds a layer's output lies, from those of its inputs: interval arithmetic, rounding left out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Config = Mapping[str, Any]


class Bounds(NamedTuple):
    """The smallest and the largest value that a tensor may hold."""

    low: float
    high: float


_INF = math.inf
UNBOUNDED = Bounds(-_INF, _INF)

SOFTMAXES = frozenset({"softmax", "log_softmax"})

# Range over all numbers of Keras' activations that act on each number alone.
ACTIVATIONS = {
    "linear": UNBOUNDED,
    "leaky_relu": UNBOUNDED,
    "hard_shrink": UNBOUNDED,
    "soft_shrink": UNBOUNDED,
    "tanh_shrink": UNBOUNDED,
    "log_sigmoid": Bounds(-_INF, 0.0),
    "relu": Bounds(0.0, _INF),
    "softplus": Bounds(0.0, _INF),
    "squareplus": Bounds(0.0, _INF),
    "sparse_plus": Bounds(0.0, _INF),
    "exponential": Bounds(0.0, _INF),
    "relu6": Bounds(0.0, 6.0),
    "sigmoid": Bounds(0.0, 1.0),
    "hard_sigmoid": Bounds(0.0, 1.0),
    "sparse_sigmoid": Bounds(0.0, 1.0),
    "tanh": Bounds(-1.0, 1.0),
    "hard_tanh": Bounds(-1.0, 1.0),
    "softsign": Bounds(-1.0, 1.0),
    "elu": Bounds(-1.0, _INF),
    "celu": Bounds(-1.0, _INF),
    "selu": Bounds(-1.76, _INF),
    "silu": Bounds(-0.28, _INF),
    "gelu": Bounds(-0.18, _INF),
    "mish": Bounds(-0.31, _INF),
    "hard_silu": Bounds(-0.375, _INF),
}
# Those whose value lies between 0 and their input.
_SHRINKING = (
    *("linear", "leaky_relu", "hard_shrink", "soft_shrink", "tanh_shrink", "relu", "relu6", "tanh", "hard_tanh"),
    *("softsign", "elu", "celu", "silu", "gelu", "mish", "hard_silu"),
)


def activation_of(config: Config) -> str:
    """Name of the activation in a config; "" for one that is no name, a user's own."""
    name = config.get("activation") or "linear"
    return name if isinstance(name, str) else ""


def activation(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of the activation that a config names, over its input."""
    name = activation_of(config)
    if name in SOFTMAXES:
        return Bounds(0.0, 1.0) if name == "softmax" else Bounds(-_INF, 0.0)
    (low, high), (least, most) = ACTIVATIONS[name], inputs[0]
    if name in _SHRINKING:
        return Bounds(max(low, min(least, 0.0)), min(high, max(most, 0.0)))
    return Bounds(low, high)


def kernel(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of a layer that may compute anything before its activation."""
    return activation(config, [UNBOUNDED])


def unbounded(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Any number."""
    return UNBOUNDED


def follow(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Each number of the output is one of an input's, or lies between some."""
    return Bounds(min(low for low, _ in inputs), max(high for _, high in inputs))


def with_zero(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """As `follow`, where zeros may come in: by padding, or by dropping."""
    return follow(config, [*inputs, Bounds(0.0, 0.0)])


def upsampling(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Cubic and Lanczos kernels overshoot."""
    return inputs[0] if config.get("interpolation", "nearest") in ("nearest", "bilinear") else UNBOUNDED


def dropout(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """In training mode: what is kept grows by 1 / (1 - rate)."""
    kept = 1.0 - config.get("rate", 0.0)
    (low, high) = with_zero(config, inputs)
    return Bounds(low / kept, high / kept) if kept > 0 else UNBOUNDED


def softmax(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Shares of a whole."""
    return Bounds(0.0, 1.0)


def rescaling(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """scale * x + offset; unbounded where these are arrays."""
    scale, offset = config.get("scale", 1.0), config.get("offset", 0.0)
    if not isinstance(scale, int | float) or not isinstance(offset, int | float):
        return UNBOUNDED
    ends = [_times(end, scale) + offset for end in inputs[0]]
    return Bounds(min(ends), max(ends))


def relu(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """max_value above it, slope * (x - threshold) below the threshold, x between."""
    slope, threshold, most = (
        config.get("negative_slope") or 0.0,
        config.get("threshold") or 0.0,
        config.get("max_value"),
    )
    low, high = inputs[0]
    cut = slope == 0.0 and threshold >= 0.0
    kept = slope >= 0.0 and threshold <= 0.0 and low >= 0.0
    if slope < 0.0:
        return UNBOUNDED
    return Bounds(0.0 if cut or kept else -_INF, min(max(high, 0.0), _INF if most is None else most))


def leaky(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The input where it is not negative, anything where it is."""
    return inputs[0] if inputs[0].low >= 0.0 else UNBOUNDED


def total(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of a sum of all inputs."""
    return Bounds(sum(low for low, _ in inputs), sum(high for _, high in inputs))


def difference(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of the first input less the second."""
    first, second = inputs
    return Bounds(first.low - second.high, first.high - second.low)


def product(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of a product of all inputs, number by number."""
    result = inputs[0]
    for other in inputs[1:]:
        ends = [_times(one, two) for one in result for two in other]
        result = Bounds(min(ends), max(ends))
    return result


def maximum(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of the largest of all inputs, number by number."""
    return Bounds(max(low for low, _ in inputs), max(high for _, high in inputs))


def minimum(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Of the smallest of all inputs, number by number."""
    return Bounds(min(low for low, _ in inputs), min(high for _, high in inputs))


def _times(one: float, two: float) -> float:
    return 0.0 if 0.0 in (one, two) else one * two
