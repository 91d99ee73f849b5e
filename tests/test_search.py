"""Whole searches on few of the bundled digits, in real processes where these matter."""

import json
import os
import random
import signal
import subprocess
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import nash_tf
from nash_tf import config as config_of_runs
from nash_tf import data, search
from nash_tf.architecture import costs
from nash_tf.config import SearchConfig
from nash_tf.files import run_directory
from nash_tf.files.checksums import with_checksum, without_checksum
from nash_tf.tuning import results_table
from nash_tf.tuning.results_table import search_results
from tests.helpers import wait_for
from tests.helpers.processes import FINAL, FORMATS, finish, here, lineage, start, untrained, without_search


def test_the_output_directory_is_complete(whole):
    directory, printed = whole
    expected = ["best/architecture.json", "best/model.keras", "best/model_card.md", "best/saved_model/saved_model.pb"]
    for name in ("config.json", "lineage.jsonl", "results.json", *expected):
        assert (directory / name).is_file(), name
    assert json.loads((directory / "config.json").read_text())["versions"]["nash_tf"] == nash_tf.__version__
    assert "step 2 closed" in printed and "winner:" in printed


def test_the_model_is_exported_in_the_formats_asked_for_with_a_script_that_predicts(whole):
    results = json.loads((whole[0] / "results.json").read_text())
    assert tuple(results["exports"]) == FORMATS
    for each in results["exports"].values():
        assert (whole[0] / "best" / each["file"]).exists()
    assert results["exports"]["saved_model"]["test_accuracy"] == pytest.approx(results["test_accuracy"], abs=1e-6)
    assert json.loads((whole[0] / "best" / "classes.json").read_text()) == list("0123456789")
    assert (whole[0] / "best" / "predict.py").is_file() and (whole[0] / "best" / "image.json").is_file()
    card = (whole[0] / "best" / "model_card.md").read_text()
    assert "| method | shrsep |" in card and "| --train_limit | 200 |" in card


def test_the_results_say_how_sure_they_are(whole):
    results = json.loads((whole[0] / "results.json").read_text())
    test = results["test"]
    assert test["images"] == test["model"]["images"] == sum(map(sum, test["model"]["confusion"])) == 359
    for name, prefix in (("model", ""), ("winner", "winner_"), ("first_network", "vanilla_")):
        assert test[name]["accuracy"] == results[f"{prefix}test_accuracy"]
        assert test[name]["interval"][0] < test[name]["accuracy"] < test[name]["interval"][1]
    assert results["objective"] == "val_accuracy" and "On 359 test images the accuracy is" in whole[1]
    assert "Children are compared by validation accuracy." in whole[1]
    for mistake in test["mistakes"]:
        assert (whole[0] / mistake["file"]).is_file() and mistake["class"] != mistake["named"]
    assert len(test["mistakes"]) == min(24, 359 - test["model"]["correct"])


def test_children_that_morphisms_made_are_counted_apart(monkeypatch):
    record = {"digest": "a", "epochs": 1, "val_accuracy": 0.5}
    lineage = [
        {**record, "step": step, "child": child, "morphisms": morphisms}
        for step, child, morphisms in (
            (0, 0, []),
            (1, 0, []),
            (1, 1, [["split", ["conv"], 0]]),
            (1, 1, [["split", ["conv"], 0]]),  # its second rung
            (1, 2, [["split", ["conv"], 1]]),
        )
    ]
    first = SimpleNamespace(architecture=SimpleNamespace(digest="a"), metrics=record, is_shortened=False)
    state = SimpleNamespace(best=(0, 0, 0), outcomes={(0, 0, 0): first}, goal=SimpleNamespace(name="val_accuracy"))
    monkeypatch.setattr(results_table, "not_done", lambda oracle: [])
    oracle = SimpleNamespace(lineage=lambda: lineage, search=state, end_reason=lambda: "steps")
    results = search_results(oracle)
    assert (results["children"], results["grown_children"], results["epochs"]) == (4, 2, 5)


