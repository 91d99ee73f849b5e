"""The command line: what is refused and how, flagfiles, output directories, and signals.

The search is a stub here; what it does is tested elsewhere.
"""

import os
import re
import subprocess
import sys

import pytest

from nash_tf import config, data, export_formats, main
from nash_tf.files.lock import LOCK, locked
from nash_tf.settings import engine as engine_settings
from tests.helpers import ROOT
from tests.helpers.commands import contents, start

# (arguments beside --method=shr, what the line must contain). Run in a directory that holds what `fixtures` makes.
REFUSED = [
    # absl's own errors
    (["--stpes=3"], ["--stpes=3", "Unknown"]),
    (["--nosteps"], ["--nosteps", "Unknown"]),
    (["--steps"], ["--steps", "Missing value"]),
    (["--resume=maybe"], ["--resume=maybe", "boolean"]),
    (["--noresume=1"], ["--noresume=1", "does not take"]),
    (["--flagfile"], ["--flagfile", "no argument"]),
    (["--flagfile=absent.flags"], ["--flagfile", "absent.flags", "No such file"]),
    (["--flagfile=full"], ["--flagfile", "full", "directory"]),
    (["--flagfile=binary"], ["--flagfile", "text"]),
    (["--flagfile=bad.flags"], ["--steps=-1", "from 0 to"]),
    (["shrsep"], ["shrsep", "--flag=value"]),
    # names
    (["--method=SHR"], ["--method=SHR", "nash, sh, shr, shrsep"]),
    (["--method="], ["--method=", "nash, sh, shr, shrsep"]),
    (["--precision=float16"], ["--precision=float16", "float32, mixed_bfloat16"]),
    (["--objective=val_accuracy"], ["--objective=val_accuracy", "accuracy, balanced_accuracy, loss"]),
    (["--class_weight=auto"], ["--class_weight=auto", "none, balanced"]),
    (["--augment=shear"], ["--augment=shear", "normalise,flip,shift,zoom,rotate,colour,cutout"]),
    (["--augment=all,flip"], ["--augment=all,flip", "all, none"]),
    (["--augment="], ["--augment=", "all, none"]),
    # whole numbers
    (["--steps=-1"], ["--steps=-1", "from 0 to"]),
    (["--steps=1.5"], ["--steps=1.5", "whole number"]),
    (["--steps=abc"], ["--steps=abc", "whole number"]),
    (["--steps="], ["--steps=", "whole number"]),
    (["--steps=a\nb"], ["--steps=", r"a\nb", "whole number"]),
    (["--steps=99999999999"], ["--steps=99999999999", "from 0 to"]),
    (["--children=1"], ["--children=1", "from 2 to"]),
    (["--children=6"], ["--children=6", "power of two", "nearest is 4"]),
    (["--export=pdf"], ["--export=pdf", "saved_model,keras,litert,int8,onnx"]),
    (["--mutations=0"], ["--mutations=0", "from 1 to"]),
    (["--epochs_per_step=-32"], ["--epochs_per_step=-32", "from 1 to"]),
    (["--epochs_per_step=50"], ["--epochs_per_step=50", "multiple of 32", "nearest is 64"]),
    (["--epochs_per_step=50", "--method=nash"], ["--epochs_per_step=50", "multiple of 8", "nearest is 48"]),
    (["--vanilla_epochs=0"], ["--vanilla_epochs=0", "from 1 to"]),
    (["--final_epochs=-1"], ["--final_epochs=-1", "from 0 to"]),
    (["--train_limit=0"], ["--train_limit=0", "from 1 to"]),
    (["--train_limit=many"], ["--train_limit=many", "whole number"]),
    (["--batch_size=0"], ["--batch_size=0", "from 1 to"]),
    (["--max_params=0"], ["--max_params=0", "from 1 to"]),
    (["--max_params=1e6"], ["--max_params=1e6", "whole number"]),
    (["--max_flops=0"], ["--max_flops=0", "from 1 to"]),
    (["--max_latency_ms=0"], ["--max_latency_ms=0", "above 0"]),
    (["--objective_cost=time"], ["--objective_cost=time", "params, operations, latency_ms"]),
    (["--method=front", "--steps=0"], ["--steps=0", "at least 1 for method front"]),
    (["--method=grow", "--steps=0"], ["--steps=0", "at least 1 for method grow; --method=fixed does not grow"]),
    (
        ["--method=front", "--front_sizes=900,2000000"],
        ["--front_sizes=900,2000000", "--max_params=1000000 is the limit"],
    ),
    (["--seed=-1"], ["--seed=-1", "from 0 to 4294967295"]),
    (["--seed=4294967296"], ["--seed=4294967296", "from 0 to 4294967295"]),
    (["--workers=0"], ["--workers=0", "from 1 to"]),
    # engines
    (["--engine=dask"], ["--engine=dask", "one of keras_tuner, ray"]),
    (["--ray_address=ray://host:1"], ["--ray_address=ray://host:1", "host:port or auto"]),
    (["--cpus_per_training=0"], ["--cpus_per_training=0.0", "above 0"]),
    (["--gpus_per_training=1.5"], ["--gpus_per_training=1.5", "a whole one above"]),
    # image files
    (["--image_size=0"], ["--image_size=0", "N or HxW", "4 to 4096"]),
    (["--image_size=64x"], ["--image_size=64x", "N or HxW"]),
    (["--image_size=5000x64"], ["--image_size=5000x64", "4 to 4096"]),
    (["--image_size=64"], ["--image_size", "digits", "arrays"]),
    (["--image_fit=zoom"], ["--image_fit=zoom", "crop, pad, stretch"]),
    (["--memory_share=0"], ["--memory_share=0.0", "above 0"]),
    (["--memory_share=2"], ["--memory_share=2.0", "at most 1"]),
    # a model to start from
    (["--start=absent.keras"], ["--start=absent.keras", "No such file"]),
    (["--start=full"], ["--start=full", "model.save('NAME.keras')"]),
    (["--start=folder.keras"], ["--start=folder.keras", "found something else"]),
    (["--start=loop.keras"], ["--start=loop.keras", "be read"]),
    (["--start_pixels=raw"], ["--start_pixels=raw", "--start, which is not given"]),
    (["--start=model.keras", "--start_pixels=byte"], ["--start_pixels=byte", "raw, unit, signed, imagenet, standard"]),
    (["--start=model.keras", "--precision=mixed_bfloat16"], ["--precision=mixed_bfloat16", "float32 with --start"]),
    (["--start=model.keras", "--method=wide"], ["--method=wide", "a first network of its own"]),
    (["--output_dir=run", "--resume", "--start=model.keras"], ["--start=model.keras", "begun without"]),
    (["--output_dir=grown", "--resume"], ["--start=", "begun with model.keras"]),
    (["--output_dir=grown", "--resume", "--start=other.keras"], ["--start=other.keras", "begun with model.keras"]),
    # widths
    (["--widths="], ["--widths=", "1 to 6 whole numbers"]),
    (["--widths=16,x"], ["--widths=16,x", "1 to 6 whole numbers"]),
    (["--widths=16,0"], ["--widths=16,0", "from 1 to 600"]),
    (["--widths=601"], ["--widths=601", "from 1 to 600"]),
    (["--widths=1,2,3,4,5,6,7"], ["--widths=1,2,3,4,5,6,7", "1 to 6"]),
    # numbers
    (["--valid_fraction=0"], ["--valid_fraction=0.0", "above 0"]),
    (["--valid_fraction=0.6"], ["--valid_fraction=0.6", "at most 0.5"]),
    (["--valid_fraction=10%"], ["--valid_fraction=10%", "number"]),
    (["--max_hours=0"], ["--max_hours=0.0", "above 0"]),
    (["--max_hours=inf"], ["--max_hours=inf", "finite"]),
    (["--max_hours=nan"], ["--max_hours=nan", "finite"]),
    (["--mixup=-1"], ["--mixup=-1.0", "at least 0"]),
    (["--learning_rate=0"], ["--learning_rate=0.0", "above 0"]),
    (["--final_learning_rate=nan"], ["--final_learning_rate=nan", "finite"]),
    (["--momentum=1"], ["--momentum=1.0", "below 1"]),
    (["--weight_decay=-0.1"], ["--weight_decay=-0.1", "at least 0"]),
    # data
    (["--dataset="], ["--dataset=", "name of a data set or a path"]),
    (["--dataset=absent"], ["--dataset", "absent"]),
    (["--dataset=/absent/parts.npz"], ["--dataset", "/absent/parts.npz"]),
    # output directories
    (["--output_dir=file"], ["--output_dir=file", "directory"]),
    (["--output_dir=file/run"], ["--output_dir=file/run", "directory"]),
    (["--output_dir=dangling"], ["--output_dir=dangling", "directory"]),
    (["--output_dir=loop"], ["--output_dir=loop", "symbolic links"]),
    ([f"--output_dir={'a' * 300}"], ["--output_dir=aaa", "too long"]),
    (["--output_dir=full"], ["--output_dir=full", "not a run's"]),
    (["--output_dir=run"], ["--output_dir=run", "--resume"]),
    (["--output_dir=full", "--resume"], ["--output_dir=full", "not a run's"]),
    (["--output_dir=linked", "--resume"], ["linked: holds a link, 'linked/tuner/trial_0001'"]),
    (["--output_dir=piped", "--resume"], ["piped: holds a special file, 'piped/config.json'"]),
    (["--output_dir=locked"], ["locked: holds a link, 'locked/owner.lock'"]),
    (["--output_dir=torn", "--resume"], ["--output_dir=torn", "config.json cannot be read"]),
    (["--output_dir=list", "--resume"], ["--output_dir=list", "config.json cannot be read"]),
    (["--output_dir=other", "--resume"], ["--output_dir=other", "config.json holds --colour=red"]),
    (["--output_dir=run", "--resume", "--seed=7"], ["--resume", "seed was 0, is 7"]),
    (["--output_dir=run", "--resume", "--steps=1", "--batch_size=1"], ["steps was 2, is 1", "batch_size was 64, is 1"]),
]


