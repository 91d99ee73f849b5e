"""Distillation: a student is trained against the outputs of a teacher as well as the labels."""

from collections import Counter
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
from nash_tf.training.output_forms import (
    Form,
    OutputLoss,
    form_of_loss,
    forms_by_activation,
    functional,
    losses_of,
    output_forms,
    output_names,
)
from nash_tf.training.soft_targets import why_not

SHARE, TEMPERATURE = 0.9, 4.0
_NO_LABELS = "labels are missing: there are inputs alone; give both, distill(student, teacher, inputs, labels), or batches of both"


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
    temperature. Where the student's loss is no cross-entropy or divergence of Keras, it is that loss with the teacher's
    outputs as the targets; it must be least where outputs equal their targets, as `"mse"` is, or a loss of your own like it.
    Over the examples of a batch the teacher's part is a sum or a mean as the student's own loss is (its `reduction`), and
    leaves out what that leaves out: masked steps, and the labels of its `ignore_class`.
    Either may give logits and the other probabilities: the student gives what its loss takes, and the teacher what its own
    loss takes, or, without a cross-entropy of its own, what its last activation gives.
    The teacher sees the same images as the student, augmented alike (Beyer et al. 2022, arXiv 2106.05237).

    `nash_tf.distill(small, model, images, labels, epochs=5)` after `small = nash_tf.shrink(model, ...).model`.

    Args:
        student: a compiled model. It has its own loss again afterwards, and holds nothing of the teacher; it is saved and
            exported as if it had been trained alone.
        teacher: a model of the same inputs and outputs, compiled or not. It is not changed. Outputs that have the student's
            names teach those of their name, wherever they stand; others those at their place.
        *data, **fit: what `fit` takes; `sample_weight` and `class_weight` weigh both parts of the loss. Losses on validation
            data are the student's own.
        share: of the teacher in the loss, from 0 to 1. With 0 nothing is learnt from the teacher.
        temperature: above 0. Above 1 it brings out how like the teacher finds the other classes.

    Returns:
        What `fit` returns.

    Raises:
        ValueError: a number is out of range, the student is not compiled, the teacher takes other inputs or its outputs have
            other shapes, it is not known whether they are logits or probabilities, the student's loss cannot take them as
            targets, inputs or labels are missing, or the student's own `train_step` does not call `compute_loss`, through which the
            teacher comes in.
    """
    _check(student, teacher, share, temperature)
    _check_data(*data[:2], **{name: fit[name] for name in ("x", "y") if name in fit})
    with taught(student, teacher, share, temperature):
        return student.fit(*data, **fit)


@contextmanager
def taught(student: keras.Model, teacher: keras.Model, share: float, temperature: float) -> Iterator[None]:
    """Context in which a student is trained against a teacher too; see `distill`."""
    _check(student, teacher, share, temperature)
    if share == 0:
        yield
        return
    parts, places = _parts(student, teacher), _places(student, teacher)
    own, own_step = student.compute_loss, student.train_step
    seen = Counter[str]()  # training steps that run now, and losses of the teacher so far

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, training=None):
        if y is None:
            raise ValueError(_NO_LABELS)
        # Steps do not say in which mode they are where the student's own `compute_loss` does not ask.
        training = seen["steps"] > 0 if training is None else training
        given = (x, y, y_pred, sample_weight)
        loss = own(*given, training=training) if private_api.has_training_loss(student) else own(*given)
        if not training:
            return loss
        seen["losses"] += 1
        outputs, answers = keras.tree.flatten(y_pred), _answers(teacher, x)
        labels = _labels(y, y_pred, sorted({number for number, *_ in parts}), functional(student).output_names)
        soft = 0.0
        for number, each, form in parts:
            weights, target = _at(each.path, sample_weight), answers[places[number]]
            soft += each.weight * _divergence(
                each.loss, outputs[number], target, temperature, weights, form, labels.get(number)
            )
        regular = ops.sum([ops.sum(ops.cast(each, "float32")) for each in student.losses] or [0.0])
        return loss + share * (soft - (ops.cast(loss, "float32") - regular))

    def train_step(data):
        before = seen["losses"]
        seen["steps"] += 1
        try:
            logs = own_step(data)
        finally:
            seen["steps"] -= 1
        if seen["losses"] == before:
            raise ValueError(
                f"student {student.name!r} would learn nothing from the teacher: {type(student).__name__}.train_step must take "
                "its loss from self.compute_loss(x, y, y_pred, sample_weight), and did not call it in training mode; call "
                "it there, or train on the labels alone, with share=0"
            )
        return logs

    with _replaced(student, compute_loss=compute_loss, train_step=train_step):
        yield


@contextmanager
def _replaced(student: keras.Model, **methods: Callable) -> Iterator[None]:
    """Context in which a student has other methods, and its training step is traced with them."""
    before = {name: vars(student)[name] for name in methods if name in vars(student)}
    for name, method in methods.items():
        setattr(student, name, method)
    fast_training.trace_anew(student)
    try:
        yield
    finally:
        for name in methods:
            delattr(student, name)
        for name, method in before.items():
            setattr(student, name, method)
        fast_training.trace_anew(student)


def _divergence(
    loss: keras.Loss,
    output,
    target,
    temperature: float,
    weights: Any = None,
    form: Form | None = None,
    labels: Any = None,
):
    """How far outputs are from those of the teacher, over the examples as the loss is.

    Args:
        loss: the student's.
        output: of the student. Steps that its mask leaves out do not count, as in Keras.
        target: output of the teacher.
        temperature: of both.
        weights: of the examples, as for a Keras loss.
        form: of the teacher's output; None for that of the student's.
        labels: of the examples, for a loss that ignores a class.
    """
    own, target = form_of_loss(loss), ops.stop_gradient(target)
    if own is None:
        return loss(target, output, weights)
    axis, ignored = getattr(loss, "axis", -1), getattr(loss, "ignore_class", None)

    def divergence(target, output):
        pairs = (ops.moveaxis(output, axis, -1), own), (ops.moveaxis(target, axis, -1), form or own)
        of_student, of_teacher = (
            ops.log_softmax(_logits(each, bool(own.is_binary), of) / temperature) for each, of in pairs
        )
        values = temperature**2 * ops.sum(ops.exp(of_teacher) * (of_teacher - of_student), -1)
        values = ops.mean(values, -1) if own.is_binary else values  # one for each example, as the loss has it
        if ignored is not None:
            counts = ops.not_equal(ops.cast(labels, "float32"), float(ignored))
            private_api.set_mask(values, ops.reshape(counts, ops.shape(values)))
        return values

    return _Loss(divergence, loss.reduction)(target, output, weights)


class _Loss(keras.losses.Loss):
    """A loss of a function's values: Keras weighs and reduces them, as those of the student's own loss."""

    def __init__(self, values: Callable, reduction: str | None):
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


def _answers(teacher: keras.Model, x: Any) -> list:
    """The teacher's outputs, in the order of `outputs`."""
    try:
        return keras.tree.flatten(teacher(x, training=False))
    except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        structure = private_api.input_structure(functional(teacher))
        taken, given = (keras.tree.map_structure(lambda each: tuple(each.shape), nested) for nested in (structure, x))
        raise ValueError(
            f"teacher {teacher.name!r} fails on the student's inputs: it takes shapes {taken}, received {given}"
        ) from error


