"""What is known of each kind of Keras layer: shape, variables, bounds of the output, and what becomes of channels.

A kind that is not listed is carried through a search untouched, and no operator is offered where it would have to change.
Adding a kind is one entry in `table.KINDS`. Configs hold only what differs from Keras' defaults.
"""

from collections.abc import Sequence

from nash_tf.architecture.layer_rules.bounds import ACTIVATIONS, SOFTMAXES, UNBOUNDED, Bounds, activation_of
from nash_tf.architecture.layer_rules.constraints import constraint_on, is_constrained, keeps_extended, keeps_scaled
from nash_tf.architecture.layer_rules.rule import CALL, Config, Growth, Inferred, Kind, Shape
from nash_tf.architecture.layer_rules.table import KINDS

__all__ = [
    "CALL",
    "Bounds",
    "Growth",
    "Inferred",
    "Kind",
    "activation_of",
    "acts",
    "bounds",
    "constraint_on",
    "flow",
    "get",
    "grows",
    "infer",
    "is_constrained",
    "keeps_extended",
    "keeps_scaled",
    "kernels",
]

_SHAPE_KEEPING = ACTIVATIONS.keys() | SOFTMAXES
# An exponential of a new channel may be infinite, and zero times that is no zero.
_NOT_CARRIED = SOFTMAXES | {"exponential"}


def get(kind: str, config: Config, rank: int = 4) -> Kind | None:
    """What is known of a layer, or None for an unlisted kind or a use of it that mixes or moves the channels.

    Args:
        kind: its kind.
        config: its config.
        rank: number of axes of its output, the batch axis counted; an axis may be given from either end.
    """
    usual = (
        CALL not in config
        and config.get("data_format", "channels_last") == "channels_last"
        and config.get("groups", 1) == 1
        and config.get("axis", -1) in (-1, rank - 1)
        and (config.get("depth_multiplier", 1) == 1 or kind == "DepthwiseConv2D")
        # Keras' few others, and a user's own, may change the shape.
        and activation_of(config) in _SHAPE_KEEPING
    )
    return KINDS.get(kind) if usual else None


def infer(kind: str, config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """Shape and variables of a layer, or None for a kind or a use of it that is not known."""
    known = get(kind, config, 1 + len(inputs[0])) if inputs else None
    return known.infer(config, inputs) if known else None


def bounds(kind: str, config: Config, inputs: Sequence[Bounds], rank: int = 4) -> Bounds:
    """What a layer's output cannot fall below or rise above, whatever its weights, given that of its inputs."""
    known = get(kind, config, rank)
    return known.bounds(config, inputs) if known else UNBOUNDED


def flow(known: Kind | None, config: Config, rank: int) -> str:
    """What becomes of new input channels, one of those at `Kind.channels`; `rank` is that of the output, batch axis counted."""
    if known is None or (known.channels == "absorbed" and _frozen(config)):
        return "stopped"  # zeros in a frozen kernel would stay zeros
    if known.channels != "absorbed" and (not _per_channel(config) or _fixes_channels(config, rank)):
        return "stopped"
    return known.channels


def grows(known: Kind | None, config: Config) -> bool:
    """Whether the layer can be given more output channels that leave the old ones as they are."""
    return known is not None and bool(known.output_growth) and _per_channel(config) and not _frozen(config)


def acts(known: Kind | None, config: Config) -> bool:
    """Whether the layer ends in an activation that acts on each number alone and does something."""
    if known is None or (known.role == "activation" and "activation" not in config):
        return known is not None
    return activation_of(config) not in SOFTMAXES | {"linear"}


def kernels(kind: str, config: Config) -> tuple[str, ...]:
    """The variables whose every number is multiplied once at each output position, grouped convolutions included."""
    known = KINDS.get(kind)
    usual = CALL not in config and config.get("data_format", "channels_last") == "channels_last"
    return known.kernels if known and usual else ()


def _per_channel(config: Config) -> bool:
    return activation_of(config) not in _NOT_CARRIED


def _fixes_channels(config: Config, rank: int) -> bool:
    """Whether a setting holds for just so many channels: a number for each, or one for all of them together."""
    by_channel = any(not isinstance(config.get(name), int | float | None) for name in ("scale", "offset"))
    shared = config.get("shared_axes") or ()
    return by_channel or config.get("noise_shape") is not None or rank - 1 in shared or -1 in shared


def _frozen(config: Config) -> bool:
    return not config.get("trainable", True)
