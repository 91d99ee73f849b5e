"""Output shape and variables of each kind of layer from its config and its inputs' shapes, without the batch axis."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from nash_tf.architecture.layer_rules.calls import attended
from nash_tf.architecture.layer_rules.rule import Config, Inferred, Shape


def sizes(value: Any, axes: int) -> tuple[int, ...]:
    """One number for each axis, from one number for all, or from a list of them."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _window(shape: Shape, size: Any, strides: Any, padding: str, dilation: Any = 1) -> Shape:
    def length(side: int | None, window: int, stride: int, rate: int) -> int | None:
        if side is None:
            return None
        reach = (window - 1) * rate + 1
        return (side - reach) // stride + 1 if padding == "valid" else math.ceil(side / stride)

    sides = shape[:-1]
    return tuple(map(length, sides, *(sizes(each, len(sides)) for each in (size, strides, dilation))))


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
    """`Conv1D`, `Conv2D`, `Conv3D`: kernel [..., input channels, filters]."""
    filters, (shape,) = config["filters"], inputs
    kernel = (*sizes(config["kernel_size"], len(shape) - 1), shape[-1], filters)
    return Inferred((*_conv_sides(config, shape), filters), {"kernel": kernel, **_bias(config, filters)})


def transposed_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Conv1DTranspose`, `Conv2DTranspose`, `Conv3DTranspose`: kernel [..., filters, input channels]."""
    filters, (shape,) = config["filters"], inputs
    windows = sizes(config["kernel_size"], len(shape) - 1)
    strides, rates = (sizes(config.get(name, 1), len(windows)) for name in ("strides", "dilation_rate"))
    padding = config.get("output_padding")
    paddings = (None,) * len(windows) if padding is None else sizes(padding, len(windows))

    def length(side: int | None, window: int, stride: int, rate: int, added: int | None) -> int | None:
        if side is None:
            return None
        reach = (window - 1) * rate + 1
        if config.get("padding", "valid") == "valid":
            return (side - 1) * stride + reach + (max(reach, stride) - reach if added is None else added)
        return side * stride if added is None else (side - 1) * stride + reach % 2 + added

    sides = tuple(map(length, shape[:-1], windows, strides, rates, paddings))
    return Inferred((*sides, filters), {"kernel": (*windows, filters, shape[-1]), **_bias(config, filters)})


def separable_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Separable convolutions with multiplier m: kernels [..., inputs, m] and [1, ..., inputs * m, filters]."""
    filters, multiplier, (shape,) = config["filters"], config.get("depth_multiplier", 1), inputs
    weights = {
        "depthwise_kernel": (*sizes(config["kernel_size"], len(shape) - 1), shape[-1], multiplier),
        "pointwise_kernel": (*(1 for _ in shape[:-1]), shape[-1] * multiplier, filters),
        **_bias(config, filters),
    }
    return Inferred((*_conv_sides(config, shape), filters), weights)


def depthwise_conv(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Depthwise convolutions with multiplier m: kernel [..., inputs, m]; each input gives m adjacent outputs."""
    multiplier, (shape,) = config.get("depth_multiplier", 1), inputs
    channels = shape[-1] * multiplier
    weights = {
        "kernel": (*sizes(config["kernel_size"], len(shape) - 1), shape[-1], multiplier),
        **_bias(config, channels),
    }
    return Inferred((*_conv_sides(config, shape), channels), weights)


def dense(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Dense`, which acts on the last axis: kernel [input channels, units]."""
    units, (shape,) = config["units"], inputs
    return Inferred((*shape[:-1], units), {"kernel": (shape[-1], units), **_bias(config, units)})


def embedding(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Embedding`: a row of numbers for each index."""
    width, (shape,) = config["output_dim"], inputs
    return Inferred((*shape, width), {"embeddings": (config["input_dim"], width)})


