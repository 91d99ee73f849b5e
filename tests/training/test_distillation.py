"""`nash_tf.distill`: what a student learns from a teacher, and that nothing of it stays."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import losses

import nash_tf
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.state import read_state
from nash_tf.training.distillation import _divergence, taught
from nash_tf.training.long_training import Lesson
from nash_tf.training.output_forms import losses_of
from tests.helpers.parents import IMAGES, LABELS, network, outputs, states_equal, trained

RNG = np.random.default_rng(0)
LOGITS, OTHERS = (RNG.normal(size=(6, 3)).astype(np.float32) for _ in range(2))


def softmax(values):
    powers = np.exp(values)
    return powers / powers.sum(-1, keepdims=True)


def resolved(loss):
    """A loss as Keras makes it of what a model is compiled with."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    model.compile(loss=loss)
    return losses_of(model)[0].loss


@pytest.fixture(scope="module")
def teacher():
    return trained(epochs=4)


def student(seed=7, optimizer=None):
    keras.utils.set_random_seed(seed)
    model = network()
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.05), loss, metrics=["accuracy"], jit_compile=False)
    return model


class TestDivergence:
    def expected(self, one, two, temperature):
        soft, other = softmax(two / temperature), softmax(one / temperature)
        return temperature**2 * np.mean((soft * (np.log(soft) - np.log(other))).sum(-1))

    @pytest.mark.parametrize("loss", [losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy])
    def test_of_logits_and_of_probabilities(self, loss):
        wanted = self.expected(LOGITS, OTHERS, 3.0)
        assert float(_divergence(loss(from_logits=True), LOGITS, OTHERS, 3.0)) == pytest.approx(wanted, rel=1e-4)
        found = _divergence(loss(), softmax(LOGITS), softmax(OTHERS), 3.0)
        assert float(found) == pytest.approx(wanted, rel=1e-3)

    def test_a_loss_by_name_takes_probabilities(self):
        found = _divergence(resolved("sparse_categorical_crossentropy"), softmax(LOGITS), softmax(OTHERS), 2.0)
        assert float(found) == pytest.approx(self.expected(LOGITS, OTHERS, 2.0), rel=1e-3)

    @pytest.mark.parametrize("loss", [losses.CategoricalCrossentropy, losses.BinaryCrossentropy])
    def test_classes_on_another_axis(self, loss):
        wanted = float(_divergence(loss(from_logits=True), LOGITS, OTHERS, 3.0))
        one, two = (each.T[None] for each in (LOGITS, OTHERS))
        assert float(_divergence(loss(from_logits=True, axis=1), one, two, 3.0)) == pytest.approx(wanted, rel=1e-4)

    def test_binary_outputs_are_two_classes(self):
        two = [np.stack([each, np.zeros_like(each)], -1) for each in (LOGITS, OTHERS)]
        wanted = self.expected(*two, 2.0)
        found = _divergence(losses.BinaryCrossentropy(from_logits=True), LOGITS, OTHERS, 2.0)
        assert float(found) == pytest.approx(wanted, rel=1e-4)
        found = _divergence(resolved("binary_crossentropy"), 1 / (1 + np.exp(-LOGITS)), 1 / (1 + np.exp(-OTHERS)), 2.0)
        assert float(found) == pytest.approx(wanted, rel=1e-3)

    @pytest.mark.parametrize("loss", ["mse", losses.MeanSquaredError()])
    def test_any_other_loss_takes_the_teacher_s_outputs_as_targets(self, loss):
        assert float(_divergence(resolved(loss), LOGITS, OTHERS, 4.0)) == pytest.approx(
            np.mean((LOGITS - OTHERS) ** 2), rel=1e-5
        )

    @pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mse", losses.MeanSquaredError()])
    def test_weights_of_examples_are_those_of_a_keras_loss(self, loss):
        is_mse, loss, weights = loss == "mse", resolved(loss), np.array([0, 1, 0, 2, 0.5, 0], np.float32)
        one, two = softmax(LOGITS), softmax(OTHERS)
        apart = [float(_divergence(loss, one[[at]], two[[at]], 2.0)) for at in range(6)]
        for given in (weights, weights[:, None] if is_mse else weights):
            found = float(_divergence(loss, one, two, 2.0, given))
            assert found == pytest.approx(np.mean(apart * weights), rel=1e-4)


