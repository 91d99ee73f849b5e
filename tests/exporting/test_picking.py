"""`nash_tf.pick`: the best model of a run within limits."""

import json

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
def run(tmp_path_factory):
    return written(tmp_path_factory.mktemp("run"), {"front": MEMBERS})


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
