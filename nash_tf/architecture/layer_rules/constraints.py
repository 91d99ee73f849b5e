"""Which constraints of Keras leave a weight unchanged that an operator has scaled or extended.

An optimiser applies the constraint of each weight after every step, whatever the learning rate. So the constraint must
leave the child's weight as the operator made it, and while steps are small, zeros in it must stay small. It is assumed
that the constraint leaves the parent's weight unchanged, as it does with every trained weight.
"""

from typing import Any

from nash_tf.architecture.layer_rules.rule import Config
from nash_tf.architecture.layer_rules.wrapped import settings

# Element-wise constraints. They keep 0, and every number between 0 and a number that they keep.
_BY_NUMBER = ("NonNeg", "nash_tf>UnitInterval")


def constraint_on(config: Config, variable: str) -> Any:
    """The serialised constraint on a layer's variable; None where it has none."""
    config, variable = settings(config), variable.partition(":")[0]
    stems = [variable.removesuffix("_kernel"), *(["depthwise"] if variable == "kernel" else [])]
    constraints = [config.get(f"{stem}_constraint") for stem in stems]
    return next((constraint for constraint in constraints if constraint is not None), None)


def is_constrained(config: Config) -> bool:
    """Whether a layer has a constraint on any of its variables."""
    return any(name.endswith("_constraint") and value is not None for name, value in settings(config).items())


def keeps_scaled(constraint: Any, factor: float) -> bool:
    """Whether a constraint leaves a weight unchanged that is `factor` times one that it leaves unchanged.

    Args:
        constraint: the serialised constraint; None for none.
        factor: the factor.

    Returns:
        False for a constraint that is neither Keras' nor the package's.
    """
    if constraint is None or factor == 1.0:
        return True
    name, settings = _described(constraint)
    if name in _BY_NUMBER:
        return 0.0 <= factor <= 1.0
    return name in _NORMS and abs(factor) <= 1.0 and _least_norm(name, settings) == 0.0 and settings.get("rate", 1) == 1


def keeps_extended(constraint: Any, rank: int, axis: int, zeros: bool) -> bool:
    """Whether a constraint leaves the old part of an extended weight unchanged, and new zeros near zero.

    Args:
        constraint: the serialised constraint; None for none.
        rank: number of axes of the weight.
        axis: the axis along which new slices were inserted.
        zeros: whether the new slices are zeros. Other values may change, because no layer reads yet what they compute.

    Returns:
        False for a constraint that is neither Keras' nor the package's.
    """
    if constraint is None:
        return True
    name, settings = _described(constraint)
    if name not in _NORMS:
        return name in _BY_NUMBER
    if axis % rank in _normed(settings, rank):
        return zeros  # zeros do not change a norm that is taken over them
    # A slice of zeros has its own norm. A lower bound on norms would make its first step as large as the old weights.
    return not zeros or _least_norm(name, settings) == 0.0


def keeps_cut(constraint: Any, rank: int, axis: int) -> bool:
    """Whether a constraint leaves a weight unchanged from which slices are taken away.

    Args:
        constraint: the serialised constraint; None for none.
        rank: number of axes of the weight.
        axis: the axis along which slices were taken away.

    Returns:
        False for a constraint that is neither Keras' nor the package's.
    """
    if constraint is None:
        return True
    name, settings = _described(constraint)
    if name not in _NORMS:
        return name in _BY_NUMBER
    # A norm that is taken over the lost slices gets smaller.
    return axis % rank not in _normed(settings, rank) or _least_norm(name, settings) == 0.0


def _normed(settings: Config, rank: int) -> set[int]:
    """The axes over which a norm is taken."""
    summed = settings.get("axis", 0)
    axes = range(rank) if summed is None else [summed] if isinstance(summed, int) else summed
    return {each % rank for each in axes}


_NORMS = ("MaxNorm", "MinMaxNorm", "UnitNorm")


def _described(constraint: Any) -> tuple[str, Config]:
    """Name and settings; the name is "" for a constraint that is neither Keras' nor the package's."""
    if not isinstance(constraint, dict):
        return "", {}
    registered = constraint.get("registered_name") or ""
    if constraint.get("module") == "keras.constraints":
        return constraint["class_name"], constraint["config"]
    return (registered, constraint["config"]) if registered.startswith("nash_tf>") else ("", {})


def _least_norm(name: str, settings: Config) -> float:
    if name == "UnitNorm":
        return 1.0
    return settings.get("min_value", 0.0) * settings.get("rate", 1.0) if name == "MinMaxNorm" else 0.0
