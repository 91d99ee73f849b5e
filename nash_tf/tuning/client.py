"""A worker's view of the chief's oracle, over Keras Tuner's protocol."""

import os
import socket
import threading
import time
from collections.abc import Callable

import grpc
from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.tuning import private_api, trial_values
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.workers import roles
from nash_tf.workers.leases import Worker

PATIENCE = 60.0  # seconds that a worker waits for a chief
POLL = 0.5  # seconds between two tries to reach it
IDLE = 1.0  # seconds between two questions of an idle worker
SECRET_KEY = "nash-tf-secret"  # in the metadata of each call


class ChiefLost(errors.FatalError):
    """The chief has not answered for a while."""


class LeaseLost(Exception):
    """The trial was given to another worker; what is known of it here is worthless."""


class Client(private_api.OracleClient):
    """A worker's view of the chief's oracle: patient with a chief that restarts, asleep while there is nothing to do.

    Args:
        oracle: the worker's own oracle object, for its settings.
        name: of the worker.
        trials: trials after which the worker leaves; None for no limit.
    """

    def __init__(self, oracle: HillClimbingOracle, name: str, trials: int | None = None):
        if "|" in name:
            raise ValueError(f"KERASTUNER_TUNER_ID={name}: must not hold '|'")
        super().__init__(oracle)
        self.worker = Worker(name, f"{socket.gethostname()}:{os.getpid()}")
        self._left = trials
        # gRPC would wait ever longer between two tries, up to two minutes.
        options = [(f"grpc.{name}_reconnect_backoff_ms", 500) for name in ("initial", "min", "max")]
        channel = grpc.intercept_channel(grpc.insecure_channel(roles.address(), options), _WithSecret())
        self.stub = private_api.oracle_stub(channel)
        private_api.set_client_timeout(PATIENCE)  # Keras Tuner's own is an hour

    def create_trial(self, tuner_id):
        if self._left == 0:
            return Trial(self.get_space(), status=TrialStatus.STOPPED)
        while True:
            trial = self._patiently(super().create_trial, str(self.worker))
            if trial.status != TrialStatus.IDLE:
                self._left = self._left and self._left - 1
                return trial
            time.sleep(IDLE)

    def holds(self, trial_id: str) -> bool:
        """Tells the chief that the trial is being worked on; whether it is still this worker's."""
        trial = self._patiently(super().create_trial, str(self.worker._replace(trial=trial_id)))
        return trial.status != TrialStatus.IDLE

    def update_trial(self, trial_id, metrics, step=0):
        return self._patiently(super().update_trial, trial_id, metrics, step)

    def end_trial(self, trial):
        report = Trial.from_state(trial.get_state())
        report.hyperparameters.values = trial_values.with_message(trial.hyperparameters.values, trial.message)
        return self._patiently(super().end_trial, report)

    def give_up(self, trial, why: str) -> None:
        """Hands a trial back, and tells the chief why the search cannot go on."""
        report = Trial.from_state(trial.get_state())
        report.status = TrialStatus.STOPPED
        report.hyperparameters.values = trial_values.with_message(trial.hyperparameters.values, why, trial_values.FATAL)
        self._patiently(super().end_trial, report)

    def get_trial(self, trial_id):
        return self._patiently(super().get_trial, trial_id)

    def get_space(self):
        return self._patiently(super().get_space)

    def update_space(self, hyperparameters):
        return self._patiently(super().update_space, hyperparameters)

    def get_best_trials(self, num_trials=1):
        return self._patiently(super().get_best_trials, num_trials)

    def _patiently(self, call: Callable, *arguments):
        # A call may be sent twice: the chief takes a second report, or a second wish of a busy worker, for the first.
        began = time.monotonic()
        while True:
            try:
                return call(*arguments)
            except grpc.RpcError as error:
                code = error.code()
                if code == grpc.StatusCode.UNAUTHENTICATED:
                    raise errors.FatalError(f"the chief at {roles.address()} refuses: {error.details()}") from None
                if code == grpc.StatusCode.INTERNAL:  # an exception in the chief
                    raise errors.FatalError(error.details()) from None
                if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or (
                    time.monotonic() - began > PATIENCE
                ):
                    raise ChiefLost(f"the chief at {roles.address()} has not answered for {PATIENCE:.0f} s") from None
            time.sleep(POLL)


class _WithSecret(grpc.UnaryUnaryClientInterceptor):
    """Adds what chief and workers have in common to each call."""

    def intercept_unary_unary(self, continuation, details, request):
        metadata = [*(details.metadata or ()), (SECRET_KEY, roles.secret())]
        return continuation(details._replace(metadata=metadata), request)


class Heartbeat:
    """Tells the chief, beside the training, that a trial is being worked on; `lost` once it is another's, or the chief is gone."""

    def __init__(self, client: Client, trial_id: str, seconds: float):
        self.lost = False
        self._fatal: errors.FatalError | None = None
        self._client, self._trial_id, self._seconds = client, trial_id, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def check_lightly(self) -> None:
        """As `check`, from what is known already."""
        if self.lost:
            self.check()

    def check(self) -> None:
        """Raises LeaseLost where the trial is another's, ChiefLost where nobody says whose it is."""
        if self._fatal:
            raise self._fatal
        self.lost = self.lost or not self._client.holds(self._trial_id)
        if self.lost:
            raise LeaseLost(f"trial {self._trial_id} was given to another worker")

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds) and not self.lost:
            try:
                self.lost = not self._client.holds(self._trial_id)
            except errors.FatalError as error:
                self._fatal, self.lost = error, True
