"""Output shape and variables of each kind of layer from its config and its inputs' shapes, without the batch axis."""

import math
from collections.abc import Sequence
from typing import Any

from nash_tf.architecture.layer_rules.rule import Config, Inferred, Shape


def pair(value: Any) -> tuple[int, int]:
    """(height, width) from one number for both, or from two."""
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
    """`Conv2D`: kernel [height, width, input channels, filters]."""
    filters, (shape,) = config["filters"], inputs
    kernel = (*pair(config["kernel_size"]), shape[-1], filters)
    return Inferred((*_conv_sides(config, shape), filters), {"kernel": kernel, **_bias(config, filters)})


def separable_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`SeparableConv2D` with multiplier m: kernels [height, width, inputs, m] and [1, 1, inputs * m, filters]."""
    filters, multiplier, (shape,) = config["filters"], config.get("depth_multiplier", 1), inputs
    weights = {
        "depthwise_kernel": (*pair(config["kernel_size"]), shape[-1], multiplier),
        "pointwise_kernel": (1, 1, shape[-1] * multiplier, filters),
        **_bias(config, filters),
    }
    return Inferred((*_conv_sides(config, shape), filters), weights)


def depthwise_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`DepthwiseConv2D` with multiplier m: kernel [height, width, inputs, m]; each input gives m adjacent outputs."""
    multiplier, (shape,) = config.get("depth_multiplier", 1), inputs
    channels = shape[-1] * multiplier
    weights = {"kernel": (*pair(config["kernel_size"]), shape[-1], multiplier), **_bias(config, channels)}
    return Inferred((*_conv_sides(config, shape), channels), weights)


def dense(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Dense`, which acts on the last axis: kernel [input channels, units]."""
    units, (shape,) = config["units"], inputs
    return Inferred((*shape[:-1], units), {"kernel": (shape[-1], units), **_bias(config, units)})


def batch_norm(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`BatchNormalization`: each variable has one number for each channel; gamma and beta may be left out."""
    (shape,) = inputs
    channels: Shape = (shape[-1],)
    weights = {"gamma": channels} if config.get("scale", True) else {}
    weights |= {"beta": channels} if config.get("center", True) else {}
    return Inferred(shape, weights, {"moving_mean": channels, "moving_variance": channels})


def pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Pools; strides are the window by default."""
    (shape,) = inputs
    size = config.get("pool_size", 2)
    strides = config.get("strides") or size
    return Inferred((*_window(shape, size, strides, config.get("padding", "valid")), shape[-1]))


def global_pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Global pools: height and width are dropped, or stay as 1."""
    (shape,) = inputs
    return Inferred((1, 1, shape[-1]) if config.get("keepdims", False) else (shape[-1],))


def flatten(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Flatten`: all numbers in one axis, of open length where a side is open."""
    (shape,) = inputs
    return Inferred((None if None in shape else math.prod(shape),))  # type: ignore[arg-type]


def same(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """A layer that changes values, but not the shape."""
    return Inferred(inputs[0])


def merge(config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """Element-wise merges; an axis of length 1 is broadcast. None for inputs of unequal rank."""
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
    """`ZeroPadding2D`: height and width grow by the padding."""
    return Inferred(_framed(inputs[0], config.get("padding", 1), 1))


def cropped(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Cropping2D`: height and width shrink by the cropping."""
    return Inferred(_framed(inputs[0], config.get("cropping", 0), -1))


def _framed(shape: Shape, frame: Any, sign: int) -> Shape:
    *sides, channels = shape
    frames = [(side, side) if isinstance(side, int) else side for side in pair(frame)]
    return (
        *(None if side is None else side + sign * sum(ends) for side, ends in zip(sides, frames, strict=True)),
        channels,
    )


def upsampled(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`UpSampling2D`: height and width grow by whole factors."""
    *sides, channels = inputs[0]
    factors = pair(config.get("size", 2))
    return Inferred(
        (*(None if side is None else side * factor for side, factor in zip(sides, factors, strict=True)), channels)
    )


def reshaped(config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """`Reshape`: a size of -1 takes what is left; None where an input axis is open, so that this is not known."""
    target = tuple(config["target_shape"])
    if -1 not in target:
        return Inferred(target)
    if None in inputs[0]:
        return None
    rest = math.prod(inputs[0]) // math.prod(side for side in target if side != -1)  # type: ignore[arg-type]
    return Inferred(tuple(rest if side == -1 else side for side in target))


def prelu(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`PReLU`: a slope for each position, shared along some axes."""
    shared = config.get("shared_axes") or ()
    return Inferred(
        inputs[0], {"alpha": tuple(1 if axis in shared else side for axis, side in enumerate(inputs[0], start=1))}
    )


def concatenate(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Concatenate`: the channels of the inputs one after the other."""
    return Inferred((*inputs[0][:-1], sum(shape[-1] for shape in inputs)))  # type: ignore[misc]


def convex_merge(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`ConvexMerge`: one number, alpha."""
    return Inferred(inputs[0], {"alpha": ()})
