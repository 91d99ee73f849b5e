"""The tuner and the oracle as users of Keras Tuner take them, each example whole; small, so that they run in seconds."""

import contextlib
import copy
import json
import math

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import nash_tf
from nash_tf.files.lock import Locked, locked
from nash_tf.keras_models import checkpoint
from nash_tf.training.child_models import ChildModels
from nash_tf.tuning.tuner import SearchStopped

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


def test_a_seeded_search_with_real_training_stays(tmp_path):
    """Architectures are pinned to the bit, scores to what processors round differently: the survivor leads by 0.016.

    Moves only with what moves `PINNED` in `test_oracle.py`, or with how a network starts and is trained.
    """
    tuner = tuner_of(classifier, tmp_path, keras_tuner.Objective("val_loss", "min"), seed=1)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=16, verbose=0)
    found = records(tuner)
    moved = ["merge_convex", "split"]
    assert [
        (r["step"], r["rung"], r["child"], r["digest"][:12], [move[0] for move in r["morphisms"]]) for r in found
    ] == [
        (0, 0, 0, "ac71da5b1cbc", []),
        (1, 0, 0, "ac71da5b1cbc", []),
        (1, 0, 1, "af7e6e8a55fe", moved),
        (1, 1, 1, "af7e6e8a55fe", moved),
    ]
    assert [r["val_loss"] for r in found] == pytest.approx([1.197348, 1.175783, 1.159783, 1.106438], abs=2e-3)


class Still(keras_tuner.HyperModel):
    """Does not train: what is kept is what the first network starts from."""

    def __init__(self, build):
        super().__init__()
        self.build = build

    def fit(self, hp, model, *args, **kwargs):
        self.iterations = int(model.optimizer.iterations)
        return {"val_accuracy": 0.5, "loss": 1.0}


