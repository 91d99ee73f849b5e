"""The model card's section on scores."""

import numpy as np

from nash_tf.exporting import card_scores
from nash_tf.scores import classification

CONFUSION = np.array([[6, 1, 1], [0, 1, 1], [0, 0, 0]])
TEST = {
    "images": 10,
    "largest_class": "a|b",
    "base_rate": 0.8,
    "model": classification.in_detail(CONFUSION, ["a|b", "c", "d"]),
}
WORDS = classification.words(TEST).replace("a|b", r"a\|b")


def test_numbers_have_intervals_and_classes_their_row():
    lines = card_scores.written(TEST, {})
    assert WORDS in lines
    assert r"| a\|b | 8 | 75.0% | 40.9% to 92.9% | 100.0% | 61.0% to 100.0% |" in lines
    assert "| d | 0 | – | – | 0.0% | 0.0% to 65.8% |" in lines
    assert r"| a\|b | c | 1 |" in lines and not any("search" in line for line in lines)


def test_what_is_known_of_the_images_stands_beside_the_accuracy():
    assert not any("images:" in line or "copies" in line for line in card_scores.written(TEST, {}))
    known = {
        "copies": {"validation": 0, "test": 5, "contradicting": 0},
        "notes": ["5 of 10 are copies", "All are grey"],
    }
    lines = card_scores.written({**TEST, **known}, {})
    told = "5 of the 10 test images are exact copies of training or validation images, so that the accuracy is too good by up to"
    assert lines[3].startswith(WORDS) and told in lines[3]
    first = lines.index("- 5 of 10 are copies.")
    assert lines[first - 2 : first + 2] == [
        "What to know of the images:",
        "",
        "- 5 of 10 are copies.",
        "- All are grey.",
    ]
    assert lines.index(lines[3]) < first < lines.index(next(line for line in lines if line.startswith("| class")))


def test_how_the_search_ended():
    ended = "a limit on time was reached: max_hours=0.1"
    lines = card_scores.written(TEST, {"search_ended": ended, "more_time": "More may come.", "final_ended": None})
    assert lines[-1] == f"The search ended: {ended}. More may come."
    not_done = ["The network has not grown: the budget was spent.", "No size fitted."]
    lines = card_scores.written(
        TEST, {"search_ended": "all 2 steps are done", "not_done": not_done, "final_ended": None}
    )
    assert (
        lines[-1]
        == "The search ended: all 2 steps are done. The network has not grown: the budget was spent. No size fitted."
    )


def test_a_perfect_model_confuses_nothing():
    model = classification.in_detail(np.diag([3, 4]), ["a", "b"])
    lines = card_scores.written({**TEST, "model": model}, {})
    assert not any("confused" in line for line in lines)


def test_names_of_classes_are_no_markdown():
    names = ["<unknown>", "__x__ *y*", "a_b `c` [d](e)"]
    model = classification.in_detail(CONFUSION, names)
    notes = ["Of __x__ *y* there are no test images"]
    text = "\n".join(card_scores.written({**TEST, "largest_class": names[0], "model": model, "notes": notes}, {}))
    assert "the largest class (&lt;unknown>)" in text and "| &lt;unknown> | 8 |" in text
    assert r"| \_\_x\_\_ \*y\* | 2 |" in text and r"- Of \_\_x\_\_ \*y\* there are" in text
    assert r"| a_b \`c\` \[d](e) | 0 |" in text
