"""An engine of one's own: a search without Keras Tuner, here in one process, one training after the other.

`Search` decides, and knows no Keras: `ask` gives the trainings that can be done now, `tell` takes what came of them, in any order.
`Trainer` does one: it reads the checkpoint of the training's source, and writes one of its own. An engine has the one's trainings
done by the other. On several machines each process has a trainer of its own, and checkpoints lie where all can read them.

    python -m tests.example_own_engine
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import FAILED, Assignment, Goal, Outcome, TrainingKey
from nash_tf.training.child_models import ChildModels
from nash_tf.training.errors import FailedTraining
from nash_tf.training.fit_arguments import FitArguments
from nash_tf.training.trainer import Fit, Trainer


class OwnEngine:
    """One search.

    Args:
        build: makes the compiled first network.
        settings: of the search; with a method of one budget give `examples` and `batch_size` too, which its plan counts with.
        goal: the metric that is to be largest or smallest.
        directory: a new one, for the checkpoints.
        fit: arguments of `model.fit`, by name.
    """

    def __init__(self, build, settings: Settings, goal: Goal, directory: Path, **fit):
        self.search, self.directory = Search(settings, goal), directory
        models = ChildModels(lambda hyperparameters: build(), self.search.method.inherit_momentum)
        self.trainer = Trainer(models, goal.name)
        self.fit = Fit(keras.Model.fit, FitArguments(named=fit))

    def run(self) -> str:
        """Does all trainings; returns why the search is over."""
        while asked := self.search.ask():
            self.search.tell(self.trained(asked[0]))
        return self.search.finished

    def trained(self, assignment: Assignment) -> Outcome:
        """What came of one training. Any other error ends the search: it would end the other trainings too."""
        source, score = assignment.source, None
        if source is not None:
            score = self.search.outcomes[source].metrics[self.search.goal.name]
        try:
            return self.trainer.train(
                assignment, self.fit, source and self.checkpoint(source), self.checkpoint(assignment.key), score
            )
        except FailedTraining as error:
            return Outcome(assignment, FAILED, message=str(error))

    def best(self) -> keras.Model:
        """The model that the search hands over."""
        return self.trainer.models.load(self.checkpoint(self.search.best), {})

    def checkpoint(self, key: TrainingKey) -> Path:
        """Where the model of a training is kept."""
        return self.directory / "-".join(map(str, key))


def build() -> keras.Model:
    """A network to begin with."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    y = np.random.randint(3, size=96)
    x = np.random.normal(size=(96, 8, 8, 3)) + y[:, None, None, None]
    settings = Settings(method="nash", steps=1, children=2, epochs_per_step=4, vanilla_epochs=2)
    with tempfile.TemporaryDirectory() as directory:
        engine = OwnEngine(build, settings, Goal("val_accuracy"), Path(directory), x=x, y=y, validation_data=(x, y))
        print(engine.run())
        engine.best().summary()