class TestRefused:
    @pytest.mark.parametrize(("arguments", "expected"), REFUSED, ids=lambda value: " ".join(value)[:60])
    def test_with_status_2_and_one_line_and_nothing_written(self, arguments, expected, place, search, capsys):
        before = contents(place)
        assert start("--method=shr", *arguments) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert re.fullmatch(r"[^\n]+\n", printed.err)
        assert [part for part in expected if part not in printed.err] == []
        assert contents(place) == before
        assert search.calls == []

    def test_a_format_without_its_packages(self, place, search, capsys, monkeypatch):
        monkeypatch.setattr(export_formats, "missing", lambda name: ["onnxruntime"] if name == "onnx" else [])
        assert start("--export=onnx") == 2
        assert re.fullmatch("--export=onnx: .*`pip install onnxruntime`\n", capsys.readouterr().err)

    def test_tensorboard_without_its_package(self, place, search, capsys, monkeypatch):
        monkeypatch.setattr(config.importlib.util, "find_spec", lambda name: None)
        assert start("--tensorboard", "--method=none_such") == 2
        assert re.fullmatch("--tensorboard=True: .*`pip install tensorboard`\n", capsys.readouterr().err)

    def test_another_backend(self, place, search, capsys, monkeypatch):
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        assert start("--method=sh") == 2
        assert capsys.readouterr().err == "KERAS_BACKEND=jax: must be tensorflow, or not be set\n"

    @pytest.mark.parametrize("directory", ["new", "empty"])
    def test_a_directory_that_cannot_be_written_to(self, directory, place, search, capsys, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
        assert start("--method=sh", f"--output_dir={directory}") == 2
        assert re.fullmatch(f"--output_dir={directory}: .* written to\n", capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (data.DataError("parts: broken\nimage"), "--dataset: parts: broken image\n"),
            (config.ConfigError("--augment=flip: no"), "--augment=flip: no\n"),
        ],
    )
    def test_what_the_search_refuses(self, error, line, place, search, capsys):
        def refuse(config):
            raise error

        search.act = refuse
        assert start("--method=sh", "--dataset=digits") == 2
        assert capsys.readouterr().err == line

    def test_other_errors_keep_their_traceback(self, place, search):
        def fail(config):
            raise RuntimeError("a bug")

        search.act = fail
        with pytest.raises(RuntimeError, match="a bug"):
            start("--method=sh")

    def test_what_ends_a_run_is_one_line_and_status_1(self, place, search, capsys):
        def fail(config):
            raise OSError(28, "No space left on device", "run/tuner/oracle.json")

        search.act = fail
        assert start("--method=sh") == 1
        assert capsys.readouterr().err == "[Errno 28] No space left on device: 'run/tuner/oracle.json'\n"


