"""Keras optimisers of the package, registered for serialisation."""

import math
from numbers import Integral, Real
from typing import Any, NoReturn

import keras
import tensorflow as tf

# Coefficients of the quintic Newton-Schulz iteration, chosen for a steep slope at 0: it brings singular values near to 1, not to 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315


@keras.saving.register_keras_serializable(package="nash_tf")
class Muon(keras.optimizers.SGD):
    """SGD whose steps on the kernels of convolutions are orthogonal: all directions of a step are of like length.

    The step that SGD with momentum would take on a kernel [..., inputs, filters], as a matrix [places x inputs, filters], is
    replaced by kernel_rate x learning_rate x the nearest matrix with orthonormal rows or columns. So it is for all kernels of three
    or more axes, which those of attention have too; that of a grouped convolution is one matrix. All other variables, among them
    those of dense layers, depthwise kernels and single filters, are trained as by SGD. The slots are SGD's.

    A variable does not tell that it is a depthwise kernel with several filters for each channel (`depth_multiplier` above 1): its shape
    and name are those of a convolution. Where you compile a model with such layers yourself, call `exclude_depthwise(model.layers)`
    before it is trained, and again on the optimiser of a model that was loaded. Those with one filter for each channel are known.

    Sources: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), from which iteration and
    coefficients are; `keras.optimizers.Muon` leaves kernels of convolutions to AdamW.

    Args:
        learning_rate, momentum, nesterov, weight_decay: as for SGD; weight decay is that of all variables. A rate of 0 is what one
            that was annealed to the end is saved with.
        kernel_rate: learning rate of kernels of convolutions, as a share of `learning_rate`, above 0.
        iterations_per_step: number of Newton-Schulz iterations, at least 1.
        name, **kwargs: as for any optimiser.

    Raises:
        ValueError: a rate is below its limit or not finite, or the iterations are no whole number of at least 1.
    """

    def __init__(
        self,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=None,
        kernel_rate=0.4,
        iterations_per_step=5,
        name="muon",
        **kwargs,
    ) -> None:
        _check(learning_rate, kernel_rate, iterations_per_step)
        super().__init__(learning_rate, momentum, nesterov, weight_decay, name=name, **kwargs)
        self.kernel_rate, self.iterations_per_step = kernel_rate, iterations_per_step
        self._depthwise: set[int] = set()  # ids of kernels

    def exclude_depthwise(self, layers):
        """Has it train the kernels of the depthwise layers among some as by SGD, also those with several filters for each channel.
        To be called before the first step; for the models of a search, and for those that `morph` returns, it is done."""
        depthwise = keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D
        self._depthwise |= {id(layer.kernel) for layer in layers if isinstance(layer, depthwise)}
        if self.built:  # as that of a model that was loaded is
            self._choose(self._trainable_variables)

    def build(self, variables):
        """Makes the slots."""
        super().build(variables)
        self._choose(variables)

    def _choose(self, variables):
        self._orthogonal = [_mixes_channels(each) and id(each) not in self._depthwise for each in variables]

    def is_orthogonal(self, variable) -> bool:
        """Whether steps on one of its variables are orthogonal."""
        return self._orthogonal[self._get_variable_index(variable)]

    def update_step(self, gradient, variable, learning_rate):
        """One step on one variable."""
        if not self.is_orthogonal(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        rate = tf.cast(learning_rate, variable.dtype)
        step = -rate * tf.cast(gradient, variable.dtype)
        if self.momentum:
            slot = self.momentums[self._get_variable_index(variable)]
            average = self.momentum * tf.convert_to_tensor(slot) + step
            self.assign(slot, average)
            step = self.momentum * average + step if self.nesterov else average
        self.assign_add(variable, self.kernel_rate * rate * orthogonal(step, self.iterations_per_step))

    def get_config(self):
        """Its arguments."""
        return super().get_config() | {
            "kernel_rate": self.kernel_rate,
            "iterations_per_step": self.iterations_per_step,
        }


def _check(learning_rate: Any, kernel_rate: Any, iterations_per_step: Any) -> None:
    """Checks the arguments of these names; a schedule or a callable in place of a rate is Keras' to check."""

    def refuse(argument: str, expected: str, value: Any) -> NoReturn:
        raise ValueError(f"{argument}: expected {expected}. Received: {value!r}")

    if _is(Real, learning_rate) and not 0 <= learning_rate < math.inf:
        refuse("learning_rate", "a finite number of at least 0", learning_rate)
    if not (_is(Real, kernel_rate) and 0 < kernel_rate < math.inf):
        refuse("kernel_rate", "a finite number above 0", kernel_rate)
    if not (_is(Integral, iterations_per_step) and iterations_per_step >= 1):
        refuse("iterations_per_step", "a whole number of at least 1", iterations_per_step)


def _is(kind: type, value: Any) -> bool:
    """Whether a value is a number of a kind; True is none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _mixes_channels(variable: keras.Variable) -> bool:
    """Whether a variable is a kernel of convolution or attention; a depthwise one has a single filter for each channel, on the last axis."""
    return variable.name in ("kernel", "pointwise_kernel") and len(variable.shape) >= 3 and variable.shape[-1] > 1


def orthogonal(kernel: tf.Tensor, iterations: int = 5) -> tf.Tensor:
    """A kernel [..., filters] of which each singular value, as a matrix [the rest, filters], is near 1; those of 0 stay 0."""
    matrix = tf.reshape(kernel, (-1, kernel.shape[-1]))
    is_tall = matrix.shape[0] > matrix.shape[1]
    # The iteration multiplies by a square matrix of the first side: the shorter is cheaper.
    wide = tf.transpose(matrix) if is_tall else matrix
    wide /= tf.norm(wide) + 1e-7
    for _ in range(iterations):
        square = tf.matmul(wide, wide, transpose_b=True)
        wide = _A * wide + tf.matmul(_B * square + _C * tf.matmul(square, square), wide)
    return tf.reshape(tf.transpose(wide) if is_tall else wide, kernel.shape)