@pytest.mark.parametrize(
    ("prepare", "weights"),
    [
        (lambda model: model, {"sample_weight": np.zeros(32)}),
        (fast_training.prepare, {"class_weight": dict.fromkeys(range(3), 0.0)}),
    ],
    ids=["Keras", "prepared"],
)
def test_examples_without_weight_teach_nothing(teacher, prepare, weights):
    model = prepare(student())
    before = model.get_layer("head").kernel.numpy()
    nash_tf.distill(model, teacher, IMAGES, LABELS, share=1.0, batch_size=32, verbose=0, **weights)
    np.testing.assert_array_equal(model.get_layer("head").kernel, before)


def test_the_loss_is_a_mean_of_both(teacher):
    model = student()
    model.get_layer("head").kernel.regularizer = keras.regularizers.L2(0.1)
    outputs = model(IMAGES, training=False)
    given = {"x": IMAGES, "y": LABELS, "y_pred": outputs}
    own, regular = float(model.compute_loss(**given)), float(sum(model.losses))
    apart = float(_divergence(model.loss, outputs, teacher(IMAGES, training=False), 2.0))
    assert regular > 0
    with taught(model, teacher, 0.75, 2.0):
        assert float(model.compute_loss(**given, training=True)) == pytest.approx(
            0.25 * (own - regular) + 0.75 * apart + regular, rel=1e-4
        )
        assert float(model.compute_loss(**given, training=False)) == pytest.approx(own)
    assert float(model.compute_loss(**given)) == pytest.approx(own)


@pytest.mark.parametrize("prepare", [lambda model: model, fast_training.prepare], ids=["Keras", "prepared"])
def test_a_student_comes_nearer_and_is_itself_again(teacher, prepare, tmp_path):
    model, before = prepare(student()), read_state(teacher)
    model.fit(IMAGES, LABELS, verbose=0)  # it is traced already

    def distance():
        return np.mean(np.abs(outputs(model)[0] - outputs(teacher)[0]))

    apart, names = distance(), {variable.path for variable in model.variables}
    history = nash_tf.distill(
        model, teacher, IMAGES, LABELS, share=1.0, epochs=4, batch_size=8, validation_data=(IMAGES, LABELS), verbose=0
    ).history
    assert distance() < 0.8 * apart and history["loss"][-1] < history["loss"][0]
    states_equal(before, read_state(teacher))
    evaluated = model.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert history["val_loss"][-1] == pytest.approx(evaluated["loss"], rel=1e-4)  # the student's own loss
    assert {variable.path for variable in model.variables} == names and "compute_loss" not in vars(model)
    model.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    assert type(loaded) is type(network()) and loaded.count_params() == model.count_params()
    np.testing.assert_allclose(outputs(loaded)[0], outputs(model)[0], atol=1e-5)
    after = model.fit(IMAGES, LABELS, verbose=0).history["loss"][0]
    assert after > history["loss"][-1]  # it is the cross-entropy again


