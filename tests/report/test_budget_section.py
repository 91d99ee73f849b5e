"""The section on how a budget of compute was spent."""

import dataclasses
from pathlib import Path

from nash_tf.report.charts import budget_course
from nash_tf.report.pages import budget_section, html_page
from nash_tf.report.records.runs import Record, Run

RECORDS = (
    Record(0, 0, 0, epochs=8, params=1000, cpu_seconds=25.0, history={"val_loss": (2.0, 1.5)}),
    Record(
        1,
        0,
        0,
        (0, 0, 0),
        operators=("split", "insert_conv", "split"),
        epochs=9,
        params=2000,
        cpu_seconds=50.0,
        expected_gain=0.0123,
    ),
    Record(
        1,
        1,
        0,
        (1, 0, 0),
        operators=("split", "insert_conv", "split"),
        epochs=3,
        params=2000,
        cpu_seconds=25.0,
        expected_gain=0.0123,
    ),
)


def page_of(settings, records, results=None):
    run = Run(Path("x"), {"method": "grow", **settings}, records=records, results=results or {})
    return str(budget_section.budget(run, html_page.shown))


def test_growths_and_what_they_were_expected_to_bring():
    page = page_of({}, RECORDS)
    assert "split, insert_conv, split" in page and page.count("insert_conv") == 1, "at its birth only"
    assert page.count("0.0123") == 1 and "1.500" in page
    assert "<td>50</td>" in page and "part 2" in page and "without restarts" in page
    assert "cannot be told without a control" in page


def test_what_growths_have_brought_is_measured_against_the_control():
    last = Record(1, 2, 0, epochs=3, expected_gain=0.0123, history={"val_loss": (1.25, None)})
    results = {"winner": [1, 2, 0], "control": {"val_loss": 1.3}}
    page = page_of({}, (*RECORDS, last), results)
    assert "Of all it is 0.0123. They have brought 0.0500" in page and "ends at 1.300, the winner at 1.250" in page


def test_a_network_that_has_not_grown():
    same = Record(1, 0, 0, (0, 0, 0), epochs=9, params=1000, cpu_seconds=50.0, expected_gain=0.0)
    page = page_of({}, (RECORDS[0], same), {"winner": [1, 0, 0], "control": {"val_loss": 1.3}})
    assert "has not grown" in page and "0.0000" not in page and "have brought" not in page


def test_a_small_gain_and_a_loss():
    small = Record(1, 0, 0, (0, 0, 0), ("split",), epochs=9, expected_gain=0.00002, history={"val_loss": (1.4,)})
    page = page_of({}, (RECORDS[0], small), {"winner": [1, 0, 0], "control": {"val_loss": 1.3}})
    assert page.count("&lt; 0.0001") == 2 and "brought \N{MINUS SIGN}0.1000" in page


class TestCourse:
    def test_the_rate_rises_stays_and_falls_to_zero(self):
        rates = ((0.0, *8 * (1.0,)), 10 * (1.0,), (1.0, 0.6, 0.3, 0.0))
        records = [dataclasses.replace(record, rate=rate) for record, rate in zip(RECORDS, rates, strict=True)]
        drawn = str(budget_course.chart(records, 0.1).body)
        assert "learning rate</text>" in drawn and ">0.1<" in drawn and "not known" not in drawn
        assert ">+1k<" in drawn and drawn.count("+1k") == 1, "at its birth only"
        assert budget_course.chart((RECORDS[1],), 0.1) is None, "no loss"

    def test_what_is_not_recorded_is_not_drawn(self):
        assert "learning rate not known" in str(budget_course.chart(RECORDS, 0.1).body)
