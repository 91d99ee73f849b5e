"""Smaller networks after a run: each made of the one before, taught by the largest, and exported."""

import math
from types import SimpleNamespace
from unittest.mock import MagicMock

import keras
import numpy as np
import pytest

from nash_tf import data
from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.config import ConfigError, SearchConfig
from nash_tf.data.augmentation import Augmentation
from nash_tf.data.pipeline import Pipeline
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.latency import Timed
from nash_tf.strategy.time_plan import After
from nash_tf.tasks import final_training, finished_search, front, handing_over
from nash_tf.tasks.latency import Latencies
from nash_tf.terminal.progress import Progress
from nash_tf.training import long_training
from nash_tf.tuning import kept_latencies


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", valid_fraction=0.2, train_limit=160, seed=0)


def compiled(precision="float32", widths=(6, 8)):
    keras.utils.set_random_seed(0)  # what shrinking takes follows from the weights
    model = to_keras(vanilla((8, 8, 1), 10, widths, precision))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    measured = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=measured, jit_compile=False)
    return model


@pytest.fixture(scope="module")
def largest():
    return compiled()


class Stream:
    """What is printed, and no terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return False


@pytest.fixture
def run_of(digits, tmp_path, monkeypatch):
    """Makes a run that is over but for its front."""
    monkeypatch.setattr(
        handing_over, "export", lambda model, directory, *_, **given: exported.append((directory, given))
    )
    monkeypatch.setattr("nash_tf.surgery.shrinking.STEP", 0.5)  # fewer steps
    exported = []

    def make(seconds_left=math.inf, **settings):
        config = SearchConfig(output_dir=str(tmp_path / "run"), **settings)
        limits = SimpleNamespace(seconds_left_in_all=lambda: seconds_left)
        cost = SimpleNamespace(seconds=lambda epochs, size: 0.0)
        plan = SimpleNamespace(limits=limits, after=After(export=10.0, member=10.0), cost=lambda: cost)
        pipeline = Pipeline(digits.mean, digits.std, 10, 32, Augmentation())
        tuner = SimpleNamespace(oracle=SimpleNamespace(save=lambda: None, search=SimpleNamespace(front=None)))
        run = finished_search.FinishedSearch(
            config, digits, pipeline, Progress(Stream()), tuner, plan, Latencies(config)
        )
        return run, exported

    return make


def test_each_is_made_of_the_one_before_and_taught_by_the_largest(run_of, largest, monkeypatch):
    lessons, taught = [], long_training.taught

    def spied(student, teacher, share, temperature):
        lessons.append((teacher, share))
        return taught(student, teacher, share, temperature)

    monkeypatch.setattr(long_training, "taught", spied)
    run, exported = run_of(front_sizes=(200, 400, 10_000), front_epochs=1, distillation=0.7)
    batches = MagicMock(wraps=run.pipeline.evaluation)
    monkeypatch.setattr(run.pipeline, "evaluation", batches)
    before = largest.get_weights()
    members = front.front(run, largest, images=None)
    sizes = [member["params"] for member in members]
    assert sizes == sorted(sizes) and sizes[0] <= 200 < sizes[1] <= 400 < sizes[2]
    assert [member.get("made_of") for member in members] == [sizes[1], sizes[2], None]
    assert [member["directory"] for member in members] == [f"front/{sizes[0]}", f"front/{sizes[1]}", "best"]
    assert [member.get("epochs") for member in members] == [1, 1, None]
    assert [directory.name for directory, _ in exported] == [str(sizes[1]), str(sizes[0])]
    assert any(member["on_front"] for member in members) and all(0 <= member["val_accuracy"] <= 1 for member in members)
    assert (
        not any(member["knows_validation"] for member in members) and "final training" not in run.progress.stream.text
    )
    assert all(teacher is largest and share == 0.7 for teacher, share in lessons) and len(lessons) == 2
    assert f"no network of 10,000 parameters, for the one before it has {sizes[2]:,}" in run.progress.stream.text
    given = {tuple(map(id, call.args)) for call in batches.call_args_list}
    assert len(given) == 3, "training examples, validation and test images: the pipeline keeps each"
    for one, two in zip(before, largest.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (run.config.directory / "front_training" / "200" / "training.json").is_file()


def test_scores_are_of_the_networks_that_are_handed_over(run_of, monkeypatch):
    scored = []

    def scores(run, model, tallied):
        scored.append({layer.compute_dtype for layer in model.layers})
        return {"test_accuracy": 0.5, "val_accuracy": 0.5}

    monkeypatch.setattr(front, "scores", scores)
    run, exported = run_of(front_sizes=(400,), front_epochs=0)
    front.front(run, compiled("mixed_bfloat16"), images=None)
    assert scored == [{"float32"}] * 2 and len(exported) == 1


def test_latencies_that_are_compared_are_of_networks_timed_together(run_of, largest, monkeypatch):
    busy = iter([9.0, 0.1])  # each on its own: the first one's at a bad moment, so that the smaller one looked better

    def together(models, runtime, threads, batches):
        trained = [sum(int(np.prod(each.shape)) for each in model.trainable_weights) for model in models]
        return [{batch: Timed(params / 1000, 1.0) for batch in batches} for params in trained]

    monkeypatch.setattr(kept_latencies, "latencies", lambda *given: dict.fromkeys(given[-1], next(busy)))
    monkeypatch.setattr(kept_latencies, "together", together)
    run, exported = run_of(front_sizes=(400,), front_epochs=0, objective_cost="latency_ms")
    handing_over.costs(run, Architecture.from_keras(largest))
    members = front.front(run, largest, images=None)
    assert [member["latency_ms"] for member in members] == [member["params"] / 1000 for member in members]
    assert front.latency_of_best(members) == {"latency_ms": 0.604, "latency_ms_32": 0.604}
    assert "Front: latencies are of the quickest tenth of calls" in run.progress.stream.text
    assert not any("latency_ms" in given["facts"] for _, given in exported), "a card tells none that is measured anew"


def test_what_cannot_be_is_said(run_of, largest):
    run, exported = run_of(front_sizes=(400, 20), front_epochs=0)
    members = front.front(run, largest, images=None, knows_validation=True)
    assert len(members) == 2 and members[0]["epochs"] == 0 and len(exported) == 1
    assert "Front: no network of 20 parameters: " in run.progress.stream.text
    assert "--class_weight" not in run.progress.stream.text
    assert all(member["knows_validation"] for member in members)
    assert "Front: the final training had the validation images too, so validation scores" in run.progress.stream.text


@pytest.mark.parametrize("asked, formats", [(("litert",), ["litert"]), (None, ["saved_model", "keras"])])
def test_its_card_is_told_what_that_of_the_largest_is_and_its_formats_are_those_that_are_asked_for(
    asked, formats, run_of, largest
):
    run, exported = run_of(front_sizes=(400,), front_epochs=0, class_weight="balanced", export=asked)
    small, _ = front.front(run, largest, images=None, knows_validation=True)
    ((_, given),) = exported
    assert given["formats"] == formats and given["facts"]["--class_weight"] == "balanced"
    assert given["test"]["model"]["accuracy"] == small["test_accuracy"] and given["test"]["model"]["by_class"]
    assert given["test"]["notes"][-1].startswith("The final training had the validation images too")


def test_without_time_there_is_none(run_of, largest):
    run, exported = run_of(seconds_left=19.0, front_sizes=(400,), max_hours=1.0)
    assert [member["directory"] for member in front.front(run, largest, images=None)] == ["best"] and not exported
    assert "Front: no time was left for 400 parameters before max_hours=1.0" in run.progress.stream.text


def test_none_takes_the_time_of_the_exports_that_follow(run_of):
    run, exported = run_of(seconds_left=8.0, method="front", export=("keras", "onnx"), max_hours=1.0)
    finished = {(1, 0, 0): compiled(), (2, 0, 0): compiled(widths=(4, 8))}
    run.tuner.oracle.book = SimpleNamespace(by_training=lambda: finished)
    run.tuner.load_model = lambda model: model
    front.front(run, compiled(widths=(6, 9)), None, list(finished))
    assert [given["formats"] for _, given in exported] == [["keras"], ["keras", "onnx"]]


@pytest.mark.parametrize("objective", ["loss", "accuracy"])
def test_one_that_is_not_finite_is_not_handed_over_and_none_is_made_of_it(objective, run_of, largest, monkeypatch):
    def scores(run, model, tallied):
        is_small = model.count_params() < largest.count_params()
        return {"test_accuracy": 0.5, "val_accuracy": 0.5, "val_loss": math.nan if is_small else 1.0}

    monkeypatch.setattr(front, "scores", scores)
    run, exported = run_of(front_sizes=(300, 200), front_epochs=0, objective=objective)
    (only,) = front.front(run, largest, None)
    assert only["val_loss"] == 1.0 and not exported
    assert run.progress.stream.text.count("not handed over, for it is not finite: val_loss=nan.") == 1


def test_one_over_a_limit_is_not_trained_and_the_next_is_made_of_the_one_before(run_of, largest, monkeypatch):
    trained = []
    monkeypatch.setattr(handing_over, "flops", lambda made: 20 if 300 < made.params <= 400 else 1)
    monkeypatch.setattr(front, "_trained", lambda run, small, *_: trained.append(small) or (small, {"epochs": 1}))
    run, _ = run_of(front_sizes=(400, 300), front_epochs=1, max_flops=10)
    made, first = front.front(run, largest, images=None)
    assert len(trained) == 1 and made["params"] <= 300 and made["made_of"] == first["params"]
    words = "no network of 400 parameters: made of 604, it has flops=20, more than --max_flops=10."
    assert first["params"] == 604 and words in run.progress.stream.text


def test_one_that_time_left_untrained_is_not_kept(run_of, largest, monkeypatch):
    monkeypatch.setattr(front, "_trained", lambda run, small, *_: (small, {"epochs": 0, "ended": front.CUT}))
    run, exported = run_of(front_sizes=(400,))
    assert [member["directory"] for member in front.front(run, largest, images=None)] == ["best"] and not exported
    assert "Front: no time was left for 400 parameters" in run.progress.stream.text


@pytest.mark.parametrize("distillation, jobs", [(0.7, 2), (0.0, 1)])
def test_one_taught_by_another_teacher_is_another_training(distillation, jobs, run_of, largest, monkeypatch):
    seen = []

    def train(job, make, *_):
        seen.append(job.identity)
        return make(), SimpleNamespace(epoch=1, ended=None, cpu_seconds=0.0)

    monkeypatch.setattr(long_training, "train", train)
    run, _ = run_of(distillation=distillation, front_epochs=1)
    run.progress.then = lambda after: None
    other = final_training.copied(largest)
    other.set_weights([weight + 1 for weight in largest.get_weights()])
    for teacher in (largest, largest, other):
        front._trained(run, largest, teacher, 500, 0.0)
    assert seen[0] == seen[1] and len({str(identity) for identity in seen}) == jobs


def test_that_shrinking_does_not_weigh_classes_is_said(run_of, largest):
    run, _ = run_of(front_sizes=(500, 400), front_epochs=0, class_weight="balanced")
    front.front(run, largest, images=None)
    assert run.progress.stream.text.count("chosen by the loss without the weights of --class_weight=balanced") == 1


def test_it_is_made_only_where_sizes_are_asked_for(run_of, largest):
    run, _ = run_of()
    assert front.front(run, largest, images=None) == [] and run.config.front_sizes == ()
    with pytest.raises(ConfigError, match="--front_sizes=0: must be none, or at most 16 numbers of parameters"):
        SearchConfig(front_sizes=(0,))