def test_a_budget_that_another_prediction_of_costs_laid_out_is_named(tmp_path, monkeypatch):
    arguments = ["--method=fixed", "--budget_epochs=2", "--optimizer=muon"]
    untrained(monkeypatch)
    assert "predicts costs otherwise" not in here(tmp_path / "run", *arguments)
    file = tmp_path / "run" / "config.json"
    config = without_checksum(json.loads(file.read_text()))
    assert config["versions"][run_directory.COSTS] == costs.coefficients()
    with monkeypatch.context() as patch:
        patch.setattr(search, "search", lambda *_: None)  # what is said is said before
        assert "predicts costs otherwise" not in here(tmp_path / "run", *arguments, "--resume")
        config["versions"][run_directory.COSTS] = "operation 1"
        file.write_text(json.dumps(with_checksum(config)))
        for _ in range(2):
            assert "(operation 1; now operation 2.5e-11," in here(tmp_path / "run", *arguments, "--resume")
        del config["versions"][run_directory.COSTS]
        file.write_text(json.dumps(with_checksum(config)))
        assert "(not recorded; now" in here(tmp_path / "run", *arguments, "--resume")
    (tmp_path / "run" / "results.json").unlink()  # a finished run would stay as it is
    assert "(not recorded; now" in here(tmp_path / "run", *arguments, "--resume")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Later versions" in page and costs.coefficients() in page


