"""What a search is given for `fit`: the training data, the validation data, and the settings of both."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from types import GeneratorType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nash_tf.keras_models import private_api
from nash_tf.keras_models.calibration import CALIBRATION_BATCH
from nash_tf.training.errors import Unsearchable

POSITIONAL = ("x", "y", "sample_weight")
KERAS_BATCH = 32  # examples of a batch that `fit` makes of arrays where it is not told


@dataclass(frozen=True)
class FitArguments:
    """Arguments of `model.fit`, as they were given.

    Attributes:
        positional: those without a name.
        named: those with one, `callbacks` left out.
        ahead: the first batch of a generator, which was looked at and put back; None for other data.
    """

    positional: Sequence[Any] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    ahead: Any = None

    def check(self, objective: str, has_own_fit: bool) -> None:
        """Refuses what `fit` could not be searched with, before any training.

        Args:
            objective: its name.
            has_own_fit: whether the hypermodel has a `fit` of its own, which may make its validation data itself.

        Raises:
            ValueError: naming the argument.
        """
        if self.named.get("validation_freq", 1) != 1:
            given = self.named["validation_freq"]
            raise ValueError(
                f"search(validation_freq={given!r}): each training is judged by its last epoch; leave it out"
            )
        if has_own_fit:
            return
        if len(self.positional) > 2:
            raise ValueError(
                f"search was given {len(self.positional)} arguments without a name; give all but x and y by name"
            )
        has_validation = self.named.get("validation_data") is not None or self.named.get("validation_split")
        if objective.startswith("val_") and not has_validation:
            raise ValueError(
                f"objective {objective!r} needs validation data: give search validation_data or validation_split"
            )
        if objective.startswith("val_") and is_read_once(self.named.get("validation_data")):
            raise ValueError(
                "validation_data must not be a generator, of which each child would see other examples: all are judged by the same; "
                "give arrays, a tf.data.Dataset or a keras.utils.PyDataset"
            )

    def for_training(self) -> "FitArguments":
        """The same for one training: of a generator the first batch is looked at, and put back in front.

        Raises:
            Unsearchable: the generator has ended.
        """
        x = self.by_name().get("x")
        if not isinstance(x, GeneratorType):
            return self
        ahead = next(x, None)
        if ahead is None:
            raise Unsearchable(
                "the generator that search was given as x has no batches left, and every training goes on where the last one ended: "
                "give one without an end and steps_per_epoch, arrays, or a tf.data.Dataset"
            )
        # Keras takes only a generator; with this one x is not closed at the end of the training.
        whole = (batch for batch in itertools.chain([ahead], x))
        return replace(self.with_x(whole), ahead=ahead)

    def with_x(self, x: Any) -> "FitArguments":
        """The same with other training data."""
        if self.positional:
            return replace(self, positional=(x, *self.positional[1:]))
        return replace(self, named={**self.named, "x": x})

    def first_batch(self) -> tuple[Any, Any]:
        """Up to 128 of the training examples, as (inputs, labels); labels are None where there are none.

        Raises:
            Unsearchable: there is no x, or it has no batches, or none that `fit` would not miss.
        """
        if self.ahead is not None:
            return first_batch(iter([self.ahead]))
        by_name = self.by_name()
        if "x" not in by_name or is_read_once(by_name["x"]):
            what = f"as x {by_name['x']!r}, which is read once only" if "x" in by_name else "no x"
            raise Unsearchable(
                f"search was given {what}, and cannot calibrate with it: give calibration, a batch of it"
            )
        return first_batch(by_name["x"], by_name.get("y"))

    def of_an_epoch(self) -> dict[str, int]:
        """The "examples" that a training epoch has, and the "batch_size" of its steps; empty where the arguments do not tell.

        Of batches that are made while they are read the first is looked at, and taken to be as large as all others.
        """
        x, steps = self.by_name().get("x"), self.named.get("steps_per_epoch")
        if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
            steps, together = steps or _batches(x), _size_of_batches(x) if steps or _batches(x) else 0
        else:
            rows, together = _rows(x), self.named.get("batch_size") or KERAS_BATCH
            if self.named.get("validation_data") is None and (split := self.named.get("validation_split")):
                rows = math.floor(rows * (1.0 - split))
            if not rows or not isinstance(together, Integral):
                return {}
            together = int(together)
            if not steps:
                return {"examples": rows, "batch_size": together}
        return {"examples": int(steps) * together, "batch_size": together} if steps and together else {}

    def validation(self) -> Any:
        """The validation data that `fit` judges by, as it takes them; None where it is given none, or such as are read once only."""
        if is_read_once(self.named.get("validation_data")):
            return None
        split = self.named.get("validation_split")
        if self.named.get("validation_data") is not None or not split:
            return self.named.get("validation_data")
        by_name = self.by_name()
        whole = tuple(by_name.get(name) for name in POSITIONAL)
        return private_api.validation_part(whole, split)

    def evaluate(self, model: keras.Model, validation: Any) -> dict[str, float]:
        """What `fit` would find on validation data."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(validation)
        return model.evaluate(
            x,
            y,
            sample_weight=weights,
            steps=self.named.get("validation_steps"),
            batch_size=self.named.get("validation_batch_size") or self.named.get("batch_size"),
            verbose=0,
            return_dict=True,
        )

    def is_same(self, other: "FitArguments") -> bool:
        """Whether each argument is the same object as another's."""
        one, two = self.by_name(), other.by_name()
        names = (one.keys() | two.keys()) - {"callbacks", "epochs", "initial_epoch"}
        return all(one.get(name) is two.get(name) for name in names)

    def by_name(self) -> dict[str, Any]:
        """All arguments, those without a name by that of their place."""
        return {**self.named, **dict(zip(("x", "y"), self.positional, strict=False))}