class TestReduction:
    """The teacher's part is a sum or a mean over the examples as the student's own loss is."""

    WEIGHTS = np.array([0, 1, 0, 2, 0.5, 0], np.float32)
    KINDS = (
        (losses.CategoricalCrossentropy, {"from_logits": True}),
        (losses.BinaryCrossentropy, {"from_logits": True}),
        (losses.MeanSquaredError, {}),
    )

    @pytest.mark.parametrize(("kind", "settings"), KINDS)
    @pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None]])
    @pytest.mark.parametrize("reduction", ["sum", "mean", "sum_over_batch_size", "mean_with_sample_weight", None])
    def test_it_is_that_of_the_loss(self, kind, settings, weights, reduction):
        loss, each = kind(**settings, reduction=reduction), kind(**settings, reduction=None)
        apart = _divergence(each, LOGITS, OTHERS, 2.0).numpy()
        given = np.ones(6) if weights is None else weights.reshape(6)
        wanted = {"sum": apart @ given, None: apart * given}.get(reduction, apart @ given / 6)
        if reduction == "mean_with_sample_weight":
            wanted = apart @ given / given.sum()
        found = _divergence(loss, LOGITS, OTHERS, 2.0, weights)
        np.testing.assert_allclose(np.squeeze(found), wanted, rtol=1e-5)

    @pytest.mark.parametrize("reduction", ["sum", None])
    def test_a_step_is_that_of_the_mean_at_a_rate_to_match(self, reduction):
        def stepped(reduction, rate):
            pixels = keras.Input((8, 8, 3))
            x = keras.layers.Flatten()(pixels)
            heads = {"kind": keras.layers.Dense(3, name="kind")(x), "marks": keras.layers.Dense(2, name="marks")(x)}
            model = keras.Model(pixels, heads)
            kind = losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
            marks = losses.BinaryCrossentropy(from_logits=True, reduction=reduction)
            model.compile(keras.optimizers.SGD(rate), {"kind": kind, "marks": marks}, {"kind": 1.0, "marks": 0.5})
            return model

        models = [stepped("mean", 0.5), stepped(reduction, 0.5 / 32)]
        teacher, weights = stepped("mean", 0.1), np.linspace(0, 2, 32)
        models[1].set_weights(models[0].get_weights())
        targets = {"kind": LABELS, "marks": np.zeros((32, 2))}
        for model in models:
            nash_tf.distill(model, teacher, IMAGES, targets, sample_weight=weights, batch_size=32, verbose=0)
        for one, other in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_several_outputs_each_with_its_loss(teacher):
    def two():
        image = keras.Input((8, 8, 3))
        x = keras.layers.Flatten()(image)
        heads = {"kind": keras.layers.Dense(3, name="kind")(x), "size": keras.layers.Dense(1, name="size")(x)}
        model = keras.Model(image, heads)
        kind = losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", {"kind": kind, "size": "mse"}, loss_weights={"kind": 1.0, "size": 0.5}, jit_compile=False)
        return model

    model, other = two(), two()
    given, theirs = (each(IMAGES, training=False) for each in (model, other))
    targets = {"kind": LABELS, "size": np.zeros((32, 1))}
    wanted = _divergence(model.loss["kind"], given["kind"], theirs["kind"], 2.0)
    half_of_size = 0.5 * np.mean((given["size"] - theirs["size"]) ** 2)
    with taught(model, other, 1.0, 2.0):
        found = model.compute_loss(x=IMAGES, y=targets, y_pred=given, training=True)
        weights = {"kind": np.ones(32), "size": np.zeros(32)}
        of_kind = model.compute_loss(x=IMAGES, y=targets, y_pred=given, sample_weight=weights, training=True)
    assert float(found) == pytest.approx(float(wanted + half_of_size), rel=1e-4)
    assert float(of_kind) == pytest.approx(float(wanted), rel=1e-4)


