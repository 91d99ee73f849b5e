"""Distillation: a student is trained against the outputs of a teacher as well as the labels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from numbers import Real
from operator import getitem
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from nash_tf.keras_models import fast_training, private_api
from nash_tf.training.output_forms import Form, by_output, form_of_loss, losses_of, output_forms

SHARE, TEMPERATURE = 0.9, 4.0
MEAN = "sum_over_batch_size"  # how Keras reduces the values of a mere function


def distill(
    student: keras.Model,
    teacher: keras.Model,
    *data: Any,
    share: float = SHARE,
    temperature: float = TEMPERATURE,
    **fit: Any,
) -> keras.callbacks.History:
    """Trains a student as `student.fit` does, against the outputs of a teacher as well as the labels.

    Hinton, Vinyals and Dean 2015 (arXiv 1503.02531): the loss is (1 - share) times the student's own, and share times
    temperature ** 2 times the divergence of the student's class probabilities from the teacher's, both softened by the
    temperature. Where the student's loss is no cross-entropy, it is that loss with the teacher's outputs as the targets.
    Over the examples of a batch the teacher's part is a sum or a mean as the student's own loss is (its `reduction`).
    Either may give logits and the other probabilities: the student gives what its loss takes, and the teacher what its own
    loss takes, or, without a cross-entropy of its own, what its last activation gives.
    The teacher sees the same images as the student, augmented alike (Beyer et al. 2022, arXiv 2106.05237).

    `nash_tf.distill(small, model, images, labels, epochs=5)` after `small = nash_tf.shrink(model, ...).model`.

    Args:
        student: a compiled model. It has its own loss again afterwards, and holds nothing of the teacher; it is saved and
            exported as if it had been trained alone.
        teacher: a model of the same inputs and outputs, compiled or not. It is not changed.
        *data, **fit: what `fit` takes; `sample_weight` and `class_weight` weigh both parts of the loss. Losses on validation
            data are the student's own.
        share: of the teacher in the loss, from 0 to 1.
        temperature: above 0. Above 1 it brings out how like the teacher finds the other classes.

    Returns:
        What `fit` returns.

    Raises:
        ValueError: a number is out of range, the student is not compiled, the teacher's outputs have other shapes, it is not
            known whether they are logits or probabilities, or inputs or labels are missing.
    """
    _check(student, teacher, share, temperature)
    _check_data(*data[:2], **{name: fit[name] for name in ("x", "y") if name in fit})
    with taught(student, teacher, share, temperature):
        return student.fit(*data, **fit)


@contextmanager
def taught(student: keras.Model, teacher: keras.Model, share: float, temperature: float) -> Iterator[None]:
    """Context in which a student is trained against a teacher too; see `distill`."""
    _check(student, teacher, share, temperature)
    losses, own = _losses(student), student.compute_loss
    forms = _teacher_forms(student, teacher)

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        given = (x, y, y_pred, sample_weight)
        loss = own(*given, training=training) if private_api.has_training_loss(student) else own(*given)
        if not training:
            return loss
        targets = teacher(x, training=False)
        paths = [path for path, _ in keras.tree.flatten_with_path(y_pred)]
        outputs, targets = (
            [ops.cast(each, "float32") for each in keras.tree.flatten(nested)] for nested in (y_pred, targets)
        )
        soft = sum(
            weight * _divergence(each, output, target, temperature, _at(path, sample_weight), form)
            for (each, weight), path, output, target, form in zip(losses, paths, outputs, targets, forms, strict=True)
            if each is not None
        )
        regular = ops.sum([ops.sum(ops.cast(each, "float32")) for each in student.losses] or [0.0])
        return loss + share * (soft - (ops.cast(loss, "float32") - regular))

    student.compute_loss = compute_loss
    fast_training.trace_anew(student)
    try:
        yield
    finally:
        del student.compute_loss
        fast_training.trace_anew(student)


def _divergence(loss: Any, output, target, temperature: float, weights: Any = None, form: Form | None = None):
    """How far outputs are from those of the teacher, over the examples as the loss is.

    Args:
        loss: the student's.
        output: of the student.
        target: output of the teacher.
        temperature: of both.
        weights: of the examples, as for a Keras loss.
        form: of the teacher's output; None for that of the student's.
    """
    own, target = form_of_loss(loss), ops.stop_gradient(target)
    if own is None:
        return (loss if isinstance(loss, keras.losses.Loss) else _Loss(loss))(target, output, weights)

    def divergence(target, output):
        pairs = (output, own), (target, form or own)
        of_student, of_teacher = (
            ops.log_softmax(_logits(each, bool(own.is_binary), of) / temperature) for each, of in pairs
        )
        values = temperature**2 * ops.sum(ops.exp(of_teacher) * (of_teacher - of_student), -1)
        return ops.mean(values, -1) if own.is_binary else values  # one for each example, as the loss has it

    return _Loss(divergence, getattr(loss, "reduction", MEAN))(target, output, weights)


class _Loss(keras.losses.Loss):
    """A loss of a function's values: Keras weighs and reduces them, as those of the student's own loss."""

    def __init__(self, values: Callable, reduction: str | None = MEAN):
        super().__init__("distillation", reduction, "float32")
        self.call = values


def _at(path: tuple, weights: Any):
    """The weights of the examples for the output at a path; one array is for all outputs."""
    return reduce(getitem, path, weights) if keras.tree.is_nested(weights) else weights


def _logits(values, is_binary: bool, form: Form):
    """Logits over classes on the last axis, of values in a form; of binary outputs over two."""
    tiny, are_logits = keras.config.epsilon(), form.are_logits
    if are_logits and form.is_binary not in (None, is_binary):
        values, are_logits = ops.sigmoid(values) if form.is_binary else ops.softmax(values), False
    if is_binary:
        values = values if are_logits else ops.log(values + tiny) - ops.log(1.0 - values + tiny)
        return ops.stack([values, ops.zeros_like(values)], -1)
    return values if are_logits else ops.log(values + tiny)


def _losses(student: keras.Model) -> list[tuple[Any, float]]:
    """The student's loss of each output, and its weight; None for an output without."""
    weights = by_output(student, private_api.loss_weights(student))
    return [(loss, 1.0 if weight is None else weight) for loss, weight in zip(losses_of(student), weights, strict=True)]


