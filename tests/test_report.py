"""The report: its pure parts, its pages for runs of every state, the command line, and a real browser."""

import contextlib
import html
import html.parser
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import make_run

from nash_tf import methods, output, report
from nash_tf.architecture import Architecture, Node
from nash_tf.hill_climbing import Training
from nash_tf.morphisms.draw import draw
from nash_tf.report import watch
from nash_tf.report.__main__ import main
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
from nash_tf.report.charts import architecture_graph, lifetimes, strip_plot
from nash_tf.report.drawing import axes, graph_layout, label_places
from nash_tf.report.drawing.markup import Markup, escape, tag
from nash_tf.report.pages import experiment_page, published
from nash_tf.report.records import loading, runs
from nash_tf.vanilla import vanilla

ROOT = Path(__file__).parents[1]
HOSTILE = """<script>alert("x")</script>'"><img src=x onerror=alert(1)>&amp;"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def big(tmp_path_factory) -> Path:
    """Five steps of eight children, a failed one among them."""
    return make_run(tmp_path_factory.mktemp("big") / "run", failed=(Training(2, 0, 3),))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """One step of eight children."""
    return make_run(tmp_path_factory.mktemp("small") / "run", "nash", steps=1)


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Four methods, three seeds, and one unfinished run."""
    root = tmp_path_factory.mktemp("many")
    for method in ("nash", "sh", "shr", "shrsep"):
        for seed in range(3):
            make_run(root / f"{method}-{seed}", method, steps=2, seed=seed)
    make_run(root / "shr-9", "shr", steps=2, seed=9, stop_after=14)
    return root


class _Outline(html.parser.HTMLParser):
    """Checks that elements nest, and collects what a test asks for."""

    VOID = {"meta", "link", "br", "hr", "col"}

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.names: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.ids += [value for key, value in attributes if key == "id"]
        self.targets += [value for key, value in attributes if key == "href"]
        assert not [key for key, _ in attributes if key.startswith("on")]
        if name not in self.VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.names.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def page_of(directory: Path) -> _Outline:
    return _Outline(report.write(directory).read_text(encoding="utf-8"))


def check_texts(svgs: Path) -> None:
    """No text of a drawing leaves it, by a narrow guess of its width."""
    for path in svgs.glob("*.svg"):
        drawing = ElementTree.parse(path).getroot()
        width, height = float(drawing.get("width")), float(drawing.get("height"))
        for node in drawing.iter("{http://www.w3.org/2000/svg}text"):
            x, y, wide = float(node.get("x")), float(node.get("y")), 6.2 * len(node.text or "")
            look = (node.get("class") or "").split()
            start = x - wide if "end" in look else x - wide / 2 if "mid" in look else x
            assert start >= -3 and start + wide <= width + 8, (path.name, node.text)
            assert 10 <= y <= height, (path.name, node.text)


# Markup ---------------------------------------------------------------------------------------------------------------


class TestMarkup:
    def test_text_and_attributes_are_escaped(self):
        drawn = tag("p", HOSTILE, title=HOSTILE)
        assert "<script" not in drawn and "<img" not in drawn
        outline = _Outline(drawn)
        assert outline.names == ["p"] and outline.words == [HOSTILE]

    def test_markup_is_not_escaped_twice(self):
        assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"

    def test_what_xml_forbids_is_replaced(self):
        ElementTree.fromstring(tag("p", "a\0b\x1b[31m\ud800\ufffe"))

    @given(st.text())
    def test_any_text_comes_back(self, words):
        plain = ElementTree.fromstring(tag("p", words, a=words))
        shown = "".join(" " if letter in "\r\n\t" else letter for letter in plain.text or "")
        assert "<" not in tag("p", words)[3:-4] and len(shown) <= len(words) + 1

    def test_numbers_are_short(self):
        assert [escape(value) for value in (1 / 3, 2.0, 7, -0.5)] == ["0.33", "2", "7", "-0.5"]
        assert isinstance(escape("<"), Markup)


# Statistics -----------------------------------------------------------------------------------------------------------


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


# Layout ---------------------------------------------------------------------------------------------------------------

graphs = st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=25).map(
    lambda rows: [sorted({other % index for other in row}) if index else [] for index, row in enumerate(rows)]
)


class TestLayered:
    def test_layers_are_longest_paths(self):
        assert graph_layout.draw([[], [0], [1], [0, 2]], 10, 5, 2).layer == [0, 1, 2, 3]

    def test_a_chain_is_straight(self):
        assert len(set(graph_layout.draw([[], [0], [1], [2]], 10, 5, 2).across)) == 1

    def test_a_crossing_is_undone(self):
        # 1 and 2 lead to 4 and 3: as they stand the edges cross
        drawn = graph_layout.draw([[], [0], [0], [2], [1]], 10, 5, 2)
        assert (drawn.across[1] < drawn.across[2]) == (drawn.across[4] < drawn.across[3])

    def test_crossings_are_counted(self):
        assert graph_layout.crossings([0, 1], [2, 3], [[3], [2], [], []]) == 1
        assert graph_layout.crossings([0, 1], [2, 3], [[2], [3], [], []]) == 0
        assert graph_layout.crossings([0, 1], [2, 3], [[2, 3], [2, 3], [], []]) == 1

    @settings(max_examples=60, deadline=None)
    @given(graphs)
    def test_nothing_overlaps_and_edges_arrive(self, inputs):
        drawn = graph_layout.draw(inputs, 100, 20, 10)
        at: dict[int, list[tuple[float, float]]] = {}
        for node, level in enumerate(drawn.layer):
            at.setdefault(level, []).append((drawn.across[node], 100))
        for (source, node), way in drawn.ways.items():
            assert [level for _, level in way] == list(range(drawn.layer[source], drawn.layer[node] + 1))
            assert (way[0][0], way[-1][0]) == (drawn.across[source], drawn.across[node])
            for place, level in way[1:-1]:
                at.setdefault(level, []).append((place, 0))
        assert set(drawn.ways) == {(source, node) for node, sources in enumerate(inputs) for source in sources}
        for row in at.values():
            row.sort()
            for (one, size), (other, next_size) in zip(row, row[1:], strict=False):
                assert other - one >= (size + next_size) / 2 + 10 - 1e-6
        assert min(place - 50 for place in drawn.across) >= -1e-6 and max(drawn.across) + 50 <= drawn.width + 1e-6

    def test_spread_is_least_squares(self):
        assert graph_layout.spread([0, 10], [4]) == [0, 10]
        assert graph_layout.spread([5, 5], [4]) == [3, 7]
        assert graph_layout.spread([5, 5], [4], [3, 1]) == [4, 8]

    def test_labels_do_not_meet(self):
        marks = [(50.0, 50.0), (54.0, 52.0), (200.0, 90.0)]
        placed = [label for label in label_places.place(marks, [(*mark, "1.2") for mark in marks]) if label]
        assert len(placed) == 3
        boxes = [(x, y - 11, x + 7.6 * 3, y + 3) for x, y, _ in placed]
        for index, one in enumerate(boxes):
            for other in boxes[index + 1 :]:
                assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


