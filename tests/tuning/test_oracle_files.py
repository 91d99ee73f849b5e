"""The files of a search: kills at every write, names that are paths, links, and which checkpoints stay."""

import contextlib
import json

import pytest
from keras_tuner.engine.trial import TrialStatus

from nash_tf.files import atomic
from nash_tf.tuning.trial_files import CHECKPOINT, TrialFiles
from tests.helpers.stand_in import FIRST, begin, finish, report, training_of


class Killed(BaseException):
    pass


def test_a_kill_at_every_write_loses_nothing(tmp_path, monkeypatch):
    """Whatever write is the last one, before it or right after it: the search goes on to the same end."""
    small = {"children": 2, "epochs_per_step": 4, "mutations": 1}
    expected = finish(begin(tmp_path / "alone", **small)[0])
    write, kills = atomic.os.replace, 0
    for at in range(1, 10**6):
        for after in (False, True):
            directory, left = tmp_path / f"{at}-{after}", [at]

            def replace(source, target, left=left, after=after):
                left[0] -= 1
                if left[0] == 0 and not after:
                    raise Killed
                write(source, target)
                if left[0] == 0:
                    raise Killed

            monkeypatch.setattr(atomic.os, "replace", replace)
            try:
                finish(begin(directory, **small)[0])
            except Killed:
                kills += 1
            else:
                assert kills == 2 * (at - 1) > 70
                return
            finally:
                monkeypatch.setattr(atomic.os, "replace", write)
            oracle, _ = begin(directory, **small)
            before = len(oracle.lineage())
            assert finish(oracle) == expected
            assert before <= len(expected) == len(oracle.trials)  # nothing is trained twice


def test_what_was_reported_before_a_kill_is_no_part_of_the_score(tmp_path):
    oracle, _ = begin(tmp_path)
    killed = oracle.create_trial("tuner0")
    oracle.update_trial(killed.trial_id, {"val_accuracy": 0.9}, step=3)
    again, _ = begin(tmp_path)
    trial = again.create_trial("tuner0")
    assert trial.trial_id == killed.trial_id and not trial.metrics.exists("val_accuracy")
    again.update_trial(trial.trial_id, {"val_accuracy": 0.5}, step=3)
    trial.hyperparameters.values["architecture"] = FIRST.to_json()
    trial.status = TrialStatus.COMPLETED
    again.end_trial(trial)
    assert again.get_trial(trial.trial_id).score == 0.5


@pytest.mark.parametrize("place", ["id", "parent"])
def test_with_an_id_that_is_a_path_nothing_outside_is_touched(place, tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    report(oracle, oracle.create_trial("tuner0"), status=TrialStatus.FAILED)
    outside = tmp_path / "outside" / CHECKPOINT
    outside.mkdir(parents=True)
    file = max(tmp_path.glob("search/trial_*/trial.json"))
    saved = json.loads(file.read_text())
    values = saved if place == "id" else saved["hyperparameters"]["values"]
    values["trial_id" if place == "id" else "tuner/trial_id"] = f"{saved['trial_id']}/../../outside"
    file.write_text(json.dumps(saved))
    with contextlib.suppress(ValueError):
        finish(begin(tmp_path)[0])
    assert outside.is_dir()


@pytest.mark.parametrize("found", ["", "..", "1/../2", "\uff11", "1\n"])
def test_an_id_is_digits(found, tmp_path):
    with pytest.raises(ValueError, match="must be a number"):
        TrialFiles(tmp_path).folder(found)


def test_a_link_in_the_project_is_refused(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    (tmp_path / "search" / "trial_0001").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="holds a link"):
        begin(tmp_path)


def test_only_checkpoints_that_are_needed_are_kept(tmp_path):
    oracle, _ = begin(tmp_path)
    most = 0
    while (trial := oracle.create_trial("tuner0")).status == TrialStatus.RUNNING:
        source = trial.hyperparameters.values.get("tuner/trial_id")
        assert source is None or (tmp_path / "search" / f"trial_{source}" / CHECKPOINT).exists()
        report(oracle, trial)
        most = max(most, len(list(tmp_path.rglob(CHECKPOINT))))
    kept = {training_of(oracle.trials[path.parent.name[6:]]) for path in tmp_path.rglob(CHECKPOINT)}
    assert most <= 1 + 1 + 4 + 2 and (0, 0, 0) in kept
    assert training_of(oracle.get_best_trials()[0]) in kept and len(kept) <= 3  # the first, the incumbent, the best


def test_a_torn_state_file_is_never_left(tmp_path, monkeypatch):
    oracle, _ = begin(tmp_path)
    monkeypatch.setattr(atomic.os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        oracle.save()
    assert json.loads((tmp_path / "search" / "oracle.json").read_text())["settings"]["seed"] == 3
