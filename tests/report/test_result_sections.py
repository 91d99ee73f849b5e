"""The sections for who wants to use the model, in every state of a run."""

import html
import json
import shutil
import subprocess
import sys

import pytest

from nash_tf import report
from nash_tf.records import loading
from nash_tf.records.tested import Share, details_of
from nash_tf.report.analysis import family
from tests.helpers.synthetic_runs import add_test, make_run
from tests.report.helpers import HOSTILE, change_settings, lineage, page_of, write_lineage

NAMES, IMAGES, SKILL = ["common", "seldom", "rare"], [700, 90, 10], [0.98, 0.6, 0.3]
CONTROL = {
    "test_accuracy": 0.85,
    "val_accuracy": 0.84,
    "params": 24058,
    "cpu_seconds": 5000,
    "seconds": 3000,
    "search_cpu_seconds": 5400,
}


def change_results(run, **more):
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | more))
    return run


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    return add_test(make_run(tmp_path_factory.mktemp("tested") / "run", "nash", steps=1), NAMES, IMAGES, SKILL)


@pytest.fixture
def run(tested, tmp_path):
    return shutil.copytree(tested, tmp_path / "run")


class TestFinished:
    def test_an_imbalanced_test(self, run):
        page = page_of(run)
        assert "on 800 images; 95\u00a0% interval 90.88 to 94.46\u00a0%" in page.words
        assert "by always naming the largest class (common)" in page.words and "87.50 %" in page.words
        assert "which of 3 classes a colour image of 32x32 pixels shows" in page.text
        assert "found least often is rare: 30.0\u00a0% of its 10 images (10.8 to 60.3\u00a0%)" in page.text
        assert "do not show that it is better" not in page.text
        assert "is \\ named" in page.words and "further pairs" not in page.text
        assert f"nash-tf predict {run} IMAGES..." in page.words and "[images, 32, 32, 3]" in page.text
        assert f"python {run}/best/predict.py IMAGES..." in page.words, "to be copied from where the run was started"
        assert f"{run}/best/model_card.md" in page.words
        assert len(page.sources) == 6 and all(each.startswith("data:image/png;base64,") for each in page.sources)

    def test_a_model_of_what_no_image_file_holds(self, run):
        (run / "best" / "predict.py").unlink()
        page = page_of(run)
        assert "IMAGES..." not in page.words and "The same without this package" not in page.text
        assert "In a program:" in page.text and f"{run}/best/model_card.md" in page.words

    def test_no_better_than_the_largest_class(self, tmp_path):
        run = add_test(make_run(tmp_path / "run", "nash", steps=1), ["a", "b"], [90, 10], [0.95, 0.3])
        assert "do not show that it is better than always naming the largest class" in page_of(run).text

    def test_many_classes_stay_readable(self, tmp_path):
        names = [f"kind {number}" for number in range(100)]
        run = add_test(make_run(tmp_path / "run", "nash", steps=1), names, [20] * 100, [0.5] * 99 + [0.1])
        page = page_of(run)
        assert "is \\ named" not in page.words and "All 100 classes" in page.words and "85 further pairs" in page.words
        assert page.words.index("kind 99") < page.words.index("All 100 classes") < page.words.index("kind 98")
        assert "found least often is kind 99" in page.text

    def test_classes_without_test_images_are_named(self, tmp_path):
        run = add_test(make_run(tmp_path / "run", "nash", steps=1), ["a", "b", "c"], [9, 9, 0], [1.0, 1.0, 1.0])
        page = page_of(run).text
        assert "nothing is known of them: c." in page and "No test image was given a wrong class." in page
        assert "worst mistakes" not in page

    def test_only_the_first_network(self, tmp_path):
        run = add_test(make_run(tmp_path / "run", "shr", steps=0), NAMES, IMAGES, SKILL)
        page = page_of(run).text
        assert "the first network: no other was trained" in page
        assert "The model is the first network itself, not changed by the search." in page

    def test_the_first_network_trained_on(self, tmp_path):
        run = add_test(make_run(tmp_path / "run", "nash", steps=1), NAMES, IMAGES, SKILL)
        assert "found by the search" in page_of(run).text
        page = page_of(change_results(run, winner=[1, 0, 0])).text  # the unmodified parent
        assert (
            "shows. It is the first network: the search found no better one." in page
            and "found by the search" not in page
        )

    def test_a_method_that_searches_for_nothing(self, tmp_path):
        page = page_of(add_test(make_run(tmp_path / "run", "fixed", steps=1), NAMES, IMAGES, SKILL)).text
        assert (
            "shows. It is the first network, trained on alone by method fixed." in page
            and "found by the search" not in page
        )
        assert (
            "method fixed searches for nothing and trains the first network alone." in page and "no control" not in page
        )
        assert "the search: 1 child" not in page and "before the search" not in page

    def test_earlier_versions_told_no_details(self, tmp_path):
        page = page_of(make_run(tmp_path / "run", "nash", steps=1)).text
        assert (
            "is not in this run's results: an earlier version wrote them" in page and "95\u00a0% interval" not in page
        )

    def test_what_is_known_of_the_images(self, run):
        results = json.loads((run / "results.json").read_text())
        page = page_of(run)
        assert "What to know of the images" not in page.words and "likely to lie within the 95" in page.text
        known = {"copies": {"validation": 1, "test": 80, "contradicting": 0}, "notes": ["Other scale", HOSTILE, 7]}
        page = page_of(change_results(run, test=results["test"] | known))
        assert "Other scale." in page.words and page.names.count("script") == 1
        assert "on 800 images, 80 of them seen before; 95\u00a0% interval" in page.text
        assert (
            "80 of the 800 test images are exact copies of training or validation images, so that the acc" in page.text
        )
        assert "likely to lie within" not in page.text

    @pytest.mark.parametrize("odd", [None, 7, HOSTILE, [], {}, {"test": HOSTILE}, {"test": -3}])
    def test_odd_words_on_images_are_left_out(self, run, odd):
        results = json.loads((run / "results.json").read_text())
        found = details_of(loading.read(change_results(run, test=results["test"] | {"copies": odd, "notes": odd})))
        assert (found.copies, found.notes) == (0, ())
        many = {"copies": {"test": 10**9}, "notes": ["x" * 5000] * 60}
        found = details_of(loading.read(change_results(run, test=results["test"] | many)))
        assert found.copies == 800 and sum(map(len, found.notes)) == 50_000

    def test_files_of_the_export(self, run):
        page = page_of(run)
        assert "1.8 MB" in page.words and "as a SavedModel" in page.words and "model.keras" in page.words

    def test_a_format_that_is_not_measured_apart_is_named(self, run):
        measured = {"bytes": 1_800_000, "test_accuracy": 0.733, "test_images": 512, "milliseconds": 0.2}
        for kept, is_said in (
            ({"saved_model": measured, "keras": {"bytes": 9_000}}, True),
            ({"saved_model": measured}, False),
        ):
            assert (
                "Keras: loaded again, and its outputs compared" in page_of(change_results(run, exports=kept)).text
            ) == is_said

    def test_a_format_that_was_measured_on_fewer_images_says_on_how_many(self, run):
        measured = {
            "file": "saved_model",
            "bytes": 1_800_000,
            "test_accuracy": 0.733,
            "test_images": 970,
            "milliseconds": 4.45,
        }
        page = page_of(change_results(run, exports={"saved_model": measured}))
        assert {"73.30", "970", "4.45"} <= set(page.words)

    def test_classes_of_which_none_is_found_are_counted(self, tmp_path):
        run = add_test(make_run(tmp_path / "run", "nash", steps=1), NAMES, IMAGES, [0.9, 0.0, 0.0])
        page = page_of(run).text
        assert "Of 2 classes no test image is named right, seldom among them." in page
        assert "found least often is" not in page

    def test_what_is_handed_over_stands_beside_the_model_that_was_given(self, run):
        assert "the model of --start has" not in page_of(run).text
        given = {"test_accuracy": 0.99, "test_loss": 0.1, "val_accuracy": 0.9}
        assert "As it was given, the model of --start has 99.00 %" in page_of(change_results(run, start=given)).text

    def test_a_winner_that_scored_as_the_first_network_did(self, run):
        lines = lineage(run)
        write_lineage(run, [{**line, "val_accuracy": 0.5} for line in lines])
        page = page_of(run).text
        assert "is the same as the first network's" in page and "0.00 points" not in page

    def test_a_final_training_that_made_it_worse(self, run):
        worse = "The final training made it worse, by 30.00 points on the test images"
        assert worse not in page_of(run).text
        assert worse in page_of(change_results(run, winner_test_accuracy=0.8, test_accuracy=0.5)).text


