"""What is said of the first network before a search goes on from it: that it is above a limit, or another than the builder's now, or
compiled otherwise."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial

from nash_tf.architecture import Architecture
from nash_tf.seeds import drawing_apart
from nash_tf.strategy import explanations, methods
from nash_tf.strategy.ask_tell import Search
from nash_tf.strategy.budgeted import FIRST
from nash_tf.strategy.search_settings import Settings
from nash_tf.training.child_models import ChildModels
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.tuning import fit_fingerprint, trial_values
from nash_tf.tuning.hyperparameters import DeclaredHyperparameters
from nash_tf.tuning.trial_book import TrialBook
from nash_tf.tuning.trial_training import TrialTraining
from nash_tf.workers import roles


def warn_of_size(first: keras.Model, settings: Settings) -> None:
    """Warns where a first network is above a limit of a search that begins; for workers their chief does."""
    if roles.is_worker():
        return
    above = explanations.above_limits(Architecture.from_keras(first), settings)
    if above and not methods.registry[settings.method].shrinks:
        warnings.warn(
            f"the first network is searched as it is, though it has {above}: nothing can be added; give a higher limit, or begin with a "
            "smaller network",
            stacklevel=6,
        )


def warn_of_another(book: TrialBook, training: TrialTraining) -> None:
    """Warns where a search that is opened again has begun with another network than the builder makes now.

    Args:
        book: of the search, reloaded; of one that has just begun nothing is built.
        training: with the builder.
    """
    outcome = book.search.outcomes.get(FIRST)
    if outcome is None or outcome.architecture is None:
        return
    hyperparameters: keras_tuner.HyperParameters = book.by_training()[FIRST].hyperparameters
    training.hyperparameters = hyperparameters.copy()
    asked, began = trial_values.decode(hyperparameters.values), outcome.architecture
    try:
        now = _built(training.trainer.models, asked.hyperparameters, asked.seed)
        # A builder that never makes the same twice makes no other one.
        is_another = (
            now.digest != began.digest
            and now.digest == _built(training.trainer.models, asked.hyperparameters, asked.seed).digest
        )
    except Exception:  # where a model is needed, it is raised again; results need none
        return
    if is_another:
        warnings.warn(
            f"the search in {book.files.directory} began with another network ({began.params:,} parameters) than "
            f"the hypermodel builds now ({now.params:,}): it goes on with the one that it began with, and its results are of that "
            "one. To begin anew with the other, give overwrite=True or another project_name",
            stacklevel=3,
        )


def warn_of_other_data(
    book: TrialBook, training: TrialTraining, arguments: FitArguments, given: keras_tuner.HyperParameters
) -> None:
    """Warns where a search goes on with other data, other hyperparameters, or a network compiled otherwise, than it began with.

    Args:
        book: of the search.
        training: with the builder.
        arguments: of `fit`.
        given: the hyperparameters that the search was given, without those that it knows from its beginning.
    """
    search = book.search
    try:
        with drawing_apart(search.settings.seed):
            model = training.trainer.models.compiled(search.hyperparameters.defaults())
            declared = training.declared(given)
    except Exception:  # where a model is needed, it is raised again
        return
    fit_fingerprint.warn_of_others(book.files.directory, model, arguments, declared.space)


def see_to_hyperparameters(search: Search, declared: DeclaredHyperparameters, models: ChildModels) -> None:
    """Says what becomes of declared hyperparameters that a user may expect to vary, and has those stay that cannot.

    Args:
        search: that begins or goes on.
        declared: its hyperparameters.
        models: with the builder.
    """
    if search.settings.tune_hyperparameters:
        _hold_shaping(declared, search.settings.seed, models)
    elif not search.outcomes and (left := declared.undecided()):
        warnings.warn(_stay(search, left), stacklevel=3)


def see_to_new_hyperparameters(search: Search, trial: Trial, known: set[str]) -> None:
    """Says the same of those that `HyperModel.fit` or a `run_trial` declares: nobody knows of them before the first training.

    Args:
        search: in any process.
        trial: as it was trained.
        known: names of those that were declared before that.
    """
    if search.settings.tune_hyperparameters or trial_values.key_of(trial.hyperparameters.values) != FIRST:
        return
    undecided = DeclaredHyperparameters(lambda: trial.hyperparameters).undecided()
    if left := {name: value for name, value in undecided.items() if name not in known}:
        warnings.warn(_stay(search, left), stacklevel=3)


def _stay(search: Search, left: Mapping[str, Any]) -> str:
    several = search.method.grows and search.settings.rungs[0].children > 1
    return (
        f"hyperparameters stay at the lowest or first of their values: {', '.join(f'{name}={value}' for name, value in left.items())}. Give "
        f"each as default= the value to train with{', or tune_hyperparameters=True, which has children vary them' if several else ''}"
    )


def _hold_shaping(declared: DeclaredHyperparameters, seed: int, models: ChildModels) -> None:
    """Has a search that perturbs hyperparameters leave those as they are that shape the network, and says so: a child has its parent's
    layers, whatever their values, and they would be reported of a network that they did not make."""
    defaults = declared.defaults()
    first = _built(models, defaults, seed).digest
    if _built(models, defaults, seed).digest != first:
        return  # a builder that never makes the same twice

    def shapes(name: str, value: Any) -> bool:
        try:
            return _built(models, {**defaults, name: value}, seed).digest != first
        except Exception:  # where the search comes to such a value, it is raised again
            return False

    declared.held.update(name for name, value in declared.others().items() if shapes(name, value))
    if declared.held:
        names = ", ".join(sorted(declared.held))
        warnings.warn(
            f"tune_hyperparameters leaves {names} at the first network's: a child has its parent's layers, which morphisms alone change",
            stacklevel=4,
        )


def _built(models: ChildModels, hyperparameters: Any, seed: int) -> Architecture:
    """The first network's architecture as it is made now; what its builder draws, as a layer's seed, is as it was for its training."""
    with drawing_apart(seed):
        return Architecture.from_keras(models.build(hyperparameters))
