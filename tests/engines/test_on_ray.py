"""Searches on real clusters of Ray: one that a search begins itself, and two raylets on this machine as two nodes."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT, wait_for
from tests.helpers.processes import finish, lineage, start
from tests.helpers.ray_nodes import ENVIRONMENT
from tests.helpers.tuners import CLASSES, IMAGES, classifier, tuner_of

ray = pytest.importorskip("ray")

MEASURED = ("cpu_seconds", "wall_seconds")


def records(tuner):
    return [{name: value for name, value in each.items() if name not in MEASURED} for each in tuner.oracle.lineage()]


def test_a_users_own_search_on_a_cluster_of_its_own(tmp_path):
    here = tuner_of(classifier, tmp_path / "here")
    here.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    addresses, handler = [], signal.getsignal(signal.SIGTERM)

    def look(oracle):
        addresses.append(ray.nodes()[0]["NodeManagerAddress"])

    there = tuner_of(classifier, tmp_path / "there", engine="ray", on_trained=look)
    there.engine.workers, there.engine.storage = 2, str(tmp_path / "store")
    with pytest.raises(ValueError, match="cannot be sent to other processes"):
        there.search(IMAGES, CLASSES, validation_data=(part for part in (IMAGES, CLASSES)), verbose=0)
    there.search(IMAGES, CLASSES, validation_split=0.25, verbose=0)
    assert records(there) == records(here) and len(addresses) == 4
    assert not ray.is_initialized() and signal.getsignal(signal.SIGTERM) == handler
    assert os.listdir(tmp_path / "store") == []
    account = there.engine.results()["engine"]
    assert (account["trainings"], account["nodes"], account["lost_processes"]) == (4, 1, 0)
    if "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in os.environ:  # unless another test had Ray imported before
        assert set(addresses) == {"127.0.0.1"}
    one, other = (tuner.get_best_models()[0].predict(IMAGES[:4], verbose=0) for tuner in (here, there))
    np.testing.assert_array_equal(one, other)


@pytest.fixture
def two_nodes():
    """The address of a cluster of two nodes, and the process ids of their raylets."""
    command = [sys.executable, "-m", "tests.helpers.ray_nodes"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        told = json.loads(process.stdout.readline())
        yield told["address"], told["raylets"]
    finally:
        process.stdin.close()
        process.wait(60)


def being_trained(directory):
    """Whether a worker of Ray's is at work."""
    found = [json.loads(file.read_text()) for file in directory.glob("tuner/trial_*/trial.json")]
    return any(trial["status"] == "RUNNING" and trial["lease"].get("holder") for trial in found)


def test_a_node_and_the_driver_are_lost_and_the_lineage_is_that_of_one_process(whole, two_nodes, tmp_path):
    address, raylets = two_nodes
    directory = tmp_path / "run"
    arguments = ["--engine=ray", "--workers=2", f"--ray_address={address}"]
    process = start(directory, *arguments, **ENVIRONMENT)
    wait_for(lambda: len(_lines(directory)) >= 2 or process.poll() is not None, 600)
    process.kill()
    process.communicate()
    before = len(_lines(directory))
    assert before >= 2
    process = start(directory, *arguments, "--resume", **ENVIRONMENT)
    wait_for(lambda: being_trained(directory) and len(_lines(directory)) > before or process.poll() is not None, 600)
    os.kill(raylets[0], signal.SIGKILL)
    finish(process)
    assert lineage(directory) == lineage(whole[0])
    account = json.loads((directory / "results.json").read_text())["engine"]
    assert account["trainings"] == len(_lines(directory)) - before  # none of them twice
    assert account["lost_processes"] >= 1
    left = subprocess.run(["pgrep", "-f", f"output_dir={directory}"], capture_output=True, text=True).stdout
    assert left == ""


def _lines(directory):
    file = directory / "lineage.jsonl"
    return file.read_text().splitlines() if file.exists() else []
