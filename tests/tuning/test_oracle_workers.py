"""Workers that die, wake up late or outlive their chief, and what each of them is given."""

import threading

import pytest
from keras_tuner.engine.trial import TrialStatus

from nash_tf.tuning.lending import DEATHS
from nash_tf.tuning.trial_values import lease_of
from nash_tf.workers.leases import NameTaken, Worker
from tests.helpers.stand_in import begin, finish, report, training_of


def test_a_dead_worker_s_trial_is_given_away_and_its_late_report_refused(expected, tmp_path, capsys):
    oracle, clock = begin(tmp_path)
    ann, bob = Worker("ann", "here:1"), Worker("bob", "here:2")
    trial = oracle.create_trial(str(ann))
    assert oracle.create_trial(str(bob)).status == TrialStatus.IDLE
    late = type(trial).from_proto(trial.to_proto())
    clock.now = 9.9
    assert oracle.create_trial(str(ann._replace(trial=trial.trial_id))).status == TrialStatus.RUNNING
    clock.now = 20.0
    again = oracle.create_trial(str(bob))
    assert again.trial_id == trial.trial_id
    assert oracle.create_trial(str(ann._replace(trial=trial.trial_id))).status == TrialStatus.IDLE
    report(oracle, late, score=0.99)
    assert "refused" in capsys.readouterr().out and not oracle.lineage()
    report(oracle, again)
    report(oracle, again, score=0.5)  # a second report of the same
    assert finish(oracle) == expected


def test_metrics_of_a_late_tuner_do_not_count(expected, tmp_path):
    oracle, clock = begin(tmp_path)
    trial = oracle.create_trial("ann|here:1")
    oracle.update_trial(trial.trial_id, {"val_accuracy": 1.0})
    clock.now = 11.0
    report(oracle, oracle.create_trial("bob|here:2"))
    assert finish(oracle) == expected


def test_a_worker_is_given_the_children_that_it_has_traced(tmp_path):
    oracle, _ = begin(tmp_path)
    workers = ["worker0", "worker1"]
    report(oracle, oracle.create_trial(workers[0]))
    for child in range(4):  # of equal scores those of the lower numbers are promoted
        report(oracle, oracle.create_trial(workers[child % 2]), score=0.5)
    assert [training_of(oracle.create_trial(name)) for name in reversed(workers)] == [(1, 1, 1), (1, 1, 0)]


def test_a_child_whose_processes_keep_dying_has_failed(tmp_path):
    oracle, clock = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    for number in range(DEATHS):
        trial = oracle.create_trial(f"worker{number}|here:{number}")
        assert (trial.trial_id, trial.status) == ("0001", TrialStatus.RUNNING)
        clock.now += 11.0
    records = finish(oracle)
    assert [record["status"] for record in records].count("failed") == 1
    assert "3 processes died" in oracle.trials["0001"].message
    assert max(record["step"] for record in records) == 2


def test_interruptions_of_the_whole_search_are_no_deaths_of_a_child(expected, tmp_path):
    begin(tmp_path)[0].create_trial("worker0|here:0")
    for number in range(1, DEATHS + 2):
        oracle, _ = begin(tmp_path)  # with the worker the chief was ended; the next one finds its name in use
        with pytest.raises(NameTaken):
            oracle.create_trial(f"worker0|here:{number}")
        oracle.requeue("worker0")
        assert oracle.create_trial(f"worker0|here:{number}").trial_id == "0000"
    oracle.requeue("worker0")  # this one had been heard
    assert oracle.book.lending.deaths("0000") == 1
    assert finish(oracle) == expected


def test_a_worker_that_runs_out_of_time_ends_the_search_and_no_child(expected, tmp_path):
    oracle, _ = begin(tmp_path, max_cpu_hours=1.0)
    for _ in range(2):
        report(oracle, oracle.create_trial("worker0|here:0"))
    trial = oracle.create_trial("worker0|here:0")
    told = type(trial).from_proto(trial.to_proto())
    told.status = TrialStatus.STOPPED
    oracle.end_trial(told)
    assert oracle.over() and not oracle.ongoing_trials
    assert oracle.create_trial("worker1|here:1").status == TrialStatus.STOPPED and oracle.stopped_by() is None
    assert finish(begin(tmp_path, max_cpu_hours=2.0)[0]) == expected


@pytest.mark.parametrize(("changed", "share"), [({}, 0.5), ({"method": "one_epoch", "budget_epochs": 50.0}, 1.0)])
def test_trainings_side_by_side_share_the_cpu_time_unless_all_are_laid_out_within_it(changed, share, tmp_path):
    oracle, _ = begin(tmp_path, max_cpu_hours=1.0, **changed)
    first = oracle.create_trial("worker0|here:0")
    assert oracle.create_trial("worker1|here:1").status == TrialStatus.IDLE
    assert lease_of(first.hyperparameters.values)["cpu_seconds"] == 3600  # it is the only one
    report(oracle, first)
    both = [oracle.create_trial(f"worker{number}|here:{number}") for number in range(2)]
    assert [lease_of(trial.hyperparameters.values)["cpu_seconds"] for trial in both] == [3600 * share] * 2


def test_a_name_has_one_process(tmp_path):
    oracle, _ = begin(tmp_path)
    oracle.create_trial("ann|here:1")
    with pytest.raises(NameTaken, match="here:1"):
        oracle.create_trial("ann|there:2")
    assert oracle.create_trial("bob").status == TrialStatus.IDLE


def test_a_worker_outlives_its_chief(expected, tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("ann|here:1")
    restarted, clock = begin(tmp_path)
    assert restarted.create_trial("bob|here:2").status == TrialStatus.IDLE
    assert restarted.create_trial(f"ann|here:1|{trial.trial_id}").status == TrialStatus.RUNNING
    report(restarted, trial)
    assert finish(restarted) == expected
    # One that does not come back loses its trial.
    second, clock = begin(tmp_path / "other")
    trial = second.create_trial("ann|here:1")
    second, clock = begin(tmp_path / "other")
    clock.now = 11.0
    assert second.create_trial("bob|here:2").trial_id == trial.trial_id


def test_trials_are_read_while_others_are_lent(tmp_path):
    """Also to a chief that looks at them from its own thread."""
    oracle, _ = begin(tmp_path)
    held = threading.Event()

    def look():
        held.wait()
        found.append(oracle.ongoing_trials)
        found.append(oracle.get_best_trials(5))
        found.append(oracle.get_space())

    found = []
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    with oracle._mutex:  # as while a trial is created
        held.set()
        looking.join(0.2)
        assert not found
    looking.join(10)
    assert len(found) == 3
