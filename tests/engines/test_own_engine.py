"""The example of an engine of one's own: without Keras Tuner it finds what the tuner finds."""

from dataclasses import replace

import keras_tuner
import numpy as np

from nash_tf.strategy.ask_tell import Settings
from nash_tf.strategy.records import FAILED, Goal, lineage
from nash_tf.training.errors import FailedTraining
from tests.example_own_engine import OwnEngine, build
from tests.helpers.tuners import CLASSES, IMAGES, SMALL, tuner_of

DATA = {"x": IMAGES, "y": CLASSES, "validation_data": (IMAGES, CLASSES), "batch_size": 16, "verbose": 0}
SETTINGS = Settings(**SMALL)


def untimed(records):
    return [{name: value for name, value in record.items() if not name.endswith("seconds")} for record in records]


def test_it_finds_what_the_tuner_finds(tmp_path):
    engine = OwnEngine(build, SETTINGS, Goal("val_loss", "min"), tmp_path / "own", **DATA)
    assert engine.run() == "its one step is done"
    tuner = tuner_of(lambda hp: build(), tmp_path, keras_tuner.Objective("val_loss", "min"))
    tuner.search(**DATA)
    found = untimed(lineage(engine.search.outcomes.values()))
    assert found == untimed(tuner.oracle.lineage()) and len(found) == 4
    (best,) = tuner.get_best_models()
    for own, other in zip(engine.best().get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_child_that_fails_is_told(tmp_path, monkeypatch):
    engine = OwnEngine(build, replace(SETTINGS, method="nash"), Goal("val_accuracy"), tmp_path, **DATA)
    train = engine.trainer.train

    def fails(assignment, *others):
        if assignment.moves:
            raise FailedTraining("its loss is not finite")
        return train(assignment, *others)

    monkeypatch.setattr(engine.trainer, "train", fails)
    assert engine.run() == "its one step is done"
    (failed,) = [each for each in engine.search.outcomes.values() if each.status == FAILED]
    assert failed.message == "its loss is not finite" and engine.search.best != failed.key
    assert engine.best().count_params() == build().count_params()