class TestAxes:
    @given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
    def test_linear_ticks_are_inside_and_few(self, low, width):
        ticks = axes.linear_ticks(low, low + width, 5)
        assert 1 <= len(ticks) <= 6
        assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)

    def test_ticks_by_hand(self):
        assert axes.linear_ticks(0.83, 0.97, 5) == pytest.approx([0.85, 0.9, 0.95])
        assert axes.log_ticks(2e4, 1.1e6, 5) == pytest.approx([2e4, 5e4, 1e5, 2e5, 5e5, 1e6])

    @pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0], [1e-9, 1e9]])
    def test_scales_survive_odd_values(self, values):
        for scale in (axes.linear(values, 0, 100), axes.logarithmic(values, 0, 100)):
            assert all(math.isfinite(scale(value)) for value in [*values, 0.0])
            assert all(math.isfinite(tick) for tick in scale.ticks())


# Architectures --------------------------------------------------------------------------------------------------------


class TestLayers:
    def test_vanilla_folds_into_eight_blocks(self):
        folded = layer_shares.blocks(vanilla((32, 32, 3), 10, (8, 16, 32)))
        assert [block.title for block in folded] == [
            "Input",
            "Conv 3×3-BN-ReLU",
            "Max pool 2×2",
            "Conv 3×3-BN-ReLU",
            "Max pool 2×2",
            "Conv 3×3-BN-ReLU",
            "Global average pool",
            "Dense",
        ]
        assert [block.inputs for block in folded] == [(), *((index,) for index in range(7))]

    def test_blocks_keep_all_layers_parameters_and_edges(self, big):
        architecture = loading.read(big).architecture
        folded = layer_shares.blocks(architecture)
        assert sorted(name for block in folded for name in block.names) == sorted(n.name for n in architecture.nodes)
        assert sum(block.params for block in folded) == architecture.params
        assert all(source < index for index, block in enumerate(folded) for source in block.inputs)
        assert len(folded) < 0.7 * len(architecture.nodes)

    def test_what_others_need_too_is_not_folded(self):
        start = vanilla((8, 8, 3), 10, (4,))
        joined = start.make("sum_9", "Add", {}, [start["conv_1"], start["relu_1"]])
        architecture = Architecture((*start.nodes, joined), ("sum_9", "logits"))
        folded = layer_shares.blocks(architecture)
        assert [block.names for block in folded][1:3] == [("conv_1",), ("bn_1", "relu_1")]
        assert folded[-1].inputs == (1, 2)

    @pytest.mark.parametrize(
        ("kind", "sort"),
        [
            ("Conv2D", "conv"),
            ("nash_tf>IdentityConv2D", "conv"),
            ("SeparableConv2D", "separable"),
            ("nash_tf>IdentitySeparableConv2D", "separable"),
            ("nash_tf>ConvexMerge", "convex"),
            ("Concatenate", "concat"),
            ("Add", "split"),
            ("MaxPooling2D", "pool"),
            ("GlobalAveragePooling2D", "pool"),
            ("Dense", "other"),
            ("BatchNormalization", "other"),
        ],
    )
    def test_sorts(self, kind, sort):
        assert layer_shares.sort_of(Node("x", kind, {}, (), (1,))) == sort

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

    def test_a_graph_of_a_hundred_layers_has_a_box_for_each_block(self):
        architecture, _ = draw(vanilla((32, 32, 3), 10, (8, 16, 32)), 48, methods.registry["shrsep"].operators, 1e9, 0)
        assert len(architecture.nodes) >= 100
        figure = architecture_graph.graph(architecture)
        assert figure.body.count('class="card') == len(layer_shares.blocks(architecture))
        assert len(architecture_graph.slices(figure, 630)) == math.ceil(figure.height / 630)


