"""Batches: reproducible whatever runs beside them, each augmentation exact, evaluation clean."""

import hashlib
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from nash_tf.data.augmentation import Augmentation, draw_warps, look_up, moved
from nash_tf.data.dataset import channel_statistics
from nash_tf.data.pipeline import Pipeline
from nash_tf.data.rows import ImageFile, Rows
from nash_tf.exporting.scaling import with_scaling
from tests.helpers.pipelines import CLASSES, EVERYTHING, SOON_TRACED, equal, examples, one_pass, pipeline


def augmented(augmentation, x=None, seed=0, **options):
    """A pass of augmented images beside their originals, which their labels name."""
    x = examples()[0] if x is None else x
    made = pipeline(augmentation, classes=len(x), **options).training(x, np.arange(len(x)), seed)
    images, labels = one_pass(made)
    return images, x[labels.argmax(axis=1)]


def digest():
    """Of two passes with everything on."""
    dataset = pipeline().training(*examples(), seed=3)
    return hashlib.sha256(b"".join(a.tobytes() for _ in range(2) for a in one_pass(dataset))).hexdigest()


class TestOrder:
    def test_a_pass_shows_each_image_once_in_batches_of_known_number(self):
        x, y = examples()
        dataset = pipeline(Augmentation()).training(x, y, seed=0)
        assert dataset.cardinality() == 3
        assert dataset.element_spec[0].shape.as_list() == [None, 8, 6, 3]
        assert [len(labels) for _, labels in dataset] == [10, 10, 3]
        images, labels = one_pass(dataset)
        assert images.dtype == labels.dtype == np.float32 and labels.shape == (23, CLASSES)
        place = {image.tobytes(): i for i, image in enumerate(x)}
        order = [place[image.astype(np.uint8).tobytes()] for image in images]
        assert sorted(order) == list(range(23)) and order != list(range(23))
        assert np.array_equal(labels, np.eye(CLASSES)[y[order]])

    def test_each_pass_has_an_order_of_its_own(self):
        dataset = pipeline(Augmentation()).training(*examples(), seed=0)
        passes = [one_pass(dataset) for _ in range(4)]
        assert len({images.tobytes() for images, _ in passes}) == 4

    def test_orders_are_uniform(self):
        x = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
        dataset = pipeline(Augmentation(), batch_size=3).training(x, np.arange(3), seed=1)
        orders = [tuple(images[:, 0, 0, 0]) for images, _ in dataset.repeat(300).as_numpy_iterator()]
        counts = [orders.count(order) for order in sorted(set(orders))]
        assert len(counts) == 6 and min(counts) > 25 and max(counts) < 80  # 50 each, within 4 deviations

    def test_labels_keep_to_their_images_in_each_batch_of_one(self):
        x, y = examples(3)
        images, labels = one_pass(pipeline(Augmentation(mixup=1), batch_size=1).training(x, y, seed=0))
        assert sorted(labels.argmax(1)) == [0, 1, 2] and np.array_equal(images, x[labels.argmax(1)])


class TestDeterminism:
    def test_same_seed_same_batches_in_every_pass(self):
        x, y = examples()
        made = pipeline()
        first, second, other = (made.training(x, y, seed) for seed in (7, 7, 8))
        elsewhere = pipeline().training(x.copy(), y.copy(), 7)
        for _ in range(3):
            images = one_pass(first)
            assert equal(images, one_pass(second)) and equal(images, one_pass(elsewhere))
            assert not equal(images, one_pass(other))

    @pytest.fixture(scope="class")
    def digested(self):
        return digest()

    def test_other_randomness_does_not_matter(self, digested):
        tf.random.set_seed(5)
        np.random.seed(5)
        tf.random.uniform(())
        assert digest() == digested

    def test_another_process_gives_the_same(self, digested):
        root = Path(__file__).parents[2]
        code = "from tests.data import test_pipeline; print(test_pipeline.digest())"
        run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == digested

    def test_only_a_finished_pass_counts(self):
        x, y = examples()
        dataset, undisturbed = (pipeline(SOON_TRACED).training(x, y, seed=0) for _ in range(2))
        for _ in range(2):
            iter(dataset)  # Keras makes one more at the end of each epoch
            next(iter(dataset))
            assert equal(one_pass(dataset), one_pass(undisturbed))

    @pytest.mark.parametrize("steps_per_execution", [1, 2])
    def test_a_keras_epoch_is_a_pass(self, steps_per_execution):
        x, y = examples()
        dataset, undisturbed = (pipeline(SOON_TRACED).training(x, y, seed=0) for _ in range(2))
        layers = [tf.keras.Input((8, 6, 3)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(CLASSES)]
        model = tf.keras.Sequential(layers)
        model.compile("sgd", "mse", steps_per_execution=steps_per_execution, jit_compile=False)
        model.fit(dataset, epochs=2, verbose=0)
        for _ in range(2):
            one_pass(undisturbed)
        assert equal(one_pass(dataset), one_pass(undisturbed))


def shifted(image, down, right, fill=0.0):
    """The reference: an image moved by whole pixels."""
    h, w, _ = image.shape
    result = np.full_like(image, fill, dtype=np.float32)
    result[max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)] = image[
        max(-down, 0) : h + min(-down, 0), max(-right, 0) : w + min(-right, 0)
    ]
    return result


