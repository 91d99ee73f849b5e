"""Scores from counts, by hand."""

import json

import numpy as np
import pytest

from nash_tf.scores import classification as scores
from nash_tf.scores.intervals import mean_of_shares, wilson
from nash_tf.scores.tally import Tally

# 8 images of a, 6 named right; 2 of b, 1 right; c has none, and is named twice.
CONFUSION = np.array([[6, 1, 1], [0, 1, 1], [0, 0, 0]])


def test_overall():
    found = scores.overall(CONFUSION)
    assert (found["images"], found["correct"], found["accuracy"]) == (10, 7, 0.7)
    assert found["interval"] == [round(bound, 6) for bound in wilson(7, 10)]
    assert found["balanced_accuracy"] == (6 / 8 + 1 / 2) / 2 and found["balanced_classes"] == 2
    assert found["balanced_interval"] == [round(bound, 6) for bound in mean_of_shares([6, 1], [8, 2])]


def test_words():
    model = {"accuracy": 0.7, "interval": [0.3968, 0.8922], "balanced_accuracy": 0.625, "balanced_interval": [0.2, 0.9]}
    assert scores.words({"images": 1234, "largest_class": "a", "base_rate": 0.8, "model": model}) == (
        "On 1,234 test images the accuracy is 70.00 % (95 % interval 39.68 to 89.22 %), the balanced accuracy 62.50 % (95 % "
        "interval 20.00 to 90.00 %); always naming the largest class (a) is right for 80.00 %."
    )


def test_by_class():
    a, b, c = scores.by_class(CONFUSION, ["a", "b", "c"])
    assert (a["images"], a["recall"], a["named"], a["precision"]) == (8, 0.75, 6, 1.0)
    assert (b["images"], b["recall"], b["named"], b["precision"]) == (2, 0.5, 2, 0.5)
    assert (c["images"], c["recall"], c["recall_interval"], c["precision"]) == (0, None, None, 0.0)
    assert a["precision_interval"] == [round(bound, 6) for bound in wilson(6, 6)]


def test_confusions_are_the_most_frequent_first():
    found = scores.confusions(np.array([[5, 0, 3], [4, 1, 0], [0, 3, 9]]), "abc", 2)
    assert found == [{"class": "b", "named": "a", "images": 4}, {"class": "a", "named": "c", "images": 3}]


@pytest.mark.parametrize("classes", [2, 20, 21, 100])
def test_many_classes_have_pairs_and_no_matrix(classes):
    found = scores.in_detail(np.ones((classes, classes), np.int64), [str(number) for number in range(classes)])
    assert ("confusion" in found) == (classes <= 20)
    assert len(found["confused"]) == min(100, classes * (classes - 1)) and len(found["by_class"]) == classes
    json.dumps(found)


def test_class_weights_make_classes_count_alike():
    labels = np.array([0] * 6 + [1] * 3 + [3])
    weights = scores.class_weights(labels, 5)
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 1, 10 / 3, 1])
    assert weights[labels].mean() == pytest.approx(1)
    sums = [weights[labels[labels == each]].sum() for each in (0, 1, 3)]
    assert sums == pytest.approx([10 / 3] * 3)


class TestTally:
    dice = np.random.default_rng(0)
    labels, logits = dice.integers(4, size=100), 3 * dice.normal(size=(100, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def tally(self, size, **options):
        found = Tally(4, **options)
        for start in range(0, 100, size):
            found.add(self.labels[start : start + size], self.logits[start : start + size])
        return found

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_counts_and_loss_do_not_depend_on_batches(self, size):
        found = self.tally(size)
        named = self.logits.argmax(axis=1)
        assert all(
            found.confusion[row, column] == np.sum((self.labels == row) & (named == column))
            for row in range(4)
            for column in range(4)
        )
        assert found.loss == pytest.approx(-np.log(self.shares[np.arange(100), self.labels]).mean())
        assert found.images == 100

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_the_worst_mistakes_are_kept(self, size):
        named = self.logits.argmax(axis=1)
        wrong = [place for place in range(100) if named[place] != self.labels[place]]
        wrong.sort(key=lambda place: -self.shares[place, named[place]])
        found = self.tally(size, kept=5).mistakes
        assert [each.image for each in found] == wrong[:5]
        assert all(each[2:] == (self.labels[each.image], named[each.image]) for each in found)
        assert [each.probability for each in found] == pytest.approx([self.shares[place].max() for place in wrong[:5]])
        assert len(self.tally(size, kept=99).mistakes) == len(wrong) and not self.tally(size, kept=0).mistakes

    def test_large_logits_do_not_overflow(self):
        found = Tally(2)
        found.add(np.array([0, 1]), np.array([[1e4, -1e4], [1e4, -1e4]], np.float32))
        assert found.loss == pytest.approx(1e4) and found.mistakes[0].probability == 1.0

    def test_of_equals_the_first_image_is_kept(self):
        found = Tally(2, kept=2)
        found.add(np.zeros(4, int), np.array([[0.0, 1.0]] * 4))
        assert [each.image for each in found.mistakes] == [0, 1]


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_outputs_that_are_no_finite_numbers_name_no_class(lost):
    tally = Tally(3)
    tally.add([0, 0, 1], np.array([[lost, 0, 0], [2, 1, -np.inf], [0, 3, 0]]))
    tally.add([2, 0], np.full((2, 3), lost))
    assert tally.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]] and tally.unnamed.tolist() == [2, 0, 1]
    assert tally.images == 5 and np.isnan(tally.loss) and not tally.mistakes
    found = scores.in_detail(tally.confusion, "abc", tally.unnamed)
    assert (found["images"], found["correct"], found["accuracy"], found["unnamed"]) == (5, 2, 0.4, 3)
    assert [each["images"] for each in found["by_class"]] == [3, 1, 1] and found["by_class"][0]["named"] == 1
    test = {"images": 5, "largest_class": "a", "base_rate": 0.6, "model": found}
    assert scores.words(test).endswith("For 3 images its outputs are no finite numbers; these count as wrong.")


class TestCopies:
    def test_the_accuracy_is_too_good_by_no_more_than_where_all_copies_are_right(self):
        """Of 100 images 80 are right; the 20 copies among them left out, 60 of 80 are."""
        assert "20 of the 100 test images are exact copies" in (said := scores.of_copies(20, 100, 0.8))
        assert "too good by up to 5.00 points" in said
        assert "1 of the 100 test images is an exact copy" in scores.of_copies(1, 100, 0.8)
        assert "by up to 30.00 points" in scores.of_copies(99, 100, 0.3)

    def test_of_copies_alone_nothing_follows(self):
        assert "nothing is known of images that are new" in scores.of_copies(60, 60, 1.0)
