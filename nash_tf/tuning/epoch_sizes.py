"""How many examples an epoch and a step have, by which a search counts what trainings cost. Where the user has not said, what `search` is
given tells, before the first training; and then it stays, since with other numbers the trainings would have been others."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import checked_json

FILE = "epoch.json"  # says the same as the oracle's state, which may be lost


def take(oracle: Any, arguments: FitArguments) -> None:
    """Has a search that begins know what its data tell; warns where these do not, and the search counts by it.

    Args:
        oracle: the `HillClimbingOracle`. One that has trials goes on with what it began with, also with nothing.
        arguments: of `fit`.
    """
    if oracle.trials or not oracle.left_to_data:
        return
    told, search = arguments.of_an_epoch(), oracle.search
    adopt(oracle, told)
    checked_json.write(Path(oracle._project_dir) / FILE, told)
    if not told and (search.method.is_budgeted or search.settings.budget_epochs):
        warnings.warn(
            "what search was given does not tell how many examples an epoch and a step have: the budget leaves out what trainings, epochs and "
            f"steps cost whatever the network; give {' and '.join(oracle.left_to_data)}",
            stacklevel=3,
        )


def adopt(oracle: Any, told: Mapping[str, Any]) -> None:
    """Has a search know what was told of its data, but for what the user says.

    Args:
        oracle: the `HillClimbingOracle`.
        told: by the names of the settings; what is no whole number above 0 is not known.
    """
    values = {name: told.get(name) for name in oracle.left_to_data}
    oracle.search.know(**{name: value if type(value) is int and value > 0 else None for name, value in values.items()})


def kept(directory: Path) -> dict[str, Any]:
    """What a search's data told when it began; empty where it was not written down, or that is lost."""
    try:
        return checked_json.read(directory / FILE)
    except Exception:  # there is no end to what a file may hold
        return {}
