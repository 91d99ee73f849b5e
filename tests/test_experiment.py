"""The experiment: its plan in pure parts, its processes with runs that are stand-ins, and a small one whose runs are real."""

import contextlib
import json
import os
import signal
import subprocess
from types import SimpleNamespace

import pytest

from nash_tf import export_formats, main
from nash_tf.architecture.vanilla import vanilla
from nash_tf.config import ConfigError
from nash_tf.experiment import __main__ as experiment
from nash_tf.experiment.runs import Run, plan
from nash_tf.files import run_directory
from nash_tf.records import planned as planned_runs
from nash_tf.settings import engine as engine_settings
from tests.helpers import ROOT, wait_for
from tests.helpers.processes import TINY, finish, here, untrained
from tests.helpers.processes import start as start_process
from tests.helpers.synthetic_runs import make_run
from tests.helpers.tuners import in_two_parts
from tests.report.helpers import Outline

TASK = [argument for argument in TINY if not argument.startswith(("--method", "--steps"))]
COMMON = [*TASK, "--widths=4,8", "--steps=1"]


def test_the_plan_is_seed_by_seed(tmp_path):
    planned = plan(tmp_path, ["sh", "fixed"], [3, 4])
    assert [(run.method, run.seed, run.directory.name) for run in planned] == [
        ("sh", 3, "sh-seed3"),
        ("fixed", 3, "fixed-seed3"),
        ("sh", 4, "sh-seed4"),
        ("fixed", 4, "fixed-seed4"),
    ]


def test_what_an_experiment_is_is_said_before_it_begins(tmp_path):
    planned = plan(tmp_path, ["sh", "fixed"], [3, 4])
    assert (
        experiment._what(planned, tmp_path, "digits")
        == f"sh, fixed, each with 2 seeds, on digits: 4 runs in {tmp_path}."
    )
    assert experiment._what(planned[1:2], tmp_path, "x") == f"fixed, with seed 3, on x: 1 run in {tmp_path}."


def test_an_unfinished_run_is_resumed(tmp_path):
    (run,) = plan(tmp_path, ["sh"], [0])
    own = ["--method=sh", "--seed=0", f"--output_dir={run.directory}"]
    assert run.command(["--steps=1", "--resume"]) == [
        "--export=keras",
        "--nocontrol",
        "--steps=1",
        "--resume",
        *own,
        "--noresume",
    ]
    run.directory.mkdir()
    (run.directory / "config.json").write_text("{}")
    assert run.command([])[-1] == "--resume"


@pytest.mark.parametrize(("name", "seeds"), [("cifar10", 4), ("fashion", 2)])
def test_the_flag_files_give_all_methods_the_same_budget(name, seeds):
    file = ROOT / "flags" / f"experiment_{name}.flags"
    assert f"python -m nash_tf.experiment --flagfile=flags/{file.name}" in file.read_text()
    own, arguments = experiment.parse(["experiment", f"--flagfile={file}"])
    names = own.methods
    assert (names, own.runs) == (("nash", "sh", "shr", "shrsep"), seeds)
    parsed = [main.parse(["main", *arguments, f"--method={method}"])[0] for method in names]
    assert {config.max_cpu_hours for config in parsed} == {0.17}