@pytest.mark.parametrize("is_told", [False, True])
def test_a_chief_that_is_told_its_part_has_all_cores(tmp_path, monkeypatch, is_told):
    without_search(monkeypatch)
    monkeypatch.setattr(config_of_runs.os, "sched_getaffinity", lambda process: range(8))
    monkeypatch.setattr("nash_tf.runtime.set_up", lambda threads: None)
    for name, value in {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_TUNER_ID": "chief"}.items() if is_told else ():
        monkeypatch.setenv(name, value)
    asked = SearchConfig(method="sh", workers=4, isolate=True, train_limit=200, output_dir=str(tmp_path / "run"))
    search.run(asked, resume=False)
    begun = run_directory.read_config(tmp_path / "run")
    assert (begun.workers, begun.isolate, begun.threads) == ((1, False, 8) if is_told else (4, True, 2))


def compared_by(objective, directory, printed):
    """The records of a run of one step; its children were compared by this score."""
    records, results = lineage(directory), json.loads((directory / "results.json").read_text())
    assert f"Children are compared by validation {objective.replace('_', ' ')}." in printed
    name, sign = f"val_{objective}", -1 if objective == "loss" else 1
    assert results["objective"] == name and f"  {name}  morphisms" in printed
    best = max(records, key=lambda record: sign * record[name])
    assert sign * results[f"winner_{name}"] == pytest.approx(sign * best[name], abs=1e-6)
    assert f"{name}_change" in records[1]["certificate"]
    assert all("val_accuracy" in record["history"] for record in records)
    return records


def test_every_rung_of_every_step_is_in_the_lineage(whole):
    records = lineage(whole[0])
    trained = [(record["step"], record["rung"]) for record in records]
    assert trained == [(0, 0), *[(1, 0)] * 2, (1, 1), *[(2, 0)] * 2, (2, 1)]
    assert [record["epochs"] for record in records] == [1, 1, 1, 2, 1, 1, 2]
    assert all(record["params"] <= 3000 for record in records)


def test_children_are_certified_and_child_0_is_the_parent(whole):
    records = {(record["step"], record["rung"], record["child"]): record for record in lineage(whole[0])}
    for (step, rung, child), record in records.items():
        if step and not rung:
            assert record["certificate"]["max_difference"] <= record["certificate"]["bound"]
            parent = records[tuple(record["parent"])]
            assert (record["digest"] == parent["digest"]) == (child == 0)
            assert len(record["morphisms"]) == (0 if child == 0 else 2)


def assert_same(directory, whole):
    """A run has come to the same end as the one that was never interrupted, and has left nothing of its own behind."""
    assert lineage(directory) == lineage(whole[0]) and not list(directory.rglob(".*"))
    results = [json.loads((path / "results.json").read_text()) for path in (directory, whole[0])]
    for name in (
        "test_accuracy",
        "test_loss",
        "winner_test_accuracy",
        "params",
        "winner",
        "epochs",
        "final_epochs_done",
    ):
        assert results[0][name] == results[1][name]


def test_the_same_seed_gives_the_same_run_in_other_processes_though_they_are_killed_and_their_terminal_is_gone(
    whole, tmp_path
):
    directory = tmp_path / "run"
    process = start(directory, FINAL)
    wait_for(lambda: (directory / "lineage.jsonl").exists() or process.poll() is not None)
    time.sleep(0.3)  # into the training of a child
    process.kill()
    process.communicate()
    process = start(directory, FINAL, "--resume", KILLED_AFTER="2")  # into the training of another
    process.communicate()
    assert process.returncode == -signal.SIGKILL and list(directory.rglob("unfinished"))
    process = start(directory, FINAL, "--resume", KILLED_AFTER="2")  # into the final training
    printed, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL and "goes on after 1 of" in printed
    assert json.loads((directory / "final_training" / "training.json").read_text())["epoch"] == 2
    (directory / ".best.0123abcd.new").mkdir(exist_ok=True)  # what a kill during the export leaves
    config = directory / "config.json"
    before = config.stat().st_mtime_ns
    process = start(directory, FINAL, "--resume")
    process.stdout.close()  # nobody reads what it prints, and its terminal is gone
    wait_for(lambda: config.stat().st_mtime_ns != before or process.poll() is not None)
    process.send_signal(signal.SIGHUP)
    assert process.wait(300) == 0
    assert_same(directory, whole)
    assert not list(directory.rglob("unfinished"))


@pytest.mark.skipif("NASH_TF_ALL" not in os.environ, reason="a long one: bash launchers/test.sh --all")
def test_fifty_kills_at_random_moments_change_nothing(whole, tmp_path):
    wanted, moments, kills = 50, random.Random(0), 0
    while kills < wanted:
        directory, ended = tmp_path / f"after-{kills}", False
        while not ended:
            resume = ["--resume"] if (directory / "config.json").exists() else []
            process = start(directory, FINAL, *resume, KILLED_AFTER="0")
            try:
                printed, _ = process.communicate(timeout=moments.uniform(5, 15) if kills < wanted else 300)
                assert process.returncode == 0, printed
                ended = True
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        assert_same(directory, whole)


@pytest.mark.skipif("NASH_TF_ALL" not in os.environ, reason="a long one: bash launchers/test.sh --all")
@pytest.mark.parametrize("seed", [1, 2**31])
def test_equal_seeds_agree_in_fresh_processes_and_others_differ(seed, whole, tmp_path):
    for name in "ab":
        finish(start(tmp_path / name, f"--seed={seed}"))
    assert lineage(tmp_path / "a") == lineage(tmp_path / "b") != lineage(whole[0])


def test_a_run_is_not_overwritten(whole):
    assert "--resume" in here(whole[0], status=2)


def test_a_finished_run_that_is_given_nothing_new_stays_as_it_is(whole):
    directory = whole[0]
    kept = {each: each.stat().st_mtime_ns for each in [directory / "results.json", *(directory / "best").rglob("*")]}
    said = here(directory, FINAL, f"--export={','.join(FORMATS)}", "--resume")
    assert "The run is finished, and nothing that it was given has changed" in said and f"Report:  {directory}" in said
    assert kept == {each: each.stat().st_mtime_ns for each in kept}


def test_a_limit_ends_the_search_with_the_best_so_far_and_results_and_card_say_what_more_might_bring(tmp_path):
    printed = here(tmp_path / "run", "--steps=500", "--final_epochs=1", "--max_cpu_hours=0.0005", exports=True)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert 0 <= results["steps"] < 500 and "winner:" in printed and results["more_time"] in printed
    assert results["ended_by_limit"] and results["final_epochs_done"] == 1 and results["handed_over"] == "winner"
    card = (tmp_path / "run" / "best" / "model_card.md").read_text()
    assert f"| more_time | {results['more_time']} |" in card
    assert (tmp_path / "run" / "best" / "model.keras").is_file()


@pytest.mark.skipif("NASH_TF_ALL" not in os.environ, reason="a long one: bash launchers/test.sh --all")
def test_max_hours_is_the_limit_of_the_whole_run(tmp_path):
    began = time.monotonic()
    finish(start(tmp_path / "run", "--steps=500", "--final_epochs=20", "--max_hours=0.03", "--control"))
    assert time.monotonic() - began < 0.03 * 3600
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["final_epochs_done"] > 0 and results["control"]["epochs"] > 0 and results["seconds"] < 0.03 * 3600


def test_the_control_is_part_of_the_run_and_the_better_one_is_handed_over_with_a_smaller_one_beside_it(
    tmp_path, monkeypatch
):
    """Children are compared by loss, and classes weighted."""
    monkeypatch.setattr("nash_tf.surgery.shrinking.STEP", 0.5)  # fewer steps
    directory = tmp_path / "run"
    small = ["--widths=4,8", "--front_sizes=250", "--front_epochs=1"]
    others = ["--objective=loss", "--class_weight=balanced", "--mixup=0.2"]
    printed = here(directory, "--steps=1", "--control", *small, *others)
    compared_by("loss", directory, printed)
    assert "The training loss is weighted by class, from " in printed and "validation and test loss are not" in printed
    results = json.loads((directory / "results.json").read_text())
    control = results["control"]
    assert control["epochs"] > 1 and control["params"] == results["vanilla_params"] and "control: " in printed
    is_better = control["val_loss"] <= results["winner_val_loss"]
    assert control["is_better"] == is_better
    assert results["handed_over"] == ("control" if is_better else "winner")
    handed = keras.models.load_model(directory / "best" / "model.keras")
    assert sum(int(np.prod(v.shape)) for v in handed.trainable_variables) == results["params"]
    assert 0.3 < control["cpu_seconds"] / control["search_cpu_seconds"] < 2
    small, best = results["front"]
    assert small["params"] <= 250 < best["params"] == results["params"] and small["made_of"] == best["params"]
    picked, digits = nash_tf.pick(directory, max_params=300), data.load("digits")
    right = np.argmax(picked.predict(digits.x_test, verbose=0), axis=-1) == digits.y_test
    assert small["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert f"Front: {small['params']} parameters" in printed and "front/" in (directory / "report.html").read_text()


def test_mixed_precision_is_certified_and_handed_over_in_float32_and_logged(tmp_path):
    directory = tmp_path / "run"
    arguments = ["--objective=balanced_accuracy", "--precision=mixed_bfloat16", "--tensorboard", "--final_epochs=1"]
    records = compared_by("balanced_accuracy", directory, here(directory, "--steps=1", *arguments))
    assert len(records) == 4
    for record in records[1:3]:
        assert record["certificate"]["max_difference"] <= record["certificate"]["bound"]
    kept = next((directory / "tuner").glob("trial_*/checkpoint/architecture.json"))  # which are kept hangs on who wins
    trained = json.loads(kept.read_text())
    policies = {node["kind"]: node.get("config", {}).get("dtype") for node in trained["nodes"]}
    assert policies["Conv2D"] == policies["BatchNormalization"] == "mixed_bfloat16" and policies["Dense"] is None
    assert "bfloat16" not in (directory / "best" / "architecture.json").read_text()
    logged = {str(path.parent.relative_to(directory / "tensorboard")) for path in directory.rglob("*.tfevents.*")}
    assert {"step000/child00/train", "step001/child01", "step001/child01/validation"} <= logged


@pytest.mark.parametrize("augment", ["normalise,shift", "none"])
def test_no_steps_train_the_first_network_only_and_it_takes_pixels_as_they_are(augment, tmp_path):
    directory = tmp_path / "run"
    arguments = ["--steps=0", "--vanilla_epochs=8", "--learning_rate=0.1", "--threads=2"]
    here(directory, f"--augment={augment}", *arguments)
    exported = keras.models.load_model(tmp_path / "run" / "best" / "model.keras")
    digits = data.load("digits")
    right = np.argmax(exported.predict(digits.x_test, verbose=0), axis=-1) == digits.y_test
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["winner"] == [0, 0, 0] and results["epochs"] == 8 and results["params"] == results["vanilla_params"]
    assert results["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("flag", "words"), [("--learning_rate=1e6", "first network failed"), ("--max_hours=1e-6", "limit")]
)
def test_a_search_without_any_network_fails_and_says_why(flag, words, tmp_path):
    assert words in here(tmp_path / "run", flag, "--vanilla_epochs=20", status=1).splitlines()[-1]
