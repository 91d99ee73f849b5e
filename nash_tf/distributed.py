"""Chief and workers over Keras Tuner's own protocol and environment variables.

`KERASTUNER_ORACLE_IP`, `KERASTUNER_ORACLE_PORT` and `KERASTUNER_TUNER_ID` say who is who; the id of the chief begins with
"chief". All see the search's directory. The port is open to whoever can reach it: keep it on loopback or in a trusted network.
"""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent import futures

import grpc
import tensorflow as tf
from keras_tuner import errors
from keras_tuner.engine import trial as trial_module
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_client, utils
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from nash_tf.leases import Worker
from nash_tf.stopping import end

PATIENCE = 60.0  # seconds that a worker waits for a chief
POLL = 0.5  # seconds between two looks of the chief at its workers
IDLE = 1.0  # seconds between two questions of an idle worker
LOOPBACK = "127.0.0.1"


class ChiefLost(errors.FatalError):
    """The chief has not answered for a while."""


class WorkersDie(errors.FatalError):
    """Local workers end before they have asked for anything to do."""


class LeaseLost(Exception):
    """The trial was given to another worker; what is known of it here is worthless."""


def is_worker() -> bool:
    """Whether this process asks a chief for its trials."""
    return utils.has_chief_oracle() and not utils.is_chief_oracle()


def is_chief() -> bool:
    """Whether this process hands out trials to workers."""
    return utils.is_chief_oracle()


class Client(oracle_client.OracleClient):
    """A worker's view of the chief's oracle: patient with a chief that restarts, asleep while there is nothing to do.

    Args:
        oracle: the worker's own oracle object, for its settings.
        name: of the worker.
        trials: trials after which the worker leaves; None for no limit.
    """

    def __init__(self, oracle, name: str, trials: int | None = None):
        if "|" in name:
            raise ValueError(f"KERASTUNER_TUNER_ID={name}: must not hold '|'")
        super().__init__(oracle)
        self.worker = Worker(name, f"{socket.gethostname()}:{os.getpid()}")
        self._left = trials
        # gRPC would wait ever longer between two tries, up to two minutes.
        options = [(f"grpc.{name}_reconnect_backoff_ms", 500) for name in ("initial", "min", "max")]
        self.stub = protos.get_service_grpc().OracleStub(grpc.insecure_channel(_address(), options))
        oracle_client.TIMEOUT = PATIENCE  # Keras Tuner's own is an hour

    def create_trial(self, tuner_id):
        if self._left == 0:
            return trial_module.Trial(self.get_space(), status=TrialStatus.STOPPED)
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
        return self._patiently(super().end_trial, trial)

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
                if code == grpc.StatusCode.UNKNOWN:  # an exception in the chief
                    raise errors.FatalError(error.details().removeprefix("Exception calling application: ")) from None
                if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or (
                    time.monotonic() - began > PATIENCE
                ):
                    raise ChiefLost(f"the chief at {_address()} has not answered for {PATIENCE:.0f} s") from None
            time.sleep(POLL)


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


def serve(oracle, workers: "LocalWorkers | None" = None) -> None:
    """Hands out an oracle's trials until the search is over and all workers know it.

    Args:
        oracle: a `HillClimbingOracle`.
        workers: processes of this machine to watch over, if any.
    """
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    try:
        bound = server.add_insecure_port(_address())
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(
            f"KERASTUNER_ORACLE_IP:KERASTUNER_ORACLE_PORT={_address()}: cannot be listened on; is another chief there?"
        )
    server.start()
    # A chief that is started again may find the search over; workers of the one before are told so when they come back.
    awaited = time.monotonic() + (0.0 if workers else oracle.leases.timeout)
    try:
        while True:
            if workers is not None:
                oracle.requeue(*workers.keep_up(not oracle.over(), busy=tuple(oracle.ongoing_trials)))
            oracle.requeue_dead()
            left = oracle.is_alone() and not (workers and workers.running())
            if oracle.over() and left and time.monotonic() > awaited:
                return
            time.sleep(POLL)
    finally:
        server.stop(grace=1.0).wait()


def _address() -> str:
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


class LocalWorkers:
    """Worker processes of this machine, begun again when they end before the search does.

    Args:
        count: how many.
        command: what each of them runs.
        environment: variables of the i-th, beside those of this process.
    """

    def __init__(self, count: int, command: Sequence[str], environment: Callable[[int], Mapping[str, str]]):
        self._command, self._environment, self._failures = list(command), environment, 0
        self._processes: dict[str, subprocess.Popen | None] = {f"worker{number}": None for number in range(count)}

    def keep_up(self, wanted: bool, busy: Collection[str] = ()) -> list[str]:
        """Starts those that are not there, if they are still wanted; names those that have died meanwhile.

        Args:
            wanted: whether there is something left to do.
            busy: names of those that train: what becomes of a child whose processes die is not decided here.

        Raises:
            WorkersDie: others keep dying.
        """
        died = []
        for number, (name, process) in enumerate(self._processes.items()):
            if process is not None and process.poll() is None:
                continue
            if process is not None:
                self._processes[name] = None
                died.append(name)
                self._failures = self._failures + 1 if process.returncode and name not in busy else 0
                if self._failures > 3 * len(self._processes):
                    raise WorkersDie(f"the workers keep dying, the last with exit status {process.returncode}")
            if wanted:
                environment = {**os.environ, **self._environment(number), "KERASTUNER_TUNER_ID": name}
                # What there is to see, the chief shows.
                self._processes[name] = subprocess.Popen(self._command, env=environment, stdout=subprocess.DEVNULL)
        return died

    def running(self) -> bool:
        """Whether any of them lives."""
        return any(process is not None and process.poll() is None for process in self._processes.values())

    def stop(self) -> None:
        """Ends them all."""
        end([process for process in self._processes.values() if process is not None], patience=3.0)


def gpus() -> list[str]:
    """Names, for CUDA_VISIBLE_DEVICES, of the GPUs that this process sees."""
    found = len(tf.config.list_physical_devices("GPU"))
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:found] if named else [str(number) for number in range(found)]


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
