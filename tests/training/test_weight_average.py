"""Networks end on the mean of their weights over the end of their training."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

import nash_tf
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.state import all_variables, copy_of, read_state, real_weights, write_weights
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.schedules import Phase, averaged_from
from nash_tf.training import long_training, resumable_training, saved_long_training, weight_average
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.resumable_training import TrainingState
from nash_tf.training.trainer import Fit, Trainer, _Begun
from nash_tf.training.weight_average import WeightAverage
from tests.helpers.pipelines import CLASSES, pipeline
from tests.helpers.tuners import CLASSES as LABELS_3
from tests.helpers.tuners import IMAGES as IMAGES_3
from tests.helpers.tuners import OwnFit, Still, in_two_parts, plainest, tuner_of
from tests.training.test_long_training import first, killed_after, make  # noqa: F401
from tests.training.test_long_training import train as train_long
from tests.training.test_resumable_training import (  # noqa: F401
    FIRST,
    IMAGES,
    LABELS,
    Killed,
    killed,
    train,
    weights,
    with_everything,
)
from tests.training.test_resumable_training import classifier as classifier_of

CONSTANT, FALLING, LAST = Phase(1, 1.0, 1.0), Phase(1, 1.0, 0.5, "linear"), Phase(2, 0.5, 0.0, "linear", True)
AVERAGED = replace(FIRST, epochs=4, phases=(CONSTANT, FALLING, LAST))


class States(keras.callbacks.Callback):
    """All weights after each call of the training step, with its epoch."""

    def __init__(self):
        super().__init__()
        self.seen, self.epoch = [], 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((self.epoch, read_state(self.model).weights))

    def mean(self, first_epoch):
        chosen = [state for epoch, state in self.seen if epoch >= first_epoch]
        return {key: np.mean([state[key] for state in chosen], axis=0) for key in chosen[0]}


def test_it_is_that_after_each_step_from_an_epoch_on_statistics_too():
    model, states = with_everything(None), States()
    data = np.float32(IMAGES), np.eye(CLASSES, dtype=np.float32)[LABELS]
    model.fit(*data, batch_size=8, epochs=3, verbose=0, callbacks=[WeightAverage(1, 3), states])
    now, expected = read_state(model).weights, states.mean(1)
    keys = real_weights(model).keys()
    assert any(name == "moving_mean" for _, name in keys)
    for key in keys:
        np.testing.assert_allclose(now[key], expected[key], rtol=1e-5, atol=1e-7)
    assert any(not np.allclose(now[key], states.seen[-1][1][key], rtol=1e-3) for key in keys)


@pytest.mark.parametrize("most", [1, 3, 5, 100])
def test_of_many_steps_it_is_the_mean_of_some_evenly_spaced(most, monkeypatch):
    monkeypatch.setattr(weight_average, "STATES", most)
    model, states = classifier_of(None), States()
    average = WeightAverage(1, 5)
    data = np.float32(IMAGES), np.eye(CLASSES, dtype=np.float32)[LABELS]
    model.fit(*data, batch_size=8, epochs=5, verbose=0, callbacks=[average, states])
    every = max(1, 20 // most)
    chosen = [state for number, (epoch, state) in enumerate(states.seen) if epoch >= 1 and number % every == 0]
    assert average.count == len(chosen) <= most + 1
    for key, array in read_state(model).weights.items():
        np.testing.assert_allclose(array, np.mean([state[key] for state in chosen], axis=0), rtol=1e-4, atol=1e-6)


@keras.saving.register_keras_serializable(package="test_weight_average")
class Signs(keras.constraints.Constraint):
    """A user's own: each number is -1 or 1, whichever is nearer."""

    def __call__(self, w):
        return keras.ops.where(w < 0, -1.0, 1.0)


