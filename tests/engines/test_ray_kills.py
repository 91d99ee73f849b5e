"""Searches on Ray whose drivers, nodes and children are killed; long ones: `NASH_TF_ALL=1 pytest -s tests/engines/test_ray_kills.py`."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import keras_tuner
import numpy as np
import pytest

from nash_tf.engines import states
from nash_tf.strategy.records import TrainingKey
from nash_tf.tuning import trial_values
from tests.helpers import wait_for
from tests.helpers.processes import MEASURED, finish, lineage, start
from tests.helpers.ray_nodes import ENVIRONMENT, Nodes
from tests.helpers.tuners import CLASSES, IMAGES, classifier, tuner_of

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.skipif("NASH_TF_ALL" not in os.environ, reason="a long one: bash launchers/test.sh --all")

KILLS = int(os.environ.get("NASH_TF_KILLS", "10"))
SCORES = ("test_accuracy", "test_loss", "winner", "params", "final_epochs_done")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The directory of a search in one process."""
    directory = tmp_path_factory.mktemp("alone") / "run"
    finish(start(directory))
    return directory


@pytest.fixture
def nodes(on_loopback):
    begun = Nodes(2)
    yield begun
    begun.close()


def lines(directory):
    file = directory / "lineage.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def results(directory):
    return json.loads((directory / "results.json").read_text())


def assert_same(directory, other):
    assert lineage(directory) == lineage(other)
    one, two = results(directory), results(other)
    assert [one[name] for name in SCORES] == [two[name] for name in SCORES]


def being_trained(directory):
    """Whether a worker of Ray's is at work."""
    found = [json.loads(file.read_text()) for file in directory.glob("tuner/trial_*/trial.json")]
    return any(trial["status"] == "RUNNING" and trial["lease"].get("holder") for trial in found)


def await_lines(process, directory, number):
    """Waits for so many trainings to have ended, or the process."""
    wait_for(lambda: process.poll() is not None or len(lines(directory)) >= number, 600)


def await_work(process, directory, more_than):
    """Waits for a training that goes on where so many have ended, or the end of the process."""

    def there():
        return process.poll() is not None or being_trained(directory) and len(lines(directory)) > more_than

    wait_for(there, 600)


