"""Output shapes and variables of layers, from their configs and the shapes of their inputs."""

import math
from collections.abc import Sequence
from typing import Any

from nash_tf.architecture.layer_rules.rule import Config, Inferred, Shape


def pair(value: Any) -> tuple[int, int]:
    """A size for height and width, given as one number or two."""
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


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


def conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Kernel [height, width, channels in, filters]."""
    filters, (shape,) = config["filters"], inputs
    kernel = (*pair(config["kernel_size"]), shape[-1], filters)
    return Inferred((*_conv_sides(config, shape), filters), {"kernel": kernel, **_bias(config, filters)})


def separable_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Depthwise kernel [height, width, channels in, multiplier], pointwise [1, 1, channels in * multiplier, filters]."""
    filters, multiplier, (shape,) = config["filters"], config.get("depth_multiplier", 1), inputs
    weights = {
        "depthwise_kernel": (*pair(config["kernel_size"]), shape[-1], multiplier),
        "pointwise_kernel": (1, 1, shape[-1] * multiplier, filters),
        **_bias(config, filters),
    }
    return Inferred((*_conv_sides(config, shape), filters), weights)


def depthwise_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Kernel [height, width, channels in, multiplier]; a channel in gives `multiplier` channels out, side by side."""
    multiplier, (shape,) = config.get("depth_multiplier", 1), inputs
    channels = shape[-1] * multiplier
    weights = {"kernel": (*pair(config["kernel_size"]), shape[-1], multiplier), **_bias(config, channels)}
    return Inferred((*_conv_sides(config, shape), channels), weights)


def dense(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Acts on the last axis; kernel [numbers in, units]."""
    units, (shape,) = config["units"], inputs
    return Inferred((*shape[:-1], units), {"kernel": (shape[-1], units), **_bias(config, units)})


def batch_norm(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """A number of each variable for each channel; scale and centre may be left out."""
    (shape,) = inputs
    channels: Shape = (shape[-1],)
    weights = {"gamma": channels} if config.get("scale", True) else {}
    weights |= {"beta": channels} if config.get("center", True) else {}
    return Inferred(shape, weights, {"moving_mean": channels, "moving_variance": channels})


def pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Strides are the window where they are not given."""
    (shape,) = inputs
    size = config.get("pool_size", 2)
    strides = config.get("strides") or size
    return Inferred((*_window(shape, size, strides, config.get("padding", "valid")), shape[-1]))


def global_pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Sides go, or stay as 1."""
    (shape,) = inputs
    return Inferred((1, 1, shape[-1]) if config.get("keepdims", False) else (shape[-1],))


def flatten(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """All numbers in one axis; unknown where a side is."""
    (shape,) = inputs
    return Inferred((None if None in shape else math.prod(shape),))  # type: ignore[arg-type]


def same(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Of a layer that changes values alone."""
    return Inferred(inputs[0])


def merge(config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """Of an element-wise merge; sides of length 1 stretch. Keras' ways with unequal ranks are not known."""
    if len({len(shape) for shape in inputs}) != 1:
        return None
    result = inputs[0]
    for shape in inputs[1:]:
        result = tuple(
            None if None in (one, two) else max(one, two)  # type: ignore[type-var]
            for one, two in zip(result, shape, strict=True)
        )
    return Inferred(result)


def padded(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Sides grow by the frame."""
    return Inferred(_framed(inputs[0], config.get("padding", 1), 1))


def cropped(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Sides shrink by the frame."""
    return Inferred(_framed(inputs[0], config.get("cropping", 0), -1))


def _framed(shape: Shape, frame: Any, sign: int) -> Shape:
    *sides, channels = shape
    frames = [(side, side) if isinstance(side, int) else side for side in pair(frame)]
    return (
        *(None if side is None else side + sign * sum(ends) for side, ends in zip(sides, frames, strict=True)),
        channels,
    )


def upsampled(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Sides grow by whole factors."""
    *sides, channels = inputs[0]
    factors = pair(config.get("size", 2))
    return Inferred(
        (*(None if side is None else side * factor for side, factor in zip(sides, factors, strict=True)), channels)
    )


def reshaped(config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """A side of -1 takes what is left; None where that cannot be known."""
    target = tuple(config["target_shape"])
    if -1 not in target:
        return Inferred(target)
    if None in inputs[0]:
        return None
    rest = math.prod(inputs[0]) // math.prod(side for side in target if side != -1)  # type: ignore[arg-type]
    return Inferred(tuple(rest if side == -1 else side for side in target))


def prelu(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """A slope for each place that no shared axis takes."""
    shared = config.get("shared_axes") or ()
    return Inferred(
        inputs[0], {"alpha": tuple(1 if axis in shared else side for axis, side in enumerate(inputs[0], start=1))}
    )


def concatenate(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Channels one after the other."""
    return Inferred((*inputs[0][:-1], sum(shape[-1] for shape in inputs)))  # type: ignore[misc]


def convex_merge(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """One scalar, alpha."""
    return Inferred(inputs[0], {"alpha": ()})
