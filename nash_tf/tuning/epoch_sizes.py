"""How many examples an epoch and a step have, by which a search counts what trainings cost. Where the user has not said, what `search` is
given tells, before the first training; and then it stays, since with other numbers the trainings would have been others."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from nash_tf.strategy.ask_tell import Search
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import checked_json
from nash_tf.tuning.trial_book import TrialBook

FILE = "epoch.json"  # says the same as the oracle's state, which may be lost


def take(book: TrialBook, arguments: FitArguments) -> None:
    """Has a search that begins know what its data tell; warns where these do not, and the search counts by it.

    Args:
        book: of the search. One that has trials goes on with what it began with, also with nothing.
        arguments: of `fit`.
    """
    search = book.search
    if book.trials or not search.left_to_data:
        return
    told = arguments.of_an_epoch()
    adopt(search, told)
    checked_json.write(book.files.directory / FILE, told)
    if not told and _counts(search):
        warnings.warn(
            "what search was given does not tell how many examples an epoch and a step have: the budget leaves out what trainings, epochs and "
            f"steps cost whatever the network; give {' and '.join(search.left_to_data)}",
            stacklevel=3,
        )


def counted_by(search: Search) -> tuple[str, ...]:
    """The names of what a search takes from its data, where it counts by it."""
    return search.left_to_data if _counts(search) else ()


def warn_of_others(
    names: Sequence[str], given: FitArguments, received: FitArguments | None, who: str = "HyperModel.fit"
) -> bool:
    """Warns where a user's own code trains with other epochs or steps than a search counts by: with the other numbers, of which it
    learns too late, its trainings would have been others.

    Args:
        names: of what the search takes from its data.
        given: what `search` was given.
        received: what `model.fit` was given within that code; None where that is not known.
        who: that code.

    Returns:
        Whether they are others.
    """
    counted, x = given.of_an_epoch(), given.by_name().get("x")
    is_batched = isinstance(x, tf.data.Dataset | keras.utils.PyDataset)
    if received is None:
        told, names = {}, () if is_batched else [name for name in names if not given.named.get(name)]
    else:
        told = counted if is_batched and received.by_name().get("x") is x else received.of_an_epoch()
    if not (wrong := [name for name in names if name in counted and told.get(name) != counted[name]]):
        return False
    found = ", ".join(f"{name}={told[name]}" for name in wrong if name in told)
    warnings.warn(
        f"the search counts by {', '.join(f'{name}={counted[name]}' for name in wrong)}, as its data have it, and {who} "
        f"{f'trains with {found}' if found else 'does not tell what it trains with'}: what epochs and steps cost may be far from what the "
        f"budget counts; give a new search {found or ' and '.join(wrong)}",
        stacklevel=3,
    )
    return True


def adopt(search: Search, told: Mapping[str, Any]) -> None:
    """Has a search know what was told of its data, but for what the user says.

    Args:
        search: without outcomes, or with those of trainings that counted by the same.
        told: by the names of the settings; what is no whole number above 0 is not known.
    """
    values = {name: told.get(name) for name in search.left_to_data}
    search.know(**{name: value if type(value) is int and value > 0 else None for name, value in values.items()})


def kept(directory: Path) -> dict[str, Any]:
    """What a search's data told when it began; empty where it was not written down, or that is lost."""
    try:
        return checked_json.read(directory / FILE)
    except Exception:  # there is no end to what a file may hold
        return {}


def _counts(search: Search) -> bool:
    return bool(search.method.is_budgeted or search.settings.budget_epochs)