# Families -------------------------------------------------------------------------------------------------------------


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

    def test_without_settings_the_lineage_tells(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        (tmp_path / "run" / "config.json").unlink()
        before, after = (family.children(loading.read(path)) for path in (big, tmp_path / "run"))
        assert [(child.label, child.fate) for child in after] == [(child.label, child.fate) for child in before]

    def test_a_failed_later_rung(self, tmp_path):
        run = loading.read(make_run(tmp_path / "run", "shr", steps=1))
        last = next(child for child in family.children(run) if child.step == 1 and child.rung == 3)
        failing = make_run(tmp_path / "again", "shr", steps=1, failed=(Training(1, 3, last.number),))
        children = family.children(loading.read(failing))
        assert [child.fate for child in children if (child.step, child.number) == (1, last.number)] == [family.FAILED]
        assert [child.label for child in children if child.chosen] == ["0.0"]


class TestRestarts:
    def test_periods_are_the_methods(self, big):
        run = loading.read(big)
        assert search_plan.periods(run, search_plan.rungs(run, 1)) == (5, 10, 20, 40)

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
        drops = restart_drops.drops([child], {(0, 0, 0): parent}, {1: (2, 4)})
        assert [(drop.epoch, drop.before, drop.after, drop.won_back, drop.lived) for drop in drops] == [
            (0, 0.5, 0.4, 2, True),
            (2, 0.6, 0.3, 3, True),
        ]
        assert not restart_drops.drops([child], {}, {1: (2, 5)})[0].lived

    def test_an_annealing_of_a_length_beyond_all_measure(self):
        parent = runs.Record(0, 0, 0, accuracy=0.5, epochs=1)
        record = runs.Record(1, 0, 0, (0, 0, 0), epochs=2, history={"val_accuracy": (0.3, 0.4)})
        child = family.Child(1, 0, (record,), family.OPEN)
        (drop,) = restart_drops.drops([child], {(0, 0, 0): parent}, {1: (2**40,)})
        assert drop.won_back is None and not drop.lived

    def test_one_cosine_has_no_restart_after_birth(self, tmp_path):
        run = loading.read(make_run(tmp_path / "run", "sh", steps=1))
        lengths = {1: search_plan.periods(run, search_plan.rungs(run, 1))}
        drops = restart_drops.drops(family.children(run), {record.place: record for record in run.records}, lengths)
        assert {drop.epoch for drop in drops} == {0} and len(drops) == 8


class TestOperators:
    def test_counts_are_those_of_the_lineage(self, big):
        run = loading.read(big)
        tried = {operator.name: operator for operator in operator_tally.tally(run, family.children(run))}
        lines = [json.loads(line) for line in (big / "lineage.jsonl").read_text().splitlines()]
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

    def test_a_first_child_that_was_grown_is_no_unmodified_parent(self):
        record = runs.Record(1, 0, 0, (0, 0, 0), ("split",), 5, accuracy=0.7, params=30.0)
        run = runs.Run(Path("x"), {"method": "random"}, records=(runs.Record(0, 0, 0, params=10.0), record))
        (split,) = [each for each in operator_tally.tally(run, [family.Child(1, 0, (record,), family.WINNER)]) if each.drawn]
        assert split.gains == () and split.growth == (3.0,)


def test_the_winner_of_a_step_that_a_limit_ended_is_a_winner(tmp_path):
    directory = make_run(tmp_path / "run", "shr", steps=2)
    lines = [json.loads(line) for line in (directory / "lineage.jsonl").read_text().splitlines()]
    kept = [line for line in lines if (line["step"], line["rung"], line["child"]) <= (2, 0, 5)]
    (directory / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
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
    assert {child.words() for child in undecided} == {"in the running"}


def test_time_adds_up(big):
    run = loading.read(big)
    entries = compute_time.spent(run)
    assert sum(entry.cpu for entry in entries) == pytest.approx(run.result("cpu_seconds"))
    assert entries[-1].step is None and sum(entry.trainings for entry in entries) == len(run.records)


def test_published_numbers_are_the_slides():
    assert [(row.method, row.accuracy, row.params) for row in published.TABLE] == [
        ("NASH", "94.64 ± 0.38", "18.2 ± 6.2"),
        ("SH", "94.57 ± 0.11", "12.9 ± 5.9"),
        ("SHR", "94.63 ± 0.29", "14.8 ± 4.8"),
        ("SHRSep", "94.39 ± 0.33", "14.5 ± 4.5"),
    ]


def test_words():
    assert [number_words.short(value) for value in (None, 7, 999.6, 24058, 1e6, 18.2e6)] == [
        "–",
        "7",
        "1k",
        "24.1k",
        "1M",
        "18.2M",
    ]
    assert [number_words.duration(value) for value in (5, 90, 3000, 3725)] == ["5.0 s", "1.5 min", "50 min", "1 h 02 min"]
    assert (number_words.points(0.0123), number_words.points(-0.5), number_words.points(-1e-9)) == ("+1.23", "−50.00", "+0.00")
    assert text_tables.table(["a", "b"], [["x", "10"], ["long", "7"]]) == "a      b\nx     10\nlong   7"
    assert "\x1b" not in text_tables.table(["a"], [["\x1b[31m"]])
    assert text_tables.markdown(["a", "b|c"], [["<i>", "1"]]) == "| a | b\\|c |\n| --- | --- |\n| &lt;i> | 1 |"


# Pages ----------------------------------------------------------------------------------------------------------------


class TestSearchPage:
    def test_small_fast_and_complete(self, big):
        began = time.process_time()
        path = report.write(big)
        assert time.process_time() - began < 10
        assert path == big / "report.html" and path.stat().st_size < 3_000_000
        page = _Outline(path.read_text(encoding="utf-8"))
        assert page.headings == [
            "Family tree",
            "Accuracy against parameters",
            "Learning curves",
            "Restarts",
            "Operators",
            "Growth",
            "Time",
            "The winner's architecture",
            "Certificates",
            "All children",
            "Settings and versions",
        ]
        assert len(page.ids) == len(set(page.ids))
        assert all(target[1:] in page.ids for target in page.targets if target.startswith("#"))
        assert page.names.count("script") == 1
        assert {f"child-{step}-{child}" for step in range(1, 6) for child in range(8)} <= set(page.ids)

    def test_nothing_comes_from_a_network(self, big):
        source = report.write(big).read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source)
        assert "@import" not in source and "default-src 'none'" in html.unescape(source)

    def test_figures_are_files_too(self, big, tmp_path):
        report.write(big, tmp_path / "page.html", tmp_path / "svg")
        files = {path.name for path in (tmp_path / "svg").iterdir()}
        assert {"family_tree.svg", "accuracy_params.svg", "operators.svg", "growth.svg", "time.svg"} <= files
        assert {"architecture.svg", *(f"curves_val_accuracy_step_{step}.svg" for step in range(6))} <= files
        for path in (tmp_path / "svg").iterdir():
            drawing = ElementTree.parse(path).getroot()
            assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
            assert "var(" not in path.read_text() and "nan" not in path.read_text().lower().replace("nash", "")

    def test_all_text_stays_inside_the_figures(self, big, tmp_path):
        report.write(big, tmp_path / "page.html", tmp_path / "svg")
        check_texts(tmp_path / "svg")

    def test_what_a_certificate_holds_is_shown(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        lines = [json.loads(line) for line in (big / "lineage.jsonl").read_text().splitlines()]
        for line in lines:
            if line.get("certificate"):
                line["certificate"] |= {"change_of_accuracy": 0.125, "note": "x", "nested": {"a": 1}}
        (tmp_path / "run" / "lineage.jsonl").write_text("\n".join(map(json.dumps, lines)))
        page = page_of(tmp_path / "run").text
        assert "change_of_accuracy" in page and "0.125" in page and "nested" not in page
        assert "39 of 39 newborns within the bound" in page

    def test_a_certificate_beyond_its_bound_is_told(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        source = (big / "lineage.jsonl").read_text()
        (tmp_path / "run" / "lineage.jsonl").write_text(source.replace('"bound": 0.00032', '"bound": 1e-12', 1))
        assert "38 of 39 newborns within the bound" in page_of(tmp_path / "run").text

    def test_a_long_search_shows_its_last_steps(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=40, children=2, epochs_per_step=2, mutations=1)
        page = page_of(run)
        assert "Steps before step 17 are in the table of children only." in page.text
        assert "child-1-0" in page.ids

    @pytest.mark.parametrize("epochs", [0, 20])
    def test_a_final_training_is_named_where_there_was_one(self, tmp_path, epochs):
        run = make_run(tmp_path / "run", "nash", steps=1)
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"final_epochs": epochs}))
        words = page_of(run).words
        assert ("test accuracy, after final training" in words) == ("test accuracy before it" in words) == bool(epochs)
        assert ("test accuracy" in words) == (not epochs)

    def test_hostile_names_are_text(self, big, tmp_path):
        directory = tmp_path / HOSTILE.replace("/", "_")
        shutil.copytree(big, directory)
        for name in ("config.json", "results.json"):
            values = json.loads((directory / name).read_text())
            values |= {"dataset": HOSTILE, "method": HOSTILE, "seed": HOSTILE, HOSTILE: HOSTILE}
            values["versions"] = {HOSTILE: HOSTILE}
            (directory / name).write_text(json.dumps(values))
        lines = [json.loads(line) for line in (directory / "lineage.jsonl").read_text().splitlines()]
        for line in lines:
            line["morphisms"] = [[HOSTILE, [], 0] for _ in line["morphisms"]]
            line["certificate"] = {HOSTILE: 1.0}
            line["history"] = {HOSTILE: [1.0], **line.get("history", {})}
            line["status"] = HOSTILE if line["status"] == "failed" else "completed"
        (directory / "lineage.jsonl").write_text("\n".join(map(json.dumps, lines)))
        architecture = json.loads((directory / "best" / "architecture.json").read_text())
        architecture["nodes"][-1] |= {"kind": HOSTILE, "name": HOSTILE}
        architecture["outputs"] = [HOSTILE]
        (directory / "best" / "architecture.json").write_text(json.dumps(architecture))
        page = page_of(directory)
        assert page.names.count("script") == 1 and "img" not in page.names
        assert page.text.count(HOSTILE) > 10
        for path in (directory / "report").iterdir():
            ElementTree.parse(path)
        text_ = experiment_page.tables([loading.read(directory)])
        assert "\x1b" not in text_
        marked = experiment_page.tables([loading.read(directory)], experiment_page.as_markdown)
        assert "<" not in marked and "**Results**" in marked and "| --- |" in marked


