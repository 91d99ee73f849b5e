"""A search whose files were damaged or lost goes on to the same end, or says which file is damaged and what to do."""

import json
import random
import re
import shutil
from contextlib import nullcontext

import pytest

from nash_tf.strategy.records import FAILED
from nash_tf.tuning.reopening import STATE, check_settings, read_whole
from nash_tf.tuning.trial_files import DamagedSearch, OtherSearch
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
        file.write_bytes(damaged := damage(whole, order))
        if damage is other_digit and json.loads(damaged) == json.loads(whole):
            continue  # one beyond what a float holds
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
    lost = next(t for key, t in oracle.book.by_training().items() if key == (1, 1, oracle.search.incumbent.child))
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


@pytest.mark.parametrize("method", ["grow", "random"])
def test_a_search_whose_steps_were_planned_keeps_them(method, tmp_path):
    """With more steps, trainings that have ended would be others."""
    task = {"method": method, "budget_epochs": 30.0, "children": 2}
    finish(begin(tmp_path, **task)[0])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"\(steps was 2, is 3\); only max_hours"):
        begin(tmp_path, **task, steps=3)
    assert sorted(tmp_path.rglob("*")) == before
    assert begin(tmp_path, **task)[0].search.finished


@pytest.mark.parametrize(
    ("now", "may_go_on"), [(57.703872140119174, True), (57.7039, False), (None, False), (58, False)]
)
def test_a_computed_setting_may_differ_in_its_last_digits(now, may_go_on, tmp_path):
    with nullcontext() if may_go_on else pytest.raises(OtherSearch, match="budget_epochs was 57.7"):
        check_settings({"budget_epochs": 57.70387214011916}, {"method": "grow", "budget_epochs": now}, tmp_path)


def test_a_front_that_was_begun_with_branches_is_refused_by_that(tmp_path):
    wanted = {"method": "front", "rungs": [[1, 64]]}
    with pytest.raises(OtherSearch, match="method front made its networks in another way; go on with that one"):
        check_settings({**wanted, "rungs": [[2, 32]]}, wanted, tmp_path)


@pytest.mark.parametrize("budget, is_refused", [(None, True), (30.0, False)])
def test_a_budget_by_time_keeps_a_limit_on_it(budget, is_refused, tmp_path):
    begun = {"method": "grow", "budget_epochs": budget, "max_hours": 1.5, "max_cpu_hours": None}
    with (
        pytest.raises(OtherSearch, match="begun with max_hours=1.5.* Give that or more")
        if is_refused
        else nullcontext()
    ):
        check_settings(begun, {**begun, "max_hours": None}, tmp_path)


@pytest.mark.parametrize("method, said", [("grow", True), ("shr", False)])
def test_that_raised_limits_do_not_lengthen_what_was_laid_out_is_told(method, said, tmp_path, recwarn):
    begun = {"method": method, "budget_epochs": 9.0, "max_params": 300}
    check_settings(begun, {**begun, "max_params": 301}, tmp_path)
    assert [str(each.message).startswith("max_params may be higher now, but grow") for each in recwarn] == [True] * said
    check_settings(begun, begun, tmp_path)
    assert len(recwarn) == said


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


def test_a_checksum_whose_name_is_damaged_is_still_one(search):
    file = search / "trial_0004" / "trial.json"
    file.write_text(file.read_text().replace('"sha256"', '"sha156"').replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(DamagedSearch, match="is not what was written"):
        begin(search.parent)


def test_weights_of_trainings_that_followed_from_a_lost_one_are_kept_until_it_is_done_again(tmp_path, expected):
    stop_in_the_middle(tmp_path, trainings=6)  # the second rung has begun
    shutil.rmtree(tmp_path / "search" / "trial_0000")
    oracle, _ = begin(tmp_path)
    while trial := oracle.create_trial("tuner0"):
        if trial.status == "STOPPED":
            break
        if source := trial.hyperparameters.values.get("tuner/trial_id"):
            assert (tmp_path / "search" / f"trial_{source}" / "checkpoint").is_dir()
        report(oracle, trial)
    assert oracle.lineage() == expected


def test_a_lost_training_whose_source_is_deleted_too_is_done_again_when_both_are_removed(tmp_path, expected):
    assert finish(begin(tmp_path)[0]) == expected
    trials = begin(tmp_path)[0].trials.values()
    folder = {trial.trial_id: tmp_path / "search" / f"trial_{trial.trial_id}" for trial in trials}
    sources = {trial.trial_id: trial.hyperparameters.values.get("tuner/trial_id") for trial in trials}
    deleted = [each for each, source in sources.items() if source and not (folder[source] / "checkpoint").is_dir()]
    shutil.rmtree(folder[deleted[0]])
    refused = 0
    while refused < 10:
        try:
            assert finish(begin(tmp_path)[0]) == expected
            break
        except DamagedSearch as error:
            refused += 1
            shutil.rmtree(re.search(r"remove (\S+),", str(error))[1])
    assert 0 < refused < 10


def test_two_folders_of_one_training_are_named(search):
    trial = json.loads((search / "trial_0001" / "trial.json").read_text())
    del trial["sha256"]
    (search / "trial_0009").mkdir()
    (search / "trial_0009" / "trial.json").write_text(json.dumps({**trial, "trial_id": "0009"}))
    with pytest.raises(DamagedSearch, match="trial_0009 and .*trial_0001 are of one training; remove one of them"):
        begin(search.parent)


def test_a_child_that_ended_after_the_search_was_given_up_is_no_contradiction(tmp_path):
    oracle, _ = begin(tmp_path)
    report(oracle, oracle.create_trial("tuner0"))
    trials = [oracle.create_trial(f"worker{number}|here:{number}") for number in range(4)]
    for trial in trials[:3]:
        report(oracle, trial, status="FAILED")
    assert oracle.over()
    report(oracle, trials[3])
    assert len(oracle.lineage()) == 5
    (tmp_path / "search" / "oracle.json").unlink()
    again, _ = begin(tmp_path)
    assert again.lineage() == oracle.lineage()


def test_a_worker_that_has_outlived_a_loss_reports_into_a_rung_that_is_not_open_yet(tmp_path, expected):
    oracle, _ = begin(tmp_path)
    for _ in range(5):
        report(oracle, oracle.create_trial("tuner0"))
    flying = oracle.create_trial("ann|here:1")  # of the second rung
    (tmp_path / "search" / "trial_0002" / "trial.json").unlink()
    again, _ = begin(tmp_path)
    report(again, flying)
    assert finish(again) == expected


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[1]",
        '{"settings": 3}',
        '{"settings": {}, "spent": [0, 0], "display": {}}',
        '{"settings": {}, "spent": ["a", 0], "hyperparameters": {"space": [], "values": {}}, "display": {}}',
        '{"settings": {}, "spent": [0], "hyperparameters": {"space": [5], "values": {}}, "display": null}',
        '{"settings": {"max_hours": "x"}, "spent": [0, 0], "hyperparameters": {"space": [], "values": {}}}',
        '{"settings": ' + "[" * 100_000,
        "NaN",
        "",
        "\x00\xff",
    ],
)
def test_an_odd_state_is_read_from_the_trials(content, search, expected, capsys):
    (search / "oracle.json").write_text(content)
    oracle, _ = begin(search.parent)
    assert re.search(r"oracle.json is damaged \([^\n]+\): the search is read", capsys.readouterr().out)
    assert finish(oracle) == expected


