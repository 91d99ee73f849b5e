"""Faster training of a compiled model: the same results as `Model.fit`, up to rounding, in less processor time.

A child is trained for a few epochs only, so tracing its first step matters as much as the steps. Both take time in
proportion to the number of operations in the graph. Keras uses 16 operations for a batch normalisation and 9 for an
update with momentum, where TensorFlow has one fused operation. Only objects in memory are changed: a saved model is a
plain Keras model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence

import keras
import tensorflow as tf

from nash_tf.keras_models import private_api
from nash_tf.optimizers import Muon

DEFAULT = tf.distribute.get_strategy()
GROUP = 8  # most training steps in one call
GROUP_OPERATIONS = 6e9  # most operations of the forward passes of a group; larger steps gain nothing
GROUPED_UPDATES = 200  # fewest training steps for which grouping saves more time than it takes to trace
plain = tf.autograph.experimental.do_not_convert


def prepare(model: keras.Model) -> keras.Model:
    """Changes a compiled model so that it trains and evaluates faster; `fit`, its callbacks and metrics work as before.

    What may not give the same result is not changed: optimisers other than `keras.optimizers.SGD` and `nash_tf.optimizers.Muon`, classes
    derived from these among them, unusual batch normalisations, and models that run eagerly, with XLA or distributed. `model.compile` undoes the change.

    Args:
        model: a compiled model; a user-defined `train_step` or `test_step` is used.

    Returns:
        The model.
    """
    steps = model.steps_per_execution
    if model.run_eagerly or model.jit_compile or model.distribute_strategy is not DEFAULT or not isinstance(steps, int):
        return model
    for layer in private_api.parts(model):
        if _can_fuse(layer):
            layer.call = _FusedNormalisation(layer)
    if type(model.optimizer) in (keras.optimizers.SGD, Muon):
        fuse_updates(model.optimizer)
    model.train_function = _TrainFunction(model, model.train_step)
    model.test_function = _TestFunction(model, model.test_step)
    return model


def trace_anew(model: keras.Model) -> None:
    """Lets a compiled model trace its training step anew, because what it computes has changed."""
    is_prepared = isinstance(model.train_function, _TrainFunction)
    model.train_function = _TrainFunction(model, model.train_step) if is_prepared else None


def group_steps(model: keras.Model, operations: float, updates: int) -> None:
    """Lets a prepared model do several training steps in one call, if that saves time: if they are cheap and many.

    `fit` spends 1 to 2 ms around each call; tracing a group of steps takes 0.05 to 0.3 s. Callbacks are called for the
    last batch of each group only. A model that is not prepared, or was trained already, is not changed.

    Args:
        model: a compiled model.
        operations: floating-point operations of the forward pass of a batch.
        updates: number of training steps that will follow at least.
    """
    if (
        isinstance(model.train_function, _TrainFunction)
        and not model.train_function.traced
        and updates >= GROUPED_UPDATES
    ):
        model.steps_per_execution = max(1, min(GROUP, int(GROUP_OPERATIONS // max(operations, 1))))


def follow_rates(model: keras.Model, rates: Sequence[float] | None) -> bool:
    """Sets the learning rates of the next training steps of a prepared model.

    Args:
        model: a compiled model.
        rates: one learning rate for each of the next steps, which must be enough for the epoch; None to stop setting
            them.

    Returns:
        Whether the model is prepared. If not, nothing was done.
    """
    is_prepared = isinstance(model.train_function, _TrainFunction)
    if is_prepared:
        model.train_function.follow_rates(rates)
    return is_prepared


def is_followed(model: keras.Model) -> bool:
    """Whether the steps of a pass set the rates of `follow_rates`: those of `fit` do, those of a loop of the user's own do not."""
    return isinstance(model.train_function, _TrainFunction) and model.train_function.is_followed


# Train and test functions ---------------------------------------------------------------------------------------------


