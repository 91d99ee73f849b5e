"""A lean training path for a compiled model: the same numbers to rounding as `Model.fit` by itself, for less processor time.

A child is trained for a few epochs only, so what it costs to trace its first step counts as much as the steps. Both hang on
the number of operations: Keras makes 16 of a batch normalisation and 9 of an update with momentum, where TensorFlow has one
that does the same. What is altered is the objects in memory: a saved model is a plain Keras model.
"""

from collections.abc import Callable, Hashable, Sequence

import keras
import tensorflow as tf

from nash_tf.keras_models import private_api

DEFAULT = tf.distribute.get_strategy()
GROUP = 8  # training steps in one call at most
GROUP_OPERATIONS = 6e9  # of the forward passes of a group: beyond it the time around a call does not count
GROUPED_UPDATES = 200  # fewer do not win back what tracing a group takes
plain = tf.autograph.experimental.do_not_convert


def prepare(model: keras.Model) -> keras.Model:
    """Alters a compiled model to train and evaluate with less work; `fit`, its callbacks and metrics stay what they are.

    What is not known to give the same result is left as it is: other optimisers than `keras.optimizers.SGD` itself,
    unusual batch normalisations, models that run eagerly, by XLA or distributed. `model.compile` undoes it.

    Args:
        model: compiled; a user-defined `train_step` or `test_step` is what is traced.

    Returns:
        The model.
    """
    steps = model.steps_per_execution
    if model.run_eagerly or model.jit_compile or model.distribute_strategy is not DEFAULT or not isinstance(steps, int):
        return model
    for layer in private_api.parts(model):
        if _is_usual(layer):
            layer.call = _FusedNormalisation(layer)
    if type(model.optimizer) is keras.optimizers.SGD:
        fuse_updates(model.optimizer)
    model.train_function = _TrainFunction(model, model.train_step)
    model.test_function = _TestFunction(model, model.test_step)
    return model


def group_steps(model: keras.Model, operations: float, updates: int) -> None:
    """Has a prepared model do several training steps a call where that pays: where they are cheap and many.

    What `fit` does around a call takes 1 to 2 ms, tracing the loop of a group 0.05 to 0.3 s. Callbacks hear of the last batch
    of each call. Models that are not prepared, or were trained already, are left as they are.

    Args:
        model: compiled.
        operations: of the forward pass of a batch.
        updates: training steps that are certain to follow.
    """
    if (
        isinstance(model.train_function, _TrainFunction)
        and not model.train_function.traced
        and updates >= GROUPED_UPDATES
    ):
        model.steps_per_execution = max(1, min(GROUP, int(GROUP_OPERATIONS // max(operations, 1))))


def follow(model: keras.Model, rates: Sequence[float] | None) -> bool:
    """Has the next training steps of a prepared model take one of these learning rates each, or none with None.

    Returns:
        Whether the model is prepared, so that this was done.
    """
    following = isinstance(model.train_function, _TrainFunction)
    if following:
        model.train_function.follow(rates)
    return following


# The function ---------------------------------------------------------------------------------------------------------


class _Function:
    """What `fit` and `evaluate` call with an iterator for the logs of one step, or of the last of several."""

    def __init__(self, model: keras.Model, step: Callable):
        self._model, self._step = model, step
        self._traced: dict[Hashable, Callable] = {}
        self._usual: Callable | None = None

    @property
    def traced(self) -> bool:
        """Whether it was called already."""
        return bool(self._traced)

    def __call__(self, iterator):
        if not isinstance(iterator, tf.data.Iterator):  # of `train_on_batch`
            self._usual = self._usual or private_api.usual_function(self._model, self._step)
            return self._usual(iterator)
        return self._run(iterator)

    def _function(self, iterator, make: Callable[[], Callable], *which: Hashable) -> Callable:
        if which not in self._traced:
            _build(self._model, iterator.element_spec)
            self._traced[which] = tf.function(plain(make()), autograph=False, reduce_retracing=True)
            private_api.quiet_retracing(self._traced[which])  # once for a model, and a search has many
        return self._traced[which]

    def _one(self):
        return lambda iterator: self._step(next(iterator))


class _TestFunction(_Function):
    """Steps called one by one: they are few and large."""

    def _run(self, iterator):
        one, logs = self._function(iterator, self._one), None
        for _ in range(self._model.steps_per_execution):
            try:
                logs = one(iterator)
            except tf.errors.OutOfRangeError:
                if logs is None:
                    raise
                break
        return logs


class _TrainFunction(_Function):
    """Several steps as a loop in the graph."""

    def __init__(self, model: keras.Model, step: Callable):
        super().__init__(model, step)
        self._following, self._pass = False, None
        with tf.device("CPU"):
            self._rates = tf.Variable([0.0], shape=(None,), trainable=False)
            self._taken = tf.Variable(0, trainable=False, dtype=tf.int64)  # of these rates

    def follow(self, rates: Sequence[float] | None) -> None:
        self._following, self._pass = rates is not None, None
        if rates is not None:
            self._rates.assign(rates)
            self._taken.assign(0)

    def _run(self, iterator):
        if self._following:
            # The rates are those of one pass: a `fit` that was interrupted has told nobody that it is over.
            self._pass = self._pass or iterator
            self._following = self._pass is iterator
        limit = self._model.steps_per_execution
        if limit == 1:
            return self._function(iterator, self._one, 1, self._following)(iterator)
        steps, logs = self._function(iterator, lambda: self._several(limit), limit, self._following)(iterator)
        if not steps:
            raise StopIteration
        return logs

    def _one(self):
        step = self._rated()
        return lambda iterator: step(next(iterator))

    def _rated(self):
        if not self._following:
            return self._step

        def step(data):
            self._model.optimizer.learning_rate = self._rates[self._taken]
            self._taken.assign_add(1)
            return self._step(data)

        return step

    def _several(self, limit: int):
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
    """Makes the variables of optimiser, loss and metrics: made within the first step, they have it traced twice."""
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


def _is_usual(layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.renorm
        and not layer.synchronized
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
    )


class _FusedNormalisation:
    """`BatchNormalization.call`, by one operation in training mode."""

    def __init__(self, layer: keras.layers.BatchNormalization):
        self._layer, self._usual = layer, layer.call

    def __call__(self, inputs, training=None, mask=None):
        layer = self._layer
        if not training or not layer.trainable or mask is not None:
            return self._usual(inputs, training=training, mask=mask)
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
        # The operation tells the variance of the population, Keras keeps that of the batch.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        variance *= (count - 1.0) / count
        rest = 1.0 - layer.momentum
        for average, seen in ((layer.moving_mean.value, mean), (layer.moving_variance.value, variance)):
            average.assign_sub((average - seen) * rest)
        return outputs


# Optimiser ------------------------------------------------------------------------------------------------------------


def fuse_updates(optimizer: keras.optimizers.SGD) -> None:
    """Has an SGD update each variable by one operation, and two more for its weight decay."""

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
            index = private_api.slot_index(optimizer, variable)
            rate = tf.cast(learning_rate, variable.dtype)
            if optimizer.momentum == 0 or isinstance(gradient, tf.IndexedSlices):
                optimizer.update_step(gradient, variable, learning_rate)
                continue
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.value.handle,
                accum=optimizer.momentums[index].value.handle,
                lr=rate,
                grad=tf.cast(gradient, variable.dtype),
                momentum=tf.cast(optimizer.momentum, variable.dtype),
                use_nesterov=optimizer.nesterov,
            )

    private_api.set_updates(optimizer, decay, update)
