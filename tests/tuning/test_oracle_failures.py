"""Trainings that fail or report what cannot be: what the search makes of them."""

import contextlib
import math

import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

from nash_tf.tuning.trial_book import SearchStopped
from tests.helpers.stand_in import begin, finish, report, training_of


def test_without_a_first_network_the_search_stops_and_says_why(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"), status=TrialStatus.FAILED)
    assert oracle.create_trial("tuner0").status == TrialStatus.STOPPED
    assert oracle.stopped_by().startswith("the training of the first network failed with")


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_never_wins(score, tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    bad = oracle.create_trial("tuner0")
    report(oracle, bad, score=score)
    told = oracle.lineage()
    assert begin(tmp_path)[0].lineage() == told, "it is the same failure when it is read again"
    records = finish(oracle)
    assert all(record["child"] != 0 for record in records if record["step"] == 1 and record["rung"])


def test_too_many_failures_in_a_row_stop_the_search_and_say_why(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    for _ in range(3):
        trial = oracle.create_trial("tuner0")
        oracle.trials[trial.trial_id].message = "x"
        report(oracle, trial, status=TrialStatus.FAILED)
    assert oracle.create_trial("tuner0").status == TrialStatus.STOPPED
    assert oracle.stopped_by().startswith("3 trainings in a row failed")


def test_after_a_step_whose_children_all_failed_other_children_are_made_also_when_resumed(tmp_path):
    def drawn(resumed):
        oracle, _ = begin(tmp_path / str(resumed), max_consecutive_failed_trials=9)
        report(oracle, oracle.create_trial("tuner0"))
        for _ in range(4):
            report(oracle, oracle.create_trial("tuner0"), status=TrialStatus.FAILED)
        if resumed:
            oracle, _ = begin(tmp_path / str(resumed), max_consecutive_failed_trials=9)
        records = finish(oracle)
        return [[r["morphisms"] for r in records if (r["step"], r["rung"]) == (step, 0)] for step in (1, 2)]

    first, second = drawn(False)
    assert len(second) == 4 and first[1:] != second[1:]
    assert [first, second] == drawn(True)


@pytest.mark.parametrize("first", [0, 1], ids=["first network", "children"])
def test_failures_that_stopped_the_search_are_run_again_and_others_are_not(first, expected, tmp_path):
    def fail(oracle, trial):
        oracle.trials[trial.trial_id].message = "out of memory"
        report(oracle, trial, status=TrialStatus.FAILED)

    oracle, _ = begin(tmp_path)
    if first:
        report(oracle, oracle.create_trial("tuner0"))
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        fail(oracle, trial)
    again, _ = begin(tmp_path)
    assert again.over() and again.stopped_by() == oracle.stopped_by() is not None
    again.retry_failures()
    assert not again.over() and again.stopped_by() is None
    resumed, _ = begin(tmp_path)  # killed before they have run
    assert finish(resumed) == expected
    alone, _ = begin(tmp_path / "alone")
    report(alone, alone.create_trial("tuner0"))
    fail(alone, lost := alone.create_trial("tuner0"))
    alone.retry_failures()
    assert alone.trials[lost.trial_id].status == TrialStatus.FAILED


def test_a_search_that_is_opened_with_fewer_failures_allowed_keeps_what_came_after_them(tmp_path):
    oracle, _ = begin(tmp_path, max_consecutive_failed_trials=9)
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        has_failed = training_of(trial)[:2] == (1, 0) and training_of(trial)[2]
        report(oracle, trial, status=TrialStatus.FAILED if has_failed else TrialStatus.COMPLETED)
    told, best = oracle.lineage(), oracle.search.best
    again, _ = begin(tmp_path, max_consecutive_failed_trials=1)
    again.retry_failures()
    assert again.stopped_by() is None and again.end_reason() == oracle.end_reason()
    assert again.lineage() == told and again.search.best == best and begin(tmp_path)[0].lineage() == told


def test_a_part_of_the_cooldown_that_failed_is_told_and_done_again(tmp_path):
    given = {"method": "grow", "budget_epochs": 60.0}
    whole = finish(begin(tmp_path / "whole", **given)[0])
    oracle, _ = begin(tmp_path / "failing", **given)
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        is_part = training_of(trial) == (2, 2, 0)
        # The score falls: what the part that failed starts from is not the best.
        score = 1 / (1 + len(oracle.end_order))
        report(oracle, trial, score=score, status=TrialStatus.FAILED if is_part else TrialStatus.COMPLETED)
    told = oracle.end_reason()
    assert told.startswith("the training of the last step failed with") and told.endswith("resumed does it again")
    again, _ = begin(tmp_path / "failing", **given)
    assert again.over() and again.end_reason() == told
    again.retry_failures()
    assert again.book.files.checkpoint(oracle.end_order[-2]).is_dir()
    resumed = finish(again)
    assert [record["status"] for record in resumed] == ["completed"] * len(whole)
    assert [record.get("rate") for record in resumed] == [record.get("rate") for record in whole]


def test_a_part_whose_score_is_not_finite_is_lost_for_ever_and_the_part_before_is_handed_over(tmp_path):
    given = {"method": "grow", "budget_epochs": 60.0}
    oracle, _ = begin(tmp_path, **given)
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        is_part = training_of(trial) == (2, 2, 0)
        report(oracle, trial, score=math.nan if is_part else len(oracle.end_order) / 10)
    again, _ = begin(tmp_path, **given)
    again.retry_failures()
    for each in (oracle, again):
        assert each.stopped_by() is None and "no longer finite" in each.end_reason() and each.search.best == (2, 1, 0)
        assert each.get_best_trials(1)[0].trial_id == each.end_order[-2]
    failed = again.lineage()[-1]
    assert failed["status"] == "failed" and failed["message"].startswith("not a finite number") and failed["diverged"]


def test_a_tuner_that_sets_no_architecture_fails_after_its_first_training(tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    trial.status = TrialStatus.COMPLETED
    with pytest.raises(keras_tuner.errors.FatalValueError, match="trial 0000: .*architecture.* is missing"):
        oracle.end_trial(trial)


def test_an_exception_leaves_the_oracle_usable(tmp_path):
    oracle, _ = begin(tmp_path)
    trial = oracle.create_trial("tuner0")
    with pytest.raises(ValueError, match="Objective value missing"):
        oracle.update_trial(trial.trial_id, {"other": 1.0})
    report(oracle, trial)
    assert oracle.create_trial("tuner0").status == TrialStatus.RUNNING


def test_a_report_that_cannot_be_written_changes_nothing_and_can_be_made_again(expected, tmp_path, monkeypatch):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    trial = oracle.create_trial("tuner0")

    def full(*_):
        raise OSError(28, "No space left on device", "trial.json")

    with monkeypatch.context() as patch:
        patch.setattr(oracle.book, "write", full)
        with pytest.raises(OSError, match="No space left"):
            report(oracle, trial)
    with monkeypatch.context() as patch:
        patch.setattr(oracle.book, "write", lambda trial: full() if trial.status == TrialStatus.COMPLETED else None)
        with pytest.raises(OSError, match="No space left"):
            report(oracle, trial)
    assert oracle.trials[trial.trial_id].status == TrialStatus.RUNNING and len(oracle.end_order) == 1
    assert oracle.create_trial("tuner0").trial_id == trial.trial_id
    assert finish(oracle) == expected


def test_a_tuner_of_another_make_is_told_that_failures_have_ended_the_search(tmp_path):
    oracle, _ = begin(tmp_path)
    oracle.raises_failures = True
    report(oracle, oracle.create_trial("tuner0"))
    for number in range(3):
        trial = oracle.create_trial("tuner0")
        ends = pytest.raises(SearchStopped, match="3 trainings in a row failed")
        with ends if number == 2 else contextlib.nullcontext():
            report(oracle, trial, status=TrialStatus.FAILED)
    assert oracle.create_trial("tuner0").status == TrialStatus.STOPPED