class TestFlip:
    def test_images_are_the_original_or_its_mirror_image(self):
        images, originals = augmented(Augmentation(flip=True), examples(400)[0], batch_size=64)
        same = (images == originals).all(axis=(1, 2, 3))
        mirrored = (images == originals[:, :, ::-1]).all(axis=(1, 2, 3))
        assert (same ^ mirrored).all() and 150 < mirrored.sum() < 250


class TestShift:
    @pytest.mark.parametrize("shift, most", [(0.25, (2, 2)), (0.125, (1, 1)), (0.5, (4, 3))])
    def test_images_are_shifted_originals_within_the_bound(self, shift, most):
        images, originals = augmented(Augmentation(shift=shift), examples(300)[0])
        moves = set()
        for image, original in zip(images, originals, strict=True):
            found = [
                (down, right)
                for down in range(-most[0], most[0] + 1)
                for right in range(-most[1], most[1] + 1)
                if np.array_equal(image, shifted(original, down, right))
            ]
            assert len(found) == 1
            moves.add(found[0])
        downs, rights = map(set, zip(*moves, strict=True))
        assert downs == set(range(-most[0], most[0] + 1)) and rights == set(range(-most[1], most[1] + 1))

    @settings(max_examples=15, deadline=None)
    @given(flip=st.booleans(), down=st.integers(-8, 8), right=st.integers(-6, 6))
    def test_what_is_moved_equals_the_reference(self, flip, down, right):
        x, _ = examples(2)
        pixels, seen = moved(*map(tf.constant, ([flip, False], [down, 0], [right, 0])), *x.shape[1:3])
        images = look_up(tf.constant(x), pixels, seen, tf.zeros(x.shape[3]))
        assert np.array_equal(images[0], shifted(x[0, :, ::-1] if flip else x[0], down, right))
        assert np.array_equal(images[1], x[1]) and bool(tf.reduce_all(seen[1]))

    def test_what_comes_in_is_the_channel_mean(self):
        mean, std, x = (60, 120, 180), (20, 30, 40), examples(60)[0]
        images, _ = augmented(Augmentation(shift=0.25), x, mean=mean, std=std)
        plain, _ = augmented(Augmentation(shift=0.25, normalise=False), x, mean=mean, std=std)
        outside = images == 0
        assert outside.any(axis=(1, 2, 3)).mean() > 0.5
        np.testing.assert_allclose(plain, (images * std + mean) / 255, atol=1e-6)
        np.testing.assert_allclose(plain[outside], np.broadcast_to(mean, images.shape)[outside] / 255, atol=1e-6)


