"""The tuner and the oracle as users of Keras Tuner take them, each example whole; small, so that they run in seconds."""

import contextlib
import json
import math

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import nash_tf
import nash_tf.oracle
from nash_tf import checkpoint
from nash_tf.lock import Locked, locked

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(48, 8, 8, 3)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 48)
SMALL = {
    "method": "shr",
    "steps": 1,
    "children": 2,
    "mutations": 2,
    "epochs_per_step": 4,
    "vanilla_epochs": 1,
    "seed": 0,
}


def network(*heads):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layers.Conv2D(4, 3, padding="same")(x)))
    return image, x


def classifier(hp):
    image, x = network()
    model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log", default=0.02)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tuner_of(build, tmp_path, objective="val_accuracy", **changed):
    return nash_tf.HillClimbing(build, objective, directory=str(tmp_path), project_name="p", **{**SMALL, **changed})


def records(tuner):
    found = tuner.oracle.lineage()
    assert [record["status"] for record in found] == ["completed"] * 4, [
        t.message for t in tuner.oracle.trials.values()
    ]
    assert all(r["certificate"]["max_difference"] <= r["certificate"]["bound"] for r in found if r["certificate"])
    return found


def test_in_place_of_hyperband(tmp_path, capsys):
    tuner = tuner_of(classifier, tmp_path)
    tuner.search_space_summary()
    tuner.search(IMAGES, CLASSES, validation_split=0.25, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, verbose=0)
    assert len(records(tuner)) == 4
    (model,) = tuner.get_best_models()
    assert model.predict(IMAGES[:5], verbose=0).shape == (5, 3) and model.optimizer is not None
    hp = tuner.get_best_hyperparameters()[0]
    assert hp.get("rate") == pytest.approx(0.02)
    untrained = tuner.hypermodel.build(hp)
    assert untrained.count_params() == model.count_params()
    capsys.readouterr()
    tuner.results_summary()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6 and max(map(len, printed)) < 150


def test_layers_without_names_do_not_depend_on_what_the_process_made_before(tmp_path):
    lineages = []
    for name in "ab":
        tuner = tuner_of(classifier, tmp_path / name)
        tuner.search(IMAGES, CLASSES, validation_split=0.25)
        lineages.append([(record["digest"], record["val_accuracy"]) for record in records(tuner)])
        classifier(keras_tuner.HyperParameters())
    assert lineages[0] == lineages[1]


class Counted(keras.callbacks.Callback):
    """A user's callback; Keras Tuner copies it for each training."""

    seen: list = []

    def on_epoch_end(self, epoch, logs=None):
        Counted.seen.append(epoch)


@pytest.mark.parametrize("kind", ["dataset", "generator", "dictionary"])
def test_data_of_every_sort(kind, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).batch(16)

    def endless():
        while True:
            yield from ((np.asarray(x), np.asarray(y)) for x, y in batches)

    Counted.seen = []
    tuner = tuner_of(classifier, tmp_path)
    common = {"validation_data": (IMAGES, CLASSES), "callbacks": [Counted()]}
    if kind == "dataset":
        tuner.search(batches, **common)
    elif kind == "generator":
        tuner.search(endless(), steps_per_epoch=3, **common)
    else:
        tuner.search({"image": IMAGES}, CLASSES, batch_size=16, **common)
    assert len(records(tuner)) == 4
    assert Counted.seen == [0, 0, 0, 1, 2]


