"""Settings of a search that change nothing beside its others."""

from typing import Any

from nash_tf.strategy import budget_names, methods
from nash_tf.strategy.course import LONGEST_FIRST, first_epochs


def unused_in_search(settings: Any) -> dict[str, str]:
    """Those that change nothing, whatever their values, by name: why.

    Args:
        settings: `nash_tf.strategy.ask_tell.Settings`, or others with the same names and more.
    """
    method, found = methods.registry[settings.method], dict[str, str]()
    if not method.grows:
        found |= dict.fromkeys(("children", "mutations", "max_params", "tune_hyperparameters"), nothing_grows(method))
        if not settings.front_sizes:
            found["max_flops"] = nothing_grows(method)
    elif not settings.steps:
        found |= dict.fromkeys(("children", "mutations", "epochs_per_step"), "there are no steps")
    elif settings.rungs[0].children == 1:
        found["children"] = f"a step of method {method.name} has one child"
    budgets = budget_names.given(vars(settings), budget_names.COMPUTE)
    limits = budget_names.given(vars(settings), budget_names.TIME)
    if method.is_budgeted and (budgets or limits):
        found["epochs_per_step"] = f"the budget is that of {' and '.join(budgets or limits)}"
        if not method.grows:
            found["steps"] = nothing_grows(method)
    budget = settings.budget_epochs if method.is_budgeted else None
    if budget and (why := why_fewer_first(settings.vanilla_epochs, budget)):
        found["vanilla_epochs"] = why
    if not method.is_budgeted:
        found["average_weights"] = f"method {method.name} has no single cooldown"
    if not method.has_foresight:
        found["gain_factor"] = no_gains(method)
    if method.has_front:
        found["mutations"] = "the network grows to sizes"
        if settings.front_sizes and (budgets or limits):  # else the budget follows from them
            found["steps"] = "there is one for each of front_sizes"
    return found


def nothing_grows(method: methods.Method) -> str:
    """Why a baseline has no use for what is said of growth."""
    return f"method {method.name} trains the first network alone"


def no_gains(method: methods.Method) -> str:
    """Why a method without foresight has no use for what is said of gains."""
    return f"method {method.name} expects no gains"


def why_fewer_first(wanted: int, budget: float) -> str | None:
    """Why the first network has fewer epochs than it is given under one budget, in epochs; None where it has them."""
    first = first_epochs(wanted, budget)
    if first == wanted:
        return None
    return f"it is {first}, since the first network has at most {LONGEST_FIRST:.0%} of the budget"
