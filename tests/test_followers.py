import json

import pytest

from nash_tf.architecture.vanilla import vanilla
from nash_tf.config import SearchConfig
from nash_tf.experiment import followers

WIDE = SearchConfig(method="wide", widths=(16, 32, 64))


def search(folder, name, classes=10, **results):
    (folder / name).mkdir()
    (folder / name / "config.json").write_text("{}")
    if results:
        (folder / name / "results.json").write_text(json.dumps(results))
        (folder / name / "best").mkdir()
        (folder / name / "best" / "architecture.json").write_text(vanilla((8, 8, 1), classes, (4,)).to_json())
    return folder / name


def widths(searches, config=WIDE, begun=None):
    (argument,) = followers.arguments("wide", searches, config, begun)
    return tuple(map(int, argument.removeprefix("--widths=").split(",")))


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("winners", [[100_000], [300_000, 100_000, 120_000], [24_058]])
def test_wide_is_as_large_as_the_median_winner(winners, classes, tmp_path):
    searches = [search(tmp_path, f"sh-{n}", classes, params=winner) for n, winner in enumerate(winners)]
    found = vanilla((8, 8, 1), classes, widths(searches)).params
    assert found == pytest.approx(sorted(winners)[len(winners) // 2], rel=0.03)


def after_control(folder, **winner):
    """A search that has handed over its control of 100 parameters, and whose lineage tells its winner so."""
    run = search(folder, "sh", params=100, handed_over="control", winner=[1, 0, 1], test_accuracy=0.5)
    record = {"rung": 0, "parent": None, "morphisms": [], "epochs": 1, "status": "completed", "val_accuracy": 0.5}
    lines = [{**record, "step": 0, "child": 0, "params": 100}, {**record, "step": 1, "child": 1, **winner}]
    (run / "lineage.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_the_winner_is_followed_also_where_the_control_was_handed_over(tmp_path):
    assert widths([after_control(tmp_path, params=vanilla((8, 8, 1), 10, (32, 64, 128)).params)]) == (32, 64, 128)


@pytest.mark.parametrize(
    ("method", "why"),
    [("scratch", "has handed over its control; run that search with --nocontrol"), ("wide", "does not tell")],
)
def test_what_is_not_known_of_the_winner_is_not_taken_from_the_control(method, why, tmp_path):
    with pytest.raises(followers.Hindrance, match=f"the winner.*{why}"):
        followers.arguments(method, [after_control(tmp_path)], WIDE, None)


def test_wide_has_no_more_channels_than_a_layer_may_have(tmp_path):
    huge = search(tmp_path, "sh", params=vanilla((8, 8, 1), 10, (400, 800, 1600)).params)
    with pytest.raises(followers.Hindrance, match="1,600 channels"):
        widths([huge])


@pytest.mark.parametrize("winner", [100_000, 300_000])  # the layout hand has 279,466
def test_wide_needs_a_layout_that_follows_its_widths(winner, tmp_path):
    with pytest.raises(
        followers.Hindrance, match="needs a layout whose size follows from --widths; that of hand does not"
    ):
        widths([search(tmp_path, "sh", params=winner)], config=SearchConfig(method="hand"))


@pytest.mark.parametrize("method", followers.REGISTRY)
def test_the_same_searches_are_followed_in_all_seeds(method, tmp_path):
    """Those that are planned, not those that happen to be finished: `wide` all of them, `scratch` the first."""
    done, late = search(tmp_path, "grow", params=400), tmp_path / "sh"
    assert followers.arguments(method, [done], WIDE, None)
    for searches in ([], [late], [late, done]):
        with pytest.raises(followers.Hindrance, match="to be finished.*: (sh|there is none)"):
            followers.arguments(method, searches, WIDE, None)
    if method == "scratch":
        assert followers.arguments(method, [done, late], WIDE, None)
    else:
        with pytest.raises(followers.Hindrance, match="to be finished.*: sh"):
            followers.arguments(method, [done, late], WIDE, None)


def test_scratch_has_the_winner_of_the_first_search(tmp_path):
    searching = ("grow", "scale", "nash", "sh", "shr", "shrsep", "shr_two_rungs", "shr_ties", "front")
    assert searching == followers.SEARCHES, "all that search, and no baseline"
    searches = [search(tmp_path, name, params=400) for name in ("grow", "sh")]
    expected = [f"--start={searches[0] / 'best' / 'architecture.json'}"]
    assert followers.arguments("scratch", searches, WIDE, None) == expected


def test_what_goes_on_keeps_its_first_network(tmp_path):
    grown = search(tmp_path, "grow", params=400)
    assert widths([grown], begun=SearchConfig(method="wide", widths=(5, 6))) == (5, 6)
    begun = SearchConfig(method="scratch", start="other/architecture.json")
    assert followers.arguments("scratch", [grown], WIDE, begun) == ["--start=other/architecture.json"]


def test_other_methods_follow_nothing(tmp_path):
    assert followers.arguments("fixed", [], WIDE, None) == []
