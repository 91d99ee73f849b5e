"""Rules of layers that apply another one to each step (`TimeDistributed`), or in both directions (`Bidirectional`)."""

from dataclasses import replace

from nash_tf.architecture.layer_rules.calls import is_masked
from nash_tf.architecture.layer_rules.rule import CALL, ChannelFlow, Config, Inferred, LayerRule
from nash_tf.architecture.layer_rules.wrapped import BOTH_WAYS, TIMED, settings

_TIMED_FLOWS = (ChannelFlow.ABSORBED, ChannelFlow.CARRIED, ChannelFlow.FLATTENED, ChannelFlow.STOPPED)


def is_usual(kind: str, config: Config) -> bool:
    """Whether a wrapper is called on its input alone, perhaps with a mask."""
    return is_masked(config) if kind == BOTH_WAYS else CALL not in config


def wraps(kind: str, inner: LayerRule) -> bool:
    """Whether a wrapper has a rule with a layer of this rule in it."""
    if kind == TIMED:
        return inner.channels in _TIMED_FLOWS and not inner.inner and inner.size in ("", "filters", "units")
    return inner.size == "units" and "recurrent_kernel" in inner.output_growth


def wrapping(kind: str, inner: LayerRule) -> LayerRule:
    """The rule of a wrapper with a layer of this rule in it, which it `wraps`."""
    return _timed(inner) if kind == TIMED else _both_ways(inner)


def _timed(inner: LayerRule) -> LayerRule:
    """The first axis is that of the steps; the layer sees the others."""

    def infer(config, inputs):
        ((steps, *shape),) = inputs
        inferred = inner.infer(settings(config), [tuple(shape)])
        return inferred and inferred._replace(shape=(steps, *inferred.shape))

    return replace(
        inner,
        infer=infer,
        bounds=lambda config, inputs: inner.bounds(settings(config), inputs),
        homogeneous=lambda config: inner.homogeneous(settings(config)),
        covers=lambda config: CALL not in config,
        role="activation" if inner.role == "activation" else "",
    )


def _both_ways(inner: LayerRule) -> LayerRule:
    """Two recurrent layers of one size: one reads the steps from the end. Joined, their units lie side by side."""

    def parts(config):
        return 2 if config.get("merge_mode", "concat") == "concat" else 1

    def infer(config, inputs):
        inferred = inner.infer(settings(config), inputs)
        if inferred is None:
            return None
        *steps, units = inferred.shape
        return Inferred((*steps, units * parts(config)), twice(inferred.weights))

    def twice(named):
        return {**named, **{f"{name}:1": value for name, value in named.items()}}

    return replace(
        inner,
        infer=infer,
        input_growth=twice(inner.input_growth),
        output_growth=twice(inner.output_growth),
        covers=is_masked,
        parts=parts,
    )
