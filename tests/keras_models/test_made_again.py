"""Metrics, optimisers and layers that are made again from their configs have the settings of their originals, or are refused."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

import nash_tf
from nash_tf.keras_models.made_again import metric_again, optimizer_again
from nash_tf.keras_models.plain_values import differ
from tests.helpers.parents import IMAGES, LABELS, network

WIDER = ("alter_channels", ("conv_1", "to", 6))


class Above(keras.metrics.Mean):
    """Its get_config leaves an argument out."""

    def __init__(self, threshold=0.5, name="above", **kwargs):
        super().__init__(name=name, **kwargs)
        self.threshold = threshold

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(ops.cast(y_pred > self.threshold, "float32"), sample_weight)


class Derived(keras.Metric):
    """Its attributes have other names than its arguments."""

    def __init__(self, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self._factor = 10.0**power


class Popped(keras.Metric):
    def __init__(self, **kwargs):
        threshold = kwargs.pop("threshold", 0.5)
        super().__init__(**kwargs)
        self.threshold = threshold


class ByProperty(keras.Metric):
    def __init__(self, threshold=0.5, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold

    @property
    def threshold(self):
        return self._threshold

    @threshold.setter
    def threshold(self, value):
        self._threshold = value


class Holding(keras.Metric):
    """What it was given is in a metric inside it."""

    def __init__(self, threshold=0.5, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.metrics.BinaryAccuracy(threshold=threshold)


class Bins(keras.Metric):
    def __init__(self, count=3, **kwargs):
        super().__init__(**kwargs)
        self.edges = np.linspace(0, 1, count)


class Classwide(keras.Metric):
    threshold = 0.5


def classwide():
    metric = Classwide()
    metric.threshold = 0.1
    return metric


class Narrow(keras.metrics.BinaryAccuracy):
    """It leaves out an argument of its base."""

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


class NarrowBase(Above):
    def __init__(self, other=1, **kwargs):
        super().__init__(**kwargs)
        self.other = other

    def get_config(self):
        return {**super().get_config(), "other": self.other}


LEFT_OUT = {
    "an attribute": (lambda: Above(0.05), "'threshold' is 0.5 in place of 0.05"),
    "derived": (lambda: Derived(2.0), "'_factor' is 10.0 in place of 100.0"),
    "popped": (lambda: Popped(threshold=0.1), "'threshold'"),
    "property": (lambda: ByProperty(0.1), "'_threshold'"),
    "inside": (lambda: Holding(0.1), "'inner'"),
    "array": (lambda: Bins(4), "'edges'"),
    "class attribute": (classwide, "'threshold' is 0.5 in place of 0.1"),
    "of Keras' base": (lambda: Narrow(threshold=0.1), "'threshold' is 0.5 in place of 0.1"),
    "of its own base": (lambda: NarrowBase(threshold=0.1, other=2), "'threshold' is 0.5 in place of 0.1"),
    "none": (lambda: Above(None), "'threshold' is 0.5 in place of None"),
    "function": (lambda: Above(keras.ops.abs), "'threshold' is 0.5 in place of function"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_metric_whose_config_leaves_a_setting_out_is_refused(kind):
    make, words = LEFT_OUT[kind]
    metric = make()
    with pytest.raises(ValueError, match=f"metric {metric.name!r}: get_config of .*must return all arguments.*{words}"):
        metric_again(metric)


@pytest.mark.parametrize("make", [Above, Derived, Popped, ByProperty, Holding, Bins, Classwide, Narrow])
def test_defaults_may_be_left_out(make):
    assert type(metric_again(make())) is make


class Whole(keras.Metric):
    """Its get_config returns all, and much in it is no setting."""

    numbers = itertools.count()

    def __init__(self, sizes=(1, 2), limit=float("nan"), table=None, rate=None, labels=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.sizes, self.limit, self.table = tuple(sizes), limit, dict(table or {})
        self.rate = np.float32(0.1) if rate is None else np.float32(rate)
        self.labels = np.asarray([1.5] if labels is None else labels)
        self.calls, self.ready, self.seen = 0, False, []
        self.number, self.drawn = next(self.numbers), np.random.random()
        self.inner = keras.metrics.Mean()
        self.noise = keras.initializers.RandomNormal(seed=seed)
        self.total = self.add_weight(name="total", shape=(), initializer="zeros")
        self.part = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.calls += 1
        self.ready = True
        self.seen.append(self.calls)
        self.part = keras.metrics.Mean(name=f"part_{self.calls}")
        self.total.assign_add(1.0)

    def result(self):
        return self.total

    def get_config(self):
        own = {"sizes": list(self.sizes), "limit": self.limit, "table": {str(k): v for k, v in self.table.items()}}
        return super().get_config() | own | {"rate": float(self.rate), "labels": self.labels.tolist()}


def test_what_changes_in_use_is_no_setting():
    metric = Whole(sizes=(3, 4), table={1: (2, 3)}, rate=0.3, labels=[1, float("nan")])
    for _ in range(3):
        metric.update_state(None, None)
    metric.note = "set from outside"
    keras.utils.set_random_seed(0)
    made = metric_again(metric)
    assert made.sizes == (3, 4) and made.calls == 0 and float(made.total) == 0
    drawn = np.random.random()
    keras.utils.set_random_seed(0)
    Whole()
    assert np.random.random() == drawn  # as if one copy were made


@pytest.mark.parametrize(
    "one, two",
    [
        ((1, 2), [1, 2]),
        (float("nan"), np.float32("nan")),
        ({1: "a"}, {"1": "a"}),
        (0.1, np.float32(0.1)),
        (np.arange(3), [0, 1, 2]),
        ({1, 2}, frozenset({2, 1})),
        (keras.Variable(1.0), keras.Variable(2.0)),
        (object(), 1),
        (keras.initializers.RandomNormal(0.0, 2.0), keras.initializers.RandomNormal(0.0, 2.0)),
        (layers.Dense(3, trainable=False, dtype="float16"), layers.Dense(3)),
    ],
)
def test_what_does_not_differ(one, two):
    assert not differ(one, two) and not differ(two, one)


@pytest.mark.parametrize(
    "one, two",
    [
        (1, 2),
        (None, 0),
        ("a", "b"),
        ("1", 1),
        ([1, [2]], [1, [3]]),
        (np.arange(3), np.arange(4)),
        ({"a": 1}, {"a": 2}),
        ({1}, {2}),
        (keras.regularizers.L2(0.1), keras.regularizers.L2(0.2)),
        (keras.regularizers.L2(0.1), keras.regularizers.L1(0.1)),
        (keras.regularizers.L2(0.1), None),
        (lambda: 1, lambda: 2),
        (layers.Dense(3), layers.Dense(4)),
        (layers.Dense(3, kernel_regularizer=keras.regularizers.L2(1.0)), layers.Dense(3, kernel_regularizer="l2")),
    ],
)
def test_what_differs(one, two):
    assert differ(one, two) and differ(two, one)


def _classes(module, base):
    return [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, base) and cls is not base]


ARGUMENTS = {
    "MeanMetricWrapper": {"fn": keras.losses.mean_squared_error},
    "MeanRelativeError": {"normalizer": [1.0, 2.0]},
    "SensitivityAtSpecificity": {"specificity": 0.3},
    "SpecificityAtSensitivity": {"sensitivity": 0.3},
    "PrecisionAtRecall": {"recall": 0.3},
    "RecallAtPrecision": {"precision": 0.3},
    "MeanIoU": {"num_classes": 3},
    "OneHotMeanIoU": {"num_classes": 3},
    "IoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "AUC": {"thresholds": [0.2, 0.7]},
}


@pytest.mark.parametrize("cls", _classes(keras.metrics, keras.Metric), ids=lambda cls: cls.__name__)
def test_all_metrics_of_keras_are_made_again(cls):
    arguments = ARGUMENTS.get(cls.__name__, {})
    usual = cls(**arguments)
    # As a class of a user's: what is Keras' own is not looked at.
    own = type(f"Own{cls.__name__}", (cls,), {})(**arguments)
    for metric in (usual, own):
        made = metric_again(metric)
        assert made is not metric and not differ(made, metric)


class Boost(keras.optimizers.SGD):
    """Its get_config leaves an argument out."""

    def __init__(self, *args, boost=3.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.boost = boost


class WholeBoost(Boost):
    def get_config(self):
        return {**super().get_config(), "boost": self.boost}


class Unrated(keras.optimizers.SGD):
    def get_config(self):
        return {"name": self.name}


class Bare(keras.optimizers.SGD):
    """It takes less than its base returns."""

    def __init__(self, learning_rate=0.1):
        super().__init__(learning_rate)


@pytest.mark.parametrize(
    "optimizer, words",
    [
        (Boost(0.01, boost=7.0), "get_config of Boost must return all arguments.*'boost' is 3.0 in place of 7.0"),
        (keras.optimizers.LossScaleOptimizer(Boost(0.01, boost=7.0)), "get_config of Boost.*'boost' is 3.0"),
        (Unrated(0.3), "get_config of Unrated must return 'learning_rate'"),
        (Unrated(keras.optimizers.schedules.CosineDecay(0.3, 5)), "get_config of Unrated must return 'learning_rate'"),
        (Unrated(weight_decay=0.1), "get_config of Unrated .*'weight_decay' is None in place of 0.1"),
        (Bare(), "get_config of Bare must return all arguments .*unexpected keyword"),
    ],
)
def test_an_optimizer_whose_config_leaves_a_setting_out_is_refused(optimizer, words):
    with pytest.raises(ValueError, match=f"optimizer {optimizer.name!r}: {words}"):
        optimizer_again(optimizer)


def _optimizers():
    for cls in _classes(keras.optimizers, keras.Optimizer):
        if cls is keras.optimizers.LossScaleOptimizer:
            yield cls(WholeBoost(0.2, boost=4.0, momentum=0.5))  # of a class that is not registered
        elif cls.__name__ != "MultiOptimizer":
            yield cls(0.2, weight_decay=0.01, clipnorm=1.0, use_ema=True, gradient_accumulation_steps=2)
            yield type(f"Own{cls.__name__}", (cls,), {})(keras.optimizers.schedules.CosineDecay(0.3, 5))
    yield nash_tf.optimizers.Muon(0.2, kernel_rate=0.3)


@pytest.mark.parametrize("optimizer", _optimizers(), ids=lambda each: type(each).__name__)
def test_all_optimizers_of_keras_are_made_again(optimizer):
    optimizer.build([keras.Variable(np.ones((2, 3), np.float32))])
    optimizer.apply([ops.ones((2, 3))])
    made = optimizer_again(optimizer)
    assert made is not optimizer and not differ(made, optimizer) and not made.built and int(made.iterations) == 0


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """Without a config, and not registered."""

    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start * 0.5 ** ops.cast(step, "float32")


class WholeHalving(Halving):
    def get_config(self):
        return {"start": self.start}


def _rate():
    return 0.02


RATES = {"schedule": Halving(0.4), "with config": WholeHalving(0.4), "function": _rate, "lambda": lambda: 0.02}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("kind", RATES)
def test_a_rate_of_ones_own_is_kept(kind, wrapped):
    inner = WholeBoost(RATES[kind], boost=4.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner) if wrapped else inner
    optimizer.build([keras.Variable(1.0)])
    optimizer.iterations.assign(2)
    before = dict(vars(inner))
    made = optimizer_again(optimizer)
    new = made.inner_optimizer if wrapped else made
    assert new._learning_rate is RATES[kind] and new.boost == 4 and new is not inner
    assert vars(inner) == before
    made.build([keras.Variable(1.0)])
    made.iterations.assign(2)
    assert [each.name for each in made.variables] == [each.name for each in optimizer.variables]
    assert float(made.learning_rate) == float(optimizer.learning_rate)


@pytest.mark.parametrize("kind", RATES)
def test_a_model_with_a_rate_of_its_own_grows_and_trains_as_before(kind):
    keras.utils.set_random_seed(0)
    model = network()
    optimizer = keras.optimizers.Adam(RATES[kind])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    model.fit(IMAGES, LABELS, 16, 1, verbose=0)
    child = nash_tf.morph(model, WIDER, calibration=(IMAGES, LABELS)).model
    assert child.optimizer._learning_rate is optimizer._learning_rate and int(child.optimizer.iterations) == 2
    assert float(child.optimizer.learning_rate) == float(optimizer.learning_rate)
    child.fit(IMAGES, LABELS, 16, 1, verbose=0)


@keras.saving.register_keras_serializable("made_again")
class Thinning(layers.Layer):
    """It acts in training only; its get_config leaves an argument out."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, x, training=False):
        return x * (1 - self.rate) if training else x

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable("made_again")
class WholeThinning(Thinning):
    """Its get_config returns all; it counts its calls and keeps what it was built for."""

    def __init__(self, width=None, **kwargs):
        super().__init__(**kwargs)
        self.calls, self.width, self.input_spec = 0, width, layers.InputSpec(ndim=2)

    def build(self, shape):
        self.width, self.inner = shape[-1], layers.Dense(2)
        self.input_spec = layers.InputSpec(ndim=2, axes={-1: self.width})

    def call(self, x, training=False):
        self.calls += 1
        return super().call(x, training=training)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("made_again")
