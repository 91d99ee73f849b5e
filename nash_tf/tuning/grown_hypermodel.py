"""The hypermodel of a search: the user's own network, or what has grown from it."""

import keras_tuner

from nash_tf.architecture import Architecture
from nash_tf.keras_models.building import to_keras
from nash_tf.keras_models.compilation import compile_like


class GrownHyperModel(keras_tuner.HyperModel):
    """A hypermodel that builds what a trial's values hold: the user's network, or the architecture grown from it, untrained.
    What else the user's hypermodel has, it has too."""

    def __init__(self, first: keras_tuner.HyperModel):
        super().__init__(first.name, first.tunable)
        self.first = first

    def __getattr__(self, name):
        if name == "first":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self.first, name)

    def build(self, hp):
        model = self.first.build(hp)
        if "architecture" not in hp.values:
            return model
        grown = to_keras(Architecture.from_json(hp.values["architecture"]))
        compile_like(grown, model)
        return grown

    def declare_hyperparameters(self, hp):
        self.first.declare_hyperparameters(hp)

    def fit(self, hp, model, *args, **kwargs):
        return self.first.fit(hp, model, *args, **kwargs)
