"""What a user reads when a trial begins."""

import re

from nash_tf.morphisms.base import Move
from nash_tf.strategy.records import Assignment, TrainingKey
from nash_tf.tuning.display import in_words
from tests.helpers.tuners import CLASSES, IMAGES, Still, tuner_of


def test_trials_are_told_in_words_and_with_the_users_hyperparameters_alone(tmp_path, capsys):
    tuner_of(Still(), tmp_path, method="shr", steps=1, children=2, mutations=2).search(IMAGES, CLASSES, verbose=1)
    begun = re.findall(r"Search: Running Trial #\d+\n\n(.*?)\n\n", capsys.readouterr().out, re.DOTALL)
    first, *others = (text.splitlines() for text in begun)
    assert first == ["The first network; epoch 1", "rate = 0.02"]
    assert others[0][0] == "Step 1, rung 0, child 0: that of trial 0000, trained on; epoch 1"
    assert re.fullmatch(r"Step 1, child 1: that of trial 0000, altered by [a-z_, 2]+; epoch 1", others[1][0])
    assert re.fullmatch(r"Step 1, rung 1, child [01]: that of trial 000[12], trained on; epochs 2 to 3", others[2][0])
    assert all(lines[1:] == ["rate = 0.02"] for lines in others)


def test_a_child_is_altered_once_in_its_life():
    moves = (Move("split", ("conv", 2), 0),)
    born, later = (
        Assignment(TrainingKey(1, rung, 1), 0, TrainingKey(0, 0, 0), moves, None, rung, rung + 1, ()) for rung in (0, 1)
    )
    assert "altered by split" in in_words(born, "0000") and in_words(later, "0001").endswith("trained on; epoch 2")


def test_another_value_of_the_best_is_named(tmp_path, capsys):
    search = {
        "method": "shr",
        "steps": 1,
        "children": 4,
        "epochs_per_step": 12,
        "mutations": 1,
        "tune_hyperparameters": True,
    }
    tuner_of(Still(), tmp_path, **search).search(IMAGES, CLASSES, verbose=1)
    assert re.search(r"rate = 0\.0\d+ \(of the best so far: 0\.02\)\n", capsys.readouterr().out)
