"""What a run writes, the report reads, however long its trainings and many its classes."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from nash_tf import report, search
from nash_tf.files import plain_json, run_directory
from nash_tf.records import loading
from nash_tf.records.tested import details_of
from nash_tf.report.pages import sureness
from nash_tf.scores import classification
from tests.helpers import ROOT

RECORDED = ROOT / "tests" / "experiments" / "grow_cifar10_now" / "grow-seed6"


@pytest.fixture
def run(tmp_path):
    """A finished run of grow."""
    return shutil.copytree(RECORDED, tmp_path / "run")


class TestLongTrainings:
    EPOCHS = 25_000

    @pytest.fixture
    def records(self):
        """Of a run whose last training is a long one."""
        *before, last = (json.loads(line) for line in (RECORDED / "lineage.jsonl").read_text().splitlines())
        more = self.EPOCHS - last["epochs"]
        history = {name: [series[0] + 1e-5] * more + series for name, series in last["history"].items()}
        rate = [1.0] * more + last["rate"]
        return [*before, {**last, "epochs": self.EPOCHS, "history": history, "rate": rate}]

    def _write(self, run, records, write):
        write(run, records)
        results = json.loads((run / "results.json").read_text())
        results["epochs"] = sum(record["epochs"] for record in records)
        (run / "results.json").write_text(json.dumps(results))
        return loading.read(run)

    @staticmethod
    def _as_now(run, records):
        search._write_lineage(run, SimpleNamespace(lineage=lambda: records))

    @staticmethod
    def _as_before(run, records):
        (run / "lineage.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))

    @pytest.mark.parametrize("way", ["_as_now", "_as_before"])
    def test_are_read_with_their_course(self, run, records, way):
        loss = loading.read(run).winner_record.loss
        found = self._write(run, records, getattr(self, way))
        assert (found.state, found.problems) == ("finished", ())
        record = found.winner_record
        assert (record.epochs, record.loss) == (self.EPOCHS, loss)
        course, rate = record.course("val_loss"), record.rate
        assert len(course) == len(rate) - 1 + (self.EPOCHS % record.every > 0) <= 10_000
        series = records[-1]["history"]["val_loss"]
        assert all(value == series[epoch - 1] for epoch, value in course) and course[-1][0] == self.EPOCHS
        page = report.write(run).read_text()
        assert "learning rate not known" not in page and f"{self.EPOCHS:,} epochs" in page

    def test_take_lines_of_a_bounded_length(self, run, records):
        self._as_now(run, records)
        longest = max(map(len, (run / "lineage.jsonl").read_text().splitlines()))
        assert 4 * longest < loading.MOST_IN_LINE


def test_why_a_run_failed_is_read_however_much_there_is_to_say(tmp_path):
    with pytest.raises(ValueError), run_directory.telling_failure(tmp_path, lambda _: None):
        raise ValueError("\N{PILE OF POO}" * 10**6)
    assert loading.read(tmp_path).failure.startswith("\N{PILE OF POO}" * 100)


class TestManyClasses:
    CLASSES, WEAKEST = 3_755, 3_700  # of which no image is found; the others are found always

    @pytest.fixture
    def finished(self, run):
        """The run, with the test of a network of so many classes."""
        confusion = 20 * np.eye(self.CLASSES, dtype=np.int64)
        confusion[self.WEAKEST, [0, self.WEAKEST]] = 20, 0
        results = json.loads((run / "results.json").read_text())
        names = [chr(0x4E00 + number) for number in range(self.CLASSES)]
        results["test"]["model"] = classification.in_detail(confusion, names)
        (run / "results.json").write_text(plain_json.text(results, indent=2))
        return run

    def test_are_read(self, finished):
        found = loading.read(finished)
        assert (found.state, found.problems) == ("finished", ())
        assert len(details_of(found).classes) == self.CLASSES

    def test_are_told_on_the_page(self, finished, monkeypatch):
        weakest = f"The class that is found least often is {chr(0x4E00 + self.WEAKEST)}"
        page = report.write(finished).read_text(encoding="utf-8")
        assert weakest in page and "All 3,755 classes" in page
        monkeypatch.setattr(sureness, "_MOST_CLASSES", 50)
        shorter = report.write(finished).read_text(encoding="utf-8")
        assert weakest in shorter and "All 3,755 classes" not in shorter
        assert "The 50 classes found least often, of 3,755; results.json has all" in shorter
