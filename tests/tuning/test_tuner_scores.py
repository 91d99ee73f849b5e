"""Objectives, scores and certificates: what a training counts for."""

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import nash_tf
from tests.helpers.tuners import (
    BORN,
    CLASSES,
    IMAGES,
    SMALL,
    Counted,
    Ended,
    Still,
    classifier,
    ended_after,
    records,
    tuner_of,
)


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


def test_a_number_returned_by_a_fit_of_its_own_is_corrected_to_the_weights_kept(tmp_path):
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
    def worse(values):
        return {"val_accuracy": 0.9 - 0.1 * values["step"] - 0.01 * values["rung"], "loss": 1.0}

    tuner = tuner_of(Still(returns=worse), tmp_path, steps=2)
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
    with pytest.raises(ValueError, match="objective must be one, received 2: method 'shr' compares networks by one"):
        tuner_of(classifier, tmp_path / "a", ["val_accuracy", "val_loss"])
    with pytest.raises(ValueError, match="received a list, .'val_accuracy'.; give it without the list"):
        tuner_of(classifier, tmp_path / "a", ["val_accuracy"])
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
    ("returned", "message"),
    [
        (None, "must return a History.* received None"),
        ([1.0], "must return a History"),
        (0.3, "returned 0.3, and no obj"),
    ],
)
def test_a_return_value_of_fit_that_cannot_be_used_is_refused(returned, message, tmp_path):
    with pytest.raises(keras_tuner.errors.FatalValueError, match=message):
        tuner_of(Still(returns=lambda values: returned), tmp_path, None).search(IMAGES, CLASSES)


def test_a_number_that_an_objective_explains_and_only_the_hypermodel_knows(tmp_path):
    told = Still(returns=lambda values: 0.3 - values["child"])
    tuner = tuner_of(told, tmp_path, keras_tuner.Objective("val_f1", "max"))
    tuner.search(IMAGES, CLASSES)
    assert records(tuner)[-1]["child"] == 0
    assert not any("val_f1_change" in (record["certificate"] or {}) for record in records(tuner))


@pytest.mark.parametrize("kind", ["endless", "list", "weighted"])
def test_a_newborn_is_evaluated_as_fit_would(kind, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).batch(16)
    weights = np.linspace(0.0, 1.0, 48)
    given = {
        "endless": {"validation_data": batches.repeat(), "validation_steps": 2},
        "list": {"validation_data": [IMAGES, CLASSES]},
        "weighted": {"validation_data": (IMAGES, CLASSES, weights)},
    }[kind]
    tuner = tuner_of(classifier, tmp_path, keras_tuner.Objective("val_loss", "min"), **BORN)
    tuner.search(IMAGES, CLASSES, **given)
    newborn = [record["certificate"] for record in records(tuner, 3) if record["certificate"]]
    assert [certificate["val_loss_change"] for certificate in newborn] == pytest.approx([0.0] * 2, abs=1e-5)


def test_an_objective_near_zero_still_tells_children_apart(tmp_path):
    def near(values):
        return {"loss": 1.0, "error": 3e-8 - 1e-8 * values["child"]}

    tuner = tuner_of(Still(returns=near), tmp_path, keras_tuner.Objective("error", "min"))
    tuner.search(IMAGES, CLASSES)
    assert [(r["child"], r["error"]) for r in records(tuner)] == [(0, 3e-8), (0, 3e-8), (1, 2e-8), (1, 2e-8)]


def test_a_metric_that_is_no_single_number_is_left_out(tmp_path):
    def build(hp):
        model = classifier(hp)
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", keras.metrics.F1Score()])
        return model

    tuner = tuner_of(build, tmp_path, **BORN)
    tuner.search(IMAGES, np.eye(3, dtype=np.float32)[CLASSES], validation_split=0.25)
    first, *_, born = records(tuner, 3)
    assert {"val_accuracy", "val_f1_score"} & first.keys() & born.keys() == {"val_accuracy"}


@pytest.mark.parametrize(
    ("given", "named"), [([IMAGES, CLASSES], {}), ([IMAGES], {"y": CLASSES}), ([], {"x": IMAGES, "y": CLASSES})]
)
def test_labels_for_the_certificate_are_found_however_they_are_given(given, named, tmp_path):
    tuner = tuner_of(Still(), tmp_path, on_trained=ended_after(2))
    with pytest.raises(Ended):
        tuner.search(*given, **named, validation_data=(IMAGES, CLASSES))
    assert "loss_change" in records(tuner, 2)[1]["certificate"]


def test_inputs_without_labels(tmp_path):
    tuner = tuner_of(Still(), tmp_path, **BORN)
    tuner.search(IMAGES)
    assert all(r["certificate"].keys().isdisjoint({"loss_change"}) for r in records(tuner, 3) if r["certificate"])


