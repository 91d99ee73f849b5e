"""The control of a search: how long it trains, and whether it is the better one."""

import math
import types

import keras
import pytest

from nash_tf.config import SearchConfig
from nash_tf.strategy.records import Goal
from nash_tf.tasks import control
from tests.helpers.finished_runs import hurt, run_that_trains


@pytest.mark.parametrize(
    "name, direction, score, params, expected",
    [
        ("val_accuracy", "max", 0.91, 200, True),
        ("val_accuracy", "max", 0.89, 50, False),
        ("val_accuracy", "max", 0.9, 100, True),
        ("val_accuracy", "max", 0.9, 101, False),
        ("val_loss", "min", 0.91, 50, False),
        ("val_loss", "min", 0.89, 200, True),
        ("val_loss", "min", 0.9, 101, False),
        ("val_loss", "min", math.nan, 50, False),
    ],
)
def test_of_equals_the_smaller_is_better(name, direction, score, params, expected):
    winner = types.SimpleNamespace(metrics={name: 0.9}, architecture=types.SimpleNamespace(params=100))
    assert control._is_better(Goal(name, direction), {name: score}, params, winner) is expected


def test_a_control_that_goes_on_has_what_it_has_not_taken_of_its_quarter(monkeypatch, tmp_path):
    class Asked(Exception):
        """The job is known."""

    def train(job, *_):
        raise Asked(job.seconds_left())

    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    limits = types.SimpleNamespace(spent=lambda: (500.0, 0.0))
    plan = types.SimpleNamespace(
        limits=limits,
        control_cpu_seconds=lambda: 100.0,
        control_seconds=lambda taken=0.0: 900.0 - taken,
        control_epochs=lambda size: 5.0,
        cost=lambda: types.SimpleNamespace(seconds=lambda epochs, size: 1.0),
    )
    outcome = types.SimpleNamespace(cpu_seconds=50.0, architecture=None)
    search = types.SimpleNamespace(outcomes={0: outcome, 1: outcome}, settings=None, best=0)
    oracle = types.SimpleNamespace(search=search)
    run = types.SimpleNamespace(
        config=SearchConfig(max_hours=1.0, output_dir=str(tmp_path)),
        dataset=types.SimpleNamespace(x_train=None, y_train=None),
        progress=types.SimpleNamespace(line=lambda text: None, then=lambda follows: None),
        tuner=types.SimpleNamespace(oracle=oracle, untrained_first_model=lambda: model),
        plan=plan,
        train=train,
    )
    monkeypatch.setattr(control.saved_long_training, "seconds_taken", lambda *_: 600.0)
    monkeypatch.setattr(control.explanations, "above_limits", lambda *_: "")
    with pytest.raises(Asked) as asked:
        control.train_control(run)
    assert asked.value.args == (300.0,)


def test_there_is_no_control_whose_outputs_are_nan(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(control.explanations, "above_limits", lambda *_: "")
    _, run = run_that_trains(hurt, said, tmp_path)
    assert control.train_control(run) == (None, "it is not finite, val_loss=nan")
    assert said[-1] == "There is no control, the first network trained alone: it is not finite, val_loss=nan."


def test_a_control_that_has_no_time_is_not_announced(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(control.explanations, "above_limits", lambda *_: "")
    monkeypatch.setattr(control.long_training, "epochs_in_time", lambda job: 0)
    _, run = run_that_trains(hurt, said, tmp_path)
    assert control.train_control(run) == (None, "no time was left for it")
    assert said == ["There is no control, the first network trained alone: no time was left for it."]
