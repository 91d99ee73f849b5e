"""Trainings that end on what is not finite fail, with a reason that says what: an accuracy is finite even of outputs that are NaN."""

import math
import re

import keras
import keras_tuner
import numpy as np
import pytest

from nash_tf.surgery.certificate import NotPreserved
from nash_tf.tuning.trial_book import SearchStopped
from tests.helpers.stand_in import begin, report
from tests.helpers.tuners import CLASSES, IMAGES, Still, classifier, in_two_parts, tuner_of


class Hurts(Still):
    """Does not train; of the second child the weights become NaN."""

    def fit(self, hp, model, *args, **kwargs):
        if hp.values["child"] == 1:
            model.layers[-1].bias.assign([math.nan] * 3)
        return super().fit(hp, model, *args, **kwargs)


def second(**told):
    return lambda values: {"val_accuracy": 0.5, "loss": 1.0, **(told if values["child"] == 1 else {})}


@pytest.mark.parametrize(
    ("hypermodel", "reason"),
    [
        (Still(returns=second(val_loss=math.nan, val_accuracy=0.9)), "not finite after the training: val_loss=nan"),
        (Still(returns=second(loss=math.inf, val_accuracy=0.9)), "not finite after the training: loss=inf"),
        (Hurts(returns=second(val_accuracy=0.9)), r"weights are not finite after the training: \S+/bias"),
    ],
    ids=["validation loss", "loss", "weights"],
)
def test_a_child_that_is_not_finite_has_failed_whatever_its_accuracy(hypermodel, reason, tmp_path):
    tuner = tuner_of(hypermodel, tmp_path)
    tuner.search(IMAGES, CLASSES, verbose=0)
    failed = [outcome for outcome in tuner.oracle.search.outcomes.values() if outcome.status == "failed"]
    assert [outcome.key for outcome in failed] == [(1, 0, 1)]
    assert re.search(reason, failed[0].message)


def test_other_metrics_may_be_undefined(tmp_path):
    tuner = tuner_of(Still(returns=second(val_recall=math.nan)), tmp_path)
    tuner.search(IMAGES, CLASSES, verbose=0)
    assert {record["status"] for record in tuner.oracle.lineage()} == {"completed"}


def test_a_first_network_that_diverges_ends_the_search(tmp_path):
    def build(hp):
        model = classifier(hp)
        model.compile(keras.optimizers.SGD(1e9, momentum=0.99), model.loss, metrics=["accuracy"])
        return model

    tuner = tuner_of(build, tmp_path, method="nash")
    with pytest.raises(SearchStopped, match="not finite"), np.errstate(all="ignore"):
        tuner.search(IMAGES, CLASSES, validation_split=0.25, batch_size=12, verbose=0)


@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_a_report_with_a_loss_that_is_not_finite_is_of_a_failure(name, tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    report(oracle, oracle.create_trial("tuner0"), taken={name: math.nan})
    assert [outcome.message for outcome in oracle.search.outcomes.values()] == [
        None,
        f"not a finite number: {name}=nan",
    ]


def test_the_record_of_a_failure_says_why_and_what_it_took(tmp_path):
    class Fails(Still):
        """Of its children the second fails in the first of its two epochs, as `fit` has it."""

        def fit(self, hp, model, x, y, **kwargs):
            if hp.values["child"] == 1:
                model.layers[-1].bias.assign([math.nan] * 3)
                return model.fit(x, y, **kwargs)
            return super().fit(hp, model)

    tuner = tuner_of(Fails(), tmp_path, epochs_per_step=8)
    tuner.search(IMAGES, CLASSES, verbose=0)
    first, _, failed, longer = tuner.oracle.lineage()
    assert failed["status"] == "failed" and longer["epochs"] > failed["epochs"] == 1 and "message" not in first
    assert failed["message"].startswith("not finite after the training: loss=nan")
    assert 0 < failed["wall_seconds"] < 60 and 0 < failed["cpu_seconds"] < 600
    assert tuner_of(Fails(), tmp_path, epochs_per_step=8).oracle.lineage() == tuner.oracle.lineage()


def test_a_child_that_fails_at_its_birth_has_trained_no_epoch(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise NotPreserved("the outputs changed by nan")

    monkeypatch.setattr("nash_tf.training.child_models.certificate.certify", refuse)
    tuner = tuner_of(Still(), tmp_path, max_consecutive_failed_trials=9)
    tuner.search(IMAGES, CLASSES, verbose=0)
    first, *children = tuner.oracle.lineage()
    assert first["epochs"] == 1 and [child["epochs"] for child in children] == [0, 0]
    assert all(child["message"].endswith("the outputs changed by nan") for child in children)


class DivergesAtTheEnd(keras_tuner.HyperModel):
    """Of the last part of the one training the weights become NaN."""

    build = staticmethod(classifier)

    def fit(self, hp, model, *args, **kwargs):
        if (hp.values["step"], hp.values["rung"]) == (1, 1):
            model.layers[-1].bias.assign([math.nan] * 3)
        return model.fit(*args, **kwargs)


def test_where_the_last_part_of_a_training_diverges_the_part_before_is_handed_over_once_and_for_all(
    tmp_path, monkeypatch
):
    in_two_parts(monkeypatch)
    given = {"method": "fixed", "budget_epochs": 8}
    tuner, began = tuner_of(DivergesAtTheEnd(), tmp_path, **given), []
    with pytest.warns(UserWarning, match="no longer finite"):
        tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), verbose=0)
    *_, before, failed = tuner.oracle.lineage()
    assert failed["status"] == "failed" and failed["diverged"] and "not finite" in failed["message"]
    assert tuner.oracle.search.best == (before["step"], before["rung"], before["child"])
    (model,) = tuner.get_best_models()
    assert np.isfinite(model.predict(IMAGES, verbose=0)).all()
    again = tuner_of(DivergesAtTheEnd(), tmp_path, **given)
    again.run_trial = lambda *_, **__: began.append(1)
    with pytest.warns(UserWarning, match="no longer finite"):
        again.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), verbose=0)
    assert not began and again.oracle.lineage() == tuner.oracle.lineage()