class TestWarp:
    def warped(self, x, matrix, **moves):
        nothing = {"flips": [False] * len(x), "down": [0] * len(x), "right": [0] * len(x)} | moves
        matrices = tf.constant([matrix] * len(x), tf.float32)
        pixels, seen = moved(*map(tf.constant, nothing.values()), *x.shape[1:3], matrices)
        return look_up(tf.constant(x), pixels, seen, tf.zeros(x.shape[3])).numpy()

    def test_the_unit_matrix_changes_nothing(self):
        x, _ = examples(2)
        assert np.array_equal(self.warped(x, np.eye(2)), x)

    def test_quarter_turns_and_halves_equal_the_reference(self):
        x, _ = examples(2, h=6, w=6)
        assert np.array_equal(self.warped(x, [[0, -1], [1, 0]]), np.rot90(x, axes=(2, 1)))
        assert np.array_equal(self.warped(x, -np.eye(2)), x[:, ::-1, ::-1])
        smaller = self.warped(x, 3 * np.eye(2))  # each third pixel, the centre stays
        assert np.array_equal(smaller[:, 2:4, 2:4], x[:, 1::3, 1::3]) and not smaller[:, :2].any()

    def test_it_comes_after_the_flip_and_before_the_shift(self):
        x, _ = examples(1, h=6, w=6)
        images = self.warped(x, [[0, -1], [1, 0]], flips=[True], down=[1])
        assert np.array_equal(images[0], shifted(np.rot90(x[0, :, ::-1], axes=(1, 0)), 1, 0))

    def test_draws_keep_within_their_bounds_and_fill_them(self):
        matrices = draw_warps(tf.constant([1, 2]), 2000, zoom=1.5, rotate=20.0).numpy()
        down, right = (np.linalg.norm(matrices[:, :, axis], axis=1) for axis in (0, 1))
        angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
        size, shape = np.log(down * right) / 2, np.log(down / right) / 2
        for drawn, most in ((angles, 20), (size, np.log(1.5)), (shape, np.log(1.5) / 4)):
            assert np.abs(drawn).max() <= most + 1e-4
            assert drawn.min() < -0.95 * most and drawn.max() > 0.95 * most and abs(drawn.mean()) < 0.1 * most

    def test_images_are_zoomed_and_turned(self):
        images, originals = augmented(Augmentation(zoom=1.5, rotate=30), examples(60)[0])
        changed = (images != originals).any(axis=(1, 2, 3))
        assert changed.mean() > 0.8 and np.isin(images, [0, *range(1, 256)]).all()


class TestColour:
    def test_it_is_a_line_through_the_mean_for_each_channel(self):
        x = examples(40)[0]
        mean, std = (np.array(each, np.float32) for each in ((60, 120, 180), (20, 30, 40)))
        for normalise in (True, False):
            augmentation = Augmentation(colour=0.3, normalise=normalise)
            images, originals = augmented(augmentation, x, mean=mean, std=std)
            own = (images if normalise else (images * 255 - mean) / std).reshape(40, -1, 3)
            before = ((originals - mean) / std).reshape(40, -1, 3)
            slopes = (own.max(1) - own.min(1)) / (before.max(1) - before.min(1))
            offsets = own[:, 0] - slopes * before[:, 0]
            np.testing.assert_allclose(own, before * slopes[:, None] + offsets[:, None], atol=1e-4)
            assert 0.2 < np.abs(np.log(slopes)).max() <= 0.4 + 1e-4 and 0.2 < np.abs(offsets).max() <= 0.4 + 1e-4
            spread = np.log(slopes).max(axis=1) - np.log(slopes).min(axis=1)
            assert 0 < spread.max() <= 0.2 + 1e-4  # most of it is the same for all channels


class TestCutout:
    @pytest.mark.parametrize("fraction, side", [(0.5, 3), (0.34, 2), (1.0, 6)])
    def test_a_square_is_zero_and_the_rest_untouched(self, fraction, side):
        images, originals = augmented(Augmentation(cutout=fraction), examples(400)[0], batch_size=64)
        cut = (images == 0).all(axis=3)
        assert np.array_equal(images, np.where(cut[..., None], 0, originals))
        heights, widths = cut.any(axis=2).sum(axis=1), cut.any(axis=1).sum(axis=1)
        assert np.array_equal(cut.sum(axis=(1, 2)), heights * widths)  # rectangles
        assert heights.max() == widths.max() == side
        for size, lines in ((heights, cut.any(axis=2)), (widths, cut.any(axis=1))):
            short = size < side  # only where the square sticks out
            assert (lines[short, 0] | lines[short, -1]).all() and short.any()
            assert size.min() == side - side // 2  # its centre is in the image
        assert cut.any(axis=0).all()  # every pixel is cut in some image

    def test_squares_differ_within_a_batch(self):
        images, _ = augmented(Augmentation(cutout=0.5), batch_size=23)
        assert len({(image == 0).tobytes() for image in images}) > 10


