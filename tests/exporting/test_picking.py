"""`nash_tf.pick`: the best model of a run within limits."""

import json
import warnings

import keras
import pytest

import nash_tf

MEMBERS = [
    {"directory": "front/3", "params": 3, "flops": 6, "latency_ms": 0.5, "val_accuracy": 0.5, "test_accuracy": 0.9},
    {"directory": "front/5", "params": 5, "flops": 8, "latency_ms": 0.4, "val_accuracy": 0.4, "test_accuracy": 0.9},
    {"directory": "best", "params": 9, "flops": 20, "latency_ms": 1.5, "val_accuracy": 0.8, "test_accuracy": 0.9},
]


def written(directory, results):
    for number, name in enumerate(("front/3", "front/5", "best"), start=1):
        (directory / name).mkdir(parents=True)
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(number)]).save(directory / name / "model.keras")
    (directory / "results.json").write_text(json.dumps(results))
    return directory


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return written(tmp_path_factory.mktemp("run"), {})


@pytest.fixture
def run(models):
    (models / "results.json").write_text(json.dumps({"front": MEMBERS}))
    return models


@pytest.mark.parametrize(
    ("limits", "units"),
    [
        ({}, 3),
        ({"max_params": 8}, 1),
        ({"max_flops": 10}, 1),
        ({"max_latency_ms": 0.4}, 2),
        ({"max_latency_ms": 1}, 1),
        ({"max_params": 9}, 3),
        ({"max_params": 3}, 1),
    ],
)
def test_the_best_within_limits(run, limits, units):
    assert nash_tf.pick(run, **limits).output_shape == (None, units)


@pytest.mark.parametrize(
    ("objective", "values", "units"),
    [
        ("val_balanced_accuracy", {"val_balanced_accuracy": (0.2, 0.6, 0.5)}, 2),
        ("val_loss", {"val_loss": (0.9, 0.7, 0.2)}, 3),
        ("val_loss", {"val_loss": (0.1, 0.7, 0.2)}, 1),
        ("val_loss", {"val_loss": (0.1, None, 0.2)}, 3),  # not known of all
        (None, {"val_accuracy": (0.0, 0.1, 0.05), "test_accuracy": (0.9, 0.1, 0.1)}, 2),
        (None, {"val_accuracy": (None,) * 3, "test_accuracy": (0.9, 0.1, 0.1)}, 1),
    ],
)
def test_the_best_is_so_by_the_objective_of_the_run(run, objective, values, units):
    columns = {name: iter(of_each) for name, of_each in values.items()}
    members = [{**member, **{name: next(column) for name, column in columns.items()}} for member in MEMBERS]
    (run / "results.json").write_text(json.dumps({"objective": objective, "front": members}))
    assert nash_tf.pick(run).output_shape == (None, units)


def test_that_models_were_compared_on_images_that_they_had_in_training_is_said(run):
    members = [{**member, "knows_validation": member["directory"] == "best"} for member in MEMBERS]
    (run / "results.json").write_text(json.dumps({"front": members}))
    with pytest.warns(
        UserWarning, match="best is the best by validation accuracy, and best had those images in training"
    ):
        nash_tf.pick(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        nash_tf.pick(run, max_params=5)  # best is not among those compared


def test_a_run_without_a_front_has_one_model(tmp_path):
    directory = written(tmp_path / "run", {"params": 9, "test_accuracy": 0.5, "front": []})
    assert nash_tf.pick(directory).output_shape == (None, 3)
    with pytest.raises(ValueError, match="no model is within max_params=8; the smallest has 9 parameters"):
        nash_tf.pick(directory, max_params=8)
    with pytest.raises(
        ValueError, match="max_latency_ms=5, but the run tells no latency_ms of its models; run it with --obj"
    ):
        nash_tf.pick(directory, max_latency_ms=5)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (None, "holds no finished run, for it has no results.json"),
        ("[]", "results.json: is not what a run writes"),
        ("{}", "results.json: is not what a run writes: 'params'"),
        (json.dumps({"params": 3}), "results.json: is not what a run writes: it does not tell how good its models are"),
        (json.dumps({"front": [{**MEMBERS[0], "directory": "../front/3"}]}), "a model lies elsewhere"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, results, message):
    if results is not None:
        (tmp_path / "results.json").write_text(results)
    with pytest.raises(ValueError, match=message):
        nash_tf.pick(tmp_path)


def test_a_limit_is_a_number(run):
    with pytest.raises(ValueError, match="max_params must be a number above 0, received '10k'"):
        nash_tf.pick(run, max_params="10k")


@pytest.mark.parametrize("given", [None, 3, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="net")])
def test_a_run_is_a_directory(given):
    received = "'net' of class Sequential" if isinstance(given, keras.Model) else str(given)
    with pytest.raises(ValueError, match=f"run must be the directory of a run, received {received}$"):
        nash_tf.pick(given)
