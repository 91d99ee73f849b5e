"""Searches on real clusters of Ray: one that a search begins itself, and raylets on this machine as nodes. Ten kills: `-k kills`."""

import importlib
import json
import os
import signal
import subprocess

import numpy as np
import pytest

from nash_tf.engines import states
from nash_tf.engines.ray_driver import Driver
from nash_tf.keras_models import checkpoint
from tests.helpers import wait_for
from tests.helpers.processes import finish, lineage, start
from tests.helpers.ray_nodes import Holder, Nodes
from tests.helpers.tuners import CLASSES, IMAGES, classifier, tuner_of

ray = pytest.importorskip("ray")
NodeAffinitySchedulingStrategy = importlib.import_module(
    "ray.util.scheduling_strategies"
).NodeAffinitySchedulingStrategy

MEASURED = ("cpu_seconds", "wall_seconds")
FRONT = {
    "method": "front",
    "front_sizes": (150, 260, 420),
    "budget_epochs": 8,
    "vanilla_epochs": 1,
}


def records(tuner):
    return [{name: value for name, value in each.items() if name not in MEASURED} for each in tuner.oracle.lineage()]


def test_a_run_on_a_cluster_of_its_own(whole, tmp_path):
    directory, store = tmp_path / "run", tmp_path / "store"
    process = start(directory, "--engine=ray", "--workers=1", "--steps=1", f"--storage={store}")
    wait_for(lambda: lineage_of(directory) or process.poll() is not None, 300)
    begun = subprocess.run(["pgrep", "-a", "-P", str(process.pid)], capture_output=True, text=True).stdout
    finish(process)
    assert "--node_ip_address=127.0.0.1" in next(line for line in begun.splitlines() if "raylet" in line)
    assert lineage(directory) == [record for record in lineage(whole[0]) if record["step"] <= 1]
    account = json.loads((directory / "results.json").read_text())["engine"]
    assert (account["trainings"], account["nodes"], account["lost_processes"]) == (4, 1, 0)
    assert os.listdir(store) == []
    left = [line.split()[0] for line in begun.splitlines()]
    assert left and not any(os.path.exists(f"/proc/{number}") for number in left)


def lineage_of(directory):
    file = directory / "lineage.jsonl"
    return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def nodes(on_loopback):
    begun = Nodes(1)
    yield begun
    begun.close()


def test_a_users_own_search_whose_node_and_networks_are_lost_is_that_of_one_process(nodes, tmp_path, monkeypatch):
    here = tuner_of(classifier, tmp_path / "here", **FRONT)
    here.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    held, taken, send, take = [], [], Driver._send, states.InMemory.take

    def send_and_kill(self, worker, trial):
        is_first_child = "tuner/trial_id" in trial.hyperparameters.values and not held
        if is_first_child:  # what it starts from lies on the node that dies
            files = checkpoint.read_files(self._tuner.checkpoint(trial.hyperparameters.values["tuner/trial_id"]))
            here_alone = NodeAffinitySchedulingStrategy(worker.place.node, soft=False)
            held.append(ray.remote(num_cpus=0, scheduling_strategy=here_alone)(Holder).remote())
            held.extend(ray.get(held[0].hold.remote(files)))
            self._states._refs[trial.hyperparameters.values["tuner/trial_id"]] = held[1]
        send(self, worker, trial)
        if is_first_child:
            nodes.kill(worker.place.node)  # at once: on a fast machine it is done within a second

    def take_what_is_lost(self, trial_id, delivered):
        taken.append(trial_id)
        return take(self, trial_id, held[1] if len(taken) == 2 else delivered)

    monkeypatch.setattr(Driver, "_send", send_and_kill)
    monkeypatch.setattr(states.InMemory, "take", take_what_is_lost)
    there = tuner_of(classifier, tmp_path / "there", engine="ray", **FRONT)
    there.engine.workers, there.engine.address = 1, nodes.address
    with pytest.raises(ValueError, match="cannot be sent to other processes"):
        batches = ((IMAGES, CLASSES) for _ in range(100))
        there.search(batches, steps_per_epoch=1, validation_data=(IMAGES, CLASSES), verbose=0)
    handler = signal.getsignal(signal.SIGTERM)
    there.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    assert records(there) == records(here)
    account = there.engine.results()["engine"]
    assert (account["trainings"], account["lost_processes"], account["lost_networks"]) == (4, 1, 2)
    assert len(taken) == len(set(taken)) + 1  # the one whose network was lost was trained again
    assert not ray.is_initialized() and signal.getsignal(signal.SIGTERM) == handler
    one, other = (tuner.get_best_models()[0].predict(IMAGES[:4], verbose=0) for tuner in (here, there))
    np.testing.assert_array_equal(one, other)