@pytest.mark.parametrize("name", ["cifar10", "cifar10_large", "fashion"])
def test_the_comparisons_with_grow_have_one_budget_in_predicted_seconds(name):
    file = ROOT / "flags" / f"experiment_grow_{name}.flags"
    assert f"python -m nash_tf.experiment --flagfile=flags/{file.name}" in file.read_text()
    own, arguments = experiment.parse(["experiment", f"--flagfile={file}"])
    assert {"grow", "fixed", "hand"} <= set(own.methods) and own.runs == 6
    parsed = [main.parse(["main", *arguments, f"--method={method}"])[0] for method in own.methods]
    assert len({config.budget_seconds for config in parsed}) == 1 and {config.final_epochs for config in parsed} == {0}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--methods=sh,none"], "--methods=sh,none: must be some of"),
        (["--methods="], "--methods=: must be some of"),
        (["--methods=sh,nash,sh"], "--methods=sh,nash,sh: must name each method once"),
        (["--runs=0"], "--runs=0: must be a whole number from 1"),
        (["--methods=sh", "--children=3"], "--children=3: must be a power of two"),
        (["--methods=sh", "--runs=2", "--only=2"], "--only=2: must be below the number of runs, 2"),
        (["--methods=sh", "--dataset=absent"], "--dataset: 'absent'"),
        (["--methods=sh", "--unknown=2"], "--unknown=2"),
        (["--jobs=many"], "--jobs=many: must be a whole number"),
        (["--method=grow"], "--method=grow: is for a single run; an experiment takes --methods=grow"),
        (["--method", "grow"], "--method=grow: is for a single run"),
        (["--methods=sh,scratch", "--start=a.keras"], "--start=a.keras: must not be given with method scratch"),
        (["--methods=sh,grow", "--prior=absent"], "--prior=absent: must be the directory of a run"),
        (["--methods=sh", "--export=onnx"], "--export=onnx: onnx needs packages that are not installed"),
        (["--runs=1000000000"], "--runs=1000000000: must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(arguments, line, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export_formats, "missing", lambda name: ("tf2onnx",) if name == "onnx" else ())
    assert experiment.main(["experiment", *arguments, "--output_dir=out"]) == 2
    printed = capsys.readouterr().err
    assert line in printed and printed.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device", "out/sh-seed0.log"), ConfigError("--x=1: no")]
)
def test_an_error_that_ends_an_experiment_is_one_line_and_status_1(error, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "_conduct", fail)
    assert experiment.main(["experiment", "--methods=sh"]) == 1
    assert capsys.readouterr().err == f"{error}\n"


def test_what_a_kill_left_of_its_page_goes_and_the_runs_are_left_to_themselves(tmp_path, monkeypatch):
    lefts = [tmp_path / place for place in (".report.html.00001234.new", "report/.growth.svg.00001234.new")]
    lefts.append(tmp_path / "sh-seed0" / ".results.json.00001234.new")
    for left in lefts:
        left.parent.mkdir(exist_ok=True)
        left.write_text("half")
    monkeypatch.setattr(experiment, "_conduct", lambda *_: {})
    assert experiment.main(["experiment", "--methods=sh", f"--output_dir={tmp_path}"]) == 0
    assert [left.exists() for left in lefts] == [False, False, True]


def test_an_experiment_among_its_images_is_refused_before_anything_starts(tmp_path, monkeypatch, capsys):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    given = ["experiment", "--methods=fixed", "--dataset=photos", "--output_dir=photos/compare"]
    assert experiment.main(given) == 2 and len(list((tmp_path / "photos").iterdir())) == 2
    assert "--output_dir: photos/compare: expected a folder outside the images" in capsys.readouterr().err


def test_an_experiment_in_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert experiment.main(["experiment", "--methods=sh", f"--output_dir={tmp_path}/file"]) == 2
    assert "must be a directory" in capsys.readouterr().err


def test_a_page_of_another_program_is_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "_conduct", lambda *_: {})
    (tmp_path / "report.html").write_text("mine")
    assert experiment.main(["experiment", "--methods=sh", f"--output_dir={tmp_path}"]) == 2
    assert "holds a report.html of another program; move it" in capsys.readouterr().err


