"""What each method asks for in a seeded search, with a stand-in trainer: which children, from which weights, at which rates.

A pin may move only with what defines a seeded search (see `tests/tuning/test_oracle.py`). Refactoring never moves one.
"""

import hashlib
import json
from dataclasses import replace

import pytest

from nash_tf.architecture.vanilla import vanilla
from nash_tf.seeds import derive
from nash_tf.strategy import methods
from nash_tf.strategy.ask_tell import Search, Settings
from nash_tf.strategy.records import COMPLETED, Goal, Outcome

FIRST = vanilla((8, 8, 3), 3, (4, 8))
SETTINGS = Settings(steps=2, children=4, mutations=4, epochs_per_step=24, vanilla_epochs=2, seed=3, examples=1000)
SECONDS = 10.0  # that each training takes by all clocks, and two for each of its epochs

# First digits of the SHA-256 of births (key, source, moves, digest, what they were chosen among) and of schedules (first epoch, epochs, phases).
PINNED = {
    "grow": ("f8fb4bf2573dfe85", "2e64174dfc32b200"),
    "scale": ("18bb66ca095a1fab", "2e64174dfc32b200"),
    "front": ("605b2367b1d915fb", "1d586c77ae93cd64"),
    "nash": ("6bc71128ec4716d3", "5751bc74597b3e62"),
    "sh": ("2e93af906944c206", "74e0ded20add333a"),
    "shr": ("2e93af906944c206", "64aa6447fdee77b3"),
    "shrsep": ("4915bf895e732d35", "32d4c4f4b305aeda"),
    "shr_two_rungs": ("fc5d912b2b3467e4", "2f0e539ef92c5413"),
    "shr_ties": ("0d79d422679b22b6", "b518eb7980a90b9d"),
    "random": ("8e99d8d81ab67366", "e7086bcca5dc0041"),
    "one_epoch": ("9eec9662f2d55850", "9c04f1778385934c"),
    **dict.fromkeys(("fixed", "wide", "scratch", "hand"), ("3d283707dc685b84", "2465ef2b7d365bb4")),
}
BY_TIME = {  # hours
    ("grow", 1.0): ("0fca951f9efc284f", "bdd97baf679e4b15"),
    ("scale", 0.2): ("f5ad6a8d391777d0", "d231f8235a693c1b"),
    ("front", 1.0): ("fbba833405fef10e", "5007ad97c779b176"),
    ("one_epoch", 0.2): ("b2401e5b6da80f64", "64bdf4ce532f1f6c"),
}


def assignments(settings):
    """Those of a whole search whose scores are fed back, in the order in which they are asked for."""
    search, asked = Search(settings, Goal("val_accuracy")), []
    while not search.finished:
        asked.append(now := search.ask()[0])
        seconds = SECONDS + 2 * (now.epochs - now.initial_epoch)
        score = {"val_accuracy": derive(7, *now.key, str(now.moves)) % 5 / 5}  # with ties
        network = now.architecture or FIRST
        search.tell(Outcome(now, COMPLETED, network, score, cpu_seconds=seconds, wall_seconds=seconds))
    return asked


def hashes(settings):
    asked = assignments(settings)
    births = [(each.key, each.source, each.moves, digest(each), considered(each)) for each in asked]
    schedules = [(each.key, each.initial_epoch, each.epochs, rates(each)) for each in asked]
    return tuple(hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16] for told in (births, schedules))


def digest(assignment):
    return assignment.architecture and assignment.architecture.digest


def considered(assignment):
    return [weighing.plain() for weighing in assignment.considered]


def rates(assignment):
    """The phases, without digits in which machines may differ."""
    return [
        [round(part, 6) if isinstance(part, float) else part for part in phase.plain()] for phase in assignment.phases
    ]


@pytest.mark.parametrize("method", methods.registry)
def test_what_a_method_asks_for_stays(method):
    budget = 300 if methods.registry[method].is_budgeted else None
    assert hashes(replace(SETTINGS, method=method, budget_epochs=budget)) == PINNED[method]


@pytest.mark.parametrize(("method", "hours"), BY_TIME)
def test_what_a_method_asks_for_within_a_time_stays(method, hours):
    assert hashes(replace(SETTINGS, method=method, max_hours=hours)) == BY_TIME[method, hours]