def _teacher_forms(student: keras.Model, teacher: keras.Model) -> list[Form | None]:
    """In which form the teacher gives each output; None where the student's loss is no cross-entropy."""
    wanted, forms = map(form_of_loss, losses_of(student)), output_forms(teacher)
    for number, (own, form) in enumerate(zip(wanted, forms, strict=True)):
        if own is not None and form is None:
            gives = "logits" if own.are_logits else "probabilities"
            raise ValueError(
                f"student {student.name!r} gives {gives} as output {number}, and it is not known whether teacher "
                f"{teacher.name!r} gives logits or probabilities: it is not compiled with a cross-entropy, and its last layer "
                "does not tell; compile it, e.g. teacher.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))"
            )
    return forms


def _check(student: keras.Model, teacher: keras.Model, share: float, temperature: float) -> None:
    for name, value, rule, holds in (
        ("share", share, "from 0 to 1", lambda value: 0 <= value <= 1),
        ("temperature", temperature, "above 0", lambda value: 0 < value < float("inf")),
    ):
        if isinstance(value, bool) or not isinstance(value, Real) or not holds(value):
            raise ValueError(f"{name} must be a number {rule}, received {value!r}")
    for name, model in (("student", student), ("teacher", teacher)):
        if not isinstance(model, keras.Model) or not getattr(model, "outputs", None):
            received = f"{model.name!r} of class " if isinstance(model, keras.Model) else ""
            raise ValueError(f"{name} must be a functional keras.Model, received {received}{type(model).__name__}")
    if not student.compiled or student.loss is None:
        raise ValueError(f"student {student.name!r} is not compiled with a loss")
    if student is teacher:
        raise ValueError("student and teacher are one model: the teacher must stay as it is")
    shapes = [[tuple(each.shape) for each in keras.tree.flatten(model.outputs)] for model in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the teacher's outputs must have the student's shapes {shapes[0]}, received {shapes[1]}")


def _check_data(x: Any = None, y: Any = None) -> None:
    """Checks what is given to `fit` as inputs and labels."""
    if x is None:
        raise ValueError("there is nothing to train on: give inputs and labels, as student.fit takes them")
    if y is None and all(isinstance(part, np.ndarray) or tf.is_tensor(part) for part in keras.tree.flatten(x)):
        raise ValueError(
            "labels are missing: inputs came as arrays without them; give both, distill(student, teacher, inputs, labels)"
        )