@pytest.mark.parametrize(
    "constraint",
    [
        keras.constraints.UnitNorm(),
        keras.constraints.MinMaxNorm(0.9, 1.1),
        keras.constraints.MaxNorm(0.5),
        keras.constraints.NonNeg(),
        Signs(),
    ],
)
def test_it_keeps_to_constraints_which_a_mean_of_weights_within_them_may_not(constraint):
    image = keras.Input(IMAGES.shape[1:])
    x = keras.layers.Dense(8, kernel_constraint=constraint, name="within")(keras.layers.Flatten()(image))
    frozen = keras.layers.Dense(8, kernel_constraint=constraint, trainable=False, name="frozen")
    model = keras.Model(image, keras.layers.Dense(CLASSES)(frozen(x)))
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), keras.losses.CategoricalCrossentropy(from_logits=True))
    begun, states = copy_of(frozen.kernel), States()
    model.fit(np.float32(IMAGES) / 255, np.eye(CLASSES)[LABELS], 8, 4, 0, [WeightAverage(1, 4), states])
    kernel, mean = copy_of(model.get_layer("within").kernel), states.mean(1)[("within", "kernel")]
    np.testing.assert_allclose(constraint(kernel), kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kernel, constraint(mean), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(copy_of(frozen.kernel), begun, rtol=1e-6)  # no optimiser has applied a constraint to it


def test_states_of_recurrent_layers_are_no_weights():
    steps = keras.Input(batch_shape=(2, 3, 4))
    model = keras.Model(steps, keras.layers.LSTM(2, stateful=True)(steps))
    assert {name for _, name in all_variables(model)} - {name for _, name in real_weights(model)} == {
        "rnn_state",
        "rnn_state:1",
    }


def test_a_training_that_ends_before_keeps_its_weights():
    model, states = with_everything(None), States()
    data = np.float32(IMAGES), np.eye(CLASSES, dtype=np.float32)[LABELS]
    model.fit(*data, epochs=2, verbose=0, callbacks=[WeightAverage(2, 3), states])
    assert all(np.array_equal(array, states.seen[-1][1][key]) for key, array in read_state(model).weights.items())


@pytest.mark.parametrize(
    "phases, epoch",
    [
        ((), None),
        ((CONSTANT,), None),
        ((LAST,), 0),
        ((CONSTANT, FALLING, LAST), 2),
        ((LAST, CONSTANT), None),
        ((CONSTANT, LAST, LAST), 1),
    ],
)
def test_it_begins_with_the_last_phases_that_are_averaged(phases, epoch):
    assert averaged_from(phases) == epoch


def test_a_training_keeps_and_scores_the_mean(tmp_path):
    states = States()
    outcome = train(AVERAGED, tmp_path, goes_on=False, callbacks=[states], build=with_everything)
    kept, expected = checkpoint.load(tmp_path / "checkpoint")[1], states.mean(2)
    kernel = ("conv", "kernel")
    np.testing.assert_allclose(kept.weights[kernel], expected[kernel], rtol=1e-5)
    model = to_keras(outcome.architecture)
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    write_weights(model, kept.weights)
    found = model.evaluate(pipeline().evaluation(IMAGES, LABELS), verbose=0, return_dict=True)
    assert outcome.metrics["val_loss"] == pytest.approx(found["loss"], rel=1e-5)
    assert outcome.metrics["val_loss"] == pytest.approx(outcome.history["val_loss"][-1], rel=1e-5), (
        "fit has measured it"
    )


def test_interrupted_while_weights_are_averaged_it_comes_to_the_same_end(tmp_path, killed):  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable_training, "SAVE_EVERY", 1e9)
        train(AVERAGED, tmp_path / "whole", build=with_everything)
    for _ in range(3):
        with pytest.raises(Killed):
            train(AVERAGED, tmp_path, build=with_everything)
    assert resumable_training.state(tmp_path / "unfinished").averaged == 4, "steps of an epoch"
    train(AVERAGED, tmp_path, build=with_everything)
    assert weights(tmp_path) == weights(tmp_path / "whole")


def test_where_the_user_sets_the_rate_or_the_mean_could_not_be_scored_there_is_none(recwarn):
    model = with_everything(None)
    scored = FitArguments((), {"validation_data": (IMAGES, LABELS)})
    trainer = Trainer(SimpleNamespace(), "val_accuracy")
    model.optimizer.initial_rate = 0.05

    def average(assignment=AVERAGED, arguments=scored, callbacks=()):
        begun = _Begun(model, None, TrainingState(assignment.digest, assignment.initial_epoch))
        return trainer._average(begun, assignment, Fit(lambda: None, arguments, callbacks))

    assert average().first_epoch == 2 and average(FIRST) is None
    assert not [each for each in recwarn if "not averaged" in str(each.message)]
    for _ in range(2):
        assert average(arguments=FitArguments()) is average(callbacks=[keras.callbacks.ReduceLROnPlateau()]) is None
    told = [str(each.message) for each in recwarn if "not averaged" in str(each.message)]
    assert len(told) == 2 and "no validation data" in told[0] and "learning rate" in told[1]