class TestForms:
    """Student and teacher of the same weights, which compute the same classes as logits or as probabilities."""

    PROBABILITIES = {"categorical": "softmax", "binary": "sigmoid"}

    def model(self, head, bias=(0.0, 1.0, -2.0)):
        numbers = keras.Input((2,))
        last = keras.layers.Dense(3, kernel_initializer="ones", bias_initializer=lambda *_, **__: np.array(bias))
        return keras.Model(numbers, head(last(numbers)), name="mine")

    def compiled(self, sort, are_logits, **settings):
        last = "linear" if are_logits else self.PROBABILITIES[sort]
        model = self.model(keras.layers.Activation(last), **settings)
        kind = {"categorical": losses.CategoricalCrossentropy, "binary": losses.BinaryCrossentropy}[sort]
        model.compile("sgd", kind(from_logits=are_logits), jit_compile=False, run_eagerly=True)
        return model

    def soft_loss(self, student, teacher):
        x = np.array([[0.5, 0.0], [1.0, -2.0]], np.float32)
        with taught(student, teacher, 1.0, 2.0):
            return float(student.compute_loss(x=x, y=np.eye(3)[:2], y_pred=student(x), training=True))

    @pytest.mark.parametrize("sort", ["categorical", "binary"])
    @pytest.mark.parametrize("taught_logits", [True, False])
    @pytest.mark.parametrize("given_logits", [True, False])
    def test_the_teacher_is_read_in_its_own_form(self, sort, taught_logits, given_logits):
        student = self.compiled(sort, taught_logits, bias=(1.0, 0.0, 0.0))
        wanted = self.soft_loss(self.compiled(sort, True, bias=(1.0, 0.0, 0.0)), self.compiled(sort, True))
        assert wanted > 0.1
        assert self.soft_loss(student, self.compiled(sort, given_logits)) == pytest.approx(wanted, rel=1e-3)

    @pytest.mark.parametrize("sort", ["categorical", "binary"])
    @pytest.mark.parametrize("are_logits", [True, False])
    def test_a_teacher_of_another_cross_entropy(self, sort, are_logits):
        other = {"categorical": "binary", "binary": "categorical"}[sort]
        wanted = self.soft_loss(self.compiled(sort, False, bias=(1, 0, 0)), self.compiled(other, False))
        found = self.soft_loss(self.compiled(sort, True, bias=(1, 0, 0)), self.compiled(other, are_logits))
        assert found == pytest.approx(wanted, rel=1e-3) and wanted > 0.1

    @pytest.mark.parametrize(
        ("head", "are_logits"),
        [
            (keras.layers.Softmax(), False),
            (keras.ops.softmax, False),
            (keras.layers.Dense(3, "softmax", kernel_initializer="identity"), False),
            (keras.Sequential([keras.Input((3,)), keras.layers.Softmax()]), False),
            (lambda x: keras.layers.Average()([keras.layers.Softmax()(x), keras.layers.Softmax()(x)]), False),
            (keras.layers.Activation("linear", dtype="float32"), True),
            (keras.layers.Identity(), True),
        ],
    )
    def test_one_without_a_loss_by_its_last_activation(self, head, are_logits):
        student = self.compiled("categorical", not are_logits, bias=(1.0, 0.0, 0.0))
        wanted = self.soft_loss(student, self.compiled("categorical", True))
        assert self.soft_loss(student, self.model(head)) == pytest.approx(wanted, rel=1e-3)

    @pytest.mark.parametrize(
        "head",
        [
            keras.layers.ReLU(),
            keras.layers.Dense(3, "tanh"),
            lambda x: keras.layers.Average()([keras.layers.Softmax()(x), x]),
        ],
    )
    def test_where_neither_tells_it_is_refused(self, head):
        student, teacher = self.compiled("categorical", False), self.model(head)
        with pytest.raises(
            ValueError, match="student 'mine' gives probabilities as output 0, .* teacher 'mine' .*; compile it, e.g. "
        ):
            self.soft_loss(student, teacher)
        teacher.compile(loss=losses.CategoricalCrossentropy(from_logits=True))
        assert np.isfinite(self.soft_loss(student, teacher))
        student.compile("sgd", "mse")
        assert np.isfinite(self.soft_loss(student, self.model(head)))


def own_cross_entropy(labels, outputs):
    return losses.binary_crossentropy(labels, outputs, from_logits=True)


def own_for_classes(labels, outputs):
    return losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)


def own_root(labels, outputs):
    return keras.ops.sqrt(keras.ops.mean(keras.ops.square(labels - outputs)))


def own_quantile(labels, outputs):
    return keras.ops.mean(keras.ops.maximum(0.9 * (labels - outputs), 0.1 * (outputs - labels)))


def own_of_logs(labels, outputs):
    return keras.ops.mean(keras.ops.square(keras.ops.log(1 + labels) - keras.ops.log(1 + outputs)), -1)


