"""A training that a limit on time makes shorter, on a clock that stands in for the real one."""

from contextlib import nullcontext
from dataclasses import replace

import keras
import pytest

from nash_tf.callbacks import PhasedRate
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.state import write_state
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.schedules import Phase
from nash_tf.training import resumable_training, trainer
from nash_tf.training.errors import OutOfTime
from nash_tf.training.watching import Limits, Watch
from nash_tf.training.weight_average import WeightAverage
from nash_tf.tuning.trial_files import UNFINISHED
from tests.helpers.machines import Killed, Machine
from tests.helpers.pipelines import pipeline
from tests.training.test_resumable_training import FIRST, IMAGES, LABELS, classifier, train

LONG = replace(FIRST, epochs=20, phases=(Phase(20.0),))
LAST = replace(
    FIRST,
    key=TrainingKey(0, 1, 0),
    source=FIRST.key,
    initial_epoch=3,
    epochs=13,
    phases=(Phase(3.0, 1.0, 1.0), Phase(10.0, 1.0, 0.0, "linear", True)),
)
INF = float("inf")


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def limits(seconds=INF, cpu_seconds=INF, **given):
    return Limits(seconds, cpu_seconds, shortened=(seconds, cpu_seconds), **given)


def weights(folder):
    _, state = checkpoint.load(folder / "checkpoint")
    return {key: value.tobytes() for key, value in state.weights.items()}


def test_what_fits_is_trained_as_without_a_limit(machine, tmp_path):
    free = train(FIRST, tmp_path / "free", callbacks=[machine])
    limited = train(FIRST, tmp_path / "limited", limits=limits(40.0, 100.0), callbacks=[machine])
    assert weights(tmp_path / "free") == weights(tmp_path / "limited")
    assert limited.history == free.history and not limited.is_shortened and limited.rate == ()
    assert "rate" not in limited.record() and limited.record()["epochs"] == 3


@pytest.mark.parametrize("name", ["seconds", "cpu_seconds"])
def test_what_does_not_fit_has_as_many_epochs_as_do_and_ends_at_no_rate(name, machine, tmp_path):
    found = train(LONG, tmp_path, limits=limits(**{name: 75.0}), callbacks=[machine])
    assert found.status == "completed" and 5 <= found.epochs <= 7 and machine.now <= 75.0
    assert found.is_shortened and found.epochs_done == len(found.history["loss"]) == found.record()["epochs"]
    rates = found.record()["rate"]
    assert len(rates) == found.epochs + 1 and rates[0] == 1.0 and rates[-1] == pytest.approx(0.0, abs=1e-6)
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == len(rates)


def test_the_rate_that_is_told_is_the_one_that_is_trained_with(machine, tmp_path, monkeypatch):
    begun, on_epoch_begin = [], PhasedRate.on_epoch_begin

    def noted(self, epoch, logs=None):
        on_epoch_begin(self, epoch, logs)
        begun.append(self._rates[0] / self.initial_rate)

    monkeypatch.setattr(PhasedRate, "on_epoch_begin", noted)
    found = train(LONG, tmp_path, limits=limits(75.0), callbacks=[machine])
    assert list(found.rate[:-1]) == pytest.approx(begun, abs=1e-5)


def test_an_epoch_that_takes_too_long_is_ended_where_it_is(machine, tmp_path):
    machine.epochs = {4: 1000.0}
    found = train(LONG, tmp_path, limits=limits(300.0), callbacks=[machine])
    assert found.status == "completed" and found.epochs == 5 and machine.now < 1000.0


def test_where_no_epoch_of_a_first_network_can_end_it_is_said_how_far_it_came(machine, tmp_path):
    machine.epochs = {0: 1000.0}
    with pytest.raises(OutOfTime, match=r"2 of 4 batches of an epoch were done"):
        train(LONG, tmp_path, limits=limits(300.0), callbacks=[machine])


@pytest.mark.parametrize("in_a_call", [1, 8])
def test_an_epoch_whose_batches_are_all_done_counts_though_time_is_over(in_a_call, machine, tmp_path):
    def grouped(_):
        model = classifier(_)
        model.steps_per_execution = in_a_call
        return model

    machine.epochs = {0: 100.0}
    found = train(LONG, tmp_path, limits=limits(80.0 if in_a_call == 1 else 20.0), callbacks=[machine], build=grouped)
    assert (found.status, found.epochs_done, found.is_shortened) == ("completed", 1, True)
    assert "val_accuracy" in found.metrics


