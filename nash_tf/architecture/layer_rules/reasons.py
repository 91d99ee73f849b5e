"""Why a layer cannot be given more channels, or cannot take more, in words."""

from nash_tf.architecture.layer_rules.bounds import (
    ACTIVATION_ENTRIES,
    ACTIVATIONS,
    NOT_PER_CHANNEL,
    SOFTMAXES,
    activation_of,
)
from nash_tf.architecture.layer_rules.rule import CALL, CLOSED, OUTPUT, ChannelFlow, Config
from nash_tf.architecture.layer_rules.table import LAYER_RULES
from nash_tf.architecture.layer_rules.wrapped import BOTH_WAYS, WRAPPERS, directions_differ, inside, settings
from nash_tf.architecture.layer_rules.wrappers import is_usual, wraps

_SHAPE_PRESERVING = ACTIVATIONS.keys() | SOFTMAXES


def _along_channels(config: Config, rank: int) -> bool:
    """Whether the axis that a config names, if it names one, is that of the channels; `rank` counts the batch axis too."""
    axis = config.get("axis", -1)
    return (axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis) in (-1, rank - 1)


def why_unruled(kind: str, config: Config, rank: int) -> str:
    """Why no rule holds for a layer; "" where one does.

    Args:
        kind: the layer's kind.
        config: its config.
        rank: number of axes of its output, including the batch axis.
    """
    if isinstance(closed := config.get(CALL, {}).get(CLOSED), str):
        return closed
    if kind == "InputLayer":
        return "it is an input of the network"
    if kind == OUTPUT:
        return "it is one of several outputs of a layer"
    if kind in WRAPPERS:
        return _why_wrapper(kind, config, rank)
    if kind not in LAYER_RULES:
        return "there is no rule for this kind of layer"
    if not LAYER_RULES[kind].covers(config):
        return "it is called with more than its input, or broadcasts"
    if config.get("data_format", "channels_last") != "channels_last":
        return "its channels come first"
    if config.get("groups", 1) != 1 and kind != "GroupNormalization":
        return f"it has {config['groups']} groups of channels"
    if not _along_channels(config, rank):
        return f"it works along axis {config['axis']}"
    if config.get("depth_multiplier", 1) != 1 and not kind.startswith("DepthwiseConv"):
        return f"it has a depth multiplier of {config['depth_multiplier']}"
    if config.get("stateful", False):
        return "it keeps states from one batch to the next"
    for entry in ACTIVATION_ENTRIES:
        # Keras' few other activations, and a user's own, may change the shape.
        if (activation := activation_of(config, entry)) not in _SHAPE_PRESERVING:
            return f"its {_words(entry)}, {activation or 'of its own'}, is not known"
    return ""


def _why_wrapper(kind: str, config: Config, rank: int) -> str:
    if not is_usual(kind, config):
        return "it is called with more than its input"
    if kind == BOTH_WAYS and directions_differ(config):
        return "its two directions are set up differently"
    if reason := why_unruled(*inside(kind, config, rank)):
        return f"of the layer in it: {reason}"
    inner = LAYER_RULES.get(inside(kind, config, rank)[0])  # None of a wrapper in a wrapper
    return "" if inner and wraps(kind, inner) else "there is no rule for it with this kind of layer in it"


def why_stopped(kind: str, config: Config, rank: int) -> str:
    """Why a layer cannot take new channels of its input; "" where it can. Arguments as of `why_unruled`."""
    if reason := why_unruled(kind, config, rank):
        return reason
    is_frozen = _is_frozen(config)
    kind, config, rank = inside(kind, config, rank)
    flow = LAYER_RULES[kind].channels
    if flow is ChannelFlow.STOPPED:
        return "it mixes its channels"
    if flow is ChannelFlow.ABSORBED:  # in a frozen kernel the zeros for the new channels would stay zero
        return "it is frozen, and what it would read of them could never be learnt" if is_frozen else ""
    if reason := _why_not_by_channel(config):
        return reason
    if [*config.get("dims", (0,))][-1] not in (0, rank - 1):
        return "it moves the axis of the channels"
    # A value for each channel, or one for all together.
    by_channel = any(not isinstance(config.get(name), int | float | None) for name in ("scale", "offset"))
    shared = config.get("shared_axes") or ()
    if by_channel or config.get("noise_shape") is not None or rank - 1 in shared or -1 in shared:
        return "its settings are for this number of channels"
    return ""


def why_not_widened(kind: str, config: Config, rank: int) -> str:
    """Why a layer cannot be given more filters or units without a change of the old ones; "" where it can. Arguments as of
    `why_unruled`."""
    if reason := why_unruled(kind, config, rank):
        return reason
    if not LAYER_RULES[inside(kind, config, rank)[0]].output_growth:
        return "it has no filters or units of its own"
    if _is_frozen(config):
        return "it is frozen, and new filters could never be learnt"
    return _why_not_by_channel(config)


def _is_frozen(config: Config) -> bool:
    """Whether a layer is frozen, or that inside it."""
    return not (config.get("trainable", True) and settings(config).get("trainable", True))


def _why_not_by_channel(config: Config) -> str:
    for entry in ACTIVATION_ENTRIES:
        if (activation := activation_of(config, entry)) in NOT_PER_CHANNEL:
            return f"its {_words(entry)}, {activation}, is not kept by new channels"
    return ""


def _words(entry: str) -> str:
    return entry.replace("_", " ")
