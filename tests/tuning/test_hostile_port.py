"""Whatever comes in at the chief's port, the chief lives on and the lineage is that of the true reports."""

import json
import math
import threading

import grpc
import pytest
from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.src import protos

from nash_tf.tuning import chief, private_api
from nash_tf.tuning.client import SECRET_KEY, Client
from nash_tf.tuning.trial_values import LEASE, LONGEST_MESSAGE
from nash_tf.workers import roles
from tests.helpers.stand_in import begin, finish, report

MESSAGES, PARTS = protos.get_service(), protos.get_proto()


class Port:
    """A chief at work, and those who call it."""

    def __init__(self, directory):
        self.oracle, self.clock = begin(directory, heartbeat=0.05)  # for so long it waits for workers of a chief before
        report(self.oracle, self.oracle.create_trial("tuner0"))  # the first network
        self.serving = threading.Thread(target=chief.serve, args=(self.oracle,), daemon=True)
        self.serving.start()
        self.channel = grpc.insecure_channel(roles.address(), [("grpc.max_send_message_length", -1)])
        self.stub = private_api.oracle_stub(self.channel)

    def call(self, method, request):
        return getattr(self.stub, method)(request, wait_for_ready=True, timeout=30, metadata=self.metadata)

    @property
    def metadata(self):
        return [(SECRET_KEY, roles.secret())]

    def refused(self, method, request, match="."):
        with pytest.raises(grpc.RpcError, match=match):
            self.call(method, request)

    def ask(self, name="ann|here:1"):
        return Trial.from_proto(self.call("CreateTrial", MESSAGES.CreateTrialRequest(tuner_id=name)).trial)

    def end(self, trial):
        return self.call("EndTrial", MESSAGES.EndTrialRequest(trial=trial.to_proto()))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return finish(begin(tmp_path_factory.mktemp("alone"))[0])


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in roles.local_chief().items():
            patch.setenv(name, value)
        port = Port(tmp_path_factory.mktemp("port"))
        yield port
        port.oracle.limits.reached = True
        port.channel.close()


def with_values(trial, status=TrialStatus.COMPLETED, **values):
    trial = Trial.from_proto(trial.to_proto())
    trial.hyperparameters.values |= values
    trial.status = status
    return trial


def test_ids_of_workers_that_are_none(port):
    for tuner_id in ("", "|", "|here:1", "a|b|c|d", "a|" * 1000, "x" * 10_000, "||0001"):
        port.refused("CreateTrial", MESSAGES.CreateTrialRequest(tuner_id=tuner_id), "expected the id of a worker")
    for tuner_id in (
        "eve|there:9|0001",
        "eve|there:9|9999",
        "eve|there:9|../../etc",
    ):  # heartbeats about what they do not have
        assert port.ask(tuner_id).status == TrialStatus.IDLE


def test_ids_of_trials_that_are_none(port):
    for trial_id in ("", "9999", "../../outside", "x" * 100_000, "0001\x00", "trial_0000"):
        port.refused("GetTrial", MESSAGES.GetTrialRequest(trial_id=trial_id), "there is no trial")
        request = MESSAGES.UpdateTrialRequest(trial_id=trial_id, metrics={"val_accuracy": 1.0})
        port.refused("UpdateTrial", request, "there is no trial")
    port.refused("EndTrial", MESSAGES.EndTrialRequest(), "there is no trial")
    for number in (0, -1, -(2**31), 2**31 - 1):
        assert len(port.call("GetBestTrials", MESSAGES.GetBestTrialsRequest(num_trials=number)).trials) <= 10


def test_metrics_that_are_no_numbers_or_too_many(port):
    trial = port.ask("carl|here:3")
    for value in (math.nan, math.inf, -math.inf):
        metrics = {"val_accuracy": value}
        port.call("UpdateTrial", MESSAGES.UpdateTrialRequest(trial_id=trial.trial_id, metrics=metrics))
    many = {"val_accuracy": 1.0} | {f"metric{number}": 1.0 for number in range(2000)}
    request = MESSAGES.UpdateTrialRequest(trial_id=trial.trial_id, metrics=many)
    port.refused("UpdateTrial", request, "at most 1000 metrics")
    port.refused(
        "UpdateTrial", MESSAGES.UpdateTrialRequest(trial_id=trial.trial_id, metrics={}), "Objective value missing"
    )


def test_hyperparameters_that_would_be_taken_for_the_search_s_or_are_too_many(port):
    before = port.oracle.get_space().get_config()
    for names in (["seed"], ["tuner/epochs"], ["tuner/lease"], [f"h{number}" for number in range(5000)]):
        declared = HyperParameters()
        for name in names:
            declared.Float(name, 0.0, 1.0)
        request = MESSAGES.UpdateSpaceRequest(hyperparameters=declared.to_proto())
        port.refused("UpdateSpace", request, "other names than|at most 1000 hyperparameters")
    assert port.oracle.get_space().get_config() == before


@pytest.mark.parametrize("status", ["RUNNING", "IDLE", None])
def test_a_status_that_ends_nothing(status, port):
    trial = port.ask()
    with pytest.raises(grpc.RpcError, match="expected the status of one that has ended"):
        port.end(with_values(trial, status=status))
    assert port.oracle.trials[trial.trial_id].status == TrialStatus.RUNNING