class TestLongTraining:
    def test_it_ends_on_the_mean_of_its_last_share_of_epochs(self, make, tmp_path):  # noqa: F811
        model, training = train_long(make, tmp_path / "a", averaged=0.5)
        last, _ = train_long(make, tmp_path / "b")
        assert training.averaged == 8 and not np.allclose(model.get_weights()[0], last.get_weights()[0], rtol=1e-3)
        again, _ = train_long(make, tmp_path / "a", averaged=0.5)
        assert all(map(np.array_equal, model.get_weights(), again.get_weights())), (
            "and that is what it is when it is read again"
        )

    @pytest.mark.parametrize("most", [weight_average.STATES, 3])
    def test_interrupted_it_comes_to_the_same_end(self, make, tmp_path, monkeypatch, most):  # noqa: F811
        monkeypatch.setattr(weight_average, "STATES", most)
        model, _ = train_long(make, tmp_path / "whole", averaged=0.5)
        for epochs in (1, 2):
            with pytest.raises(Killed.__mro__[1]):
                train_long(make, tmp_path / "cut", killed_after(epochs), averaged=0.5)
        again, _ = train_long(make, tmp_path / "cut", averaged=0.5)
        assert all(map(np.array_equal, model.get_weights(), again.get_weights()))

    def test_cut_by_a_limit_it_ends_on_what_there_is_of_the_mean(self, make, tmp_path, monkeypatch):  # noqa: F811
        monkeypatch.setattr(long_training, "replanned", lambda epoch, wanted, last, *_: last)
        watched = long_training.Watch.on_train_batch_end

        def late(self, batch, logs=None):
            watched(self, batch, logs)
            if int(self.model.optimizer.iterations) == 15:  # within the last epoch
                raise long_training.OutOfTime("late")

        monkeypatch.setattr(long_training.Watch, "on_train_batch_end", late)
        model, training = train_long(make, tmp_path, averaged=0.5)
        state = checkpoint.load(tmp_path / "checkpoint")[1]
        assert training.ended == saved_long_training.CUT and training.averaged == 4
        for key, variable in real_weights(model).items():
            np.testing.assert_array_equal(variable.numpy(), state.mean[key])


class TestSearch:
    @pytest.mark.parametrize("is_averaged", [True, False])
    def test_the_last_training_of_a_budget_alone_is_averaged(self, tmp_path, is_averaged, monkeypatch):
        taken, averages = [], Trainer._average

        def average(self, model, assignment, *others):
            made = averages(self, model, assignment, *others)
            taken.extend([assignment.key] if made else [])
            return made

        monkeypatch.setattr(Trainer, "_average", average)
        search = {"method": "grow", "budget_epochs": 12, "steps": 1, "average_weights": is_averaged}
        tuner = tuner_of(Still(), tmp_path, **search)
        tuner.search(IMAGES_3, LABELS_3, validation_split=0.25, verbose=0)
        phases = {key: outcome.assignment.phases for key, outcome in tuner.oracle.search.outcomes.items()}
        last = max(phases)
        assert [key for key in phases if averaged_from(phases[key]) is not None] == [last] * is_averaged
        assert taken == [last] * is_averaged

    def test_what_a_callback_measures_in_the_last_epoch_is_of_the_mean(self, tmp_path, monkeypatch):
        """No evaluation after the training could measure it."""
        in_two_parts(monkeypatch)

        class Measured(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["val_mine"] = logs["val_accuracy"]

        tuner = tuner_of(
            plainest, tmp_path, objective=keras_tuner.Objective("val_mine", "max"), method="fixed", budget_epochs=12
        )
        tuner.search(IMAGES_3, LABELS_3, validation_split=0.25, callbacks=[Measured()], verbose=0)
        *_, last = tuner.oracle.lineage()
        assert last["status"] == "completed"
        assert averaged_from(tuner.oracle.search.outcomes[TrainingKey(1, 1, 0)].assignment.phases) is not None
        assert last["val_mine"] == last["val_accuracy"] == pytest.approx(last["history"]["val_mine"][-1], rel=1e-5)

    def test_a_fit_of_the_user_s_own_scores_the_mean_on_its_own_data(self, tmp_path, monkeypatch):
        in_two_parts(monkeypatch)

        class Scaled(OwnFit):
            def fit(self, hp, model, x, y, validation_data=None, **named):
                images, labels = validation_data
                return model.fit(x / 100, y, validation_data=(images / 100, labels), **named)

        tuner = tuner_of(Scaled(), tmp_path, method="fixed", budget_epochs=12)
        images = 100 * IMAGES_3
        tuner.search(images, LABELS_3, validation_data=(images, LABELS_3), verbose=0)
        last = max(tuner.oracle.search.outcomes)
        outcome = tuner.oracle.search.outcomes[last]
        assert averaged_from(outcome.assignment.phases) is not None
        assert outcome.metrics["val_loss"] == pytest.approx(outcome.history["val_loss"][-1], rel=1e-5)

    def test_a_fit_of_the_user_s_own_without_known_validation_data_ends_on_its_last_weights(
        self, tmp_path, monkeypatch
    ):
        in_two_parts(monkeypatch)
        tuner = tuner_of(OwnFit(), tmp_path, method="fixed", budget_epochs=6, steps=1)
        tuner.search(IMAGES_3, LABELS_3, verbose=0)
        assert averaged_from(tuner.oracle.search.outcomes[TrainingKey(1, 1, 0)].assignment.phases) is not None
        assert all(record["status"] == "completed" for record in tuner.oracle.lineage())

    def test_methods_without_one_budget_say_that_it_is_not_used(self):
        with pytest.warns(UserWarning, match="average_weights=False is not used: method shr has no single cooldown"):
            nash_tf.HillClimbingOracle(method="shr", average_weights=False, steps=1, children=2, epochs_per_step=4)