class TestRefusedForReal:
    """The same in a process of its own: a status, a line, and no TensorFlow."""

    PROGRAM = (
        "import sys; from nash_tf.main import main; status = main();"
        "assert not {'tensorflow', 'keras', 'keras_tuner'} & set(sys.modules), 'imported too soon'; sys.exit(status)"
    )

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--method=shr", "--stpes=3"], "--stpes=3: Unknown"),
            (["--method=shr", "--steps=abc"], "--steps=abc: must be a whole number"),
            (["--method=shr", "--epochs_per_step=50"], "--epochs_per_step=50: must be a positive multiple of 32"),
            (["--method=shr", "--dataset=/absent"], "/absent"),
            (["--method=shr", "--output_dir=full"], "--output_dir=full: holds files"),
            (["--method=shr", "--output_dir=run"], "--output_dir=run: holds a run"),
        ],
    )
    @pytest.mark.parametrize("how", [["-c", PROGRAM], ["-m", "nash_tf.main"]], ids=["imports", "module"])
    def test_process(self, how, arguments, expected, place):
        before = contents(place)
        environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
        environment.update(PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable, *how, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert re.fullmatch(r"[^\n]+\n", ended.stderr)
        assert expected in ended.stderr
        assert contents(place) == before


class TestEngines:
    def test_one_whose_package_is_missing_says_what_to_install(self, monkeypatch, place, search, capsys):
        entry = engine_settings.REGISTRY["ray"]._replace(needs={"ray": "no_such_module"})
        monkeypatch.setitem(engine_settings.REGISTRY, "ray", entry)
        assert start("--engine=ray") == main.REFUSED and not search.calls
        hint = "needs ray, not installed; run `pip install 'nash_tf[ray]'`"
        assert capsys.readouterr().err == f"--engine=ray: {hint}\n"
        with pytest.raises(ValueError, match="engine 'ray' needs ray, not installed"):
            engine_settings.engine("ray")

    def test_storage_is_one_that_other_processes_reach_and_no_keras_tuner_worker_has_ray(
        self, monkeypatch, place, search, capsys
    ):
        monkeypatch.setattr(engine_settings.importlib.util, "find_spec", lambda name: name)
        assert start("--engine=ray", "--storage=memory://x") == main.REFUSED
        assert "each process's own" in capsys.readouterr().err
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
        assert start("--engine=ray") == main.REFUSED
        assert "KERASTUNER_ORACLE_IP is set" in capsys.readouterr().err
        assert start("--engine=ray", "--tensorboard", "--ray_address=auto") == main.REFUSED
        assert "on the machines of --ray_address" in capsys.readouterr().err


class TestAccepted:
    def test_every_flag_arrives(self, place, search, monkeypatch):
        monkeypatch.setattr(export_formats, "missing", lambda name: [])
        settings = {
            "method": "sh",
            "dataset": "digits",
            "image_fit": "pad",
            "memory_share": 0.5,
            "cache_dir": "kept",
            "train_limit": 500,
            "valid_fraction": 0.25,
            "steps": 3,
            "children": 4,
            "mutations": 2,
            "epochs_per_step": 24,
            "vanilla_epochs": 2,
            "final_epochs": 0,
            "budget_epochs": 40.0,
            "widths": (8, 16),
            "layout": "residual",
            "front_sizes": (4000, 3000),
            "front_epochs": 2,
            "objective_cost": "operations",
            "latency_runtime": "tensorflow",
            "max_flops": 10**9,
            "max_latency_ms": 1000.0,
            "distillation": 0.5,
            "batch_size": 32,
            "max_params": 5000,
            "max_hours": 1.5,
            "max_cpu_hours": 2.5,
            "seed": 9,
            "output_dir": "new",
            "precision": "float32",
            "augment": ("normalise", "shift"),
            "mixup": 0.2,
            "cutout_size": 0.5,
            "engine": "keras_tuner",
            "ray_address": "auto",
            "cpus_per_training": 1.5,
            "gpus_per_training": 0.25,
            "storage": "kept",
            "workers": 3,
            "threads": 2,
            "learning_rate": 0.02,
            "final_learning_rate": 0.03,
            "optimizer": "muon",
            "momentum": 0.8,
            "label_smoothing": 0.0,
            "objective": "balanced_accuracy",
            "class_weight": "balanced",
            "weight_decay": 1e-4,
            "start_pixels": "unit",
            "start": "model.keras",
            "export": ("onnx", "litert"),
        }
        text = {
            name: ",".join(map(str, value)) if isinstance(value, tuple) else value for name, value in settings.items()
        }
        assert start(*(f"--{name}={value}" for name, value in text.items())) == 0
        ((arrived, resume),) = search.calls
        assert arrived == config.SearchConfig(**settings)
        assert resume is False
        others = {
            "tensorboard",
            "isolate",
            "control",
            "image_size",
            "nesterov",
            "budget_seconds",
            "prior",
            "gain_factor",
            "views",
            "average_weights",
        }
        assert {*settings, *others} == set(arrived.to_json())

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("strong", config.AUGMENTATIONS),
            ("all", ("normalise", "flip", "shift", "cutout")),
            ("none", ()),
            ("shift, flip", ("flip", "shift")),
            ("cutout", ("cutout",)),
        ],
    )
    def test_augment(self, text, names):
        parsed, _ = main.parse(["main", "--method=sh", f"--augment={text}"])
        assert parsed.augment == names

    def test_the_first_lines_say_what_is_done_where_and_a_bare_run_that_it_is_small(self, place, search, capsys):
        assert start() == 0
        printed = capsys.readouterr()
        first, place_, _, last = printed.out.splitlines()
        assert "shrsep" in first and "digits" in first and "runs/digits-shrsep-seed0" in place_
        assert re.fullmatch(".*small.*digits.*--flagfile=paper_shrsep .*", last)
        assert printed.err == ""
        assert start("--method=shrsep", "--dataset=digits") == 0
        assert "small" not in capsys.readouterr().out

    def test_formats_that_are_left_out_are_named_once(self, place, search, capsys, monkeypatch):
        monkeypatch.setattr(export_formats, "missing", lambda name: ["onnx", "tf2onnx"] if name == "onnx" else [])
        assert start() == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "exported" in line]
        assert "saved_model, keras, litert, int8; without onnx (needs onnx, tf2onnx): pip install" in line
        assert start("--export=int8", "--output_dir=new") == 0
        assert "exported as saved_model, keras, int8.\n" in capsys.readouterr().out

    def test_a_run_goes_on_from_the_same_model_at_another_place(self, place, search):
        (place / "moved.keras").write_text("the model")
        assert start("--method=shr", "--output_dir=grown", "--resume", "--start=moved.keras") == 0

    def test_resume(self, place, search):
        assert start("--method=shr", "--output_dir=run", "--resume", "--steps=5") == 0
        ((arrived, resume),) = search.calls
        assert (arrived.steps, resume) == (5, True)

    @pytest.mark.parametrize("directory", ["absent", "empty"])
    def test_resume_begins_where_there_is_nothing_and_says_so(self, directory, place, search, capsys):
        assert start("--method=shr", "--dataset=digits", f"--output_dir={directory}", "--resume") == 0
        assert f"\nNothing to resume in {directory}: the run begins.\n" in capsys.readouterr().out
        assert [resume for _, resume in search.calls] == [False]

    @pytest.mark.parametrize("directory", ["new/and/deep", "empty", "started"])
    def test_new_empty_and_barely_begun_directories(self, directory, place, search):
        (place / "started").mkdir()
        for name in ("config.json.partial", ".config.json.0123abcd.new", "owner.lock"):
            (place / "started" / name).write_text("{")
        (place / "started" / "report.html").write_text("<p>Written by nash_tf 0.1.0")
        assert start("--method=shr", f"--output_dir={directory}") == 0

    def test_a_page_of_another_program_is_not_replaced(self, place, search, capsys):
        (place / "own").mkdir()
        (place / "own" / "report.html").write_text("mine")
        assert start("--method=shr", "--output_dir=own") == 2 and not search.calls
        assert "holds a report.html of another program; move it" in capsys.readouterr().err

    def test_help(self, search, capsys):
        assert start("--help") == 0
        printed = capsys.readouterr().out
        listed = set(re.findall(r"--(?:\[no\])?(\w+)", printed))
        assert {"resume", "flagfile", *config.SearchConfig.__dataclass_fields__} <= listed
        heads = re.findall(r"^(\w+).*:$", printed, re.MULTILINE)
        assert "Default: --nesterov." in printed
        assert heads == ["Data", "Budget", "Limits", "Run", "Engine", "Search", "Training", "Front"]
        assert all(f"nash-tf {command} " in printed for command in ("predict", "report", "experiment"))
        assert search.calls == []


def test_the_lock_is_not_taken_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("text")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to("../mine")
    with pytest.raises(OSError, match=LOCK), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "mine").read_text() == "text"


def test_data_that_is_refused_names_the_flag(place, monkeypatch, capsys):
    monkeypatch.setattr("nash_tf.runtime.set_up", lambda threads: None)  # TensorFlow has computed before
    for flags, expected in (
        (["--dataset=digits", "--train_limit=5"], "--train_limit: expected at least 20"),
        (["--dataset=no/such"], "--dataset: "),
    ):
        assert start("--method=sh", *flags) == 2
        said = capsys.readouterr().err
        assert said.startswith(expected) and len(said.splitlines()) == 1