def own_of_probabilities(labels, outputs):
    return -keras.ops.sum(labels * keras.ops.log(outputs), -1)


class TestTargets:
    """A loss that is no cross-entropy of Keras takes the teacher's outputs as labels, if it may."""

    X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)

    def model(self, loss, activation=None, size=3):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(size, activation)], name="mine")
        model.compile("sgd", loss)
        return model

    def taught(self, loss, activation=None, teacher=None, **settings):
        student = self.model(loss, activation)
        return nash_tf.distill(
            student, teacher or self.model(loss, activation), self.X, np.eye(3)[[0, 1] * 5], verbose=0, **settings
        ).history["loss"]

    @pytest.mark.parametrize(
        "loss",
        [
            *("mse", "mae", "msle", "huber", "log_cosh", "cosine_similarity"),
            *(losses.mean_squared_error, losses.Huber(0.1, reduction="sum")),
            *(own_root, own_quantile, own_of_logs),
        ],
    )
    def test_distances_are_taken(self, loss):
        with taught(self.model(loss), self.model(loss), 0.5, 2.0):
            pass

    @pytest.mark.parametrize("loss", ["poisson", own_of_logs, own_root])
    def test_of_numbers_above_0(self, loss):
        assert np.isfinite(self.taught(loss, "softplus")).all()

    @pytest.mark.parametrize(
        "loss",
        [
            *("hinge", "squared_hinge", "categorical_hinge", losses.Dice(), losses.Tversky(), own_cross_entropy),
            *(own_for_classes, losses.CTC()),
        ],
    )
    def test_what_takes_classes_is_refused_before_training(self, loss):
        before = self.model(loss)
        kept = before.get_weights()
        with pytest.raises(ValueError, match="student 'mine': its loss .* cannot .*CategoricalCrossentropy.*share=0"):
            nash_tf.distill(before, self.model(loss), self.X, np.eye(3)[[0, 1] * 5], verbose=0)
        for one, other in zip(kept, before.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_with_nothing_of_the_teacher_any_loss_trains(self):
        found = self.taught(own_cross_entropy, share=0.0)
        student = self.model(own_cross_entropy)
        assert np.isfinite(found).all() and "compute_loss" not in vars(student)

    def test_an_own_loss_of_probabilities_takes_probabilities_alone(self):
        assert np.isfinite(self.taught(own_of_probabilities, "softmax")).all()
        for teacher in (self.model(None), self.model(losses.CategoricalCrossentropy(from_logits=True))):
            for loss in (own_of_probabilities, "mse"):
                with pytest.raises(ValueError, match=r"'mine' gives probabilities .* logits, .*Sequential\(\[teacher"):
                    self.taught(loss, "softmax", teacher)
        assert np.isfinite(self.taught("mse", "sigmoid", self.model("mse"))).all()  # numbers from 0 to 1

    @pytest.mark.parametrize("loss", ["kl_divergence", losses.KLDivergence()])
    def test_a_divergence_of_keras_is_one_of_classes(self, loss):
        student, other = self.model(loss, "softmax"), self.model(losses.CategoricalCrossentropy(from_logits=True))
        given, theirs = student(self.X), other(self.X)
        with taught(student, other, 1.0, 2.0):
            found = student.compute_loss(x=self.X, y=np.eye(3)[[0, 1] * 5], y_pred=given, training=True)
        wanted = TestDivergence().expected(np.log(given), theirs.numpy(), 2.0)
        assert float(found) == pytest.approx(wanted, rel=1e-3)


class TestSteps:
    """Steps that the student's own loss leaves out teach nothing."""

    WORDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 0]])

    def model(self, loss, activation=None):
        words = keras.Input((4,), dtype="int32")
        x = keras.layers.Embedding(7, 8, mask_zero=True, embeddings_initializer="glorot_normal")(words)
        model = keras.Model(words, keras.layers.Dense(3, activation)(x))
        model.compile(keras.optimizers.SGD(0.0), loss)
        return model

    @pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
    @pytest.mark.parametrize("loss", [losses.SparseCategoricalCrossentropy(from_logits=True), "mse"])
    def test_masked_ones(self, loss, policy):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            models = self.model(loss), self.model(loss)
        finally:
            keras.config.set_dtype_policy(before)
        labels = np.zeros((3, 4, 3) if loss == "mse" else (3, 4))
        found = nash_tf.distill(*models, self.WORDS, labels, share=1.0, verbose=0).history["loss"][0]
        one, other = (np.float32(each.predict(self.WORDS, verbose=0))[self.WORDS > 0] for each in models)
        wanted = np.mean((one - other) ** 2) if loss == "mse" else TestDivergence().expected(one, other, 4.0)
        assert found == pytest.approx(wanted, rel=2e-2 if policy != "float32" else 1e-4)

    @pytest.mark.parametrize(
        "labels", [np.array([[0, -1, 2], [-1, -1, 1]]), np.array([[[0], [-1], [2]], [[-1], [-1], [1]]])]
    )
    def test_those_of_an_ignored_class(self, labels):
        def model():
            numbers = keras.Input((3, 2))
            model = keras.Model(numbers, keras.layers.Dense(3)(numbers))
            model.compile(keras.optimizers.SGD(0.0), losses.SparseCategoricalCrossentropy(True, ignore_class=-1))
            return model

        x, models = RNG.normal(size=(2, 3, 2)).astype(np.float32), (model(), model())
        found = nash_tf.distill(*models, x, labels, share=1.0, verbose=0).history["loss"][0]
        one, other = (each.predict(x, verbose=0)[labels.reshape(2, 3) >= 0] for each in models)
        assert found == pytest.approx(TestDivergence().expected(one, other, 4.0), rel=1e-4)