BREAKS = {
    "no lineage": lambda run: (run / "lineage.jsonl").unlink(),
    "empty lineage": lambda run: (run / "lineage.jsonl").write_bytes(b""),
    "half a last line": lambda run: _cut(run / "lineage.jsonl", 100),
    "binary lineage": lambda run: (run / "lineage.jsonl").write_bytes(bytes(range(256)) * 9),
    "wrong types": lambda run: (run / "lineage.jsonl").write_text(
        '{"step": 1, "rung": 0, "child": "x"}\n[]\n7\nnull\n{"step": 0, "rung": 0, "child": 0, "params": "many", '
        '"val_accuracy": NaN, "history": 3, "morphisms": {"a": 1}, "parent": [1], "epochs": 1e999, "certificate": []}\n'
    ),
    "deep nesting": lambda run: (run / "lineage.jsonl").write_text("[" * 100_000),
    "huge numbers": lambda run: (run / "lineage.jsonl").write_text(
        '{"step": 0, "rung": 0, "child": 0, "params": 1' + "0" * 400 + ', "val_accuracy": 1e308, "epochs": 3, '
        '"history": {"val_accuracy": [1e308, -1e308, null, "x"]}, "parent": ["a", {}, []]}\n'
    ),
    "one training twice": lambda run: (run / "lineage.jsonl").write_bytes((run / "lineage.jsonl").read_bytes() * 2),
    "lineage is a folder": lambda run: ((run / "lineage.jsonl").unlink(), (run / "lineage.jsonl").mkdir()),
    "no config": lambda run: (run / "config.json").unlink(),
    "config is a list": lambda run: (run / "config.json").write_text("[1]"),
    "config cannot be parsed": lambda run: (run / "config.json").write_text("{"),
    "odd settings": lambda run: (run / "config.json").write_text(
        json.dumps({"method": "shr", "children": 2**40, "epochs_per_step": 2**45, "learning_rate": "x", "versions": 3})
    ),
    "unknown method": lambda run: (run / "config.json").write_text('{"method": ["x"], "max_params": -3}'),
    "no results": lambda run: (run / "results.json").unlink(),
    "results are half": lambda run: _cut(run / "results.json", 40),
    "odd results": lambda run: (run / "results.json").write_text('{"winner": [9, 9, 9], "test_accuracy": "good"}'),
    "no architecture": lambda run: shutil.rmtree(run / "best"),
    "half an architecture": lambda run: _cut(run / "best" / "architecture.json", 500),
    "another architecture": lambda run: (run / "best" / "architecture.json").write_text('{"nodes": [], "outputs": []}'),
    "nothing at all": lambda run: (shutil.rmtree(run), run.mkdir()),
}


def _cut(path: Path, bytes_: int) -> None:
    path.write_bytes(path.read_bytes()[:-bytes_])


class TestBrokenRuns:
    @pytest.mark.parametrize("name", BREAKS)
    def test_is_reported_as_such(self, big, tmp_path, name, capsys):
        run = tmp_path / "run"
        shutil.copytree(big, run)
        BREAKS[name](run)
        page = page_of(run)
        assert re.search(
            r"missing|cannot be read|cut off|left out|again|holds no|No winner|empty|no finite", page.text
        ) or (name in ("no results", "odd settings", "unknown method"))
        assert main([str(run), str(big)]) == 0
        assert "Traceback" not in "".join(capsys.readouterr())

    @settings(max_examples=30, deadline=None)
    @given(data=st.data())
    def test_any_truncation_and_flip(self, big, tmp_path_factory, data):
        run = tmp_path_factory.mktemp("flipped") / "run"
        shutil.copytree(big, run)
        path = run / data.draw(
            st.sampled_from(["lineage.jsonl", "config.json", "results.json", "best/architecture.json"])
        )
        content = bytearray(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size))])
        for _ in range(data.draw(st.integers(0, 5)) if content else 0):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        page_of(run)

    @pytest.mark.parametrize(
        ("stop_after", "state", "words"),
        [
            (1, "unfinished", "running or interrupted"),
            (12, "unfinished", "running or interrupted"),
            (0, "begun", "begun"),
        ],
    )
    def test_running(self, tmp_path, stop_after, state, words):
        run = make_run(tmp_path / "run", "shr", stop_after=stop_after)
        assert loading.read(run).state == state
        assert words in page_of(run).text

    def test_failed(self, tmp_path):
        run = make_run(tmp_path / "run", failed=(Training(0, 0, 0),))
        assert loading.read(run).state == "failed"
        page = page_of(run).text
        assert "no training succeeded" in page and "Training of child 0 in step 0, rung 0: failed." in page

    def test_a_failed_child_is_told(self, big):
        assert "Training of child 3 in step 2, rung 0: failed." in page_of(big).text

    def test_a_cut_line_is_told_and_the_rest_counts(self, big, tmp_path):
        shutil.copytree(big, tmp_path / "run")
        _cut(tmp_path / "run" / "lineage.jsonl", 100)
        run = loading.read(tmp_path / "run")
        assert any("line 76: cut off" in problem for problem in run.problems)
        assert len(run.records) == len(loading.read(big).records) - 1


