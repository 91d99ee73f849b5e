"""The section on how a budget of compute was spent."""

from pathlib import Path

from nash_tf.report.pages import budget_section
from nash_tf.report.records.runs import Record, Run

RECORDS = (
    Record(0, 0, 0, epochs=8, params=1000, cpu_seconds=25.0, history={"val_loss": (2.0, 1.5)}),
    Record(
        1,
        0,
        0,
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
        operators=("split", "insert_conv", "split"),
        epochs=3,
        params=2000,
        cpu_seconds=25.0,
        expected_gain=0.0123,
    ),
)


def test_growths_and_what_they_were_expected_to_bring():
    page = str(budget_section.budget(Run(Path("x"), {"method": "grow"}, records=RECORDS)))
    assert "2 split, insert_conv" in page and page.count("insert_conv") == 1, "at its birth only"
    assert page.count("0.0123") == 1 and "1.500" in page
    assert "<td>50</td>" in page and "part 2" in page and "without restarts" in page
    assert "cannot be told without a control" in page


def test_what_growths_have_brought_is_measured_against_the_control():
    last = Record(1, 2, 0, epochs=3, expected_gain=0.0123, history={"val_loss": (1.25, None)})
    results = {"winner": [1, 2, 0], "control": {"val_loss": 1.3}}
    page = str(budget_section.budget(Run(Path("x"), {"method": "grow"}, records=(*RECORDS, last), results=results)))
    assert "Of all it is 0.0123. They have brought 0.0500" in page and "ends at 1.300, the winner at 1.250" in page
