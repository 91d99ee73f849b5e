"""The record that describes one kind of layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from nash_tf.architecture.layer_rules.bounds import Bounds
from nash_tf.architecture.layer_rules.wrapped import Config

CALL = "__call__"  # entry of a config with the arguments of a call that is not on one tensor or a list of tensors
# Entry of a call that no operator may change: True where it is not as the layer's rule has it, or why.
CLOSED = "closed"
LAYER_OF = "layer_of"  # entry of a call of a layer that is called before: the node of the first call
OUTPUT = "nash_tf>Output"  # kind of a node that is one of several outputs of the node before it
Shape = tuple[int | None, ...]


class ChannelFlow(Enum):
    """What a layer does with new channels of its input."""

    ABSORBED = "absorbed"  # a kernel reads them; the output keeps its channels
    CARRIED = "carried"  # each becomes one new channel of the output, at the same place
    JOINED = "joined"  # an element-wise merge: all inputs must get them, and so does the output
    CONCATENATED = "concatenated"  # the output gets them, shifted by the channels of the inputs before
    FLATTENED = "flattened"  # the output gets them once for each pixel
    NORMALISED = "normalised"  # as carried, but groups of channels are normalised together and must stay as they are
    STOPPED = "stopped"  # the layer cannot take them


class Inferred(NamedTuple):
    """What follows from a layer's config and the shapes of its inputs.

    Attributes:
        shape: shape of the output without the batch axis.
        weights: shapes of the trained variables by name.
        statistics: shapes of the other variables (moving averages) by name.
    """

    shape: Shape
    weights: dict[str, Shape] = {}
    statistics: dict[str, Shape] = {}


@dataclass(frozen=True)
class Growth:
    """How a variable grows when channels are added.

    Attributes:
        axis: the axis along which it gets new slices.
        fill: initial values of the new slices, a name in `nash_tf.morphisms.fills.FILLS`.
        blocks: number of parts of the axis that each hold all channels, as the gates of a recurrent layer do. Each part
            grows.
    """

    axis: int
    fill: str
    blocks: int = 1


@dataclass(frozen=True)
class LayerRule:
    """What the package knows of one kind of layer.

    Attributes:
        infer: (config, shapes of the inputs) -> output shape and variables; None for a use that the rule does not
            cover.
        bounds: (config, bounds of each input) -> bounds of the output, which hold in training mode too.
        channels: what the layer does with new input channels.
        input_growth: how the variables grow with new input channels, by name. A layer that absorbs channels fills
            at least one of them with zeros, so that its output does not change.
        output_growth: how the variables grow with new output channels, by name; empty where the layer cannot be given
            more. A variable that grows along two axes has two of them. In a layer with `kernels` these variables also
            scale the output before its activation.
        size: the entry of the config that holds the number of output channels; "" where there is none.
        kernels: variables of which each number is multiplied once at each place of the output, or of the input (`products.BY_INPUTS`).
        groups: (config, number of channels) -> into how many groups of adjacent channels a layer divides them that it
            normalises together; for `ChannelFlow.NORMALISED`.
        homogeneous: config -> whether, for each c > 0, c times the input (or, for a layer with a kernel, c times the
            variables in `output_growth`) gives c times the output.
        role: "activation", "pool", "merge" or "".
        covers: config -> whether the rule holds for the way in which the layer is called; by default on one tensor or a
            list of tensors.
        reads: (config, variable) -> which of its inputs a variable reads, counted from 0.
        parts: config -> into how many equal parts, side by side, its output channels fall that must grow alike, as those of
            two directions must.
        inner: the entry of the config that holds a width of the layer's own (heads), which neither input nor output has.
        inner_growth: how the variables grow with that width. A variable that reads it is filled with zeros.
    """

    infer: Callable[[Config, Sequence[Shape]], Inferred | None]
    bounds: Callable[[Config, Sequence[Bounds]], Bounds]
    channels: ChannelFlow = ChannelFlow.STOPPED
    input_growth: Mapping[str, Growth] = field(default_factory=dict)
    output_growth: Mapping[str, Growth | tuple[Growth, Growth]] = field(default_factory=dict)
    size: str = ""
    kernels: tuple[str, ...] = ()
    groups: Callable[[Config, int], int] = lambda config, channels: 1
    homogeneous: Callable[[Config], bool] = lambda config: False
    role: str = ""
    covers: Callable[[Config], bool] = lambda config: CALL not in config
    reads: Callable[[Config, str], int] = lambda config, variable: 0
    parts: Callable[[Config], int] = lambda config: 1
    inner: str = ""
    inner_growth: Mapping[str, Growth] = field(default_factory=dict)