def test_data_of_unknown_length_is_refused_at_once(tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    with pytest.raises(Exception, match="steps_per_epoch"):
        tuner.search(((IMAGES[:8], CLASSES[:8]) for _ in range(3)), validation_data=(IMAGES, CLASSES))
    assert len(tuner.oracle.trials) == 1


def test_a_regression_whose_objective_is_to_be_small(tmp_path):
    def build(hp):
        image, x = network()
        model = keras.Model(image, layers.Dense(1)(layers.GlobalAveragePooling2D()(x)))
        model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
        return model

    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_mae", "min"))
    tuner.search(IMAGES, IMAGES.mean((1, 2, 3)), validation_split=0.25)
    found = records(tuner)
    finished = [record["val_mae"] for record in found if record["step"] == 1 and record["rung"] == 1]
    assert min(record["val_mae"] for record in found) <= finished[0]
    survivor = min((r for r in found if r["step"] == 1 and not r["rung"]), key=lambda r: (r["val_mae"], r["child"]))
    assert [r["child"] for r in found if r["rung"] == 1] == [survivor["child"]]


def test_two_outputs(tmp_path):
    def build(hp):
        image, x = network()
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(image, {"kind": layers.Dense(3, name="kind")(x), "size": layers.Dense(1, name="size")(x)})
        losses = {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"}
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), losses, loss_weights={"kind": 1.0, "size": 0.5})
        return model

    targets = {"kind": CLASSES, "size": IMAGES.mean((1, 2, 3))}
    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_loss", "min"))
    tuner.search(IMAGES, targets, validation_data=(IMAGES, targets))
    assert len(records(tuner)) == 4
    assert set(tuner.get_best_models()[0].predict(IMAGES[:2], verbose=0)) == {"kind", "size"}


def test_a_small_u_net(tmp_path):
    def build(hp):
        def block(x, width):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

        image = keras.Input((8, 8, 3))
        fine = block(image, 4)
        coarse = block(layers.MaxPooling2D()(fine), 8)
        x = layers.Concatenate()([layers.UpSampling2D()(coarse), fine])
        model = keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(block(x, 4)))
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "binary_crossentropy", metrics=["binary_accuracy"])
        return model

    masks = (IMAGES[..., :1] > 0).astype(np.float32)
    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_binary_accuracy", "max"), steps=1, mutations=3)
    tuner.search(IMAGES, masks, validation_data=(IMAGES, masks))
    assert len(records(tuner)) == 4
    assert tuner.get_best_models()[0].predict(IMAGES[:2], verbose=0).shape == (2, 8, 8, 1)


class OwnFit(keras_tuner.HyperModel):
    """Adds noise of a searched strength to the images, and returns a dictionary."""

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, x, y, **kwargs):
        noise = hp.Float("noise", 0.0, 0.2, default=0.1)
        noisy = x + np.random.default_rng(0).normal(0, noise, x.shape)
        told = model.fit(noisy, y, validation_data=(x, y), **kwargs)
        return {"val_accuracy": told.history["val_accuracy"][-1], "loss": told.history["loss"][-1]}


def test_a_hypermodel_with_a_fit_of_its_own_and_hyperparameters_beside_the_architecture(tmp_path):
    tuner = tuner_of(OwnFit(), tmp_path, tune_hyperparameters=True, children=4, epochs_per_step=12)
    tuner.search(IMAGES, CLASSES)
    values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert all(trial.status == "COMPLETED" for trial in tuner.oracle.trials.values())
    assert len({round(each["rate"], 9) for each in values if each["step"] == 1 and not each["rung"]}) == 4


class Foreign(keras_tuner.Tuner):
    """A user's own tuner: all that it needs of a trial is in its values."""

    def run_trial(self, trial, x, y):
        values = trial.hyperparameters.values
        if "tuner/trial_id" not in values:  # the first network
            model = self.hypermodel.build(trial.hyperparameters)
        else:
            parent = keras.saving.load_model(self.path(values["tuner/trial_id"]))
            model = nash_tf.morph(parent, edits=values["morphisms"], calibration=x).model
        epochs = {"initial_epoch": values["tuner/initial_epoch"], "epochs": values["tuner/epochs"]}
        told = model.fit(x, y, validation_data=(x, y), verbose=0, **epochs)
        model.save(self.path(trial.trial_id))
        values["architecture"] = nash_tf.Architecture.from_keras(model).to_json()
        return {"val_accuracy": told.history["val_accuracy"][-1]}

    def path(self, trial_id):
        return f"{self.get_trial_dir(trial_id)}/model.keras"