ODD_TRIALS = {
    "a list": lambda trial: [],
    "no values": lambda trial: {**trial, "hyperparameters": {"space": []}},
    "an odd hyperparameter": lambda trial: {**trial, "hyperparameters": {"space": ["os.system"], "values": {}}},
    "an odd class": lambda trial: with_space(trial, [{"class_name": "Popen", "module": "subprocess", "config": {}}]),
    "an odd status": lambda trial: {**trial, "status": {"a": 1}},
    "a deep record": lambda trial: with_values(trial, record="[" * 100_000),
    "deep moves": lambda trial: with_values(trial, morphisms="[" * 100_000),
    "odd moves": lambda trial: with_values(trial, morphisms="[[1, 2]]"),
    "an odd source": lambda trial: with_values(trial, source="[1, 2]"),
    "an odd step": lambda trial: with_values(trial, step="1"),
    "a child that is no number": lambda trial: with_values(trial, child=[1]),
    "a score that is text": lambda trial: with_values(trial, record=json.dumps({"val_accuracy": "best"})),
    "an architecture that is none": lambda trial: with_values(trial, architecture='{"nodes": 5}'),
    "odd metrics": lambda trial: {**trial, "metrics": 5},
    "an odd lease": lambda trial: {**trial, "lease": 7},
    "a holder of four parts": lambda trial: {**trial, "lease": {"holder": "a|b|c|d"}},
    "odd deaths": lambda trial: {**trial, "lease": {"deaths": "many"}},
    "an id that is a path": lambda trial: {**trial, "trial_id": "0002/../0001"},
}


def with_values(trial, **values):
    hyperparameters = trial["hyperparameters"]
    return {**trial, "hyperparameters": {**hyperparameters, "values": {**hyperparameters["values"], **values}}}


def with_space(trial, space):
    return {**trial, "hyperparameters": {**trial["hyperparameters"], "space": space}}


@pytest.mark.parametrize("odd", ODD_TRIALS)
def test_an_odd_trial_is_named(odd, search):
    file = search / "trial_0002" / "trial.json"
    trial = json.loads(file.read_text())
    del trial["sha256"]
    file.write_text(json.dumps(ODD_TRIALS[odd](trial)))
    with pytest.raises(DamagedSearch, match=rf"^{file}: [^\n]+; remove {file.parent}, and its training is done again$"):
        begin(search.parent)


def test_reloading_again_changes_nothing(search, expected):
    oracle, _ = begin(search.parent)
    before = oracle.lineage()
    oracle.reload()
    assert oracle.lineage() == before and len(oracle.end_order) == len(before)
    assert finish(oracle) == expected
    oracle.reload()
    assert oracle.lineage() == expected and oracle.over()


def test_weights_that_followed_from_a_lost_training_are_among_those_to_be_verified(tmp_path):
    stop_in_the_middle(tmp_path, trainings=6)
    shutil.rmtree(tmp_path / "search" / "trial_0000")
    oracle, _ = begin(tmp_path)
    assert len(oracle.book.needed_checkpoints()) == 5


def test_a_search_that_another_goes_on_with_while_it_is_read_is_no_damaged_one(tmp_path):
    seen = []

    def read():
        seen.append(True)
        if len(seen) < 3:
            (tmp_path / STATE).write_text("." * len(seen))  # another process closes a step, and disposes of weights
            raise DamagedSearch("weights are gone")

    read_whole(tmp_path, read)
    assert len(seen) == 3


def test_a_search_that_nobody_goes_on_with_is_damaged_where_it_looks_so(tmp_path):
    def read():
        raise DamagedSearch("weights are gone")

    with pytest.raises(DamagedSearch, match="weights are gone"):
        read_whole(tmp_path, read)
