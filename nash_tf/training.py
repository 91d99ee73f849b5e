"""A lean training path for a compiled model: the same numbers to rounding as `Model.fit` by itself, for less processor time.

A child is trained for a few epochs only, so what it costs to trace its first step counts as much as the steps. Both hang on
the number of operations: Keras makes 16 of a batch normalisation and 9 of an update with momentum, where TensorFlow has one
that does the same. What is altered is the objects in memory: a saved model is a plain Keras model.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

DEFAULT = tf.distribute.get_strategy()
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
    for layer in model._flatten_layers(include_self=False):
        if _is_usual(layer):
            layer.call = _FusedNormalisation(layer)
    if type(model.optimizer) is keras.optimizers.SGD:
        fuse_updates(model.optimizer)
    model.train_function = _Function(model, model.train_step)
    model.test_function = _Function(model, model.test_step)
    return model


# The function ---------------------------------------------------------------------------------------------------------


class _Function:
    """What `fit` and `evaluate` call with an iterator for the logs of one step, or of the last of several."""

    def __init__(self, model: keras.Model, step: Callable):
        self._model, self._step, self._limit = model, step, model.steps_per_execution
        self._traced: Callable | None = None
        self._usual: Callable | None = None

    def __call__(self, iterator):
        if not isinstance(iterator, tf.data.Iterator):  # of `train_on_batch`
            self._usual = self._usual or self._model._make_function(self._step)
            return self._usual(iterator)
        if self._traced is None:
            _build(self._model, iterator.element_spec)
            self._traced = self._one() if self._limit == 1 else self._several()
            self._traced._omit_frequent_tracing_warning = True  # once for a model, and a search has many
        if self._limit == 1:
            return self._traced(iterator)
        steps, logs = self._traced(iterator)
        if not steps:
            raise StopIteration
        return logs

    def _one(self):
        return tf.function(plain(lambda iterator: self._step(next(iterator))), autograph=False, reduce_retracing=True)

    def _several(self):
        step = tf.function(self._step, autograph=False)

        @plain
        def several(iterator):
            logs = step.get_concrete_function(iterator.element_spec).structured_outputs
            none = tf.nest.map_structure(lambda log: tf.zeros(log.shape, log.dtype), logs)

            def body(count, data, _):
                logs, count = step(data.get_value()), count + 1
                following = tf.cond(count < self._limit, iterator.get_next_as_optional, lambda: data)
                return count, following, logs

            count, _, logs = tf.while_loop(
                lambda count, data, _: tf.logical_and(count < self._limit, data.has_value()),
                body,
                (0, iterator.get_next_as_optional(), none),
            )
            return count, logs

        return tf.function(several, autograph=False, reduce_retracing=True)


def _build(model: keras.Model, batch) -> None:
    """Makes the variables of optimiser, loss and metrics: made within the first step, they have it traced twice."""
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    metrics = model._compile_metrics
    if metrics is None or metrics.built or not hasattr(model, "_outputs_struct"):
        return
    x, y, weights = keras.utils.unpack_x_y_sample_weight(keras.tree.map_structure(_symbolic, batch))
    if y is not None:
        keras.src.backend.compute_output_spec(model.compute_metrics, x, y, model._outputs_struct, sample_weight=weights)


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
            if optimizer._use_weight_decay(variable):
                value = variable.value
                value.assign_sub(value * tf.cast(share, value.dtype), read_value=False)

    def update(gradients, variables, learning_rate):
        for gradient, variable in zip(gradients, variables, strict=True):
            index = optimizer._get_variable_index(variable)
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

    optimizer._apply_weight_decay, optimizer._backend_update_step = decay, update
