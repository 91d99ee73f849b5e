"""What a lineage keeps of long trainings."""

import pytest

from nash_tf.strategy import long_histories
from nash_tf.strategy.long_histories import EVERY, MOST_EPOCHS, epochs_of, shortened


def _record(epochs: int) -> dict:
    done = list(range(1, epochs + 1))
    return {"epochs": epochs, "history": {"loss": done, "val_loss": done}, "rate": [0, *done], "params": 3}


class TestShortened:
    @pytest.mark.parametrize("epochs", [0, 1, 7, 8])
    def test_leaves_short_ones_as_they_are(self, epochs, monkeypatch):
        monkeypatch.setattr(long_histories, "MOST_EPOCHS", 8)
        assert shortened(_record(epochs)) == _record(epochs)

    @pytest.mark.parametrize("epochs", [9, 16, 17, 100, 1001])
    def test_keeps_values_with_their_epochs_and_the_last_of_them(self, epochs, monkeypatch):
        monkeypatch.setattr(long_histories, "MOST_EPOCHS", 8)
        found = shortened(_record(epochs))
        every, series = found[EVERY], found["history"]["val_loss"]
        assert 4 <= len(series) <= 8 and series[-1] == epochs and found["history"]["loss"] == series
        assert epochs_of(series, every, epochs) == series
        assert found["rate"] == [epoch for epoch in range(epochs + 1) if (epochs - epoch) % every == 0]
        assert {name: found[name] for name in ("epochs", "params")} == {"epochs": epochs, "params": 3}
        assert shortened(found) == found

    def test_twice_is_once_for_all(self, monkeypatch):
        monkeypatch.setattr(long_histories, "MOST_EPOCHS", 20)
        first = shortened(_record(100))
        monkeypatch.setattr(long_histories, "MOST_EPOCHS", 4)
        again = shortened(first)
        assert (first[EVERY], again[EVERY]) == (5, 25) and again["history"]["loss"] == [25, 50, 75, 100]

    @pytest.mark.parametrize("odd", [{}, {"history": None}, {"history": [1] * 9}, {"history": {"loss": 5}, "rate": 3}])
    def test_leaves_what_is_no_series(self, odd, monkeypatch):
        monkeypatch.setattr(long_histories, "MOST_EPOCHS", 8)
        assert shortened(odd) == odd

    def test_a_usual_training_is_short(self):
        assert shortened(_record(MOST_EPOCHS)) == _record(MOST_EPOCHS)