class Block(layers.Layer):
    """Layers that are made in `__init__` and built later."""

    def __init__(self, width=3, **kwargs):
        super().__init__(**kwargs)
        self.attention, self.norm = layers.MultiHeadAttention(1, 2), layers.LayerNormalization()
        self.network = keras.Sequential([layers.Dense(width), layers.BatchNormalization(), layers.Dropout(0.2)])
        self.other = [layers.Dense(width, name="other"), layers.Concatenate()]

    def call(self, x):
        return self.norm(self.other[0](self.network(x + self.attention(x, x))))

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable("made_again")
class WholeBlock(Block):
    def __init__(self, width=3, **kwargs):
        super().__init__(width, **kwargs)
        self.width = width

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("made_again")
class Weighing(keras.regularizers.Regularizer):
    def __init__(self, factor=0.1):
        self.factor = factor

    def __call__(self, x):
        return self.factor * ops.sum(x)

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("made_again")
class Below(keras.constraints.Constraint):
    def __init__(self, limit=1.0):
        self.limit = limit

    def __call__(self, w):
        return ops.minimum(w, self.limit)

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("made_again")
class Start(keras.initializers.Initializer):
    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        return ops.full(shape, self.value, dtype)

    def get_config(self):
        return {}


def of(*parts):
    """A network of sequences with layers between two dense ones."""
    inputs = keras.Input((4, 3))
    x = layers.Dense(5)(inputs)
    for part in parts:
        x = part(x)
    x = layers.Dense(5, activation="relu", name="wide")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