def test_the_code_to_copy_reads_the_classes_whatever_the_encoding_of_the_machine(run):
    classes = ["caf\xe9", "\u732b"]
    (run / "best" / "classes.json").write_text(json.dumps(classes, ensure_ascii=False), encoding="utf-8")
    code = next(
        line for line in html.unescape(report.write(run).read_text()).splitlines() if line.startswith("classes = ")
    )
    strict = [
        sys.executable,
        "-X",
        "warn_default_encoding",
        "-W",
        "error::EncodingWarning",
        "-W",
        "ignore::ResourceWarning",
    ]
    done = subprocess.run(
        [*strict, "-c", f"import json\n{code}\nprint(ascii(classes))"], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (f"{ascii(classes)}\n", "")


class TestControl:
    def test_without_one_it_is_said(self, run):
        page = page_of(change_results(run, vanilla_test_accuracy=0.5, control=None)).text
        assert "This run has no control" in page and "the first network had 50.00 % on the test images" in page

    def test_why_there_is_none_is_said(self, run):
        page = page_of(change_results(run, control=None, no_control="no time was left for it")).text
        assert (
            "has no control, the first network trained on alone, to compare the search with: no time was left" in page
        )

    @pytest.mark.parametrize(
        ("winner", "is_better", "head", "words"),
        [
            (
                0.95,
                False,
                "Yes. ",
                "is not as good as the search's winner. On the test images the winner is 10.00 points above",
            ),
            (0.851, False, "Perhaps. ", "0.10 points above the control, which may be chance on 800 images."),
            (0.84, False, "It cannot be told. ", "1.00 points below the control"),
            (0.84, True, "No. ", "at least as good as the search's winner and is handed over. On"),
        ],
    )
    def test_it_is_compared(self, run, winner, is_better, head, words):
        over = "control" if is_better else "winner"
        control = {**CONTROL, "is_better": is_better}
        page = page_of(change_results(run, winner_test_accuracy=winner, control=control, handed_over=over))
        assert head in page.words and words in page.text and "24,058" in page.words and "1 h 30 min" in page.words
        assert ("the control: the first network, trained on alone" in page.text) == is_better
        assert ("The network handed over, the control, has" in page.text) == is_better

    def test_one_that_had_less_compute_than_the_search_decides_nothing(self, run):
        control = {**CONTROL, "is_better": False, "search_cpu_seconds": 20_000}
        page = page_of(change_results(run, winner_test_accuracy=0.95, control=control))
        assert "Perhaps. " in page.words and "Yes. " not in page.words and "may be chance" not in page.text
        assert "The control had only 25% of the search's CPU time: this decides nothing for certain." in page.text

    def test_the_winner_stands_beside_a_control_that_is_handed_over_without_a_final_training(self, run):
        page = page_of(change_results(run, control=CONTROL, handed_over="control", final_epochs_done=0))
        assert "the search's winner" in page.words and "before final training" not in page.text

    def test_a_control_that_was_cut_and_a_search_that_found_nothing(self, run):
        control = {**CONTROL, "is_better": False, "epochs": 6, "epochs_wanted": 27}
        page = page_of(change_results(run, control=control, winner=[0, 0, 0])).text
        assert "No: the search has found nothing better than the first network" in page
        assert "The control was cut short: it had 6 of 27 epochs." in page


class TestOtherObjectives:
    """Runs of which accuracy tells another story than what their searches compared networks by."""

    @pytest.fixture
    def balanced(self, run):
        results = json.loads((run / "results.json").read_text())
        test = results["test"]
        for network, value in (("winner", 0.9), ("model", 0.8), ("first_network", 0.4)):
            test[network] |= {"balanced_accuracy": value, "balanced_interval": [value - 0.02, value + 0.02]}
        own = {"test_balanced_accuracy": 0.75, "test_balanced_interval": [0.7, 0.79]}
        change_results(run, test=test, control={**CONTROL, **own, "is_better": False}, winner_test_accuracy=0.8)
        return change_settings(run, objective="balanced_accuracy")

    def test_balanced_accuracy_decides(self, balanced):
        page = page_of(balanced)
        assert (
            "Yes. " in page.words and "the winner is 15.00 points of balanced accuracy above the control." in page.text
        )
        assert {"test balanced accuracy", "test accuracy"} <= set(page.words)
        assert {"70.00 to 79.00\u00a0%", "88.00 to 92.00\u00a0%", "82.36 to 87.31\u00a0%"} <= set(page.words)
        assert "The final training made it worse, by 10.00 points of balanced accuracy on the test images" in page.text

    def test_an_older_run_that_does_not_tell_it_of_the_control(self, balanced):
        page = page_of(change_results(balanced, control={**CONTROL, "is_better": False}, winner_test_accuracy=0.95))
        assert (
            "It cannot be told. " in page.words and "the winner is 10.00 points above the control. That is" in page.text
        )

    def test_without_a_control(self, balanced):
        page = page_of(change_results(balanced, control=None, vanilla_test_accuracy=0.5)).text
        assert "the first network had a balanced accuracy of 40.00 % on the test images; the model has a bal" in page
        assert "after its first training, has a balanced accuracy of 40.00 %." in page

    def test_a_network_that_finds_the_rare_class_is_not_held_against_the_largest_one(self, balanced):
        results = json.loads((balanced / "results.json").read_text())
        test = results["test"] | {"base_rate": 0.95}
        assert "do not show that it is better" not in page_of(change_results(balanced, test=test)).text
        test["model"] |= {"balanced_accuracy": 0.35, "balanced_interval": [0.32, 0.38]}
        assert "than always naming one class, by balanced accuracy" in page_of(change_results(balanced, test=test)).text

    def test_of_a_loss_it_is_not_known_what_is_chance(self, run):
        control = {**CONTROL, "test_loss": 0.5, "is_better": False}
        change_results(run, control=control, winner_test_accuracy=0.8, winner_test_loss=0.25, test_loss=0.25)
        page = page_of(change_settings(run, objective="loss"))
        words = "the winner is 0.25 of loss below the control; how much of that is chance is not known of a loss."
        assert "Perhaps. " in page.words and words in page.text and "test loss" in page.words


class TestStates:
    def test_cut_by_time(self, tmp_path):
        run = change_settings(make_run(tmp_path / "run", "shr", steps=2), max_hours=0.1)
        write_lineage(run, [each for each in lineage(run) if (each["step"], each["rung"], each["child"]) <= (2, 0, 3)])
        ended = "a limit on time was reached: max_hours=0.1"
        change_results(run, search_ended=ended, ended_by_limit=True, more_time="More may come.", winner=[2, 0, 1])
        page = " ".join(page_of(run).text.split())
        assert f"The search ended: {ended}." in page and "More may come." in page
        assert "It was in step 2 of at most 2, rung 0 (of 0 to 3), with 4 of 8 children trained" in page
        assert page.index("A limit ended the search") < page.index("More may come.") < page.index("How sure it is")
        assert "its time was limited by" not in page
        assert "To go on with the search, give the same command with --resume and a higher limit." in page
        page = " ".join(page_of(change_settings(run, method="grow")).text.split())
        assert "To go on with the search" not in page and "For a longer search begin another run" in page
        assert "To do only what is left of it, give the same command with --resume and a higher limit." in page

    def test_what_the_search_has_not_done_and_whose_epochs_are_told(self, run):
        change_results(
            run,
            not_done=["The network has not grown: no time."],
            control={**CONTROL, "epochs": 64},
            final_epochs_done=3,
        )
        page = page_of(run).text
        trained = sum(each["epochs"] for each in lineage(run))
        assert f"{trained} epochs of training in the search, and 64 of the control, and 3 of final training." in page
        assert page.count("The network has not grown: no time.") == 2  # results.json is shown at the end, too

    def test_running(self, tmp_path):
        run = make_run(tmp_path / "run", "shr", steps=2, stop_after=14)
        best = max(lineage(run), key=lambda each: (each["val_accuracy"], each["step"], each["rung"]))
        page = page_of(run)
        assert f"There is no model to use yet. The best network so far is child 1.{best['child']}." in page.text
        reached = f"{100 * best['val_accuracy']:.2f} %"
        assert f"{reached} validation accuracy child 1." in page.text
        assert f"{reached} validation accuracy of the best network so far" in page.text
        assert page.text.count(f"The best network so far is child 1.{best['child']}") == 2
        assert "How sure it is" not in page.headings and "Is it worth it?" not in page.headings
        assert "nash-tf predict" not in page.text and "--resume" in page.words

    def test_a_network_that_is_trained_on_is_no_child(self, tmp_path):
        run = change_settings(make_run(tmp_path / "run", "fixed", steps=1, stop_after=3), max_hours=1.0)
        best = lineage(run)[-1]
        page = page_of(run)
        assert f"{100 * best['val_accuracy']:.2f} % validation accuracy of the best network so far" in page.text
        assert page.text.count("The best network so far is the first network, trained on") == 2
        assert "and what is handed over is the first network, trained on." in page.text
        assert "above that after its first training" in page.text and "as large as" not in page.text

    def test_in_final_training(self, tmp_path):
        run = change_settings(make_run(tmp_path / "run", "shr", steps=1), final_epochs=20)
        (run / "results.json").unlink()
        page = page_of(run).text
        assert "The search is over; its winner is child 1." in page
        assert "The one step is closed: the search is over, final training, test and export are not." in page

    def test_begun(self, tmp_path):
        page = page_of(make_run(tmp_path / "run", "shr", steps=1, stop_after=0)).text
        assert "There is no model yet: no training has ended." in page


class TestObjectives:
    @pytest.mark.parametrize(
        ("objective", "value", "shown", "words"),
        [("balanced_accuracy", 0.5, "50.00 %", "Balanced accuracy"), ("loss", 0.125, "0.125", "Loss")],
    )
    def test_children_are_ranked_by_what_they_were_compared_by(self, tmp_path, objective, value, shown, words):
        run = change_settings(make_run(tmp_path / "run", "nash", steps=1), objective=objective)
        lines = lineage(run)
        for line in lines:  # the opposite order of the accuracies
            better = line["val_accuracy"] if objective == "loss" else 1 - line["val_accuracy"]
            line[f"val_{objective}"] = line["history"][f"val_{objective}"] = better
            line["history"][f"val_{objective}"] = [better] * line["epochs"]
        last = max(lines, key=lambda line: (line["step"], -line["val_accuracy"]))
        last[f"val_{objective}"] = value
        write_lineage(run, lines)
        change_results(run, winner=[last["step"], last["rung"], last["child"]])
        won = [child for child in family.children(loading.read(run)) if child.fate == family.WINNER and child.step]
        assert [child.number for child in won] == [last["child"]]
        page = page_of(run)
        assert shown in page.words and f"{words} against parameters" in page.parts
        assert f"its validation {objective.replace('_', ' ')} is" in page.text
        assert f"The number is its last validation {objective.replace('_', ' ')}" in page.text
        (winner,) = [each for each in loading.read(run).records if each.place == (1, 0, last["child"])]
        assert winner.value == value and winner.score == (-value if objective == "loss" else value)

    def test_a_run_without_its_scores_has_failed_trainings(self, tmp_path):
        run = change_settings(make_run(tmp_path / "run", "nash", steps=1), objective="balanced_accuracy")
        assert "Child 0 in step 0, rung 0 has no finite balanced accuracy." in page_of(run).text

    def test_a_weighted_loss_is_called_so(self, run):
        assert "Training loss, weighted by class" in page_of(change_settings(run, class_weight="balanced")).words


class TestHostile:
    def test_names_are_text(self, run):
        results = json.loads((run / "results.json").read_text())
        for name in ("by_class", "confused"):
            for each in results["test"]["model"][name]:
                each["class"] = each["named"] = HOSTILE
        for each in results["test"]["mistakes"]:
            each["class"] = each["named"] = HOSTILE
        results["test"]["largest_class"] = results["search_ended"] = results["more_time"] = HOSTILE
        page = page_of(change_results(run, **results))
        assert page.names.count("script") == 1 and page.names.count("img") == len(page.sources) == 6
        assert page.text.count("<img src=x") > 10

    @pytest.mark.parametrize(
        "file", ["../secret.png", "/etc/passwd", "mistakes/../000000.png", "mistakes/x.png", 7, None]
    )
    def test_no_other_files_are_read(self, run, file):
        results = json.loads((run / "results.json").read_text())
        results["test"]["mistakes"] = [{**results["test"]["mistakes"][0], "file": file}]
        assert details_of(loading.read(change_results(run, **results), pictures=True)).mistakes == ()

    def test_pictures_must_be_there_and_be_pictures(self, run):
        folder = run / "mistakes"
        (folder / "000000.png").unlink()
        (folder / "000001.png").write_bytes(b"text")
        (folder / "000002.png").unlink()
        (folder / "000002.png").symlink_to(folder / "000003.png")
        (folder / "000003.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200_000))
        page = page_of(run)
        assert len(page.sources) == 2
        for words in (
            "000001.png cannot be read",
            "000002.png is not read: it is a link",
            "000003.png is not read: it is larger",
        ):
            assert words in page.text

    def test_odd_values_are_left_out(self, run):
        results = json.loads((run / "results.json").read_text())
        model = results["test"]["model"]
        model["accuracy"], model["balanced_interval"], model["confusion"][0] = 7, [1], "x"
        model["by_class"][1]["recall"], model["by_class"][2] = [], 3
        found = details_of(loading.read(change_results(run, **results)))
        assert found.model.accuracy is None and found.model.balanced == Share(model["balanced_accuracy"])
        assert found.confusion is None and [each.recall is None for each in found.classes] == [False, True]
        page_of(run)


@pytest.mark.parametrize(("method", "is_limit"), [("nash", True), ("fixed", False)])
def test_a_latency_is_shown_beside_the_limit_that_it_had(method, is_limit, run):
    timed = change_settings(change_results(run, latency_ms=1.25), method=method, max_latency_ms=2.0)
    page = page_of(timed).text
    assert "1.25 ms" in page and (", of 2 ms that it may take" in page) == is_limit


def test_a_run_on_ray_says_how_busy_its_workers_were(run):
    assert "On Ray" not in page_of(run).text
    account = {"name": "ray", "utilisation": 0.62, "nodes": 2, "processes": 9, "lost_processes": 1}
    page = page_of(change_results(run, engine=account)).text
    assert (
        "On Ray, 9 worker processes on 2 machines trained for 62 % of the time that they were there. 1 of them was lost"
        in page
    )
    for damaged in (HOSTILE, [], {"utilisation": HOSTILE, "nodes": {}, "processes": None}):
        assert "On Ray" not in page_of(change_results(run, engine=damaged)).text