@pytest.mark.parametrize(("epoch", "is_kept"), [(2, False), (3, True)])
def test_what_is_trained_to_its_end_counts_though_time_is_over(epoch, is_kept):
    watch = Watch(Limits(seconds=-1.0))
    watch.set_params({"epochs": 4, "steps": 2})
    watch.on_epoch_begin(epoch)
    with pytest.raises(OutOfTime, match="^1 of 2"):
        watch.on_train_batch_end(0)
    with nullcontext() if is_kept else pytest.raises(OutOfTime):
        watch.on_train_batch_end(1)


def test_a_fit_that_trains_an_epoch_in_each_of_many_calls_is_ended_by_the_second():
    watch = Watch(Limits(seconds=-1.0))
    watch.set_params({"epochs": 1, "steps": 1})
    watch.on_epoch_begin(0)
    watch.on_train_batch_end(0)
    with pytest.raises(OutOfTime):
        watch.on_train_batch_end(0)


def test_a_loop_that_does_not_stop_runs_out_of_time(machine, tmp_path, monkeypatch):
    never = property(lambda model: False, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "stop_training", never, raising=False)
    machine.epochs = dict.fromkeys(range(2, 20), 200.0)
    with pytest.raises(OutOfTime):
        train(LONG, tmp_path, limits=limits(150.0), callbacks=[machine])


class TestLastPart:
    """What ends on the mean of its weights."""

    @pytest.fixture(scope="class")
    def source(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("first")
        train(FIRST, folder, goes_on=False)
        return folder / "checkpoint"

    def train(self, source, folder, machine, **given):
        return train(LAST, folder, source, limits=limits(**given), callbacks=[machine])

    @pytest.mark.parametrize(("slow", "seconds"), [({}, 65.0), ({5: 500.0}, 65.0), ({3: 500.0}, 200.0)])
    def test_it_ends_in_time_on_the_mean_and_is_scored_by_it(
        self, slow, seconds, source, machine, tmp_path, monkeypatch
    ):
        averages = []

        class Noted(WeightAverage):
            def __init__(self, *given):
                super().__init__(*given)
                averages.append(self)

        monkeypatch.setattr(trainer, "WeightAverage", Noted)
        machine.epochs = slow
        found = self.train(source, tmp_path, machine, seconds=seconds)
        assert found.status == "completed" and 1 <= found.epochs <= 6
        _, state = checkpoint.load(tmp_path / "checkpoint")
        assert averages[0].count and all((state.weights[key] == mean).all() for key, mean in averages[0].mean.items())
        keras.utils.clear_session()  # layers are numbered anew
        model = classifier({})
        write_state(model, state)
        scores = model.evaluate(pipeline().evaluation(IMAGES, LABELS), verbose=0, return_dict=True)
        assert found.metrics["val_loss"] == pytest.approx(scores["loss"], rel=1e-5)
        rate = found.record().get("rate")
        assert rate[0] == 1.0 and (slow or rate[-1] == pytest.approx(0.0, abs=1e-6))

    def test_it_goes_on_after_an_interruption_to_the_same_end(self, source, machine, tmp_path, monkeypatch):
        monkeypatch.setattr(resumable_training, "SAVE_EVERY", 0.0)
        monkeypatch.setattr(resumable_training, "SAVING", INF)
        whole = self.train(source, tmp_path / "whole", machine, cpu_seconds=65.0)
        machine.killed_after = 6
        with pytest.raises(Killed):
            self.train(source, tmp_path / "run", machine, cpu_seconds=65.0)
        assert resumable_training.state(tmp_path / "run" / UNFINISHED).moved
        machine.killed_after = None
        again = self.train(source, tmp_path / "run", machine, cpu_seconds=65.0)
        assert again.epochs == whole.epochs and again.rate == pytest.approx(whole.rate)
        assert again.metrics == pytest.approx(whole.metrics, rel=1e-5)
