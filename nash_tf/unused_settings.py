"""Settings that do nothing beside others: what a run says it does not use."""

from nash_tf.config import SearchConfig
from nash_tf.settings import engine as engine_settings
from nash_tf.settings.baselines import HAND
from nash_tf.settings.costs import LATENCY
from nash_tf.strategy import methods


def unused(config: SearchConfig) -> dict[str, str]:
    """The settings that change nothing, whatever their values, by name: why.

    Those that `--start` makes so are told by `nash_tf.tasks.start`.
    """
    method, found = methods.registry[config.method], dict[str, str]()
    if not method.operators:
        found |= dict.fromkeys(
            ("children", "mutations", "control", "max_params", "max_flops"),
            f"method {method.name} trains the first network alone",
        )
    elif method.has_branches:
        found["children"] = f"a step of method {method.name} has two"
    elif not config.steps:
        found |= dict.fromkeys(("children", "mutations", "epochs_per_step", "control"), "there are no steps")
    elif config.rungs[0].children == 1:
        found["children"] = f"a step of method {method.name} has one child"
    given = [name for name in ("budget_epochs", "budget_seconds") if getattr(config, name) is not None]
    limits = [name for name in ("max_hours", "max_cpu_hours") if getattr(config, name) is not None]
    if method.is_budgeted and (given or limits):
        found["epochs_per_step"] = f"the budget is that of {' and '.join(given or limits)}"
    if config.first_layout == "hand" and config.start is None:
        found["widths"] = "the layout hand has its own"
    if method.name == HAND and config.layout not in (None, "hand"):
        found["layout"] = "method hand has its own"
    if not method.has_foresight:
        found |= dict.fromkeys(("prior", "gain_factor"), f"method {method.name} expects no gains")
    if method.has_branches:
        found |= {"mutations": "the network grows to sizes", "front_epochs": "they follow from the budget"}
        if config.front_sizes:
            found["steps"] = "there is one for each of front_sizes"
        else:
            found["distillation"] = "no front_sizes are given"
    elif not config.front_sizes:
        found |= dict.fromkeys(("front_epochs", "distillation"), "no front_sizes are given")
        if config.objective_cost != LATENCY:
            found["objective_cost"] = "no front_sizes are given"
    elif not config.front_epochs:
        found["distillation"] = "the networks of the front are not trained"
    if not config.needs_latency:
        found["latency_runtime"] = "no network is timed"
    if config.final_epochs == 0 and not (config.front_sizes and (config.front_epochs or method.has_branches)):
        found["final_learning_rate"] = "there is no final training"
    if config.engine == engine_settings.RAY:
        found["isolate"] = "Ray's workers are processes of their own, and one that dies is begun again"
    else:
        names = ("ray_address", "cpus_per_training", "gpus_per_training", "storage")
        found |= dict.fromkeys(names, f"the engine is {config.engine}")
    if "cutout" not in (config.augment or ()):
        found["cutout_size"] = "cutout is not among the augmentations"
    return found
