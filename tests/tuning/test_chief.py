"""What comes in at the chief's port is checked before it is taken."""

import json
import threading

import grpc
import pytest
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.src import protos

from nash_tf.architecture import Architecture
from nash_tf.tuning import chief, private_api
from nash_tf.tuning.client import SECRET_KEY
from nash_tf.workers import roles
from tests.helpers import wait_for
from tests.helpers.stand_in import begin, report

MESSAGES = protos.get_service()


@pytest.fixture
def port(tmp_path, monkeypatch):
    """A chief at work; gives its oracle, and a function that calls one of its methods."""
    for name, value in roles.local_chief().items():
        monkeypatch.setenv(name, value)
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))  # the first network
    serving = threading.Thread(target=chief.serve, args=(oracle,), daemon=True)
    serving.start()
    channel = grpc.insecure_channel(roles.address())
    stub = private_api.oracle_stub(channel)

    def call(method, request, secret=None):
        given = roles.secret() if secret is None else secret
        return getattr(stub, method)(request, wait_for_ready=True, timeout=20, metadata=[(SECRET_KEY, given)])

    yield oracle, call
    oracle.limits.reached = True
    channel.close()


def ask(call, name="ann|here:1"):
    return Trial.from_proto(call("CreateTrial", MESSAGES.CreateTrialRequest(tuner_id=name)).trial)


def end(call, trial, **named):
    return call("EndTrial", MESSAGES.EndTrialRequest(trial=trial.to_proto()), **named)


def test_the_trainings_of_workers_elsewhere_are_in_what_the_search_has_spent(port):
    oracle, call = port
    trial = ask(call)
    trial.status = TrialStatus.COMPLETED
    values = trial.hyperparameters.values
    record = {"digest": Architecture.from_json(values["architecture"]).digest, "val_accuracy": 0.5, "cpu_seconds": 1e6}
    values["record"] = json.dumps(record)
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
    end(call, trial)
    wait_for(lambda: oracle.limits.spent()[1] > 1e6)


def test_a_chief_that_was_stopped_takes_nobody_for_dead_and_then_who_is_silent(port, monkeypatch):
    oracle, call = port
    monkeypatch.setattr(chief, "POLL", 0.01)
    leases, now = oracle.book.lending.leases, [0.0]
    trial = ask(call)
    leases.clock = lambda: now[0]

    def pass_by(seconds):
        now[0] += seconds
        wait_for(lambda: leases._pauses[1] == now[0])  # it has looked

    for _ in range(3):
        pass_by(13.0)
        assert ask(call, f"ann|here:1|{trial.trial_id}").status == TrialStatus.RUNNING
    assert oracle.book.lending.deaths(trial.trial_id) == 0
    for _ in range(12):
        pass_by(1.0)
    wait_for(lambda: oracle.book.lending.deaths(trial.trial_id) == 1)


def test_what_ended_an_earlier_search_ends_no_later_one(tmp_path, monkeypatch):
    for name, value in roles.local_chief().items():
        monkeypatch.setenv(name, value)
    oracle, clock = begin(tmp_path)
    oracle.fatal, clock.now, oracle.limits.reached = "the disk was full", 100.0, True
    oracle.book.lending.leases.timeout = 0.0
    chief.serve(oracle)


@pytest.mark.parametrize("secret", ["", "another"])
def test_a_caller_without_the_secret_is_refused_everywhere(port, secret):
    oracle, call = port
    before = dict(oracle.trials)
    for method, request in {
        "GetSpace": MESSAGES.GetSpaceRequest(),
        "CreateTrial": MESSAGES.CreateTrialRequest(tuner_id="eve"),
        "EndTrial": MESSAGES.EndTrialRequest(trial=before["0000"].to_proto()),
    }.items():
        with pytest.raises(grpc.RpcError, match=roles.SECRET):
            call(method, request, secret=secret)
    assert oracle.trials == before


def changed(trial, **values):
    trial = Trial.from_proto(trial.to_proto())
    trial.hyperparameters.values |= values
    trial.status = TrialStatus.COMPLETED
    return trial


FORGED = {
    "no record": {"record": "["},
    "no architecture": {"architecture": "{}"},
    "deep": {"record": "[" * 10_000},
    "another child": {"child": 3},
    "other morphisms": {"morphisms": "[]"},
    "more epochs": {"tuner/epochs": 1000},
    "a digest of its own": {"record": json.dumps({"digest": "0", "params": 1, "val_accuracy": 1.0})},
    "text for a number": {"record": json.dumps({"digest": "0", "val_accuracy": "best"})},
}


def test_a_forged_report_is_refused_and_the_true_one_taken(port):
    oracle, call = port
    asked = [ask(call), ask(call, "bob|here:2")]
    trial = asked[1]  # child 1: child 0 has no morphisms
    for values in FORGED.values():
        with pytest.raises(grpc.RpcError, match=f"trial {trial.trial_id}"):
            end(call, changed(trial, **values))
    for holder in ("eve|there:9", "ann|here:1", ""):
        end(call, changed(trial, **{"tuner/lease": json.dumps({"holder": holder})}))  # late: nothing is taken
    ghost = changed(trial)
    ghost.trial_id = "../../outside"
    with pytest.raises(grpc.RpcError, match="there is no trial"):
        end(call, ghost)
    assert len(oracle.lineage()) == 1 and oracle.trials[trial.trial_id].status == TrialStatus.RUNNING
    report(oracle, trial)
    assert len(oracle.lineage()) == 2 and oracle.lineage()[1]["status"] == "completed"
