"""The record that says what is known of one kind of layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nash_tf.architecture.layer_rules.bounds import Bounds

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
    """How a variable follows when channels are put in: along which axis, and filled with what."""

    axis: int
    fill: str


@dataclass(frozen=True)
class Kind:
    """Knowledge of one kind.

    Attributes:
        infer: (config, shapes of the inputs) -> output shape and variables; None for a use that is not known.
        bounds: (config, bounds of each input) -> bounds of the output, in training mode too.
        channels: what new input channels do: "absorbed" by a kernel, "carried" to the output one to one, "joined" with
            those of the other inputs, which must have the same, "concatenated", "flattened", or "stopped".
        input_growth: how the variables follow new input channels. An absorbing kind has one filled with zeros, so that
            its output stays as it was.
        output_growth: how the variables follow new output channels; empty where they cannot be chosen freely. They are
            also the ones that scale the output before its activation.
        size: the entry of the config that states the output's channels.
        kernels: variables whose every number is multiplied once at each output position.
        homogeneous: config -> whether c times the input (or, of a kernel, c times its variables in `output_growth`)
            gives c times the output for each c > 0.
        role: "activation", "pool" or "merge": what the output may be used for.
    """

    infer: Callable[[Config, Sequence[Shape]], Inferred | None]
    bounds: Callable[[Config, Sequence[Bounds]], Bounds]
    channels: str = "stopped"
    input_growth: Mapping[str, Growth] = field(default_factory=dict)
    output_growth: Mapping[str, Growth] = field(default_factory=dict)
    size: str = ""
    kernels: tuple[str, ...] = ()
    homogeneous: Callable[[Config], bool] = lambda config: False
    role: str = ""