def _rewritten(run: Path, **settings) -> Path:
    """The run with other settings in its config.json."""
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | settings))
    return run


class TestStates:
    """What a page asserts follows from settings, method and records, in every state of a run."""

    @pytest.mark.parametrize(
        ("method", "stop_after", "words"),
        [
            ("nash", None, "at birth only."),
            ("sh", 3, "at birth only."),
            ("fixed", None, "at birth only."),
            ("shr", None, "at birth and after 5, 15 and 35 epochs of a child's life."),
            ("shr", 6, "of a child's life. No child has been trained past 5, 15, 35 yet."),
            ("shr", 1, "No child of a step has been trained yet. This method restarts the rate at birth and after 5"),
            ("one_epoch", 9, "at birth and after 1 epochs of a child's life. No child has been trained past 1 yet."),
        ],
    )
    def test_restarts_are_the_methods(self, tmp_path, method, stop_after, words):
        page = page_of(make_run(tmp_path / "run", method, steps=1, stop_after=stop_after)).text
        assert words in page and page.count("restarts the rate") == 1
        assert ("at birth and at each restart" in page) == (
            stop_after is None and method == "shr" or stop_after in (6, 9)
        )

    def test_restarts_of_an_unknown_method_are_not_known(self, tmp_path):
        page = page_of(_rewritten(make_run(tmp_path / "run", "shr", steps=1), method="mine")).text
        assert "When this method restarts the rate is not known" in page and "at birth only" not in page

    def test_running(self, tmp_path):
        page = page_of(_rewritten(make_run(tmp_path / "run", "shr", steps=2, stop_after=6), max_cpu_hours=1.5)).text
        assert "The incumbent is the first network." in page and "winner is" not in page
        assert "Open is step 1 of at most 2, rung 0 of 0 to 3, with 5 of 8 children trained." in page
        assert "If the limit on time (max_cpu_hours = 1.5) has been reached since" in page
        assert "step begun, 6 networks" in page and "waits" in page and "leads to the incumbent" in page

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
        run = _rewritten(make_run(tmp_path / "run", "shr", steps=1), final_epochs=epochs)
        winner = json.loads((run / "results.json").read_text())["winner"]
        (run / "results.json").unlink()
        page = page_of(run).text
        assert f"The one step is closed: the search is over, {rest} are not." in page
        assert f"The winner is child {winner[0]}.{winner[2]}" in page and "final winner" in page
        assert "incumbent" not in page and "waits" not in page

    @pytest.mark.parametrize("kept", [(1, 3, 9), (2, 0, 3), (2, 1, 4)])
    def test_a_step_that_a_limit_ended_is_not_decided(self, tmp_path, kept):
        run = _rewritten(make_run(tmp_path / "run", "shr", steps=2), max_hours=0.5)
        lines = [json.loads(line) for line in (run / "lineage.jsonl").read_text().splitlines()]
        lines = [line for line in lines if (line["step"], line["rung"], line["child"]) <= kept]
        (run / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
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
        assert chosen.rung == 3 and chosen.chosen_accuracy == chosen.records[1].accuracy != chosen.accuracy

    def test_one_child_whose_step_a_limit_ended_closes_no_step(self, tmp_path):
        run = make_run(tmp_path / "run", "random", steps=2, stop_after=7)
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
        lines = [json.loads(line) for line in (run / "lineage.jsonl").read_text().splitlines()]
        lines[3]["certificate"] = None
        (run / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert "7 of 8 children were measured" in page_of(run).text

    def test_methods_without_operators_or_an_unmodified_parent(self, tmp_path):
        assert "This method draws no morphisms" in page_of(make_run(tmp_path / "fixed", "fixed", steps=1)).text
        page = page_of(make_run(tmp_path / "random", "random", steps=1)).text
        assert "has no unmodified parent among its children" in page and "unmodified parent won" not in page


@pytest.fixture
def in_time():
    """Ends a test that hangs after half a minute, also in a call to the system."""

    class Late(BaseException):
        """No `except Exception` takes it for a fault of a file."""

    def late(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 33)


NO_FILES = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a directory": Path.mkdir,
    "a link": lambda path: path.symlink_to("/dev/zero"),
    "is larger than": _sparse,
}


@pytest.mark.usefixtures("in_time")
class TestHostileFiles:
    @pytest.mark.parametrize("what", NO_FILES)
    @pytest.mark.parametrize(
        "name", ["config.json", "lineage.jsonl", "results.json", "best/architecture.json", "owner.lock"]
    )
    def test_only_regular_files_of_some_size_are_read(self, small, tmp_path, name, what, capsys):
        run = tmp_path / "run"
        shutil.copytree(small, run)
        (run / name).unlink(missing_ok=True)
        NO_FILES[what](run / name)
        assert main([str(run)]) == 0
        said = capsys.readouterr()
        assert f"{name} is not read: it is" in said.out and what in said.out and said.err == ""
        assert f"{name} is not read: it is" in _Outline((run / "report.html").read_text()).text

    def test_a_linked_folder_is_not_read(self, small, tmp_path):
        shutil.copytree(small, tmp_path / "run")
        (tmp_path / "run" / "best").rename(tmp_path / "best")
        (tmp_path / "run" / "best").symlink_to(tmp_path / "best")
        assert "best/architecture.json is not read: it lies in best, a link" in page_of(tmp_path / "run").text

    @pytest.mark.parametrize("there", [True, False])
    def test_a_linked_figure_folder_is_not_written_to(self, small, tmp_path, there, capsys):
        run, outside = tmp_path / "run", tmp_path / "outside"
        shutil.copytree(small, run)
        shutil.rmtree(run / "report", ignore_errors=True)
        if there:
            outside.mkdir()
        (run / "report").symlink_to(outside)
        assert main([str(run)]) == 0
        assert not outside.exists() or not list(outside.iterdir())
        page = _Outline((run / "report.html").read_text()).text
        assert "report/family_tree.svg is not written: report is a link, and nothing is written through links." in page

    @pytest.mark.parametrize("what", ["link", "directory", "pipe"])
    def test_a_page_that_is_no_file_is_refused(self, small, tmp_path, what, capsys):
        run, outside = tmp_path / "run", tmp_path / "outside"
        shutil.copytree(small, run)
        (run / "report.html").unlink(missing_ok=True)
        outside.write_text("mine")
        {"link": lambda path: path.symlink_to(outside), "directory": Path.mkdir, "pipe": os.mkfifo}[what](
            run / "report.html"
        )
        assert main([str(run)]) == 1
        said = capsys.readouterr()
        assert re.fullmatch(rf"cannot write \S+report.html: it is a {what}.*\n", said.err)
        report.renew(run)
        assert capsys.readouterr().err.startswith(f"report not written, {run}/report.html: it is a {what}")
        assert outside.read_text() == "mine" and not list(run.glob(".report*"))

    def test_a_name_in_preparation_that_is_a_link_is_not_followed(self, small, tmp_path):
        run, outside = tmp_path / "run", tmp_path / "outside"
        shutil.copytree(small, run)
        outside.write_text("mine")
        (run / f".report.html.{os.getpid()}").symlink_to(outside)
        report.write(run)
        assert outside.read_text() == "mine" and (run / "report.html").is_file()
        assert not list(run.glob(".report*"))

    def test_a_figure_that_cannot_be_written_is_named_and_the_others_are_there(self, small, tmp_path):
        shutil.copytree(small, tmp_path / "run")
        shutil.rmtree(tmp_path / "run" / "report", ignore_errors=True)
        (tmp_path / "run" / "report" / "growth.svg").mkdir(parents=True)
        page = page_of(tmp_path / "run").text
        assert "report/growth.svg is not written: it is a directory." in page
        assert (tmp_path / "run" / "report" / "time.svg").is_file()

    def test_linked_runs_are_left_out(self, small, tmp_path, capsys):
        root, outside = tmp_path / "root", tmp_path / "outside"
        root.mkdir()
        shutil.copytree(small, root / "own")
        shutil.copytree(small, outside / "other")
        for name in ("report", "report.html"):
            shutil.rmtree(outside / "other" / name, ignore_errors=True)
            (outside / "other" / "report.html").unlink(missing_ok=True)
        (root / "link").symlink_to(outside / "other")
        (root / "folder").symlink_to(outside)
        assert main([str(root)]) == 0
        said = capsys.readouterr()
        assert "link: a link, left out" in said.err and f"{root}/link" not in said.out
        assert (root / "own" / "report.html").exists() and not (outside / "other" / "report.html").exists()
        assert main([str(root / "link")]) == 0 and (outside / "other" / "report.html").exists()

    def test_one_page_that_cannot_be_written_leaves_the_others(self, small, tmp_path, capsys):
        for name in ("a", "b"):
            shutil.copytree(small, tmp_path / name)
            (tmp_path / name / "report.html").unlink(missing_ok=True)
        (tmp_path / "a" / "report.html").mkdir()
        assert main([str(tmp_path)]) == 1
        assert capsys.readouterr().err.count("cannot write") == 1
        assert (tmp_path / "b" / "report.html").is_file() and (tmp_path / "report.html").is_file()


def _training(step: int, child: int, **more) -> str:
    plain = {
        "step": step,
        "rung": 0,
        "child": child,
        "epochs": 1,
        "val_accuracy": 0.5,
        "params": 9,
        "morphisms": [["split"]],
    }
    return json.dumps(
        {**plain, "history": {"val_accuracy": [0.5]}, "parent": [step - 1, 0, 0] if step else None, **more}
    )


def _nested(levels: int) -> str:
    return "[" * levels + "1" + "]" * levels


FLOODS = {
    "a million lines": (
        "lineage.jsonl",
        lambda: "\n".join(['{"step":0,"rung":0,"child":0}'] * 10**6),
        "more than 20,000 lines",
    ),
    "a step of thousands": (
        "lineage.jsonl",
        lambda: "\n".join([_training(0, 0), *(_training(1, child) for child in range(1_000))]),
        "Of step 1 the 200 children that came furthest are drawn, of 1,000.",
    ),
    "thousands of steps": (
        "lineage.jsonl",
        lambda: "\n".join(_training(step, 0) for step in range(1_000)),
        "Steps before",
    ),
    "thousands of rungs": (
        "lineage.jsonl",
        lambda: "\n".join(_training(1, 0, rung=n) for n in range(2_000)),
        "left out",
    ),
    "thousands of operators": (
        "lineage.jsonl",
        lambda: "\n".join(_training(1, n, morphisms=[[f"{n}-{m}"] for m in range(100)]) for n in range(500)),
        "Growth",
    ),
    "long lives": ("lineage.jsonl", lambda: _training(0, 0, history={"val_accuracy": [0.5] * 10**5}), "left out"),
    "epochs beyond all measure": ("lineage.jsonl", lambda: _training(0, 0, epochs=10**12), "left out"),
    "a line without an end": ("lineage.jsonl", lambda: "[" + "1," * 10**7, "cut off"),
    "numbers below zero": (
        "lineage.jsonl",
        lambda: "\n".join(_training(1, n, params=-n, epochs=-n, cpu_seconds=-1e9, wall_seconds=-3) for n in range(8)),
        "Growth",
    ),
    "surrogates": (
        "lineage.jsonl",
        lambda: _training(0, 0, morphisms=[["\ud800"]], status="\ud800"),
        "Training of child 0",
    ),
    "nested settings": ("config.json", lambda: f'{{"seed": {_nested(80)}}}', "nested more than 60 levels deep"),
    "deeply nested settings": ("config.json", lambda: f'{{"seed": {_nested(990)}}}', "nested more than 60 levels deep"),
    "a method without an end": (
        "config.json",
        lambda: json.dumps({"method": "m" * 10**5, "dataset": ["x"] * 10**4}),
        "mmm…",
    ),
    "endless rungs": (
        "config.json",
        lambda: json.dumps(
            {"method": "shr", "children": 8, "epochs_per_step": 2**45, "vanilla_epochs": 2**40, "steps": 2**60}
        ),
        "Learning curves",
    ),
    "a number of many digits": ("config.json", lambda: '{"seed": 1' + "0" * 10**5 + "}", "config.json cannot be read"),
    "nested results": (
        "results.json",
        lambda: f'{{"test_accuracy": 0.5, "winner": {_nested(500)}}}',
        "results.json cannot be read",
    ),
    "results beyond all measure": (
        "results.json",
        lambda: '{"test_accuracy": NaN, "params": -1e400, "seconds": -Infinity}',
        "holds no test_accuracy",
    ),
    "a nested architecture": (
        "best/architecture.json",
        lambda: json.dumps({"nodes": [], "outputs": []})[:-1] + f', "structure": {_nested(700)}}}',
        "architecture.json cannot be read",
    ),
    "a network of thousands": (
        "best/architecture.json",
        lambda: json.dumps(
            {
                "nodes": [
                    {
                        "name": f"n{n}",
                        "kind": "Odd",
                        "inputs": [f"n{m}" for m in range(max(0, n - 40), n)],
                        "shape": [4],
                    }
                    for n in range(2_000)
                ],
                "outputs": ["n1999"],
            }
        ),
        "They are too many to be drawn.",
    ),
}


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("name", FLOODS)
def test_hostile_content_is_reported_in_time(small, tmp_path, name, capsys):
    shutil.copytree(small, tmp_path / "run")
    file, content, words = FLOODS[name]
    (tmp_path / "run" / file).write_text(content())
    assert main([str(tmp_path / "run"), str(small)]) == 0
    page = _Outline((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert words in page.text
    for drawing in (tmp_path / "run" / "report").iterdir():
        ElementTree.parse(drawing)
    assert "Traceback" not in "".join(capsys.readouterr())


class TestWriting:
    def test_is_atomic(self, big, tmp_path, monkeypatch):
        path = report.write(big, tmp_path / "page.html")
        before = path.read_bytes()

        def broken(*_, **__):
            raise OSError(28, "No space left on device", "page.html")

        monkeypatch.setattr(os, "replace", broken)
        with pytest.raises(OSError):
            report.write(big, path)
        assert path.read_bytes() == before and not list(tmp_path.rglob(".*"))

    def test_a_report_does_not_hinder_a_run(self, tmp_path):
        from nash_tf.config import SearchConfig

        report.write(tmp_path)
        output.check(SearchConfig(method="shr", output_dir=str(tmp_path)), resume=False)


# Experiments ----------------------------------------------------------------------------------------------------------


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

    @pytest.mark.parametrize(("given", "name"), [("/data/cifar", "cifar"), ("digits", "digits"), ("a/b.npz", "b")])
    def test_a_data_set_has_one_name_before_the_end_and_after(self, given, name, tmp_path):
        found = runs.Run(tmp_path, config={"dataset": given}), runs.Run(tmp_path, results={"dataset": name})
        assert [run.dataset for run in found] == [name, name]

    def test_data_sets_are_not_pooled_and_settings_are_compared(self, tmp_path):
        make_run(tmp_path / "a", "nash", steps=1, dataset="one")
        make_run(tmp_path / "b", "nash", steps=1, dataset="two", mutations=3)
        found = [loading.read(tmp_path / name) for name in "ab"]
        assert list(method_comparison.by_dataset(found)) == ["one", "two"]
        assert method_comparison.unequal_settings(found)["mutations"] == ["3", "5"]
        make_run(tmp_path / "c", "nash", steps=1, dataset="one")
        first = method_comparison.by_dataset([*found, loading.read(tmp_path / "c")])["one"]
        assert method_comparison.twins(first) == {"nash, seed 0": 2}

    def test_what_makes_runs_unequal_is_told_with_every_table(self, tmp_path, capsys):
        make_run(tmp_path / "a", "nash", steps=1)
        make_run(tmp_path / "b", "sh", steps=1, mutations=3)
        make_run(tmp_path / "c", "sh", steps=1, mutations=3)
        for style in ([], ["--markdown"]):
            assert main([str(tmp_path), *style]) == 0
            words = capsys.readouterr().out
            for told in ("mutations", "3, 5", "Compare with care", "sh, seed 0", "Comparisons take the last of them"):
                assert told in words
        page = _Outline((tmp_path / "report.html").read_text(encoding="utf-8"))
        assert "mutations: 3, 5" in page.text and "sh, seed 0: 2" in page.text

    def test_page_and_terminal(self, many, capsys):
        assert main([str(many)]) == 0
        words = capsys.readouterr().out
        page = _Outline((many / "report.html").read_text(encoding="utf-8"))
        assert page.headings == ["Results", "Figures", "Comparisons", "Inside the searches", "Layers", "All runs"]
        for shown in (words, page.text):
            assert "94.64 ± 0.38" in shown and "3 of 4" in shown and "sign-flip permutation" in " ".join(shown.split())
        assert page.text.index("Published, on CIFAR-10: not ours") > page.text.index("3 of 4")
        links = [target for target in page.targets if target.endswith("report.html")]
        assert len(links) == 13 and all((many / link).exists() for link in links)

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
        assert lifetimes.best_so_far(one) == [(1.0, 0.2), (4.0, 0.6)]
        course = dict(lifetimes.mean_course([lifetimes.best_so_far(one), lifetimes.best_so_far(other)]))
        assert min(course) == 2.0 and course[2.0] == pytest.approx(0.3)
        assert max(course) == 6.0 and course[6.0] == pytest.approx(0.55)
        assert lifetimes.anytime([one, other], ["sh", "nash"]) and lifetimes.anytime([], ["sh"]) is None

    def test_figures_across_runs_are_files_whose_text_fits(self, many, tmp_path):
        assert main([str(many), f"--svg_dir={tmp_path}", f"--output={tmp_path / 'page.html'}"]) == 0
        names = {"accuracy", "accuracy_params", "anytime", "growth", "lives", "favoured"}
        assert {path.stem for path in tmp_path.glob("*.svg")} == names
        check_texts(tmp_path)


# The command line -----------------------------------------------------------------------------------------------------


def command(*arguments, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "nash_tf.report", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        **kwargs,
    )


class TestCommandLine:
    def test_one_run(self, big):
        done = command(big)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == str(big / "report.html")
        assert "finished" in done.stdout

    @pytest.mark.parametrize(
        "arguments", [["no/such"], ["setup.py"], ["nash_tf", "no/such"], ["nash_tf", "--interval=0"]]
    )
    def test_a_wrong_argument_is_one_line_and_status_2(self, arguments):
        done = command(*arguments, cwd=ROOT)
        assert done.returncode == 2 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert not (ROOT / "nash_tf" / "report.html").exists()

    def test_a_hostile_missing_name_is_one_line(self):
        done = command("no\n\x1b[31m")
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "\x1b" not in done.stderr

    def test_what_cannot_be_written_is_one_line(self, big):
        done = command(big, "--output=/proc/no/page.html")
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1

    def test_starts_without_tensorflow(self):
        code = "import sys, nash_tf.report.__main__; print({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.stdout.strip() == "set()"


class TestWatch:
    def test_renews_on_change_until_results(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1, stop_after=5)
        seen, moments = [], []

        def renew():
            seen.append(len(loading.read(run).records))

        def sleep(seconds):
            moments.append(seconds)
            if len(moments) == 2:
                shutil.rmtree(run)
                make_run(run, "nash", steps=1, stop_after=8)
            if len(moments) == 4:
                shutil.rmtree(run)
                make_run(run, "nash", steps=1)

        watch.watch(lambda: [run], renew, 0.5, sleep)
        assert seen == [5, 8, 9] and moments == [0.5] * 4

    def test_waits_for_a_further_run(self, tmp_path):
        first, moments, seen = make_run(tmp_path / "first", "nash", steps=1), [], []

        def sleep(seconds):
            moments.append(seconds)
            if len(moments) == 3:
                make_run(tmp_path / "second", "nash", steps=1)

        watch.watch(lambda: sorted(tmp_path.iterdir()), lambda: seen.append(len(moments)), 10.0, sleep, patience=60.0)
        assert seen == [0, 3] and len(moments) == 9 and first.exists()

    def test_a_watched_page_loads_itself_again(self, tmp_path):
        run = make_run(tmp_path / "run", "nash", steps=1, stop_after=5)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        arguments = [sys.executable, "-m", "nash_tf.report", str(run), "--watch", "--interval=0.1"]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert "unfinished" in process.stdout.readline()
            process.stdout.readline()
            assert 'http-equiv="refresh"' in (run / "report.html").read_text()
            (run / "results.json").write_text('{"test_accuracy": 0.5}')
            words, _ = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 0 and "finished" in words
        assert 'http-equiv="refresh"' not in (run / "report.html").read_text()


# A real browser -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; Debian: apt-get install chromium")
class TestBrowser:
    def browse(self, page: Path, *options: str) -> tuple[str, list[str]]:
        """The document after its script has run, and what the console said."""
        fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars"]
        fixed += [f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", *options]
        done = subprocess.run([CHROMIUM, *fixed, page.absolute().as_uri()], capture_output=True, timeout=120)
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
        return done.stdout.decode(), said

    def test_errors_would_be_seen(self, tmp_path):
        page = tmp_path / "page.html"
        page.write_text("<p>here</p><script>nothing.there()</script>")
        shown, said = self.browse(page)
        assert "here" in shown and any("nothing is not defined" in line for line in said)

    @pytest.mark.parametrize("width", [1280, 390])
    def test_search(self, big, tmp_path, width):
        page = report.write(big, tmp_path / "page.html")
        shown, said = self.browse(page, f"--window-size={width},900")
        assert said == [] and "Family tree" in shown and shown.count("<svg") > 20

    def test_experiment(self, many, tmp_path):
        page = report.write_experiment([path for path in many.iterdir() if runs.is_run(path)], tmp_path / "page.html")
        shown, said = self.browse(page)
        assert said == [] and "Comparisons" in shown

    def test_hostile_names_run_nothing(self, big, tmp_path):
        run = tmp_path / "a\"b'<img src=x onerror=alert(1)>"
        shutil.copytree(big, run)
        values = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps({**values, "dataset": HOSTILE}))
        shown, said = self.browse(report.write(run, tmp_path / "page.html"))
        assert said == [] and "<img" not in shown and shown.count("<script") == 1
        assert "&lt;script&gt;alert" in shown

    def test_nothing_overflows_and_the_script_works(self, big, tmp_path):
        """Measures in the browser: the page is as wide as its window, texts stay in their cards, and rows are sorted."""
        probe = """
<script>addEventListener("load",()=>{const say=[];
const wide=document.documentElement.scrollWidth-innerWidth;if(wide>0)say.push("page overflows by "+wide);
document.querySelectorAll("#figure-family_tree a, #figure-architecture g g").forEach(g=>{
const r=g.querySelector("rect").getBoundingClientRect();g.querySelectorAll("text").forEach(t=>{
const b=t.getBoundingClientRect();if(b.left<r.left-1||b.right>r.right+1||b.bottom>r.bottom+1)say.push("out: "+t.textContent)})});
document.querySelectorAll("svg").forEach(s=>{const r=s.getBoundingClientRect();if(r.width)s.querySelectorAll(":scope text")
.forEach(t=>{const b=t.getBoundingClientRect();if(b.width&&(b.right>r.right+2||b.left<r.left-2||b.bottom>r.bottom+2))
say.push("clipped: "+s.id+" "+t.textContent)})});
const t=document.querySelector("table.sortable"),b=t.querySelectorAll("th button")[2];b.click();
const sizes=[...t.tBodies[0].rows].map(r=>+r.cells[2].dataset.value);
if(sizes.some((v,i)=>i&&v>sizes[i-1]))say.push("not sorted");
const child=document.querySelector("#figure-family_tree a");child.focus();
if(document.activeElement!==child)say.push("cards cannot be focused");
if(!document.body.classList.contains("picked"))say.push("nothing is picked");
document.body.dataset.said=say.length?say.join(" | "):"fine"})</script></body>"""
        for width in (1280, 390):
            page = report.write(big, tmp_path / f"page{width}.html")
            source = page.read_text(encoding="utf-8")
            source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
            page.write_text(source.replace("</body>", probe), encoding="utf-8")
            shown, said = self.browse(page, f"--window-size={width},900")
            assert said == []
            assert re.search(r'data-said="([^"]*)"', shown)[1] == "fine"
