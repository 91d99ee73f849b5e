"""What follows from records: statistics, layers, families, restarts, operators, time."""

import json
import math
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nash_tf.architecture import Architecture
from nash_tf.architecture.vanilla import vanilla
from nash_tf.records import loading, runs
from nash_tf.report.analysis import (
    behaviour,
    compute_time,
    family,
    layer_shares,
    method_comparison,
    operator_tally,
    restart_drops,
    search_plan,
    stats,
)
from nash_tf.report.pages import search_summary
from nash_tf.strategy.records import TrainingKey
from nash_tf.strategy.schedules import annealings
from tests.helpers.synthetic_runs import make_run
from tests.report.helpers import lineage, write_lineage


class TestStatistics:
    @pytest.mark.parametrize(
        ("freedom", "probability", "quantile"),
        [(1, 0.975, 12.7062), (2, 0.975, 4.30265), (7, 0.975, 2.36462), (30, 0.995, 2.75000), (120, 0.95, 1.65765)],
    )
    def test_t_quantiles_of_the_printed_tables(self, freedom, probability, quantile):
        assert stats.t_quantile(probability, freedom) == pytest.approx(quantile, rel=1e-5)

    def test_interval_by_hand(self):
        low, high = stats.t_interval([1.0, 2.0, 3.0])
        assert (low, high) == pytest.approx((2 - 4.30265 / math.sqrt(3), 2 + 4.30265 / math.sqrt(3)), rel=1e-5)
        assert stats.t_interval([1.0]) is None

    def test_sign_flips_by_hand(self):
        assert stats.sign_flip_p([1, 2, 3, 4]) == 2 / 16
        assert stats.sign_flip_p([3, -1]) == 1.0  # |2| is the least of |+-3 +-1|
        assert stats.sign_flip_p([0.0, 0.0]) == 1.0
        # sums of 1, 1, 1, -1 reach |2| in all patterns but the 6 that sum to 0
        assert stats.sign_flip_p([1, 1, 1, -1]) == 10 / 16

    @pytest.mark.parametrize("images", [359, 10_000, 50_000])
    def test_sign_flips_of_accuracies_are_those_of_whole_images(self, images, tmp_path):
        """Equal sums are equal, however the accuracies are rounded; sums that are an image apart are not."""
        for seed in range(40):
            draw = random.Random(seed)
            right = [[draw.randint(images * 9 // 10, images * 9 // 10 + 8) for _ in range(8)] for _ in range(2)]
            found = [
                runs.Run(
                    tmp_path,
                    config={"method": method, "seed": number},
                    results={"test_accuracy": round(each / images, 6)},
                )
                for method, of_method in zip(("nash", "sh"), right, strict=True)
                for number, each in enumerate(of_method)
            ]
            (pair,) = method_comparison.comparisons(found)
            assert pair.p == stats.sign_flip_p([one - other for one, other in zip(*right, strict=True)])

    def test_sign_flips_of_equal_ratios_are_equal(self):
        logs = [math.log(100 * 2**power) - math.log(100) for power in (1, 4, 2, -1, 1, 6, 0, 2)]
        assert stats.sign_flip_p(logs) == stats.sign_flip_p([1, 4, 2, -1, 1, 6, 0, 2]) == 0.0625

    def test_many_pairs_are_sampled_close_to_the_exact_value(self):
        dice = random.Random(1)
        differences = [dice.gauss(0.35, 1) for _ in range(16)]
        exact = stats.sign_flip_p(differences)
        limit, stats.EXACT_UP_TO = stats.EXACT_UP_TO, 8
        try:
            assert stats.sign_flip_p(differences) == pytest.approx(exact, abs=0.015)
        finally:
            stats.EXACT_UP_TO = limit

    def test_holm_by_hand(self):
        assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
        assert stats.holm([]) == []

    def test_summary(self):
        assert stats.summary([1.0, 2.0, 6.0]) == (3, 3.0, pytest.approx(math.sqrt(7)), 1.0, 6.0)
        assert stats.summary([5.0]).deviation is None
        assert stats.summary([]) is None

    def test_pareto_by_hand(self):
        assert stats.pareto([(2, 5), (1, 3), (3, 5), (4, 9), (1, 2)]) == [1, 0, 3]

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
    def test_pareto_is_what_nothing_beats(self, points):
        front = stats.pareto(points)
        for index, (cost, gain) in enumerate(points):
            beaten = any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
            assert (points[index] in [points[i] for i in front]) == (not beaten)


class TestLayers:
    def test_shares_leave_out_pools_and_dense(self):
        assert layer_shares.shares(vanilla((32, 32, 3), 10, (8, 16))) == {
            "conv": 1.0,
            "convex": 0.0,
            "concat": 0.0,
            "split": 0.0,
            "separable": 0.0,
        }

    def test_shares_by_counting_in_the_file(self, big):
        text_ = (big / "best" / "architecture.json").read_text()
        kinds = re.findall(r'"kind": "(?:nash_tf>)?(\w+)"', text_)
        sorts = {"conv": ("Conv2D", "IdentityConv2D"), "convex": ("ConvexMerge",), "concat": ("Concatenate",)}
        sorts |= {"split": ("Add",), "separable": ("SeparableConv2D", "IdentitySeparableConv2D")}
        counts = {sort: sum(kinds.count(kind) for kind in names) for sort, names in sorts.items()}
        found = layer_shares.shares(Architecture.from_json(text_))
        assert found == pytest.approx({sort: counts[sort] / sum(counts.values()) for sort in counts})


class TestFamily:
    def test_fates_follow_the_rungs(self, big):
        children = family.children(loading.read(big))
        assert len(children) == 41
        for step in range(1, 6):
            mine = [child for child in children if child.step == step]
            fates = [child.fate for child in mine]
            assert fates.count(family.WINNER) == 1 and fates.count(family.FAILED) == (step == 2)
            assert sorted(child.rung for child in mine) == [0, 0, 0, 0, 1, 1, 2, 3]
        assert [child.label for child in children if child.chosen] == [
            "{}.{}".format(*(json.loads((big / "results.json").read_text())["winner"][i] for i in (0, 2)))
        ]

    def test_the_trunk_runs_from_the_vanilla_to_the_winner(self, big):
        children = family.children(loading.read(big))
        trunk = sorted(family.trunk(children))
        winners = sorted((child.step, child.number) for child in children if child.fate == family.WINNER)
        assert trunk == winners

    def test_an_open_rung_discards_nobody(self, tmp_path):
        children = family.children(loading.read(make_run(tmp_path / "run", "shr", steps=2, stop_after=6)))
        assert {child.fate for child in children if child.step == 1} == {family.OPEN}

    def test_a_closed_rung_discards_half(self, tmp_path):
        children = family.children(loading.read(make_run(tmp_path / "run", "shr", steps=2, stop_after=10)))
        fates = [child.fate for child in children if child.step == 1]
        assert (fates.count(family.DISCARDED), fates.count(family.OPEN)) == (4, 4)

    def test_without_settings_fates_follow_from_the_lineage(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        (tmp_path / "run" / "config.json").unlink()
        before, after = (family.children(loading.read(path)) for path in (big, tmp_path / "run"))
        assert [(child.label, child.fate) for child in after] == [(child.label, child.fate) for child in before]

    def test_a_failed_later_rung(self, tmp_path):
        run = loading.read(make_run(tmp_path / "run", "shr", steps=1))
        last = next(child for child in family.children(run) if child.step == 1 and child.rung == 3)
        failing = make_run(tmp_path / "again", "shr", steps=1, failed=(TrainingKey(1, 3, last.number),))
        children = family.children(loading.read(failing))
        assert [child.fate for child in children if (child.step, child.number) == (1, last.number)] == [family.FAILED]
        assert [child.label for child in children if child.chosen] == ["0.0"]


class TestRestarts:
    def test_periods_are_the_methods(self, big):
        run = loading.read(big)
        assert search_plan.phases(run, search_plan.rungs(run, 1)) == annealings((5, 10, 20, 40))

    def test_drops_by_hand(self):
        def record(rung, accuracies, parent):
            return runs.Record(
                1,
                rung,
                0,
                parent,
                epochs=len(accuracies),
                accuracy=accuracies[-1],
                history={"val_accuracy": accuracies},
            )

        parent = runs.Record(0, 0, 0, accuracy=0.5, epochs=1, history={"val_accuracy": (0.5,)})
        life = (record(0, (0.4, 0.6), (0, 0, 0)), record(1, (0.3, 0.5, 0.6, 0.55), (1, 0, 0)))
        child = family.Child(1, 0, life, family.WINNER)
        drops = restart_drops.drops([child], {(0, 0, 0): parent}, {1: annealings((2, 4))})
        assert [(drop.epoch, drop.before, drop.after, drop.won_back, drop.lived) for drop in drops] == [
            (0, 0.5, 0.4, 2, True),
            (2, 0.6, 0.3, 3, True),
        ]
        assert not restart_drops.drops([child], {}, {1: annealings((2, 5))})[0].lived

    def test_an_annealing_of_a_length_beyond_all_measure(self):
        parent = runs.Record(0, 0, 0, accuracy=0.5, epochs=1)
        record = runs.Record(1, 0, 0, (0, 0, 0), epochs=2, history={"val_accuracy": (0.3, 0.4)})
        child = family.Child(1, 0, (record,), family.OPEN)
        (drop,) = restart_drops.drops([child], {(0, 0, 0): parent}, {1: annealings((2**40,))})
        assert drop.won_back is None and not drop.lived

    def test_one_cosine_has_no_restart_after_birth(self, tmp_path):
        run = loading.read(make_run(tmp_path / "run", "sh", steps=1))
        phases = {1: search_plan.phases(run, search_plan.rungs(run, 1))}
        drops = restart_drops.drops(family.children(run), {record.place: record for record in run.records}, phases)
        assert {drop.epoch for drop in drops} == {0} and len(drops) == 8


class TestOperators:
    def test_counts_are_those_of_the_lineage(self, big):
        run = loading.read(big)
        tried = {operator.name: operator for operator in operator_tally.tally(run, family.children(run))}
        lines = lineage(big)
        names = [move[0] for line in lines if line["rung"] == 0 for move in line["morphisms"]]
        assert {name: operator.drawn for name, operator in tried.items()} == {name: names.count(name) for name in tried}
        assert sum(operator.accepted for operator in tried.values()) == sum(
            len(child.operators) for child in family.children(run) if child.fate == family.WINNER
        )

    def test_gain_by_hand(self):
        def child(number, accuracy, *names):
            record = runs.Record(1, 0, number, (0, 0, 0), names, 5, accuracy=accuracy, params=10.0 * (number + 1))
            return family.Child(1, number, (record,), family.DISCARDED)

        run = runs.Run(Path("x"), {"method": "none"}, records=(runs.Record(0, 0, 0, params=10.0),))
        (split,) = operator_tally.tally(run, [child(0, 0.5), child(1, 0.6, "split"), child(2, 0.4, "split", "split")])
        assert (split.drawn, split.carriers, split.accepted) == (3, 2, 0)
        assert split.gains == pytest.approx((0.1, -0.1)) and split.growth == (2.0, 3.0)

    def test_the_interval_is_over_steps_whose_children_share_a_parent(self):
        def child(step, number, accuracy, *names):
            record = runs.Record(step, 0, number, (0, 0, 0), names, 5, accuracy=accuracy, params=10.0)
            return family.Child(step, number, (record,), family.DISCARDED)

        run = runs.Run(Path("x"), {"method": "none"})
        first = [child(1, 0, 0.5), *(child(1, number, 0.5 + number / 10, "split") for number in (1, 3))]
        (split,) = operator_tally.tally(run, first)
        assert split.gain == pytest.approx(0.2) and split.interval is None
        second = [child(2, 0, 0.5), child(2, 1, 0.6, "split")]
        (split,) = operator_tally.tally(run, [*first, *second])
        assert split.gain == pytest.approx(0.15) and split.interval == pytest.approx(stats.t_interval([0.2, 0.1]))

    def test_a_first_child_that_was_grown_is_no_unmodified_parent(self):
        record = runs.Record(1, 0, 0, (0, 0, 0), ("split",), 5, accuracy=0.7, params=30.0)
        run = runs.Run(Path("x"), {"method": "random"}, records=(runs.Record(0, 0, 0, params=10.0), record))
        (split,) = [
            each for each in operator_tally.tally(run, [family.Child(1, 0, (record,), family.WINNER)]) if each.drawn
        ]
        assert split.gains == () and split.growth == (3.0,)


def test_a_network_that_is_handed_over_after_an_early_rung_takes_no_step_from_its_winner(tmp_path):
    directory = make_run(tmp_path / "run", "shr", steps=2)
    (won,) = (
        child for child in family.children(loading.read(directory)) if child.step == 2 and child.fate == family.WINNER
    )
    promoted = [
        child.number for child in family.children(loading.read(directory)) if child.step == 2 and child.rung > 0
    ]
    other = next(number for number in promoted if number != won.number)
    results = json.loads((directory / "results.json").read_text())
    (directory / "results.json").write_text(json.dumps(results | {"winner": [2, 0, other]}))
    found = [child for child in family.children(loading.read(directory)) if child.step == 2]
    assert [child.number for child in found if child.fate == family.WINNER] == [won.number]
    assert [child.number for child in found if child.stands_out] == sorted([won.number, other])
    assert found[other].words() == "the search's winner" and found[won.number].words() == "winner of its step"
    run = loading.read(directory)
    words = str(search_summary.details(run, family.children(run), ()))
    assert "as it was after rung 0, before it was trained further" in words


def test_the_winner_of_a_step_that_a_limit_ended_is_a_winner(tmp_path):
    directory = make_run(tmp_path / "run", "shr", steps=2)
    lines = lineage(directory)
    kept = [line for line in lines if (line["step"], line["rung"], line["child"]) <= (2, 0, 5)]
    write_lineage(directory, kept)
    results = json.loads((directory / "results.json").read_text())
    (directory / "results.json").write_text(json.dumps(results | {"winner": [2, 0, 3]}))
    run = loading.read(directory)
    found = [child for child in family.children(run) if child.step == 2]
    assert [child.number for child in found if child.fate == family.WINNER] == [3]
    assert found[3].words() == "the search's winner" and found[0].words() == "undecided"
    inside = behaviour.behaviour("shr", [run])
    assert inside.steps == 1 and 2 in inside.winners
    (directory / "results.json").unlink()
    undecided = [child for child in family.children(loading.read(directory)) if child.step == 2]
    assert {child.words() for child in undecided} == {"in the running", "the best so far"}


def test_time_adds_up(big):
    run = loading.read(big)
    entries = compute_time.by_rung(run)
    assert sum(entry.cpu for entry in entries) == pytest.approx(run.result("cpu_seconds"))
    assert entries[-1].step is None and sum(entry.trainings for entry in entries) == len(run.records)
    run.results["control"] = {"cpu_seconds": 0.5, "seconds": 0.25}
    *_, control, rest = compute_time.by_rung(run)
    assert (control.cpu, control.wall, control.is_control) == (0.5, 0.25, True) and not rest.is_control
    assert control.cpu + rest.cpu == pytest.approx(entries[-1].cpu)