class Measured(keras.callbacks.Callback):
    """Measures what `model.evaluate` does not report."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_f1"] = 0.5 + 0.01 * epoch


def test_what_a_callback_has_measured_on_other_weights_is_kept_and_told_once(tmp_path, recwarn):
    tuner = tuner_of(averaged, tmp_path, keras_tuner.Objective("val_f1", "max"), **{**BORN, "epochs_per_step": 4})
    tuner.search(IMAGES, CLASSES, batch_size=12, callbacks=[Measured()], verbose=0, **WITHIN)
    assert [record["val_f1"] for record in records(tuner, 3)] == [0.5, 0.51, 0.51]
    assert len([each for each in recwarn if "val_f1 is taken as a callback has measured it" in str(each.message)]) == 1


class NowAndThen(keras_tuner.HyperModel):
    """Validates every other epoch; with `once` by batches that are read once only."""

    def __init__(self, once=False):
        super().__init__()
        self.once = once

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, x, y, **kwargs):
        data = (pair for pair in [(x, y)]) if self.once else (x, y)
        return model.fit(x, y, validation_data=data, validation_freq=2, **kwargs)


def test_a_last_epoch_that_fit_has_not_validated_is_evaluated_after_it(tmp_path):
    tuner = tuner_of(
        NowAndThen(), tmp_path / "known", keras_tuner.Objective("val_loss", "min"), steps=0, vanilla_epochs=3
    )
    tuner.search(IMAGES, CLASSES, verbose=0)
    found = tuner.first_model().evaluate(IMAGES, CLASSES, verbose=0, return_dict=True)
    assert tuner.oracle.lineage()[0]["val_loss"] == pytest.approx(found["loss"], rel=1e-5)
    tuner = tuner_of(NowAndThen(once=True), tmp_path / "unknown", steps=0, vanilla_epochs=3)
    with pytest.raises(ValueError, match="other weights than those that it validated last"):
        tuner.search(IMAGES, CLASSES, verbose=0)


class OwnLoop(keras_tuner.HyperModel):
    """A training loop as in Keras Tuner's guide; with `whole` its callbacks are called as `model.fit` calls them."""

    def __init__(self, whole=False):
        super().__init__()
        self.whole, self.rates = whole, []

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, x, y, callbacks, initial_epoch, epochs, **_):
        told = keras.callbacks.CallbackList(callbacks if self.whole else [], model=model, epochs=epochs, steps=3)
        for callback in callbacks:
            callback.set_model(model)
        told.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            told.on_epoch_begin(epoch)
            for batch in range(3):
                told.on_train_batch_begin(batch)
                self.rates.append(float(model.optimizer.learning_rate))
                loss, _ = model.train_on_batch(x[16 * batch :][:16], y[16 * batch :][:16])
                told.on_train_batch_end(batch, {"loss": loss})
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"val_accuracy": 0.5, "loss": float(loss)})
        told.on_train_end()
        return {"val_accuracy": 0.5, "loss": float(loss)}


@pytest.mark.parametrize("name", ["params", "epochs", "step", "digest", "cpu_seconds"])
def test_metrics_that_records_would_take_for_something_else_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"metrics must have other names than {name}"):
        tuner_of(Still(), tmp_path / "objective", keras_tuner.Objective(name, "max"))
    tuner = tuner_of(Still(returns=lambda values: {"val_accuracy": 0.5, name: 7.0}), tmp_path / "metric")
    with pytest.raises(ValueError, match=f"metrics must have other names than {name}"):
        tuner.search(IMAGES, CLASSES, verbose=0)


class Hooked(nash_tf.HillClimbing):
    """A tuner with a hook of Keras Tuner's."""

    seen = ()

    def on_epoch_end(self, trial, model, epoch, logs=None):
        self.seen = [*self.seen, (trial.trial_id, epoch, "val_accuracy" in logs, isinstance(model, keras.Model))]


def test_hooks_of_a_tuner_are_called(tmp_path):
    tuner = Hooked(classifier, directory=str(tmp_path), project_name="p", **{**SMALL, "steps": 0, "vanilla_epochs": 2})
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=48, verbose=0)
    assert tuner.seen == [("0000", epoch, True, True) for epoch in range(2)]


class FitsItself(keras_tuner.HyperModel):
    def __init__(self, build):
        super().__init__()
        self.build = build

    def fit(self, hp, model, *args, **named):
        return model.fit(*args, **named)


@pytest.mark.parametrize("is_own", [False, True])
def test_an_objective_of_several_numbers_is_refused_after_an_epoch(is_own, tmp_path):
    def build(hp):
        image = keras.Input((8, 8, 3))
        model = keras.Model(image, keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(image)))
        model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score(name="f1")])
        return model

    tuner = tuner_of(
        FitsItself(build) if is_own else build, tmp_path, keras_tuner.Objective("val_f1", "max"), vanilla_epochs=2
    )
    with pytest.raises(
        ValueError, match=r"objective 'val_f1' is 3 numbers, .* as keras.metrics.F1Score\(average='macro'\) does"
    ):
        answers = np.eye(3)[CLASSES]
        tuner.search(IMAGES, answers, validation_data=(IMAGES, answers), verbose=0)
    (trial,) = tuner.oracle.trials.values()
    assert trial.status != "COMPLETED"
