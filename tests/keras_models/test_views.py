"""A model that answers by the mean over an image and its mirror image."""

import keras
import numpy as np
import pytest
from keras import layers

import nash_tf
from nash_tf.keras_models import model_file, views
from nash_tf.keras_models.importing import from_keras
from nash_tf.morphisms import registry
from nash_tf.settings.costs import VIEWS

IMAGES = np.random.default_rng(0).random((5, 8, 6, 3), np.float32)  # higher than wide: only the width may be turned


def classifier(outputs=lambda x: layers.Dense(4)(x)):
    image = keras.Input((8, 6, 3), name="pixels")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(5, 3, use_bias=False)(image)))
    return keras.Model(image, outputs(layers.Flatten()(x)), name="classifier")


def test_each_value_of_the_setting_has_its_views():
    assert set(views.REGISTRY) == set(VIEWS)


def test_it_gives_the_mean_of_both_answers_and_cannot_tell_the_images_apart():
    model = classifier()
    both = views.mirrored(model)
    turned = IMAGES[:, :, ::-1]
    np.testing.assert_array_equal(both(IMAGES), (np.asarray(model(IMAGES)) + np.asarray(model(turned))) / 2)
    np.testing.assert_array_equal(both(IMAGES), both(turned))
    assert np.abs(np.asarray(both(IMAGES)) - np.asarray(model(IMAGES))).max() > 1e-3
    assert [id(variable) for variable in both.variables] == [id(variable) for variable in model.variables]
    assert both.input_shape == model.input_shape and both.name == model.name


def test_outputs_keep_their_structure():
    model = classifier(lambda x: {"sort": layers.Dense(3)(x), "more": [layers.Dense(1)(x), layers.Dense(2)(x)]})
    found, one, other = views.mirrored(model)(IMAGES), model(IMAGES), model(IMAGES[:, :, ::-1])
    keras.tree.assert_same_structure(found, one)
    for mean, *each in zip(*map(keras.tree.flatten, (found, one, other)), strict=True):
        np.testing.assert_array_equal(mean, sum(map(np.asarray, each)) / 2)
    keras.tree.assert_same_structure(views.one_view(views.mirrored(model))(IMAGES), one)


def test_a_sequential_model_will_do():
    model = keras.Sequential([keras.Input((8, 6, 3)), layers.Flatten(), layers.Dense(2)])
    expected = (np.asarray(model(IMAGES)) + np.asarray(model(IMAGES[:, :, ::-1]))) / 2
    np.testing.assert_array_equal(views.mirrored(model)(IMAGES), expected)


@pytest.mark.parametrize("saved", [False, True])
def test_the_model_of_one_view_comes_back_and_can_grow(saved, tmp_path):
    model = classifier()
    both = views.mirrored(model)
    if saved:
        both.save(tmp_path / "model.keras")
        both = keras.models.load_model(tmp_path / "model.keras")
    one = views.one_view(both)
    np.testing.assert_array_equal(one(IMAGES), model(IMAGES))
    widened = registry["alter_channels"]
    assert not widened.sites(from_keras(both)) and widened.sites(from_keras(one))


def of_two_images():
    """The mean of the answers for two images, or for one shown and one turned upside down."""
    one, other = keras.Input((8, 6, 3)), keras.Input((8, 6, 3))
    model = classifier()
    yield keras.Model([one, other], layers.Average()([model(one), model(other)]))
    yield keras.Model(one, layers.Average()([model(one), model(keras.ops.flip(one, 1))]))
    another = keras.Model(model.input, model.output, name="another")
    yield keras.Model(one, layers.Average()([model(one), another(keras.ops.flip(one, -2))]))


def test_of_other_models_one_view_is_the_model_itself():
    class Subclassed(keras.Model):
        pass

    within = classifier(lambda x: layers.Average()([layers.Dense(2)(x), layers.Dense(2)(x)]))
    for model in (within, Subclassed(), *of_two_images()):
        assert views.one_view(model) is model and views.inner(model) is model


@pytest.mark.parametrize("structure", [lambda image: [image], lambda image: {"image": image}])
def test_one_input_may_be_in_a_list_or_a_dict(structure):
    model = classifier()
    image = keras.Input((8, 6, 3), name="image")
    wrapped = keras.Model(structure(image), model(image))
    np.testing.assert_array_equal(views.mirrored(wrapped)(IMAGES), views.mirrored(model)(IMAGES))


def test_it_computes_in_the_precision_of_the_model_and_any_name_will_do():
    image = keras.Input((8, 6, 3), name="image")
    double = layers.Dense(2, dtype="float64")(layers.Flatten(dtype="float64")(image))
    model = keras.Model(image, double, name="image")
    both = views.mirrored(model)
    assert both(IMAGES).dtype == "float64" and views.inner(both) is model


@pytest.mark.parametrize("change", [nash_tf.morph, nash_tf.shrink])
def test_surgery_wants_one_view(change):
    given = {"count": 1} if change is nash_tf.morph else {"max_params": 10, "data": IMAGES}
    with pytest.raises(ValueError, match=f"{change.__name__}: .*give nash_tf.one_view"):
        change(views.mirrored(classifier()), **given)


def test_a_search_starts_from_the_model_of_one_view(tmp_path):
    model = classifier()
    model.save(tmp_path / "one.keras")
    views.mirrored(model).save(tmp_path / "both.keras")
    (one, first), (both, second) = (model_file.load(str(tmp_path / f"{name}.keras")) for name in ("one", "both"))
    assert [(node.kind, node.shape) for node in both.nodes] == [(node.kind, node.shape) for node in one.nodes]
    for ours, theirs in zip(first.weights.values(), second.weights.values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def channels_first(*before, inside=False):
    first = [layers.Conv2D(4, 3, data_format="channels_first", name="first"), layers.Flatten()]
    return keras.Sequential(
        [keras.Input((3, 8, 6)), *before, *([keras.Sequential(first, name="base")] if inside else first)]
    )


def test_what_it_turns_first_is_mirrored_as_images():
    turned = keras.layers.Permute((3, 1, 2))
    model = keras.Model(image := keras.Input((8, 6, 3)), channels_first()(turned(image)))
    mean = (np.asarray(model(IMAGES)) + np.asarray(model(IMAGES[:, :, ::-1]))) / 2
    np.testing.assert_array_equal(views.mirrored(model)(IMAGES), mean)


@pytest.mark.parametrize(
    "model, error",
    [
        (channels_first, "channels come first, as layer 'first'"),
        (lambda: channels_first(layers.Rescaling(0.5)), "channels come first, as layer 'first'"),
        (lambda: channels_first(inside=True), "channels come first, as layer 'base'"),
        (lambda: keras.Sequential([keras.Input((5,)), layers.Dense(2)]), r"takes \(None, 5\)"),
        (lambda: keras.Model([keras.Input((4, 4, 1)), (i := keras.Input((2,)))], layers.Dense(2)(i)), r"takes .*, "),
        (lambda: "model.keras", "expected a functional keras.Model"),
        (lambda: keras.Sequential([layers.Dense(2)]), "is not built"),
    ],
)
def test_what_takes_no_images_is_refused(model, error):
    with pytest.raises(ValueError, match=error):
        views.mirrored(model())
