"""The table of a search's trials."""

import pytest

from tests.helpers.tuners import CLASSES, IMAGES, Still, tuner_of


def table(tuner, capsys):
    capsys.readouterr()
    tuner.results_summary()
    return capsys.readouterr().out.splitlines()


def test_the_one_that_is_handed_over_is_marked_and_why_it_is_not_the_best(tmp_path, capsys):
    def worse_at_last(values):
        return {"val_accuracy": 0.9 if values["step"] == 1 else 0.7 if values["step"] else 0.5, "loss": 1.0}

    tuner = tuner_of(Still(returns=worse_at_last), tmp_path, method="grow", steps=2, budget_epochs=30)
    tuner.search(IMAGES, CLASSES, verbose=0)
    _, _, first, second, *_, why = table(tuner, capsys)
    assert "0.70000  handed over" in first and "0.90000" in second and "handed over" not in second
    assert "Some scored better" in why and "the weights of most are gone" in why
    (best,) = tuner.oracle.get_best_trials()
    assert first.split()[0] == best.trial_id


def test_nothing_is_said_of_why_where_it_is_the_best(tmp_path, capsys):
    tuner = tuner_of(Still(returns=lambda values: {"val_accuracy": 0.1 * values["step"], "loss": 1.0}), tmp_path)
    tuner.search(IMAGES, CLASSES, verbose=0)
    lines = table(tuner, capsys)
    assert len(lines) == 6 and [number for number, line in enumerate(lines) if "handed over" in line] == [2]


def test_before_the_search_there_are_no_models_and_a_word_says_why(tmp_path, capsys):
    tuner = tuner_of(Still(), tmp_path)
    with pytest.warns(UserWarning, match="nothing has been trained yet: call search") as caught:
        assert tuner.get_best_models() == []
    assert [each.filename for each in caught] == [__file__]
    assert len(table(tuner, capsys)) == 2


def test_the_first_model_before_the_search(tmp_path):
    tuner = tuner_of(Still(), tmp_path)
    for first in (tuner.first_model, tuner.untrained_first_model):
        with pytest.raises(RuntimeError, match="nothing has been trained yet: call search"):
            first()


def test_a_worker_has_no_results_and_says_who_has(tmp_path, capsys, monkeypatch):
    tuner = tuner_of(Still(), tmp_path)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner0")
    for results in (tuner.get_best_models, tuner.get_best_hyperparameters, tuner.first_model, tuner.get_front):
        with pytest.raises(RuntimeError, match="this process is a worker, and the results are with its chief"):
            results()
    assert "the results are with its chief" in table(tuner, capsys)[1]