def _labels(y: Any, y_pred: Any, numbers: list[int], names: list[str]) -> dict[int, Any]:
    """The labels of each output by its number, of labels that are nested in any way that Keras takes.

    Args:
        y: labels, of all outputs or of those with a loss.
        y_pred: the outputs.
        numbers: of the outputs with a loss.
        names: of all outputs.
    """
    if isinstance(y, dict) and not isinstance(y_pred, dict):
        y = [y.get(name) for name in names]
    flat = keras.tree.flatten(y)
    return dict(zip(numbers if len(flat) == len(numbers) else range(len(flat)), flat, strict=True))


def _places(student: keras.Model, teacher: keras.Model) -> list[int]:
    """By output of the student the place of the teacher's that teaches it: that of its name where both have the same names."""
    own, theirs = output_names(student), output_names(teacher)
    by_name = len(set(own)) == len(own) and sorted(own) == sorted(theirs)
    return [theirs.index(name) for name in own] if by_name else list(range(len(own)))


def _parts(student: keras.Model, teacher: keras.Model) -> list[tuple[int, OutputLoss, Form | None]]:
    """The student's losses: the number of the output, the loss, and in which form the teacher gives that output."""
    forms = output_forms(teacher)
    parts, forms = [], [forms[place] for place in _places(student, teacher)]
    for each in losses_of(student):
        path, number, loss, _ = each
        if number is None:
            raise ValueError(
                f"student {student.name!r} has one loss, {loss.name!r}, for the outputs at {list(path)} together; compile it "
                "with a loss for each of them"
            )
        own = form_of_loss(loss)
        if own is None:
            _check_targets(student, teacher, number, loss)
        elif forms[number] is None:
            gives = "logits" if own.are_logits else "probabilities"
            raise ValueError(
                f"student {student.name!r} gives {gives} as output {number}, and it is not known whether teacher "
                f"{teacher.name!r} gives logits or probabilities: it is not compiled with a cross-entropy, and its last layer "
                "does not tell; compile it, e.g. teacher.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))"
            )
        parts.append((number, each, forms[number]))
    return parts


def _check_targets(student: keras.Model, teacher: keras.Model, number: int, loss: keras.Loss) -> None:
    """Checks that the teacher's outputs can be the targets of a loss that is no cross-entropy of Keras."""
    output = keras.tree.flatten(student.outputs)[number]
    place = _places(student, teacher)[number]
    own, theirs = forms_by_activation(student)[number], output_forms(teacher)[place]
    if reason := why_not(loss, output, own):
        raise ValueError(
            f"student {student.name!r}: its loss {loss.name!r} of output {number} cannot take the teacher's outputs as labels: "
            f"{reason}; compile it for classes with a cross-entropy of Keras, e.g. "
            "keras.losses.CategoricalCrossentropy(from_logits=True), or for numbers with a distance, e.g. 'mse'; or train it on "
            "the labels alone, with share=0"
        )
    if own is None or own.are_logits or theirs is None or not theirs.are_logits:
        return
    learnt = [each.loss for each in losses_of(teacher) if each.number == place]
    if any(form_of_loss(each) is None and why_not(each, output, theirs) is None for each in learnt):
        return  # a linear output that learnt by a distance is near the labels, not logits
    raise ValueError(
        f"student {student.name!r} gives probabilities as output {number}, and teacher {teacher.name!r} logits, which the "
        f"student's loss {loss.name!r} would take as labels; give a teacher that ends in the activation too, e.g. "
        "keras.Sequential([teacher, keras.layers.Softmax()])"
    )


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
    if len(shapes[0]) == len(shapes[1]):
        shapes[1] = [shapes[1][place] for place in _places(student, teacher)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the teacher's outputs must have the student's shapes {shapes[0]}, received {shapes[1]}")


def _check_data(x: Any = None, y: Any = None) -> None:
    """Checks what is given to `fit` as inputs and labels."""
    if x is None:
        raise ValueError("there is nothing to train on: give inputs and labels, as student.fit takes them")
    if y is None and all(isinstance(part, np.ndarray) or tf.is_tensor(part) for part in keras.tree.flatten(x)):
        raise ValueError(_NO_LABELS)
