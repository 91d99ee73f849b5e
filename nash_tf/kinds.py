"""What is known of each kind of Keras layer: shape, variables, sign of the output, and what becomes of channels.

A kind that is not listed is carried through a search untouched, and no operator is offered where it would have to change.
Adding a kind is one entry in `_KINDS`. Configs hold only what differs from Keras' defaults.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CALL = "__call__"  # where a config holds the arguments of a call that is not on one tensor or a list of them
Shape = tuple[int | None, ...]
Config = Mapping[str, Any]


class Inferred(NamedTuple):
    """Output shape without the batch axis, trained variables, and statistics, by name."""

    shape: Shape
    weights: dict[str, Shape] = {}
    statistics: dict[str, Shape] = {}


@dataclass(frozen=True)
class Growth:
    """How a variable follows when channels are put in: along which axis, in which unit, and filled with what."""

    axis: int
    fill: str


@dataclass(frozen=True)
class Kind:
    """Knowledge of one kind.

    Attributes:
        infer: (config, shapes of the inputs) -> output shape and variables.
        nonnegative: (config, whether each input is non-negative) -> whether the output must be.
        channels: what new input channels do: "carried" to the output one to one, "absorbed" by a kernel, or "stopped".
        input_growth: how the variables follow new input channels. An absorbing kind has one filled with zeros, so that
            its output stays as it was.
        output_growth: how the variables follow new output channels; empty where they cannot be chosen freely.
    """

    infer: Callable[[Config, Sequence[Shape]], Inferred]
    nonnegative: Callable[[Config, Sequence[bool]], bool]
    channels: str = "stopped"
    input_growth: Mapping[str, Growth] = field(default_factory=dict)
    output_growth: Mapping[str, Growth] = field(default_factory=dict)


def infer(kind: str, config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """Shape and variables of a layer, or None for a kind or a use of it that is not known."""
    known = get(kind, config)
    return known.infer(config, inputs) if known and kind != "InputLayer" else None


def is_nonnegative(kind: str, config: Config, inputs: Sequence[bool]) -> bool:
    """Whether a layer's output is never negative, given which of its inputs are never."""
    known = get(kind, config)
    return known is not None and known.nonnegative(config, inputs)


def get(kind: str, config: Config) -> Kind | None:
    """What is known of a layer, or None for an unlisted kind or a use of it that mixes or moves the channels."""
    usual = (
        CALL not in config
        and config.get("data_format", "channels_last") == "channels_last"
        and config.get("groups", 1) == 1
        and config.get("axis", -1) == -1
        and (config.get("depth_multiplier", 1) == 1 or kind == "DepthwiseConv2D")
        and not (kind == "Activation" and config.get("activation") in _ACROSS_CHANNELS)
    )
    return _KINDS.get(kind) if usual else None


def pair(value: Any) -> tuple[int, int]:
    """A size for height and width, given as one number or two."""
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


# Shapes ---------------------------------------------------------------------------------------------------------------


def _window(shape: Shape, size: Any, strides: Any, padding: str, dilation: Any = 1) -> tuple[int | None, ...]:
    def length(side: int | None, window: int, stride: int, rate: int) -> int | None:
        if side is None:
            return None
        reach = (window - 1) * rate + 1
        return math.ceil(side / stride) if padding == "same" else (side - reach) // stride + 1

    return tuple(map(length, shape[:2], pair(size), pair(strides), pair(dilation)))


def _conv_sides(config: Config, shape: Shape) -> tuple[int | None, ...]:
    return _window(
        shape,
        config["kernel_size"],
        config.get("strides", 1),
        config.get("padding", "valid"),
        config.get("dilation_rate", 1),
    )


def _bias(config: Config, channels: int | None) -> dict[str, Shape]:
    return {"bias": (channels,)} if config.get("use_bias", True) else {}


def _conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    filters, (shape,) = config["filters"], inputs
    kernel = (*pair(config["kernel_size"]), shape[-1], filters)
    return Inferred((*_conv_sides(config, shape), filters), {"kernel": kernel, **_bias(config, filters)})


def _separable_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    filters, multiplier, (shape,) = config["filters"], config.get("depth_multiplier", 1), inputs
    weights = {
        "depthwise_kernel": (*pair(config["kernel_size"]), shape[-1], multiplier),
        "pointwise_kernel": (1, 1, shape[-1] * multiplier, filters),
        **_bias(config, filters),
    }
    return Inferred((*_conv_sides(config, shape), filters), weights)


def _depthwise_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    multiplier, (shape,) = config.get("depth_multiplier", 1), inputs
    channels = shape[-1] * multiplier
    weights = {"kernel": (*pair(config["kernel_size"]), shape[-1], multiplier), **_bias(config, channels)}
    return Inferred((*_conv_sides(config, shape), channels), weights)


def _dense(config: Config, inputs: Sequence[Shape]) -> Inferred:
    units, (shape,) = config["units"], inputs
    return Inferred((*shape[:-1], units), {"kernel": (shape[-1], units), **_bias(config, units)})


