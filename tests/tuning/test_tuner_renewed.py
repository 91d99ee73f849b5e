"""A search that another object has gone on with since it was opened: what is on disk counts, not what was there then."""

import shutil

import pytest

from nash_tf.keras_models.checkpoint import CheckpointError
from nash_tf.strategy.ask_tell import Search
from nash_tf.tuning.trial_book import TrialBook
from nash_tf.tuning.trial_files import OtherSearch, TrialFiles
from tests.helpers.tuners import BORN, CLASSES, IMAGES, Still, records, tuner_of

DATA = {"validation_data": (IMAGES, CLASSES), "verbose": 0}


def counted():
    """A hypermodel that does not train, and the trainings asked of it."""
    trained = []

    def returns(values):
        trained.append(values["step"])
        if len(trained) > 9:
            raise SystemExit("it would go on for ever")
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


def rising(tmp_path, **changed):
    """A tuner of a search whose newest child is the best: of five trials the last one's model is handed over."""
    scores = Still(returns=lambda values: {"val_accuracy": 0.1 * values["step"] + 0.01 * values["child"], "loss": 1.0})
    return tuner_of(scores, tmp_path, **BORN, **{"steps": 2, **changed})


def test_the_results_of_a_search_that_has_gone_on_elsewhere_are_the_new_ones(tmp_path, capsys):
    rising(tmp_path, max_trials=2).search(IMAGES, CLASSES, **DATA)
    stale, other = rising(tmp_path), rising(tmp_path)
    other.search(IMAGES, CLASSES, **DATA)
    (mine,), (its,) = stale.get_best_models(), other.get_best_models()
    assert mine.count_params() == its.count_params() > stale.first_model().count_params()
    stale = rising(tmp_path, max_trials=2)
    assert stale.get_best_hyperparameters()[0].values == other.get_best_hyperparameters()[0].values
    shutil.rmtree(tmp_path / "p")
    capsys.readouterr()
    stale.results_summary()
    assert len(capsys.readouterr().out.splitlines()) == 2 + 5, "what was read is all that there is"


def test_where_the_weights_of_the_winner_are_gone_no_other_is_handed_over(tmp_path):
    rising(tmp_path).search(IMAGES, CLASSES, **DATA)
    tuner = rising(tmp_path)
    shutil.rmtree(tuner.checkpoint("0004"))
    with pytest.raises(
        CheckpointError, match="trial_0004/checkpoint: the weights of the model that is handed over are not there"
    ):
        tuner.get_best_models()
    (values,) = tuner.get_best_hyperparameters()
    assert (values.get("step"), values.get("child")) == (2, 1)
    assert tuner.oracle.get_best_trials()[0].trial_id == "0004"


def test_results_of_a_search_that_is_half_read_say_so(tmp_path, capsys):
    whole = rising(tmp_path)
    whole.search(IMAGES, CLASSES, **DATA)
    shutil.rmtree(tmp_path / "p" / "trial_0001")
    tuner = rising(tmp_path)
    told = r"2 trials in .* do not count, since what they follow from is missing, \(1, 0, 0\)"
    with pytest.raises(CheckpointError, match=told):
        tuner.get_best_models()
    capsys.readouterr()
    tuner.results_summary()
    *rows, said = capsys.readouterr().out.splitlines()[2:]
    assert said.startswith("2 trials in") and len(rows) == 4 and all(row.split()[4] != "0" for row in rows)
    tuner.search(IMAGES, CLASSES, **DATA)
    assert tuner.get_best_models()[0].count_params() == whole.get_best_models()[0].count_params()


def interrupted(patch, owner, name, is_time=lambda: True):
    """Has a method end with Ctrl-C as soon as it is time."""
    real = getattr(owner, name)

    def method(self, *given):
        if is_time():
            raise KeyboardInterrupt
        return real(self, *given)

    patch.setattr(owner, name, method)
    return pytest.raises(KeyboardInterrupt)


@pytest.mark.parametrize("place", [(TrialFiles, "end"), (TrialBook, "_adopt"), (Search, "_look")], ids="{0[1]}".format)
def test_a_search_that_was_interrupted_as_it_took_a_training_goes_on_in_the_same_object(place, tmp_path, monkeypatch):
    model, trained = counted()
    tuner = tuner_of(model, tmp_path)
    with monkeypatch.context() as patch, interrupted(patch, *place, lambda: len(trained) == 3):
        tuner.search(IMAGES, CLASSES, **DATA)
    tuner.search(IMAGES, CLASSES, **DATA)
    assert len(trained) == 4 and len(records(tuner)) == 4


def test_a_reading_that_was_interrupted_is_done_again(tmp_path, monkeypatch):
    stale = rising(tmp_path)
    rising(tmp_path).search(IMAGES, CLASSES, **DATA)
    with monkeypatch.context() as patch, interrupted(patch, TrialBook, "_adopt"):
        stale.results_summary()
    assert stale.get_best_hyperparameters()[0].get("step") == 2
