"""Trainings that end on what is not finite fail, with a reason that says what: an accuracy is finite even of outputs that are NaN."""

import math
import re

import keras
import numpy as np
import pytest

from nash_tf.tuning.tuner import SearchStopped
from tests.helpers.stand_in import begin, report
from tests.helpers.tuners import CLASSES, IMAGES, Still, classifier, tuner_of


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