class _StepFunction(ABC):
    """A function that `fit` or `evaluate` calls with an iterator over batches. It returns the logs of the last step.

    Args:
        model: the model.
        step: the model's `train_step` or `test_step`.
    """

    def __init__(self, model: keras.Model, step: Callable):
        self._model, self._step = model, step
        self._traced: dict[Hashable, Callable] = {}
        self._keras_function: Callable | None = None

    @property
    def traced(self) -> bool:
        """Whether it has been called."""
        return bool(self._traced)

    def __call__(self, iterator):
        if not isinstance(iterator, tf.data.Iterator):  # from `train_on_batch` or `test_on_batch`
            self._keras_function = self._keras_function or private_api.keras_function(self._model, self._step)
            return self._keras_function(iterator)
        return self._run(iterator)

    @abstractmethod
    def _run(self, iterator):
        """Takes as many steps as the model's `steps_per_execution`, and returns the logs of the last."""

    def _function(self, iterator, make: Callable[[], Callable], *key: Hashable) -> Callable:
        """The `tf.function` of what `make` returns, traced once for each key."""
        if key not in self._traced:
            _build(self._model, iterator.element_spec)
            self._traced[key] = tf.function(plain(make()), autograph=False, reduce_retracing=True)
            private_api.quiet_retracing(self._traced[key])  # each model of a search has one
        return self._traced[key]

    def _one(self):
        return lambda iterator: self._step(next(iterator))


class _TestFunction(_StepFunction):
    """Evaluation steps, called one by one, because they are few and large."""

    def _run(self, iterator):
        limit = self._model.steps_per_execution
        if limit == 1:
            return self._function(iterator, self._one)(iterator)
        one, logs = self._function(iterator, lambda: lambda batch: self._step(batch.get_value()), "several"), None
        for _ in range(limit):
            # Not `next`: a step that is called beyond the last batch counts it in its metrics before it fails.
            batch = iterator.get_next_as_optional()
            if not batch.has_value():
                break
            logs = one(batch)
        if logs is None:
            raise StopIteration
        return logs


class _TrainFunction(_StepFunction):
    """Training steps; several of them are a loop in the graph."""

    def __init__(self, model: keras.Model, step: Callable):
        super().__init__(model, step)
        self._following, self._iterator = False, None
        self.cut_short = 0  # by so many steps the last call was shorter than the several that it takes at once
        with tf.device("CPU"):
            self._rates = tf.Variable([0.0], shape=(None,), trainable=False)
            self._steps_taken = tf.Variable(0, trainable=False, dtype=tf.int64)  # index of the next of these rates

    @property
    def is_followed(self) -> bool:
        """See `is_followed` of the module."""
        return self._following and self._iterator is not None

    def follow_rates(self, rates: Sequence[float] | None) -> None:
        """See `follow_rates` of the module."""
        self._following, self._iterator = rates is not None, None
        if rates is not None:
            self._rates.assign(rates)
            self._steps_taken.assign(0)

    def _run(self, iterator):
        if self._following:
            # The rates are for one pass over the data. After an interrupted `fit` the next pass must not use them.
            self._iterator = self._iterator or iterator
            self._following = self._iterator is iterator
        limit = self._model.steps_per_execution
        if limit == 1:
            return self._function(iterator, self._one, 1, self._following)(iterator)
        steps, logs = self._function(iterator, lambda: self._several(limit), limit, self._following)(iterator)
        if not steps:
            raise StopIteration
        self.cut_short = limit - int(steps)
        return logs

    def _one(self):
        step = self._rated()
        return lambda iterator: step(next(iterator))

    def _rated(self):
        """The model's step, with the learning rate set before it while rates are followed."""
        if not self._following:
            return self._step

        def step(data):
            self._model.optimizer.learning_rate = self._rates[self._steps_taken]
            self._steps_taken.assign_add(1)
            return self._step(data)

        return step

    def _several(self, limit: int):
        """A function of an iterator that takes up to `limit` steps; returns their number and the logs of the last."""
        step = tf.function(self._rated(), autograph=False)

        def several(iterator):
            logs = step.get_concrete_function(iterator.element_spec).structured_outputs
            none = tf.nest.map_structure(lambda log: tf.zeros(log.shape, log.dtype), logs)

            def body(count, data, _):
                logs, count = step(data.get_value()), count + 1
                following = tf.cond(count < limit, iterator.get_next_as_optional, lambda: data)
                return count, following, logs

            count, _, logs = tf.while_loop(
                lambda count, data, _: tf.logical_and(count < limit, data.has_value()),
                body,
                (0, iterator.get_next_as_optional(), none),
            )
            return count, logs

        return several