def test_a_trial_that_nobody_has_is_reported_by_nobody(port):
    trial = port.ask("dora|here:4")
    port.oracle.requeue("dora")  # it waits
    for holder in ("", "dora|here:4"):
        port.end(with_values(trial, **{LEASE: json.dumps({"holder": holder})}))
    assert port.oracle.trials[trial.trial_id].status == TrialStatus.RUNNING and len(port.oracle.lineage()) == 1


def test_leases_that_are_none(port):
    trial = port.ask()
    for lease in ("", "5", "[1]", "[" * 50_000, '{"holder": {"a": 1}}', '{"holder": null}'):
        port.end(with_values(trial, **{LEASE: lease}))
    port.end(with_values(trial, **{LEASE: 5}))
    assert port.oracle.trials[trial.trial_id].status == TrialStatus.RUNNING and len(port.oracle.lineage()) == 1


def test_messages_that_are_none(port):
    raw = port.channel.unary_unary("/keras_tuner.Oracle/EndTrial")
    for content in (b"\xff" * 100, b"", bytes(range(256)) * 100):
        with pytest.raises(grpc.RpcError):
            raw(content, metadata=port.metadata, timeout=30)
    for method in ("/keras_tuner.Oracle/Shutdown", "/other.Service/EndTrial", "/"):
        with pytest.raises(grpc.RpcError):
            port.channel.unary_unary(method)(b"", metadata=port.metadata, timeout=30)
    huge = MESSAGES.CreateTrialRequest(tuner_id="x" * (chief.LARGEST + 1))
    port.refused("CreateTrial", huge, "RESOURCE_EXHAUSTED|larger than max")


def test_a_flood_of_requests(port):
    requests = {
        "GetSpace": MESSAGES.GetSpaceRequest(),
        "GetTrial": MESSAGES.GetTrialRequest(trial_id="0000"),
        "GetBestTrials": MESSAGES.GetBestTrialsRequest(num_trials=100),
        "CreateTrial": MESSAGES.CreateTrialRequest(tuner_id="eve|there:9|0001"),
    }
    flood = [
        getattr(port.stub, method).future(request, timeout=60, metadata=port.metadata)
        for _ in range(500)
        for method, request in requests.items()
    ]
    assert all(each.exception() is None for each in flood)


def test_a_failure_says_its_cause_over_the_wire(port):
    client = Client(port.oracle, "bob")
    trial = client.create_trial("bob")
    before = dict(trial.hyperparameters.values)
    trial.status, trial.message = TrialStatus.FAILED, "first line\n" * 10_000 + "ResourceExhaustedError: out of memory"
    client.end_trial(trial)
    assert trial.hyperparameters.values == before
    kept = port.oracle.trials[trial.trial_id]
    assert kept.status == TrialStatus.FAILED and len(kept.message) == LONGEST_MESSAGE
    assert kept.message.endswith("\nResourceExhaustedError: out of memory")
    assert port.oracle.last_outcome.message == kept.message and LEASE not in kept.hyperparameters.values


@pytest.mark.parametrize("message", [5, None, {"a": 1}, ["x"], "", " \n "])
def test_a_failure_whose_cause_is_no_text(message, tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    lease = json.loads(trial.hyperparameters.values[LEASE])
    oracle.end_trial(with_values(trial, TrialStatus.FAILED, **{LEASE: json.dumps({**lease, "message": message})}))
    assert oracle.over() and "the training of the first network failed" in oracle.stopped_by()


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            "Traceback:\n  File \"a.py\", line 1\n    fit()\nValueError: sizes differ:\n'x' sizes: 9\n'y' sizes: 5",
            "ValueError: sizes differ: 'x' sizes: 9 'y' sizes: 5",
        ),
        ("OSError: full", "OSError: full"),
    ],
)
def test_a_failure_s_cause_is_the_whole_error_in_a_line(message, cause, tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    trial.status, trial.message = TrialStatus.FAILED, message
    oracle.end_trial(trial)
    assert f"failed with {cause} (see " in oracle.stopped_by()


def test_after_all_this_the_chief_lives_and_the_lineage_is_that_of_the_true_reports(expected, tmp_path, monkeypatch):
    for name, value in roles.local_chief().items():
        monkeypatch.setenv(name, value)
    port = Port(tmp_path)
    for attack in (
        test_ids_of_workers_that_are_none,
        test_ids_of_trials_that_are_none,
        test_metrics_that_are_no_numbers_or_too_many,
        test_hyperparameters_that_would_be_taken_for_the_search_s_or_are_too_many,
        test_a_trial_that_nobody_has_is_reported_by_nobody,
        test_leases_that_are_none,
        test_messages_that_are_none,
    ):
        attack(port)
    port.oracle.requeue("ann", "carl")
    assert port.serving.is_alive()
    assert finish(port.oracle) == expected
    port.clock.now = 1e6  # nobody has been heard for long
    port.serving.join(30)
    assert not port.serving.is_alive()