class TestMixup:
    def mixed(self, alpha, n=400, seed=0):
        """Images whose pixels are their one-hot label, so that images and labels must stay equal."""
        y = np.arange(n) % CLASSES
        x = np.broadcast_to(np.eye(CLASSES, dtype=np.float32)[y][:, None, None], (n, 4, 4, CLASSES)).copy()
        made = pipeline(Augmentation(mixup=alpha), np.zeros(CLASSES), np.ones(CLASSES), batch_size=50)
        return one_pass(made.training(x, y, seed))

    @pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 10.0])
    def test_images_and_labels_are_one_convex_combination(self, alpha):
        images, labels = self.mixed(alpha)
        np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
        assert labels.min() >= 0 and ((labels > 1e-6).sum(axis=1) <= 2).all()
        np.testing.assert_allclose(images, np.broadcast_to(labels[:, None, None], images.shape), atol=1e-6)

    @pytest.mark.parametrize("alpha", [0.2, 1.0, 10.0])
    def test_lambda_has_the_moments_of_beta(self, alpha):
        x = np.array([0, 1] * 1000, np.float32)[:, None, None, None] * np.ones((1, 4, 4, 1), np.float32)
        made = pipeline(Augmentation(mixup=alpha), [0], [1], batch_size=100, classes=2000)
        _, labels = one_pass(made.training(x, np.arange(2000), 0))
        largest = labels.max(axis=1)  # lambda or 1 - lambda, so (largest - 1/2)^2 has the variance of Beta
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(np.square(largest - 0.5).mean() / variance - 1) < 0.15
        assert len(np.unique(largest[:100])) > 50  # one for each image
        assert ((labels > 0).sum(axis=0) <= 2).all()  # each image is used twice at most

    def test_partner_is_the_image_before(self):
        x, y = examples()
        clean = one_pass(pipeline(Augmentation(), batch_size=23).training(x, y, 0))[0]
        mixed = one_pass(pipeline(Augmentation(mixup=1), batch_size=23, classes=23).training(x, np.arange(23), 0))
        lambdas = mixed[1][np.arange(23), [int(np.flatnonzero((x == c).all((1, 2, 3)))[0]) for c in clean]]
        share = lambdas[:, None, None, None]
        np.testing.assert_allclose(mixed[0], share * clean + (1 - share) * np.roll(clean, 1, axis=0), atol=1e-3)


