"""The models that trials train: the first network, a child born of its parent's checkpoint, a child that is trained on."""

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner import HyperParameters, errors
from keras_tuner.src.engine.tuner import maybe_distribute

from nash_tf import certificate, checkpoint, keras_private, rebuild, training
from nash_tf.architecture import Architecture
from nash_tf.morphisms import Move
from nash_tf.surgery import calibrate_newborn, cost, inherit


class Children:
    """Makes the model of each trial, from what the trial's values say.

    Args:
        first: the compiled first network for given hyperparameters.
        strategy: a `tf.distribute.Strategy` to make models under, or None.
        checkpoint_of: where the checkpoint of a trial lies, by the trial's id.
        calibration: batch of inputs, or (inputs, labels), for a newborn's batch normalisations and its certificate; None where it
            is set before the first birth.
        inherit_momentum: whether a newborn has its parent's optimiser slots.
    """

    def __init__(
        self,
        first: Callable[[HyperParameters], keras.Model],
        strategy,
        checkpoint_of: Callable[[str], Path],
        calibration: Any,
        inherit_momentum: bool,
    ):
        self.calibration = calibration
        self._first, self._strategy, self._checkpoint_of = first, strategy, checkpoint_of
        self._inherit_momentum = inherit_momentum
        self._trained: dict[tuple[int, int], tuple[str, keras.Model]] = {}
        self._parents: dict[str, certificate.Measured] = {}

    def build(
        self, hp: HyperParameters, architecture: Architecture | None = None, state: rebuild.State | None = None
    ) -> keras.Model:
        """A compiled model of an architecture, by default the first network's; its optimiser tells `initial_rate`, None for one
        with a schedule of its own.

        Raises:
            ValueError: the first network is not compiled, or cannot be carried.
        """
        with maybe_distribute(self._strategy):
            first = hp.copy()
            first.values.pop("architecture", None)
            keras_private.reset_names()  # as Keras Tuner does: else equal seeds name layers by what the process made before
            template = self._first(first)
            if getattr(template, "optimizer", None) is None:
                raise ValueError(
                    f"build must return a compiled functional keras.Model, received {template!r}, not compiled"
                )
            model = rebuild.to_keras(architecture or Architecture.from_keras(template))
            rebuild.compile_like(model, template)
            training.prepare(model)
            if state is not None:
                rebuild.write_state(model, state)
        scheduled = keras_private.has_schedule(template.optimizer)
        model.optimizer.initial_rate = (
            None if scheduled else float(keras.ops.convert_to_numpy(template.optimizer.learning_rate))
        )
        return model

    def load(self, trial_id: str, hp: HyperParameters) -> keras.Model:
        """The model that a trial left trained, compiled."""
        return self.build(hp, *checkpoint.load(self._checkpoint_of(trial_id)))

    def to_train(self, hp: HyperParameters) -> tuple[keras.Model, Architecture, dict[str, float] | None]:
        """The model that a trial is to train, its architecture, and the certificate of a newborn.

        Raises:
            FailedTrialError: a newborn does not compute what its parent does.
        """
        values = hp.values
        source = values.get("tuner/trial_id")
        if source is None:
            model = self.build(hp)
            return model, Architecture.from_keras(model), None
        trained, model = self._take(values["step"], values["child"])
        if trained == source:
            return model, Architecture.from_json(values["architecture"]), None
        architecture, state = checkpoint.load(self._checkpoint_of(source))
        if values["rung"] > 0:
            return self.build(hp, architecture, state), architecture, None
        return self._born(hp, source, architecture, state)

    def keep(self, trial_id: str, hp: HyperParameters, model: keras.Model) -> None:
        """Holds a trained model, already traced, for a further training of the same child."""
        self._trained[hp.values["step"], hp.values["child"]] = trial_id, model

    def _take(self, step: int, child: int):
        """The last training of a child in this process, and its model; (None, None) where there is none.

        It is given out once: a training that comes to nothing leaves weights that are no checkpoint's. Models of other steps
        are dropped.
        """
        others = [key for key in self._trained if key[0] != step]
        for key in others:
            del self._trained[key]
        if others:
            gc.collect()
        return self._trained.pop((step, child), (None, None))

    def _born(self, hp: HyperParameters, source: str, parent: Architecture, state: rebuild.State):
        moves = [Move(*move) for move in json.loads(hp.values["morphisms"])]
        if not self._inherit_momentum:
            state.slots = {}
        born = inherit(parent, state, moves)
        model = self.build(hp, born.architecture, born.state)
        given = self.calibration
        inputs, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        calibrate_newborn(model, born, inputs)
        rebuild.restart_averages(model)
        if source not in self._parents:
            model_of_parent = self.build(hp, parent, rebuild.State(state.weights, {}))
            self._parents = {source: certificate.measure(model_of_parent, inputs, labels)}
        measured = certificate.measure(model, inputs, labels)
        try:
            found = certificate.certify(self._parents[source], measured, len(moves))
        except certificate.NotPreserved as error:
            raise errors.FailedTrialError(f"{hp.values['morphisms']}: {error}") from None
        return model, born.architecture, found | cost(parent, born.architecture)


class Grown(keras_tuner.HyperModel):
    """A hypermodel that builds what a trial's values hold: the user's network, or the architecture grown from it, untrained."""

    def __init__(self, first: keras_tuner.HyperModel):
        super().__init__(first.name, first.tunable)
        self.first = first

    def build(self, hp):
        model = self.first.build(hp)
        if "architecture" not in hp.values:
            return model
        grown = rebuild.to_keras(Architecture.from_json(hp.values["architecture"]))
        rebuild.compile_like(grown, model)
        return grown

    def declare_hyperparameters(self, hp):
        self.first.declare_hyperparameters(hp)

    def fit(self, hp, model, *args, **kwargs):
        return self.first.fit(hp, model, *args, **kwargs)