def note(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def test_kills_of_the_driver_change_nothing_and_what_had_ended_is_not_trained_again(alone, nodes, tmp_path):
    """Every other search has two workers on a cluster that outlives its drivers, the others one on a cluster of their own."""
    moments, kills, searches, total = random.Random(0), 0, 0, len(lines(alone))
    while kills < KILLS:
        directory, kept, is_over = tmp_path / f"{searches}", [], False
        where = ["--workers=2", f"--ray_address={nodes.address}"] if searches % 2 else ["--workers=1"]
        while not is_over:
            process = start(directory, "--engine=ray", *where, "--resume", **ENVIRONMENT)
            if is_over := kills >= KILLS or len(kept) > total - 2:
                finish(process)
                break
            until = moments.randint(len(kept), min(len(kept) + 2, total - 1))  # trainings that have ended
            await_lines(process, directory, until)
            time.sleep(moments.uniform(0.0, 15.0 if until == len(kept) else 2.0))
            process.kill()
            said, _ = process.communicate()
            assert process.returncode == -signal.SIGKILL, said
            assert len(lines(directory)) == len(kept) or "with --resume goes on" in said
            kills, kept = kills + 1, lines(directory)
            note("driver killed", kills, "times, now with", len(kept), "lines; search", searches)
        assert_same(directory, alone)
        assert set(kept) <= set(lines(directory))  # with the seconds that they took
        assert results(directory)["engine"]["trainings"] == total - len(kept)
        searches += 1
    left = subprocess.run(["pgrep", "-f", f"output_dir={tmp_path}"], capture_output=True, text=True).stdout
    assert left == ""


def test_kills_of_nodes_in_the_middle_of_a_rung_change_nothing(alone, nodes, tmp_path):
    moments, kills, searches = random.Random(1), 0, 0
    while kills < KILLS:
        directory, at_last = tmp_path / f"{searches}", 0
        arguments = ["--engine=ray", "--workers=2", f"--ray_address={nodes.address}"]
        with open(tmp_path / f"{searches}.txt", "w") as said:  # Ray says a lot of each node that dies
            process = start(directory, *arguments, output=said, **ENVIRONMENT)
        while process.poll() is None and kills < KILLS:
            await_work(process, directory, at_last)
            time.sleep(moments.uniform(0.0, 4.0))
            if process.poll() is None and being_trained(directory):
                nodes.kill(moments.choice(list(nodes.raylets)))
                kills, at_last = kills + 1, len(lines(directory))
                note("node killed", kills, "times, with", at_last, "lines;", "search", searches)
                nodes.changed()
        finish(process)
        note("workers lost:", (tmp_path / f"{searches}.txt").read_text().count("is lost: its machine is"))
        assert_same(directory, alone)
        assert results(directory)["engine"]["trainings"] == len(lines(directory))
        searches += 1


def test_a_network_that_lies_on_a_node_that_dies_is_trained_again(on_loopback, tmp_path, monkeypatch):
    """Ray is told to leave nothing with the driver, so that the network of the first child is on its node alone."""
    here = tuner_of(classifier, tmp_path / "here")
    here.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    nodes, taken, take = Nodes(1, RAY_max_direct_call_object_size="1"), [], states.InMemory.take

    def take_after_a_kill(self, trial_id, delivered):
        taken.append(trial_id)
        if len(taken) == 2:
            (node,) = nodes.raylets
            nodes.kill(node)
            nodes.changed()
            wait_for(lambda: not any(each["Alive"] for each in ray.nodes() if each["NodeID"] == node), 60)
        return take(self, trial_id, delivered)

    monkeypatch.setattr(states.InMemory, "take", take_after_a_kill)
    there = tuner_of(classifier, tmp_path / "there", engine="ray")
    there.engine.workers, there.engine.address = 1, nodes.address
    try:
        there.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    finally:
        nodes.close()
    assert without_times(there) == without_times(here)
    account = there.engine.results()["engine"]
    assert (account["lost_processes"], account["lost_networks"]) == (1, 1) and len(taken) == 5


class Hungry(keras_tuner.HyperModel):
    """One of its children needs more memory than there is.

    Args:
        takes: bytes; None for an error without taking anything.
    """

    def __init__(self, takes):
        super().__init__()
        self.takes = takes

    def build(self, hp):
        return classifier(hp)

    def fit(self, hp, model, *args, **kwargs):
        if trial_values.decode(hp.values).key == TrainingKey(1, 0, 1):
            if self.takes is None:
                raise MemoryError
            held = [np.ones(2**28, np.uint8) for _ in range(self.takes // 2**28)]
            time.sleep(120)
            raise AssertionError(f"nobody minds {len(held)} pieces")
        return model.fit(*args, **kwargs)


def test_a_child_out_of_memory_has_failed_after_three_processes_and_the_search_goes_on(on_loopback, tmp_path, capsys):
    here = tuner_of(Hungry(None), tmp_path / "here")
    here.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    memory = {line.split()[0]: int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines()}
    used, spare = memory["MemTotal:"] - memory["MemAvailable:"], 3 * 2**30
    threshold = (used + spare) / memory["MemTotal:"]
    nodes = Nodes(1, RAY_memory_usage_threshold=f"{threshold:.3f}", RAY_memory_monitor_refresh_ms="100")
    there = tuner_of(Hungry(2 * spare), tmp_path / "there", engine="ray")
    there.engine.workers, there.engine.address = 1, nodes.address
    try:
        there.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    finally:
        nodes.close()
    assert [each["status"] for each in here.oracle.lineage()].count("failed") == 1
    assert without_times(there) == without_times(here)
    assert there.engine.results()["engine"]["lost_processes"] == 3
    assert capsys.readouterr().out.count("Ray ended it, since its machine ran short of memory") == 3
    (message,) = (trial.message for trial in there.oracle.trials.values() if trial.message)
    assert "3 processes died while they trained it" in message


def without_times(tuner):
    return [{name: value for name, value in each.items() if name not in MEASURED} for each in tuner.oracle.lineage()]
