"""The models that are trained: the first network, a child born of its parent's checkpoint, a child that is trained on."""

import contextlib
import gc
import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nash_tf.architecture import Architecture
from nash_tf.keras_models import checkpoint, fast_training, private_api
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.calibration import is_same_batch, parts_of
from nash_tf.keras_models.compilation import compile_like
from nash_tf.keras_models.importing import from_keras
from nash_tf.keras_models.layer_configs import PLAIN_MODEL
from nash_tf.keras_models.made_again import inner_optimizer
from nash_tf.keras_models.state import (
    State,
    carry_trainable,
    read_state,
    restart_averages,
    write_optimizer,
    write_state,
)
from nash_tf.morphisms import are_exact
from nash_tf.seeds import derive
from nash_tf.strategy.records import Assignment, TrainingKey
from nash_tf.surgery import certificate
from nash_tf.surgery.birth import calibrate_child, cost, inherit
from nash_tf.training.errors import FailedTraining


class ChildModels:
    """Makes the model of each assignment.

    Args:
        build: gives the compiled first network for values of its hyperparameters.
        inherit_momentum: whether a newborn has its parent's optimiser slots.
        scope: gives what models are made under, e.g. the scope of a `tf.distribute.Strategy`.

    Attributes:
        calibration: batch of inputs, or (inputs, labels), for a newborn's batch normalisations and its certificate; to be set
            before the first birth.
    """

    def __init__(
        self,
        build: Callable[[Mapping[str, Any]], keras.Model],
        inherit_momentum: bool = True,
        scope: Callable[[], AbstractContextManager] = contextlib.nullcontext,
    ):
        self.calibration: Any = None
        self._build, self._inherit_momentum, self._scope = build, inherit_momentum, scope
        self._trained: dict[tuple[int, int], tuple[TrainingKey, keras.Model]] = {}  # by step and child
        # The last one, on the last two batches.
        self._parents: dict[TrainingKey | None, list[tuple[Any, certificate.Measured]]] = {}
        self._has_said = False

    def build(
        self,
        hyperparameters: Mapping[str, Any],
        architecture: Architecture | None = None,
        state: State | None = None,
        *,
        template: keras.Model | None = None,
    ) -> keras.Model:
        """A compiled model of an architecture, by default the first network's; its optimiser tells `initial_rate`, None for one
        with a schedule of its own. `template` is what `_template` has given for the same values, where nothing was drawn since.

        Raises:
            ValueError: the first network is not compiled, or cannot be carried.
        """
        with self._scope():
            if template is None:
                template = self._template(hyperparameters)
            weights = None if state is None else state.weights
            model = to_keras(architecture or from_keras(template, one_by_one=True), weights=weights)
            carry_trainable(model, template)
            compile_like(model, template)
            fast_training.prepare(model)
            if state is not None:
                write_optimizer(model, state)
        scheduled = private_api.has_schedule(inner_optimizer(template.optimizer))
        model.optimizer.initial_rate = (
            None if scheduled else float(keras.ops.convert_to_numpy(template.optimizer.learning_rate))
        )
        return model

    def compiled(self, hyperparameters: Mapping[str, Any]) -> keras.Model:
        """The first network as the builder gives it: for what it is compiled with no model need be made of it."""
        with self._scope():
            return self._template(hyperparameters)

    def first(self, hyperparameters: Mapping[str, Any], seed: int) -> keras.Model:
        """The first network as it is to be trained: as `build` makes it, and with the weights that it came with.

        Weights that were loaded do not depend on the seed, those drawn by initialisers do: what is equal under two seeds is
        kept. A model whose optimiser has taken steps is kept whole, with the optimiser's state.
        """
        keras.utils.set_random_seed(derive(seed, "again"))
        with self._scope():
            template = self._template(hyperparameters)
        given = read_state(template)
        has_steps = _steps_taken(template)
        keras.utils.set_random_seed(seed)
        with self._scope():
            template = self._template(hyperparameters)
        if not has_steps:
            again = read_state(template).weights
            equal = {key for key, value in given.weights.items() if key in again and np.array_equal(value, again[key])}
            given = State({key: given.weights[key] for key in equal}, {})
        model = self.build(hyperparameters, template=template)
        drawn = read_state(model).weights
        with self._scope():
            write_state(model, State({**drawn, **given.weights}, given.slots, given.counters))
        return model

    def load(self, directory: Path, hyperparameters: Mapping[str, Any]) -> keras.Model:
        """The trained model of a checkpoint, compiled."""
        return self.build(hyperparameters, *checkpoint.load(directory))

    def to_train(
        self, assignment: Assignment, source: Path | None
    ) -> tuple[keras.Model, Architecture, Callable[[Any], dict[str, float]] | None]:
        """The model that is to be trained, its architecture, and what calibrates a newborn on a batch and gives its certificate.

        Args:
            assignment: what is to be done.
            source: checkpoint of the assignment's source; None for the first network.

        Returns:
            The last as a function of the batch, which may be called again with another. It raises FailedTraining where the newborn does not
            compute what its parent does. None where none is born.
        """
        if assignment.source is None or source is None:
            model = self.first(assignment.hyperparameters, assignment.seed)
            return model, Architecture.from_keras(model), None
        trained, model = self._take(assignment.key)
        if trained == assignment.source and assignment.architecture is not None:
            return model, assignment.architecture, None
        architecture, state = checkpoint.load(source)
        if not assignment.is_birth:
            return self.build(assignment.hyperparameters, architecture, state), architecture, None
        return self._born(assignment, architecture, state)

    def gone_on_with(self, assignment: Assignment, architecture: Architecture, state: State) -> keras.Model:
        """The model of a training that was interrupted."""
        self._take(assignment.key)
        return self.build(assignment.hyperparameters, architecture, state)

    def has(self, assignment: Assignment) -> bool:
        """Whether the model that is to be trained on is at hand, so that its checkpoint is not needed."""
        trained, _ = self._trained.get((assignment.key.step, assignment.key.child), (None, None))
        return trained is not None and trained == assignment.source and assignment.architecture is not None

    def keep(self, key: TrainingKey, model: keras.Model) -> None:
        """Holds a trained model, already traced, for a further training of the same child; unless its optimiser has a state that no checkpoint
        carries: the training would depend on which process has the model."""
        if model.optimizer.built and not read_state(model, copied=False).counters:
            self._say_not_carried(model.optimizer)
            return
        self._trained[key.step, key.child] = key, model

    def _say_not_carried(self, optimizer: keras.Optimizer) -> None:
        if not self._has_said:
            warnings.warn(
                f"the state of {type(optimizer).__name__} cannot be carried from training to training: each begins with a new one",
                stacklevel=3,
            )
        self._has_said = True

    def forget(self) -> None:
        """Lets go of all that is held of trainings: others may have taken their places."""
        self._trained.clear()
        self._parents.clear()

    def _template(self, hyperparameters: Mapping[str, Any]) -> keras.Model:
        private_api.reset_names()  # as Keras Tuner does: else equal seeds name layers by what the process made before
        template = self._build(hyperparameters)
        if getattr(template, "optimizer", None) is None:
            raise ValueError(
                f"build must return a compiled functional keras.Model, received {template!r}, not compiled"
            )
        if isinstance(template, private_api.Functional) and type(template) is not private_api.Functional:
            raise ValueError(
                f"expected a functional keras.Model, received {template.name!r} of class {type(template).__name__}; give "
                f"{PLAIN_MODEL}: children would be of class Model, not {type(template).__name__}. "
                "A training step of its own goes into the `fit` of a keras_tuner.HyperModel"
            )
        return template

    def _take(self, key: TrainingKey) -> tuple[TrainingKey | None, keras.Model | None]:
        """The last training of a child in this process, and its model; (None, None) where there is none.

        It is given out once: a training that comes to nothing leaves weights that are no checkpoint's. Models of other steps
        are dropped.
        """
        others = [held for held in self._trained if held[0] != key.step]
        for held in others:
            del self._trained[held]
        if others:
            gc.collect()
        return self._trained.pop((key.step, key.child), (None, None))

    def _born(self, assignment: Assignment, parent: Architecture, state: State):
        if not self._inherit_momentum:
            state.slots = {}
        child = inherit(parent, state, assignment.moves, lambda: self._template(assignment.hyperparameters).optimizer)
        model = self.build(assignment.hyperparameters, child.architecture, child.state)
        weights = State(state.weights, {})

        def made_again() -> keras.Model:
            return self.build(assignment.hyperparameters, parent, weights)

        def certified(batch: Any) -> dict[str, float]:
            inputs, labels = parts_of(batch)
            calibrate_child(model, child, inputs)
            restart_averages(model)
            before = self._measured(assignment.source, batch, made_again)
            measured = certificate.measure(model, inputs, labels)
            try:
                found = certificate.certify(
                    before,
                    measured,
                    len(assignment.moves),
                    strict=are_exact(operator for operator, *_ in assignment.moves),
                    own_rounding=lambda: certificate.rounding(made_again(), inputs),
                )
            except certificate.NotPreserved as error:
                raise FailedTraining(f"{json.dumps(assignment.moves)}: {error}") from None
            return found | cost(parent, child.architecture)

        return model, child.architecture, certified

    def _measured(
        self, source: TrainingKey | None, batch: Any, made: Callable[[], keras.Model]
    ) -> certificate.Measured:
        """What a parent computes on a batch, measured once: several children may be born of it."""
        held = self._parents.get(source, [])
        for other, found in held:
            if is_same_batch(other, batch):
                return found
        measured = certificate.measure(made(), *parts_of(batch))
        self._parents = {source: [*held[-1:], (batch, measured)]}
        return measured


def _steps_taken(model: keras.Model) -> int:
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations)) if model.optimizer.built else 0
