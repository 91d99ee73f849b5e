"""What trains in a process of Ray's, here in this one, with a stand-in for Ray: it says what a search in one process does."""

import contextlib
import pickle
from types import SimpleNamespace

import keras
import pytest
from keras_tuner import errors

from nash_tf.engines import on_ray, states
from nash_tf.engines.ray_driver import Account, Driver
from nash_tf.engines.ray_worker import Place, Spec
from tests.helpers.tuners import CLASSES, IMAGES, Still, records, tuner_of


class RayError(Exception):
    pass


class Ref:
    def __init__(self, value):
        self.value = value


class StandInRay:
    """Does at once what it is asked for, in this process; a reference is what was made, on its way as bytes."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayError, ActorUnavailableError=RayError)

    def remote(self, **options):
        return lambda kind: SimpleNamespace(remote=lambda *sent: self.hire(kind(*sent)))

    def hire(self, worker):
        def train(*arguments):
            return [Ref(pickle.loads(pickle.dumps(each))) for each in worker.train(*arguments)]

        trained = SimpleNamespace(options=lambda num_returns: SimpleNamespace(remote=train))
        return SimpleNamespace(place=SimpleNamespace(remote=lambda: Ref(Place("node", "host", 1))), train=trained)

    def wait(self, refs, num_returns, timeout):
        return refs[:1], []

    def get(self, ref, timeout=None):
        return ref.value

    def put(self, value):
        return Ref(value)

    def kill(self, actor):
        pass

    def nodes(self):
        return []


class OneProcess:
    """The engine that is Ray, without its cluster."""

    def search(self, tuner, fit_args, fit_kwargs):
        compiled = {name: getattr(tuner, name) for name in ("optimizer", "loss", "metrics")}
        spec = Spec(lambda parts: parts, tuner.terms, compiled, fit_args, None)
        ray, sent = StandInRay(), (spec, on_ray._data_of(tuner, fit_kwargs))
        Driver(ray, tuner, sent, states.InMemory(ray), 1, {"num_cpus": 1.0}, Account()).run()


@pytest.fixture(autouse=True)
def without_cluster(monkeypatch):
    fetch = states.fetch
    monkeypatch.setattr(states, "fetch", lambda ray, source: fetch(StandInRay(), source))


def history(values):
    told = keras.callbacks.History()
    told.epoch, told.history = list(range(50)), {"loss": [1.0], "val_accuracy": [0.5]}
    return told


def test_a_fit_of_other_epochs_is_told_once(tmp_path, recwarn):
    tuner = tuner_of(Still(returns=history), tmp_path, engine=OneProcess())
    tuner.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    assert len(records(tuner)) == 4
    (warning,) = [str(each.message) for each in recwarn if "HyperModel.fit was asked for" in str(each.message)]
    assert "was asked for 1 epochs and trained 50" in warning


def test_what_cannot_be_searched_is_an_error_of_the_users_arguments(tmp_path):
    tuner = tuner_of(Still(returns=lambda values: 0.5), tmp_path, objective=None, engine=OneProcess())
    with pytest.raises(ValueError, match="returned 0.5, and no objective says") as raised:
        tuner.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    assert isinstance(raised.value, errors.FatalError)


def test_a_training_that_the_disk_disturbs_fails_no_child(tmp_path):
    def returns(values):
        if full and values["child"] == 1:
            raise OSError(28, "No space left on device", "log.csv")
        return {"val_accuracy": 0.5, "loss": 1.0}

    for full in (True, False):
        tuner = tuner_of(Still(returns=returns), tmp_path, engine=OneProcess())
        expected = pytest.raises(errors.FatalError, match="trial 0002 was disturbed: OSError: .*No space left")
        with expected if full else contextlib.nullcontext():
            tuner.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    assert len(records(tuner)) == 4
