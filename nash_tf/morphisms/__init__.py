"""Network morphisms: operators that change a network, but not the function that it computes.

Beside them are reductions, which make a network smaller and are approximate, unless they say that they are exact.

To add an operator to the package, write one file and add one line here. Users add theirs with `register`.
"""

import math
from collections.abc import Iterable

from nash_tf.morphisms.alter_channels import AlterChannels
from nash_tf.morphisms.base import Morphism, Move, Reduction, Site, checked_operator
from nash_tf.morphisms.cut_merge import CutMerge
from nash_tf.morphisms.fold_batch_norm import FoldBatchNorm
from nash_tf.morphisms.insert_conv import InsertConv
from nash_tf.morphisms.insert_residual import InsertResidual
from nash_tf.morphisms.insert_separable_conv import InsertSeparableConv
from nash_tf.morphisms.merge_concat import MergeConcat
from nash_tf.morphisms.merge_convex import MergeConvex
from nash_tf.morphisms.options import (
    Option,
    architecture_of,
    checked_limit,
    explanation,
    named,
    named_one,
    option_at,
    options_of,
    touching,
)
from nash_tf.morphisms.remove_block import RemoveBlock
from nash_tf.morphisms.remove_filters import RemoveFilters
from nash_tf.morphisms.separate_conv import SeparateConv
from nash_tf.morphisms.split import Split
from nash_tf.morphisms.weight_transfer import Copy, Extend, Fold, Fresh, Take, WeightTransfer

registry: dict[str, Morphism] = {
    operator.name: operator
    for operator in (
        AlterChannels(),
        InsertConv(),
        InsertResidual(),
        InsertSeparableConv(),
        MergeConcat(),
        MergeConvex(),
        Split(),
    )
}

# Operators that make a network smaller, by name. They are applied only where they are named.
reductions: dict[str, Reduction] = {
    operator.name: operator
    for operator in (CutMerge(), FoldBatchNorm(), RemoveBlock(), RemoveFilters(), SeparateConv())
}


def known() -> dict[str, Morphism]:
    """All operators by name: those of `registry`, then those of `reductions`."""
    return {**registry, **reductions}


def are_exact(operators: Iterable[str]) -> bool:
    """Whether operators, named, all preserve the function: all do but some reductions."""
    return all(reductions[name].exact for name in operators if name in reductions)


def register(operator: Morphism) -> Morphism:
    """Adds an operator to the registry, so that `sites` and `morph` know it by its name, and searches that weigh morphisms
    (`grow`, `scale`, `front`) weigh it too. The other methods draw from operators of their own, and never this one.

    A `Reduction` is added to `reductions`; searches do not apply it.

    Every process of a search must do this before it draws or replays a move of that operator. An operator of the same
    class may be registered again and then replaces the first.

    Args:
        operator: an instance of a subclass of `Morphism`.

    Returns:
        The operator.

    Raises:
        TypeError: it is not a `Morphism` with a name; or it is not exact, and no `Reduction`.
        ValueError: an operator of another class has that name.
    """
    checked_operator(operator)
    if not operator.exact and not isinstance(operator, Reduction):
        raise TypeError(f"an operator that is not exact must be a Reduction. Received: {operator!r}")
    present = known().get(operator.name)
    if present is not None and type(present) is not type(operator):
        raise ValueError(f"the name {operator.name!r} is taken by {type(present).__name__}; choose another")
    if isinstance(operator, Reduction):
        reductions[operator.name] = operator
    else:
        registry[operator.name] = operator
    return operator


def sites(parent, operators=None, layer=None, max_added=None, max_channels=None, max_params=None) -> list[Option]:
    """Every morphism that is found for a network, with its cost.

    Args:
        parent: an `Architecture`, or a functional `keras.Model`.
        operators: an operator's name, or a list of names; by default all of `registry`, without `reductions`.
        layer: name of a layer, or a pattern ("conv_*"); only sites that name such a layer.
        max_added: maximum number of parameters that a morphism adds, of frozen layers too.
        max_channels: the most channels that an image is given; None for 600, or as many as the widest image has.
        max_params: maximum number of parameters of what a morphism makes; of a network that has more, every reduction that lowers them.

    Returns:
        The options, grouped by operator in the order of `operators`, each group in the operator's canonical order.

    Raises:
        ValueError: an operator or a layer is unknown, with the nearest name; or a limit is no number.
    """
    by_name = registry if operators is None else known()
    names, architecture = named(by_name, operators), architecture_of(parent)
    # At least -1: what is over the limit already may be lowered.
    room = max(checked_limit("max_params", max_params) - architecture.params, -1)
    most = min(checked_limit("max_added", max_added), room)
    wanted = touching(architecture, layer)
    limit = None if max_channels is None else checked_limit("max_channels", max_channels)
    found = (options_of(by_name[name].limited_to(limit), architecture, wanted) for name in names)
    return [option for options in found for option in options if option.params <= most]


def option(parent, operator: str, *site) -> Option:
    """A morphism at a site of one's own choice, with its cost, for `nash_tf.morph`.

    Beside the sites that `sites` finds there are widths and kernel sizes that it does not list:
    `option(model, "alter_channels", "conv_1", "to", 24)`, `option(model, "insert_conv", "relu_1", "conv_2", 7)`,
    `option(model, "remove_filters", "conv_1", "to", 5)`.

    Args:
        parent: an `Architecture`, or a functional `keras.Model`.
        operator: the operator's name.
        *site: the site, as the operator's description has it, its parts one by one or as one tuple. No limit on channels holds for it.

    Raises:
        ValueError: the operator is unknown, or has no place there; with the reason.
    """
    name = named_one(known(), operator)
    is_one = len(site) == 1 and isinstance(site[0], list | tuple)
    return option_at(known()[name].limited_to(math.inf), architecture_of(parent), site[0] if is_one else site)


def why(parent, operator: str, place, max_channels=None) -> str:
    """Why an operator has no place at a layer: which layer stands in the way, or which limit.

    Args:
        parent: an `Architecture`, or a functional `keras.Model`.
        operator: the operator's name.
        place: name of a layer, or a site.
        max_channels: as in `sites`.

    Returns:
        The reason, in one line; where it has a place, which.

    Raises:
        ValueError: the operator or the layer is unknown, with the nearest name.
    """
    name = named_one(known(), operator)
    limit = None if max_channels is None else checked_limit("max_channels", max_channels)
    return explanation(known()[name].limited_to(limit), architecture_of(parent), place)


__all__ = [
    "Copy",
    "Extend",
    "Fold",
    "Fresh",
    "Morphism",
    "Move",
    "Option",
    "Reduction",
    "Site",
    "Take",
    "WeightTransfer",
    "known",
    "option",
    "reductions",
    "register",
    "registry",
    "sites",
    "why",
]