def start_of(build, tmp_path):
    """The first network as it starts, and how many steps its optimiser has taken."""
    hypermodel = Still(build)
    tuner = tuner_of(hypermodel, tmp_path, steps=0)
    tuner.search(IMAGES, CLASSES)
    return tuner.first_model(), hypermodel.iterations


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A trained model, and its file."""
    keras.utils.set_random_seed(5)
    model = classifier(keras_tuner.HyperParameters())
    model.fit(IMAGES, CLASSES, batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("pretrained") / "model.keras"
    model.save(path)
    return model, path


def test_a_loaded_first_network_keeps_its_weights_and_its_optimiser_s_steps(pretrained, tmp_path):
    model, path = pretrained
    start, steps = start_of(lambda hp: keras.saving.load_model(path), tmp_path)
    assert all(np.array_equal(one, two) for one, two in zip(start.get_weights(), model.get_weights(), strict=True))
    assert steps == 3
    momentum = [np.abs(each.numpy()).max() for each in start.optimizer.momentums]
    assert momentum == [np.abs(each.numpy()).max() for each in model.optimizer.momentums] and max(momentum) > 0


def test_weights_set_in_part_are_kept_and_the_others_drawn_by_the_search_s_seed(pretrained, tmp_path):
    model, _ = pretrained

    def build(hp):
        made = classifier(hp)
        for one, two in list(zip(made.layers, model.layers, strict=True))[:-1]:
            one.set_weights(two.get_weights())
        return made

    starts = [start_of(build, tmp_path / "a")[0], start_of(classifier, tmp_path / "b")[0]]
    (taken, (head, bias)), (drawn, (fresh, _)) = [(s.get_weights()[:-2], s.get_weights()[-2:]) for s in starts]
    assert all(np.array_equal(one, two) for one, two in zip(taken, model.get_weights(), strict=False))
    assert np.array_equal(head, fresh) and not bias.any() and not np.array_equal(head, model.get_weights()[-2])
    assert not np.array_equal(drawn[0], taken[0])


class EndsElsewhere(keras.callbacks.Callback):
    """Ends a training on weights that no epoch had."""

    def on_train_end(self, logs=None):
        self.model.layers[-1].bias.assign([9.0, 0.0, 0.0])


def averaged(hp):
    model = classifier(hp)
    optimizer = keras.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


RESTORES = keras.callbacks.EarlyStopping("val_loss", mode="max", patience=9, restore_best_weights=True)
WITHIN = {"validation_split": 0.25}


@pytest.mark.parametrize(
    ("build", "callbacks", "data"),
    [
        (classifier, [RESTORES], {"validation_data": (IMAGES[36:], CLASSES[36:])}),
        (averaged, [], WITHIN),
        (averaged, [keras.callbacks.SwapEMAWeights()], WITHIN),
        (averaged, [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)], WITHIN),
        (classifier, [EndsElsewhere()], WITHIN),
    ],
    ids=["restored", "averaged", "swapped", "swapped each epoch", "set at the end"],
)
def test_the_score_is_that_of_the_weights_kept(build, callbacks, data, tmp_path):
    objective = keras_tuner.Objective("val_loss", "min")
    tuner = tuner_of(build, tmp_path, objective, steps=0, vanilla_epochs=3)
    tuner.search(IMAGES, CLASSES, batch_size=12, callbacks=callbacks, **data)
    (record,) = tuner.oracle.lineage()
    found = tuner.first_model().evaluate(IMAGES[36:], CLASSES[36:], verbose=0, return_dict=True)
    assert [record["val_loss"], record["val_accuracy"]] == pytest.approx([found["loss"], found["accuracy"]], rel=1e-5)
    assert tuner.oracle.get_best_trials()[0].score == pytest.approx(found["loss"], rel=1e-5)


def test_a_number_of_the_last_epoch_that_a_fit_of_its_own_returns_is_put_right_too(tmp_path):
    class Telling(keras_tuner.HyperModel):
        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, x, y, **kwargs):
            return model.fit(x, y, validation_data=(x, y), **kwargs).history["val_loss"][-1]

    tuner = tuner_of(Telling(), tmp_path, keras_tuner.Objective("val_loss", "min"), steps=0, vanilla_epochs=3)
    tuner.search(IMAGES, CLASSES, callbacks=[RESTORES])
    found = tuner.first_model().evaluate(IMAGES, CLASSES, verbose=0, return_dict=True)
    assert tuner.oracle.lineage()[0]["val_loss"] == pytest.approx(found["loss"], rel=1e-5)


def test_best_models_and_best_hyperparameters_go_together_and_none_scores_higher(tmp_path):
    class Worsening(Still):
        def fit(self, hp, model, *args, **kwargs):
            super().fit(hp, model)
            return {"val_accuracy": 0.9 - 0.1 * hp.values["step"] - 0.01 * hp.values["rung"], "loss": 1.0}

    tuner = tuner_of(Worsening(classifier), tmp_path, steps=2)
    tuner.search(IMAGES, CLASSES, verbose=0)
    with pytest.warns(UserWarning, match="2 of 5 models"):
        models = tuner.get_best_models(5)
    with pytest.warns(UserWarning, match="2 of 5 models"):
        values = [hp.values for hp in tuner.get_best_hyperparameters(5)]
    assert [(each["step"], each["rung"]) for each in values] == [(0, 0), (2, 1)]
    assert [trial.hyperparameters.values for trial in tuner.oracle.get_best_trials(2)] == values
    for model, hp in zip(models, tuner.get_best_hyperparameters(2), strict=True):
        digest = nash_tf.Architecture.from_keras(model).digest
        assert nash_tf.Architecture.from_keras(tuner.hypermodel.build(hp)).digest == digest


def test_objectives_that_cannot_be_followed_are_refused_before_any_training(tmp_path):
    with pytest.raises(ValueError, match="objective must be one, received 2"):
        tuner_of(classifier, tmp_path / "a", ["val_accuracy", "val_loss"])
    tuner = tuner_of(classifier, tmp_path / "b")
    with pytest.raises(ValueError, match="'val_accuracy' needs validation data"):
        tuner.search(IMAGES, CLASSES)
    with pytest.raises(ValueError, match="validation_freq=2"):
        tuner.search(IMAGES, CLASSES, validation_split=0.25, validation_freq=2)
    with pytest.raises(ValueError, match="all but x and y by name"):
        tuner.search(IMAGES, CLASSES, 16, validation_split=0.25)
    assert not tuner.oracle.trials
    tuner.oracle.save(), tuner.save()
    for other in (keras_tuner.Objective("val_loss", "min"), keras_tuner.Objective("val_accuracy", "min")):
        with pytest.raises(ValueError, match="objective was 'val_accuracy, max', is "):
            tuner_of(classifier, tmp_path / "b", other)


def test_an_objective_that_fit_does_not_report_ends_the_search_after_one_epoch(tmp_path):
    tuner = tuner_of(classifier, tmp_path, keras_tuner.Objective("val_f1", "max"), vanilla_epochs=50)
    Counted.seen = []
    with pytest.raises(
        keras_tuner.errors.FatalValueError, match="'val_f1' is not among .* loss, val_accuracy, val_loss"
    ):
        tuner.search(IMAGES, CLASSES, validation_split=0.25, callbacks=[Counted()])
    assert Counted.seen == [0]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (None, "must return a History.* received None"),
        ([1.0], "must return a History"),
        (0.3, "returned 0.3, and no obj"),
    ],
)
def test_what_a_fit_of_its_own_must_not_return(told, message, tmp_path):
    class Telling(Still):
        def fit(self, hp, model, *args, **kwargs):
            return told

    with pytest.raises(keras_tuner.errors.FatalValueError, match=message):
        tuner_of(Telling(classifier), tmp_path, None).search(IMAGES, CLASSES)


def test_a_number_that_an_objective_explains(tmp_path):
    class Telling(Still):
        def fit(self, hp, model, *args, **kwargs):
            return 0.3 + hp.values["child"]

    tuner = tuner_of(Telling(classifier), tmp_path, keras_tuner.Objective("error", "min"))
    tuner.search(IMAGES, CLASSES)
    assert records(tuner)[-1]["child"] == 0


def test_training_data_that_run_out_end_the_search(tmp_path):
    def finite():
        yield from ((IMAGES[:16], CLASSES[:16]) for _ in range(5))

    tuner = tuner_of(classifier, tmp_path, vanilla_epochs=2)
    with pytest.raises(keras_tuner.errors.FatalValueError, match="ran out after 1 of the 3 batches of epoch 2"):
        tuner.search(finite(), steps_per_epoch=3, validation_data=(IMAGES, CLASSES))


class Rates(keras.callbacks.Callback):
    seen: list = []

    def on_train_batch_end(self, batch, logs=None):
        Rates.seen.append(float(self.model.optimizer.learning_rate))


def test_the_rate_is_left_to_a_callback_of_the_user_s(tmp_path):
    Rates.seen = []
    given = [keras.callbacks.LearningRateScheduler(lambda epoch: 0.001 * (epoch + 1)), Rates()]
    tuner = tuner_of(classifier, tmp_path)
    with pytest.warns(UserWarning, match="left to LearningRateScheduler"):
        tuner.search(IMAGES, CLASSES, batch_size=36, validation_split=0.25, callbacks=given)
    assert Rates.seen == pytest.approx([0.001, 0.001, 0.001, 0.002, 0.003])


def test_another_backend_is_refused_where_the_package_is_used(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="backend is jax; nash_tf needs KERAS_BACKEND=tensorflow"):
        nash_tf.HillClimbing  # noqa: B018


def test_compile_arguments_of_the_tuner_replace_the_model_s(tmp_path):
    tuner = tuner_of(classifier, tmp_path, steps=0, optimizer=keras.optimizers.Adam(0.003))
    model = tuner._trainer.models.build({})
    assert type(model.optimizer) is keras.optimizers.Adam and model.optimizer.initial_rate == pytest.approx(0.003)
    assert model.loss == "sparse_categorical_crossentropy" and model._compile_metrics._user_metrics == ["accuracy"]


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
        monkeypatch.setattr(ChildModels, "_take", lambda *_: (None, None))
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
    assert tuner._trainer.models._trained.keys() == {(1, 0)}


def test_a_first_network_that_fails_ends_the_search_with_its_cause_and_is_run_again(tmp_path):
    class Sick(OwnFit):
        def fit(self, hp, model, x, y, **kwargs):
            told = super().fit(hp, model, x, y, **kwargs)
            return {**told, "loss": math.nan} if sick else told

    for sick in (True, False):
        expected = pytest.raises(SearchStopped, match="first network failed with .*not finite")
        with expected if sick else contextlib.nullcontext():
            tuner = tuner_of(Sick(), tmp_path, steps=0)
            tuner.search(IMAGES, CLASSES)
    assert [record["status"] for record in tuner.oracle.lineage()] == ["completed"]


def test_a_limit_that_ends_before_the_first_network_is_told(tmp_path):
    with pytest.raises(SearchStopped, match="limit on time"):
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

    class Functional(keras.Model):
        """Made of inputs and outputs, as a functional model is."""

    def functional(hp):
        model = Functional(*network())
        model.compile("sgd", "mse")
        return model

    class Weighed(keras.metrics.Mean):
        def __init__(self, weight):
            super().__init__()

    def measured(hp):
        model = keras.Model(*network())
        model.compile("sgd", "mse", metrics=[Weighed(2.0)])
        return model

    with pytest.raises(ValueError, match="Functional; give keras.Model.model.inputs, model.outputs"):
        tuner_of(functional, tmp_path / "e")
    with pytest.raises(ValueError, match="Weighed must have a get_config"):
        tuner_of(measured, tmp_path / "f")
    with pytest.raises(ValueError, match="executions_per_trial must be 1"):
        tuner_of(classifier, tmp_path / "c", executions_per_trial=2)
    with pytest.raises(ValueError, match="give max_params"):
        tuner_of(classifier, tmp_path / "c", max_model_size=1000)

    def takes_our_names(hp):
        hp.Choice("seed", [1, 2]), hp.Int("step", 0, 3)
        return classifier(hp)

    with pytest.raises(ValueError, match="other names than seed, step"):
        tuner_of(takes_our_names, tmp_path / "d")


def test_a_search_without_a_hypermodel_and_what_else_a_hypermodel_has(tmp_path):
    with pytest.raises(ValueError, match="hypermodel must build the first network, received None"):
        tuner_of(None, tmp_path)
    hypermodel = Still(classifier)
    hypermodel.mine = "kept"
    tuner = tuner_of(hypermodel, tmp_path)
    assert tuner.hypermodel.mine == copy.copy(tuner.hypermodel).mine == "kept"
    with pytest.raises(AttributeError):
        _ = tuner.hypermodel.absent


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
    for name in ("tuner.json", "oracle.json"):
        (tmp_path / "p" / name).unlink()
        last = tuner_of(classifier, tmp_path)
        assert last.oracle.lineage() == first.oracle.lineage() and last.oracle.over()
        last.oracle.save(), last.save()
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
