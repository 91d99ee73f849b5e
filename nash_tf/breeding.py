"""What a training starts from and does, as the values of a Keras Tuner trial."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial

from nash_tf import hyperparameters
from nash_tf.architecture import Architecture
from nash_tf.halving import Rung
from nash_tf.hill_climbing import Open, Training
from nash_tf.methods import Method
from nash_tf.morphisms.draw import draw
from nash_tf.seeds import derive

Trials = Mapping[Training, Trial]

# What a trial's values hold beside the user's hyperparameters; names with "tuner/" are Keras Tuner's way of saying the same.
OWN = frozenset({"step", "rung", "child", "seed", "morphisms", "architecture", "periods", "record"})


@dataclass
class Breeding:
    """Draws the children of each step; a pure function of its settings, the seed and the finished trials.

    Attributes:
        method: whose operators are drawn.
        steps: the rungs of each step, the vanilla's first.
        mutations: morphisms of a child.
        max_params: limit on trained parameters.
        seed: of all draws.
        tune_hyperparameters: whether children perturb the hyperparameters of their parent.
    """

    method: Method
    steps: Sequence[Sequence[Rung]]
    mutations: int
    max_params: float
    seed: int
    tune_hyperparameters: bool
    _bred: dict[Training, list] = field(default_factory=dict)

    def values(self, training: Training, parent: Training | None, trials: Trials, space: HyperParameters) -> dict:
        """All values of a training's trial; `parent` is the training that its step descends from, None for the vanilla."""
        epochs = [rung.epochs for rung in self.steps[training.step]]
        values = self._hyperparameters(training, parent, trials, space) | {
            "step": training.step,
            "rung": training.rung,
            "child": training.child,
            "seed": derive(self.seed, *training),
            "morphisms": "[]",
            "tuner/initial_epoch": sum(epochs[: training.rung]),
            "tuner/epochs": sum(epochs[: training.rung + 1]),
            "tuner/round": training.rung,
            "periods": json.dumps(self.method.periods(epochs)),
        }
        if training.rung:
            before = trials[training._replace(rung=training.rung - 1)]
            kept = {name: before.hyperparameters.values[name] for name in ("morphisms", "architecture")}
            values |= {**kept, "tuner/trial_id": before.trial_id}
        elif parent is not None:
            architecture, moves = self._offspring(training.step, parent, trials)[training.child]
            values |= {
                "morphisms": json.dumps(moves),
                "architecture": architecture.to_json(),
                "tuner/trial_id": trials[parent].trial_id,
            }
        return values

    def can_grow(self, opened: Open, trials: Trials) -> bool:
        """Whether an open step has anything new to try under the limit on parameters.

        Without selection there is nothing to choose among: where nothing fits, the one child is its parent, trained on.
        """
        if opened.parent is None or opened.rung > 0 or not self.method.keeps_parent or not self.method.operators:
            return True
        return any(moves for _, moves in self._offspring(opened.step, opened.parent, trials))

    def _offspring(self, step: int, parent: Training, trials: Trials) -> list:
        """(architecture, morphisms) of each child of a step."""
        if parent not in self._bred:
            architecture = Architecture.from_json(trials[parent].hyperparameters.values["architecture"])
            kept = [(architecture, ())] if self.method.keeps_parent else []
            drawn = [
                draw(
                    architecture,
                    self.mutations,
                    self.method.operators,
                    self.max_params,
                    derive(self.seed, step, child),
                    self.method.variants,
                )
                for child in range(len(kept), self.steps[step][0].children)
            ]
            self._bred = {parent: [*kept, *drawn]}
        return self._bred[parent]

    def _hyperparameters(self, training: Training, parent: Training | None, trials: Trials, space) -> dict:
        """Values of all declared hyperparameters: the defaults for the vanilla network, the parent's for its children."""
        if parent is None and not training.rung:
            return hyperparameters.defaults(space)
        source = training._replace(rung=training.rung - 1) if training.rung else parent
        values = hyperparameters.inherited(space, trials[source].hyperparameters.values)
        unmodified = training.child == 0 and self.method.keeps_parent
        if self.tune_hyperparameters and not unmodified and not training.rung:
            return hyperparameters.perturbed(space, values, derive(self.seed, training.step, training.child, "hp"))
        return values