def recurrent(gates: int, biases: int = 1) -> Callable[[Config, Sequence[Shape]], Inferred | None]:
    """Recurrent layers: kernel [inputs, gates * units], recurrent kernel [units, gates * units], bias [gates * units].

    Args:
        gates: number of gates; their columns lie side by side.
        biases: number of rows of the bias; one axis for one row.
    """

    def infer(config: Config, inputs: Sequence[Shape]) -> Inferred | None:
        units, shape = config["units"], inputs[0]
        if len(shape) != 2:
            return None
        rows = biases if config.get("reset_after", True) else 1
        columns = gates * units
        weights: dict[str, Shape] = {"kernel": (shape[-1], columns), "recurrent_kernel": (units, columns)}
        if config.get("use_bias", True):
            weights["bias"] = (columns,) if rows == 1 else (rows, columns)
        return Inferred((shape[0], units) if config.get("return_sequences", False) else (units,), weights)

    return infer


def attention(config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """`MultiHeadAttention`: kernels [channels, heads, size of a head] of query, key and value, and one for the output."""
    query, key, value = (inputs[number] for number in attended(config))
    if any(len(shape) != 2 for shape in (query, key, value)):
        return None
    heads, size = config["num_heads"], config["key_dim"]
    given, valued = config.get("output_shape"), config.get("value_dim") or size
    if isinstance(given, list | tuple) and len(given) != 1:
        return None
    width = query[-1] if not given else given if isinstance(given, int) else given[0]
    kernels: list[Shape] = [
        (query[-1], heads, size),
        (key[-1], heads, size),
        (value[-1], heads, valued),
        (heads, valued, width),
    ]
    weights: dict[str, Shape] = {}
    for number, kernel in enumerate(kernels):
        suffix = f":{number}" if number else ""
        weights[f"kernel{suffix}"] = kernel
        if config.get("use_bias", True):
            weights[f"bias{suffix}"] = kernel[1:] if number < 3 else (width,)
    return Inferred((query[0], width), weights)


def layer_norm(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`LayerNormalization`, `GroupNormalization`: gamma and beta have one number for each channel, or are left out."""
    (shape,) = inputs
    weights: dict[str, Shape] = {"gamma": (shape[-1],)} if config.get("scale", True) else {}
    return Inferred(shape, weights | ({"beta": (shape[-1],)} if config.get("center", True) else {}))


def rms_norm(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`RMSNormalization`: one number for each channel."""
    return Inferred(inputs[0], {"scale": (inputs[0][-1],)})


def layer_scale(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`LayerScale` of ConvNeXt: one factor for each channel."""
    return Inferred(inputs[0], {"variable": (config["projection_dim"],)})


def batch_norm(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`BatchNormalization`: each variable has one number for each channel; gamma and beta may be left out."""
    channels = inputs[0][-1:]
    return layer_norm(config, inputs)._replace(statistics={"moving_mean": channels, "moving_variance": channels})


def pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Pools; strides are the window by default."""
    (shape,) = inputs
    size = config.get("pool_size", 2)
    strides = config.get("strides") or size
    return Inferred((*_window(shape, size, strides, config.get("padding", "valid")), shape[-1]))


def global_pool(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """Global pools: all axes but that of channels are dropped, or stay as 1."""
    (shape,) = inputs
    return Inferred((*((1,) * (len(shape) - 1) if config.get("keepdims", False) else ()), shape[-1]))


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
    """`ZeroPadding1D`, `2D`, `3D`: each side grows by the padding."""
    return Inferred(_framed(inputs[0], config.get("padding", 1), 1))


def cropped(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Cropping1D`, `2D`, `3D`: each side shrinks by the cropping; by default by 0 in 2D, and by 1 else."""
    return Inferred(_framed(inputs[0], config.get("cropping", 0 if len(inputs[0]) == 3 else 1), -1))


def _framed(shape: Shape, frame: Any, sign: int) -> Shape:
    *sides, channels = shape
    # Of a sequence the list holds both ends, of an image or a volume one entry for each side.
    frames = [frame] if len(sides) == 1 else sizes(frame, len(sides))
    added = [sign * (2 * ends if isinstance(ends, int) else sum(ends)) for ends in frames]
    return (*(None if side is None else side + more for side, more in zip(sides, added, strict=True)), channels)


def upsampled(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`UpSampling1D`, `2D`, `3D`: each side grows by a whole factor."""
    *sides, channels = inputs[0]
    factors = sizes(config.get("size", 2), len(sides))
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


def permuted(config: Config, inputs: Sequence[Shape]) -> Inferred:
    """`Permute`: the axes in another order; they are counted from 1."""
    return Inferred(tuple(inputs[0][axis - 1] for axis in config["dims"]))


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
