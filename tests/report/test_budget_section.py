"""The section on how a budget of compute was spent."""

from pathlib import Path

from nash_tf.report.pages import budget_section
from nash_tf.report.records.runs import Record, Run


def test_growths_and_what_they_were_expected_to_bring():
    records = (
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
    page = str(budget_section.budget(Run(Path("x"), {"method": "grow"}, records=records)))
    assert "2 split, insert_conv" in page and page.count("insert_conv") == 1, "at its birth only"
    assert page.count("0.0123") == 1 and "1.500" in page
    assert "<td>50</td>" in page and "part 2" in page and "without restarts" in page
