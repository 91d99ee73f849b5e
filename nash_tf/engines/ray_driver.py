"""Hands out a tuner's trials to Ray's workers, and takes what comes of them; what is lost is done again."""

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus

from nash_tf.engines.ray_worker import Place, RayWorker, Report
from nash_tf.engines.states import Lost, States
from nash_tf.keras_models import checkpoint
from nash_tf.strategy.records import TrainingKey
from nash_tf.terminal.errors import cause
from nash_tf.workers.local import WorkersDie

PATIENCE = 120.0  # seconds without a worker, after which that is said
POLL = 1.0  # seconds between two looks at the search, where no worker reports
LOSSES = 10  # of the networks of one trial on their way, after which it is not sent again


@dataclass
class Account:
    """What the workers did.

    Attributes:
        trainings: that ended.
        busy, held: seconds in which workers trained, and in which they were there.
        places: where they were.
        lost: how many of them were lost, and how many trained networks on their way.
    """

    trainings: int = 0
    busy: float = 0.0
    held: float = 0.0
    places: set[Place] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)

    def results(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "trainings": self.trainings,
            "nodes": len({place.node for place in self.places}),
            "processes": len(self.places),
            "busy_seconds": round(self.busy, 1),
            "held_seconds": round(self.held, 1),
            "utilisation": round(self.busy / self.held, 3) if self.held else None,
            "lost_processes": self.lost["processes"],
            "lost_networks": self.lost["networks"],
        }


@dataclass
class _Worker:
    """A process of Ray's: `waits_for` is what it owes, its place or a report; `trial_id` what it trains."""

    name: str
    actor: Any
    waits_for: Any
    place: Place | None = None
    trial_id: str | None = None
    delivered: Any = None
    last: TrainingKey | None = None
    dead_before: frozenset[str] = frozenset()  # nodes that had died when it was hired
    since: float = field(default_factory=time.monotonic)
    began: float = 0.0