class TestNested:
    """Losses, labels and weights in the forms that Keras takes."""

    X = RNG.normal(size=(6, 2)).astype(np.float32)
    KIND = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    LABELS = np.array([0, -1, 2, 1, -1, 0])

    def model(self, outputs, loss, **settings):
        numbers = keras.Input((2,))
        heads = {name: keras.layers.Dense(3, name=name)(numbers) for name in ("one", "two", "three")}
        model = keras.Model(numbers, outputs(**heads), name="mine")
        model.compile(keras.optimizers.SGD(0.0), loss, **settings)
        return model

    def wanted(self, student, teacher, of_kind, of_number):
        pairs = [[each.numpy() for each in keras.tree.flatten(model(self.X))] for model in (student, teacher)]
        kind = [each[of_kind][self.LABELS >= 0] for each in pairs]
        numbers = [each[of_number] for each in pairs]
        return TestDivergence().expected(*kind, 4.0), np.mean((numbers[0] - numbers[1]) ** 2)

    @pytest.mark.parametrize(
        ("outputs", "loss", "labels", "places"),
        [
            (
                lambda one, two, three: {"u": one, "v": (two, three)},
                {"u": None, "v": ("mse", KIND)},
                {"u": np.zeros((6, 3)), "v": (np.zeros((6, 3)), LABELS)},
                (2, 1),
            ),
            (
                lambda one, two, three: [one, two, three],
                {"one": None, "two": "mse", "three": KIND},
                {"one": np.zeros((6, 3)), "two": np.zeros((6, 3)), "three": LABELS},
                (2, 1),
            ),
            (lambda one, two, three: [one, two, three], [KIND, None, "mse"], [LABELS, np.zeros((6, 3))], (0, 2)),
            (lambda one, two, three: {"b": one, "a": two}, {"b": "mse", "a": KIND}, [LABELS, np.zeros((6, 3))], (0, 1)),
            (
                lambda one, two, three: {"c": three, "b": one, "a": two},
                {"c": KIND, "a": "mse"},
                {"a": np.zeros((6, 3)), "c": LABELS},
                (2, 0),
            ),
        ],
    )
    def test_losses(self, outputs, loss, labels, places):
        student, teacher = self.model(outputs, loss), self.model(outputs, loss)
        wanted = self.wanted(student, teacher, *places)
        student.evaluate(self.X, labels, verbose=0)  # Keras takes it
        found = nash_tf.distill(student, teacher, self.X, labels, share=1.0, verbose=0).history["loss"][0]
        assert found == pytest.approx(sum(wanted), rel=1e-4)

    def test_a_loss_of_several_outputs_together_is_refused(self):
        def outputs(one, two, three):
            return {"u": one, "v": (two, three)}

        student = self.model(outputs, {"u": "mse", "v": "mse"})
        with pytest.raises(ValueError, match="'mine' has one loss, .* for the outputs at .'v'. together"):
            nash_tf.distill(student, self.model(outputs, None), self.X, {}, verbose=0)


