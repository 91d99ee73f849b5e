"""Markup, layouts, axes, and numbers as words."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nash_tf.drawing import axes, graph_layout, label_places, number_words
from nash_tf.drawing.markup import Markup, escape, tag
from tests.report.helpers import HOSTILE, Outline


class TestMarkup:
    def test_text_and_attributes_are_escaped(self):
        drawn = tag("p", HOSTILE, title=HOSTILE)
        assert "<script" not in drawn and "<img" not in drawn
        outline = Outline(drawn)
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

    def test_of_many_labels_the_first_are_placed(self):
        marks = [(100.0 * index, 0.0) for index in range(300)]
        placed = label_places.place(marks, [(*mark, "1.2") for mark in marks])
        assert all(placed[:200]) and placed[200:] == [None] * 100


class TestAxes:
    @given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
    def test_linear_ticks_are_inside_and_few(self, low, width):
        ticks = axes.linear_ticks(low, low + width, 5)
        assert 1 <= len(ticks) <= 6
        assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)

    def test_ticks_by_hand(self):
        assert axes.linear_ticks(0.83, 0.97, 5) == pytest.approx([0.85, 0.9, 0.95])
        assert axes.log_ticks(2e4, 1.1e6, 5) == pytest.approx([2e4, 5e4, 1e5, 2e5, 5e5, 1e6])

    @pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0], [1e-9, 1e9], [1e-308, 1e-300], [-1.0], [1e15]])
    def test_scales_survive_odd_values(self, values):
        for scale in (axes.linear(values, 0, 100), axes.logarithmic(values, 0, 100)):
            assert all(math.isfinite(scale(value)) for value in [*values, 0.0])
            assert all(math.isfinite(tick) for tick in scale.ticks())


def test_words():
    assert [number_words.short(value) for value in (None, 7, 999.6, 24058, 1e6, 18.2e6)] == [
        "–",
        "7",
        "1k",
        "24.1k",
        "1M",
        "18.2M",
    ]
    assert [number_words.duration(value) for value in (5, 90, 3000, 3725)] == [
        "5.0 s",
        "1.5 min",
        "50 min",
        "1 h 02 min",
    ]
    assert (number_words.points(0.0123), number_words.points(-0.5), number_words.points(-1e-9)) == (
        "+1.23",
        "−50.00",
        "+0.00",
    )
    assert [number_words.signed_short(value) for value in (-24058, 300, 0)] == ["−24.1k", "+300", "+0"]
    assert [number_words.scientific(value) for value in (-1.23e8, 6.81e-5, -0.0)] == ["−1.23e+08", "6.81e-05", "0"]