def test_the_page_tells_of_planned_runs_that_are_not_there_and_of_all_that_are(tmp_path):
    for method in ("nash", "sh"):
        make_run(tmp_path / f"{method}-seed0", method, steps=1)
    planned = plan(tmp_path, ["nash", "scratch"], [0, 1])
    experiment._report(planned, {planned[1]: "needs a winner"}, tmp_path)
    text = Outline((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "2 of 5 runs finished" in text and "sh-seed0" in text
    assert "scratch-seed0: needs a winner" in text and "nash-seed1: not begun" in text
    assert list(planned_runs.missing(tmp_path)) == ["scratch-seed0", "nash-seed1", "scratch-seed1"]


def test_help_lists_all_flags(capsys):
    assert experiment.main(["experiment", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--jobs" in printed and "--max_cpu_hours" in printed


def test_wide_waits_for_the_searches_of_its_seed(tmp_path):
    sh, fixed, wide, other = plan(tmp_path, ["sh", "fixed", "wide"], [0, 1])[:4]
    assert not experiment._is_ready(wide, [sh, wide]) and experiment._is_ready(sh, [sh, wide])
    assert experiment._is_ready(wide, [fixed, wide, other])


def test_without_its_search_a_run_that_follows_has_failed(tmp_path, capsys):
    assert experiment.main(["experiment", "--methods=wide,sh", "--only=0", f"--output_dir={tmp_path}"]) == 1
    assert "wide-seed0: needs the searches of its seed" in capsys.readouterr().err


@pytest.mark.parametrize("methods", ["fixed,hand,sh,wide", "hand,fixed,sh,wide"])
def test_what_follows_a_winner_has_its_own_layout_whichever_method_is_named_first(methods, tmp_path, monkeypatch):
    begun = {}

    def run_here(run, command):
        begun[run.method] = main.parse(["main", *command])[0]
        (run.directory / "best").mkdir(parents=True)
        (run.directory / "best" / "architecture.json").write_text(vanilla((8, 8, 1), 10, (8, 16)).to_json())
        params = vanilla((8, 8, 1), 10, (32, 64)).params if run.is_search else 1
        (run.directory / "results.json").write_text(json.dumps({"params": params}))
        return SimpleNamespace(poll=lambda: 0)

    monkeypatch.setattr(experiment, "_start", run_here)
    experiment.main(["experiment", f"--methods={methods}", "--runs=1", "--widths=8,16", f"--output_dir={tmp_path}"])
    assert begun["wide"].widths == (32, 64)


def test_a_network_that_has_widths_of_its_own_cannot_be_made_as_wide_as_a_winner(tmp_path, capsys):
    given = ["experiment", "--methods=grow,wide", "--layout=hand", "--runs=1", f"--output_dir={tmp_path / 'out'}"]
    assert experiment.main(given) == 2 and not (tmp_path / "out").exists()
    assert "--layout=hand: must be another for method wide" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["wide", "scratch"])
def test_what_follows_no_search_is_refused_before_anything_starts(method, tmp_path, monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(experiment, "_conduct", lambda chosen, *others: begun.append(chosen) or {})

    def status(methods, *arguments):
        return experiment.main(
            ["experiment", f"--methods={methods}", "--runs=2", f"--output_dir={tmp_path}", *arguments]
        )

    def put(name, file):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text('{"epochs": 1}')

    put("nash-seed0", "results.json")
    assert status(f"fixed,{method}") == 2 and not begun
    line = f"--methods=fixed,{method}: {method} needs a winner of seed 1; name a search too, one of grow, scale, nash,"
    assert line in capsys.readouterr().err
    assert status(f"fixed,{method}", "--only=1") == 0  # seed 0, whose search is finished
    for search in ("sh", "shr_ties", "front"):
        assert status(f"fixed,{method},{search}") == 0  # one that is to come
    put(f"{method}-seed1", "config.json")
    assert status(f"fixed,{method}") == 0  # it goes on with what it has


@pytest.mark.parametrize(
    ("arguments", "directory"), [([], "runs/digits-experiment"), (["--output_dir=out"], "out"), (["--resume"], None)]
)
def test_an_experiment_has_a_directory_of_its_own(arguments, directory, tmp_path, monkeypatch):
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "_conduct", lambda *given: seen.append(given) or {})
    assert experiment.main(["experiment", "--methods=nash", "--children=6", "--epochs_per_step=12", *arguments]) == 0
    assert str(seen[0][3]) == (directory or "runs/digits-experiment")


@pytest.fixture
def prepared(tmp_path, monkeypatch, capsys):
    """Does an experiment without its runs; gives the lines it prints before them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "_conduct", lambda *_: print("BEGUN") or {})

    def lines(*arguments):
        assert experiment.main(["experiment", "--runs=1", *arguments]) == 0
        return capsys.readouterr().out.split("BEGUN")[0].splitlines()

    return lines


def test_what_an_experiment_sets_itself_is_said_to_be_unused(prepared, tmp_path):
    assert prepared("--methods=sh") == []
    (tmp_path / "single").write_text("--method=grow\n")
    assert prepared("--methods=sh", "--flagfile=single") == ["Not used: --method=grow (--methods decides)."]
    for flag in ("--resume", "--noresume"):
        assert prepared(flag) == [f"Not used: {flag} (an experiment always goes on with what is there)."]


def test_settings_that_no_run_or_not_all_runs_use_are_told_before_the_first(prepared):
    given = ["--methods=grow,fixed", "--widths=4,8", "--cutout_size=0.3", "--children=4", "--mutations=3", "--resume"]
    everywhere, of_fixed = prepared(*given)
    assert everywhere.startswith("Not used: --resume (an experiment always goes on")
    assert "--children (a step of method grow has one child; method fixed trains the first network alone)" in everywhere
    assert "--cutout_size (cutout is not among the augmentations)" in everywhere
    assert of_fixed == "Not used by fixed: --mutations (method fixed trains the first network alone)."
    assert prepared("--methods=grow,fixed", "--mutations=3", "--only=0") == []  # this one is grow's


def test_runs_that_have_begun_need_no_earlier_ones_any_more(prepared, tmp_path):
    arguments = ["--prior=absent", "--layout=pooled"]
    begin(Run("grow", 0, tmp_path / "grow-seed0"), arguments)
    assert prepared("--methods=grow", *arguments, f"--output_dir={tmp_path}") == []


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize(
    "begun_with, words",
    [
        ("--weight_decay=0.002", "weight_decay was 0.002, is 0.0005"),
        ("--dataset=cifar10", "--dataset=digits: the run was begun with cifar10"),
    ],
)
def test_a_run_that_is_there_with_other_settings_or_data_is_refused_before_anything_starts(
    begun_with, words, is_finished, tmp_path, capsys
):
    run = Run("fixed", 1, tmp_path / "fixed-seed1")
    begin(run, ["--layout=pooled", begun_with])
    if is_finished:
        (run.directory / "results.json").write_text('{"epochs": 1}')
    assert experiment.main(["experiment", "--methods=grow,fixed", "--runs=2", f"--output_dir={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{run.directory}: ") and words in said


def test_finished_runs_with_lower_limits_than_those_given_are_named(prepared, tmp_path):
    given = ["--methods=shr,sh", f"--output_dir={tmp_path}", "--max_cpu_hours=3"]
    for name, steps in (("shr", 2), ("sh", 3)):
        run = Run(name, 0, tmp_path / f"{name}-seed0")
        begin(run, [*given[2:], f"--steps={steps}", "--max_hours=0.5"])
        (run.directory / "results.json").write_text('{"epochs": 1}')
    told = "Finished with {}, and left so: {}. Another --output_dir has them with what is given now."
    assert prepared(*given, "--steps=3", "--max_hours=0.5") == [told.format("steps=2", "shr-seed0")]
    assert prepared(*given, "--steps=3", "--max_hours=0.5", "--only=1") == []
    both = [told.format("max_hours=0.5, steps=2", "shr-seed0"), told.format("max_hours=0.5", "sh-seed0")]
    assert prepared(*given, "--steps=3") == both


def test_a_finished_run_that_goes_on_with_raised_limits_or_is_damaged_is_not_finished(tmp_path):
    run = Run("fixed", 0, tmp_path / "fixed-seed0")
    run.directory.mkdir()
    record = {"step": 0, "rung": 0, "child": 0, "epochs": 2}
    (run.directory / "lineage.jsonl").write_text(json.dumps(record))
    for epochs in (2, 1):
        (run.directory / "results.json").write_text(json.dumps({"epochs": epochs}))
        assert run.finished == (epochs == 2)
    for damaged in ("", '{"epochs": 2', "[]"):
        (run.directory / "results.json").write_text(damaged)
        assert not run.finished


def begin(run, arguments):
    """Writes the settings of a run, as one that was begun with these arguments has them."""
    run_directory.write_config(main.parse(["main", *run.command(arguments)])[0], {})


def start(directory, *arguments):
    return start_process(directory, *arguments, module="tests.helpers.light_experiment", common=COMMON)


@pytest.mark.parametrize(
    ("methods", "given", "layouts"),
    [
        ("grow,shrsep,fixed", [], {"pooled"}),
        ("grow,shrsep", ["--layout=plain"], {"plain"}),
        ("shrsep,fixed", [], {"plain"}),
    ],
)
def test_all_methods_begin_with_one_first_network(methods, given, layouts, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(experiment, "_conduct", lambda chosen, *others: seen.append((chosen, others[3])) or {})
    experiment.main(["experiment", f"--methods={methods}", "--runs=1", f"--output_dir={tmp_path / 'out'}", *given])
    ((chosen, arguments),) = seen
    assert {main.parse(["main", *run.command(arguments)])[0].first_layout for run in chosen} == layouts


@pytest.mark.parametrize(
    ("there", "methods", "given", "layouts", "said"),
    [
        ("grow", "random", [], {"pooled"}, "The first network is pooled, as in the runs of"),
        ("grow", "grow,random", [], {"pooled"}, None),
        ("sh,hand", "grow,hand,sh,random", [], {"plain", "hand"}, "The first network is plain, as in the runs of"),
        ("sh", "sh,grow", ["--layout=plain"], {"plain"}, None),
        ("sh", "grow", ["--layout=pooled"], {"pooled"}, "pooled, and not of all runs in {} (plain: sh-seed0)"),
        ("sh,grow", "scale", [], None, "several first networks (pooled: grow-seed0; plain: sh-seed0)"),
        ("sh,grow", "sh,scale", [], {"plain"}, "The first network is plain, as in the runs of"),
        ("hand", "random", [], {"plain"}, None),
    ],
)
def test_methods_that_come_later_begin_as_those_before(
    there, methods, given, layouts, said, tmp_path, monkeypatch, capsys
):
    """Also beside runs of earlier versions, which did not write the layout that followed from their method."""
    for method in there.split(","):
        run = Run(method, 0, tmp_path / f"{method}-seed0")
        begin(run, [])
        before = json.loads((run.directory / "config.json").read_text())
        (run.directory / "config.json").write_text(json.dumps({**before, "layout": None, "sha256": None}))
    seen = []
    monkeypatch.setattr(experiment, "_conduct", lambda chosen, *others: seen.append((chosen, others[3])) or {})
    status = experiment.main(["experiment", f"--methods={methods}", "--runs=1", f"--output_dir={tmp_path}", *given])
    printed = capsys.readouterr()
    assert (said or "").format(tmp_path) in printed.out + printed.err
    assert ("The first network is" in printed.out) == bool(said and layouts)
    assert status == (0 if layouts else 2)
    begun = {
        main.parse(["main", *run.command(arguments)])[0].first_layout for chosen, arguments in seen for run in chosen
    }
    assert begun == (layouts or set())


def test_why_a_run_is_refused_is_told_and_others_that_would_be_too_are_not_begun(tmp_path, monkeypatch, capsys):
    begun = []

    def refuse(run, command):
        begun.append(run.directory.name)
        run.log.write_text("Search by method sh.\n--views=mirrored: wants flip\n\n")
        return SimpleNamespace(poll=lambda: 0 if run.method == "fixed" else 2)

    monkeypatch.setattr(experiment, "_start", refuse)
    begin(Run("sh", 2, tmp_path / "sh-seed2"), [])  # it may be refused for something of its own
    assert experiment.main(["experiment", "--methods=sh,fixed", "--runs=3", f"--output_dir={tmp_path}"]) == 1
    assert begun == ["sh-seed0", "fixed-seed0", "fixed-seed1", "sh-seed2", "fixed-seed2"]
    printed = capsys.readouterr()
    assert f"{tmp_path}/sh-seed0: refused: --views=mirrored: wants flip" in printed.err
    assert f"{tmp_path}/sh-seed1: not begun, since sh-seed0 is refused" in printed.err
    assert "sh-seed0 refused: --views=mirrored: wants flip" in printed.out


def test_an_experiment_that_is_stopped_goes_on_and_repeats_nothing(tmp_path):
    directory = tmp_path / "out"
    done, begun = directory / "sh-seed0" / "results.json", directory / "fixed-seed0" / "config.json"
    process = start(directory, "--methods=sh,fixed", "--runs=1", "--jobs=2")
    wait_for(lambda: (done.exists() and begun.exists()) or process.poll() is not None, 200)
    going = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert going and not any(os.path.exists(f"/proc/{run}") for run in going)
    before = done.stat().st_mtime_ns
    assert "1 of them are finished" in finish(start(directory, "--methods=sh,fixed", "--runs=1", "--jobs=2"))
    assert done.stat().st_mtime_ns == before and (directory / "fixed-seed0" / "results.json").exists()
    assert (directory / "report.html").exists() and (directory / "fixed-seed0.log").exists()


def test_all_methods_spend_as_much_and_baselines_follow_the_winner(tmp_path, monkeypatch):
    """A whole experiment, its runs one after another in this process; their networks are made, and not trained."""

    def run_here(run, command):
        here(run.directory, *command)
        return SimpleNamespace(poll=lambda: 0)

    names = ["sh", "fixed", "wide", "scratch"]
    monkeypatch.setattr(experiment, "_start", run_here)
    untrained(monkeypatch)
    in_two_parts(monkeypatch)
    arguments = [f"--methods={','.join(names)}", "--runs=1", f"--output_dir={tmp_path}"]
    assert experiment.main(["experiment", *COMMON, *arguments]) == 0
    results = {name: json.loads((tmp_path / f"{name}-seed0" / "results.json").read_text()) for name in names}
    # All but those that follow the winner have the same first network, and all as many epochs; a part of a budget has at least one.
    assert results["sh"]["epochs"] == 1 + 2 + 2
    assert {results[name]["epochs"] for name in names[1:]} == {1 + 2}
    assert results["fixed"]["params"] == results["fixed"]["vanilla_params"] == results["sh"]["vanilla_params"]
    assert results["sh"]["params"] > results["sh"]["vanilla_params"]
    assert results["wide"]["params"] == pytest.approx(results["sh"]["params"], rel=0.1)
    assert results["scratch"]["params"] == results["scratch"]["vanilla_params"] == results["sh"]["params"]
    assert "wide" in (tmp_path / "report.html").read_text()


def test_what_runs_on_a_cluster_are_refused_for_is_refused_before_it_begins(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(engine_settings, "missing", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    given = ["experiment", "--methods=sh", f"--output_dir={tmp_path / 'out'}", "--engine=ray", "--tensorboard"]
    assert experiment.main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith("--tensorboard=True: would write its logs on") and "an experiment with --engine=ray" in said


def test_runs_share_one_cluster_of_ray_as_many_as_fit(monkeypatch, tmp_path, capsys):
    asked, begun = [], []

    @contextlib.contextmanager
    def shared(address, cpus, gpus):
        asked.append((address, cpus, gpus))
        yield "10.0.0.1:6379", 3

    def conduct(chosen, planned, config, directory, arguments, jobs):
        begun.append((arguments[-1], jobs, len(chosen)))
        return {}

    monkeypatch.setattr(engine_settings, "missing", lambda name: None)
    monkeypatch.setattr("nash_tf.engines.ray_cluster.shared", shared)
    monkeypatch.setattr(experiment, "_conduct", conduct)
    common = ["experiment", "--methods=sh,shr", "--runs=2", f"--output_dir={tmp_path}", "--engine=ray", "--workers=4"]
    assert experiment.main([*common, "--cpus_per_training=0.5", "--gpus_per_training=0.25"]) == 0
    assert experiment.main([*common, "--threads=2", "--jobs=1", "--ray_address=auto"]) == 0
    assert asked == [(None, 2.0, 1.0), ("auto", 8.0, 0.0)]
    assert begun == [("--ray_address=10.0.0.1:6379", 3, 4), ("--ray_address=10.0.0.1:6379", 1, 4)]
    assert "room for 3 runs at a time" in capsys.readouterr().out
    for methods, needed in (("grow", 2.0), ("grow,sh", 8.0)):  # of the largest run
        assert experiment.main([*common, f"--methods={methods}", "--threads=2"]) == 0
        assert asked.pop() == (None, needed, 0.0)
    for name in ("sh-seed0", "sh-seed1", "shr-seed0", "shr-seed1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text('{"epochs": 1}')
    assert experiment.main(common) == 0 and len(asked) == 2  # all are finished: no cluster is begun


def test_why_a_run_of_another_task_failed_stays_until_it_begins(tmp_path):
    runs = plan(tmp_path, ["sh", "nash"], [0])
    planned_runs.keep(tmp_path, experiment._missing(runs, {runs[0]: "refused: no such data set"}, tmp_path))
    assert experiment._missing(runs, {}, tmp_path) == {
        "sh-seed0": "refused: no such data set",
        "nash-seed0": "not begun",
    }