class TestOwnClasses:
    """Students whose class has its own steps or its own loss."""

    class WithoutMode(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight)

    class OwnSteps(keras.Model):
        """Steps that ask `compute_loss`, as the guide of Keras has it, and do not say in which mode."""

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
            )
            return {"own": loss}

        def test_step(self, data):
            x, y = data
            return {"own": self.compute_loss(x, y, self(x, training=False))}

    class OwnLoss(OwnSteps):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            raise AssertionError("its step does not ask for it")

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                outputs = self(x, training=True)
                loss = losses.sparse_categorical_crossentropy(y, outputs, from_logits=True)
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
            )
            return {"loss": keras.ops.mean(loss)}

    def model(self, cls=keras.Model, seed=0, **settings):
        keras.utils.set_random_seed(seed)
        pixels = keras.Input((8, 8, 3))
        model = cls(pixels, keras.layers.Dense(3)(keras.layers.Flatten()(pixels)), name="mine")
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False, **settings)
        return model

    @pytest.mark.parametrize("cls", [keras.Model, WithoutMode, OwnSteps])
    @pytest.mark.parametrize("prepare", [lambda model: model, fast_training.prepare], ids=["Keras", "prepared"])
    def test_they_learn_from_the_teacher_and_validate_on_the_labels(self, cls, prepare):
        model, other = prepare(self.model(cls)), self.model(seed=1)
        wanted = self.model()
        settings = {"share": 1.0, "batch_size": 32, "validation_data": (IMAGES, LABELS), "verbose": 0, "epochs": 3}
        found = nash_tf.distill(model, other, IMAGES, LABELS, **settings).history
        nash_tf.distill(wanted, other, IMAGES, LABELS, **settings)
        for one, two in zip(model.get_weights(), wanted.get_weights(), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-5)
        own, name = wanted.evaluate(IMAGES, LABELS, verbose=0), "own" if cls is self.OwnSteps else "loss"
        assert found[f"val_{name}"][-1] == pytest.approx(own, rel=1e-4)
        assert found[name][-1] < 0.9 * own

    @pytest.mark.parametrize("eagerly", [False, True])
    def test_a_step_that_takes_no_loss_from_it_is_refused_at_once(self, eagerly):
        model = self.model(self.OwnLoss, run_eagerly=eagerly)
        nash_tf.distill(model, self.model(), IMAGES, LABELS, share=0.0, verbose=0)
        epochs = []
        counted = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
        with pytest.raises(ValueError, match="'mine' would learn nothing .*OwnLoss.train_step must .* with share=0"):
            nash_tf.distill(model, self.model(), IMAGES, LABELS, verbose=0, callbacks=[counted])
        assert not epochs and not {"compute_loss", "train_step"} & set(vars(model))
        with Lesson(self.model(), 0.5).given_to(model), pytest.raises(ValueError, match="would learn nothing"):
            model.fit(IMAGES, LABELS, verbose=0)

    def test_a_method_of_the_one_student_is_there_again(self):
        model = self.model()
        model.train_step = step = model.train_step
        model.compute_loss = own = model.compute_loss
        nash_tf.distill(model, self.model(seed=1), IMAGES, LABELS, verbose=0)
        assert vars(model)["train_step"] is step and vars(model)["compute_loss"] is own