def _build(model: keras.Model, batch) -> None:
    """Creates the variables of optimiser, loss and metrics, since a step that creates variables is traced twice."""
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    outputs = private_api.output_structure(model)
    if outputs is None or not private_api.has_unbuilt_metrics(model):
        return
    x, y, weights = keras.utils.unpack_x_y_sample_weight(keras.tree.map_structure(_symbolic, batch))
    if y is not None:
        private_api.symbolic_call(model.compute_metrics, x, y, outputs, sample_weight=weights)


def _symbolic(spec):
    return keras.KerasTensor(spec.shape, keras.backend.standardize_dtype(spec.dtype))


# Batch normalisation --------------------------------------------------------------------------------------------------


def _can_fuse(layer) -> bool:
    """Whether a layer is a batch normalisation that `_FusedNormalisation` computes."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.renorm
        and not layer.synchronized
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
        and layer.variable_dtype == "float32"
    )


class _FusedNormalisation:
    """`BatchNormalization.call`, with one fused operation in training mode."""

    def __init__(self, layer: keras.layers.BatchNormalization):
        self._layer, self._keras_call = layer, layer.call

    def __call__(self, inputs, training=None, mask=None):
        layer = self._layer
        if not training or not layer.trainable or mask is not None:
            return self._keras_call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=layer.gamma.value if layer.scale else tf.ones(channels),
            offset=layer.beta.value if layer.center else tf.zeros(channels),
            mean=tf.constant([]),
            variance=tf.constant([]),
            epsilon=layer.epsilon,
            exponential_avg_factor=1.0,
            is_training=True,
        )
        # The operation returns the unbiased variance, with n - 1; Keras averages the variance of the batch, with n.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        variance *= (count - 1.0) / count
        rest = 1.0 - layer.momentum
        for average, value in ((layer.moving_mean.value, mean), (layer.moving_variance.value, variance)):
            average.assign_sub((average - value) * rest)
        return outputs


# Optimiser ------------------------------------------------------------------------------------------------------------


def fuse_updates(optimizer: keras.optimizers.SGD) -> None:
    """Lets SGD update each variable with one fused operation, and two more for weight decay."""

    def decay(variables):
        if optimizer.weight_decay is None:
            return
        share = tf.cast(optimizer.learning_rate, tf.float32) * optimizer.weight_decay
        for variable in variables:
            if private_api.decays(optimizer, variable):
                value = variable.value
                value.assign_sub(value * tf.cast(share, value.dtype), read_value=False)

    def update(gradients, variables, learning_rate):
        for gradient, variable in zip(gradients, variables, strict=True):
            is_orthogonal = isinstance(optimizer, Muon) and optimizer.is_orthogonal(variable)
            if is_orthogonal or optimizer.momentum == 0 or isinstance(gradient, tf.IndexedSlices):
                optimizer.update_step(gradient, variable, learning_rate)
                continue
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.value.handle,
                accum=optimizer.momentums[private_api.slot_index(optimizer, variable)].value.handle,
                lr=tf.cast(learning_rate, variable.dtype),
                grad=tf.cast(gradient, variable.dtype),
                momentum=tf.cast(optimizer.momentum, variable.dtype),
                use_nesterov=optimizer.nesterov,
            )

    private_api.set_updates(optimizer, decay, update)