class Driver:
    """Hands out a tuner's trials until its search is over.

    Args:
        ray: connected.
        tuner: with the oracle.
        sent: what a worker is made of, in Ray's memory.
        kept: how trained networks travel.
        most: workers at a time.
        resources: that each of them holds, as `ray.remote` takes them.
        account: of what they do, to be filled in.
    """

    def __init__(
        self, ray, tuner, sent: tuple, kept: States, most: int, resources: Mapping[str, float], account: Account
    ):
        self._ray, self._tuner, self._sent, self._states, self._most = ray, tuner, sent, kept, most
        self._oracle, self.account = tuner.oracle, account
        self._resources, self._alone_since = resources, time.monotonic()
        self._class = ray.remote(**resources, max_restarts=0, max_task_retries=0)(RayWorker)
        self._workers: dict[str, _Worker] = {}
        self._hired, self._failures = 0, 0  # workers so far, and those in a row that died without a training
        self._warned: set[str] = set()
        self._losses: Counter[str] = Counter()  # by the trial that did not get what it starts from

    def run(self) -> None:
        """Trains all."""
        try:
            while not self._oracle.over() or self._oracle.ongoing_trials:
                self._hire()
                self._hand_out()
                self._say_that_nobody_comes()
                owed = {worker.waits_for: worker for worker in self._workers.values() if worker.waits_for is not None}
                if not owed:
                    time.sleep(POLL)
                    continue
                done, _ = self._ray.wait(list(owed), num_returns=1, timeout=POLL)
                for ref in done:
                    self._hear(owed[ref])
        finally:
            for worker in list(self._workers.values()):
                self._dismiss(worker)

    def _hire(self) -> None:
        search = self._oracle.search
        wanted = min(self._most, max(rung.children for rungs in search.steps for rung in rungs))
        while len(self._workers) < wanted and not self._oracle.over():
            name, dead = f"ray{self._hired}", self._dead_nodes()
            actor = self._class.remote(*self._sent)
            self._workers[name] = _Worker(name, actor, actor.place.remote(), dead_before=dead)
            self._hired += 1

    def _hand_out(self) -> None:
        """Gives free workers what waits, those first that have the model of a child at hand."""
        opened = self._oracle.search.opened
        before = {TrainingKey(opened.step, opened.rung - 1, child) for child in opened.missing} if opened else set()
        free = [worker for worker in self._workers.values() if worker.waits_for is None]
        for worker in sorted(free, key=lambda worker: worker.last not in before):
            trial = self._oracle.create_trial(worker.name)
            if trial.status != TrialStatus.RUNNING:
                return
            self._send(worker, trial)

    def _say_that_nobody_comes(self) -> None:
        """Says once in a while that no machine has room, or none has begun yet."""
        now = time.monotonic()
        if any(worker.place for worker in self._workers.values()):
            self._alone_since = now
        elif now - self._alone_since > PATIENCE:
            needs = ", ".join(f"{name}={value:g}" for name, value in self._resources.items())
            print(
                f"Ray has begun no worker for {PATIENCE:.0f} s; has a machine room for {needs}? `ray status` tells.",
                flush=True,
            )
            self._alone_since = now

    def _send(self, worker: _Worker, trial: Trial) -> None:
        source_id = trial.hyperparameters.values.get("tuner/trial_id")
        source = None if source_id is None else self._states.source(source_id, self._tuner.checkpoint(source_id))
        arguments = trial.get_state(), source, self._tuner.source_value(trial), self._states.url
        worker.waits_for, worker.delivered = worker.actor.train.options(num_returns=2).remote(*arguments)
        worker.trial_id, worker.began = trial.trial_id, time.monotonic()

    def _hear(self, worker: _Worker) -> None:
        """Takes what a worker owed."""
        ray, owed = self._ray, worker.waits_for
        try:
            answer = ray.get(owed)
            if isinstance(answer, Report):
                worker.waits_for = None
                self._end(worker, answer)
            elif worker.trial_id is None:
                worker.waits_for, worker.place, worker.since = None, answer, time.monotonic()
                self.account.places.add(answer)
            else:  # it was asked for a sign of life, and has one; what it trains may be lost
                self._lose(worker, "it was out of reach for a while", is_blamed=False)
        except ray.exceptions.RayTaskError as error:
            raise errors.FatalError(f"a worker failed: {cause(error.cause)}") from error
        except ray.exceptions.ActorUnavailableError:
            worker.waits_for = worker.actor.place.remote()
        except ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise WorkersDie(
                    f"Ray's workers cannot be begun: {cause(error)}; do all machines have this nash_tf, and the files that it reads?"
                ) from error
            self._lose(worker, *self._cause(worker, error))

    def _end(self, worker: _Worker, report: Report) -> None:
        """Takes what came of a trial: its network first."""
        trial, oracle = Trial.from_state(report.trial), self._oracle
        self.account.busy += time.monotonic() - worker.began
        oracle.limits.add_cpu_seconds(report.cpu_seconds)
        worker.trial_id, delivered, worker.delivered = None, worker.delivered, None
        self._warn(report.warned)
        is_tried_again = trial.status == TrialStatus.INVALID and oracle.is_tried_again(trial.trial_id)
        if report.fatal and not is_tried_again:
            raise report.fatal
        try:
            if report.lost:
                raise Lost(report.lost)
            if trial.status == TrialStatus.COMPLETED:
                checkpoint.write_files(
                    self._tuner.checkpoint(trial.trial_id), self._states.take(trial.trial_id, delivered)
                )
                oracle.update_trial(trial.trial_id, report.metrics)
        except Lost as error:
            self._send_again(worker, trial, error)
            return
        worker.last = oracle.book.assignment(oracle.get_trial(trial.trial_id)).key
        oracle.end_trial(trial)
        self._failures = 0
        self.account.trainings += trial.status != TrialStatus.STOPPED
        self._states.forget([each for each in oracle.trials if not self._tuner.checkpoint(each).is_dir()])

    def _warn(self, messages: Sequence[str]) -> None:
        """Passes on what workers warn of, once for all of them."""
        for message in messages:
            if message not in self._warned:
                self._warned.add(message)
                warnings.warn(message, stacklevel=2)

    def _send_again(self, worker: _Worker, trial: Trial, error: Lost) -> None:
        """Has a trial wait again, one of whose networks was lost on its way."""
        self.account.lost["networks"] += 1
        self._losses[trial.trial_id] += 1
        source = trial.hyperparameters.values.get("tuner/trial_id")
        self._states.forget([each for each in (source, trial.trial_id) if each is not None])
        if self._losses[trial.trial_id] >= LOSSES:
            raise errors.FatalError(f"{error}, {LOSSES} times; do all machines reach --storage?")
        self._put_back(worker)

    def _lose(self, worker: _Worker, why: str, is_blamed: bool) -> None:
        """Parts with a worker; what it trained waits for another, and is a life of its child's where that may have killed it."""
        self.account.lost["processes"] += 1
        host = worker.place.host if worker.place else "some machine"
        what = "; what it trained is done again or given up" if worker.trial_id is not None else ""
        print(f"A worker on {host} is lost: {why}{what}.", flush=True)
        if worker.trial_id is None:
            self._failures += is_blamed
            if self._failures > 3 * self._most:
                raise WorkersDie("Ray's workers keep dying before they have trained anything")
        elif is_blamed:
            self._oracle.requeue(worker.name)
        else:
            self._put_back(worker)
        self._dismiss(worker)

    def _put_back(self, worker: _Worker) -> None:
        self._oracle.book.put_back(self._oracle.ongoing_trials[worker.name])
        self._oracle.save()

    def _dismiss(self, worker: _Worker) -> None:
        if worker.place:
            self.account.held += time.monotonic() - worker.since
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(worker.actor)
        del self._workers[worker.name]

    def _cause(self, worker: _Worker, error: Exception) -> tuple[str, bool]:
        """Why a worker is lost, and whether what it did may be the reason."""
        kinds = self._ray.exceptions
        if isinstance(error, kinds.TaskCancelledError):
            return "its task was cancelled", False
        if getattr(error, "preempted", False):
            return "its machine is taken away", False
        if not self._died_alone(worker):
            return "its machine is", False
        if isinstance(error, kinds.OutOfMemoryError):
            return "Ray ended it, since its machine ran short of memory", True
        return "it died", isinstance(error, kinds.ActorDiedError | kinds.WorkerCrashedError)

    def _died_alone(self, worker: _Worker) -> bool:
        """Whether a worker has died and its machine has not; of one that never said where it was, whether none has meanwhile."""
        dead = self._dead_nodes()
        return worker.place.node not in dead if worker.place else dead <= worker.dead_before

    def _dead_nodes(self) -> frozenset[str]:
        return frozenset(node["NodeID"] for node in self._ray.nodes() if not node["Alive"])