def _batch_norm(config: Config, inputs: Sequence[Shape]) -> Inferred:
    (shape,) = inputs
    channels = (shape[-1],)
    weights = {"gamma": channels} if config.get("scale", True) else {}
    weights |= {"beta": channels} if config.get("center", True) else {}
    return Inferred(shape, weights, {"moving_mean": channels, "moving_variance": channels})


def _pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    (shape,) = inputs
    size = config.get("pool_size", 2)
    strides = config.get("strides") or size
    return Inferred((*_window(shape, size, strides, config.get("padding", "valid")), shape[-1]))


def _global_pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    (shape,) = inputs
    return Inferred((1, 1, shape[-1]) if config.get("keepdims", False) else (shape[-1],))


def _flatten(config: Config, inputs: Sequence[Shape]) -> Inferred:
    (shape,) = inputs
    return Inferred((None if None in shape else math.prod(shape),))  # type: ignore[arg-type]


def _same(config: Config, inputs: Sequence[Shape]) -> Inferred:
    return Inferred(inputs[0])


def _concatenate(config: Config, inputs: Sequence[Shape]) -> Inferred:
    return Inferred((*inputs[0][:-1], sum(shape[-1] for shape in inputs)))  # type: ignore[misc]


def _convex_merge(config: Config, inputs: Sequence[Shape]) -> Inferred:
    return Inferred(inputs[0], {"alpha": ()})


# Signs ----------------------------------------------------------------------------------------------------------------

_ACROSS_CHANNELS = frozenset({"softmax", "log_softmax", "glu", "sparsemax"})
_NONNEGATIVE_ACTIVATIONS = frozenset({"relu", "relu6", "sigmoid", "hard_sigmoid", "softplus", "softmax", "exponential"})


def _follows(config: Config, inputs: Sequence[bool]) -> bool:
    return all(inputs)


def _never(config: Config, inputs: Sequence[bool]) -> bool:
    return False


def _activation(config: Config, inputs: Sequence[bool]) -> bool:
    return config.get("activation") in _NONNEGATIVE_ACTIVATIONS


def _relu(config: Config, inputs: Sequence[bool]) -> bool:
    return not config.get("negative_slope", 0.0) and not config.get("threshold", 0.0)


# The table ------------------------------------------------------------------------------------------------------------

_BIAS = {"bias": Growth(0, "zeros")}
_CONV = Kind(
    _conv,
    _activation,
    "absorbed",
    input_growth={"kernel": Growth(2, "zeros")},
    output_growth={"kernel": Growth(3, "he_normal"), **_BIAS},
)
_SEPARABLE_CONV = Kind(
    _separable_conv,
    _activation,
    "absorbed",
    # Only the pointwise kernel is zero there: were both, neither would ever see a gradient.
    input_growth={"depthwise_kernel": Growth(2, "he_normal"), "pointwise_kernel": Growth(2, "zeros")},
    output_growth={"pointwise_kernel": Growth(3, "he_normal"), **_BIAS},
)
_BATCH_NORM = Kind(
    _batch_norm,
    _never,
    "carried",
    input_growth={
        "gamma": Growth(0, "ones"),
        "beta": Growth(0, "zeros"),
        "moving_mean": Growth(0, "zeros"),
        "moving_variance": Growth(0, "ones"),
    },
)
_POOL = Kind(_pool, _follows, "carried")
_GLOBAL_POOL = Kind(_global_pool, _follows, "carried")
_ELEMENT_WISE = Kind(_same, _follows, "carried")
_MERGE = Kind(_same, _follows)

_KINDS: dict[str, Kind] = {
    "InputLayer": Kind(lambda config, inputs: Inferred(()), _never),
    "Conv2D": _CONV,
    "nash_tf>IdentityConv2D": _CONV,
    "SeparableConv2D": _SEPARABLE_CONV,
    "nash_tf>IdentitySeparableConv2D": _SEPARABLE_CONV,
    "DepthwiseConv2D": Kind(_depthwise_conv, _activation),
    "Dense": Kind(
        _dense,
        _activation,
        "absorbed",
        input_growth={"kernel": Growth(0, "zeros")},
    ),
    "BatchNormalization": _BATCH_NORM,
    "ReLU": Kind(_same, _relu, "carried"),
    "Activation": Kind(_same, _activation, "carried"),
    "MaxPooling2D": _POOL,
    "AveragePooling2D": _POOL,
    "GlobalAveragePooling2D": _GLOBAL_POOL,
    "GlobalMaxPooling2D": _GLOBAL_POOL,
    "Flatten": Kind(_flatten, _follows),
    "Dropout": _ELEMENT_WISE,
    "Concatenate": Kind(_concatenate, _follows),
    "Add": _MERGE,
    "nash_tf>ConvexMerge": Kind(_convex_merge, _follows),
}