LAYERS = {
    "layer": (lambda: [Thinning(0.1)], "get_config of Thinning .*'rate' is 0.5 in place of 0.1"),
    "the second of two": (lambda: [Thinning(), Thinning(0.1)], "layer 'thinning.*get_config of Thinning"),
    "regularizer": (lambda: [layers.Dense(3, kernel_regularizer=Weighing(5.0))], "get_config of Weighing .*'factor'"),
    "constraint": (lambda: [layers.Dense(3, kernel_constraint=Below(5.0))], "get_config of Below .*'limit'"),
    "initializer": (lambda: [layers.Dense(3, kernel_initializer=Start(5.0))], "get_config of Start .*'value'"),
    "activity": (lambda: [layers.ReLU(activity_regularizer=Weighing(5.0))], "get_config of Weighing .*'factor'"),
    "wrapped": (lambda: [layers.TimeDistributed(Thinning(0.1))], "layer 'time_dist.*get_config of Thinning .*'rate'"),
    "cell": (
        lambda: [layers.RNN([layers.LSTMCell(3), layers.LSTMCell(3, kernel_constraint=Below(5.0))])],
        "get_config of Below .*'limit'",
    ),
    "private": (
        lambda: [lambda x: layers.MultiHeadAttention(1, 2, kernel_regularizer=Weighing(5.0))(x, x)],
        "get_config of Weighing .*'factor'",
    ),
    "block": (lambda: [Block(4)], "get_config of Block .*'(network|other)'"),
    "nested": (
        lambda: [layers.TimeDistributed(keras.Sequential([keras.Input((5,)), Thinning(0.1)]))],
        "get_config of Thinning .*'rate'",
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_whose_config_leaves_a_setting_out_is_refused(kind):
    parts, words = LAYERS[kind]
    with pytest.raises(ValueError, match=words):
        nash_tf.morph(of(*parts()), "alter_channels")


def test_layers_whose_config_is_whole_are_carried():
    wrapped = layers.TimeDistributed(WholeThinning(rate=0.2))
    model = of(wrapped, Thinning(), layers.Dense(3, kernel_regularizer=Weighing(), kernel_constraint=Below()))
    child = nash_tf.morph(model, ("alter_channels", ("wide", "to", 6))).model
    assert child.get_layer(wrapped.name).layer.rate == 0.2


def test_a_layer_that_counts_and_is_built_is_carried():
    model = of(layers.Flatten(), WholeThinning(rate=0.2, name="mine"))
    model(np.zeros((2, 4, 3)))
    child = nash_tf.morph(model, ("alter_channels", ("wide", "to", 6))).model
    assert model.get_layer("mine").calls and child.get_layer("mine").rate == 0.2


def test_layers_inside_a_layer_are_built_and_frozen_in_the_original_alone():
    block = WholeBlock(5, name="mine")
    model = of(block)
    block.norm.trainable = False
    child = nash_tf.morph(model, ("alter_channels", ("wide", "to", 6)), calibration=np.ones((2, 4, 3))).model
    assert child.get_layer("mine").other[0].units == 5 and not child.get_layer("mine").norm.trainable
