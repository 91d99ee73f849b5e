"""Which constraints of Keras leave a weight alone that an operator has scaled or extended.

An optimiser puts each weight through its constraint after every step, whatever the rate. A weight of the child must therefore
be one that its constraint keeps, and zeros in it must stay small while the steps are. The parent's weight is taken to be kept by
the constraint, as each one is that has been trained.
"""

from typing import Any

from nash_tf.architecture.layer_rules.rule import Config

# Those that act on each number alone, and keep 0 and whatever lies between 0 and a number that they keep.
_BY_NUMBER = ("NonNeg", "nash_tf>UnitInterval")


def constraint_on(config: Config, variable: str) -> Any:
    """The constraint on a layer's variable, as its config has it; None for none."""
    stems = [variable.removesuffix("_kernel"), *(["depthwise"] if variable == "kernel" else [])]
    found = [config.get(f"{stem}_constraint") for stem in stems]
    return next((constraint for constraint in found if constraint is not None), None)


def is_constrained(config: Config) -> bool:
    """Whether a layer has a constraint on any of its variables."""
    return any(name.endswith("_constraint") and value is not None for name, value in config.items())


def keeps_scaled(constraint: Any, factor: float) -> bool:
    """Whether a constraint keeps `factor` times each weight that it keeps; False for one that is not known."""
    if constraint is None or factor == 1.0:
        return True
    name, settings = _described(constraint)
    if name in _BY_NUMBER:
        return 0.0 <= factor <= 1.0
    return name in _NORMS and abs(factor) <= 1.0 and _least_norm(name, settings) == 0.0 and settings.get("rate", 1) == 1


def keeps_extended(constraint: Any, rank: int, axis: int, zeros: bool) -> bool:
    """Whether a constraint keeps the old part of an extended weight as it is, and zeros near zero.

    Args:
        constraint: its entry in the config; None for none.
        rank: number of axes of the weight.
        axis: the one along which slices are put in.
        zeros: whether these are zeros. Others may be changed: nothing reads yet what they make.

    Returns:
        False for a constraint that is not known.
    """
    if constraint is None:
        return True
    name, settings = _described(constraint)
    if name not in _NORMS:
        return name in _BY_NUMBER
    summed = settings.get("axis", 0)
    axes = range(rank) if summed is None else [summed] if isinstance(summed, int) else summed
    if axis % rank in {each % rank for each in axes}:
        return zeros  # each norm is also over new numbers
    # A slice of zeros has a norm of its own. Were that to be raised, its first step would be as large as the old weights.
    return not zeros or _least_norm(name, settings) == 0.0


_NORMS = ("MaxNorm", "MinMaxNorm", "UnitNorm")


def _described(constraint: Any) -> tuple[str, Config]:
    """Name and settings; "" for one that is neither of Keras nor ours."""
    if not isinstance(constraint, dict):
        return "", {}
    own = constraint.get("registered_name") or ""
    if constraint.get("module") == "keras.constraints":
        return constraint["class_name"], constraint["config"]
    return (own, constraint["config"]) if own.startswith("nash_tf>") else ("", {})


def _least_norm(name: str, settings: Config) -> float:
    if name == "UnitNorm":
        return 1.0
    return settings.get("min_value", 0.0) * settings.get("rate", 1.0) if name == "MinMaxNorm" else 0.0
