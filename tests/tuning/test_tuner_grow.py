"""The method grow in Keras Tuner: one budget, with the user's own data, loss, metric and optimiser."""

import keras
import keras_tuner
import pytest
from keras import layers

from nash_tf.architecture import costs
from nash_tf.strategy import budgeted, prices
from nash_tf.tuning.tuner import HillClimbing
from tests.helpers.tuners import CLASSES, IMAGES, in_two_parts, network, tuner_of

GROW = {"method": "grow", "steps": 1, "budget_epochs": 30}


def compiled(optimizer):
    def build(hp):
        image, x = network(convolutions=2)
        model = keras.Model(image, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
        model.compile(optimizer(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return build


def searched(tmp_path, optimizer=keras.optimizers.AdamW, **changed) -> HillClimbing:
    tuner = tuner_of(compiled(optimizer), tmp_path, keras_tuner.Objective("val_loss", "min"), **{**GROW, **changed})
    tuner.search(IMAGES, CLASSES, validation_data=(IMAGES, CLASSES), batch_size=16, verbose=0)
    return tuner


@pytest.fixture(scope="module", autouse=True)
def two_parts():
    with pytest.MonkeyPatch.context() as patch:
        in_two_parts(patch)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that was never interrupted."""
    return searched(tmp_path_factory.mktemp("whole"))


def test_any_optimiser_and_objective(whole):
    search = whole.oracle.search
    assert search.finished == "its one step is done"
    assert any(outcome.assignment.moves for outcome in search.outcomes.values())
    used = search.spent(search.outcomes.values())
    assert 15 < used <= 30
    assert type(whole.get_best_models()[0].optimizer) is keras.optimizers.AdamW


def interrupted_at(trainings: int, tmp_path, **changed) -> None:
    """A search that ends when so many trainings have ended."""

    class Stop(Exception):
        pass

    def stop(oracle):
        if len(oracle.lineage()) == trainings:
            raise Stop

    with pytest.raises(Stop):
        searched(tmp_path, on_trained=stop, **changed)


def told(tuner) -> list[dict]:
    """The lineage but for times."""
    times = ("cpu_seconds", "wall_seconds")
    return [{name: value for name, value in record.items() if name not in times} for record in tuner.oracle.lineage()]


def test_an_interrupted_search_comes_to_the_same_end(whole, tmp_path):
    interrupted_at(2, tmp_path)
    resumed = told(searched(tmp_path))
    assert resumed == told(whole) and resumed[1]["considered"]


def test_a_limit_on_time_lays_out_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(budgeted, "RESERVE", 0.5)  # a machine may slow down to half meanwhile
    tuner = searched(tmp_path, keras.optimizers.SGD, budget_epochs=None, max_cpu_hours=7 / 3600)
    assert tuner.oracle.end_reason() == "its one step is done"
    last = tuner.oracle.search.outcomes[max(tuner.oracle.search.outcomes)].assignment
    assert last.phases[-1].end == 0.0


class TestScale:
    """A network that is too large for its budget becomes smaller."""

    WIDE = {"method": "scale", "steps": 1, "budget_epochs": 10, "vanilla_epochs": 1, "mutations": 2}

    @pytest.fixture(scope="class", autouse=True)
    def without_what_all_cost(self):
        """Of so small a network that is nearly everything, and a smaller one would win nothing."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prices, "SECONDS_PER_TRAINING", 0.0)
            patch.setattr(costs, "SECONDS_PER_EPOCH", 0.0)
            patch.setattr(costs, "SECONDS_PER_STEP", 0.0)
            yield

    @pytest.fixture(scope="class")
    def whole(self, tmp_path_factory):
        return searched(tmp_path_factory.mktemp("whole"), **self.WIDE)

    def test_its_filters_go_and_it_learns_on(self, whole):
        lineage = whole.oracle.lineage()
        births = [record for record in lineage if record["morphisms"]]
        assert births and {name for record in births for name, *_ in record["morphisms"]} == {"remove_filters"}
        assert births[0]["params"] < lineage[0]["params"] and births[0]["expected_gain"] > 0
        assert births[0]["certificate"]["added_params"] == births[0]["params"] - lineage[0]["params"]
        assert all(record["status"] == "completed" for record in lineage)
        model = whole.get_best_models()[0]
        assert model.count_params() < whole.untrained_first_model().count_params()
        outputs = model.predict(IMAGES, verbose=0)
        assert outputs.shape == (48, 3)

    def test_an_interrupted_search_comes_to_the_same_end(self, whole, tmp_path):
        interrupted_at(2, tmp_path, **self.WIDE)
        resumed = told(searched(tmp_path, **self.WIDE))
        assert resumed == told(whole)
        assert any(record["morphisms"] for record in resumed)
