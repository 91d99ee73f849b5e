"""A search whose files were damaged or lost goes on to the same end, or says which file is damaged and what to do."""

import json
import random
import shutil

import pytest

from nash_tf.strategy.records import FAILED
from nash_tf.tuning.trial_files import DamagedSearch
from tests.helpers.stand_in import begin, finish, report


def stop_in_the_middle(directory, trainings=4):
    """A search with trainings that have ended, and two in flight."""
    oracle, _ = begin(directory)
    for _ in range(trainings):
        report(oracle, oracle.create_trial("tuner0"))
    for name in ("ann", "bob"):
        oracle.create_trial(name)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stopped")
    stop_in_the_middle(directory)
    return directory


@pytest.fixture
def search(stopped, tmp_path):
    shutil.copytree(stopped / "search", tmp_path / "search")
    return tmp_path / "search"


def truncated(data, order):
    return data[: order.randrange(len(data))]


def flipped(data, order):
    at = order.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << order.randrange(8))]) + data[at + 1 :]


def other_digit(data, order):
    at = order.choice([place for place, byte in enumerate(data) if chr(byte).isdigit()])
    return data[:at] + str((int(chr(data[at])) + order.randrange(1, 10)) % 10).encode() + data[at + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped, other_digit])
@pytest.mark.parametrize("name", ["oracle.json", "trial_0002/trial.json", "trial_0004/trial.json"])
def test_a_damaged_file_is_found(damage, name, search, expected, capsys):
    order, file = random.Random(f"{damage} {name}"), search / name
    whole = file.read_bytes()
    for _ in range(10):
        file.write_bytes(damage(whole, order))
        if name == "oracle.json":
            assert finish(begin(search.parent)[0]) == expected
            assert f"{file} is damaged" in capsys.readouterr().out
            return  # it has been written again
        with pytest.raises(DamagedSearch, match=f"{file}: .*; remove {file.parent}, and its training is done again"):
            begin(search.parent)
    shutil.rmtree(file.parent)
    assert finish(begin(search.parent)[0]) == expected


@pytest.mark.parametrize(
    "lost", [["oracle.json"], *[[f"trial_{number:04}"] for number in range(5)], ["oracle.json", "trial_0001"]]
)
def test_a_lost_file_costs_its_training_at_most(lost, search, expected):
    for name in lost:
        (shutil.rmtree if (search / name).is_dir() else type(search).unlink)(search / name)
    oracle, _ = begin(search.parent)
    assert finish(oracle) == expected
    assert finish(begin(search.parent)[0]) == expected  # what is on disk says the same


def test_a_trial_lost_before_others_that_followed_is_done_again(tmp_path, expected):
    stop_in_the_middle(tmp_path, trainings=6)  # the second rung has begun
    (tmp_path / "search" / "trial_0003" / "trial.json").unlink()
    assert finish(begin(tmp_path)[0]) == expected


def test_a_trial_lost_whose_parent_s_weights_are_deleted_is_named(tmp_path):
    oracle, _ = begin(tmp_path)
    while oracle.search.open_step != 2 or len(oracle.lineage()) < 10:
        report(oracle, oracle.create_trial("tuner0"))
    lost = next(t for key, t in oracle.by_training().items() if key == (1, 1, oracle.search.incumbent.child))
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "search" / f"trial_{lost.trial_id}" / "trial.json").unlink()
    with pytest.raises(DamagedSearch, match="is lost, and the weights that it starts from are deleted"):
        begin(tmp_path)
    assert len(before) - len(sorted(tmp_path.rglob("*"))) == 1


def test_without_its_state_a_search_is_held_against_its_settings(search):
    for changed in ({"seed": 4}, {"mutations": 3}, {"method": "sh"}, {"epochs_per_step": 24}):
        (search / "oracle.json").unlink(missing_ok=True)
        with pytest.raises(ValueError, match="is not the one that follows from these settings"):
            begin(search.parent, **changed)
    assert len(list(search.glob("trial_*"))) == 5


def test_hostile_files_are_refused_and_nothing_outside_is_touched(search, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "trial.json").write_bytes((search / "trial_0001" / "trial.json").read_bytes())
    shutil.copytree(outside, outside / "checkpoint")
    (search / "trial_0009").symlink_to(outside)
    with pytest.raises(ValueError, match="holds a link, .*trial_0009"):
        begin(tmp_path)
    (search / "trial_0009").unlink()
    trial = json.loads((search / "trial_0001" / "trial.json").read_text())
    del trial["sha256"]
    trial["trial_id"] = "0001/../../outside"
    (search / "trial_0001" / "trial.json").write_text(json.dumps(trial))
    with pytest.raises(DamagedSearch, match="trial_0001"):
        begin(tmp_path)
    assert {path.name for path in outside.iterdir()} == {"trial.json", "checkpoint"}


def test_a_failure_that_ended_the_search_is_done_again_when_asked(tmp_path, expected, capsys):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"), status="FAILED")
    assert oracle.over()
    again, _ = begin(tmp_path)
    assert again.over() and [record["status"] for record in again.lineage()] == [FAILED]
    again.retry_failures()
    assert "done again" in capsys.readouterr().out
    assert finish(again) == expected


def test_a_child_that_failed_among_others_stays_failed(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    report(oracle, oracle.create_trial("tuner0"), status="FAILED")
    again, _ = begin(tmp_path)
    again.retry_failures()
    assert [record["status"] for record in finish(again)][1] == "failed"


def test_a_run_of_a_version_without_checksums_and_leases_goes_on(search, expected):
    """As versions up to 0.1.0 wrote it."""
    for file in search.glob("trial_*/trial.json"):
        trial = json.loads(file.read_text())
        values = trial["hyperparameters"]["values"]
        lease = trial.pop("lease")
        del trial["sha256"]
        values.pop("source", None)
        if "holder" in lease:
            values["tuner/holder"] = lease["holder"]
        values |= {"tuner/seconds": 100.0, "tuner/cpu_seconds": 7.0, "tuner/deaths": 1}
        file.write_text(json.dumps(trial))
    state = json.loads((search / "oracle.json").read_text())
    before = dict.fromkeys(("ongoing_trials", "start_order", "end_order", "run_times", "retry_queue", "seed"))
    settings = {name: value for name, value in state["settings"].items() if name != "objective"}
    (search / "oracle.json").write_text(json.dumps({**state, **before, "settings": settings}))
    oracle, _ = begin(search.parent)
    assert "tuner/holder" not in str(oracle.trials["0004"].hyperparameters.values)
    assert finish(oracle) == expected


def test_the_directory_of_another_tuner_is_refused(search):
    (search / "oracle.json").write_text(json.dumps({"hyperparameters": {}}))
    with pytest.raises(ValueError, match="holds the search of another tuner"):
        begin(search.parent)
