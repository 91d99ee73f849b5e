"""A search that another object has gone on with since it was opened: what is on disk counts, not what was there then."""

import pytest

from nash_tf.tuning.trial_files import OtherSearch
from tests.helpers.tuners import CLASSES, IMAGES, Still, records, tuner_of

DATA = {"validation_data": (IMAGES, CLASSES), "verbose": 0}


def counted():
    """A hypermodel that does not train, and the trainings asked of it."""
    trained = []

    def returns(values):
        trained.append(values["step"])
        return {"val_accuracy": 0.5, "loss": 1.0}

    return Still(returns=returns), trained


@pytest.mark.parametrize("opened_after", [0, 2], ids=["before it began", "while it went on"])
def test_what_another_has_trained_meanwhile_is_not_trained_again(opened_after, tmp_path):
    model, trained = counted()
    if opened_after:
        tuner_of(model, tmp_path, max_trials=opened_after).search(IMAGES, CLASSES, **DATA)
    stale, other = tuner_of(model, tmp_path), tuner_of(model, tmp_path)
    other.search(IMAGES, CLASSES, **DATA)
    stale.search(IMAGES, CLASSES, **DATA)
    assert len(trained) == 4 and records(stale) == records(other)


def test_a_training_that_was_interrupted_here_and_ended_by_another_is_not_gone_on_with(tmp_path):
    def interrupted(values):
        raise KeyboardInterrupt

    stale = tuner_of(Still(returns=interrupted), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stale.search(IMAGES, CLASSES, **DATA)
    model, trained = counted()
    tuner_of(model, tmp_path).search(IMAGES, CLASSES, **DATA)
    stale.search(IMAGES, CLASSES, **DATA)
    assert len(trained) == 4 and len(records(stale)) == 4


def test_a_project_that_was_begun_anew_with_other_settings_meanwhile_is_refused(tmp_path):
    stale = tuner_of(Still(), tmp_path)
    tuner_of(Still(), tmp_path, overwrite=True, seed=1).search(IMAGES, CLASSES, **DATA)
    with pytest.raises(OtherSearch, match="seed was 1, is 0"):
        stale.search(IMAGES, CLASSES, **DATA)
