"""The section on how a budget of compute was spent."""

import dataclasses
import re
from pathlib import Path

import pytest

from nash_tf.records.runs import Record, Run
from nash_tf.report.charts import budget_course
from nash_tf.report.pages import budget_section, html_page

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
    last = Record(1, 2, 0, (1, 1, 0), epochs=3, expected_gain=0.0123, history={"val_loss": (1.25, None)})
    results = {"winner": [1, 2, 0], "control": {"val_loss": 1.3}}
    page = page_of({}, (*RECORDS, last), results)
    assert "Of all that led to the winner it is 0.0123. They have brought 0.0500" in page
    assert "trained alone, ends at 1.300; the winner at 1.250" in page

    none = page_of({}, (*RECORDS, last), {**results, "winner": [0, 0, 0]})
    assert "None of them led to the winner." in none and "have brought" not in none


def test_a_network_that_has_not_grown():
    same = Record(1, 0, 0, (0, 0, 0), epochs=9, params=1000, cpu_seconds=50.0, expected_gain=0.0)
    page = page_of({}, (RECORDS[0], same), {"winner": [1, 0, 0], "control": {"val_loss": 1.3}})
    assert "has not grown" in page and "0.0000" not in page and "have brought" not in page


def test_a_network_that_might_have_shrunk_has_not_changed_its_size():
    same = Record(1, 0, 0, (0, 0, 0), epochs=9, params=1000, cpu_seconds=50.0, expected_gain=0.0)
    page = page_of({"method": "scale"}, (RECORDS[0], same))
    assert "The network has not changed its size: at no step" in page and "grown" not in page


def test_faster_training_counts_where_the_network_became_smaller():
    smaller = dataclasses.replace(RECORDS[1], operators=("remove_filters",), params=400)
    page = page_of({"method": "scale"}, (RECORDS[0], smaller))
    assert "or faster training wins, counted in." in page and "slower training taken off" not in page
    assert "the slower training taken off." in page_of({}, RECORDS)


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
        assert drawn.count('class="halo">+1k<') == drawn.count("<title>+1k<") == 1, "at its birth only"
        assert budget_course.chart((RECORDS[1],), 0.1) is None, "no loss"

        assert "dashed: the network grew, by so many parameters" in drawn

    def test_a_training_without_an_epoch_has_a_rate(self):
        rates = ((0.0, *8 * (1.0,)), (1.0,), (1.0, 0.6, 0.3, 0.0))
        records = [dataclasses.replace(record, rate=rate) for record, rate in zip(RECORDS, rates, strict=True)]
        records[1] = dataclasses.replace(records[1], epochs=0)
        assert ">0.1<" in str(budget_course.chart(records, 0.1).body)

    def test_growths_that_follow_each_other_all_have_a_label_that_no_line_crosses(self):
        records = [RECORDS[0]]
        for step in range(1, 6):
            grown = {"operators": ("split",), "params": 1000.0 + 10 * step, "cpu_seconds": 1.0, "epochs": 1}
            records.append(Record(step, 0, 0, (step - 1, 0, 0), **grown))
        records.append(Record(5, 1, 0, (5, 0, 0), epochs=90, params=1050, cpu_seconds=900.0))
        drawn = str(budget_course.chart(records, None).body)
        labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="halo">\+10<', drawn)
        lines = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)"[^>]*class="mark"', drawn)
        assert len(labels) == len(lines) == 5 and len(set(labels)) == 5
        for x, y in ((float(x), float(y)) for x, y in labels):
            across = [line for line in lines if x + 4 < float(line[0]) < x + 24 and float(line[1]) < y]
            assert not across and y > 30, "below the title"

    def test_of_more_than_there_is_room_for_the_lines_are_there(self):
        grown = {"operators": ("split",), "cpu_seconds": 0.1}
        steps = [Record(step, 0, 0, (step - 1, 0, 0), params=1000 + step, **grown) for step in range(1, 40)]
        drawn = str(budget_course.chart((RECORDS[0], *steps), None).body)
        assert drawn.count('class="mark"') == 39 and drawn.count("<title>+1<") == 39

    @pytest.mark.parametrize("grows_too", [False, True])
    def test_a_network_that_became_smaller_has_a_minus_sign(self, grows_too):
        smaller = Record(2, 0, 0, (1, 1, 0), ("remove_filters",), epochs=2, params=750, cpu_seconds=25.0)
        if not grows_too:
            smaller = dataclasses.replace(smaller, step=1, parent=(0, 0, 0))
        drawn = str(budget_course.chart((*RECORDS, smaller) if grows_too else (RECORDS[0], smaller), None).body)
        assert (">+1k<" in drawn) == grows_too and "+-" not in drawn and "grew" not in drawn
        assert (">\N{MINUS SIGN}1.25k<" if grows_too else ">\N{MINUS SIGN}250<") in drawn
        assert "dashed: the network changed its size, by so many parameters" in drawn

    def test_what_is_not_recorded_is_not_drawn(self):
        assert "learning rate not known" in str(budget_course.chart(RECORDS, 0.1).body)
