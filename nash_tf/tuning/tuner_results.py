"""What a tuner gives of its search: models, their hyperparameters, and a table."""

import keras
import keras_tuner
from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.keras_models.generators import left_to_the_caller
from nash_tf.tuning import front_objectives, trial_values
from nash_tf.tuning.hyperparameters import handed_over
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.tuning.reopening import has_search
from nash_tf.tuning.results_table import at_hand, first_trial, left_out, results_table, warn_of_fewer
from nash_tf.workers import roles


class TunerWithResults(keras_tuner.Tuner):
    """A tuner of a search that may go on elsewhere: its results are those on disk."""

    def load_model(self, trial: Trial) -> keras.Model:
        """The trained model of a trial, compiled."""
        self._training.hyperparameters = trial.hyperparameters.copy()
        values = trial_values.decode(trial.hyperparameters.values).hyperparameters
        return self._training.trainer.models.load(self.checkpoint(trial.trial_id), values)

    def first_model(self) -> keras.Model:
        """The trained first network, from which all others descend."""
        return self.load_model(first_trial(self._latest()))

    def untrained_first_model(self) -> keras.Model:
        """The first network as it was before its training."""
        asked = self.oracle.book.assignment(first_trial(self._latest()))
        with left_to_the_caller():
            return self._training.trainer.models.first(asked.hyperparameters, asked.seed)

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """The model that is handed over, then the best others whose weights are still kept; that these are fewer than asked for is said.

        Raises:
            CheckpointError: the weights of the one that is handed over are gone, or damaged.
        """
        return [self.load_model(trial) for trial in _best_trials(self._latest(), num_models, are_loaded=True)]

    def get_front(self) -> list[front_objectives.FrontModel]:
        """With method="front": the finished networks of which none is both better and cheaper, the cheapest first, each as (model,
        value of the objective, costs by name). The model is trained and compiled. Latencies, in milliseconds of one example,
        are measured together when they are first asked for, and kept in `latencies.json` of the project."""
        return front_objectives.front(self, self._latest().costs)

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The values of the models that `get_best_models` returns, in the same order; `tuner.hypermodel.build` makes an
        untrained network of the grown architecture from them."""
        trials = _best_trials(self._latest(), num_trials, are_loaded=False)
        return [handed_over(trial.hyperparameters, self.oracle.search) for trial in trials]

    def results_summary(self, num_trials: int = 10) -> None:
        """Prints trials, one a line: first the one whose model is handed over, then the others by their objective."""
        oracle = self.oracle if roles.is_worker() else self._latest()
        print(f"Results in {self.project_dir}", *results_table(oracle, num_trials), sep="\n")

    def _latest(self) -> HillClimbingOracle:
        """The oracle with what others have trained meanwhile. Errors as of `at_hand` and `renew`."""
        oracle = at_hand(self.oracle)
        if has_search(oracle.book.files.directory):  # else what was read of it is all that there is
            self._renew()
        return oracle

    def _renew(self) -> bool:
        """Reads the search again where another has gone on with it since it was read here; whether one has."""
        has_gone_on = self.oracle.renew()
        if has_gone_on:
            self._training.trainer.models.forget()
        return has_gone_on


def _best_trials(oracle: HillClimbingOracle, number: int, are_loaded: bool) -> list[Trial]:
    """The trial that is handed over, then the best of the others whose weights are kept. That these are fewer than asked for is said to
    somebody two calls up.

    Args:
        oracle: of the search.
        number: trials at most.
        are_loaded: whether their weights are asked for.

    Raises:
        CheckpointError: the weights of the one that is handed over are asked for, and are gone.
    """
    ranked = [trial for trial in oracle.get_best_trials(len(oracle.trials)) if trial.status == TrialStatus.COMPLETED]
    kept = [trial for trial in ranked if oracle.book.files.checkpoint(trial.trial_id).is_dir()]
    if ranked and kept[:1] != ranked[:1]:
        if are_loaded:
            raise CheckpointError(_why_gone(oracle, ranked[0].trial_id))
        kept.insert(0, ranked[0])
    warn_of_fewer(oracle, len(kept), number)
    return kept[:number]


def _why_gone(oracle: HillClimbingOracle, trial_id: str) -> str:
    files = oracle.book.files
    remedy = (
        left_out(oracle)
        or f"put them back, or remove {files.folder(trial_id)} and open the search again, which then does its training again"
    )
    return f"{files.checkpoint(trial_id)}: the weights of the model that is handed over are not there; {remedy}"
