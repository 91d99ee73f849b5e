"""What a page asserts follows from settings, method and records, in every state of a run."""

import json
from pathlib import Path

import pytest

from nash_tf.records import loading, runs
from nash_tf.report.analysis import (
    behaviour,
    family,
    search_plan,
)
from nash_tf.strategy import methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import Goal
from nash_tf.strategy.time_limits import REACHED
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import change_settings, lineage, page_of, write_lineage


class TestStates:
    """What a page asserts follows from settings, method and records, in every state of a run."""

    @pytest.mark.parametrize(
        ("method", "stop_after", "words"),
        [
            ("nash", None, "at birth only."),
            ("sh", 3, "at birth only."),
            ("shr", None, "at birth and after 5, 15 and 35 epochs of a child's life."),
            ("shr", 6, "of a child's life. No child has been trained past epoch 5 yet."),
            ("shr", 1, "No child of a step has been trained yet. This method restarts the rate at birth and after 5"),
            (
                "shr_two_rungs",
                3,
                "at birth and after 10 epochs of a child's life. No child has been trained past epoch 10",
            ),
        ],
    )
    def test_restarts_are_the_methods(self, tmp_path, method, stop_after, words):
        page = page_of(make_run(tmp_path / "run", method, steps=1, stop_after=stop_after)).text
        assert words in page and page.count("restarts the rate") == 1
        assert ("at birth and at each restart" in page) == (
            (method, stop_after) in {("shr", None), ("shr", 6), ("shr_two_rungs", 3)}
        )

    @pytest.mark.parametrize("method", ["grow", "one_epoch", "fixed"])
    @pytest.mark.parametrize("stop_after", [None, 2])
    def test_under_one_budget_nothing_restarts(self, tmp_path, method, stop_after):
        page = page_of(make_run(tmp_path / "run", method, steps=2, stop_after=stop_after)).text
        assert "All trainings share one budget and one learning rate, without restarts" in page
        assert "learning rate: see The budget" in page and "at birth and" not in page
        assert "The winner is" in page if stop_after is None else "The best network so far is" in page

    @pytest.mark.parametrize("method", methods.registry)
    @pytest.mark.parametrize("steps", [0, 1, 3])
    def test_the_plan_is_the_search_s(self, method, steps):
        steps = max(steps, methods.registry[method].fewest_steps)
        config = {"method": method, "steps": steps, "children": 8, "epochs_per_step": 160, "vanilla_epochs": 1}
        run = runs.Run(Path("x"), {**config, "budget_epochs": None})
        searched = Search(Settings(**config), Goal("x")).steps
        plan = [[rung.children for rung in search_plan.rungs(run, step)] for step in range(len(searched))]
        assert plan == [[rung.children for rung in step] for step in searched]
        assert search_plan.standing(run).steps == len(searched) - 1

    def test_restarts_of_an_unknown_method_are_not_known(self, tmp_path):
        page = page_of(change_settings(make_run(tmp_path / "run", "shr", steps=1), method="mine")).text
        assert "When this method restarts the rate is not known" in page and "at birth only" not in page

    def test_a_finished_run_that_goes_on_is_not_finished(self, tmp_path):
        """With raised limits; its results are of before."""
        run = make_run(tmp_path / "run", "nash", steps=1)
        told, epochs = run / "results.json", sum(record["epochs"] for record in lineage(run))
        results = json.loads(told.read_text())
        for counted, state in ((epochs, "finished"), (epochs - 1, "unfinished")):
            told.write_text(json.dumps({**results, "epochs": counted}))
            read = loading.read(run)
            assert (read.state, loading.is_finished(run)) == (state, state == "finished")
            assert bool(read.results) == bool(read.architecture) == (state == "finished")
        assert "unfinished, was finished before" in page_of(run).text

    def test_running(self, tmp_path):
        page = page_of(
            change_settings(make_run(tmp_path / "run", "shr", steps=2, stop_after=6), max_cpu_hours=1.5)
        ).text
        best = max(lineage(tmp_path / "run"), key=lambda each: each["val_accuracy"])
        assert f"The best network so far is child 1.{best['child']}, " in page and "winner is" not in page
        assert "Open is step 1 of at most 2, rung 0 (of 0 to 3), with 5 of 8 children trained." in page
        assert "If the limit on time (max_cpu_hours = 1.5) has been reached since" in page
        assert "step begun, 6 networks" in page and "waits" in page and "leads to the best so far" in page

    @pytest.mark.parametrize(
        ("lock", "words"),
        [
            (None, "unfinished: running or interrupted"),
            ("", "unfinished: interrupted"),
            ("process 7 on host\n", "unfinished: process 7 on host is at work on it, or was killed"),
        ],
    )
    def test_who_is_at_work(self, tmp_path, lock, words):
        run = make_run(tmp_path / "run", "nash", steps=1, stop_after=3)
        if lock is not None:
            (run / "owner.lock").write_text(lock)
        assert words in page_of(run).text

    @pytest.mark.parametrize(
        ("epochs", "rest"), [(20, "final training, test and export"), (0, "the test and the export")]
    )
    def test_final_training(self, tmp_path, epochs, rest):
        run = change_settings(make_run(tmp_path / "run", "shr", steps=1), final_epochs=epochs)
        winner = json.loads((run / "results.json").read_text())["winner"]
        (run / "results.json").unlink()
        page = page_of(run).text
        assert f"The one step is closed: the search is over, {rest} are not." in page
        assert f"The winner is child {winner[0]}.{winner[2]}" in page and "final winner" in page
        assert "so far" not in page and "waits" not in page

    def test_a_cooldown_whose_end_is_lost_for_ever(self, tmp_path):
        run = make_run(tmp_path / "run", "grow", steps=1)
        (run / "results.json").unlink()
        lines = [line for line in lineage(run) if (line["step"], line["rung"]) <= (1, 2)]
        failed = {"status": "failed", "message": "weights are not finite after the training: a/b", "diverged": True}
        write_lineage(run, [*lines[:-1], {**lines[-1], **failed}])
        page = page_of(run).text
        assert "The one step is closed: the search is over" in page and "does that training again" not in page
        assert "rung 2: failed: weights are not finite after the training: a/b." in page

    def test_a_cooldown_that_lacks_its_end(self, tmp_path):
        run = make_run(tmp_path / "run", "grow", steps=1)
        (run / "results.json").unlink()
        lines = [line for line in lineage(run) if (line["step"], line["rung"]) <= (1, 2)]
        write_lineage(run, [*lines[:-1], {**lines[-1], "status": "failed"}])
        page = page_of(run).text
        assert "The last training failed, and the learning rate had not fallen to zero before it" in page
        assert "search is over" not in page and "The best network so far is" in page

    @pytest.mark.parametrize("is_limit", [True, False])
    def test_what_helps_after_a_failure_follows_from_its_cause(self, is_limit, tmp_path):
        run = make_run(tmp_path / "run", "grow", steps=1)
        (run / "results.json").unlink(), (run / "lineage.jsonl").unlink()
        reason = f"{REACHED}: max_hours=0.03 before the first network" if is_limit else "the disk was full"
        (run / "failure.json").write_text(json.dumps({"reason": reason}))
        page = " ".join(page_of(run).text.split())
        assert ("so that the same command fails again. Give it with --resume and a higher limit" in page) == is_limit
        assert ("It fails again unless the cause has passed" in page) == (not is_limit)

    @pytest.mark.parametrize("kept", [(1, 3, 9), (2, 0, 3), (2, 1, 4)])
    def test_a_step_that_a_limit_ended_is_not_decided(self, tmp_path, kept):
        run = change_settings(make_run(tmp_path / "run", "shr", steps=2), max_hours=0.5)
        lines = lineage(run)
        lines = [line for line in lines if (line["step"], line["rung"], line["child"]) <= kept]
        write_lineage(run, lines)
        best = max((line for line in lines if line["step"] == kept[0]), key=lambda line: line["val_accuracy"])
        place = [best["step"], best["rung"], best["child"]]
        results = json.loads((run / "results.json").read_text()) | {"winner": place}
        (run / "results.json").write_text(json.dumps(results))
        page = page_of(run)
        assert f"The winner is child {best['step']}.{best['child']}" in page.text
        assert "closed step." in page.text and "of 1 closed step" in page.text
        assert "The search ended in step 2 of at most 2, rung" in page.text
        assert "its time was limited by max_hours = 0.5." in page.text
        assert f"{100 * best['val_accuracy']:.2f} %" in page.words

    def test_the_accuracy_of_a_winner_is_that_of_the_training_handed_over(self, tmp_path):
        run = make_run(tmp_path / "run", "shr", steps=1)
        winner = json.loads((run / "results.json").read_text())["winner"]
        results = json.loads((run / "results.json").read_text()) | {"winner": [1, 1, winner[2]]}
        (run / "results.json").write_text(json.dumps(results))
        (chosen,) = [child for child in family.children(loading.read(run)) if child.chosen]
        assert chosen.rung == 3 and chosen.chosen_record == chosen.records[1] != chosen.records[-1]

    def test_one_child_whose_step_a_limit_ended_closes_no_step(self, tmp_path):
        run = make_run(tmp_path / "run", "random", steps=2, stop_after=4)
        record = loading.read(run).records[-1]
        (run / "results.json").write_text(json.dumps({"test_accuracy": 0.5, "winner": list(record.place)}))
        inside = behaviour.behaviour("random", [loading.read(run)])
        assert inside.steps == 1 and inside.parent_won is None
        page = page_of(run).text
        assert "that step was closed: why, the records do not tell." in page and "unmodified parent won" not in page

    def test_a_search_in_which_nothing_fitted_any_more(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=2, stop_after=9)
        (run / "results.json").write_text(json.dumps({"test_accuracy": 0.5, "winner": [1, 0, 2]}))
        assert "no limit on time was set, and no new child fitted into max_params" in page_of(run).text

    def test_only_the_first_network(self, tmp_path):
        page = page_of(make_run(tmp_path / "run", "shr", steps=0)).text
        assert "The winner is the first network." in page and "points above" not in page
        assert "Nothing to draw yet" not in page

    def test_results_that_name_no_winner(self, tmp_path):
        run = make_run(tmp_path / "run", "shr", steps=1)
        (run / "results.json").write_text('{"test_accuracy": 0.5, "winner": [9, 0, 0]}')
        page = page_of(run).text
        assert "By the lineage the winner is child 1." in page and "names a winner, (9, 0, 0), that is not in" in page

    def test_results_that_cannot_be_read_are_not_unfinished(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1)
        (run / "results.json").write_text("{")
        assert loading.read(run).state == "broken"

    def test_not_every_child_was_measured(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1)
        lines = lineage(run)
        lines[3]["certificate"] = None
        write_lineage(run, lines)
        assert "7 of 8 children were measured" in page_of(run).text

    def test_methods_without_operators_or_an_unmodified_parent(self, tmp_path):
        assert "This method draws no morphisms" in page_of(make_run(tmp_path / "fixed", "fixed", steps=1)).text
        page = page_of(make_run(tmp_path / "random", "random", steps=1)).text
        assert "has no unmodified parent among its children" in page and "unmodified parent won" not in page