class TestNames:
    """Outputs of equal names belong together, wherever they stand."""

    X = RNG.normal(size=(6, 2)).astype(np.float32)

    def model(self, outputs):
        numbers = keras.Input((2,))
        heads = {name: keras.layers.Dense(3, name=name)(numbers) for name in "abcd"}
        model = keras.Model(numbers, outputs(heads))
        cross, is_turned = losses.SparseCategoricalCrossentropy(from_logits=True), model.output_names[0] == "b"
        of_both = [cross, "mse"] if is_turned else ["mse", cross]
        model.compile(
            keras.optimizers.SGD(0.0),
            dict(zip("ab", of_both, strict=True)) if isinstance(model.output, dict) else of_both,
        )
        return model

    @pytest.mark.parametrize(
        ("outputs", "place_of_a"),
        [
            (lambda heads: [heads["b"], heads["a"]], 1),
            (lambda heads: [heads["a"], heads["b"]], 0),
            (lambda heads: {"b": heads["c"], "a": heads["d"]}, 0),  # its keys are its names, which Keras sorts
            (lambda heads: [heads["c"], heads["d"]], 0),  # others: by their places
        ],
    )
    def test_they_teach_those_of_their_name(self, outputs, place_of_a):
        student, teacher = self.model(lambda heads: [heads["a"], heads["b"]]), self.model(outputs)
        found = nash_tf.distill(student, teacher, self.X, [np.zeros((6, 3)), np.zeros(6)], share=1.0, verbose=0)
        own, theirs = (keras.tree.flatten(model.predict(self.X, verbose=0)) for model in (student, teacher))
        wanted = np.mean((own[0] - theirs[place_of_a]) ** 2)
        wanted += TestDivergence().expected(own[1], theirs[1 - place_of_a], 4.0)
        assert found.history["loss"][0] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("kind", ["dataset", "generator"])
def test_data_without_labels_are_refused(teacher, kind):
    batches = {
        "dataset": tf.data.Dataset.from_tensors(IMAGES),
        "generator": ((IMAGES,) for _ in range(2)),
    }[kind]
    with pytest.raises(ValueError, match="labels are missing: there are inputs alone; give both"):
        nash_tf.distill(student(), teacher, batches, verbose=0)


@pytest.mark.parametrize("is_sequential", [True, False])
def test_a_teacher_of_other_inputs_is_refused(is_sequential):
    pixels = keras.Input((5,), name="pixels")
    teacher = keras.Model({"pixels": pixels}, keras.layers.Dense(3)(pixels))
    taken = "{'pixels': .None, 5.}"
    if is_sequential:
        teacher, taken = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)]), ".None, 5."
    with pytest.raises(
        ValueError, match=rf"fails on the student's inputs: it takes shapes {taken}, received .*8, 8, 3"
    ):
        nash_tf.distill(student(), teacher, IMAGES, LABELS, verbose=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 1.5}, "share must be a number from 0 to 1, received 1.5"),
        ({"share": True}, "share must be a number from 0 to 1, received True"),
        ({"temperature": 0}, "temperature must be a number above 0, received 0"),
        ({"student": network()}, "is not compiled with a loss"),
        ({"student": "teacher"}, "student and teacher are one model"),
        ({"student": None}, "student must be a functional keras.Model, received NoneType"),
        ({"teacher": 3}, "teacher must be a functional keras.Model, received int"),
        ({"teacher": keras.Sequential(name="open")}, "teacher must be .*, received 'open' of class Sequential"),
        ({}, "there is nothing to train on: give inputs and labels, as student.fit takes them"),
        ({"x": IMAGES}, "labels are missing: .* give both, "),
        (
            {"teacher": keras.Sequential([keras.Input((3,)), keras.layers.Dense(7)])},
            r"shapes \[\(None, 3\)\], received \[",
        ),
    ],
)
def test_what_does_not_fit_is_refused(teacher, change, message):
    change = {name: teacher if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(ValueError, match=message):
        nash_tf.distill(**{"student": student(), "teacher": teacher, **change})
