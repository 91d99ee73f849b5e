"""Rules of Keras layers, one for each kind: shape, variables, bounds of the output, and what happens to new channels.

To add a kind, add one entry to `table.LAYER_RULES`. A layer without a rule goes through a search unchanged; operators
are not offered where they would have to change it. Configs hold only what differs from Keras' defaults.
"""

from collections.abc import Mapping, Sequence

from nash_tf.architecture.layer_rules.bounds import (
    SOFTMAXES,
    UNBOUNDED,
    Bounds,
    activation_of,
)
from nash_tf.architecture.layer_rules.constraints import (
    constraint_on,
    is_constrained,
    keeps_cut,
    keeps_extended,
    keeps_scaled,
)
from nash_tf.architecture.layer_rules.products import BY_INPUTS, Product, places_of
from nash_tf.architecture.layer_rules.reasons import why_not_widened, why_stopped, why_unruled
from nash_tf.architecture.layer_rules.rule import (
    CALL,
    CLOSED,
    LAYER_OF,
    OUTPUT,
    ChannelFlow,
    Config,
    Growth,
    Inferred,
    LayerRule,
    Shape,
)
from nash_tf.architecture.layer_rules.table import LAYER_RULES
from nash_tf.architecture.layer_rules.wrapped import TIMED, WRAPPERS, inside, with_settings
from nash_tf.architecture.layer_rules.wrappers import wrapping

__all__ = [
    "CALL",
    "CLOSED",
    "LAYER_OF",
    "OUTPUT",
    "Bounds",
    "ChannelFlow",
    "Growth",
    "Inferred",
    "LayerRule",
    "Product",
    "Shape",
    "activation_of",
    "bounds",
    "constraint_on",
    "drops_mask",
    "growths",
    "has_activation",
    "infer",
    "inside",
    "is_constrained",
    "keeps_cut",
    "keeps_extended",
    "keeps_scaled",
    "kernels",
    "makes_mask",
    "multiplies_by_inputs",
    "products",
    "rule_of",
    "why_not_widened",
    "why_stopped",
    "why_unruled",
    "with_settings",
]


def rule_of(kind: str, config: Config, rank: int) -> LayerRule | None:
    """The rule of a layer; None where none holds, of which `why_unruled` says why.

    Args:
        kind: the layer's kind, as in `Node.kind`.
        config: its config.
        rank: number of axes of its output, including the batch axis. A config may count an axis from either end.
    """
    if why_unruled(kind, config, rank):
        return None
    rule = LAYER_RULES[inside(kind, config, rank)[0]]
    return wrapping(kind, rule) if kind in WRAPPERS else rule


def infer(kind: str, config: Config, inputs: Sequence[Shape]) -> Inferred | None:
    """Output shape and variables of a layer; None where there is no rule for it.

    Args:
        kind: the layer's kind.
        config: its config.
        inputs: shapes of its inputs without the batch axis.
    """
    rule = rule_of(kind, config, 1 + len(inputs[0])) if inputs else None
    return rule.infer(config, inputs) if rule else None


def bounds(kind: str, config: Config, inputs: Sequence[Bounds], rank: int = 4) -> Bounds:
    """The range in which each number of a layer's output lies, whatever the weights.

    Args:
        kind: the layer's kind.
        config: its config.
        inputs: the bounds of its inputs.
        rank: number of axes of its output, including the batch axis.
    """
    rule = rule_of(kind, config, rank)
    return rule.bounds(config, inputs) if rule else UNBOUNDED


def has_activation(rule: LayerRule | None, config: Config) -> bool:
    """Whether a layer ends in an element-wise activation other than the linear one."""
    if rule is None or (rule.role == "activation" and "activation" not in config):
        return rule is not None
    return activation_of(config) not in SOFTMAXES | {"linear"}


def kernels(kind: str, config: Config) -> tuple[str, ...]:
    """Variables of which each number is multiplied once at each place of the output; grouped convolutions are included."""
    kind, own, _ = inside(kind, config, 0)
    rule = LAYER_RULES.get(kind)
    is_usual = CALL not in config and own.get("data_format", "channels_last") == "channels_last"
    return rule.kernels if rule and is_usual else ()


def makes_mask(kind: str, config: Config) -> bool:
    """Whether a layer's output has a mask of its own."""
    return kind == "Masking" or (kind == "Embedding" and bool(config.get("mask_zero")))


def drops_mask(kind: str, config: Config) -> bool:
    """Whether a layer hands no mask on, as convolutions do not; others may."""
    return "Conv" in kind and bool(kernels(kind, config))


def multiplies_by_inputs(kind: str, config: Config) -> bool:
    """Whether what a layer multiplies depends on the shapes of its inputs, and not on its variables and its output alone."""
    return inside(kind, config, 0)[0] in BY_INPUTS


def products(
    kind: str, config: Config, weights: Mapping[str, Shape], inputs: Sequence[Shape], shape: Shape
) -> list[Product]:
    """What a layer multiplies: its kernels at the places of its output, or by its entry in `products.BY_INPUTS`.

    Args:
        kind: the layer's kind.
        config: its config.
        weights: shapes of its trained variables by name.
        inputs: shapes of its inputs without the batch axis; not needed where `multiplies_by_inputs` is false.
        shape: shape of its output without the batch axis.
    """
    inner, own, _ = inside(kind, config, 0)
    if kind == TIMED:
        each = products(inner, own, weights, [steps[1:] for steps in inputs], shape[1:]) if CALL not in config else []
        return [product._replace(positions=(shape[0], *product.positions)) for product in each]
    if inner in BY_INPUTS:
        return BY_INPUTS[inner](own, weights, inputs, shape)
    rule = LAYER_RULES.get(inner) if CALL not in config else None
    return [Product(name, weights[name], places_of(own, shape)) for name in rule.kernels] if rule else []


def growths(growth: Mapping[str, Growth | tuple[Growth, Growth]]) -> list[tuple[str, Growth]]:
    """Variables and how they grow, one item for each axis, from `LayerRule.input_growth` or `output_growth`."""
    return [(name, one) for name, each in growth.items() for one in (each if isinstance(each, tuple) else (each,))]
