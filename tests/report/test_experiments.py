"""Several runs: their comparison, page and tables."""

import json
import math
from pathlib import Path

import pytest

from nash_tf.architecture import first_networks
from nash_tf.config import SearchConfig
from nash_tf.records import loading, runs
from nash_tf.report.__main__ import main
from nash_tf.report.analysis import (
    accuracy_course,
    behaviour,
    method_comparison,
    search_plan,
)
from nash_tf.report.charts import lifetimes, strip_plot
from nash_tf.report.pages import experiment_tables
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import Outline, check_texts


class TestExperiment:
    def test_rows_by_hand(self, many):
        found = [loading.read(path) for path in sorted(many.iterdir()) if runs.is_run(path)]
        rows = {row.method: row for row in method_comparison.method_rows(found)}
        assert list(rows) == ["nash", "sh", "shr", "shrsep"]
        assert (rows["shr"].runs, rows["shr"].finished) == (4, 3)
        accuracies = [json.loads((many / f"shr-{s}" / "results.json").read_text())["test_accuracy"] for s in range(3)]
        middle = sum(accuracies) / 3
        assert rows["shr"].accuracy.mean == pytest.approx(middle)
        assert rows["shr"].accuracy.deviation == pytest.approx(
            math.sqrt(sum((a - middle) ** 2 for a in accuracies) / 2)
        )
        assert (rows["shr"].accuracy.least, rows["shr"].accuracy.largest) == (min(accuracies), max(accuracies))

    def test_comparisons_pair_seeds(self, many):
        found = [loading.read(path) for path in sorted(many.iterdir()) if runs.is_run(path)]
        pairs = method_comparison.comparisons(found)
        assert [(pair.first, pair.second) for pair in pairs][:3] == [
            ("nash", "sh"),
            ("nash", "shr"),
            ("nash", "shrsep"),
        ]
        pair = pairs[1]

        def value(method, seed, name):
            return json.loads((many / f"{method}-{seed}" / "results.json").read_text())[name]

        differences = [value("nash", s, "test_accuracy") - value("shr", s, "test_accuracy") for s in range(3)]
        assert pair.seeds == 3 and pair.difference == pytest.approx(sum(differences) / 3)
        ratios = [value("nash", s, "params") / value("shr", s, "params") for s in range(3)]
        assert pair.ratio == pytest.approx(math.prod(ratios) ** (1 / 3))
        assert pair.p >= 2 / 8

    @pytest.mark.parametrize(
        ("given", "name"), [("/data/cifar", "cifar"), ("digits", "digits"), ("a/b.npz", "b"), ("a/b.CSV", "b")]
    )
    def test_a_data_set_has_one_name_before_the_end_and_after(self, given, name, tmp_path):
        found = runs.Run(tmp_path, config={"dataset": given}), runs.Run(tmp_path, results={"dataset": name})
        assert [run.dataset for run in found] == [name, name]

    def test_data_sets_are_not_pooled_and_settings_are_compared(self, tmp_path):
        make_run(tmp_path / "a", "nash", steps=1, dataset="one")
        make_run(tmp_path / "b", "nash", steps=1, dataset="two", mutations=3)
        found = [loading.read(tmp_path / name) for name in "ab"]
        assert list(method_comparison.by_dataset(found)) == ["one", "two"]
        assert method_comparison.unequal_settings(found)["mutations"].keys() == {"3", "5"}
        make_run(tmp_path / "c", "nash", steps=1, dataset="one")
        first = method_comparison.by_dataset([*found, loading.read(tmp_path / "c")])["one"]
        assert {name: [run.name for run in those] for name, those in method_comparison.twins(first).items()} == {
            "nash, seed 0": ["a", "c"]
        }

    def test_settings_that_change_no_result_make_no_runs_unequal(self, tmp_path):
        other = {
            "isolate": True,
            "cache_dir": "/b",
            "memory_share": 0.5,
            "export": ["keras"],
            "prior": ["/run"],
            "workers": 3,
            "storage": "/c",
            "output_dir": "/d",
            "seed": 1,
            "tensorboard": True,
            "gain_factor": 0.7,  # of a method that expects no gains
        }
        given = SearchConfig(method="sh", dataset="one").to_json()
        both = [runs.Run(tmp_path, config=config) for config in (given, {**given, **other})]
        assert method_comparison.unequal_settings(both) == {}
        earlier = {name: value for name, value in given.items() if name not in ("front_sizes", "objective_cost")}
        assert method_comparison.unequal_settings([*both, runs.Run(tmp_path, config=earlier)]) == {}
        unlike = {"start": "/a.keras", "views": "mirrored", "max_params": 7}
        third = runs.Run(tmp_path, config={**given, **unlike})
        assert list(method_comparison.unequal_settings([*both, third])) == sorted(unlike, key=list(given).index)
        grown = [{**given, "method": "grow", "gain_factor": factor} for factor in (None, 0.7)]
        found = method_comparison.unequal_settings([runs.Run(tmp_path, config=each) for each in grown])
        assert {name: list(values) for name, values in found.items()} == {"gain_factor": ["0.7", "None"]}

    def test_first_networks_are_compared_as_they_were_where_no_layout_was_given(self, tmp_path):
        def unequal(**layouts):
            configs = [{**SearchConfig(method=name).to_json(), "layout": given} for name, given in layouts.items()]
            found = method_comparison.unequal_settings([runs.Run(tmp_path, config=config) for config in configs])
            return {name: list(values) for name, values in found.items() if name in ("layout", "widths")}

        assert unequal(grow=None, random=None) == {"layout": ["'plain'", "'pooled'"]}
        assert unequal(grow=None, random="pooled", hand=None) == unequal(sh=None, random="plain") == {}
        config = {**SearchConfig(method="grow").to_json(), "start": "a.keras"}
        started = [runs.Run(tmp_path, config={**config, "method": name}) for name in ("grow", "random")]
        assert method_comparison.unequal_settings(started) == {}

    def test_other_libraries_constants_and_images_are_spoken_of(self, tmp_path):
        config, usual = (
            {"method": "sh", "dataset": "one"},
            {"keras": "3.15", "predicted CPU-seconds": "step 1", "images": "a"},
        )
        given = {
            "a": (0, {}),
            "b": (1, {"images": "b"}),  # by its seed other images validate
            "c": (0, {"keras": "3.14"}),
            "d": (1, {"images": "c", "predicted CPU-seconds": "step 2"}),
        }
        found = [
            runs.Run(tmp_path / name, config={**config, "seed": seed}, versions={**usual, **other})
            for name, (seed, other) in given.items()
        ]
        assert not experiment_tables.cautions(found[:2])
        (entry,) = experiment_tables.cautions(found)
        assert dict(entry.rows) == {
            "keras": "3.14 (c); 3.15",
            "predicted CPU-seconds": "step 1; step 2 (d)",
            "images, seed 1": "b (b); c (d)",
        }

    def test_versions_that_a_run_went_on_by_are_spoken_of(self, tmp_path):
        later = {"a": (), "b": ({"keras": "4", "nash_tf sources": "x"}, {"keras": "3"}), "c": ()}
        found = [
            runs.Run(tmp_path / name, config={"method": "sh"}, versions={"keras": "3"}, later_versions=each)
            for name, each in later.items()
        ]
        told = [dict(entry.rows) for entry in experiment_tables.cautions(found) if entry.title.startswith("Versions")]
        assert told == [{"keras": "3; 3, then 4 (b)"}]
        assert method_comparison.unequal_surroundings(found[::2]) == {}

    def test_comparisons_by_accuracy_of_searches_that_went_by_something_else_are_said_to_be(self, tmp_path):
        other = [runs.Run(tmp_path / str(seed), config={"objective": "loss", "seed": seed}) for seed in range(2)]
        (entry,) = experiment_tables.cautions(other)
        assert dict(entry.rows) == {"loss": "0, 1"} and "is accuracy on the test images nevertheless" in entry.note
        assert not experiment_tables.cautions([runs.Run(tmp_path, config={"objective": "accuracy"})])

    def test_seeds_that_a_method_lacks_and_whose_winner_is_followed_are_told(self, tmp_path):
        for method, seeds in {"nash": (0, 1), "sh": (1,), "scratch": (0, 1), "wide": (0, 1), "hand": (0, 1)}.items():
            for seed in seeds:
                make_run(tmp_path / f"{method}-seed{seed}", method, steps=1, seed=seed)
        found = [loading.read(each) for each in sorted(tmp_path.iterdir())]
        for run in (run for run in found if run.method == "scratch"):
            run.config["start"] = f"/x/nash-seed{run.seed}/best/architecture.json"
        told = {entry.title: dict(entry.rows) for entry in experiment_tables.cautions(found)}
        assert told["Seeds that some methods lack"] == {"sh": "0"}
        first = {f"scratch-seed{seed}": f"that of nash-seed{seed}" for seed in (0, 1)}
        first |= {f"hand-seed{seed}": "made by hand" for seed in (0, 1)}
        first |= {f"wide-seed{seed}": "widths 64, 128, 256" for seed in (0, 1)}
        assert told["Runs with a first network of their own"] == first

    def test_results_of_one_method_and_seed_with_several_settings_are_not_pooled(self, tmp_path, capsys):
        for place, mutations in (("short", 3), ("long", 5)):
            for method in ("nash", "sh", "hand"):
                make_run(tmp_path / place / f"{method}-seed0", method, steps=1, mutations=mutations)
        (tmp_path / "short" / "sh-seed0" / "results.json").unlink()
        found = runs.named_apart([loading.read(each) for each in sorted(tmp_path.glob("*/*"))])
        groups = method_comparison.by_dataset(found)
        assert {name: [run.name for run in group] for name, group in groups.items()} == {
            f"cifar10, mutations={mutations}": [f"{place}/{name}-seed0" for name in ("hand", "nash", "sh")]
            for place, mutations in (("long", 5), ("short", 3))
        }
        assert not any(method_comparison.unequal_settings(group) for group in groups.values())
        assert main([str(tmp_path)]) == 0
        words = capsys.readouterr().out
        assert "Results (cifar10, mutations=3)" in words and "short/hand-seed0" in words and "2 of 2" not in words
        page = Outline((tmp_path / "report.html").read_text(encoding="utf-8"))
        assert "6 runs on cifar10" in page.text and "Results · cifar10, mutations=5" in page.text

    @pytest.mark.parametrize(
        ("experiments", "names"),
        [
            (  # the first three settings are alike in two of the groups
                {
                    "x": [("nash", {"children": 4, "epochs_per_step": 8, "mutations": 1, "vanilla_epochs": 2})],
                    "y": [("nash", {"children": 5, "epochs_per_step": 9, "mutations": 2, "vanilla_epochs": 2})],
                    "z": [("nash", {"children": 5, "epochs_per_step": 9, "mutations": 2, "vanilla_epochs": 3})],
                },
                {
                    "children=4, epochs_per_step=8, mutations=1, vanilla_epochs=2": ["x"],
                    "children=5, epochs_per_step=9, mutations=2, vanilla_epochs=2": ["y"],
                    "children=5, epochs_per_step=9, mutations=2, vanilla_epochs=3": ["z"],
                },
            ),
            (  # three alone are enough
                {
                    "x": [("nash", {"children": 4, "epochs_per_step": 8, "mutations": 1, "vanilla_epochs": 2})],
                    "y": [("nash", {"children": 5, "epochs_per_step": 9, "mutations": 2, "vanilla_epochs": 3})],
                },
                {
                    "children=4, epochs_per_step=8, mutations=1": ["x"],
                    "children=5, epochs_per_step=9, mutations=2": ["y"],
                },
            ),
            (  # gain_factor counts in no run of x, mutations do
                {
                    "x": [("nash", {"mutations": 3})],
                    "y": [("nash", {"mutations": 5}), ("grow", {"mutations": 5, "gain_factor": 1.0})],
                    "z": [("grow", {"mutations": 5, "gain_factor": 2.0})],
                },
                {
                    "mutations=3, gain_factor=1.0": ["x"],
                    "mutations=5, gain_factor=1.0": ["y", "y"],
                    "mutations=5, gain_factor=2.0": ["z"],
                },
            ),
        ],
    )
    def test_groups_are_named_by_what_they_differ_in(self, experiments, names):
        found = [
            runs.Run(
                Path(experiment, method),
                config={"method": method, "dataset": "one", **given},
                results={"test_accuracy": 0.9},
            )
            for experiment, those in experiments.items()
            for method, given in those
        ]
        groups = method_comparison.by_dataset(found)
        assert {name: [run.directory.parent.name for run in group] for name, group in groups.items()} == {
            f"one, {name}": places for name, places in names.items()
        }

    def test_runs_are_named_by_the_shortest_path_that_no_other_has(self, tmp_path):
        def names(*paths):
            return [run.name for run in runs.named_apart([runs.Run(tmp_path / path) for path in paths])]

        assert names("a/sh", "b/nash") == ["sh", "nash"]
        assert names("a/sh", "b/sh", "a/nash") == ["a/sh", "b/sh", "nash"]
        assert names("a/c/sh", "b/c/sh", "d/sh") == ["a/c/sh", "b/c/sh", "d/sh"]
        assert names("a/sh", "a/sh") == ["sh", "sh"]

    @pytest.mark.parametrize(
        ("method", "settings", "words"),
        [
            ("scratch", {"start": "architecture.json"}, {"run": "that of architecture.json"}),
            ("scratch", {"start": 7}, {}),
            ("wide", {"widths": 7}, {}),
        ],
    )
    def test_a_first_network_that_follows_from_no_run_is_told_as_far_as_it_is_known(self, method, settings, words):
        run = runs.Run(Path("run"), config={"method": method, **settings})
        assert method_comparison.own_first_networks([run]) == words

    def test_every_table_says_what_makes_runs_unequal(self, tmp_path, capsys):
        make_run(tmp_path / "a", "nash", steps=1)
        make_run(tmp_path / "b", "sh", steps=1, mutations=3)
        make_run(tmp_path / "c", "sh", steps=1, mutations=3)
        for style in ([], ["--markdown"]):
            assert main([str(tmp_path), *style]) == 0
            words = capsys.readouterr().out
            for told in (
                "mutations",
                "3; 5 (a)",
                "Compare with care",
                "sh, seed 0",
                "comparisons take the last",
            ):
                assert told in words
        page = Outline((tmp_path / "report.html").read_text(encoding="utf-8"))
        assert "mutations: 3; 5 (a)" in page.text and "sh, seed 0: 2" in page.text

    @pytest.mark.parametrize(
        ("results", "words"),
        [
            ({"search_ended": "its one step is done"}, ""),
            ({"search_ended": "all 12 steps are done", "final_epochs_done": 20, "final_ended": None}, ""),
            ({"search_ended": "the budget of 12.5 epochs of the first network is spent"}, ""),
            ({"search_ended": "max_cpu_hours=0.17 has been reached", "ended_by_limit": True}, ""),
            ({"search_ended": "a limit on time has been reached"}, ""),
            (
                {"final_ended": "max_hours=2 left time for 9 of 20 epochs", "final_epochs_done": 9},
                "max_hours=2 left time for 9",
            ),
            ({"final_epochs_done": 9}, "9 of 20 epochs of final training"),
            ({"search_ended": "its one step is done; they took 338 epochs, and the budget was 120."}, "budget was 120"),
            ({"search_ended": "nothing can grow in step 2: all is full"}, "nothing can grow in step 2"),
            (
                {"search_ended": "x; time was left for 3 of 9 epochs of the last training", "ended_by_limit": True},
                "3 of 9",
            ),
        ],
    )
    def test_runs_with_other_compute_than_asked_are_told(self, results, words, tmp_path):
        found = [
            runs.Run(tmp_path / name, config={"final_epochs": 20, "method": "sh"}, results=given)
            for name, given in (("a", results), ("b", {}))
        ]
        told = [entry for entry in experiment_tables.cautions(found) if "other compute" in entry.title]
        if words:
            ((name, said),) = told[0].rows
            assert name == "a" and words in said
        else:
            assert not told

    def test_a_control_that_is_handed_over_is_not_taken_for_the_search(self, tmp_path, capsys):
        for method in ("nash", "sh"):
            make_run(tmp_path / method, method, steps=2)
        before = [loading.read(tmp_path / method) for method in ("nash", "sh")]
        own = json.loads((tmp_path / "nash" / "results.json").read_text())
        first = first_networks.registry["hand"].make((32, 32, 3), 10, (64, 128, 256))
        changed = {**own, "handed_over": "control", "test_accuracy": 0.99, "params": first.params}
        (tmp_path / "nash" / "results.json").write_text(json.dumps(changed))
        (tmp_path / "nash" / "best" / "architecture.json").write_text(first.to_json())
        found = method_comparison.by_dataset([loading.read(tmp_path / method) for method in ("nash", "sh")])["cifar10"]
        assert [run.state for run in found] == ["finished", "finished"]
        for row, was in zip(method_comparison.method_rows(found), method_comparison.method_rows(before), strict=True):
            assert row.accuracy == was.before and row.params == was.params and row.layers == was.layers
        (pair,), (was,) = method_comparison.comparisons(found), method_comparison.comparisons(before)
        winners = [run.result("winner_test_accuracy") for run in before]
        assert pair.difference == pytest.approx(winners[0] - winners[1]) and pair.ratio == pytest.approx(was.ratio)
        assert main([str(tmp_path)]) == 0
        words, page = capsys.readouterr().out, Outline((tmp_path / "report.html").read_text(encoding="utf-8")).text
        assert "Runs that handed over their control" in words and "parameters, of its control" in words
        assert "nash: nash, seed 0" in page and "finished, its control handed over" in page
        drawn = (tmp_path / "report" / "accuracy.svg").read_text()
        assert f"{100 * winners[0]:.2f} %" in drawn and "99.00 %" not in drawn

    def test_page_and_terminal(self, many, capsys):
        assert main([str(many)]) == 0
        words = capsys.readouterr().out
        page = Outline((many / "report.html").read_text(encoding="utf-8"))
        assert page.headings == ["Results", "Figures", "Comparisons", "Inside the searches", "Layers", "All runs"]
        for shown in (words, page.text):
            assert "the control of a run that has one, the final training" in " ".join(shown.split())
            assert "94.64 ± 0.38" in shown and "3 of 4" in shown and "sign-flip permutation" in " ".join(shown.split())
        assert page.text.index("Published, on CIFAR-10: not ours") > page.text.index("3 of 4")
        links = [target for target in page.targets if target.endswith("report.html")]
        assert len(links) == 13 and all((many / link).exists() for link in links)

    def test_what_was_published_of_cifar10_stands_beside_runs_on_it_alone(self, tmp_path, capsys):
        for name in ("photos", "CIFAR-10", "/data/cifar10", "cifar100"):
            folder = tmp_path / name.replace("/", "_")
            for seed in (0, 1):
                file = make_run(folder / str(seed), "nash", steps=1) / "results.json"
                file.write_text(json.dumps(json.loads(file.read_text()) | {"dataset": name, "seed": seed}))
            assert main([str(folder)]) == 0
            words = capsys.readouterr().out + (folder / "report.html").read_text(encoding="utf-8")
            assert ("Published, on CIFAR-10" in words) == (name not in ("photos", "cifar100"))

    def test_behaviour_by_hand(self, many):
        found = [loading.read(many / f"nash-{seed}") for seed in range(3)]
        row = behaviour.behaviour("nash", found)
        assert row.steps == 6 and row.restart is None and row.birth.mean < 0
        assert set(row.winners) == {0, 1, 2} and len(row.winners[2]) == 3

    def test_lives_and_favours_by_hand(self):
        def record(step, rung, child, params, accuracies):
            history = {"val_accuracy": accuracies}
            parent = (0, 0, 0) if step and not rung else None
            return runs.Record(
                step, rung, child, parent, (), len(accuracies), params=params, accuracy=accuracies[-1], history=history
            )

        config = {"method": "shr", "children": 4, "epochs_per_step": 12, "vanilla_epochs": 1, "seed": 5}
        assert [tuple(rung) for rung in search_plan.rungs(runs.Run(Path("x"), config), 1)] == [(4, 1), (2, 2), (1, 4)]
        first = [
            record(1, 0, child, params, (0.5 + child / 100,)) for child, params in enumerate((80.0, 40.0, 20.0, 5.0))
        ]
        later = [record(1, 1, 2, 20.0, (0.4, 0.6)), record(1, 1, 3, 5.0, (0.4, 0.7))]
        last = [record(1, 2, 3, 5.0, (0.3, 0.4, 0.5, 0.8))]
        run = runs.Run(Path("x"), config, records=(record(0, 0, 0, 10.0, (0.5,)), *first, *later, *last))
        row = behaviour.behaviour("shr", [run])
        assert row.favours == (("5", {1: pytest.approx(math.log(10 / math.sqrt(80 * 40)))}),)
        changes = [0.0, 0.03, -0.1, 0.2, -0.2, -0.1, 0.0, 0.3]
        assert row.lives == {epoch: [pytest.approx(change)] for epoch, change in enumerate(changes)}
        assert lifetimes.lives([row]) and strip_plot.favours([row])

    def test_the_best_so_far_is_a_mean_where_all_runs_have_begun(self):
        def run(*trainings):
            records = tuple(
                runs.Record(0, 0, index, accuracy=accuracy, cpu_seconds=60.0 * minutes)
                for index, (minutes, accuracy) in enumerate(trainings)
            )
            return runs.Run(Path("x"), {"method": "sh"}, records=records, results={"test_accuracy": 0.5})

        one, other = run((1, 0.2), (1, 0.1), (2, 0.6)), run((2, 0.4), (1, None), (3, 0.5))
        assert accuracy_course.best_so_far(one) == [(1.0, 0.2), (4.0, 0.6)]
        course = dict(
            accuracy_course.mean_course([accuracy_course.best_so_far(one), accuracy_course.best_so_far(other)])
        )
        assert min(course) == 2.0 and course[2.0] == pytest.approx(0.3)
        assert max(course) == 6.0 and course[6.0] == pytest.approx(0.55)
        assert lifetimes.anytime([one, other], ["sh", "nash"]) and lifetimes.anytime([], ["sh"]) is None

    def test_every_p_that_its_seeds_keep_above_a_twentieth_is_marked(self):
        """Though another comparison has many seeds."""

        def row(seeds, p, adjusted, ratio=(0.9, 1.2)):
            return method_comparison.Comparison("a", "b", seeds, -0.02, (-0.03, -0.01), p, adjusted, 1.0, ratio, 0.125)

        rows = [row(5, 0.0625, 0.1875), row(6, 0.03125, 0.125), row(8, 0.0078125, 0.0234375), row(1, 1.0, 1.0)]
        table = experiment_tables.paired(rows)
        assert [(cells[4], cells[5], cells[8]) for cells in table.rows] == [
            ("0.062 *", "0.188 *", "0.125 *"),
            ("0.031", "0.125 *", "0.125"),
            ("0.008", "0.023", "0.125"),
            ("–", "–", "–"),
        ]
        assert "* So few seeds cannot bring a p to 0.05" in table.note
        assert "So few" not in experiment_tables.paired(rows[2:]).note

    @pytest.mark.parametrize(("ratio", "p"), [((0.975, 0.975 + 1e-15), "–"), ((0.975, 0.976), "0.008"), (None, "–")])
    def test_a_ratio_that_follows_from_the_settings_is_not_tested(self, ratio, p):
        row = method_comparison.Comparison("a", "b", 8, 0.01, (0.0, 0.02), 0.3, 0.3, 0.975, ratio, 0.0078125)
        assert experiment_tables.paired([row]).rows[0][8] == p

    def test_the_best_so_far_counts_epochs_not_trainings(self):
        """Of methods that are compared one has more trainings than the other, of as many epochs."""
        accuracies = (0.1, 0.5, 0.4, 0.6)
        parts = [
            runs.Record(0, 0, index, accuracy=accuracy, cpu_seconds=60.0, history={"val_accuracy": (accuracy,)})
            for index, accuracy in enumerate(accuracies)
        ]
        whole = runs.Record(0, 0, 0, accuracy=0.6, cpu_seconds=240.0, history={"val_accuracy": accuracies})
        one, other = (runs.Run(Path("x"), records=tuple(records)) for records in (parts, [whole]))
        assert accuracy_course.best_so_far(one) == [(1.0, 0.1), (2.0, 0.5), (4.0, 0.6)]
        assert accuracy_course.best_so_far(other) == accuracy_course.best_so_far(one)
        failed = runs.Record(1, 0, 0, cpu_seconds=60.0, history={"val_accuracy": (0.9, None)})
        later = runs.Run(Path("x"), records=(whole, failed))
        assert accuracy_course.best_so_far(later) == [(1.0, 0.1), (2.0, 0.5), (4.0, 0.6), (5.0, 0.6)]

    def test_methods_with_one_budget_are_not_measured_against_a_parent_at_a_high_rate(self, tmp_path):
        rows = []
        for method in ("fixed", "grow", "nash"):
            run = loading.read(make_run(tmp_path / method, method, steps=2))
            rows.append(behaviour.behaviour(method, [run]))
        assert [bool(row.lives) for row in rows] == [False, False, True]
        assert lifetimes.lives(rows[:2]) is None
        drawn = str(lifetimes.lives(rows).body)
        assert "; methods with one budget are left out" in drawn and "nash: " in drawn and "grow" not in drawn
        assert "left out" not in str(lifetimes.lives(rows[2:]).body)

    def test_a_method_that_draws_no_morphisms_has_none_of_those_drawn(self, tmp_path):
        rows = []
        for method in ("grow", "random"):
            run = loading.read(make_run(tmp_path / method, method, steps=2, mutations=3))
            rows.append(behaviour.behaviour(method, [run]))
        chose, drew = (experiment_tables.accepted([row]) for row in rows)
        assert {cell for cell in chose.rows[0][1:] if cell != "–"} and "of" not in "".join(chose.rows[0][1:])
        assert "grow: how many it chose; it draws none." in chose.note
        assert any(" of " in cell for cell in drew.rows[0]) and "draws none" not in drew.note

    def test_figures_across_runs_are_files_whose_text_fits(self, many, tmp_path):
        assert main([str(many), f"--svg_dir={tmp_path}", f"--output={tmp_path / 'page.html'}"]) == 0
        names = {"accuracy", "accuracy_params", "anytime", "growth", "lives", "favoured"}
        assert {path.stem for path in tmp_path.glob("*.svg")} == names
        check_texts(tmp_path)


def test_published_sorts_of_merging_layers_add_up_to_the_slides_but_where_that_is_said():
    merging = {"NASH": 19, "SH": 25, "SHR": 22, "SHRSep": 18}
    convex, concat, split = map(experiment_tables.PUBLISHED.head.index, ("convex", "concatenation", "split (Add)"))
    sums = {
        row[0]: sum(int(row[each].split()[0]) for each in (convex, concat, split))
        for row in experiment_tables.PUBLISHED.rows
    }
    assert {name for name in merging if sums[name] != merging[name]} == {"SHRSep"}
    assert "SHRSep add up to 22 %" in experiment_tables.PUBLISHED.note and sums["SHRSep"] == 22


def test_published_numbers_are_the_slides():
    assert [(row[0], row[1], row[4]) for row in experiment_tables.PUBLISHED.rows] == [
        ("NASH", "94.64 ± 0.38", "18.2 ± 6.2"),
        ("SH", "94.57 ± 0.11", "12.9 ± 5.9"),
        ("SHR", "94.63 ± 0.29", "14.8 ± 4.8"),
        ("SHRSep", "94.39 ± 0.33", "14.5 ± 4.5"),
    ]
