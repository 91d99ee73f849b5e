"""Whether a search was worth it, by what the run compares networks by."""

import pytest

from nash_tf.scores import network_scores, worth
from nash_tf.scores.intervals import wilson
from nash_tf.scores.network_scores import CONTROL, FIRST, MODEL, WINNER, Score
from nash_tf.scores.objectives import ACCURACY, BALANCED_ACCURACY, LOSS, of_metric


def results(winner=0.6, control=0.8, spread=0.02, **changed):
    """A run of rare classes: by plain accuracy the winner is ahead, by balanced accuracy what is given."""

    def balanced(value):
        return {"balanced_accuracy": value, "balanced_interval": [value - spread, value + spread]}

    of_control = {f"test_{name}": value for name, value in balanced(control).items()}
    return {
        "test_accuracy": 0.95,
        "test_loss": 0.2,
        "winner_test_accuracy": 0.95,
        "winner_test_loss": 0.2,
        "vanilla_test_accuracy": 0.9,
        "control": {"test_accuracy": 0.92, "test_loss": 0.3, **of_control},
        "test": {"images": 2000, "model": balanced(0.7), "winner": balanced(winner), "first_network": balanced(0.5)},
        **changed,
    }


def verdict(told, objective, is_better=False, share=1.0):
    return worth.verdict(is_better, False, *network_scores.pair(told, WINNER, CONTROL, objective), objective, share)


class TestVerdict:
    @pytest.mark.parametrize(
        ("winner", "control", "spread", "expected"),
        [
            (0.6, 0.8, 0.02, worth.UNKNOWN),
            (0.9, 0.5, 0.02, worth.YES),
            (0.9, 0.88, 0.02, worth.PERHAPS),
            (0.9, 0.87, 0.02, worth.YES),
            (0.9, 0.87, 0.03, worth.PERHAPS),
        ],
    )
    def test_goes_by_balanced_accuracy_where_the_search_did(self, winner, control, spread, expected):
        told = results(winner, control, spread)
        assert verdict(told, BALANCED_ACCURACY) == expected
        assert verdict(told, ACCURACY) == worth.YES

    @pytest.mark.parametrize(("loss", "expected"), [(0.31, worth.UNKNOWN), (0.1, worth.PERHAPS)])
    def test_goes_by_the_loss_of_which_no_interval_is_known(self, loss, expected):
        told = results(winner_test_loss=loss)
        assert verdict(told, LOSS) == expected
        winner, control = network_scores.pair(told, WINNER, CONTROL, LOSS)
        assert worth.chance(winner, control) == "; how much of that is chance is not known of a loss"

    def test_of_an_older_run_that_does_not_tell_the_control_s_score_accuracy_decides_nothing(self):
        told = results(0.9, 0.5)
        told["control"] = {"test_accuracy": 0.92}
        winner, control = network_scores.pair(told, WINNER, CONTROL, BALANCED_ACCURACY)
        assert (winner.value, control.value, winner.objective) == (0.95, 0.92, ACCURACY)
        assert verdict(told, BALANCED_ACCURACY) == worth.UNKNOWN and verdict(told, ACCURACY) == worth.YES
        assert "That is by accuracy; the search compared networks by balanced accuracy" in worth.by_what(
            winner, BALANCED_ACCURACY
        )
        assert worth.by_what(winner, ACCURACY) is None

    def test_the_validation_images_come_first(self):
        assert verdict(results(0.9, 0.5), BALANCED_ACCURACY, is_better=True) == worth.NO


class TestMadeWorse:
    def test_by_balanced_accuracy(self):
        told = results(winner=0.8)
        scores = [network_scores.score(told, network, BALANCED_ACCURACY) for network in (WINNER, MODEL)]
        assert worth.made_worse(*scores).startswith("The final training made it worse, by 10.00 points of balanced acc")
        assert worth.made_worse(*reversed(scores)) is None
        lifted = results(winner=0.6, winner_test_accuracy=0.98)  # the rare class, at the cost of the large one
        scores = [network_scores.score(lifted, network, BALANCED_ACCURACY) for network in (WINNER, MODEL)]
        assert worth.made_worse(*scores) is None
        assert worth.made_worse(*(network_scores.score(lifted, network, ACCURACY) for network in (WINNER, MODEL)))

    def test_by_a_loss_it_is_not_known_whether_that_is_chance(self):
        said = worth.made_worse(Score(LOSS, 0.2), Score(LOSS, 0.25))
        assert said == (
            "After the final training the network is worse by 0.05 of loss on the test images; how much of that is chance is not known "
            "of a loss."
        )
        assert worth.made_worse(Score(LOSS, 0.25), Score(LOSS, 0.2)) is None

    def test_nothing_is_said_of_what_is_not_known(self):
        assert worth.made_worse(None, Score(ACCURACY, 0.5, 100, (0.4, 0.6))) is None
        assert worth.made_worse(Score(ACCURACY, 0.9), Score(ACCURACY, 0.5)) is None


