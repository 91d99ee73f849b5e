"""What a layer multiplies: the arrays of which each number is used once at each of several positions."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nash_tf.architecture.layer_rules.calls import attended, has_attended
from nash_tf.architecture.layer_rules.rule import CALL, Config, Shape


class Product(NamedTuple):
    """An array of which each number is multiplied once, and added, at each of several positions.

    Attributes:
        name: the variable, or what is multiplied in place of one.
        shape: shape of the array; None for an axis of any length.
        positions: sizes of the axes of positions, likewise.
    """

    name: str
    shape: Shape
    positions: Shape


Shapes = Mapping[str, Shape]


def places_of(config: Config, shape: Shape) -> Shape:
    """The axes of a shape that are not of channels."""
    return shape[:-1] if config.get("data_format", "channels_last") == "channels_last" else shape[1:]


def _transposed(config: Config, weights: Shapes, inputs: Sequence[Shape], shape: Shape) -> list[Product]:
    """The kernel of a transposed convolution, at each place of the input."""
    return [] if CALL in config else [Product("kernel", weights["kernel"], places_of(config, inputs[0]))]


def _recurrent(config: Config, weights: Shapes, inputs: Sequence[Shape], shape: Shape) -> list[Product]:
    """Both kernels of each direction, at each step of the input."""
    return [
        Product(name, kernel, inputs[0][:1])
        for name, kernel in weights.items()
        if name.partition(":")[0] in ("kernel", "recurrent_kernel")
    ]


def _recurrent_conv(config: Config, weights: Shapes, inputs: Sequence[Shape], shape: Shape) -> list[Product]:
    """The kernel at each step and each place of the output, and so the recurrent one, which keeps the size of the image."""
    places = places_of(config, shape[config.get("return_sequences", False) :])
    return [
        product._replace(positions=(*product.positions, *places))
        for product in _recurrent(config, weights, inputs, shape)
    ]


def _attention(config: Config, weights: Shapes, inputs: Sequence[Shape], shape: Shape) -> list[Product]:
    """The kernels of query, key, value, of a gate where there is one, and of the output; then, in each head, queries times keys
    and scores times values (Vaswani et al. 2017, arXiv 1706.03762, equation 1). What a mask hides is computed too.
    """
    kernels = [(name, kernel) for name, kernel in weights.items() if name.partition(":")[0] == "kernel"]
    if not (kernels and has_attended(config)):  # a later call of a layer, or one on a constant
        return []
    query, key, _ = (inputs[number] for number in attended(config))
    asking, asked = query[:-1], key[:-1]
    places = [asking, asked, *[asking] * (len(kernels) - 4), asked, asking]
    (_, asks), (_, answers) = kernels[0], kernels[-2]
    axes = config.get("attention_axes") or range(1, len(key))
    keys = tuple(key[axis - 1] for axis in axes)
    return [
        *(Product(name, kernel, at) for (name, kernel), at in zip(kernels, places, strict=True)),
        Product("keys", (*keys, asks[-1]), (asks[1], *asking)),
        Product("values", (*keys, answers[-1]), (asks[1], *asking)),
    ]


def _bare_attention(config: Config, weights: Shapes, inputs: Sequence[Shape], shape: Shape) -> list[Product]:
    """`Attention`, which has no kernels: queries times keys and scores times values."""
    query, value, *key = inputs[:3]
    return [Product("keys", (key or [value])[0], query[:-1]), Product("values", value, query[:-1])]


# By kind, where it is not each of the rule's `kernels` at the places of the output: (config, shapes of the variables,
# shapes of the inputs, shape of the output) -> what is multiplied.
BY_INPUTS: dict[str, Callable[[Config, Shapes, Sequence[Shape], Shape], list[Product]]] = {
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **dict.fromkeys(("SimpleRNN", "GRU", "LSTM"), _recurrent),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _recurrent_conv),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention"), _attention),
    "Attention": _bare_attention,
}