class TestNormalise:
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_mean_and_deviation(self, dtype):
        x = examples()[0].astype(dtype)
        images, originals = augmented(Augmentation(), x, mean=(1, 2, 3), std=(4, 5, 6))
        np.testing.assert_allclose(images, (originals - np.array([1.0, 2, 3])) / [4, 5, 6], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("dtype, scale", [(np.uint8, 255), (np.float32, 1)])
    def test_off(self, dtype, scale):
        x = examples()[0].astype(dtype)
        images, originals = augmented(Augmentation(normalise=False), x, mean=(1, 2, 3), std=(4, 5, 6))
        np.testing.assert_allclose(images, originals / scale, rtol=1e-6)


class TestRows:
    """Images that are taken a batch at a time give the same batches, to the bit."""

    @pytest.fixture(params=["memory", "file"])
    def both(self, request, tmp_path):
        x, y = examples(40)
        np.save(tmp_path / "x.npy", x)
        rows = np.random.default_rng(0).permutation(40)[:23]
        return (x[rows], Rows(x if request.param == "memory" else ImageFile(tmp_path / "x.npy"), rows)), y[rows]

    @pytest.mark.parametrize("augmentation", [EVERYTHING, Augmentation(normalise=False)])
    def test_training(self, both, augmentation):
        images, y = both
        mean, std = channel_statistics(images[0])
        assert equal((mean, std), channel_statistics(images[1]))
        first, second = (pipeline(augmentation, mean, std).training(x, y, seed=3) for x in images)
        assert first.element_spec == second.element_spec and first.cardinality() == second.cardinality()
        for _ in range(3):
            assert equal(one_pass(first), one_pass(second))

    def test_evaluation(self, both):
        images, y = both
        made = pipeline(EVERYTHING, (1, 2, 3), (4, 5, 6))
        first, second = (made.evaluation(x, y, batch_size=10) for x in images)
        assert first.element_spec == second.element_spec and made.evaluation(images[1], y, batch_size=10) is second
        assert equal(one_pass(first), one_pass(second))

    @pytest.mark.parametrize("method", ["training", "evaluation"])
    def test_refusals(self, both, method):
        (_, x), y = both
        for labels in (y[:-1], y + 1):
            with pytest.raises(ValueError, match="Received"):
                getattr(pipeline(), method)(x, labels, 1)


class TestEvaluation:
    def test_clean_in_order_and_the_same_again(self):
        x, y = examples()
        made = pipeline(EVERYTHING, (1, 2, 3), (4, 5, 6))
        dataset = made.evaluation(x, y, batch_size=10)
        assert dataset.cardinality() == 3 and [len(labels) for _, labels in dataset] == [10, 10, 3]
        for _ in range(2):
            images, labels = one_pass(dataset)
            np.testing.assert_allclose(images, (x - np.array([1.0, 2, 3])) / [4, 5, 6], rtol=1e-5, atol=1e-6)
            assert np.array_equal(labels, np.eye(CLASSES)[y])

    def test_cached_by_identity(self):
        x, y = examples()
        made = pipeline()
        dataset = made.evaluation(x, y)
        assert made.evaluation(x, y) is dataset
        assert made.evaluation(x, y, batch_size=3) is not dataset
        assert made.evaluation(x.copy(), y) is not dataset

    def test_a_new_array_is_never_taken_for_an_old_one(self):
        made, (x, y) = pipeline(Augmentation()), examples()
        for level in range(20):  # a freed array's id would be used again
            images, _ = one_pass(made.evaluation(np.full_like(x, level), y))
            assert (images == level).all()


class TestCost:
    def test_one_trace_and_one_copy(self):
        x, y = examples()
        made = pipeline()
        for seed in range(3):
            one_pass(made.training(x, y, seed))
            one_pass(made.training(x[:12], y[:12], seed))
        assert made._traced["_batch"].experimental_get_tracing_count() == 1
        assert made._hold(x, y)[0] is made._hold(x, y)[0]


class TestRefusals:
    @pytest.mark.parametrize(
        "option",
        [
            {"shift": 1.5},
            {"shift": -0.1},
            {"cutout": 2},
            {"mixup": -1},
            {"zoom": 0.9},
            {"rotate": -1},
            {"colour": -0.1},
        ],
    )
    def test_augmentation(self, option):
        (name, value), *_ = option.items()
        with pytest.raises(ValueError, match=f"{name}: .*Received: {value}"):
            Augmentation(**option)

    @pytest.mark.parametrize(
        "options",
        [{"mean": (0, 0)}, {"std": (1, 0, 1)}, {"classes": 1}, {"batch_size": 0}, {"mean": 0, "std": 1}],
    )
    def test_pipeline(self, options):
        with pytest.raises(ValueError, match="Received"):
            pipeline(**options)

    @pytest.mark.parametrize("method", ["training", "evaluation"])
    def test_arrays(self, method):
        x, y = examples()
        made = getattr(pipeline(), method)
        for images, labels in (
            (x[..., :1], y),
            (x.astype(int), y),
            (x[0], y),
            (x, y[:-1]),
            (x, y + 1),
            (x, y - 1),
        ):
            with pytest.raises(ValueError, match="Received"):
                made(images, labels, 1)
        with pytest.raises(ValueError, match="Received"):
            made(x[:0], y[:0], 1)


class TestScaling:
    """What is exported computes what was trained and tested."""

    @pytest.mark.parametrize("normalise, pixels", [(True, None), (False, None), (True, "raw"), (True, "signed")])
    @pytest.mark.parametrize(
        "level, spread", [(0, 1), (128, 60), (1e25, 3e24), (-1e30, 1e29), (1e6, 0.5), (1e-25, 1e-26)]
    )
    def test_to_the_bit_whatever_the_pixels(self, level, spread, normalise, pixels, tmp_path):
        rng = np.random.default_rng(0)
        x = (level + spread * rng.normal(size=(30, 4, 4, 2))).astype(np.float32)
        made = Pipeline(*channel_statistics(x), 2, 30, Augmentation(normalise=normalise, pixels=pixels))
        model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Flatten(), keras.layers.Dense(2)])
        exported = with_scaling(model, *made.scaling(x.dtype))
        batch = next(iter(made.evaluation(x, np.arange(30) % 2)))[0]
        expected = model(batch, training=False).numpy()
        assert np.isfinite(expected).all() and (not normalise or pixels or 0.1 < expected.std() < 10)
        assert np.array_equal(exported(x, training=False), expected)
        exported.save(tmp_path / "model.keras")
        assert np.array_equal(keras.models.load_model(tmp_path / "model.keras")(x, training=False), expected)
