"""The method front in Keras Tuner: a metric and costs as objectives, and the networks of the front."""

import keras
import keras_tuner
import pytest

import nash_tf
from nash_tf.tuning import results_table
from tests.helpers.tuners import CLASSES, IMAGES, Still, classifier, tuner_of

FRONT = {"method": "front", "budget_epochs": 30, "vanilla_epochs": 1}


def searched(tmp_path, objective, sizes=(150, 260, 420), **returned):
    """A search whose networks score as is given, by their parameters."""

    def returns(values):
        params = nash_tf.Architecture.from_json(values["architecture"]).params if "architecture" in values else 0
        return {"val_accuracy": 0.5 if params > 300 else 0.6, "val_loss": params / 1000, "loss": 1.0}

    tuner = tuner_of(Still(classifier, returns), tmp_path, objective, front_sizes=sizes, **FRONT)
    tuner.search(IMAGES, CLASSES)
    return tuner


@pytest.fixture(scope="module")
def tuner(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("front"), ["val_accuracy", keras_tuner.Objective("params", "min")])


def test_the_front_is_over_the_metric_and_the_cost(tuner):
    finished = tuner.oracle.search.finished_networks
    assert len(finished) == 3 and tuner.oracle.objective == keras_tuner.Objective("val_accuracy", "max")
    networks = tuner.get_front()
    (best,) = networks  # the smallest is as good as the others
    smallest = nash_tf.Architecture.from_keras(best.model)
    assert smallest == tuner.oracle.search.outcomes[finished[-1]].architecture and smallest.params <= 150
    assert best.value == pytest.approx(0.6) and best.costs == {"params": smallest.params, "operations": smallest.flops}
    tuner.oracle.costs = ("latency_ms",)
    timed = [network.costs for network in tuner.get_front()]
    assert all(0 < costs["latency_ms"] < 1000 for costs in timed)
    assert [network.costs for network in tuner.get_front()] == timed  # and not what another measurement gives


@pytest.mark.parametrize("cost", ["operations", "latency_ms"])
def test_a_cost_that_no_network_could_have_is_refused_before_the_search(cost, tmp_path):
    def build(hp):
        words = keras.Input((None, 3))
        features = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(4, 3, padding="same")(words))
        model = keras.Model(words, keras.layers.Dense(3, "softmax")(features))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    words = rf"objective '{cost}': .* open size, \(None, 3\).*; give the hypermodel's inputs fixed sizes, or objective="
    with pytest.raises(ValueError, match=words):
        tuner_of(build, tmp_path, ["val_accuracy", cost], **FRONT)
    tuner_of(build, tmp_path, ["val_accuracy", "params"], **FRONT)


def test_each_finished_network_is_kept(tuner):
    search, trials = tuner.oracle.search, tuner.oracle.book.by_training()
    for key in search.finished_networks:
        params = nash_tf.Architecture.from_keras(tuner.load_model(trials[key])).params
        assert params == search.outcomes[key].architecture.params
    assert results_table.not_done(tuner.oracle) == []


@pytest.mark.parametrize(
    ("objective", "method", "words"),
    [
        (
            ["val_accuracy", "params"],
            "grow",
            "objective must be one, received 2: method 'grow' compares networks by one",
        ),
        (["val_accuracy", "val_loss"], "front", "a metric and then costs of params, operations, latency_ms"),
        (["params", "val_accuracy"], "front", "a metric and then costs"),
        (["params", "operations"], "front", "a metric and then costs"),
        (["val_accuracy"], "front", "a metric and then costs"),
        (["val_accuracy", keras_tuner.Objective("params", "max")], "front", "each to be least"),
    ],
)
def test_other_lists_are_refused(objective, method, words):
    with pytest.raises(ValueError, match=words):
        nash_tf.HillClimbingOracle(objective, method=method)


def test_other_methods_have_no_front(tmp_path):
    with pytest.raises(ValueError, match="method 'shr' finds one network, no front; give method='front'"):
        tuner_of(classifier, tmp_path).get_front()
    with pytest.raises(ValueError, match="front_sizes are for method front, received"):
        tuner_of(classifier, tmp_path, front_sizes=(100,))
