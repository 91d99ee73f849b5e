"""`nash_tf.distill`: what a student learns from a teacher, and that nothing of it stays."""

import keras
import numpy as np
import pytest
from keras import losses

import nash_tf
from nash_tf.keras_models import fast_training
from nash_tf.keras_models.state import read_state
from nash_tf.training.distillation import _divergence, taught
from tests.helpers.parents import IMAGES, LABELS, network, outputs, states_equal, trained

RNG = np.random.default_rng(0)
LOGITS, OTHERS = (RNG.normal(size=(6, 3)).astype(np.float32) for _ in range(2))


def softmax(values):
    powers = np.exp(values)
    return powers / powers.sum(-1, keepdims=True)


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
        found = _divergence(losses.get("sparse_categorical_crossentropy"), softmax(LOGITS), softmax(OTHERS), 2.0)
        assert float(found) == pytest.approx(self.expected(LOGITS, OTHERS, 2.0), rel=1e-3)

    def test_binary_outputs_are_two_classes(self):
        two = [np.stack([each, np.zeros_like(each)], -1) for each in (LOGITS, OTHERS)]
        wanted = self.expected(*two, 2.0)
        found = _divergence(losses.BinaryCrossentropy(from_logits=True), LOGITS, OTHERS, 2.0)
        assert float(found) == pytest.approx(wanted, rel=1e-4)
        found = _divergence(
            losses.get("binary_crossentropy"), 1 / (1 + np.exp(-LOGITS)), 1 / (1 + np.exp(-OTHERS)), 2.0
        )
        assert float(found) == pytest.approx(wanted, rel=1e-3)

    @pytest.mark.parametrize("loss", [losses.MeanSquaredError(), losses.get("mse")])
    def test_any_other_loss_takes_the_teacher_s_outputs_as_targets(self, loss):
        assert float(_divergence(loss, LOGITS, OTHERS, 4.0)) == pytest.approx(np.mean((LOGITS - OTHERS) ** 2), rel=1e-5)

    @pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mse", losses.MeanSquaredError()])
    def test_weights_of_examples_are_those_of_a_keras_loss(self, loss):
        loss, weights = losses.get(loss), np.array([0, 1, 0, 2, 0.5, 0], np.float32)
        one, two = softmax(LOGITS), softmax(OTHERS)
        apart = [float(_divergence(loss, one[[at]], two[[at]], 2.0)) for at in range(6)]
        for given in (weights, weights[:, None] if loss is losses.get("mse") else weights):
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
        assert float(model.compute_loss(**given)) == pytest.approx(
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
        found = model.compute_loss(x=IMAGES, y=targets, y_pred=given)
        weights = {"kind": np.ones(32), "size": np.zeros(32)}
        of_kind = model.compute_loss(x=IMAGES, y=targets, y_pred=given, sample_weight=weights)
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
            return float(student.compute_loss(x=x, y=np.eye(3)[:2], y_pred=student(x)))

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
