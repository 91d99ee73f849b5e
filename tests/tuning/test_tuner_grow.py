"""The method grow in Keras Tuner: one budget, with the user's own data, loss, metric and optimiser."""

import keras
import keras_tuner
import pytest
from keras import layers

from nash_tf.tuning.tuner import HillClimbing
from tests.helpers.tuners import CLASSES, IMAGES, network, tuner_of

GROW = {"method": "grow", "steps": 1, "budget_epochs": 30}


def compiled(optimizer):
    def build(hp):
        image, x = network(convolutions=2)
        model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
        model.compile(optimizer(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return build


def searched(tmp_path, optimizer=keras.optimizers.SGD, **changed) -> HillClimbing:
    tuner = tuner_of(compiled(optimizer), tmp_path, keras_tuner.Objective("val_loss", "min"), **{**GROW, **changed})
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=16, verbose=0)
    return tuner


def test_any_optimiser_and_objective(tmp_path):
    tuner = searched(tmp_path, keras.optimizers.AdamW, budget_epochs=70)
    search = tuner.oracle.search
    assert search.finished == "its one step is done"
    assert any(outcome.assignment.moves for outcome in search.outcomes.values())
    used = search.spent(search.outcomes.values())
    assert 30 < used <= 70
    assert type(tuner.get_best_models()[0].optimizer) is keras.optimizers.AdamW


def test_an_interrupted_search_comes_to_the_same_end(tmp_path):
    class Stop(Exception):
        pass

    def stop_after_three(oracle):
        if len(oracle.lineage()) == 3:
            raise Stop

    with pytest.raises(Stop):
        searched(tmp_path / "interrupted", on_trained=stop_after_three)

    def told(tuner):
        times = ("cpu_seconds", "wall_seconds")
        return [
            {name: value for name, value in record.items() if name not in times} for record in tuner.oracle.lineage()
        ]

    resumed = told(searched(tmp_path / "interrupted"))
    assert resumed == told(searched(tmp_path / "whole")) and resumed[1]["considered"]


def test_a_limit_on_time_lays_out_the_budget(tmp_path):
    tuner = searched(tmp_path, budget_epochs=None, max_cpu_hours=7 / 3600)
    assert tuner.oracle.end_reason() == "its one step is done"
    last = tuner.oracle.search.outcomes[max(tuner.oracle.search.outcomes)].assignment
    assert last.phases[-1].end == 0.0