def is_read_once(given: Any) -> bool:
    """Whether what has been read of data is gone: of generators, and of other iterators."""
    return isinstance(given, Iterator) and not hasattr(given, "__getitem__")  # some Keras data sets are iterators too


def first_batch(x: Any, y: Any = None) -> tuple[Any, Any]:
    """Up to 128 examples of what `fit` is given, as (inputs, labels); labels are None where there are none."""
    if isinstance(x, tf.data.Dataset) or not hasattr(x, "shape") and not isinstance(x, dict | list | tuple):
        taken = _one_of(x)
        if taken is None:
            raise Unsearchable("search was given an x without any batch")
        x, y = (*taken, None)[:2] if isinstance(taken, tuple | list) else (taken, None)
    inputs, labels = (
        part if part is None else keras.tree.map_structure(lambda array: np.asarray(array[:CALIBRATION_BATCH]), part)
        for part in (x, y)
    )
    return inputs, labels


def _one_of(batches: Any) -> Any:
    """The first of some batches; None where there is none."""
    is_read = isinstance(batches, tf.data.Dataset) or not hasattr(batches, "__getitem__")
    return next(iter(batches), None) if is_read else batches[0]


def _batches(x: tf.data.Dataset | keras.utils.PyDataset) -> int:
    """How many there are; 0 where that is not known, or they have no end."""
    return max(0, int(x.cardinality())) if isinstance(x, tf.data.Dataset) else x.num_batches or 0


def _size_of_batches(x: tf.data.Dataset | keras.utils.PyDataset) -> int:
    """Examples of a batch; 0 where it does not tell."""
    return _rows(keras.utils.unpack_x_y_sample_weight(_one_of(x))[0])


def _rows(inputs: Any) -> int:
    """Examples of arrays, nested as a model takes them; 0 where they are none."""
    shape = getattr(next(iter(keras.tree.flatten(inputs)), None), "shape", None)
    return int(shape[0]) if shape else 0
