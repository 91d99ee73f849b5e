"""Bounds of a layer's output from the bounds of its inputs, by interval arithmetic; rounding is not considered."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from nash_tf.architecture.layer_rules.wrapped import Config, settings


class Bounds(NamedTuple):
    """A range that contains every number of a tensor."""

    low: float
    high: float


_INF = math.inf
UNBOUNDED = Bounds(-_INF, _INF)

SOFTMAXES = frozenset({"softmax", "log_softmax"})
# A softmax depends on all channels. An exponential may be infinite, and zero times infinity is not zero.
NOT_PER_CHANNEL = SOFTMAXES | {"exponential"}
ACTIVATION_ENTRIES = ("activation", "recurrent_activation")  # the second is that of a recurrent layer's gates

# Ranges of Keras' element-wise activations over all real inputs.
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
# Activations whose output lies between 0 and their input.
_SHRINKING = (
    *("linear", "leaky_relu", "hard_shrink", "soft_shrink", "tanh_shrink", "relu", "relu6", "tanh", "hard_tanh"),
    *("softsign", "elu", "celu", "silu", "gelu", "mish", "hard_silu"),
)


def activation_of(config: Config, entry: str = "activation") -> str:
    """Name of the activation in a config, "linear" by default; "" for a user's own, which is not stored as a name."""
    name = settings(config).get(entry) or "linear"
    return name if isinstance(name, str) else ""


def activation(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The activation that the config names."""
    name = activation_of(config)
    if name in SOFTMAXES:
        return Bounds(0.0, 1.0) if name == "softmax" else Bounds(-_INF, 0.0)
    (low, high), (least, most) = ACTIVATIONS[name], inputs[0]
    if name in _SHRINKING:
        return Bounds(max(low, min(least, 0.0)), min(high, max(most, 0.0)))
    return Bounds(low, high)


def kernel(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """A layer with a kernel: any number before its activation."""
    return activation(config, [UNBOUNDED])


def unbounded(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """A layer whose output may be any number."""
    return UNBOUNDED


def follow(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """A layer that selects, moves or averages numbers of its inputs."""
    return Bounds(min(low for low, _ in inputs), max(high for _, high in inputs))


def with_zero(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """A layer that selects numbers of its inputs, or puts in zeros, as padding does."""
    return follow(config, [*inputs, Bounds(0.0, 0.0)])


def upsampling(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Interpolation: nearest and bilinear stay in the range of the input; cubic and Lanczos kernels overshoot."""
    return inputs[0] if config.get("interpolation", "nearest") in ("nearest", "bilinear") else UNBOUNDED


def dropout(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Zeros, and in training mode the other numbers divided by 1 - rate."""
    remaining = 1.0 - config.get("rate", 0.0)
    (low, high) = with_zero(config, inputs)
    return Bounds(low / remaining, high / remaining) if remaining > 0 else UNBOUNDED


def softmax(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Softmax: shares of 1."""
    return Bounds(0.0, 1.0)


def rescaling(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """scale * x + offset; unbounded where scale or offset is an array."""
    scale, offset = config.get("scale", 1.0), config.get("offset", 0.0)
    if not isinstance(scale, int | float) or not isinstance(offset, int | float):
        return UNBOUNDED
    ends = [_times(end, scale) + offset for end in inputs[0]]
    return Bounds(min(ends), max(ends))


def gelu(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The operation `gelu`, approximate or not."""
    return activation({"activation": "gelu"}, inputs)


def absolute(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The absolute value."""
    low, high = inputs[0]
    return Bounds(max(low, -high, 0.0), max(-low, high))


def negative(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The number with the other sign."""
    low, high = inputs[0]
    return Bounds(-high, -low)


def square(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The square."""
    low, high = absolute(config, inputs)
    return Bounds(_times(low, low), _times(high, high))


def clipped(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The nearest number between two."""
    least, most = config["x_min"], config["x_max"]
    return Bounds(*(min(max(end, least), most) for end in inputs[0]))


def relu(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """Keras' `ReLU`: slope * (x - threshold) below the threshold, max_value above it, x between."""
    slope, threshold, most = (
        config.get("negative_slope") or 0.0,
        config.get("threshold") or 0.0,
        config.get("max_value"),
    )
    low, high = inputs[0]
    cuts_negative = slope == 0.0 and threshold >= 0.0
    keeps_nonnegative = slope >= 0.0 and threshold <= 0.0 and low >= 0.0
    if slope < 0.0:
        return UNBOUNDED
    return Bounds(
        0.0 if cuts_negative or keeps_nonnegative else -_INF, min(max(high, 0.0), _INF if most is None else most)
    )


def leaky(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The identity on an input that is never negative; otherwise any number."""
    return inputs[0] if inputs[0].low >= 0.0 else UNBOUNDED


def total(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The sum of all inputs."""
    return Bounds(sum(low for low, _ in inputs), sum(high for _, high in inputs))


def difference(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The first input minus the second."""
    first, second = inputs
    return Bounds(first.low - second.high, first.high - second.low)


def product(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The element-wise product of all inputs."""
    result = inputs[0]
    for other in inputs[1:]:
        ends = [_times(one, two) for one in result for two in other]
        result = Bounds(min(ends), max(ends))
    return result


def maximum(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The element-wise maximum of all inputs."""
    return Bounds(max(low for low, _ in inputs), max(high for _, high in inputs))


def minimum(config: Config, inputs: Sequence[Bounds]) -> Bounds:
    """The element-wise minimum of all inputs."""
    return Bounds(min(low for low, _ in inputs), min(high for _, high in inputs))


def _times(one: float, two: float) -> float:
    return 0.0 if 0.0 in (one, two) else one * two  # 0 * infinity is 0 here
