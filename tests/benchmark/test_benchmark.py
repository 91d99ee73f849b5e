"""The benchmark's arithmetic, and that its contestants do what they are asked; no times are tested."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from nash_tf.architecture import Architecture
from nash_tf.architecture.costs import flops
from nash_tf.architecture.vanilla import vanilla
from nash_tf.benchmark import __main__ as program
from nash_tf.benchmark import command_line, measure, plot, profile
from tests.helpers.processes import PLACE


def test_a_ratio_is_the_median_over_the_turns():
    assert measure.ratio([2.0, 9.0, 3.0], [1.0, 1.0, 1.0]) == 3.0
    assert measure.ratio([2.0, 40.0], [1.0, 20.0]) == 2.0


def test_line_fits_what_is_linear_and_says_how_well():
    assert measure.line([1, 2, 4], [5.0, 7.0, 11.0]) == pytest.approx((3.0, 2.0, 1.0))
    assert measure.line([1, 2, 3, 4], [1.0, 4.0, 9.0, 16.0])[2] < 0.99


def test_idle_is_what_is_left_of_the_wall_time():
    assert measure.idle(50.0, 49.0) == (1.0, 0.02)


def test_one_core_for_what_is_started():
    before = os.sched_getaffinity(0)
    with measure.pinned():
        seen = subprocess.run(
            [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"], capture_output=True
        )
    assert int(seen.stdout) == 1 and os.sched_getaffinity(0) == before


def test_training_costs_three_forward_passes():
    network = vanilla((8, 8, 1), 10, [4])
    assert measure.training_flops(flops(network), 2) == 6 * (2 * 9 * 4 * 64 + 2 * 4 * 10)


def test_table_is_markdown():
    assert measure.table([["a", "b"], ["x", 0.12345]]) == "| a | b |\n| --- | --- |\n| x | 0.123 |"


def test_the_picture_of_costs_has_a_panel_for_each_series():
    rows = [["children", [1, 2, 3], [1.0, 2.0, 3.0], 1.0, 1.0], ["depth", [5, 10], [0.1, 0.3], 0.04, 1.0]]
    drawn = ElementTree.fromstring(plot.cost(rows).document())
    assert len(drawn.findall(".//{*}circle")) == 5
    words = [element.text for element in drawn.findall(".//{*}text")]
    assert words.count("CPU-seconds") == 2 and {"children", "depth", "a line explains 100.0 %"} <= set(words)


def test_steps_count_at_their_steady_rate_and_the_rest_is_set_up():
    assert profile.steady([9.0, 1.0, 1.0, 1.2]) == pytest.approx((1.65 + 3.2, 7.35))
    assert profile.steady([4.0]) == (0.0, 4.0)  # a first call alone
    assert profile.steady([]) == (0.0, 0.0)


def test_each_moment_is_counted_once_in_the_innermost_part():
    now = [0.0]
    found = profile.Profile(lambda: now[0])
    now[0] = 1.0
    found.begin("imports")
    with found.part("outer"):
        now[0] = 3.0
        with found.part("inner"):
            now[0] = 6.0
        now[0] = 7.0
    now[0] = 7.5
    assert found.close() == {"imports": 1.0, "outer": 3.0, "inner": 3.0, "other": 0.5}


def test_steps_are_taken_out_of_what_surrounds_them():
    class Model:
        pass

    now = [0.0]
    found, model = profile.Profile(lambda: now[0]), Model()
    with found.part("training around the steps"):
        now[0] = 10.0
        found.steps(model, "training").extend([5.0, 1.0])
    with found.part("training around the steps"):  # the next rung of the same model
        now[0] = 14.0
        found.steps(model, "training").extend([1.0, 1.0])
    parts = found.close()
    assert parts["training steps"] == 4.5 and parts["tracing, first calls of training"] == 3.5
    assert parts["training around the steps"] == 6.0
    assert profile.overhead(parts) == pytest.approx(1 - 4.5 / 14)


def test_the_export_is_watched_where_it_is_called():
    """A module that has imported a function by its name calls that, whatever is put in its place at home."""

    class Watched(profile.Profile):
        def watch(self, owner, function, name):
            seen.append((owner, function))

    seen: list = []
    profile._watch_parts(Watched())
    tasks = [module for name, module in sys.modules.items() if name.startswith("nash_tf.tasks.")]
    callers = [(module, "export") for module in tasks if hasattr(module, "export")]
    assert len(callers) == 1 and all(each in seen for each in callers)


def test_networks_are_vanilla_grown_and_found(tmp_path):
    file = tmp_path / "run" / "best" / "architecture.json"
    file.parent.mkdir(parents=True)
    file.write_text(vanilla((32, 32, 3), 10, [4]).to_json())
    found = program.networks(["4-8"], 1, [str(file)])
    assert list(found) == ["vanilla 4-8", "grown, seed 0", "run"]
    assert found["grown, seed 0"].params > found["vanilla 4-8"].params


def test_a_chain_has_its_blocks():
    kinds = [node.kind for node in program.chain(7).nodes]
    assert kinds.count("Conv2D") == 7 and kinds.count("MaxPooling2D") == 2


def test_a_contestant_without_its_library_is_named():
    contestant = measure.Contestant("torch", sys.executable)
    task = {"what": "fit", "architecture": "{}", "batch": 1, "steps": 1, "shape": [8, 8, 3], "classes": 2}
    told, failed = measure.in_turn({"torch": (contestant, {**task, "precision": "float32"})}, 1)
    contestant.close()
    assert told == {} and failed["torch"].startswith("torch: ")


def test_precision_is_set_on_all_but_inputs_and_dense_layers():
    keras_steps = pytest.importorskip("nash_tf.benchmark.keras_steps")
    mixed = keras_steps.with_precision(vanilla((8, 8, 3), 10, [4]), "mixed_bfloat16")
    assert mixed == vanilla((8, 8, 3), 10, [4], "mixed_bfloat16") or isinstance(mixed, Architecture)
    assert [node.kind for node in mixed.nodes if "dtype" not in node.config] == ["InputLayer", "Dense"]


def test_the_program_measures_and_writes(tmp_path, monkeypatch, capsys):
    command = program._command
    as_a_test = {"nash_tf.main": "tests.helpers.keras_files"}  # its exports take seconds
    monkeypatch.setattr(program, "_command", lambda *given: [as_a_test.get(each, each) for each in command(*given)])
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    arguments = [
        "--parts=throughput,augmentation,trace,idle",
        "--widths=2-4",
        "--grown=0",
        "--batches=2",
        "--repeats=1",
        "--batch_size=4",
        "--depths=2",
        f"--json={tmp_path}/out.json",
        "--search=--method=nash --train_limit=100 --steps=0 --vanilla_epochs=1 --final_epochs=0 --widths=2 --export=keras",
    ]
    program.main(arguments)
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text())
    row = dict(zip(*found["throughput"]["rows"], strict=True))
    assert row["network"] == "vanilla 2-4" and row["times fit"] > 0 and 0 < row["of the matmul peak"] < 1
    assert "| vanilla 2-4 |" in printed
    idle = dict(zip(*found["idle"]["rows"], strict=True))
    assert idle["wall seconds"] == pytest.approx(idle["CPU-s"] + idle["idle, s"]) and "share of wall" in printed
    assert idle["share of wall"] == pytest.approx(idle["idle, s"] / idle["wall seconds"])


@pytest.mark.parametrize(
    "flag",
    [
        "--parts=speed",
        "--repeats=0",
        "--widths=16-x",
        "--widths=0",
        "--architecture=no/such",
        "--json=no/such/out",
        "--svg=no/such/out",
    ],
)
def test_bad_flags_are_refused(flag, capsys):
    with pytest.raises(SystemExit):
        program.main([flag])
    last = capsys.readouterr().err.splitlines()[-1]
    assert flag.split("=")[0] in last and "Traceback" not in last


def test_paths_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "small.json").write_text(program.networks(["2"], 0, [])["vanilla 2"].to_json())
    flags = command_line.read(["--json=~/out", "--svg=~/cost.svg", "--architecture=~/small.json"], "", [], [])
    given = [flags.json, flags.svg, *flags.architecture]
    assert given == [f"{tmp_path}/{name}" for name in ("out", "cost.svg", "small.json")]


def test_torch_has_the_same_layers_and_parameters():
    torch_steps = pytest.importorskip("nash_tf.benchmark.torch_steps")
    network = program.networks(["4-8"], 1, [])["grown, seed 0"]
    twin = torch_steps.Twin(json.loads(network.to_json()))
    assert sum(weight.numel() for weight in twin.parameters()) == network.params