class TestScore:
    def test_each_network_s_is_found(self):
        told = results()
        found = [
            network_scores.score(told, network, BALANCED_ACCURACY).value for network in (WINNER, MODEL, FIRST, CONTROL)
        ]
        assert found == [0.6, 0.7, 0.5, 0.8]
        found = [network_scores.score(told, network, ACCURACY).value for network in (WINNER, MODEL, FIRST, CONTROL)]
        assert found == [0.95, 0.95, 0.9, 0.92]
        assert network_scores.score(told, CONTROL, ACCURACY).interval == wilson(1840, 2000)
        assert network_scores.score(told, CONTROL, LOSS) == Score(LOSS, 0.3, 2000)

    @pytest.mark.parametrize("odd", [None, "x", [], 7, -1, True, float("nan"), float("inf")])
    def test_odd_values_are_none(self, odd):
        told = results(test={"images": odd, "winner": odd}, winner_test_accuracy=odd, test_accuracy=odd) | {
            "control": odd
        }
        for network in (WINNER, MODEL, CONTROL):
            assert network_scores.score(told, network, ACCURACY) is None
            assert network_scores.score(told, network, BALANCED_ACCURACY) is None
        assert network_scores.pair(told, WINNER, CONTROL, LOSS) is None
        told = results()
        told["test"]["winner"]["balanced_interval"] = [0.5, odd]
        assert network_scores.score(told, WINNER, BALANCED_ACCURACY).interval is None

    def test_words(self):
        one, other = Score(BALANCED_ACCURACY, 0.5), Score(BALANCED_ACCURACY, 0.625)
        assert one.words == "a balanced accuracy of 50.00 %" and one.points_from(other) == (
            "12.50 points of balanced accuracy"
        )
        assert Score(ACCURACY, 0.5).words == "50.00 %" and Score(LOSS, 0.125).words == "a loss of 0.125"


def test_shares_of_all_images_are_not_surer_than_their_images_allow():
    """Of shares without an error a normal approximation has no width."""
    all_right, nine = (Score(ACCURACY, share, 20, wilson(share * 20, 20)) for share in (1.0, 0.9))
    assert worth.may_be_chance(all_right, nine)


def test_an_objective_is_found_by_its_metric():
    assert of_metric("val_loss") is LOSS and of_metric("loss") is None and of_metric(None) is None


class TestBesideStart:
    """What is handed over beside the model that was given."""

    GIVEN = {"test_accuracy": 0.97, "test_loss": 0.1, "val_accuracy": 0.9}

    def said(self, objective=ACCURACY, **given):
        return worth.beside_start(results(start={**self.GIVEN, **given}, winner_val_accuracy=0.875), objective)

    def test_a_worse_one_is_told(self):
        assert self.said() == (
            "As it was given, the model of --start has 97.00 % on the test images, and what is handed over is 2.00 points below it. On the "
            "validation images the given one has 90.00 %, the search's winner 87.50 %. As this is worse, keep the model that you have, or give a longer "
            "run or a lower --learning_rate."
        )

    @pytest.mark.parametrize(
        ("given", "words"), [(0.951, "0.10 points below it, which may be"), (0.9, "5.00 points above it.")]
    )
    def test_what_may_be_chance_and_what_is_better(self, given, words):
        assert words in self.said(test_accuracy=given) and ("keep the model" in self.said(test_accuracy=given)) == (
            given > 0.95
        )

    def test_the_same(self):
        assert "handed over is exactly as good." in self.said(test_accuracy=0.95)

    def test_a_loss_is_better_where_it_is_lower(self):
        assert "0.1 of loss above it" in self.said(LOSS) and "keep the model" in self.said(LOSS)

    @pytest.mark.parametrize("start", [None, "x", {}, {"test_accuracy": None}, {"test_accuracy": 7}])
    def test_without_one_nothing_is_said(self, start):
        assert worth.beside_start(results(start=start), ACCURACY) is None