def test_the_oracle_in_a_tuner_of_another_make(tmp_path):
    oracle = nash_tf.HillClimbingOracle("val_accuracy", **SMALL)
    tuner = Foreign(oracle, classifier, directory=str(tmp_path), project_name="p")
    tuner.search(IMAGES, CLASSES)
    trials = tuner.oracle.trials.values()
    assert [trial.status for trial in trials] == ["COMPLETED"] * 4, [trial.message for trial in trials]
    assert oracle.lineage()[-1]["epochs"] == 2


def test_a_schedule_of_the_user_is_kept(tmp_path):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)

    def build(hp):
        model = classifier(hp)
        model.compile(keras.optimizers.SGD(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    tuner = tuner_of(build, tmp_path)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    assert len(records(tuner)) == 4
    assert float(tuner.get_best_models()[0].optimizer.learning_rate) <= 0.01


def test_epochs_given_to_search_are_not_used(tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    with pytest.warns(UserWarning, match="epochs=50.* is not used"):
        tuner.search(IMAGES, CLASSES, epochs=50, validation_split=0.25)
    assert sum(record["epochs"] for record in records(tuner)) == 5


class OwnObjective(OwnFit):
    def fit(self, hp, model, x, y, **kwargs):
        return {"val_f1": super().fit(hp, model, x, y, **kwargs)["val_accuracy"]}


@pytest.mark.parametrize("kind", ["endless", "list", "weighted"])
def test_a_newborn_is_evaluated_as_fit_would(kind, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).batch(16)
    weights = np.linspace(0.0, 1.0, 48)
    given = {
        "endless": {"validation_data": batches.repeat(), "validation_steps": 2},
        "list": {"validation_data": [IMAGES, CLASSES]},
        "weighted": {"validation_data": (IMAGES, CLASSES, weights)},
    }[kind]
    tuner = tuner_of(classifier, tmp_path, keras_tuner.Objective("val_loss", "min"))
    tuner.search(IMAGES, CLASSES, **given)
    newborn = [record["certificate"] for record in records(tuner) if record["certificate"]]
    assert [certificate["val_loss_change"] for certificate in newborn] == pytest.approx([0.0] * 2, abs=1e-5)


def test_an_objective_that_only_the_hypermodel_knows(tmp_path):
    tuner = tuner_of(OwnObjective(), tmp_path, keras_tuner.Objective("val_f1", "max"))
    tuner.search(IMAGES, CLASSES)
    assert not any("val_f1_change" in (record["certificate"] or {}) for record in records(tuner))


def test_an_objective_near_zero_still_tells_children_apart(tmp_path):
    class Near(OwnFit):
        def fit(self, hp, *args, **kwargs):
            super().fit(hp, *args, **kwargs)
            return {"loss": 1.0, "error": 3e-8 - 1e-8 * hp.values["child"]}

    tuner = tuner_of(Near(), tmp_path, keras_tuner.Objective("error", "min"))
    tuner.search(IMAGES, CLASSES)
    assert [(r["child"], r["error"]) for r in records(tuner)] == [(0, 3e-8), (0, 3e-8), (1, 2e-8), (1, 2e-8)]


def test_a_metric_that_is_no_single_number_is_left_out(tmp_path):
    def build(hp):
        model = classifier(hp)
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", keras.metrics.F1Score()])
        return model

    tuner = tuner_of(build, tmp_path)
    tuner.search(IMAGES, np.eye(3, dtype=np.float32)[CLASSES], validation_split=0.25)
    assert {"val_accuracy", "val_f1_score"} & records(tuner)[0].keys() == {"val_accuracy"}


def dropping(hp):
    image, x = network()
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(3, "softmax")(x))
    model.compile(keras.optimizers.SGD(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_dropout_does_not_depend_on_who_trained_the_rung_before(tmp_path, monkeypatch):
    found = []
    for name in ("kept", "loaded"):
        tuner = tuner_of(dropping, tmp_path / name)
        tuner.search(IMAGES, CLASSES, validation_split=0.25)
        found.append([record["history"] for record in records(tuner)])
        monkeypatch.setattr(nash_tf.children.Children, "_take", lambda *_: (None, None))
    assert found[0] == found[1]


def test_a_training_that_comes_to_nothing_leaves_no_weights_behind(tmp_path):
    class Interrupted(OwnFit):
        def fit(self, hp, *args, **kwargs):
            told = super().fit(hp, *args, **kwargs)
            if (hp.values["step"], hp.values["child"]) == (1, 1):
                raise keras_tuner.errors.FailedTrialError("lost")
            return told

    tuner = tuner_of(Interrupted(), tmp_path)
    tuner.search(IMAGES, CLASSES)
    assert tuner._children._trained.keys() == {(1, 0)}


def test_a_first_network_that_fails_ends_the_search_with_its_cause_and_is_run_again(tmp_path):
    class Sick(OwnFit):
        def fit(self, hp, model, x, y, **kwargs):
            told = super().fit(hp, model, x, y, **kwargs)
            return {**told, "loss": math.nan} if sick else told

    for sick in (True, False):
        expected = pytest.raises(nash_tf.oracle.SearchStopped, match="first network failed with .*not finite")
        with expected if sick else contextlib.nullcontext():
            tuner = tuner_of(Sick(), tmp_path, steps=0)
            tuner.search(IMAGES, CLASSES)
    assert [record["status"] for record in tuner.oracle.lineage()] == ["completed"]


def test_a_limit_that_ends_before_the_first_network_is_told(tmp_path):
    with pytest.raises(nash_tf.oracle.SearchStopped, match="limit on time"):
        tuner_of(classifier, tmp_path, max_hours=1e-9).search(IMAGES, CLASSES, validation_split=0.25)


@pytest.mark.parametrize("at", ["first", "last"])
def test_a_loss_that_is_not_a_number_fails_the_child_only(at, tmp_path):
    class Sick(keras_tuner.HyperModel):
        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, x, y, *, callbacks, **kwargs):
            def poison(epoch, logs):
                if (
                    hp.values["step"] == 1
                    and hp.values["child"] == 1
                    and (at == "first" or epoch + 1 == kwargs["epochs"])
                ):
                    model.layers[-1].bias.assign([math.nan] * 3)

            extra = keras.callbacks.LambdaCallback(on_epoch_begin=poison)
            return model.fit(x, y, validation_data=(x, y), callbacks=[*callbacks, extra], **kwargs)

    tuner = tuner_of(Sick(), tmp_path)
    tuner.search(IMAGES, CLASSES)
    status = {tuple(r[k] for k in ("step", "rung", "child")): r["status"] for r in tuner.oracle.lineage()}
    assert status == {(0, 0, 0): "completed", (1, 0, 0): "completed", (1, 0, 1): "failed", (1, 1, 0): "completed"}
    assert all(np.isfinite(weight).all() for weight in tuner.get_best_models()[0].get_weights())


class Hungry(OwnFit):
    """Its second child asks for more memory than any machine has."""

    def fit(self, hp, model, *args, **kwargs):
        if hp.values["child"] == 1:
            tf.zeros([2**44])
        return super().fit(hp, model, *args, **kwargs)


def test_a_child_too_large_for_memory_fails_alone(tmp_path):
    tuner = tuner_of(Hungry(), tmp_path)
    tuner.search(IMAGES, CLASSES)
    told = {(r["step"], r["rung"], r["child"]): r["status"] for r in tuner.oracle.lineage()}
    assert told == {
        place: "failed" if place[2] else "completed" for place in [(0, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 0)]
    }
    (failed,) = [trial for trial in tuner.oracle.trials.values() if trial.status == "FAILED"]
    assert "OOM when allocating tensor" in failed.message


def test_what_cannot_be_searched_is_refused_before_any_training(tmp_path):
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    def uncompiled(hp):
        image, x = network()
        return keras.Model(image, x)

    def subclassed(hp):
        model = Subclassed()
        model.compile("sgd", "mse")
        return model

    with pytest.raises(ValueError, match="not compiled"):
        tuner_of(uncompiled, tmp_path / "a")
    with pytest.raises(ValueError, match="functional"):
        tuner_of(subclassed, tmp_path / "b")
    with pytest.raises(ValueError, match="executions_per_trial must be 1"):
        tuner_of(classifier, tmp_path / "c", executions_per_trial=2)
    with pytest.raises(ValueError, match="give max_params"):
        tuner_of(classifier, tmp_path / "c", max_model_size=1000)

    def takes_our_names(hp):
        hp.Choice("seed", [1, 2]), hp.Int("step", 0, 3)
        return classifier(hp)

    with pytest.raises(ValueError, match="other names than seed, step"):
        tuner_of(takes_our_names, tmp_path / "d")


def test_a_directory_of_another_tuner_is_refused_and_left_as_it_is(tmp_path):
    common = {"directory": str(tmp_path), "project_name": "p"}
    other = keras_tuner.RandomSearch(classifier, "val_accuracy", max_trials=1, **common)
    other.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), verbose=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(ValueError, match="holds the search of another tuner"):
        tuner_of(classifier, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_a_search_at_work_is_not_overwritten(tmp_path):
    with locked(tmp_path / "p"), pytest.raises(Locked, match="is at work there"):
        tuner_of(classifier, tmp_path, overwrite=True)


@pytest.mark.parametrize(
    ("given", "named"), [([IMAGES, CLASSES], {}), ([IMAGES], {"y": CLASSES}), ([], {"x": IMAGES, "y": CLASSES})]
)
def test_labels_for_the_certificate_are_found_however_they_are_given(given, named, tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    tuner.search(*given, **named, validation_data=(IMAGES, CLASSES))
    assert "loss_change" in next(record["certificate"] for record in records(tuner) if record["certificate"])


def test_inputs_without_labels(tmp_path):
    class Copying(keras_tuner.HyperModel):
        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, x, **kwargs):
            return model.fit(x, CLASSES, validation_data=(x, CLASSES), **kwargs)

    tuner = tuner_of(Copying(), tmp_path)
    tuner.search(IMAGES)
    assert all(r["certificate"].keys().isdisjoint({"loss_change"}) for r in records(tuner) if r["certificate"])


def test_without_inputs_to_calibrate_with_a_search_asks_for_them(tmp_path):
    class Fed(keras_tuner.HyperModel):
        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, **kwargs):
            return model.fit(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), **kwargs)

    with pytest.raises(keras_tuner.errors.FatalValueError, match="give calibration"):
        tuner_of(Fed(), tmp_path).search()
    tuner = tuner_of(Fed(), tmp_path, calibration=(IMAGES[:8], CLASSES[:8]))
    tuner.search()
    assert len(records(tuner)) == 4


def test_a_disk_that_is_full_fails_no_child_and_the_search_goes_on_later(tmp_path, monkeypatch):
    real, data = checkpoint.save, {"validation_data": (IMAGES, CLASSES)}

    def full(directory, *saved):
        if "trial_0002" in str(directory):
            raise checkpoint.CheckpointError(f"{directory}: no space")
        real(directory, *saved)

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(keras_tuner.errors.FatalError, match="trial_0002.*: no space"):
        tuner_of(classifier, tmp_path).search(IMAGES, CLASSES, **data)
    monkeypatch.undo()
    tuner = tuner_of(classifier, tmp_path)
    tuner.search(IMAGES, CLASSES, **data)
    assert len(records(tuner)) == 4


def test_goes_on_under_another_tuner_id_and_overwrites_when_asked(tmp_path):
    first = tuner_of(classifier, tmp_path)
    first.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    again = tuner_of(classifier, tmp_path, tuner_id="other")
    assert again.oracle.lineage() == first.oracle.lineage()
    again.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    assert again.oracle.lineage() == first.oracle.lineage()
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        tuner_of(classifier, tmp_path, seed=1)
    assert tuner_of(classifier, tmp_path, seed=1, overwrite=True).oracle.lineage() == []


def test_trials_hold_plain_json(tmp_path):
    tuner = tuner_of(classifier, tmp_path)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_a_distribution_strategy(tmp_path):
    tuner = tuner_of(classifier, tmp_path, distribution_strategy=tf.distribute.MirroredStrategy(["/cpu:0"]))
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    assert len(records(tuner)) == 4
