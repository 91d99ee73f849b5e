"""What a search keeps beside the files of its trials, and how it is opened again from both."""

from pathlib import Path
from typing import Any

from keras_tuner.engine.hyperparameters import HyperParameters

from nash_tf.files.run_directory import check_tree
from nash_tf.tuning import epoch_sizes
from nash_tf.tuning.reopening import check_settings, restore_state


def state_of(oracle: Any) -> dict[str, Any]:
    """The state of a `HillClimbingOracle`, as JSON values."""
    limits = oracle.limits
    return {
        "settings": oracle.settings,
        "spent": list(limits.spent()),
        "in_vain": limits.in_vain,
        "reached": limits.given if limits.reached else None,
        "hyperparameters": oracle.hyperparameters.get_config(),
        "display": oracle._display.get_state(),
    }


def take(oracle: Any, state: dict[str, Any]) -> None:
    """Gives an oracle the state that one of the same search had.

    Raises:
        OtherSearch: it is another search's.
    """
    epoch_sizes.adopt(oracle, state["settings"])
    check_settings(state["settings"], oracle.settings, Path(oracle._project_dir))
    hyperparameters, (wall, cpu) = HyperParameters.from_config(state["hyperparameters"]), map(float, state["spent"])
    in_vain, limits = float(state.get("in_vain", 0.0)), oracle.limits
    oracle._display.set_state(state["display"])
    oracle.hyperparameters = hyperparameters
    limits.resume((wall, cpu))
    limits.in_vain, limits.reached = in_vain, state.get("reached") == limits.given


def reload(oracle: Any) -> None:
    """Has an oracle go on with the search in its directory. Errors as of `HillClimbingOracle.reload`."""
    directory = Path(oracle._project_dir)
    check_tree(directory)
    is_restored = restore_state(directory, oracle.set_state)
    if not is_restored:
        epoch_sizes.adopt(oracle, epoch_sizes.kept(directory))
    oracle.book.reopen(are_trusted=is_restored)
    for trial in oracle.trials.values():
        oracle.update_space(trial.hyperparameters)
    if not is_restored:
        ended = oracle.search.outcomes.values()
        oracle.limits.resume((sum(o.wall_seconds for o in ended), sum(o.cpu_seconds for o in ended)))
