"""The driver of Ray's workers with a stand-in for Ray that loses what it is told to, and a stand-in trainer."""

import json
import random
from types import SimpleNamespace

import pytest
from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.architecture import Architecture
from nash_tf.engines import on_ray, ray_driver, states
from nash_tf.engines.ray_driver import Account, Driver
from nash_tf.engines.ray_worker import Place, Report
from nash_tf.keras_models import checkpoint
from nash_tf.keras_models.state import State
from nash_tf.tuning.trial_files import TrialFiles
from nash_tf.workers.local import WorkersDie
from tests.helpers import stand_in


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    actor_init_failed = preempted = False


class Preempted(ActorDiedError):
    preempted = True


class Unavailable(RayError):
    pass


class OutOfMemory(RayError):
    pass


class Cancelled(RayError):
    pass


class TaskError(RayError):
    cause = RuntimeError("a fault of ours")


class Ref:
    def __init__(self, value):
        self.value = value


class StandInRay:
    """What the driver asks of Ray. `faults` gives what happens to each training, None for nothing."""

    exceptions = SimpleNamespace(
        RayError=RayError,
        ActorDiedError=ActorDiedError,
        ActorUnavailableError=Unavailable,
        OutOfMemoryError=OutOfMemory,
        RayTaskError=TaskError,
        TaskCancelledError=Cancelled,
        WorkerCrashedError=type("WorkerCrashedError", (RayError,), {}),
    )

    def __init__(self, files, faults=(), seed=0):
        self.files, self.faults, self.order = files, iter(faults), random.Random(seed)
        self.hired, self.dead_nodes, self.trained, self.sources = 0, set(), [], []

    def remote(self, **options):
        return lambda worker: SimpleNamespace(remote=self.hire)

    def hire(self, *sent):
        self.hired += 1
        number = self.hired
        place = SimpleNamespace(remote=lambda: Ref(self.place(number)))
        train = SimpleNamespace(options=lambda num_returns: SimpleNamespace(remote=lambda *a: self.train(number, *a)))
        return SimpleNamespace(place=place, train=train, number=number)

    def place(self, number):
        return Place(f"node{number}", "host", number)

    def train(self, number, state, source, source_value, url):
        fault, trial = next(self.faults, None), Trial.from_state(state)
        values = trial.hyperparameters.values
        self.sources.append(source)
        if fault == "node dies":
            self.dead_nodes.add(f"node{number}")
        raised = {"dies": ActorDiedError, "unavailable": Unavailable, "bug": TaskError}
        raised |= {"node dies": ActorDiedError, "is taken away": Preempted}
        raised |= {"out of memory": OutOfMemory, "is cancelled": Cancelled}
        if fault in raised:
            return Ref(raised[fault]()), Ref(None)
        if fault == "source lost":
            return Ref(Report(trial.get_state(), {}, None, "it is gone", 1.0)), Ref(None)
        if fault == "out of time":
            trial.status = TrialStatus.STOPPED
            return Ref(Report(trial.get_state(), {}, None, None, 1.0)), Ref(None)
        if fault == "disk full":
            full = errors.FatalError("No space left on device")
            return Ref(Report(trial.get_state(), {}, full, None, 1.0)), Ref(None)
        self.trained.append(stand_in.training_of(trial))
        architecture = Architecture.from_json(values["architecture"]) if "architecture" in values else stand_in.FIRST
        score = stand_in.score_of(values)
        told = {"digest": architecture.digest, "params": architecture.params, "val_accuracy": score}
        values |= {"architecture": architecture.to_json(), "record": json.dumps(told)}
        trial.status = TrialStatus.COMPLETED
        delivered = Ref(RayError("lost") if fault == "network lost" else dict(self.files))
        return Ref(Report(trial.get_state(), {"val_accuracy": score}, None, None, 1.0)), delivered

    def wait(self, refs, num_returns, timeout):
        return [self.order.choice(refs)], []

    def get(self, ref, timeout=None):
        value = ref.value
        if isinstance(value, Exception) or isinstance(value, type) and issubclass(value, Exception):
            raise value
        return value

    def put(self, value):
        return Ref(value)

    def kill(self, actor):
        pass

    def nodes(self):
        return [{"NodeID": f"node{n}", "Alive": f"node{n}" not in self.dead_nodes} for n in range(1, self.hired + 1)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "of-any"
    checkpoint.save(folder, stand_in.FIRST, State({}, {}))
    return checkpoint.read_files(folder)


def tuner_in(directory):
    oracle, _ = stand_in.begin(directory)
    found = TrialFiles(directory / "search")
    return SimpleNamespace(oracle=oracle, checkpoint=found.checkpoint, source_value=lambda trial: None)


def driven(directory, ray, workers=3):
    """The oracle of a search that was driven to its end, and the account of its workers."""
    tuner, account = tuner_in(directory), Account()
    Driver(ray, tuner, ("spec", "data"), states.InMemory(ray), workers, {"num_cpus": 1.0}, account).run()
    return tuner.oracle, account


@pytest.fixture(scope="module")
def undisturbed(files, tmp_path_factory):
    oracle, _ = driven(tmp_path_factory.mktemp("whole"), StandInRay(files), workers=1)
    return oracle.lineage()


def test_any_number_of_workers_gives_the_lineage_of_one(files, undisturbed, tmp_path):
    for workers in (2, 5):
        ray = StandInRay(files, seed=workers)
        oracle, account = driven(tmp_path / str(workers), ray, workers)
        assert oracle.lineage() == undisturbed and oracle.end_reason() == "all 2 steps are done"
        assert len(ray.trained) == len(set(ray.trained)) == account.trainings == len(undisturbed)
        assert ray.hired == min(workers, 4)  # no more than a rung has children


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_lost_the_lineage_is_the_same(seed, files, undisturbed, tmp_path):
    kinds = ["node dies", "unavailable", "source lost", "network lost", None, None, None]
    faults = random.Random(seed).choices(kinds, k=12)
    ray = StandInRay(files, [None, *faults], seed)
    oracle, account = driven(tmp_path, ray)
    assert oracle.lineage() == undisturbed
    done_again = len(ray.trained) - len(undisturbed)
    assert done_again == faults.count("network lost")  # all others were lost before they had been trained
    assert account.lost["processes"] == faults.count("node dies") + faults.count("unavailable")
    assert account.lost["networks"] == faults.count("source lost") + faults.count("network lost")


def test_a_child_whose_processes_keep_dying_has_failed_and_one_whose_machines_do_has_not(
    files, undisturbed, tmp_path, capsys
):
    for kind, said in (("dies", "is lost: it died; what"), ("out of memory", "ran short of memory; what")):
        oracle, _ = driven(tmp_path / kind, StandInRay(files, [None, *[kind] * 3]), workers=1)
        (failed,) = [record for record in oracle.lineage() if record["status"] == "failed"]
        assert (failed["step"], failed["rung"], failed["child"]) == (1, 0, 0)
        message = next(trial.message for trial in oracle.trials.values() if trial.status == TrialStatus.FAILED)
        assert message == "3 processes died while they trained it; is it too large for memory?"
        assert capsys.readouterr().out.count(said) == 3
    for kind in ("node dies", "is taken away", "is cancelled"):
        oracle, _ = driven(tmp_path / kind, StandInRay(files, [None, *[kind] * 5]), workers=1)
        assert oracle.lineage() == undisturbed


def test_a_search_goes_on_from_its_directory(files, undisturbed, tmp_path):
    ray = StandInRay(files, [None, None, None, "bug"])
    with pytest.raises(errors.FatalError, match="a worker failed: a fault of ours"):
        driven(tmp_path, ray, workers=1)
    again = StandInRay(files)
    oracle, _ = driven(tmp_path, again)
    assert oracle.lineage() == undisturbed
    assert sorted(ray.trained + again.trained) == sorted(set(ray.trained + again.trained))
    # What the first children of the second driver start from was sent anew.
    assert next(source for source in again.sources if source).ref.value == files


def test_a_worker_is_given_the_child_whose_model_it_has(files, tmp_path, monkeypatch):
    ray, given = StandInRay(files), {}
    train = ray.train

    def noted(number, state, *others):
        key = stand_in.training_of(Trial.from_state(state))
        given[key] = number
        return train(number, state, *others)

    ray.train = noted
    # All that are free get something before any is heard: so it is known who could have had what.
    monkeypatch.setattr(ray, "wait", lambda refs, num_returns, timeout: (list(refs), []))
    driven(tmp_path, ray, workers=4)
    later = [key for key in given if key.rung]
    assert later and all(given[key] == given[key._replace(rung=key.rung - 1)] for key in later)


def test_workers_that_cannot_begin_are_given_up(files, tmp_path):
    ray = StandInRay(files)
    ray.place = lambda number: ActorDiedError("killed")
    with pytest.raises(WorkersDie, match="keep dying before"):
        driven(tmp_path / "a", ray, workers=2)
    gone = StandInRay(files)

    def place(number):  # machines are taken away while workers begin there, which is no worker's fault
        if number > 20:
            return Place(f"node{number}", "host", number)
        gone.dead_nodes.add(f"node{number}")
        return ActorDiedError("killed")

    gone.place = place
    driven(tmp_path / "c", gone, workers=2)
    assert gone.hired > 20
    failed = ActorDiedError(
        "the actor died\n  File \"a.py\", line 1, in f\nModuleNotFoundError: No module named 'nash_tf'"
    )
    failed.actor_init_failed = True
    ray.place = lambda number: failed
    with pytest.raises(
        WorkersDie, match="cannot be begun: ModuleNotFoundError.*; do all machines have this nash_tf, and"
    ):
        driven(tmp_path / "b", ray, workers=2)


def test_a_limit_on_time_ends_the_search_and_what_it_cut_is_not_there(files, undisturbed, tmp_path):
    oracle, account = driven(tmp_path, StandInRay(files, [None, None, "out of time"]), workers=1)
    assert oracle.end_reason().startswith("a limit on time was reached") and not oracle.ongoing_trials
    assert oracle.lineage() == undisturbed[:2]
    assert oracle.limits.spent()[1] >= 3.0 and account.trainings == 2  # CPU seconds of the workers count
    with pytest.raises(errors.FatalError, match="No space left on device"):
        driven(tmp_path / "b", StandInRay(files, [None, "disk full"]), workers=1)


def test_a_network_that_never_arrives_ends_the_search(files, tmp_path):
    ray = StandInRay(files, [None, *["source lost"] * 10])
    with pytest.raises(errors.FatalError, match="it is gone, 10 times; do all machines reach --storage"):
        driven(tmp_path, ray, workers=1)


def test_where_no_worker_begins_that_is_said(files, tmp_path, monkeypatch, capsys):
    ray, now = StandInRay(files), iter(range(0, 10**6, 40))
    wait, waits = ray.wait, []

    def late(refs, num_returns, timeout):
        waits.append(len(refs))
        return ([], []) if len(waits) < 5 else wait(refs, num_returns, timeout)

    ray.wait = late
    monkeypatch.setattr(ray_driver.time, "monotonic", lambda: next(now))
    driven(tmp_path, ray, workers=2)
    said = "Ray has begun no worker for 120 s; has a machine room for num_cpus=1? `ray status` tells."
    assert capsys.readouterr().out.count(said) == 1


def test_the_account_says_how_busy_workers_were():
    account = Account(trainings=2, busy=3.0, held=4.0)
    account.places |= {Place("a", "host", 1), Place("a", "host", 2), Place("b", "other", 1)}
    told = account.results()
    assert (told["utilisation"], told["nodes"], told["processes"]) == (0.75, 2, 3)
    assert Account().results()["utilisation"] is None


def test_a_search_has_one_name_in_a_storage_and_another_at_an_equal_path_has_another(tmp_path):
    name = on_ray._name_in_storage(tmp_path)
    assert on_ray._name_in_storage(tmp_path) == name and name.startswith(f"{tmp_path.parent.name}-")
    (tmp_path / on_ray.NAME).unlink()  # it is another machine's
    assert on_ray._name_in_storage(tmp_path) != name
