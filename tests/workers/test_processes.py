"""Chiefs and workers as real processes, on few of the bundled digits; some of them are killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nash_tf.terminal.signals import Stopped, stoppable
from nash_tf.tuning.client import ChiefLost, Heartbeat
from nash_tf.workers.local import LocalWorkers, WorkersDie
from nash_tf.workers.roles import free_port
from tests.helpers import wait_for
from tests.helpers.processes import finish, here, lineage, start


@pytest.fixture
def alone(whole):
    """The lineage of a search in one process."""
    return lineage(whole[0])


def of_step_1(records):
    return [record for record in records if record["step"] <= 1]


def workers_of(process):
    """Process ids of a chief's workers."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def told(name, port):
    """Keras Tuner's variables that tell a chief or a worker its part."""
    own = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    return {**own, "KERASTUNER_TUNER_ID": name}


def part(directory, name, port, *arguments):
    """A chief or a worker."""
    return start(directory, *arguments, **told(name, port))


def held(directory):
    """(trial, process id of its worker) of all trials that are being trained."""
    found = []
    for file in directory.glob("tuner/trial_*/trial.json"):
        trial = json.loads(file.read_text())
        holder = trial["lease"].get("holder")
        if trial["status"] == "RUNNING" and holder:
            found.append((file, int(holder.rpartition(":")[2])))
    return found


def test_a_worker_that_is_paused_and_one_that_is_killed_change_nothing(alone, tmp_path):
    """The first wakes after its trial was given away, and is refused; the other holds that trial when it dies."""
    directory = tmp_path / "run"
    process = start(directory, "--workers=2", "--steps=1")
    wait_for(lambda: (directory / "lineage.jsonl").exists())
    while True:
        trial, paused = wait_for(lambda: held(directory))[0]
        os.kill(paused, signal.SIGSTOP)
        if (trial, paused) in held(directory):
            break
        os.kill(paused, signal.SIGCONT)  # it was faster: the next one
    wait_for(lambda: '"deaths": 1' in trial.read_text())
    killed = next(worker for worker in workers_of(process) if worker != paused)
    os.kill(dict(held(directory)).get(trial, killed), signal.SIGKILL)
    os.kill(paused, signal.SIGCONT)
    assert "a late report was refused" in finish(process)
    assert lineage(directory) == of_step_1(alone)


def test_a_process_for_each_child_gives_the_same_lineage(alone, tmp_path):
    directory = tmp_path / "run"
    here(directory, "--isolate", "--steps=1")
    assert lineage(directory) == of_step_1(alone)


def test_a_worker_outlives_its_chief_and_a_name_is_one_worker_s(alone, tmp_path):
    directory, free = tmp_path / "run", free_port()
    chief = part(directory, "chief", free, "--steps=1")
    worker = part(directory, "worker0", free, "--steps=1")
    wait_for(lambda: (directory / "lineage.jsonl").exists())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told("worker0", free).items():
            patch.setenv(name, value)
        assert "'worker0' is in use by" in here(directory, "--steps=1", status=1).splitlines()[-1]
    chief.kill()
    chief.communicate()
    finish(part(directory, "chief", free, "--steps=1", "--resume"))
    finish(worker)
    assert lineage(directory) == of_step_1(alone)
    assert json.loads((directory / "results.json").read_text())["steps"] == 1


def test_a_limit_on_cpu_time_ends_a_search_with_workers(tmp_path):
    here(tmp_path / "run", "--workers=2", "--steps=500", "--max_cpu_hours=0.0005")
    records = lineage(tmp_path / "run")
    assert {record["status"] for record in records} == {"completed"} and max(record["step"] for record in records) < 500
    assert (tmp_path / "run" / "best" / "model.keras").is_file()


@pytest.mark.skipif("NASH_TF_ALL" not in os.environ, reason="a long one: bash launchers/test.sh --all")
def test_four_workers_give_the_lineage_of_one(alone, tmp_path):
    finish(start(tmp_path / "run", "--workers=4"))
    assert lineage(tmp_path / "run") == alone


def test_a_training_whose_chief_is_gone_ends_with_that():
    class Client:
        def holds(self, trial_id):
            raise ChiefLost("the chief has not answered")

    with Heartbeat(Client(), "0001", 0.01) as heartbeat:
        wait_for(lambda: heartbeat.lost)
        with pytest.raises(ChiefLost, match="has not answered"):
            heartbeat.check()


@pytest.mark.parametrize("trains", [True, False])
def test_workers_that_die_without_a_training_are_given_up(trains):
    workers = LocalWorkers(1, [sys.executable, "-c", "raise SystemExit(3)"], lambda _: {})
    busy = {"worker0"} if trains else ()
    expected = contextlib.nullcontext() if trains else pytest.raises(WorkersDie, match="exit status 3")
    with expected:
        for _ in range(6):
            workers.keep_up(True, busy)
            wait_for(lambda: not workers.running())


def test_workers_that_do_not_listen_are_killed_within_seconds(tmp_path):
    code = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(tmp_path / 'deaf')!r}, 'w'); time.sleep(600)"
    workers = LocalWorkers(2, [sys.executable, "-c", code], lambda _: {})
    workers.keep_up(True)
    wait_for((tmp_path / "deaf").exists)
    began = time.monotonic()
    workers.stop()
    assert not workers.running() and time.monotonic() - began < 120, "long before they would end by themselves"


def test_a_signal_that_comes_while_a_worker_is_begun_leaves_no_worker_behind(monkeypatch):
    begun = []

    class Begun(subprocess.Popen):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            begun.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Begun)
    workers = LocalWorkers(2, [sys.executable, "-c", "import time; time.sleep(60)"], lambda _: {})
    with pytest.raises(Stopped), stoppable():
        try:
            workers.keep_up(True)
            time.sleep(30)
        finally:
            workers.stop()
    assert [each.poll() for each in begun] == [-signal.SIGTERM] * 2


@pytest.mark.parametrize(("sent", "at_work"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_a_stopped_chief_takes_its_workers_along_and_can_go_on(sent, at_work, tmp_path):
    """While they train, and while they load; until then its directory is its own."""
    directory = tmp_path / "run"
    process = start(directory, "--workers=2", "--steps=1")
    if at_work:
        wait_for(lambda: (directory / "lineage.jsonl").exists())
        refused = here(directory, "--workers=2", "--steps=1", "--resume", status=1)
        assert f"process {process.pid} on" in refused.splitlines()[-1]
    workers = wait_for(lambda: workers_of(process))
    process.send_signal(sent)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + sent and "--resume" in printed
    assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)
