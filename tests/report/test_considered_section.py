"""What each growth was chosen among, from the lineage to the page."""

import dataclasses
import json

import pytest

from nash_tf.records import loading
from nash_tf.records.runs import Record
from nash_tf.report.pages import considered_section
from nash_tf.strategy.alternatives import MOST, Candidate, Weighing
from nash_tf.strategy.growing import MOST_REDUCTIONS
from tests.report.test_budget_section import page_of

WIDER = Candidate("alter_channels", ("conv_2", "to", 48), 4176, 0.0103, 0.0025)
DEEPER = Candidate("insert_conv", ("relu_1", "conv_2", 3), 2336, 0.0026, 0.0035)
TAKEN = Weighing((WIDER, DEEPER), 50, {"params": 2, "price": 15})
NOT_TAKEN = Weighing((DEEPER,), 48, {"params": 4})
FIRST = Record(0, 0, 0, epochs=8, params=1000, cpu_seconds=25.0)
GROWN = dataclasses.replace(
    FIRST, step=1, parent=(0, 0, 0), operators=("alter_channels",), expected_gain=0.0078, considered=(TAKEN, NOT_TAKEN)
)


def shown(*records, **settings):
    return page_of(settings, (FIRST, *records))


def test_what_was_taken_comes_first_and_stands_out():
    page = shown(GROWN)
    assert page.count("<table") == 2 and page.count('<tr class="won">') == 1, "beside the table of the budget"
    row = page.partition('<tr class="won">')[2].partition("</tr>")[0]
    for cell in ("1", "conv_2: to 48", "+4,176", "0.0103", "0.0025", "0.0078", "4.12", "50", "17"):
        assert f">{cell}<" in row, cell
    assert page.index("conv_2: to 48") < page.index("relu_1, conv_2: 3") and "\N{MINUS SIGN}0.0009" in page
    assert "are weighed, and the one that gains most for its cost is taken" in page and "Gain is by how much" in page
    assert "Step 1: 1 morphism taken" in page and "1/15 of what is left" in page
    why = "After 1 morphism no more was taken: of 44 morphisms none was worth what it costs"
    assert f"{why}; 4 more were over the limit on parameters." in page


def test_what_makes_a_network_smaller_wins_epochs_for_its_size():
    narrower = Candidate("remove_filters", ("conv_5", "to", 192), -332672, -0.0061, -0.0087)
    smaller = Weighing((narrower, WIDER), 50, {})
    page = shown(dataclasses.replace(GROWN, operators=("remove_filters",), considered=(smaller,)))
    row = page.partition('<tr class="won">')[2].partition("</tr>")[0]
    minus = "\N{MINUS SIGN}"
    for cell in ("conv_5: to 192", f"{minus}332,672", f"{minus}0.0061", f"{minus}0.0087", "0.0026", "1.43"):
        assert f">{cell}<" in row, cell
    words = "Where filters go, both are below 0"
    assert words in page and words not in shown(GROWN)


def test_where_nothing_was_taken_it_says_why_in_the_open():
    none = dataclasses.replace(GROWN, operators=(), considered=(NOT_TAKEN,))
    page = shown(none)
    assert "<p>In step 1 none was taken: of 44 morphisms none" in page and "The network has not grown.</p>" in page
    assert page.count(">none<") == 1 and "won" not in page and "price of an epoch" not in page
    limited = dataclasses.replace(none, considered=(Weighing((), 9, {"flops": 9}),))
    page = shown(limited)
    assert "all 9 morphisms were over the limit on operations." in page and "<details" not in page


@pytest.mark.parametrize("mutations, ends", [(1, True), (5, False)])
def test_the_most_morphisms_of_a_step(mutations, ends):
    full = dataclasses.replace(GROWN, considered=(TAKEN,))
    assert ("no more than 1 morphism (mutations)" in shown(full, mutations=mutations)) == ends


@pytest.mark.parametrize("taken, ends", [(MOST_REDUCTIONS, True), (MOST_REDUCTIONS - 1, False)])
def test_the_most_morphisms_of_a_step_that_makes_the_network_smaller(taken, ends):
    full = dataclasses.replace(GROWN, operators=("remove_filters",) * taken, considered=(TAKEN,) * taken)
    page = shown(full, mutations=5)
    assert ("A step has no more than 50 morphisms that make the network smaller, so no more" in page) == ends
    assert "(mutations)" not in page, "that is a limit of growth"


def test_a_front_grows_by_what_a_parameter_is_worth():
    full = dataclasses.replace(GROWN, considered=(TAKEN,))
    page = shown(full, method="front", children=8, epochs_per_step=8, steps=1, budget_epochs=None)
    assert "of those that add 20 %" in page and "With 1 morphism the network was of its size." in page
    assert ">1.8678<" in page.partition("worth of a million parameters")[2], "0.0078 for 4,176"


def test_a_run_that_recorded_none_shows_none():
    page = shown(dataclasses.replace(GROWN, considered=()))
    assert "considered" not in page and page.count("<table") == 1


def test_of_very_many_the_first_are_shown_and_the_page_says_so():
    steps, choices = considered_section.MOST_STEPS, considered_section.MOST_WEIGHINGS
    page = shown(*(dataclasses.replace(GROWN, step=step) for step in range(1, steps + 3)))
    assert f"Of {steps + 2} steps the first {steps} are shown." in page and page.count('class="won"') == steps
    page = shown(dataclasses.replace(GROWN, considered=(Weighing((DEEPER,) * 99, 1),) * (choices + 9)))
    assert f"The first {choices} choices are shown." in page and page.count("relu_1, conv_2: 3") == MOST * choices


class TestLoading:
    def read(self, directory, considered):
        plain = {"step": 1, "rung": 0, "child": 0, "epochs": 2, "val_accuracy": 0.5, "considered": considered}
        (directory / "lineage.jsonl").write_text(json.dumps(plain) + "\n")
        (record,) = loading.read(directory).records
        return record.considered

    def test_it_is_what_the_search_wrote(self, tmp_path):
        assert self.read(tmp_path, [TAKEN.plain(), NOT_TAKEN.plain()]) == (TAKEN, NOT_TAKEN)

    @pytest.mark.parametrize("broken", [None, 3, "x", [{}], [{**TAKEN.plain(), "weighed": 10**18}], [TAKEN.plain(), 1]])
    def test_what_is_malformed_costs_the_record_nothing_else(self, tmp_path, broken):
        assert self.read(tmp_path, broken) == ()


def test_a_factor_is_told_from_a_width():
    doubled = WIDER._replace(site=("conv_2", 2))
    page = shown(dataclasses.replace(GROWN, considered=(Weighing((doubled, DEEPER), 50),)))
    assert ">conv_2: times 2<" in page and ">relu_1, conv_2: 3<" in page
