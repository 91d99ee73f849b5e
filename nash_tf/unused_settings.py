"""Settings that do nothing beside others: what a run says it does not use."""

from nash_tf.config import SearchConfig
from nash_tf.settings import engine as engine_settings
from nash_tf.settings.baselines import HAND
from nash_tf.settings.costs import LATENCY
from nash_tf.strategy import methods
from nash_tf.strategy.unused import no_gains, nothing_grows, unused_in_search


def unused_in_run(config: SearchConfig, is_told: bool = False) -> dict[str, str]:
    """The settings that change nothing, whatever their values, by name: why.

    Those of images that change nothing are told by `nash_tf.data.unused`, those that `--start` makes so by
    `nash_tf.tasks.start`.

    Args:
        config: the settings.
        is_told: whether this process is told its part, see `nash_tf.workers.roles`.
    """
    method = methods.registry[config.method]
    of_search = unused_in_search(config)
    found = {name: why for name, why in of_search.items() if hasattr(config, name)}  # some are Keras Tuner's own
    if not method.grows:
        found["control"] = nothing_grows(method)
        if not config.front_sizes:
            found["max_latency_ms"] = f"{nothing_grows(method)}; its latency is measured"
    elif not config.steps and not method.has_front:
        found["control"] = "there are no steps"
    if config.first_layout == HAND and config.start is None:
        found["widths"] = "the layout hand has its own"
    if method.name == HAND and config.layout not in (None, HAND):
        found["layout"] = "method hand has its own"
    if method.trains_one_at_a_time:
        found["workers"] = f"method {method.name} has one training at a time"
    if not method.has_foresight:
        found["prior"] = no_gains(method)
    found |= _unused_in_front(config, method)
    if not config.needs_latency:
        found["latency_runtime"] = "no network is timed"
    if config.final_epochs == 0 and (method.has_front or not (config.front_sizes and config.front_epochs)):
        found["final_learning_rate"] = "there is no final training"
    found |= engine_settings.unused_with(config.engine)
    if is_told:
        found |= dict.fromkeys(
            ("workers", "isolate"), "KERASTUNER_ORACLE_IP is set: the workers are those that are begun with it"
        )
    if "cutout" not in (config.augment or ()):
        found["cutout_size"] = "cutout is not among the augmentations"
    return found


def _unused_in_front(config: SearchConfig, method: methods.Method) -> dict[str, str]:
    no_sizes, found = "no front_sizes are given", dict[str, str]()
    if method.has_front:
        found["front_epochs"] = "they follow from the budget"
        found["distillation"] = f"method {method.name} has no teacher"
    elif not config.front_sizes:
        found |= dict.fromkeys(("front_epochs", "distillation"), no_sizes)
        if config.objective_cost != LATENCY:
            found["objective_cost"] = no_sizes
    elif not config.front_epochs:
        found["distillation"] = "the networks of the front are not trained"
    return found
