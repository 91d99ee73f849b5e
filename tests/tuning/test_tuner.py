"""The tuner and the oracle as users of Keras Tuner take them, each example whole; small, so that they run in seconds."""

import itertools
import json
from functools import partial

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import nash_tf
from tests.helpers.tuners import (
    BORN,
    CLASSES,
    IMAGES,
    SMALL,
    Counted,
    Ended,
    OwnFit,
    classifier,
    ended_after,
    network,
    records,
    tuner_of,
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search that has ended, and its directory."""
    directory = tmp_path_factory.mktemp("searched")
    tuner = tuner_of(classifier, directory)
    with pytest.warns(UserWarning, match="epochs=50.* is not used"):
        weights = {0: 1.0, 1: 2.0, 2: 1.0}
        tuner.search(IMAGES, CLASSES, epochs=50, validation_split=0.25, class_weight=weights, verbose=0)
    return tuner, directory


def test_in_place_of_hyperband(searched, capsys):
    tuner, _ = searched
    tuner.search_space_summary()
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


def test_epochs_given_to_search_are_not_used(searched):
    assert sum(record["epochs"] for record in records(searched[0])) == 5


def test_trials_hold_plain_json(searched):
    files = list(searched[1].rglob("*.json"))
    assert len(files) > 4
    for path in files:
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_a_seeded_search_with_real_training_stays(tmp_path):
    """Architectures are pinned to the bit, scores to what processors round differently: the survivor leads by 0.016.

    Moves only with what moves `PINNED` in `test_oracle.py`, or with how a network starts and is trained.
    """
    deeper = partial(classifier, convolutions=2)
    tuner = tuner_of(deeper, tmp_path, keras_tuner.Objective("val_loss", "min"), seed=1)
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


class Listing(keras.utils.PyDataset):
    """Batches that are lists, as data loaders of PyTorch give them."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(16 * index, 16 * index + 16)
        return [IMAGES[part], CLASSES[part]]


@pytest.mark.parametrize("kind", ["dataset", "generator", "dictionary", "lists"])
def test_data_of_every_sort(kind, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).batch(16)

    def endless():
        while True:
            yield from ((np.asarray(x), np.asarray(y)) for x, y in batches)

    Counted.seen = []
    tuner = tuner_of(classifier, tmp_path, **BORN)
    common = {"validation_data": (IMAGES, CLASSES), "callbacks": [Counted()]}
    if kind == "dataset":
        tuner.search(batches, **common)
    elif kind == "generator":
        tuner.search(endless(), steps_per_epoch=3, **common)
    elif kind == "lists":
        tuner.search(Listing(), **common)
    else:
        tuner.search({"image": IMAGES}, CLASSES, batch_size=16, **common)
    assert records(tuner, 3)[-1]["certificate"] and Counted.seen == [0, 0, 0]


def test_a_generator_loses_no_batch_to_the_search_and_goes_on_from_training_to_training(tmp_path):
    """A `fit` of one's own takes just the batches that it trains on, where Keras reads some ahead."""
    taken, closed = [], []

    def endless():
        try:
            for number in range(1000):
                yield np.full_like(IMAGES[:16], number), CLASSES[:16]
        finally:
            closed.append(True)

    class Taking(keras_tuner.HyperModel):
        def build(self, hp):
            return classifier(hp)

        def fit(self, hp, model, x, validation_data, **kwargs):
            for _ in range(2):
                images, classes = next(x)
                taken.append(int(images[0, 0, 0, 0]))
                model.train_on_batch(images, classes)
            return {"val_accuracy": float(next(validation_data)), "loss": 1.0}

    batches, scores = endless(), iter(np.linspace(0.1, 0.4, 4))
    tuner_of(Taking(), tmp_path).search(batches, validation_data=scores)
    assert taken == list(range(8)) and next(batches)[0][0, 0, 0, 0] == 8
    assert not closed and next(scores, None) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda batches: {"x": itertools.islice(batches, 6)}, "as x <itertools.islice .*: give calibration, a batch"),
        (lambda batches: {"x": (each for each in batches[:3])}, "no batches left, .*: give one without an end"),
        (lambda batches: {"x": (each for each in ())}, "no batches left"),
        (
            lambda batches: {"x": tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).take(0).batch(16)},
            "without any batch",
        ),
        (
            lambda batches: {"x": IMAGES, "y": CLASSES, "validation_data": (each for each in batches)},
            "validation_data must not be a generator, .* all are judged by the same; give arrays",
        ),
    ],
    ids=["iterator", "ended", "empty generator", "empty data set", "validation"],
)
def test_data_that_run_out_or_differ_between_children_are_refused(given, message, tmp_path):
    batches = [(IMAGES[:16], CLASSES[:16])] * 100
    fit = {"validation_data": (IMAGES, CLASSES), "steps_per_epoch": 3, **given(batches)}
    with pytest.raises(ValueError, match=message):
        tuner_of(classifier, tmp_path).search(**fit)


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
    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_loss", "min"), **BORN)
    tuner.search(IMAGES, targets, validation_data=(IMAGES, targets))
    assert records(tuner, 3)[-1]["certificate"]
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
    tuner = tuner_of(build, tmp_path, keras_tuner.Objective("val_binary_accuracy", "max"), mutations=3, **BORN)
    tuner.search(IMAGES, masks, validation_data=(IMAGES, masks))
    assert len(records(tuner, 3)[-1]["morphisms"]) == 3
    assert tuner.get_best_models()[0].predict(IMAGES[:2], verbose=0).shape == (2, 8, 8, 1)


def test_a_hypermodel_with_its_own_fit_and_hyperparameters(tmp_path):
    tuner = tuner_of(OwnFit(), tmp_path, tune_hyperparameters=True, on_trained=ended_after(3))
    with pytest.raises(Ended):
        tuner.search(IMAGES, CLASSES)
    values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert all(trial.status == "COMPLETED" for trial in tuner.oracle.trials.values())
    for name in ("rate", "noise"):
        assert len({round(each[name], 9) for each in values if each["step"] == 1 and not each["rung"]}) == 2


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
        trained = model.fit(x, y, validation_data=(x, y), verbose=0, **epochs)
        model.save(self.path(trial.trial_id))
        values["architecture"] = nash_tf.Architecture.from_keras(model).to_json()
        return {"val_accuracy": trained.history["val_accuracy"][-1]}

    def path(self, trial_id):
        return f"{self.get_trial_dir(trial_id)}/model.keras"


def test_the_oracle_in_a_users_own_tuner(tmp_path):
    oracle = nash_tf.HillClimbingOracle("val_accuracy", **SMALL)
    tuner = Foreign(oracle, classifier, directory=str(tmp_path), project_name="p")
    tuner.search(IMAGES, CLASSES)
    trials = tuner.oracle.trials.values()
    assert [trial.status for trial in trials] == ["COMPLETED"] * 4, [trial.message for trial in trials]
    assert oracle.lineage()[-1]["epochs"] == 2


def test_a_distribution_strategy(tmp_path):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    tuner = tuner_of(classifier, tmp_path, **BORN, mutations=1, distribution_strategy=strategy)
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES))
    assert records(tuner, 3)[-1]["certificate"]
